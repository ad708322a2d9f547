"""Interactive figures, as the plain documents that plotly.js draws.

Plain dictionaries rather than `plotly.graph_objects`: a page with forty families holds well
over a hundred figures, and building and validating the objects would take longer than the
census took to read. The tests validate every figure built here against plotly's schema.
"""

import html
import math
import re
from collections.abc import Sequence

from shallows.atlas.catalogue import Census, Family, Kind
from shallows.report import scales, sizes
from shallows.report.axes import (
    LEGEND_BELOW,
    Plot,
    decades,
    frame,
    integers,
    number,
    padded,
    rounded,
)
from shallows.report.shares import Share, percent
from shallows.report.words import plural, scientific, significant

_BARS = 16
_POINTS = 400


def landscape_plot(census: Census) -> Plot:
    """Loss against smallest Hessian eigenvalue, one point per family."""
    families = _drawable(census)
    # Of all families, also those that cannot be drawn here: the colours of the other figure.
    styles = scales.isotropies(census.families)
    named = scales.labelled(families, styles)
    largest = max(family.count for family in families)
    groups: dict[str, list[int]] = {}
    for i, family in enumerate(families):
        groups.setdefault(scales.group_of(family.isotropy, styles), []).append(i)

    traces = []
    for group, members in groups.items():
        colour, symbol, _ = styles[families[members[0]].isotropy]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": _isotropy(group),
                "x": [number(families[i].loss) for i in members],
                "y": [number(families[i].smallest_eigenvalue) for i in members],
                "text": [_name(families[i], 14) if i in named else "" for i in members],
                "textposition": [f"top {named.get(i, 'center')}" for i in members],
                "textfont": {"size": 12},
                "hovertext": [_hover(families[i], census) for i in members],
                "hoverinfo": "text",
                "cliponaxis": False,
                "marker": {
                    "color": colour,
                    "symbol": symbol,
                    "size": [families[i].count for i in members],
                    "sizemode": "area",
                    # The area is proportional to the count; the most frequent is 34 px wide.
                    "sizeref": 2 * largest / 34**2,
                    "sizemin": 5,
                    "opacity": 0.85,
                    "line": {"width": 1, "color": "#222222"},
                },
            }
        )
    losses = [family.loss for family in families]
    eigenvalues = [0.0, *(family.smallest_eigenvalue for family in families)]
    layout = frame(
        height=460,
        xaxis={"title": {"text": "loss"}, "range": padded(losses, 0.12), "zeroline": False},
        yaxis={
            "title": {"text": "smallest Hessian eigenvalue"},
            "range": padded(eigenvalues, 0.16),
            "zeroline": True,
            "zerolinecolor": "#222222",
            "zerolinewidth": 1.5,
        },
        legend={**LEGEND_BELOW, "itemsizing": "constant", "title": {"text": "isotropy "}},
        margin={"l": 70, "r": 24, "t": 24, "b": 60},
        showlegend=True,
    )
    return {"data": traces, "layout": layout}


def shares_plot(census: Census) -> Plot:
    """The share of all starts per family, as bars with 95 % Wilson intervals."""
    bars: list[tuple[str, Share, str, str]] = []
    styles = scales.isotropies(census.families)
    for family in census.families[:_BARS]:
        colour = styles[family.isotropy][0]
        share = Share(family.count, census.starts)
        bars.append((_name(family), share, colour, _hover(family, census)))
    rest = sum(family.count for family in census.families[_BARS:])
    if rest:
        label = plural(len(census.families) - _BARS, "more", "more")
        share = Share(rest, census.starts)
        bars.append((label, share, scales.LIGHT, f"{label}: {rest} starts"))
    unsettled = census.starts - sum(family.count for family in census.families)
    if unsettled > 0:
        share = Share(unsettled, census.starts)
        bars.append(("not settled", share, scales.LIGHT, f"not settled: {unsettled} starts"))
    shares = [share for _, share, _, _ in bars]
    fractions = [100 * share.fraction for share in shares]
    highs = [100 * share.interval[1] for share in shares]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": [number(fraction) for fraction in fractions],
        # Positions rather than names: two families may bear names that are cut alike.
        "y": list(range(len(bars))),
        "marker": {"color": [colour for _, _, colour, _ in bars]},
        "hovertext": [hover for _, _, _, hover in bars],
        "hoverinfo": "text",
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [number(h - f) for h, f in zip(highs, fractions, strict=True)],
            "arrayminus": [number(100 * (s.fraction - s.interval[0])) for s in shares],
            "color": "#222222",
            "thickness": 1.5,
            "width": 4,
        },
    }
    reach = max(highs)
    layout = frame(
        height=90 + 30 * len(bars),
        # Room on the right for the number that stands behind each interval.
        xaxis={
            "title": {"text": "share of all starts (%)"},
            "range": [0, reach * 1.22],
            "tickvals": scales.percent_ticks(reach * 1.22),
            "zeroline": False,
        },
        yaxis={
            "tickvals": list(range(len(bars))),
            "ticktext": [label for label, _, _, _ in bars],
            "range": [len(bars) - 0.4, -0.6],
            "ticklen": 4,
            "automargin": True,
            "showgrid": False,
        },
        bargap=0.35,
        annotations=[
            {
                "x": high,
                "y": i,
                "text": f"{percent(share.fraction)} %",
                "xanchor": "left",
                "xshift": 8,
                "showarrow": False,
            }
            for i, (share, high) in enumerate(zip(shares, highs, strict=True))
        ],
        margin={"l": 60, "r": 52, "t": 12, "b": 56},
    )
    return {"data": [trace], "layout": layout}


def weights_plot(family: Family) -> Plot:
    """The inner weight matrix as a picture, zero white; z is filled in by the page.

    The numbers themselves are in the page once, in full precision, for the picture and for
    the copy button: `"z": null` stands for them.
    """
    k, d = family.weights.shape
    largest = max((abs(float(w)) for w in family.weights.flat), default=1.0) or 1.0
    trace: Plot = {
        "type": "heatmap",
        "z": None,
        "x0": 1,
        "dx": 1,
        "y0": 1,
        "dy": 1,
        "zmin": -rounded(largest),
        "zmax": rounded(largest),
        "colorscale": [list(stop) for stop in scales.DIVERGING],
        "colorbar": {"thickness": 10, "len": 0.9, "outlinewidth": 0, "tickfont": {"size": 11}},
        "hovertemplate": "neuron %{y}, input %{x}<br>weight %{z:.10g}<extra></extra>",
        "xgap": 1 if max(k, d) <= 40 else 0,
        "ygap": 1 if max(k, d) <= 40 else 0,
    }
    if max(k, d) <= 12:
        trace["texttemplate"] = "%{z:.2f}"
        trace["textfont"] = {"size": 10}
    layout = frame(
        height=int(min(440, 110 + 340 * min(1.0, k / d))),
        xaxis={
            "title": {"text": "input", "standoff": 6},
            **integers(d),
            "constrain": "domain",
            "showgrid": False,
            "zeroline": False,
        },
        yaxis={
            "title": {"text": "neuron", "standoff": 6},
            **integers(k),
            "autorange": "reversed",
            "scaleanchor": "x",
            "constrain": "domain",
            "showgrid": False,
            "zeroline": False,
        },
        margin={"l": 48, "r": 8, "t": 12, "b": 48},
    )
    return {"data": [trace], "layout": layout}


def spectrum_plot(family: Family) -> Plot:
    """Multiplicity against eigenvalue: one stem per level, logarithmic upwards.

    **Convention.** Eigenvalues on a logarithmic axis for a minimum, where all are positive and
    the bulk near 1/4 would be squeezed by the few that grow with k; linear otherwise.
    """
    levels = [level for level in family.spectrum if math.isfinite(level.eigenvalue)]
    is_log = spectrum_is_logarithmic(family)
    x: list[float | None] = []
    y: list[float | None] = []
    for level in levels:
        x += [number(level.eigenvalue, 10), number(level.eigenvalue, 10), None]
        y += [0.5, level.multiplicity, None]
    stems = {
        "type": "scatter",
        "mode": "lines",
        "x": x,
        "y": y,
        "line": {"color": scales.BLUE, "width": 1.5},
        "hoverinfo": "skip",
    }
    heads = {
        "type": "scatter",
        "mode": "markers",
        "x": [number(level.eigenvalue, 10) for level in levels],
        "y": [level.multiplicity for level in levels],
        "marker": {
            "color": [scales.VERMILLION if lv.eigenvalue < 0 else scales.BLUE for lv in levels],
            "size": 8,
        },
        "hovertemplate": "eigenvalue %{x:.8g}<br>multiplicity %{y}<extra></extra>",
        "cliponaxis": False,
    }
    top = max((level.multiplicity for level in levels), default=1)
    layout = frame(
        height=300,
        xaxis={
            "title": {"text": "Hessian eigenvalue"},
            "type": "log" if is_log else "linear",
            **(decades([level.eigenvalue for level in levels]) if is_log else {}),
            "zeroline": not is_log,
            "zerolinecolor": "#222222",
        },
        yaxis={
            "title": {"text": "multiplicity"},
            "type": "log",
            "range": [math.log10(0.5), math.log10(top) + 0.25],
            "tickvals": [v for p in range(8) for v in (10**p, 2 * 10**p, 5 * 10**p)],
        },
        margin={"l": 56, "r": 16, "t": 12, "b": 50},
    )
    return {"data": [stems, heads], "layout": layout}


def spectrum_is_logarithmic(family: Family) -> bool:
    """Whether the eigenvalue axis is logarithmic; see `spectrum_plot`."""
    return (
        family.kind is Kind.minimum
        and bool(family.spectrum)
        and all(level.eigenvalue > 0 for level in family.spectrum)
    )


def curve_plot(family: Family, *, stepwise: bool) -> Plot:
    """The training curve: loss and gradient norm, logarithmic upwards.

    **Convention.** Values below `scales.FLOOR`, zeros and negative ones (rounding) are drawn
    on that floor; hovering tells the true value. At most 400 of the recorded points.
    """
    curve = family.curve
    kept = thinned(len(curve.time))
    traces: list[Plot] = []
    is_clipped = False
    for label, values, colour, dash in (
        ("loss", curve.loss, scales.BLUE, "solid"),
        ("gradient norm", curve.gradient_norm, scales.VERMILLION, "dash"),
    ):
        true = [number(values[i], 6) for i in kept]
        drawn = [None if v is None else max(v, scales.FLOOR) for v in true]
        is_clipped |= drawn != true
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers" if len(kept) < 40 else "lines",
                "name": label,
                "x": [number(curve.time[i], 8) for i in kept],
                "y": drawn,
                "line": {"color": colour, "width": 2, "dash": dash},
                "marker": {"size": 4},
                # The true values only where they differ: they double the size of the page.
                **({"customdata": true} if drawn != true else {}),
                "hovertemplate": f"{label} %{{{'customdata' if drawn != true else 'y'}:.4g}}"
                f"<br>{'step' if stepwise else 'time'} %{{x}}<extra></extra>",
            }
        )
    floor = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": scales.FLOOR,
        "y1": scales.FLOOR,
        "line": {"color": scales.GREY, "width": 1, "dash": "dot"},
    }
    layout = frame(
        height=320,
        xaxis={"title": {"text": "step" if stepwise else "time"}, "zeroline": False},
        yaxis={"type": "log", "exponentformat": "power", "nticks": 8},
        legend={"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"},
        showlegend=True,
        shapes=[floor] if is_clipped else [],
        margin={"l": 56, "r": 20, "t": 30, "b": 50},
    )
    return {"data": traces, "layout": layout}


def thinned(points: int, most: int = _POINTS) -> list[int]:
    """Which of the recorded points of a curve are drawn, the first and the last among them."""
    if points <= most:
        return list(range(points))
    return sorted({round(i * (points - 1) / (most - 1)) for i in range(most)})


def atlas_plot(censuses: Sequence[Census]) -> Plot:
    """Shares by number of flipped neurons, mean flipped neurons and loss, against k."""
    found = sizes.ordered(censuses)
    ks = [sizes.neurons(census) for census in found]
    even = sizes.is_evenly_spaced(ks)
    places: list[int] = ks if even else list(range(len(ks)))
    width = (ks[1] - ks[0] if len(ks) > 1 else 1) if even else 0.9
    border = 0.5 if len(ks) <= 40 else 0
    traces: list[Plot] = [
        {
            "type": "bar",
            "name": band.label,
            "x": places,
            "y": [number(100 * share) for share in band.shares],
            "width": width,
            "marker": {"color": band.colour, "line": {"width": border, "color": "#ffffff"}},
            "customdata": ks,
            "hovertemplate": f"k = %{{customdata}}<br>{band.label}: %{{y:.1f}} %<extra></extra>",
        }
        for band in sizes.bands(found)
    ]
    means = [sizes.mean_flipped(census) for census in found]
    lines = [
        ("mean flipped", "y2", [m for m, _ in means], [2 * e for _, e in means], scales.BLUE),
        (
            "loss, not global",
            "y3",
            [sizes.mean_loss(c, spurious=True) for c in found],
            None,
            scales.VERMILLION,
        ),
        ("loss, all settled", "y3", [sizes.mean_loss(c) for c in found], None, "#222222"),
    ]
    for i, (label, axis, values, errors, colour) in enumerate(lines):
        trace: Plot = {
            "type": "scatter",
            "mode": "lines+markers",
            "name": label,
            "showlegend": axis == "y3",
            "x": places,
            "y": [number(v) for v in values],
            "yaxis": axis,
            "customdata": ks,
            "line": {"color": colour, "width": 2, "dash": "dash" if i == 2 else "solid"},
            "marker": {"size": 6, "symbol": ("circle", "circle", "square")[i]},
            "hovertemplate": f"k = %{{customdata}}<br>{label}: %{{y:.6g}}<extra></extra>",
        }
        if errors is not None:
            trace["error_y"] = {"type": "data", "array": [number(e) for e in errors], "width": 3}
        traces.append(trace)
    small: Plot = {"automargin": True, "gridcolor": "#e4e4e4", "rangemode": "tozero"}
    ticks = {} if even and len(ks) > 12 else {"tickvals": places, "ticktext": [str(k) for k in ks]}
    layout = frame(
        height=860,
        barmode="stack",
        bargap=0,
        xaxis={
            "title": {"text": "k (student neurons)"},
            "anchor": "y3",
            "zeroline": False,
            **ticks,
        },
        yaxis={"title": {"text": "share of starts (%)"}, "domain": [0.5, 1], "range": [0, 100]},
        yaxis2={"title": {"text": "mean flipped"}, "domain": [0.25, 0.45], **small},
        yaxis3={"title": {"text": "loss"}, "domain": [0, 0.2], **small},
        legend={**LEGEND_BELOW, "traceorder": "normal"},
        showlegend=True,
        margin={"l": 64, "r": 16, "t": 16, "b": 60},
    )
    return {"data": traces, "layout": layout}


def _drawable(census: Census) -> list[Family]:
    return [
        family
        for family in census.families
        if math.isfinite(family.loss) and math.isfinite(family.smallest_eigenvalue)
    ]


def has_landscape(census: Census) -> bool:
    """Whether any family has both a loss and an eigenvalue to draw."""
    return bool(_drawable(census))


def _name(family: Family, most: int = 22) -> str:
    # plotly reads a subset of HTML in every text, so text is escaped for it as well.
    return html.escape(scales.shortened(family.name, most))


def _isotropy(isotropy: str) -> str:
    lowered = re.sub(r"(?<=S)(\d+)", r"<sub>\1</sub>", html.escape(isotropy))
    # A name that is cut in the middle of an element would show it.
    return lowered if len(isotropy) <= 40 else html.escape(scales.shortened(isotropy, 40))


def _hover(family: Family, census: Census) -> str:
    lines = [
        f"<b>{html.escape(scales.shortened(family.name, 60))}</b>",
        f"isotropy {_isotropy(family.isotropy)}",
        f"{plural(family.flipped, 'flipped neuron')}",
        f"{family.count} of {census.starts} starts",
        f"{Share(family.count, census.starts)}",
        f"loss {significant(family.loss)}",
        f"smallest eigenvalue {significant(family.smallest_eigenvalue)}",
        f"{family.kind.value}",
        f"gradient norm at most {scientific(family.gradient_norm)}",
    ]
    return "<br>".join(lines)
