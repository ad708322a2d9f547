r"""Named critical points at any size: `global`, `A`, `I`, `II`, `flipped:P` and `unflipped:Q`.

For as many students as orthonormal teachers, P students can be *flipped*, close to minus a teacher
neuron, and Q = k − P not, with isotropy Δ(S_Q × S_P). For large k there are two such points:
one continues `II` (P = 1) at fixed P, the other one `A` (Q = 0) and `I` (Q = 1) at fixed Q. Each
is a *sheet* over the sizes. Students of the first move by O(P/k) from their teachers; on the
second W is near −I + (2/k) 11ᵀ but for Q students that are put back.

A member is found by following its sheet from where the leading order in 1/k is a safe start for
Newton's method, in floats, and is then computed in balls.
"""

import dataclasses
import functools
import math
from typing import Any

import numpy as np

from shallows.atlas.catalogue import Kind
from shallows.solve.branch import (
    Branch,
    BranchOutcome,
    Event,
    EventKind,
    PseudoArclength,
    branch,
    component_eigenvalues,
    scales,
)
from shallows.solve.critical import NewtonOutcome
from shallows.solve.directions import Resizing, Width
from shallows.solve.symmetric import symmetric_point
from shallows.symmetry import (
    Balls,
    Blocks,
    Eigenvalue,
    ReducedLoss,
    Representation,
    orthonormal_teacher,
    spectrum,
)
from shallows.symmetry.arithmetic import Number

LARGEST = 1e12
"""Neurons up to which members are tested."""
_FLOATS = 2000
"""Neurons up to which a sheet is followed in floats, which lose 1e-16 k² of each weight."""
_SAFE = 10
"""Leading order is a safe start from k = 10 (1 + P) or 10 (1 + Q)."""
_QUICK = PseudoArclength(
    first_step=0.3, longest_step=1.0, tolerance=1e-5, watch=False, around_folds=False
)


@dataclasses.dataclass(frozen=True)
class Member:
    """A family's critical point at one size."""

    name: str
    neurons: float | int
    inputs: float | int
    flipped: float | int
    """How many neurons are close to minus a teacher neuron."""
    loss: ReducedLoss
    point: np.ndarray
    """Balls, one for each orbit of entries of `loss.blocks`; blocks by decreasing size."""
    numbers: Balls
    gradient_norm: float
    roles: tuple[str, ...]
    """What the blocks of neurons are: `unflipped`, `flipped` or `intermediate`."""
    continues: str | None
    """`II` or `A`, whichever of the two sheets it is on, if any."""

    @property
    def blocks(self) -> Blocks:
        """The blocks of neurons and inputs."""
        return self.loss.blocks

    @property
    def isotropy(self) -> str:
        """The group of relabellings, as `shallows.symmetry.isotropy` calls it."""
        sizes = [self.blocks.sizes[f] for f in self.blocks.rows]
        together = "×".join(f"S{_written(n)}" for n in sizes)
        return f"Δ({together})" if len(sizes) > 1 else f"Δ{together}"

    @functools.cached_property
    def value(self) -> float:
        """The loss."""
        with self.numbers.precision():
            value = self.loss.value(self.point, self.numbers)
            return 0.0 if value.contains(0) else float(value)

    @property
    def weights(self) -> tuple[float, ...]:
        """The values on the orbits, each right to the last digit or so."""
        return tuple(float(x) for x in self.point)

    def spectrum(self) -> tuple[Eigenvalue, ...]:
        """All Hessian eigenvalues, in increasing order."""
        return self._spectrum

    @functools.cached_property
    def _spectrum(self) -> tuple[Eigenvalue, ...]:
        with self.numbers.precision():
            return spectrum(self.loss, self.point, self.numbers)

    def kind(self) -> Kind:
        """What its smallest eigenvalue makes it."""
        found = self.spectrum()
        least = float(found[0].eigenvalue)
        if abs(least) <= 1e-12:
            return Kind.degenerate
        return Kind.minimum if least > 0 else Kind.saddle


class _NoMember(Exception):
    """A sheet does not reach this size; the text says why."""


@dataclasses.dataclass(frozen=True)
class _Found:
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

    def at(self, neurons: float | int) -> _Found:
        """The critical point at this size, in balls.

        **Raises.** `_NoMember` where the sheet ends before.
        """
        if neurons <= self.count + 2:
            # Two neurons of the block that changes swap their teachers: another family's point.
            raise _NoMember(f"it needs k > {_written(self.count + 2)}")
        loss = self.problem(neurons)
        if neurons >= self.safe:
            return _solved(loss, self.leading(neurons), tolerance=0.5)
        # The larger sizes are reached from a smaller problem with the same fractions.
        small = min(float(neurons), _FLOATS)
        sheet = dataclasses.replace(self, count=self.count * (small / float(neurons)))
        if sheet.count == self.count:
            sheet = self
        walk = sheet.walk(small, _QUICK)
        if walk.outcome is not BranchOutcome.reached_end:
            raise _NoMember(_told(walk))
        near = walk.end
        scaled = near.point / np.array(scales(near.loss.blocks))
        if self.is_of_second_type and not _is_upright(near.point, near.loss.blocks):
            raise _NoMember(
                "its unflipped neurons turn to each other's teachers, so that there it is no "
                "longer a point with this number of flipped neurons"
            )
        if small == neurons:
            return _solved(loss, near.point, tolerance=1e-3)
        try:
            start = scaled * np.array([float(x) for x in scales(loss.blocks)])
            return _solved(loss, start, tolerance=0.1)
        except _NoMember:  # near a fold
            up = Width(near.loss, None)
            method = dataclasses.replace(_QUICK, tolerance=1e-12)
            numbers = _balls(neurons)
            walk = branch(
                near.point, along=up, begin=small, to=neurons, method=method, numbers=numbers
            )
            if walk.outcome is not BranchOutcome.reached_end:
                raise _NoMember(_told(walk)) from None
            start = np.array([float(x) for x in walk.end.point])
            return _solved(loss, start, tolerance=1e-3)

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

    def at(self, neurons: float | int) -> _Found:
        """See `Sheet`."""
        if self.count < 2 or neurons < self.count + 3:
            raise _NoMember("two neurons at least are flipped, and two are not")
        loss = self.problem(neurons)
        target = tuple(float(n) for n in loss.blocks.sizes)
        # The sheet is a strip; straight ways to large sizes would leave it.
        legs = [sizes for sizes in _STRIP if sum(sizes) < neurons]
        here, point = ReducedLoss(Blocks((13, 6, 1), is_single=(False, False, True))), _BETWEEN
        for sizes in [*legs, target]:
            walk = branch(point, along=Resizing(here, sizes), begin=0, to=1, method=_QUICK)
            if walk.outcome is not BranchOutcome.reached_end:
                at = " × ".join(f"{float(n):.4g}" for n in walk.end.loss.blocks.sizes)
                how = " in a fold" if walk.outcome is BranchOutcome.fold else ""
                raise _NoMember(f"followed from 13 × 6 × 1, the sheet ends{how} near sizes {at}")
            here, point = walk.end.loss, walk.end.point
        return _solved(loss, point, tolerance=1e-3)


# Sizes on the way to larger ones.
_STRIP = ((26.0, 19.0, 1.0), (32.0, 27.0, 1.0))
# Weights of `intermediate:6` at k = 20, as Newton's start.
_BETWEEN = np.array(
    [1.028, -0.0025, 0.028, -0.0539, 0.0121, -0.7462, 0.1992, 0.3298, -0.0712, 0.3751, -0.2612]
)


def _solved(loss: ReducedLoss, start: np.ndarray, tolerance: float | int) -> _Found:
    """Newton's end in balls, if it is near its start in scaled weights."""
    numbers = _balls(loss.blocks.neurons)
    with numbers.precision():
        found = symmetric_point(loss, start, numbers)
    scale = np.array([float(x) for x in scales(loss.blocks)])
    end = np.array([float(x) for x in found.point])
    if found.outcome is not NewtonOutcome.converged:
        raise _NoMember(found.outcome.value)
    if np.max(np.abs(end - start) / scale) > tolerance:
        raise _NoMember("Newton's method leaves its sheet")
    return _Found(found.loss, found.point, numbers, found.gradient_norm)


def sheets(name: str, neurons: float | int | None = None) -> "tuple[Sheet | Intermediate, ...]":
    """Where the family called `name` is looked for, in this order; none for `global`.

    **Convention.** `flipped:P` is on the sheet of `II` wherever that reaches, as a point with P
    flipped neurons; otherwise on the sheet of `A`. `unflipped:Q` is always on the latter.

    **Raises.** `ValueError` for a name that is none, and P or Q out of range.
    """
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
            f"`{name}` needs at least {count} neurons, but there are {_written(neurons)}. "
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


@functools.lru_cache(maxsize=256)
def member(name: str, neurons: float | int, inputs: float | int | None = None) -> Member:
    """The critical point of the family at this size, whole or real.

    `inputs` (default: k) may be larger; on the others all weights are zero.

    **Accuracy.** Each weight, the loss and each eigenvalue to 1e-14 of itself, from where the
    family begins up to k = 10¹².

    **Raises.** `ValueError` where there is no such family, or none of this size, with the reason.
    **Cost.** About 0.1 s for small k, 0.05 s for large.
    """
    _check_size(neurons, inputs)
    k = int(neurons) if float(neurons).is_integer() else float(neurons)
    d = k if inputs is None else int(inputs) if float(inputs).is_integer() else float(inputs)
    candidates = sheets(name, k)
    if not candidates:
        return _exact(name, k, d)
    reasons = []
    for sheet in candidates:
        try:
            return _member(name, k, d, sheet, sheet.at(k))
        except _NoMember as reason:
            reasons.append(f"continued from `{sheet.end}`, {reason}" if sheet.end else str(reason))
    raise ValueError(
        f"There is no `{name}` at k = {_written(k)}: {'; '.join(reasons)}. Use another k."
    )


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Where a family becomes a minimum, as k grows."""

    name: str
    neurons: float | int
    """The real k; above it the family is a minimum."""
    representation: Representation
    """The component of the Hessian whose smallest eigenvalue is zero there."""
    block: str | None
    """Which neurons it moves: `unflipped` or `flipped`, both for a product, None for `trivial`."""
    event: EventKind
    """A `crossing`, or the `fold` in which a family begins as a minimum."""


@functools.lru_cache(maxsize=256)
def threshold(name: str) -> Threshold:
    """The real number of neurons from which on the family is a minimum.

    P is fixed for `flipped:P`, and Q for `unflipped:Q`.

    **Accuracy.** A crossing is right to 1e-14, by bisection in balls; a fold to 1e-12.

    **Raises.** `ValueError` for names of none, for `global` (always a minimum), and for more
    than 10,000 flipped neurons.
    """
    candidates = sheets(name)
    if not candidates:
        raise ValueError(
            f"`{name}` is the global minimum at every k and has no threshold. Ask for "
            f"another family, e.g. `II`."
        )
    (sheet,) = candidates
    if isinstance(sheet, Intermediate):
        raise ValueError(
            f"`{name}` exists for some widths only, and no threshold is defined. "
            f"See its kind at a width, e.g. `member('intermediate:6', 20)`."
        )
    if sheet.count > 10_000:
        raise ValueError(
            f"Thresholds are found for up to 10,000 neurons, but `{name}` fixes {sheet.count}. "
            f"For large P the threshold is a multiple of it; ask for a smaller one."
        )
    walk = sheet.walk(sheet.count + 2 + 1e-3, PseudoArclength(around_folds=False))
    events = [e for e in walk.events if e.falls]
    if not events:
        raise ValueError(
            f"`{name}` is a minimum wherever it exists: {_told(walk)}. It has no threshold."
        )
    event = max(events, key=lambda e: e.parameter)
    where = event.parameter if event.kind is EventKind.fold else _sharpened(sheet, event)
    block = "×".join(sheet.roles[f] for f in event.factors)
    return Threshold(name, where, event.representation, block or None, event.kind)


def _sharpened(sheet: Sheet, event: Event) -> float:
    """The parameter of a crossing, by secants in balls."""
    numbers = _balls(event.parameter)

    def eigenvalue(k):
        loss = sheet.problem(k)
        found = symmetric_point(loss, event.point, numbers)
        values = component_eigenvalues(
            loss, found.point, event.representation, event.factors, numbers
        )
        return min(values, key=abs)

    with numbers.precision():
        k = numbers.numbers([event.parameter, event.parameter * (1 + 1e-9)])
        last, now = k
        before, here = eigenvalue(last), eigenvalue(now)
        for _ in range(8):
            if here == before:
                break
            last, now = now, (now - here * (now - last) / (here - before)).mid()
            before, here = here, eigenvalue(now)
            if abs(float(now - last)) < 1e-20 * event.parameter:
                break
        return float(now)


def _check_size(neurons: float | int, inputs: float | int | None) -> None:
    if not 1 <= neurons <= LARGEST:
        raise ValueError(
            f"A family has between 1 and 10¹² neurons, but {neurons} were asked for. For more, "
            f"see its series in 1/√k."
        )
    if inputs is not None and not neurons <= inputs < math.inf:
        raise ValueError(
            f"There must be at least as many inputs as neurons, but there are {inputs} and "
            f"{neurons}: teacher neurons are orthonormal. Use d ≥ k."
        )


def _exact(name: str, neurons: float | int, inputs: float | int) -> Member:
    """The global minimum W = V."""
    numbers = _balls(neurons)
    with numbers.precision():
        loss = ReducedLoss(Blocks((neurons,)))
        point = numbers.numbers([1 if o.is_diagonal else 0 for o in loss.blocks.orbits])
        loss, point = _widened(loss, point, inputs, numbers)
    return Member(name, neurons, inputs, 0, loss, point, numbers, 0.0, ("unflipped",), None)


def _member(name, neurons, inputs, sheet: Sheet | Intermediate, found: _Found) -> Member:
    """In the order of blocks that members have, the larger first, and with all inputs."""
    blocks, roles = found.loss.blocks, sheet.roles
    order = sorted(range(len(roles)), key=lambda f: -float(blocks.sizes[f]))
    sizes = tuple(blocks.sizes[f] for f in order)
    sorted_blocks = Blocks(sizes, is_single=tuple(blocks.is_single[f] for f in order))
    value = {
        (o.row, o.column, o.is_diagonal): x for o, x in zip(blocks.orbits, found.point, strict=True)
    }
    wanted = sorted_blocks.orbits
    # A block that has shrunk to one neuron has no off-diagonal values, and is fixed from now on.
    point = np.array([value[order[o.row], order[o.column], o.is_diagonal] for o in wanted])
    with found.numbers.precision():
        loss, point = _widened(ReducedLoss(sorted_blocks), point, inputs, found.numbers)
    return Member(
        name,
        neurons,
        inputs,
        sheet.flipped(neurons),
        loss,
        point,
        found.numbers,
        found.gradient_norm,
        tuple(roles[f] for f in order),
        sheet.end,
    )


def _widened(loss: ReducedLoss, point, inputs: float | int, numbers: Balls):
    """The same student with more inputs than it uses."""
    blocks, more = loss.blocks, inputs - loss.blocks.neurons
    if more <= 0:
        return loss, point
    rows, factors = blocks.rows, len(blocks.sizes)
    wide = Blocks(
        (*blocks.sizes, more),
        rows,
        (*rows, factors),
        (*blocks.is_single, more == 1),
    )
    known = {(o.row, o.column, o.is_diagonal): x for o, x in zip(blocks.orbits, point, strict=True)}
    zero = numbers.numbers([0])[0]
    padded = np.array([known.get((o.row, o.column, o.is_diagonal), zero) for o in wide.orbits])
    return ReducedLoss(wide, orthonormal_teacher(wide, rows)), padded


def _is_upright(point, blocks: Blocks) -> bool:
    """Whether the unflipped neurons are nearest to their own teachers."""
    value = {
        (o.row, o.column, o.is_diagonal): float(x)
        for o, x in zip(blocks.orbits, point, strict=True)
    }
    return value[0, 0, True] > abs(value.get((0, 0, False), 0.0))


def _balls(neurons: Number) -> Balls:
    return Balls(128 + math.ceil(8 * math.log2(max(float(neurons), 2))))


def _told(walk: Branch) -> str:
    """Why a walk ended, and where."""
    where = walk.events[-1].parameter if walk.outcome is BranchOutcome.fold else walk.end.parameter
    reason = {
        BranchOutcome.fold: "turns back in a fold",
        BranchOutcome.neuron_vanished: "ends where a neuron vanishes",
        BranchOutcome.parallel_vectors: "ends where two neurons become parallel",
    }.get(walk.outcome, f"is lost ({walk.outcome.value})")
    return f"it {reason} at k = {where:.6g}"


def _written(number: Any) -> str:
    return str(number) if isinstance(number, int) else f"{float(number):.12g}"


@dataclasses.dataclass(frozen=True)
class Compared:
    """A family at one size, or why there is none."""

    name: str
    neurons: float | int
    loss: float | int | None
    smallest_eigenvalue: float | int | None
    representation: Representation | None
    """The component of the smallest eigenvalue."""
    kind: Kind | None
    continues: str | None = None
    reason: str = ""


def compared(name: str, neurons: float | int) -> Compared:
    """What is compared between families: loss, smallest eigenvalue and its component.

    **Raises.** `ValueError` for a name that is none; a size that the family does not reach gives
    a record that says so.
    """
    sheets(name)
    try:
        found = member(name, neurons)
    except ValueError as error:
        return Compared(name, neurons, None, None, None, None, reason=str(error))
    least = found.spectrum()[0]
    return Compared(
        name,
        neurons,
        found.value,
        float(least.eigenvalue),
        least.representation,
        found.kind(),
        found.continues,
    )
