"""End points are sorted into families whatever their order, their symmetry and their noise."""

import numpy as np

from shallows.atlas.sorting import Sorter
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, orthonormal


def test_relabelled_end_points_are_one_family_whatever_their_symmetry():
    rng, k = np.random.default_rng(0), 6
    entries = rng.normal(size=k)
    points = [
        np.eye(k),
        np.eye(k) + 0.1,  # all neurons alike
        np.diag([1.0] * (k - 1) + [-1.0]) + 0.1,
        np.array([np.roll(entries, i) for i in range(k)]),  # alike, but only in a circle
        rng.normal(size=(k, k)),
    ]
    sorter = Sorter(SquaredLoss(orthonormal(k), Gaussian(k)))
    asked = [i for i in range(len(points)) for _ in range(6)]
    rng.shuffle(asked)
    found: dict[int, set[int]] = {}
    for start, i in enumerate(asked):
        noise = 1e-9 * rng.normal(size=(k, k))
        inner = (points[i] + noise)[rng.permutation(k)][:, rng.permutation(k)]
        pile = sorter.place(inner, np.ones(k), float(i), start, 1, 1e-13)
        found.setdefault(i, set()).add(id(pile))
        assert pile.spread < 1e-7
    assert [len(found[i]) for i in range(len(points))] == [1] * len(points)
    assert sorted(pile.count for pile in sorter.piles) == [6] * len(points)


def test_points_of_one_loss_that_differ_are_two_families():
    rng, k = np.random.default_rng(1), 5
    sorter = Sorter(SquaredLoss(orthonormal(k), Gaussian(k)))
    point = rng.normal(size=(k, k))
    sorter.place(point, np.ones(k), 1.0, 0, 1, 0.0)
    sorter.place(point + 1e-3, np.ones(k), 1.0, 1, 1, 0.0)
    sorter.place(point[::-1], np.ones(k), 1.0, 2, 1, 0.0)
    assert [pile.count for pile in sorter.piles] == [2, 1]
