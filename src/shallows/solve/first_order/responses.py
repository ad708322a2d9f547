r"""What a loss answers to a dual vector: predictions, slopes and the loss's part of the dual.

The augmented Lagrangian of min L(p) + h(s), p = As, asks for
$\min_p L(p) + v \cdot p + |p - p_0|^2 / 2\tau$. Where L* is smooth, τ = ∞ and p₀ does not matter.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex import AbstractLoss, Hinge, Logistic, Squared

Vector = Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, eq=False)
class Answer:
    """The minimising p, −∂p/∂v, minus the minimum, and −(a subgradient of L at p)."""

    prediction: Vector
    slope: Vector
    value: float
    dual: Vector


@runtime_checkable
class Response(Protocol):
    """Of a loss with given targets."""

    def __call__(self, v: Vector, anchor: Vector, tau: float) -> Answer:
        """To v, near the anchor."""

    def start(self) -> Vector:
        """−∇L(0), in the domain of the dual."""

    def longest(self, v: Vector, direction: Vector) -> float:
        """The step that stays in the domain."""


@dataclasses.dataclass(frozen=True, eq=False)
class SquaredResponse:
    """p = y − v."""

    y: Vector

    def __call__(self, v: Vector, anchor: Vector, tau: float) -> Answer:
        """Whatever the anchor is."""
        return Answer(self.y - v, np.ones_like(v), 0.5 * float(v @ v) - float(v @ self.y), v)

    def start(self) -> Vector:
        """The targets."""
        return self.y.copy()

    def longest(self, v: Vector, direction: Vector) -> float:
        """Any."""
        return np.inf


@dataclasses.dataclass(frozen=True, eq=False)
class LogisticResponse:
    """yp = log((1 − q)/q) with q = yv in (0, 1)."""

    y: Vector

    def __call__(self, v: Vector, anchor: Vector, tau: float) -> Answer:
        """Whatever the anchor is."""
        q = self.y * v
        if np.any(q <= 0) or np.any(q >= 1):
            raise AssertionError("Steps stay in the domain.")
        value = float(np.sum(q * np.log(q) + (1 - q) * np.log1p(-q)))
        return Answer(self.y * (np.log1p(-q) - np.log(q)), 1 / (q * (1 - q)), value, v)

    def start(self) -> Vector:
        """y/2."""
        return self.y / 2

    def longest(self, v: Vector, direction: Vector) -> float:
        """Nearly to the wall."""
        q, move = self.y * v, self.y * direction
        room = np.where(move > 0, 1 - q, q) / np.where(move == 0, 1e-300, np.abs(move))
        return 0.99 * float(np.min(room))


@dataclasses.dataclass(frozen=True, eq=False)
class HingeResponse:
    """The proximal point of the hinge at p₀ − τv."""

    y: Vector

    def __call__(self, v: Vector, anchor: Vector, tau: float) -> Answer:
        """Three pieces: beyond the margin, before it, and at it, where p does not move."""
        x = anchor - tau * v
        margin = self.y * x
        beyond, before = margin >= 1, margin <= 1 - tau
        p = np.where(beyond, x, np.where(before, x + tau * self.y, self.y))
        loss = np.maximum(0.0, 1 - self.y * p)
        value = -float(np.sum(loss + v * p + (p - anchor) ** 2 / (2 * tau)))
        return Answer(p, tau * (beyond | before), value, (p - x) / tau)

    def start(self) -> Vector:
        """The targets."""
        return self.y.copy()

    def longest(self, v: Vector, direction: Vector) -> float:
        """Any."""
        return np.inf


def response(loss: AbstractLoss, y: Vector) -> Response:
    """Of a loss.

    **Raises.** `ValueError` for a loss that is none of `Squared`, `Logistic` and `Hinge`.
    """
    if isinstance(loss, Squared):
        return SquaredResponse(y)
    if isinstance(loss, Logistic):
        return LogisticResponse(y)
    if isinstance(loss, Hinge):
        return HingeResponse(y)
    raise ValueError(
        f"The conjugate of {type(loss).__name__} is not known here. Use `Squared()`, "
        f"`Logistic()` or `Hinge()`."
    )
