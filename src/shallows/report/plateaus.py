"""Losses by order along training, and how long plateaus last: for paper with matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from shallows.atlas.powers import exponent
from shallows.report import scales
from shallows.report.figures import _STYLE, _figure

_COLOURS = (scales.BLUE, scales.GREEN, scales.VERMILLION, scales.PURPLE, scales.ORANGE)


@dataclass(frozen=True, eq=False)
class OrderCurves:
    """One run of descent, its loss split by tensor order."""

    title: str
    times: Float[np.ndarray, " s"]
    loss: Float[np.ndarray, " s"]
    numbers: tuple[int, ...]
    """Which orders."""
    orders: Float[np.ndarray, "s o"]
    """Their losses; what is left of `loss` is drawn as that of all others."""
    floor: float
    """The loss of the best function of degree 2."""
    kernel: float | None = None
    """The loss of kernel ridge regression."""
    training: Float[np.ndarray, " s"] | None = None
    """The loss on the sample trained on, where there is one."""


@dataclass(frozen=True, eq=False)
class PlateauLengths:
    """How long plateaus lasted, one entry a run."""

    inputs: Float[np.ndarray, " r"]
    lengths: Float[np.ndarray, " r"]


def plateau_figure(curves: Sequence[OrderCurves], lengths: PlateauLengths | None = None) -> Figure:
    """Losses by order against time, a panel for each run, and the length of plateaus against d.

    **Convention.** Logarithmic axes; a time 0 is left out. The last panel, if `lengths` are given,
    has the least-squares power law and, for the eye, d².

    **Raises.** `ValueError` for no run, or more than three.
    """
    if not 1 <= len(curves) <= 3:
        raise ValueError(
            f"A figure has one to three runs, but {len(curves)} were given. Make several."
        )
    with matplotlib.rc_context(_STYLE):
        count = len(curves) + (lengths is not None)
        figure = _figure(2.6 * count + 0.4, 2.9)
        panels = figure.subplots(1, count, squeeze=False)[0]
        for axes, one in zip(panels, curves, strict=False):
            _draw(axes, one)
        panels[0].set_ylabel("loss")
        # One legend for all panels: what any of them has, in the order of first appearance.
        found: dict[str, Artist] = {}
        for axes in panels[: len(curves)]:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                found.setdefault(label, handle)
        figure.legend(
            list(found.values()), list(found), loc="outside lower center", ncols=5, frameon=False
        )
        if lengths is not None:
            _draw_lengths(panels[-1], lengths)
    return figure


def _draw(axes: Axes, one: OrderCurves) -> None:
    later = one.times > 0
    time = one.times[later]
    rest = one.loss - one.orders.sum(axis=1)
    for i, k in enumerate(one.numbers):
        colour = _COLOURS[i % len(_COLOURS)]
        axes.plot(time, one.orders[later, i], color=colour, lw=1.0, label=f"order {k}")
    axes.plot(time, rest[later], color=scales.GREY, lw=1.0, label="other orders")
    axes.plot(time, one.loss[later], color="#222222", lw=1.8, label="loss")
    if one.training is not None:
        axes.plot(
            time, one.training[later], color="#222222", lw=1.0, ls="--", label="on the sample"
        )
    axes.axhline(one.floor, color="#222222", lw=0.8, ls=":", label="best of degree 2")
    if one.kernel is not None:
        axes.axhline(one.kernel, color=scales.SKY, lw=1.2, ls="-.", label="kernel ridge")
    low = min(one.floor, float(one.loss.min()))
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(time[0], time[-1]),
        ylim=(low / 30, 2 * float(one.loss.max())),
        xlabel="time η t",
    )
    axes.set_title(one.title, loc="left")


def _draw_lengths(axes: Axes, found: PlateauLengths) -> None:
    d, y = found.inputs, found.lengths
    power = exponent(d, y).value
    middle = np.exp(np.mean(np.log(d)))
    height = np.exp(np.mean(np.log(y)))
    span = np.array([d.min() / 1.15, d.max() * 1.15])
    axes.plot(d, y, "o", color=scales.BLUE, ms=3.5, mec="white", mew=0.4)
    axes.plot(span, height * (span / middle) ** power, color=scales.BLUE, lw=1.2)
    # Shifted down, so that the two lines can be told apart.
    axes.plot(span, 0.4 * height * (span / middle) ** 2, color=scales.GREY, lw=1.0, ls="--")
    end = 0.4 * height * (span[1] / middle) ** 2
    axes.text(1.04 * span[1], end, "d²", color=scales.GREY, va="center")
    axes.text(
        0.05, 0.95, f"d to the {power:.2f}", color=scales.BLUE, transform=axes.transAxes, va="top"
    )
    sizes = np.unique(d)
    chosen = [sizes[0]]
    for size in sizes[1:]:
        if size >= 1.3 * chosen[-1]:
            chosen.append(size)
    axes.set(xscale="log", yscale="log", xlabel="inputs d")
    axes.set_xticks(chosen, [f"{size:g}" for size in chosen])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("length of the plateau", loc="left")
