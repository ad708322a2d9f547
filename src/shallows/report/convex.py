"""Optima of convex programs for the eye."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shallows.landscape.convex import AbstractConvexProgram
from shallows.model import linear_spline
from shallows.report import scales
from shallows.report.figures import _STYLE, _figure
from shallows.solve.convex import ConvexSolution

# Jumps of the slope below this share of the largest one are rounding, not kinks.
_KINK = 1e-7


def fit_figure(
    program: AbstractConvexProgram, solution: ConvexSolution, names: tuple[str, str] = ("x", "y")
) -> Figure:
    """The optimal network of one input, its kinks, and the points; 4.6 inches wide."""
    network = program.plain(solution.network)
    x = program.inputs[:, 0]
    y = program.targets
    spline = linear_spline(network)
    jumps = np.abs(spline.jumps)
    margin = 0.08 * np.ptp(x)
    low, high = x.min() - margin, x.max() + margin
    kept = (spline.knots > low) & (spline.knots < high)
    kept &= jumps > _KINK * np.max(jumps, initial=0.0)
    knots = spline.knots[kept]
    grid = np.sort(np.concatenate([np.linspace(low, high, 401), knots]))
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.6, 3.0)
        axes = figure.subplots()
        axes.plot(grid, spline(grid), color=scales.BLUE, lw=1.4, label="optimal network")
        axes.plot(x, y, "o", color="#222222", ms=3.5, label="points", zorder=4)
        if len(knots):
            axes.plot(
                knots,
                spline(knots),
                "D",
                mfc="white",
                mec=scales.BLUE,
                ms=5,
                label="kinks",
                zorder=5,
            )
        axes.set(xlabel=names[0], ylabel=names[1])
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def sampling_figure(
    program: AbstractConvexProgram, solution: ConvexSolution, curve: list[tuple[int, float]]
) -> Figure:
    """The optimum over samples of patterns, against how many there are; 4.6 inches wide."""
    counts, values = np.array(curve).T
    counts = np.append(counts, len(program.patterns))
    values = np.append(values, solution.value)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.6, 3.0)
        axes = figure.subplots()
        axes.plot(counts, values, "o-", color=scales.BLUE, lw=1.2, ms=3.5, label="sampled patterns")
        if program.patterns.exact:
            axes.axhline(
                solution.lower_bound, color="#222222", lw=1.0, ls="--", label="proved lower bound"
            )
        axes.set(xlabel="patterns", ylabel="regularised loss", xscale="log")
        axes.yaxis.set_major_locator(MaxNLocator(6))
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
