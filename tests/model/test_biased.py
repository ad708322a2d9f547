"""What training evaluates for neurons with biases, against the gradients of single overlaps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import biased

# Parallel, equal, nearly equal, opposite, constant, far, asleep, without bias, and nothing at all.
ROWS = [
    [1.0, 0.3, 0.4],
    [2.0, 0.6, 0.8],
    [1.0, 0.3, -0.3],
    [-1.0, -0.3, 0.4],
    [-1.0, -0.3, -0.4],
    [1.0, 0.3, 0.4 + 1e-12],
    [1.0 + 1e-9, 0.3, 0.4],
    [0.0, 0.0, 0.6],
    [0.0, 0.0, -0.6],
    [0.1, 0.03, -6.0],
    [0.1, 0.03, 6.0],
    [0.1, 0.03, 0.85],
    [1e-9, 0.0, 0.5],
    [0.5, -0.8, 0.0],
    [-0.5, 0.8, 0.0],
    [0.0, 0.0, 0.0],
]


def test_the_pull_in_training_is_the_sum_of_gradients():
    rng = np.random.default_rng(1)
    w = jnp.asarray(np.concatenate([ROWS, rng.normal(size=(5, 3))]))
    v = jnp.asarray(np.concatenate([ROWS[:8], np.eye(2, 3)]))
    a, b = (jnp.asarray(rng.normal(size=len(x))) for x in (w, v))
    both, heads = jnp.concatenate([w, v]), jnp.concatenate([a, -b])
    size = float(jnp.abs(heads) @ jnp.linalg.norm(both, axis=1))

    def expected(both):
        return jnp.einsum("j,ijd->id", heads, biased.gram_gradient(w, both))

    found = jax.jit(biased.net_pull)
    np.testing.assert_allclose(
        found(w, a, v, b), jax.jit(expected)(both), rtol=0, atol=1e-15 * size
    )
    assert np.all(np.isnan(found(w.at[3, 1].set(jnp.nan), a, v, b)))


@pytest.mark.slow
def test_the_pull_in_training_has_the_derivative_of_the_sum():
    rng = np.random.default_rng(2)
    w, v = jnp.asarray(ROWS[:4]), jnp.asarray(ROWS[:2])
    dw = jnp.asarray(rng.normal(size=(4, 3)))
    a, b = jnp.asarray([1.0, -0.5, 2.0, 0.3]), jnp.asarray([1.0, 0.7])

    @jax.jit
    def routes(w):
        _, turn = jax.jvp(lambda w: biased.net_pull(w, a, v, b), (w,), (dw,))
        pure = biased.curvature(w, a, w) - biased.curvature(w, b, v)
        mixed = jnp.einsum("j,ijde,je->id", a, biased.mixed_curvature(w, w), dw)
        return turn, jnp.einsum("ide,ie->id", pure, dw) + mixed

    turn, expected = routes(w)
    one_by_one = jnp.stack([biased.net_pull(x, a, v, b) for x in (w, 2 * w)])
    batch = biased.net_pull(jnp.stack([w, 2 * w]), a, v, b)
    np.testing.assert_allclose(batch, one_by_one, rtol=0, atol=1e-14)
    np.testing.assert_allclose(turn, expected, rtol=0, atol=1e-13)
