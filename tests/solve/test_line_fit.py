"""Wide networks on a line end where their start says they do."""

import numpy as np
import pytest

from shallows.landscape import LineLoss
from shallows.model import (
    EvenKnots,
    clustering,
    linear_interpolant,
    linear_spline,
    natural_cubic,
)
from shallows.solve import Chebyshev, KernelFlow, LineStart, Stop, least_norm_heads, line_fit

X = np.linspace(-1, 1, 10)
Y = np.array([1.0, 1, 1, -1, -1, -1, 1, 1, 1, -1])
GRID = np.linspace(-1, 1, 801)


def rms(spline, other):
    return float(np.sqrt(np.mean((spline(GRID) - other(GRID)) ** 2)))


@pytest.mark.slow  # at smoke scale the paper's entry has the same, with 200 neurons
def test_small_scales_end_near_the_linear_interpolant_and_large_ones_near_the_cubic_spline():
    found = {}
    for scale in (0.7, 100.0):
        fit = line_fit(X, Y, LineStart(2000, scale), relative_loss=4e-4)
        assert fit.run.stop is Stop.reached_value
        assert fit.advice == ""
        network = fit.loss.network(fit.end)
        spline = linear_spline(network)
        loss = 0.5 * float(np.sum((spline(X) - Y) ** 2))
        assert loss <= 4e-4 * 5
        found[scale] = fit, spline, clustering(network, X, window=(-1.0, 1.0))[0]
    fit, spline, share = found[0.7]
    assert share > 0.85
    assert fit.moved > 0.2
    assert fit.drift < 0.3
    assert rms(spline, linear_interpolant(X, Y)) < 0.06 < rms(spline, natural_cubic(X, Y))
    fit, spline, share = found[100.0]
    assert share < 0.45
    assert fit.moved < 0.002
    assert fit.drift < 1e-4
    assert rms(spline, natural_cubic(X, Y)) < 0.06 < rms(spline, linear_interpolant(X, Y))


def test_starts_are_zero_and_reproducible():
    start = LineStart(40, 0.5, exponent=0.5, seed=3)
    z = start.parameters()
    assert np.array_equal(z, LineStart(40, 0.5, exponent=0.5, seed=3).parameters())
    loss = LineLoss(X, Y, start.normaliser)
    assert np.max(np.abs(loss.residuals(z) + Y)) < 1e-15
    assert np.isclose(start.normaliser, np.sqrt(40))
    assert np.all(np.abs(z[0]) == 0.5)
    assert np.all(np.abs(z[2]) == 2.0)
    assert np.max(np.abs(z[1] / z[0])) <= 1.5


def test_a_run_that_does_not_get_there_says_where_and_why():
    fit = line_fit(X, Y, LineStart(100, 0.7), method=Chebyshev(tolerance=1e-2, max_steps=8))
    assert fit.run.stop is Stop.out_of_steps
    rho = fit.loss.residuals(fit.end)
    worst = int(np.argmax(np.abs(rho))) + 1
    assert f"The fit is worst at sample {worst} of 10" in fit.advice
    assert "time constant" in fit.advice


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LineStart(7, 1.0), "the width is 7, which is odd. Use 8"),
        (lambda: LineStart(8, 0.0), "scale κ of the start is positive, .* but is 0"),
        (lambda: LineStart(8, -1.0), "but is -1"),
        (lambda: LineStart(8, 1.0, 1.5), "between 0.5 .* and 1 .* but is 1.5"),
        (lambda: LineStart(8, 1.0, reach=0.0), "reach of knots is positive"),
        (lambda: line_fit(X, Y, LineStart(8, 1.0), relative_loss=2.0), "between 0 and 1, but is 2"),
        (lambda: line_fit(X, 0 * Y, LineStart(8, 1.0)), "All values are zero"),
    ],
)
def test_misuse_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


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
