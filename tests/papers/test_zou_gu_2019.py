"""What the entry measures, and that its verdicts follow from that alone."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from shallows.certify import Verdict
from shallows.lab import Case, Record
from shallows.papers import paper
from shallows.papers.zou_gu_2019 import theory
from shallows.papers.zou_gu_2019.drawing import panels

ENTRY = paper("zou-gu-2019")


def record(case, **values):
    return Record(ENTRY.key, ENTRY.version, Case(case), values, None, {})


def runs(power):
    """Records in which every quantity goes like given powers of what a sweep is along."""
    made = []
    for letter, field, places in (
        ("m", "width", [100, 400, 1600]),
        ("φ", "separation", [0.1, 0.2, 0.4]),
        ("n", "points", [4, 8, 16]),
        ("k", "outputs", [1, 2, 4]),
        ("L", "depth", [1, 2, 3]),
    ):
        for place in places:
            for seed in range(3):
                plain = {"points": 6, "outputs": 1, "depth": 1, "width": 100, "separation": 0.2}
                case = {**plain, "ask": "run", "along": letter, "seed": seed, field: place}

                def of(name, letter=letter, place=place, seed=seed):
                    return 1.01**seed * place ** power.get(f"{name} {letter}", 0.0)

                values = {name: of(name) for name in ("length", "displacement", "largest_move")}
                values |= {name: of(name) for name in ("flips", "kernel_drift", "prediction_error")}
                values |= {"iterations": of("iterations"), "allowed": 1e9, "ending": "converged"}
                values |= {"least_ratio": of("ratio"), "limit_ratio": 1.0, "positive": "PROVED"}
                values |= {"ball": ["1", "2"], "relation_error": 1e-15, "relation_holds": True}
                made.append(record(case, **values))
    return made


# Where growth is as fast as the bounds allow, in the variables in which that can be contradicted.
AT_THE_BOUNDS = {
    "ratio m": 1.0, "ratio φ": 1.0, "ratio n": -2.0, "ratio k": -1.0,
    "iterations n": 2.0, "iterations φ": -1.0, "iterations L": 2.0,
    "length m": -0.5, "length φ": -0.5, "length n": 1.0, "length k": 0.5,
    "flips m": -0.5, "largest_move m": -1.0, "prediction_error m": -0.5,
}  # fmt: skip


def verdicts(power):
    return {name: found.verdict for name, found in ENTRY.judge(runs(power)).items()}


def test_growth_at_the_bounds_supports_and_slower_growth_too():
    slower = {**AT_THE_BOUNDS, "ratio n": -1.0, "iterations n": 1.0, "iterations φ": -0.5}
    for power in (AT_THE_BOUNDS, slower):
        found = verdicts({**power, "iterations m": -0.1})
        for name in ("gradient-bound", "iterations", "trajectory", "wider", "spectral", "relation"):
            assert found[name] is Verdict.SUPPORTED, name


@pytest.mark.parametrize(
    ("claim", "change"),
    [
        ("gradient-bound", {"ratio n": -2.5}),
        ("gradient-bound", {"ratio φ": 1.5}),
        ("gradient-bound", {"ratio m": 0.5}),
        ("iterations", {"iterations n": 2.5}),
        ("iterations", {"iterations φ": -1.5}),
        ("trajectory", {"length m": -0.2}),
        ("trajectory", {"length φ": -1.0}),
    ],
)
def test_growth_beyond_a_bound_is_named_and_left_undecided(claim, change):
    found = ENTRY.judge(runs({**AT_THE_BOUNDS, **change}))[claim]
    assert found.verdict is Verdict.UNDECIDED
    (name,) = (key.split()[1] for key in change)
    assert f"not respected in {name}, far below the widths" in found.summary
    assert [key for key, row in found.numbers["exponents"].items() if row["is_beyond"]] == [name]


@pytest.mark.parametrize(
    ("claim", "change"),
    [("spectral", {"prediction_error m": 0.5}), ("wider", {"flips m": 0.5})],
)
def test_what_grows_with_the_width_contradicts_that_it_falls(claim, change):
    assert verdicts({**AT_THE_BOUNDS, **change})[claim] is Verdict.CONTRADICTED


def test_a_relation_that_fails_and_a_matrix_that_is_not_positive_contradict():
    records = runs(AT_THE_BOUNDS)
    values = {**records[0].values, "relation_holds": False, "positive": "UNDECIDED"}
    found = ENTRY.judge([dataclasses.replace(records[0], values=values), *records[1:]])
    assert found["relation"].verdict is Verdict.CONTRADICTED
    assert found["eigenvalue"].verdict is Verdict.CONTRADICTED


def test_runs_that_do_not_converge_leave_their_number_undecided():
    records = runs(AT_THE_BOUNDS)
    values = {**records[0].values, "iterations": None, "ending": "out_of_steps"}
    records[0] = dataclasses.replace(records[0], values=values)
    found = ENTRY.judge(records)["iterations"]
    assert found.verdict is Verdict.UNDECIDED
    assert found.numbers["not_converged"] == 1


def test_the_row_follows_from_its_ingredients():
    assert theory.width_from_ingredients() == theory.powers(k=1, n=8, L=12, φ=-4)
    assert theory.iterations_from_ingredients() == theory.powers(n=2, L=2, φ=-1)
    # As numbers: at the width of the row length and radius are equal.
    k, n, layers, phi = 3.0, 7.0, 2.0, 0.1

    def value(powers, m):
        at = {"k": k, "n": n, "L": layers, "φ": phi, "m": m}
        return np.prod([at[name] ** float(power) for name, power in powers.items()])

    width = value(theory.WIDTH, 1.0)
    assert abs(value(theory.LENGTH, width) / value(theory.RADIUS, width) - 1) < 1e-12
    assert theory.times((theory.LENGTH, 2))["m"] == Fraction(-1)


def searches(power, power_when_kept):
    """Widths that go like powers of φ, without and with half of the ratio to be kept."""
    made = []
    for kept in (0.0, 0.5):
        exponent = power_when_kept if kept else power
        for phi in (0.2, 0.4, 0.8):
            for group in range(2):
                width = (10 + group) * phi**exponent
                case = {"ask": "width", "along": "φ", "group": group, "separation": phi}
                made.append(record({**case, "kept": kept}, width=width))
    return made


def test_widths_are_compared_with_the_bound():
    for power, verdict in ((-4.0, Verdict.SUPPORTED), (-5.0, Verdict.UNDECIDED)):
        found = ENTRY.judge(runs(AT_THE_BOUNDS) + searches(power, -6.0))["width"]
        assert found.verdict is verdict
        # What proofs keep on the way is no part of the theorem.
        measured = found.numbers["to keep half of the ratio"]["exponents"]["φ"]
        assert abs(measured["measured"] + 6) < 1e-9
    assert ENTRY.judge(runs(AT_THE_BOUNDS))["width"].verdict is Verdict.UNDECIDED


def test_panels_have_what_was_measured_beside_the_bounds():
    found = panels(runs(AT_THE_BOUNDS) + searches(-4.0, -4.0))
    assert [(one.title, one.symbol, one.expected) for one in found] == [
        ("least |∇L|²/L of a run", "m", 1.0),
        ("length Σ η |∇L|", "m", -0.5),
        ("steps to ε", "n", 2.0),
        ("steps to ε", "φ", -1.0),
        ("smallest width", "φ", -4.0),
    ]
    assert [one.label for one in found[-1].series] == ["keeps half", "converges"]
    for panel in found[:4]:
        assert panel.expected is not None
        assert abs(panel.series[0].fitted.value - panel.expected) < 1e-9
        assert panel.series[0].y.shape == (3, 3)


def test_a_run_and_a_search_are_measured():
    case = {"points": 4, "inputs": 6, "separation": 0.8, "outputs": 2, "depth": 2}
    found = ENTRY.measure({**case, "ask": "run", "along": "m", "width": 40, "seed": 0})
    assert found.values["ending"] == "converged"
    assert found.table is not None
    assert found.table["loss"][-1] <= 1e-4 * found.table["loss"][0]
    assert found.values["displacement"] <= found.values["length"]
    more = {"ask": "width", "along": "L", "group": 0, "starts": 2, "kept": 0.0, "most": 64}
    width = ENTRY.measure({**case, **more}).values
    assert 1 < width["width"] <= 64


def test_digits_are_measured():
    pytest.importorskip("sklearn")
    case = {"ask": "digits", "points": 6, "outputs": 10, "width": 128, "seed": 0}
    values = ENTRY.measure(case).values
    assert values["ending"] == "converged"
    assert values["positive"] == "PROVED"
    assert values["relation_error"] < 1e-10
    assert values["relation_holds"]
    low, high = map(float, values["ball"])
    assert low <= values["limit_ratio"] * 6 / 2 * 10 / 128 <= high
