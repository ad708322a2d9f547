"""Critical points across the teacher lie on manifolds: zero modes, and where there are none."""

import numpy as np
import pytest

from shallows.atlas.out_of_plane import out_of_plane_search, simplex_point


@pytest.mark.parametrize(("k", "d"), [(2, 3), (2, 4), (3, 5), (3, 7)])
def test_zero_modes_are_the_orbit(k, d):
    point = simplex_point(k, d)
    assert point.gradient_norm < 1e-13
    assert point.zero_modes == point.orbit == (k - 1) * (d - k) - (k - 1) * k // 2
    assert point.along < 1e-12
    assert point.across > 0.5
    # Neurons are x Σ v_j and a regular simplex: equal lengths, equal angles.
    gram = point.weights @ point.weights.T
    off = gram[~np.eye(k, dtype=bool)]
    assert np.ptp(np.diag(gram)) < 1e-13
    assert np.ptp(off) < 1e-13


def test_a_search_without_symmetry_finds_the_same_point():
    found = list(out_of_plane_search(2, 4, 6))
    assert found
    for point in found:
        assert abs(point.loss - simplex_point(2, 4).loss) < 1e-12
        assert point.zero_modes == point.orbit == 1


def test_too_few_inputs_for_a_simplex_are_refused():
    with pytest.raises(ValueError, match=r"2k - 1 = 5 inputs at least, but there are 4"):
        simplex_point(3, 4)
