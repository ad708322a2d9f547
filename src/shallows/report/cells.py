"""Cells of a layer on the plane: how many rows are active in each, and where they do not span."""

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.collections import PolyCollection
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure

from shallows.certify.injective import Injectivity
from shallows.model.cells import Cells, cells
from shallows.model.network import Numbers, finite
from shallows.report import scales
from shallows.report.figures import _STYLE, _figure

_MOST = 5000
_PALE = LinearSegmentedColormap.from_list("active", ["#eef3f8", scales.BLUE])


def cells_figure(
    weights: Numbers, bias: Numbers | None = None, verdict: Injectivity | None = None
) -> Figure:
    """The cells of a layer with two inputs, coloured by their number of active rows.

    **Convention.** 4.6 inches wide. The square holds nine in ten corners of cells, and what is
    outside is not shown; without biases it is [−1, 1]². Where active rows do not span the plane, a
    cell is red. The two inputs of a witness are black dots.

    **Raises.** `ValueError` unless there are two inputs, and for more than 5000 cells.
    """
    w = np.asarray(finite("weights", weights))
    if w.ndim != 2 or w.shape[1] != 2:
        raise ValueError(
            f"A picture on the plane needs two inputs, but the weights have shape {w.shape}. "
            f"Restrict the layer to a plane first."
        )
    b = np.zeros(len(w)) if bias is None else np.asarray(finite("bias", bias))
    pair = np.zeros((0, 2))
    if verdict is not None and verdict.witness is not None:
        pair = np.array([[float(t) for t in point] for point in verdict.witness])
    reach = max(_reach(w, b), 1.2 * float(np.max(np.abs(pair), initial=0.0)))
    found = cells(weights, bias, box=([-reach] * 2, [reach] * 2), most=_MOST)
    counts = np.count_nonzero(found.signs >= 0, axis=1)
    spans = [np.linalg.matrix_rank(w[signs >= 0]) == 2 if any(signs >= 0) else False
             for signs in found.signs]  # fmt: skip
    colours = _PALE.resampled(max(2, len(set(counts))))
    levels = np.arange(counts.min(), counts.max() + 2) - 0.5
    with matplotlib.rc_context(_STYLE):
        figure = _figure(4.6, 3.8)
        axes = figure.subplots()
        shapes = PolyCollection(
            [polygon(w, b, found, i, reach) for i in range(len(found))],
            array=counts,
            cmap=colours,
            norm=BoundaryNorm(levels, colours.N),
            edgecolors="white",
            linewidths=0.6,
        )
        axes.add_collection(shapes)
        missing = [polygon(w, b, found, i, reach) for i in range(len(found)) if not spans[i]]
        axes.add_collection(
            PolyCollection(missing, facecolors=scales.VERMILLION, edgecolors="white", lw=0.6)
        )
        axes.plot(*pair.T, "o-", color="#111111", ms=3.5, lw=0.8)
        ticks = np.unique(np.linspace(counts.min(), counts.max(), 7).round().astype(int))
        figure.colorbar(shapes, ax=axes, label="active rows", ticks=ticks.tolist())
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="x₁", ylabel="x₂")
        axes.set_aspect("equal")
        words = "red: active rows do not span" if missing else "active rows span in this square"
        axes.set_title(words, loc="left")
    return figure


def polygon(
    w: Float[np.ndarray, "m 2"], b: Float[np.ndarray, " m"], found: Cells, cell: int, reach: float
) -> Float[np.ndarray, "v 2"]:
    """The corners of a cell within the square, in order: the square cut by each line in turn."""
    corners = reach * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    for row, offset, sign in zip(w, b, found.signs[cell], strict=True):
        values = sign * (corners @ row + offset)
        if np.all(values >= 0):
            continue
        kept = []
        for i, value in enumerate(values):
            after = (i + 1) % len(values)
            if value >= 0:
                kept.append(corners[i])
            if (value > 0) != (values[after] > 0) and value != values[after]:
                share = value / (value - values[after])
                kept.append(corners[i] + share * (corners[after] - corners[i]))
        corners = np.array(kept).reshape(-1, 2)
        if not len(corners):
            break
    return corners


def _reach(w: np.ndarray, b: np.ndarray) -> float:
    """Half the side of a square around 0 with most crossings of two lines, and near all lines."""
    if not np.any(b):
        return 1.0
    i, j = np.triu_indices(len(w), 1)
    areas = w[i, 0] * w[j, 1] - w[i, 1] * w[j, 0]
    meet = np.abs(areas) > 1e-9 * np.max(np.abs(w)) ** 2
    x = np.abs(b[i] * w[j, 1] - b[j] * w[i, 1])[meet] / np.abs(areas[meet])
    y = np.abs(b[i] * w[j, 0] - b[j] * w[i, 0])[meet] / np.abs(areas[meet])
    lengths = np.hypot(w[:, 0], w[:, 1])
    near = np.abs(b[lengths > 0]) / lengths[lengths > 0]
    corners = np.maximum(x, y)
    most = float(np.quantile(corners, 0.9)) if len(corners) else 0.0
    return 1.3 * max(most, float(np.max(near, initial=0.0))) or 1.0
