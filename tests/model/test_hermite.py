"""Means of products of two functions, by few terms, by quadrature and in 50 digits."""

import functools

import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from shallows.model import hermite

LONGEST, TERMS = 3.0, 1344
ORDERS = [(0, 0), (2, 0), (1, 1), (4, 0), (3, 1), (1, 3), (2, 2)]


def tanh(order, t):
    """Derivatives of the hyperbolic tangent, by hand."""
    x = np.tanh(t)
    slope = 1 - x * x
    return [x, slope, -2 * x * slope, slope * (6 * x**2 - 2), slope * (16 * x - 24 * x**3)][order]


def plane(order, s, t, ratio):
    """E f(U) g(V) by the trapezoidal rule in the plane, exact to rounding for this step."""
    z = np.arange(-9, 9.01, 0.06)
    mass = np.exp(-(z**2) / 2) * 0.06 / np.sqrt(2 * np.pi)
    second = t * (ratio * z[:, None] + np.sqrt(1 - ratio**2) * z)
    return mass * tanh(order[0], s * z) @ tanh(order[1], second) @ mass


@functools.cache
def scale(order):
    nodes, _ = hermite.hermite(64)
    mass = np.exp(-(nodes**2) / 2) * (nodes[1] - nodes[0]) / np.sqrt(2 * np.pi)
    s = np.linspace(0, LONGEST, 61)[:, None]
    return np.prod([np.sqrt(np.max(tanh(n, s * nodes) ** 2 @ mass)) for n in order])


def few(order, longest=LONGEST, terms=TERMS, tolerance=1e-11):
    return hermite.series(jnp.tanh, order, longest, terms, tolerance)


@pytest.mark.parametrize("order", ORDERS)
def test_few_products_are_means_over_the_plane(order):
    rng = np.random.default_rng(sum(order))
    s, t = LONGEST * rng.random((2, 12))
    ratio = np.cos(np.pi * rng.random(12))
    s[:3], t[:3], ratio[:3] = [3.0, 0.0, 3.0], [3.0, 1.0, 1e-9], [0.9984, 0.5, -0.7]
    exact = [plane(order, *x) for x in zip(s, t, ratio, strict=True)]
    found = few(order)
    assert len(found.orders) <= 32
    assert np.max(np.abs(found.at(s, t, ratio) - exact)) < 1e-11 * scale(order)


@pytest.mark.parametrize(
    "order",
    [(1, 1), *(pytest.param(n, marks=pytest.mark.slow) for n in ((0, 0), (2, 0), (2, 2)))],
    ids=str,
)
def test_few_products_where_neurons_are_parallel_in_50_digits(order):
    # There the series converges most slowly. The step's error is exp(-2π (π/6)/(1/50)).
    lengths = [(3, 3), (1, 1), (mp.mpf("2.5"), mp.mpf("0.5"))]
    with mp.workdps(50):
        step = mp.mpf(1) / 50
        nodes = [step * n for n in range(-16 * 50, 16 * 50 + 1)]
        mass = [step * mp.npdf(z) for z in nodes]

        def derivative(n, t):
            x = mp.tanh(t)
            return [x, 1 - x * x, -2 * x * (1 - x * x)][n]

        exact = [
            mp.fsum(
                m * derivative(order[0], s * z) * derivative(order[1], t * z)
                for m, z in zip(mass, nodes, strict=True)
            )
            for s, t in lengths
        ]
    s, t = np.array(lengths, dtype=float).T
    error = few(order).at(s, t, np.ones(3)) - np.array(exact, dtype=float)
    assert np.max(np.abs(error)) < 1e-11 * scale(order)


def test_a_tighter_tolerance_takes_more_products():
    coarse, fine = (few((1, 1), tolerance=x) for x in (1e-5, 1e-11))
    assert len(coarse.orders) < len(fine.orders)
    exact = plane((1, 1), 3.0, 2.0, 0.9)
    x = (np.array([3.0]), np.array([2.0]), np.array([0.9]))
    errors = [abs(f.at(*x)[0] - exact) / scale((1, 1)) for f in (coarse, fine)]
    assert errors[1] < 1e-11 < errors[0] < 1e-5


def test_a_function_that_vanishes_has_the_mean_zero():
    linear = hermite.series(_identity, (2, 0), 1.0, 16, 1e-11)
    assert np.all(linear.at(np.ones(2), np.ones(2), np.array([0.5, 1.0])) == 0)


def _identity(t):
    return 1.0 * t


def test_hermite_functions_are_orthonormal():
    nodes, table = hermite.hermite(300)
    weight = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi) * (nodes[1] - nodes[0])
    low = table[:, :6] / weight[:, None]  # Hermite polynomials, orthonormal
    np.testing.assert_allclose(low.T @ table, np.eye(6, 300), atol=1e-11)
    cubic = (nodes**3 - 3 * nodes) / np.sqrt(6)
    np.testing.assert_allclose(low[:, 3], cubic, rtol=1e-12, atol=1e-12)


def test_terms_needed_grow_with_the_length_and_are_infinite_at_kinks():
    short, long = (hermite.needed(jnp.tanh, x, 1e-11) for x in (1.0, 3.0))
    assert short[0] < long[0] == TERMS
    assert short[1] <= 1e-11 >= long[1]
    assert hermite.needed(jnp.abs, 1.0, 1e-11)[1] > 1e-9
