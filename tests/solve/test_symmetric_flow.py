"""The flow of a few numbers is the flow of all weights, and ends as it says."""

import numpy as np
import pytest
import scipy.integrate

from shallows.solve.one_neuron import decay, distances, radius_of, share_in_ball, starts_in_ball
from shallows.solve.symmetric_flow import (
    Ending,
    Stability,
    jacobian,
    portrait,
    symmetric_trajectory,
    velocity,
)
from shallows.symmetry import Blocks, ReducedLoss, Teacher, orthonormal_teacher
from shallows.symmetry.reduced import full_loss

LOSS = ReducedLoss(Blocks((3,)))


def test_velocity_and_its_derivative_are_those_of_all_weights():
    point = np.array([0.4, -0.3])
    full = full_loss(3, 3)
    w = LOSS.blocks.embed(point)
    slope = -full.gradient(w.ravel()).reshape(3, 3)
    np.testing.assert_allclose(LOSS.blocks.embed(velocity(LOSS, point)), slope, atol=1e-15)
    # The Hessian on the fixed-point space: along x and y.
    directions = np.stack([LOSS.blocks.embed(e).ravel() for e in np.eye(2)], axis=-1)
    moved = -full.hessian(w.ravel()) @ directions
    np.testing.assert_allclose(directions @ jacobian(LOSS, point), moved, atol=1e-14)


def test_a_run_is_that_of_all_weights_and_of_another_integrator():
    run = symmetric_trajectory(LOSS, [0.05, 0.0], near=[1.0, 0.0], within=0.1)
    assert run.ending is Ending.arrived
    assert abs(np.linalg.norm(run.points[-1] - [1, 0]) - 0.1) < 1e-9
    full = full_loss(3, 3)
    other = scipy.integrate.solve_ivp(
        lambda _, w: -full.gradient(w),
        (0, run.times[-1]),
        0.05 * np.eye(3).ravel(),
        rtol=1e-9,
        atol=1e-11,
    )
    np.testing.assert_allclose(
        LOSS.blocks.embed(run.points[-1]), other.y[:, -1].reshape(3, 3), atol=1e-7
    )
    # Between steps, and the highest y between them.
    times = np.linspace(0, run.times[-1], 400)
    assert 0 <= run.highest(1) - np.max(run.between(times)[1]) < 1e-4


def test_runs_end_as_they_say():
    assert symmetric_trajectory(LOSS, [0.9, 0.0], longest=1e-3).ending is Ending.out_of_time
    assert symmetric_trajectory(LOSS, [1.0, 0.0]).ending is Ending.settled
    assert symmetric_trajectory(LOSS, [1.0, 0.0], near=[1.0, 0.0]).ending is Ending.arrived
    left = symmetric_trajectory(LOSS, [0.5, 0.1], window=(0.4, 0.6, 0.0, 0.3))
    assert left.ending is Ending.left
    assert abs(left.points[-1, 0] - 0.6) < 1e-9
    # One neuron opposite to the teacher shrinks like exp(−t/2), and its velocity with it.
    one = symmetric_trajectory(full_loss(1, 2), [-1e-6, 0.0])
    assert one.ending is Ending.settled
    assert abs(one.times[-1] - 2 * np.log(500)) < 1e-6
    # Against its head: −1 among nine of +1.
    blocks = Blocks((9, 1))
    star = orthonormal_teacher(blocks)
    mixed = ReducedLoss(blocks, Teacher(star.rows, star.point, (1, -1)), (1, -1))
    last = symmetric_trajectory(mixed, 1e-3 * np.array(star.point), tolerance=1e-7)
    assert last.ending is Ending.neuron_vanished


def test_misuse_is_named():
    with pytest.raises(ValueError, match=r"number for each of the 2 orbits.*\[1\].*blocks.orbits"):
        symmetric_trajectory(LOSS, [1])
    with pytest.raises(ValueError, match="no direction at a zero neuron"):
        symmetric_trajectory(LOSS, [0, 0])
    with pytest.raises(ValueError, match="two coordinates, but this loss has 5"):
        portrait(ReducedLoss(Blocks((3, 1))))
    with pytest.raises(ValueError, match="x0 < x1 and y0 < y1"):
        portrait(LOSS, window=(1, 0, 0, 1))


def test_a_portrait_has_the_saddle_its_stable_line_and_the_spurious_point():
    made = portrait(ReducedLoss(Blocks((10,))), window=(-1.1, 1.1, -0.4, 1.1), resolution=23)
    assert [point.kind for point in made.fixed].count(
        Stability.sink
    ) == 2  # the teacher, and family A beyond x = y
    # facts: the loss of A at k = 10, landscapes.md §3.5.
    assert abs(made.fixed[1].loss - 0.0766367) < 1e-7
    np.testing.assert_allclose(made.fixed[0].point, [1, 0], atol=1e-12)
    saddles = [point for point in made.fixed if point.kind is Stability.saddle]
    assert len(saddles) == 2
    # Both separatrices are pieces of x = y.
    assert len(made.separatrices) == 4
    for line in made.separatrices:
        assert np.max(np.abs(line.points[:, 0] - line.points[:, 1])) < 1e-6


def test_one_neuron_in_the_plane_is_one_neuron_in_space():
    w = np.array([0.3, -0.4, 0.5, 0.1])
    p, q = w[0], np.linalg.norm(w[1:])
    slope = -full_loss(1, 4).gradient(w)
    plane = velocity(full_loss(1, 2), np.array([p, q]))
    np.testing.assert_allclose(slope, [plane[0], *(plane[1] * w[1:] / q)], atol=1e-15)
    away = w - [1, 0, 0, 0]
    assert abs(decay(np.array([[p, q]]))[0] + slope @ away / (away @ away)) < 1e-14


def test_starts_and_their_share_in_the_ball():
    starts = starts_in_ball(5, 0.8, 4000)
    inside = np.mean(np.linalg.norm(starts - [1, 0], axis=1) < 1)
    exact = share_in_ball(0.8, 5)
    assert abs(inside - exact) < 4 * np.sqrt(exact * (1 - exact) / 4000)
    # In the plane: the lens of two discs, of the ball of radius 1 around 0.
    lens = 2 * np.pi / 3 - np.sqrt(3) / 2
    assert abs(share_in_ball(1.0, 2) - lens / np.pi) < 1e-8
    assert abs(share_in_ball(radius_of(1e-6, 7), 7) - 0.5) < 1e-6


def test_all_starts_come_closer_all_the_time():
    times, distance = distances(starts_in_ball(3, 2.0, 20), 20.0)
    assert np.all(np.diff(distance, axis=0) < 0)
    # In the end like exp(−t/2).
    late = distance[times > 15]
    rate = -np.diff(np.log(late), axis=0) / np.diff(times[times > 15])[:, None]
    np.testing.assert_allclose(rate, 0.5, atol=0.05)
