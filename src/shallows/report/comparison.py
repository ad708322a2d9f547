"""Families side by side: loss and smallest Hessian eigenvalue against the number of neurons."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from shallows.atlas.families import Compared
from shallows.report import scales
from shallows.report.axes import LEGEND_BELOW, Plot, frame
from shallows.report.figures import _STYLE, _figure
from shallows.report.page import _write
from shallows.report.terminal import _table
from shallows.report.words import significant

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY)
_DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"))


def comparison_table(rows: Sequence[Compared]) -> Table:
    """One row for each size and family that there is."""
    table = _table("Families against the number of neurons", None)
    for heading in ("k", "name", "loss", "smallest\neigenvalue", "component", "kind"):
        is_number = heading in ("k", "loss", "smallest\neigenvalue")
        table.add_column(heading, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*map(Text, _cells(row)))
    return table


def _cells(row: Compared) -> list[str]:
    if row.loss is None or row.smallest_eigenvalue is None:
        return [f"{row.neurons:g}", row.name, "–", "–", "–", "does not exist"]
    return [
        f"{row.neurons:g}",
        row.name,
        significant(row.loss),
        significant(row.smallest_eigenvalue, 6),
        row.representation.value if row.representation else "–",
        row.kind.value if row.kind else "–",
    ]


def _curves(rows: Sequence[Compared]) -> dict[str, list[Compared]]:
    curves: dict[str, list[Compared]] = {}
    for row in rows:
        curves.setdefault(row.name, [])
        if row.loss is not None:
            curves[row.name].append(row)
    return curves


def _style(i: int) -> tuple[str, str, str]:
    return (_COLOURS[i % len(_COLOURS)], *_DASHES[i // len(_COLOURS) % len(_DASHES)])


def comparison_figure(rows: Sequence[Compared]) -> Figure:
    """Loss and smallest eigenvalue against k, one curve for each family, on two panels.

    **Convention.** 7.2 inches wide; k and the loss on logarithmic axes, the eigenvalue on a linear
    one. Saddles have open symbols, minima filled ones. A line is broken where its name goes over
    to another sheet. A loss of zero is not drawn.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 2.9)
        left, right = figure.subplots(1, 2)
        for i, (name, curve) in enumerate(_curves(rows).items()):
            colour, _, dash = _style(i)
            for axes, key in ((left, "loss"), (right, "smallest_eigenvalue")):
                drawn = [r for r in curve if key != "loss" or (r.loss or 0) > 0]
                x, y = [r.neurons for r in drawn], [getattr(r, key) for r in drawn]
                line = _broken(drawn)
                axes.plot(
                    [r.neurons if r else math.nan for r in line],
                    [getattr(r, key) if r else math.nan for r in line],
                    dash,
                    color=colour,
                    lw=1,
                    label=name,
                )
                for is_saddle in (False, True):
                    chosen = [j for j, r in enumerate(drawn) if _is_saddle(r) is is_saddle]
                    axes.plot(
                        [x[j] for j in chosen],
                        [y[j] for j in chosen],
                        "o",
                        ms=2.8,
                        mew=0.7,
                        color=colour,
                        mfc="white" if is_saddle else colour,
                    )
        for axes, label in ((left, "loss"), (right, "smallest Hessian eigenvalue")):
            axes.set_xscale("log")
            axes.set_xlabel("neurons k")
            axes.set_ylabel(label)
        left.set_yscale("log")
        right.axhline(0, color="#222222", lw=0.6)
        handles, labels = right.get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside upper left",
            ncols=min(len(labels), 6),
            frameon=False,
            title=None,
        )
    return figure


def _broken(curve: Sequence[Compared]) -> list[Compared | None]:
    """With None where a name goes over to another sheet: what it means there is discontinuous."""
    made: list[Compared | None] = []
    for before, row in zip([None, *curve], curve, strict=False):
        if before is not None and before.continues != row.continues:
            made.append(None)
        made.append(row)
    return made


def _is_saddle(row: Compared) -> bool:
    return row.kind is not None and row.kind.value == "saddle"


def comparison_plot(rows: Sequence[Compared]) -> Plot:
    """The same for plotly.js: two panels that share their zoom in k."""
    traces: list[dict[str, Any]] = []
    for i, (name, curve) in enumerate(_curves(rows).items()):
        colour, dash, _ = _style(i)
        for axis, key in (("", "loss"), ("2", "smallest_eigenvalue")):
            drawn = _broken([r for r in curve if key != "loss" or (r.loss or 0) > 0])
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": name,
                    "legendgroup": name,
                    # A family without a loss to draw is in the legend by its eigenvalue.
                    "showlegend": axis == "2",
                    "xaxis": f"x{axis}",
                    "yaxis": f"y{axis}",
                    "x": [r and r.neurons for r in drawn],
                    "y": [r and getattr(r, key) for r in drawn],
                    "line": {"color": colour, "dash": dash, "width": 2},
                    "marker": {
                        "color": colour,
                        "size": 6,
                        "symbol": [
                            "circle-open" if r and _is_saddle(r) else "circle" for r in drawn
                        ],
                    },
                    "hovertext": [_hover(r) if r else "" for r in drawn],
                    "hoverinfo": "text",
                }
            )
    title = "smallest Hessian eigenvalue"
    layout = frame(
        height=640,
        xaxis={"type": "log", "title": {"text": "neurons k"}, "matches": "x2", "anchor": "y"},
        yaxis={"type": "log", "title": {"text": "loss"}, "domain": [0.58, 1]},
        legend=LEGEND_BELOW,
        showlegend=True,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
    )
    layout["xaxis2"] = {**layout["xaxis"], "anchor": "y2"}
    del layout["xaxis2"]["matches"]
    layout["yaxis2"] = {
        **layout["yaxis"],
        "type": "linear",
        "title": {"text": title},
        "domain": [0, 0.42],
        "zeroline": True,
        "zerolinecolor": "#222222",
        "zerolinewidth": 1.5,
    }
    return {"data": traces, "layout": layout}


def _hover(row: Compared) -> str:
    part = row.representation.value if row.representation else ""
    kind = row.kind.value if row.kind else ""
    return (
        f"<b>{row.name}</b>, k = {row.neurons:g}: {kind}<br>loss {significant(row.loss or 0)}<br>"
        f"smallest eigenvalue {significant(row.smallest_eigenvalue or 0, 6)} ({part})"
    )


def write_comparison_report(
    rows: Sequence[Compared],
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
) -> Path:
    """Write one self-contained page that compares families, and return its path.

    **Raises.** `ValueError` for no rows.
    """
    if not rows:
        raise ValueError("There is nothing to compare: no rows. Name a family, e.g. `II`.")
    names = list(_curves(rows))
    return _write(
        "comparison.html.j2",
        path,
        title=f"Families compared: {', '.join(names)}",
        rows=[_cells(row) for row in rows],
        missing=[row.reason for row in rows if row.loss is None],
        plots={"comparison": comparison_plot(rows)},
        command=command,
        store=None,
        facts=[],
    )
