"""Activations given by a function: gradients and Hessians, long neurons, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.landscape import SquaredLoss
from shallows.model import Analytic, Gaussian, Network
from shallows.model.named import activation

TEACHER = np.array([[0.6, -0.5], [0.3, 1.1]])
STUDENTS = np.array(
    [
        [[0.9, 0.2], [-0.4, 1.3]],
        TEACHER,
        [[0.6, -0.5], [-1.2, 1.0]],  # one neuron is a teacher's
        [[1e-9, 0.0], [0.6, -0.5]],
        [[4.0, 1.0], [-0.4, 1.3]],  # one is longer than the tables reach
    ]
)
HEADS = np.array([1.0, -0.7])


def tanh(order, t):
    x = np.tanh(t)
    return [x, 1 - x * x, -2 * x * (1 - x * x)][order]


def plane():
    """Points and masses of the trapezoidal rule for N(0, I₂), exact to rounding here."""
    z = np.arange(-9, 9.01, 0.06)
    mass = np.exp(-(z**2) / 2) * 0.06 / np.sqrt(2 * np.pi)
    return np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2), np.outer(mass, mass).ravel()


def loss_of(sigma):
    return SquaredLoss(Network(TEACHER, HEADS, activation=sigma), Gaussian(2))


def test_gradients_of_a_batch_with_long_short_and_coincident_neurons():
    x, mass = plane()
    given = loss_of(activation("tanh")).gradient_at(
        jnp.asarray(STUDENTS), jnp.broadcast_to(jnp.asarray(HEADS), (5, 2))
    )
    for w, gradient in zip(STUDENTS, np.asarray(given), strict=True):
        miss = (tanh(0, x @ w.T) - tanh(0, x @ TEACHER.T)) @ HEADS
        exact = HEADS[:, None] * ((mass * miss)[:, None] * tanh(1, x @ w.T)).T @ x
        # The series of a neuron of length 4.1 is cut off.
        limit = 1e-11 if np.linalg.norm(w, axis=1).max() < 3 else 1e-9
        np.testing.assert_allclose(gradient, exact, rtol=0, atol=limit)


@pytest.mark.slow
def test_hessians_where_neurons_coincide():
    x, mass = plane()
    loss = loss_of(activation("tanh"))
    for w in STUDENTS[:4]:
        active = tanh(1, x @ w.T) * HEADS
        slopes = (active[:, :, None] * x[:, None]).reshape(-1, 4)
        exact = (mass[:, None] * slopes).T @ slopes
        miss = (tanh(0, x @ w.T) - tanh(0, x @ TEACHER.T)) @ HEADS
        for i in range(2):
            bend = mass * miss * HEADS[i] * tanh(2, x @ w[i])
            exact[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += (bend[:, None] * x).T @ x
        hessian = loss.cell_hessian_at(jnp.asarray(w), jnp.asarray(HEADS))
        np.testing.assert_allclose(hessian, exact, rtol=0, atol=5e-11)
        v = np.array([[0.3, -1.0], [0.7, 0.2]])
        product = loss.product_at(jnp.asarray(w), jnp.asarray(HEADS), jnp.asarray(v))
        np.testing.assert_allclose(product, (exact @ v.ravel()).reshape(2, 2), rtol=0, atol=5e-11)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "silu", "gelu"])
def test_gradients_are_those_of_the_value(name):
    loss, w = loss_of(activation(name)), jnp.asarray(STUDENTS[0])
    by_value = jax.grad(loss.value_at)(w, jnp.asarray(HEADS))
    np.testing.assert_allclose(
        loss.gradient_at(w, jnp.asarray(HEADS)), by_value, rtol=0, atol=1e-11
    )


@pytest.mark.slow
def test_the_error_says_how_far_the_tables_reach():
    sigma = activation("tanh")
    assert isinstance(sigma, Analytic)
    assert sigma.longest == 3.0
    assert max(sigma.error(x) for x in (0.1, 1.0, 2.0, 3.0)) <= sigma.tolerance < sigma.error(5.0)
    steep = Analytic(lambda t: jnp.tanh(2 * t), "steep")
    assert steep.longest == 1.5
    assert steep.error(1.5) <= 1e-11


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: Analytic(jnp.tanh, "tanh", longest=-1.0),
            ValueError,
            "`longest` must be positive, but is -1.0. Use e.g. 1.5.",
        ),
        (
            lambda: Analytic(lambda t: jnp.tanh(20 * t), "step"),
            ValueError,
            "for neurons of length 1.5: with 2048 terms the error is 0.3",
        ),
        (
            lambda: Analytic(np.tanh, "numpy"),
            TypeError,
            "'numpy' is not made of JAX operations. Write it with jax.numpy, e.g. `jnp.tanh`.",
        ),
        (lambda: Analytic(jnp.log, "log"), ValueError, "the error is inf"),
    ],
)
def test_wrong_functions_are_refused(make, error, text):
    with pytest.raises(error) as refused:
        make()
    assert text in str(refused.value)
