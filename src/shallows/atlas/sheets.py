"""Sheets: the branches of critical points that families of members lie on."""

import dataclasses
import math
from typing import Any

import numpy as np

from shallows.solve.branch import PseudoArclength, branch, scales
from shallows.solve.critical import NewtonOutcome
from shallows.solve.directions import Resizing, Width
from shallows.solve.symmetric import symmetric_point
from shallows.solve.waypoints import Branch, BranchOutcome
from shallows.symmetry import (
    Balls,
    Blocks,
    ReducedLoss,
)
from shallows.symmetry.arithmetic import Number

FLOATS = 2000
"""Neurons up to which a sheet is followed in floats, which lose 1e-16 k² of each weight."""
_SAFE = 10
"""Leading order is a safe start from k = 10 (1 + P) or 10 (1 + Q)."""
QUICK = PseudoArclength(
    first_step=0.3, longest_step=1.0, tolerance=1e-5, watch=False, around_folds=False
)


class NoMemberError(Exception):
    """A sheet does not reach this size; the text says why."""


@dataclasses.dataclass(frozen=True)
class Found:
    """Where a sheet is at some sizes."""

    loss: ReducedLoss
    point: np.ndarray
    numbers: Balls
    gradient_norm: float


@dataclasses.dataclass(frozen=True)
class Sheet:
    """Critical points with P flipped and Q unflipped neurons, over the sizes, one of P, Q fixed.

    In these blocks the unflipped come first. A block of one neuron stays one; an empty block is
    left out.
    """

    fixed: str
    """`flipped` for what continues `II`, `unflipped` for what continues `A`."""
    count: float | int
    """P or Q."""

    @property
    def is_of_second_type(self) -> bool:
        """Whether it continues `II`."""
        return self.fixed == "flipped"

    @property
    def end(self) -> str:
        """`II` or `A`, whichever it continues."""
        return "II" if self.is_of_second_type else "A"

    @property
    def safe(self) -> float | int:
        """A size from which the leading order is a safe start."""
        return _SAFE * (1 + self.count)

    @property
    def roles(self) -> tuple[str, ...]:
        """The blocks."""
        return ("flipped",) if self.count == 0 else ("unflipped", "flipped")

    def problem(self, neurons: Number) -> ReducedLoss:
        """The reduced loss at this size."""
        rest, single = neurons - self.count, self.count == 1
        if self.count == 0:
            return ReducedLoss(Blocks((neurons,), is_single=(False,)))
        if self.is_of_second_type:
            return ReducedLoss(Blocks((rest, self.count), is_single=(False, single)))
        return ReducedLoss(Blocks((self.count, rest), is_single=(single, False)))

    def leading(self, neurons: float | int) -> np.ndarray:
        """The weights at leading order in 1/k, right where P/k or Q/k is small."""
        k = float(neurons)
        p = self.count / k if self.is_of_second_type else 1 - self.count / k
        made = []
        for orbit in self.problem(neurons).blocks.orbits:
            row, column = self.roles[orbit.row], self.roles[orbit.column]
            if row != column:
                made.append(
                    (2 - 4 / math.pi * p if row == "unflipped" else 4 / math.pi * (1 - p)) / k
                )
            elif row == "unflipped":
                made.append(1.0 if orbit.is_diagonal else 0.0)
            else:
                made.append(2 / k - 1.0 if orbit.is_diagonal else 2 / k)
        return np.array(made)

    def walk(
        self, to: float | int, method: PseudoArclength, begin: float | int | None = None
    ) -> Branch:
        """The branch along this sheet down from a safe size (or `begin`), in floats."""
        first = self.safe if begin is None else begin
        along = Width(self.problem(first), len(self.roles) - 1 if not self.is_of_second_type else 0)
        start = self.leading(self.safe)
        if first != self.safe:
            start = np.array([float(x) for x in self.at(first).point])
        return branch(start, along=along, begin=first, to=to, method=method)

    def at(self, neurons: float | int) -> Found:
        """The critical point at this size, in balls.

        **Raises.** `NoMemberError` where the sheet ends before.
        """
        if neurons <= self.count + 2:
            # Two neurons of the block that changes swap their teachers: another family's point.
            raise NoMemberError(f"it needs k > {written(self.count + 2)}")
        loss = self.problem(neurons)
        if neurons >= self.safe:
            return solved(loss, self.leading(neurons), tolerance=0.5)
        # The larger sizes are reached from a smaller problem with the same fractions.
        small = min(float(neurons), FLOATS)
        sheet = dataclasses.replace(self, count=self.count * (small / float(neurons)))
        if sheet.count == self.count:
            sheet = self
        walk = sheet.walk(small, QUICK)
        if walk.outcome is not BranchOutcome.reached_end:
            raise NoMemberError(told(walk))
        near = walk.end
        scaled = near.point / np.array(scales(near.loss.blocks))
        if self.is_of_second_type and not _is_upright(near.point, near.loss.blocks):
            raise NoMemberError(
                "its unflipped neurons turn to each other's teachers, so that there it is no "
                "longer a point with this number of flipped neurons"
            )
        if small == neurons:
            return solved(loss, near.point, tolerance=1e-3)
        try:
            start = scaled * np.array([float(x) for x in scales(loss.blocks)])
            return solved(loss, start, tolerance=0.1)
        except NoMemberError:  # near a fold
            up = Width(near.loss, None)
            method = dataclasses.replace(QUICK, tolerance=1e-12)
            numbers = balls_for(neurons)
            walk = branch(
                near.point, along=up, begin=small, to=neurons, method=method, numbers=numbers
            )
            if walk.outcome is not BranchOutcome.reached_end:
                raise NoMemberError(told(walk)) from None
            start = np.array([float(x) for x in walk.end.point])
            return solved(loss, start, tolerance=1e-3)

    def flipped(self, neurons: float | int) -> float | int:
        """P at this size."""
        return self.count if self.is_of_second_type else neurons - self.count


@dataclasses.dataclass(frozen=True)
class Intermediate:
    """P flipped neurons, one between flipped and not, and the others: isotropy Δ(S_Q × S_P × S_1).

    Followed from the point with Q = 13, P = 6 that `discover((13, 6, 1))` finds. The sheet is born
    from that of `A` with P + 1 flipped neurons, one of which leaves the others.

    **Source.** Minima of Safran, Yehudai & Shamir (2020), 2006.01005, whose data have three blocks
    p × 1 × q.
    """

    count: int
    """P."""
    roles = ("unflipped", "flipped", "intermediate")
    end = None

    def problem(self, neurons: Number) -> ReducedLoss:
        """The reduced loss at this size."""
        sizes = (neurons - 1 - self.count, self.count, 1)
        return ReducedLoss(Blocks(sizes, is_single=(False, False, True)))

    def flipped(self, neurons: float | int) -> float | int:
        """P; the one between may or may not be counted by the sign of its diagonal."""
        return self.count

    def at(self, neurons: float | int) -> Found:
        """See `Sheet`."""
        if self.count < 2 or neurons < self.count + 3:
            raise NoMemberError("two neurons at least are flipped, and two are not")
        loss = self.problem(neurons)
        target = tuple(float(n) for n in loss.blocks.sizes)
        # The sheet is a strip; straight ways to large sizes would leave it.
        legs = [sizes for sizes in _STRIP if sum(sizes) < neurons]
        here, point = ReducedLoss(Blocks((13, 6, 1), is_single=(False, False, True))), _BETWEEN
        for sizes in [*legs, target]:
            walk = branch(point, along=Resizing(here, sizes), begin=0, to=1, method=QUICK)
            if walk.outcome is not BranchOutcome.reached_end:
                at = " × ".join(f"{float(n):.4g}" for n in walk.end.loss.blocks.sizes)
                how = " in a fold" if walk.outcome is BranchOutcome.fold else ""
                raise NoMemberError(
                    f"followed from 13 × 6 × 1, the sheet ends{how} near sizes {at}"
                )
            here, point = walk.end.loss, walk.end.point
        return solved(loss, point, tolerance=1e-3)


# Sizes on the way to larger ones.
_STRIP = ((26.0, 19.0, 1.0), (32.0, 27.0, 1.0))
# Weights of `intermediate:6` at k = 20, as Newton's start.
_BETWEEN = np.array(
    [1.028, -0.0025, 0.028, -0.0539, 0.0121, -0.7462, 0.1992, 0.3298, -0.0712, 0.3751, -0.2612]
)


def solved(loss: ReducedLoss, start: np.ndarray, tolerance: float | int) -> Found:
    """Newton's end in balls, if it is near its start in scaled weights."""
    numbers = balls_for(loss.blocks.neurons)
    with numbers.precision():
        found = symmetric_point(loss, start, numbers)
    scale = np.array([float(x) for x in scales(loss.blocks)])
    end = np.array([float(x) for x in found.point])
    if found.outcome is not NewtonOutcome.converged:
        raise NoMemberError(found.outcome.value)
    if np.max(np.abs(end - start) / scale) > tolerance:
        raise NoMemberError("Newton's method leaves its sheet")
    return Found(found.loss, found.point, numbers, found.gradient_norm)


def sheets(name: str, neurons: float | int | None = None) -> "tuple[Sheet | Intermediate, ...]":
    """Where the family called `name` is looked for, in this order; none for `global`.

    **Convention.** `flipped:P` is on the sheet of `II` wherever that reaches, as a point with P
    flipped neurons; otherwise on the sheet of `A`. `unflipped:Q` is always on the latter.

    **Raises.** `ValueError` for a name that is none, and P or Q out of range.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"A family is called by its name, but this is {name!r}. Use e.g. `II`, and give the "
            f"number of neurons after it."
        )
    named = {
        "global": (),
        "A": (Sheet("unflipped", 0),),
        "I": (Sheet("unflipped", 1),),
        "II": (Sheet("flipped", 1),),
    }
    if name in named:
        return named[name]
    kind, _, number = name.partition(":")
    if kind not in ("flipped", "unflipped", "intermediate") or not number.isdecimal():
        raise ValueError(
            f"There is no family called {name!r}. Use `global`, `A`, `I`, `II`, `flipped:P`, "
            f"`unflipped:Q` or `intermediate:P`, with a whole number of neurons for P or Q."
        )
    count = int(number)
    if neurons is not None and not 0 <= count <= neurons:
        letter = "Q" if kind == "unflipped" else "P"
        raise ValueError(
            f"`{name}` needs at least {count} neurons, but there are {written(neurons)}. "
            f"Use 0 ≤ {letter} ≤ k."
        )
    if kind == "intermediate":
        return (Intermediate(count),)
    if kind == "unflipped":
        return () if count == neurons else (Sheet(kind, count),)
    if count == 0:
        return ()
    if neurons is None:
        return (Sheet("flipped", count),)
    return (Sheet("flipped", count), Sheet("unflipped", neurons - count))


def balls_for(neurons: Number) -> Balls:
    """Balls with bits to spare for what sums of k² terms lose."""
    return Balls(128 + math.ceil(8 * math.log2(max(float(neurons), 2))))


def told(walk: Branch, name: str = "k") -> str:
    """Why a walk ended, and where."""
    where = walk.events[-1].parameter if walk.outcome is BranchOutcome.fold else walk.end.parameter
    reason = {
        BranchOutcome.fold: "turns back in a fold",
        BranchOutcome.neuron_vanished: "ends where a neuron vanishes",
        BranchOutcome.parallel_vectors: "ends where two neurons become parallel",
    }.get(walk.outcome, f"is lost ({walk.outcome.value})")
    return f"it {reason} at {name} = {where:.6g}"


def written(number: Any) -> str:
    """A size, for messages."""
    return str(number) if isinstance(number, int) else f"{float(number):.12g}"


def _is_upright(point, blocks: Blocks) -> bool:
    """Whether the unflipped neurons are nearest to their own teachers."""
    value = {
        (o.row, o.column, o.is_diagonal): float(x)
        for o, x in zip(blocks.orbits, point, strict=True)
    }
    return value[0, 0, True] > abs(value.get((0, 0, False), 0.0))
