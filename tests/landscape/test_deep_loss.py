"""The squared loss of several layers: values, derivatives by differences, symmetry, errors."""

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.landscape import SquaredLoss
from shallows.landscape.deep import DeepLoss
from shallows.model import Network, Sample
from shallows.model.deep import Deep, closed_sample, iterated
from shallows.model.named import activation

TANH = activation("tanh")


def _problem():
    base = np.random.default_rng(0).normal(size=(3, 3))
    loss = DeepLoss(iterated(3, 2, TANH), closed_sample(base))
    rng = np.random.default_rng(1)
    return loss, Deep([rng.normal(size=(3, 3)) for _ in range(2)], activation=TANH)


def test_value_and_derivatives_at_a_student():
    loss, f = _problem()
    x = np.asarray(loss.law.points).reshape(-1, 3)

    def value(theta):
        w, v = theta.reshape(2, 3, 3)
        ours = np.tanh(np.tanh(x @ w.T) @ v.T).sum(axis=1)
        return np.mean((ours - np.tanh(np.tanh(x)).sum(axis=1)) ** 2) / 2

    theta = np.concatenate([np.ravel(w) for w in f.layers])
    assert float(loss(f)) == pytest.approx(value(theta), rel=1e-13)
    gradient = np.concatenate([np.ravel(g) for g in loss.gradient(f)])
    moves = 1e-5 * np.eye(18)
    slopes = [(value(theta + h) - value(theta - h)) / 2e-5 for h in moves]
    np.testing.assert_allclose(gradient, slopes, atol=1e-9)

    # Relabellings of inputs and of both layers change nothing, and the target has loss zero.
    moved = f.relabel([[1, 2, 0], [2, 1, 0], [0, 2, 1]])
    assert float(loss(moved)) == pytest.approx(float(loss(f)), rel=1e-13)
    assert float(loss(loss.teacher)) == 0.0


@pytest.mark.slow
def test_the_hessian_its_products_and_batches():
    loss, f = _problem()
    theta = np.concatenate([np.ravel(w) for w in f.layers])
    moves = 1e-5 * np.eye(18)
    hessian = np.asarray(loss.hessian(f))

    def rise(t):
        return np.asarray(loss.gradient_at(jnp.asarray(t[None]), jnp.zeros(1)))[0]

    rows = np.array([(rise(theta + h) - rise(theta - h)) / 2e-5 for h in moves])
    np.testing.assert_allclose(hessian, rows, atol=1e-9)
    v = np.random.default_rng(2).normal(size=18)
    np.testing.assert_allclose(loss.hvp(f, v), hessian @ v, atol=1e-12)

    # A batch, as methods move it.
    batch = jnp.asarray(np.stack([theta, 2 * theta])[:, None])
    values = loss.value_at(batch, jnp.zeros((2, 1)))
    ones = [f, Deep([2 * w for w in f.layers], activation=TANH)]
    np.testing.assert_allclose(values, [loss(g) for g in ones], rtol=1e-13)
    back = loss.trained.join(loss.trained.layers(batch))
    np.testing.assert_array_equal(back, batch)


@pytest.mark.slow
def test_with_one_layer_it_is_the_loss_of_a_network_on_a_sample():
    rng = np.random.default_rng(3)
    points, w = rng.normal(size=(20, 3)), rng.normal(size=(4, 3))
    law = Sample(points)
    heads = rng.normal(size=(3, 2))
    shallow = SquaredLoss(Network(np.eye(3), heads, activation=TANH), law)
    deep = DeepLoss(Deep([np.eye(3)], heads, TANH), law)
    f = Network(w[:3], heads, activation=TANH)
    g = Deep([w[:3]], heads, TANH)
    assert float(deep(g)) == pytest.approx(float(shallow(f)), rel=1e-13)
    np.testing.assert_allclose(deep.gradient(g)[0], shallow.gradient(f), atol=1e-14)
    np.testing.assert_allclose(deep.hessian(g), shallow.cell_hessian(f), atol=1e-13)


def test_what_does_not_fit_is_refused():
    loss, _ = _problem()
    with pytest.raises(ValueError, match="the teacher has 2 inputs, the points 3"):
        DeepLoss(iterated(2, 2), loss.law)
    with pytest.raises(ValueError, match=r"`widths` is empty. Use \(4,\)."):
        DeepLoss(loss.teacher, loss.law, ())
    with pytest.raises(ValueError, match=r"but its last layer has 4. Use as many"):
        DeepLoss(Deep([np.eye(3)], np.eye(3), TANH), loss.law, (4,))
    with pytest.raises(
        ValueError, match=r"layers of sizes \(3, 3\) and heads of shape \(3,\), but"
    ):
        loss(Deep([np.eye(3)], activation=TANH))
    with pytest.raises(ValueError, match="activation is relu, the teacher's tanh"):
        loss(iterated(3, 2))
    with pytest.raises(ValueError, match="heads are not those that the loss keeps fixed"):
        loss(Deep([np.eye(3)] * 2, [1.0, 2.0, 3.0], TANH))
    with pytest.raises(ValueError, match=r"has shape \(3,\). Flatten it"):
        loss.hvp(loss.teacher, np.ones(3))
    with pytest.raises(ValueError, match="loss of a relu network on data has kinks and no Hessian"):
        DeepLoss(iterated(3, 2), loss.law).hessian(iterated(3, 2))
