"""What is drawn of extractions."""

import numpy as np
import pytest
from test_report_figures import visible_texts

from shallows.report import ExtractionCost, extraction_figure

COSTS = [
    ExtractionCost(d, h, h * (d + 2), 2500 + 3 * h * d, 1e-4 * h * d)
    for d in (10, 784)
    for h in (8, 32, 128)
]
OTHERS = [("others", 25_000, 2.0**19.2), ("others", 100_000, 2.0**21.5)]


def test_costs_are_drawn_with_those_of_others_and_no_text_is_cut():
    figure = extraction_figure(COSTS, OTHERS)
    left, right = figure.axes
    drawn = {line.get_label(): line for line in left.get_lines()}
    assert set(drawn) == {"d = 10", "d = 784", "others", "one a parameter"}
    np.testing.assert_array_equal(drawn["d = 784"].get_ydata(), [c.queries for c in COSTS[3:]])
    np.testing.assert_array_equal(drawn["others"].get_xdata(), [25_000, 100_000])
    assert len(right.get_lines()) == 2
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text


def test_no_costs_make_no_figure():
    with pytest.raises(ValueError, match="but there are 0"):
        extraction_figure([])
