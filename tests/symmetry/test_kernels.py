"""Reduced losses of every activation against the loss on all weights."""

import numpy as np
import pytest

import zoo
from shallows.landscape import SquaredLoss
from shallows.model import Erf, Gaussian, Network, orthonormal, relu
from shallows.solve import symmetric_point
from shallows.symmetry import Balls, Blocks, Floats, ReducedLoss, spectrum

# One of each kind: the others differ from these in their overlaps only.
NAMES = ["leaky", "erf", "polynomial"]


@pytest.mark.parametrize("name", NAMES)
def test_the_reduced_loss_is_the_loss_on_the_fixed_point_space(name):
    s, blocks = zoo.activations()[name], Blocks((3, 2))
    reduced = ReducedLoss(blocks, activation=s)
    point = np.random.default_rng(3).normal(size=len(blocks.orbits)) / 2
    full = SquaredLoss(orthonormal(5, activation=s), Gaussian(5))
    w = np.asarray(blocks.embed(point))
    student = Network(w, activation=s)
    value = float(full(student))
    assert reduced.value(point) == pytest.approx(value, rel=1e-12, abs=1e-13)
    # Orbits are the directions in which the reduced loss is differentiated.
    along = [np.asarray(blocks.embed(row)).ravel() for row in np.eye(len(point))]
    slope = np.asarray(full.gradient(student)).ravel()
    np.testing.assert_allclose(reduced.gradient(point), along @ slope, atol=1e-12)
    hessian = np.asarray(full.hessian(student))
    expected = np.array(along) @ hessian @ np.transpose(along)
    np.testing.assert_allclose(reduced.hessian(point), expected, atol=3e-12)


@pytest.mark.slow  # compiles a dense Hessian
def test_the_spectrum_of_a_critical_point_of_another_activation_is_that_of_the_dense_hessian():
    s, blocks = Erf(), Blocks((4, 1), is_single=(False, True))
    reduced = ReducedLoss(blocks, activation=s)
    # One neuron opposite to its teacher: what a census calls Δ(S4×S1), p = 1.
    found = symmetric_point(reduced, [1.02, 0.18, 0.345, -0.51, -0.365])
    assert found.gradient_norm < 1e-12
    assert reduced.value(found.point) == pytest.approx(0.018878513, abs=1e-8)
    student = Network(np.asarray(blocks.embed(found.point)), activation=s)
    dense = np.linalg.eigvalsh(
        SquaredLoss(orthonormal(5, activation=s), Gaussian(5)).hessian(student)
    )
    parts = spectrum(reduced, found.point)
    ours = np.sort(np.concatenate([[float(p.eigenvalue)] * int(p.multiplicity) for p in parts]))
    np.testing.assert_allclose(ours, dense, atol=1e-12)


def test_piecewise_linear_activations_are_known_in_balls_and_smooth_ones_are_not():
    blocks, point = Blocks((7,)), [0.8, 0.1]
    balls = Balls(128)
    for s in (zoo.activations()["leaky"], zoo.activations()["abs"], relu):
        loss = ReducedLoss(blocks, activation=s)
        with balls.precision():
            exact = loss.value(point, balls)
            assert float(exact.rad()) < 1e-30
            assert float(exact) == pytest.approx(loss.value(point, Floats()), abs=1e-13)
    with pytest.raises(ValueError, match="The overlap of erf is known in floats only, not in Bal"):
        ReducedLoss(blocks, activation=Erf()).value(point, balls)
