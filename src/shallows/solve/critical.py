r"""Critical points: Newton's method, and the test that it ends where the flow would."""

import dataclasses
import enum
import functools
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl
from jaxtyping import Float

from shallows import notebook
from shallows.landscape import SquaredLoss
from shallows.model import Network
from shallows.model.network import positive_integer
from shallows.solve.curvature import curvature_at
from shallows.solve.methods import AbstractMethod, GradientFlow, check_loss_and_method, positive

# Steps with an old factorisation that cost as much as a new one: it is renewed if more are needed.
_WORTH = 6

# How nearly linear the gradient must be in a trapping bowl (see `Newton`), and the half-axis of
# the ellipsoid on which that is tested, in units of the start's distance: √((1 + η)/(1 − η)).
_STRAIGHT = 1 / 4
_MARGIN = 1.3


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
    lies in a trapping bowl around it. Let A be the Hessian at the start, |x|² = xᵀAx and
    |g|² = gᵀA⁻¹g. If |∇L(x) − A(x − θ*)| ≤ η |x − θ*| on the ellipsoid of all x with
    (1 − η) |x − θ*|² ≤ (1 + η) |θ − θ*|², for an η < 1, then from θ* the loss rises in every
    direction, the runs that start at θ stay in the ellipsoid, since their loss falls, and they
    end at θ*. That is tested with η = 1/4 at six points where it is most likely to fail:
    evidence, not a proof. For a descent the step must also be below 2/λ_max.

    With `basin=False` it is the plain iteration and may find any critical point, saddles
    included.
    """

    tolerance: float = eqx.field(static=True)
    """Gradient norm at which it stops."""
    basin: bool = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(self, tolerance: float = 1e-13, *, basin: bool = True, max_steps: int = 30):
        self.tolerance = positive("tolerance", tolerance)
        self.basin, self.max_steps = bool(basin), positive_integer("max_steps", max_steps)


@dataclasses.dataclass(frozen=True, repr=False)
class CriticalPoint(notebook.AbstractShown):
    """Where Newton's method ended."""

    student: Network
    outcome: NewtonOutcome
    gradient_norm: float
    steps: int
    distance: float
    """From the start, in the Frobenius norm of the trained parameters."""

    def __repr__(self) -> str:
        return (
            f"CriticalPoint({self.outcome.name}: gradient norm {self.gradient_norm:.3g} after "
            f"{self.steps} steps, {self.distance:.6g} from the start)"
        )

    def _notes(self) -> Sequence[str]:
        return [self.outcome.value]

    def _picture(self) -> str:
        return notebook.picture_of(np.asarray(self.student.inner))


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
    check_loss_and_method(loss, along)
    if not isinstance(method, Newton | None):
        raise TypeError(
            f"`method` is a {type(method).__name__}, but critical points are found by Newton's "
            f"method. Use `Newton()`, or `trajectory` with your method."
        )
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
    heads: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"],
    how: Newton,
    flow: AbstractMethod,
    pace: float,
) -> tuple[Float[np.ndarray, "k p"], NewtonOutcome, float, int]:
    """`critical_point` on arrays: the end, the outcome, the gradient norm there, the steps."""
    # BLAS's own threads would wait for, and on, XLA's: 20 ms for a factorisation of 1 ms.
    with one_blas_thread():
        return _polish(loss, theta, heads, how, flow, pace)


def one_blas_thread():
    """A context in which BLAS has one thread."""
    return _blas().limit(limits=1, user_api="blas")


@functools.cache
def _blas():
    return threadpoolctl.ThreadpoolController()


def _polish(loss, theta, heads, how, flow, pace):
    if not loss.is_smooth:
        size = float(np.linalg.norm(_slope_of(loss, heads)(theta)))
        return theta, NewtonOutcome.at_kink, size, 0
    if not how.basin:
        return _iterate(loss, theta, heads, how)
    end, size, steps = _trapped(loss, theta, heads, how, flow, pace)
    if end is None:
        return theta, NewtonOutcome.outside_basin, size, 0
    return end, NewtonOutcome.converged, size, steps


def _iterate(loss, first, heads, how):
    """Newton's iteration with a factorised Hessian that is renewed where that pays."""
    slope_at = _slope_of(loss, heads)
    theta, slope = first, slope_at(first)
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
            solve = curvature_at(loss, theta, heads).solver()
            if solve is None:
                return theta, NewtonOutcome.singular, size, steps
        previous = size
        theta = theta - solve(slope)
        slope = slope_at(theta)
    return theta, NewtonOutcome.out_of_steps, size, how.max_steps


def _trapped(loss, start, heads, how, flow, pace):
    """The minimum in whose trapping bowl the start is, or None; gradient norm and steps.

    One Hessian and one factorisation serve for everything, since a bowl is where it changes little.
    """
    slope_at = _slope_of(loss, heads)
    theta, slope = start, slope_at(start)
    size = float(np.linalg.norm(slope))
    nowhere = None, size, 0
    tolerance = how.tolerance * max(1.0, float(np.linalg.norm(start)))
    hessian = curvature_at(loss, start, heads)
    solve = hessian.solver() if hessian.is_above(0.0) else None
    if solve is None:
        return nowhere
    lengths = []
    for steps in range(how.max_steps + 1):
        if size <= tolerance:
            bend = _bend(loss, start, theta, slope_at, hessian, solve) if steps else 0.0
            limit = flow.stiffest(pace)
            trapped = bend <= _STRAIGHT and hessian.is_below(limit / (1 + bend))
            return (theta, size, steps) if trapped else nowhere
        change = solve(slope)
        lengths.append(math.sqrt(max(np.vdot(change, slope), 0.0)))
        # After one step this is the defect that `_bend` is about, at the point reached.
        hopeless = steps == 1 and lengths[1] > _STRAIGHT * lengths[0]
        if hopeless or not math.isfinite(lengths[-1]):
            return nowhere
        theta = theta - change
        slope = slope_at(theta)
        size = float(np.linalg.norm(slope))
    return nowhere


def _slope_of(loss, heads):
    """The gradient as a function of θ. Called a dozen times, it takes the loss apart but once."""
    leaves, structure = jax.tree.flatten((loss, heads))
    compiled = _compiled(structure)
    return lambda theta: np.asarray(compiled(leaves, theta))


@functools.cache
def _compiled(structure):
    @jax.jit
    def slope(leaves, theta):
        loss, heads = jax.tree.unflatten(structure, leaves)
        return loss.gradient_at(*loss.trained.split(theta, heads))

    return slope


def _bend(loss, start, end, slope_at, hessian, solve):
    """The largest defect |∇L(x) − A(x − θ*)| / |x − θ*| that is found on the ellipsoid."""
    # No neuron may pass through zero on the way, beyond which is another landscape.
    shortest = np.min(np.linalg.norm(end[:, : loss.law.inputs], axis=-1))
    axis = start - end
    radius = _MARGIN * math.sqrt(np.vdot(axis, hessian.times(axis)))
    longest = axis
    for _ in range(4):
        longest = solve(longest / np.linalg.norm(longest))
    bend = 0.0
    for x, rounds in ((axis, 1), (longest, 2)):
        for _ in range(rounds):
            force = hessian.times(x)
            square = float(np.vdot(x, force))
            if not square > 0:  # a quadratic loss does not bend
                break
            scale = radius / math.sqrt(square)
            x, force = scale * x, scale * force
            if not loss.activation.is_smooth and np.linalg.norm(x) > 0.5 * shortest:
                return math.inf
            defects = slope_at(end + x) - force, slope_at(end - x) + force
            moves = [solve(defect) for defect in defects]
            squares = [np.vdot(*pair) for pair in zip(defects, moves, strict=True)]
            bend = max(bend, math.sqrt(max(*squares, 0.0)) / radius)
            if not bend <= _STRAIGHT:
                return math.inf
            # A power method for the third derivative: towards where the gradient bends most.
            x = moves[0] + moves[1]
    return bend
