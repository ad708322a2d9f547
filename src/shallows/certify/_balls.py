"""What proofs need of ball arithmetic: decimal strings that contain it, and signs of pivots."""

import decimal
from collections.abc import Sequence

import flint


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


def negative_eigenvalues(matrix: Sequence[Sequence[flint.arb]]) -> int | None:
    """How many eigenvalues of a symmetric matrix of balls are negative; None if undecided.

    By Sylvester's law of inertia: the signs of the pivots of L D Lᵀ.
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
