"""Networks: what they compute, what leaves it alone, and what their errors say."""

import re
from typing import Any

import hypothesis as hp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import zoo
from shallows.model import Network, orthonormal


def _biased(seed=0):
    rng = np.random.default_rng(seed)
    return Network(rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=4))


def _points(n=20, d=3):
    return jnp.asarray(np.random.default_rng(11).normal(size=(n, d)))


def test_a_network_is_a_weighted_sum_of_relus():
    f, x = _biased(), np.asarray(_points())
    expected = [
        sum(
            a * max(float(np.dot(w, p)) + b, 0.0)
            for w, a, b in zip(f.inner, f.outer, f.bias, strict=True)
        )
        for p in x
    ]
    np.testing.assert_allclose(f(jnp.asarray(x)), expected, atol=1e-14)
    np.testing.assert_allclose(f(jnp.asarray(x.reshape(2, 10, 3))).ravel(), expected, atol=1e-14)
    np.testing.assert_allclose(f(jnp.asarray(x[0])), expected[0], atol=1e-14)


def test_heads_are_one_and_biases_absent_unless_given():
    f = Network(np.eye(2, 3))
    np.testing.assert_array_equal(f.outer, [1.0, 1.0])
    assert f.bias is None
    assert (f.neurons, f.inputs) == (2, 3)
    np.testing.assert_array_equal(Network(np.eye(2), 3.0).outer, [3.0, 3.0])
    np.testing.assert_array_equal(Network(np.eye(2), None, -1).bias, [-1.0, -1.0])


def test_single_precision_is_promoted_and_its_rounding_stays():
    f = Network(np.full((1, 2), 0.1, np.float32), jnp.asarray([0.1], jnp.float32))
    assert f.inner.dtype == f.outer.dtype == jnp.float64
    assert float(f.inner[0, 0]) == float(np.float32(0.1)) != 0.1
    assert float(f.outer[0]) == float(np.float32(0.1))
    assert Network(np.array([[1, 2]]), 1).inner.dtype == jnp.float64
    assert f(jnp.ones((3, 2))).dtype == jnp.float64


@pytest.mark.parametrize("name", ["inner", "outer", "bias"])
def test_masked_weights_are_refused(name):
    """A mask was lost on the way, and what was behind it taken for a weight."""
    weights: dict[str, Any] = {"inner": np.eye(2), "outer": np.ones(2), "bias": np.zeros(2)}
    hidden = np.ma.masked_array(weights[name], weights[name] == weights[name].max())
    for value in (hidden, list(hidden), tuple(hidden)):
        with pytest.raises(ValueError, match=f"`{name}` must be known everywhere, but has masked"):
            Network(**weights | {name: value})
    whole = np.ma.masked_array(np.eye(2))  # nothing is behind this mask
    assert np.array_equal(Network(whole).inner, np.eye(2))


def test_masked_points_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(ValueError, match="`x` must be known everywhere, but has masked"):
            Network(np.eye(2))(np.ma.masked_equal(np.ones(2), 1))  # type: ignore[arg-type]  # that is the test
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def test_a_network_does_not_change_with_the_array_it_was_made_of():
    w = np.eye(2)
    f = Network(w)
    w[0, 0] = 5.0
    np.testing.assert_array_equal(f.inner, np.eye(2))


@hp.given(st.permutations(range(4)), st.permutations(range(3)))
def test_relabelling_neurons_keeps_the_function_and_inputs_permutes_it(neurons, inputs):
    f, x = _biased(), _points()
    np.testing.assert_allclose(f.relabel(neurons)(x), f(x), atol=1e-14)
    renamed = f.relabel(inputs=inputs)
    np.testing.assert_allclose(renamed(x[:, np.array(inputs)]), f(x), atol=1e-14)
    both = f.relabel(neurons, inputs)
    for i, n in enumerate(neurons):
        for j, m in enumerate(inputs):
            assert both.inner[i, j] == f.inner[n, m]
    np.testing.assert_array_equal(both.bias, f.bias[np.array(neurons)])


def test_relabelling_acts_on_each_network_of_a_batch():
    f = Network(np.arange(24.0).reshape(2, 4, 3), np.arange(8.0).reshape(2, 4))
    g = f.relabel([3, 1, 0, 2], [2, 0, 1])
    for i in range(2):
        h = f[i].relabel([3, 1, 0, 2], [2, 0, 1])
        np.testing.assert_array_equal(g[i].inner, h.inner)
        np.testing.assert_array_equal(g[i].outer, h.outer)


@hp.given(st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4))
def test_rescaling_keeps_the_function(factors):
    f, x = _biased(), _points()
    g = f.rescale(np.array(factors))
    np.testing.assert_allclose(g(x), f(x), atol=1e-12)
    np.testing.assert_allclose(g.inner, np.array(factors)[:, None] * f.inner, rtol=1e-15)
    np.testing.assert_allclose(f.rescale(factors[0])(x), f(x), atol=1e-12)


def test_embedding_evaluates_on_the_projection():
    f, x = _biased(), _points(d=5)
    basis = np.random.default_rng(2).normal(size=(5, 3))
    g = f.embed(basis)
    assert (g.neurons, g.inputs) == (4, 5)
    np.testing.assert_allclose(g(x), f(x @ basis), atol=1e-13)


def test_a_batch_is_indexed_by_network():
    inner = np.random.default_rng(3).normal(size=(5, 2, 3))
    f = Network(inner, np.ones((5, 2)), np.zeros(2))
    assert (f.neurons, f.inputs) == (2, 3)
    np.testing.assert_array_equal(f[3].inner, inner[3])
    np.testing.assert_array_equal(f[-1].inner, inner[4])
    np.testing.assert_array_equal(f[1:3].inner, inner[1:3])
    np.testing.assert_array_equal(f[np.array([4, 0])].outer, np.ones((2, 2)))
    bias = f[2].bias
    assert bias is not None
    assert bias.shape == (2,)


def test_a_network_beyond_the_batch_does_not_exist():
    batch = Network(np.ones((2, 2, 2)))
    with pytest.raises(IndexError):
        batch[5]


def test_a_network_is_a_tree_that_jax_can_transform():
    f = zoo.student()
    x = _points()
    slope = jax.grad(lambda net: net(x).sum())(f)
    np.testing.assert_allclose(slope.outer, jax.nn.relu(x @ f.inner.T).sum(axis=0), rtol=1e-13)
    assert slope.bias is None


def test_the_orthonormal_teacher_is_the_standard_basis():
    np.testing.assert_array_equal(orthonormal(3).inner, np.eye(3))
    np.testing.assert_array_equal(orthonormal(2, 4).inner, np.eye(2, 4))
    np.testing.assert_array_equal(orthonormal(2, 4).outer, [1, 1])


BATCH = Network(np.ones((2, 2, 2)))
ERRORS = {
    "vector": (
        lambda: Network(np.ones(3)),
        "`inner` must be a matrix with a row for each neuron and a column for each input, but has "
        "shape (3,). Use e.g. `np.eye(10)`.",
    ),
    "empty": (
        lambda: Network(np.ones((0, 3))),
        "`inner` must be a matrix with a row for each neuron and a column for each input, but has "
        "shape (0, 3). Use e.g. `np.eye(10)`.",
    ),
    "heads": (
        lambda: Network(np.eye(3), np.ones(2)),
        "`outer` needs a number for each of the 3 neurons (rows of `inner`), but has shape (2,).",
    ),
    "biases": (
        lambda: Network(np.eye(3), None, np.ones((1, 1, 3))),
        "`bias` needs a number for each of the 3 neurons (rows of `inner`), but has shape "
        "(1, 1, 3).",
    ),
    "words": (
        lambda: Network(np.array([["a"]])),
        "`inner` must be an array of real numbers, but is array([['a']], dtype='<U1') (<U1 "
        "numbers). Pass a list of lists or a NumPy array.",
    ),
    "truth": (
        lambda: Network(np.eye(2), np.array([True, False])),
        "`outer` must be an array of real numbers, but is array([ True, False]) (bool numbers). "
        "Pass a list of lists or a NumPy array.",
    ),
    "complex": (
        lambda: Network(np.eye(1), None, np.array([1j])),
        "`bias` must be an array of real numbers, but is array([0.+1.j]) (complex128 numbers). "
        "Pass a list of lists or a NumPy array.",
    ),
    "nan": (
        lambda: Network(np.array([[1.0, 2.0], [np.nan, np.inf]])),
        "`inner` must be finite, but has 2 entries that are not; the first is nan at (1, 0). "
        "Remove or repair them.",
    ),
    "points": (
        lambda: Network(np.eye(2))(jnp.ones((5, 3))),
        "The network has 2 inputs, but the points have shape (5, 3). Their last axis must have "
        "length 2.",
    ),
    "batch": (
        lambda: BATCH(jnp.ones((5, 2))),
        "This is a batch of networks, of shape (2,). Take one, e.g. `network[0](x)`.",
    ),
    "permutation": (
        lambda: Network(np.eye(3)).relabel([0, 0, 2]),
        "`neurons` must be a permutation of 0 … 2, but is [0, 0, 2]. Name every index once.",
    ),
    "halves": (
        lambda: Network(np.eye(2)).relabel(inputs=(0, 2)),
        "`inputs` must be a permutation of 0 … 1, but is (0, 2). Name every index once.",
    ),
    "negative factor": (
        lambda: Network(np.eye(2)).rescale(np.array([1.0, -2.0])),
        "relu is homogeneous for positive factors only, but `factor` is [ 1. -2.]. Pass positive "
        "numbers.",
    ),
    "zero factor": (
        lambda: Network(np.eye(2)).rescale(0),
        "relu is homogeneous for positive factors only, but `factor` is 0. Pass positive numbers.",
    ),
    "basis": (
        lambda: Network(np.eye(2)).embed(np.eye(3)),
        "`basis` needs a column for each of the 2 inputs, but has shape (3, 3). Pass e.g. "
        "`np.eye(3)[:, :2]`.",
    ),
    "too many": (
        lambda: orthonormal(3, 2),
        "There are no 3 orthonormal neurons in 2 dimensions. Use at most 2 teacher neurons, or a "
        "teacher of your own: `Network(inner)`.",
    ),
    "no neurons": (
        lambda: orthonormal(0),
        "`neurons` must be a positive integer, but is 0. Use e.g. 10.",
    ),
    "a true number of neurons": (
        lambda: orthonormal(True),
        "`neurons` must be a positive integer, but is True. Use e.g. 10.",
    ),
    "no inputs": (
        lambda: orthonormal(2, -1),
        "`inputs` must be a positive integer, but is -1. Use e.g. 10.",
    ),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_an_error_names_the_fact_the_offender_and_the_remedy(name):
    wrong, text = ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        wrong()


def test_one_network_cannot_be_indexed():
    text = "This is one network, not a batch of them; there is nothing to index."
    with pytest.raises(IndexError, match=re.escape(text)):
        Network(np.eye(2))[0]
