"""How many starts are followed at once, on a CPU and on an accelerator."""

import types

import jax
import numpy as np
import pytest

from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Network, orthonormal
from shallows.solve import GradientDescent, Outcome, flow, trajectory

LOSS = SquaredLoss(orthonormal(3), Gaussian(3))
STARTS = Network(np.random.default_rng(0).normal(size=(5, 3, 3)) / np.sqrt(3))


def test_lanes_on_a_cpu_are_few_and_on_an_accelerator_fill_an_eighth_of_its_memory():
    assert flow.lanes_for(3, 3, None) == 256
    assert flow.lanes_for(20, 20, None) == 64
    assert flow.lanes_for(1000, 1000, None) == 4
    memory = 80 * 2**30
    for k in (3, 20, 100, 1000):
        lanes = flow.lanes_for(k, k, memory)
        used = lanes * k * k * 8 * 100
        assert used <= memory / 8 or lanes == 4
        # No fewer than fit, short of the bound on lanes.
        assert lanes in (4, 65_536) or used * (lanes + 1) / lanes > memory / 8
    assert flow.lanes_for(20, 20, memory) > 256
    assert flow.lanes_for(3, 3, memory) == 65_536


@pytest.mark.parametrize(
    ("stats", "expected"), [({"bytes_limit": 2**34}, 2**34), (None, 2**32), ({}, 2**32)]
)
def test_memory_is_asked_of_the_device(monkeypatch, stats, expected):
    assert flow.device_memory() is None or jax.default_backend() != "cpu"
    device = types.SimpleNamespace(platform="gpu", memory_stats=lambda: stats)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert flow.device_memory() == expected
    device.platform = "cpu"
    assert flow.device_memory() is None


@pytest.mark.slow  # compiled twice
def test_all_lanes_at_once_end_where_they_end_in_turn(monkeypatch):
    """What an accelerator does, on whatever there is."""
    method = GradientDescent(0.5)
    in_turn = trajectory(LOSS, STARTS, method)
    jax.clear_caches()
    monkeypatch.setattr(flow.jax, "default_backend", lambda: "gpu")
    at_once = trajectory(LOSS, STARTS, method)
    monkeypatch.undo()
    jax.clear_caches()
    assert set(at_once.outcome) == {Outcome.settled}
    assert at_once.outcome == in_turn.outcome
    np.testing.assert_allclose(at_once.student.inner, in_turn.student.inner, rtol=0, atol=1e-11)


@pytest.mark.skipif(jax.default_backend() != "gpu", reason="JAX finds no GPU")
def test_a_gpu_finds_what_a_cpu_finds():
    on_gpu = trajectory(LOSS, STARTS, GradientDescent(0.5))
    with jax.default_device(jax.devices("cpu")[0]):
        on_cpu = trajectory(LOSS, STARTS, GradientDescent(0.5))
    assert on_gpu.outcome == on_cpu.outcome
    np.testing.assert_allclose(on_gpu.student.inner, on_cpu.student.inner, rtol=0, atol=1e-10)
