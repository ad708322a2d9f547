"""The Hessian as Newton asks for it: its two forms against each other and against LAPACK."""

import numpy as np
import pytest

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
        assert products.top == pytest.approx(values[-1], rel=1e-9)


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
        top = products.top
        edge = 1e-12 * top
        assert dense.is_above(least - edge)
        assert not dense.is_above(least + edge)
        # From above: whether the cheap bound suffices or not.
        for bound in (top - 1e-8, top + 1e-8, 1.1 * top, 10 * top, np.inf):
            assert dense.is_below(bound) == products.is_below(bound) == (bound > top)


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


@pytest.mark.parametrize("k", SIZES)
def test_both_forms_multiply(k):
    x = np.random.default_rng(1).normal(size=(k, k))
    for w in _points(k).values():
        dense, products = _both(k, w)
        expected = (dense.matrix @ x.ravel()).reshape(k, k)
        np.testing.assert_allclose(products.times(x), expected, rtol=0, atol=1e-12 * k)
        assert np.array_equal(dense.times(x), expected)


@pytest.mark.slow
def test_the_form_is_chosen_by_the_number_of_parameters():
    k = int(np.sqrt(DENSE))
    for size, kind in ((k, Dense), (k + 1, Products)):
        w = np.random.default_rng(0).normal(size=(size, size))
        assert isinstance(curvature_at(_loss(size), w, np.ones(size)), kind)
