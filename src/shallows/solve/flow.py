"""Training runs: many starts at once, each followed until it has settled."""

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from shallows import notebook
from shallows.landscape import SquaredLoss
from shallows.model import Network
from shallows.model.network import positive_integer
from shallows.solve.critical import Newton, NewtonOutcome, polish
from shallows.solve.methods import (
    AbstractMethod,
    GradientFlow,
    State,
    check_loss_and_method,
    positive,
)


class Outcome(enum.Enum):
    """How a training run ended; the value is advice."""

    settled = ""
    reached_zero = (
        "The loss is below 1e-10 of the teacher's power and falling ever more slowly along a flat "
        "valley of zeros, as for students with neurons or heads to spare. Its end counts as a "
        "global minimum; for a smaller gradient norm, train on with a smaller `tolerance`."
    )
    out_of_steps = (
        "The run used all its steps before its gradient was small. If it jumps to and fro, the "
        "step is beyond the stability limit 2/λ_max: take a smaller one, or the flow. If it "
        "creeps, raise `max_steps`."
    )
    diverged = "The weights grew without bound. Use a smaller step, e.g. half of it."
    neuron_vanished = (
        "A neuron shrank to zero, where the loss has no gradient. Start from another point."
    )
    at_kink = (
        "The run chatters at a kink of a data set's loss, where the gradient jumps and never "
        "becomes small: for 2000 steps neither loss nor gradient fell. It is close to a minimum "
        "on the kink; a smaller step comes closer."
    )


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where one start ended."""

    start: int
    """Its number among the starts."""
    inner: np.ndarray
    outer: np.ndarray
    outcome: Outcome
    loss: float
    gradient_norm: float
    steps: int
    time: float
    """Flow time, or the number of steps of a descent, before Newton's method took over."""
    polished: bool
    """Whether Newton's method finished the run, from within a trapping bowl."""


@dataclasses.dataclass(frozen=True, repr=False)
class Trajectory:
    """Where a batch of starts ended, in their order; arrays have length 1 for a single start."""

    student: Network
    outcome: tuple[Outcome, ...]
    loss: Float[np.ndarray, " b"]
    gradient_norm: Float[np.ndarray, " b"]
    steps: Int[np.ndarray, " b"]
    time: Float[np.ndarray, " b"]

    def _columns(self) -> dict[str, Any]:
        return {
            "outcome": [outcome.name for outcome in self.outcome],
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            "steps": self.steps,
            "time": self.time,
        }

    def __repr__(self) -> str:
        settled = sum(outcome is Outcome.settled for outcome in self.outcome)
        least = f", losses from {min(self.loss):.6g}" if len(self.loss) else ""
        return f"Trajectory({settled} of {len(self.outcome)} starts settled{least})"

    def _repr_html_(self) -> str:
        return notebook.page(repr(self), {"start": range(len(self.loss)), **self._columns()})

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each start.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return notebook.frame(self._columns())

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` over start, neuron and input, with the weights at the ends.

        **Raises.** `ValueError` if xarray is not installed.
        """
        k, d = self.student.neurons, self.student.inputs
        axes = ("neuron", "output")[: 1 if self.student.outputs is None else 2]
        outer = np.asarray(self.student.outer)
        heads = outer.reshape(-1, *outer.shape[-len(axes) :])
        arrays = {
            "inner": (("start", "neuron", "input"), np.reshape(self.student.inner, (-1, k, d))),
            "outer": (("start", *axes), heads),
        }
        each = {name: (("start",), np.asarray(x)) for name, x in self._columns().items()}
        return notebook.dataset({**each, **arrays})


# Steps between two looks at a lane: short enough to waste little on lanes that have settled. The
# host, whose looks cost a millisecond, is asked when a lane has something to show, and else after
# so many strides.
_CHUNK = {"flow": 20}
_STRIDE = 100
_STRIDES = 10

# Gradient norm below which Newton is tried: from there on nine runs in ten are in a trapping bowl.
# After a failure it is tried again at a third.
_HURDLE = 1e-3

# Share of ½ E f_teacher² below which a loss with a continuum of zeros counts as one of them.
ZERO = 1e-10


def trajectory(
    loss: SquaredLoss,
    start: Network,
    method: AbstractMethod | None = None,
    *,
    tolerance: float = 1e-12,
    newton: bool = True,
    key: Key[Array, ""] | None = None,
    lanes: int | None = None,
) -> Trajectory:
    r"""Train a student, or each of a batch, until its gradient norm is below `tolerance`.

    **Method.** `GradientFlow()`, `GradientDescent(step)` or `StochasticDescent(…)`, exact in the
    law's closed form. With `newton`, Newton's method finishes a run as soon as it is trapped in
    a bowl that holds one minimum (see `Newton`), so that it ends where it would have ended.

    **Determinism.** A start's result depends on the start, the method and its key alone, not on
    the batch: lanes never mix, and every lane is looked at after the same steps.

    **Raises.** `ValueError` for a student that does not fit the loss, `TypeError` for what is no
    loss, student or method. How runs ended is in
    `outcome`. **Cost.** About k²d operations a step and start.
    """
    check_loss_and_method(loss, method)
    loss._check(start)
    single = start.inner.ndim == 2
    inner = np.asarray(start.inner)[None] if single else np.asarray(start.inner)
    outer = np.asarray(start.outer)[None] if single else np.asarray(start.outer)
    if inner.ndim != 3:
        raise ValueError(
            f"Starts must be one network or a list of them, but have batch shape "
            f"{start.inner.shape[:-2]}. Flatten the leading axes."
        )
    keys = jax.random.split(jax.random.key(0) if key is None else key, len(inner))
    runs = endpoints(
        loss, inner, outer, method, keys=keys, tolerance=tolerance, newton=newton, lanes=lanes
    )
    ends = sorted(runs, key=lambda end: end.start)
    w, a = np.stack([e.inner for e in ends]), np.stack([e.outer for e in ends])
    return Trajectory(
        student=Network(w[0] if single else w, a[0] if single else a, activation=loss.activation),
        outcome=tuple(e.outcome for e in ends),
        loss=np.array([e.loss for e in ends]),
        gradient_norm=np.array([e.gradient_norm for e in ends]),
        steps=np.array([e.steps for e in ends]),
        time=np.array([e.time for e in ends]),
    )


def endpoints(
    loss: SquaredLoss,
    inner: Float[np.ndarray, "n k d"],
    outer: Float[np.ndarray, "n k"] | Float[np.ndarray, "n k o"],
    method: AbstractMethod | None = None,
    *,
    keys: Key[Array, " n"],
    tolerance: float = 1e-12,
    newton: bool = True,
    lanes: int | None = None,
) -> Iterator[Endpoint]:
    """Yield the end of each start as soon as it is known, in no particular order.

    A fixed number of lanes takes turns; when a start settles, the next one takes its lane, and
    lanes without a start cost nothing, so that slow starts hold nobody up.
    """
    check_loss_and_method(loss, method)
    how = GradientFlow() if method is None else method
    positive("tolerance", tolerance)
    theta = np.asarray(loss.trained.join(jnp.asarray(inner), jnp.asarray(outer)))
    lanes = _lanes(theta) if lanes is None else positive_integer("lanes", lanes)
    width = min(lanes, len(theta))
    begun = _begun(loss, how, theta, outer, keys, width)
    stride = _CHUNK.get(how.name, _STRIDE)
    newton = newton and loss.is_smooth

    # Near a continuum of zeros descent is only polynomial, and there is nothing more to learn.
    floor = ZERO * teacher_power(loss) if has_continuum(loss, theta.shape[1]) else 0.0

    waiting = iter(range(width, len(theta)))
    where = np.arange(width)  # the start that each lane follows; -1 when there is none left
    state = jax.tree.map(lambda leaf: leaf[:width], begun)
    hurdle = np.full(width, _HURDLE)
    checkpoint = [NO_CHECKPOINT] * width
    # Kinks and zeros are looked for by the host.
    strides = _STRIDES if loss.is_smooth and floor == 0 else 1
    while np.any(where >= 0):
        low = np.maximum(hurdle * newton, tolerance)
        state = _advanced(loss, how, state, np.where(where >= 0, strides, 0), stride, low)
        # One copy to the host.
        now = jax.tree.map(np.array, state)
        with np.errstate(over="ignore", invalid="ignore"):  # a lane that diverges
            size = np.sqrt(np.sum(now.slope**2, axis=(1, 2)))
            vanished = _has_vanished(loss, now.theta)
        zero = _is_zero(loss, state, floor) if floor > 0 else np.zeros(width, dtype=bool)
        tried = newton & (size < hurdle)
        goes_on = (size > tolerance) & (size <= 1e12) & (now.steps < how.max_steps)
        looked_at = ~goes_on | tried | vanished | zero | (not loss.is_smooth)
        refilled = False
        for lane in np.flatnonzero((where >= 0) & looked_at):
            one = jax.tree.map(lambda leaf, lane=lane: leaf[lane], now)
            number, end = int(where[lane]), None
            if tried[lane]:
                hurdle[lane] = size[lane] / 3
                end = _polished(loss, how, one, number, tolerance)
            if end is None:
                idle = False
                if not loss.is_smooth:
                    checkpoint[lane], idle = chatters(loss, one, size[lane], checkpoint[lane])
                flags = (vanished[lane], zero[lane], idle)
                end = _ended(loss, how, one, number, float(size[lane]), tolerance, *flags)
            if end is None:
                continue
            yield end
            where[lane] = next(waiting, -1)
            if where[lane] >= 0:
                fresh = jax.tree.map(lambda leaf, i=where[lane]: leaf[i], begun)
                for old, new in zip(jax.tree.leaves(now), jax.tree.leaves(fresh), strict=True):
                    old[lane] = new
                hurdle[lane] = _HURDLE
                checkpoint[lane] = NO_CHECKPOINT
                refilled = True
        if refilled:
            state = jax.tree.map(jnp.asarray, now)


@jax.jit
def _advanced(loss, how, state, strides, stride, low):
    """Each lane so many strides later, or where its gradient norm is below `low`, or it is lost."""

    def lane(one):
        state, strides, low = one

        def goes_on(carry):
            state, left = carry
            square = jnp.sum(state.slope**2)
            calm = (square > low**2) & (square <= 1e24) & (state.steps < how.max_steps)
            calm &= ~_has_vanished(loss, state.theta)
            return (left > 0) & (calm | (left == strides))

        def later(carry):
            state, left = carry
            batch = how.advance(loss, jax.tree.map(lambda leaf: leaf[None], state), stride)
            return jax.tree.map(lambda leaf: leaf[0], batch), left - 1

        return jax.lax.while_loop(goes_on, later, (state, strides))[0]

    # One after the other, so that a student stays in the fastest cache; an accelerator has no use
    # for one student, and takes all lanes at once.
    if jax.default_backend() == "cpu":
        return jax.lax.map(lane, (state, strides, low))
    return jax.vmap(lane)((state, strides, low))


def recorded(
    loss: SquaredLoss,
    start: Network,
    method: AbstractMethod | None = None,
    *,
    key: Key[Array, ""] | None = None,
    until: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The training curve of one start: times, losses and gradient norms over `until` steps.

    Sampled after 1, 2, 3, 4, 6, 8, 12, 16, … steps, so that a logarithmic axis is evenly filled.
    """
    check_loss_and_method(loss, method)
    how = GradientFlow() if method is None else method
    loss._check_single(start)
    theta = loss.trained.join(start.inner, start.outer)[None]
    keys = (jax.random.key(0) if key is None else key)[None]
    state = how.begin(loss, theta, start.outer[None], keys)
    rows = []
    for stop in _milestones(until):
        taken = int(state.steps[0])
        if stop > taken:
            state = how.advance(loss, state, stop - taken)
        w, a = loss.trained.split(state.theta, state.heads)
        rows.append(
            (
                float(state.time[0]),
                float(loss.value_at(w, a)[0]),
                float(jnp.linalg.norm(state.slope[0])),
            )
        )
    times, losses, sizes = np.array(rows).T
    return times, losses, sizes


def _milestones(until: int) -> Sequence[int]:
    powers = {2**n for n in range(until.bit_length())} | {
        3 * 2**n for n in range(until.bit_length())
    }
    return sorted({0, until} | {n for n in powers if n < until})


def _lanes(theta) -> int:
    _, k, p = theta.shape
    return min(len(theta), lanes_for(k, p, device_memory()))


# Matrices of a lane that live at once, at most: weights, angles, stages and their neighbours.
_LIVING = 100


def lanes_for(neurons: int, width: int, memory: int | None) -> int:
    """Starts that are followed at once; `memory` is that of an accelerator in bytes, None without.

    On a CPU enough for the host's work on a chunk not to count. An accelerator has an eighth of its
    memory filled, with 65 536 lanes at most.
    """
    entries = neurons * max(neurons, width)
    if memory is None:
        return max(4, min(256, 25_600 // entries))
    return max(4, min(65_536, memory // 8 // (8 * _LIVING * entries)))


def device_memory() -> int | None:
    """Bytes that JAX may use on the accelerator it computes on; None if it computes on a CPU."""
    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    known = device.memory_stats() or {}
    return int(known.get("bytes_limit", 2**32))


def _begun(loss, how, theta, outer, keys, width) -> State:
    parts = []
    for i in range(0, len(theta), width):
        # A short last part is filled up, so that one compiled shape serves all.
        index = np.minimum(np.arange(i, i + width), len(theta) - 1)
        part = how.begin(loss, jnp.asarray(theta[index]), jnp.asarray(outer[index]), keys[index])
        parts.append(jax.tree.map(np.asarray, part))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(theta)], *parts)


def _polished(loss, how, one, number, tolerance) -> Endpoint | None:
    # Newton's own tolerance grows with the weights, the run's does not; rounding sets a floor.
    scale = max(1.0, float(np.linalg.norm(one.theta)))
    polisher = Newton(max(1e-15, min(Newton().tolerance, tolerance / scale)))
    theta, outcome, size, _ = polish(loss, one.theta, one.heads, polisher, how, float(one.pace))
    if outcome is not NewtonOutcome.converged or _has_vanished(loss, theta):
        return None
    return _endpoint(loss, one, number, theta, Outcome.settled, size, polished=True)


def _has_vanished(loss, theta):
    """Whether a neuron is zero for all we can tell; the gradient may well vanish with it."""
    if loss.activation.is_smooth:
        return np.zeros(theta.shape[:-2], dtype=bool)
    w = theta[..., : loss.law.inputs]
    return (w * w).sum(axis=-1).min(axis=-1) < 1e-20


def has_continuum(loss: SquaredLoss, neurons: int) -> bool:
    """Whether zeros of the loss come in continua: with neurons or scales to spare.

    Neurons of the teacher that vanish, or are parallel where σ is homogeneous, do not count.
    """
    scales = loss.trained.is_everything and loss.activation.is_homogeneous
    return scales or neurons > _neurons_needed(loss)


def _neurons_needed(loss: SquaredLoss) -> int:
    v, teacher = np.asarray(loss.teacher.inner), loss.teacher
    length = np.linalg.norm(v, axis=1, keepdims=True)
    if not teacher.activation.is_homogeneous or not np.any(length):
        return teacher.neurons
    # 1e-12: what rounding leaves of parallel ones.
    units = (v / np.where(length > 0, length, 1))[length[:, 0] > 0]
    near = np.linalg.norm(units[:, None] - units, axis=-1) < 1e-12
    return len(units) - int(np.sum(np.any(np.tril(near, -1), axis=1)))


def teacher_power(loss: SquaredLoss) -> float:
    """½ E f_teacher²: what losses are small against."""
    nobody, nothing = jnp.zeros_like(loss.teacher.inner[:1]), jnp.zeros(1)
    return float(loss.value_at(nobody, nothing))


@jax.jit
def _value(loss, theta, heads):
    return loss.value_at(*loss.trained.split(theta, heads))


def _is_zero(loss, state, floor) -> np.ndarray:
    return np.asarray(_value(loss, state.theta, state.heads)) <= floor


NO_CHECKPOINT = (0, np.inf, np.inf, np.inf)


def chatters(loss, one, size, checkpoint):
    """A new checkpoint every 2000 steps, and whether nothing was gained since the last.

    The smallest gradient norm of one stretch is compared with that of the stretch before: what
    converges slowly gains, what chatters does not.
    """
    steps, value, before, smallest = checkpoint
    smallest = min(smallest, float(size))
    if one.steps - steps < 2000:
        return (steps, value, before, smallest), False
    now = float(_value(loss, one.theta, one.heads))
    idle = now > (1 - 1e-7) * value and smallest > 0.9 * before
    return (int(one.steps), now, smallest, np.inf), idle


def _ended(loss, how, one, number, size, tolerance, vanished, zero, idle) -> Endpoint | None:
    if not np.isfinite(size) or size > 1e12:
        outcome = Outcome.diverged
    elif vanished:
        outcome = Outcome.neuron_vanished
    elif size <= tolerance:
        outcome = Outcome.settled
    elif zero:
        outcome = Outcome.reached_zero
    elif idle:
        outcome = Outcome.at_kink
    elif one.steps >= how.max_steps:
        outcome = Outcome.out_of_steps
    else:
        return None
    theta = np.nan_to_num(one.theta, nan=0.0, posinf=0.0, neginf=0.0)
    return _endpoint(loss, one, number, theta, outcome, size, polished=False)


def _endpoint(loss, one, number, theta, outcome, size, *, polished) -> Endpoint:
    value, w, a = _network(loss, theta, one.heads)
    return Endpoint(
        start=number,
        inner=np.asarray(w),
        outer=np.asarray(a),
        outcome=outcome,
        loss=float(value),
        gradient_norm=float(size),
        steps=int(one.steps),
        time=float(one.time),
        polished=polished,
    )


@jax.jit
def _network(loss, theta, heads):
    w, a = loss.trained.split(theta, heads)
    return loss.value_at(w, a), w, a
