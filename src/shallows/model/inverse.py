r"""Inverting a layer x ↦ ReLU(Wx + b): the input of an output, and how stable that is."""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from shallows.model.cells import cells
from shallows.model.network import Numbers, finite

# Of singular values, and of what an output may miss its layer by.
_RELATIVE = 1e-10


@dataclasses.dataclass(frozen=True, eq=False)
class InverseLipschitz:
    r"""How far apart a layer keeps its inputs: $|f(x) - f(y)| \ge \kappa |x - y|$.

    With A the least eigenvalue of $W_S^\top W_S$ over all cells, S the rows active there,
    $\frac12 \sqrt A \le \kappa \le \sqrt A$.

    **Source.** freemanhaider2025, with a proof of its own: a row that is active at the middle of x
    and y changes by at least half of what it does without the ReLU.
    """

    lower: float
    """√A/2"""
    upper: float
    """√A; 0 means that the layer is not injective, up to rounding."""
    point: Float[np.ndarray, " n"]
    """In a cell that attains A."""
    cells: int


def inverse_lipschitz(
    weights: Numbers, bias: Numbers | None = None, *, most: int = 200_000
) -> InverseLipschitz:
    """Bounds of the lower Lipschitz constant of a layer, by all of its cells.

    **Accuracy.** Cells are exact, eigenvalues are those of floats.

    **Raises.** `ValueError` as `cells`. **Cost.** That of `cells`.
    """
    w = np.asarray(finite("weights", weights))
    found = cells(weights, bias, most=most)
    active = found.signs >= 0
    least, where = np.inf, 0
    for start in range(0, len(found), 4096):
        block = active[start : start + 4096].astype(float)
        grams = np.einsum("cm,mi,mj->cij", block, w, w, optimize=True)
        values = np.linalg.eigvalsh(grams)[:, 0]
        if values.min() < least:
            least, where = float(values.min()), start + int(np.argmin(values))
    root = float(np.sqrt(max(least, 0.0)))
    return InverseLipschitz(root / 2, root, found.points[where], len(found))


def reconstruct(
    weights: Numbers, output: Numbers, bias: Numbers | None = None
) -> Float[np.ndarray, " n"]:
    """The one x with ReLU(Wx + b) = output.

    Where the positive entries determine x they are solved for it by least squares; else the others,
    which say that wᵢ·x + bᵢ ≤ 0, may still leave one x: 2n linear programmes tell.

    **Accuracy.** That of least squares with the active rows.

    **Raises.** `ValueError` for shapes that do not fit, for negative outputs, for an output that
    no input has (up to 1e-8 of its size), and for one that several have.
    """
    w, y = np.asarray(finite("weights", weights)), np.asarray(finite("output", output))
    if w.ndim != 2 or y.shape != w.shape[:1]:
        raise ValueError(
            f"An output has one entry for each row of the weights, but they have the shapes "
            f"{y.shape} and {w.shape}. Pass the output of this layer."
        )
    b = np.zeros(len(w)) if bias is None else np.asarray(finite("bias", bias))
    if b.shape != y.shape:
        raise ValueError(f"`bias` must have shape {y.shape}, but has {b.shape}. Pass a vector.")
    if np.any(y < 0):
        raise ValueError(
            f"The output of a ReLU is not negative, but entry {int(np.argmin(y))} is "
            f"{y.min():.6g}. Pass the output of this layer."
        )
    on = y > 0
    size = float(np.max(np.abs(w), initial=1.0))
    if np.linalg.matrix_rank(w[on], tol=_RELATIVE * size * max(w.shape)) == w.shape[1]:
        x = np.linalg.lstsq(w[on], y[on] - b[on])[0]
    else:
        x = _only_point(w, b, y, on)
    missed = float(np.max(np.abs(np.maximum(w @ x + b, 0) - y), initial=0.0))
    if missed > 1e-8 * max(1.0, float(np.max(y, initial=0.0))):
        raise ValueError(
            f"No input has this output: the nearest found misses it by {missed:.3g}. Check that it "
            f"is of this layer, in double precision."
        )
    return x


def _only_point(w: np.ndarray, b: np.ndarray, y: np.ndarray, on: np.ndarray) -> np.ndarray:
    """The point of a polyhedron that is one."""
    n = w.shape[1]
    ends: list[np.ndarray] = []
    for direction in np.concatenate([np.eye(n), -np.eye(n)]):
        found = linprog(
            direction,
            A_ub=w[~on] if np.any(~on) else None,
            b_ub=-b[~on] if np.any(~on) else None,
            A_eq=w[on] if np.any(on) else None,
            b_eq=y[on] - b[on] if np.any(on) else None,
            bounds=(None, None),
        )
        if found.status == 2:
            raise ValueError(
                "No input has this output: its zeros contradict its other entries. Check that it "
                "is of this layer."
            )
        if found.status != 0:  # unbounded
            ends = []
            break
        ends.append(found.x)
    size = float(np.max(np.abs(ends), initial=1.0))
    if not ends or np.max(np.ptp(ends, axis=0)) > 1e-7 * size:
        raise ValueError(
            f"Several inputs have this output: the {np.count_nonzero(on)} rows that are positive "
            f"do not determine x, nor do the others. The layer is not injective."
        )
    return np.mean(ends, axis=0)
