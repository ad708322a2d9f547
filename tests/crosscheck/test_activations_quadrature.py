"""Overlaps of every activation against quadrature: values in many digits, derivatives too."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import zoo
from shallows.model import PiecewiseLinear

# Two neurons in general position, parallel ones of different lengths, and a neuron with itself.
PAIRS = {
    "general": ([0.7, -0.3, 0.4], [0.2, 0.5, 0.9]),
    "parallel": ([0.6, 0.3, -0.2], [0.9, 0.45, -0.3]),
    "same": ([0.5, 0.1, 0.7], [0.5, 0.1, 0.7]),
    "opposite": ([0.5, 0.1, 0.7], [-0.5, -0.1, -0.7]),
}
# A series takes long to compile.
SMOOTH = [
    pytest.param(name, marks=pytest.mark.slow) if name == "tanh" else name
    for name, s in zoo.activations().items()
    if s.is_smooth
]
# Functions of a number in mpmath.
BY_HAND = {
    "erf": lambda t: mpmath.erf(t / mpmath.sqrt(2)),
    "sin": mpmath.sin,
    "cos": lambda t: mpmath.cos(2 * t),
    "polynomial": lambda t: mpmath.mpf("0.3") + t - t**2 / 2 + t**3 / 5,
    "hermite": lambda t: (t**3 - 3 * t) / mpmath.sqrt(6),
    "tanh": mpmath.tanh,
}


def _plane(u, v):
    """Coordinates of u and v in an orthonormal basis of a plane that contains them."""
    other = np.roll(u, 1) if np.allclose(np.cross(u, v), 0) else v
    basis = np.linalg.qr(np.stack([u, other], axis=1))[0]
    return basis, basis.T @ u, basis.T @ v


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", [n for n, s in zoo.activations().items() if not s.is_smooth])
def test_piecewise_linear_overlaps_are_integrals_over_the_circle(name, pair):
    # E σ(U)σ(V) = |u||v| (1/π) ∫ σ(cos φ) σ(cos(φ − θ)) dφ over a turn, with E r² / 2 = 1.
    s = zoo.activations()[name]
    assert isinstance(s, PiecewiseLinear)
    u, v = (np.array(x) for x in PAIRS[pair])
    with mpmath.workdps(50):
        (a, b), (c, d) = (map(mpmath.mpf, x) for x in _plane(u, v)[1:])
        start, end = mpmath.atan2(b, a), mpmath.atan2(d, c)
        theta = end - start

        def sigma(t):
            return s.positive * t if t > 0 else s.negative * t

        kinks = sorted(
            (x + n * mpmath.pi / 2) % (2 * mpmath.pi) for x in (0, theta) for n in (-1, 1)
        )
        exact = mpmath.quad(
            lambda phi: sigma(mpmath.cos(phi)) * sigma(mpmath.cos(phi - theta)),
            [0, *kinks, 2 * mpmath.pi],
        )
        exact *= mpmath.hypot(a, b) * mpmath.hypot(c, d) / mpmath.pi
    assert float(s.gram(jnp.asarray(u)[None], jnp.asarray(v)[None])[0, 0]) == pytest.approx(
        float(exact), abs=2e-15
    )


@pytest.mark.parametrize("name", BY_HAND)
def test_smooth_overlaps_are_integrals_in_many_digits(name):
    s, (u, v) = zoo.activations()[name], (np.array(x) for x in PAIRS["general"])
    if name == "tanh":
        digits, number, tolerance = 20, 80, 1e-8  # poles near the axis: Gauss converges slowly
    else:
        digits, number, tolerance = 30, 48, 1e-13
    with mpmath.workdps(digits):
        _, (a, b), (c, d) = _plane(u, v)
        nodes, weights = _mpmath_gauss(number)
        total = mpmath.mpf(0)
        for x, p in zip(nodes, weights, strict=True):
            inner = [
                q * BY_HAND[name](a * x + b * y) * BY_HAND[name](c * x + d * y)
                for y, q in zip(nodes, weights, strict=True)
            ]
            total += p * mpmath.fsum(inner)
    value = float(s.gram(jnp.asarray(u)[None], jnp.asarray(v)[None])[0, 0])
    assert value == pytest.approx(float(total), abs=tolerance)


def _mpmath_gauss(number):
    """Nodes and weights for N(0, 1), by Newton's method on the recurrence."""
    nodes, weights = [], []
    for start in np.polynomial.hermite_e.hermegauss(number)[0]:
        x = mpmath.mpf(start)
        for _ in range(4):
            low, high = mpmath.mpf(1), x
            for n in range(1, number):
                low, high = high, (x * high - mpmath.sqrt(n) * low) / mpmath.sqrt(n + 1)
            x -= high / (mpmath.sqrt(number) * low)
        table = [mpmath.mpf(1), x]
        for n in range(1, number - 1):
            table.append((x * table[-1] - mpmath.sqrt(n) * table[-2]) / mpmath.sqrt(n + 1))
        nodes.append(x)
        weights.append(1 / mpmath.fsum(t * t for t in table))
    return nodes, weights


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_are_means_of_derivatives(name, pair):
    # E σ′(U)σ(V) x, E σ″(U)σ(V) x xᵀ and E σ′(U)σ′(V) x xᵀ; what is across the plane is I/… there.
    s, (u, v) = zoo.activations()[name], (np.array(x) for x in PAIRS[pair])
    tolerance = 2e-12 if name != "tanh" else 1e-9
    basis, a, b = _plane(u, v)
    t, p = np.polynomial.hermite_e.hermegauss(90 if name != "tanh" else 180)
    p = p / p.sum()
    x = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.outer(p, p).ravel()
    first, second = jnp.asarray(x @ a), jnp.asarray(x @ b)
    flat = np.eye(3) - basis @ basis.T

    def mean(f):
        f = np.asarray(f) * mass
        return np.sum(f), basis @ (x.T @ f), basis @ ((x.T * f) @ x) @ basis.T + flat * np.sum(f)

    slope = mean(s.slope(first) * s(second))[1]
    pure = mean(s.bend(first) * s(second))[2]
    mixed = mean(s.slope(first) * s.slope(second))[2]
    w = jnp.asarray(np.stack([u, v]))
    np.testing.assert_allclose(s.slopes(w, w)[0, 1], slope, atol=tolerance)
    np.testing.assert_allclose(s.mixed_curvature(w)[0, 1], mixed, atol=tolerance)
    heads = jnp.asarray([0.0, 1.0])
    np.testing.assert_allclose(s.curvature(w, heads, None)[0], pure, atol=tolerance)
    pulled = s.net_pull(w[:1], jnp.zeros(1), w[1:], -jnp.ones(1))
    np.testing.assert_allclose(pulled[0], slope, atol=tolerance)


@pytest.mark.parametrize(
    "name",
    [
        *(n for n, s in zoo.activations().items() if not s.is_smooth),
        *(pytest.param(n, marks=pytest.mark.slow) for n in SMOOTH),
    ],
)
def test_contractions_are_sums_of_single_derivatives(name):
    s = zoo.activations()[name]
    rng = np.random.default_rng(5)
    u, v, heads = (jnp.asarray(rng.normal(size=n)) for n in ((3, 3), (2, 3), 2))
    u, v, equal = 0.5 * u, 0.5 * v, jnp.ones(3)
    mine = np.sum(s.slopes(u, u), axis=1)
    for theirs, b in ((v, heads), (None, equal)):
        yours = np.einsum("ijd,j->id", s.slopes(u, jnp.eye(3) if theirs is None else theirs), b)
        np.testing.assert_allclose(s.net_pull(u, equal, theirs, b), mine - yours, atol=2e-14)
    single = [s.curvature(u, jnp.ones(1), v[j : j + 1]) for j in range(2)]
    whole = heads[0] * single[0] + heads[1] * single[1]
    np.testing.assert_allclose(s.curvature(u, heads, v), whole, atol=1e-13)
