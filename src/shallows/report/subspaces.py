"""Boundaries of classifiers across the subspace of their data, and how far off points flip."""

import dataclasses
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from shallows.report import scales
from shallows.report.figures import _STYLE, _figure

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE)
_DASHES = ("--", ":", "-.")


@dataclasses.dataclass(frozen=True, eq=False)
class BoundaryPanel:
    """Outputs of one network in a plane, and data in it."""

    title: str
    u: Float[np.ndarray, " s"]
    v: Float[np.ndarray, " t"]
    outputs: Float[np.ndarray, "s t"]
    points: Float[np.ndarray, "n 2"]
    labels: Float[np.ndarray, " n"]
    axes: tuple[str, str] = ("x₁", "x₂")


@dataclasses.dataclass(frozen=True, eq=False)
class DistanceMap:
    """How far from a plane of data the nearest change of sign is, at places of it."""

    title: str
    u: Float[np.ndarray, " s"]
    v: Float[np.ndarray, " t"]
    distances: Float[np.ndarray, "s t"]
    """Infinity where there is none."""
    points: Float[np.ndarray, "n 2"]
    labels: Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, eq=False)
class OffCurve:
    """One quantity at several places."""

    label: str
    x: Float[np.ndarray, " s"]
    y: Float[np.ndarray, "r s"]
    """A row for each seed, or one row for a line of theory."""
    is_theory: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class OffPanel:
    """Quantities with both axes in common, logarithmic ones."""

    title: str
    axis: str
    curves: tuple[OffCurve, ...]


Panel = BoundaryPanel | DistanceMap | OffPanel


def subspace_figure(panels: Sequence[Panel], *, columns: int = 3) -> Figure:
    """Panels of boundaries, maps of distances and curves, some `columns` in a row.

    Blue is where a network says −1 and red where it says +1, its boundary is black; points that it
    gets wrong do not lie on their colour. Of curves, dots are seeds, lines their medians and dashes
    theory. In maps, light is near.

    **Convention.** 2.4 inches a panel. **Raises.** `ValueError` for no panel, or more than nine.
    """
    if not 1 <= len(panels) <= 9:
        raise ValueError(
            f"A figure has one to nine panels, but {len(panels)} were given. Make several."
        )
    columns = min(len(panels), columns)
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(2.4 * columns, 2.45 * rows)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            match panel:
                case BoundaryPanel():
                    _draw_boundary(axes, panel)
                case DistanceMap():
                    _draw_map(figure, axes, panel)
                case OffPanel():
                    _draw_curves(axes, panel)
            axes.set_title(panel.title, loc="left")
        for axes in grid[len(panels) :]:
            axes.remove()
    return figure


def _draw_boundary(axes: Axes, panel: BoundaryPanel) -> None:
    colours = LinearSegmentedColormap.from_list("sign", scales.DIVERGING)
    # Signs are what matters: the scale saturates early.
    limit = float(np.quantile(np.abs(panel.outputs), 0.6)) or 1.0
    axes.pcolormesh(
        panel.u, panel.v, panel.outputs.T, cmap=colours, vmin=-limit, vmax=limit,
        shading="gouraud", rasterized=True,
    )  # fmt: skip
    axes.contour(panel.u, panel.v, panel.outputs.T, levels=[0.0], colors="#222222", linewidths=1.2)
    _draw_points(axes, panel.points, panel.labels)
    axes.set(xlabel=panel.axes[0], ylabel=panel.axes[1], aspect="equal")


def _draw_map(figure: Figure, axes: Axes, panel: DistanceMap) -> None:
    logs = np.log10(np.maximum(panel.distances, 1e-4))
    shown = np.where(np.isfinite(logs), logs, np.nan)
    low, high = -2.0, 1.0
    image = axes.pcolormesh(
        panel.u, panel.v, shown.T, cmap="viridis_r", vmin=low, vmax=high, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    axes.set_facecolor(scales.LIGHT)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, ticks=[-2, -1, 0, 1])
    bar.ax.set_yticklabels(["≤ 0.01", "0.1", "1", "≥ 10"], fontsize=6.5)
    _draw_points(axes, panel.points, panel.labels)
    axes.set(xlabel="x₁", ylabel="x₂", aspect="equal")


def _draw_points(axes: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    for sign, end in ((-1.0, 0), (1.0, -1)):
        chosen = points[labels == sign]
        axes.plot(
            chosen[:, 0], chosen[:, 1], "o" if sign > 0 else "s", ms=4, mec="white", mew=0.7,
            color=scales.DIVERGING[end][1],
        )  # fmt: skip


def _draw_curves(axes: Axes, panel: OffPanel) -> None:
    measured = [one for one in panel.curves if not one.is_theory]
    theory = [one for one in panel.curves if one.is_theory]
    for one, colour in zip(measured, _COLOURS, strict=False):
        places = np.broadcast_to(one.x, one.y.shape)
        axes.plot(places.ravel(), one.y.ravel(), "o", color=colour, ms=2.2, mec="none", alpha=0.5)
        axes.plot(one.x, np.median(one.y, axis=0), color=colour, lw=1.2, label=one.label)
    for one, dashes in zip(theory, _DASHES, strict=False):
        axes.plot(
            one.x, np.median(one.y, axis=0), color="#222222", lw=0.9, ls=dashes, label=one.label
        )
    axes.set(xscale="log", yscale="log", xlabel=panel.axis)
    values = np.concatenate([one.y.ravel() for one in panel.curves])
    values = values[np.isfinite(values)]
    low, high = values.min() / 1.25, values.max() * 1.25
    # Room for the legend above, and for a decade, which has a label.
    axes.set_ylim(low, max(high * (high / low) ** (0.13 * len(panel.curves) + 0.08), 12 * low))
    axes.yaxis.set_minor_formatter(NullFormatter())
    ticks = np.unique(np.concatenate([one.x for one in measured]))
    shown = [ticks[0]]
    for tick in ticks[1:]:
        if tick / shown[-1] >= (ticks[-1] / ticks[0]) ** (1 / 6):
            shown.append(tick)
    axes.set_xticks(shown, [f"{tick:.3g}" for tick in shown])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, fontsize=6.5, loc="upper left", borderaxespad=0.2)
