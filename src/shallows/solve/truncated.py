"""Truncated gradient descent, and the plateau that it has to cross.

**Source.** Li, Ma & Zhang (2020), 2007.04596, Algorithm 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.norm_weighted import AbstractNormWeighted
from shallows.solve.evolution import Ending, descent


@dataclass(frozen=True)
class Stage:
    r"""Steps of descent, $w_i \leftarrow w_i - \eta\, m\, \partial L/\partial w_i$, within a bound.

    Neurons with $|w_i|^2 \le$ `bound` move. One that has grown beyond it stays where it
    is until a stage with a larger bound. Without truncation the bound is infinite.
    """

    step: float
    """η."""
    steps: int
    bound: float = math.inf

    def __post_init__(self):
        if not (0 < self.step < math.inf and self.steps > 0 and self.bound > 0):
            raise ValueError(
                f"A stage has a positive step, a positive number of steps and a positive bound of "
                f"|w|², but this has {self.step}, {self.steps} and {self.bound}. Use e.g. "
                f"`Stage(0.2, 10_000, bound=10.0)`."
            )


@dataclass(frozen=True, eq=False, repr=False)
class TruncatedRun(notebook.AbstractTable):
    """The students at some times of a run."""

    times: Float[np.ndarray, " s"]
    """Sums of steps η; the first is 0."""
    students: Float[np.ndarray, "s m d"]
    frozen: Float[np.ndarray, " s"]
    """The share of neurons beyond the bound."""
    ending: Ending

    def __repr__(self) -> str:
        return f"TruncatedRun({len(self.times)} times to {self.times[-1]:.6g}, {self.ending.name})"

    def _columns(self) -> notebook.Columns:
        return {"time": self.times, "frozen": self.frozen}


def truncated_descent(
    loss: AbstractNormWeighted,
    start: Float[np.ndarray, "m d"],
    stages: Sequence[Stage],
    *,
    records: int = 100,
    until: float = 0.0,
) -> TruncatedRun:
    """Descend in stages, with students kept at up to `records` times of each, evenly in log time.

    The run ends by an event where, at a time that is kept, the loss is at most `until`.

    **Raises.** `ValueError` for no stage, and as `descent` for a start that is not finite.
    """
    if not stages:
        raise ValueError("A descent needs a stage. Use e.g. `[Stage(0.2, 10_000)]`.")
    shape, state = start.shape, start.ravel()
    times, states, frozen = [0.0], [state], [_beyond(start, stages[0].bound)]
    ending = Ending.reached_end
    for stage in stages:

        def gradient(y, bound=stage.bound):
            w = y.reshape(shape)
            g = loss.gradient(w)
            if bound < math.inf:
                g[np.einsum("id,id->i", w, w) > bound] = 0.0
            return g.ravel()

        def is_low(number, y):
            with np.errstate(over="ignore", invalid="ignore"):  # a run may be about to diverge
                return until > 0 and loss(y.reshape(shape)) <= until

        done = 0
        for count in np.unique(np.geomspace(1, stage.steps, records).round().astype(int)):
            part = int(count) - done
            ran = descent(gradient, state, step=stage.step, steps=part, every=part, stop=is_low)
            done, state, ending = int(count), ran.states[-1], ran.ending
            times.append(times[-1] + ran.times[-1])
            states.append(state)
            frozen.append(_beyond(state.reshape(shape), stage.bound))
            if ending is not Ending.reached_end:
                return _run(times, states, frozen, ending, shape)
    return _run(times, states, frozen, ending, shape)


@dataclass(frozen=True)
class Plateau:
    """A stay of a loss near a level: between twice and half of it."""

    entry: float
    """When the loss first is at most twice the level; 0 where it starts so."""
    exit: float
    """When it first is at most half of it; infinite where that is not seen."""
    height: float
    """The loss where, in between, its logarithm falls most slowly."""

    @property
    def length(self) -> float:
        """The time in between."""
        return self.exit - self.entry


def plateau(
    times: Float[np.ndarray, " s"], losses: Float[np.ndarray, " s"], level: float | int
) -> Plateau:
    """The plateau of a loss at a level.

    **Accuracy.** Crossings by interpolation of log L in t, so to a fraction of a record's interval.

    **Raises.** `ValueError` for a loss that never is at most twice the level.
    """
    entry, leave = (_passing(times, losses, level * factor) for factor in (2.0, 0.5))
    if math.isinf(entry):
        raise ValueError(
            f"The loss never is at most twice the level {level:.4g}: its least is "
            f"{losses.min():.4g}. Run for longer."
        )
    inside = np.flatnonzero((times >= entry) & (times <= leave))
    if len(inside) < 2:
        return Plateau(entry, leave, float(losses[inside[0]]) if len(inside) else 2.0 * level)
    rate = np.abs(np.diff(np.log(losses[inside])) / np.diff(times[inside]))
    slowest = int(np.argmin(rate))
    return Plateau(entry, leave, float(losses[inside[slowest]]))


def winning_shares(w: Float[np.ndarray, "*b m d"]) -> Float[np.ndarray, "*b m"]:
    """How near each neuron is to one teacher, maxₗ (w̄ᵢ)ₗ²: 1 at a teacher, 0 for a zero neuron."""
    square = w**2
    total = np.sum(square, axis=-1)
    return np.max(square, axis=-1) / np.where(total > 0, total, 1.0)


def _passing(times, losses, level) -> float:
    below = np.flatnonzero(losses <= level)
    if not len(below):
        return math.inf
    i = int(below[0])
    if i == 0:
        return float(times[0])
    high, low = math.log(losses[i - 1]), math.log(losses[i])
    share = (high - math.log(level)) / (high - low)
    return float(times[i - 1] + share * (times[i] - times[i - 1]))


def _beyond(w, bound) -> float:
    return float(np.mean(np.einsum("id,id->i", w, w) > bound))


def _run(times, states, frozen, ending, shape):
    kept = np.array(states).reshape(-1, *shape)
    return TruncatedRun(np.array(times), kept, np.array(frozen), ending)
