"""Phase portraits of two-number flows: for paper with matplotlib, and as a page."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rich.table import Table

from shallows.report import scales
from shallows.report.axes import LEGEND_BELOW, Plot, frame
from shallows.report.figures import _STYLE, _figure
from shallows.report.page import _write
from shallows.report.terminal import _table
from shallows.report.words import significant
from shallows.solve.symmetric_flow import Portrait, Stability

_NULLCLINES = (("x does not move", scales.GREEN), ("y does not move", scales.PURPLE))
_KINDS = {
    Stability.sink: (scales.BLUE, "o", "circle"),
    Stability.saddle: (scales.VERMILLION, "s", "square"),
    Stability.source: (scales.GREY, "D", "diamond"),
}


def portrait_figure(portraits: Sequence[Portrait]) -> Figure:
    """Phase portraits side by side: streamlines, nullclines, fixed points, separatrices and runs.

    **Convention.** One column for each portrait, at most four; x and y on one scale. A sink is one
    of the plane: in the space of all weights it may be a saddle.

    **Raises.** `ValueError` for no portrait, or more than four.
    """
    if not 1 <= len(portraits) <= 4:
        raise ValueError(
            f"A figure has one to four portraits, but {len(portraits)} were given. Make several."
        )
    with matplotlib.rc_context(_STYLE):
        width = 7.2 if len(portraits) > 1 else 3.9
        tallest = max(np.ptp(one.y) / np.ptp(one.x) for one in portraits)
        # Axes with equal units; what is added holds ticks, titles and the legend.
        figure = _figure(width, (width / len(portraits) - 0.45) * tallest + 1.25)
        panels = figure.subplots(1, len(portraits), squeeze=False)[0]
        for axes, portrait in zip(panels, portraits, strict=True):
            _draw(axes, portrait)
        panels[0].set_ylabel("y, off the diagonal")
        marks = [
            Line2D([], [], color=colour, marker=marker, ls="", ms=5, label=kind.value)
            for kind, (colour, marker, _) in _KINDS.items()
            if any(p.kind == kind for portrait in portraits for p in portrait.fixed)
        ]
        lines = [Line2D([], [], color=c, lw=1.2, ls="--", label=n) for n, c in _NULLCLINES]
        lines.append(Line2D([], [], color="#222222", lw=1.2, ls=":", label="separatrix"))
        if any(portrait.runs for portrait in portraits):
            lines.append(Line2D([], [], color=scales.ORANGE, lw=1.8, label="runs"))
        figure.legend(
            handles=[*marks, *lines],
            loc="outside lower center",
            ncols=min(len(portraits), 2) * 2,
            frameon=False,
        )
    return figure


def _draw(axes: Axes, portrait: Portrait) -> None:
    field = np.nan_to_num(portrait.velocity)
    axes.streamplot(
        portrait.x, portrait.y, field[..., 0], field[..., 1],
        color=scales.LIGHT, linewidth=0.6, density=1.0, arrowsize=0.6,
    )  # fmt: skip
    for i, (_, colour) in enumerate(_NULLCLINES):
        axes.contour(
            portrait.x, portrait.y, portrait.velocity[..., i], [0.0],
            colors=[colour], linewidths=1.2, linestyles="--",
        )  # fmt: skip
    for line in portrait.separatrices:
        axes.plot(*line.points.T, color="#222222", lw=1.2, ls=":")
    for run in portrait.runs:
        axes.plot(*_smooth(run).T, color=scales.ORANGE, lw=1.8)
    for point in portrait.fixed:
        colour, marker, _ = _KINDS[point.kind]
        axes.plot(*point.point, marker, color=colour, ms=5, mec="white", mew=0.6, zorder=5)
    axes.set(
        xlim=(portrait.x[0], portrait.x[-1]),
        ylim=(portrait.y[0], portrait.y[-1]),
        xlabel="x, on the diagonal",
        aspect="equal",
    )
    axes.set_title(f"K = {portrait.loss.blocks.neurons}", loc="left")


def portrait_plot(portrait: Portrait) -> Plot:
    """The same for plotly.js: fixed points say their loss and rates, runs their times."""
    traces: list[dict[str, Any]] = []
    for i, (name, colour) in enumerate(_NULLCLINES):
        traces.append(
            {
                "type": "contour",
                "name": name,
                "x": _short(portrait.x),
                "y": _short(portrait.y),
                "z": [_short(row) for row in portrait.velocity[..., i]],
                "contours": {"start": 0, "end": 0, "size": 1, "coloring": "none"},
                "line": {"color": colour, "width": 2, "dash": "dash"},
                "showscale": False,
                "showlegend": True,
                "hoverinfo": "skip",
            }
        )
    for i, line in enumerate(portrait.separatrices):
        traces.append(_curve(line.points, "separatrix", "#222222", i == 0, dash="dot"))
    for i, run in enumerate(portrait.runs):
        trace = _curve(_smooth(run), "run", scales.ORANGE, i == 0)
        times = np.linspace(0, run.times[-1], len(trace["x"]))
        trace["hovertext"] = [f"t = {t:.4g}" for t in times]
        trace["hoverinfo"] = "x+y+text"
        traces.append(trace)
    for kind, (colour, _, symbol) in _KINDS.items():
        chosen = [point for point in portrait.fixed if point.kind == kind]
        if chosen:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": kind.value,
                    "x": [float(point.point[0]) for point in chosen],
                    "y": [float(point.point[1]) for point in chosen],
                    "marker": {"color": colour, "symbol": symbol, "size": 11},
                    "hovertext": [
                        f"{kind.value}<br>loss {significant(point.loss)}<br>rates "
                        f"{', '.join(significant(float(rate), 6) for rate in point.rates)}"
                        for point in chosen
                    ],
                    "hoverinfo": "x+y+text",
                }
            )
    x, y = portrait.x, portrait.y
    layout = frame(
        height=640,
        xaxis={"title": {"text": "x, on the diagonal"}, "range": [float(x[0]), float(x[-1])]},
        yaxis={
            "title": {"text": "y, off the diagonal"},
            "range": [float(y[0]), float(y[-1])],
            "scaleanchor": "x",
        },
        legend=LEGEND_BELOW,
        showlegend=True,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
    )
    return {"data": traces, "layout": layout}


def portraits_table(portraits: Sequence[Portrait]) -> Table:
    """One row for each fixed point, by increasing loss."""
    table = _table("Fixed points of the plane", None)
    for heading in ("K", "kind", "x", "y", "loss", "rates", ""):
        table.add_column(heading, justify="left" if heading == "kind" else "right")
    for portrait in portraits:
        for point in portrait.fixed:
            numbers = (*point.point, point.loss, *point.rates)
            cells = [significant(float(number)) for number in numbers]
            table.add_row(str(portrait.loss.blocks.neurons), point.kind.value, *cells)
    return table


def write_portraits_report(
    portraits: Sequence[Portrait], path: str | os.PathLike[str], *, command: str | None = None
) -> Path:
    """Write one self-contained page of phase portraits, and return its path.

    **Raises.** `ValueError` for none.
    """
    if not portraits:
        raise ValueError("There is nothing to report: no portraits. Make one with `portrait`.")
    return _write(
        "portraits.html.j2",
        path,
        title="Phase portraits: K = "
        + ", ".join(str(portrait.loss.blocks.neurons) for portrait in portraits),
        names=[f"K = {portrait.loss.blocks.neurons}" for portrait in portraits],
        rows=[
            (
                portrait.loss.blocks.neurons,
                point.kind.value,
                *map(float, point.point),
                point.loss,
                *map(float, point.rates),
            )
            for portrait in portraits
            for point in portrait.fixed
        ],
        plots={f"portrait{i}": portrait_plot(one) for i, one in enumerate(portraits)},
        command=command,
        store=None,
        facts=[],
    )


def cone_figure(
    student: Float[np.ndarray, " n"],
    teacher: Float[np.ndarray, " m"],
    values: Float[np.ndarray, "n m"],
) -> Figure:
    """The sign of the in-plane criterion over the angles of second student and teacher.

    The first student has angle 0. Positive is red; the lines are the edges of the cone.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.4, 2.6)
        axes = figure.subplots()
        low, _, _, _, high = (colour for _, colour in scales.DIVERGING)
        axes.contourf(
            teacher,
            student,
            np.where(values > 1e-9, 1.0, -1.0),
            [-2, 0, 2],
            colors=[low, high],
            alpha=0.45,
        )
        axes.plot(student, student, color="#222222", lw=1.2)
        axes.axvline(0, color="#222222", lw=1.2, clip_on=False)
        axes.text(1.0, 2.4, "L₁₂ > 0: inside", color="#222222", ha="center")
        axes.text(4.4, 1.5, "L₁₂ < 0: outside", color="#222222", ha="center")
        ticks = np.array([0, 0.5, 1, 1.5, 2]) * np.pi
        axes.set_xticks(ticks, ["0", "π/2", "π", "3π/2", "2π"])
        axes.set_yticks(ticks[:3], ["0", "π/2", "π"])
        axes.set(
            xlim=(0, 2 * np.pi),
            ylim=(0, np.pi),
            xlabel="angle of the teacher",
            ylabel="angle of the second student",
        )
    return figure


def _smooth(run) -> np.ndarray:
    """A run at evenly spaced lengths, for the eye."""
    if len(run.times) < 2:
        return run.points
    times = np.concatenate(
        [
            np.linspace(a, b, 6, endpoint=False)
            for a, b in zip(run.times, run.times[1:], strict=False)
        ]
    )
    return np.vstack([run.between(times).T, run.points[-1:]])


def _curve(points, name: str, colour: str, is_first: bool, **line: Any) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "showlegend": is_first,
        "x": _short(points[:, 0]),
        "y": _short(points[:, 1]),
        "line": {"color": colour, "width": 2, **line},
        "hoverinfo": "skip",
    }


def _short(values) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
