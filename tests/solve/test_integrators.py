"""The flow's methods: their order conditions, their stability, and how steps are taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.solve.coefficients import TABLEAUS
from shallows.solve.integrators import Place, step, stiffness

TOP = 10.0
RATES = jnp.array([[0.01, 0.1, 1.0, TOP]])


def _slope(theta):
    return RATES * theta


@jax.jit
def _step(theta, pace, tolerance):
    at = Place(theta, _slope(theta), jnp.zeros(()), pace, jnp.asarray(TOP))
    return step(_slope, at, tolerance)


# The coefficients, as one big tableau each


def _butcher(method):
    """The matrix and the weights of all stages, with the slope at the end as a last stage."""
    m = len(method.euler)
    a = np.zeros((m + 5, m + 5))
    for i in range(1, m + 1):
        a[i, :i] = method.euler[:i]
    for i, row in enumerate(method.finish):
        a[m + 1 + i, :m] = method.euler
        a[m + 1 + i, m : m + len(row)] = row
    return a, a[-1]


@pytest.mark.parametrize("method", TABLEAUS, ids=lambda method: str(len(method.euler) + 4))
def test_every_method_meets_the_eight_conditions_of_order_four(method):
    a, b = _butcher(method)
    c = a.sum(axis=1)
    conditions = {
        1: [b.sum()],
        2: [b @ c],
        3: [b @ c**2, b @ a @ c],
        4: [b @ c**3, b @ (c * (a @ c)), b @ a @ c**2, b @ a @ a @ c],
    }
    exact = {1: [1.0], 2: [1 / 2], 3: [1 / 3, 1 / 6], 4: [1 / 4, 1 / 8, 1 / 12, 1 / 24]}
    for order, values in conditions.items():
        np.testing.assert_allclose(np.array(values), np.array(exact[order]), rtol=0, atol=1e-14)
    # The error's weights see nothing below h⁴, and something there.
    e = np.zeros(len(b))
    e[-5:] = method.error
    for order in (1, 2, 3):
        for weight in {1: [c**0], 2: [c], 3: [c**2, a @ c]}[order]:
            assert abs(e @ weight) < 1e-12
    assert abs(e @ c**3) == pytest.approx(0.01, rel=1e-9)


@pytest.mark.parametrize("method", TABLEAUS, ids=lambda method: str(len(method.euler) + 4))
def test_every_method_is_damped_up_to_its_reach(method):
    a, b = _butcher(method)
    one = np.ones(len(b))
    inside, beyond = np.linspace(1.2, method.reach, 400), 1.02 * method.reach
    growth = [1 - z * (b @ np.linalg.solve(np.eye(len(b)) + z * a, one)) for z in [*inside, beyond]]
    assert np.max(np.abs(growth[:-1])) < 0.951
    assert abs(growth[-1]) > 0.99
    # Nor is any stage on the way larger than the start.
    stages = [np.linalg.solve(np.eye(len(b)) + z * a, one) for z in inside]
    assert np.max(np.abs(stages)) < 1 + 1e-9


# The steps


@pytest.mark.parametrize("paces", [(0.5, 0.3), (2.4, 2.0)])  # both with five stages, or eleven
def test_a_step_is_of_order_four(paces):
    theta = jnp.array([[0.0, 1.0, 1.0, 0.0]])
    errors = []
    for pace in paces:
        there = _step(theta, jnp.asarray(pace), jnp.asarray(1.0))
        assert float(there.time) == pace
        errors.append(np.linalg.norm(there.theta - jnp.exp(-RATES * pace) * theta))
    assert errors[0] / errors[1] == pytest.approx((paces[0] / paces[1]) ** 5, rel=0.2)


@pytest.mark.parametrize("pace", [0.5, 5.0, 56.0])
def test_a_step_damps_what_is_stiff(pace):
    theta = jnp.ones((1, 4))
    there = _step(theta, jnp.asarray(pace), jnp.asarray(1e9))
    assert float(there.time) == pace
    assert float(jnp.max(jnp.abs(there.theta[0, 3:]))) < 0.96
    np.testing.assert_allclose(there.slope, _slope(there.theta), rtol=1e-14)


def test_a_step_goes_no_farther_than_it_is_stable():
    there = _step(jnp.ones((1, 4)), jnp.asarray(1e3), jnp.asarray(1e9))
    assert float(there.time) == pytest.approx(TABLEAUS[-1].reach / TOP)


def test_a_step_that_is_too_long_is_not_taken():
    theta = jnp.ones((1, 4))
    there = _step(theta, jnp.asarray(50.0), jnp.asarray(1e-8))
    assert float(there.time) == 0
    assert np.array_equal(there.theta, theta)
    assert float(there.pace) == pytest.approx(10.0)


def test_the_stiffness_is_a_little_above_the_largest_eigenvalue():
    found = jax.jit(lambda theta, generic: stiffness(_slope, theta, generic, jnp.asarray(10)))(
        jnp.ones((1, 4)), jnp.full((1, 4), 0.5)
    )
    assert float(found) == pytest.approx(1.125 * TOP, rel=1e-6)
