r"""Curves of critical points for k → ∞, by coefficients: the first ones in Q(π), then decimals.

What is found here is a candidate, and no part of a proof.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from flint import arb

from shallows.certify._constants import Constant
from shallows.certify._expansions import Expansion, Expansions
from shallows.symmetry import ReducedLoss

# The coefficients of a weight by powers of ε.
Head = dict[int, Constant]


def metric(loss: ReducedLoss, numbers: Expansions) -> list[int]:
    """For each weight the power of ε that one of the distance of matrices is in it.

    An orbit of k² entries weighs as much as a single entry if it is smaller by ε².
    """
    return [-x.low // 2 for x in numbers.numbers(loss.blocks.counts)]


def exact_coefficients(
    loss: ReducedLoss, leading: np.ndarray, count: int, numbers: Expansions
) -> list[Head]:
    """The coefficients of `count` powers from the metric's on, and of all powers before.

    By Newton's method on Laurent polynomials over Q(π), from the leading terms.

    **Raises.** `ArithmeticError` where there is no such curve next to these.
    """
    point, powers, right = leading, metric(loss, numbers), 0
    while True:
        change = _step(loss, point, numbers)
        # All below this power were right already.
        known = min(c.low - m for c, m in zip(change, powers, strict=True))
        if known <= right:
            raise ArithmeticError("Newton's method does not converge to a curve over Q(π).")
        right, reach = known, min(max(known + 1, 2 * known - 2), count)
        heads = []
        for x, c, m in zip(point, change, powers, strict=True):
            better = x - c
            kept = range(better.low, max(reach + m, x.low + 1))
            found = {p: better.coefficient(p) for p in kept}
            heads.append({p: value for p, value in found.items() if not value.is_zero})
        if reach == count:
            return heads
        point = numbers.numbers([numbers.expansion(h) for h in heads])


def decimals(
    loss: ReducedLoss, heads: Sequence[Head], first: int, numbers: Expansions
) -> list[tuple[str, ...]]:
    """The coefficients that follow, from `first` powers after the metric's on."""
    powers, count = metric(loss, numbers), numbers.scale.terms - first - 2
    found: list[list[arb]] = [[] for _ in heads]
    # Each step doubles how many are right; the last two polish what rounding left.
    for many in (*(2**j for j in range(count.bit_length())), count, count):
        point = numbers.numbers(
            [
                numbers.expansion(h, first + m, tail)
                for h, m, tail in zip(heads, powers, found, strict=True)
            ]
        )
        moved: list[Expansion] = list(point - _step(loss, point, numbers))
        found = [
            [c.mid() for c in x.balls(first + m)[: min(many, count)]]
            for x, m in zip(moved, powers, strict=True)
        ]
    return [tuple(_decimal(c) for c in tail) for tail in found]


def _step(loss: ReducedLoss, point: np.ndarray, numbers: Expansions) -> np.ndarray:
    change = numbers.solution(loss.hessian(point, numbers), loss.gradient(point, numbers))
    if change is None:
        raise ZeroDivisionError("The critical point is degenerate.")
    return change


def _decimal(x: arb) -> str:
    return str(Decimal(x.str(60, radius=False)).normalize())
