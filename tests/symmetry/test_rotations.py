"""Orbits under rotations that fix the teacher."""

import numpy as np
import pytest
import scipy.linalg

from shallows.symmetry.reduced import full_loss
from shallows.symmetry.rotations import complement, orbit_dimension, rotation_tangents


@pytest.mark.parametrize(("k", "d", "m"), [(1, 4, 2), (3, 6, 2), (2, 3, 3), (4, 5, 1), (2, 3, 2)])
def test_the_dimension_is_that_of_the_tangents_and_of_frames(k, d, m):
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(k, d)), rng.normal(size=(m, d))
    tangents = rotation_tangents(student, teacher).reshape(-1, k * d)
    assert len(tangents) == orbit_dimension(student, teacher)
    np.testing.assert_allclose(tangents @ tangents.T, np.eye(len(tangents)), atol=1e-12)
    assert complement(teacher).shape == (d - m, d)


def test_the_loss_is_constant_along_the_orbit():
    rng = np.random.default_rng(1)
    student, loss = rng.normal(size=(2, 4)), full_loss(2, 4)
    across = complement(np.eye(2, 4))
    turn = np.eye(4) + across.T @ (scipy.linalg.expm([[0, 0.7], [-0.7, 0]]) - np.eye(2)) @ across
    turned = student @ turn
    np.testing.assert_allclose(loss.value(turned.ravel()), loss.value(student.ravel()), rtol=1e-13)
    assert np.linalg.norm(turned - student) > 0.1
    tangents = rotation_tangents(student, np.eye(2, 4)).reshape(-1, 8)
    assert np.max(np.abs(tangents @ loss.gradient(student.ravel()))) < 1e-15


def test_students_in_the_span_stay_and_other_spaces_are_refused():
    assert orbit_dimension(np.eye(2, 5), np.eye(3, 5)) == 0
    assert len(rotation_tangents(np.eye(2, 5), np.eye(3, 5))) == 0
    with pytest.raises(ValueError, match=r"2 inputs and 3\. Embed the smaller one"):
        rotation_tangents(np.eye(2), np.eye(3))
