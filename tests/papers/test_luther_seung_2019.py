"""The entry on sample variances: verdicts turn round where records do."""

import dataclasses

import numpy as np
import pytest

from shallows.certify import Verdict
from shallows.lab import Case, Record
from shallows.papers import paper

ENTRY = paper("luther-seung-2019")


def _record(case, values):
    return Record(ENTRY.key, ENTRY.version, Case(case), values, None, {})


def _measured():
    cases = [
        {"ask": "depth", "width": width, "depth": 12, "normalise": name, "seed": seed}
        for name in ("none", "batch", "layer")
        for width in ((40, 120) if name == "none" else (120,))
        for seed in range(3)
    ]
    cases += [{"ask": "neuron", "width": w, "depth": 4, "networks": 30} for w in (40, 120)]
    return [_record(case, ENTRY.measure(case).values) for case in cases]


RECORDS = _measured()


def _changed(of, **values):
    return [
        dataclasses.replace(r, values={**r.values, **values})
        if r.case.data.get("normalise") == of
        else r
        for r in RECORDS
    ]


def test_verdicts_turn_round():
    found = {name: one.verdict for name, one in ENTRY.judge(RECORDS).items()}
    assert found.pop("training") is Verdict.UNDECIDED
    assert set(found.values()) == {Verdict.SUPPORTED}
    still, falling = [0.7] * 12, list(np.linspace(1, 0.05, 12))
    assert ENTRY.judge(_changed("none", share=still))["decay"].verdict is Verdict.CONTRADICTED
    assert ENTRY.judge(_changed("none", total=[20.0] * 12))["decay"].verdict is (
        Verdict.CONTRADICTED
    )
    assert ENTRY.judge(_changed("none", share=still))["finite-width"].verdict is (
        Verdict.CONTRADICTED
    )
    assert ENTRY.judge(_changed("batch", share=falling))["batch"].verdict is Verdict.CONTRADICTED
    assert ENTRY.judge(_changed("layer", share=still))["layer"].verdict is Verdict.CONTRADICTED


@pytest.mark.parametrize(("gain", "verdict"), [(0.5, Verdict.SUPPORTED), (0.0, Verdict.UNDECIDED)])
def test_an_impact_on_training_is_one_beyond_the_spread_of_seeds(gain, verdict):
    rng = np.random.default_rng(0)
    runs = [
        _record(
            {"ask": "train", "depth": 30, "start": start, "step": step, "seed": seed, "steps": 9},
            {
                "loss": 1 + step - gain * (start == "sample") + 0.01 * rng.normal(),
                "test_error": 0.5,
            },
        )
        for start in ("he", "layer", "sample")
        for step in (0.01, 0.3)
        for seed in range(4)
    ]
    found = ENTRY.judge([*RECORDS, *runs])["training"]
    assert found.verdict is verdict
    assert abs(found.numbers["30"]["layer"] - 1.01) < 0.05


@pytest.mark.slow  # compiles two descents
def test_ten_layers_learn_from_each_start():
    pytest.importorskip("sklearn")
    for start in ("he", "sample"):
        case = {"ask": "train", "depth": 10, "start": start, "step": 0.03, "seed": 0, "steps": 200}
        found = ENTRY.measure(case).values
        assert found["loss"] < 0.6
        assert found["test_error"] < 0.25
