"""Planes through students: the kinks on them, against those of paths and against gradients."""

import numpy as np
import pytest

from shallows.landscape import SquaredLoss, Straight, kinks, slice_through
from shallows.model import Erf, Gaussian, Network, Sample

LOSS = SquaredLoss(Network(np.eye(3)), Gaussian(3))


def _symmetric(p, q):
    return Network((p - q) * np.eye(3) + q)


def test_symmetric_neurons_meet_on_lines_and_vanish_at_a_point():
    three = _symmetric(1, 0.5), _symmetric(-1, 0.4), _symmetric(0.3, -1.1)
    plane = slice_through(LOSS, *three, points=33)
    by_order = {order: [c for c in plane.kinks if c.order == order] for order in (1, 3)}
    (zero,) = by_order[1]
    assert zero.points.shape == (1, 2)
    assert zero.neurons == ((0, None), (1, None), (2, None))
    # w_i is along w_j for p = q, and along e_i for q = 0.
    first, second = (np.asarray(n.inner) for n in three[:2])
    along = (second - first) / np.linalg.norm(second - first)
    third = np.asarray(three[2].inner) - first
    across = third - np.sum(third * along) * along
    across /= np.linalg.norm(across)
    gaps = []
    for curve in by_order[3]:
        w = first + curve.points[:, :1, None] * along + curve.points[:, 1:, None] * across
        p, q = w[:, 0, 0], w[:, 0, 1]
        gaps.append([np.abs(p - q).max(), np.abs(q).max()])
    assert set(np.argmin(gaps, axis=1)) == {0, 1}  # in pieces, where curves cross
    assert np.max(np.min(gaps, axis=1)) < 1e-12
    assert {len(c.neurons) for c in by_order[3]} == {3}


def test_kinks_of_paths_lie_on_those_of_the_plane():
    """An independent search, in one dimension, crosses every curve where it should."""
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 3, 3))
    three = rng.normal(size=(3, 3))
    for w in (two, three):  # the third neurons of all three lie in one plane with the first
        w[2] = 0.5 * w[2, 0] * one[0] + w[2, 1] * one[2]
        w[0] = w[0, 1] * one[0] - 0.3 * one[2]
    students = [Network(w) for w in (one, two, three)]
    plane = slice_through(LOSS, *students, points=129, margin=0.0)
    curves = [c for c in plane.kinks if (0, 2) in c.neurons]
    assert curves
    corners, crossings = plane.corners, 0
    for a, b in ((0, 1), (0, 2), (1, 2)):
        for kink in kinks(LOSS, Straight(students[a], students[b])):
            if {(e.student, e.other) for e in kink.events} != {(0, 2)} or kink.events[0].is_teacher:
                continue
            at = corners[a] + kink.at * (corners[b] - corners[a])
            crossings += 1
            assert min(np.linalg.norm(c.points - at, axis=1).min() for c in curves) < 0.05
    assert crossings >= 2


def test_a_generic_plane_has_no_kinks_and_a_smooth_loss_none_at_all():
    rng = np.random.default_rng(1)
    three = [Network(w) for w in rng.normal(size=(3, 3, 3))]
    assert slice_through(LOSS, *three, points=9).kinks == ()
    smooth = SquaredLoss(Network(np.eye(3), activation=Erf()), Gaussian(3))
    three = [Network(np.asarray(n.inner), activation=Erf()) for n in three]
    assert slice_through(smooth, *three, points=5).kinks == ()


def test_on_a_data_set_the_gradient_jumps_across_every_line_and_nowhere_else():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(3, 2))
    loss = SquaredLoss(Network(np.eye(2)), Sample(points))
    ws = rng.normal(size=(3, 2, 2))
    plane = slice_through(loss, *(Network(w) for w in ws), points=5)
    along = (ws[1] - ws[0]) / np.linalg.norm(ws[1] - ws[0])
    across = ws[2] - ws[0] - np.sum((ws[2] - ws[0]) * along) * along
    across /= np.linalg.norm(across)
    assert 0 < len(plane.kinks) <= 6
    for curve in plane.kinks:
        ((neuron, point),) = curve.neurons
        middle = curve.points.mean(axis=0)
        w = ws[0] + middle[0] * along + middle[1] * across
        assert abs(w[neuron] @ points[point]) < 1e-12
    many = SquaredLoss(Network(np.eye(2)), Sample(rng.normal(size=(20_000, 2))))
    with pytest.raises(ValueError, match=r"2 × 20000 lines, more than a picture holds"):
        slice_through(many, *(Network(w) for w in ws), points=2)
