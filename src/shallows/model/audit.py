"""What a fit on a line is like: its norms, its knots, and whether it bends only where it must."""

import dataclasses
import enum

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.model.network import Network, Numbers, finite
from shallows.model.pieces import LinearSpline, linear_interpolant, linear_spline


class Shape(enum.Enum):
    """What the sign rule asks of a piece of the line."""

    linear = "linear"
    convex = "convex"
    concave = "concave"


@dataclasses.dataclass(frozen=True)
class Rule:
    """The sign rule on one piece of the line, and how far a spline breaks it."""

    low: float
    high: float
    """The same as `low` at a sample; infinite at the ends of the line."""
    shape: Shape
    defect: float
    """The sum of the jumps |jᵢ| that should not be there."""
    holds: bool


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Audit(notebook.AbstractTable):
    """A spline, measured."""

    knots: int
    variation: float
    least_variation: float
    """That of the linear interpolant through the values at the samples."""
    norm: float
    weighted_variation: float
    rules: tuple[Rule, ...]
    """Of the line's pieces and of the inner samples, from the left."""

    @property
    def excess(self) -> float:
        """TV(f′) above the least: zero exactly where all rules hold without tolerance."""
        return self.variation - self.least_variation

    @property
    def obeys_the_sign_rule(self) -> bool:
        """Whether each of the rules holds."""
        return all(rule.holds for rule in self.rules)

    def __repr__(self) -> str:
        broken = sum(not rule.holds for rule in self.rules)
        return (
            f"Audit({self.knots} knots, TV(f′) = {self.variation:.6g}, least "
            f"{self.least_variation:.6g}; {broken} of {len(self.rules)} rules broken)"
        )

    def _columns(self) -> notebook.Columns:
        names = ("low", "high", "shape", "defect", "holds")
        return {name: [getattr(rule, name) for rule in self.rules] for name in names}


def audit(spline: LinearSpline, x: Numbers, *, near: float = 0.0, tolerance: float = 1e-9) -> Audit:
    r"""Norms of a spline, and the sign rule for samples at `x`.

    With $\varepsilon_i$ the sign of the second difference of f at the inner samples, an interpolant
    has the least TV(f′) if and only if it is convex (concave) between two samples of sign + (−),
    linear between all others and beyond the inner samples, and bends at each sample as
    $\varepsilon_i$ says.

    **Convention.** The values are those of f: whether it fits data is another question. A knot
    within `near` of a sample counts as at it. A rule holds where its defect is at most
    `tolerance` times TV(f′).

    **Raises.** `ValueError` for less than two different points, and for intervals around samples
    that overlap.

    **Source.** Hanin (2021); that the least variation is equivalent, samples included, is derived
    here: f′ has the slopes of the chords as its means.
    """
    points = np.unique(np.asarray(finite("x", x)))
    if len(points) > 1 and not 0 <= 2 * near < np.min(np.diff(points)):
        raise ValueError(
            f"Knots within {near=} of two samples would count as at both: the nearest two are "
            f"{np.min(np.diff(points)):.6g} apart. Use less than half of that."
        )
    chords = linear_interpolant(points, spline(points))
    slopes = np.diff(spline(points)) / np.diff(points)
    # A second difference that is rounding is zero, and the spline is straight there.
    rounding = 1e-12 * (1 + np.max(np.abs(slopes)))
    bends = np.where(np.abs(np.diff(slopes)) <= rounding, 0, np.sign(np.diff(slopes)))
    signs = np.concatenate([[0], bends, [0]])  # one for each sample
    closest = np.argmin(np.abs(spline.knots[:, None] - points), axis=1)
    is_at = np.abs(spline.knots - points[closest]) <= near
    between = np.searchsorted(points, spline.knots)

    allowed, rules = tolerance * spline.variation, []
    for i in range(len(points) + 1):
        low = -np.inf if i == 0 else points[i - 1]
        high = np.inf if i == len(points) else points[i]
        inside = spline.jumps[(between == i) & ~is_at]
        is_inner = 0 < i < len(points) and signs[i - 1] == signs[i] != 0
        rules.append(_rule(low, high, signs[i] if is_inner else 0, inside, allowed))
        if i < len(points):
            at = spline.jumps[is_at & (closest == i)]
            rules.append(_rule(points[i], points[i], signs[i], at, allowed))
    return Audit(
        knots=len(spline.knots),
        variation=spline.variation,
        least_variation=chords.variation,
        norm=spline.norm,
        weighted_variation=spline.weighted_variation,
        rules=tuple(rules),
    )


def _rule(low, high, sign, jumps, allowed) -> Rule:
    shape = {0: Shape.linear, 1: Shape.convex, -1: Shape.concave}[int(sign)]
    wrong = jumps if shape is Shape.linear else jumps[jumps * sign < 0]
    defect = float(np.sum(np.abs(wrong)))
    return Rule(float(low), float(high), shape, defect, defect <= allowed)


def clustering(
    network: Network,
    x: Float[np.ndarray, " n"],
    *,
    within: float = 0.02,
    window: tuple[float, float] | None = None,
) -> tuple[float, float]:
    """The share of the curvature Σ |aᵢ wᵢ| whose knots are near a sample, and that of even knots.

    Knots are counted neuron by neuron, before any of them cancel, in `window` (by default that of
    the samples). 'Even' is the share of the window itself that is near a sample.

    **Raises.** `ValueError` as `linear_spline`. NaN where there are no knots in the window.
    """
    linear_spline(network)  # refuses what is not a function on a line
    w, c = np.asarray(network.inner)[:, 0], np.asarray(network.outer)
    b = np.zeros_like(w) if network.bias is None else np.asarray(network.bias)
    low, high = (np.min(x), np.max(x)) if window is None else window
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        u = -b / w
    mass = np.where((u > low) & (u < high), np.abs(c * w), 0.0)
    distance = np.min(np.abs(np.where(mass > 0, u, np.inf)[:, None] - x), axis=1)
    total = float(np.sum(mass))
    share = float(np.sum(mass[distance <= within])) / total if total else float("nan")
    edges = np.clip(np.add.outer(np.sort(x), [-within, within]), low, high)
    overlap = np.maximum(edges[:-1, 1] - edges[1:, 0], 0.0)
    even = (np.sum(edges[:, 1] - edges[:, 0]) - np.sum(overlap)) / (high - low)
    return share, float(even)
