"""Steps on values of basis paths, against the closed formula and by their invariance."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from shallows.model import Layers, he_layers
from shallows.model.paths import basis_path_penalty
from shallows.solve import add_basis_path_penalty, gsgd, on_basis_paths

RNG = np.random.default_rng(0)
X, Y = jnp.asarray(RNG.normal(size=(6, 3))), jnp.asarray(RNG.normal(size=(6, 3)))


def _loss(layers):
    return jnp.mean((layers(X) - Y) ** 2)


def _steps(method):
    """Two steps, compiled: values of the function after each, and the weights."""

    @jax.jit
    def run(layers):
        state, seen = method.init(layers), []
        for _ in range(2):
            gradient = jax.grad(_loss)(layers)
            updates, state = method.update(gradient, state, layers)
            layers = optax.apply_updates(layers, updates)
            seen.append(layers(X))
        return seen, layers

    return run


def _gauged(seed):
    """Three inputs, units and outputs a layer, with 1 on the diagonal of all but the first."""
    rng = np.random.default_rng(seed)
    w1, w2, a = (rng.normal(size=(3, 3)) for _ in range(3))
    for w in (w2, a):
        np.fill_diagonal(w, 1.0)
    np.fill_diagonal(w1, [1.5, -0.8, 1.1])
    return w1, w2, a


@jax.jit
def _step_and_gradient(layers, step):
    method = gsgd(step)
    gradient = jax.grad(_loss)(layers)
    updates, _ = method.update(gradient, method.init(layers), layers)
    moved = optax.apply_updates(layers, updates)
    return moved, gradient, _loss(layers) - _loss(moved)


def test_one_step_is_the_closed_formula():
    w1, w2, a = _gauged(0)
    step = 0.05
    moved, gradient, _ = _step_and_gradient(Layers([w1, w2, a]), step)
    new = [np.asarray(w) for w in moved.weights]
    d1, d2, d3 = (np.asarray(g) for g in gradient.weights)
    # facts: R = 1 − η (δ_v v − Σ w δ_w)/v², v ← R v, w ← (w − η δ_w/v²)/R; the sum is over
    # weights off the skeleton that leave the chain of v, in both later layers.
    v, off = np.diag(w1), ~np.eye(3, dtype=bool)
    along = np.sum(np.where(off, w2 * d2 + a * d3, 0), axis=0)
    ratio = 1 - step * (np.diag(d1) * v - along) / v**2
    one = np.where(off, w1 - step * d1, np.diag(ratio * v))
    assert np.allclose(new[0], one, rtol=1e-13, atol=1e-14)
    for w, d, after in ((w2, d2, new[1]), (a, d3, new[2])):
        later = np.where(off, (w - step * d / v**2) / ratio, w)
        assert np.allclose(after, later, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "sizes", [(3, 2, 4, 3), pytest.param((3, 4, 2, 3), marks=pytest.mark.slow)], ids=str
)
def test_steps_do_not_depend_on_the_scaling_of_units(sizes):
    rng = np.random.default_rng(1)
    plain = he_layers(sizes, rng, has_biases=True)
    layers = Layers(plain.weights, [rng.normal(size=m) for m in sizes[1:]])
    other = layers.rescale([np.exp(rng.normal(size=m)) for m in sizes[1:-1]])
    run = _steps(on_basis_paths(optax.chain(optax.trace(0.9), optax.scale(-0.001))))
    (ours, _), (theirs, _) = run(layers), run(other)
    assert not np.allclose(ours[0], ours[1], rtol=1e-4)
    assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    if sizes == (3, 4, 2, 3):  # compiled once more: steps on weights do depend on it
        run = _steps(optax.sgd(0.001))
        assert not np.allclose(run(layers)[0][0], run(other)[0][0], rtol=1e-4)


def test_the_loss_falls_by_the_square_of_the_gradient_in_values_of_paths():
    w1, w2, a = _gauged(2)
    step = 1e-6
    _, gradient, fall = _step_and_gradient(Layers([w1, w2, a]), step)
    d1, d2, d3 = (np.asarray(g) for g in gradient.weights)
    v, off = np.diag(w1), ~np.eye(3, dtype=bool)
    # facts: ∂L/∂p_ij = δ/v and ∂L/∂p_j = δ_v − Σ w δ_w / v.
    by_chain = np.diag(d1) - np.sum(np.where(off, w2 * d2 + a * d3, 0), axis=0) / v
    squares = [by_chain**2, d1[off] ** 2, (d2 / v)[off] ** 2, (d3 / v)[off] ** 2]
    slope = sum(float(np.sum(s)) for s in squares)
    assert abs(float(fall) / (step * slope) - 1) < 1e-3


@pytest.mark.slow  # the penalty itself is tested with paths
def test_the_penalty_is_added_to_gradients_and_its_descent_lowers_it():
    @jax.jit
    def everything(layers):
        method = add_basis_path_penalty(0.5)
        ones = jax.tree.map(jnp.ones_like, layers)
        found, _ = method.update(ones, method.init(layers), layers)
        before, slope = jax.value_and_grad(basis_path_penalty)(layers)
        chained = optax.chain(add_basis_path_penalty(1.0), optax.sgd(1e-3))
        zero = jax.tree.map(jnp.zeros_like, layers)
        updates, _ = chained.update(zero, chained.init(layers), layers)
        return found, slope, basis_path_penalty(optax.apply_updates(layers, updates)) - before

    found, slope, change = everything(Layers(_gauged(3)))
    for f, s in zip(jax.tree.leaves(found), jax.tree.leaves(slope), strict=True):
        assert np.allclose(f, 1 + 0.5 * s, rtol=1e-14)
    assert change < 0


def test_what_has_no_paths_is_refused():
    layers = Layers(_gauged(0))
    method = gsgd(0.1)
    with pytest.raises(ValueError, match="but there are none"):
        method.update(layers, optax.EmptyState())
    with pytest.raises(TypeError, match="Paths run through `Layers`, but the weights are a list"):
        method.init([1.0])
    with pytest.raises(ValueError, match="`strength` must not be negative, but is -1"):
        add_basis_path_penalty(-1.0)
