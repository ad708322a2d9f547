r"""Strict linear inequalities in exact arithmetic: a solution, or a proof that there is none.

By Motzkin's theorem either some x has $w_i^\top x + b_i < 0$ for all i, or there are λ ≥ 0, not all
zero, with $\sum_i \lambda_i w_i = 0$ and $\sum_i \lambda_i b_i \ge 0$. The simplex method finds one
of the two in integers: a tableau of determinants with one common denominator, so that nothing is
rounded and no fraction is ever reduced. Where these integers are long, floats (HiGHS) guess which
rows matter, and what they guess is checked exactly.
"""

import dataclasses
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from flint import fmpz_mat
from jaxtyping import Shaped
from scipy.optimize import linprog

from shallows.model.network import Numbers

# Bits of determinants beyond which floats go first.
_LONG = 400

Integers = Shaped[np.ndarray, "..."]
"""An array of Python integers, of any size."""


@dataclasses.dataclass(frozen=True)
class Solution:
    """A point where all inequalities hold."""

    point: tuple[Fraction, ...]


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """Why they cannot hold at once."""

    multipliers: Mapping[int, int]
    """Of some inequalities, all positive."""

    def refutes(self, rows: Integers) -> bool:
        """Whether these multipliers prove that no x has all of `rows` (x, 1) negative."""
        if not self.multipliers or min(self.multipliers.values()) <= 0:
            return False
        total = sum(factor * rows[i] for i, factor in self.multipliers.items())
        return not np.any(total[:-1]) and bool(total[-1] >= 0)


def rational_rows(
    normals: Numbers, offsets: Numbers | None = None
) -> Shaped[np.ndarray, "m columns"]:
    """Rows (wᵢ, bᵢ) of coprime integers, each a positive multiple of what is given, exactly.

    Floats are the fractions that they are; Python's `Fraction` is taken as well, in an array of
    objects. Without offsets these are 0.

    **Raises.** `ValueError` for what is no matrix of finite numbers with an offset a row.
    """
    w = _exact("normals", normals)
    if w.ndim != 2 or 0 in w.shape:
        raise ValueError(
            f"Hyperplanes need a matrix with a normal in each row, but its shape is {w.shape}. "
            f"Use e.g. `np.eye(3)`."
        )
    b = (
        np.full(len(w), Fraction(0), dtype=object)
        if offsets is None
        else _exact("offsets", offsets)
    )
    if b.shape != (len(w),):
        raise ValueError(
            f"{len(w)} normals need one offset each, but these have shape {b.shape}. Pass a vector."
        )
    return coprime(np.column_stack([w, b]))


def coprime(rows: Shaped[np.ndarray, "m columns"]) -> Shaped[np.ndarray, "m columns"]:
    """The least positive multiples of these rows of fractions that are integers."""
    made = np.empty(rows.shape, dtype=object)
    for i, row in enumerate(rows):
        common = math.lcm(*(entry.denominator for entry in row))
        whole = [entry.numerator * (common // entry.denominator) for entry in row]
        factor = math.gcd(*whole) or 1
        made[i] = [entry // factor for entry in whole]
    return made


def exact_array(name: str, value: Numbers) -> Shaped[np.ndarray, "..."]:
    """An array of fractions equal to these numbers, or an error that calls it `name`."""
    return _exact(name, value)


def _exact(name: str, value: Any) -> np.ndarray:
    given: Any = np.asarray(value)
    if given.dtype.kind not in "fiuO":
        raise ValueError(
            f"`{name}` must be an array of real numbers, but holds {given.dtype}. "
            f"Pass numbers or fractions."
        )
    made = np.empty(given.shape, dtype=object)
    try:
        for index in np.ndindex(given.shape):
            entry = given[index]
            entry = entry.item() if isinstance(entry, np.generic) else entry
            made[index] = Fraction(*entry.as_integer_ratio())
    except (AttributeError, OverflowError, ValueError, TypeError):
        raise ValueError(
            f"`{name}` must be finite, but its entry at {tuple(map(int, index))} is {entry!r:.40}. "
            f"Remove or repair it."
        ) from None
    return made


def strictly_negative(rows: Shaped[np.ndarray, "m columns"]) -> Solution | Contradiction:
    r"""An x with $w_i^\top x + b_i < 0$ for all rows (wᵢ, bᵢ) of integers, or why there is none.

    **Accuracy.** Exact. The multipliers are of at most n + 2 rows, for n unknowns; mostly of n + 1.

    **Cost.** Some n pivots on a table of (n + 3)(m + n + 4) integers, each a determinant of
    entries of the rows: 1 ms for 40 rows of small integers and four unknowns.
    """
    m, n = rows.shape[0], rows.shape[1] - 1
    if m == 0:
        return Solution((Fraction(0),) * n)
    if n * max(abs(entry).bit_length() for entry in rows.flat) > _LONG:
        guess = _guessed(rows)
        if guess is not None:
            return guess
    table, basis, common = _tableau(rows)
    # Phase one of: Σ λᵢ wᵢ = 0, Σ λᵢ bᵢ − s = 0, Σ λᵢ = 1. The objective is the last row.
    width = m + 1
    for step in range(20 * (m + n) + 10_000):  # Bland's rule ends; the number only bounds it
        gains = table[-1, :width]
        better = np.flatnonzero(gains > 0)
        if not len(better) or table[-1, -1] == 0:
            break
        # The steepest column at first; Bland's rule, which cannot cycle, after a while.
        column = int(better[0] if step > 4 * (n + 2) else better[np.argmax(gains[better])])
        entries, values = table[:-1, column], table[:-1, -1]
        positive = np.flatnonzero(entries > 0)
        row = min(positive, key=lambda i: (Fraction(int(values[i]), int(entries[i])), basis[i]))
        common = _pivot(table, int(row), column, common)
        basis[row] = column
    if table[-1, -1] == 0:
        _enter_slack(table, basis, m, common)
        found = {int(j): int(table[i, -1]) for i, j in enumerate(basis) if j < m and table[i, -1]}
        factor = math.gcd(*found.values())
        return Contradiction({j: value // factor for j, value in sorted(found.items())})
    # By duality y·(wᵢ, bᵢ, 1) ≤ 0 for all i, with y_b ≥ 0 and y_1 > 0: a ray, or a point.
    y = [int(entry) + common for entry in table[-1, width:-1]]
    direction, scale = y[:n], y[n]
    if scale == 0:
        return _far(rows, [Fraction(t, max(map(abs, direction))) for t in direction])
    return Solution(tuple(Fraction(t, scale) for t in direction))


def _far(rows: np.ndarray, direction: list[Fraction]) -> Solution:
    """A point in a direction in which all rows decrease, where they are negative."""
    slopes, offsets = rows[:, :-1] @ np.array(direction, dtype=object), rows[:, -1]
    least = max(Fraction(b, 1) / -s for s, b in zip(slopes, offsets, strict=True))
    return Solution(tuple((2 * max(least, Fraction(0)) + 1) * t for t in direction))


def _guessed(rows: np.ndarray) -> Solution | Contradiction | None:
    """The answer, if floats find one that holds exactly."""
    m, n = rows.shape[0], rows.shape[1] - 1
    sizes = np.max(np.abs(rows), axis=1)
    sizes[sizes == 0] = 1
    scaled = (rows / sizes[:, None]).astype(float)
    # Largest t with w·y + b s + t ≤ 0: a solution y/s if positive, else multipliers.
    found = linprog(
        c=np.r_[np.zeros(n + 1), -1.0],
        A_ub=np.column_stack([scaled, np.ones(m)]),
        b_ub=np.zeros(m),
        bounds=[(-1, 1)] * n + [(0, 1), (0, 1)],
    )
    if found.status != 0:
        return None
    *y, s, t = found.x.tolist()
    if t > 0:
        direction = [Fraction(v) for v in y]
        if s == 0:
            is_ray = all(rows[:, :n] @ np.array(direction, dtype=object) < 0)
            return _far(rows, direction) if is_ray else None
        point = tuple(v / Fraction(s) for v in direction)
        values = rows[:, :n] @ np.array(point, dtype=object) + rows[:, n]
        return Solution(point) if all(values < 0) else None
    weights = -found.ineqlin.marginals
    support = np.flatnonzero(weights > 1e-9 * np.max(weights, initial=0.0))
    # Where Σ λᵢ bᵢ = 0 the support has one row more.
    used = rows[support] if len(support) == n + 2 else rows[support, :n]
    basis, nullity = fmpz_mat(used.T.tolist()).nullspace()
    if nullity != 1:
        return None
    factors = [int(basis[i, 0]) for i in range(len(support))]
    common = math.gcd(*factors) * (1 if factors[0] > 0 else -1)
    guess = Contradiction({int(i): f // common for i, f in zip(support, factors, strict=True) if f})
    return guess if guess.refutes(rows) else None


def _tableau(rows: np.ndarray) -> tuple[np.ndarray, list[int], int]:
    """Columns for λ, the slack s, artificial variables and the right-hand side."""
    m, n = rows.shape[0], rows.shape[1] - 1
    table = np.zeros((n + 3, m + 1 + (n + 2) + 1), dtype=object)
    table[: n + 1, :m] = rows.T
    table[n, m] = -1
    table[n + 1, :m] = 1
    table[n + 1, -1] = 1
    table[-1] = table[:-1].sum(axis=0)
    for i in range(n + 2):
        table[i, m + 1 + i] = 1
    return table, list(range(m + 1, m + n + 3)), 1


def _enter_slack(table: np.ndarray, basis: list[int], m: int, common: int) -> None:
    """Make Σ λᵢ bᵢ positive if one pivot does, which takes one row out of the support."""
    entries = table[:-1, m]
    is_stuck = any(j > m and entry for j, entry in zip(basis, entries, strict=True))
    positive = np.flatnonzero(entries > 0)
    if m in basis or is_stuck or not len(positive):
        return
    row = int(min(positive, key=lambda i: (Fraction(int(table[i, -1]), int(entries[i])), basis[i])))
    _pivot(table, row, m, common)
    basis[row] = m


def _pivot(table: np.ndarray, row: int, column: int, common: int) -> int:
    """Exchange, all entries staying integers over one denominator, which is returned."""
    chosen, pivot = table[row].copy(), table[row, column]
    factors = table[:, column].copy()
    table *= pivot
    table -= factors[:, None] * chosen
    table //= common  # exact, by Sylvester's identity
    table[row] = chosen
    return pivot
