"""Kernel regression and linearised descent, against dense algebra and networks in training."""

import numpy as np
import pytest
import scipy.linalg

from shallows.model import EvenKnots, Network, WideLimit, natural_cubic, tangent_kernel
from shallows.solve.kernel_regression import KernelFlow, KernelRegression, LinearisedDescent


def _data(n=12, d=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    return x, np.sin(x[:, 0]) + x[:, 1] * x[:, 2]


def test_it_interpolates_with_the_least_norm():
    x, y = _data()
    limit = WideLimit(bias=0.5)
    gram = limit.tangent(x)
    fit = KernelRegression(gram, y)
    np.testing.assert_allclose(fit(gram), y, atol=1e-16 * fit.condition * 10)
    assert 1 < fit.condition < 1e6
    # In features of the kernel: the least-norm solution of an underdetermined system.
    features = scipy.linalg.sqrtm(gram).real
    theta = np.linalg.pinv(features) @ y
    points = _data(5, seed=1)[0]
    cross = limit.tangent(points, x)
    expected = cross @ np.linalg.solve(features, theta)
    np.testing.assert_allclose(fit(cross), expected, rtol=1e-9)


def test_a_ridge_is_a_penalty_on_the_norm():
    x, y = _data()
    gram, ridge = WideLimit(bias=0.5).tangent(x), 0.3
    a = KernelRegression(gram, y, ridge).coefficients

    def energy(c):
        return np.sum((gram @ c - y) ** 2) + ridge * c @ gram @ c

    for i in range(len(y)):  # a quadratic function: central differences are exact
        bump = 0.1 * np.eye(len(y))[i]
        assert abs(energy(a + bump) - energy(a - bump)) < 1e-10
    assert np.all(KernelRegression(gram, np.stack([y, 2 * y], 1), ridge).coefficients[:, 0] == a)


def test_linearised_descent_is_descent_on_a_linear_model():
    rng = np.random.default_rng(2)
    features, y = rng.normal(size=(5, 8)), rng.normal(size=5)
    gram = features @ features.T
    step = 1 / np.linalg.eigvalsh(gram)[-1]
    model = LinearisedDescent(gram, -y, step)
    theta, found = np.zeros(8), []
    for s in range(30):
        residual = features @ theta - y
        np.testing.assert_allclose(residual, model.residual(s), atol=1e-13)
        found.append(np.linalg.norm(residual))
        theta -= step * features.T @ residual
    np.testing.assert_allclose(model.distances(np.arange(30)), found, atol=1e-13)


def test_wide_networks_train_as_their_kernel_says():
    """Descent on f = (1/√m) Σ a σ(w·x), a fixed; the deviation falls as the width grows."""
    x, y = _data(6)
    errors = []
    for m in (100, 3600):
        rng = np.random.default_rng(3)
        w, a = rng.normal(size=(m, 3)), rng.choice([-1.0, 1.0], size=m) / np.sqrt(m)
        gram = tangent_kernel(Network(w, a), x, rates=(1, 0))
        step = 0.5 / np.linalg.eigvalsh(gram)[-1]
        start = np.maximum(x @ w.T, 0) @ a - y
        for _ in range(40):
            g = x @ w.T
            residual = np.maximum(g, 0) @ a - y
            w -= step * (a[:, None] * ((g > 0).T * residual) @ x)
        expected = LinearisedDescent(gram, start, step).distances([39])[0]
        errors.append(abs(np.linalg.norm(residual) / expected - 1))
        assert expected < 0.7 * np.linalg.norm(start)
    assert errors[1] < 5e-2
    assert errors[1] < errors[0] / 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k, y: KernelRegression(k[:2], y), r"must be the square matrix K\(xᵢ, xⱼ\)"),
        (lambda k, y: KernelRegression(k + np.tri(3), y), "must be symmetric, but differs"),
        (lambda k, y: KernelRegression(k, y[:2]), "There must be a value for each of the 3"),
        (lambda k, y: KernelRegression(k, y, -1.0), "`ridge` must be at least 0, but is -1"),
        (
            lambda k, y: KernelRegression(np.ones((3, 3)), y),
            "of 3 points with ridge 0 is singular to rounding: its smallest eigenvalue",
        ),
        (lambda k, y: LinearisedDescent(k, y, 3.0), "at most 2/λ_max = 2, beyond which"),
        (lambda k, y: LinearisedDescent(k, y[:, None], 1.0), "one number a point"),
        (lambda k, y: LinearisedDescent(k, y, 1.0).residual(-1), "`steps` must be a positive"),
    ],
)
def test_misuse_of_kernels(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.eye(3), np.ones(3))


# Continuous time, on a line

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


def test_singular_kernels_are_misuse():
    with pytest.raises(ValueError, match="singular to rounding"):
        KernelFlow(EvenKnots(2.0).outer, np.array([0.0, 0.0, 1.0]), np.ones(3))
