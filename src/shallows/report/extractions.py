"""What recovering networks from queries gave, and what it cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from shallows.report import scales
from shallows.report.figures import _STYLE, _figure
from shallows.report.terminal import _table
from shallows.solve.extraction import Extraction
from shallows.solve.extraction.deep import DeepExtraction, LayerFound

_COLOURS = (scales.BLUE, scales.GREEN, scales.ORANGE, scales.PURPLE, scales.SKY)


@dataclass(frozen=True)
class ExtractionCost:
    """One extraction, in numbers."""

    inputs: int
    neurons: int
    parameters: int
    queries: int
    seconds: float


def extraction_table(made: Extraction | DeepExtraction, inputs: int, outputs: int) -> Table:
    """The outcome of one extraction, and what it rests on; of several layers, each."""
    table = _table("Recovered from queries", made.outcome.value or None)
    table.add_column("")
    table.add_column("")
    rows = {"outcome": made.outcome.name, "inputs, outputs": f"{inputs}, {outputs}"}
    if isinstance(made, DeepExtraction):
        for l, layer in enumerate(made.layers, 1):
            rows[f"hidden layer {l}"] = _layer(layer)
    else:
        rows["neurons"] = "–" if made.function is None else str(made.function.neurons)
    rows |= {
        "parameters": str(made.parameters or "–"),
        "queries": f"{made.queries} = 2^{np.log2(made.queries):.2f}",
        "largest relative difference": (
            f"{made.error:.2g} at {made.points} points" if np.isfinite(made.error) else "–"
        ),
        "evidence": made.evidence,
    }
    if isinstance(made, Extraction) and made.function is not None and np.any(made.function.slope):
        rows["sides"] = "not all known: an affine function is left beside the neurons"
    for name, value in rows.items():
        table.add_row(Text(name), Text(value))
    return table


def _layer(layer: LayerFound) -> str:
    of = "" if layer.stated is None else f" of {layer.stated}"
    sides = "" if layer.has_sides else ", sides open"
    whole = f", {layer.complete} with all weights" if layer.complete < layer.units else ""
    advice = f". {layer.outcome.value}" if layer.outcome.value else ""
    return f"{layer.outcome.name}: {layer.units}{of} units{whole}{sides}{advice}"


def extraction_figure(
    costs: Sequence[ExtractionCost], published: Sequence[tuple[str, int, float]] = ()
) -> Figure:
    """(a) Queries and (b) seconds against the number of parameters, a colour for each input size.

    **Convention.** Logarithmic axes. `published` are points of others: their name, parameters and
    queries; there is a marker for each name.

    **Raises.** `ValueError` for no cost, or more than five sizes of inputs.
    """
    sizes = sorted({cost.inputs for cost in costs})
    if not 1 <= len(sizes) <= len(_COLOURS):
        raise ValueError(
            f"A figure has one to {len(_COLOURS)} sizes of inputs, but there are {len(sizes)}. "
            f"Leave some out."
        )
    with matplotlib.rc_context(_STYLE):
        figure = _figure(7.2, 3.1)
        left, right = figure.subplots(1, 2)
        for d, colour in zip(sizes, _COLOURS, strict=False):
            mine = sorted((c for c in costs if c.inputs == d), key=lambda c: c.parameters)
            x = [c.parameters for c in mine]
            style = {"color": colour, "ms": 4, "lw": 1.0, "mec": "white", "mew": 0.4}
            left.plot(x, [c.queries for c in mine], "o-", label=f"d = {d}", **style)
            right.plot(x, [c.seconds for c in mine], "o-", **style)
        names = list(dict.fromkeys(name for name, _, _ in published))
        for name, marker in zip(names, "s^Dv", strict=False):
            points = [(p, q) for label, p, q in published if label == name]
            left.plot(*np.array(points).T, marker, color=scales.GREY, ms=4.5, label=name)
        span = np.array([min(c.parameters for c in costs), max(c.parameters for c in costs)])
        left.plot(span, span, color=scales.GREY, lw=0.9, ls=":", label="one a parameter")
        left.set(xscale="log", yscale="log", xlabel="parameters", ylabel="queries")
        right.set(xscale="log", yscale="log", xlabel="parameters", ylabel="seconds, of one core")
        left.set_title("(a)", loc="left")
        right.set_title("(b)", loc="left")
        figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
