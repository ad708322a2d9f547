"""Gradient flow in two coordinates, past samples and along them."""

import numpy as np
import pytest

from shallows.landscape import LineLoss, invariants, polar
from shallows.solve import Passage, full_flow, twin_flow
from shallows.solve.evolution import Ending


def problem(seed, m=6, n=5):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.normal(size=n)), rng.normal(size=n)
    return LineLoss(x, y, float(m)), rng.normal(size=(3, m))


@pytest.mark.parametrize("seed", [0, 2])
def test_full_and_reduced_flow_agree_and_delta_stays(seed):
    loss, z = problem(seed)
    both = twin_flow(loss, z, until=3.0)
    assert both.full.path.ending is both.reduced.path.ending is Ending.reached_end
    assert np.max(both.distance) < 1e-8
    assert both.drift < 1e-11
    ours, theirs = both.full.encounters, both.reduced.encounters
    assert [(e.neuron, e.sample, e.passage) for e in ours] == [
        (e.neuron, e.sample, e.passage) for e in theirs
    ]
    assert len(ours) >= 2
    assert np.allclose([e.time for e in ours], [e.time for e in theirs], atol=1e-9)


def test_a_knot_slides_where_a_sample_attracts_it_from_both_sides():
    loss, z = problem(4)
    both = twin_flow(loss, z, until=3.0)
    ((neuron, sample),) = both.full.resting
    assert both.reduced.resting == both.full.resting
    (rest,) = [e for e in both.full.encounters if e.passage is Passage.rests]
    a, b, _ = both.full.path.at(np.linspace(rest.time, 3.0, 9)).reshape(9, 3, 6)[:, :, neuron].T
    assert np.max(np.abs(b / a - loss.x[sample])) < 1e-9
    assert np.max(both.distance) < 1e-8
    # Descent with small steps chatters about the same state.
    state, step = z, 2e-3
    for _ in range(1500):
        state = state - step * loss.gradient_at(state)
    end = both.full.path.states[-1].reshape(3, 6)
    assert np.max(np.abs(state - end)) < 5 * step


def test_a_neuron_whose_inner_weights_vanish_ends_the_run():
    loss, z = problem(1)
    both = twin_flow(loss, z, until=3.0)
    assert both.full.path.ending is both.reduced.path.ending is Ending.event
    assert both.full.vanished == both.reduced.vanished == 3
    assert invariants(z)[3] > 0  # else they cannot
    assert abs(both.full.path.times[-1] - both.reduced.path.times[-1]) < 1e-7
    end = both.full.path.states[-1].reshape(3, 6)
    assert np.hypot(end[0, 3], end[1, 3]) < 1e-3


def test_paths_are_joined_without_gaps():
    loss, z = problem(0)
    flow = full_flow(loss, z, until=3.0)
    path = flow.path
    assert np.all(np.diff(path.times) > 0)
    assert np.max(np.abs(path.at(path.times) - path.states)) < 1e-9
    assert np.array_equal(path.states[0], z.ravel())
    values = [loss.value_at(y.reshape(3, 6)) for y in path.states]
    assert np.all(np.diff(values) < 0)
    assert np.allclose(polar(z), polar(path.at(0.0).reshape(3, 6)))


def test_neurons_without_an_angle_are_misuse():
    loss, z = problem(0)
    z[:2, 4] = 0.0
    with pytest.raises(ValueError, match="Neuron 4 has inner weights zero"):
        twin_flow(loss, z, until=1.0)
