"""The in-plane criterion: what it means, and where its sign changes."""

import numpy as np
import pytest

from shallows.landscape.planar import directions, is_inside_cone, planar_residual
from shallows.model.pulls import expected_pull, pull_error, sampled_pull


@pytest.mark.parametrize("angle", [0.3, 3 * np.pi / 8, 7 * np.pi / 8, 3.0])
def test_positive_exactly_inside_the_cone(angle):
    first, second = directions(np.array([0.0, angle]))
    φ = np.linspace(0, 2 * np.pi, 720)
    away = np.min([np.abs(np.angle(np.exp(1j * (φ - x)))) for x in (0.0, angle)], axis=0) > 0.02
    w = directions(φ[away])
    inside = φ[away] < angle
    assert np.array_equal(is_inside_cone(first, second, w), inside)
    assert np.array_equal(planar_residual(first, second, w) > 0, np.stack([inside] * 2, axis=-1))


def test_it_is_what_remains_of_the_gradient_once_lengths_are_right():
    rng = np.random.default_rng(0)
    e = directions(np.array([0.2, 1.7]))
    sizes, units = rng.uniform(0.5, 2, size=2), directions(rng.uniform(0, 6, size=2))
    pulls = (
        2 * np.pi * np.array([[expected_pull(e[i], w) for w in (*e, *units)] for i in (0, 1)])
    )  # student i, of whom, component
    mine = np.array([pulls[i] @ e[i] for i in (0, 1)])
    lengths = np.linalg.solve(mine[:, :2], mine[:, 2:] @ sizes)
    other = np.array([pulls[i] @ e[1 - i] for i in (0, 1)])
    remains = other[:, 2:] @ sizes - other[:, :2] @ lengths
    found = sizes @ planar_residual(e[0], e[1], units)
    np.testing.assert_allclose(found, remains, atol=1e-13)


def test_parallel_students_are_refused():
    e = np.array([1.0, 0.0])
    with pytest.raises(ValueError, match=r"parallel, \[1.0, 0.0\] and \[-2.0, 0.0\]"):
        planar_residual(e, np.array([-2.0, 0.0]), e)
    # Where a teacher is a student's direction nothing is left of it.
    assert np.max(np.abs(planar_residual(e, directions(np.array(2.0)), e))) < 1e-15


@pytest.mark.parametrize(("d", "angle"), [(3, 0.5), (6, 2.6)])
def test_sampled_pulls_have_the_mean_and_the_error_of_the_formulas(d, angle):
    rng = np.random.default_rng(0)
    e, w = np.eye(d)[0], np.eye(d)[:2].T @ [np.cos(angle), np.sin(angle)]
    runs = np.array([sampled_pull(e, w, rng.normal(size=(200, d))) for _ in range(400)])
    mean = expected_pull(e, w)
    error = runs.std(axis=0, ddof=1) / 20
    assert np.all(np.abs(runs.mean(axis=0) - mean) < 4.5 * error)
    squares = np.sum((runs - mean) ** 2, axis=1) / (mean @ mean)
    exact = pull_error(angle, d, 200) ** 2
    assert abs(squares.mean() - exact) < 4.5 * squares.std(ddof=1) / 20
