"""Paths and planes: kinks located and measured, the loss between them analytic."""

import numpy as np
import pytest

from shallows import Gaussian, Network, Sample, SquaredLoss, orthonormal
from shallows.landscape import GreatCircles, Straight, kinks, slice_along, slice_through
from shallows.landscape.slices import Meeting, values_of
from shallows.model import PiecewiseLinear, Rotational

LOSS = SquaredLoss(orthonormal(3), Gaussian(3))


def _at(loss, path, t):
    t = np.atleast_1d(np.asarray(t, dtype=float))
    return values_of(loss, path.inner(t), path.outer(t))


def _losses(*students):
    return values_of(
        LOSS, *(np.stack([getattr(n, x) for n in students]) for x in ("inner", "outer"))
    )


def _one_sided(loss, path, at, order, side, h=4e-3):
    """A one-sided derivative by the polynomial through seven points on this side."""
    s = side * h * np.arange(7)
    return np.polynomial.Polynomial.fit(s, _at(loss, path, at + s), 6).deriv(order)(0.0)


def _crossing():
    """At t = 0.3 two neurons are parallel, at 0.6 antiparallel to a teacher, at 0.8 one is zero."""
    draw = np.random.default_rng(0)
    w, v = draw.normal(size=(2, 3, 3))
    w[1] += 1.7 * (w[0] + 0.3 * v[0]) - (w[1] + 0.3 * v[1])
    w[2] += -2 * np.eye(3)[1] - (w[2] + 0.6 * v[2])
    third = np.zeros(3) - 0.8 * v[0]
    first = Network(np.vstack([w, third]))
    return Straight(first, Network(np.vstack([w + v, third + v[0]])))


@pytest.mark.parametrize(
    "loss",
    [
        LOSS,
        pytest.param(
            SquaredLoss(orthonormal(3, activation=PiecewiseLinear(1.0, 0.2)), Rotational(3)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["relu, Gaussian", "leaky, sphere"],
)
def test_kinks_are_where_they_were_put_and_jump_as_derivatives_do(loss):
    plain = _crossing()
    sigma = loss.activation
    path = Straight(*(Network(n.inner, activation=sigma) for n in (plain.first, plain.last)))
    found = kinks(loss, path)
    assert [kink.order for kink in found] == [3, 3, 1]
    assert np.allclose([kink.at for kink in found], [0.3, 0.6, 0.8], rtol=0, atol=1e-12)
    meetings = [[(e.meeting, e.student, e.other, e.is_teacher) for e in k.events] for k in found]
    assert meetings == [
        [(Meeting.parallel, 0, 1, False)],
        [(Meeting.antiparallel, 2, 1, True)],
        [(Meeting.vanishes, 3, None, False)],
    ]
    for kink in found:
        sides = [_one_sided(loss, path, kink.at, kink.order, side) for side in (1, -1)]
        assert abs(kink.jump) > 1e-3
        assert abs(sides[0] - sides[1] - kink.jump) < 2e-3 * abs(kink.jump)
    # Elsewhere, and in lower derivatives, nothing jumps: the same difference is rounding.
    for at, order in ((0.45, 3), (0.3, 2), (0.6, 1)):
        sides = [_one_sided(LOSS, plain, at, order, side) for side in (1, -1)]
        assert abs(sides[0] - sides[1]) < 1e-3


def test_kinks_on_great_circles():
    # Neuron 0 turns from e₁ to e₂ and passes the direction of the fixed neuron 1 at one third.
    turn = np.pi / 6
    fixed = [[2 * np.cos(turn), 2 * np.sin(turn), 0], [1, 1, 5], [1, -2, 4]]
    path = GreatCircles(Network([[1.0, 0, 0], *fixed]), Network([[0, 3.0, 0], *fixed]))
    found = kinks(LOSS, path)
    assert np.allclose([k.at for k in found], [0, 1 / 3, 1], rtol=0, atol=1e-12)
    inner = found[1]
    assert [(e.meeting, e.student, e.other) for e in inner.events] == [(Meeting.parallel, 0, 1)]
    # 2 |u||v| κ³ / π with lengths 5/3 and 2, and a right angle turned in unit time.
    assert abs(inner.jump - 2 * (5 / 3) * 2 * (np.pi / 2) ** 3 / np.pi) < 1e-9
    sides = [_one_sided(LOSS, path, inner.at, 3, side) for side in (1, -1)]
    assert abs(sides[0] - sides[1] - inner.jump) < 2e-3 * abs(inner.jump)
    # At constant speed on an arc whose radius grows: length by a sum of chords.
    t = np.linspace(0, 1, 20001)
    chords = np.linalg.norm(np.diff(path.inner(t), axis=0), axis=(1, 2)).sum()
    assert abs(path.length - chords) < 1e-6
    assert np.allclose(path.inner(np.array([1.0]))[0], [[0, 3, 0], *fixed], atol=1e-15)
    step = (path.inner(np.array([0.4 + 1e-6])) - path.inner(np.array([0.4 - 1e-6]))) / 2e-6
    assert np.allclose(step, path.velocity(np.array([0.4])), atol=1e-8)


def test_a_slice_knows_its_ends_its_top_and_that_of_a_barrier():
    path = _crossing()
    found = slice_along(LOSS, path, points=31, low=-0.5, high=1.5)
    assert {0.0, 1.0} <= set(found.t)
    assert all(np.min(np.abs(found.t - kink.at)) == 0 for kink in found.kinks)
    some = [0, 7, 20, len(found.t) - 1]
    assert np.allclose(found.loss[some], _at(LOSS, path, found.t[some]), rtol=0, atol=1e-14)
    assert np.allclose(found.ends, _at(LOSS, path, [0.0, 1.0]), rtol=0, atol=1e-14)
    fine = slice_along(LOSS, path, points=2001)
    assert abs(found.highest[1] - fine.loss.max()) < 1e-6
    assert fine.barrier == max(fine.highest[1] - max(fine.ends), 0.0)
    still = slice_along(LOSS, GreatCircles(path.first, path.first), points=3)
    assert (still.kinks, still.barrier) == ((), 0.0)


def test_a_plane_has_true_distances_and_the_losses_of_its_students():
    draw = np.random.default_rng(1)
    three = [Network(w) for w in draw.normal(size=(3, 4, 3))]
    found = slice_through(LOSS, *three, points=9)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        apart = np.linalg.norm(np.asarray(three[i].inner - three[j].inner))
        assert abs(np.linalg.norm(found.corners[i] - found.corners[j]) - apart) < 1e-13
    assert np.allclose(found.corner_losses, _losses(*three), rtol=0, atol=1e-14)
    # A point of the grid, made anew from barycentric coordinates.
    corner = np.vstack([found.corners.T, np.ones(3)])
    share = np.linalg.solve(corner, [found.x[2], found.y[6], 1.0])
    w = sum(s * np.asarray(n.inner) for s, n in zip(share, three, strict=True))
    assert abs(found.loss[6, 2] - _losses(Network(w))[0]) < 1e-13


def test_misuse_is_told_with_a_remedy():
    one, two = Network(np.eye(3)), Network(-np.eye(3))
    with pytest.raises(ValueError, match="turns by half a circle"):
        GreatCircles(one, two)
    with pytest.raises(ValueError, match="joins two students of one shape"):
        Straight(one, Network(np.eye(2)))
    with pytest.raises(ValueError, match="lie on one line"):
        slice_through(LOSS, one, two, Network(0.5 * np.eye(3)))
    with pytest.raises(ValueError, match="differ"):
        slice_through(LOSS, one, two, Network(np.eye(3), [1, 1, -1]))
    with pytest.raises(ValueError, match="covers its path"):
        slice_along(LOSS, Straight(one, two), low=0.5)
    data = SquaredLoss(orthonormal(3), Sample(np.random.default_rng(0).normal(size=(20, 3))))
    with pytest.raises(ValueError, match="kinks of its own"):
        kinks(data, Straight(one, two))
