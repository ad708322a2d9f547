"""The reduced loss, its derivatives and spectrum are those of the full loss, at whole sizes."""

import flint
import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest

import shallows as sh
import zoo
from shallows.symmetry import (
    Balls,
    Blocks,
    ReducedLoss,
    Representation,
    Teacher,
    components,
    spectrum,
)

# Sizes, rows and columns: up to three factors, students and inputs in any of them. Built in the
# tests, since what checks types draws random numbers, which a strategy may not.
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3).flatmap(
    lambda sizes: st.tuples(
        st.just(tuple(sizes)),
        st.lists(st.sampled_from(range(len(sizes))), min_size=1, max_size=3),
        st.lists(st.sampled_from(range(len(sizes))), min_size=1, max_size=3, unique=True),
    )
)
# And the rows of another teacher than the orthonormal one, if any, as places among the columns.
questions = st.tuples(shapes, st.lists(st.integers(0, 2), max_size=2), st.integers(0, 2**32))


def problem(shape, others, seed):
    """A reduced loss with heads of any sign, a teacher orthonormal or not, and a point."""
    space, rng = Blocks(*shape), np.random.default_rng(seed)
    rows = tuple(space.columns[i % len(space.columns)] for i in others)
    teacher = None
    if rows:
        entries = rng.normal(size=len(Blocks(space.sizes, rows, space.columns).orbits))
        teacher = Teacher(rows, tuple(entries), tuple(rng.normal(size=len(rows))))
    heads = tuple(rng.normal(size=len(space.rows)))
    return ReducedLoss(space, teacher, heads), rng.normal(size=len(space.orbits))


def expanded(values, space):
    return np.concatenate(
        [np.full(space.sizes[f], h) for f, h in zip(space.rows, values, strict=True)]
    )


MOST = 12


def padded(matrix, heads, most, rng):
    """The same network on `most` inputs with as many neurons: those besides have heads of zero."""
    k, d = matrix.shape
    inner = rng.normal(size=(most, most))
    inner[:k], inner[:k, :d] = 0, matrix
    return sh.Network(inner, np.pad(heads, (0, most - k)))


class Full:
    """The same loss and student without any symmetry, padded so that one compilation serves all."""

    def __init__(self, loss, point, most=MOST):
        space = loss.blocks
        theirs = Blocks(space.sizes, loss.teacher.rows, space.columns)
        heads = loss.teacher.heads or (1,) * len(theirs.rows)
        rng = np.random.default_rng(0)
        self.matrix = space.embed(point)
        teacher = padded(theirs.embed(loss.teacher.point), expanded(heads, theirs), most, rng)
        self.loss = sh.SquaredLoss(teacher, sh.Gaussian(most))
        self.student = padded(self.matrix, expanded(loss.heads, space), most, rng)
        k, d = self.matrix.shape
        self.chosen = np.ravel(np.arange(k)[:, None] * most + np.arange(d))

    @property
    def value(self):
        return float(self.loss(self.student))

    @property
    def gradient(self):
        return np.ravel(self.loss.gradient(self.student))[self.chosen]

    @property
    def hessian(self):
        return np.asarray(self.loss.hessian(self.student))[np.ix_(self.chosen, self.chosen)]


def directions(space):
    return np.array([space.embed(unit).ravel() for unit in np.eye(len(space.orbits))])


@hp.given(questions)
def test_loss_gradient_and_hessian_are_those_of_the_matrix(question):
    reduced, point = problem(*question)
    full, across = Full(reduced, point), directions(reduced.blocks)
    size = 1 + full.value + np.sum(np.square(full.matrix))
    assert abs(reduced.value(point) - full.value) <= 1e-13 * size
    gradient = across @ full.gradient
    assert np.allclose(reduced.gradient(point), gradient, rtol=0, atol=1e-12 * size)
    hessian = across @ full.hessian @ across.T
    scale = 1 + np.max(np.abs(hessian))
    assert np.allclose(reduced.hessian(point), hessian, rtol=0, atol=1e-11 * scale)


@hp.given(questions)
def test_the_spectrum_is_that_of_the_dense_hessian(question):
    reduced, point = problem(*question)
    dense = np.linalg.eigvalsh(Full(reduced, point).hessian)
    found = spectrum(reduced, point)
    mine = np.sort([e.eigenvalue for e in found for _ in range(e.multiplicity)])
    assert len(mine) == len(dense)
    assert np.allclose(mine, dense, rtol=0, atol=1e-12 * (1 + np.max(np.abs(dense))))


@hp.given(shapes, st.integers(0, 2**32))
def test_embedding_and_restricting_are_inverse_and_orbits_are_counted(shape, seed):
    space, rng = Blocks(*shape), np.random.default_rng(seed)
    point = rng.normal(size=len(space.orbits))
    matrix = space.embed(point)
    assert matrix.shape == (space.neurons, space.inputs)
    assert np.allclose(space.restrict(matrix), point, rtol=0, atol=1e-14)
    assert np.allclose(directions(space).sum(axis=1), space.counts)
    other = rng.normal(size=matrix.shape)
    rest = other - space.embed(space.restrict(other))
    assert np.allclose(directions(space) @ rest.ravel(), 0, atol=1e-13)


@pytest.mark.parametrize(
    "k", [k if k in (3, 4, 9) else pytest.param(k, marks=pytest.mark.slow) for k in range(3, 31)]
)
def test_spectra_of_two_blocks_at_every_size(k):
    rng = np.random.default_rng(k)
    for space in (Blocks((k,)), Blocks((k - 1, 1))):
        reduced, point = ReducedLoss(space), rng.normal(size=len(space.orbits))
        dense = np.linalg.eigvalsh(Full(reduced, point, most=k).hessian)
        mine = [e.eigenvalue for e in spectrum(reduced, point) for _ in range(e.multiplicity)]
        assert np.allclose(mine, dense, rtol=0, atol=1e-13 * k * np.max(np.abs(dense)))


def test_vectors_of_components_are_orthonormal_and_all_there():
    space = Blocks((5, 3))
    reduced, point = ReducedLoss(space), np.random.default_rng(0).normal(size=6)
    parts = components(reduced, point)
    for part in parts:
        fine = np.array([part.blocks.embed(v).ravel() for v in part.vectors])
        assert np.allclose(fine @ fine.T, np.eye(len(fine)), atol=1e-13)
    assert sum(part.dimension * len(part.vectors) for part in parts) == 8 * 8
    trace = sum(part.dimension * np.trace(part.matrix) for part in parts)
    assert np.isclose(trace, np.trace(Full(reduced, point).hessian), rtol=1e-13)


def test_the_global_minimum_has_its_published_spectrum():
    # facts: the closed forms at W = V = I.
    k, c = 12, 1 / (2 * np.pi)
    found = spectrum(ReducedLoss(Blocks((k,))), np.array([1.0, 0.0]))
    by: dict[Representation, list[float]] = {}
    for e in found:
        by.setdefault(e.representation, []).append(e.eigenvalue)
    assert np.allclose(by[Representation.exterior], 1 / 4 - c, atol=1e-15)
    assert np.allclose(by[Representation.two_row], 1 / 4 + c, atol=1e-15)
    roots = np.roots([1, -(k + 2) / 4, (k + 1) / 16 + 1 / (4 * np.pi) - 1 / (4 * np.pi**2)])
    assert np.allclose(by[Representation.standard], sorted([1 / 4 - c, *roots]), atol=1e-13)
    trivial = np.linalg.eigvals([[1 / 2 + (k - 1) * c, (k - 1) / 4], [1 / 4, k / 4 + c]])
    assert np.allclose(by[Representation.trivial], np.sort(trivial), atol=1e-13)


@pytest.mark.parametrize("name", ["A", "I", "II"])
def test_known_points_are_critical_in_their_reduced_loss(name):
    xi = np.array(zoo.FAMILIES[name, 20])
    space = Blocks((19, 1))
    slope = ReducedLoss(space).gradient(xi) / np.array(space.counts)
    assert np.max(np.abs(slope)) < 5e-8  # printed with nine digits


def test_real_sizes_interpolate_and_balls_keep_what_floats_lose():
    def at(size, arithmetic):
        with arithmetic.precision():
            reduced = ReducedLoss(Blocks((flint.arb(size),), is_single=(False,)))
            point = arithmetic.numbers([flint.arb(-1) + 2 / flint.arb(size), 2 / flint.arb(size)])
            return reduced.value(point, arithmetic)

    sharp = Balls(300)
    between = [float(at(k, sharp)) for k in (10, 10.5, 11)]
    assert between[0] < between[1] < between[2]
    exact = at(10**9, sharp)
    assert exact.rad() < 1e-60
    assert exact.overlaps(at(10**9, Balls(200)))
    space = Blocks((10**9,))
    lossy = ReducedLoss(space).value(np.array([-1 + 2e-9, 2e-9]))
    assert abs(lossy - float(exact)) > 1e-3  # a difference of terms of order k²


def test_batches_are_the_loss_at_each_point():
    reduced = ReducedLoss(Blocks((4, 3)))
    points = np.random.default_rng(0).normal(size=(3, 2, 6))
    for derivative in (reduced.value, reduced.gradient, reduced.hessian):
        assert np.allclose(derivative(points)[2, 1], derivative(points[2, 1]), atol=1e-13)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Blocks((0,)), r"positive sizes, but one of \(0,\) is 0"),
        (lambda: Blocks((3, -1.5)), "is -1.5. Leave out a block that is empty"),
        (lambda: Blocks((3,), rows=(1,)), "`rows` names factor 1, but there are 1 sizes"),
        (lambda: Blocks((3,)).split({0: 4}), "size 3 has no 4 places to fix"),
        (lambda: Blocks((3.5,)).embed([1, 2]), "whole sizes make a matrix"),
        (lambda: Blocks((3,)).embed([1]), "2 orbits of entries, but 1 values"),
        (lambda: Blocks((3,)).restrict(np.eye(4)), r"shape \(3, 3\), but this one has \(4, 4\)"),
    ],
)
def test_what_makes_no_blocks_is_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
