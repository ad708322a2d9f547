"""All activation patterns, exactly: counts, ties, walls, and what a sample finds."""

import numpy as np
import pytest
from scipy.optimize import linprog

from shallows.landscape.convex import Patterns, all_patterns, sampled_patterns
from shallows.model import zaslavsky


def _set(patterns):
    return {mask.tobytes() for mask in patterns.masks}


def test_a_line_with_biases_has_two_patterns_a_point():
    x = np.linspace(-1, 1, 12)
    found = all_patterns(np.column_stack([x, np.ones(12)]))
    assert (len(found), found.rank, found.exact) == (24, 2, True)
    assert len(_set(found)) == 24
    assert not found.masks.all(axis=1).all()
    # One of them is empty: a network without that neuron.
    assert np.count_nonzero(~found.masks.any(axis=1)) == 1
    assert found.walls is not None
    assert np.all(found.walls.sum(axis=1) == 2)
    assert len(all_patterns(x[:, None])) == 2


@pytest.mark.parametrize(("n", "d"), [(4, 1), (8, 2), (9, 3), (7, 4)])
def test_with_zeros_ties_and_dependent_columns_it_is_what_a_large_sample_finds(n, d):
    rng = np.random.default_rng(10 * n + d)
    x = rng.integers(-2, 3, size=(n, d)).astype(float)
    x[0], x[1], x[-1] = 0, 1, -2
    x = np.column_stack([x, x @ np.arange(1, d + 1)])
    found = all_patterns(x)
    sample = sampled_patterns(x, 40_000)
    assert _set(found) == _set(sample)
    assert (found.exact, sample.exact) == (True, False)
    assert found.masks[:, 0].all()  # the point 0
    assert np.all(found.masks[:, 1] != found.masks[:, -1])


def test_points_in_general_position_have_as_many_as_there_can_be():
    x = np.random.default_rng(0).normal(size=(9, 3))
    found = all_patterns(x)
    assert len(found) == zaslavsky(9, 3, is_central=True) == 74
    # Every n-vector of signs is reached where n points are independent.
    assert len(all_patterns(np.random.default_rng(1).normal(size=(4, 6)))) == 16


def test_walls_imply_all_inequalities_and_none_is_idle():
    x = np.random.default_rng(2).normal(size=(8, 3))
    x[5] = -2 * x[2]
    found = all_patterns(x)
    assert found.walls is not None
    for mask, walls in list(zip(found.masks, found.walls, strict=True))[::9]:
        rows = np.where(mask[:, None], x, -x)

        def least(goal, kept):
            bounds = [(-1, 1)] * 3
            return linprog(goal, A_ub=-kept, b_ub=np.zeros(len(kept)), bounds=bounds).fun

        for row in rows:
            assert least(row, rows[walls]) > -1e-9
        for j in np.flatnonzero(walls):
            others = walls.copy()
            others[j] = False
            assert least(rows[j], rows[others]) < -1e-3


def test_samples_are_nested_and_do_not_depend_on_units():
    x = np.random.default_rng(3).normal(size=(12, 3))
    few, many = sampled_patterns(x, 20, seed=5), sampled_patterns(x, 200, seed=5)
    assert _set(few) < _set(many) <= _set(all_patterns(x))
    # All but small cells are found, also where one feature is far smaller than the others.
    other = sampled_patterns(x * [1.0, 1e3, 1e-3], 20_000, seed=5)
    assert len(_set(other)) > 0.9 * len(all_patterns(x))


def test_columns_that_are_dependent_to_rounding_count_once():
    x = np.random.default_rng(4).normal(size=(10, 2))
    noisy = np.column_stack([x, x @ [0.3, 0.7] * (1 + 1e-16)])
    found = all_patterns(noisy)
    assert (found.rank, len(found)) == (2, 20)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: all_patterns(np.random.default_rng(0).normal(size=(40, 8)), limit=100),
            r"40 points of rank 8 may have [\d_]+ .* more than 100. .*sampled_patterns",
        ),
        (lambda: all_patterns(np.zeros(3)), r"a row for each point, but their shape is \(3,\)"),
        (lambda: all_patterns([[np.nan]]), "`features` must be finite"),
        (lambda: sampled_patterns(np.eye(2), 0), "`count` must be a positive integer"),
    ],
)
def test_misuse_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_origin_alone_has_one_pattern():
    found = all_patterns(np.zeros((3, 2)))
    assert (len(found), found.rank, found.masks.tolist()) == (1, 0, [[True] * 3])
    assert isinstance(found, Patterns)
