"""Slices of a landscape: paths between students, planes through them, lines of split neurons."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from rich.table import Table
from rich.text import Text

from shallows.landscape.planes import Plane
from shallows.landscape.slices import Slice
from shallows.landscape.splits import SplitLine
from shallows.report import scales
from shallows.report.figures import _STYLE, _figure
from shallows.report.terminal import _table
from shallows.report.words import significant

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE)
_LEVELS = 24


def slices_table(found: Mapping[str, Slice], title: str) -> Table:
    """One row for each path."""
    table = _table(title, "The barrier is the largest loss on the way less that at the higher end.")
    for heading in ("path", "length", "barrier", "highest loss", "at t", "kinks"):
        table.add_column(heading, justify="left" if heading in ("path", "kinks") else "right")
    for name, one in found.items():
        cells = (
            name,
            significant(one.path.length, 6),
            significant(one.barrier, 6),
            significant(one.highest[1], 6),
            significant(one.highest[0], 5),
            ", ".join(f"{kink.at:.6g} (order {kink.order})" for kink in one.kinks) or "none",
        )
        table.add_row(*map(Text, cells))
    return table


def slices_figure(found: Mapping[str, Slice], ends: Sequence[str]) -> Figure:
    """The loss against t on each path; ticks on the curves are kinks.

    **Convention.** 3.6 inches wide; `ends` names the students at t = 0 and 1.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(3.6, 2.9)
        axes = figure.subplots()
        for i, (name, one) in enumerate(found.items()):
            colour = _COLOURS[i % len(_COLOURS)]
            axes.plot(one.t, one.loss, color=colour, lw=1.2, label=name)
            at = [kink.at for kink in one.kinks]
            axes.plot(at, np.interp(at, one.t, one.loss), "|", color=colour, ms=9, mew=1.2)
        low, high = next(iter(found.values())).t[[0, -1]]
        if low < 0 or high > 1:
            for t in (0, 1):
                axes.axvline(t, color=scales.LIGHT, lw=0.6, zorder=0)
        axes.set(xlabel=f"t (0: {ends[0]}, 1: {ends[1]})", ylabel="loss")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def plane_figure(plane: Plane, names: Sequence[str]) -> Figure:
    """Contours of the loss on a plane, with the three students through which it goes.

    **Convention.** Distances are true on both axes. Levels are evenly spaced in the square root of
    the loss, so that valleys are resolved; the colour bar shows the loss. Dotted where neurons are
    parallel and a third derivative jumps, full lines and crosses where the slope does.
    """
    with matplotlib.rc_context(_STYLE):
        ratio = float(np.ptp(plane.y) / np.ptp(plane.x))
        # The height that leaves no empty margins beside axes with true distances.
        figure = _figure(1.4 + min(3.2, max(3.2 / ratio, 1.2)), 0.7 + min(3.2, max(3.2 * ratio, 1)))
        axes = figure.subplots()
        root = np.sqrt(np.maximum(plane.loss, 0.0))
        levels = MaxNLocator(_LEVELS).tick_values(0.0, float(root.max()))
        drawn = axes.contourf(plane.x, plane.y, root, levels=levels, cmap="viridis")
        axes.contour(plane.x, plane.y, root, levels=levels, colors="white", linewidths=0.25)
        for curve in plane.kinks:
            style = "-" if curve.order == 1 else ":"
            if len(curve.points) == 1:
                axes.plot(*curve.points[0], "x", color="white", ms=4, mew=1)
            else:
                axes.plot(
                    *curve.points.T, style, color="white", lw=0.9 if len(plane.kinks) < 20 else 0.4
                )
        axes.set(xlim=plane.x[[0, -1]], ylim=plane.y[[0, -1]])
        for name, (x, y) in zip(names, plane.corners, strict=True):
            axes.plot(x, y, "o", ms=4, mfc="white", mec="black", mew=0.8)
            # Towards the middle, so that no label leaves the picture.
            left = x > np.mean(plane.x)
            axes.annotate(
                name,
                (x, y),
                xytext=(-5 if left else 5, 5),
                textcoords="offset points",
                ha="right" if left else "left",
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
        axes.set(xlabel="distance along the first side", ylabel="across", aspect="equal")
        for side in ("top", "right"):
            axes.spines[side].set_visible(True)
        bar = figure.colorbar(drawn, ax=axes, label="loss")
        ticks = levels[:: max(1, len(levels) // 6)]
        bar.set_ticks(list(ticks), labels=[f"{t * t:.2g}" for t in ticks])
    return figure


def split_table(line: SplitLine, title: str) -> Table:
    """One row for each share; the caption is what theory says."""
    s = line.signature
    caption = (
        f"By theory: {s.before} negative eigenvalues before, {s.inside} for 0 < λ < 1, {s.outside} "
        f"outside; {s.flat} that are zero. H' has eigenvalues from {significant(s.kernel[0], 5)} "
        f"to {significant(s.kernel[-1], 5)}."
    )
    table = _table(title, caption)
    for heading in ("share λ", "loss", "negative", "smallest eigenvalue", "largest eigenvalue"):
        table.add_column(heading, justify="right")
    for share, value, count, values in zip(
        line.shares, line.loss, line.negative, line.spectra, strict=True
    ):
        cells = (
            f"{share:.4g}",
            significant(float(value)),
            str(int(count)),
            significant(float(values[0]), 6),
            significant(float(values[-1]), 6),
        )
        table.add_row(*map(Text, cells))
    return table


def split_figure(line: SplitLine) -> Figure:
    """Along a split: how many eigenvalues are negative, and the eigenvalues that move.

    **Convention.** 7.2 inches wide. Eigenvalues on an axis that is linear below 0.1 and
    logarithmic beyond; at λ = 0 and 1 a copy vanishes and some have no bound.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 2.7)
        left, right = figure.subplots(1, 2)
        parts = np.split(np.arange(len(line.shares)), np.searchsorted(line.shares, (0.0, 1.0)))
        for part in parts:
            left.plot(line.shares[part], line.negative[part], color=scales.VERMILLION, lw=1.2)
            right.plot(line.shares[part], line.spectra[part], color=scales.BLUE, lw=0.5, alpha=0.6)
        right.axhline(0, color="black", lw=0.6)
        right.set_yscale("symlog", linthresh=0.1)
        for axes in (left, right):
            axes.set_xlabel("share λ of one copy")
            for t in (0, 1):
                axes.axvline(t, color=scales.LIGHT, lw=0.8, zorder=0)
        left.yaxis.set_major_locator(MaxNLocator(integer=True))
        left.set_ylim(bottom=-0.3)
        left.set_title("(a) negative eigenvalues", loc="left")
        right.set_title("(b) Hessian eigenvalues", loc="left")
    return figure
