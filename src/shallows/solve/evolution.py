r"""Paths of ordinary differential equations and of descents, with what happens on the way.

The flows of this room that are not batches of networks are evolutions: among block-symmetric
students, of order parameters, of knots, of linear networks. Each gives a velocity; what they
share is here: steps, events, quantities watched, the whole path.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.integrate
import scipy.optimize
from jaxtyping import Float

from shallows import notebook

Velocity = Callable[[float, np.ndarray], np.ndarray]
# Of time and state: a number, or an array of them.
Function = Callable[[float, np.ndarray], Any]


class Ending(enum.Enum):
    """How an evolution ended; the value is advice."""

    reached_end = ""
    event = "An event that ends the run has happened: the last of `occurrences`."
    out_of_steps = (
        "The run used all its steps, or they shrank to nothing, before its time was over. Look at "
        "`states[-1]`: a stiff velocity wants `Implicit()`, one with kinks an `Event` there."
    )
    sliding = (
        "The velocities on the two sides of an event push against each other: the state slides "
        "along it, which steps cannot follow. End the run there, or `change` the state."
    )
    diverged = "The state grew without bound. Take a smaller step, or end the run by an event."


@dataclasses.dataclass(frozen=True)
class Explicit:
    """Dormand and Prince's method of order 8, with relative error `tolerance` a step."""

    tolerance: float = 1e-10
    max_steps: int = 100_000


@dataclasses.dataclass(frozen=True)
class Implicit:
    """Radau's method of order 5, for stiff velocities: `jacobian(t, y)`, or by differences."""

    tolerance: float = 1e-8
    max_steps: int = 100_000
    jacobian: Callable[[float, np.ndarray], np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happens where `value(t, y)`, or a component of it, passes through zero.

    It is seen where the sign differs between two steps: a double zero inside one is missed.
    """

    name: str
    value: Function
    ends: bool = True
    """Whether the run ends there. Else it begins anew there."""
    direction: int = 0
    """+1 where only a rise through zero counts, −1 where only a fall does."""
    change: Callable[[float, np.ndarray, int], np.ndarray] | None = None
    """The state to go on from, given time, state and component; None where it goes on as it is.

    It is also the place to switch a velocity that has kinks at the event: one that keeps its
    formula until it is told of the crossing is smooth for the integrator, which then keeps its
    order and its steps."""


@dataclasses.dataclass(frozen=True)
class Occurrence:
    """An event that has happened."""

    event: Event
    which: int
    """The component of the event's value."""
    time: float
    state: Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, repr=False)
class Evolution(notebook.AbstractTable):
    """One run: the times and states of its steps, and what happened."""

    times: Float[np.ndarray, " s"]
    states: Float[np.ndarray, "s n"]
    ending: Ending
    occurrences: tuple[Occurrence, ...]
    monitored: Mapping[str, np.ndarray]
    """For each monitor its values at `times`, on the first axis."""
    pieces: tuple[Callable[[np.ndarray], np.ndarray], ...]
    """Between each two times, the state as a function of time (components on the first axis)."""

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` over time: the states, and what was monitored.

        **Raises.** `ValueError` if xarray is not installed.
        """
        watched = {name: np.asarray(values) for name, values in self.monitored.items()}
        arrays = {
            name: (("time", *(f"{name}_{i}" for i in range(1, values.ndim))), values)
            for name, values in watched.items()
        }
        return notebook.dataset(
            {"state": (("time", "component"), self.states), **arrays}, {"time": self.times}
        )

    def at(self, times: "Float[np.ndarray, ' q'] | float") -> np.ndarray:
        """States (q, n) at any times of the run, or the one (n,) at a time; of order 7 or 3.

        **Raises.** `ValueError` for times that the run did not reach.
        """
        wanted = np.asarray(times, dtype=float)
        asked = np.atleast_1d(wanted)
        first, last = self.times[0], self.times[-1]
        slack = 1e-12 * max(abs(first), abs(last))
        if not np.all((asked >= first - slack) & (asked <= last + slack)):
            raise ValueError(
                f"The run goes from time {first:.17g} to {last:.17g}, but was asked for times from "
                f"{np.min(asked):.17g} to {np.max(asked):.17g}. Ask within, or run for longer."
            )
        if not self.pieces:
            return np.broadcast_to(self.states[0], (*wanted.shape, self.states.shape[1]))
        piece = np.clip(np.searchsorted(self.times, asked, side="right") - 1, 0, None)
        piece = np.minimum(piece, len(self.pieces) - 1)
        found = np.empty((len(asked), self.states.shape[1]))
        for i in np.unique(piece):
            found[piece == i] = self.pieces[i](asked[piece == i]).T
        return found.reshape(*wanted.shape, -1)

    def drift(self, monitor: str) -> float:
        """How far a watched quantity moved from its first value, at most.

        For a conserved one it is the quality of the integration.
        """
        values = self.monitored[monitor]
        return float(np.max(np.abs(values - values[0])))

    def __repr__(self) -> str:
        return (
            f"Evolution({len(self.times)} times to {self.times[-1]:.6g}, {self.states.shape[1]} "
            f"numbers, {len(self.occurrences)} events, {self.ending.name})"
        )

    def _columns(self) -> notebook.Columns:
        watched = {name: np.asarray(values) for name, values in self.monitored.items()}
        return {
            "time": self.times,
            **{name: values for name, values in watched.items() if values.ndim == 1},
            **{f"state{i}": column for i, column in enumerate(self.states.T)},
        }

    def _notes(self) -> Sequence[str]:
        return [self.ending.value]


def evolution(
    velocity: Velocity,
    start: Float[np.ndarray, " n"],
    *,
    until: float,
    method: Explicit | Implicit | None = None,
    events: Sequence[Event] = (),
    monitors: Mapping[str, Function] | None = None,
) -> Evolution:
    r"""Follow $\dot y = v(t, y)$ from time 0 to `until`.

    **Events** are located on the dense output to rounding in time. Where several happen within a
    step, the earliest does; where events restart the run, what follows is found from there.

    **Accuracy.** The relative error of a step is the method's `tolerance` (absolute: a hundredth
    of it); in stable directions that of the run is about as large.

    **Raises.** `ValueError` for a start with NaN or infinite entries, or a time that is not
    positive. How it ended is in `ending`. **Cost.** Twelve velocities a step of `Explicit`.
    """
    how = Explicit() if method is None else method
    state = _checked(start)
    if not (np.isfinite(until) and until > 0):
        raise ValueError(f"A run needs a positive, finite time, not {until=}. Use e.g. 100.0.")
    watched = dict(monitors or {})
    times, states, pieces, occurrences = [0.0], [state], [], []
    values: dict[str, list] = {
        name: [np.asarray(value(0.0, state))] for name, value in watched.items()
    }
    solver = _solver(velocity, how, 0.0, state, until)
    signs = [_signs(event, 0.0, state) for event in events]
    ending: Ending | None = None
    while ending is None:
        with np.errstate(over="ignore", invalid="ignore"):
            solver.step()
        if solver.status == "failed" or len(times) > how.max_steps:
            ending = Ending.out_of_steps if np.all(np.isfinite(solver.y)) else Ending.diverged
            break
        piece, time, state = solver.dense_output(), float(solver.t), solver.y.copy()
        first = _first(events, signs, piece, times[-1], time, state)
        if first is not None:
            time, which, component = first
            state, event = piece(time), events[which]
            occurrences.append(Occurrence(event, component, time, state))
            if event.ends:
                ending = Ending.event
            elif event.change is not None:
                state = _checked(event.change(time, state, component))
            elif _slides(occurrences, until):
                ending = Ending.sliding
        elif solver.status == "finished":
            ending = Ending.reached_end
        pieces.append(piece)
        times.append(time)
        states.append(state)
        for name, value in watched.items():
            values[name].append(np.asarray(value(time, state)))
        for i, event in enumerate(events):
            now = _signs(event, time, state)
            # On the event itself the sign is rounding: it is that of the side being entered.
            if first is not None and i == first[1] and event.change is None:
                now[first[2]] = -signs[i][first[2]]
            signs[i] = now
        if first is not None and ending is None:
            if time >= until:
                ending = Ending.reached_end
            else:
                solver = _solver(velocity, how, time, state, until)
    return Evolution(
        np.array(times),
        np.array(states),
        ending,
        tuple(occurrences),
        {name: np.array(value) for name, value in values.items()},
        tuple(pieces),
    )


def descent(
    gradient: Callable[[np.ndarray], np.ndarray],
    start: Float[np.ndarray, " n"],
    *,
    step: "float | Callable[[int, np.ndarray], float]",
    steps: int,
    monitors: Mapping[str, Function] | None = None,
    every: int = 1,
    stop: Callable[[int, np.ndarray], Any] | None = None,
) -> Evolution:
    r"""Descend in discrete time, $y \leftarrow y - \eta\,\nabla(y)$.

    η is `step`, or `step(number, y)`, a function of the step's number. Times are the sums of the
    steps' lengths. Every `every`-th state is kept, with the first and the last; `stop(number, y)`
    is asked there, and where it says so the run ends by the event `stop`.

    **Raises.** `ValueError` as `evolution`.
    """
    state, time = _checked(start), 0.0
    if steps < 1 or every < 1:
        raise ValueError(
            f"A descent needs at least one step and keeps every first or later one, but {steps=} "
            f"and {every=}. Use positive integers."
        )
    watched = dict(monitors or {})
    times, states = [time], [state]
    values: dict[str, list] = {
        name: [np.asarray(value(time, state))] for name, value in watched.items()
    }
    ending, occurrences = Ending.reached_end, []
    for number in range(1, steps + 1):
        length = step(number - 1, state) if callable(step) else step
        with np.errstate(over="ignore", invalid="ignore"):
            state = state - length * gradient(state)
        time += length
        if number % every and number != steps:
            continue
        times.append(time)
        states.append(state)
        for name, value in watched.items():
            values[name].append(np.asarray(value(time, state)))
        if not np.all(np.isfinite(state)):
            ending = Ending.diverged
            break
        if stop is not None and stop(number, state):
            ending = Ending.event
            occurrences.append(Occurrence(Event("stop", lambda t, y: 0.0), 0, time, state))
            break
    kept = np.array(times), np.array(states)
    pieces = tuple(_chord(*kept, i) for i in range(len(times) - 1))
    made = {name: np.array(value) for name, value in values.items()}
    return Evolution(*kept, ending, tuple(occurrences), made, pieces)


def _chord(times, states, i):
    def piece(at):
        share = (np.asarray(at) - times[i]) / (times[i + 1] - times[i])
        return states[i][:, None] + np.multiply.outer(states[i + 1] - states[i], share)

    return piece


def _checked(start) -> np.ndarray:
    state = np.array(start, dtype=float)
    if state.ndim != 1 or not np.all(np.isfinite(state)):
        raise ValueError(
            f"A state is a vector of finite numbers, but one of shape {state.shape} with "
            f"{int(np.sum(~np.isfinite(state)))} that are not finite was given. Flatten it, and "
            f"start where the velocity exists."
        )
    return state


def _solver(velocity, how, time, state, until):
    errors = {"rtol": how.tolerance, "atol": how.tolerance / 100}
    if isinstance(how, Implicit):
        return scipy.integrate.Radau(velocity, time, state, until, jac=how.jacobian, **errors)
    return scipy.integrate.DOP853(velocity, time, state, until, **errors)


def _signs(event, time, state) -> np.ndarray:
    return np.sign(np.atleast_1d(np.asarray(event.value(time, state), dtype=float)))


def _first(events, signs, piece, before, time, state):
    """The time, event and component of the first crossing within a step, or None."""
    found = None
    for i, event in enumerate(events):
        now = _signs(event, time, state)
        crossed = (now != signs[i]) & (signs[i] != 0)
        if event.direction:
            crossed &= now > signs[i] if event.direction > 0 else now < signs[i]
        for component in np.flatnonzero(crossed):
            at = _root(event, component, piece, before, time, signs[i][component])
            if found is None or at < found[0]:
                found = (at, i, int(component))
    return found


def _slides(occurrences, until) -> bool:
    """Whether one component went to and fro four times in no time."""
    last = occurrences[-4:]
    return (
        len(last) == 4
        and len({(id(one.event), one.which) for one in last}) == 1
        and last[-1].time - last[0].time <= 1e-12 * until
    )


def _root(event, component, piece, low: float, high: float, sign: float) -> float:
    """When a component leaves its sign; `high` where the dense output does not see it do so."""

    def function(time):
        value = np.atleast_1d(np.asarray(event.value(time, piece(time)), dtype=float))
        return float(sign * value[component])

    if function(low) <= 0:
        return low
    if function(high) > 0:
        return high
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-300, rtol=1e-15))
