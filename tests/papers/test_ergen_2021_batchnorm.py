"""The entry on batch normalisation: verdicts turn round where records do."""

from typing import Any

import numpy as np
import pytest

from shallows.certify import Verdict
from shallows.lab import Record
from shallows.papers import Scale, paper
from shallows.papers.ergen_2021_batchnorm.measures import _first_below

ENTRY = paper("ergen-2021-batchnorm")

_FINE: dict[str, dict[str, Any]] = {
    "convex": {
        "gap": 1e-10, "mapped": 1e-15, "whitened": 1e-11, "usual": 1e-12, "trained": [1e-6, 1e-2],
    },
    "closed": {"program": 1e-11, "bound": 0.0, "mapped": 0.0, "trained": [1e-7]},
    "after": {"gap": 1e-10, "mapped": 0.0, "before": 2.0, "trained": [0.3]},
    "vector": {"network": 0.0, "gain": 0.97},
    "stick": {
        "optimum": 0.2, "mapped": 0.0, "gaps": [0.6, 0.7], "prices": [3.0], "constant": [0.2],
    },
    "bias": {"values": [1.0, 0.5, 0.1], "learnt": [2.0, 5.0, 20.0], "left": [1e-4], "cost": 1.0},
    "truncation": {
        "ranks": [1, 3, 9], "errors": [0.9, 0.2, 0.4], "variance": 1.0, "stopped": 0.25,
        "trained": 0.45, "stopped_at": 60,
    },
}  # fmt: skip


def _records(**changes):
    """Of all cases at the scale `desk`, with values that support every claim but for changes."""
    made = []
    for case in ENTRY.cases(Scale.desk):
        ask = case.data["ask"]
        values = dict(_FINE[ask])
        if ask == "stick" and case.data["is_fixed"]:
            values["gaps"] = [0.01]
        if ask == "bias" and case.data["is_whitened"]:
            values["learnt"] = [5.0, 6.0, 5.5]
        values.update(changes.get(ask, {}))
        made.append(Record(ENTRY.key, ENTRY.version, case, values, None, {}))
    return made


def _verdict(claim, **changes):
    return ENTRY.judge(_records(**changes))[claim].verdict


def test_verdicts_turn_round():
    found = {name: one.verdict for name, one in ENTRY.judge(_records()).items()}
    if found["real-data"] is Verdict.UNDECIDED:  # without scikit-learn
        found.pop("real-data")
    assert set(found.values()) == {Verdict.SUPPORTED}
    # A run below the optimum, or a network that costs more, is what would contradict.
    below = {"trained": [-1e-3, 0.0]}
    assert _verdict("convex", convex=below) is Verdict.CONTRADICTED
    assert _verdict("after", after=below) is Verdict.CONTRADICTED
    assert _verdict("convex", convex={"mapped": 1e-3}) is Verdict.CONTRADICTED
    assert _verdict("whitened", convex={"whitened": 1e-3}) is Verdict.CONTRADICTED
    assert _verdict("scale", convex={"usual": -1e-3}) is Verdict.CONTRADICTED
    assert _verdict("closed-form", closed={"trained": [1e-2]}) is Verdict.CONTRADICTED
    assert _verdict("vector", vector={"gain": 1.1}) is Verdict.CONTRADICTED
    assert _verdict("bias", bias={"learnt": [5.0, 6.0, 5.5]}) is Verdict.CONTRADICTED
    assert _verdict("sticking", stick={"gaps": [1e-6, 0.7]}) is Verdict.CONTRADICTED
    assert _verdict("sticking", stick={"gaps": [0.5]}) is Verdict.CONTRADICTED


def test_truncation_has_to_be_ahead_and_not_behind():
    worse = {"errors": [0.9, 0.5, 0.4]}
    assert _verdict("truncation", truncation=worse) is Verdict.CONTRADICTED
    behind = {"stopped": 0.15}
    assert _verdict("truncation", truncation=behind) is Verdict.UNDECIDED


def test_the_optimum_of_one_hot_targets_is_a_sum():
    case = next(c for c in ENTRY.cases(Scale.smoke) if c.data["ask"] == "vector")
    found = ENTRY.measure(dict(case.data)).values
    # Three classes of three points: h(√3) each.
    beta = case.data["beta"]
    assert found["optimum"] == pytest.approx(3 * (beta * np.sqrt(3) - beta**2 / 2))
    assert abs(found["network"]) < 1e-12
    assert found["gain"] <= 1


def test_steps_are_interpolated_where_a_direction_is_learnt():
    left = np.array([[1.0, 1.0], [1.0, 1.0], [0.5, 1.0], [0.125, 1.0]])
    found = _first_below(left, 0.25, np.array([0, 1, 4, 16]))
    # In logarithms 1/4 is half way from 1/2 to 1/8, and 8 from 4 to 16; what is never learnt
    # counts as learnt after the end.
    np.testing.assert_allclose(found, [8.0, 32.0])
