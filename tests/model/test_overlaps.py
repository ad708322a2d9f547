"""Overlaps: inequalities, quadrature, autodiff through them, and neurons that vanish."""

import hypothesis as hp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import zoo
from shallows.model import gram, gram_gradient, gram_hessian
from shallows.model.overlaps import curvature, mixed_curvature, net_pull, pairs, pull

EPS = np.finfo(float).eps

overlaps = jax.jit(gram)
gradients = jax.jit(gram_gradient)
hessians = jax.jit(gram_hessian)

lengths = st.floats(1e-6, 1e6)
angles = st.floats(0, np.pi)
seeds = st.integers(0, 2**32 - 1)


def _pair(angle, length_u, length_v):
    u = length_u * np.array([[1.0, 0.0]])
    return u, length_v * np.array([[np.cos(angle), np.sin(angle)]])


def _rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def _overlap(u, v):
    """The overlap as a textbook has it, for autodiff to stumble over."""
    norm_u, norm_v = jnp.linalg.norm(u), jnp.linalg.norm(v)
    angle = jnp.arccos(jnp.clip(u @ v / (norm_u * norm_v), -1.0, 1.0))
    return norm_u * norm_v * (jnp.sin(angle) + (jnp.pi - angle) * jnp.cos(angle)) / (2 * jnp.pi)


def _repaired(u, v):
    """The same with the usual double `where` around arccos."""
    norm_u, norm_v = jnp.linalg.norm(u), jnp.linalg.norm(v)
    cosine = u @ v / (norm_u * norm_v)
    inside = jnp.abs(cosine) < 1 - 1e-15
    safe = jnp.arccos(jnp.where(inside, cosine, 0.0))
    angle = jnp.where(inside, safe, jnp.where(cosine > 0, 0.0, jnp.pi))
    return norm_u * norm_v * (jnp.sin(angle) + (jnp.pi - angle) * jnp.cos(angle)) / (2 * jnp.pi)


@hp.given(angles, lengths, lengths)
def test_overlap_equals_the_angular_integral(angle, length_u, length_v):
    u, v = _pair(angle, length_u, length_v)
    # Polar coordinates in span(u, v): the radial factor integrates to 2 / 2π, and both neurons
    # are active between the angles below.
    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle, half = angle / 2, (np.pi - angle) / 2
    t = middle + half * nodes
    integral = half * weights @ (np.cos(t) * np.cos(t - angle))
    expected = length_u * length_v * integral / np.pi
    assert abs(float(overlaps(u, v)[0, 0]) - expected) <= 8 * EPS * length_u * length_v


@hp.given(angles, lengths, lengths)
def test_the_gradient_equals_the_angular_integral(angle, length_u, length_v):
    u, v = _pair(angle, length_u, length_v)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle, half = angle / 2, (np.pi - angle) / 2
    t = middle + half * nodes
    directions = np.stack([np.cos(t), np.sin(t)])  # ∂σ(u·x)/∂u = x on the active set
    expected = length_v * half * directions @ (weights * np.cos(t - angle)) / np.pi
    np.testing.assert_allclose(gradients(u, v)[0, 0], expected, rtol=0, atol=16 * EPS * length_v)


@hp.given(seeds, lengths, lengths)
def test_overlaps_are_homogeneous_in_each_vector(seed, s, t):
    u, v = _rows(seed, 3, 4), _rows(seed + 1, 2, 4)
    scale = np.linalg.norm(u, axis=1)[:, None] * np.linalg.norm(v, axis=1) * s * t
    assert np.all(np.abs(overlaps(s * u, t * v) - s * t * overlaps(u, v)) <= 1e-14 * scale)


@hp.given(seeds)
def test_overlaps_are_symmetric_and_invariant_under_rotations(seed):
    u, v = _rows(seed, 3, 4), _rows(seed + 1, 2, 4)
    q = np.linalg.qr(_rows(seed + 2, 4, 4))[0]
    scale = np.linalg.norm(u, axis=1)[:, None] * np.linalg.norm(v, axis=1)
    assert np.all(np.abs(overlaps(u, v) - overlaps(v, u).T) <= 2e-15 * scale)
    assert np.all(np.abs(overlaps(u @ q, v @ q) - overlaps(u, v)) <= 5e-15 * scale)


@hp.given(seeds)
def test_overlaps_obey_cauchy_and_schwarz_and_are_not_negative(seed):
    u, v = _rows(seed, 3, 2), _rows(seed + 1, 2, 2)
    lengths_u, lengths_v = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
    bound = lengths_u[:, None] * lengths_v / 2  # K(u, u) = |u|²/2
    k = np.asarray(overlaps(u, v))
    assert np.all(k <= bound * (1 + 4 * EPS))
    assert np.all(k >= -2 * EPS * bound)
    np.testing.assert_allclose(np.diagonal(overlaps(u, u)), lengths_u**2 / 2, rtol=4 * EPS)


@hp.given(st.lists(angles, min_size=2, max_size=2))
def test_overlaps_decrease_with_the_angle(pair):
    near, far = sorted(pair)
    k = [float(overlaps(*_pair(angle, 1.0, 1.0))[0, 0]) for angle in (near, far)]
    assert k[1] <= k[0] + 2 * EPS


@hp.given(seeds, st.booleans())
def test_a_gram_matrix_of_overlaps_is_positive_semidefinite(seed, doubled):
    u = _rows(seed, 5, 3)
    if doubled:
        u[3], u[4] = u[0], u[1] * (1 + 1e-9)
    values = np.linalg.eigvalsh(overlaps(u, u))
    assert values[0] >= -1e-15 * 5 * values[-1]


@pytest.mark.parametrize("d", [2, 3, 7])
def test_the_mixed_derivative_is_half_the_identity_where_neurons_coincide(d):
    u = _rows(d, 4, d)
    for scale in (1.0, 4.0, 3.0, 1e-6):
        _, mixed = hessians(u, scale * u)
        at_one = np.asarray(mixed)[np.arange(4), np.arange(4)]
        assert np.max(np.abs(at_one - np.eye(d) / 2)) < 1e-15
        pure, mixed = hessians(u, -scale * u)
        assert np.max(np.abs(np.asarray(mixed)[np.arange(4), np.arange(4)])) < 1e-15
        assert np.max(np.abs(np.asarray(pure)[np.arange(4), np.arange(4)])) < 1e-15 * scale
    own = np.asarray(mixed_curvature(pairs(jnp.asarray(u))))[np.arange(4), np.arange(4)]
    np.testing.assert_array_equal(own, np.broadcast_to(np.eye(d) / 2, (4, d, d)))


def _families():
    u, v = _rows(1, 3, 3), _rows(2, 2, 3)
    parallel, opposite, near = u.copy(), u.copy(), u.copy()
    parallel[0], parallel[1] = v[0], 2 * v[1]
    opposite[0], opposite[2] = -v[0], -0.5 * v[0]
    near[1], near[2] = v[0] + 1e-7 * v[1], -v[1] + 1e-10 * v[0]
    return {
        "generic": (u, v),
        "parallel": (parallel, v),
        "antiparallel": (opposite, v),
        "nearly parallel": (near, v),
        "one another's": (u, u[1:].copy()),
    }


def _energy(u, v, heads):
    return jnp.sum(heads * gram(u, v))


@jax.jit
def _autodiff(u, v, heads):
    """First derivatives in both modes, second derivatives in three."""
    both = (0, 1)
    reverse = jax.grad(_energy, both)
    return reverse(u, v, heads), [
        jax.jacfwd(_energy, both)(u, v, heads),
        jax.hessian(_energy, both)(u, v, heads),
        jax.jacfwd(jax.jacfwd(_energy, both), both)(u, v, heads),
        jax.jacrev(reverse, both)(u, v, heads),
    ]


@pytest.mark.parametrize("name", list(_families()))
def test_autodiff_through_the_overlap_equals_the_closed_forms(name):
    u, v = (jnp.asarray(x) for x in _families()[name])
    heads = jnp.asarray(_rows(3, 3, 2))
    reverse, (forward, *seconds) = _autodiff(u, v, heads)
    for on_u, on_v in (reverse, forward):
        expected = np.einsum("ij,ijd->id", heads, gradients(u, v))
        np.testing.assert_allclose(on_u, expected, atol=1e-13)
        expected = np.einsum("ij,jid->jd", heads, gradients(v, u))
        np.testing.assert_allclose(on_v, expected, atol=1e-13)

    pure, mixed = hessians(u, v)
    own = np.zeros((3, 3, 3, 3))
    own[np.arange(3), :, np.arange(3)] = np.einsum("ij,ijde->ide", heads, pure)
    between = np.einsum("ij,ijde->idje", heads, mixed)
    for (on_u, across), (back, _) in seconds:
        np.testing.assert_allclose(on_u, own, atol=2e-13)
        np.testing.assert_allclose(across, between, atol=2e-13)
        np.testing.assert_allclose(back, np.moveaxis(between, (2, 3), (0, 1)), atol=2e-13)


def test_derivatives_of_the_overlap_of_a_family_with_itself():
    # Both arguments move: at (i, i) the pair stays parallel, and K(u, u) = |u|²/2.
    u = jnp.asarray(_rows(4, 3, 3)).at[2].set(jnp.asarray(_rows(4, 3, 3))[0])
    square = jax.jit(jax.hessian(lambda u: jnp.trace(gram(u, u))))(u).reshape(9, 9)
    np.testing.assert_allclose(square, np.eye(9), atol=2e-14)


def test_autodiff_of_the_textbook_formula_fails_where_neurons_coincide():
    # What the tests above would miss, were they posed at generic points only.
    u = jnp.asarray([2.0, 3.0, -6.0])  # |u| = 7: its cosine with itself rounds to 1
    first = jax.grad(_overlap)(u, u)
    mixed = jax.jit(jax.jacfwd(jax.grad(_overlap), argnums=1))(u, u)
    assert not np.all(np.isfinite(first))
    assert not np.all(np.isfinite(mixed))

    finite = jax.jit(jax.jacfwd(jax.grad(_repaired), argnums=1))(u, u)
    assert np.all(np.isfinite(finite))
    np.testing.assert_allclose(finite, finite.T)
    assert np.max(np.abs(finite - np.eye(3) / 2)) > 0.1
    ours = hessians(u[None], u[None])[1][0, 0]
    np.testing.assert_allclose(ours, np.eye(3) / 2, atol=1e-15)


def test_zero_neurons_have_the_documented_one_sided_derivatives():
    u = np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    v = np.array([[1.0, -1.0, 2.0], [0.0, 0.0, 0.0], [2.0, 4.0, 6.0]])
    k = np.asarray(overlaps(u, v))
    assert np.all(k[0] == 0)
    assert np.all(k[:, 1] == 0)
    first = np.asarray(gradients(u, v))
    np.testing.assert_allclose(first[0], v / 4, atol=1e-15)  # 1{0 > 0} = ½
    np.testing.assert_array_equal(first[:, 1], 0)
    pure, mixed = (np.asarray(x) for x in hessians(u, v))
    np.testing.assert_array_equal(pure[0], 0)
    np.testing.assert_array_equal(pure[:, 1], 0)
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 1)):
        np.testing.assert_allclose(mixed[i, j], np.eye(3) / 4, atol=1e-15)
    np.testing.assert_allclose(mixed[1, 2], np.eye(3) / 2, atol=1e-15)


def test_contractions_at_zero_neurons_agree_with_the_single_pairs():
    u = jnp.asarray([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    v = jnp.asarray([[0.0, 0.0], [2.0, 4.0], [-1.0, 0.5]])
    heads = jnp.asarray([1.0, -2.0, 0.5])
    pure, mixed = hessians(u, v)
    p = pairs(u, v)
    expected = jnp.einsum("ijd,j->id", gradients(u, v), heads)
    np.testing.assert_allclose(pull(p, v, heads), expected, atol=1e-15)
    np.testing.assert_allclose(
        curvature(p, heads), jnp.einsum("ijde,j->ide", pure, heads), atol=1e-15
    )
    np.testing.assert_allclose(mixed_curvature(p), mixed, atol=1e-15)
    itself = pairs(u)
    assert np.all(np.isfinite(mixed_curvature(itself)))
    assert np.all(np.isfinite(pull(itself, u, heads)))
    assert np.all(np.isfinite(curvature(itself, heads)))


def test_autodiff_at_zero_neurons_is_never_nan():
    u = jnp.asarray([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [1.0, 1.0, 0.0]])
    v = jnp.asarray([[0.0, 0.0, 0.0], [2.0, 4.0, 6.0]])
    (on_u, on_v), derivatives = _autodiff(u, v, jnp.ones((3, 2)))
    np.testing.assert_allclose(on_u, gradients(u, v).sum(axis=1), atol=1e-15)
    np.testing.assert_allclose(on_v, gradients(v, u).sum(axis=1), atol=1e-15)
    assert all(np.all(np.isfinite(block)) for block in jax.tree.leaves(derivatives))


def _net_pull_to_fifty_digits(w, a, v, b):
    def one(x, y):
        x, y = ([mp.mpf(float(t)) for t in z] for z in (x, y))
        p, q = (mp.sqrt(mp.fsum(t * t for t in z)) for z in (x, y))
        minus, plus = (
            [s / p + sign * t / q for s, t in zip(x, y, strict=True)] for sign in (-1, 1)
        )
        chords = [mp.sqrt(mp.fsum(t * t for t in z)) for z in (minus, plus)]
        angle = 2 * mp.atan2(*chords)
        return [
            (q * mp.sin(angle) * s / p + (mp.pi - angle) * t) / (2 * mp.pi)
            for s, t in zip(x, y, strict=True)
        ]

    with mp.workdps(50):
        total = [
            [
                mp.fsum(
                    [float(h) * one(x, y)[l] for h, y in zip(a, w, strict=True)]
                    + [-float(h) * one(x, y)[l] for h, y in zip(b, v, strict=True)]
                )
                for l in range(len(x))
            ]
            for x in w
        ]
        return np.array(total, dtype=float)


@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-5, 1e-8, 1e-11, 0.0])
@pytest.mark.parametrize("is_basis", [False, True])
def test_the_net_pull_keeps_its_digits_where_neurons_meet(distance, is_basis):
    # Its angles do not: from a rounded cosine, one of 1e-8 may be read as zero.
    v = np.eye(3) if is_basis else _rows(20, 3, 3)
    a, b = np.array([1.0, -2.0, 0.5]), np.array([1.5, 1.0, -1.0])
    w = np.array([v[0], -2 * v[1], 3 * v[0]]) + distance * _rows(21, 3, 3)
    ours = jax.jit(net_pull)(w, a, None if is_basis else v, b)
    size = np.abs(a) @ np.linalg.norm(w, axis=1) + np.abs(b) @ np.linalg.norm(v, axis=1)
    expected = _net_pull_to_fifty_digits(w, a, v, b)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-15 * size)


@pytest.mark.parametrize("is_basis", [False, True])
def test_the_derivative_of_the_net_pull_is_the_hessian_also_where_neurons_meet(is_basis):
    v = np.eye(3) if is_basis else _rows(20, 3, 3)
    a, b = np.array([1.0, -2.0, 0.5]), np.array([1.5, 1.0, -1.0])
    for w in (_rows(22, 3, 3), np.array([v[0], -2 * v[1], 3 * v[0]])):
        slope = jax.jit(jax.jacfwd(lambda w: net_pull(w, a, None if is_basis else v, b)))(w)
        pure, mixed = hessians(w, w)
        theirs, _ = hessians(w, v)
        expected = np.einsum("ijde,j->ijde", mixed, a).transpose(0, 2, 1, 3).copy()
        own = np.einsum("ijde,j->ide", pure, a) - np.einsum("ijde,j->ide", theirs, b)
        expected[np.arange(3), :, np.arange(3)] += own
        np.testing.assert_allclose(slope, expected, atol=1e-12)


@pytest.mark.parametrize("name", ["gaussian", "slanted gaussian", "sphere"])
def test_the_slope_at_zero_neurons_is_a_mean_over_directions(name):
    law = zoo.laws()[name]
    w, a = jnp.zeros((1, 3)), jnp.asarray([3.0])
    v, b = jnp.asarray([[1.0, -0.5, 2.0]]), jnp.asarray([2.0])
    # In pairs of opposite directions, 1{u·x > 0} has the mean ½ whatever x is.
    tiny = 1e-9 * _rows(9, 8, 1, 3)
    tiny = jnp.asarray(np.concatenate([tiny, -tiny]))
    slope = jax.jit(type(law).slope)
    mean = slope(law, tiny, jnp.broadcast_to(a, (16, 1)), v, b).mean(axis=0)
    np.testing.assert_allclose(slope(law, w, a, v, b), mean, atol=1e-8)
