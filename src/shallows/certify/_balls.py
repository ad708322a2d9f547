"""What proofs need of ball arithmetic: decimal strings that contain it, and signs of pivots."""

import abc
import decimal
from collections.abc import Sequence
from typing import Any

import flint


class Enclosed(abc.ABC):
    """A number that stands for many, and is compared for all of them at once.

    Two that are equal may be known differently well, so that there is no hash.
    """

    __slots__ = ()

    @property
    @abc.abstractmethod
    def range(self) -> flint.arb:
        """A ball that contains all that it stands for."""

    @property
    @abc.abstractmethod
    def is_zero(self) -> bool:
        """Whether it is 0, for certain."""

    @abc.abstractmethod
    def __sub__(self, other: Any) -> Any: ...

    def __gt__(self, other: Any) -> bool:
        return bool((self - other).range > 0)

    def __lt__(self, other: Any) -> bool:
        return bool((self - other).range < 0)

    def __eq__(self, other: object) -> bool:
        return (self - other).is_zero


def enclosure(ball: flint.arb, digits: int = 17) -> tuple[str, str]:
    """Decimal numbers, rounded outward, between which the ball lies.

    **Raises.** `ValueError` for a ball that is not finite.
    """
    if not ball.is_finite():
        raise ValueError(f"A ball without bounds has no enclosure: {ball}. Raise the precision.")
    return (
        _decimal(ball.lower(), digits, decimal.ROUND_FLOOR),
        _decimal(ball.upper(), digits, decimal.ROUND_CEILING),
    )


def _decimal(exact: flint.arb, digits: int, rounding: str) -> str:
    mantissa, exponent = (int(x) for x in exact.man_exp())
    # Integers first, and one rounded operation: whatever the context, it rounds outward.
    if exponent >= 0:
        number, divisor = mantissa << exponent, 1
    else:
        number, divisor = mantissa, 1 << -exponent
    context = decimal.Context(prec=digits, rounding=rounding, Emax=10**9, Emin=-(10**9))
    return str(context.divide(decimal.Decimal(number), decimal.Decimal(divisor)))


def between(lower: str, upper: str) -> flint.arb:
    """A ball that contains all numbers between two decimal strings.

    **Raises.** `ValueError` for strings that are no finite numbers, and for an empty interval.
    """
    low, high = decimal.Decimal(lower), decimal.Decimal(upper)
    if not (low.is_finite() and high.is_finite() and low <= high):
        raise ValueError(f"[{lower}, {upper}] is not an interval of finite numbers.")
    return flint.arb(str(low)).union(flint.arb(str(high)))


def negative_eigenvalues(matrix: Sequence[Sequence[Any]]) -> int | None:
    """How many eigenvalues of a symmetric matrix are negative; None if undecided.

    Of balls, or of other numbers whose comparisons hold for all that they stand for. By Sylvester's
    law of inertia: the signs of the pivots of L D Lᵀ.
    """
    rest = [list(row) for row in matrix]
    count = 0
    for i in range(len(rest)):
        pivot = rest[i][i]
        if not (pivot > 0 or pivot < 0):
            return None
        count += bool(pivot < 0)
        for row in range(i + 1, len(rest)):
            factor = rest[row][i] / pivot
            for column in range(i + 1, len(rest)):
                rest[row][column] = rest[row][column] - factor * rest[i][column]
    return count
