"""Thresholds against their equations in mpmath, probabilities against words of signs."""

import itertools

import mpmath as mp
import numpy as np
import pytest

from shallows.model import doubled, gaussian_thresholds, planar_probability


def test_thresholds_are_the_roots_of_their_equations():
    found = gaussian_thresholds()

    def tail(x):
        return mp.erfc(x / mp.sqrt(2)) / 2

    def entropy(p):
        return -p * mp.log(p) - (1 - p) * mp.log(1 - p)

    def gordon(alpha, chi):
        return [
            alpha * (mp.erf(mp.sqrt(chi)) / 2 - mp.exp(-chi) * mp.sqrt(chi / mp.pi)) - 1,
            alpha * tail(mp.sqrt(2 * chi)) - 1,
        ]

    mean = mp.findroot(lambda a: a * tail(a**-0.5) - 1, 3)
    union = mp.findroot(lambda a: 2 * entropy(1 / a) - mp.log(2), 9)
    rays = mp.findroot(
        lambda a: entropy(1 / a) + (1 - 1 / a) * (entropy(1 / (a - 1)) - mp.log(2)), 10
    )
    both = mp.findroot(gordon, (7, 0.6))
    roots = [mean, both[0], union, rays]
    expected = [float(root) for root in roots]
    values = [found.mean_direction, found.gordon, found.cells, found.rays]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    # facts: 3.4 is published, 9.09 and 7.65 are, too; 10.5 is quoted where the root is 10.32.
    assert [round(value, 2) for value in values] == [3.4, 7.65, 9.09, 10.32]


def test_planar_probabilities_by_all_words_of_signs():
    """Lines in the plane in order of angle, each with a sign: a half-plane takes m in a row."""
    for m in range(2, 11):
        good = 0
        for word in itertools.product((1, -1), repeat=m):
            around = [*word, *(-s for s in word)] * 2  # half a turn later signs are opposite
            # In the cell after line i the active rows are those of sign + in this window.
            good += all(around[i : i + m].count(1) >= 2 for i in range(2 * m))
        assert planar_probability(m) == good / 2**m
    assert planar_probability(1) == 0


def test_the_fewest_rows():
    w = doubled([[1.0, 2.0], [0.0, 1.0]], [1.0, 3.0])
    assert w.tolist() == [[1, 2], [0, 1], [-1, -2], [0, -3]]
    with pytest.raises(ValueError, match=r"but has shape \(2, 2\) and dependent rows. Use"):
        doubled([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(ValueError, match="must be 2 positive numbers, but are"):
        doubled(np.eye(2), [1.0, 0.0])
