"""Laws of inputs: overlaps against draws and exact sums, and what their errors say."""

import re

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import zoo
from shallows.model import Gaussian, Rotational, Sample
from shallows.model.laws import AbstractEllipsoidal

ELLIPSOIDAL = ["gaussian", "slanted gaussian", "flat gaussian", "sphere", "ball"]
DRAWS = 200_000


def _drawn(law):
    return np.asarray(law.draw(jax.random.key(12), DRAWS))


@pytest.mark.parametrize("name", zoo.patient(zoo.laws()))
def test_overlaps_are_the_means_of_products_over_draws(name):
    law = zoo.laws()[name]
    u, v = zoo.student().inner, zoo.teacher().inner
    x = _drawn(law)
    active = np.maximum(x @ u.T, 0)[:, :, None] * np.maximum(x @ v.T, 0)[:, None]
    error = active.std(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(active.mean(axis=0) - law.gram(u, v)) < 5 * error)


@pytest.mark.parametrize("name", ELLIPSOIDAL)
def test_draws_have_the_second_moments_that_overlaps_are_made_of(name):
    law = zoo.laws()[name]
    assert isinstance(law, AbstractEllipsoidal)
    x = _drawn(law)
    products = x[:, :, None] * x[:, None]
    identity = law.whiten(jnp.eye(3))
    expected = law.constant * identity @ identity.T
    error = products.std(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(products.mean(axis=0) - expected) <= 5 * error + 1e-12)


def test_the_covariance_is_the_one_that_was_given():
    for matrix in (zoo.SLANTED, zoo.FLAT):
        root = Gaussian(covariance=matrix).root
        assert root is not None
        np.testing.assert_allclose(root @ root.T, matrix, atol=2e-15)


def test_rotational_laws_live_where_they_say():
    sphere, ball = Rotational(4, 2.0), Rotational(4, 2.0, filled=True)
    on, inside = (
        np.linalg.norm(law.draw(jax.random.key(3), 20_000), axis=1) for law in (sphere, ball)
    )
    np.testing.assert_allclose(on, 2.0, rtol=1e-14)
    assert inside.max() <= 2.0
    # P(|x| ≤ r) = (r/ρ)^d in the ball.
    for r in (0.5, 1.0, 1.5, 1.9):
        share = (r / 2) ** 4
        error = np.sqrt(share * (1 - share) / 20_000)
        assert abs(np.mean(inside <= r) - share) < 5 * error
    assert Rotational(9).radius == 3.0


def test_the_sphere_of_radius_root_d_has_the_gaussian_overlaps():
    u = zoo.student().inner
    np.testing.assert_allclose(Rotational(3).gram(u, u), Gaussian(3).gram(u, u), rtol=1e-15)


def _data():
    rng = np.random.default_rng(21)
    return rng.normal(size=(50, 3)), rng.uniform(size=50)


def _arguments():
    f, g = zoo.student(), zoo.teacher()
    return f.inner, f.outer, g.inner, g.outer


@jax.jit
def _everything(law):
    w, a, v, b = _arguments()
    return [
        law.gram(w, v),
        law.energy(w, a, v, b),
        law.slope(w, a, v, b),
        law.head_slope(w, a, v, b),
        law.curvature(w, a, v, b),
        law.head_curvature(w, a, v, b),
        law.whiten(w),
    ]


def test_a_sample_is_the_sum_over_its_points():
    x, p = _data()
    law = Sample(x, p)
    w, a, v, b = (np.asarray(y) for y in _arguments())
    p = p / p.sum()
    mine, theirs = np.maximum(x @ w.T, 0), np.maximum(x @ v.T, 0)
    active, residual = (x @ w.T > 0).astype(float), mine @ a - theirs @ b
    features = active[:, :, None] * x[:, None]
    gram, energy, slope, head_slope, curvature, mixed, _ = _everything(law)
    np.testing.assert_allclose(gram, np.einsum("n,ni,nj->ij", p, mine, theirs), rtol=1e-13)
    np.testing.assert_allclose(energy, p @ residual**2 / 2, rtol=1e-14)
    expected = np.einsum("i,n,nid->id", a, p * residual, features)
    np.testing.assert_allclose(slope, expected, atol=1e-14)
    np.testing.assert_allclose(head_slope, mine.T @ (p * residual), atol=1e-14)
    expected = np.einsum("i,j,n,nid,nje->idje", a, a, p, features, features)
    np.testing.assert_allclose(curvature, expected, atol=1e-14)
    expected = np.einsum("i,n,nid,nj->idj", a, p, features, mine)
    for i in range(3):
        expected[i, :, i] += np.einsum("n,nd->d", p * residual, features[:, i])
    np.testing.assert_allclose(mixed, expected, atol=1e-14)


def test_the_size_of_blocks_does_not_matter():
    x, p = _data()
    whole = _everything(Sample(x, p))
    for block in (1, 16, 49, 51):
        for ours, theirs in zip(_everything(Sample(x, p, block=block)), whole, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)
    assert Sample(x, p, block=16).size == 50


def test_a_padded_block_weighs_nothing_and_is_never_drawn():
    x, _ = _data()
    law = Sample(x + 5.0, block=48)
    assert float(law.mass.sum()) == pytest.approx(1, abs=1e-15)
    drawn = np.asarray(law.draw(jax.random.key(0), 2000))
    assert np.all(np.any(drawn != 0, axis=1))
    assert {tuple(y) for y in drawn} == {tuple(y) for y in x + 5.0}


def test_weights_count_points():
    x, _ = _data()
    twice = Sample(np.concatenate([x, x[:10]]))
    weighted = Sample(x, np.array([2] * 10 + [1] * 40))
    for ours, theirs in zip(_everything(weighted), _everything(twice), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)
    alone = Sample(x, np.eye(50)[3])
    assert np.all(np.asarray(alone.draw(jax.random.key(1), 50)) == x[3])


def test_a_neuron_at_a_kink_counts_half():
    law = Sample(np.array([[1.0, 0.0]]))
    w, a = jnp.asarray([[0.0, 1.0]]), jnp.asarray([1.0])
    v, b = jnp.asarray([[2.0, 0.0]]), jnp.asarray([1.0])
    np.testing.assert_allclose(law.slope(w, a, v, b), [[-1.0, 0.0]])
    np.testing.assert_allclose(law.slope(jnp.zeros((1, 2)), a, v, b), [[-1.0, 0.0]])


@pytest.mark.parametrize("name", zoo.patient(zoo.laws()))
def test_whitened_rows_have_the_geometry_of_the_law(name):
    law = zoo.laws()[name]
    u, v = zoo.student().inner, zoo.teacher().inner
    # E (u·x)(v·x) = K(u,v) + K(−u,−v) − K(u,−v) − K(−u,v).
    products = law.gram(u, v) + law.gram(-u, -v) - law.gram(u, -v) - law.gram(-u, v)
    mine = law.whiten(u) @ law.whiten(v).T
    ratio = np.asarray(products / mine)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-12)
    if isinstance(law, Sample):
        assert ratio[0, 0] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", zoo.patient(zoo.laws()))
def test_draws_are_repeatable_and_shaped(name):
    law = zoo.laws()[name]
    one, other = (law.draw(jax.random.key(5), 7) for _ in range(2))
    assert one.shape == (7, 3)
    np.testing.assert_array_equal(one, other)
    assert np.any(np.asarray(law.draw(jax.random.key(6), 7)) != one)


EYE = np.eye(2)
ERRORS = {
    "neither": (
        lambda: Gaussian(),
        "A Gaussian needs either a dimension or a covariance, but got inputs=None and no "
        "covariance. Use `Gaussian(10)` or `Gaussian(covariance=matrix)`.",
    ),
    "both": (
        lambda: Gaussian(2, covariance=EYE),
        "A Gaussian needs either a dimension or a covariance, but got inputs=2 and a covariance. "
        "Use `Gaussian(10)` or `Gaussian(covariance=matrix)`.",
    ),
    "no inputs": (
        lambda: Gaussian(0),
        "`inputs` must be a positive integer, but is 0. Use e.g. 10.",
    ),
    "oblong": (
        lambda: Gaussian(covariance=np.ones((2, 3))),
        "`covariance` must be a square matrix, but has shape (2, 3). Use e.g. `np.cov(data.T)`.",
    ),
    "no matrix": (
        lambda: Gaussian(covariance=3.0),
        "`covariance` must be a square matrix, but has shape (). Use e.g. `np.cov(data.T)`.",
    ),
    "empty": (
        lambda: Gaussian(covariance=np.ones((0, 0))),
        "`covariance` must be a square matrix, but has shape (0, 0). Use e.g. `np.cov(data.T)`.",
    ),
    "asymmetric": (
        lambda: Gaussian(covariance=np.array([[1.0, 0.5], [0.0, 1.0]])),
        "`covariance` must be symmetric, but differs from its transpose by 0.5. Pass "
        "(A + A.T) / 2.",
    ),
    "indefinite": (
        lambda: Gaussian(covariance=np.diag([1.0, -0.25])),
        "`covariance` must be positive semidefinite and not zero, but has the eigenvalue -0.25. "
        "Project it on the positive ones.",
    ),
    "zero": (
        lambda: Gaussian(covariance=np.zeros((2, 2))),
        "`covariance` must be positive semidefinite and not zero, but has the eigenvalue 0. "
        "Project it on the positive ones.",
    ),
    "infinite": (
        lambda: Gaussian(covariance=np.array([[np.inf]])),
        "`covariance` must be finite, but has 1 entries that are not; the first is inf at (0, 0). "
        "Remove or repair them.",
    ),
    "radius": (
        lambda: Rotational(4, -1.0),
        "`radius` must be positive and finite, but is -1.0. Leave it out for √d = 2.",
    ),
    "endless": (
        lambda: Rotational(4, np.inf),
        "`radius` must be positive and finite, but is inf. Leave it out for √d = 2.",
    ),
    "undefined": (
        lambda: Rotational(4, np.nan, filled=True),
        "`radius` must be positive and finite, but is nan. Leave it out for √d = 2.",
    ),
    "masked points": (
        lambda: Sample(np.ma.masked_less(EYE, 0.5)),
        "`points` must be known everywhere, but has masked entries, and what is behind a mask is "
        "no number. Remove or repair them, e.g. with `numpy.ma.compress_rows`.",
    ),
    "masked covariance": (
        lambda: Gaussian(covariance=np.ma.masked_less(EYE, 0.5)),
        "`covariance` must be known everywhere, but has masked entries, and what is behind a mask "
        "is no number. Remove or repair them, e.g. with `numpy.ma.compress_rows`.",
    ),
    "flat points": (
        lambda: Sample(np.ones(5)),
        "`points` must be a matrix with a row for each data point, but has shape (5,). Reshape it "
        "to (points, inputs).",
    ),
    "no points": (
        lambda: Sample(np.ones((0, 2))),
        "`points` must be a matrix with a row for each data point, but has shape (0, 2). Reshape "
        "it to (points, inputs).",
    ),
    "nan": (
        lambda: Sample(np.array([[np.nan, 1.0]])),
        "`points` must be finite, but has 1 entries that are not; the first is nan at (0, 0). "
        "Remove or repair them.",
    ),
    "few weights": (
        lambda: Sample(EYE, np.ones(3)),
        "`weights` must be 2 non-negative numbers that are not all zero, but have shape (3,) and "
        "minimum 1. Leave them out for equal weights.",
    ),
    "negative weights": (
        lambda: Sample(EYE, np.array([1.0, -1.0])),
        "`weights` must be 2 non-negative numbers that are not all zero, but have shape (2,) and "
        "minimum -1. Leave them out for equal weights.",
    ),
    "zero weights": (
        lambda: Sample(EYE, np.zeros(2)),
        "`weights` must be 2 non-negative numbers that are not all zero, but have shape (2,) and "
        "minimum 0. Leave them out for equal weights.",
    ),
    "block": (
        lambda: Sample(EYE, block=0),
        "`block` must be a positive integer, but is 0. Use e.g. 10.",
    ),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_an_error_of_a_law_names_the_fact_the_offender_and_the_remedy(name):
    wrong, text = ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        wrong()


@pytest.mark.parametrize("radius", ["abc", [1.0], 1j])
def test_a_radius_that_is_no_number_is_named(radius):
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(ValueError, match="`radius` must be positive and finite, but is ") as it:
            Rotational(4, radius)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert str(it.value).endswith(f"is {radius!r}. Leave it out for √d = 2.")
