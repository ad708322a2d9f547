r"""How far a student is from the global minima, if these are the permutation matrices.

Let Σᵢ σ(wᵢ·x) = Σⱼ σ(eⱼ·x) for all x, with as many neurons on either side. Across the hyperplane
xⱼ = 0 the gradient of the right side jumps by eⱼ, and that of the left one by the sum of |w| eⱼ
over the neurons w parallel to ±eⱼ. So there is one for each j, and it is ±eⱼ. As σ(−t) = σ(t) − t,
those with a minus add −Σ xⱼ, which has to vanish: there are none. The loss is zero just at the
permutation matrices. With more students than teachers there are more, and this does not apply.

The nearest one solves an assignment problem. It has as many unknowns as there are pairs of blocks,
and is solved exactly by cancelling cycles.
"""

from fractions import Fraction

import numpy as np
from flint import arb

from shallows.certify._balls import enclosure
from shallows.certify.certificate import Distance
from shallows.symmetry import Balls, Blocks


def distance(blocks: Blocks, point: np.ndarray, numbers: Balls) -> Distance | None:
    """The distance of a point in balls to the nearest permutation matrix; None if not square."""
    sizes = blocks.whole()
    rows = [sizes[f] for f in blocks.rows]
    columns = [sizes[f] for f in blocks.columns]
    if sum(rows) != sum(columns):
        return None
    # The best orbit of each pair of blocks: with one that is off the diagonal there are
    # permutations, or means of these, that stay off it.
    best: dict[tuple[int, int], int] = {}
    middles = [_exact(x) for x in point]
    for i, orbit in enumerate(blocks.orbits):
        pair = (orbit.row, orbit.column)
        if pair not in best or middles[i] > middles[best[pair]]:
            best[pair] = i
    gain = [[middles[best[r, c]] for c in range(len(columns))] for r in range(len(rows))]
    flow, high, low = _assigned(rows, columns, gain)
    matched = [0] * len(blocks.orbits)
    for (r, c), i in best.items():
        matched[i] = flow[r][c]
    # Decimals a little above the dual variables, so that balls can tell the inequality.
    slack = max(x.rad() for x in point) * 4 + arb(10) ** -int(0.14 * numbers.bits)
    digits = 10 + int(0.3 * numbers.bits)
    dual = [[enclosure(_ball(x) + slack, digits)[1] for x in some] for some in (high, low)]
    above = sum(
        (n * arb(t) for some, us in zip((rows, columns), dual, strict=True)
         for n, t in zip(some, us, strict=True)), arb(0)
    )  # fmt: skip
    below = sum((n * x for n, x in zip(matched, point, strict=True)), arb(0))
    square = np.sum(numbers.numbers(blocks.counts) * point * point) + sum(columns)
    least, most = square - 2 * above, square - 2 * below
    ends = (least.nonnegative_part().sqrt().lower(), most.sqrt().upper())
    return Distance(
        enclosure(ends[0].union(ends[1])), tuple(map(str, matched)), tuple(dual[0]), tuple(dual[1])
    )


def _assigned(rows: list[int], columns: list[int], gain: list[list[Fraction]]):
    """The most profitable flow between blocks, and the dual variables that prove it."""
    flow = [[0] * len(columns) for _ in rows]
    supply, demand, r, c = list(rows), list(columns), 0, 0
    while r < len(rows) and c < len(columns):
        sent = min(supply[r], demand[c])
        flow[r][c] += sent
        supply[r] -= sent
        demand[c] -= sent
        r, c = (r + 1, c) if supply[r] == 0 else (r, c + 1)
    while True:
        heights, cycle = _heights(flow, gain)
        if not cycle:
            return flow, heights[: len(rows)], [-x for x in heights[len(rows) :]]
        back = min(flow[r][c] for r, c, forward in cycle if not forward)
        for r, c, forward in cycle:
            flow[r][c] += back if forward else -back


def _heights(flow, gain):
    """Heights that prove a flow to be the best, or a cycle along which it can be raised.

    With these, gain ≤ height of row − height of column, and = where there is flow (Bellman, Ford).
    """
    n, m = len(flow), len(flow[0])
    arcs = [(r, n + c, -gain[r][c], (r, c, True)) for r in range(n) for c in range(m)]
    arcs += [
        (n + c, r, gain[r][c], (r, c, False)) for r in range(n) for c in range(m) if flow[r][c]
    ]
    height = [Fraction(0)] * (n + m)
    came: dict[int, tuple[int, tuple[int, int, bool]]] = {}
    for _ in range(n + m):
        last = -1
        for start, end, cost, name in arcs:
            if height[start] + cost < height[end]:
                height[end], came[end], last = height[start] + cost, (start, name), end
        if last < 0:
            return height, []
    for _ in range(n + m):  # back into the cycle
        last = came[last][0]
    cycle: list[tuple[int, int, bool]] = []
    at = last
    while True:
        at, name = came[at]
        cycle.append(name)
        if at == last:
            return height, cycle


def _exact(x: arb) -> Fraction:
    mantissa, exponent = (int(n) for n in x.mid().man_exp())
    return Fraction(mantissa) * Fraction(2) ** exponent


def _ball(x: Fraction) -> arb:
    return arb(x.numerator) / x.denominator
