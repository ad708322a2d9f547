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
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

from shallows import notebook
from shallows.atlas.catalogue import Kind
from shallows.atlas.sheets import (
    FLOATS,
    QUICK,
    Found,
    Intermediate,
    NoMemberError,
    Sheet,
    balls_for,
    sheets,
    solved,
    told,
    written,
)
from shallows.solve.branch import branch
from shallows.solve.directions import Slope
from shallows.solve.waypoints import BranchOutcome
from shallows.symmetry import (
    Balls,
    Blocks,
    ReducedLoss,
    Representation,
    Spectrum,
    orthonormal_teacher,
    spectrum,
)

LARGEST = 1e12
"""Neurons up to which members are tested."""

_DIAGONAL = {True: "yes", False: "no", None: None}


# Equal by identity, since points are arrays, and said in words, since these are balls.
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
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
        together = "×".join(f"S{written(n)}" for n in sizes)
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

    def spectrum(self) -> Spectrum:
        """All Hessian eigenvalues, in increasing order."""
        return self._spectrum

    @functools.cached_property
    def _spectrum(self) -> Spectrum:
        with self.numbers.precision():
            return spectrum(self.loss, self.point, self.numbers)

    def kind(self) -> Kind:
        """What its smallest eigenvalue makes it."""
        found = self.spectrum()
        least = float(found[0].eigenvalue)
        if abs(least) <= 1e-12:
            return Kind.degenerate
        return Kind.minimum if least > 0 else Kind.saddle

    def __repr__(self) -> str:
        size = f"k = {written(self.neurons)}"
        if self.inputs != self.neurons:
            size += f", d = {written(self.inputs)}"
        return f"Member({self.name!r}, {size}, {self.isotropy}, loss {self.value:.6g})"

    def _repr_html_(self) -> str:
        least = float(self.spectrum()[0].eigenvalue)
        notes = [f"{self.kind().value}, smallest Hessian eigenvalue {least:.6g}; weights by orbit:"]
        orbits = self.blocks.orbits
        columns: dict[str, Iterable[Any]] = {
            "block of neurons": [o.row for o in orbits],
            "block of inputs": [o.column for o in orbits],
            "diagonal": [_DIAGONAL[o.is_diagonal] for o in orbits],
            "weight": self.weights,
        }
        return notebook.page(repr(self), columns, notes=notes)


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
        except NoMemberError as reason:
            reasons.append(f"continued from `{sheet.end}`, {reason}" if sheet.end else str(reason))
    raise ValueError(
        f"There is no `{name}` at k = {written(k)}: {'; '.join(reasons)}. Use another k."
    )


@functools.lru_cache(maxsize=256)
def leaking(found: Member, slope: float | int) -> Member:
    """What a member becomes where the activation is max(t, n t), of students and teacher.

    It is followed from the ReLU, n = 0, to n = `slope`. Its name and what is said of flipped
    neurons remain those of the point that it continues.

    **Accuracy.** As `member`.

    **Raises.** `ValueError` for slopes outside (−1, 1), and where the branch ends before, with the
    place. **Cost.** Up to a second.
    """
    if not -1 < slope < 1:
        raise ValueError(
            f"A leaky ReLU has a slope between -1 and 1, where it would be even or linear, but "
            f"{slope} was given. Use e.g. 0.1."
        )
    exact = found.numbers if found.neurons > FLOATS else None
    start = found.point if exact else np.array(found.weights)
    along = Slope(found.loss)
    if found.name == "global":
        return dataclasses.replace(found, loss=along.loss(slope))
    walk = branch(start, along=along, begin=0.0, to=slope, method=QUICK, numbers=exact)
    k = written(found.neurons)
    if walk.outcome is not BranchOutcome.reached_end:
        raise ValueError(
            f"There is no `{found.name}` at k = {k} for a leaky ReLU of slope {slope}: followed "
            f"from the ReLU, {told(walk, 'slope')}. Use a smaller slope."
        )
    try:
        end = solved(walk.end.loss, np.array([float(x) for x in walk.end.point]), 1e-3)
    except NoMemberError as reason:
        raise ValueError(
            f"There is no `{found.name}` at k = {k} for a leaky ReLU of slope {slope}: {reason}."
        ) from None
    return dataclasses.replace(
        found,
        loss=end.loss,
        point=end.point,
        numbers=end.numbers,
        gradient_norm=end.gradient_norm,
    )


def _check_size(neurons: float | int, inputs: float | int | None) -> None:
    for what, size in (("neurons", neurons), ("inputs", 1 if inputs is None else inputs)):
        if not isinstance(size, Real):
            raise TypeError(
                f"The number of {what} is {size!r}, but must be a number. Use e.g. "
                f"`member('II', 10)`."
            )
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
    numbers = balls_for(neurons)
    with numbers.precision():
        loss = ReducedLoss(Blocks((neurons,)))
        point = numbers.numbers([1 if o.is_diagonal else 0 for o in loss.blocks.orbits])
        loss, point = _widened(loss, point, inputs, numbers)
    return Member(name, neurons, inputs, 0, loss, point, numbers, 0.0, ("unflipped",), None)


def _member(name, neurons, inputs, sheet: Sheet | Intermediate, found: Found) -> Member:
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
