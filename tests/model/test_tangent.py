"""Tangent kernels, against 50 digits, Jacobians, random networks and a published formula."""

import mpmath as mp
import numpy as np
import pytest
import scipy.special

from shallows.model import Deep, Erf, Network, WideLimit, kernel_drift, tangent_kernel

LIMITS = [
    WideLimit(rates=(1, 0)),
    WideLimit(bias=0.3, weight=1.5),
    WideLimit(3, weight=2.0, head=0.5, rates=(1, 0.5, 2, 0)),
    WideLimit(4, weight=1.7, bias=0.2),
]


def _exactly(limit, x, y):
    """The recursion of both kernels in mpmath, on covariances, with the angle as an arctangent."""
    x, y = ([mp.mpf(float(t)) for t in z] for z in (x, y))
    w, b, h = map(mp.mpf, (limit.weight, limit.bias, limit.head))
    p, q, c = (w * mp.fdot(s, t) + b for s, t in ((x, x), (y, y), (x, y)))
    tangent = limit.rates[0] * c
    for rate in limit.rates[1:]:
        area = mp.sqrt(max(p * q - c * c, 0))
        psi = mp.atan2(area, -c)
        mean, step = (area + c * psi) / (2 * mp.pi), psi / (2 * mp.pi)
        last = step * tangent + mp.mpf(rate) * mean
        p, q, c = w * p / 2 + b, w * q / 2 + b, w * mean + b
        tangent = rate * c + w * step * tangent
    return h * last, h * mean


def _points():
    """Some in general position, and some nearly or exactly parallel, or opposite, to these."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(3, 3))
    near = [
        sign * base[i] + e * rng.normal(size=3)
        for e in (1e-1, 1e-3, 1e-8, 1e-13, 0.0)
        for sign, i in ((2.0, 0), (-1.0, 1))
    ]
    return np.array([*base, *near])


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_both_kernels_in_50_digits(limit):
    x = _points()
    with mp.workdps(50):
        exact = [[_exactly(limit, a, b) for b in x] for a in x]
        for one, kernel in enumerate((limit.tangent(x), limit.covariance(x))):
            for i in range(len(x)):
                for j in range(len(x)):
                    scale = mp.sqrt(exact[i][i][one] * exact[j][j][one])
                    error = abs(mp.mpf(float(kernel[i, j])) - exact[i][j][one])
                    assert error <= 1e-14 * scale, (one, i, j)


def test_points_against_others_and_against_themselves():
    limit, x = LIMITS[2], _points()
    np.testing.assert_allclose(limit.tangent(x), limit.tangent(x, x), atol=1e-14)
    np.testing.assert_array_equal(limit.tangent(x), limit.tangent(x).T)
    origin = limit.tangent(np.array([[0.0, 0, 0], *x[:2]]))
    np.testing.assert_array_equal(origin[0], 0.0)
    np.testing.assert_allclose(origin[1:, 1:], limit.tangent(x)[:2, :2], atol=1e-14)


def test_two_layers_on_the_sphere_are_the_published_gram_matrix():
    """H = x·y (π − arccos x·y)/2π for unit x, y: Du, Zhai, Poczos & Singh (2018)."""
    x = np.random.default_rng(2).normal(size=(6, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    c = np.clip(x @ x.T, -1, 1)
    expected = c * (np.pi - np.arccos(c)) / (2 * np.pi)
    np.testing.assert_allclose(WideLimit(rates=(1, 0)).tangent(x), expected, atol=1e-8)
    # He's weights keep the lengths of signals, and each layer adds as much again.
    deep = WideLimit(5, weight=2.0)
    np.testing.assert_allclose(np.diag(deep.covariance(x)), 1.0, atol=1e-14)
    np.testing.assert_allclose(np.diag(deep.tangent(x)), 6.0, atol=1e-13)


def _jacobian(value, parameters, points, step=1e-4):
    """∂f/∂parameters by central differences, a row for each point."""
    columns = []
    for i in np.ndindex(parameters.shape):
        up, down = parameters.copy(), parameters.copy()
        up[i] += step
        down[i] -= step
        columns.append((value(up, points) - value(down, points)) / (2 * step))
    return np.array(columns).T


@pytest.mark.parametrize("biased", [False, True])
def test_the_kernel_of_a_network_is_that_of_its_jacobian(biased):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(4, 3)), rng.normal(size=(2, 3))
    bias = rng.normal(size=5) if biased else None
    w, a = rng.normal(size=(5, 3)), rng.normal(size=5)
    f = Network(w, a, bias, Erf())
    inner = w if bias is None else np.column_stack([w, bias])

    def hidden(u, z):
        z = z if bias is None else np.column_stack([z, np.ones(len(z))])
        return scipy.special.erf(z @ u.T / np.sqrt(2))

    on_w = [_jacobian(lambda u, z: hidden(u, z) @ a, inner, z) for z in (x, y)]
    on_a = [hidden(inner, z) for z in (x, y)]
    expected = on_w[0] @ on_w[1].T + on_a[0] @ on_a[1].T
    np.testing.assert_allclose(tangent_kernel(f, x, y), expected, atol=1e-7)
    weighted = tangent_kernel(f, x, rates=(2.0, 0.5))
    expected = 2 * on_w[0] @ on_w[0].T + on_a[0] @ on_a[0].T / 2
    np.testing.assert_allclose(weighted, expected, atol=1e-7)


def test_the_kernel_of_a_deep_network_is_that_of_its_jacobian():
    rng = np.random.default_rng(4)
    layers = [rng.normal(size=s) for s in ((5, 3), (4, 5), (3, 4))]
    heads, x = rng.normal(size=3), rng.normal(size=(4, 3))
    rates, expected = (1.0, 0.5, 0.0, 3.0), np.zeros((4, 4))
    for l, rate in enumerate(rates):

        def value(some, z, l=l):
            parts = [*layers, heads[None]]
            parts[l] = some
            for w in parts[:-1]:
                z = np.maximum(z @ w.T, 0.0)
            return z @ parts[-1][0]

        # Linear in one layer within a cell, so that differences are exact there.
        j = _jacobian(value, [*layers, heads[None]][l], x)
        expected += rate * j @ j.T
    found = tangent_kernel(Deep(layers, heads), x, rates=rates)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_compiled_and_not_they_are_the_same():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(211, 2))
    x[7], x[8] = x[3], -2 * x[4]
    limit = LIMITS[1]
    whole = limit.tangent(x)  # compiled, with many pairs that are nearly parallel
    parts = np.concatenate([limit.tangent(some, x) for some in np.array_split(x, 7)])
    np.testing.assert_allclose(whole, parts, rtol=0, atol=1e-14 * np.max(whole))


def _values(network, x):
    """f(x), without a call into a compiler."""
    for w in [network.inner] if isinstance(network, Network) else network.layers:
        x = np.maximum(x @ np.asarray(w).T, 0.0)
    return x @ np.asarray(network.outer)


@pytest.mark.parametrize(
    ("limit", "widths"), [(WideLimit(weight=0.7, head=2.0), (200,)), (LIMITS[2], (100, 100, 100))]
)
def test_kernels_of_random_networks_tend_to_the_limit(limit, widths):
    x = np.random.default_rng(5).normal(size=(4, 3))
    seeds = 40
    networks = [limit.draw(3, widths, seed) for seed in range(seeds)]
    found = np.array([tangent_kernel(f, x, rates=limit.rates_of(widths)) for f in networks])
    values = np.array([_values(f, x) for f in networks])
    for sample, exact in (
        (found, limit.tangent(x)),
        (values[:, :, None] * values[:, None], limit.covariance(x)),
    ):
        error = np.abs(sample.mean(0) - exact)
        # At a finite width means differ from the limit by 1/width, once for each layer.
        size = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
        bias = len(widths) / min(widths) * size
        assert np.all(error <= 5 * sample.std(0, ddof=1) / np.sqrt(seeds) + bias)
        assert sample.std() > 0


def test_the_drift_of_a_kernel():
    rng = np.random.default_rng(6)
    x, f = rng.normal(size=(4, 3)), Network(rng.normal(size=(5, 3)))
    path = [f, Network(f.inner, 2 * f.outer), f]
    # The part of the inner weights is quadratic in the heads, that of the heads does not see them.
    np.testing.assert_allclose(kernel_drift(path, x, rates=(1, 0)), [0, 3, 0], atol=1e-14)
    np.testing.assert_allclose(kernel_drift(path, x, rates=(0, 1)), [0, 0, 0], atol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WideLimit(0), "`depth` must be a positive integer, but is 0"),
        (lambda: WideLimit(weight=0.0), "`weight` is a variance and must be above 0, but is 0"),
        (lambda: WideLimit(bias=-1.0), "`bias` is a variance and must be at least 0, but is -1"),
        (lambda: WideLimit(rates=(1,)), "`rates` needs a number ≥ 0 for each of 1 hidden layers"),
        (lambda: WideLimit(rates=(0, 0)), "not all 0"),
        (lambda: WideLimit().tangent([1.0]), "`x` must be a matrix with a point in each row"),
        (
            lambda: WideLimit().tangent([[1.0]], [[1.0, 2.0]]),
            "Points of `x` have 1 coordinates, but those of `y` 2.",
        ),
        (lambda: WideLimit().tangent([[float("nan")]]), "`x` must be finite"),
        (lambda: WideLimit().draw(3, (4, 4)), "a number of neurons for each of the 1 hidden"),
        (lambda: WideLimit(bias=1.0).draw(3, (4,)), "A draw has no biases"),
        (lambda: tangent_kernel(Network(np.eye(2)), np.eye(3)), "The network has 2 inputs"),
        (lambda: tangent_kernel(Network(np.ones((2, 3, 3))), np.eye(3)), "a batch of networks"),
        (lambda: tangent_kernel(Network(np.eye(2), np.eye(2)), np.eye(2)), "has 2 outputs"),
        (lambda: kernel_drift([], np.eye(2)), "no network whose kernel could drift"),
    ],
)
def test_misuse_of_kernels(call, message):
    with pytest.raises(ValueError, match=message):
        call()
