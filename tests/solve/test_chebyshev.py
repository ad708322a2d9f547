"""Stabilised steps on problems whose flow is known."""

import numpy as np
import pytest

from shallows.solve import Chebyshev, Stop, relaxation
from shallows.solve.chebyshev import _step

RATES = np.geomspace(1e-3, 1e3, 25)


def quadratic(y):
    return 0.5 * float(RATES @ y**2), RATES * y


def run(tolerance, **options):
    method = Chebyshev(tolerance=tolerance, **options.pop("method", {}))
    return relaxation(
        quadratic, lambda y: 1e3, np.ones(25), value=1e-30, until=50.0, method=method, **options
    )


def test_steps_are_of_second_order_and_stable_as_far_as_promised():
    slow = RATES[:9]  # at most 0.1

    def field(y):
        return 0.5 * float(slow @ y**2), slow * y

    for stages in (2, 3, 12, 60):
        errors = []
        for length in (0.5, 0.25):
            moved = _step(field, np.ones(9), slow, length, stages)
            errors.append(np.max(np.abs(moved - np.exp(-length * slow))))
        assert 6.5 < errors[0] / errors[1] < 9.5
        length = 0.653 * (stages**2 - 1) / 1e3
        moved = _step(quadratic, np.ones(25), RATES, length, stages)
        assert np.max(np.abs(moved)) <= 1


def test_stiff_decay_is_followed():
    for tolerance in (1e-3, 1e-5, 1e-7):
        found = run(tolerance)
        assert found.stop is Stop.reached_time
        assert found.times[-1] == 50.0
        assert np.max(np.abs(found.end - np.exp(-50 * RATES))) < tolerance ** (2 / 3)
    # A descent of step 1/λ needs 50,000 gradients.
    assert run(1e-3).gradients < 4000


def test_a_value_is_reached_and_states_are_kept_on_the_way():
    seen = []
    found = relaxation(
        quadratic, lambda y: 1e3, np.ones(25), value=0.01, snapshots=10,
        progress=lambda time, value: seen.append((time, value)),
    )  # fmt: skip
    assert found.stop is Stop.reached_value
    assert found.values[-1] <= 0.01 < found.values[-2]
    assert seen == list(zip(found.times[1:], found.values[1:], strict=True))
    assert 5 < len(found.kept) < 25
    assert found.kept_times[0] == 0.0
    assert found.kept_times[-1] == found.times[-1]
    for time, state in zip(found.kept_times, found.kept, strict=True):
        assert np.max(np.abs(state - np.exp(-RATES * time))) < 0.05


def test_each_way_to_stop():
    assert run(1e-3, method={"max_steps": 3}).stop is Stop.out_of_steps
    lifted = relaxation(lambda y: (1 + 0.5 * float(y @ y), y), lambda y: 1.0, np.ones(3), value=0.5)
    assert lifted.stop is Stop.stalled
    assert abs(lifted.values[-1] - 1) < 1e-6
    with np.errstate(over="ignore", invalid="ignore"):
        hill = relaxation(
            lambda y: (1 - float(np.sum(np.exp(y))), -np.exp(y)),
            lambda y: float(np.exp(np.max(y))),
            np.zeros(2),
            value=-1e300,
            until=2.0,
            method=Chebyshev(max_steps=2000),
        )
    assert hill.stop in (Stop.diverged, Stop.out_of_steps)
    assert hill.times[-1] < 1.0 + 1e-2  # the flow is at infinity at time 1


def test_starts_that_are_not_finite_are_misuse():
    with pytest.raises(ValueError, match="starts from finite numbers"):
        relaxation(quadratic, lambda y: 1.0, np.full(25, np.nan), value=1.0)
