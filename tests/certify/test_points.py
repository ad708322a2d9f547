"""Certificates of single points prove what they say, in all weights, and nothing else."""

import dataclasses
import json
from decimal import Decimal
from typing import Any

import flint
import mpmath
import numpy as np
import pytest
import scipy.optimize

from shallows import Gaussian, SquaredLoss
from shallows.atlas.families import member
from shallows.certify import PointCertificate, Verdict, certify_point, verify_point
from shallows.certify._dense import DenseLoss
from shallows.certify.point import _eigenvalues, point_words
from shallows.certify.verify_point import _count, _Landscape
from shallows.model import Network, orthonormal


def student(name, k):
    point = member(name, k)
    return Network(point.loss.blocks.embed([float(x) for x in point.point]))


def given_problem(seed=5, students=2, teachers=3, inputs=3):
    """A problem without any symmetry, one teacher's head negative, and a critical point of it."""
    rng = np.random.default_rng(seed)
    theirs = np.array([1.3, 0.8, -0.2])[:teachers]
    teacher = Network(rng.normal(size=(teachers, inputs)), theirs)
    loss, heads = SquaredLoss(teacher, Gaussian(inputs)), rng.uniform(0.5, 1.5, size=students)

    def network(x):
        return Network(x.reshape(students, inputs), heads)

    def gradient(x):
        return np.asarray(loss.gradient(network(x))).ravel()

    start = rng.normal(size=students * inputs)
    found = scipy.optimize.minimize(lambda x: float(loss(network(x))), start, jac=gradient).x
    for _ in range(4):
        found = found - np.linalg.solve(np.asarray(loss.hessian(network(found))), gradient(found))
    assert np.linalg.norm(gradient(found)) < 1e-12
    return network(found), teacher, loss


@pytest.fixture(scope="module")
def certificate():
    return certify_point(student("II", 6), orthonormal(6))


@pytest.mark.parametrize(("name", "k", "index"), [("II", 6, 0), ("I", 6, 6), ("A", 5, 6)])
def test_points_with_known_symmetry_have_the_loss_and_the_index_of_their_reduced_proof(
    name, k, index
):
    from shallows import certified

    found, reduced = certify_point(student(name, k), orthonormal(k)), certified(name, k)
    assert found.verdict is Verdict.PROVED
    assert found.index == reduced.index == index
    for mine, theirs in (
        (found.loss, reduced.loss),
        (found.smallest_eigenvalue, reduced.smallest_eigenvalue),
    ):
        assert float(mine[0]) <= float(theirs[1])
        assert float(theirs[0]) <= float(mine[1])
    assert float(found.loss[1]) - float(found.loss[0]) <= 1e-14
    width = float(found.smallest_eigenvalue[1]) - float(found.smallest_eigenvalue[0])
    assert width <= 1e-10 * k
    assert verify_point(found).reason == ""


def test_published_values_are_enclosed(certificate):
    # facts: loss 0.025080581 and smallest eigenvalue 0.0047 at k = 6.
    low, high = map(float, certificate.loss)
    assert 0.0250805805 < low <= high < 0.0250805815
    assert 0.004695 < float(certificate.smallest_eigenvalue[0]) < 0.004705
    assert "strict local minimum: all 36 Hessian eigenvalues" in certificate.statement
    assert "no global minimum" in certificate.statement


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_points_without_symmetry_are_proved_with_heads_and_teachers_of_any_kind(seed):
    w, teacher, loss = given_problem(seed)
    found = certify_point(w, teacher)
    assert found.verdict is Verdict.PROVED
    eigenvalues = np.linalg.eigvalsh(np.asarray(loss.hessian(w)))
    assert found.index == np.sum(eigenvalues < 0)
    low, high = map(float, found.smallest_eigenvalue)
    assert low <= eigenvalues[0] <= high
    assert abs(float(found.loss[0]) - float(loss(w))) < 1e-13
    assert "Let 2 students and 3 teachers with the given inner weights" in found.statement
    assert verify_point(found).reason == ""


def test_it_says_that_a_point_is_no_global_minimum_only_where_zero_is_attained():
    # One student cannot be two teachers: its minimum has a positive loss and is global.
    teacher = orthonormal(2)
    loss = SquaredLoss(teacher, Gaussian(2))
    w = np.array([[1.0, 1.0]])
    for _ in range(30):
        point = Network(w)
        step = np.linalg.solve(np.asarray(loss.hessian(point)), np.asarray(loss.gradient(point))[0])
        w = w - step[None, :]
    found = certify_point(Network(w), teacher)
    assert found.index == 0
    assert float(found.loss[0]) > 0
    assert "global" not in found.statement
    assert verify_point(found).verdict is Verdict.PROVED


def _differences(value, w, h):
    """Second differences of a function of a matrix."""
    places = [(i, j) for i in range(len(w)) for j in range(len(w[0]))]

    def moved(p, a, q, b):
        x = [list(row) for row in w]
        x[p[0]][p[1]] += a * h
        x[q[0]][q[1]] += b * h
        return value(x)

    signs = (1, -1)
    return np.array(
        [
            [
                float(sum(a * b * moved(p, a, q, b) for a in signs for b in signs) / (4 * h * h))
                for q in places
            ]
            for p in places
        ]
    )


def _by_hand(w, heads, v, theirs):
    """The loss in mpmath, with angles by their cosines."""
    neurons = [*w, *v]
    c = [*heads, *(-h for h in theirs)]

    def overlap(x, y):
        a, b = mpmath.norm(x), mpmath.norm(y)
        cosine = mpmath.fdot(x, y) / (a * b)
        angle = mpmath.acos(max(-1, min(1, cosine)))
        profile = mpmath.sin(angle) + (mpmath.pi - angle) * cosine
        return a * b * profile / (2 * mpmath.pi)

    return (
        sum(
            c[i] * c[j] * overlap(x, y)
            for i, x in enumerate(neurons)
            for j, y in enumerate(neurons)
        )
        / 2
    )


def test_hessians_in_balls_are_those_of_50_digit_differences_and_a_sign_error_would_show():
    w = [["0.9", "-0.2"], ["0.3", "0.8"]]
    heads, v, theirs = ("1.5", "-0.5"), (("1.0", "0.5"),), ("2.0",)
    with mpmath.workdps(60):
        exact = [[mpmath.mpf(x) for x in row] for row in w]
        teacher = [[mpmath.mpf(x) for x in row] for row in v]

        def value(x):
            return _by_hand(x, [mpmath.mpf(h) for h in heads], teacher, [mpmath.mpf(2)])

        expected = _differences(value, exact, mpmath.mpf(10) ** -15)
        loss_by_hand = value(exact)
    certificate = PointCertificate(
        Verdict.PROVED, "", (), "", 200, heads, v, theirs, (), ("0", "1"), ("0", "1"), None
    )
    with flint.ctx.workprec(200):
        rows = [[flint.arb(x) for x in row] for row in w]
        mine, second = DenseLoss(heads, v, theirs), _Landscape(certificate)
        for made, value_made, slope in (
            (mine.hessian(flint.arb_mat(rows)), mine.value(flint.arb_mat(rows)), mine.gradient),
            (second.hessian(rows), second.loss(rows), second.gradient),
        ):
            hessian = np.array([[float(x) for x in row] for row in made.tolist()])
            assert np.max(np.abs(hessian - expected)) < 1e-12
            assert abs(float(value_made) - float(loss_by_hand)) < 1e-15
            mutant = hessian.copy()
            mutant[0, 2] *= -1
            assert np.max(np.abs(mutant - expected)) > 1e-2
            assert slope is not None
        gradients = (mine.gradient(flint.arb_mat(rows)), second.gradient(rows))
        for x, y in zip(*(g.entries() for g in gradients), strict=True):
            assert x.overlaps(y)
            assert float(x.rad()) < 1e-50


def test_a_sign_error_in_the_hessian_of_the_proof_is_caught(monkeypatch, certificate):
    # With the wrong Hessian either nothing is proved, or the second look refuses it.
    right = DenseLoss.hessian

    def wrong(self, w):
        matrix = right(self, w)
        n = matrix.nrows()
        rows = matrix.tolist()
        for i in range(6):
            for j in range(6, n):
                rows[i][j], rows[j][i] = -rows[i][j], -rows[j][i]
        return flint.arb_mat(rows)

    monkeypatch.setattr(DenseLoss, "hessian", wrong)
    found = certify_point(student("II", 6), orthonormal(6))
    assert found.verdict is Verdict.UNDECIDED or verify_point(found).reason


def _random_candidate(rng):
    n, m, d = (int(x) for x in rng.integers(1, 4, size=3))
    return (
        Network(rng.normal(size=(n, d)), rng.normal(size=n)),
        Network(rng.normal(size=(m, d)), rng.normal(size=m)),
    )


@pytest.mark.parametrize("number", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_points_are_never_certified(number):
    rng = np.random.default_rng(number)
    for _ in range(number):
        found = certify_point(*_random_candidate(rng))
        assert found.verdict is Verdict.UNDECIDED
        assert found.statement.startswith("Nothing was proved: ")


def test_candidates_that_are_off_are_not_certified():
    w = student("II", 6)
    off = Network(np.asarray(w.inner) + 1e-4)
    found = certify_point(off, orthonormal(6))
    assert found.verdict is Verdict.UNDECIDED
    assert "no critical point so close" in found.statement
    assert found.weights == ()
    assert PointCertificate.from_json(json.loads(json.dumps(found.as_json()))) == found
    check = verify_point(found)
    assert (check.verdict, check.reason) == (Verdict.UNDECIDED, "It does not claim to be a proof.")
    near = Network(np.asarray(w.inner) + 1e-8)
    assert certify_point(near, orthonormal(6)).verdict is Verdict.PROVED


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (np.eye(3), "Student 1 and teacher 1 are parallel"),
        (np.array([[1.0, 2, 3], [2, 4, 6]]), "Student 1 and student 2 are parallel"),
        (np.array([[1.0, 2, 3], [-2, -4, -6]]), "Student 1 and student 2 are parallel"),
        (np.array([[1.0, 2, 3], [0, 0, 0]]), "Student 2 vanishes"),
    ],
)
def test_where_neurons_meet_or_vanish_nothing_is_proved(inner, reason):
    found = certify_point(Network(inner), orthonormal(3))
    assert found.verdict is Verdict.UNDECIDED
    assert reason in found.statement


def test_a_point_that_is_not_isolated_is_not_proved():
    # Teachers e and −e: one student of length 2/π orthogonal to them is critical, wherever it is.
    teacher = Network(np.array([[1.0, 0, 0], [-1, 0, 0]]))
    w = Network(2 / np.pi * np.array([[0, 0.6, 0.8]]))
    loss = SquaredLoss(teacher, Gaussian(3))
    assert np.linalg.norm(np.asarray(loss.gradient(w))) < 1e-15
    assert np.min(np.abs(np.linalg.eigvalsh(np.asarray(loss.hessian(w))))) < 1e-15
    found = certify_point(w, teacher)
    assert found.verdict is Verdict.UNDECIDED
    assert "singular as far as floats can tell" in found.statement


def test_parallel_teachers_are_no_obstacle():
    # The same teacher three times, once turned around: only pairs with a student need a Hessian.
    w, teacher, _ = given_problem(6)
    v, b = np.asarray(teacher.inner), np.asarray(teacher.outer)
    split = Network(np.concatenate([v, v[:1]]), np.concatenate([[b[0] / 2], b[1:], [b[0] / 2]]))
    found, whole = certify_point(w, split), certify_point(w, teacher)
    assert found.verdict is whole.verdict is Verdict.PROVED
    assert abs(float(found.loss[0]) - float(whole.loss[0])) < 1e-13
    assert verify_point(found).reason == ""


def _reworded(certificate, **changes):
    forged = dataclasses.replace(certificate, **changes)
    return dataclasses.replace(forged, statement=point_words(forged))


def test_forged_numbers_with_the_right_words_are_not_proved(certificate):
    low, high = (float(x) for x in certificate.smallest_eigenvalue)
    first = certificate.weights[0]
    moved = (str(float(first[1][0]) + 1e-6), str(float(first[1][1]) + 1e-6))
    other = (("0.5", *certificate.teacher[0][1:]), *certificate.teacher[1:])
    for changes, reason in (
        ({"loss": ("0.02508", "0.02508058")}, "loss is not enclosed"),
        ({"index": 1}, "exactly 1 eigenvalues are negative"),
        ({"smallest_eigenvalue": (str(high), str(high + 1e-9))}, "may be below"),
        ({"smallest_eigenvalue": (str(low - 1e-9), str(low))}, "No eigenvalue need be below"),
        ({"smallest_eigenvalue": (str(low), str(low + 1e-18))}, "not close enough"),
        ({"weights": ((first[0], moved, *first[2:]), *certificate.weights[1:])}, "Krawczyk"),
        ({"outer": ("2.0", *certificate.outer[1:])}, "Krawczyk"),
        ({"teacher": other}, "Krawczyk"),
        ({"teacher_outer": ("1.1", *certificate.teacher_outer[1:])}, "Krawczyk"),
        ({"verdict": Verdict.UNDECIDED}, "does not claim"),
    ):
        check = verify_point(_reworded(certificate, **changes))
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason
    for unworded in (
        dataclasses.replace(certificate, statement="All minima are global."),
        dataclasses.replace(certificate, index=None),
    ):
        check = verify_point(unworded)
        assert check.verdict is Verdict.UNDECIDED
        assert "words do not say" in check.reason


def test_altered_and_malformed_files_are_refused(certificate):
    from shallows.certify.document import digest

    document = json.loads(json.dumps(certificate.as_json()))
    assert PointCertificate.from_json(document) == certificate
    with pytest.raises(ValueError, match="altered after it was made"):
        PointCertificate.from_json({**document, "index": 1})

    def sealed(**changes):
        body = {k: v for k, v in {**document, **changes}.items() if k != "digest"}
        return {**body, "digest": digest(body)}

    for changes, message in (
        ({"bits": 1}, "`bits` is 1"),
        ({"bits": True}, "`bits` is True"),
        ({"index": "none"}, "`index` is 'none'"),
        ({"outer": document["outer"][1:]}, "lengths that do not fit"),
        ({"teacher": []}, "lengths that do not fit"),
        ({"teacher_outer": []}, "lengths that do not fit"),
        ({"loss": ["0"]}, "no pair"),
        ({"loss": [0, 1]}, "no pair of decimal strings"),
        ({"weights": 3}, "malformed"),
    ):
        with pytest.raises(ValueError, match=message):
            PointCertificate.from_json(sealed(**changes))
    for changes in ({"outer": ["x"] * 6}, {"teacher": [["NaN"] * 6] * 6}):
        forged = PointCertificate.from_json(sealed(**changes))
        assert verify_point(_reworded_or_same(forged)).verdict is Verdict.UNDECIDED


def _reworded_or_same(certificate):
    try:
        return _reworded(certificate)
    except ArithmeticError:  # no number, no words
        return certificate


def test_questions_that_mean_nothing_are_refused():
    one = orthonormal(2)
    for arguments, message in (
        ((Network(np.eye(2), None, [1.0, 1.0]), one), "without biases"),
        ((Network(np.ones((2, 2, 2))), one), "one network"),
        ((orthonormal(2, 3), one), "different spaces"),
        ((Network(np.ones((40, 40))), orthonormal(40)), "at most 1000"),
    ):
        with pytest.raises(ValueError, match=message):
            certify_point(*arguments)
    with pytest.raises(ValueError, match="`bits` is 10"):
        certify_point(one, one, bits=10)


@pytest.mark.usefixtures("unchecked_types")
def test_a_matrix_is_no_network():
    matrix: Any = np.eye(2)
    with pytest.raises(TypeError, match="The student is a ndarray, but must be a `Network`"):
        certify_point(matrix, orthonormal(2))


def test_eigenvalues_are_enclosed_and_counted():
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 12):
        # Clusters and a wide range of sizes.
        values = np.sort(rng.choice([-1.0, -1e-3, 1e-3, 1.0, 1e3], size=n))
        basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
        dense = (basis * values) @ basis.T
        dense = (dense + dense.T) / 2
        with flint.ctx.workprec(128):
            matrix = flint.arb_mat(dense.tolist())
            for ball, value in zip(_eigenvalues(matrix), np.linalg.eigvalsh(dense), strict=True):
                assert abs(float(ball.mid()) - value) <= float(ball.rad()) + 1e-12 * 1e3
                assert float(ball.rad()) < 1e-10
            for shift in ("-2", "-0.1", "0", "0.1", "10"):
                found = _count(matrix, Decimal(shift), Decimal("1e-8"))
                assert found == np.sum(values < float(shift))


@pytest.mark.slow
def test_four_hundred_weights_take_seconds():
    found = certify_point(student("II", 20), orthonormal(20))
    assert (found.verdict, found.index) == (Verdict.PROVED, 0)
    assert verify_point(found).reason == ""
