"""Gaussian laws with a mean, biases as weights of a constant input, and noisy signs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from shallows.landscape import SquaredLoss
from shallows.model import (
    Erf,
    Gaussian,
    Mixture,
    Network,
    Rotational,
    Sample,
    ShiftedGaussian,
    absolute,
    biased,
    gram,
    noisy_signs,
    orthonormal,
    relu,
    with_constant,
)
from shallows.solve import GradientFlow, trajectory

DRAWS = 200_000
SHIFTED = ShiftedGaussian([0.3, -0.5, 1.0], zoo.SLANTED)


def test_draws_have_the_mean_and_covariance_that_were_given():
    x = np.asarray(SHIFTED.draw(jax.random.key(3), DRAWS))
    error = x.std(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(x.mean(axis=0) - [0.3, -0.5, 1.0]) < 5 * error)
    products = x[:, :, None] * x[:, None]
    error = products.std(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(products.mean(axis=0) - SHIFTED.moment()) < 5 * error)


@pytest.mark.slow
def test_the_energy_of_biased_networks_is_the_mean_over_draws():
    rng = np.random.default_rng(5)
    f, g = (
        Network(rng.normal(size=(n, 3)), rng.normal(size=n), rng.normal(size=n)) for n in (3, 2)
    )
    law = Gaussian(covariance=zoo.SLANTED)
    loss = SquaredLoss(g.with_constant(), with_constant(law))
    x = law.draw(jax.random.key(4), DRAWS)
    values = np.asarray((f(x) - g(x)) ** 2 / 2)
    error = values.std() / np.sqrt(DRAWS)
    assert abs(values.mean() - float(loss(f.with_constant()))) < 5 * error


def test_without_biases_overlaps_are_those_of_a_centred_gaussian():
    w = zoo.student().inner
    u = jnp.concatenate([w, 2 * w[:1], -w, jnp.zeros((1, 3))])
    rows = jnp.concatenate([u, jnp.zeros((len(u), 1))], axis=1)
    size = np.linalg.norm(u, axis=1)
    error = np.abs(jax.jit(lambda: biased.gram(rows, rows) - gram(u, u))())
    assert np.all(error <= 1e-15 * size[:, None] * size)


def test_a_network_with_a_constant_input_is_the_network_with_biases():
    f = Network(np.eye(2), [1.0, -2.0], [0.5, -0.25])
    there = f.with_constant()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(7, 2)))
    np.testing.assert_array_equal(there(jnp.c_[x, jnp.ones(7)]), f(x))
    back = there.without_constant()
    assert back.bias is not None
    assert f.bias is not None
    np.testing.assert_array_equal(back.bias, f.bias)
    np.testing.assert_array_equal(back.inner, f.inner)
    np.testing.assert_array_equal(orthonormal(2).with_constant().inner, np.eye(2, 3))


def test_the_constant_is_appended_to_data_and_to_the_parts_of_a_mixture():
    x = np.random.default_rng(1).normal(size=(5, 2))
    data = with_constant(Sample(x, np.arange(1.0, 6.0), block=2))
    assert isinstance(data, Sample)
    assert data.size == 5
    expected = np.einsum("n,ni,nj->ij", np.arange(1, 6) / 15, *[np.c_[x, np.ones(5)]] * 2)
    np.testing.assert_allclose(data.moment(), expected, rtol=1e-14)
    mixed = with_constant(Mixture([Gaussian(2), ShiftedGaussian([1.0, 2.0])], [3.0, 1.0]))
    assert isinstance(mixed, Mixture)
    np.testing.assert_allclose(mixed.moment()[:, 2], [0.25, 0.5, 1.0], rtol=1e-15)
    np.testing.assert_allclose(mixed.weights, [0.75, 0.25])


@pytest.mark.slow
@pytest.mark.parametrize("activation", [relu, absolute], ids=lambda a: a.name)
def test_noisy_signs_are_independent_with_variance_one(activation):
    law = noisy_signs(3, 0.4)
    np.testing.assert_allclose(law.moment(), np.eye(3), atol=1e-15)
    x = np.asarray(law.draw(jax.random.key(8), DRAWS))
    u = zoo.student().inner
    active = np.asarray(activation(x @ u.T))
    products = active[:, :, None] * active[:, None]
    error = products.std(axis=0) / np.sqrt(DRAWS)
    assert np.all(np.abs(products.mean(axis=0) - law.gram(u, u, activation)) < 5 * error)
    # One input: E σ(u x)² = u²/2 for the ReLU, whatever the symmetric law is.
    one = noisy_signs(1, 0.4).gram(jnp.asarray([[2.0]]), jnp.asarray([[2.0]]))
    assert float(one[0, 0]) == pytest.approx(2.0, rel=1e-15)


@pytest.mark.slow
def test_noisy_signs_without_signs_are_gaussian():
    u = zoo.student().inner
    np.testing.assert_allclose(noisy_signs(3, 1.0).gram(u, u), gram(u, u), atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "before", "after"),
    [(10, 0.0187021945856, 0.0174765836995), (20, 0.011275582, 0.0107965913)],
)
def test_type_two_persists_with_biases_at_a_smaller_loss(k, before, after):
    # Field (2609.30661), abstract: families extend to biased nets, the loss strictly decreases.
    from shallows.atlas.families import member

    diagonal, off, column, row, corner = (float(x) for x in member("II", k).weights)
    w = np.full((k, k), off)
    np.fill_diagonal(w, diagonal)
    w[:-1, -1], w[-1, :-1], w[-1, -1] = column, row, corner
    loss = SquaredLoss(orthonormal(k).with_constant(), with_constant(Gaussian(k)))
    start = Network(w).with_constant()
    assert float(loss(start)) == pytest.approx(before, rel=1e-7)
    end = trajectory(loss, start, GradientFlow())
    assert end.outcome[0].name == "settled"
    assert end.loss[0] == pytest.approx(after, rel=1e-8)
    assert np.linalg.eigvalsh(loss.hessian(end.student))[0] > 0.03
    bias = np.asarray(end.student.inner[:, -1])
    np.testing.assert_allclose(bias[:-1], bias[0], rtol=1e-9)
    assert bias[0] > 0 > bias[-1]


ERRORS = {
    "matrix mean": (
        lambda: ShiftedGaussian(np.eye(2)),
        "`mean` must be a vector with a number for each input, but has shape (2, 2). Use e.g. "
        "`data.mean(axis=0)`.",
    ),
    "long mean": (
        lambda: ShiftedGaussian([1.0, 2.0, 3.0], np.eye(2)),
        "`mean` has 3 entries, but `covariance` has 2 rows. Give both one for each input.",
    ),
    "point": (
        lambda: ShiftedGaussian([1.0], np.zeros((1, 1))),
        "`covariance` must not be zero: then x is a point. Use `Sample(mean[None])`.",
    ),
    "smooth": (
        lambda: SHIFTED.check(Erf()),
        "Under a Gaussian with a mean, and for neurons with biases, there are closed forms for "
        "piecewise linear activations, such as relu, and erf is none. Use a `Sample` of draws.",
    ),
    "sphere": (
        lambda: with_constant(Rotational(3)),
        "Under a Rotational law neurons with biases have no closed form. Use a Gaussian, a mixture "
        "of Gaussians, or a `Sample` of draws.",
    ),
    "biases twice": (
        lambda: Network(np.eye(2), None, [1.0, 1.0]).without_constant(),
        "The last column of `inner` becomes the biases, but there are biases already. Use it on "
        "what `with_constant` returned, or on a student trained from it.",
    ),
    "noise": (
        lambda: noisy_signs(2, 0.0),
        "`noise` must lie above 0 and be at most 1, the standard deviation of an input, but is 0. "
        "Use e.g. 0.5; for signs without noise there is `Sample`.",
    ),
    "many signs": (
        lambda: noisy_signs(20, 0.5),
        "Noisy signs of 20 inputs are a mixture of 2^20 Gaussians. Use at most 10 inputs, or a "
        "`Sample` of draws.",
    ),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_an_error_names_the_fact_the_offender_and_the_remedy(name):
    wrong, text = ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        wrong()


def test_third_derivatives_are_refused():
    u = jnp.asarray([[1.0, 0.5]])
    with pytest.raises(TypeError, match="may be differentiated once"):
        jax.hessian(lambda x: biased.gram(x, u)[0, 0])(u)
