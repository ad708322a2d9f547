"""Branches of critical points: folds, crossings, ends, and the parameters they are followed in."""

import dataclasses

import numpy as np
import pytest

from shallows.solve.branch import PseudoArclength, branch, component_eigenvalues, scales
from shallows.solve.directions import Fraction, Perturbation, Resizing, Width
from shallows.solve.symmetric import symmetric_point
from shallows.solve.waypoints import Branch, BranchOutcome, EventKind
from shallows.symmetry import (
    Balls,
    Blocks,
    Floats,
    ReducedLoss,
    Representation,
    Teacher,
    spectrum,
)

# Leading order of type II, and of A: safe starts for large k.
TWO = ReducedLoss(Blocks((39, 1), is_single=(False, True)))
AT_TWO = np.array([1, 0, 2 / 40, 4 / np.pi / 40, -1 + 2 / 40])
ALL = ReducedLoss(Blocks((20,), is_single=(False,)))
AT_ALL = np.array([-1 + 2 / 20, 2 / 20])
QUIET = PseudoArclength(watch=False)


def slope(point):
    return np.max(np.abs(point.loss.gradient(point.point) / np.array(point.loss.blocks.counts)))


@pytest.fixture(scope="module")
def type_two() -> Branch:
    return branch(AT_TWO, along=Width(TWO), begin=40, to=4)


def test_every_point_of_a_branch_is_critical(type_two):
    assert type_two.outcome is BranchOutcome.reached_end
    sizes = [p.parameter for p in type_two.points]
    assert sizes == sorted(sizes, reverse=True)
    assert abs(sizes[-1] - 4) < 1e-12
    assert max(slope(p) for p in type_two.points) < 1e-9
    assert all(abs(p.loss.blocks.neurons - p.parameter) < 1e-12 for p in type_two.points)


def test_an_eigenvalue_that_crosses_zero_is_an_event(type_two):
    # facts §5: type II becomes a minimum at 5.5855, by the standard component.
    first = next(e for e in type_two.events if e.falls)
    assert first.kind is EventKind.crossing
    assert (first.representation, first.factors) == (Representation.standard, (0,))
    assert f"{first.parameter:.4f}" == "5.5855"
    low, high = first.interval
    assert low < first.parameter < high
    assert high - low < 2e-11
    values = []
    for k in (low - 1e-6, high + 1e-6):
        loss = Width(TWO).loss(np.log(k))
        found = symmetric_point(loss, first.point)
        values.append(
            min(
                component_eigenvalues(
                    loss, found.point, first.representation, first.factors, Floats()
                ),
                key=abs,
            )
        )
    assert values[0] < 0 < values[1]


def test_floats_and_balls_follow_the_same_branch():
    method = PseudoArclength(tolerance=1e-25)
    sharp = branch(AT_TWO, along=Width(TWO), begin=40, to=5, method=method, numbers=Balls(160))
    rough = branch(AT_TWO, along=Width(TWO), begin=40, to=5)
    assert sharp.outcome is rough.outcome is BranchOutcome.reached_end
    end = [float(x) for x in sharp.end.point]
    assert np.allclose(end, rough.end.point, rtol=0, atol=1e-12)
    assert abs(sharp.events[0].parameter - 5.58550524742588) < 1e-13
    assert abs(rough.events[0].parameter - 5.58550524742588) < 1e-11


def test_a_width_of_a_billion_is_twenty_steps_away():
    found = branch(AT_TWO, along=Width(TWO), begin=40, to=1e9, method=_longer(), numbers=Balls(400))
    assert found.outcome is BranchOutcome.reached_end
    assert len(found.points) < 60
    with Balls(400).precision():
        value = float(found.end.loss.value(found.end.point, Balls(400)))
    assert abs(1e9 * value - (1 / 2 - 2 / np.pi**2)) < 1e-5


def _longer():
    return PseudoArclength(first_step=0.2, longest_step=1, tolerance=1e-15, watch=False)


def test_a_fold_is_found_and_passed():
    # 50 flipped neurons: the sheet of type II turns back at k = 80.088, runs up to 146 and
    # turns again, on to the sheet of A.
    loss = ReducedLoss(Blocks((950, 50), is_single=(False, False)))
    start = np.array([1, 0, 2 / 1000, 4 / np.pi / 1000, -1, 2 / 1000])
    found = branch(start, along=Width(loss), begin=1000, to=60, method=QUIET)
    assert found.outcome is BranchOutcome.reached_end
    folds = [e for e in found.events if e.kind is EventKind.fold]
    assert [f"{e.parameter:.3f}" for e in folds] == ["80.088", "146.058"]
    assert abs(found.end.parameter - 60) < 1e-9
    for fold in folds:
        low, high = fold.interval
        assert low <= fold.parameter <= high
        assert high - low < 1e-6
        # The trivial component is singular there.
        here = Width(loss).loss(np.log(fold.parameter))
        trivial = [
            e.eigenvalue
            for e in spectrum(here, fold.point)
            if e.representation is Representation.trivial
        ]
        assert min(map(abs, trivial)) < 1e-5
    assert max(slope(p) for p in found.points) < 1e-9


def test_a_branch_may_end_at_its_fold():
    loss = ReducedLoss(Blocks((950, 50), is_single=(False, False)))
    start = np.array([1, 0, 2 / 1000, 4 / np.pi / 1000, -1, 2 / 1000])
    method = dataclasses.replace(QUIET, around_folds=False)
    found = branch(start, along=Width(loss), begin=1000, to=60, method=method)
    assert found.outcome is BranchOutcome.fold
    assert "does not exist" in found.outcome.value
    assert abs(found.events[-1].parameter - 80.08803300587) < 1e-8


def test_a_branch_ends_where_neurons_become_parallel():
    # A at k = 2 is the teacher with its neurons exchanged.
    found = branch(AT_ALL, along=Width(ALL), begin=20, to=1.5, method=QUIET)
    assert found.outcome is BranchOutcome.parallel_vectors
    assert abs(found.end.parameter - 2) < 1e-3
    assert "larger symmetry" in found.outcome.value


def test_a_branch_ends_where_a_neuron_vanishes():
    # A teacher whose first neuron shrinks to zero takes the student's first along.
    target = ReducedLoss(Blocks((1, 1, 1)))
    weaker = Teacher((0, 1, 2), (-1.0, *target.teacher.point[1:]))
    along = Perturbation(target, weaker)
    found = branch(np.eye(3).ravel(), along=along, begin=0.0, to=1.0, method=QUIET)
    assert found.outcome is BranchOutcome.neuron_vanished
    assert abs(found.end.parameter - 0.5) < 1e-3
    assert "no gradient" in found.outcome.value


def test_steps_run_out():
    method = PseudoArclength(max_steps=3, watch=False)
    found = branch(AT_TWO, along=Width(TWO), begin=40, to=5, method=method)
    assert found.outcome is BranchOutcome.out_of_steps
    assert len(found.points) == 4
    assert "max_steps" in found.outcome.value


def test_the_fraction_of_flipped_neurons():
    loss = ReducedLoss(Blocks((190, 10), is_single=(False, False)))
    start = np.array([1, 0, 2 / 200, 4 / np.pi / 200, -1 + 2 / 200, 2 / 200])
    along = Fraction(loss)
    found = branch(start, along=along, begin=0.05, to=0.4, method=QUIET)
    assert found.outcome is BranchOutcome.reached_end
    assert np.allclose(found.end.loss.blocks.sizes, (120, 80), rtol=0, atol=1e-10)
    # Along the width at fixed p one arrives at the same point.
    other = ReducedLoss(Blocks((1920, 80), is_single=(False, False)))
    far = np.array([1, 0, 2 / 2000, 4 / np.pi / 2000, -1 + 2 / 2000, 2 / 2000])
    down = branch(far, along=Width(other), begin=2000, to=200, method=QUIET)
    assert np.allclose(down.end.point, found.end.point, rtol=0, atol=1e-9)


def test_growing_in_proportion_and_between_sizes():
    loss = ReducedLoss(Blocks((80, 20), is_single=(False, False)))
    start = symmetric_point(
        loss, np.array([1, 0, 2 / 100, 4 / np.pi / 100, -1 + 2 / 100, 2 / 100])
    ).point
    up = branch(start, along=Width(loss, None), begin=100, to=200, method=QUIET)
    assert np.allclose(up.end.loss.blocks.sizes, (160, 40))
    over = branch(start, along=Resizing(loss, (160, 40)), begin=0, to=1, method=QUIET)
    assert np.allclose(over.end.point, up.end.point, rtol=0, atol=1e-11)


def test_a_teacher_is_deformed():
    loss = ReducedLoss(Blocks((9, 1)))
    start = symmetric_point(loss, np.array([1, 0, 0.2, 0.13, -0.7])).point
    # Teacher neurons that are no longer orthogonal: each entry of the first nine moves by 0.02.
    teacher = Teacher(loss.teacher.rows, (1.0, 0.02, 0.0, 0.0, 1.0))
    along = Perturbation(loss, teacher)
    found = branch(start, along=along, begin=0, to=1)
    assert found.outcome is BranchOutcome.reached_end
    there = ReducedLoss(loss.blocks, teacher)
    assert np.max(np.abs(there.gradient(found.end.point))) < 1e-10
    assert found.end.loss.teacher.point == pytest.approx(teacher.point)
    assert min(e.eigenvalue for e in spectrum(there, found.end.point)) > 0  # still a minimum


def test_scales_are_those_of_leading_order():
    assert scales(Blocks((9, 1))) == [1.0, 1 / 9, 1 / 9, 1 / 9, 1.0]


def test_misuse_is_refused():
    with pytest.raises(ValueError, match=r"no critical point near the start .* k = 40: .*"):
        branch(np.full(5, np.nan), along=Width(TWO), begin=40, to=10)
    with pytest.raises(ValueError, match="Both teachers need the same blocks of rows"):
        Perturbation(TWO, Teacher((0,), (1.0, 0.0, 0.0)))
    with pytest.raises(ValueError, match="no component two-row of the factors"):
        component_eigenvalues(TWO, AT_TWO, Representation.two_row, (1,), Floats())
