"""Points on a line, fitted by a wide network and audited; and how that depends on its start."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.lab import AbstractPlace, Case, Progress, Result, Store, Study, sweep
from shallows.lab.places import HERE
from shallows.model.audit import Audit, audit, clustering
from shallows.model.pieces import (
    LinearSpline,
    linear_interpolant,
    linear_spline,
    natural_cubic,
    samples,
)
from shallows.solve.chebyshev import Chebyshev, Stop
from shallows.solve.line_fit import LineFit, LineStart, line_fit

VERSION = 1
"""Raised whenever the numbers of `measure_fit` may move."""

_GRID = 801
_NEAR, _TOLERANCE = 0.02, 0.01


@dataclasses.dataclass(frozen=True)
class Gap:
    """How far the fit is from another interpolant, between the first and the last sample."""

    rms: float
    largest: float


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FittedLine(notebook.AbstractShown):
    """A fit in the units of its data, with its audit."""

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    start: LineStart
    fit: LineFit
    """In the units it was trained in: x in [−1, 1], y of mean zero and at most 1."""
    splines: tuple[LinearSpline, ...]
    """At each state that was kept."""
    knots: Float[np.ndarray, "q m"]
    """Of each neuron, likewise."""
    audit: Audit
    gaps: Mapping[str, Gap]
    clustering: tuple[float, float]

    @property
    def spline(self) -> LinearSpline:
        """What was fitted."""
        return self.splines[-1]

    @property
    def loss(self) -> float:
        """½ Σ (f − y)²."""
        return 0.5 * float(np.sum((self.spline(self.x) - self.y) ** 2))

    @property
    def relative_loss(self) -> float:
        """The loss as a share of that of the constant mean, where the network starts."""
        return self.loss / (0.5 * float(np.sum((self.y - np.mean(self.y)) ** 2)))

    @property
    def moved(self) -> float:
        """The median distance by which a knot has moved."""
        return float(np.nanmedian(np.abs(self.knots[-1] - self.knots[0])))

    def __repr__(self) -> str:
        return (
            f"FittedLine({len(self.x)} points, {self.start.width} neurons: relative loss "
            f"{self.relative_loss:.3g}, {self.fit.run.stop.name})"
        )

    def _columns(self) -> notebook.Columns:
        gaps = self.gaps.values()
        return {
            "distance to": list(self.gaps),
            "rms": [gap.rms for gap in gaps],
            "largest": [gap.largest for gap in gaps],
        }

    def _notes(self) -> list[str]:
        return [self.fit.advice, repr(self.audit), f"Knots moved by {self.moved:.3g} (median)."]


def fitted_line(
    x: Sequence[float],
    y: Sequence[float],
    start: LineStart,
    *,
    relative_loss: float = 1e-4,
    method: Chebyshev | None = None,
    snapshots: int = 40,
    progress: Callable[[float, float], object] | None = None,
) -> FittedLine:
    """Train in normalised units, and audit in those of the data.

    **Convention.** In the audit a knot counts as at a sample within 2 % of half the range (or a
    third of the least distance of samples), and a rule holds up to 1 % of TV(f′).

    **Raises.** `ValueError` as `samples`, `line_fit`, and where all values are the same.
    """
    u, v = samples(x, y)
    centre, half = (u[0] + u[-1]) / 2, (u[-1] - u[0]) / 2
    offset = float(np.mean(v))
    factor = float(np.max(np.abs(v - offset)))
    if not factor > 1e-12 * abs(offset):
        raise ValueError(
            f"All {len(v)} values are {offset:.6g}: a constant needs no fit. Give other values."
        )
    t, goal = (u - centre) / half, (v - offset) / factor
    whole = 0.5 * float(goal @ goal)
    fit = line_fit(
        t,
        goal,
        start,
        relative_loss=relative_loss,
        method=method,
        snapshots=snapshots,
        progress=None if progress is None else lambda time, loss: progress(time, loss / whole),
    )
    made = tuple(
        linear_spline(fit.loss.network(z)).in_units(centre, half, offset, factor)
        for z in fit.run.kept
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        knots = centre + half * np.array([z[1] / z[0] for z in fit.run.kept])
    near = min(_NEAR * half, float(np.min(np.diff(u))) / 3)
    grid = np.linspace(u[0], u[-1], _GRID)
    others = {"natural cubic": natural_cubic(u, v), "linear interpolant": linear_interpolant(u, v)}
    gaps = {name: _gap(made[-1](grid) - other(grid)) for name, other in others.items()}
    return FittedLine(
        u,
        v,
        start,
        fit,
        made,
        knots,
        audit(made[-1], u, near=near, tolerance=_TOLERANCE),
        gaps,
        clustering(fit.loss.network(fit.end), t),
    )


def _gap(difference) -> Gap:
    return Gap(float(np.sqrt(np.mean(difference**2))), float(np.max(np.abs(difference))))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PhaseMap(notebook.AbstractTable):
    """Fits of the same points from starts of several scales and with several factors.

    Arrays have a row for each exponent and a column for each scale.
    """

    scales: tuple[float, ...]
    """κ, increasing."""
    exponents: tuple[float, ...]
    """e of α(m) = mᵉ, increasing."""
    reached: np.ndarray
    """Whether the loss that was asked for was reached; the other numbers are those at the end."""
    moved: Float[np.ndarray, "e s"]
    """The median distance by which a knot has moved, in units of the data's x."""
    clustering: Float[np.ndarray, "e s"]
    """The share of curvature next to samples; see `clustering`."""
    cubic: Float[np.ndarray, "e s"]
    """The distance (root mean square) to the natural cubic spline."""
    linear: Float[np.ndarray, "e s"]
    """That to the linear interpolant."""
    loss: Float[np.ndarray, "e s"]
    """As a share of that of the constant mean."""
    _NAMES: ClassVar = ("reached", "moved", "clustering", "cubic", "linear", "loss")

    def as_json(self) -> dict[str, Any]:
        """The document that `shallows phases --json` prints."""
        document: dict[str, Any] = {"scales": list(self.scales), "exponents": list(self.exponents)}
        for name in self._NAMES:
            document[name] = getattr(self, name).tolist()
        return document

    def __repr__(self) -> str:
        shape = f"{len(self.exponents)} exponents × {len(self.scales)} scales"
        return f"PhaseMap({shape}, {int(self.reached.sum())} fits reached the loss)"

    def _columns(self) -> notebook.Columns:
        e, s = np.meshgrid(self.exponents, self.scales, indexing="ij")
        each = {name: getattr(self, name).ravel() for name in self._NAMES}
        return {"exponent": e.ravel(), "scale": s.ravel(), **each}

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` over exponent and scale.

        **Raises.** `ValueError` if xarray is not installed.
        """
        arrays = {name: (("exponent", "scale"), getattr(self, name)) for name in self._NAMES}
        return notebook.dataset(arrays, {"exponent": [*self.exponents], "scale": [*self.scales]})


def phase_map(
    x: Sequence[float],
    y: Sequence[float],
    scales: Sequence[float],
    exponents: Sequence[float],
    *,
    width: int = 1000,
    seed: int = 0,
    relative_loss: float = 1e-3,
    max_steps: int = 3000,
    store: Store | None = None,
    on: AbstractPlace = HERE,
    progress: Callable[[Progress], Any] | None = None,
) -> PhaseMap:
    """Fit the points from every scale κ and exponent e, to the same loss.

    Where knots stay the fit is that of a kernel, near a cubic spline; where they move they gather
    at samples, and it is near the linear interpolant. A `store` keeps the fits: a map goes on
    where it was interrupted.

    **Raises.** `ValueError` as `fitted_line`, and for no scale or exponent.
    **Cost.** Seconds a fit at width 1000.
    """
    if not scales or not exponents:
        raise ValueError(
            f"A map needs at least one scale and one exponent, but has {len(scales)} and "
            f"{len(exponents)}. Use e.g. scales (0.7, 7, 70) and exponents (0.5, 1)."
        )
    u, v = samples(x, y)
    columns, rows = sorted({float(k) for k in scales}), sorted({float(e) for e in exponents})
    shared = {
        "x": u.tolist(),
        "y": v.tolist(),
        "width": int(width),
        "seed": int(seed),
        "relative_loss": float(relative_loss),
        "max_steps": int(max_steps),
    }
    for kappa in columns:  # complains before anything is computed
        for exponent in rows:
            LineStart(width, kappa, exponent, seed=seed)
    cases = [Case({**shared, "scale": k, "exponent": e}) for e in rows for k in columns]
    with contextlib.ExitStack() as stack:
        kept = store
        if kept is None:
            kept = Store(stack.enter_context(tempfile.TemporaryDirectory()))
        study = Study("phase-map", VERSION, measure_fit)
        found = [r.values for r in sweep(study, cases, kept, on=on, progress=progress)]

    def table(name):
        return np.array([value[name] for value in found]).reshape(len(rows), len(columns))

    names = ("reached", "moved", "clustering", "cubic", "linear", "loss")
    return PhaseMap(tuple(columns), tuple(rows), *map(table, names))


def measure_fit(case: dict[str, Any]) -> Result:
    """One fit of a map."""
    made = fitted_line(
        case["x"],
        case["y"],
        LineStart(case["width"], case["scale"], case["exponent"], seed=case["seed"]),
        relative_loss=case["relative_loss"],
        method=Chebyshev(tolerance=1e-2, max_steps=case["max_steps"]),
        snapshots=0,
    )
    return Result(
        {
            "reached": made.fit.run.stop is Stop.reached_value,
            "stop": made.fit.run.stop.name,
            "moved": made.moved,
            "clustering": made.clustering[0],
            "cubic": made.gaps["natural cubic"].rms,
            "linear": made.gaps["linear interpolant"].rms,
            "loss": made.relative_loss,
            "drift": made.fit.drift,
        }
    )
