"""Means over Gaussian pre-activations, against quadrature of two kinds and Monte Carlo."""

import itertools

import numpy as np
import pytest
import scipy.integrate
import scipy.special

from shallows.model import Erf, PiecewiseLinear, Sine, leaky, relu
from shallows.model.preactivations import (
    _orthant,
    _second_moment,
    noise_of,
    overlaps_of,
    slopes_of,
)


def _covariance(n=4, seed=0, scale=1.0):
    a = np.random.default_rng(seed).normal(size=(n, n + 1))
    return scale * a @ a.T / n


def _hermite(c, points):
    """Nodes (rows) and weights of Gauss–Hermite quadrature under N(0, c)."""
    x, w = np.polynomial.hermite_e.hermegauss(points)
    grid = np.array(list(itertools.product(x, repeat=len(c))))
    weight = np.prod(list(itertools.product(w / np.sqrt(2 * np.pi), repeat=len(c))), axis=1)
    return grid @ np.linalg.cholesky(c).T, weight


@pytest.mark.parametrize(
    "activation",
    [Erf(0.4), leaky(0.3), pytest.param(Sine(0.8, 0.3), marks=pytest.mark.slow)],
    ids=lambda a: a.name,
)
def test_two_and_three_fold_means(activation):
    c = _covariance(3, scale=0.5)
    two, (own, other) = overlaps_of(activation, c), slopes_of(activation, c)
    # Kinks at the origin of each pre-activation: a rule with many points, and its error.
    smooth = activation.is_smooth
    z, weight = _hermite(c, 30 if smooth else 41)
    value, slope = np.asarray(activation(z)), np.asarray(activation.slope(z))
    tolerance = 1e-8 if smooth else 2e-2
    expected = np.einsum("n,na,nb->ab", weight, value, value)
    np.testing.assert_allclose(two, expected, atol=tolerance)
    third = own[:, None] * c[:, :, None] + other[:, None] * c[None]
    expected = np.einsum("n,na,nb,nc->abc", weight, slope, z, value)
    np.testing.assert_allclose(third, expected, atol=2 * tolerance)


def test_three_fold_means_of_relus_are_the_closed_forms():
    """I₃ = ((π − θ₁₃) C₂₃ + sin θ₁₃ √(C₃₃/C₁₁) C₁₂)/2π."""
    c = _covariance(3)
    own, other = slopes_of(relu, c)
    for i, b, a in itertools.product(range(3), repeat=3):
        cosine = np.clip(c[i, a] / np.sqrt(c[i, i] * c[a, a]), -1, 1)
        expected = (np.pi - np.arccos(cosine)) * c[b, a]
        expected += np.sqrt(1 - cosine**2) * np.sqrt(c[a, a] / c[i, i]) * c[i, b]
        found = own[i, a] * c[i, b] + other[i, a] * c[b, a]
        assert abs(found - expected / (2 * np.pi)) < 1e-14


def test_noise_of_the_error_function_by_quadrature():
    c, heads = _covariance(4, 1, 0.4), np.array([1.0, 0.5, -1.0, -2.0])
    activation = Erf(0.6)
    fourth, second = noise_of(activation, c, heads, 2)
    z, weight = _hermite(c, 14)
    slope = np.asarray(activation.slope(z[:, :2]))
    error = np.asarray(activation(z)) @ heads
    np.testing.assert_allclose(second, np.einsum("n,ni,nk->ik", weight, slope, slope), atol=1e-6)
    expected = np.einsum("n,ni,nk->ik", weight * error**2, slope, slope)
    np.testing.assert_allclose(fourth, expected, atol=1e-6)


def _one_factor(loadings, power):
    """E Π zᵢ^powerᵢ 1(zᵢ > 0) for zᵢ = λᵢ y + √(1 − λᵢ²) eᵢ: an integral over y alone."""

    def density(y):
        product = np.exp(-y * y / 2) / np.sqrt(2 * np.pi)
        for load, p in zip(loadings, power, strict=True):
            s, mean = np.sqrt(1 - load * load), load * y
            below = scipy.special.ndtr(mean / s)
            edge = s * np.exp(-((mean / s) ** 2) / 2) / np.sqrt(2 * np.pi)
            product *= (
                below,
                mean * below + edge,
                (mean * mean + s * s) * below + mean * edge,
            )[p]
        return product

    parts = [scipy.integrate.quad(density, a, a + 1, epsabs=1e-15)[0] for a in range(-9, 9)]
    return sum(parts)


@pytest.mark.parametrize(
    "loadings", [[0.5, 0.6, -0.7, 0.8], [0.99, 0.9, 0.2, -0.4], [0.3, 0.99, 0.2], [0.5, 0.7]]
)
def test_moments_of_orthants_by_an_integral_over_what_is_common(loadings):
    n = len(loadings)
    c = np.outer(loadings, loadings)
    np.fill_diagonal(c, 1.0)
    assert abs(_orthant(c[None])[0] - _one_factor(loadings, [0] * n)) < 1e-14
    for a, b in ((0, 0), (0, 1), (n - 1, 0)):
        found = _second_moment(c[None], np.arange(1), np.array([a]), np.array([b]))[0]
        power = [(i == a) + (i == b) for i in range(n)]
        assert abs(found - _one_factor(loadings, power)) < 1e-13


def test_the_orthant_of_four_with_correlation_one_half_is_a_fifth():
    c = np.full((4, 4), 0.5) + np.eye(4) / 2
    assert abs(_orthant(c[None])[0] - 1 / 5) < 1e-15
    # Equal pre-activations: fewer of them. The integrand is singular at its end.
    same = np.array([[1.0, 0.5, 1.0, 0.5], [0.5, 1, 0.5, 1], [1, 0.5, 1, 0.5], [0.5, 1, 0.5, 1]])
    assert abs(_orthant(same[None])[0] - 1 / 3) < 1e-8


@pytest.mark.parametrize("activation", [relu, leaky(0.2), PiecewiseLinear(-1.0, 1.0)], ids=str)
def test_noise_of_piecewise_linear_activations_within_standard_errors(activation):
    c, heads, n = _covariance(4, 2), np.array([1.0, 0.5, -1.0, -2.0]), 200_000
    fourth, second = noise_of(activation, c, heads, 2)
    z = np.random.default_rng(3).normal(size=(n, 4)) @ np.linalg.cholesky(c).T
    down, up = activation.negative, activation.positive
    slope = np.where(z[:, :2] > 0, up, down)
    error = np.where(z > 0, up * z, down * z) @ heads
    for found, sample in ((fourth, error**2), (second, np.ones(n))):
        for i, k in ((0, 0), (0, 1), (1, 1)):
            drawn = slope[:, i] * slope[:, k] * sample
            spread = drawn.std() / np.sqrt(n)
            assert abs(drawn.mean() - found[i, k]) <= 5 * spread + 1e-12
    np.testing.assert_array_equal(fourth, fourth.T)


def test_misuse_of_noise():
    with pytest.raises(ValueError, match=r"but the activation is sin\. Ask for its gradient flow"):
        noise_of(Sine(), np.eye(2), np.ones(2), 1)
