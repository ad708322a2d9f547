"""Power series in ε as an arithmetic, so that any formula can be expanded.

A `ReducedLoss` evaluated in `PowerSeries` is its own expansion as k → ∞.
"""

import contextlib
import functools
from collections.abc import Iterator

import flint
import numpy as np

from shallows.symmetry.arithmetic import AbstractArithmetic, eliminated
from shallows.symmetry.laurent import Laurent, UnknownTermsError, angle, series_of, up_to
from shallows.symmetry.newton_polygon import characteristic, roots


class PowerSeries(AbstractArithmetic):
    """Laurent series in ε with balls of `bits` bits, and so many terms of each number.

    Number of terms and precision are global, so work inside `with numbers.precision():`.
    """

    def __init__(self, bits: int, terms: int):
        self.bits = bits
        self.terms = terms

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """See `AbstractArithmetic`."""
        with flint.ctx.workprec(self.bits), up_to(self.terms):
            yield

    @property
    def pi(self):
        """See `AbstractArithmetic`."""
        return Laurent([flint.arb.pi()])

    @property
    def epsilon(self) -> Laurent:
        """The variable."""
        return Laurent([1], 1)

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        made = np.empty(np.shape(values), dtype=object)
        for i, value in np.ndenumerate(np.asarray(values, dtype=object)):
            made[i] = series_of(value)
        return made

    def sqrt(self, x):
        """See `AbstractArithmetic`."""
        return _each(Laurent.sqrt, x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`; analytic also where the sine vanishes like a power of ε."""
        return _each(angle, sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return _each(lambda y: y if y.is_zero else 1 / y, x)

    def solution(self, matrix, vector):
        """See `AbstractArithmetic`; the balls and orders of this one are bounds."""

        def lowest(column, i):
            # The entry that starts at the lowest power divides with the least loss.
            best = min(range(i, len(column)), key=lambda r: _weight(column[r]))
            return None if column[best].is_zero else best

        try:
            return eliminated(matrix, vector, lowest)
        except UnknownTermsError:
            return None

    def eigenvalues(self, matrix):
        r"""See `AbstractArithmetic`; the balls and orders of these are bounds.

        Eigenvalues of a symmetric matrix of real Laurent series are such series themselves
        (Rellich): ones that start alike are split where they first differ.

        **Raises.** `UnknownTermsError` where the terms do not tell how.
        """
        return sorted(roots(characteristic(matrix)), key=functools.cmp_to_key(_order))


def _order(x: Laurent, y: Laurent) -> int:
    return (x - y).sign


def _each(function, *arrays):
    return np.frompyfunc(function, len(arrays), 1)(*arrays)


def _weight(x: Laurent) -> float | int:
    return np.inf if x.is_zero or x.is_unknown else x.valuation
