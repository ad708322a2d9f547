"""Basins: the share of starts that come back, against the distance from the point."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table
from rich.text import Text

from shallows.atlas.basins import Basin, Ring
from shallows.report import scales
from shallows.report.figures import _STYLE, _figure
from shallows.report.shares import percent
from shallows.report.terminal import _table
from shallows.report.words import significant

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY)
_MARKS = ("o", "s", "D", "^", "v", "P")
_PANELS = 3


def basins_table(found: Sequence[Basin]) -> Table:
    """One row for each point and distance."""
    said = [_half(one) for one in found]
    caption = "\n".join(
        ["Shares with 95 % Clopper–Pearson intervals.", *(text for text in said if text)]
    )
    where = found[0].directions if found else ""
    table = _table(f"Starts around critical points, directions: {where}", caption)
    for heading in ("k", "name", "r", "r/|c|", "starts", "returned (%)", "L − L(c)", "others"):
        is_text = heading in ("name", "others")
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text)
    for one in found:
        for ring in one.rings:
            table.add_row(*map(Text, _cells(one, ring)))
    return table


def _cells(one: Basin, ring: Ring) -> list[str]:
    low, high = ring.interval
    others = {name: n for name, n in ring.ends.items() if name != one.name} | ring.unsettled
    copies = ring.ends.get(one.name, 0) - ring.returned
    if copies:
        others = {f"{one.name} relabelled": copies, **others}
    listed = [f"{n} {scales.shortened(name, 22)}" for name, n in list(others.items())[:3]]
    rest = sum(list(others.values())[3:])
    return [
        f"{one.neurons}",
        one.name,
        f"{ring.radius:.4g}",
        f"{ring.radius / one.norm:.3f}",
        f"{ring.starts}",
        f"{percent(ring.share)} [{percent(low)}, {percent(high)}]" if ring.starts else "–",
        significant(ring.rise, 4) if ring.starts else "–",
        ", ".join([*listed, *([f"{rest} elsewhere"] if rest else [])]),
    ]


def _half(one: Basin) -> str:
    low, high = one.half_bracket
    if one.half_radius is None or one.directions == "arcs":
        return ""
    end = "∞" if high is None else f"{high:.4g}"
    return (
        f"{one.name}, k = {one.neurons}: half return from r = {one.half_radius:.4g} "
        f"({one.half_radius / one.norm:.3f} |c|), by the intervals from [{low:.4g}, {end}]."
    )


def basins_figure(found: Sequence[Basin]) -> Figure:
    """Share that comes back against r/|c|, a panel for each of up to three sizes.

    With more than one size, a last panel has the distance from which half come back, against k.

    **Convention.** 7.2 inches wide; bars are 95 % Clopper–Pearson intervals, and for the last
    panel the rings that these intervals single out. Sizes left out are evenly chosen.

    **Raises.** `ValueError` for none.
    """
    if not found:
        raise ValueError("There is nothing to draw: no basins. Name a family, e.g. `II`.")
    names = list(dict.fromkeys(one.name for one in found))
    sizes = sorted({one.neurons for one in found})
    spread = np.linspace(0, len(sizes) - 1, min(_PANELS, len(sizes)))
    shown = [sizes[round(float(i))] for i in spread]
    panels = len(shown) + (len(sizes) > 1)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2 if panels > 1 else 3.6, 2.7)
        every = np.atleast_1d(figure.subplots(1, panels))
        for letter, axes, k in zip("abc", every, shown, strict=False):
            for one in found:
                if one.neurons == k:
                    _draw(axes, one, names.index(one.name))
            axes.set(xlabel="r / |c|", ylim=(-3, 103))
            axes.set_xlim(left=0)
            axes.set_title(f"({letter}) k = {k}", loc="left")
        every[0].set_ylabel("starts that come back (%)")
        if len(sizes) > 1:
            _draw_halves(every[-1], found, names)
            every[-1].set_title(f"({'abcd'[panels - 1]}) half come back", loc="left")
        handles, labels = every[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper left", ncols=min(len(labels), 6), frameon=False
        )
    return figure


def _draw(axes: Axes, one: Basin, i: int) -> None:
    rings = [ring for ring in one.rings if ring.starts]
    x = [ring.radius / one.norm for ring in rings]
    y = np.array([100 * ring.share for ring in rings])
    ends = 100 * np.array([ring.interval for ring in rings]).reshape(-1, 2).T
    axes.errorbar(
        x,
        y,
        np.abs(ends - y),
        fmt=f"{_MARKS[i % 6]}-",
        color=_COLOURS[i % 6],
        ms=3,
        lw=1,
        elinewidth=0.6,
        label=one.name,
    )


def _draw_halves(axes: Axes, found: Sequence[Basin], names: list[str]) -> None:
    for i, name in enumerate(names):
        curve = [one for one in found if one.name == name and one.half_radius is not None]
        x = [one.neurons for one in curve]
        y = np.array([(one.half_radius or math.nan) / one.norm for one in curve])
        low = [one.half_bracket[0] / one.norm for one in curve]
        high = [(one.half_bracket[1] or one.half_radius or math.nan) / one.norm for one in curve]
        error = np.maximum(np.array([y - low, high - y]), 0).reshape(2, -1)
        axes.errorbar(
            x, y, error, fmt=f"{_MARKS[i % 6]}-", color=_COLOURS[i % 6], ms=3, lw=1, elinewidth=0.4
        )
    axes.set(xlabel="neurons k", ylabel="r / |c|")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
