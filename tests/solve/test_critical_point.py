"""Newton's method: which points it finds, and whether it ends runs where they would have ended."""

import re

import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from shallows.landscape import AllWeights, SquaredLoss
from shallows.model import Gaussian, Network, Sample, orthonormal
from shallows.solve import (
    GradientDescent,
    GradientFlow,
    Newton,
    Outcome,
    critical_point,
    trajectory,
)
from shallows.solve.critical import NewtonOutcome

K = 6
LOSS = SquaredLoss(orthonormal(K), Gaussian(K))
ANYWHERE = Newton(basin=False)


def _near(point, distance, seed=0):
    noise = np.random.default_rng(seed).normal(size=point.inner.shape)
    return Network(point.inner + distance * noise / np.linalg.norm(noise))


@pytest.mark.parametrize("family", ["A", "I", "II"])
def test_newton_finds_minima_and_saddles_from_nearby(family):
    point = zoo.spurious(family, K)  # known to nine digits
    found = critical_point(LOSS, _near(point, 0.01), ANYWHERE)
    assert found.outcome is NewtonOutcome.converged
    assert abs(float(LOSS(found.student)) - zoo.LOSSES[family, K]) < 1e-8
    np.testing.assert_allclose(found.student.inner, point.inner, rtol=0, atol=6e-9)
    assert float(jnp.linalg.norm(LOSS.gradient(found.student))) <= 1e-12
    assert found.gradient_norm <= 1e-13 * np.linalg.norm(point.inner)
    assert found.distance == pytest.approx(0.01, abs=1e-7)
    least = np.linalg.eigvalsh(LOSS.hessian(found.student))[0]
    assert abs(least - zoo.LEAST_EIGENVALUES[family, K]) < 1e-6


def test_newton_converges_quadratically():
    point = critical_point(LOSS, zoo.spurious("II", K), ANYWHERE).student
    errors = []
    for distance in (0.008, 0.004, 0.002):
        once = critical_point(
            LOSS, _near(point, distance), Newton(basin=False, max_steps=1), throw=False
        )
        assert once.outcome is NewtonOutcome.out_of_steps
        assert once.steps == 1
        at_end = float(jnp.linalg.norm(LOSS.gradient(once.student)))
        assert once.gradient_norm == pytest.approx(at_end, rel=1e-12)
        errors.append(np.linalg.norm(once.student.inner - point.inner))
    # Half the distance, a quarter of the error.
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.2)
    many = critical_point(LOSS, _near(point, 0.002), ANYWHERE)
    assert many.steps <= 6


def test_the_global_minimum_is_its_own_critical_point():
    found = critical_point(LOSS, LOSS.teacher)
    assert found.outcome is NewtonOutcome.converged
    assert found.steps == 0
    assert found.distance == 0


def test_a_random_start_is_outside_any_basin():
    start = Network(np.random.default_rng(1).normal(size=(K, K)) / np.sqrt(K))
    found = critical_point(LOSS, start, throw=False)
    assert found.outcome is NewtonOutcome.outside_basin
    assert np.array_equal(found.student.inner, start.inner)
    assert found.gradient_norm == pytest.approx(float(jnp.linalg.norm(LOSS.gradient(start))))
    message = (
        f"No critical point from this start; the gradient norm is {found.gradient_norm:.3g}. "
        "The point is not yet in a bowl that provably leads to one minimum, so Newton was not "
        "tried. Follow the flow further, or pass `Newton(basin=False)` for any critical point."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        critical_point(LOSS, start)


def test_a_saddle_is_nobodys_basin():
    # Neither from nearby nor from itself.
    there = critical_point(LOSS, _near(zoo.spurious("I", K), 0.0), ANYWHERE).student
    assert critical_point(LOSS, there, throw=False).outcome is NewtonOutcome.outside_basin
    found = critical_point(LOSS, _near(zoo.spurious("I", K), 1e-7), throw=False)
    assert found.outcome is NewtonOutcome.outside_basin


def test_a_basin_that_descent_leaves_is_not_kept():
    # At the global minimum the largest eigenvalue is 2.065 (facts: landscapes.md, 4.3).
    near = _near(LOSS.teacher, 1e-7)
    for step, outcome in (
        (0.96, NewtonOutcome.converged),
        (0.97, NewtonOutcome.outside_basin),
    ):
        found = critical_point(LOSS, near, along=GradientDescent(), pace=step, throw=False)
        assert found.outcome is outcome
    assert critical_point(LOSS, near, along=GradientFlow(), pace=0.97).steps > 0


def test_the_limit_of_newton_lies_in_the_trap():
    for seed in range(5):
        near = _near(LOSS.teacher, 1e-5, seed)
        found = critical_point(LOSS, near)
        np.testing.assert_allclose(found.student.inner, np.eye(K), rtol=0, atol=1e-12)


def test_the_trap_is_the_wider_the_more_nearly_quadratic_the_loss():
    # Type II at k = 6, whose smallest eigenvalue is small, and the global minimum.
    for point, near, far in ((zoo.spurious("II", K), 1e-3, 0.3), (LOSS.teacher, 1e-3, 0.6)):
        minimum = critical_point(LOSS, point, ANYWHERE).student
        for distance, outcome in (
            (near, NewtonOutcome.converged),
            (far, NewtonOutcome.outside_basin),
        ):
            found = critical_point(LOSS, _near(minimum, distance), throw=False)
            assert found.outcome is outcome
            if outcome is NewtonOutcome.converged:
                np.testing.assert_allclose(found.student.inner, minimum.inner, atol=1e-10)


def test_newton_says_where_it_cannot_go():
    start = _near(orthonormal(3), 0.01)
    flat = SquaredLoss(orthonormal(3), Gaussian(covariance=zoo.FLAT))
    found = critical_point(flat, start, ANYWHERE, throw=False)
    assert found.outcome is NewtonOutcome.singular
    with pytest.raises(ValueError, match=r"not isolated, .* Use the flow instead\.$"):
        critical_point(flat, start, ANYWHERE)
    data = SquaredLoss(orthonormal(3), Sample(np.random.default_rng(0).normal(size=(9, 3))))
    with pytest.raises(ValueError, match=r"there is no Hessian to use. Use a descent\.$"):
        critical_point(data, start)
    heads = SquaredLoss(orthonormal(3), Gaussian(3), AllWeights())
    assert critical_point(heads, start, throw=False).outcome is NewtonOutcome.outside_basin


def test_every_newton_outcome_but_the_good_one_gives_advice():
    assert NewtonOutcome.converged.value == ""
    for outcome in NewtonOutcome:
        if outcome is not NewtonOutcome.converged:
            assert outcome.value.endswith(".")
            assert "  " not in outcome.value


def test_newton_asks_for_one_student_without_zero_neurons():
    with pytest.raises(ValueError, match=re.escape("a batch of shape (2,). Take one")):
        critical_point(LOSS, Network(np.ones((2, K, K))))
    with pytest.raises(ValueError, match="Neuron 2 is zero"):
        critical_point(LOSS, Network(np.diag([1.0, 1, 0, 1, 1, 1])))
    with pytest.raises(ValueError, match=r"`tolerance` must be a positive number, but is -1\.0"):
        Newton(-1.0)


# Soundness: where Newton finishes a run, the run alone would have ended


def _both_ways(starts, method):
    quick = trajectory(LOSS, starts, method)
    plain = trajectory(LOSS, starts, method, newton=False)
    assert set(quick.outcome) == set(plain.outcome) == {Outcome.settled}
    assert np.mean(quick.steps < plain.steps) > 0.9  # it did finish them
    # |gradient| ≤ 1e-12 and a smallest eigenvalue of 0.0047 or more.
    np.testing.assert_allclose(quick.student.inner, plain.student.inner, rtol=0, atol=1e-9)


def test_newton_ends_where_descent_alone_would_have_ended():
    _both_ways(
        Network(np.random.default_rng(3).normal(size=(20, K, K)) / np.sqrt(K)), GradientDescent()
    )


@pytest.mark.parametrize(
    "method", [GradientDescent(), pytest.param(GradientFlow(), marks=pytest.mark.slow)]
)
def test_newton_ends_where_a_run_to_a_flat_minimum_would_have_ended(method):
    # Type II has just become a minimum at k = 6: its bowl is narrow, and runs creep to its floor.
    point = np.asarray(zoo.spurious("II", K).inner)
    noise = np.random.default_rng(4).normal(size=(8, K, K))
    noise *= (
        np.linspace(0.05, 0.6, 8)[:, None, None] / np.linalg.norm(noise, axis=(1, 2))[:, None, None]
    )
    _both_ways(Network(point + noise), method)
