"""Wide networks: gradients and kernels by two routes, what runs conserve and bound, searches."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import tangent_kernel
from shallows.model.unit_data import UnitData, pair_data
from shallows.solve.overparameterised import (
    HeNetwork,
    WideEnding,
    WideNetwork,
    output_kernel,
    smallest_width,
    wide_descent,
)

PAIR = pair_data(5, 6, 0.4, constant=0.5, seed=0)
TWO = pair_data(5, 6, 0.4, outputs=2, constant=0.5, seed=0)


def loss(network, data):
    miss = network(data.points) - data.targets
    return float(np.mean(np.sum(miss**2, axis=1))) / 2


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_step_is_along_the_gradient_by_differences(depth):
    law = HeNetwork(7, depth)
    start = law.draw(TWO, seed=1)
    run = wide_descent(TWO, start, step=1e-3, steps=1, until=1e-9)
    gradients = [(w - v) / 1e-3 for w, v in zip(start.layers, run.end.layers, strict=True)]
    h, found = 1e-6, []
    for l, w in enumerate(start.layers):
        slopes = np.zeros_like(w)
        for i in np.ndindex(*w.shape):
            values = []
            for sign in (1, -1):
                moved = [v.copy() for v in start.layers]
                moved[l][i] += sign * h
                values.append(loss(WideNetwork(tuple(moved), start.heads), TWO))
            slopes[i] = (values[0] - values[1]) / (2 * h)
        found.append(slopes)
        np.testing.assert_allclose(gradients[l], slopes, atol=1e-8)
    square = sum(float(np.sum(g**2)) for g in found)
    assert abs(run.squares[0] / square - 1) < 1e-6
    assert abs(run.losses[0] - loss(start, TWO)) < 1e-15
    assert abs(run.losses[1] - loss(run.end, TWO)) < 1e-15


@pytest.mark.parametrize("depth", [1, 2])
def test_the_kernel_of_all_outputs_is_that_of_each_on_the_diagonal(depth):
    network = HeNetwork(7, depth).draw(TWO, seed=2)
    whole = output_kernel(network, TWO.points)
    deep = network.as_deep()
    np.testing.assert_allclose(deep(jnp.asarray(TWO.points)), network(TWO.points), atol=1e-14)
    for a in range(2):
        one = WideNetwork(network.layers, network.heads[:, [a]]).as_deep()
        one = type(one)(one.layers, one.outer[:, 0])
        expected = tangent_kernel(one, TWO.points, rates=(1.0,) * depth + (0.0,))
        np.testing.assert_allclose(whole[5 * a : 5 * a + 5, 5 * a : 5 * a + 5], expected)
    np.testing.assert_allclose(whole, whole.T)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_at_every_step_the_ratio_is_between_the_eigenvalues_of_its_kernel(depth):
    law = HeNetwork(30, depth)
    network, worst = law.draw(TWO, seed=3), 0.0
    for _ in range(8):
        kernel = output_kernel(network, TWO.points)
        residual = (network(TWO.points) - TWO.targets).T.ravel()
        run = wide_descent(TWO, network, step=law.step(2), steps=5, until=1e-9)
        square = residual @ kernel @ residual / 25
        worst = max(worst, abs(run.squares[0] / square - 1))
        low, high = np.linalg.eigvalsh(kernel)[[0, -1]] * 2 / 5
        assert low <= run.ratios[0] <= high
        network = run.end
    assert worst < 1e-12


@pytest.mark.parametrize(("depth", "width"), [(1, 100_000), (2, 1500), (3, 1500)])
def test_kernels_of_wide_networks_tend_to_the_limit(depth, width):
    law = HeNetwork(width, depth)
    found = output_kernel(law.draw(TWO, seed=4), TWO.points) * 2 / width
    limit = np.kron(np.eye(2), law.limit.tangent(TWO.points))
    # An entry deviates by about 3 m^(−1/2) of the diagonal; depth adds a layer's each.
    assert np.max(np.abs(found - limit)) < 6 * math.sqrt(depth / width) * np.max(limit)
    assert abs(law.rate(TWO) * 5 * depth**2 / 2 - np.linalg.eigvalsh(limit)[0]) < 1e-12


def test_a_very_wide_network_moves_as_its_first_kernel_predicts():
    far = pair_data(4, 6, 0.8, constant=0.5, apart=0.8, seed=1)
    errors = []
    for width in (250, 8000):
        law = HeNetwork(width)
        run = wide_descent(far, law.draw(far, seed=5), step=law.step(1), steps=1000)
        assert run.ending is WideEnding.converged
        distance = np.sqrt(run.losses[run.records])
        errors.append(np.max(np.abs(np.sqrt(run.prediction()) - distance)) / distance[0])
    assert errors[1] < 0.01
    assert errors[1] < errors[0] / 3
    # Wide networks converge in the steps that the halved rate allows, and barely move.
    assert run.iterations <= law.allowed_steps(far, 1e-4)
    assert run.flips[-1] < 0.01
    assert run.ratios.min() > 0.9 * 2 * law.rate(far) / law.step(1)


def test_records_are_of_the_weights_at_their_steps():
    law = HeNetwork(50, 2)
    start = law.draw(PAIR, seed=6)
    run = wide_descent(PAIR, start, step=law.step(1), steps=60, records=4)
    assert run.records.tolist() == [0, 1, 4, 15, 60]
    assert run.ending is WideEnding.out_of_steps
    half = wide_descent(PAIR, start, step=law.step(1), steps=15).end
    moved = [w - v for w, v in zip(half.layers, start.layers, strict=True)]
    frobenius = math.sqrt(sum(float(np.sum(v**2)) for v in moved))
    assert abs(run.displacements[3] - frobenius) < 1e-13
    rows = max(float(np.max(np.linalg.norm(v, axis=1))) for v in moved)
    assert abs(run.largest_moves[3] - rows) < 1e-13
    patterns = []
    for network in (start, half):
        first = np.maximum(PAIR.points @ network.layers[0].T, 0)
        patterns.append([first > 0, first @ network.layers[1].T > 0])
    assert run.flips[3] == np.mean(np.array(patterns[0]) != np.array(patterns[1]))
    # No way is shorter than the straight one.
    assert np.all(run.displacements <= run.lengths[run.records] + 1e-14)
    assert abs(run.lengths[1] - run.displacements[1]) < 1e-14


def test_runs_end_where_they_should():
    law = HeNetwork(40)
    start = law.draw(PAIR, seed=7)
    done = wide_descent(PAIR, start, step=law.step(1), steps=5000, until=1e-2)
    assert done.ending is WideEnding.converged
    assert done.losses[-1] <= 1e-2 * done.losses[0] < done.losses[-2]
    assert done.iterations == done.records[-1] == len(done.lengths) - 1
    # A large step switches all neurons off where there is one layer; two are cubic before that.
    dead = wide_descent(PAIR, start, step=100 * law.step(1), steps=500)
    assert dead.ending is WideEnding.stalled
    assert not np.any(PAIR.points @ dead.end.layers[0].T > 0)
    blown = wide_descent(PAIR, HeNetwork(40, 2).draw(PAIR), step=200 * law.step(1), steps=500)
    assert blown.ending is WideEnding.diverged
    assert "smaller step" in blown.ending.value
    level = done.ratios[-1] * 1.5
    early = wide_descent(PAIR, start, step=law.step(1), steps=5000, kept=level)
    assert early.ending is WideEnding.below
    assert early.ratios[-1] < level <= early.ratios[:-1].min()


def test_allowed_steps_are_the_least_at_half_the_rate():
    law = HeNetwork(10, 2)
    rate = law.rate(PAIR) / 2
    steps = law.allowed_steps(PAIR, 1e-3)
    assert (1 - rate) ** steps <= 1e-3 < (1 - rate) ** (steps - 1)
    # Whatever the width: the step falls as the kernel grows.
    assert HeNetwork(1000, 2).allowed_steps(PAIR, 1e-3) == steps
    gram = law.limit.tangent(PAIR.points)
    assert abs(law.rate(PAIR) - law.step(1) * 10 * np.linalg.eigvalsh(gram)[0] / 5) < 1e-15


def test_a_search_brackets_the_width_at_which_half_of_the_runs_converge():
    sets = [pair_data(4, 8, 0.8, constant=0.5, apart=0.8, seed=s) for s in range(3)]
    heard: list[int] = []
    found = smallest_width(sets, kept=0.5, resolution=0.2, progress=heard.append)
    assert sorted(heard) == [width for width, _, _ in found.tried]
    good = {width for width, won, _ in found.tried if 2 * won >= 3}
    bad = {width for width, _, _ in found.tried} - good
    assert found.width in good
    below = max(width for width in bad if width < found.width)
    assert found.width - below <= max(1, 0.2 * below)
    # By hand, at that width and at the one below it.
    for width in (found.width, below):
        law, won = HeNetwork(width), 0
        for seed, data in enumerate(sets):
            run = wide_descent(
                data, law.draw(data, seed), step=law.step(1),
                steps=law.allowed_steps(data, 1e-4),
            )  # fmt: skip
            limit = 2 * width * np.linalg.eigvalsh(law.limit.tangent(data.points))[0] / 4
            won += run.ending is WideEnding.converged and run.ratios.min() >= limit / 2
        assert (2 * won >= 3) == (width == found.width)
    assert smallest_width(sets, kept=0.5, most=4).width is None


def test_what_makes_no_sense_is_refused():
    opposite = UnitData([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0.6, 0, 0.8],
                         [-0.6, 0, -0.8], [0, 0.6, 0.8], [0, -0.6, -0.8]], np.ones(8))  # fmt: skip
    # Opposite points, more pairs than inputs: no kernel without a constant tells them all apart.
    with pytest.raises(ValueError, match=r"is singular at these points.* are 0 and 1. Append a"):
        HeNetwork(10).rate(opposite)
    scaled = np.column_stack([opposite.points * math.sqrt(0.75), np.full(8, 0.5)])
    assert HeNetwork(10).rate(UnitData(scaled, np.ones(8))) > 1e-3
    start = HeNetwork(5).draw(PAIR)
    with pytest.raises(ValueError, match=r"6 inputs and 2 outputs, but the network has 6 and 1"):
        wide_descent(TWO, start, step=0.1, steps=5)
    with pytest.raises(ValueError, match=r"positive step, .* steps=0, records=30 and until=0.0001"):
        wide_descent(PAIR, start, step=0.1, steps=0)
    with pytest.raises(ValueError, match="`width`"):
        HeNetwork(0)
    with pytest.raises(ValueError, match=r"has 0 data sets, resolution=0.1"):
        smallest_width([])
