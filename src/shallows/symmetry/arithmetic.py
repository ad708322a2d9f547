"""Kinds of numbers that a closed formula can be evaluated in."""

import abc
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flint
import numpy as np

# A float, or any other number with the arithmetic of a field: a ball, a power series.
Number = Any
Numbers = Sequence[Any] | np.ndarray


class AbstractArithmetic(abc.ABC):
    """What formulas need beyond the operations of a field, for arrays of some kind of number."""

    @property
    @abc.abstractmethod
    def pi(self) -> Number:
        """π."""

    @abc.abstractmethod
    def precision(self) -> contextlib.AbstractContextManager[None]:
        """Set what is global in this arithmetic, for a while."""

    @abc.abstractmethod
    def numbers(self, values: Any) -> np.ndarray:
        """An array of such numbers."""

    @abc.abstractmethod
    def sqrt(self, x: Any) -> Any:
        """Square roots."""

    @abc.abstractmethod
    def angle(self, sine: Any, cosine: Any) -> Any:
        """The angles in [0, π] of points (cosine, sine), which need not be on the unit circle."""

    @abc.abstractmethod
    def inverse(self, x: Any) -> Any:
        """1/x, and 0 for x = 0."""

    @abc.abstractmethod
    def solution(self, matrix: np.ndarray, vector: np.ndarray) -> np.ndarray | None:
        """The solution of a small linear system, without error bounds; None if it is singular."""

    @abc.abstractmethod
    def eigenvalues(self, matrix: np.ndarray) -> list[Number]:
        """Those of a small symmetric matrix in increasing order, without error bounds."""


class Floats(AbstractArithmetic):
    """Float64 numbers."""

    @property
    def pi(self):
        """See `AbstractArithmetic`."""
        return np.pi

    def precision(self):
        """See `AbstractArithmetic`."""
        return contextlib.nullcontext()

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        return np.asarray(values, dtype=float)

    def sqrt(self, x):
        """See `AbstractArithmetic`."""
        return np.sqrt(x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`."""
        return np.arctan2(sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return np.divide(1.0, x, out=np.zeros_like(x), where=x != 0)

    def solution(self, matrix, vector):
        """See `AbstractArithmetic`."""
        try:
            found = np.linalg.solve(matrix, vector)
        except np.linalg.LinAlgError:
            return None
        return found if np.all(np.isfinite(found)) else None

    def eigenvalues(self, matrix):
        """See `AbstractArithmetic`."""
        return np.linalg.eigvalsh(matrix).tolist()


class Balls(AbstractArithmetic):
    """Real balls of a given precision: numbers with a bound on their error.

    Formulas lose no more than their radius says, however large the sizes are. Arithmetic is that
    of python-flint; its precision is global, so work inside `with Balls(bits).precision():`.
    """

    def __init__(self, bits: int):
        self.bits = bits

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Set the working precision for a while."""
        with flint.ctx.workprec(self.bits):
            yield

    @property
    def pi(self):
        """See `AbstractArithmetic`."""
        return flint.arb.pi()

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        made = np.empty(np.shape(values), dtype=object)
        for i, value in np.ndenumerate(np.asarray(values, dtype=object)):
            made[i] = flint.arb(value)
        return made

    def sqrt(self, x):
        """See `AbstractArithmetic`; what is below zero in a ball is rounding."""
        return _each(lambda y: y.nonnegative_part().sqrt(), x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`."""
        return _each(flint.arb.atan2, sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return _each(lambda y: y if y.is_zero() else 1 / y, x)

    def solution(self, matrix, vector):
        """See `AbstractArithmetic`."""
        table = flint.arb_mat([[x.mid() for x in row] for row in matrix])
        try:
            found = table.solve(flint.arb_mat([[x.mid()] for x in vector]))
        except ZeroDivisionError:
            return None
        return self.numbers([row[0].mid() for row in found.tolist()])

    def eigenvalues(self, matrix):
        """See `AbstractArithmetic`."""
        table = flint.acb_mat([[x.mid() for x in row] for row in matrix])
        return sorted((z.real for z in table.eig(algorithm="approx")), key=float)


def eliminated(
    matrix: np.ndarray,
    vector: np.ndarray,
    pivot: Callable[[np.ndarray, int], int | None],
) -> np.ndarray | None:
    """The solution of a linear system of numbers that know when they are zero (`is_zero`).

    `pivot(column, i)` chooses the row, from i on, by which column i is cleared: one that divides
    with the least loss, or None if there is none.
    """
    table = np.concatenate([matrix, np.reshape(vector, (-1, 1))], axis=1)
    n = len(table)
    for i in range(n):
        best = pivot(table[:, i], i)
        if best is None:
            return None
        table[[i, best]] = table[[best, i]]
        table[i] = table[i] / table[i, i]
        for r in range(n):
            if r != i and not table[r, i].is_zero:
                table[r] = table[r] - table[r, i] * table[i]
    return table[:, n]


def _each(function, *arrays):
    return np.frompyfunc(function, len(arrays), 1)(*arrays)
