"""The picture of a layer's cells: polygons against areas, and what is red."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

from shallows.certify import is_injective
from shallows.model import cells
from shallows.report import cells_figure, scales
from shallows.report.cells import polygon


def _area(corners):
    x, y = corners.T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def test_polygons_tile_the_square_and_hold_their_points():
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(6, 2)), rng.normal(size=6)
    found = cells(w, b, box=([-2, -2], [2, 2]))
    shapes = [polygon(w, b, found, i, 2.0) for i in range(len(found))]
    assert sum(map(_area, shapes)) == pytest.approx(16, abs=1e-12)
    # A share of uniform points, within five standard errors of a share of area.
    points = rng.uniform(-2, 2, (4000, 2))
    signs = np.sign(points @ w.T + b)
    for shape, cell in zip(shapes, found.signs, strict=True):
        share = _area(shape) / 16
        hits = np.mean(np.all(signs == cell, axis=1))
        assert abs(hits - share) < 5 * np.sqrt(share * (1 - share) / 4000) + 1e-3
        values = cell * (shape @ w.T + b)
        assert np.all(values > -1e-12)


def test_red_cells_are_where_active_rows_do_not_span():
    w, b = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), np.array([0.5, 0.25, 1.0])
    figure = cells_figure(w, b, is_injective(w, b))
    axes = figure.axes[0]
    red = [
        c
        for c in axes.collections
        if isinstance(c, PolyCollection)
        and len(np.asarray(c.get_facecolor()))
        and tuple(np.asarray(c.get_facecolor())[0]) == to_rgba(scales.VERMILLION)
    ]
    assert len(red[0].get_paths()) == 3  # beyond each corner of the triangle one row is active
    assert axes.get_title(loc="left") == "red: active rows do not span"
    proved = cells_figure(np.concatenate([np.eye(2), -np.eye(2)]))
    assert proved.axes[0].get_title(loc="left") == "active rows span in this square"
    with pytest.raises(ValueError, match="needs two inputs, but the weights have shape"):
        cells_figure(np.eye(3))
