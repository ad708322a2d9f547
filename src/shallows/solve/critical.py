r"""Critical points: Newton's method, and the test that it ends where the flow would."""

import dataclasses
import enum

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from shallows.landscape import SquaredLoss
from shallows.model import Network
from shallows.solve.methods import AbstractMethod, GradientFlow, positive


class NewtonOutcome(enum.Enum):
    """How a polish ended; the value is advice."""

    converged = ""
    outside_basin = (
        "The point is not yet in a bowl that provably leads to one minimum, so Newton was not "
        "tried. Follow the flow further, or pass `Newton(basin=False)` for any critical point."
    )
    out_of_steps = "Newton used all its steps. Start closer, or raise `max_steps`."
    singular = (
        "The Hessian is singular to working accuracy: the critical point is not isolated, as for "
        "students wider than the teacher or with trained heads. Use the flow instead."
    )
    at_kink = (
        "A neuron vanishes, or the law's loss has a kink here; there is no Hessian to use. "
        "Use a descent."
    )


class Newton(eqx.Module):
    r"""Newton's method with a dense Hessian.

    With `basin=True` (for minima reached by training) it runs only inside a trapping bowl. Let B
    bound the Hessian's Lipschitz constant in a ball around θ, μ > 0 be below its smallest
    eigenvalue at θ and g be the gradient there. If 8 B |g| ≤ μ², then on the ball of radius
    r = μ/(2B) the Hessian is at least μ/2, so the gradient flow from θ cannot leave the ball
    (its length is at most 2|g|/μ ≤ r/2), neither can descent with a step below 2/λ_max, and there is
    one critical point in it, a minimum. Newton's limit is accepted only if it lies in the ball.
    The test is the Kantorovich one, in floating point: evidence, not a proof.

    With `basin=False` it is the plain iteration and may find any critical point, saddles
    included.
    """

    tolerance: float = eqx.field(static=True)
    """Gradient norm at which it stops."""
    basin: bool = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(self, tolerance: float = 1e-13, *, basin: bool = True, max_steps: int = 30):
        self.tolerance = positive("tolerance", tolerance)
        self.basin, self.max_steps = basin, max_steps


@dataclasses.dataclass(frozen=True)
class CriticalPoint:
    """Where Newton's method ended."""

    student: Network
    outcome: NewtonOutcome
    gradient_norm: float
    steps: int
    distance: float
    """From the start, in the Frobenius norm of the trained parameters."""


def critical_point(
    loss: SquaredLoss,
    start: Network,
    method: Newton | None = None,
    *,
    along: AbstractMethod | None = None,
    pace: float = 0.0,
    throw: bool = True,
) -> CriticalPoint:
    r"""The critical point that Newton's method finds from `start`.

    `along` (default: the flow), with its step `pace`, is the method whose basin is to be kept.

    **Accuracy.** |gradient| ≤ 1e-13 · max(1, |θ|); with a smallest eigenvalue λ the point itself
    is known to about 1e-13/λ.

    **Raises.** `ValueError`, with the outcome's advice, if it did not converge and `throw`.
    **Cost.** A Hessian and a Cholesky factorisation, (k p)³/3 operations, and back-substitutions.
    """
    how = Newton() if method is None else method
    flow = GradientFlow() if along is None else along
    loss._check_single(start)
    result = _newton(loss, start, how, flow, pace)
    if throw and result.outcome is not NewtonOutcome.converged:
        raise ValueError(
            f"No critical point from this start; the gradient norm is "
            f"{result.gradient_norm:.3g}. {result.outcome.value}"
        )
    return result


def _newton(loss, start, how, flow, pace) -> CriticalPoint:
    heads = start.outer
    theta = first = np.asarray(loss.trained.join(start.inner, heads))
    slope = _slope(loss, theta, heads)
    scale = max(1.0, float(np.linalg.norm(first)))

    def result(outcome, steps):
        w, a = loss.trained.split(jnp.asarray(theta), heads)
        size = float(np.linalg.norm(slope))
        return CriticalPoint(
            Network(w, a), outcome, size, steps, float(np.linalg.norm(theta - first))
        )

    if not loss.law.is_smooth:
        return result(NewtonOutcome.at_kink, 0)
    radius = np.inf
    solve = None
    if how.basin:
        trap = _trap(loss, start, slope, flow, pace)
        if trap is None:
            return result(NewtonOutcome.outside_basin, 0)
        radius, solve = trap

    previous = np.inf
    for steps in range(how.max_steps + 1):
        size = np.linalg.norm(slope)
        if not np.isfinite(size):
            return result(NewtonOutcome.at_kink, steps)
        if size <= how.tolerance * scale:
            return result(NewtonOutcome.converged, steps)
        # The factorised Hessian serves as long as it gains a factor 30 a step.
        if solve is None or size > previous / 30:
            solve = _solver(loss, theta, heads)
            if solve is None:
                return result(NewtonOutcome.singular, steps)
        previous = size
        theta = theta - solve(slope)
        slope = _slope(loss, theta, heads)
        if np.linalg.norm(theta - first) > radius:
            theta, slope = first, _slope(loss, first, heads)
            return result(NewtonOutcome.outside_basin, steps)
    return result(NewtonOutcome.out_of_steps, how.max_steps)


def _slope(loss, theta, heads):
    return np.asarray(loss.gradient_at(*loss.trained.split(jnp.asarray(theta), heads)))


def _solver(loss, theta, heads):
    hessian = np.asarray(loss.cell_hessian_at(*loss.trained.split(jnp.asarray(theta), heads)))
    try:
        factor = scipy.linalg.lu_factor(hessian, check_finite=False)
    except (ValueError, scipy.linalg.LinAlgError):
        return None
    pivots = np.abs(np.diag(factor[0]))
    if not pivots.min() > 1e-13 * pivots.max():
        return None
    return lambda g: scipy.linalg.lu_solve(factor, g.ravel(), check_finite=False).reshape(g.shape)


def _trap(loss, start, slope, flow, pace):
    """The radius of the trapping bowl and a solver for the Hessian in it, or None."""
    w, heads = start.inner, start.outer
    reach = 0.05 * float(jnp.min(jnp.linalg.norm(w, axis=-1)))
    bound = loss.hessian_lipschitz(start, reach)
    size = float(np.linalg.norm(slope))
    least = np.sqrt(8 * bound * size)
    radius = least / (2 * bound)
    if not radius <= reach:
        return None
    hessian = np.array(loss.cell_hessian_at(w, heads))
    identity = np.arange(len(hessian))
    hessian[identity, identity] -= least
    try:
        scipy.linalg.cholesky(hessian, lower=True, check_finite=False)
    except scipy.linalg.LinAlgError:
        return None
    hessian[identity, identity] += least
    if not flow.keeps(pace, _largest(hessian)):
        return None
    factor = scipy.linalg.cho_factor(hessian, lower=True, check_finite=False)
    solve = lambda g: scipy.linalg.cho_solve(factor, g.ravel(), check_finite=False)  # noqa: E731
    return radius, lambda g: solve(g).reshape(g.shape)


def _largest(hessian):
    # A Rayleigh quotient after 20 power steps from a fixed vector: below the largest
    # eigenvalue, by far less than a step of descent is ever chosen below its limit.
    x = np.cos(np.arange(len(hessian)))
    for _ in range(20):
        x = hessian @ (x / np.linalg.norm(x))
    return float(np.linalg.norm(x))
