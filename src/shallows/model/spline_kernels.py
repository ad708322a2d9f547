r"""Kernels of wide networks on a line whose knots are spread evenly.

For a = ±1 (fair) and b uniform on [−B, B], the overlap of hidden layers
$\mathbb{E}\,(a x - b)_+ (a x' - b)_+$ and the tangent kernel of all weights are polynomials in
min(x, x') and max(x, x') while both lie in [−B, B].
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from shallows.model.network import Network


@dataclasses.dataclass(frozen=True)
class EvenKnots:
    r"""Knots spread evenly over [−B, B], B = `reach`.

    **Domain.** Points in [−B, B]; beyond, the formulas are others.

    **Raises.** `ValueError` for a reach that is not positive, and points beyond it.

    **Source.** facts: splines_and_convex, section 1, with the factor ½ that is dropped there.
    """

    reach: float

    def __post_init__(self):
        if not (np.isfinite(self.reach) and self.reach > 0):
            raise ValueError(f"The reach of knots is positive, but is {self.reach}. Use e.g. 2.0.")

    def outer(
        self, x: Float[np.ndarray, " n"], other: Float[np.ndarray, " q"]
    ) -> Float[np.ndarray, "n q"]:
        """E (a x − b)₊ (a x' − b)₊: the tangent kernel where outer weights alone are trained."""
        low, high = np.minimum.outer(x, other), np.maximum.outer(x, other)
        self._check(low, high)
        d, s, t = high - low, low + self.reach, self.reach - high
        return (s**3 / 3 + s**2 * d / 2 + t**3 / 3 + t**2 * d / 2) / (4 * self.reach)

    def inner(
        self, x: Float[np.ndarray, " n"], other: Float[np.ndarray, " q"]
    ) -> Float[np.ndarray, "n q"]:
        """(1 + x x') P(both are seen): what inner weights add, for |c| = 1."""
        low, high = np.minimum.outer(x, other), np.maximum.outer(x, other)
        self._check(low, high)
        return (1 + np.outer(x, other)) * (1 - (high - low) / (2 * self.reach)) / 2

    def tangent(
        self, x: Float[np.ndarray, " n"], other: Float[np.ndarray, " q"], scale: float = 1.0
    ) -> Float[np.ndarray, "n q"]:
        """All weights trained: (a, b) times κ and |c| = 1/κ, κ = `scale`; for 1/α², times m/α²."""
        return scale**2 * self.outer(x, other) + self.inner(x, other) / scale**2

    def draw(self, neurons: int, generator: np.random.Generator) -> Network:
        """A hidden layer of this law; outer weights are 1."""
        a = generator.choice([-1.0, 1.0], neurons)
        return Network(a[:, None], bias=-generator.uniform(-self.reach, self.reach, neurons))

    def _check(self, low, high):
        if low.size and not (np.min(low) >= -self.reach and np.max(high) <= self.reach):
            raise ValueError(
                f"Knots reach from {-self.reach:g} to {self.reach:g}, but points from "
                f"{np.min(low):.6g} to {np.max(high):.6g}. Use a `reach` of at least "
                f"{max(abs(np.min(low)), abs(np.max(high))):.6g}."
            )
