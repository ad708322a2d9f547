"""Students relabelled to lie near one another."""

import itertools

import numpy as np
import pytest

from shallows.symmetry import aligned, distance_up_to_relabelling


def test_a_relabelled_student_comes_back():
    draw = np.random.default_rng(0)
    w, a = draw.normal(size=(6, 6)), draw.choice([1.0, -1.0], size=6)
    rows, columns = draw.permutation(6), draw.permutation(6)
    found = aligned(w[np.ix_(rows, columns)], w, a[rows], a)
    assert found.distance < 1e-12
    assert np.array_equal(found.inner, w)
    assert np.array_equal(found.outer, a)
    assert np.array_equal(rows[found.neurons], np.arange(6))
    assert np.array_equal(columns[found.inputs], np.arange(6))


def test_distance_is_that_of_all_relabellings():
    draw = np.random.default_rng(1)
    for _ in range(3):
        w, other = draw.normal(size=(2, 4, 4))
        orders = list(itertools.permutations(range(4)))
        every = (np.linalg.norm(w[np.ix_(p, q)] - other) for p in orders for q in orders)
        found = aligned(w, other)
        assert abs(found.distance - min(every)) < 1e-12
        assert abs(found.distance - np.linalg.norm(found.inner - other)) < 1e-12
        assert found.distance <= distance_up_to_relabelling(w, other) + 1e-12


def test_without_moving_inputs_only_neurons_move():
    draw = np.random.default_rng(2)
    w, other = draw.normal(size=(2, 4, 3))
    found = aligned(w, other, move_inputs=False)
    every = (np.linalg.norm(w[list(p)] - other) for p in itertools.permutations(range(4)))
    assert abs(found.distance - min(every)) < 1e-12
    assert np.array_equal(found.inputs, np.arange(3))


def test_students_of_two_shapes_cannot_be_aligned():
    with pytest.raises(ValueError, match="cannot be aligned"):
        aligned(np.eye(3), np.eye(4))
