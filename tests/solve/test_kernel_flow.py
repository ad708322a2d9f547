"""The kernel regime against splines, matrix exponentials and wide layers."""

import numpy as np
import pytest
import scipy.linalg

from shallows.model import EvenKnots, linear_spline, natural_cubic
from shallows.solve import KernelFlow, least_norm_heads

X = np.linspace(-1, 1, 10)
Y = np.array([1.0, 1, 1, -1, -1, -1, 1, 1, 1, -1])
GRID = np.linspace(-1, 1, 801)


@pytest.mark.parametrize(("reach", "gap", "condition"), [(1, 0.0471, 1.7e4), (16, 0.0005, 5.3e7)])
def test_gap_to_the_natural_cubic_spline_is_that_of_the_facts(reach, gap, condition):
    limit = KernelFlow(EvenKnots(float(reach)).outer, X, Y)
    found = np.max(np.abs(limit.at(GRID) - natural_cubic(X, Y)(GRID)))
    assert abs(found - gap) < 0.6e-4
    assert abs(limit.condition / condition - 1) < 0.02
    assert np.max(np.abs(limit.at(X) - Y)) < 1e-16 * limit.condition


def test_path_is_the_matrix_exponential():
    law = EvenKnots(1.5)
    flow = KernelFlow(lambda s, t: law.tangent(s, t, 1.2), X, Y)
    kernel = law.tangent(X, X, 1.2)
    for time in (0.0, 0.3, 20.0):
        expected = -scipy.linalg.expm(-time * kernel) @ Y
        assert np.max(np.abs(flow.residuals(time) - expected)) < 1e-12
        assert np.max(np.abs(flow.at(X, time) - Y - expected)) < 1e-11


def test_wide_random_layers_tend_to_the_limit():
    law = EvenKnots(2.0)
    limit = KernelFlow(law.outer, X, Y).at(GRID)
    errors = {}
    for m in (100, 1600):
        layers = (law.draw(m, np.random.default_rng(seed)) for seed in range(8))
        fits = [linear_spline(least_norm_heads(layer, X, Y)) for layer in layers]
        assert np.max(np.abs(fits[0](X) - Y)) < 1e-9
        errors[m] = np.mean([np.max(np.abs(fit(GRID) - limit)) for fit in fits])
    # facts: .090 at m = 400 and .022 at m = 6400; a quarter is m^(−1/2).
    assert 0.15 < errors[1600] / errors[100] < 0.4
    assert 0.02 < errors[1600] < 0.08


def test_singular_kernels_are_misuse():
    with pytest.raises(ValueError, match="singular to rounding"):
        KernelFlow(EvenKnots(2.0).outer, np.array([0.0, 0.0, 1.0]), np.ones(3))
