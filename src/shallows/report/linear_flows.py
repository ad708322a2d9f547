"""Flows of linear networks under dropout: how fast the loss falls, and how fast it should."""

import dataclasses
from collections.abc import Mapping

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from shallows.report import scales
from shallows.report.figures import _STYLE, _figure
from shallows.solve.linear_flow import LinearRun

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY)
_FLOOR = 1e-13


@dataclasses.dataclass(frozen=True)
class RateCurve:
    """Rates against the probability p to stay, as predicted, and where they were measured."""

    probabilities: Float[np.ndarray, " n"]
    rescaled: Float[np.ndarray, " n"]
    original: Float[np.ndarray, " n"]
    measured: Float[np.ndarray, "m 3"]
    """Rows of p and the fitted rates in rescaled and in original weights."""


def dropout_figure(runs: Mapping[str, LinearRun], curves: Mapping[str, RateCurve]) -> Figure:
    """The gap J − min J against time, and rates against p in both kinds of weights.

    **Convention.** 7.2 inches wide. Dashed lines have the slope that the Hessian at the flow's
    limit predicts; they are shifted to the end of the run. Points on the right are fitted.
    """
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 3.2)
        left, right = figure.subplots(1, 2)
        for (name, run), colour in zip(runs.items(), _COLOURS, strict=False):
            times = np.linspace(0, run.evolution.times[-1], 300)
            gap = run.gap(times) / float(np.sum(run.loss.target**2))
            left.plot(times, np.maximum(gap, _FLOOR), color=colour, lw=1.4, label=name)
            if run.spectrum is not None:
                anchor = int(np.argmax(gap <= 1e-11))
                line = gap[anchor] * np.exp(-run.spectrum.rate * (times - times[anchor]))
                shown = line <= 1
                left.plot(times[shown], line[shown], color="#222222", lw=0.8, ls="--")
        left.set_yscale("log")
        left.set_ylim(_FLOOR, 2)
        left.set(xlabel="time", ylabel="(J − min J) / |Y|²")
        left.set_title("(a) gap; dashed: by the Hessian at the limit", loc="left")
        left.legend(frameon=False, fontsize=7)
        for (_, curve), colour in zip(curves.items(), _COLOURS, strict=False):
            right.plot(curve.probabilities, curve.rescaled, color=colour, lw=1.2)
            right.plot(curve.probabilities, curve.original, color=colour, lw=1.2, ls=":")
            p, rescaled, original = curve.measured.T
            right.plot(p, rescaled, "o", color=colour, ms=3.5)
            right.plot(p, original, "o", color=colour, ms=3.5, mfc="white")
        handles = [
            Line2D([], [], color=colour, lw=1.2, label=name)
            for name, colour in zip(curves, _COLOURS, strict=False)
        ]
        handles += [
            Line2D([], [], color="#222222", marker="o", ms=3.5, lw=1.2, label="rescaled weights"),
            Line2D([], [], color="#222222", marker="o", ms=3.5, mfc="white", lw=1.2, ls=":",
                   label="original weights"),
        ]  # fmt: skip
        right.legend(handles=handles, frameon=False, fontsize=7)
        right.set_yscale("log")
        right.set(xlabel="probability p to stay", ylabel="rate", xlim=(0, 1))
        right.set_title("(b) rate against p; dots: fitted", loc="left")
    return figure
