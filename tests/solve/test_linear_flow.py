"""Flows of linear networks under dropout: rates, what is conserved, runs with masks, endings."""

import numpy as np
import pytest

from shallows.landscape import (
    Dropconnect,
    Dropout,
    LinearLoss,
    balanced,
    gaussian_start,
    minimisers,
    rank_one_levels,
)
from shallows.solve.evolution import Explicit
from shallows.solve.linear_flow import Arrival, fitted_rate, linear_flow, masked_descent

U, V = np.array([1.0, 2.0, 2.0]) / 3, np.array([0.6, 0.8])
SETTINGS = [(Dropout(0.3), 3), (Dropout(0.5), 6), (Dropout(0.8), 12), (Dropconnect(0.7), 5)]


def _near(loss, size=0.05, seed=0):
    a, b = minimisers(loss).point()
    x, y = gaussian_start(loss, size, np.random.default_rng(seed))
    return balanced(a + x, b + y)


def _check_near(loss):
    run = linear_flow(loss, *_near(loss))
    assert run.arrival is Arrival.arrived
    assert run.spectrum is not None
    assert run.spectrum.zeros == run.minimisers.dimension == loss.units
    # Two routes to the prediction, and the measured rate within 3 % (here within 0.5 %).
    assert run.spectrum.rate == pytest.approx(2 * rank_one_levels(loss)[1][0], rel=1e-6)
    assert run.rate().value == pytest.approx(run.spectrum.rate, rel=5e-3)
    assert run.evolution.drift("conserved") < 1e-8
    return run


@pytest.mark.parametrize(("masks", "f"), SETTINGS[:3])
def test_near_a_minimiser_the_loss_falls_at_the_rate_of_the_hessian(masks, f):
    _check_near(LinearLoss(2 * np.outer(U, V), f, masks))


@pytest.mark.slow
@pytest.mark.parametrize(("masks", "f"), SETTINGS)
def test_so_it_does_in_original_weights_and_so_does_the_distance(masks, f):
    run = _check_near(LinearLoss(2 * np.outer(U, V), f, masks).original)
    assert run.spectrum is not None
    times = np.array([0.5, 0.8]) * run.evolution.times[-1]
    near = run.distances(times)
    expected = (times[1] - times[0]) * run.spectrum.rate / 2
    assert np.log(near[0] / near[1]) == pytest.approx(expected, rel=0.03)


@pytest.mark.slow
def test_away_from_balance_the_rate_is_that_of_the_flows_own_limit():
    # facts: dynamics.md §4: s = (2, 1), f = 4, p = 1/2, Gaussian start of standard deviation 1/2.
    loss = LinearLoss(np.diag([2.0, 1.0, 0.0]), 4, Dropout(0.5))
    rates = []
    for seed in range(3):
        start = gaussian_start(loss, 0.5, np.random.default_rng(seed))
        run = linear_flow(loss, *start)
        assert run.spectrum is not None
        assert run.limit is not None
        rates.append(run.spectrum.rate)
        assert run.rate().value == pytest.approx(rates[-1], rel=0.03)
        assert run.rate().value == pytest.approx(run.linear_rate().value, rel=1e-3)
        assert run.evolution.drift("conserved") < 1e-8
        kept = loss.conserved(loss.join(*run.limit)) - loss.conserved(loss.join(*start))
        assert np.max(np.abs(kept)) < 1e-6
        singular = np.linalg.svd(run.limit[0] @ run.limit[1])[1]
        np.testing.assert_allclose(singular, [1.5, 0.5, 0.0], atol=1e-12)
    assert max(rates) > 2 * min(rates)


@pytest.mark.slow
def test_two_integrators_agree():
    loss = LinearLoss(2 * np.outer(U, V), 4, Dropout(0.5))
    start = gaussian_start(loss, 0.3, np.random.default_rng(1))
    stiff, plain = (linear_flow(loss, *start, method=how) for how in (None, Explicit()))
    times = np.linspace(0, 0.9, 7) * plain.evolution.times[-1]
    np.testing.assert_allclose(stiff.evolution.at(times), plain.evolution.at(times), atol=1e-6)


@pytest.mark.slow
def test_the_same_flow_in_original_weights_is_slower():
    for masks, factor in ((Dropout(0.6), 0.6), (Dropconnect(0.6), 0.36)):
        loss = LinearLoss(2 * np.outer(U, V), 4, masks)
        a, b = _near(loss)
        fast = linear_flow(loss, a, b)
        slow = linear_flow(loss.original, a / masks.gain, b / masks.gain)
        times = np.linspace(0, 0.8, 5) * fast.evolution.times[-1]
        np.testing.assert_allclose(
            slow.evolution.at(times / factor) * masks.gain, fast.evolution.at(times), atol=1e-6
        )


@pytest.mark.slow
def test_at_the_threshold_the_way_is_not_exponential():
    loss = LinearLoss(np.diag([1.0, 0.2]), 4, Dropout(0.5))
    run = linear_flow(loss, *_near(loss, 0.3), until=3000.0)
    assert run.arrival is Arrival.out_of_time
    # ẋ = −x³ in the flat directions: the gap falls like 1/t².
    times = np.array([750.0, 1500.0, 3000.0])
    ratios = np.log2(run.gap(times)[:-1] / run.gap(times)[1:])
    np.testing.assert_allclose(ratios, 2, atol=0.1)
    with pytest.raises(ValueError, match=r"no tail to fit. The loss has not come within"):
        run.rate()


@pytest.mark.slow
def test_a_symmetric_start_ends_at_a_saddle():
    loss = LinearLoss(np.diag([2.0, 1.0]), 2, Dropout(0.5))
    run = linear_flow(loss, np.zeros((2, 2)), np.zeros((2, 2)), until=10.0)
    assert run.arrival is not Arrival.arrived
    assert run.limit is None
    # In the span of the second direction only.
    a = np.array([[0.0, 0.0], [1.0, 0.5]])
    assert linear_flow(loss, a, a.T, until=1e3).arrival is Arrival.at_saddle


@pytest.mark.slow
def test_runs_with_masks_follow_the_mean_flow():
    loss = LinearLoss(2 * np.outer(U, V), 4, Dropout(0.5))
    start = gaussian_start(loss, 0.4, np.random.default_rng(2))
    flow = linear_flow(loss, *start)
    bias, spread = [], []
    for step in (0.01, 0.0025):
        runs = masked_descent(
            loss, *start, step=step, steps=round(2 / step), runs=300, every=round(0.5 / step)
        )
        exact = flow.gap(runs.times) + flow.minimisers.value
        bias.append(np.max(np.abs(runs.mean - exact)[1:]))
        spread.append(np.max(runs.losses.std(axis=0)))
        # Within five standard errors, and a bias of order step.
        assert np.all(np.abs(runs.mean - exact) < 5 * runs.standard_error + 20 * step)
    assert bias[1] < 0.5 * bias[0]
    assert spread[1] < spread[0]


def test_what_makes_no_sense_is_refused():
    loss = LinearLoss(2 * np.outer(U, V), 4, Dropout(0.3))
    start = gaussian_start(loss, 1.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="Error bars need two or more runs, but runs=1"):
        masked_descent(loss, *start, step=0.1, steps=1, runs=1)
    with pytest.raises(ValueError, match="With the step 10 runs diverge"):
        masked_descent(loss, *start, step=10.0, steps=100, runs=2)
    with pytest.raises(ValueError, match="three or more positive numbers, but these are 3 with"):
        fitted_rate(np.arange(3.0), np.array([1.0, 0.5, 0.0]))
    assert fitted_rate(np.arange(5.0), np.exp(-0.7 * np.arange(5.0))).value == pytest.approx(0.7)
