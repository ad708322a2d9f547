"""Panels: one colour for one label, nothing cut, no labels of ticks over one another."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from test_report_figures import visible_texts

from shallows.report import Mark, Panel, Series, panel_figure


def _apart(labels):
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    return all(
        a.x1 <= b.x0 or b.x1 <= a.x0 or a.y1 <= b.y0 or b.y1 <= a.y0
        for a, b in itertools.combinations(boxes, 2)
    )


def test_ticks_of_logarithmic_axes_do_not_run_into_one_another():
    """Matplotlib's own wrote 2×10⁰ 3×10⁰ 4×10⁰ over one another."""
    spans = [[2, 3, 10], [35, 240, 700], [1e-15, 3e-14], [10, 11, 12], [1e-7, 1e6], [5, 5.01]]
    figure = panel_figure(
        [
            Panel("", "x", "y", (Series("a", span, span),), is_x_log=True, is_y_log=True)
            for span in spans
        ]
    )
    figure.canvas.draw()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [tick.label1 for tick in axis.get_major_ticks()]
            assert sum(bool(label.get_text()) for label in labels) >= 2
            assert _apart(labels)


def test_a_figure_is_whole_and_a_label_keeps_its_colour():
    x = [1, 2, 3, 4, 5]
    first = Panel("first", "k", "loss", (Series("II", x, x), Series("A", x, [2 * v for v in x])))
    second = Panel(
        "second", "k", "gap",
        (Series("other", x, x), Series("A", x, x, error=[0.1] * 5), Series("", x, x, Mark.dashed)),
        levels={"limit": 2.0},
    )  # fmt: skip
    bars = Panel("third", "shape", "n", (Series("all", [0, 1], [3, 4], Mark.bars),
                                         Series("some", [0, 1], [1, 2], Mark.bars)),
                 ticks={0.0: "2-2", 1.0: "3-3"})  # fmt: skip
    figure = panel_figure([first, second, bars])
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= height + 1, text
    drawn = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert drawn[0]["A"] == drawn[1]["A"] != drawn[0]["II"]
    assert drawn[1]["other"] != drawn[1]["A"]
    assert drawn[1]["limit"] == "#222222"
    heights = [[bar.get_height() for bar in group] for group in figure.axes[2].containers]
    assert heights == [[3, 4], [1, 2]]
    # Side by side, and not one over the other.
    left = [[bar.get_x() for bar in group] for group in figure.axes[2].containers]
    assert left[0][0] < left[1][0] < left[0][1]


def test_what_cannot_be_drawn_is_left_out():
    x = [1.0, 2.0, 3.0, 4.0]
    made = Panel("", "x", "y", (Series("a", x, [1.0, np.nan, -1.0, 2.0]),), is_y_log=True)
    (line,) = panel_figure([made]).axes[0].lines
    assert line.get_xydata().tolist() == [[1.0, 1.0], [4.0, 2.0]]
    with pytest.raises(ValueError, match="one to six panels, but 0 were given"):
        panel_figure([])
    with pytest.raises(ValueError, match=r"The panels \['bare'\] have no series"):
        panel_figure([Panel("bare", "x", "y", ())])


def test_dots_that_coincide_are_all_seen():
    """Once the last of them hid the others, and the legend named what nobody could see."""
    dots = [Series(name, [1, 2], [3, 4], Mark.dots) for name in ("first", "second", "third")]
    figure = panel_figure([Panel("", "x", "y", tuple(dots))])
    (axes,) = figure.axes
    figure.set_dpi(200)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3].astype(int)
    column, row = axes.transData.transform((1, 3)).astype(int)
    around = pixels[row - 15 : row + 16, column - 15 : column + 16].reshape(-1, 3)
    for line in axes.lines:
        colour = 255 * np.array(to_rgb(line.get_color()))
        assert np.any(np.all(np.abs(around - colour) < 40, axis=1)), line.get_label()
