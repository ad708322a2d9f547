"""The distance to the permutation matrices, against assignment on dense matrices."""

import dataclasses
import itertools
import json
import math

import flint
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from shallows.atlas.families import member
from shallows.atlas.theorems import certified
from shallows.certify import Certificate, Verdict, verify
from shallows.certify.certificate import words
from shallows.certify.distance import distance
from shallows.certify.document import digest
from shallows.symmetry import Balls, Blocks


@pytest.mark.parametrize(
    ("name", "k"), [("A", 7), ("I", 7), ("II", 6), ("II", 10), ("II", 40), ("flipped:3", 12)]
)
def test_it_is_that_of_the_best_assignment(name, k):
    found = certified(name, k).distance
    assert found is not None
    matrix = member(name, k).loss.blocks.embed(member(name, k).weights)
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    permutation = np.zeros_like(matrix)
    permutation[rows, columns] = 1
    expected = np.linalg.norm(matrix - permutation)
    low, high = map(float, found.enclosure)
    assert low <= high <= low * (1 + 1e-14)
    assert math.isclose(low, expected, rel_tol=1e-13)


def test_random_blocks_against_all_permutations():
    rng = np.random.default_rng(1)
    numbers = Balls(128)
    for _ in range(40):
        sizes = [(4, 1), (3, 2), (2, 2, 1), (5,), (1, 1, 1, 2)][int(rng.integers(5))]
        blocks = Blocks(sizes)
        point = rng.normal(size=len(blocks.orbits)).round(3)
        matrix = blocks.embed(point)
        most = max(
            sum(matrix[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(5))
        )
        expected = math.sqrt(np.sum(matrix**2) + 5 - 2 * most)
        with numbers.precision():
            found = distance(blocks, numbers.numbers([flint.arb(x) for x in point]), numbers)
        assert found is not None
        low, high = map(float, found.enclosure)
        assert low - 1e-14 <= expected <= high + 1e-14
        assert high - low < 1e-14


def test_a_billion_neurons():
    # |W|² + k − 2 tr W with the weights' leading orders (facts, landscapes.md §3.3): 4 for type
    # II, of which −4 · 3.95/k is left out; for type A the best is any derangement, and 2k.
    for name, expected in (("II", 2.0), ("A", math.sqrt(2e9))):
        found = certified(name, 10**9)
        assert found.distance is not None
        assert verify(found).reason == ""
        assert math.isclose(float(found.distance.enclosure[0]), expected, rel_tol=1e-4)


def test_the_nearest_permutation_need_not_be_the_identity():
    found = certified("II", 10)
    assert found.distance is not None
    # The flipped neuron swaps places with another one.
    assert found.distance.matched == ("8", "0", "1", "1", "0")
    assert "The global minima are the 10 × 10 permutation matrices" in found.statement


def test_forged_distances_are_not_proved():
    found = certified("II", 10)
    theirs = found.distance
    assert theirs is not None
    low, high = theirs.enclosure
    for changes, reason in (
        ({"enclosure": ("1.7", "1.8")}, "not enclosed"),
        ({"enclosure": (low, low)}, "not enclosed"),
        ({"enclosure": ("-3", high)}, "not enclosed"),
        ({"matched": ("9", "0", "0", "0", "1")}, "not enclosed"),
        ({"matched": ("9", "0", "1", "1", "0")}, "not doubly stochastic"),
        ({"matched": ("10", "-1", "0", "0", "1")}, "is no number of entries"),
        ({"matched": ("10",)}, "other numbers of orbits"),
        ({"rows": ("-9", "-9")}, "not feasible"),
        ({"rows": tuple(str(float(u) + 1) for u in theirs.rows)}, "not enclosed"),
    ):
        forged = dataclasses.replace(found, distance=dataclasses.replace(theirs, **changes))
        check = verify(dataclasses.replace(forged, statement=words(forged)))
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason


def test_certificates_of_the_first_schema_are_still_read_and_proved():
    body = json.loads(json.dumps(certified("II", 6).as_json()))
    for key in ("digest", "descent", "distance"):
        body.pop(key)
    body["schema"] = "shallows-certificate/1"
    body["statement"] = body["statement"].partition(" The global minima are")[0]
    old = Certificate.from_json({**body, "digest": digest(body)})
    assert old.distance is None
    assert verify(old).reason == ""


def test_saddles_come_with_a_direction_of_descent():
    found = certified("I", 6)
    assert found.descent is not None
    low, high = map(float, found.descent.quotient)
    # facts: landscapes.md §3.5. Decimals are near the eigenvector: an error of second order.
    assert -0.0058253494 < low <= high < -0.0058253492
    assert float(found.smallest_eigenvalue[0]) <= low
    assert "In the given direction the second derivative of the loss is negative" in found.statement
    forged = dataclasses.replace(found.descent, quotient=("-0.006", "-0.0059"))
    changed = dataclasses.replace(found, descent=forged)
    check = verify(dataclasses.replace(changed, statement=words(changed)))
    assert "is not proved to lie in" in check.reason
