"""The figures of depth statistics and of norms against the generalisation gap."""

import numpy as np
import pytest

from shallows.report import DepthCurve, GapCloud, depth_figure, gap_figure


def test_curves_theory_and_clouds_are_drawn():
    share = np.array([1.0, 0.7, 0.5])
    curve = DepthCurve(share, 0.01 * share)
    figure = depth_figure({"width 64": curve, "batch": curve}, np.array([1.0, 0.68, 0.5]))
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["width 64", "batch", "infinite width"]
    assert np.array_equal(lines[0].get_ydata(), share)
    cloud = GapCloud("path norm", np.log([10.0, 100.0]), np.array([0.1, 0.2]), np.array([0, 0.5]))
    figure = gap_figure([cloud, cloud])
    drawn = figure.axes[0].collections[0].get_offsets()
    assert np.allclose(drawn, [[1, 10], [2, 20]])
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["path norm"] * 2
    figure.draw_without_rendering()


def test_figures_of_nothing_are_refused():
    with pytest.raises(ValueError, match="shows 1 to 6 of them, but 0 were given"):
        depth_figure({})
    with pytest.raises(ValueError, match="shows 1 to 4 of them, but 0 were given"):
        gap_figure([])
