"""Evolutions against solutions known in closed form."""

import numpy as np
import pytest

from shallows.solve.evolution import (
    Ending,
    Event,
    Explicit,
    Implicit,
    descent,
    evolution,
)


def _rotation(_, y):
    return np.array([-y[1], y[0]])


@pytest.mark.parametrize(
    ("method", "error"), [(Explicit(1e-11), 1e-9), (Implicit(1e-9), 1e-6)], ids=["DP8", "Radau"]
)
def test_a_rotation_and_what_it_conserves(method, error):
    run = evolution(
        _rotation,
        np.array([1.0, 0.0]),
        until=10.0,
        method=method,
        monitors={"radius": lambda _, y: y @ y},
    )
    asked = np.array([0.0, 0.1, 3.3, 10.0])
    exact = np.stack([np.cos(asked), np.sin(asked)], axis=1)
    assert run.ending is Ending.reached_end
    assert np.max(np.abs(run.at(asked) - exact)) < error
    assert np.array_equal(run.at(10.0), run.at(np.array([10.0]))[0])
    assert 0 < run.drift("radius") < error


def test_an_event_is_found_to_rounding_in_the_right_direction():
    height = Event("crosses the axis", lambda _, y: y[1], direction=-1)
    run = evolution(_rotation, np.array([np.cos(1), np.sin(1)]), until=10.0, events=[height])
    (crossing,) = run.occurrences
    assert run.ending is Ending.event
    assert crossing.event is height
    assert abs(crossing.time - (np.pi - 1)) < 1e-10
    assert np.allclose(crossing.state, [-1, 0], atol=1e-9)
    rising = Event("rises", lambda _, y: y[1], direction=+1)
    run = evolution(_rotation, np.array([np.cos(1), np.sin(1)]), until=10.0, events=[rising])
    assert abs(run.times[-1] - (2 * np.pi - 1)) < 1e-9


def test_a_ball_that_bounces():
    """Restarts with a change of state: apexes and times in closed form."""

    def fall(_, y):
        return np.array([y[1], -1.0])

    floor = Event(
        "bounces",
        lambda _, y: y[0],
        ends=False,
        change=lambda t, y, i: np.array([0.0, -0.5 * y[1]]),
    )
    run = evolution(fall, np.array([0.5, 0.0]), until=2.5, events=[floor])
    times = [one.time for one in run.occurrences]
    # Up at half the speed: from 1 to 2 in the air, then from 2 to 2.5.
    assert np.allclose(times[:2], [1.0, 2.0], atol=1e-10)
    assert np.allclose(run.at(np.array([1.5, 2.25])), [[0.125, 0.0], [0.03125, 0.0]], atol=1e-9)


def test_a_kink_costs_nothing_to_a_velocity_that_is_switched_there():
    """y' = |t − 0.3| + |t − 0.7|: exact in three steps of an order-8 method, or thirty without."""
    places, side = np.array([0.3, 0.7]), np.array([-1.0, -1.0])

    def switch(time, state, which):
        side[which] = 1
        return state

    kinks = Event("kink", lambda t, y: t - places, ends=False, change=switch)
    run = evolution(
        lambda t, y: np.array([side @ (t - places)]), np.zeros(1), until=1.0, events=[kinks]
    )
    plain = evolution(lambda t, y: np.array([np.sum(abs(t - places))]), np.zeros(1), until=1.0)
    exact = sum((c**2 + (1 - c) ** 2) / 2 for c in places)
    assert [one.which for one in run.occurrences] == [0, 1]
    assert abs(run.states[-1, 0] - exact) < 1e-15
    assert 1e-13 < abs(plain.states[-1, 0] - exact) < 1e-8
    assert 2 * len(run.times) < len(plain.times)


def test_how_runs_end_is_said():
    def towards(_, y):  # both sides push to zero
        return np.array([-np.sign(y[0])])

    zero = Event("zero", lambda _, y: y[0], ends=False)
    assert evolution(towards, np.ones(1), until=3.0, events=[zero]).ending is Ending.sliding
    short = evolution(_rotation, np.ones(2), until=1e3, method=Explicit(1e-10, max_steps=5))
    assert short.ending is Ending.out_of_steps
    assert "Implicit()" in short.ending.value
    blows_up = evolution(lambda _, y: y**2, np.ones(1), until=2.0)
    assert blows_up.ending is not Ending.reached_end
    assert abs(blows_up.times[-1] - 1) < 1e-6


def test_misuse_is_named():
    with pytest.raises(ValueError, match=r"vector of finite numbers.*1 that are not finite"):
        evolution(_rotation, np.array([np.nan, 0.0]), until=1.0)
    with pytest.raises(ValueError, match=r"positive, finite time, not until=-1"):
        evolution(_rotation, np.ones(2), until=-1.0)
    run = evolution(_rotation, np.ones(2), until=1.0)
    with pytest.raises(ValueError, match=r"from time 0 to 1, but was asked"):
        run.at(1.5)


def test_descent_on_a_bowl():
    """Against the closed form of gradient descent on ½ Σ λ y²."""
    rates = np.array([1.0, 0.25])
    run = descent(
        lambda y: rates * y,
        np.ones(2),
        step=0.5,
        steps=40,
        every=10,
        monitors={"norm": lambda t, y: np.linalg.norm(y)},
        stop=lambda number, y: np.linalg.norm(y) < 0.1,
    )
    assert run.ending is Ending.event
    assert run.occurrences[-1].event.name == "stop"
    assert np.allclose(run.times, [0, 5, 10])
    assert np.allclose(run.states[-1], (1 - 0.5 * rates) ** 20, rtol=1e-13)
    assert np.allclose(run.at(2.5), (run.states[0] + run.states[1]) / 2)
    assert run.drift("norm") > 1
    assert descent(lambda y: -y, np.ones(1), step=1e200, steps=9).ending is Ending.diverged
    halved = descent(lambda y: y, np.ones(1), step=lambda number, y: 2.0**-number, steps=3)
    assert halved.times[-1] == 1.75
    with pytest.raises(ValueError, match="at least one step"):
        descent(lambda y: y, np.ones(1), step=1.0, steps=0)
