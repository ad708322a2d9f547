"""Quantities that go like powers, with what they were fitted to and what was expected."""

import dataclasses
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from shallows.atlas.powers import Exponent
from shallows.report import scales
from shallows.report.figures import _STYLE, _figure

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN)
_COLUMNS = 3


@dataclasses.dataclass(frozen=True, eq=False)
class PowerSeries:
    """One quantity at several places."""

    label: str
    """What it is, in a word or two; in a panel of one series nothing."""
    x: Float[np.ndarray, " s"]
    y: Float[np.ndarray, "r s"]
    """A row for each seed."""
    fitted: Exponent


@dataclasses.dataclass(frozen=True, eq=False)
class PowerPanel:
    """Quantities with one axis in common."""

    title: str
    symbol: str
    """Of what is on the axis, such as m."""
    axis: str
    """In words, with the symbol."""
    series: tuple[PowerSeries, ...]
    expected: float | None = None
    """The power of a bound, drawn beside."""


def power_figure(panels: Sequence[PowerPanel]) -> Figure:
    """Panels of dots, one a seed, with fitted powers (lines) and expected ones (dashed).

    **Convention.** Logarithmic axes; 7.2 inches wide. A dashed line has the expected slope; its
    height is for the eye: it starts at the first of the dots.

    **Raises.** `ValueError` for no panel, or more than six.
    """
    if not 1 <= len(panels) <= 6:
        raise ValueError(
            f"A figure has one to six panels, but {len(panels)} were given. Make several."
        )
    rows, columns = -(-len(panels) // _COLUMNS), min(len(panels), _COLUMNS)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(2.4 * columns, 2.4 * rows + 0.1)
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel)
        for axes in grid[len(panels) :]:
            axes.remove()
    return figure


def _draw(axes: Axes, panel: PowerPanel) -> None:
    values = np.concatenate([one.y.ravel() for one in panel.series])
    low, high = values.min() / 1.2, values.max() * 1.2
    for one, colour in zip(panel.series, _COLOURS, strict=False):
        places = np.broadcast_to(one.x, one.y.shape)
        axes.plot(places.ravel(), one.y.ravel(), "o", color=colour, ms=3, mec="white", mew=0.3)
        span = np.array([one.x.min(), one.x.max()])
        middle, height = np.exp(np.mean(np.log(one.x))), np.exp(np.mean(np.log(one.y)))
        line = height * (span / middle) ** one.fitted.value
        name = f"{one.label}: " if one.label else ""
        label = f"{name}{panel.symbol} to the {one.fitted.value:.2f} ± {one.fitted.half_width:.2f}"
        axes.plot(span, line, color=colour, lw=1.2, label=label.replace("-", "−"))
        if panel.expected is not None and one is panel.series[0]:
            # From the end where the bound and the fit are to meet: the first place.
            end = span[0] * _reach(span[1] / span[0], line[0], panel.expected, low, high)
            ends = np.array([span[0], end])
            axes.plot(
                ends, line[0] * (ends / span[0]) ** panel.expected, color="#222222",
                lw=0.9, ls="--", label=f"theory: {panel.expected:g}".replace("-", "−"),
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel=panel.axis)
    # Room for the legend above, and for one decade at least, which has a label.
    lines = 1 + len(panel.series)
    axes.set_ylim(low, max(high * (1.2 * high / low) ** (0.16 * lines + 0.14), 12 * low))
    axes.yaxis.set_minor_formatter(NullFormatter())
    ticks = np.unique(np.concatenate([one.x for one in panel.series]))
    shown = [ticks[0]]
    for tick in ticks[1:]:
        # Labels are about a seventh of the axis wide.
        if tick / shown[-1] >= (ticks[-1] / ticks[0]) ** (1 / 7):
            shown.append(tick)
    axes.set_xticks(shown, [f"{tick:.3g}" if tick < 1000 else f"{tick:.0f}" for tick in shown])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(panel.title, loc="left")
    axes.legend(frameon=False, fontsize=6.5, loc="upper left", borderaxespad=0.2)


def _reach(factor: float, start: float, power: float, low: float, high: float) -> float:
    """How far along the axis a power goes, at most `factor`, before it leaves the dots' range."""
    edge = high if power > 0 else low
    return min(factor, (edge / start) ** (1 / power)) if power else factor
