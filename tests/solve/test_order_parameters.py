"""Online learning in order parameters, against the population gradient, simulation, plateaus."""

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.landscape import AllWeights, SquaredLoss
from shallows.model import Erf, Gaussian, Network, Sine, absolute, orthonormal, relu
from shallows.solve.evolution import Ending, evolution
from shallows.solve.order_parameters import (
    OrderParameters,
    online,
    simulate,
    unspecialised,
    velocity,
)


def _start(activation, k=2, m=2):
    rng = np.random.default_rng(0)
    q = 0.25 * np.eye(k)
    return OrderParameters(q, 0.05 * rng.normal(size=(k, m)), activation=activation)


def _pair(activation, seed=0):
    rng = np.random.default_rng(seed)
    student = Network(rng.normal(size=(3, 5)), rng.normal(size=3), activation=activation)
    teacher = Network(rng.normal(size=(2, 5)), rng.normal(size=2), activation=activation)
    return student, teacher


def _agree(loss, student):
    """Velocities of order parameters are those that the gradient in all weights makes."""
    at = OrderParameters.of(student, loss.teacher)
    scale = 1 + 10 * at.loss
    assert abs(at.loss - float(loss(student))) < 1e-14 * scale
    slope = np.asarray(loss.gradient(student))
    w, b, d = np.asarray(student.inner), np.asarray(loss.teacher.inner), loss.law.inputs
    on_q, on_r, on_v = velocity(at, heads=True)
    moved = -slope[:, :d] @ w.T
    np.testing.assert_allclose(on_q, moved + moved.T, atol=1e-13 * scale)
    np.testing.assert_allclose(on_r, -slope[:, :d] @ b.T, atol=1e-13 * scale)
    np.testing.assert_allclose(on_v, -slope[:, d], atol=1e-13 * scale)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [absolute, Erf(), Sine()], ids=lambda a: a.name)
def test_without_noise_it_is_the_population_gradient(activation):
    student, teacher = _pair(activation)
    _agree(SquaredLoss(teacher, Gaussian(5), AllWeights()), student)


def test_the_gradient_flow_of_weights_is_that_of_their_overlaps():
    start = _start(relu)
    student, teacher = start.networks(6)
    loss = SquaredLoss(teacher, Gaussian(6), AllWeights())
    _agree(loss, student)

    def flow(_, y):
        rows = jnp.asarray(y.reshape(2, 7))
        return -np.asarray(loss.gradient_at(rows[:, :6], rows[:, 6])).ravel()

    first = np.column_stack([student.inner, student.outer])
    path = evolution(flow, first.ravel(), until=20.0)
    run = online(start, rate=0, until=20, trained=AllWeights())
    assert run.path.ending is Ending.reached_end
    for time in (1.0, 5.0, 20.0):
        w, there = path.at(time).reshape(2, 7), run.at(time)
        np.testing.assert_allclose(there.student, w[:, :6] @ w[:, :6].T, atol=1e-9)
        np.testing.assert_allclose(there.cross, w[:, :6] @ np.asarray(teacher.inner).T, atol=1e-9)
        np.testing.assert_allclose(there.heads, w[:, 6], atol=1e-9)
    losses = run.losses([0.0, 5.0, 20.0])
    assert losses[0] > 2 * losses[1] > 2 * losses[2]


def test_networks_and_back():
    at = OrderParameters.of(*_pair(Erf(), seed=4))
    again = OrderParameters.of(*at.networks(9))
    np.testing.assert_allclose(again.covariance, at.covariance, atol=1e-14)
    np.testing.assert_array_equal(again.all_heads, at.all_heads)
    assert at.networks()[0].inputs == 5
    with pytest.raises(ValueError, match=r"span 5 dimensions, but `inputs` is 4\. Use at least 5"):
        at.networks(4)
    assert unspecialised(3).networks(3)[0].inputs == 3  # identical students: the rank is less


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_the_plateau_of_the_error_function_is_the_published_one(k):
    """Saad & Solla (1995): R = 1/√(K(2K − 1)), Q = 1/(2K − 1)."""
    at = unspecialised(k, activation=Erf())
    np.testing.assert_allclose(at.cross, 1 / np.sqrt(k * (2 * k - 1)), atol=1e-13)
    np.testing.assert_allclose(at.student, 1 / (2 * k - 1), atol=1e-13)
    expected = k / np.pi * (np.pi / 6 - k * np.arcsin(1 / (2 * k)))
    assert abs(at.loss - expected) < 1e-14
    assert max(np.max(np.abs(x)) for x in velocity(at)) < 1e-13


def test_students_wait_at_the_plateau_before_they_specialise():
    start = OrderParameters(
        0.3 * np.eye(2), 1e-3 * np.array([[1.0, 0.9], [0.9, 1.0]]), activation=Erf()
    )
    run = online(start, rate=0, until=400)
    waiting = unspecialised(2, activation=Erf())
    times = np.linspace(0, 400, 201)
    gap = np.min(np.abs(run.losses(times) - waiting.loss))
    assert gap < 1e-5
    _, cross, _ = run.overlaps(times)
    assert np.min(np.max(np.abs(cross - 1 / np.sqrt(6)), axis=(1, 2))) < 0.02
    final = run.at(400)
    np.testing.assert_allclose(final.cross, np.eye(2), atol=1e-3)


def test_the_plateau_of_relus():
    at, theta = unspecialised(4, 3), np.arccos(1 / np.sqrt(3))
    length = 3 / (4 * np.pi) * (np.sin(theta) + (np.pi - theta) * np.cos(theta))
    np.testing.assert_allclose(at.student, length**2, atol=1e-13)
    assert max(np.max(np.abs(x)) for x in velocity(at)) < 1e-13


@pytest.mark.parametrize(
    ("activation", "rate", "noise", "trained"),
    [(Erf(), 1.0, 0.5, None), (relu, 0.5, 0.0, AllWeights())],
    ids=["erf", "relu"],
)
def test_simulation_at_one_hundred_inputs_is_within_standard_errors(
    activation, rate, noise, trained
):
    start, runs, d, times = _start(activation), 100, 100, [0.0, 1.0, 4.0]
    exact = online(start, rate=rate, until=4, noise=noise, trained=trained)
    made = simulate(
        start, inputs=d, rate=rate, times=times, runs=runs, noise=noise, trained=trained
    )
    np.testing.assert_allclose(made.student[:, 0], start.student[None].repeat(runs, 0), atol=1e-14)
    for i, time in enumerate(times[1:], start=1):
        there = exact.at(time)
        for drawn, expected in (
            (made.losses[:, i], there.loss),
            (made.student[:, i], there.student),
            (made.cross[:, i], there.cross),
            (made.heads[:, i], there.heads),
        ):
            error = np.abs(drawn.mean(0) - expected)
            spread = drawn.std(0, ddof=1) / np.sqrt(runs)
            # Means differ from the limit by O(1/d), single runs by O(d^(−1/2)).
            assert np.all(error <= 5 * spread + 1 / d)
    without = online(start, rate=0, until=4 * rate).at(4 * rate)
    size = 5 * made.student[:, -1].std(0) / np.sqrt(runs) + 1 / d
    assert np.any(np.abs(made.student[:, -1].mean(0) - without.student) > 2 * size)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "rate"), [(Erf(), 1.0), (relu, 0.5)], ids=["erf", "relu"])
def test_deviations_of_runs_fall_as_the_root_of_the_number_of_inputs(activation, rate):
    start, times = _start(activation), np.array([0.0, 1.0, 2.0, 4.0])
    exact = online(start, rate=rate, until=4)
    deviation = []
    for d, runs in ((100, 200), (1000, 50), (10_000, 6)):
        made = simulate(start, inputs=d, rate=rate, times=times, runs=runs)
        there = exact.overlaps(made.times[1:])[1]
        deviation.append(np.sqrt(np.mean((made.cross[:, 1:] - there) ** 2)))
        error = np.abs(made.losses[:, 1:].mean(0) - exact.losses(made.times[1:]))
        spread = made.losses[:, 1:].std(0, ddof=1) / np.sqrt(runs)
        assert np.all(error <= 6 * spread + 1 / d)
    slopes = np.diff(np.log(deviation)) / np.log(10)
    np.testing.assert_allclose(slopes, -0.5, atol=0.12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: OrderParameters(np.eye(2), np.eye(2) * 2), "No vectors have these overlaps"),
        (lambda s: OrderParameters(np.eye(3), np.eye(2)), r"`student` must have shape \(2, 2\)"),
        (lambda s: OrderParameters(np.tri(2), 0.1 * np.eye(2)), "Overlaps are symmetric"),
        (lambda s: OrderParameters([[1.0]], [0.5]), "`cross` must be a matrix with a row"),
        (
            lambda s: OrderParameters.of(Network(np.eye(2)), orthonormal(3)),
            "Student and teacher differ: 2 inputs and relu, 3 and relu.",
        ),
        (
            lambda s: OrderParameters.of(Network(np.eye(2), bias=[0.0, 0.0]), orthonormal(2)),
            "but the student is not one",
        ),
        (lambda s: online(s, rate=-1, until=1), "`rate` must be at least 0, but is -1"),
        (lambda s: online(s, rate=0, until=1, noise=1), "At rate 0 noise does not matter"),
        (lambda s: online(s, rate=1, until=0), "`until` must be positive, but is 0"),
        (lambda s: online(_start(Sine()), rate=1, until=1), "the activation is sin"),
        (lambda s: simulate(s, inputs=9, rate=0, times=[1]), "takes steps, but `rate` is 0"),
        (lambda s: simulate(s, inputs=9, rate=1, times=[1, 1]), "`times` must increase from 0"),
        (lambda s: simulate(s, inputs=3, rate=1, times=[1]), "span 4 dimensions"),
        (lambda s: unspecialised(0), "`neurons` must be a positive integer"),
    ],
)
def test_misuse_of_order_parameters(call, message):
    with pytest.raises(ValueError, match=message):
        call(_start(relu))
