"""Truncated descent step by step, and plateaus of known losses."""

import math

import numpy as np
import pytest

from shallows.landscape import NormWeighted, SampledNormWeighted
from shallows.landscape.norm_weighted import degree_two_floor
from shallows.solve.evolution import Ending
from shallows.solve.truncated import (
    Plateau,
    Stage,
    plateau,
    truncated_descent,
    winning_shares,
)

D, M = 4, 8
LOSS = NormWeighted(np.full(D, 1 / D))
START = np.random.default_rng(0).normal(size=(M, D)) / math.sqrt(D)


@pytest.mark.parametrize("is_sampled", [False, True])
def test_steps_are_those_of_the_algorithm(is_sampled):
    points = np.random.default_rng(1).normal(size=(300, D))
    loss = SampledNormWeighted(LOSS, points) if is_sampled else LOSS
    stages = [Stage(0.1, 40, bound=1.0), Stage(0.05, 30, bound=2.0)]
    w, outside = START.copy(), []
    for stage in stages:
        for _ in range(stage.steps):
            square = np.sum(w**2, axis=1)
            outside.append(np.mean(square > stage.bound))
            w = w - stage.step * np.where(square > stage.bound, 0, 1)[:, None] * loss.gradient(w)
    run = truncated_descent(loss, START, stages, records=7)
    np.testing.assert_allclose(run.students[-1], w, rtol=1e-12)
    assert run.ending is Ending.reached_end
    assert math.isclose(run.times[-1], 40 * 0.1 + 30 * 0.05)
    assert len(run.times) == len(run.students) == len(run.frozen) <= 15
    assert 0 < max(outside) < 1
    assert run.frozen[0] == np.mean(np.sum(START**2, axis=1) > 1.0)


def test_a_neuron_beyond_the_bound_stays_until_a_stage_with_a_larger_one():
    start = START.copy()
    start[0] *= 3 / np.linalg.norm(start[0])
    run = truncated_descent(LOSS, start, [Stage(0.1, 20, bound=4.0)])
    assert np.all(run.students[:, 0] == start[0])
    assert np.min(run.frozen) >= 1 / M
    freed = truncated_descent(LOSS, start, [Stage(0.1, 20, bound=4.0), Stage(0.1, 20)])
    assert np.linalg.norm(freed.students[-1, 0] - start[0]) > 0.1
    assert freed.frozen[-1] == 0


def test_a_run_crosses_the_plateau_and_ends_where_it_is_told():
    floor = degree_two_floor(LOSS.heads)
    run = truncated_descent(LOSS, START, [Stage(0.2, 2000)], until=floor / 100)
    assert run.ending is Ending.event
    losses = LOSS(run.students)
    assert losses[-1] <= floor / 100 < losses[-2]
    found = plateau(run.times, losses, floor)
    assert 0 <= found.entry < found.exit < run.times[-1]
    assert np.interp(found.exit, run.times, losses) == pytest.approx(floor / 2, rel=0.05)
    assert np.all(np.diff(losses) < 0)


def test_too_long_steps_diverge_and_say_so():
    run = truncated_descent(LOSS, 3 * START, [Stage(50.0, 100)])
    assert run.ending is Ending.diverged


def test_the_plateau_of_a_known_loss():
    times = np.linspace(0, 10, 2001)
    # log L falls at rates 2, 0.02 and 3, so that crossings are known.
    logs = np.where(times < 1, -2 * times, -2 - 0.02 * (times - 1))
    logs = np.where(times > 6, logs[1200] - 3 * (times - 6), logs)
    level = math.exp(-2)
    found = plateau(times, np.exp(logs), level)
    assert math.isclose(found.entry, 1 - math.log(2) / 2, rel_tol=1e-9)
    assert math.isclose(found.exit, 6 + (math.log(2) - 0.1) / 3, rel_tol=1e-9)
    assert math.isclose(found.length, found.exit - found.entry)
    assert level * math.exp(-0.1) <= found.height <= level
    # Not left yet, and never reached.
    open_end = plateau(times[:1000], np.exp(logs[:1000]), level)
    assert math.isinf(open_end.exit)
    assert plateau(times, np.full(2001, level), level).entry == 0
    assert Plateau(1.0, math.inf, 1.0).length == math.inf
    with pytest.raises(ValueError, match=r"never is at most twice the level 0\.1353: its least is"):
        plateau(times, np.full(2001, 1.0), level)


def test_shares_are_one_at_a_teacher():
    w = np.array([[0.0, -3.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(winning_shares(w), [1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    "stage", [(0.0, 10, 1.0), (0.1, 0, 1.0), (0.1, 10, 0.0), (math.nan, 10, 1.0)]
)
def test_stages_that_mean_nothing_are_refused(stage):
    with pytest.raises(ValueError, match=r"positive step, .* Use e.g. `Stage\(0.2, 10_000, bound"):
        Stage(*stage)


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="needs a stage"):
        truncated_descent(LOSS, START, [])
    with pytest.raises(ValueError, match=r"inputs, but the student's weights have shape \(8, 3\)"):
        truncated_descent(LOSS, START[:, :3], [Stage(0.1, 5)])
