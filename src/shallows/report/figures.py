"""Figures for paper: the census and the atlas with matplotlib, without its global state."""

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from shallows.atlas.catalogue import Census, Family
from shallows.report import scales, sizes
from shallows.report.shares import Share, percent
from shallows.report.words import plural, size_title

# `Any`, because the stubs of matplotlib 3.11 list every key and those of 3.9 none.
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so figures agree between machines
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # journals refuse the default, Type 3
    "text.usetex": False,
    "svg.hashsalt": "shallows",
}
_BARS, _MATRICES = 8, 5
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def census_figure(census: Census) -> Figure:
    """One census on half a page: shares, landscape and the matrices behind them.

    (a) share of all starts per family with 95 % Wilson intervals, (b) loss against smallest
    Hessian eigenvalue, areas proportional to counts, (c) inner weights of the most frequent
    families on one colour scale.

    **Convention.** 7.2 inches wide, two columns of a paper. No pyplot, no global state.
    """
    with matplotlib.rc_context(_STYLE):
        if not census.families:
            figure = _figure(7.2, 2.0)
            figure.text(0.5, 0.5, f"None of {plural(census.starts, 'start')} settled.", ha="center")
            return figure
        shown = census.families[:_MATRICES]
        shape = shown[0].weights.shape
        lower = 1.75 if shape[0] > 0.4 * shape[1] else 1.1
        upper = 0.9 + 0.32 * max(5, min(len(census.families), _BARS + 1))
        figure = _figure(7.2, upper + lower)
        grid = figure.add_gridspec(2, 1, height_ratios=[upper, lower])
        top, bottom = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        left, right = top.subplots(1, 2, width_ratios=[1, 1.15])
        _draw_shares(left, census)
        _draw_landscape(right, census)
        _draw_matrices(bottom, shown)
    return figure


def atlas_figure(censuses: Sequence[Census], *, cap: int = 10) -> Figure:
    """A range of sizes: where training ends as the network grows.

    Above, the share of the starts at the global minimum and with 1, 2, … flipped neurons
    (`cap` and more in one band); below, the mean number of flipped neurons ± two standard
    errors, and the mean final loss.

    **Raises.** `ValueError` for no census, one that does not say `neurons`, or cap < 1.
    """
    found = sizes.ordered(censuses)
    ks = [sizes.neurons(census) for census in found]
    even = sizes.is_evenly_spaced(ks)
    places = np.array(ks if even else range(len(ks)), dtype=float)
    step = float(places[1] - places[0]) if len(ks) > 1 else 1.0
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 5.0)
        grid = figure.add_gridspec(2, 2, height_ratios=[1.5, 1])
        above = figure.add_subplot(grid[0, :])
        below = [figure.add_subplot(grid[1, column]) for column in (0, 1)]
        base = np.zeros(len(ks))
        width = step if even else 0.9
        for band in sizes.bands(found, cap):
            height = 100 * np.array(band.shares)
            # White lines between the bands only, as bars of a hundred sizes touch.
            above.bar(places, height, width, bottom=base, color=band.colour, label=band.label, lw=0)
            if base.any():
                above.hlines(base, places - width / 2, places + width / 2, color="white", lw=0.5)
            base = base + height
        above.set(ylabel="share of starts (%)", ylim=(0, 100))
        above.margins(x=0)
        above.set_title("(a) where the starts ended", loc="left")
        above.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=1.2)

        mean, error = np.array([sizes.mean_flipped(census) for census in found]).T
        mark = "o-" if len(ks) <= 30 else "-"
        below[0].fill_between(
            places, mean - 2 * error, mean + 2 * error, color=scales.BLUE, alpha=0.25, lw=0
        )
        below[0].plot(places, mean, mark, color=scales.BLUE, ms=3, lw=1.2)
        below[0].set(ylabel="mean flipped neurons")
        below[0].set_ylim(bottom=0)
        below[0].set_title("(b) flipped neurons (±2 standard errors)", loc="left")
        for label, spurious, colour, line in (
            ("not global", True, scales.VERMILLION, mark),
            ("all settled", False, "#222222", mark.replace("o", "s") + "-"),
        ):
            loss = [sizes.mean_loss(census, spurious=spurious) for census in found]
            below[1].plot(places, loss, line, color=colour, ms=3, lw=1.2, label=label)
        below[1].set(ylabel="mean final loss")
        below[1].set_ylim(bottom=0)
        below[1].legend(frameon=False)
        below[1].set_title("(c) loss", loc="left")
        for axes in (above, *below):
            axes.set_xlabel("k (student neurons)")
            if not even or len(ks) <= 12:
                axes.set_xticks(places, [str(k) for k in ks])
            else:
                axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    return figure


def save_figure(figure: Figure, stem: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write `stem.png` (300 dpi) and `stem.pdf`, and return their paths.

    **Convention.** No dates and no version inside: the same figure gives the same bytes. Each
    file is written beside and renamed.
    """
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, dict[str, Any]] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Creator": "shallows", "Producer": None},
    }
    paths = []
    for kind, entries in metadata.items():
        # Not `with_suffix`, which would eat the end of `census.k10`.
        target = stem.with_name(f"{stem.name}.{kind}")
        with tempfile.TemporaryDirectory(dir=stem.parent, prefix=".figure-") as folder:
            beside = Path(folder) / target.name
            with matplotlib.rc_context(_STYLE):
                figure.savefig(beside, format=kind, dpi=300, metadata=entries)
            os.replace(beside, target)
        paths.append(target)
    return paths[0], paths[1]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_shares(axes: Axes, census: Census) -> None:
    styles = scales.isotropies(census.families)
    labels = [
        f"{_text(scales.shortened(f.name, 20))}\n{_group(f.isotropy)}"
        for f in census.families[:_BARS]
    ]
    colours = [styles[f.isotropy][0] for f in census.families[:_BARS]]
    counts = [family.count for family in census.families[:_BARS]]
    rest = sum(family.count for family in census.families[_BARS:])
    if rest:
        labels.append(plural(len(census.families) - _BARS, "rarer family", "rarer families"))
        colours.append(scales.LIGHT)
        counts.append(rest)
    shares = [Share(count, census.starts) for count in counts]
    middle = [100 * share.fraction for share in shares]
    low = [m - 100 * s.interval[0] for m, s in zip(middle, shares, strict=True)]
    high = [100 * s.interval[1] - m for m, s in zip(middle, shares, strict=True)]
    places = range(len(shares))
    axes.barh(
        places,
        middle,
        color=colours,
        height=0.6,
        xerr=[low, high],
        error_kw={"lw": 0.9, "capsize": 2, "ecolor": "#222222"},
    )
    for i, (m, h) in enumerate(zip(middle, high, strict=True)):
        axes.annotate(
            f"{percent(m / 100)} %", (m + h, i), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(places, labels, linespacing=1.05, fontsize=7.5)
    axes.set(xlabel=f"share of {plural(census.starts, 'start')} (%)")
    reach = 1.25 * max(m + h for m, h in zip(middle, high, strict=True))
    axes.set_xlim(0, reach)
    axes.set_xticks(scales.percent_ticks(reach))
    axes.set_ylim(max(len(shares), 3) - 0.4, -0.6)
    size = size_title(census.question)
    axes.set_title(f"(a) families{f', {size}' if size else ''}", loc="left")


def _draw_landscape(axes: Axes, census: Census) -> None:
    families = [
        f for f in census.families if math.isfinite(f.loss) and math.isfinite(f.smallest_eigenvalue)
    ]
    axes.set(xlabel="loss", ylabel="smallest Hessian eigenvalue")
    axes.set_title("(b) landscape", loc="left")
    axes.axhline(0, color="#222222", lw=0.8, zorder=0)
    if not families:
        return
    styles = scales.isotropies(census.families)
    largest = max(family.count for family in families)
    for family in families:
        colour, _, marker = styles[family.isotropy]
        axes.scatter(
            family.loss,
            family.smallest_eigenvalue,
            # The area is proportional to the count, with a floor that stays visible.
            s=max(12.0, 220 * family.count / largest),
            color=colour,
            marker=marker,
            edgecolors="#222222",
            linewidths=0.6,
            alpha=0.85,
        )
    axes.margins(x=0.14, y=0.16)
    # One family, or only the global minimum at 1e-29: no span to take a margin of.
    if max(f.loss for f in families) - min(f.loss for f in families) < 1e-12:
        middle = families[0].loss
        reach = 0.1 * abs(middle) if abs(middle) > 1e-12 else 1e-3
        axes.set_xlim(middle - reach, middle + reach)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    for i, side in scales.labelled(families, styles, most=_BARS).items():
        family = families[i]
        size = math.sqrt(max(12.0, 220 * family.count / largest))
        axes.annotate(
            _text(scales.shortened(family.name, 14)),
            (family.loss, family.smallest_eigenvalue),
            ({"right": -size, "left": size, "center": 0}[side] / 2, 3 + size / 2),
            textcoords="offset points",
            ha={"right": "left", "left": "right", "center": "center"}[side],
            path_effects=[withStroke(linewidth=2, foreground="white")],
            va="bottom",
            fontsize=7.5,
        )


def _draw_matrices(parent: Any, families: Sequence[Family]) -> None:
    # A column for the colour scale, and empty ones to keep few matrices on the left.
    columns = len(families)
    empty = [float(_MATRICES - columns)] if columns < _MATRICES else []
    grid = parent.add_gridspec(
        1, columns + 1 + len(empty), width_ratios=[1] * columns + [0.06] + empty
    )
    shown = [parent.add_subplot(grid[0, column]) for column in range(columns)]
    largest = max((float(np.abs(f.weights).max(initial=0.0)) for f in families), default=1.0) or 1.0
    picture = None
    colours = LinearSegmentedColormap.from_list("weights", list(scales.DIVERGING))
    for i, (axes, family) in enumerate(zip(shown, families, strict=True)):
        k, d = family.weights.shape
        picture = axes.imshow(
            family.weights,
            cmap=colours,
            vmin=-largest,
            vmax=largest,
            extent=(0.5, d + 0.5, k + 0.5, 0.5),
            interpolation="nearest",
        )
        axes.set_title(_text(scales.shortened(family.name, 14)), fontsize=7.5)
        axes.set_xticks(sorted({1, d}))
        axes.set_yticks(sorted({1, k}))
        axes.spines[:].set_visible(True)
        # The words go between the two numbers, where there are two.
        axes.set_xlabel("input", labelpad=-4 if d > 1 else 2)
        if i == 0:
            axes.set_ylabel("neuron", labelpad=-4 if k > 1 else 2)
    parent.colorbar(picture, cax=parent.add_subplot(grid[0, columns]), label="weight")
    parent.suptitle("(c) inner weights", x=0.01, ha="left", fontsize=8)


def _text(name: str) -> str:
    # A dollar sign would start a formula.
    return name.replace("$", r"\$")


def _group(isotropy: str) -> str:
    pieces = scales.shortened(isotropy, 26).split("S")
    lowered = [pieces[0]]
    for piece in pieces[1:]:
        digits = len(piece) - len(piece.lstrip("0123456789"))
        lowered.append(piece[:digits].translate(_SUBSCRIPTS) + piece[digits:])
    return _text("S".join(lowered))
