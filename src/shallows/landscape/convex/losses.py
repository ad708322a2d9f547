"""Convex losses of predictions, with what duality asks of them."""

import abc

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " n"]


class AbstractLoss(abc.ABC):
    r"""A convex loss $L(p) = \sum_j \ell(p_j, y_j)$ of predictions p, and its conjugate L*.

    **Convention.** Sums, not means: a mean over n points with a penalty β is this loss with nβ,
    divided by n.
    """

    @abc.abstractmethod
    def checked(self, y: Vector) -> None:
        """**Raises.** `ValueError` for targets that this loss cannot have."""

    @abc.abstractmethod
    def __call__(self, p: Vector, y: Vector) -> float:
        """L(p)."""

    @abc.abstractmethod
    def gradient(self, p: Vector, y: Vector) -> Vector:
        """∇L(p), or a subgradient."""

    @abc.abstractmethod
    def conjugate(self, v: Vector, y: Vector) -> float:
        r"""$L^*(v) = \sup_p v \cdot p - L(p)$; ∞ outside its domain."""

    @abc.abstractmethod
    def admissible(self, v: Vector, y: Vector) -> Vector:
        """The vector with its entries of the wrong sign, of which L* is ∞ at any scale, as 0."""

    @abc.abstractmethod
    def best_scale(self, v: Vector, y: Vector, most: float) -> float:
        """A κ in [0, `most`] for which −L*(κv) is large: the best one where that is cheap."""


class Squared(AbstractLoss):
    r"""$\tfrac12 |p - y|^2$."""

    def checked(self, y: Vector) -> None:
        """Every finite target is fine."""

    def __call__(self, p: Vector, y: Vector) -> float:
        """½ |p − y|²."""
        return 0.5 * float(np.sum((p - y) ** 2))

    def gradient(self, p: Vector, y: Vector) -> Vector:
        """The residual p − y."""
        return p - y

    def conjugate(self, v: Vector, y: Vector) -> float:
        """½ |v|² + v·y."""
        return 0.5 * float(v @ v) + float(v @ y)

    def admissible(self, v: Vector, y: Vector) -> Vector:
        """The vector itself."""
        return v

    def best_scale(self, v: Vector, y: Vector, most: float) -> float:
        """The vertex of a parabola, or the end of the interval that is nearest to it."""
        size = float(v @ v)
        return 0.0 if size == 0 else float(np.clip(-float(v @ y) / size, 0.0, most))


class Logistic(AbstractLoss):
    r"""$\sum_j \log(1 + e^{-y_j p_j})$ for labels ±1."""

    def checked(self, y: Vector) -> None:
        """**Raises.** `ValueError` for labels that are not ±1, both of which occur."""
        _labels(y)

    def __call__(self, p: Vector, y: Vector) -> float:
        """Without overflow."""
        return float(np.sum(np.logaddexp(0.0, -y * p)))

    def gradient(self, p: Vector, y: Vector) -> Vector:
        """−y/(1 + exp(yp))."""
        return -y * np.exp(-np.logaddexp(0.0, y * p))

    def conjugate(self, v: Vector, y: Vector) -> float:
        """Σ q log q + (1 − q) log(1 − q) with q = −yv, in [0, 1]."""
        q = -y * v
        if np.any(q < 0) or np.any(q > 1):
            return np.inf
        entropy = [t * np.log(np.where(t > 0, t, 1.0)) for t in (q, 1 - q)]
        return float(np.sum(entropy))

    def admissible(self, v: Vector, y: Vector) -> Vector:
        """With −yv ≥ 0."""
        return np.where(y * v < 0, v, 0.0)

    def best_scale(self, v: Vector, y: Vector, most: float) -> float:
        """As large as it may be: near the optimum that is best up to second order."""
        return _into_unit(-y * v, most)


class Hinge(AbstractLoss):
    r"""$\sum_j (1 - y_j p_j)_+$ for labels ±1."""

    def checked(self, y: Vector) -> None:
        """**Raises.** `ValueError` for labels that are not ±1, both of which occur."""
        _labels(y)

    def __call__(self, p: Vector, y: Vector) -> float:
        """Σ (1 − yp)₊."""
        return float(np.sum(np.maximum(0.0, 1 - y * p)))

    def gradient(self, p: Vector, y: Vector) -> Vector:
        """−y where yp < 1, else 0."""
        return np.where(y * p < 1, -y, 0.0)

    def conjugate(self, v: Vector, y: Vector) -> float:
        """Σ yv where all −yv are in [0, 1]."""
        q = -y * v
        return np.inf if np.any(q < 0) or np.any(q > 1) else -float(np.sum(q))

    def admissible(self, v: Vector, y: Vector) -> Vector:
        """With −yv ≥ 0."""
        return np.where(y * v < 0, v, 0.0)

    def best_scale(self, v: Vector, y: Vector, most: float) -> float:
        """The largest, as −L*(κv) = κ Σ q increases."""
        return _into_unit(-y * v, most)


def _into_unit(q: np.ndarray, most: float) -> float:
    """The largest κ ≤ `most` with κq ≤ 1; 0 where an entry is negative."""
    if np.any(q < 0):
        return 0.0
    return min(most, 1.0 / float(np.max(q))) if np.any(q > 0) else 0.0


def _labels(y: np.ndarray) -> None:
    strange = y[np.abs(y) != 1]
    if len(strange):
        raise ValueError(
            f"Labels must be −1 or 1, but {len(strange)} of {len(y)} are not; the first is "
            f"{strange[0]:.17g}. Recode them, or use `Squared()`."
        )
    if np.all(y == y[0]):
        raise ValueError(
            f"All {len(y)} labels are {y[0]:g}: there is one class only, and nothing to tell "
            f"apart. Give points of both classes."
        )


__all__ = ["AbstractLoss", "Hinge", "Logistic", "Squared"]
