"""Tangency arcs out of named families: where they lead, and over which barriers.

For each way to leave a family's critical point (see `shallows.solve.arcs`) the arc is followed to
the next critical point on it, which gets its name, its group, its kind and, on request, a proof
that it exists. The *minimising* arcs are those along the smallest eigenvalue: near the point
the loss on small spheres is least there.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from shallows import notebook
from shallows.atlas.catalogue import Kind
from shallows.atlas.families import Member, member
from shallows.atlas.naming import ZERO_LOSS, family_name
from shallows.atlas.sheets import sheets
from shallows.certify import Verdict, certify
from shallows.solve.arcs import Arc, ArcOutcome, Tracing, arc
from shallows.solve.departures import Departure, departures
from shallows.solve.symmetric import SymmetricPoint
from shallows.symmetry import (
    AbstractArithmetic,
    Balls,
    Floats,
    Representation,
    block_isotropy,
    spectrum,
)
from shallows.symmetry.arithmetic import Number

_FLOATS = 100
"""Neurons up to which gradients are computed in floats, which lose 1e-16 k²."""


@dataclasses.dataclass(frozen=True, repr=False)
class ArcEnd:
    """The critical point that an arc meets."""

    name: str
    """That of a known family, or `unnamed:` and its group; see `shallows.atlas.naming`."""
    isotropy: str
    loss: float
    kind: Kind
    index: Number
    """How many Hessian eigenvalues are negative, with multiplicity."""
    distance: float
    """|W − c|, in the Frobenius norm."""
    flipped: Number
    gradient_norm: float
    certified: Verdict | None
    """Whether a proof was found that the point exists; None if nobody asked."""
    point: SymmetricPoint

    def as_json(self) -> dict[str, Any]:
        """As in the document of `shallows arcs --json`."""
        return {
            "name": self.name,
            "isotropy": self.isotropy,
            "loss": self.loss,
            "kind": self.kind.value,
            "index": _whole(self.index),
            "distance": self.distance,
            "flipped": _whole(self.flipped),
            "gradient_norm": self.gradient_norm,
            "certified": None if self.certified is None else self.certified.value,
        }

    def __repr__(self) -> str:
        return f"ArcEnd({self.name!r}, {self.isotropy}, {self.kind.value}, loss {self.loss:.6g})"


@dataclasses.dataclass(frozen=True, repr=False)
class NamedArc(notebook.AbstractTable):
    """An arc out of a family's point, and where it leads."""

    origin: Member
    arc: Arc
    isotropy: str
    """Of the arc's points."""
    end: ArcEnd | None
    """Where `arc.outcome` is `critical_point`."""
    is_minimising: bool
    """Whether it leaves along the smallest eigenvalue."""

    @property
    def departure(self) -> Departure:
        """How it leaves."""
        return self.arc.departure

    @property
    def cut(self) -> str:
        """The sizes of the parts, of one block or two, as in `7+2` or `7+2 × 3+1`."""
        return " × ".join("+".join(map(_written, p)) for p in self.departure.parts.values())

    @property
    def block(self) -> str | None:
        """Which neurons are cut, as in `Member.roles`; None for the trivial component."""
        return "×".join((*self.origin.roles, "unused")[f] for f in self.departure.factors) or None

    @property
    def direction(self) -> str:
        """Which half: `+`, `−`, or `±` where both are relabellings of each other."""
        return "±" if self.departure.is_reversible else "+" if self.departure.sign > 0 else "−"

    def as_json(self) -> dict[str, Any]:
        """As in the document of `shallows arcs --json`."""
        last = self.arc.last
        return {
            "component": self.departure.representation.value,
            "block": self.block,
            "eigenvalue": self.arc.eigenvalue,
            "is_minimising": self.is_minimising,
            "cut": self.cut or None,
            "direction": self.direction,
            "isotropy": self.isotropy,
            "outcome": self.arc.outcome.name,
            "barrier": self.arc.barrier,
            "folds": [fold.radius for fold in self.arc.folds],
            "radius": None if last is None else last.radius,
            "multiplier": None if last is None else last.multiplier,
            "end": None if self.end is None else self.end.as_json(),
        }

    def __repr__(self) -> str:
        end, leaves = self.end, " ".join(filter(None, (self.cut, self.direction)))
        where = self.arc.outcome.name
        if end is not None:
            where = f"{end.name} ({end.kind.value}) at distance {end.distance:.6g}"
        return (
            f"NamedArc({self.origin.name!r}, k = {_written(self.origin.neurons)}, "
            f"{self.departure.representation.value} {leaves} → {where})"
        )

    def _columns(self) -> notebook.Columns:
        return self.arc._columns()

    def _notes(self) -> Sequence[str]:
        return [f"Barrier {self.arc.barrier:.6g}. {self.arc.outcome.value}"]


def arcs(
    name: str,
    neurons: float | int,
    *,
    cuts: Sequence[int] | None = None,
    only_minimising: bool = False,
    method: Tracing | None = None,
    with_proofs: bool = True,
    progress: Callable[[int, int], Any] | None = None,
) -> tuple[NamedArc, ...]:
    """The tangency arcs out of a family's critical point, by increasing eigenvalue.

    One for each eigenvalue of the Hessian, cut of its block, and half; `cuts` as in
    `shallows.solve.arcs.departures`. `progress` is called with the number of arcs done, and of all.

    **Accuracy.** Ends are polished: in floats up to k = 100, in the member's balls beyond. Kinds
    and indices are signs of floating-point eigenvalues, unless `certified`.

    **Raises.** `ValueError` where there is no such family, or none of this size, for `global`,
    where neurons meet their teachers and the loss has no third derivatives, and for
    cuts that no block has.

    **Cost.** About 0.3 s an arc, whatever k is.
    """
    if not sheets(name, neurons):
        raise ValueError(
            f"`{name}` at k = {neurons:g} is the global minimum, where neurons are parallel to "
            f"their teachers and the loss has no third derivatives: arcs are not followed there. "
            f"Ask for another family, e.g. `II`."
        )
    origin = member(name, neurons)
    numbers = _numbers(origin)
    start = numbers.numbers(origin.point if isinstance(numbers, Balls) else origin.weights)
    ways = list(departures(origin.loss, start, numbers, cuts=cuts))
    least = origin.spectrum()[0]
    lowest = (least.representation, least.factors)
    if only_minimising:
        ways = [d for d in ways if _is_lowest(d, lowest)]
    if not ways:
        raise ValueError(
            f"With cuts {tuple(cuts or ())} there is no direction to leave `{name}` at k = "
            f"{neurons:g} in. Parts have at most half the places of a block: use smaller ones."
        )
    made: list[NamedArc] = []
    proofs: dict[tuple[str, str], Verdict] = {}
    for i, way in enumerate(ways):
        found = arc(origin.loss, start, way, method=method, numbers=numbers)
        end = _end(origin, found, proofs if with_proofs else None)
        group = _isotropy_on(found)
        made.append(NamedArc(origin, found, group, end, _is_lowest(way, lowest)))
        if progress is not None:
            progress(i + 1, len(ways))
    return tuple(sorted(made, key=lambda a: a.arc.eigenvalue))


def _is_lowest(way: Departure, lowest) -> bool:
    return way.rank == 0 and (way.representation, way.factors) == lowest


def _numbers(origin: Member) -> Floats | Balls:
    return Floats() if float(origin.neurons) <= _FLOATS else origin.numbers


@dataclasses.dataclass(frozen=True, repr=False)
class ArcsCompared(notebook.AbstractTable):
    """The minimising arcs of a family at one size, or why there are none."""

    name: str
    neurons: float | int
    eigenvalue: float | None
    representation: Representation | None
    """The component of the smallest eigenvalue."""
    arcs: tuple[NamedArc, ...]
    """Those along it."""
    reason: str = ""

    @functools.cached_property
    def lowest(self) -> NamedArc | None:
        """Of those that meet a critical point, the one with the lowest barrier."""
        met = [a for a in self.arcs if a.end is not None]
        return min(met, key=lambda a: a.arc.barrier, default=None)

    @functools.cached_property
    def nearest(self) -> NamedArc | None:
        """The one whose end is nearest."""
        met = [a for a in self.arcs if a.end is not None]
        return min(met, key=lambda a: a.end.distance if a.end else math.inf, default=None)

    def __repr__(self) -> str:
        why = f": {self.reason}" if self.reason else ""
        return f"ArcsCompared({self.name!r}, k = {self.neurons}, {len(self.arcs)} arcs{why})"

    def _columns(self) -> notebook.Columns:
        ends = [one.end for one in self.arcs]
        return {
            "cut": [one.cut for one in self.arcs],
            "direction": [one.direction for one in self.arcs],
            "barrier": [one.arc.barrier for one in self.arcs],
            "end": [None if end is None else end.name for end in ends],
            "kind": [None if end is None else end.kind for end in ends],
            "distance": [None if end is None else end.distance for end in ends],
        }


def arcs_compared(
    name: str,
    neurons: float | int,
    *,
    cuts: Sequence[int] | None = None,
    method: Tracing | None = None,
    with_proofs: bool = False,
) -> ArcsCompared:
    """What is compared between families: the component, barriers and distances of minimising arcs.

    **Raises.** `ValueError` for a name that is none; a size that the family does not reach gives
    a record that says so.
    """
    sheets(name)
    try:
        found = arcs(
            name,
            neurons,
            cuts=cuts,
            only_minimising=True,
            method=method,
            with_proofs=with_proofs,
        )
    except ValueError as error:
        return ArcsCompared(name, neurons, None, None, (), str(error))
    least = member(name, neurons).spectrum()[0]
    return ArcsCompared(name, neurons, float(least.eigenvalue), least.representation, found)


def _end(origin: Member, found: Arc, proofs: dict | None) -> ArcEnd | None:
    if found.outcome is not ArcOutcome.critical_point or found.end is None or found.last is None:
        return None
    point, numbers = found.end, found.end.numbers
    with numbers.precision():
        value = max(float(point.loss.value(point.point, numbers)), 0.0)
        levels = spectrum(point.loss, point.point, numbers)
        power = float(point.loss.value(numbers.numbers([0] * len(point.point)), numbers))
    small = 1e-9
    values = [(float(e.eigenvalue), e.multiplicity) for e in levels]
    kind = Kind.minimum if values[0][0] > small else Kind.saddle
    # As in `discover`: not regular within rounding.
    if min(abs(x) for x, _ in values) <= small:
        kind = Kind.degenerate
    group, flipped = block_isotropy(point.loss.blocks, point.point)
    known = _named(origin, group, flipped, value, value < _zero(numbers) * power)
    certified = None
    if proofs is not None:
        key = (group, f"{value:.9e}")
        if key not in proofs:
            proofs[key] = _certified(point)
        certified = proofs[key]
    return ArcEnd(
        name=known,
        isotropy=group,
        loss=value,
        kind=kind,
        index=sum(n for x, n in values if x < -small),
        distance=found.last.radius,
        flipped=flipped,
        gradient_norm=point.gradient_norm,
        certified=certified,
        point=point,
    )


def _zero(numbers: AbstractArithmetic) -> float:
    """Relative to ½ E f_t², below which a loss is zero to working accuracy."""
    return 1e-25 if isinstance(numbers, Balls) else ZERO_LOSS


def _named(origin: Member, group: str, flipped, value: float, is_global: bool) -> str:
    k = origin.neurons
    if not isinstance(k, int) or origin.inputs != k or not isinstance(flipped, int):
        return "global" if is_global else f"unnamed:{group}"
    return family_name(group, flipped, k, k, is_global=is_global, loss=value)


def _certified(point: SymmetricPoint) -> Verdict:
    """The verdict on the point itself; real sizes and other teachers are undecided."""
    bits = 192 + math.ceil(8 * math.log2(max(float(point.loss.blocks.neurons), 2)))
    try:
        return certify(point.loss, point.point.tolist(), bits=bits).verdict
    except ValueError:
        return Verdict.UNDECIDED


def _isotropy_on(found: Arc) -> str:
    """The group of the arc's points: of one far from both ends."""
    if not found.points:
        return "unknown"
    point = found.points[len(found.points) // 2].point
    return block_isotropy(found.loss.blocks, point)[0]


def _written(number: Number) -> str:
    return f"{float(number):.12g}"


def _whole(number: Number) -> int | float:
    return number if isinstance(number, int) else float(number)
