"""What a branch consists of: critical points on the way, what happens there, and why it ends."""

import dataclasses
import enum
from typing import Any

import numpy as np

from shallows import notebook
from shallows.solve.directions import AbstractDirection
from shallows.symmetry import ReducedLoss, Representation


class BranchOutcome(enum.Enum):
    """Why a branch ends; the value is advice."""

    reached_end = ""
    fold = (
        "The branch turns back here: beyond this parameter it does not exist. "
        "Follow it around with `PseudoArclength(around_folds=True)`."
    )
    neuron_vanished = "A neuron shrinks to zero here, where the loss has no gradient."
    parallel_vectors = (
        "Two neurons become parallel here, where the branch meets points of larger symmetry "
        "and the loss has no third derivatives."
    )
    out_of_steps = "All steps are used. Raise `max_steps`, or ask for a nearer end."
    stalled = (
        "Steps became too short: the curve is not regular here. Start elsewhere, or look "
        "at the last point's smallest trivial eigenvalue for a bifurcation."
    )


class EventKind(enum.Enum):
    """What happens on a branch."""

    fold = "fold"
    """The parameter turns back; an eigenvalue of the trivial component is zero."""
    crossing = "crossing"
    """An eigenvalue crosses zero while the branch goes on: a bifurcation."""


@dataclasses.dataclass(frozen=True)
class Event:
    """A fold, or an eigenvalue that crosses zero."""

    kind: EventKind
    parameter: float
    interval: tuple[float, float]
    """Parameters that enclose it, by signs at both ends (evidence, not proof)."""
    representation: Representation
    factors: tuple[int, ...]
    point: np.ndarray
    """The critical point at `parameter`, about."""
    falls: bool
    """Whether the eigenvalue becomes negative as the branch is followed."""


@dataclasses.dataclass(frozen=True)
class Waypoint:
    """A critical point on a branch."""

    parameter: float
    loss: ReducedLoss
    point: np.ndarray


@dataclasses.dataclass(frozen=True, repr=False)
class Branch:
    """A curve of critical points, what happens on it, and why it ends."""

    direction: AbstractDirection
    points: tuple[Waypoint, ...]
    events: tuple[Event, ...]
    outcome: BranchOutcome

    @property
    def end(self) -> Waypoint:
        """The last point."""
        return self.points[-1]

    def _columns(self) -> dict[str, Any]:
        weights = np.array([[float(x) for x in one.point] for one in self.points])
        each = {f"weight{i}": column for i, column in enumerate(weights.T)}
        return {"parameter": [float(one.parameter) for one in self.points], **each}

    def __repr__(self) -> str:
        met = ", ".join(f"{event.kind.name} at {event.parameter:.6g}" for event in self.events)
        return (
            f"Branch({len(self.points)} points from {self.points[0].parameter:.6g} to "
            f"{self.end.parameter:.6g}, {self.outcome.name}{f'; {met}' if met else ''})"
        )

    def _repr_html_(self) -> str:
        return notebook.page(repr(self), self._columns())

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each point: parameter and weights, in floats.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return notebook.frame(self._columns())
