"""What is drawn of plateaus, on made-up runs with known curves."""

import dataclasses

import numpy as np
import pytest
from test_report_figures import visible_texts

from shallows.report import OrderCurves, PlateauLengths, plateau_figure

TIMES = np.concatenate([[0.0], np.geomspace(0.1, 100, 40)])
ORDERS = np.stack([1e-1 * np.exp(-TIMES), np.full(41, 1e-3)], axis=1)
RUN = OrderCurves("a run", TIMES, ORDERS.sum(axis=1) + 5e-4, (2, 4), ORDERS, floor=1.5e-3)
SIZES = np.array([8.0, 8.0, 16.0, 32.0])


def test_every_curve_is_drawn_with_its_numbers_and_no_text_is_cut():
    both = dataclasses.replace(RUN, kernel=1.2e-3, training=RUN.loss / 2)
    figure = plateau_figure([RUN, both], PlateauLengths(SIZES, 0.6 * SIZES**2))
    first, second, last = figure.axes
    drawn = {line.get_label(): line for line in second.get_lines()}
    assert set(drawn) == {
        "order 2", "order 4", "other orders", "loss", "on the sample", "best of degree 2",
        "kernel ridge",
    }  # fmt: skip
    np.testing.assert_allclose(drawn["order 2"].get_ydata(), ORDERS[1:, 0])
    np.testing.assert_allclose(drawn["other orders"].get_ydata(), 5e-4, rtol=1e-9)
    np.testing.assert_allclose(drawn["on the sample"].get_ydata(), RUN.loss[1:] / 2)
    assert set(drawn["kernel ridge"].get_ydata()) == {1.2e-3}
    assert len(first.get_lines()) == len(drawn) - 2
    # The fitted power is the one that was put in, and a line of slope 2 is parallel to it.
    assert "d to the 2.00" in {text.get_text() for text in last.texts}
    fitted, square = (line.get_ydata() for line in last.get_lines()[1:])
    np.testing.assert_allclose(fitted / square, 2.5, rtol=1e-6)
    assert [label.get_text() for label in last.get_xticklabels()] == ["8", "16", "32"]
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text


def test_too_many_runs_or_none_are_refused():
    for runs in ([], [RUN] * 4):
        with pytest.raises(ValueError, match=rf"one to three runs, but {len(runs)} were given"):
            plateau_figure(runs)
