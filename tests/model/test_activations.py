"""Activations: what they are called, what they refuse, how far a series got."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from shallows.landscape import SquaredLoss
from shallows.model import (
    Analytic,
    Erf,
    Gaussian,
    Network,
    PiecewiseLinear,
    Polynomial,
    Rotational,
    Sine,
    StudentT,
    absolute,
    leaky,
    orthonormal,
    relu,
)
from shallows.model.named import activation


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("relu", relu),
        ("abs", absolute),
        ("leaky:0.1", leaky(0.1)),
        ("erf", Erf()),
        ("erf:0.25", Erf(0.25)),
        ("sin", Sine()),
        ("cos:2", Sine.cosine(2)),
        ("poly:0,0,1", Polynomial([0, 0, 1])),
    ],
)
def test_names_and_activations_are_inverse(text, made):
    assert activation(text) == made
    assert made.name == text


def test_hermite_polynomials_are_orthonormal_at_length_one():
    polynomials = [Polynomial.hermite([0] * n + [1]) for n in range(1, 7)]
    u, v = jnp.asarray([[1.0, 0.0]]), jnp.asarray([[0.6, 0.8]])
    for n, s in enumerate(polynomials, 1):
        assert float(s.gram(u, v)[0, 0]) == pytest.approx(0.6**n, abs=1e-14)


@pytest.mark.parametrize(
    ("text", "parity"),
    [("relu", 0), ("abs", 1), ("erf", -1), ("cos", 1), ("sin", -1), ("poly:0,1,0,2", -1)],
)
def test_parities_are_those_of_the_function(text, parity):
    s, t = activation(text), jnp.linspace(0.1, 3, 7)
    assert s.parity == parity
    np.testing.assert_allclose(s(-t), parity * s(t) if parity else jnp.zeros(7), atol=1e-15)


@pytest.mark.parametrize("name", zoo.activations())
def test_slopes_and_bends_are_derivatives(name):
    s, t = zoo.activations()[name], jnp.asarray([-1.7, -0.4, 0.3, 2.1])
    np.testing.assert_allclose(s.slope(t), jax.vmap(jax.grad(s))(t), atol=1e-14)
    np.testing.assert_allclose(s.bend(t), jax.vmap(jax.grad(jax.grad(s)))(t), atol=1e-13)


@pytest.mark.slow
def test_a_series_says_how_far_it_got():
    with pytest.raises(ValueError, match=r"does not reach the tolerance 1e-11 .* the error is"):
        Analytic(jnp.abs, "kinked")
    loose = Analytic(jnp.tanh, "tanh", tolerance=1e-4)
    tight = Analytic(jnp.tanh, "tanh", tolerance=1e-9)
    assert loose.terms < tight.terms
    u = jnp.asarray([[0.9, 0.3]])
    exact = float(tight.gram(u, u)[0, 0])
    assert 0 < abs(float(loose.gram(u, u)[0, 0]) - exact) < 1e-4 * exact
    assert tight.error(0.5) < tight.error(1.5) < tight.error(5.0)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PiecewiseLinear(0, 0), "two slopes 0"),
        (lambda: PiecewiseLinear(math.inf), "`negative` must be a finite number, but is inf"),
        (lambda: Erf(math.nan), "`scale` must be a finite number"),
        (lambda: Polynomial([1.0]), "a degree from 1 to 20, but the coefficients [1.0] do not"),
        (lambda: Polynomial(["x"]), "`coefficients` must be an array of real numbers"),
        (lambda: activation("swish"), "There is no activation 'swish'. The known ones"),
        (lambda: activation("leaky"), "There is no activation 'leaky'"),
        (lambda: activation("leaky:1,2"), "has too many numbers"),
        (lambda: activation("poly:a"), "There is no activation 'poly:a'"),
    ],
)
def test_wrong_activations_are_refused(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_what_does_not_fit_an_activation_is_refused():
    with pytest.raises(ValueError, match="closed forms for homogeneous activations"):
        SquaredLoss(orthonormal(3, activation=Erf()), Rotational(3))
    with pytest.raises(ValueError, match="StudentT law has closed forms for homogeneous"):
        SquaredLoss(orthonormal(3, activation=Erf()), StudentT(3, degrees=5))
    loss = SquaredLoss(orthonormal(3, activation=absolute), Gaussian(3))
    with pytest.raises(ValueError, match="The student's activation is relu, the teacher's abs"):
        loss(Network(np.eye(3)))
    with pytest.raises(ValueError, match="homogeneous activations only, and erf is not"):
        Network(np.eye(3), activation=Erf()).rescale(2.0)


def test_a_network_is_the_sum_of_its_neurons():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(7, 3)))
    for s in zoo.activations().values():
        f = Network(zoo.student().inner, zoo.student().outer, activation=s)
        neurons = np.asarray(s(x @ f.inner.T))
        np.testing.assert_allclose(f(x), neurons @ np.asarray(f.outer), atol=1e-13)
