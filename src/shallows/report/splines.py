"""A network on a line for the eye: fit, knots on their way, and what the fit is compared with."""

import os
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from rich.table import Table
from rich.text import Text

from shallows.atlas.lines import FittedLine, PhaseMap
from shallows.model.pieces import linear_interpolant, natural_cubic
from shallows.report import scales
from shallows.report.axes import LEGEND_BELOW, Plot, frame
from shallows.report.figures import _STYLE, _figure
from shallows.report.page import _write
from shallows.report.terminal import _table
from shallows.report.words import significant

_DRAWN = 150  # knots
_GRID = 801


def spline_table(made: FittedLine) -> Table:
    """What the fit is like, a line each."""
    table = _table(
        f"{made.start.width} neurons, κ = {made.start.scale:g}, α = m^{made.start.exponent:g}", None
    )
    table.show_header = False
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows(made):
        table.add_row(Text(name), Text(value))
    return table


def rows(made: FittedLine) -> list[tuple[str, str]]:
    """Names and values of the audit, for a table."""
    inner = [rule for rule in made.audit.rules if rule.low < rule.high]
    held = sum(rule.holds for rule in inner)
    share, even = made.clustering
    found = [
        ("loss, as a share of that at the start", significant(made.relative_loss, 4)),
        ("how it ended", made.fit.run.stop.name),
        ("largest change of δ, relative", significant(made.fit.drift, 3)),
        ("median move of a knot", significant(made.moved, 4)),
        ("curvature within 0.02 of a sample (even knots)", f"{share:.3f} ({even:.3f})"),
        ("knots", str(made.audit.knots)),
        ("TV(f′)", significant(made.audit.variation, 6)),
        ("TV(f′) of the least", significant(made.audit.least_variation, 6)),
        ("norm max(TV(f′), |f′(−∞) + f′(+∞)|)", significant(made.audit.norm, 6)),
        ("variation weighted by √(1 + x²)", significant(made.audit.weighted_variation, 6)),
        ("sign rule: intervals where it holds", f"{held} of {len(inner)}"),
    ]
    for name, gap in made.gaps.items():
        text = f"{significant(gap.rms, 3)}, {significant(gap.largest, 3)}"
        found.append((f"to the {name}: rms, largest", text))
    return found


def spline_figure(made: FittedLine) -> Figure:
    """Left: the fit, its samples and other interpolants. Right: knots on their way.

    **Convention.** 7.2 inches wide; at most 150 knots are drawn, by the sign of their inner weight.
    """
    grid = np.linspace(made.x[0], made.x[-1], _GRID)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 3.1)
        left, right = figure.subplots(1, 2)
        for label, other, colour, dash in _others(made):
            left.plot(grid, other(grid), color=colour, lw=1.0, ls=dash, label=label)
        left.plot(grid, made.spline(grid), color=scales.BLUE, lw=1.4, label="network")
        left.plot(made.x, made.y, "o", color="#222222", ms=3.5, label="samples", zorder=5)
        left.set(xlabel="x", ylabel="f(x)")
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=2,
                      frameon=False)  # fmt: skip
        times, drawn = _drawn(made)
        margin = 0.25 * (made.x[-1] - made.x[0])
        # A knot that leaves through infinity comes back on the other side: no line joins the two.
        outside = np.abs(made.knots - (made.x[0] + made.x[-1]) / 2) > 3 * margin
        knots = np.where(outside, np.nan, made.knots)
        for colour, label, chosen in _classes(made, drawn):
            lines = right.plot(times, knots[1:, chosen], color=colour, lw=0.5, alpha=0.5)
            if lines:
                lines[0].set_label(label)
        for sample in made.x:
            right.axhline(sample, color="#222222", lw=0.5, ls=":")
        right.set(
            xscale="log",
            ylim=(made.x[0] - margin, made.x[-1] + margin),
            xlabel="time",
            ylabel="knot",
        )
        handles, labels = right.get_legend_handles_labels()
        legend = figure.legend(handles, labels, loc="outside lower right", ncols=1, frameon=False)
        for handle in legend.get_lines():
            handle.set(linewidth=1.5, alpha=1)
    return figure


def phase_figure(found: PhaseMap) -> Figure:
    """Over scale and exponent: how far knots move, and which interpolant the fit is nearer to.

    **Convention.** 7.2 inches wide. Right: distance to the cubic spline as a share of the sum of
    both, 0 for a cubic spline and 1 for the linear interpolant. Hatched: the loss was not reached.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 1.6 + 0.32 * len(found.exponents))
        panels = figure.subplots(1, 2, sharey=True)
        with np.errstate(divide="ignore"):
            pictures = (np.log10(found.moved), found.cubic / (found.cubic + found.linear))
        titles = ("(a) median knot move", "(b) cubic (0) or linear (1)")
        known = pictures[0][np.isfinite(pictures[0])]
        spans = (known.min(initial=0.0), known.max(initial=-9.0)), (0.0, 1.0)
        for axes, values, title, (low, high) in zip(panels, pictures, titles, spans, strict=True):
            drawn = axes.imshow(
                values, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=high
            )
            for row, column in np.argwhere(~found.reached):
                box = (column - 0.5, row - 0.5)
                axes.add_patch(Rectangle(box, 1, 1, fill=False, hatch="////", ec="white", lw=0))
            axes.set_xticks(range(len(found.scales)), [f"{k:g}" for k in found.scales])
            axes.set_yticks(range(len(found.exponents)), [f"{e:g}" for e in found.exponents])
            axes.set_xlabel("scale κ of the start")
            axes.set_title(title, loc="left")
            bar = figure.colorbar(drawn, ax=axes)
            if axes is panels[0]:
                ticks = MaxNLocator(5, integer=True).tick_values(low, high)
                ticks = ticks[(ticks >= low) & (ticks <= high)]
                bar.set_ticks(list(ticks), labels=[f"{10**t:g}" for t in ticks])
        panels[0].set_ylabel("exponent of α(m)")
    return figure


def phase_table(found: PhaseMap) -> Table:
    """One row for each fit."""
    table = _table("Fits by scale and exponent", "Distances are root mean squares.")
    for heading in ("exponent", "scale κ", "knot move", "clustering", "to cubic", "to linear"):
        table.add_column(heading, justify="right")
    table.add_column("loss", justify="right")
    for row, exponent in enumerate(found.exponents):
        for column, kappa in enumerate(found.scales):
            at = row, column
            names = (found.moved, found.clustering, found.cubic, found.linear, found.loss)
            cells = (f"{exponent:g}", f"{kappa:g}", *(significant(float(v[at]), 3) for v in names))
            table.add_row(*map(Text, cells), style=None if found.reached[at] else "dim")
    return table


def _others(made):
    return (
        ("natural cubic spline", natural_cubic(made.x, made.y), scales.GREEN, "--"),
        ("linear interpolant", linear_interpolant(made.x, made.y), scales.VERMILLION, ":"),
    )


def _drawn(made):
    """Times of the kept states but the first, at zero, and the neurons that are drawn."""
    # Odd, as neurons alternate with their copies of opposite head.
    every = max(1, made.start.width // _DRAWN) | 1
    return made.fit.run.kept_times[1:], np.arange(0, made.start.width, every)


def _classes(made, drawn):
    rises = made.fit.end[0, drawn] > 0
    yield scales.BLUE, "knots of neurons that rise (a > 0)", drawn[rises]
    yield scales.ORANGE, "knots of neurons that fall (a < 0)", drawn[~rises]


def spline_plot(made: FittedLine) -> Plot:
    """The fit with a slider over the states that were kept: the function, and its knots on it."""
    low, high = made.x[0], made.x[-1]
    margin = 0.1 * (high - low)
    grid = np.linspace(low, high, 401)
    _, drawn = _drawn(made)
    traces: list[dict[str, Any]] = [
        _curve(grid, other(grid), label, colour, {"--": "dash", ":": "dot"}[dash])
        for label, other, colour, dash in _others(made)
    ]
    fits, marks = [], []
    for one, knots in zip(made.splines, made.knots[:, drawn], strict=True):
        seen = np.sort(knots[(knots > low - margin) & (knots < high + margin)])
        ends = one.knots[(one.knots > low - margin) & (one.knots < high + margin)]
        # All knots where they are few, else a grid fine enough for the eye.
        where = np.unique(np.concatenate([grid, ends if len(ends) < 400 else ends[::5]]))
        fits.append((where, one(where)))
        marks.append((seen, one(seen)))
    index = len(traces)
    traces.append(_curve(*fits[-1], "network", scales.BLUE, "solid"))
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "knots (some of them)",
            "x": _short(marks[-1][0]),
            "y": _short(marks[-1][1]),
            "marker": {"color": scales.ORANGE, "size": 5, "opacity": 0.7},
        }
    )
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "samples",
            "x": _short(made.x),
            "y": _short(made.y),
            "marker": {"color": "#222222", "size": 8},
        }
    )
    steps = [
        {
            "method": "restyle",
            "label": f"{time:.3g}",
            "args": [
                {
                    "x": [_short(fit[0]), _short(mark[0])],
                    "y": [_short(fit[1]), _short(mark[1])],
                },
                [index, index + 1],
            ],
        }
        for time, fit, mark in zip(made.fit.run.kept_times, fits, marks, strict=True)
    ]
    slider = {
        "active": len(steps) - 1,
        "currentvalue": {"prefix": "time "},
        "pad": {"t": 50, "b": 40},
        "steps": steps,
    }
    span = float(np.max(made.y) - np.min(made.y))
    layout = frame(
        height=620,
        xaxis={"title": {"text": "x"}, "range": [float(low - margin), float(high + margin)]},
        yaxis={
            "title": {"text": "f(x)"},
            "range": [float(np.min(made.y) - 0.35 * span), float(np.max(made.y) + 0.35 * span)],
        },
        sliders=[slider],
        legend=LEGEND_BELOW,
        showlegend=True,
        margin={"l": 70, "r": 20, "t": 20, "b": 60},
    )
    return {"data": traces, "layout": layout}


def write_spline_report(
    made: FittedLine, path: str | os.PathLike[str], *, command: str | None = None
) -> Path:
    """Write one self-contained page about a fit, and return its path."""
    return _write(
        "splines.html.j2",
        path,
        title=f"A network of {made.start.width} neurons on a line",
        rows=rows(made),
        rules=made.audit.rules,
        advice=made.fit.advice,
        plots={"fit": spline_plot(made)},
        command=command,
        store=None,
        facts=[],
    )


def _curve(x, y, name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": _short(x),
        "y": _short(y),
        "line": {"color": colour, "width": 2, "dash": dash},
        "hoverinfo": "skip",
    }


def _short(values) -> list[float]:
    return [float(f"{v:.5g}") for v in values]
