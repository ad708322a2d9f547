"""How far to a change of sign: closed forms, bisection on the network itself, and a programme."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import Erf, Network
from shallows.model.subspace import coordinate_subspace, random_labels
from shallows.solve.flips import (
    first_flip,
    flip_by_programme,
    flip_radii,
    gradient_direction,
    input_gradient,
    ray_spline,
    universal_direction,
)
from shallows.solve.margin_training import MarginDescent, SignHeads


def _network(seed, m=30, d=4):
    rng = np.random.default_rng(seed)
    return Network(rng.normal(size=(m, d)), rng.normal(size=m) / m, rng.normal(size=m))


def test_first_flips_are_those_of_a_fine_grid_and_bisection():
    seen = 0
    for seed in range(40):
        network, rng = _network(seed), np.random.default_rng(100 + seed)
        x, z = rng.normal(size=(2, 4))
        found = first_flip(network, x, z)
        grid = np.linspace(0, 20, 4001)
        values = np.asarray(network(jnp.asarray(x + grid[:, None] * z)))
        crossed = np.flatnonzero(values * values[0] <= 0)
        if not len(crossed):
            assert found > 20
            continue
        seen += 1
        low, high = grid[crossed[0] - 1], grid[crossed[0]]
        for _ in range(60):
            middle = (low + high) / 2
            same = float(network(jnp.asarray(x + middle * z))) * values[0] > 0
            low, high = (middle, high) if same else (low, middle)
        assert abs(found - low) < 1e-11
        np.testing.assert_allclose(ray_spline(network, x, z)(grid), values, atol=1e-12)
    assert seen >= 5


def test_flips_of_networks_that_can_be_drawn():
    tent = Network([[1.0], [1.0], [1.0]], [1.0, -2.0, 1.0], [0.0, -1.0, -2.0])
    for x, z, flip in (
        (1.5, 1.0, 0.5),  # to the foot of the tent, where it is 0 for ever
        (1.5, -1.0, 1.5),
        (1.5, -3.0, 0.5),
        (5.0, 1.0, 0.0),  # it is 0 there
    ):
        assert abs(first_flip(tent, [x], [z]) - flip) < 1e-15
    assert first_flip(Network([[1.0]], [1.0], [1.0]), [1.0], [1.0]) == math.inf
    assert first_flip(Network([[1.0]], [1.0], [1.0]), [1.0], [0.0]) == math.inf


def test_gradients_are_those_of_central_differences_and_directions_their_parts():
    network, subspace = _network(3), coordinate_subspace(4, 2)
    x = np.random.default_rng(1).normal(size=4)
    h = 1e-6
    slope = [
        float(network(jnp.asarray(x + h * e)) - network(jnp.asarray(x - h * e))) / (2 * h)
        for e in np.eye(4)
    ]
    found = input_gradient(network, x)
    np.testing.assert_allclose(found, slope, atol=1e-9)
    np.testing.assert_allclose(gradient_direction(network, x), found / np.linalg.norm(found))
    off = gradient_direction(network, x, subspace)
    assert np.all(off[:2] == 0)
    assert abs(np.linalg.norm(off) - 1) < 1e-15
    universal = universal_direction(network, subspace)
    total = sum(
        float(a) * np.asarray(w)[2:] for a, w in zip(network.outer, network.inner, strict=True)
    )
    np.testing.assert_allclose(universal[2:], total / np.linalg.norm(total))


def test_trained_networks_flip_off_the_subspace_at_the_radii_that_are_told():
    data = random_labels(coordinate_subspace(40, 20), 6)
    run = MarginDescent(step=0.1).run(data, SignHeads(200).draw(40, 0))
    network = run.end.network
    for x in data.points:
        radii = flip_radii(network, x, data.subspace)
        value = float(network(jnp.asarray(x)))
        for radius, z in (
            (radii.universal, universal_direction(network, data.subspace)),
            (radii.own, gradient_direction(network, x, data.subspace)),
        ):
            away = -math.copysign(1.0, value) * z
            before, after = (
                float(network(jnp.asarray(x + t * radius * away))) for t in (1 - 1e-9, 1 + 1e-9)
            )
            assert before * value > 0 > after * value
        slope = np.linalg.norm(data.subspace.coordinates_off(input_gradient(network, x)))
        assert abs(radii.linear * slope - abs(value)) < 1e-12


def test_the_programme_finds_what_a_grid_finds_in_the_plane():
    network = _network(5, m=6, d=2)
    x = np.array([0.3, -0.2])
    sign = math.copysign(1.0, float(network(jnp.asarray(x))))
    side = np.linspace(-3, 3, 601)
    u, v = (grid.ravel() for grid in np.meshgrid(side, side))
    flips = sign * np.asarray(network(jnp.asarray(x + np.column_stack([u, v])))) <= 0
    nearest = np.min(np.maximum(np.abs(u), np.abs(v))[flips])
    found = flip_by_programme(network, x, within=3.0)
    assert nearest - 0.011 <= found.radius <= nearest + 1e-9
    assert abs(found.bound - found.radius) < 1e-7
    assert abs(float(network(jnp.asarray(x + found.shift)))) < 1e-6
    none = flip_by_programme(network, x, within=0.5 * found.radius)
    assert none.radius == math.inf
    assert none.bound >= 0.5 * found.radius * (1 - 1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: first_flip(_network(0), [1.0], np.ones(4)), "`point` must be a vector of 4"),
        (lambda: first_flip(_network(0), np.ones(4), [1.0]), "`direction` must be a vector of 4"),
        (lambda: input_gradient(Network([[1.0]], activation=Erf()), [1.0]), "Use one of `relu`"),
        (lambda: universal_direction(_network(0), coordinate_subspace(3, 1)), "one and the same"),
        (lambda: flip_by_programme(_network(0), np.ones(4), within=0.0), "positive radius"),
    ],
)
def test_misuse_is_named_with_a_remedy(call, words):
    with pytest.raises(ValueError, match=words):
        call()
