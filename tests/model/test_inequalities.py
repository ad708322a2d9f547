"""Strict inequalities: an exact solution, or exact multipliers, and never both."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from shallows.model import inequalities
from shallows.model.inequalities import (
    Contradiction,
    Solution,
    exact_array,
    rational_rows,
    strictly_negative,
)


def _holds(rows, point):
    return all(rows[:, :-1] @ np.array(point, dtype=object) + rows[:, -1] < 0)


def _is_feasible_in_floats(rows):
    m = len(rows)
    # Whole numbers of at most 3 in three unknowns: a margin, if there is one, is not tiny.
    found = linprog(
        [0] * (rows.shape[1] - 1) + [-1],
        A_ub=np.column_stack([rows[:, :-1], np.ones(m)]).astype(float),
        b_ub=-rows[:, -1].astype(float),
        bounds=[(None, None)] * (rows.shape[1] - 1) + [(None, 1)],
    )
    return bool(found.x[-1] > 1e-9)


@pytest.mark.parametrize("long", [400, 0])
def test_small_systems_are_decided_exactly_and_as_floats_see_them(long, monkeypatch):
    monkeypatch.setattr(inequalities, "_LONG", long)  # at 0 floats guess first
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        n, m = rng.integers(1, 4), rng.integers(1, 7)
        rows = rational_rows(
            rng.integers(-2, 3, (m, n)), rng.integers(-3, 4, m) * rng.integers(0, 2)
        )
        found = strictly_negative(rows)
        seen.add(type(found))
        if isinstance(found, Solution):
            assert _holds(rows, found.point)
        else:
            assert found.refutes(rows)
            assert len(found.multipliers) <= n + 2
        assert isinstance(found, Solution) is _is_feasible_in_floats(rows)
    assert seen == {Solution, Contradiction}


def test_a_far_solution_is_one():
    # −x < −10⁹ and −x − y < 0, y < 10⁻⁹: far out, in a direction where all decrease.
    rows = rational_rows([[-1, 0], [-1, -1], [0, 1]], [10**9, 0, Fraction(-1, 10**9)])
    found = strictly_negative(rows)
    assert isinstance(found, Solution)
    assert _holds(rows, found.point)


def test_a_contradiction_that_is_none_refutes_nothing():
    rows = rational_rows([[1, 0], [-1, 0], [0, 1]], [0, -1, 0])
    assert not Contradiction({0: 1, 1: 1}).refutes(rows)  # −1 < 0: no contradiction
    assert not Contradiction({0: 1, 2: 1}).refutes(rows)
    assert not Contradiction({}).refutes(rows)
    assert not Contradiction({0: -1, 1: -1}).refutes(rows)
    assert Contradiction({0: 1, 1: 1}).refutes(rational_rows([[1, 0], [-1, 0]], [0, 1]))
    assert strictly_negative(rows[:0]) == Solution((Fraction(0), Fraction(0)))


def test_rows_are_exact_multiples_by_coprime_integers():
    rows = rational_rows([[0.5, 0.75], [0.1, 0.0], [0, 0]], [0.25, 0.1, -3.0])
    assert rows.tolist() == [[2, 3, 1], [1, 0, 1], [0, 0, -1]]
    huge = rational_rows([[1e308, 1e-308]])
    assert Fraction(int(huge[0, 0]), int(huge[0, 1])) == Fraction(1e308) / Fraction(1e-308)
    assert exact_array("x", [1, Fraction(1, 3)]).tolist() == [1, Fraction(1, 3)]


@pytest.mark.parametrize(
    ("normals", "offsets", "message"),
    [
        ([1, 2], None, r"need a matrix with a normal in each row, but its shape is \(2,\)\. Use"),
        ([[1.0, np.nan]], None, r"`normals` must be finite, but its entry at \(0, 1\) is nan"),
        ([[1, 2]], [1, 2], r"1 normals need one offset each, but these have shape \(2,\)\. Pass"),
        ([["a"]], None, r"must be an array of real numbers, but holds <U1\. Pass numbers"),
    ],
)
def test_what_is_no_system_is_refused(normals, offsets, message):
    with pytest.raises(ValueError, match=message):
        rational_rows(normals, offsets)
