"""Censuses of several layers: where runs end, how they are counted, and their isotropy."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.atlas.depth import _data, deep_census
from shallows.lab import Store
from shallows.landscape.deep import DeepLoss
from shallows.model import Erf, Gaussian, Sample
from shallows.model.deep import Deep, closed_sample, iterated
from shallows.model.named import activation
from shallows.solve import GradientDescent, GradientFlow
from shallows.symmetry.gauge import by_relabelling, without_scales, without_signs


def _loss(k, points, sigma):
    base = np.asarray(Gaussian(k).draw(jax.random.key(0), points))
    return DeepLoss(iterated(k, 2, sigma), closed_sample(base))


def test_signs_that_cannot_matter_are_chosen_alike():
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(3, 3)) for _ in range(3)]
    x = jnp.asarray(rng.normal(size=(5, 3)))
    flips = [np.array([1, -1, -1]), np.array([-1, 1, -1])]
    odd = [
        flips[0][:, None] * layers[0],
        flips[1][:, None] * layers[1] * flips[0],
        layers[2] * flips[1],
    ]
    tanh = activation("tanh")
    np.testing.assert_allclose(
        Deep(odd, activation=tanh)(x), Deep(layers, activation=tanh)(x), atol=1e-14
    )
    for one, two in zip(without_signs(odd, -1), without_signs(layers, -1), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-14)
    even = [np.sign(rng.normal(size=3))[:, None] * w for w in layers]
    for one, two in zip(without_signs(even, 1), without_signs(layers, 1), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-14)
    assert all(np.array_equal(a, b) for a, b in zip(without_signs(odd, 0), odd, strict=True))


def _theta(loss, layers):
    return loss.trained.join([jnp.asarray(w) for w in layers])


def _scaled(layers, loss):
    return without_scales(layers, loss.activation, _data(loss)[0])


def _rows(loss, layers):
    points, mass = _data(loss)
    outputs = np.asarray(loss.student(_theta(loss, layers))(jnp.asarray(points)))
    return by_relabelling(outputs, points, mass)


def test_scales_and_silent_units_of_a_relu_network_do_not_matter():
    loss = _loss(3, 4, activation("relu"))
    rng = np.random.default_rng(1)
    layers = [rng.normal(size=(3, 3)) for _ in range(2)]
    layers[0][1], layers[1] = 0.0, np.abs(layers[1])  # one unit is silent
    made, idle = _scaled(layers, loss)
    before, after = (
        np.asarray(loss.student(_theta(loss, w))(loss.law.points)) for w in (layers, made)
    )
    np.testing.assert_allclose(after, before, atol=1e-14)
    into, out = np.linalg.norm(made[0], axis=1), np.linalg.norm(made[1], axis=0)
    np.testing.assert_allclose(into, out, atol=1e-14)
    # Two scales, and the six weights of the silent unit; along them the loss stays.
    assert idle.shape == (18, 8)
    slope = np.asarray(loss.gradient_at(_theta(loss, made), jnp.zeros(1)))[0]
    assert np.abs(slope @ idle).max() < 1e-14 < 1e-3 < np.linalg.norm(slope)
    # The same student, rescaled and relabelled, comes out the same.
    twin = [np.diag([2.0, 1, 0.3]) @ layers[0], layers[1] @ np.diag([0.5, 1, 1 / 0.3])]
    np.testing.assert_allclose(_scaled(twin, loss)[0][0], made[0], atol=1e-13)
    turned = [layers[0][[2, 0, 1]][:, [1, 2, 0]], layers[1][[1, 0, 2]][:, [2, 0, 1]]]
    np.testing.assert_allclose(
        _rows(loss, turned),
        _rows(loss, layers),
        atol=1e-13,
    )


def test_data_that_are_not_closed_have_no_relabellings():
    points = np.random.default_rng(0).normal(size=(6, 3))
    loss = DeepLoss(iterated(3, 2), Sample(points))
    assert _rows(loss, [np.eye(3)] * 2).shape == (1, 6)
    closed = _loss(3, 2, activation("relu"))
    rows = _rows(closed, [np.eye(3)] * 2)
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], (6, 2)), atol=1e-14)


def test_relu_networks_are_counted_by_function_and_kinks_are_told():
    loss = _loss(2, 6, activation("relu"))
    found = deep_census(loss, 8, GradientDescent(0.2, max_steps=20_000))
    assert found.settled + sum(found.unsettled.values()) == 8
    assert found.settled >= 4
    assert sum(family.is_global for family in found.families) == 1  # one function, many weights
    for family in found.families:
        assert family.gradient_norm <= 1e-12
        assert family.symmetries in (1, 2)
        student = Deep(family.layers, activation=loss.activation)
        assert float(loss(student)) == pytest.approx(family.loss, abs=1e-13)
        if family.is_global:
            assert family.symmetries == 2


def test_a_run_without_steps_to_spare_is_counted_and_not_called_settled():
    loss = _loss(2, 3, Erf())
    found = deep_census(loss, 2, GradientDescent(0.1, max_steps=100))
    assert (found.settled, found.unsettled, found.families) == (0, {"out_of_steps": 2}, ())


@pytest.mark.slow
def test_end_points_are_critical_minima_and_families_do_not_depend_on_the_order(tmp_path):
    loss = _loss(3, 5, Erf())
    store = Store(tmp_path / "store")
    found = deep_census(loss, 6, GradientFlow(max_steps=4000), store=store)
    assert found.settled + sum(found.unsettled.values()) == 6
    assert found.settled > 0
    for family in found.families:
        student = Deep(family.layers, activation=loss.activation)
        slope = np.concatenate([np.ravel(g) for g in loss.gradient(student)])
        assert np.linalg.norm(slope) < 1e-11
        assert float(loss(student)) == pytest.approx(family.loss, abs=1e-13)
        least = np.linalg.eigvalsh(loss.hessian(student))[0]
        assert family.smallest_eigenvalue == pytest.approx(least, rel=1e-4, abs=1e-10)
        # Generators fix the layers up to the tolerance.
        for units in family.isotropy.generators:
            for l, w in enumerate(family.layers):
                moved = w[np.ix_(units[l + 1], units[l])]
                assert np.abs(moved - w).max() <= 1e-5 * np.abs(w).max()
        if family.is_global:
            assert (family.isotropy.name, family.index) == ("ΔS3", 1)
    seen: list[int] = []
    again = deep_census(loss, 6, GradientFlow(max_steps=4000), store=store, progress=seen.append)
    assert seen[-1] == 6
    first, second = (json.loads(json.dumps(c.as_json())) for c in (found, again))
    assert first["families"] == second["families"]


@pytest.mark.slow
def test_least_symmetry_breaking_with_four_units_and_two_layers():
    # Reference: computed here; the flow ends at points that keep a Young subgroup.
    found = deep_census(_loss(4, 10, Erf()), 20, GradientFlow(max_steps=5000))
    names = {family.isotropy.name for family in found.families}
    assert {"ΔS4", "Δ(S3×S1)"} <= names
    assert all(family.isotropy.is_diagonal for family in found.families)
