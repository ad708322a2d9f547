r"""Critical points: Newton's method, and the test that it ends where the flow would."""

import dataclasses
import enum
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl
from jaxtyping import Float

from shallows.landscape import SquaredLoss
from shallows.model import Network
from shallows.solve.curvature import curvature_at
from shallows.solve.methods import AbstractMethod, GradientFlow, positive

# Gradient norm below which a run that the Lipschitz bound cannot trap gets the second test.
_SLOW = 3e-6

# Steps with an old factorisation that cost as much as a new one: it is renewed if more are needed.
_WORTH = 6


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
    r"""Newton's method, with a dense Hessian up to 450 parameters and by its products beyond.

    With `basin=True` (for minima reached by training) its limit θ* is accepted only if the start θ
    lies in a trapping bowl around it. Let μ be the smallest Hessian eigenvalue at θ* and B bound
    the Hessian's Lipschitz constant on the ball of radius ρ = |θ − θ*| around θ*. If B ρ < 2 μ,
    then on that ball the gradient is a positive definite matrix times the way from θ*, so that
    the gradient flow, and descent with a step below 2/λ_max, only come closer to θ*.
    Where the smallest eigenvalue is so small that this would take very long, a second test, the
    affine-invariant form of the first, compares Hessians at four points of an ellipsoid of equal
    loss with that at the limit. Both are tests in floating point: evidence, not proofs.

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
    theta = np.asarray(loss.trained.join(start.inner, start.outer))
    heads = np.asarray(start.outer)
    end, outcome, size, steps = polish(loss, theta, heads, how, flow, pace)
    inner, outer = loss.trained.split(jnp.asarray(end), heads)
    student = Network(inner, outer, activation=loss.activation)
    return CriticalPoint(student, outcome, size, steps, float(np.linalg.norm(end - theta)))


def polish(
    loss: SquaredLoss,
    theta: Float[np.ndarray, "k p"],
    heads: Float[np.ndarray, " k"],
    how: Newton,
    flow: AbstractMethod,
    pace: float,
) -> tuple[Float[np.ndarray, "k p"], NewtonOutcome, float, int]:
    """`critical_point` on arrays: the end, the outcome, the gradient norm there, the steps."""
    # BLAS's own threads would wait for, and on, XLA's: 20 ms for a factorisation of 1 ms.
    with _blas().limit(limits=1, user_api="blas"):
        return _polish(loss, theta, heads, how, flow, pace)


@functools.cache
def _blas():
    return threadpoolctl.ThreadpoolController()


def _polish(loss, theta, heads, how, flow, pace):
    if not loss.is_smooth:
        size = float(np.linalg.norm(_slope(loss, theta, heads)))
        return theta, NewtonOutcome.at_kink, size, 0
    if not how.basin:
        return _iterate(loss, theta, heads, how)
    slope = _slope(loss, theta, heads)
    found = _iterate(loss, theta, heads, how, basin=True)
    if found[1] is NewtonOutcome.converged and _is_trapped(
        loss, theta, slope, found[0], heads, flow, pace
    ):
        return found
    return theta, NewtonOutcome.outside_basin, float(np.linalg.norm(slope)), 0


def _iterate(loss, first, heads, how, *, basin=False):
    """Newton's iteration with a factorised Hessian that is renewed where that pays.

    With `basin` it gives up where the limit would hardly be accepted.
    """
    theta, slope = first, _slope(loss, first, heads)
    tolerance = how.tolerance * max(1.0, float(np.linalg.norm(first)))
    size = at_first = float(np.linalg.norm(slope))
    previous, solve = np.inf, None
    for steps in range(how.max_steps + 1):
        size = float(np.linalg.norm(slope))
        if not np.isfinite(size):
            return first, NewtonOutcome.at_kink, at_first, steps
        if size <= tolerance:
            return theta, NewtonOutcome.converged, size, steps
        if steps == how.max_steps:
            break
        if solve is None or size * (size / previous) ** _WORTH > tolerance:
            hessian = curvature_at(loss, theta, heads)
            if basin and not hessian.is_above(0.0):
                return first, NewtonOutcome.outside_basin, at_first, steps
            solve = hessian.solver()
            if solve is None:
                return theta, NewtonOutcome.singular, size, steps
        change = solve(slope)
        if basin and steps == 0 and not _may_be_trapped(loss, first, heads, slope, change):
            return first, NewtonOutcome.outside_basin, at_first, steps
        previous = size
        theta = theta - change
        slope = _slope(loss, theta, heads)
    return theta, NewtonOutcome.out_of_steps, size, how.max_steps


def _may_be_trapped(loss, start, heads, slope, change):
    """Whether it is worth looking for the limit: the test below, after one step."""
    if np.linalg.norm(slope) <= _SLOW:
        return True
    radius = float(np.linalg.norm(change))
    spread = 0.5 * radius * float(_bound_at(loss, start, heads, radius))
    return spread * radius**2 < np.vdot(change, slope)  # a Rayleigh quotient


def _slope(loss, theta, heads):
    return np.asarray(_slope_at(loss, theta, heads))


@jax.jit
def _slope_at(loss, theta, heads):
    return loss.gradient_at(*loss.trained.split(theta, heads))


@jax.jit
def _bound_at(loss, theta, heads, radius):
    return loss.lipschitz_at(*loss.trained.split(theta, heads), radius)


def _is_trapped(loss, start, slope, end, heads, flow, pace):
    """Whether `flow` leads from the start to the critical point `end`."""
    radius = float(np.linalg.norm(start - end))
    # No neuron may pass through zero on the way, beyond which is another landscape.
    shortest = np.min(np.linalg.norm(end[:, : loss.law.inputs], axis=-1))
    if not loss.activation.is_smooth and radius > 0.5 * shortest:
        return False
    hessian = curvature_at(loss, end, heads)
    spread = 0.5 * radius * float(_bound_at(loss, end, heads, radius))
    if np.isfinite(spread) and hessian.is_above(spread):
        return flow.keeps(pace, hessian.largest() + spread)
    if np.linalg.norm(slope) > _SLOW or not hessian.is_above(0.0):
        return False
    if not flow.keeps(pace, hessian.largest()):
        return False
    return all(
        hessian.change_to(curvature_at(loss, end + side * axis, heads), axis) <= 0.25
        for axis in _axes(hessian, start - end, slope)
        for side in (1, -1)
    )


def _axes(hessian, axis, slope):
    """Two half-axes of the ellipsoid of equal loss around a minimum: a given one, the longest."""
    solve = hessian.solver()
    if solve is None:
        return
    yield axis
    longest = axis
    for _ in range(8):
        unit = longest / np.linalg.norm(longest)
        longest = solve(unit)
    yield longest * np.sqrt(np.vdot(axis, slope) / np.vdot(longest, unit))
