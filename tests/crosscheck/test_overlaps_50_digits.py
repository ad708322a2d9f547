"""The overlap and its first two derivatives against 60-digit arithmetic, everywhere."""

import fifty_digits as digits
import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from shallows.model import gram, gram_gradient, gram_hessian
from shallows.model.overlaps import curvature, mixed_curvature, pairs, pull

SMALL = ["0", "1e-12", "1e-9", "1e-6", "1e-4", "1e-3", "0.01", "0.1", "0.14", "0.142", "0.5", "1"]
MIDDLE = ["1.5707963267948966", "2", "3"]
NORMS = [1e-6, 1.0, 1e6]

value = jax.jit(gram)
slope = jax.jit(gram_gradient)
second = jax.jit(gram_hessian)


def _angles():
    return [*SMALL, *MIDDLE, *(f"pi-{angle}" for angle in SMALL)]


def _pair(angle, d, norm_u, norm_v, seed=0):
    """Two float vectors with almost that angle: posed in 60 digits, then rounded once."""
    theta = mp.pi - mp.mpf(angle[3:]) if angle.startswith("pi-") else mp.mpf(angle)
    rng = np.random.default_rng([seed, d])
    p = digits.exact(rng.normal(size=d))
    q = digits.exact(rng.normal(size=d))
    p = [x / mp.sqrt(digits.dot(p, p)) for x in p]
    q = [y - digits.dot(p, q) * x for x, y in zip(p, q, strict=True)]
    q = [x / mp.sqrt(digits.dot(q, q)) for x in q]
    u = [norm_u * x for x in p]
    v = [norm_v * (mp.cos(theta) * x + mp.sin(theta) * y) for x, y in zip(p, q, strict=True)]
    return np.array([float(x) for x in u]), np.array([float(x) for x in v])


def _errors(u, v, ours):
    """Errors of value, gradient, pure and mixed second derivative, each by its natural scale."""
    u, v = digits.exact(u), digits.exact(v)
    norm_u, norm_v = (float(mp.sqrt(digits.dot(x, x))) for x in (u, v))
    pure, mixed = digits.second(u, v)
    theirs = (digits.overlap(u, v), digits.gradient(u, v), pure, mixed)
    scales = (norm_u * norm_v, norm_v, norm_v / norm_u, 1.0)
    return [
        digits.distance(np.asarray(x), y) / scale
        for x, y, scale in zip(ours, theirs, scales, strict=True)
    ]


@pytest.mark.parametrize("angle", ["0", "1e-12", "1e-3", "1", "3", "pi-1e-6", "pi-0"])
def test_the_reference_agrees_with_differences_of_its_value(angle):
    u, v = (digits.exact(x) for x in _pair(angle, 3, 0.5, 3.0))
    first, pure, mixed = digits.by_differences(u, v)
    scale = 6.0
    for ours, theirs in zip(digits.gradient(u, v), first, strict=True):
        assert abs(ours - theirs) < 1e-30 * scale
    for ours, theirs in zip(digits.second(u, v), (pure, mixed), strict=True):
        assert max(abs(x) for x in ours - theirs) < 1e-24 * scale


def test_the_reference_agrees_with_differences_at_exactly_parallel_vectors():
    u = digits.exact([0.5, -0.25, 1.0])
    for sign in (2, -2):
        v = [sign * x for x in u]
        _, pure, mixed = digits.by_differences(u, v)
        for ours, theirs in zip(digits.second(u, v), (pure, mixed), strict=True):
            assert max(abs(x) for x in ours - theirs) < 1e-30


@pytest.mark.parametrize("d", [2, 3, 7])
@pytest.mark.parametrize("angle", _angles())
def test_overlap_and_derivatives_are_exact_at_every_angle_and_length(angle, d):
    for norm_u in NORMS:
        for norm_v in NORMS:
            u, v = _pair(angle, d, norm_u, norm_v)
            row, column = jnp.asarray(u)[None], jnp.asarray(v)[None]
            ours = (value(row, column), slope(row, column), *second(row, column))
            assert max(_errors(u, v, ours)) < 1e-13, (norm_u, norm_v)


@pytest.mark.parametrize("d", [2, 3, 7])
def test_a_row_with_many_nearly_parallel_partners_is_exact(d):
    # One row of u meets all the partners below at once, so that more than one is near.
    near = ["0", "1e-12", "1e-6", "1e-3", "0.1", "0.142", "1", "pi-0.14", "pi-1e-9", "pi-0"]
    columns = np.array([_pair(angle, d, 1.5, 0.7)[1] for angle in near])
    u = np.array([_pair("0", d, 1.5, 1.0)[0], np.random.default_rng(3).normal(size=d)])
    ours = [np.asarray(x) for x in (value(u, columns), slope(u, columns), *second(u, columns))]
    for i in range(2):
        for j in range(len(near)):
            assert max(_errors(u[i], columns[j], [x[i, j] for x in ours])) < 1e-13, near[j]


def test_contractions_and_batches_agree_with_the_single_pairs():
    rng = np.random.default_rng(5)
    students, teacher = rng.normal(size=(4, 3, 3)), rng.normal(size=(5, 3))
    students[1, 0], students[2, 1], students[2, 2] = teacher[0], -teacher[1], 2 * teacher[1]
    students[3, 0] = teacher[2] + 1e-9 * teacher[3]
    teacher[4] = teacher[1] * (1 + 2.0**-30)
    u, v = jnp.asarray(students), jnp.asarray(teacher)
    heads = jnp.asarray(rng.normal(size=5))
    batched = jax.jit(lambda u, v: (gram(u, v), pull(pairs(u, v), v, heads)))(u, v)

    @jax.jit
    def contracted(u, v):
        p = pairs(u, v)
        return pull(pairs(u), u, heads[:3]), curvature(p, heads), mixed_curvature(p)

    for n in range(4):
        first, (pure, mixed) = slope(u[n], v), second(u[n], v)
        own, curved, between = contracted(u[n], v)
        for ours, theirs in (
            (batched[0][n], value(u[n], v)),
            (batched[1][n], np.einsum("ijd,j->id", first, heads)),
            (own, np.einsum("ijd,j->id", slope(u[n], u[n]), heads[:3])),
            (curved, np.einsum("ijde,j->ide", pure, heads)),
            (between, mixed),
        ):
            np.testing.assert_allclose(ours, theirs, atol=1e-13, rtol=0)
        for i in range(3):
            for j in range(5):
                pair = [batched[0][n, i, j], *(np.asarray(x)[i, j] for x in (first, pure, mixed))]
                assert max(_errors(u[n, i], v[j], pair)) < 1e-13, (n, i, j)


def test_the_overlap_of_a_family_with_itself_knows_its_diagonal_is_parallel():
    u = np.random.default_rng(6).normal(size=(6, 4))
    u[3], u[5] = -u[0], u[1] * 3
    itself, other = pairs(jnp.asarray(u)), pairs(jnp.asarray(u), jnp.asarray(u))
    assert np.all(np.diagonal(itself.sine) == 0)
    assert np.all(np.diagonal(itself.supplement) == np.pi)
    np.testing.assert_allclose(itself.sine, other.sine, atol=1e-15)
    np.testing.assert_allclose(itself.supplement, other.supplement, atol=1e-14)


def test_rows_that_cannot_be_squared_in_floating_point_still_have_overlaps():
    u, v = np.array([[3e-200, 4e-200]]), np.array([[4e200, 3e200]])
    ours = (value(u, v), slope(u, v))
    scales = (25.0, 5e200)
    exact_u, exact_v = digits.exact(u[0]), digits.exact(v[0])
    theirs = (digits.overlap(exact_u, exact_v), digits.gradient(exact_u, exact_v))
    for x, y, scale in zip(ours, theirs, scales, strict=True):
        assert digits.distance(np.asarray(x), y) < 1e-14 * scale
