"""Training where a kernel does not move, solved by its eigenvectors from the start to the limit."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from shallows.model import Network, PiecewiseLinear

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class KernelFlow:
    r"""$\dot f = -\,K(\cdot, X)\,(f(X) - y)$ from f = 0: $\rho(t) = e^{-Kt} \rho(0)$.

    Descent does not get to the limit where K is ill-conditioned, as kernels of splines are;
    eigenvectors do.

    **Accuracy.** 1e-16 times `condition`, relative to the labels.

    **Raises.** `ValueError` for a kernel that is singular to rounding, as where a point is given
    twice.
    """

    kernel: Kernel
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    eigenvalues: Float[np.ndarray, " n"]
    """Increasing."""
    eigenvectors: Float[np.ndarray, "n n"]

    def __init__(self, kernel: Kernel, x, y):
        eigenvalues, eigenvectors = np.linalg.eigh(kernel(x, x))
        if not eigenvalues[0] > 1e-15 * eigenvalues[-1]:
            raise ValueError(
                f"The kernel is singular to rounding: its {len(x)} eigenvalues go down to "
                f"{eigenvalues[0]:.3g}, from {eigenvalues[-1]:.3g}. Use fewer points, or ones "
                f"farther apart."
            )
        for name, value in (
            ("kernel", kernel),
            ("x", np.asarray(x, dtype=float)),
            ("y", np.asarray(y, dtype=float)),
            ("eigenvalues", eigenvalues),
            ("eigenvectors", eigenvectors),
        ):
            object.__setattr__(self, name, value)

    @property
    def condition(self) -> float:
        """The ratio of the largest to the smallest eigenvalue."""
        return float(self.eigenvalues[-1] / self.eigenvalues[0])

    def residuals(self, time: float) -> Float[np.ndarray, " n"]:
        """ρ(t) at the points; at t = ∞ zero."""
        decay = np.exp(-self.eigenvalues * time)
        return -self.eigenvectors @ (decay * (self.eigenvectors.T @ self.y))

    def at(self, points: Float[np.ndarray, " q"], time: float = np.inf) -> Float[np.ndarray, " q"]:
        """The function f_t; at t = ∞ the interpolant of least norm."""
        grown = -np.expm1(-self.eigenvalues * time) / self.eigenvalues
        weights = self.eigenvectors @ (grown * (self.eigenvectors.T @ self.y))
        return self.kernel(np.asarray(points, dtype=float), self.x) @ weights


def least_norm_heads(
    hidden: Network, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> Network:
    """The network with this hidden layer that fits the values with the least Σ cᵢ².

    It is a fit if the layer has rank n; else the least squares.

    **Raises.** `ValueError` for an activation that is not piecewise linear.
    """
    sigma = hidden.activation
    if not isinstance(sigma, PiecewiseLinear):
        raise ValueError(f"Splines are piecewise linear, but {sigma.name} is not. Use `relu`.")
    bias = 0.0 if hidden.bias is None else np.asarray(hidden.bias)
    height = np.outer(x, np.asarray(hidden.inner)[:, 0]) + bias
    features = sigma.positive * np.maximum(height, 0) + sigma.negative * np.minimum(height, 0)
    heads = np.linalg.lstsq(features, y, rcond=None)[0]
    return Network(hidden.inner, heads, hidden.bias, sigma)
