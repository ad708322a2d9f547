"""Thresholds: enclosures against bisection in floats, and forged documents."""

import dataclasses
import functools
import json

import flint
import numpy as np
import pytest
from flint import arb

from shallows.atlas.families import member
from shallows.atlas.theorems import certified_threshold
from shallows.atlas.thresholds import threshold
from shallows.certify import ThresholdEnclosure, Verdict, certify_threshold, verify_threshold
from shallows.certify.document import digest
from shallows.certify.threshold import threshold_words
from shallows.certify.verify_threshold import _Series
from shallows.symmetry import Representation


@functools.cache
def made(name):
    return certified_threshold(name)


# facts: landscapes.md §5 for II; the others as `threshold` finds them, by secants in balls.
@pytest.mark.parametrize(
    ("name", "component", "near"),
    [("II", "standard", 5.5855), ("A", "exterior", 5.7638), ("I", "exterior", 6.7448)],
)
def test_thresholds_are_proved_and_the_proof_checks(name, component, near):
    found = made(name)
    assert found.verdict is Verdict.PROVED
    assert found.component == component
    assert abs(float(found.lower) - near) < 1e-4
    assert float(found.upper) - float(found.lower) < 2e-14
    assert float(found.lower) <= threshold(name).neurons <= float(found.upper)
    again = ThresholdEnclosure.from_json(json.loads(json.dumps(found.as_json())))
    assert again == found
    assert verify_threshold(again).reason == ""


@pytest.mark.parametrize("name", ["II", "A", "I"])
def test_the_sign_changes_as_the_spectrum_does(name):
    found = made(name)
    low, high = map(float, found.monotone)
    below, above = (member(name, k).spectrum()[0] for k in (low - 1e-6, high + 1e-6))
    assert float(below.eigenvalue) < 0 < float(above.eigenvalue)
    assert below.representation.value == above.representation.value == found.component
    weights = member(name, (low + high) / 2).weights
    for (a, b), weight in zip(found.weights, weights, strict=True):
        assert float(a) <= weight <= float(b)


def test_forged_thresholds_are_not_proved():
    found = made("A")
    (a, b), *rest = found.weights
    low, high = found.lower, found.upper
    for changes, reason in (
        ({"lower": "5.763812734919572"}, "sign at 5.763812734919572 is open"),
        ({"upper": "5.76381273491956", "lower": "5.76381273491955"}, "sign at 5.76381273491956"),
        ({"lower": high, "upper": low}, "not in order"),
        ({"monotone": ("5.7", "5.8")}, ""),
        ({"weights": ((a, a), *rest)}, "into its interior"),
        ({"weights": ((a, b),)}, "another number of weights"),
        ({"component": "standard"}, ""),
        ({"component": "odd"}, "may not"),
        ({"fixed": (2,)}, "Fixed blocks"),
        ({"bits": 53}, ""),
        ({"verdict": Verdict.UNDECIDED}, "does not claim"),
    ):
        forged = dataclasses.replace(found, **changes)
        check = verify_threshold(dataclasses.replace(forged, statement=threshold_words(forged)))
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason
    assert "words do not say" in verify_threshold(dataclasses.replace(found, statement="")).reason


def test_what_is_no_threshold_is_refused():
    document = made("A").as_json()
    with pytest.raises(ValueError, match="altered after"):
        ThresholdEnclosure.from_json({**document, "upper": "6"})
    for key, value, text in (
        ("bits", 10**9, "`bits` is 1000000000"),
        ("monotone", ["5"], "malformed|unpack"),
        ("weights", [[1, 2]], "no pair of decimal strings"),
        ("verdict", "MAYBE", "MAYBE"),
    ):
        body = {**document, key: value}
        body.pop("digest")
        with pytest.raises(ValueError, match=text):
            ThresholdEnclosure.from_json({**body, "digest": digest(body)})


def test_away_from_the_threshold_nothing_is_claimed():
    found = certify_threshold(
        lambda k: member("A", k).point, 6.0, fixed=(), component=Representation.exterior
    )
    assert found.verdict is Verdict.UNDECIDED
    assert verify_threshold(found).verdict is Verdict.UNDECIDED


def test_series_are_derivatives():
    def value(k):
        return ((-k / (k * k + 3).sqrt()).acos() - 1 / k) * (2 - k) + k * k.sqrt() / 3

    with flint.ctx.workprec(200):
        h, k = arb("1e-20"), arb("1.7")
        found = value(_Series(flint.arb_series([k, 1], 2)))
        expected = (value(k + h) - value(k - h)) / (2 * h)
        assert np.isclose(float(found.value), float(value(k)), rtol=1e-15)
        assert abs(float(found.slope - expected)) < 1e-15


@pytest.mark.slow
@pytest.mark.parametrize(("name", "until"), [("A", "6"), ("I", "7")])
def test_what_is_beyond_is_on_the_same_curve(name, until):
    found = certified_threshold(name, until=until)
    assert found.verdict is Verdict.PROVED
    assert found.beyond is not None
    assert "strict local minimum" in found.statement
    assert verify_threshold(found).verdict is Verdict.PROVED
    other = made("II" if name == "I" else "I")
    forged = dataclasses.replace(other, beyond=found.beyond)
    forged = dataclasses.replace(forged, statement=threshold_words(forged))
    assert "beyond" in verify_threshold(forged).reason
