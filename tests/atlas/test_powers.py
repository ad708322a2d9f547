"""Exponents of power laws, and what their intervals cover."""

import math

import numpy as np
import pytest

from shallows.atlas.powers import exponent, fitted_exponent


def test_the_exponent_of_a_power_law():
    d = np.array([8.0, 16.0, 32.0, 64.0])
    exact = exponent(d, 3 * d**1.7)
    assert math.isclose(exact.value, 1.7, rel_tol=1e-12)
    assert exact.half_width < 1e-6
    noisy = exponent(d, 3 * d**1.7 * np.array([1.1, 0.9, 0.9, 1.1]))
    assert abs(noisy.value - 1.7) < noisy.half_width


def test_exponents_are_those_put_in_with_an_interval_that_covers():
    x = np.array([1.0, 2.0, 4.0, 8.0])
    exact = fitted_exponent(x, np.outer([1.0, 5.0], x**-1.5))
    assert abs(exact.value + 1.5) < 1e-14
    assert exact.half_width < 1e-13
    rng = np.random.default_rng(8)
    covered = 0
    for _ in range(400):
        found = fitted_exponent(x, x**2 * np.exp(0.3 * rng.normal(size=(5, 4))))
        covered += found.low <= 2 <= found.high
    assert abs(covered - 380) < 5 * math.sqrt(400 * 0.95 * 0.05)


def test_too_little_is_refused():
    with pytest.raises(ValueError, match=r"has 1 at 2. Use more seeds"):
        fitted_exponent(np.array([1.0, 2.0]), np.ones((1, 2)))
    with pytest.raises(ValueError, match=r"needs three positive ones, but there are 2, the least"):
        exponent(np.array([1.0, 2.0]), np.ones(2))
