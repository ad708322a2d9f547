"""Regression with a kernel, and training where the kernel stays as it is."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import scipy.linalg
from jaxtyping import Float

from shallows.model.network import Numbers, finite, positive_integer

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Beyond this condition number a Cholesky factor solves for rounding errors.
_WORST = 1e14


@dataclasses.dataclass(frozen=True, eq=False)
class KernelRegression:
    r"""$x \mapsto \sum_i \alpha_i K(x, x_i)$ with $(K + \rho I)\,\alpha = y$, ρ = `ridge`.

    It minimises $|f(X) - y|^2 + \rho\,|f|_K^2$, and for ρ = 0 it is the interpolant of least norm:
    what gradient flow of a linearised network, from f = 0, tends to.

    **Accuracy.** 1e-16 times `condition`, relative to the fit.

    **Raises.** `ValueError` for a matrix that is not square and symmetric, for values that do not
    fit, for a ridge that is negative or not finite, and where K + ρI is not positive definite to
    rounding (as where a point is given twice and ρ = 0). **Cost.** n³/3 operations.
    """

    coefficients: Float[np.ndarray, " n"] | Float[np.ndarray, "n o"]
    ridge: float
    condition: float
    """An estimate of the condition number of K + ρI (in the 1-norm)."""

    def __init__(self, kernel: Numbers, values: Numbers, ridge: float | int = 0.0):
        gram, targets = _problem(kernel, values)
        if not 0 <= ridge < math.inf:
            raise ValueError(f"`ridge` must be at least 0, but is {ridge}. Use e.g. 1e-6.")
        regular = gram + ridge * np.eye(len(gram))
        size = np.linalg.norm(regular, 1)
        condition = math.inf
        try:
            factor = scipy.linalg.cho_factor(regular, lower=True)
            (potrs,) = scipy.linalg.get_lapack_funcs(("pocon",), (regular,))
            condition = 1 / max(float(potrs(factor[0], size, uplo="L")[0]), 1e-300)
        except np.linalg.LinAlgError:
            pass  # what `condition` says
        if condition > _WORST:
            least = float(scipy.linalg.eigvalsh(regular, subset_by_index=[0, 0])[0])
            raise ValueError(
                f"The kernel matrix of {len(gram)} points with ridge {ridge:g} is singular to "
                f"rounding: its smallest eigenvalue is {least:.3g}, its norm {size:.3g}. Use a "
                f"ridge such as {1e-10 * size:.1g}, or points that are farther apart."
            )
        object.__setattr__(self, "coefficients", scipy.linalg.cho_solve(factor, targets))
        object.__setattr__(self, "ridge", float(ridge))
        object.__setattr__(self, "condition", condition)

    def __call__(self, cross: Numbers) -> Float[np.ndarray, " q"] | Float[np.ndarray, "q o"]:
        """The fit at points, of which `cross` has a row each: K(point, xᵢ)."""
        return np.asarray(cross, dtype=float) @ self.coefficients


@dataclasses.dataclass(frozen=True, eq=False)
class LinearisedDescent:
    r"""Descent on ½|f(X) − y|² where the tangent kernel K stays: $u \leftarrow u - \eta K(u - y)$.

    With eigenpairs (λᵢ, vᵢ) of K the residual after s steps is
    $\sum_i (1 - \eta\lambda_i)^s (v_i \cdot r)\,v_i$, r being that at the start. For networks it is
    a prediction, the better the wider they are.

    **Accuracy.** 1e-15 s of |r|. **Raises.** `ValueError` as `KernelRegression`, for a step that is
    not positive or, as descent diverges there, above 2/λ_max.

    **Source.** Arora, Du, Hu, Li & Wang (2019).
    """

    eigenvalues: Float[np.ndarray, " n"]
    """Increasing."""
    eigenvectors: Float[np.ndarray, "n n"]
    start: Float[np.ndarray, " n"]
    """f(X) − y at the start."""
    step: float

    def __init__(self, kernel: Numbers, start: Numbers, step: float | int):
        gram, residual = _problem(kernel, start)
        if residual.ndim > 1:
            raise ValueError(
                f"A residual is one number a point, but has shape {residual.shape}. Take one "
                f"output: `residual[:, 0]`."
            )
        eigenvalues, eigenvectors = np.linalg.eigh(gram)
        if not 0 < step <= 2 / eigenvalues[-1]:
            raise ValueError(
                f"`step` must be positive and at most 2/λ_max = {2 / eigenvalues[-1]:.4g}, beyond "
                f"which descent diverges, but is {step}. Use e.g. {1 / eigenvalues[-1]:.4g}."
            )
        for name, value in (
            ("eigenvalues", eigenvalues),
            ("eigenvectors", eigenvectors),
            ("start", residual),
            ("step", float(step)),
        ):
            object.__setattr__(self, name, value)

    def residual(self, steps: int) -> Float[np.ndarray, " n"]:
        """f(X) − y after so many steps."""
        shrunk = (1 - self.step * self.eigenvalues) ** _steps(steps)
        return self.eigenvectors @ (shrunk * (self.eigenvectors.T @ self.start))

    def distances(self, steps: Numbers) -> Float[np.ndarray, " s"]:
        r"""$|f(X) - y| = \sqrt{\sum_i (1 - \eta\lambda_i)^{2s} (v_i \cdot r)^2}$ after s steps."""
        numbers = np.array([_steps(s) for s in np.asarray(steps).ravel().tolist()])
        shares = self.eigenvectors.T @ self.start
        shrunk = (1 - self.step * self.eigenvalues) ** numbers[:, None]
        return np.linalg.norm(shrunk * shares, axis=1)


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


def _steps(steps: int) -> int:
    return 0 if steps == 0 else positive_integer("steps", steps)


def _problem(kernel: Numbers, values: Numbers) -> tuple[np.ndarray, np.ndarray]:
    gram, targets = np.asarray(finite("kernel", kernel)), np.asarray(finite("values", values))
    n = len(gram) if gram.ndim else 0
    if gram.shape != (n, n) or not n:
        raise ValueError(
            f"`kernel` must be the square matrix K(xᵢ, xⱼ), but has shape {gram.shape}. Pass e.g. "
            f"`WideLimit().tangent(x)`."
        )
    if np.max(np.abs(gram - gram.T)) > 1e-10 * np.max(np.abs(gram)):
        raise ValueError(
            "`kernel` must be symmetric, but differs from its transpose by "
            f"{np.max(np.abs(gram - gram.T)):.3g}. Pass K(xᵢ, xⱼ) of one set of points."
        )
    if targets.ndim not in (1, 2) or len(targets) != n:
        raise ValueError(
            f"There must be a value for each of the {n} points, but they have shape "
            f"{targets.shape}. Use as many as `kernel` has rows."
        )
    return gram, targets
