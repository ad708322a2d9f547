r"""The gradient flow among block-symmetric students: a handful of numbers move, at any width.

A fixed-point space is invariant under the flow, and on it the flow is again one of a gradient, in
the metric in which an orbit of n entries has weight n: with the reduced loss ℓ and the counts n,

$$ \dot x_o = -\frac{1}{n_o}\,\frac{\partial \ell}{\partial x_o}. $$

Where two numbers are left the whole flow is a picture, and `portrait` has what it shows.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.optimize
from jaxtyping import Float

from shallows import notebook
from shallows.solve.critical import NewtonOutcome
from shallows.solve.evolution import Ending as RunEnding
from shallows.solve.evolution import Event, Explicit, evolution
from shallows.solve.symmetric import symmetric_point
from shallows.symmetry import ReducedLoss
from shallows.symmetry.arithmetic import Numbers

# A neuron of this length has vanished for all we can tell: the flow has no limit there.
_VANISHED = 1e-10

# A run takes some hundreds.
_MOST_STEPS = 20_000


Window = tuple[float | int, float | int, float | int, float | int]


class Ending(enum.Enum):
    """How a run among block-symmetric students ended; the value is advice."""

    arrived = ""
    settled = "The gradient is below the tolerance: a critical point, which need not be `near`."
    out_of_time = "The run used all its time. Raise `longest`, or start farther from a separatrix."
    neuron_vanished = "A neuron shrank to zero, where the flow has no direction. Start elsewhere."
    out_of_steps = "The run used all its steps, or they shrank to nothing. Loosen `tolerance`."
    left = "The run left the window that was asked for."


@dataclasses.dataclass(frozen=True, repr=False)
class SymmetricTrajectory(notebook.AbstractTable):
    """One run of the flow, with the times and points of its steps."""

    times: Float[np.ndarray, " n"]
    points: Float[np.ndarray, "n o"]
    ending: Ending
    between: Callable[[np.ndarray], np.ndarray]
    """Points (orbits on the first axis) at any times of the run; of order 7."""

    def highest(self, orbit: int) -> float:
        """The largest value that a coordinate takes on the way, also between steps."""
        top = int(np.argmax(self.points[:, orbit]))
        low, high = self.times[max(top - 1, 0)], self.times[min(top + 1, len(self.times) - 1)]
        found = scipy.optimize.minimize_scalar(
            lambda t: -self.between(t)[orbit],
            bounds=(low, high),
            method="bounded",
            options={"xatol": 1e-10 * max(high - low, 1e-300)},
        )
        return float(max(-found.fun, self.points[top, orbit]))

    def __repr__(self) -> str:
        return (
            f"SymmetricTrajectory({len(self.times)} times to {self.times[-1]:.6g}, "
            f"{self.ending.name})"
        )

    def _columns(self) -> notebook.Columns:
        weights = {f"weight{i}": column for i, column in enumerate(self.points.T)}
        return {"time": self.times, **weights}

    def _notes(self) -> Sequence[str]:
        return [self.ending.value]


def velocity(loss: ReducedLoss, point: Float[np.ndarray, "*b o"]) -> Float[np.ndarray, "*b o"]:
    r"""The velocity of the gradient flow in the coordinates, of a point or of each of a batch.

    **Convention.** That of the full flow, $\dot W = -\nabla L$: the reduced gradient divided by
    the counts of the orbits. **Accuracy.** As `ReducedLoss`. NaN at a zero neuron.
    """
    return -loss.gradient(point) / np.asarray(loss.blocks.counts, dtype=float)


def jacobian(loss: ReducedLoss, point: Float[np.ndarray, " o"]) -> Float[np.ndarray, "o o"]:
    """The derivative of `velocity`: similar to a symmetric matrix, so with real eigenvalues."""
    return -loss.hessian(point) / np.asarray(loss.blocks.counts, dtype=float)[:, None]


def symmetric_trajectory(
    loss: ReducedLoss,
    start: Numbers,
    *,
    near: Numbers | None = None,
    within: float = 1e-3,
    longest: float | int = 1e4,
    tolerance: float = 1e-12,
    window: Window | None = None,
    backwards: bool = False,
) -> SymmetricTrajectory:
    r"""The flow from `start` until it is `within` a distance of the point `near`, or settles.

    Distance is Euclidean in the coordinates. It settles where the velocity is below 1e-9. With
    `window` = (x₀, x₁, y₀, y₁) a run of two coordinates ends where it leaves it; `backwards` goes
    against the flow.

    **Accuracy.** Dormand & Prince's method of order 8 with relative error `tolerance` a step: times
    of arrival to about 1e-9 of themselves. It resolves the turn of a short neuron, which takes a
    time of its length, and which a fixed step does not see.

    **Raises.** `ValueError` for a start that does not fit, or with a zero neuron.
    """
    first = np.asarray(start, dtype=float)
    orbits = len(loss.blocks.orbits)
    if first.shape != (orbits,) or not np.all(np.isfinite(first)):
        raise ValueError(
            f"A start has a finite number for each of the {orbits} orbits of entries, but is "
            f"{start!r}. Its coordinates are `loss.blocks.orbits`."
        )
    if _shortest(loss, first) <= _VANISHED:
        raise ValueError(
            f"The flow has no direction at a zero neuron, and the start {first.tolist()} has one. "
            f"Start at a small distance from it, e.g. 1e-3."
        )
    direction = -1.0 if backwards else 1.0
    # A neuron that shrinks to zero is passed by steps longer than it, and then to and fro for
    # ever: the looser the tolerance, the earlier to stop.
    vanished = max(_VANISHED, 10 * tolerance)
    # What is not positive any more ends the run.
    ends: dict[Ending, Callable[[np.ndarray], float]] = {}
    if near is not None:
        target = np.asarray(near, dtype=float)
        ends[Ending.arrived] = lambda x: float(np.linalg.norm(x - target)) - within
    ends[Ending.neuron_vanished] = lambda x: _shortest(loss, x) - vanished
    ends[Ending.settled] = lambda x: float(np.linalg.norm(velocity(loss, x))) - 1e-9
    if window is not None:
        low, high = np.array(window).reshape(2, 2).T
        ends[Ending.left] = lambda x: float(np.min(np.minimum(x - low, high - x)))
    for ending, value in ends.items():
        if value(first) <= 0:
            return SymmetricTrajectory(np.zeros(1), first[None], ending, lambda t: first)
    run = evolution(
        lambda _, x: direction * velocity(loss, x),
        first,
        until=longest,
        method=Explicit(tolerance, _MOST_STEPS),
        events=[Event(ending.name, _of_state(value)) for ending, value in ends.items()],
    )
    if run.ending is RunEnding.event:
        ending = Ending[run.occurrences[-1].event.name]
    elif run.ending is RunEnding.reached_end:
        ending = Ending.out_of_time
    else:
        ending = Ending.out_of_steps
    return SymmetricTrajectory(run.times, run.states, ending, lambda t: run.at(t).T)


def _of_state(value):
    return lambda time, state: value(state)


class Stability(enum.Enum):
    """What the flow does at a fixed point of the plane; in all weights a sink may be a saddle."""

    sink = "sink"
    saddle = "saddle"
    source = "source"


@dataclasses.dataclass(frozen=True)
class FixedPoint:
    """A critical point in the plane of a portrait."""

    point: Float[np.ndarray, " 2"]
    loss: float
    rates: Float[np.ndarray, " 2"]
    """Eigenvalues of the velocity's derivative, in increasing order."""
    directions: Float[np.ndarray, "2 2"]
    """Unit eigenvectors in the columns."""

    @property
    def kind(self) -> "Stability":
        """By the signs of the rates."""
        if self.rates[1] < 0:
            return Stability.sink
        return Stability.saddle if self.rates[0] < 0 else Stability.source


@dataclasses.dataclass(frozen=True, repr=False)
class Portrait(notebook.AbstractTable):
    """The flow of a two-number loss on a window: what a phase portrait shows."""

    loss: ReducedLoss
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " m"]
    velocity: Float[np.ndarray, "m n 2"]
    """On the grid; its zero contours are the nullclines."""
    fixed: tuple[FixedPoint, ...]
    separatrices: tuple[SymmetricTrajectory, ...]
    """Stable curves of the saddles, traced backwards: what parts the basins."""
    runs: tuple[SymmetricTrajectory, ...]

    def __repr__(self) -> str:
        kinds = ", ".join(one.kind.value for one in self.fixed)
        return (
            f"Portrait({len(self.x)} × {len(self.y)} points; runs: {len(self.runs)}; fixed points: "
            f"{kinds or 'none'})"
        )

    def _columns(self) -> notebook.Columns:
        return {
            "x": [one.point[0] for one in self.fixed],
            "y": [one.point[1] for one in self.fixed],
            "loss": [one.loss for one in self.fixed],
            "kind": [one.kind for one in self.fixed],
            "slow_rate": [one.rates[1] for one in self.fixed],
            "fast_rate": [one.rates[0] for one in self.fixed],
        }

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` of the velocity over y, x and component.

        **Raises.** `ValueError` if xarray is not installed.
        """
        arrays = {"velocity": (("y", "x", "component"), self.velocity)}
        return notebook.dataset(arrays, {"x": self.x, "y": self.y, "component": ["x", "y"]})


def portrait(
    loss: ReducedLoss,
    starts: Sequence[Numbers] = (),
    *,
    window: Window = (-0.1, 1.1, -0.1, 1.1),
    resolution: int = 121,
) -> Portrait:
    """The phase portrait of a loss with two coordinates, such as `ReducedLoss(Blocks((k,)))`.

    Fixed points are those that Newton's method finds from the cells of the grid on which both
    components of the velocity change sign: a finer grid may have more.

    **Raises.** `ValueError` for losses with another number of coordinates, and for empty windows.
    """
    if len(loss.blocks.orbits) != 2:
        raise ValueError(
            f"A phase portrait has two coordinates, but this loss has {len(loss.blocks.orbits)}. "
            f"Use e.g. `ReducedLoss(Blocks((k,)))`."
        )
    if not (window[0] < window[1] and window[2] < window[3] and resolution >= 2):
        raise ValueError(
            f"A window is (x0, x1, y0, y1) with x0 < x1 and y0 < y1, and at least 2 × 2 points, "
            f"but this is {window} with {resolution=}. Use e.g. (-0.1, 1.1, -0.1, 1.1)."
        )
    x, y = np.linspace(*window[:2], resolution), np.linspace(*window[2:], resolution)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # the grid may hit a zero neuron
        field = velocity(loss, grid)
    fixed = _fixed_points(loss, x, y, field)
    separatrices = tuple(
        symmetric_trajectory(
            loss,
            one.point + side * 1e-6 * one.directions[:, 0],
            window=window,
            backwards=True,
            tolerance=1e-10,
        )
        for one in fixed
        if one.kind is Stability.saddle
        for side in (1, -1)
    )
    runs = tuple(symmetric_trajectory(loss, start, window=window) for start in starts)
    return Portrait(loss, x, y, field, fixed, separatrices, runs)


def _fixed_points(loss: ReducedLoss, x, y, field) -> tuple[FixedPoint, ...]:
    """Newton's method from each cell of the grid on which both components change sign."""
    corners = np.stack([field[:-1, :-1], field[:-1, 1:], field[1:, :-1], field[1:, 1:]])
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    # At rounding level a zero on the grid has any sign; NaN, at a zero neuron, compares false.
    cells = np.argwhere(np.all((low <= 1e-12) & (high >= -1e-12), axis=-1))
    found: list[np.ndarray] = []
    for row, column in cells:
        start = np.array([x[column : column + 2].mean(), y[row : row + 2].mean()])
        one = symmetric_point(loss, start, max_steps=25)
        if (
            one.outcome is NewtonOutcome.converged
            and x[0] <= one.point[0] <= x[-1]
            and y[0] <= one.point[1] <= y[-1]
            and _shortest(loss, one.point) > 1e-6
            and all(np.linalg.norm(one.point - other) > 1e-6 for other in found)
        ):
            found.append(one.point)
    made = []
    for point in sorted(found, key=lambda p: float(loss.value(p))):
        rates, directions = np.linalg.eig(jacobian(loss, point))
        order = np.argsort(rates.real)
        made.append(
            FixedPoint(
                point, float(loss.value(point)), rates.real[order], directions.real[:, order]
            )
        )
    return tuple(made)


def _shortest(loss: ReducedLoss, point) -> float:
    """The length of the shortest neuron."""
    blocks = loss.blocks
    squares = np.zeros(len(blocks.rows))
    for orbit, count, value in zip(blocks.orbits, blocks.counts, point, strict=True):
        size = blocks.sizes[blocks.rows[orbit.row]]
        squares[orbit.row] += float(count / size) * float(value) ** 2
    return float(np.sqrt(np.min(squares)))
