"""The numbers of the atlas page: each case asks the library one thing, and a sweep keeps them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from shallows.atlas.arcs import NamedArc, arcs
from shallows.atlas.extra import continuations
from shallows.atlas.families import Member, member
from shallows.atlas.lines import fitted_line
from shallows.atlas.sheets import sheets
from shallows.atlas.site import (
    DESK,
    CensusTable,
    Plan,
    ShownArc,
    ShownArcs,
    ShownContinuation,
    ShownEntry,
    ShownFit,
    ShownFixedPoint,
    ShownLevel,
    ShownPoint,
    ShownPortrait,
    ShownProof,
    ShownThreshold,
    SiteData,
    from_json,
)
from shallows.atlas.theorems import certified
from shallows.atlas.thresholds import threshold
from shallows.lab import (
    AbstractPlace,
    Case,
    Progress,
    Result,
    Store,
    Study,
    provenance,
    sweep,
)
from shallows.lab.places import HERE
from shallows.solve.chebyshev import Chebyshev
from shallows.solve.line_fit import LineStart
from shallows.solve.symmetric_flow import portrait
from shallows.symmetry import Blocks, ReducedLoss

VERSION = 1
"""Raised whenever a number on the page may move."""

_WINDOW = (-1.1, 1.2, -0.4, 1.1)
_X = (-1.0, -0.6, -0.2, 0.2, 0.6, 1.0)
_Y = (0.2, -0.5, 0.6, 0.5, -0.4, 0.3)
_ON_AN_ARC, _GRID, _KNOTS = 24, 121, 60


def site_data(
    plan: Plan,
    census: CensusTable,
    store: Store,
    *,
    on: AbstractPlace = HERE,
    progress: Callable[[Progress], Any] | None = None,
) -> SiteData:
    """All that the page shows. Each point, each set of arcs, … is one record of the store.

    **Raises.** `ValueError` for a name of no family; a size that a family does not reach is a point
    with its reason. **Cost.** About 1 s for each family and stop, and 5 s where it is a landmark.
    """
    for name in plan.families:
        sheets(name)
    found: dict[str, list[Any]] = {what: [] for what in _MEASURES}
    study = Study("atlas-page", VERSION, measure)
    for record in sweep(study, cases(plan), store, on=on, progress=progress):
        what = record.case.data["what"]
        found[what].append(from_json(_MEASURES[what][0], record.values))
    return SiteData(
        plan.families,
        plan.stops,
        tuple(found["point"]),
        tuple(found["arcs"]),
        tuple(found["threshold"]),
        tuple(found["portrait"]),
        tuple(found["fit"]),
        census,
        provenance(),
    )


def cases(plan: Plan = DESK) -> list[Case]:
    """What there is to ask, the small parts of the page first."""
    spurious = [name for name in plan.families if name != "global"]
    made: list[dict[str, Any]] = [{"what": "portrait", "neurons": k} for k in plan.portraits]
    made += [
        {"what": "fit", "title": title, "scale": scale, "exponent": e, "width": plan.width}
        for title, scale, e in plan.scales
    ]
    made += [{"what": "threshold", "name": name} for name in spurious]
    for k in plan.stops:
        made += [{"what": "point", "name": name, "neurons": k} for name in plan.families]
        only = k not in plan.landmarks
        made += [
            {"what": "arcs", "name": n, "neurons": k, "only_minimising": only} for n in spurious
        ]
    return [Case(data) for data in made]


def measure(case: dict[str, Any]) -> Result:
    """The record of a case."""
    asked = {key: value for key, value in case.items() if key != "what"}
    return Result(dataclasses.asdict(_MEASURES[case["what"]][1](**asked)))


def shown_point(name: str, neurons: int) -> ShownPoint:
    """A family at one size, with its proof and what one more neuron does to it.

    **Raises.** `ValueError` for a name of no family. **Cost.** About 0.5 s.
    """
    sheets(name)
    try:
        found = member(name, neurons)
    except ValueError as error:
        return ShownPoint(name, neurons, str(error))
    levels = tuple(
        ShownLevel(
            float(e.eigenvalue),
            int(e.multiplicity),
            e.representation.value,
            "×".join(found.roles[f] for f in e.factors) or None,
        )
        for e in found.spectrum()
    )
    is_global = name == "global"
    return ShownPoint(
        name=name,
        neurons=neurons,
        reason="",
        loss=found.value,
        smallest_eigenvalue=levels[0].eigenvalue,
        kind=found.kind().value,
        isotropy=found.isotropy,
        flipped=int(found.flipped),
        continues=found.continues,
        sizes=tuple(int(found.blocks.sizes[f]) for f in found.blocks.rows),
        roles=found.roles,
        entries=_entries(found),
        levels=levels,
        proof=None if is_global else _proof(name, neurons),
        continuations=() if is_global else _continuations(found),
    )


def _entries(found: Member) -> tuple[ShownEntry, ...]:
    blocks, words = found.blocks, {True: "diagonal", False: "off-diagonal", None: "all"}
    return tuple(
        ShownEntry(found.roles[o.row], found.roles[o.column], words[o.is_diagonal], value, int(n))
        for o, value, n in zip(blocks.orbits, found.weights, blocks.counts, strict=True)
    )


def _proof(name: str, neurons: int) -> ShownProof:
    made = certified(name, neurons)
    whole = made.as_json()
    return ShownProof(
        made.verdict.value,
        made.statement,
        None if made.index is None else int(made.index),
        _pair(whole["loss"]),
        _pair(whole["smallest_eigenvalue"]),
        made.bits,
    )


def _pair(enclosure: Any) -> tuple[str, ...] | None:
    return None if enclosure is None else tuple(enclosure)


def _continuations(found: Member) -> tuple[ShownContinuation, ...]:
    return tuple(
        ShownContinuation(
            c.how,
            float(c.value),
            c.kind.value,
            c.is_gone,
            None if c.smallest is None else float(c.smallest.eigenvalue),
        )
        for c in continuations(found, 1)
    )


def shown_arcs(name: str, neurons: int, only_minimising: bool) -> ShownArcs:
    """Arcs that cut one neuron (or pair) off a block, along the smallest eigenvalue or along each.

    **Cost.** 0.3 s an arc.
    """
    try:
        found = arcs(name, neurons, cuts=(1,), only_minimising=only_minimising)
    except ValueError as error:
        return ShownArcs(name, neurons, str(error))
    return ShownArcs(name, neurons, "", tuple(_arc(one) for one in found))


def _arc(found: NamedArc) -> ShownArc:
    arc, end, origin = found.arc, found.end, found.origin.value
    chosen = arc.points[:: max(1, len(arc.points) // _ON_AN_ARC)]
    if arc.last is not None:
        chosen = (*chosen, arc.last)
    return ShownArc(
        component=found.departure.representation.value,
        block=found.block,
        eigenvalue=float(arc.eigenvalue),
        is_minimising=found.is_minimising,
        cut=found.cut,
        direction=found.direction,
        isotropy=found.isotropy,
        outcome=arc.outcome.name,
        barrier=float(arc.barrier),
        radii=(0.0, *(float(p.radius) for p in chosen)),
        losses=(origin, *(origin + float(p.rise) for p in chosen)),
        end=None if end is None else end.name,
        end_isotropy=None if end is None else end.isotropy,
        end_loss=None if end is None else end.loss,
        end_kind=None if end is None else end.kind.value,
        end_index=None if end is None else int(end.index),
        distance=None if end is None else float(end.distance),
        certified=None if end is None or end.certified is None else end.certified.value,
    )


def shown_threshold(name: str) -> ShownThreshold:
    """From which real size on the family is a minimum."""
    found = threshold(name)
    return ShownThreshold(name, float(found.neurons), found.representation.value, found.block)


def shown_portrait(neurons: int) -> ShownPortrait:
    """The phase portrait of one size, thinned to what a picture needs."""
    starts = [[1e-3, 0.0], [0.0, 1e-3]]
    made = portrait(ReducedLoss(Blocks((neurons,))), starts, window=_WINDOW)
    x, y, field = made.x[4::8], made.y[4::8], made.velocity[4::8, 4::8]
    speed = np.linalg.norm(field, axis=-1)
    rows, columns = np.nonzero(np.isfinite(speed) & (speed > 0))
    unit = field[rows, columns] / speed[rows, columns, None]
    return ShownPortrait(
        neurons,
        _WINDOW,
        _flat(np.column_stack([x[columns], y[rows], unit])),
        tuple(_flat(_crossings(made.x, made.y, made.velocity[..., i])) for i in range(2)),
        tuple(_flat(line.points) for line in made.separatrices),
        tuple(_flat(run.points) for run in made.runs),
        tuple(
            ShownFixedPoint(p.kind.value, float(p.point[0]), float(p.point[1]), float(p.loss))
            for p in made.fixed
        ),
    )


def _crossings(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where a function on a grid is zero, by linear interpolation along the grid's lines."""
    found = []
    for transposed, f, s, t in ((False, values, x, y), (True, values.T, y, x)):
        low, high = f[:, :-1], f[:, 1:]
        rows, columns = np.nonzero(np.signbit(low) != np.signbit(high))
        a, b = low[rows, columns], high[rows, columns]
        good = np.isfinite(a) & np.isfinite(b)
        rows, columns, a, b = rows[good], columns[good], a[good], b[good]
        along = s[columns] + (s[columns + 1] - s[columns]) * a / (a - b)
        pair = (t[rows], along) if transposed else (along, t[rows])
        found.append(np.column_stack(pair))
    return np.concatenate(found)


def _flat(points: np.ndarray) -> tuple[float, ...]:
    # A pixel is about 1/500 of a picture.
    return tuple(float(f"{v:.5g}") for v in np.asarray(points).ravel())


def shown_fit(title: str, scale: float, exponent: float, width: int) -> ShownFit:
    """A run of a network on six points of a line."""
    made = fitted_line(
        _X,
        _Y,
        LineStart(width, scale, exponent),
        relative_loss=1e-3,
        method=Chebyshev(tolerance=1e-2, max_steps=3000),
        snapshots=60,
    )
    grid = np.linspace(_X[0], _X[-1], _GRID)
    chosen = np.unique(np.linspace(0, made.knots.shape[1] - 1, _KNOTS).astype(int))
    return ShownFit(
        title,
        scale,
        exponent,
        width,
        _X,
        _Y,
        tuple(float(t) for t in made.fit.run.kept_times),
        tuple(0.5 * float(np.sum((f(made.x) - made.y) ** 2)) for f in made.splines),
        tuple(float(t) for t in grid),
        tuple(_flat(f(grid)) for f in made.splines),
        tuple(
            tuple(float(f"{v:.5g}") if math.isfinite(v) else None for v in row[chosen])
            for row in made.knots
        ),
        made.moved,
        made.fit.run.stop.name,
    )


_MEASURES: dict[str, tuple[Any, Callable[..., Any]]] = {
    "portrait": (ShownPortrait, shown_portrait),
    "fit": (ShownFit, shown_fit),
    "threshold": (ShownThreshold, shown_threshold),
    "point": (ShownPoint, shown_point),
    "arcs": (ShownArcs, shown_arcs),
}
