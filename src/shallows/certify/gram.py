r"""The smallest eigenvalue of the tangent kernel of wide networks at given points, as a ball.

It is what rates of convergence of wide networks are stated in. With approximate eigenvectors V, in
floats, let A be the kernel matrix in balls, $B = V^\top A V$ and $M = V^\top V$. For all y

$$ \frac{y^\top B y}{y^\top M y}
     \ge \frac{\min_i (B_{ii} - \sum_{j \ne i} |B_{ij}|)}{1 \pm e}, \qquad
   e = |M - I|_\infty < 1, $$

with + for a positive numerator (Gershgorin), and the least $B_{ii}/M_{ii}$ is a bound from above.
"""

import dataclasses
from fractions import Fraction

import numpy as np
from flint import arb, arb_mat, ctx

from shallows.certify._balls import enclosure
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.model import WideLimit
from shallows.model.network import Numbers, finite, positive_integer

# Bits for which a kernel matrix of hundreds of points takes seconds.
_MOST_BITS = 10_000


@dataclasses.dataclass(frozen=True, repr=False)
class LeastEigenvalue(AbstractStated):
    """What is proved about the smallest eigenvalue of a kernel matrix."""

    statement: str
    verdict: Verdict
    """Of the statement that the matrix is positive definite."""
    enclosure: tuple[str, str]
    """Decimals, rounded outward, between which the smallest eigenvalue lies."""
    reason: str
    """What keeps the statement from being proved, or nothing."""


def least_eigenvalue(limit: WideLimit, points: Numbers, *, bits: int = 128) -> LeastEigenvalue:
    r"""The smallest eigenvalue of `limit.tangent(points)` enclosed; the points are those floats.

    REFUTED where points repeat, or, without biases, are positive multiples of one another or 0:
    then the matrix is singular. UNDECIDED where the enclosure contains 0.

    **Accuracy.** About n · 1e-15 · λ_max, however many bits, as V is in floats; far below what is
    enclosed unless λ_min is.

    **Raises.** `ValueError` for points that are no finite matrix, and bits that are not from 53 to
    10000. **Cost.** n² arctangents a layer and products of n × n matrices of balls: 0.3 s at
    n = 100.
    """
    x = np.asarray(finite("points", points))
    bits = positive_integer("bits", bits, most=_MOST_BITS)
    if bits < 53:
        raise ValueError(f"`bits` must be at least 53, but is {bits}. Use e.g. 128.")
    approximate = limit.tangent(x)
    _, vectors = np.linalg.eigh(approximate)
    before, ctx.prec = ctx.prec, bits
    try:
        gram = tangent_balls(limit, x)
        v = arb_mat(vectors.tolist())
        turned, identity = v.transpose() * gram * v, v.transpose() * v
        low, high = _bounds(turned.tolist(), identity.tolist())
        ends = enclosure(low.union(high))
        is_positive = bool(low > 0)
    finally:
        ctx.prec = before
    statement = (
        f"The tangent kernel of {limit} at these {len(x)} points of {x.shape[1]} coordinates is "
        f"positive definite."
    )
    if is_positive:
        return LeastEigenvalue(statement, Verdict.PROVED, ends, "")
    same = _dependent(limit, x)
    if same:
        return LeastEigenvalue(statement, Verdict.REFUTED, ("0", "0"), same)
    reason = "The enclosure contains 0. Use points that are farther apart."
    return LeastEigenvalue(statement, Verdict.UNDECIDED, ends, reason)


def tangent_balls(limit: WideLimit, points: np.ndarray) -> arb_mat:
    """The matrix `limit.tangent(points)` in balls, by the recursion on covariances."""
    rows = arb_mat(points.tolist())
    w, b, h = arb(limit.weight), arb(limit.bias), arb(limit.head)
    gram = (rows * rows.transpose()).tolist()
    n = len(gram)
    made = [[arb(0)] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            p, q, c = (w * z + b for z in (gram[i][i], gram[j][j], gram[i][j]))
            kernel = limit.rates[0] * c
            for rate in limit.rates[1:]:
                if i == j:
                    mean, step = p / 2, arb(1) / 2
                else:
                    area = (p * q - c * c).nonnegative_part().sqrt()
                    psi = arb.atan2(area, -c)
                    mean, step = (area + c * psi) / (2 * arb.pi()), psi / (2 * arb.pi())
                last = step * kernel + rate * mean
                p, q, c = w * p / 2 + b, w * q / 2 + b, w * mean + b
                kernel = rate * c + w * step * kernel
            made[i][j] = made[j][i] = h * last
    return arb_mat(made)


def _bounds(turned: list[list[arb]], identity: list[list[arb]]) -> tuple[arb, arb]:
    """Bounds of the least eigenvalue of the pencil."""
    n = len(turned)
    lows = [
        (turned[i][i] - sum((abs(turned[i][j]) for j in range(n) if j != i), arb(0))).lower()
        for i in range(n)
    ]
    least = min(lows)
    spread = max(
        sum((abs(identity[i][j] - (i == j)) for j in range(n)), arb(0)).upper() for i in range(n)
    )
    if not spread < 1:  # never for what `eigh` returns
        return arb("-inf"), arb("inf")
    low = least / (1 + spread) if least > 0 else least / (1 - spread)
    high = min((turned[i][i] / identity[i][i]).upper() for i in range(n))
    return low.lower(), high


def _dependent(limit: WideLimit, points: np.ndarray) -> str:
    """Why the matrix is singular for certain, in exact arithmetic; nothing if it may not be."""
    seen: dict[tuple[Fraction, ...], int] = {}
    for i, row in enumerate(points.tolist()):
        exact = tuple(Fraction(t) for t in row)
        if not limit.bias:
            size = sum((abs(t) for t in exact), Fraction(0))
            if not size:
                return f"Point {i} is 0, where networks without biases vanish."
            exact = tuple(t / size for t in exact)
        if exact in seen:
            how = "equal" if limit.bias else "positive multiples of one another"
            return f"Points {seen[exact]} and {i} are {how}."
        seen[exact] = i
    return ""
