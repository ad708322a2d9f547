"""Spectra are compared rank by rank, without being written out."""

import math

import numpy as np
import pytest

from shallows.atlas.powers import decay_exponent
from shallows.atlas.spectra import spectral_differences


def test_ranks_meet_although_multiplicities_differ():
    first, second = spectral_differences([(2.0, 3), (1.0, 2)], [(1.5, 4), (7.0, 1)])
    pairs = set(zip(first.tolist(), second.tolist(), strict=True))
    assert pairs == {(1.0, 1.5), (2.0, 1.5), (2.0, 7.0)}


def test_there_may_be_more_eigenvalues_than_integers_of_a_float():
    many = 10**18
    first, second = spectral_differences([(0.0, many), (1.0, 1)], [(0.0, many - 1), (1.0, 2)])
    assert np.sum(first != second) == 1


def test_spectra_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="one has 2 eigenvalues and the other 3"):
        spectral_differences([(0.0, 2)], [(0.0, 3)])


def test_exponents_of_powers():
    assert math.isclose(decay_exponent([10, 100, 1000], [3.0, 0.3, 0.03]), -1)
    assert math.isnan(decay_exponent([10], [1.0]))
