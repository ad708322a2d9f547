"""The Chebyshev steps of the flow on a linear problem, where everything is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.solve.integrators import Place, step

RATES = jnp.array([[0.01, 0.1, 1.0, 10.0]])


def _slope(theta):
    return RATES * theta


@jax.jit
def _step(theta, pace, tolerance):
    at = Place(theta, _slope(theta), jnp.zeros(()), pace, jnp.asarray(10.0))
    return step(_slope, at, tolerance)


def test_a_chebyshev_step_is_of_order_two():
    theta = jnp.array([[1.0, 1.0, 0.0, 0.0]])
    errors = []
    for pace in (0.96, 0.56):  # both in four stages
        there = _step(theta, jnp.asarray(pace), jnp.asarray(1.0))
        assert float(there.time) == pace
        errors.append(np.linalg.norm(there.theta - jnp.exp(-RATES * pace) * theta))
    assert errors[0] / errors[1] == pytest.approx((0.96 / 0.56) ** 3, rel=0.1)


@pytest.mark.parametrize("pace", [0.5, 5.0, 50.0, 200.0])
def test_a_chebyshev_step_damps_what_is_stiff(pace):
    theta = jnp.ones((1, 4))
    there = _step(theta, jnp.asarray(pace), jnp.asarray(1e6))
    assert float(there.time) == pace
    assert float(jnp.max(jnp.abs(there.theta[0, 2:]))) < 0.96
    np.testing.assert_allclose(there.slope, _slope(there.theta), rtol=1e-14)


def test_a_chebyshev_step_that_is_too_long_is_not_taken():
    theta = jnp.ones((1, 4))
    there = _step(theta, jnp.asarray(50.0), jnp.asarray(1e-8))
    assert float(there.time) == 0
    assert np.array_equal(there.theta, theta)
    assert float(there.stiffness) == 0  # and Dormand & Prince take over
    assert float(there.pace) == pytest.approx(0.28)
