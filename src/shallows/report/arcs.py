"""Tangency arcs: profiles of the loss along them, where they end, and families compared."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from shallows.atlas.arcs import ArcsCompared, NamedArc
from shallows.report import scales
from shallows.report.axes import LEGEND_BELOW, Plot, frame
from shallows.report.figures import _STYLE, _figure
from shallows.report.page import _write
from shallows.report.terminal import _table
from shallows.report.words import significant

_COLOURS = {
    "trivial": scales.GREY,
    "standard": scales.BLUE,
    "exterior": scales.VERMILLION,
    "two-row": scales.GREEN,
    "standard×standard": scales.PURPLE,
}
_FAMILIES = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY)
_LINES = ("-", "--", ":")

ARC_HEADINGS = (
    "eigenvalue",
    "component",
    "cut",
    "",
    "distance",
    "barrier",
    "end",
    "loss",
    "kind",
)
COMPARED_HEADINGS = (
    "k",
    "name",
    "eigenvalue",
    "component",
    "lowest barrier",
    "its distance",
    "its cut",
    "its end",
)
_TEXTS = {"name", "component", "", "end", "kind", "its cut", "its end", "cut"}


def arcs_table(found: Sequence[NamedArc]) -> Table:
    """One row for each arc, by increasing eigenvalue."""
    title = "Tangency arcs"
    if found:
        origin = found[0].origin
        title = f"Tangency arcs out of {origin.name}, k = {origin.neurons:g}: {origin.isotropy}"
    table = _table(title, "* along the smallest eigenvalue")
    for heading in ARC_HEADINGS:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right", no_wrap=True)
    for one in found:
        table.add_row(*map(Text, arc_cells(one)))
    return table


def arc_cells(one: NamedArc) -> list[str]:
    """The row of an arc."""
    last, end = one.arc.last, one.end
    star = "*" if one.is_minimising else ""
    is_back = one.arc.outcome.name == "returned"
    met = f"({one.arc.outcome.name.replace('_', ' ')})"
    if end is not None:
        met = scales.shortened(end.isotropy if end.name.startswith("unnamed") else end.name, 24)
    return [
        significant(one.arc.eigenvalue, 4) + star,
        one.departure.representation.value,
        scales.shortened(one.cut, 20),
        one.direction,
        "–" if last is None or is_back else significant(last.radius, 5),
        significant(one.arc.barrier, 4),
        met,
        "–" if end is None else significant(end.loss, 6),
        "–" if end is None else end.kind.value,
    ]


def arcs_comparison_table(rows: Sequence[ArcsCompared]) -> Table:
    """One row for each size and family: the minimising arc with the lowest barrier."""
    table = _table("Minimising arcs against the number of neurons", None)
    for heading in COMPARED_HEADINGS:
        table.add_column(heading, justify="left" if heading in _TEXTS else "right")
    for row in rows:
        table.add_row(*map(Text, compared_cells(row)))
    return table


def compared_cells(row: ArcsCompared) -> list[str]:
    """The row of a family at one size."""
    best = row.lowest
    if row.eigenvalue is None or row.representation is None:
        return [f"{row.neurons:g}", row.name, *("–",) * 6]
    return [
        f"{row.neurons:g}",
        row.name,
        significant(row.eigenvalue, 6),
        row.representation.value,
        "–" if best is None else significant(best.arc.barrier, 6),
        "–" if best is None or best.end is None else significant(best.end.distance, 6),
        "–" if best is None else f"{scales.shortened(best.cut, 20)} {best.direction}",
        "–" if best is None or best.end is None else best.end.isotropy,
    ]


def arcs_figure(found: Sequence[NamedArc]) -> Figure:
    """The loss above the point against the distance r from it: minimising arcs, and all.

    **Convention.** 7.2 inches wide; (a) the loss, labelled by cut and half, (b) in units of r²/2,
    so that arcs begin at their eigenvalues, on logarithmic axes, a colour for each component.
    A dot is a critical point, a cross another end.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 3.1)
        left, right = figure.subplots(1, 2)
        lowest = [one for one in found if one.is_minimising]
        for i, one in enumerate(lowest):
            colour = _FAMILIES[i % len(_FAMILIES)]
            style = _LINES[i // len(_FAMILIES) % len(_LINES)]
            _draw(left, one, colour, style, f"{_short(one.cut)} {one.direction}", 1.2)
        left.set(xlabel="distance r", ylabel="L − L(c)", ylim=(0, None), xlim=(0, None))
        left.set_title("(a) along the smallest eigenvalue", loc="left")
        left.legend(frameon=False, fontsize=7, handlelength=1.6)
        seen = set()
        for one in sorted(found, key=lambda one: one.departure.representation.value):
            name = one.departure.representation.value
            label = None if name in seen else name
            _draw(right, one, _COLOURS[name], "-", label, 0.7, is_scaled=True)
            seen.add(name)
        right.set(xscale="log", yscale="log", xlabel="distance r", ylabel="2 (L − L(c)) / r²")
        right.set_xlim(left=0.02)
        right.set_title("(b) all arcs", loc="left")
        right.legend(frameon=False, fontsize=7, handlelength=1.6)
    return figure


def _draw(
    axes: Axes,
    one: NamedArc,
    colour: str,
    style: str,
    label: str | None,
    width: float,
    is_scaled: bool = False,
) -> None:
    x, rise = _profile(one)
    y = [2 * u / (r * r) for r, u in zip(x, rise, strict=True)] if is_scaled else rise
    axes.plot(x, y, style, color=colour, lw=width, label=label)
    if one.arc.last is not None:
        axes.plot(x[-1:], y[-1:], "o" if one.end else "x", color=colour, ms=3.5)


def _profile(one: NamedArc) -> tuple[list[float], list[float]]:
    points = [*one.arc.points, *([] if one.arc.last is None else [one.arc.last])]
    return [p.radius for p in points], [p.rise for p in points]


_Measure = Callable[[ArcsCompared], float | None]


def _barrier(row: ArcsCompared) -> float | None:
    return None if row.lowest is None else row.lowest.arc.barrier


def _distance(row: ArcsCompared) -> float | None:
    return None if row.nearest is None or row.nearest.end is None else row.nearest.end.distance


_PANELS: tuple[tuple[str, _Measure], ...] = (
    ("lowest barrier L − L(c)", _barrier),
    ("distance to the nearest end", _distance),
)


def arcs_comparison_figure(rows: Sequence[ArcsCompared]) -> Figure:
    """Lowest barrier and nearest end of minimising arcs against k, a curve for each family.

    **Convention.** 7.2 inches wide; k and the barrier on logarithmic axes. Families whose
    smallest eigenvalue lies in the exterior square have open symbols.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 2.9)
        panels = figure.subplots(1, 2)
        for axes, (label, measure) in zip(panels, _PANELS, strict=True):
            for i, (name, curve) in enumerate(_curves(rows).items()):
                drawn = [(r, u) for r in curve if (u := measure(r)) is not None]
                colour = _FAMILIES[i % len(_FAMILIES)]
                x, y = [float(r.neurons) for r, _ in drawn], [u for _, u in drawn]
                axes.plot(x, y, _LINES[i // len(_FAMILIES) % 3], color=colour, lw=1, label=name)
                for is_hidden in (False, True):
                    chosen = [j for j, (r, _) in enumerate(drawn) if _is_hidden(r) is is_hidden]
                    axes.plot(
                        [x[j] for j in chosen],
                        [y[j] for j in chosen],
                        "o",
                        ms=3,
                        mew=0.8,
                        color=colour,
                        mfc="white" if is_hidden else colour,
                    )
            axes.set(xscale="log", xlabel="neurons k", ylabel=label)
        panels[0].set_yscale("log")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper left", ncols=min(len(labels), 6), frameon=False
        )
    return figure


def _curves(rows: Sequence[ArcsCompared]) -> dict[str, list[ArcsCompared]]:
    curves: dict[str, list[ArcsCompared]] = {}
    for row in rows:
        curves.setdefault(row.name, []).append(row)
    return curves


def _is_hidden(row: ArcsCompared) -> bool:
    return row.representation is not None and row.representation.value == "exterior"


def arcs_plot(found: Sequence[NamedArc]) -> Plot:
    """All profiles for plotly.js."""
    traces: list[dict[str, Any]] = []
    seen: set[str] = set()
    for one in found:
        name = one.departure.representation.value
        x, y = _profile(one)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "legendgroup": name,
                "showlegend": name not in seen,
                "x": x,
                "y": y,
                "line": {"color": _COLOURS[name], "width": 2.5 if one.is_minimising else 1},
                "marker": {
                    "color": _COLOURS[name],
                    "size": [0] * (len(x) - 1) + [7],
                    "symbol": "circle" if one.end else "x",
                },
                "hovertext": _hover(one),
                "hoverinfo": "text",
            }
        )
        seen.add(name)
    layout = frame(
        height=520,
        xaxis={"type": "log", "title": {"text": "distance r = |W − c|"}},
        yaxis={"type": "log", "title": {"text": "L − L(c)"}},
        legend=LEGEND_BELOW,
        showlegend=True,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
    )
    return {"data": traces, "layout": layout}


def _hover(one: NamedArc) -> str:
    cut = f", {one.block} {one.cut} {one.direction}" if one.cut else f" {one.direction}"
    end = "" if one.end is None else f"<br>{one.end.name}, {one.end.kind.value}"
    return (
        f"<b>{one.departure.representation.value}</b>{cut}: eigenvalue "
        f"{significant(one.arc.eigenvalue, 6)}<br>{one.arc.outcome.name.replace('_', ' ')}, "
        f"barrier {significant(one.arc.barrier, 5)}{end}"
    )


def comparison_plot(rows: Sequence[ArcsCompared]) -> Plot:
    """Barriers and distances against k for plotly.js: two panels that share their zoom in k."""
    traces: list[dict[str, Any]] = []
    for axis, (_, measure) in zip(("", "2"), _PANELS, strict=True):
        for i, (name, curve) in enumerate(_curves(rows).items()):
            drawn = [(r, y) for r in curve if (y := measure(r)) is not None]
            colour = _FAMILIES[i % len(_FAMILIES)]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "legendgroup": name,
                    "showlegend": axis == "",
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "x": [float(r.neurons) for r, _ in drawn],
                    "y": [y for _, y in drawn],
                    "line": {"color": colour, "width": 2},
                    "marker": {
                        "color": colour,
                        "symbol": ["circle-open" if _is_hidden(r) else "circle" for r, _ in drawn],
                    },
                    "hovertext": ["<br>".join(compared_cells(r)[1:]) for r, _ in drawn],
                    "hoverinfo": "text",
                }
            )
    (above, _), (below, _) = _PANELS
    layout = frame(
        height=640,
        xaxis={"type": "log", "title": {"text": "neurons k"}, "matches": "x2", "anchor": "y"},
        yaxis={"type": "log", "title": {"text": above}, "domain": [0.58, 1]},
        legend=LEGEND_BELOW,
        showlegend=True,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
    )
    layout["xaxis2"] = {**layout["xaxis"], "anchor": "y2"}
    del layout["xaxis2"]["matches"]
    layout["yaxis2"] = {**layout["yaxis"], "type": "linear", "title": {"text": below}}
    layout["yaxis2"]["domain"] = [0, 0.42]
    return {"data": traces, "layout": layout}


def write_arcs_report(
    found: Sequence[NamedArc] | Sequence[ArcsCompared],
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
) -> Path:
    """Write one self-contained page on arcs out of one point, or on families, and return its path.

    **Raises.** `ValueError` for none.
    """
    if not found:
        raise ValueError("There is nothing to report: no arcs. Name a family, e.g. `II`.")
    named = [one for one in found if isinstance(one, NamedArc)]
    if named:
        origin = named[0].origin
        title = f"Tangency arcs out of {origin.name}, k = {origin.neurons:g}"
        plot, cells = arcs_plot(named), [arc_cells(a) for a in named]
        headings: tuple[str, ...] = ARC_HEADINGS
        missing: list[str] = []
    else:
        rows = [row for row in found if isinstance(row, ArcsCompared)]
        title = f"Minimising arcs compared: {', '.join(_curves(rows))}"
        plot, headings = comparison_plot(rows), COMPARED_HEADINGS
        cells, missing = [compared_cells(r) for r in rows], [r.reason for r in rows if r.reason]
    return _write(
        "arcs.html.j2",
        path,
        title=title,
        is_comparison=not named,
        headings=[(h, "" if h in _TEXTS else "number") for h in headings],
        rows=cells,
        missing=missing,
        plots={"arcs": plot},
        command=command,
        store=None,
        facts=[],
    )


def _short(cut: str) -> str:
    return scales.shortened(cut, 24)
