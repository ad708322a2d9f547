"""The figure of flows under dropout."""

import numpy as np

from shallows.landscape import Dropout, LinearLoss, gaussian_start, rank_one_levels
from shallows.report import RateCurve, dropout_figure
from shallows.solve.linear_flow import linear_flow


def test_the_figure_shows_each_run_with_its_slope_and_each_curve_twice():
    loss = LinearLoss([[2.0, 0.0]], 2, Dropout(0.5))
    run = linear_flow(loss, *gaussian_start(loss, 0.3, np.random.default_rng(0)))
    rate = 2 * rank_one_levels(loss)[1][0]
    curve = RateCurve(
        np.array([0.4, 0.6]), np.array([2.0, 1.0]), np.array([1.0, 0.8]), np.array([[0.5, rate, 1]])
    )
    figure = dropout_figure({"a run": run}, {"f = 2": curve})
    left, right = figure.axes
    solid, dashed = left.get_lines()
    assert solid.get_label() == "a run"
    times, gaps = dashed.get_data()
    slope = -np.polyfit(times, np.log(gaps), 1)[0]
    assert abs(slope / run.rate().value - 1) < 0.03
    assert [len(line.get_xdata()) for line in right.get_lines()] == [2, 2, 1, 1]
    figure.draw_without_rendering()
