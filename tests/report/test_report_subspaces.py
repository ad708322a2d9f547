"""Boundaries, distances and curves off a subspace, as they are drawn."""

import numpy as np
import pytest
from test_report_figures import visible_texts

from shallows.report import BoundaryPanel, DistanceMap, OffCurve, OffPanel, subspace_figure

SIDE = np.linspace(-1, 1, 21)
POINTS, LABELS = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.6]]), np.array([-1.0, 1.0, 1.0])
BOUNDARY = BoundaryPanel(
    "a boundary", SIDE, SIDE, np.add.outer(SIDE, 0.5 * SIDE), POINTS, LABELS, ("x₁", "x₃")
)
DISTANCES = np.where(np.hypot.outer(SIDE, SIDE) > 1, np.inf, np.hypot.outer(SIDE, SIDE))
MAP = DistanceMap("a map", SIDE, SIDE, DISTANCES, POINTS, LABELS)
X = np.array([50.0, 100.0, 200.0])
CURVES = OffPanel(
    "a curve",
    "inputs d",
    (
        OffCurve("measured", X, np.outer([1.0, 2.0, 3.0], X**0.5)),
        OffCurve("theory", X, X[None] ** 0.5, True),
    ),
)


def test_boundaries_are_where_outputs_vanish_and_curves_are_medians():
    figure = subspace_figure([BOUNDARY, MAP, CURVES, BOUNDARY])
    boundary, board, curves, *_ = figure.axes
    (line,) = [
        path.vertices
        for c in boundary.collections
        for path in c.get_paths()
        if len(path.vertices) == 41
    ] or [boundary.collections[1].get_paths()[0].vertices]
    np.testing.assert_allclose(line[:, 0], -0.5 * line[:, 1], atol=1e-12)
    # Points are drawn with their labels, minus first.
    minus, plus = boundary.get_lines()
    np.testing.assert_array_equal(np.column_stack(minus.get_data()), POINTS[:1])
    np.testing.assert_array_equal(np.column_stack(plus.get_data()), POINTS[1:])
    assert minus.get_marker() != plus.get_marker()
    dots, median, theory = curves.get_lines()
    np.testing.assert_allclose(np.sort(dots.get_ydata()), np.sort(CURVES.curves[0].y.ravel()))
    np.testing.assert_allclose(median.get_ydata(), 2 * X**0.5)
    np.testing.assert_allclose(theory.get_ydata(), X**0.5)
    assert theory.get_linestyle() == "--"
    assert [t.get_text() for t in curves.get_legend().get_texts()] == ["measured", "theory"]
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    # Where there is no change of sign, nothing is drawn.
    assert np.ma.getmaskarray(board.collections[0].get_array()).sum() == np.isinf(DISTANCES).sum()


def test_no_panel_and_too_many_are_refused():
    with pytest.raises(ValueError, match="one to nine panels, but 0"):
        subspace_figure([])
    with pytest.raises(ValueError, match=r"but 10 were given. Make several"):
        subspace_figure([CURVES] * 10)
