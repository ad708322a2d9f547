"""Statements for all real sizes in an interval: what they enclose, and that forgeries fail."""

import dataclasses
import json
import math

import flint
import hypothesis as hp
import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
import typer
from flint import arb
from tampering import altered
from typer.testing import CliRunner

from shallows.atlas.families import member
from shallows.atlas.theorems import certified_threshold, spurious_everywhere
from shallows.atlas.thresholds import threshold
from shallows.certify import Verdict
from shallows.certify._models import Model, Models
from shallows.certify.document import digest
from shallows.certify.interval import IntervalCertificate, certify_interval, interval_words
from shallows.certify.threshold import Jet, certify_threshold
from shallows.certify.verify_interval import Loss, verify_interval
from shallows.cli import certify as commands
from shallows.symmetry import Balls, Blocks, ReducedLoss, components


def second_type(k):
    return member("II", k).point


@pytest.fixture(scope="module")
def certificate():
    return spurious_everywhere("6", "8")


def test_all_real_sizes_from_6_to_8_are_proved(certificate):
    assert certificate.verdict is Verdict.PROVED
    assert "For every real k from 6 to 8" in certificate.statement
    assert "positive definite" in certificate.statement
    assert float(certificate.loss[0]) > 0
    assert float(certificate.smallest_eigenvalue[0]) > 0
    again = IntervalCertificate.from_json(json.loads(json.dumps(certificate.as_json())))
    assert again == certificate
    check = verify_interval(again)
    assert (check.verdict, check.reason) == (Verdict.PROVED, "")


@pytest.mark.parametrize("neurons", [6, 6.25, 6.9, math.tau + 0.5, 7, 7.31, 8])
def test_sampled_sizes_lie_in_the_enclosures(certificate, neurons):
    box, point = certificate.at(neurons), member("II", neurons)
    for (low, high), weight in zip(box.weights(neurons), point.weights, strict=True):
        assert low <= weight <= high
        assert high - low < 1e-10
    assert float(box.loss[0]) <= point.value <= float(box.loss[1])
    least = float(point.spectrum()[0].eigenvalue)
    assert float(box.smallest_eigenvalue[0]) <= least <= float(box.smallest_eigenvalue[1])


def test_a_size_outside_is_refused(certificate):
    with pytest.raises(ValueError, match="sizes from 6 to 8, and 9 is not"):
        certificate.at(9)


def test_no_number_can_be_changed_unnoticed(certificate):
    changed = list(altered(certificate.as_json()))
    assert len(changed) > 50
    for document in changed:
        with pytest.raises(ValueError, match=r"was altered|has schema"):
            IntervalCertificate.from_json(document)


def _reworded(certificate, **changes):
    forged = dataclasses.replace(certificate, **changes)
    return dataclasses.replace(forged, statement=interval_words(forged))


def _boxed(certificate, **changes):
    boxes = (dataclasses.replace(certificate.boxes[0], **changes), *certificate.boxes[1:])
    return dataclasses.replace(certificate, boxes=boxes)


def test_what_is_claimed_beyond_the_boxes_is_not_proved(certificate):
    for forged, reason in (
        (dataclasses.replace(certificate, last="9"), "words do not say"),
        (dataclasses.replace(certificate, statement="All minima are global."), "words do not say"),
        (dataclasses.replace(certificate, verdict=Verdict.UNDECIDED), "does not claim"),
        (_reworded(certificate, last="8.0001"), "do not cover"),
        (_reworded(certificate, first="5.9999"), "do not cover"),
        (_reworded(certificate, first="9"), "no interval of sizes"),
        (_reworded(certificate, boxes=()), "no interval of sizes"),
        (_reworded(certificate, loss=("0.023", "0.024")), "does not follow"),
        (_reworded(certificate, smallest_eigenvalue=("0.01", "0.02")), "does not follow"),
        (_reworded(certificate, fixed=(2,)), "Fixed blocks"),
    ):
        check = verify_interval(forged)
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason


def test_forged_boxes_are_not_proved(certificate):
    box = certificate.boxes[0]
    low, high = (float(x) for x in box.smallest_eigenvalue)
    (first, *others), *rest = box.predictor
    moved = ((str(float(first) + 1e-4), *others), *rest)
    for changes, reason in (
        ({"upper": str(float(box.upper) * 0.99)}, "do not cover"),
        ({"predictor": moved}, "does not map the tube"),
        ({"predictor": box.predictor[1:]}, "no predictor"),
        ({"radius": tuple("1E-60" for _ in box.radius)}, "does not map the tube"),
        ({"radius": tuple("0.3" for _ in box.radius)}, "may be 0"),
        ({"radius": tuple("-1E-9" for _ in box.radius)}, "no predictor"),
        ({"loss": (box.loss[0], box.loss[0])}, "loss is not enclosed"),
        ({"smallest_eigenvalue": (str(low * 1.5), str(high))}, "may be below"),
        ({"smallest_eigenvalue": (str(low), str(low))}, "certain to be below"),
    ):
        forged = _boxed(certificate, **changes)
        check = verify_interval(forged)
        assert check.verdict is Verdict.UNDECIDED
        assert reason in check.reason


@pytest.mark.slow
def test_boxes_that_do_not_meet_are_no_curve(certificate):
    # Two boxes of the right form, and a gap of a billionth between them.
    split = certify_interval(second_type, "6", "6.1", width=0.005)
    first, second, *rest = split.boxes
    assert verify_interval(split).verdict is Verdict.PROVED
    gap = dataclasses.replace(second, upper=str(float(second.upper) * (1 - 1e-9)))
    forged = _reworded(split, boxes=(first, gap, *rest))
    assert "do not cover" in verify_interval(forged).reason


def test_below_the_threshold_nothing_is_proved():
    found = certify_interval(second_type, "5.5", "5.52", narrowest=0.2)
    assert found.verdict is Verdict.UNDECIDED
    assert not found.boxes
    assert "Nothing was proved" in found.statement
    assert verify_interval(found).verdict is Verdict.UNDECIDED


def test_a_start_that_is_elsewhere_proves_nothing_about_minima():
    saddle = certify_interval(
        lambda k: member("I", k).point[[4, 2, 3, 0, 1]], "6", "6.1", narrowest=0.1
    )
    assert saddle.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("part", ["angle", "sqrt", "seen", "matrices"])
def test_a_sign_error_in_what_is_verified_shows(certificate, monkeypatch, part):
    place = Model if part in ("angle", "sqrt") else Loss
    right = getattr(place, part)

    def wrong(self, *arguments):
        if part == "angle":
            return right(self, -arguments[0])
        found = right(self, *arguments)
        if part == "sqrt":
            return -found
        if part == "seen":
            a, b, c, s, supplement = found
            return a, b, c, -s, supplement
        table, gram = found
        table[0][-1] = -table[0][-1]
        return table, gram

    monkeypatch.setattr(place, part, wrong)
    assert verify_interval(certificate).verdict is Verdict.UNDECIDED


def test_bad_intervals_and_files_are_refused(certificate):
    for first, last in (("8", "6"), ("3", "6"), ("6", "1e14")):
        with pytest.raises(ValueError, match="no interval of sizes above 4"):
            certify_interval(second_type, first, last)
    with pytest.raises(ValueError, match="Only blocks of one neuron"):
        certify_interval(second_type, "9", "10", fixed=(2,))
    body = json.loads(json.dumps(certificate.as_json()))
    body.pop("digest")
    for change, text in (
        ({"schema": "shallows-interval/9"}, "schema .shallows-interval/9."),
        ({"bits": 10**9}, "`bits` is 1000000000"),
        ({"degree": "many"}, "`degree` is 'many'"),
        ({"loss": ["0"]}, "no pair of decimal strings"),
        ({"boxes": [{"lower": "0"}]}, "malformed"),
    ):
        forged = {**body, **change}
        with pytest.raises(ValueError, match=text):
            IntervalCertificate.from_json({**forged, "digest": digest(forged)})


coefficients = st.lists(st.floats(-0.03, 0.03), min_size=1, max_size=6)


@hp.settings(deadline=None, max_examples=20)
@hp.given(coefficients, coefficients, st.floats(-1, 1))
def test_models_enclose_functions(a, b, t):
    """Each operation, composed, against 50 digits at one t."""
    numbers = Models(128, 8)
    with numbers.precision():
        x, y = (
            numbers.polynomial([2 if i == 0 else 0 for i in range(1)]) + numbers.polynomial(c)
            for c in (a, b)
        )
        s, c = x.sqrt() / y, y * x - 5
        found = [s, c, s.angle(c), (x / 4).acos(), 1 / (x + y * y), -(s - c) / 3]
        got = [f(t) for f in found]
    with mpmath.workdps(50), flint.ctx.workprec(128):
        x, y = (
            2 + sum(mpmath.mpf(str(v)) * mpmath.mpf(t) ** i for i, v in enumerate(p))
            for p in (a, b)
        )
        s, c = mpmath.sqrt(x) / y, y * x - 5
        exact = [s, c, mpmath.atan2(s, c), mpmath.acos(x / 4), 1 / (x + y * y), -(s - c) / 3]
        for f, ball, value in zip(found, got, exact, strict=True):
            assert ball.overlaps(arb(str(value)))
            assert f.range.overlaps(arb(str(value)))
            assert ball.rad() < 0.05


def test_models_that_may_vanish_are_never_divided_by_or_compared():
    numbers = Models(128, 8)
    with numbers.precision():
        through = numbers.polynomial([arb("0.5"), 1])
        assert not through > 0
        assert not through < 0
        assert not (1 / through).range.is_finite()
        assert not through.sqrt().range.is_finite()
        assert not through.angle(numbers.polynomial([1])).range.is_finite()
        with pytest.raises(ZeroDivisionError, match="may be 0"):
            1 / numbers.polynomial([0, 1])


def test_models_of_the_loss_are_the_loss():
    """Value, gradient and Hessian at sampled k, at a point that is no critical one."""
    numbers, balls = Models(192, 16), Balls(192)
    weights = ["0.9", "-0.1", "0.3", "0.2", "-0.7"]
    with numbers.precision():
        k = numbers.polynomial([7, arb("0.5")])
        loss = ReducedLoss(Blocks((k - 1, 1), is_single=(False, True)))
        point = numbers.numbers([arb(w) for w in weights])
        parts = [c.matrix for c in components(loss, point, numbers)]
        models = [
            loss.value(point, numbers),
            *loss.gradient(point, numbers),
            *np.concatenate([m.ravel() for m in parts]),
        ]
        for t in ("-1", "-0.3", "0.77", "1"):
            there = ReducedLoss(Blocks((6 + arb(t) / 2, 1), is_single=(False, True)))
            x = balls.numbers([arb(w) for w in weights])
            exact = [
                there.value(x, balls),
                *there.gradient(x, balls),
                *np.concatenate([c.matrix.ravel() for c in components(there, x, balls)]),
            ]
            for model, value in zip(models, exact, strict=True):
                assert model(arb(t)).overlaps(value)
                assert model(arb(t)).rad() < 1e-12


def test_the_threshold_of_the_second_type_is_enclosed():
    found = certified_threshold("II")
    assert found.verdict is Verdict.PROVED
    assert float(found.upper) - float(found.lower) < 2e-14
    assert float(found.lower) <= threshold("II").neurons <= float(found.upper)
    assert found.lower.startswith("5.5855")
    assert "negative below and positive above" in found.statement
    elsewhere = certify_threshold(second_type, 5.6)
    assert elsewhere.verdict is Verdict.UNDECIDED
    with pytest.raises(ValueError, match="threshold of 'flipped:2' was not proved"):
        certified_threshold("flipped:2")


def test_jets_are_derivatives():
    with flint.ctx.workprec(200):
        h, k = arb("1e-20"), arb("6.5")

        def made(k):
            s = (k * k - 3).sqrt() / (1 + k)
            return (
                [s, 2 - s, -1 / s, s.angle(k - 7) if isinstance(k, Jet) else s.atan2(k - 7)]
                if (isinstance(k, Jet))
                else [s, 2 - s, -1 / s, arb.atan2(s, k - 7)]
            )

        for jet, high, low in zip(made(Jet(k, 1)), made(k + h), made(k - h), strict=True):
            assert abs(float(jet.slope - (high - low) / (2 * h))) < 1e-15


def test_the_command_proves_and_verifies(tmp_path):
    app = typer.Typer()
    app.command()(commands.theorem)
    app.command()(commands.verify)
    out = str(tmp_path / "real.json")
    ends = ["--from", "6", "--to", "7", "--real"]
    made = CliRunner().invoke(app, ["theorem", "spurious", *ends, "--out", out, "--json"])
    assert made.exit_code == 0
    said = json.loads(made.stdout)
    assert said["verdict"] == "PROVED"
    assert (said["first"], said["last"]) == ("6", "7")
    assert said["boxes"] >= 1
    checked = CliRunner().invoke(app, ["verify", out, "--json"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["verdict"] == "PROVED"
    with pytest.raises(ValueError, match="has no use with `--real`"):
        CliRunner().invoke(
            app, ["theorem", "spurious", *ends, "--workers", "2"], catch_exceptions=False
        )


@pytest.mark.slow
def test_from_the_threshold_on_it_is_a_minimum():
    found = certified_threshold("II", until="6")
    assert found.verdict is Verdict.PROVED
    assert found.beyond is not None
    assert verify_interval(found.beyond).verdict is Verdict.PROVED


@pytest.mark.slow
@pytest.mark.parametrize("last", ["10000", "1000000"])
def test_all_real_sizes_up_to_many(last):
    found = spurious_everywhere("6", last)
    assert found.verdict is Verdict.PROVED
    assert verify_interval(found).verdict is Verdict.PROVED
    for k in np.geomspace(6, float(last), 23)[1:-1]:
        box, point = found.at(float(k)), member("II", float(k))
        assert float(box.loss[0]) <= point.value <= float(box.loss[1])
        for (low, high), weight in zip(box.weights(float(k)), point.weights, strict=True):
            assert low <= weight <= high
