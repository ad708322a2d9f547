"""Statements for all real sizes from one on: what they enclose, and that forgeries fail."""

import dataclasses
import json
import sys

import pytest
import typer
from tampering import altered
from typer.testing import CliRunner

from shallows.atlas import theorems
from shallows.atlas.families import member
from shallows.atlas.series import at_infinity
from shallows.atlas.theorems import spurious_to_infinity
from shallows.certify import Check, Verdict, verify_infinity
from shallows.certify.infinity import InfinityCertificate, certify_infinity, infinity_words
from shallows.certify.verify_interval import Loss
from shallows.cli import certify as commands


@pytest.fixture(scope="module")
def certificate():
    return spurious_to_infinity("900", "A")


def test_all_real_sizes_from_900_on_are_proved(certificate):
    assert certificate.verdict is Verdict.PROVED
    assert "For every real k ≥ 900" in certificate.statement
    assert "every whole k ≥ 900 has a spurious strict local minimum" in certificate.statement
    assert "tends to (π − 2)/(2π)" in certificate.statement
    again = InfinityCertificate.from_json(json.loads(json.dumps(certificate.as_json())))
    assert again == certificate
    steps = []
    check = verify_infinity(again, lambda: steps.append(1))
    assert (check.verdict, check.reason) == (Verdict.PROVED, "")
    assert len(steps) == len(certificate.interval.boxes) + 1


def _holds_at(certificate, name, neurons):
    tail, point = certificate.tail, member(name, neurons)
    for (low, high), weight in zip(tail.at(neurons), point.weights, strict=True):
        assert low <= weight <= high
        assert high - low < 1e-10
    scaled = float(point.value) * neurons**tail.loss_power
    assert float(tail.scaled_loss[0]) <= scaled <= float(tail.scaled_loss[1])
    assert float(certificate.loss[0]) <= float(point.value) <= float(certificate.loss[1])
    least = float(point.spectrum()[0].eigenvalue)
    assert float(tail.smallest_eigenvalue[0]) <= least <= float(tail.smallest_eigenvalue[1])


@pytest.mark.parametrize("neurons", [1001, 1234.5, 10**5, 10**9])
def test_sampled_sizes_lie_in_the_enclosures(certificate, neurons):
    _holds_at(certificate, "A", neurons)


def test_no_number_can_be_changed_unnoticed(certificate):
    changed = list(altered(certificate.as_json()))
    assert len(changed) > 50
    for document in changed:
        with pytest.raises(ValueError, match=r"was altered|has schema"):
            InfinityCertificate.from_json(document)


def _reworded(certificate, **changes):
    forged = dataclasses.replace(certificate, **changes)
    return dataclasses.replace(forged, statement=infinity_words(forged))


def _refused(forged, reason):
    check = verify_infinity(forged)
    assert check.verdict is Verdict.UNDECIDED
    assert reason in check.reason


def test_what_is_claimed_beyond_the_data_is_not_proved(certificate):
    c = certificate
    interval = c.interval
    for forged, reason in (
        (dataclasses.replace(c, statement="All minima are global."), "words do not say"),
        (dataclasses.replace(c, first="6"), "words do not say"),
        (_reworded(c, first="6"), "about other sizes"),
        (_reworded(c, fixed=(1,)), "about other sizes"),
        (dataclasses.replace(c, verdict=Verdict.UNDECIDED), "does not claim"),
        (_reworded(c, tail=None), "anything of large sizes"),
        (_reworded(c, interval=dataclasses.replace(interval, boxes=())), "no interval"),
        (_reworded(c, interval=dataclasses.replace(interval, last="1001")), "does not follow"),
        (_reworded(c, interval=dataclasses.replace(interval, last="999")), "Of sizes up to 999"),
        (_reworded(c, interval=dataclasses.replace(interval, loss=("0", "1"))), "be positive"),
        (_reworded(c, interval=dataclasses.replace(interval, first="901")), "other sizes"),
    ):
        _refused(forged, reason)


def _weight(tail, **changes):
    return {"weights": (dataclasses.replace(tail.weights[0], **changes), *tail.weights[1:])}


def _exact(tail, n, above):
    """The numerator of one exact coefficient, changed."""
    exact = list(tail.weights[0].exact)
    power, _, below = exact[n]
    exact[n] = (power, above, below)
    return _weight(tail, exact=tuple(exact))


def test_forged_tails_are_not_proved(certificate):
    tail = certificate.tail
    weight = tail.weights[0]
    # Signs, of −1 + 2/k + …; and a coefficient that moves the curve out of its radius. (A change
    # within the radius would be proved, and is noticed by the digest.)
    assert [(p, n) for p, n, _ in weight.exact[:2]] == [(0, ("-1",)), (2, ("2",))]
    digit = ("1e6", *weight.decimals[1:])
    twice = tuple((p, tuple(f"{2 * int(x)}" for x in n), d) for p, n, d in weight.exact)
    first = twice[0][1], ("2",)
    doubled = ((weight.exact[0][0], *first), *weight.exact[1:])
    for changes, reason in (
        (_exact(tail, 1, ("-2",)), "no bounds"),
        (_exact(tail, 0, ("1",)), "no bounds"),
        (_weight(tail, decimals=digit), "does not map the tube"),
        (_weight(tail, exact=weight.exact[1:]), ""),
        (_weight(tail, exact=weight.exact[::-1]), "no polynomial with a radius"),
        (_weight(tail, exact=doubled), "not in lowest terms"),
        (_weight(tail, radius="1e-60"), "does not map the tube"),
        (_weight(tail, radius="-1e-6"), "no polynomial with a radius"),
        (_weight(tail, power=0), ""),
        ({"weights": tail.weights[1:]}, "a weight for each orbit"),
        ({"upper": "0.03"}, "does not begin where"),
        ({"scaled_loss": ("0.18", "0.181826396")}, "loss is not enclosed"),
        ({"limit": (("-2", "2"), ("0", "4"))}, "limit of the loss"),
        ({"limit": (("-1", "1"), ("0", "2"))}, "limit of the loss"),
        ({"loss_power": 1}, "no bounds"),
    ):
        forged = _reworded(certificate, tail=dataclasses.replace(tail, **changes))
        _refused(forged, reason)


@pytest.mark.slow
def test_forged_eigenvalues_are_not_proved(certificate):
    tail = certificate.tail
    low, high = tail.smallest_eigenvalue
    for pair, reason in (
        (("0.0812", high), "may be below 0.0812"),
        ((low, "0.0800"), "certain to be below 0.08"),
    ):
        changed = dataclasses.replace(tail, smallest_eigenvalue=pair)
        _refused(_reworded(certificate, tail=changed), reason)


def test_another_curve_is_not_continued(certificate):
    """A last box whose curve is a little beside that of the tail."""
    end = certificate.interval.boxes[-1]
    (first, *others), *rest = end.predictor
    moved = ((str(float(first) + 1e-4), *others), *rest)
    boxes = (*certificate.interval.boxes[:-1], dataclasses.replace(end, predictor=moved))
    interval = dataclasses.replace(certificate.interval, boxes=boxes)
    _refused(_reworded(certificate, interval=interval), "does not continue the curve")


def test_a_wrong_sign_in_a_formula_is_noticed(certificate, monkeypatch):
    """The check has formulas of its own, so that an error in either is a contradiction."""
    inner = Loss.seen

    def seen(self, pair, other):
        a, b, c, s, supplement = inner(self, pair, other)
        return a, b, c, -s, supplement

    monkeypatch.setattr(Loss, "seen", seen)
    assert verify_infinity(certificate).verdict is Verdict.UNDECIDED


def test_where_nothing_is_proved_it_says_so():
    """Leading terms that no critical point has: all sizes up to 1000, and none beyond."""
    family, _, _ = at_infinity("A")

    def wrong(k, numbers):
        blocks, (x, y) = family(k, numbers)
        return blocks, (x, 3 * y)

    found = certify_infinity(wrong, lambda k: member("A", k).point, "950", fixed=())
    assert found.verdict is Verdict.UNDECIDED
    assert found.tail is None
    assert found.statement.startswith("Nothing was proved beyond k = 1000. For every real k from")
    again = InfinityCertificate.from_json(json.loads(json.dumps(found.as_json())))
    assert "does not claim to be a proof" in verify_infinity(again).reason


def test_other_families_are_refused():
    with pytest.raises(ValueError, match="For 'flipped:2' nothing was proved for all large"):
        spurious_to_infinity("9", "flipped:2")


def test_the_command_proves_and_verifies(certificate, tmp_path, monkeypatch):
    asked = []

    def made(*question):
        asked.append(question[:2])
        return certificate

    # Both are tested above; here it is what the commands do with them.
    monkeypatch.setattr(theorems, "spurious_to_infinity", made)
    # The function has the name of its module.
    home = sys.modules["shallows.certify.verify_infinity"]
    monkeypatch.setattr(home, "verify_infinity", lambda c, step: Check(Verdict.PROVED, ""))
    app = typer.Typer()
    app.command()(commands.theorem)
    app.command()(commands.verify)
    out = str(tmp_path / "endless.json")
    words = ["theorem", "spurious", "--from", "900", "--to", "infinity", "--family", "A"]
    proved = CliRunner().invoke(app, [*words, "--out", out, "--json"])
    assert proved.exit_code == 0
    assert asked == [("900", "A")]
    said = json.loads(proved.stdout)
    assert (said["verdict"], said["first"], said["last"]) == ("PROVED", "900", "infinity")
    checked = CliRunner().invoke(app, ["verify", out, "--json"])
    assert checked.exit_code == 0
    assert json.loads(checked.stdout)["verdict"] == "PROVED"
    for wrong, message in (
        (["--to", "infinity", "--workers", "2"], "has no use with `--real` and `--to infinity`"),
        (["--to", "1e9"], "no range of sizes"),
        (["--to", "100", "--family", "A"], "at once only. Add `--to infinity`"),
        (["--to", "infinity", "--from", "0"], "`--from 0` is no size"),
    ):
        with pytest.raises(ValueError, match=message):
            CliRunner().invoke(app, ["theorem", "spurious", *wrong], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "first"), [("A", "6"), ("I", "7"), ("II", "6")])
def test_the_families_are_spurious_minima_from_their_threshold_on(name, first):
    found = spurious_to_infinity(first, name)
    assert found.verdict is Verdict.PROVED
    assert verify_infinity(found).reason == ""
    for neurons in (1001, 10**6 + 0.5, 10**9):
        _holds_at(found, name, neurons)
