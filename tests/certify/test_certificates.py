"""Certificates prove what they say, and nothing else is ever proved."""

import dataclasses
import json
import math

import flint
import mpmath
import numpy as np
import pytest

from shallows.atlas.families import member
from shallows.certify import Certificate, Verdict, certify, verify
from shallows.certify._balls import between, enclosure, negative_eigenvalues
from shallows.certify.document import digest
from shallows.symmetry import Balls, Blocks, ReducedLoss, Teacher

CASES = [("II", 6), ("II", 10), ("A", 10), ("I", 6), ("flipped:2", 20), ("II", 10**9)]


def made(name, k):
    point = member(name, k)
    return certify(point.loss, point.point, bits=192 + math.ceil(12 * math.log2(k)))


@pytest.fixture(scope="module")
def certificate():
    return made("II", 10)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_named_points_are_proved_and_the_proof_checks(name, k):
    found = made(name, k)
    assert found.verdict is Verdict.PROVED
    again = Certificate.from_json(json.loads(json.dumps(found.as_json())))
    assert again == found
    assert verify(again).verdict is Verdict.PROVED
    point = member(name, k)
    assert float(found.loss[0]) <= point.value * (1 + 1e-15)
    assert float(found.loss[1]) >= point.value * (1 - 1e-15)
    assert float(found.loss[1]) - float(found.loss[0]) <= 1e-13 * point.value


def test_published_values_are_enclosed(certificate):
    # facts: 0.018702195 and 0.0319640276 at k = 10; the index of I at k = 6 is that of the
    # exterior square of the standard representation of S5.
    assert math.isclose(float(certificate.loss[0]), 0.018702195, abs_tol=5e-10)
    assert math.isclose(float(certificate.smallest_eigenvalue[0]), 0.0319640276, abs_tol=5e-11)
    assert certificate.index == 0
    assert "strict local minimum: all 100 Hessian eigenvalues" in certificate.statement
    assert "no global minimum" in certificate.statement
    saddle = made("I", 6)
    assert saddle.index == 6
    assert "6 of the 36 Hessian eigenvalues are negative" in saddle.statement


def _last_digit_changed(text):
    place = max(i for i, c in enumerate(text.partition("E")[0]) if c.isdigit())
    return text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :]


def _digits(value, path=()):
    """Where the numbers of a document are: all that could be tampered with."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _digits(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _digits(inner, (*path, i))
    elif isinstance(value, int) or (isinstance(value, str) and any(c.isdigit() for c in value)):
        yield path


def _tampered(document, path):
    changed = json.loads(json.dumps(document))
    *way, last = path
    inner = changed
    for key in way:
        inner = inner[key]
    value = inner[last]
    inner[last] = value + 1 if isinstance(value, int) else _last_digit_changed(value)
    return changed


def test_no_number_can_be_changed_unnoticed(certificate):
    document = json.loads(json.dumps(certificate.as_json()))
    for path in _digits(document):
        with pytest.raises(ValueError, match=r"altered after it was made|has schema"):
            Certificate.from_json(_tampered(document, path))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sizes": ("10", "1")}, "words do not say"),
        ({"statement": "All minima are global."}, "words do not say"),
        ({"verdict": Verdict.UNDECIDED}, "does not claim"),
        ({"loss": ("0.0187", "0.0188")}, "words do not say"),
        ({"index": 3}, "words do not say"),
        ({"bits": 60}, "Krawczyk"),
    ],
)
def test_a_forged_certificate_with_a_good_digest_is_not_proved(certificate, changes, reason):
    forged = dataclasses.replace(certificate, **changes)
    forged = Certificate.from_json(json.loads(json.dumps(forged.as_json())))
    check = verify(forged)
    assert check.verdict is Verdict.UNDECIDED
    assert reason in check.reason


def test_forged_numbers_with_the_right_words_are_not_proved(certificate):
    from shallows.certify.certificate import words

    def reworded(**changes):
        forged = dataclasses.replace(certificate, **changes)
        return dataclasses.replace(forged, statement=words(forged))

    first = certificate.eigenvalues[0]
    wrong = dataclasses.replace(first, enclosure=("0.5", "0.6"))
    many = dataclasses.replace(first, multiplicity="2")
    low, _ = certificate.weights[1]
    shifted = (str(float(low) + 1e-6), str(float(low) + 1.001e-6))
    for forged, reason in (
        (reworded(loss=("0.0187", "0.01870219")), "loss is not enclosed"),
        (reworded(eigenvalues=(wrong, *certificate.eigenvalues[1:])), "is not enclosed by"),
        (reworded(eigenvalues=(many, *certificate.eigenvalues[1:])), "multiplicity"),
        (reworded(eigenvalues=certificate.eigenvalues[1:]), "not all there"),
        (reworded(weights=(certificate.weights[0], shifted, *certificate.weights[2:])), "Krawczyk"),
        (reworded(weights=certificate.weights[1:]), "another number of weights"),
        (reworded(index=1), "The index is 0"),
        (reworded(smallest_eigenvalue=("0.01", "0.04")), "not the least"),
        (reworded(sizes=("8", "2")), "number of weights"),
        (reworded(sizes=("11", "1")), ""),
    ):
        check = verify(forged)
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_points_are_never_certified(number):
    rng = np.random.default_rng(number)
    for _ in range(number):
        blocks = Blocks((int(rng.integers(2, 30)),))
        found = certify(ReducedLoss(blocks), rng.normal(size=2), bits=128)
        assert found.verdict is Verdict.UNDECIDED


def test_a_candidate_that_is_off_by_more_than_its_reach_is_not_certified():
    point = member("II", 10)
    candidate = np.array([float(x) for x in point.point])
    assert certify(point.loss, candidate, bits=200).verdict is Verdict.PROVED
    off = candidate + 1e-6
    assert certify(point.loss, off, bits=200, reach=1e-9).verdict is Verdict.UNDECIDED


def _hessian_by_differences(loss, point):
    """Second differences of the value, at 50 digits."""
    h, n = mpmath.mpf(10) ** -15, len(point)
    balls = Balls(400)

    def value(x):
        with balls.precision():
            exact = loss.value(balls.numbers([flint.arb(str(t)) for t in x]), balls)
            return mpmath.mpf(exact.str(60, radius=False))

    def moved(i, a, j, b):
        x = [mpmath.mpf(t) for t in point]
        x[i] += a * h
        x[j] += b * h
        return value(x)

    return np.array(
        [
            [
                float(
                    sum(a * b * moved(i, a, j, b) for a in (1, -1) for b in (1, -1)) / (4 * h * h)
                )
                for j in range(n)
            ]
            for i in range(n)
        ]
    )


def test_the_hessian_in_balls_is_that_of_differences_and_a_sign_error_would_show():
    with mpmath.workdps(60):
        loss, point = ReducedLoss(Blocks((4, 1))), ["0.9", "-0.1", "0.3", "0.2", "-0.7"]
        balls = Balls(200)
        with balls.precision():
            ours = loss.hessian(balls.numbers([flint.arb(x) for x in point]), balls)
        expected = _hessian_by_differences(loss, point)
    exact = np.array([[float(x) for x in row] for row in ours])
    assert np.max(np.abs(exact - expected)) < 1e-12
    mutant = exact.copy()
    mutant[0, 1] *= -1
    assert np.max(np.abs(mutant - expected)) > 1e-3


def test_enclosures_are_rounded_outward_and_read_back():
    third = flint.arb(1) / 3
    low, high = enclosure(third, 5)
    assert (low, high) == ("0.33333", "0.33334")
    assert between(low, high).contains(third)
    assert enclosure(flint.arb(-2), 3) == ("-2", "-2")
    with pytest.raises(ValueError, match="without bounds"):
        enclosure(flint.arb("nan"))
    for pair in (("1", "0"), ("NaN", "1"), ("0", "Infinity")):
        with pytest.raises(ValueError, match="not an interval"):
            between(*pair)


def test_inertia_counts_negative_eigenvalues():
    rng = np.random.default_rng(0)
    for n in range(1, 6):
        matrix = rng.normal(size=(n, n))
        matrix = matrix + matrix.T
        balls = [[flint.arb(x) for x in row] for row in matrix.tolist()]
        assert negative_eigenvalues(balls) == np.sum(np.linalg.eigvalsh(matrix) < 0)
    assert negative_eigenvalues([[flint.arb(0, 1)]]) is None


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "not a certificate: it has no `schema`"),
        ({"schema": "shallows-certificate/9"}, "schema 'shallows-certificate/9'"),
        ({"schema": "shallows-certificate/1"}, "altered after it was made"),
    ],
)
def test_what_is_no_certificate_is_refused(document, text):
    with pytest.raises(ValueError, match=text):
        Certificate.from_json(document)


def test_malformed_and_enormous_ones_are_refused(certificate):
    for change, text in (
        ({"bits": 10**9}, "`bits` is 1000000000"),
        ({"bits": "many"}, "`bits` is 'many'"),
        ({"loss": ["0", 1]}, "no pair of decimal strings"),
        ({"verdict": "MAYBE"}, "MAYBE"),
    ):
        body = {**json.loads(json.dumps(certificate.as_json())), **change}
        body.pop("digest")
        with pytest.raises(ValueError, match=text):
            Certificate.from_json({**body, "digest": digest(body)})


def test_only_the_orthonormal_problem_with_heads_one_is_certified():
    other = ReducedLoss(Blocks((4,)), Teacher((0,), (2, 0)))
    with pytest.raises(ValueError, match="orthonormal teacher"):
        certify(other, np.array([1.0, 0.0]), bits=128)
    with pytest.raises(ValueError, match="whole sizes"):
        certify(ReducedLoss(Blocks((4.5,))), np.array([1.0, 0.0]), bits=128)
