"""The Hessian as Newton asks for it: its two forms against each other and against LAPACK."""

import numpy as np
import pytest
import scipy.linalg

import zoo
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, orthonormal
from shallows.solve.curvature import DENSE, Dense, Products, curvature_at


def _loss(k):
    return SquaredLoss(orthonormal(k), Gaussian(k))


def _points(k):
    """A random point, the global minimum and one of full symmetry."""
    rng = np.random.default_rng(k)
    points = {
        "random": rng.normal(size=(k, k)) / np.sqrt(k),
        "global": np.eye(k),
        "symmetric": 2 / k - np.eye(k),
    }
    if k == 6:
        points["II"] = np.asarray(zoo.spurious("II", k).inner)
        points["near II"] = points["II"] + 1e-3 * rng.normal(size=(k, k))
    return points


def _both(k, w):
    return Dense(_loss(k), w, np.ones(k)), Products(_loss(k), w, np.ones(k))


SIZES = [4, 6, pytest.param(12, marks=pytest.mark.slow)]


@pytest.mark.parametrize("k", SIZES)
def test_both_forms_see_both_ends_of_the_spectrum(k):
    # Symmetric points have few distinct eigenvalues: the recurrence ends early, and a start in an
    # invariant subspace would see only some of them.
    for w in _points(k).values():
        dense, products = _both(k, w)
        values = np.linalg.eigvalsh(dense.matrix)
        assert products.smallest == pytest.approx(values[0], abs=1e-9 * values[-1])
        assert products.largest() == pytest.approx(values[-1], rel=1e-9)
        assert dense.largest() == pytest.approx(values[-1], rel=1e-6)
        assert dense.largest() <= values[-1] * (1 + 1e-14)


@pytest.mark.parametrize("k", SIZES)
def test_both_forms_know_whether_all_eigenvalues_are_above_a_bound(k):
    for w in _points(k).values():
        dense, products = _both(k, w)
        least = np.linalg.eigvalsh(dense.matrix)[0]
        for bound in (-1.0, 0.0, 0.8 * least, 1.1 * least, 1.0):
            assert dense.is_above(bound) == (bound < least)
            # Products ask for a margin, on the safe side.
            assert products.is_above(bound) <= (bound < least)
        assert products.is_above(0.8 * least) == (least > 0)
        edge = 1e-12 * dense.largest()
        assert dense.is_above(least - edge)
        assert not dense.is_above(least + edge)


@pytest.mark.parametrize("k", SIZES)
def test_both_forms_solve_with_a_positive_hessian(k):
    g = np.random.default_rng(0).normal(size=(k, k))
    for name, w in _points(k).items():
        dense, products = _both(k, w)
        exact = dense.solver()
        assert exact is not None
        expected = np.linalg.solve(dense.matrix, g.ravel()).reshape(k, k)
        np.testing.assert_allclose(
            exact(g), expected, rtol=0, atol=1e-9 * float(np.linalg.norm(expected))
        )
        is_positive = np.linalg.eigvalsh(dense.matrix)[0] > 0
        approximate = products.solver()
        assert (approximate is not None) == is_positive, name
        if approximate is not None:
            residual = dense.matrix @ approximate(g).ravel() - g.ravel()
            assert np.linalg.norm(residual) <= 1e-4 * np.linalg.norm(g)


def test_a_singular_hessian_has_no_solver():
    dense = Dense(_loss(3), np.eye(3), np.ones(3))
    dense.matrix = np.diag([1.0] * 8 + [0.0])
    assert dense.solver() is None
    dense.matrix = np.diag([1.0] * 8 + [-1.0])  # but a saddle has one
    solve = dense.solver()
    assert solve is not None
    np.testing.assert_allclose(solve(np.ones((3, 3))).ravel(), [1] * 8 + [-1])


@pytest.mark.parametrize("size", [1e-4, 1e-3])
def test_the_change_between_two_hessians_is_relative_to_the_first(size):
    w, a = np.asarray(zoo.spurious("II", 6).inner), np.ones(6)
    axis = size * np.random.default_rng(5).normal(size=(6, 6))
    here, there = (Dense(_loss(6), x, a) for x in (w, w + axis))
    # The largest generalised eigenvalue of their difference.
    exact = np.abs(scipy.linalg.eigvalsh(there.matrix - here.matrix, here.matrix)).max()
    assert here.change_to(there, axis) == pytest.approx(exact, rel=1e-3)
    mine, theirs = (Products(_loss(6), x, a) for x in (w, w + axis))
    # Products look along the axis and at the smallest eigenvalue only: a bound from below.
    assert 0.5 * exact < mine.change_to(theirs, axis) <= exact * (1 + 1e-6)


def test_nothing_changes_from_a_point_to_itself():
    w, a = np.asarray(zoo.spurious("II", 6).inner), np.ones(6)
    for kind in (Dense, Products):
        one = kind(_loss(6), w, a)
        assert one.change_to(one, np.ones((6, 6))) == pytest.approx(0, abs=1e-12)
    one = Dense(_loss(6), w, a)
    assert one.change_to(one, np.zeros((6, 6))) == 0


def test_the_form_is_chosen_by_the_number_of_parameters():
    k = int(np.sqrt(DENSE))
    for size, kind in ((k, Dense), (k + 1, Products)):
        w = np.random.default_rng(0).normal(size=(size, size))
        assert isinstance(curvature_at(_loss(size), w, np.ones(size)), kind)
