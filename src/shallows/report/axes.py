"""How axes and legends of interactive plots look."""

import math
from collections.abc import Sequence
from typing import Any

Plot = dict[str, Any]
"""`{"data": […], "layout": {…}}`, JSON without NaN."""

LEGEND_BELOW: Plot = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "xref": "container",
    "font": {"size": 12},
    "y": 0,
    "yanchor": "bottom",
    "yref": "container",
}


def frame(height: int, xaxis: Plot, yaxis: Plot, **rest: Any) -> Plot:
    """The layout of a plot."""
    axis: Plot = {
        "automargin": True,
        "gridcolor": "#e4e4e4",
        "ticks": "outside",
        "tickcolor": "#888888",
    }
    return {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1a1a1a"},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "hoverlabel": {"align": "left", "bgcolor": "#ffffff", "font": {"color": "#1a1a1a"}},
        "showlegend": False,
        "xaxis": {**axis, **xaxis},
        "yaxis": {**axis, **yaxis},
        **rest,
    }


def integers(count: int) -> Plot:
    """An axis of the numbers from 1 to `count`."""
    step = next(s for p in range(9) for s in (10**p, 2 * 10**p, 5 * 10**p) if count <= 12 * s)
    start = 1 if step == 1 else step
    return {"tick0": start, "dtick": step, "ticks": "", "tickformat": "d"}


def decades(values: Sequence[float | int]) -> Plot:
    """A logarithmic axis that holds these values."""
    # plotly writes bare 2 and 5 between the decades of a logarithmic axis, read as 2 and 5.
    first, last = (math.floor(math.log10(bound)) for bound in (min(values), max(values)))
    steps = (1, 2, 5) if last - first < 3 else (1,)
    ticks = [rounded(step * 10.0**p) for p in range(first, last + 2) for step in steps]
    low, high = math.log10(min(values)), math.log10(max(values))
    pad = 0.06 * (high - low) or 0.2
    return {
        "range": [low - pad, high + pad],
        "tickvals": ticks,
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def padded(values: Sequence[float | int], share: float) -> list[float]:
    """A range that holds these values, with a margin."""
    # A census with one family, or with all losses at 1e-29, still gets a visible axis.
    low, high = min(values), max(values)
    pad = share * (high - low) or share * abs(high) or share
    if high - low < 1e-12 and abs(high) < 1e-12:
        pad = 1e-3
    return [low - pad, high + pad]


def number(value: float | int, digits: int = 12) -> float | None:
    """A number for JSON."""
    # JSON knows neither NaN nor infinity; plotly leaves a gap at null.
    return rounded(value, digits) if math.isfinite(value) else None


def rounded(value: float | int, digits: int = 12) -> float:
    """A number with few digits, which keeps pages small."""
    return float(f"{float(value):.{digits}g}")
