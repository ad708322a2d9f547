r"""The augmented Lagrangian of the dual, minimised by Newton's method.

For min L(As) + h(s), h the penalty and the cones, steps of the proximal point method,

$$ s \leftarrow \operatorname{prox}_{\sigma h}(s + \sigma A^\top v), $$

have the v that minimises a convex function of n numbers, once differentiable: its gradient is
A prox − p(v) (`responses`), and since prox is piecewise smooth Newton's method converges
superlinearly. Only groups that are not zero, on their faces, enter its matrix. The steps converge
superlinearly too as σ grows.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from shallows.solve.first_order.responses import Answer
from shallows.solve.first_order.working_set import AbstractGroupMethod, WorkingSet

# σ at first, in units of 1/|U|²; its growth a step; and where rounding makes more useless, in units
# of |s|/β: with it prox loses six digits.
_FIRST, _GROWTH, _LAST = 10.0, 4.0, 1e6
# Newton steps for a proximal step before σ is thought too large, and proximal steps without the gap
# halved before rounding is thought to hold it.
_NEWTON, _PATIENCE = 60, 8


@dataclasses.dataclass(frozen=True)
class AugmentedLagrangian(AbstractGroupMethod):
    """Proximal points by semismooth Newton steps on n dual variables.

    **Accuracy.** Gaps of 1e-10 relative and less, whatever the features' condition.

    **Cost.** A few tens of steps, each n²q for groups with q coordinates on their faces.

    **Source.** Li, Sun & Toh (2018), for the lasso; here with cones.
    """

    def improve(self, working: WorkingSet, tolerance: float, steps: int) -> int:
        """Proximal steps, σ growing."""
        first = _FIRST / working.problem.blocks.curvature
        sigma = working.pace if working.pace else first
        taken, best, late = 0, np.inf, 0
        while taken < steps and late < _PATIENCE:
            newton, settled = _proximal_step(working, sigma, min(_NEWTON, steps - taken))
            taken += newton
            if not settled:
                sigma, late = sigma / _GROWTH**2, late + 1
                continue
            gap = working.relative_gap()
            if gap <= tolerance:
                break
            late = 0 if gap < best / 2 else late + 1
            best = min(best, gap)
            longest = float(np.max(np.linalg.norm(working.s, axis=1)))
            most = _LAST * longest / working.problem.beta
            sigma = min((_GROWTH if newton > 3 else _GROWTH**2) * sigma, max(most, first))
        working.pace = max(first, sigma / _GROWTH**2)
        return max(taken, 1)


@dataclasses.dataclass(frozen=True, eq=False)
class _Trial:
    """The inner function at v."""

    v: Float[np.ndarray, " n"]
    projected: Float[np.ndarray, "m r"]
    lengths: Float[np.ndarray, " m"]
    kept: Float[np.ndarray, " m"]
    """What is left of the lengths after the penalty, as shares."""
    s: Float[np.ndarray, "m r"]
    answer: Answer
    gradient: Float[np.ndarray, " n"]
    value: float


def _proximal_step(working: WorkingSet, sigma: float, steps: int) -> tuple[int, bool]:
    """One step from working.s: how many Newton steps that took, and whether it was made."""
    problem, blocks = working.problem, working.problem.blocks
    start, groups, beta = working.s, working.groups, problem.beta
    anchor = blocks.predict(groups, start)
    # τ is in units of predictions, σ of weights.
    tau = sigma * blocks.curvature

    def trial(v):
        x = start + sigma * blocks.adjoint(groups, v)
        projected = working.faces(x, sigma * beta)
        lengths = np.linalg.norm(projected, axis=1)
        kept = 1 - sigma * beta / np.maximum(lengths, sigma * beta)
        s = kept[:, None] * projected
        answer = working.response(v, anchor, tau)
        gradient = blocks.predict(groups, s) - answer.prediction
        value = answer.value + float(np.sum(s * s)) / (2 * sigma)
        return _Trial(v, projected, lengths, kept, s, answer, gradient, value)

    now = trial(working.v)
    taken, floor = 0, 1e-12 * float(np.linalg.norm(problem.y))
    while True:
        size = float(np.linalg.norm(now.gradient))
        moved = float(np.linalg.norm(now.s - start)) / np.sqrt(sigma)
        if size <= max(floor, 0.1 * moved if taken else 1e-3 * moved):
            break
        if taken == steps:
            return taken, False
        taken += 1
        direction = -_solve(working, now, sigma)
        slope = float(now.gradient @ direction)
        length = min(1.0, working.response.longest(now.v, direction))
        ahead = trial(now.v + length * direction)
        while not _is_descent(now, ahead, length * slope, direction, slope):
            length /= 2
            if length < 1e-9:
                break
            ahead = trial(now.v + length * direction)
        if length < 1e-9 or np.all(ahead.v == now.v):
            # At rounding: as good as it gets, or σ is too large.
            if size > 1e-6 * float(np.linalg.norm(problem.y)):
                return taken, False
            break
        now = ahead
    working.s = now.s
    working.v = now.answer.dual
    return taken, True


def _is_descent(now: _Trial, ahead: _Trial, expected: float, direction, slope: float) -> bool:
    """Armijo's condition, or where values are equal to rounding, that of slopes.

    **Source.** Hager & Zhang (2005), the approximate Wolfe conditions.
    """
    if ahead.value <= now.value + 1e-4 * expected:
        return True
    is_level = ahead.value <= now.value + 1e-11 * abs(now.value)
    return is_level and float(ahead.gradient @ direction) <= -0.9 * slope


def _solve(working: WorkingSet, now: _Trial, sigma: float) -> Float[np.ndarray, " n"]:
    """H⁻¹ times the gradient, H = diag(slope) + σ Σ A J Aᵀ.

    On a face with normals Q, p being the projection, J = κ (1 − QQᵀ) + (1 − κ) p pᵀ/|p|².
    """
    blocks = working.problem.blocks
    slope, ridge = now.answer.slope, 0.0
    if np.min(slope) == 0:
        # Points stay at the hinge's margin, and H may be singular: steps no longer than v itself.
        ridge = float(np.linalg.norm(now.gradient)) / max(float(np.linalg.norm(now.v)), 1e-300)
        ridge = max(ridge, 1e-12 * sigma * blocks.curvature)
    matrix = np.diag(slope + ridge)
    active = np.flatnonzero(now.kept > 0)
    if len(active):
        columns = blocks.columns(working.groups[active])
        kept = now.kept[active, None]
        radial = columns @ (now.projected[active] / now.lengths[active, None])[..., None]
        if not blocks.is_gated:
            normals = working.faces.bases[active]
            columns = columns - (columns @ normals) @ normals.swapaxes(1, 2)
        parts = np.concatenate(
            [np.sqrt(kept)[..., None] * columns, np.sqrt(1 - kept)[..., None] * radial], axis=2
        )
        root = np.sqrt(sigma) * parts.swapaxes(0, 1).reshape(blocks.points, -1)
        matrix = matrix + root @ root.T
    return cho_solve(cho_factor(matrix, check_finite=False), now.gradient, check_finite=False)
