"""Power laws as they are drawn: dots, lines of the fitted slopes, and bounds beside."""

import numpy as np
import pytest
from test_report_figures import visible_texts

from shallows.atlas.powers import fitted_exponent
from shallows.report import PowerPanel, PowerSeries, power_figure

X = np.array([16.0, 64.0, 256.0])
UP, DOWN = np.outer([1.0, 1.3], X**1.5), np.outer([2.0, 2.2], X**-0.5)


def panel(*pairs, expected=None):
    series = tuple(PowerSeries(name, X, y, fitted_exponent(X, y)) for name, y in pairs)
    return PowerPanel("a quantity", "m", "width m", series, expected)


def slope(line):
    x, y = np.log(line.get_xdata()), np.log(line.get_ydata())
    return (y[-1] - y[0]) / (x[-1] - x[0])


def test_lines_have_the_slopes_that_the_legend_says_and_no_text_is_cut():
    both = panel(("rises", UP), ("falls", DOWN), expected=1.0)
    figure = power_figure([both, panel(("", DOWN)), both, panel(("", UP), expected=-4.0)])
    first, second, _, last = figure.axes
    dots, rising, bound, more, falling = first.get_lines()
    np.testing.assert_allclose(np.sort(dots.get_ydata()), np.sort(UP.ravel()))
    np.testing.assert_allclose(np.sort(more.get_ydata()), np.sort(DOWN.ravel()))
    assert abs(slope(rising) - 1.5) < 1e-12
    assert abs(slope(falling) + 0.5) < 1e-12
    assert abs(slope(bound) - 1.0) < 1e-12
    assert bound.get_ydata()[0] == rising.get_ydata()[0]
    names = [text.get_text() for text in first.get_legend().get_texts()]
    assert names[:2] == ["rises: m to the 1.50 ± 0.00", "theory: 1"]
    assert names[2] == "falls: m to the −0.50 ± 0.00"
    assert len(second.get_lines()) == 2  # no bound
    assert abs(slope(last.get_lines()[2]) + 4) < 1e-12
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for text in visible_texts(figure):
        box = text.get_window_extent()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -1, text


def test_dots_are_below_the_legend():
    figure = power_figure([panel(("rises", UP), ("falls", DOWN), expected=1.0)])
    figure.canvas.draw()
    (axes,) = figure.axes
    box = axes.get_legend().get_window_extent()
    for line in axes.get_lines():
        if line.get_marker() == "o":
            places = axes.transData.transform(np.column_stack(line.get_data()))
            inside = (places[:, 0] < box.x1) & (places[:, 1] > box.y0)
            assert not np.any(inside)


def test_no_panels_or_too_many_are_refused():
    for panels in ([], [panel(("", UP))] * 7):
        with pytest.raises(ValueError, match=rf"one to six panels, but {len(panels)} were given"):
            power_figure(panels)
