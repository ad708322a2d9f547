"""Tangency arcs: the equation, the starts, the ends, and the same curves in the full space."""

import dataclasses
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.atlas import member
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Network, orthonormal
from shallows.solve import (
    ArcOutcome,
    Departure,
    Newton,
    Tracing,
    arc,
    critical_point,
    departures,
)
from shallows.symmetry import Blocks, ReducedLoss, Representation, component, isotropy

STANDARD, EXTERIOR = Representation.standard, Representation.exterior
TWO_ROW, TRIVIAL = Representation.two_row, Representation.trivial
FULL = SquaredLoss(orthonormal(10), Gaussian(10))


def traced(*arguments, **more) -> Any:
    """`arc`; what ends are known to be there is not known to a type-checker."""
    return arc(*arguments, **more)


def start(name, neurons=10) -> Any:
    found = member(name, neurons)
    return found.loss, np.array(found.weights)


@pytest.fixture(scope="module")
def out_of_two():
    return traced(*start("II"), Departure(STANDARD, 0, {0: (8, 1)}))


def full_slope(matrix):
    return np.asarray(FULL.gradient(Network(jnp.asarray(matrix), jnp.ones(len(matrix)))))


def full_hessian(matrix):
    n = matrix.size
    table = FULL.hessian(Network(jnp.asarray(matrix), jnp.ones(len(matrix))))
    return np.asarray(table).reshape(n, n)


def test_points_of_an_arc_satisfy_the_equation_in_the_full_space(out_of_two):
    blocks = out_of_two.loss.blocks
    centre = blocks.embed(out_of_two.centre)
    for point in out_of_two.points:
        away = blocks.embed(point.point) - centre
        assert abs(np.linalg.norm(away) - point.radius) < 1e-12
        slope = full_slope(blocks.embed(point.point))
        assert np.max(np.abs(slope - point.multiplier * away)) < 1e-10


def test_the_full_space_has_the_same_curve(out_of_two):
    """Newton's method on 101 unknowns, on spheres around c, from the tangent at c outwards."""
    blocks = out_of_two.loss.blocks
    centre = blocks.embed(out_of_two.centre).ravel()
    away = out_of_two.points[0].radius * blocks.embed(out_of_two.direction).ravel()
    multiplier = out_of_two.eigenvalue
    for point in out_of_two.points[::3]:
        # Outwards along the ray, then back onto the curve.
        away *= point.radius / np.linalg.norm(away)
        for _ in range(30):
            w = (centre + away).reshape(10, 10)
            rows = np.column_stack([full_hessian(w) - multiplier * np.eye(100), -away])
            last = np.append(away, 0.0)
            off = np.append(
                full_slope(w).ravel() - multiplier * away, (away @ away - point.radius**2) / 2
            )
            change = np.linalg.solve(np.vstack([rows, last]), off)
            away, multiplier = away - change[:-1], multiplier - change[-1]
            if np.max(np.abs(change)) < 1e-12:
                break
        assert np.max(np.abs((centre + away).reshape(10, 10) - blocks.embed(point.point))) < 1e-9
        assert abs(multiplier - point.multiplier) < 1e-9


def test_an_arc_begins_along_its_eigenvector(out_of_two):
    blocks = out_of_two.loss.blocks
    direction = blocks.embed(out_of_two.direction)
    assert abs(np.linalg.norm(direction) - 1) < 1e-12
    image = full_hessian(blocks.embed(out_of_two.centre)) @ direction.ravel()
    assert np.max(np.abs(image - out_of_two.eigenvalue * direction.ravel())) < 1e-12
    first = out_of_two.points[0]
    away = blocks.embed(first.point) - blocks.embed(out_of_two.centre)
    # First order in r, with r = 0.001 or so; the loss rises by λ r²/2.
    assert np.max(np.abs(away / first.radius - direction)) < 5 * first.radius
    assert abs(2 * first.rise / first.radius**2 - out_of_two.eigenvalue) < first.radius


def test_the_loss_grows_by_the_multiplier(out_of_two):
    # d(L)/dr = λ r along the curve: the trapezoidal rule in r²/2.
    points = (*out_of_two.points, out_of_two.last)
    squares = np.array([p.radius**2 / 2 for p in points])
    multipliers = np.array([p.multiplier for p in points])
    rises = np.array([p.rise for p in points])
    steps = (multipliers[1:] + multipliers[:-1]) / 2 * np.diff(squares)
    assert np.allclose(np.diff(rises), steps, rtol=0, atol=2e-2 * out_of_two.barrier)
    assert out_of_two.barrier == rises[-1] == max(rises)


def test_an_arc_ends_at_a_critical_point_of_the_full_loss(out_of_two):
    assert out_of_two.outcome is ArcOutcome.critical_point
    end = out_of_two.loss.blocks.embed(out_of_two.end.point)
    assert np.max(np.abs(full_slope(end))) < 1e-13
    levels = np.linalg.eigvalsh(full_hessian(end))
    assert levels[0] < -1e-3 < 1e-3 < levels[1]
    # Newton's method in the full space stays there.
    student = Network(jnp.asarray(end), jnp.ones(10))
    found = critical_point(FULL, student, method=Newton(basin=False))
    assert np.max(np.abs(np.asarray(found.student.inner) - end)) < 1e-10
    assert abs(out_of_two.last.radius - 0.567409540416) < 1e-11


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("II", Departure(STANDARD, 0, {0: (5, 4)}, -1)),
        ("II", Departure(EXTERIOR, 0, {0: (5, 2, 2)})),
        ("A", Departure(EXTERIOR, 0, {0: (8, 1, 1)})),
        ("I", Departure(EXTERIOR, 0, {0: (3, 3, 3)})),
        ("I", Departure(STANDARD, 0, {0: (7, 2)}, -1)),
    ],
)
def test_an_end_is_at_least_as_symmetric_as_its_arc(name, way):
    found = traced(*start(name), way)
    assert found.outcome is ArcOutcome.critical_point
    blocks = found.loss.blocks
    middle = blocks.embed(found.points[len(found.points) // 2].point)
    end = blocks.embed(found.end.point)
    generators = isotropy(middle).generators
    assert generators
    for rows, columns in generators:
        assert np.max(np.abs(end[np.ix_(rows, columns)] - end)) < 1e-9
    assert np.max(np.abs(full_slope(end))) < 1e-12


def test_halves_that_are_relabellings_have_equal_ends():
    for parts in ({0: (8, 1, 1)}, {0: (6, 2, 2)}):
        way = Departure(EXTERIOR, 0, parts)
        assert way.is_reversible
        both = [traced(*start("A"), dataclasses.replace(way, sign=s)) for s in (1, -1)]
        assert abs(both[0].last.radius - both[1].last.radius) < 1e-9
        assert abs(both[0].barrier - both[1].barrier) < 1e-12
    way = Departure(EXTERIOR, 0, {0: (5, 4, 1)})
    assert not way.is_reversible
    both = [traced(*start("A"), dataclasses.replace(way, sign=s)) for s in (1, -1)]
    assert abs(both[0].last.radius - both[1].last.radius) > 1e-4


def test_a_fold_in_the_radius_is_passed():
    found = traced(*start("II"), Departure(EXTERIOR, 0, {0: (4, 4, 1)}))
    assert found.outcome is ArcOutcome.critical_point
    (fold,) = found.folds
    largest = max(p.radius for p in found.points)
    assert largest <= fold.radius + 1e-9
    assert fold.radius > found.last.radius
    assert found.barrier >= fold.rise > found.last.rise - 1e-12
    radii = [p.radius for p in found.points]
    assert np.any(np.diff(radii) < 0)


def test_arcs_that_come_back_are_two_halves_of_one_curve():
    one = traced(*start("II"), Departure(STANDARD, 3, {0: (5, 4)}))
    assert one.outcome is ArcOutcome.returned
    # It comes back along the eigenvector of another one, whose half is the same curve.
    other = traced(*start("II"), Departure(STANDARD, 2, {0: (5, 4)}, -1))
    assert abs(one.last.multiplier - other.eigenvalue) < 1e-2
    assert abs(other.last.multiplier - one.eigenvalue) < 1e-2
    assert abs(one.barrier - other.barrier) < 1e-4


def test_outcomes_without_a_critical_point():
    far = traced(*start("II"), Departure(TRIVIAL, 4))
    assert far.outcome is ArcOutcome.reached_radius
    assert far.end is None
    assert far.last.multiplier > 0
    assert "no critical point farther" in " ".join(far.outcome.value.split())
    near = traced(*start("II"), Departure(STANDARD, 0, {0: (8, 1)}), method=Tracing(radius=0.3))
    assert near.outcome is ArcOutcome.reached_radius
    assert abs(near.last.radius - 0.3) < 1e-9
    gone = traced(*start("II"), Departure(TRIVIAL, 0, sign=-1))
    assert gone.outcome is ArcOutcome.neuron_vanished
    assert gone.loss.clearance(gone.last.point)[0] < 0.1
    few = traced(*start("II"), Departure(STANDARD, 0, {0: (8, 1)}), method=Tracing(max_steps=3))
    assert few.outcome is ArcOutcome.out_of_steps
    assert not few.is_answer


def test_an_arc_that_runs_into_a_symmetric_one_stops_there():
    """It once went on along the other one, and told its end as that of an arc of less symmetry."""
    loss, point = start("II")
    found = traced(loss, point, Departure(STANDARD, 3, {0: (5, 4)}, -1))
    assert found.outcome is ArcOutcome.larger_symmetry
    split = loss.cut({0: (5, 4)})[1]
    for one, limit in ((found.points[-1], 2e-3), (found.points[0], np.inf)):
        values = [one.point[split.coarse == i] for i in range(len(loss.blocks.orbits))]
        assert max(np.ptp(v) for v in values) < limit
    # There the symmetric tangency set has the same multiplier: ∇L = λ (W − c) in its own space.
    values = [found.points[-1].point[split.coarse == i] for i in range(len(point))]
    mean = np.array([np.mean(v) for v in values])
    slope = loss.gradient(mean) / np.array(loss.blocks.counts, dtype=float)
    assert np.allclose(slope, found.last.multiplier * (mean - point), rtol=0, atol=1e-3)


def test_an_eigenvalue_that_is_not_simple_singles_out_no_direction():
    # At W = V the exterior square shares its eigenvalue with a standard component (facts, 4.3).
    loss = ReducedLoss(Blocks((10,)))
    found = traced(loss, [1.0, 0.0], Departure(EXTERIOR, 0, {0: (5, 4, 1)}))
    assert found.outcome is ArcOutcome.not_simple
    assert not found.points
    assert found.barrier == 0


def test_no_critical_point_is_beyond_the_default_radius():
    # |W|² ≤ 2 E f_t² at every critical point, checked on those that the room knows.
    teacher = float(FULL(Network(jnp.full((1, 10), 1e-300), jnp.ones(1))))
    for name in ("A", "I", "II"):
        loss, point = start(name)
        size = np.linalg.norm(loss.blocks.embed(point))
        assert size**2 <= 4 * teacher
        assert abs(float(loss.value(np.zeros(len(point)))) - teacher) < 1e-12


def test_defaults_cover_every_eigenvalue_and_no_half_twice():
    ways = departures(*start("II"))
    # 5 trivial ones both ways; 5 standard × 3 cuts × 2; exterior; two-row × 2 cuts × 2.
    kinds = [w.representation for w in ways]
    assert (kinds.count(TRIVIAL), kinds.count(STANDARD), kinds.count(TWO_ROW)) == (10, 30, 4)
    exterior = [w.parts[0] for w in ways if w.representation is EXTERIOR]
    assert exterior == [(7, 1, 1), (5, 2, 2), (3, 3, 3), (4, 4, 1)]
    assert [w.parts[0] for w in departures(*start("A"), cuts=(5,)) if w.is_reversible] == [
        (5, 5)
    ] * 3
    products = departures(*start("flipped:5", 12), cuts=(1, 2))
    assert {
        tuple(w.parts.values()) for w in products if w.representation is Representation.product
    } == {((6, 1), (4, 1)), ((5, 2), (3, 2))}


def test_every_vector_that_a_cut_fixes_is_an_eigenvector_of_the_full_hessian():
    loss, point = start("flipped:3", 8)
    full = SquaredLoss(orthonormal(8), Gaussian(8))
    whole = loss.blocks.embed(point)
    table = np.asarray(full.hessian(Network(jnp.asarray(whole), jnp.ones(8)))).reshape(64, 64)
    for way in departures(loss, point):
        part = component(loss, point, way.representation, way.parts)
        values, vectors = np.linalg.eigh(part.matrix)
        # The parts' places come one after the other, and those of other blocks after them.
        order = _order(loss.blocks, way.parts)
        vector = part.blocks.embed(vectors[:, way.rank] @ part.vectors)
        there = np.ix_(order, order)
        placed = np.empty((8, 8))
        placed[there] = vector
        again = np.empty((8, 8))
        again[there] = part.blocks.embed(np.asarray(point)[loss.cut(way.parts)[1].coarse])
        assert np.array_equal(again, whole)
        image = table @ placed.ravel()
        assert np.max(np.abs(image - values[way.rank] * placed.ravel())) < 1e-11


def _order(blocks, parts):
    """Where the rows of the finer blocks are among those of the coarser."""
    firsts = np.concatenate([[0], np.cumsum([blocks.sizes[f] for f in blocks.rows])])
    return [
        i
        for r, f in enumerate(blocks.rows)
        for i in range(firsts[r], firsts[r] + sum(parts.get(f, (blocks.sizes[f],))))
    ]


def test_misuse_is_explained():
    loss, point = start("II")
    with pytest.raises(ValueError, match=r"singled out by 1 block\(s\) cut in 3"):
        traced(loss, point, Departure(EXTERIOR, 0, {0: (7, 2)}))
    with pytest.raises(ValueError, match="2 ≤ p ≤ n − 2 for two-row"):
        traced(loss, point, Departure(TWO_ROW, 0, {0: (8, 1)}))
    with pytest.raises(ValueError, match="has 5 eigenvalues here, numbered from 0, but number 5"):
        traced(loss, point, Departure(STANDARD, 5, {0: (8, 1)}))
    with pytest.raises(ValueError, match="add up to 9, but 7\\+1 were given"):
        traced(loss, point, Departure(STANDARD, 0, {0: (7, 1)}))
    with pytest.raises(ValueError, match="at least one place"):
        departures(loss, point, cuts=(0,))
    signed = ReducedLoss(loss.blocks, heads=(1, -1))
    with pytest.raises(ValueError, match="heads of both signs"):
        traced(signed, point, Departure(STANDARD, 0, {0: (8, 1)}))


def test_widths_need_not_be_whole_nor_small():
    found = member("II", 8.5)
    half = traced(found.loss, np.array(found.weights), Departure(STANDARD, 0, {0: (6.5, 1)}))
    ends = [
        traced(*start("II", k), Departure(STANDARD, 0, {0: (k - 2, 1)})).last.radius for k in (8, 9)
    ]
    assert ends[0] < half.last.radius < ends[1] or ends[1] < half.last.radius < ends[0]

    large = member("II", 10**6)
    way = Departure(STANDARD, 0, {0: (10**6 - 2, 1)})
    found = traced(large.loss, large.point, way, numbers=large.numbers)
    assert found.outcome is ArcOutcome.critical_point
    assert found.end.gradient_norm < 1e-30
    assert abs(found.last.radius - 1.0442) < 1e-4


def test_fixed_dimensions_are_those_of_dense_linear_algebra():
    """Projections on isotypic components of 6 × 6 matrices, averaged over subgroups."""
    from shallows.symmetry import fixed_dimension

    n = 6
    basis = np.eye(n)[:, 1:] - np.eye(n)[:, :1]
    standard = basis @ np.linalg.pinv(basis)
    swap = np.einsum("ij,kl->iklj", np.eye(n), np.eye(n)).reshape(n * n, n * n)
    twice = np.kron(standard, standard)
    exterior = (np.eye(n * n) - swap) / 2 @ twice
    hollow = np.array(
        [m.ravel() for m in _hollow(n)]  # symmetric, zero diagonal, zero row sums
    ).T
    two_row = hollow @ np.linalg.pinv(hollow)
    assert [round(np.trace(p)) for p in (standard, exterior, two_row)] == [5, 10, 9]
    for parts in _partitions(n):
        one = _average(n, parts)
        both = _average_of_pairs(n, parts)
        for representation, average, projection in (
            (STANDARD, one, standard),
            (EXTERIOR, both, exterior),
            (TWO_ROW, both, two_row),
        ):
            dense = np.linalg.matrix_rank(projection @ average @ projection, tol=1e-9)
            assert fixed_dimension(representation, parts) == dense, (representation, parts)


def _hollow(n):
    pairs = list(itertools.combinations(range(n), 2))
    incidence = np.array([[i in pair for pair in pairs] for i in range(n)], dtype=float)
    kernel = np.linalg.svd(incidence)[2][n:]
    for row in kernel:
        matrix = np.zeros((n, n))
        for (i, j), x in zip(pairs, row, strict=True):
            matrix[i, j] = matrix[j, i] = x
        yield matrix


def _partitions(n, most=None):
    most = n if most is None else most
    if n == 0:
        yield ()
    for first in range(min(n, most), 0, -1):
        for rest in _partitions(n - first, first):
            yield (first, *rest)


def _average(n, parts):
    block = np.repeat(range(len(parts)), parts)
    same = block[:, None] == block[None, :]
    return same / same.sum(axis=1, keepdims=True)


def _average_of_pairs(n, parts):
    """The mean over the group of g ⊗ g: orbits of ordered pairs of places."""
    block = np.repeat(range(len(parts)), parts)
    kinds: dict[Any, list[int]] = {}
    for i, j in itertools.product(range(n), repeat=2):
        kinds.setdefault((block[i], block[j], i == j), []).append(i * n + j)
    average = np.zeros((n * n, n * n))
    for members in kinds.values():
        average[np.ix_(members, members)] = 1 / len(members)
    return average
