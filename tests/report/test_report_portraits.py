"""Portraits drawn: nothing is cut, the page is whole, the plot is one that plotly knows."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from test_report_figures import visible_texts

from shallows.landscape.planar import directions, planar_residual
from shallows.report.portraits import (
    cone_figure,
    portrait_figure,
    portrait_plot,
    portraits_table,
    write_portraits_report,
)
from shallows.solve.symmetric_flow import portrait
from shallows.symmetry import Blocks, ReducedLoss


@pytest.fixture(scope="module")
def made():
    loss = ReducedLoss(Blocks((3,)))
    return portrait(loss, [[0.2, 0.0]], window=(-0.2, 1.1, -0.2, 1.1), resolution=25)


def _is_whole(figure):
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert box.x0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= height + 1, text


def test_figures_are_whole(made):
    _is_whole(portrait_figure([made]))
    student = np.linspace(0.1, 3.0, 12)
    teacher = np.linspace(0.05, 6.2, 31)
    rows = [
        planar_residual(np.array([1.0, 0.0]), directions(np.array(angle)), directions(teacher))[
            :, 0
        ]
        for angle in student
    ]
    _is_whole(cone_figure(student, teacher, np.array(rows)))
    with pytest.raises(ValueError, match="one to four portraits, but 0"):
        portrait_figure([])


def test_the_plot_and_the_page_show_all_fixed_points(made, tmp_path):
    plot = json.loads(json.dumps(portrait_plot(made), allow_nan=False))
    go.Figure(plot)  # validates
    marked = [trace for trace in plot["data"] if trace.get("mode") == "markers"]
    assert sum(len(trace["x"]) for trace in marked) == len(made.fixed) == 3
    assert portraits_table([made]).row_count == 3
    text = write_portraits_report([made], tmp_path / "p.html", command="x").read_text("utf-8")
    assert "Phase portraits: K = 3" in text
    assert text.count('class="plot"') == 1
    with pytest.raises(ValueError, match="no portraits"):
        write_portraits_report([], tmp_path / "q.html")
