r"""Support functions of cones: what makes a vector feasible for the dual of a convex program.

A block z with the columns A, the penalty β|Mz| and the cone Cz ≥ 0 admits the dual vector v if
$\pm v^\top A z \le \beta |Mz|$ for all z in the cone. By Farkas' lemma, for M = I, the largest
$c \cdot z$ over |z| ≤ 1 in the cone is

$$ \min_{\lambda \ge 0} |c + C^\top \lambda|, $$

so that any λ ≥ 0 gives an upper bound. The minimum is a nonnegative least-squares problem.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import lsq_linear, nnls

# Weight of directions that cost nothing: what it leaves undecided is its square root in floats.
_HEAVY = 1e6
# Relative to lengths: slopes of a least-squares problem below this are rounding, and so are
# products of rows and directions.
_LEVEL, _ROUNDING = 1e-10, 1e-13


def cone_support(
    c: Float[np.ndarray, " r"], cone: Float[np.ndarray, "m r"]
) -> tuple[float, Float[np.ndarray, " m"]]:
    """The largest c·z over |z| ≤ 1, Cz ≥ 0, and λ ≥ 0 with |c + Cᵀλ| equal to it, to rounding."""
    if not len(cone):
        return float(np.linalg.norm(c)), np.zeros(0)
    multipliers = nonnegative_factors(cone.T, -c)
    return float(np.linalg.norm(c + cone.T @ multipliers)), multipliers


def seminorm_support(
    c: Float[np.ndarray, " r"], cone: Float[np.ndarray, "m r"], metric: Float[np.ndarray, "q r"]
) -> tuple[float, Float[np.ndarray, " m"]]:
    """The largest c·z over |Mz| ≤ 1, Cz ≥ 0, c in the row space of M, and λ ≥ 0 that shows it.

    In M = U S Vᵀ let z = V S⁻¹ a + N b with MN = 0. Then |Mz| = |a|, b is free, and λ is subject
    to (CN)ᵀλ = 0.
    """
    _, s, vt = np.linalg.svd(metric, full_matrices=True)
    rank = int(np.sum(s > max(metric.shape) * np.finfo(float).eps * s[0])) if s[0] > 0 else 0
    image, kernel = vt[:rank].T / s[:rank], vt[rank:].T
    slopes = image.T @ c
    if not len(cone) or not rank:
        return float(np.linalg.norm(slopes)), np.zeros(len(cone))
    across, along = cone @ image, cone @ kernel
    # What is 0 but for rounding, as of a column and its copy, would weigh as much as the rest.
    along[np.abs(along) <= _ROUNDING * np.linalg.norm(cone, axis=1)[:, None]] = 0.0
    heavy = _HEAVY * float(np.linalg.norm(across)) / max(float(np.linalg.norm(along)), 1e-300)
    if not np.any(along):
        heavy = 0.0
    system = np.concatenate([across.T, heavy * along.T])
    goal = np.concatenate([-slopes, np.zeros(kernel.shape[1])])
    multipliers = nonnegative_factors(system, goal)
    return float(np.linalg.norm(slopes + across.T @ multipliers)), multipliers


def nonnegative_factors(
    matrix: Float[np.ndarray, "n m"], goal: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """The x ≥ 0 that makes |matrix x − goal| least.

    SciPy's `nnls` ends early in one of fifty problems whose optimum has multipliers that are zero
    (1.17.1), so that its answer is checked, and else bounds on variables are active sets.

    **Accuracy.** 1e-10 relative in the gradient.
    """
    try:
        found, _ = nnls(matrix, goal, maxiter=100 * sum(matrix.shape))
    except RuntimeError:  # out of steps
        found = np.zeros(matrix.shape[1])
    slopes = matrix.T @ (goal - matrix @ found)
    uphill = np.where(found > 0, np.abs(slopes), slopes)
    sizes = np.linalg.norm(matrix, axis=0) * np.linalg.norm(goal)
    if np.all(uphill <= _LEVEL * sizes):
        return found
    steps = 100 * sum(matrix.shape)
    other = lsq_linear(matrix, goal, (0, np.inf), method="bvls", tol=1e-15, max_iter=steps).x
    other = np.maximum(other, 0.0)
    rests = [np.linalg.norm(matrix @ x - goal) for x in (found, other)]
    return other if rests[1] < rests[0] else found
