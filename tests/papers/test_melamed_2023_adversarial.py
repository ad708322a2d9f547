"""What the entry measures, and that its verdicts follow from that alone."""

import math

import numpy as np
import pytest

from shallows.certify import Verdict
from shallows.lab import Case, Record
from shallows.papers import paper
from shallows.papers.melamed_2023_adversarial import measures
from shallows.papers.melamed_2023_adversarial.drawing import panels
from shallows.papers.melamed_2023_adversarial.readings import REFERENCE

ENTRY = paper("melamed-2023-adversarial")


def _case(**more):
    plain = {"ask": "run", "along": "l", "seed": 0, "inputs": 200, "codimension": 100}
    plain |= {"width": 1000, "points": 20, "scale": 1.0, "decay": 0.0, "rotated": False}
    return {**plain, "batch": None, "step": None, **more}


def _record(case, **values):
    return Record(ENTRY.key, ENTRY.version, Case(case), values, None, {})


def _run(drift=0.0, seed=0, **more):
    case = _case(seed=seed, **more)
    d, l, beta = case["inputs"], case["codimension"], case["scale"]
    wiggle = 1 + 0.01 * seed
    bound = beta * 0.5 * math.sqrt(l / d) / (1 + 5 * case["decay"])
    values = {"ending": "reached", "steps": 60, "margin": 1.0, "kept": 1.0, "drift": drift}
    values |= {"gradient": 1.4 * bound * wiggle, "bound": bound, "above": 20, "least_ratio": 1.2}
    values |= {"typical_ratio": 1.0, "universal": wiggle / bound, "linear": 2.0, "flipped": 20}
    values |= {"own": (0.8 if beta == 1 else 1.2) / bound, "on": 9.0, "distance_constant": 0.9}
    return _record(case, **values)


def _records():
    made = []
    for seed in range(3):
        for along, field, places in (
            ("l", "codimension", (50, 100)),
            ("β", "scale", (1.0, 0.1)),
            ("λ", "decay", (0.0, 0.5)),
        ):
            made += [_run(along=along, seed=seed, **{field: x}) for x in places]
        made += [_run(along="d", seed=seed, inputs=d, codimension=d // 2) for d in (50, 200)]
        made.append(_run(along="rotated", seed=seed, rotated=True, drift=1e-16))
        for scale, (gradient, universal) in REFERENCE.items():
            one = _run(along="η", step=0.2, scale=scale, seed=seed)
            numbers = {"gradient": gradient * (1 + 0.01 * seed), "universal": universal}
            made.append(_record(one.case.data, **{**one.values, **numbers}))
    return made


def test_runs_that_are_as_claimed_support_and_others_contradict():
    found = ENTRY.judge(_records())
    for name in ("frozen", "gradient", "typical", "distance", "universal", "initialisation"):
        assert found[name].verdict is Verdict.SUPPORTED, found[name].summary
    for name in ("decay", "which", "medians"):
        assert found[name].verdict is Verdict.SUPPORTED, found[name].summary
    for name in ("smallest", "diagonal", "chessboard", "digits"):
        assert found[name].verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("frozen", {"drift": 1e-300}),
        ("gradient", {"above": 5}),
        ("typical", {"typical_ratio": 1.2}),
        ("universal", {"flipped": 19}),
    ],
)
def test_one_change_contradicts_one_claim(claim, change):
    records = [
        r if r.case.data["rotated"] else _record(r.case.data, **{**r.values, **change})
        for r in _records()
    ]
    assert ENTRY.judge(records)[claim].verdict is Verdict.CONTRADICTED


def test_weights_that_grow_with_decay_or_gradients_that_stay_contradict():
    records = _records()
    for name, along in (("decay", "λ"), ("initialisation", "β")):
        changed = [
            _record(r.case.data, **{**r.values, "gradient": 0.5, "universal": 5.0})
            if r.case.data["along"] == along
            else r
            for r in records
        ]
        assert ENTRY.judge(changed)[name].verdict is Verdict.CONTRADICTED


def test_a_small_run_is_measured_as_its_definitions_say():
    case = _case(inputs=24, codimension=12, width=60, points=5, decay=0.02, batch=2)
    values = measures.measure(case).values
    assert values["ending"] == "reached"
    assert values["drift"] < 1e-14
    assert values["kept"] == (1 - 0.02 * 4 / 24) ** values["steps"]
    assert values["flipped"] == 5
    assert values["gradient"] > values["bound"] * 0.5
    assert 0 < values["above"] <= 5


def test_nets_of_a_diagonal_have_proved_distances_below_those_across():
    case = {"ask": "released", "data": "diagonal", "variant": "vanilla", "seed": 0}
    result = measures.measure(case)
    assert result.values["ending"] == "reached"
    assert result.values["drift"] < 1e-14
    assert len(result.values["crossings"]) == 6
    for (lower, upper), across in zip(
        result.values["nearest"], result.values["distances"], strict=True
    ):
        assert lower <= upper <= across * (1 + 1e-9)
    assert result.table is not None
    u, v, output = (result.table[name] for name in ("u", "v", "output"))
    assert len(u) == len(v) == len(output) == 81**2
    record = Record(ENTRY.key, ENTRY.version, Case(case), result.values, result.table, {})
    first, *rest = panels([record, *_records()])
    assert first.outputs.shape == (81, 81)
    assert np.sign(first.outputs[40, 40]) == np.sign(output[40 * 81 + 40])
    assert [one.axis[:6] for one in rest] == ["direct", "inputs", "scale "]
