"""How sample variances decay with depth, and how norms go with the generalisation gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from shallows.report import scales
from shallows.report.figures import _STYLE, _figure

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY)


@dataclass(frozen=True, eq=False)
class DepthCurve:
    """v²/s² of random networks by layer, the first one first."""

    share: Float[np.ndarray, " l"]
    """Mean over networks."""
    error: Float[np.ndarray, " l"]
    """Its standard error."""


def depth_figure(
    curves: Mapping[str, DepthCurve], theory: Float[np.ndarray, " l"] | None = None
) -> Figure:
    """Sample variance as a share of the total, against depth, with two standard errors.

    **Convention.** Logarithmic axes, one curve for each name; `theory` is drawn dashed, as that
    of infinite width.

    **Raises.** `ValueError` for no curve, or more than six.
    """
    _check(len(curves), len(_COLOURS))
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.2, 3.2)
        axes = figure.subplots()
        for (name, curve), colour in zip(curves.items(), _COLOURS, strict=False):
            layers = np.arange(1, len(curve.share) + 1)
            low = np.maximum(curve.share - 2 * curve.error, 1e-6)
            axes.fill_between(layers, low, curve.share + 2 * curve.error, color=colour, alpha=0.2,
                              lw=0)  # fmt: skip
            axes.plot(layers, curve.share, color=colour, lw=1.4, label=name)
        if theory is not None:
            layers = np.arange(1, len(theory) + 1)
            axes.plot(layers, theory, color="#222222", lw=0.9, ls="--", label="infinite width")
        depth = max(len(curve.share) for curve in curves.values())
        ticks = [l for l in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if l <= depth]
        axes.set(xscale="log", yscale="log", xlabel="layer", ylabel="sample variance / total")
        axes.set_xticks(ticks, [str(l) for l in ticks])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(top=1.3)
        axes.legend(frameon=False, fontsize=7, loc="lower left")
    return figure


@dataclass(frozen=True, eq=False)
class GapCloud:
    """A norm of trained networks beside how far off training data they are."""

    name: str
    log_norm: Float[np.ndarray, " r"]
    """Natural logarithms."""
    gap: Float[np.ndarray, " r"]
    """Test error less training error."""
    wrong: Float[np.ndarray, " r"]
    """The share of wrong labels in training, which colours points."""


def gap_figure(clouds: Sequence[GapCloud]) -> Figure:
    """The generalisation gap against each of some norms, a panel for each, a point for each run.

    **Convention.** Norms on a logarithmic axis, in powers of ten.

    **Raises.** `ValueError` for no norm, or more than four.
    """
    _check(len(clouds), 4)
    with matplotlib.rc_context(_STYLE):
        figure = _figure(1.9 * len(clouds) + 0.9, 2.7)
        panels = figure.subplots(1, len(clouds), sharey=True, squeeze=False)[0]
        top = max(float(np.max(cloud.wrong)) for cloud in clouds)
        for axes, cloud in zip(panels, clouds, strict=True):
            points = axes.scatter(
                cloud.log_norm / np.log(10), 100 * cloud.gap, c=100 * cloud.wrong, s=14,
                cmap="viridis", vmin=0, vmax=100 * max(top, 1e-9), lw=0.3, edgecolors="white",
            )  # fmt: skip
            axes.set(xlabel="log₁₀ of the norm")
            axes.set_title(cloud.name, loc="left")
        panels[0].set_ylabel("gap in error, %")
        figure.colorbar(points, ax=list(panels), label="wrong labels, %", aspect=30)
    return figure


def _check(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise ValueError(
            f"This figure shows 1 to {most} of them, but {count} were given. Make several."
        )
