"""Batch normalisation: statistics of the batch, kept for other inputs, and put into weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import NormalisedNetwork, Placement, normalised_on

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 3))
PARTS = (RNG.normal(size=(4, 3)), *RNG.normal(size=(3, 4)))


@pytest.mark.parametrize("placement", Placement)
def test_on_its_batch_it_is_what_libraries_compute(placement):
    network = normalised_on(X, placement, *PARTS)
    inner, _, _, outer = PARTS
    t = X @ inner.T
    t = np.maximum(t, 0) if placement is Placement.after else t
    unit = (t - t.mean(axis=0)) / t.std(axis=0)
    neurons = unit * network.usual_scale + network.usual_shift
    neurons = np.maximum(neurons, 0) if placement is Placement.before else neurons
    assert np.allclose(network(X), neurons @ outer, atol=1e-13)


@pytest.mark.parametrize("placement", Placement)
def test_without_normalisation_it_is_the_same_function_everywhere(placement):
    network = normalised_on(X, placement, *PARTS)
    other = 3 * RNG.normal(size=(20, 3))
    assert np.allclose(network.plain()(jnp.asarray(other)), network(other), atol=1e-12)
    # With a last input that is 1, that becomes a bias.
    ones = np.column_stack([X[:, :2], np.ones(9)])
    constant = normalised_on(ones, placement, *PARTS)
    plain = constant.plain(has_constant=True)
    assert np.allclose(plain(jnp.asarray(X[:, :2])), constant(ones), atol=1e-12)


def test_patches_share_statistics_and_are_summed():
    batch = RNG.normal(size=(5, 2, 3))
    network = normalised_on(batch, Placement.before, *PARTS)
    flat = normalised_on(batch.reshape(10, 3), Placement.before, *PARTS)
    assert network.points == 10
    assert np.allclose(network(batch), flat(batch.reshape(10, 3)).reshape(5, 2).sum(axis=1))


def test_scale_of_inner_weights_does_not_matter_and_constant_neurons_are_zero():
    inner, *rest = PARTS
    for placement in Placement:
        one, other = (normalised_on(X, placement, w, *rest) for w in (inner, 7 * inner))
        assert np.allclose(one(X), other(X), atol=1e-12)
        dead = normalised_on(X, placement, 0 * inner, *rest)
        shift = np.maximum(rest[1], 0) if placement is Placement.before else rest[1]
        assert np.allclose(dead(X), shift @ rest[2] / 3, atol=1e-14)
        assert np.allclose(dead.plain()(jnp.asarray(X)), dead(X), atol=1e-14)


def test_misuse_says_what_is_wrong():
    network = normalised_on(X, Placement.before, *PARTS)
    with pytest.raises(ValueError, match=r"has 3 inputs, but the points have shape \(2, 5\)"):
        network(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="each of the 3 inputs of the batch"):
        normalised_on(X, Placement.after, np.eye(2), *PARTS[1:])
    with pytest.raises(ValueError, match=r"`scale` needs a number for each of the 4 neurons"):
        normalised_on(X, Placement.after, PARTS[0], np.ones(2), *PARTS[2:])
    assert isinstance(network, NormalisedNetwork)
