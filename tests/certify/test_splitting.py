"""Split neurons: the formula against dense Hessians and 60 digits, and forged proofs."""

import dataclasses
import functools
import json
import math

import mpmath as mp
import numpy as np
import pytest

import shallows as sh
from shallows.atlas.families import member
from shallows.atlas.theorems import certified_wider
from shallows.certify import (
    Certificate,
    SplittingCertificate,
    Verdict,
    certify_splitting,
    verify,
    verify_splitting,
)


@functools.cache
def made(name, k):
    found = certified_wider(name, k, 1)
    assert isinstance(found, SplittingCertificate)
    return found


def dense(direction, sizes, rows, columns):
    """The direction as a matrix: a second reading of what places and positions are."""

    def labels(blocks):
        return [
            (b, i, max(0, i - (sizes[f] - direction.fixed[f]) + 1))
            for b, f in enumerate(blocks)
            for i in range(sizes[f])
        ]

    found = np.zeros((sum(sizes[f] for f in rows), sum(sizes[f] for f in columns)))
    value = {
        (e.row, e.place, e.column, e.position, e.is_diagonal): float(e.value)
        for e in direction.entries
    }
    for n, (r, i, place) in enumerate(labels(rows)):
        for m, (c, j, position) in enumerate(labels(columns)):
            own = (i == j) if rows[r] == columns[c] else None
            found[n, m] = value.get((r, place, c, position, own), 0.0)
    return found


def split_student(name, k, separation, share):
    """The student with one neuron split in two, and the direction that separates the parts."""
    core = made(name, k).core
    point = member(name, k)
    matrix = point.loss.blocks.embed(point.weights)
    epsilon = dense(separation.descent, [int(n) for n in core.sizes], core.rows, core.columns)
    (place,) = np.flatnonzero(np.any(epsilon != 0, axis=1))
    student = np.concatenate([matrix, [(1 - share) * matrix[place]]])
    student[place] *= share
    return student, np.concatenate([epsilon, [-epsilon[place]]])


@pytest.mark.parametrize(
    ("name", "k"), [("A", 10), ("I", 7), ("II", 6), ("flipped:2", 8), ("II", 10**9), ("A", 10**12)]
)
def test_splitting_any_neuron_of_a_minimum_makes_a_saddle(name, k):
    found = made(name, k)
    assert found.verdict is Verdict.PROVED
    assert found.core.index == 0
    assert [s.row for s in found.separations] == list(range(len(found.core.rows)))
    assert all(float(s.descent.quotient[1]) < 0 for s in found.separations)
    again = SplittingCertificate.from_json(json.loads(json.dumps(found.as_json())))
    assert again == found
    assert verify_splitting(again).reason == ""
    assert "Split any neurons" in found.statement


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize(("name", "k"), [("A", 8), ("I", 8), ("II", 8), ("flipped:2", 8)])
def test_the_second_derivative_is_that_of_the_dense_hessian(name, k, share):
    loss = sh.SquaredLoss(sh.orthonormal(k), sh.Gaussian(k))
    for separation in made(name, k).separations:
        student, along = split_student(name, k, separation, share)
        assert np.linalg.norm(loss.gradient(sh.Network(student))) < 1e-12
        hessian = np.asarray(loss.hessian(sh.Network(student)))
        second = along.ravel() @ hessian @ along.ravel()
        square = np.sum(along**2) / 2
        low, high = map(float, separation.descent.quotient)
        factor = (1 / share + 1 / (1 - share)) * square
        assert factor * low - 1e-12 <= second <= factor * high + 1e-12
        # Moving the neuron along itself, on the contrary, costs: no maximum.
        (place,) = np.flatnonzero(np.any(along[:-1] != 0, axis=1))
        itself = np.zeros_like(along)
        itself[place] = student[place] / np.linalg.norm(student[place])
        assert math.isclose(itself.ravel() @ hessian @ itself.ravel(), 0.5, abs_tol=1e-12)


def loss_60_digits(student, k):
    """½ cᵀ K c with K = (s + φ c)/2π, written down once more."""
    rows = [*student, *([mp.mpf(i == j) for j in range(k)] for i in range(k))]
    heads = [1] * len(student) + [-1] * k
    total = mp.mpf(0)
    for u, a in zip(rows, heads, strict=True):
        for v, b in zip(rows, heads, strict=True):
            c = mp.fdot(u, v)
            s = mp.sqrt(max(mp.fdot(u, u) * mp.fdot(v, v) - c * c, 0))
            total += a * b * (s + mp.atan2(s, -c) * c) / (2 * mp.pi)
    return total / 2


def test_the_loss_falls_on_both_sides_although_it_has_no_third_derivative():
    with mp.workdps(60):
        k, share = 6, mp.mpf("0.3")
        for separation in made("II", k).separations:
            _, along = split_student("II", k, separation, float(share))
            exact = member("II", k)
            with exact.numbers.precision():
                texts = [x.str(50, radius=False) for x in exact.point]
            flat = exact.loss.blocks.embed(list(range(len(texts))))
            rows = [[mp.mpf(texts[int(i)]) for i in row] for row in flat]
            (place,) = np.flatnonzero(np.any(along[:-1] != 0, axis=1))
            rows.append([(1 - share) * x for x in rows[place]])
            rows[place] = [share * x for x in rows[place]]
            h = mp.mpf(10) ** -12

            def at(t, rows=rows, along=along):
                return loss_60_digits(
                    [
                        [x + t * mp.mpf(float(y)) for x, y in zip(r, d, strict=True)]
                        for r, d in zip(rows, along, strict=True)
                    ],
                    k,
                )

            here = at(mp.mpf(0))
            assert at(h) < here
            assert at(-h) < here
            second = (at(h) - 2 * here + at(-h)) / h**2
            low, _ = separation.descent.quotient
            square = np.sum(along**2) / 2
            expected = float(low) * square * float(1 / share + 1 / (1 - share))
            # C² only: the error of a second difference is of first order.
            assert abs(float(second) - expected) < 1e-9


def test_new_neurons_are_proved_with_their_directions():
    found = certified_wider("I", 10, 1, how=1)
    assert isinstance(found, Certificate)
    # facts: landscapes.md §7.2 has 0.0650261 and −0.00230 in the standard representation.
    assert math.isclose(float(found.loss[0]), 0.0650261, abs_tol=5e-8)
    assert found.index == 8
    assert found.descent is not None
    assert math.isclose(float(found.descent.quotient[0]), -0.00230, abs_tol=5e-6)
    assert found.distance is None  # with eleven students there are more global minima
    assert verify(found).verdict is Verdict.PROVED
    along = dense(found.descent, [int(n) for n in found.sizes], found.rows, found.columns)
    weights = [float(low) for low, _ in found.weights]
    student = sh.Network(sh.symmetry.Blocks((9, 1, 1), columns=(0, 1)).embed(weights))
    hessian = np.asarray(sh.SquaredLoss(sh.orthonormal(10), sh.Gaussian(10)).hessian(student))
    quotient = along.ravel() @ hessian @ along.ravel() / np.sum(along**2)
    assert math.isclose(quotient, float(found.descent.quotient[0]), rel_tol=1e-9)


def test_one_block_alone_can_be_asked_for():
    found = certified_wider("II", 10, 1, how=5)
    assert isinstance(found, SplittingCertificate)
    assert len(found.separations) == 1
    assert "Split neurons w of this point" in found.statement
    assert verify_splitting(found).verdict is Verdict.PROVED


def test_forged_directions_are_not_proved():
    found = made("II", 6)
    first, second = found.separations
    entry = first.descent.entries[0]

    def with_descent(**changes):
        return dataclasses.replace(first, descent=dataclasses.replace(first.descent, **changes))

    def with_entry(**changes):
        changed = dataclasses.replace(entry, **changes)
        return with_descent(entries=(changed, *first.descent.entries[1:]))

    for forged, reason in (
        (with_descent(quotient=("-0.2", "-0.19")), "is not proved to lie in"),
        (with_descent(quotient=("-0.2", "0.2")), "is not proved to lie in"),
        (with_entry(value="3"), "is not proved to lie in"),
        (with_entry(row=1), "does not move one neuron"),
        (with_entry(place=0), "does not move one neuron"),
        (with_descent(entries=(entry, *first.descent.entries)), "has an entry twice"),
        (with_descent(entries=()), "does not move one neuron"),
        (with_descent(fixed=(1,)), "fixes (1,) places"),
        (with_descent(fixed=(9, 0)), "fixes (9, 0) places"),
        (dataclasses.replace(first, row=1), "does not move one neuron"),
        (dataclasses.replace(second, row=7), "no block 7"),
    ):
        check = verify_splitting(dataclasses.replace(found, separations=(forged,)))
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason
    core = dataclasses.replace(found.core, loss=("0.1", "0.2"))
    assert verify_splitting(dataclasses.replace(found, core=core)).verdict is Verdict.UNDECIDED
    none = dataclasses.replace(found, separations=())
    assert none.verdict is Verdict.UNDECIDED
    assert verify_splitting(none).verdict is Verdict.UNDECIDED
    other = {**found.as_json(), "statement": "All minima are global."}
    with pytest.raises(ValueError, match="altered after"):
        SplittingCertificate.from_json(other)
    other.pop("digest")
    other["digest"] = sh.certify.document.digest(other)
    with pytest.raises(ValueError, match="words do not say"):
        SplittingCertificate.from_json(other)


def test_where_no_part_descends_nothing_is_claimed():
    # A point that is off by more than its reach is not proved to be critical.
    point = member("II", 6)
    candidate = np.array(point.weights) + 1e-6
    found = certify_splitting(point.loss, candidate, bits=200)
    assert found.verdict is Verdict.UNDECIDED
    assert "Nothing was proved" in found.statement


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (("II", 10, 1, 9), "has 5 continuations with 1 more neurons"),
        (("II", 10, 1, 1), "no continuation, but where descent ends"),
        (("II", 10, 0), "counts neurons that are added"),
        (("global", 10, 1), "needs no certificate"),
    ],
)
def test_misuse_is_a_value_error(ask, text):
    with pytest.raises(ValueError, match=text):
        certified_wider(*ask)


def test_blocks_that_there_are_not():
    point = member("II", 6)
    with pytest.raises(ValueError, match="blocks 0 to 1 of neurons"):
        certify_splitting(point.loss, point.point, bits=200, rows=(2,))
