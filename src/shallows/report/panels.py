"""Panels of curves and dots: what a figure of a paper's records is made of.

`Panel` and `Series` are data, so that whoever has the numbers need not know how they are drawn.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from shallows.report import scales
from shallows.report.figures import _STYLE, _figure

_COLOURS = (
    scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY,
    "#222222",
)  # fmt: skip
_MARKERS = "osD^vPX"
_COLUMNS = 3


class Mark(enum.Enum):
    """How a series is drawn."""

    dots = "dots"
    line = "line"
    dashed = "dashed"
    """For what theory says."""
    both = "both"
    """Dots on a line."""
    bars = "bars"


@dataclasses.dataclass(frozen=True)
class Series:
    """Numbers along an axis. Those that are not finite are left out."""

    label: str
    """For the legend; empty for none."""
    x: Sequence[float | int]
    y: Sequence[float | int]
    mark: Mark = Mark.both
    error: Sequence[float | int] | None = None
    """Half of each bar of error."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """Series with axes in common."""

    title: str
    x: str
    """What is on the axis; so is `y`."""
    y: str
    series: tuple[Series, ...]
    is_x_log: bool = False
    is_y_log: bool = False
    ticks: Mapping[float, str] | None = None
    """Places on the x axis that have names."""
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Values that the series are compared with, drawn across, by their names."""


def panel_figure(panels: Sequence[Panel]) -> Figure:
    """Panels side by side, three in a row, each with its legend below.

    **Convention.** 7.2 inches wide for three columns and for two, 4.6 for one. What has one label
    has one colour and one symbol in all panels; a dashed series without a label is black.

    **Raises.** `ValueError` for no panel, more than six, or one without a series.
    """
    if not 1 <= len(panels) <= 2 * _COLUMNS:
        raise ValueError(
            f"A figure has one to six panels, but {len(panels)} were given. Make several."
        )
    empty = [panel.title for panel in panels if not panel.series]
    if empty:
        raise ValueError(f"The panels {empty} have no series. Leave them out.")
    rows, columns = -(-len(panels) // _COLUMNS), min(len(panels), _COLUMNS)
    entries = max(sum(bool(one.label) for one in p.series) + len(p.levels) for p in panels)
    with matplotlib.rc_context(_STYLE):
        width = 4.6 if columns == 1 else 7.2
        figure = _figure(width, rows * (2.3 + 0.15 * entries))
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        every = [label for panel in panels for label in {one.label for one in panel.series}]
        again = [label for label in dict.fromkeys(every) if label and every.count(label) > 1]
        shared = {label: i for i, label in enumerate(sorted(again, key=_place(panels)))}
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel, shared)
        for axes in grid[len(panels) :]:
            axes.remove()
    return figure


def _place(panels: Sequence[Panel]) -> Callable[[str], int]:
    """Where a label is met first."""
    return [one.label for panel in panels for one in panel.series].index


def _styles(panel: Panel, shared: Mapping[str, int]) -> list[int]:
    """A number for the colour and the symbol of each series; labels in other panels keep theirs."""
    taken = {shared[one.label] for one in panel.series if one.label in shared}
    free = iter(i for i in range(len(panel.series) + len(shared)) if i not in taken)
    return [shared[s.label] if s.label in shared else next(free) for s in panel.series]


def _draw(axes: Axes, panel: Panel, shared: Mapping[str, int]) -> None:
    axes.set(xlabel=panel.x, ylabel=panel.y)
    axes.set_title(panel.title, loc="left")
    if panel.is_x_log:
        axes.set_xscale("log")
    if panel.is_y_log:
        axes.set_yscale("log")
    for one, style in zip(panel.series, _styles(panel, shared), strict=True):
        _plot(axes, one, style, panel)
    for i, (name, value) in enumerate(panel.levels.items()):
        axes.axhline(value, color="#222222", lw=0.9, ls=("--", ":", "-.")[i % 3], label=name)
    _set_ticks(axes.xaxis, panel.is_x_log, [x for one in panel.series for x in one.x])
    _set_ticks(axes.yaxis, panel.is_y_log, [y for one in panel.series for y in one.y])
    if panel.ticks is not None:
        axes.set_xticks(list(panel.ticks), list(panel.ticks.values()))
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(0, -0.26), frameon=False,
            fontsize=6.5, borderaxespad=0, handlelength=1.6,
        )  # fmt: skip


def _plot(axes: Axes, one: Series, i: int, panel: Panel) -> None:
    x, y = np.asarray(one.x, dtype=float), np.asarray(one.y, dtype=float)
    kept = np.isfinite(x) & np.isfinite(y)
    kept &= (y > 0) if panel.is_y_log else True
    kept &= (x > 0) if panel.is_x_log else True
    order = np.argsort(x[kept], kind="stable")
    x, y = x[kept][order], y[kept][order]
    label = one.label or None
    is_plain = one.mark is Mark.dashed and label is None
    colour = "#222222" if is_plain else _COLOURS[i % len(_COLOURS)]
    if one.mark is Mark.bars:
        bars = [other for other in panel.series if other.mark is Mark.bars]
        width = 0.8 / len(bars)
        shift = (bars.index(one) - (len(bars) - 1) / 2) * width
        axes.bar(x + shift, y, width, color=colour, label=label)
        return
    if one.error is not None:
        error = np.asarray(one.error, dtype=float)[kept][order]
        axes.errorbar(x, y, error, fmt="none", ecolor=colour, elinewidth=0.8, capsize=2)
    style: dict[str, Any] = {
        Mark.dots: {"ls": "", "marker": _MARKERS[i % len(_MARKERS)]},
        Mark.line: {"ls": "-"},
        Mark.dashed: {"ls": "--"},
        Mark.both: {"ls": "-", "marker": _MARKERS[i % len(_MARKERS)]},
    }[one.mark]
    shape: dict[str, Any] = {"ms": 3.5, "mec": "white", "mew": 0.3}
    dots = [id(other) for other in panel.series if other.mark is Mark.dots]
    above = dots.index(id(one)) if one.mark is Mark.dots else 0
    if above:
        # Rings around the dots that were drawn before: where points agree, all are seen.
        shape = {"ms": 3.5 + 1.5 * min(above, 4), "mec": colour, "mew": 0.8, "mfc": "none"}
    axes.plot(x, y, color=colour, lw=1.1, label=label, **style, **shape)


def _set_ticks(axis: Axis, is_log: bool, values: Sequence[float | int]) -> None:
    """Ticks whose labels do not run into one another: a few on a logarithmic axis."""
    if not is_log:
        if all(float(value).is_integer() for value in values):
            axis.set_major_locator(MaxNLocator(6, integer=True))
        return
    low, high = axis.get_view_interval()
    is_wide = low < 1e-3 or high > 1e5
    most = 3 if is_wide else 5
    places = [
        [float(f"{digit}e{power}") for power in range(-30, 30) for digit in digits]
        for digits in (range(1, 10), (1, 2, 5), (1,))
    ]
    inside = [[place for place in some if low <= place <= high] for some in places]
    shown = next((some for some in inside if len(some) <= most), inside[-1])
    if len(shown) < 2:  # less than a decade: a logarithm is nearly straight
        even = MaxNLocator(most - 1).tick_values(low, high)
        shown = [float(place) for place in even if low <= place <= high]
    shown = shown[:: -(-len(shown) // most)] if shown else []
    axis.set_ticks(shown, [_scientific(x) if is_wide else f"{x:g}" for x in shown])
    axis.set_minor_formatter(NullFormatter())


def _scientific(place: float) -> str:
    digits, power = f"{place:.1e}".replace(".0e", "e").split("e")
    factor = "" if digits == "1" else rf"{digits} \cdot "
    return f"${factor}10^{{{int(power)}}}$"
