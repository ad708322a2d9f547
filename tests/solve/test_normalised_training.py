"""Training beside convex programs: costs are theirs, and optima bound them."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from shallows.landscape.convex import (
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Squared,
    sampled_patterns,
)
from shallows.landscape.convex.losses import AbstractLoss
from shallows.solve.convex import InteriorPoint
from shallows.solve.normalised_training import (
    NormalisedWeights,
    alignment,
    normalised_starts,
    normalised_training,
)

X = np.array([[-1.0, 0.3], [0.2, 0.9], [0.7, -0.4], [-0.1, -1.2], [1.3, 0.5]])
Y = np.array([1.0, -0.5, 0.3, 0.8, -1.0])


def _unit(t):
    """A neuron that is constant, such as one that is nowhere active, is 0."""
    centred = t - t.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    return centred / np.where(length > 0, length, 1.0)


def _one_step(usual):
    program = NormalisedAfter(X, Y, 0.3, bias=True, usual=usual)
    starts = normalised_starts(program, 3, 2, scale=0.8, seed=3)
    return starts, normalised_training(program, starts, optax.sgd(1e-3), steps=1)


@pytest.fixture(scope="module")
def step():
    """Compiled once for all fast tests."""
    return _one_step(True)


def test_a_step_of_descent_is_that_of_finite_differences_of_the_cost(step):
    _check_step(*step)


@pytest.mark.slow
def test_so_it_is_where_neurons_are_normalised_to_length_one():
    _check_step(*_one_step(False))


def _check_step(starts, runs):
    program, eta, n = runs.program, 1e-3, len(Y)
    usual = program.factor != 1
    if usual:
        assert program.factor == pytest.approx(n**-0.5)
    rows = np.column_stack([X, np.ones(n)])

    def cost(w, g, a, v):
        # The definition: with standard deviations in the usual convention, else with lengths.
        neurons = _unit(np.maximum(rows @ w.T, 0)) * (np.sqrt(n) if usual else 1.0)
        f = (g * neurons + a * (1.0 if usual else n**-0.5)) @ v
        return np.sum((f - Y) ** 2) / 2 + 0.15 * (g @ g + a @ a + v @ v)

    for b in range(2):
        parts = [np.asarray(p[b]) for p in (starts.inner, starts.scale, starts.shift, starts.outer)]
        assert runs.costs[0, b] == pytest.approx(cost(*parts), rel=1e-12)
        assert runs.costs[0, b] == pytest.approx(program.cost(runs.network(0, b)), rel=1e-12)
        after = [
            np.asarray(p[1, b])
            for p in (
                runs.weights.inner,
                runs.weights.scale,
                runs.weights.shift,
                runs.weights.outer,
            )
        ]
        for i, part in enumerate(parts):
            slope = np.zeros_like(part)
            for j in np.ndindex(part.shape):
                ends = []
                for h in (1e-6, -1e-6):
                    moved = [p.copy() for p in parts]
                    moved[i][j] += h
                    ends.append(cost(*moved))
                slope[j] = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(after[i], part - eta * slope, atol=1e-10)


def test_alignment_is_that_of_singular_vectors(step):
    runs = step[1]
    found = alignment(runs)
    rows = np.column_stack([X, np.ones(len(Y))])
    u, s, vt = np.linalg.svd(rows - rows.mean(axis=0))
    np.testing.assert_allclose(found.values, s[:2])
    f = runs.predictions[1, 0]
    ratio = (u[:, 0] @ (f - Y)) ** 2 / (u[:, 0] @ Y) ** 2
    assert found.unlearnt[1, 0, 0] == pytest.approx(ratio)
    assert found.fit[1, 0, 1] == pytest.approx((u[:, 1] @ f) ** 2 / np.sum((f - f.mean()) ** 2))
    w = np.asarray(runs.weights.inner[:, 0])
    w = w / np.linalg.norm(w, axis=2, keepdims=True)
    moved = [np.sum(((w[1] - w[0]) @ vt[i]) ** 2) for i in range(2)]
    np.testing.assert_allclose(found.movement[1, 0], np.array(moved) / sum(moved))
    assert runs.held_out(X, Y)[1, 0] == pytest.approx(np.mean((f - Y) ** 2))
    # Of the six neurons one is active at no point.
    assert set(np.unique(runs.constant() * 3)) <= {0.0, 1.0, 2.0}


@pytest.mark.slow
def test_training_reaches_the_optimum_of_the_program_and_never_passes_it():
    x = np.random.default_rng(0).normal(size=(8, 1))
    program = NormalisedBefore(x, np.sin(2 * x[:, 0]), 0.1)
    found = InteriorPoint()(program)
    method = optax.adam(optax.exponential_decay(3e-2, 6000, 1e-3))
    starts = normalised_starts(program, 40, 4, seed=0)
    runs = normalised_training(program, starts, method, steps=6000, records=10)
    assert np.all(runs.costs >= found.lower_bound)
    assert runs.costs[-1].min() <= found.value * (1 + 1e-6)


@pytest.mark.slow
def test_descent_on_whole_batches_is_descent_and_on_others_has_its_mean():
    program = NormalisedBefore(X, Y, 0.1, patterns=lambda f: sampled_patterns(f, 5))
    starts = normalised_starts(program, 3, 1, seed=0)
    whole = normalised_training(program, starts, optax.sgd(1e-2), steps=4, batch=5)
    plain = normalised_training(program, starts, optax.sgd(1e-2), steps=4)
    np.testing.assert_allclose(whole.costs, plain.costs, rtol=1e-12)
    part = normalised_training(program, starts, optax.sgd(1e-2), steps=4, batch=3)
    assert np.all(np.abs(part.costs[1:] - plain.costs[1:]) > 1e-8)
    assert part.costs[0] == pytest.approx(plain.costs[0])
    fixed = normalised_training(program, starts, optax.sgd(1e-2), steps=4, is_inner_fixed=True)
    assert np.all(np.asarray(fixed.weights.inner[-1]) == np.asarray(starts.inner))
    assert np.all(np.asarray(fixed.weights.scale[-1]) != np.asarray(starts.scale))


@pytest.mark.slow
def test_neurons_that_are_constant_have_no_gradient_and_are_counted():
    program = NormalisedAfter(X, np.sign(Y), 0.1, Logistic(), bias=True)
    inner = jnp.array([[[0.0, 0.0, -1.0], [1.0, 0.5, 0.2]]])
    starts = NormalisedWeights(inner, jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.ones((1, 2)))
    runs = normalised_training(program, starts, optax.sgd(1e-2), steps=2)
    assert np.all(np.isfinite(runs.costs))
    np.testing.assert_array_equal(runs.constant(), 0.5)
    assert np.all(np.asarray(runs.weights.inner[-1, 0, 0]) == np.asarray(inner[0, 0]))
    assert runs.costs[-1, 0] == pytest.approx(program.cost(runs.network(-1, 0)), rel=1e-12)


class _Other(Squared):
    pass


def test_misuse_is_refused():
    program = NormalisedBefore(X, Y, 0.1)
    starts = normalised_starts(program, 2, 1)
    sgd = optax.sgd(0.1)
    with pytest.raises(ValueError, match="from 2 to the 5 points there are"):
        normalised_training(program, starts, sgd, steps=1, batch=1)
    wrong = normalised_starts(NormalisedBefore(X[:, :1], Y, 0.1), 2, 1)
    with pytest.raises(ValueError, match=r"\(run, neuron, input\) with 2 inputs, but have shape"):
        normalised_training(program, wrong, sgd, steps=1)
    with pytest.raises(ValueError, match="`width` must be"):
        normalised_starts(program, 0, 1)
    loss: AbstractLoss = _Other()
    with pytest.raises(ValueError, match="The loss _Other has no gradient here"):
        normalised_training(NormalisedBefore(X, Y, 0.1, loss), starts, sgd, steps=1)


@pytest.mark.slow
def test_patches_are_summed():
    program = NormalisedBefore(
        np.stack([X, -(X**2)], axis=1), Y, 0.1, patterns=lambda f: sampled_patterns(f, 5)
    )
    runs = normalised_training(program, normalised_starts(program, 2, 1), optax.sgd(0.1), steps=1)
    assert runs.costs[0, 0] == pytest.approx(program.cost(runs.network(0, 0)))
    with pytest.raises(ValueError, match="points of 2 patches have no direction"):
        alignment(runs)
