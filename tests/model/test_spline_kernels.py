"""Kernels of evenly spread knots against quadrature and sampling."""

import numpy as np
import pytest
import scipy.integrate

from shallows.model import EvenKnots


def test_kernels_are_the_integrals():
    law, x = EvenKnots(1.5), np.array([-0.9, 0.2, 1.4])

    def outer(s, t):
        def hidden(b, a):
            return max(a * s - b, 0.0) * max(a * t - b, 0.0)

        # Kinks at ±s and ±t: broken there, the integrand is a polynomial.
        parts = [scipy.integrate.quad(hidden, -1.5, 1.5, (a,), points=[a * s, a * t], epsabs=1e-13)
                 for a in (1.0, -1.0)]  # fmt: skip
        return sum(value for value, _ in parts) / (2 * 3.0)

    expected = [[outer(s, t) for t in x] for s in x]
    assert np.max(np.abs(law.outer(x, x) - expected)) < 1e-12


def test_tangent_kernel_is_the_mean_of_networks():
    law, x = EvenKnots(2.0), np.array([-1.0, 0.1, 0.7])
    rng = np.random.default_rng(0)
    m, scale = 400_000, 1.3
    a, b = rng.choice([-1.0, 1.0], m) * scale, rng.uniform(-2, 2, m) * scale
    height = np.outer(x, a) - b
    seen = height > 0
    for i in range(3):
        for j in range(3):
            terms = np.maximum(height[i], 0) * np.maximum(height[j], 0)
            terms += seen[i] * seen[j] * (1 + x[i] * x[j]) / scale**2
            error = np.std(terms) / np.sqrt(m)
            assert abs(np.mean(terms) - law.tangent(x, x, scale)[i, j]) < 5 * error


def test_drawn_layers_have_this_kernel():
    law, x = EvenKnots(2.0), np.array([-1.0, 0.7])
    layer = law.draw(100_000, np.random.default_rng(1))
    hidden = np.maximum(np.outer(x, layer.inner[:, 0]) + np.asarray(layer.bias), 0)
    product = hidden[0] * hidden[1]
    error = np.std(product) / np.sqrt(100_000)
    assert abs(np.mean(product) - law.outer(x, x)[0, 1]) < 5 * error


def test_points_beyond_the_knots_are_misuse():
    with pytest.raises(ValueError, match="Use a `reach` of at least 3"):
        EvenKnots(2.0).outer(np.array([3.0]), np.array([0.0]))
    with pytest.raises(ValueError, match="reach of knots is positive, but is 0"):
        EvenKnots(0.0)
