"""Networks of several layers, and data sets closed under relabelling."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import Erf, Network, Sample
from shallows.model.deep import Deep, closed_sample, iterated
from shallows.model.named import activation


def _layers(seed, *sizes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(m, n)) for n, m in itertools.pairwise(sizes)]


def test_a_deep_network_composes_its_layers():
    w, v = _layers(0, 3, 4, 2)
    f = Deep([w, v], [2.0, -1.0], activation("tanh"))
    x = np.random.default_rng(1).normal(size=(5, 3))
    expected = np.tanh(np.tanh(x @ w.T) @ v.T) @ [2.0, -1.0]
    np.testing.assert_allclose(f(jnp.asarray(x)), expected, atol=1e-14)
    assert (f.depth, f.inputs, f.widths) == (2, 3, (4, 2))


def test_with_one_layer_it_is_a_network():
    (w,) = _layers(2, 3, 4)
    heads = np.random.default_rng(3).normal(size=(4, 2))
    x = jnp.asarray(np.random.default_rng(4).normal(size=(5, 3)))
    np.testing.assert_allclose(Deep([w], heads)(x), Network(w, heads)(x), atol=1e-14)


def test_relabelling_hidden_units_changes_no_output_and_inputs_permute_arguments():
    f = Deep(_layers(5, 3, 4, 4), np.arange(1.0, 5.0), Erf())
    x = np.random.default_rng(6).normal(size=(6, 3))
    hidden = f.relabel([None, [2, 0, 3, 1], [1, 0, 3, 2]])
    np.testing.assert_allclose(hidden(jnp.asarray(x)), f(jnp.asarray(x)), atol=1e-14)
    order = [2, 0, 1]
    moved = f.relabel([order, None, None])
    np.testing.assert_allclose(moved(jnp.asarray(x[:, order])), f(jnp.asarray(x)), atol=1e-14)


def test_the_aligned_target_is_fixed_by_what_moves_all_layers_alike_and_no_more():
    target = iterated(3, 2)
    for order in itertools.permutations(range(3)):
        moved = target.relabel([order, order, order])
        assert all(np.array_equal(a, b) for a, b in zip(moved.layers, target.layers, strict=True))
    other = target.relabel([[1, 0, 2], None, None])
    assert not np.array_equal(other.layers[0], target.layers[0])


def test_a_closed_sample_is_the_same_set_after_relabelling_inputs():
    base, weights = np.random.default_rng(7).normal(size=(4, 3)), [1.0, 2.0, 3.0, 4.0]
    law = closed_sample(base, weights)
    assert isinstance(law, Sample)
    assert law.size == 24

    def rows(points):
        whole = np.column_stack([points, np.asarray(law.mass).ravel()])
        return sorted(map(tuple, whole))

    points = np.asarray(law.points).reshape(-1, 3)
    assert rows(points[:, [1, 2, 0]]) == rows(points)
    assert rows(points[:, [1, 0, 2]]) == rows(points)
    # One point in six is the base set.
    assert {tuple(row) for row in base} <= set(map(tuple, points))


def test_what_is_no_deep_network_is_refused():
    with pytest.raises(ValueError, match=r"needs a hidden layer, but there is none. Pass"):
        Deep([])
    with pytest.raises(ValueError, match=r"`layers\[1\]` has 3 columns, but the layer before has"):
        Deep([np.eye(4), np.eye(3)])
    with pytest.raises(ValueError, match=r"`layers\[0\]` must be a matrix .* has shape \(2,\)"):
        Deep([np.ones(2)])
    with pytest.raises(ValueError, match="needs a permutation for the inputs and for each of the"):
        iterated(3, 2).relabel([None])
    with pytest.raises(ValueError, match=r"`units\[1\]` must be a permutation of 0 … 2"):
        iterated(3, 2).relabel([None, [0, 0, 1], None])
    with pytest.raises(ValueError, match=r"has 3 inputs, but the points have shape \(2, 2\)"):
        iterated(3, 2)(jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=r"are 2 · 12! points, more than 2_000_000. Use fewer"):
        closed_sample(np.ones((2, 12)))
