"""Sample means and variances by depth: recursions, in 50 digits, and random networks."""

import math

import mpmath as mp
import numpy as np
import pytest

from shallows.model import Layers, WideLimit, he_layers
from shallows.model.sample_statistics import (
    drawn_statistics,
    next_gap,
    normalised_start,
    over_samples,
    over_units,
    variance_shares,
    wide_statistics,
)


@pytest.mark.parametrize("first", [1.0, 0.6, 0.01, 1e-9])
def test_shares_in_50_digits(first):
    shares = variance_shares(30, first)
    with mp.workdps(50):
        c = 1 - mp.mpf(first)
        for found in shares:
            assert abs(found / (1 - c) - 1) < 1e-14
            c = (mp.sqrt(1 - c**2) + c * (mp.pi - mp.acos(c))) / mp.pi


def test_published_form_of_the_recursion():
    # facts: m² [1 + (√(1/c² − 1) − arccos c)/π] is the map for c = m²/s², not for its root.
    c = 0.4
    bracket = c * (1 + (math.sqrt(1 / c**2 - 1) - math.acos(c)) / math.pi)
    assert math.isclose(1 - variance_shares(2, 0.6)[1], bracket, rel_tol=1e-14)
    assert abs(bracket - 0.54413) < 5e-6


def test_values_of_the_facts_and_the_law_of_decay():
    shares = variance_shares(3000)
    assert math.isclose(shares[1], 1 - 1 / math.pi, rel_tol=1e-15)
    assert abs(shares[9] - 0.1452) < 5e-5
    # 9π²/(2 l²), with a correction of order (log l)/l that falls.
    ratio = [shares[l - 1] * l**2 * 2 / (9 * math.pi**2) for l in (300, 3000)]
    assert 0.9 < ratio[0] < ratio[1] < 1
    small = 1e-6
    first_order = small - 2 * math.sqrt(2) / (3 * math.pi) * small**1.5
    assert math.isclose(next_gap(np.array(small)), first_order, rel_tol=1e-9)


def test_wide_statistics_are_those_of_the_kernel_of_wide_networks():
    x = np.random.default_rng(0).normal(size=(5, 3)) + 0.5
    x[1] = 2 * x[0]
    x[2] = x[0] + 1e-9
    x[3] = -x[0]
    found = wide_statistics(x, 4)
    # Another route: the covariance of a network's output is half that of the next layer.
    for depth in (1, 2, 3):
        limit = WideLimit(depth, weight=2.0, head=2.0)
        kernel = limit.covariance(x / math.sqrt(3))
        assert math.isclose(found.squared_mean[depth], np.mean(kernel), rel_tol=1e-13)
        assert math.isclose(found.total[depth], np.mean(np.diag(kernel)), rel_tol=1e-13)
    assert np.ptp(found.total) < 1e-14 * found.total[0]
    # What all angles being equal makes of it.
    e = np.eye(4)
    one = wide_statistics(np.concatenate([e, -e]), 2)
    assert math.isclose(one.share[0], 1.0, rel_tol=1e-14)
    simplex = wide_statistics(e, 20)
    shares = 0.75 * variance_shares(20, 1.0)
    assert np.allclose(simplex.share, shares, rtol=1e-14)


def test_random_networks_agree_within_standard_errors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 10)) + 0.3
    exact, runs = wide_statistics(x, 4), 20
    drawn = [drawn_statistics(x, [300] * 4, rng) for _ in range(runs)]
    # At finite width s² is exact in the mean, m² up to 1/width: below the errors here.
    for name in ("squared_mean", "variance", "total"):
        values = np.array([getattr(one, name) for one in drawn])
        error = values.std(axis=0, ddof=1) / math.sqrt(runs)
        assert np.all(np.abs(values.mean(axis=0) - getattr(exact, name)) < 5 * error)
        assert np.all(error < 0.1 * exact.total)


def test_estimates_of_samples_are_unbiased():
    rng, runs = np.random.default_rng(1), 300
    means, raw = [], []
    for _ in range(runs):
        x = rng.normal(size=(4, 30))
        means.append(drawn_statistics(x, [20, 20], rng, of_sample=True).squared_mean)
        raw.append(drawn_statistics(x, [20, 20], rng).squared_mean)
    error = np.std(means, axis=0, ddof=1) / math.sqrt(runs)
    # m² is 0 in the first layer. In the second, at any width: ⟨σ(w·x)⟩ = |w|/√(2π), and twice
    # its mean square is 2/π, where s² = 2.
    exact = np.array([0.0, 2 / math.pi])
    assert np.all(np.abs(np.mean(means, axis=0) - exact) < 5 * error)
    assert np.all(np.mean(raw, axis=0) > exact + 5 * error)


def test_normalising_over_samples_ends_the_decay_and_over_units_does_not():
    rng = np.random.default_rng(2)
    x, widths, depth = rng.normal(size=(100, 100)), [200] * 8, 8
    plain, batch, layer = (
        np.mean(
            [drawn_statistics(x, widths, rng, normalise=f, of_sample=True).share for _ in range(3)],
            axis=0,
        )
        for f in (None, over_samples, over_units)
    )
    theory = variance_shares(depth)
    assert np.all(np.abs(plain - theory) < 0.08)
    assert np.all(np.abs(layer - theory) < 0.08)
    # Neurons of mean 0 and variance 1 over inputs: the share is that of the second layer, 1 − 1/π.
    assert np.all(np.abs(batch[1:] - theory[1]) < 0.05)


def test_a_normalised_start_is_what_it_says():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 4))
    for layers in (he_layers((4, 6, 5, 2), rng), he_layers((4, 6, 5, 2), rng, has_biases=True)):
        for by_layer in (False, True):
            start = normalised_start(layers, x, by_layer=by_layer)
            signal = x
            for w, b in zip(start.weights[:-1], start.biases[:-1], strict=True):
                y = signal @ np.asarray(w).T + np.asarray(b)
                axes = None if by_layer else 0
                assert np.allclose(np.mean(y, axis=axes), 0, atol=1e-13)
                assert np.allclose(np.std(y, axis=axes), 1, rtol=1e-12)
                signal = np.maximum(y, 0)
            assert np.array_equal(start.weights[-1], layers.weights[-1])


def test_what_has_no_statistics_is_refused():
    layers = he_layers((4, 3, 2), np.random.default_rng(0))
    with pytest.raises(ValueError, match="The network has 4 inputs, but points have 3"):
        normalised_start(layers, np.ones((5, 3)))
    with pytest.raises(ValueError, match="A neuron of layer 0 is constant on these 5 points"):
        normalised_start(layers, np.ones((5, 4)))
    with pytest.raises(ValueError, match="One point says nothing of variances"):
        drawn_statistics(np.ones((1, 4)), [3], np.random.default_rng(0), of_sample=True)
    with pytest.raises(ValueError, match=r"`points` must be a matrix .* shape \(4,\)"):
        wide_statistics(np.ones(4), 3)
    with pytest.raises(ValueError, match="`first` is a share of the variance, between 0 and 1"):
        variance_shares(3, 1.5)
    dead = Layers([np.zeros((3, 4)), np.ones((1, 3))])
    with pytest.raises(ValueError, match="A neuron of layer 0 is constant"):
        normalised_start(dead, np.random.default_rng(0).normal(size=(5, 4)))
