"""What the entry derives itself, by a second route; its claims are in `test_shelf`."""

import math
from typing import Any

import numpy as np
import pytest

from shallows.certify import Verdict
from shallows.lab import Case, Record
from shallows.landscape.norm_weighted import NormWeighted, order_coefficient
from shallows.papers import paper
from shallows.papers.li_ma_zhang_2020.measures import (
    best_start,
    hermite_mass,
    kernel_matrix,
    measure,
    series_gradient,
    start_of,
    teacher_heads,
)

PAPER = paper("li-ma-zhang-2020")


def test_orders_of_the_gradient_add_up_where_the_second_term_is_along_the_neuron():
    # Neurons in general position: the series converges like that of cos^k.
    loss, w = NormWeighted(np.array([0.5, 0.3, 0.2])), start_of(2, 3, 0)
    exact = loss.gradient(w)
    right, wrong = (series_gradient(loss, w, 600, flag) for flag in (True, False))
    np.testing.assert_allclose(right, exact, atol=1e-4)
    assert np.max(np.abs(wrong - exact)) > 0.01


def test_heads_and_starts_are_those_that_are_asked_for():
    heads = teacher_heads(6, 1.5)
    assert math.isclose(heads.sum(), 1)
    assert math.isclose(heads[-1] / heads[0], 1.5**2)
    np.testing.assert_allclose(teacher_heads(4, 1.0), 0.25)
    half, other = np.split(start_of(6, 3, 1, pairs=True), 2)
    assert np.array_equal(half, -other)
    big = start_of(2000, 5, 0)
    assert abs(np.mean(big**2) - 0.2) < 5 * 0.2 * math.sqrt(2 / big.size)
    assert math.isclose(best_start(np.array([[3.0, 4.0], [0.0, 1.0]])), (0.36 + 1.0) / 2)


def test_masses_of_orders_by_quadrature():
    for k in (0, 2, 4, 14):
        assert math.isclose(hermite_mass(k), order_coefficient(k), rel_tol=1e-10)


def test_the_tangent_kernel_is_that_of_the_textbook():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3))
    r = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(y, axis=1)
    θ = np.arccos(x @ y.T / r)
    heads = r * (np.sin(θ) + (np.pi - θ) * np.cos(θ)) / (2 * np.pi)
    np.testing.assert_allclose(kernel_matrix("arc-cosine", x, y), heads, atol=1e-12)
    both = heads + (x @ y.T) * (np.pi - θ) / (2 * np.pi)
    np.testing.assert_allclose(kernel_matrix("ntk", x, y), both, atol=1e-12)


def test_a_run_that_diverges_says_so_and_is_not_taken_for_a_plateau(monkeypatch):
    monkeypatch.setattr("shallows.papers.li_ma_zhang_2020.measures.STEP", 20.0)
    found = measure(_run(activation="abs", neurons=10, inputs=5, time=2000.0)).values
    assert found["outcome"] == "diverged"
    assert found["plateau"] is None
    assert found["lottery"] is None
    judged = PAPER.judge([_record(_run(activation="abs", neurons=10, inputs=10, time=1.0), found)])
    assert judged["orders"].verdict is judged["height"].verdict is Verdict.UNDECIDED


def _run(**rest) -> dict[str, Any]:
    return {"ask": "training", "seed": 0, **rest}


def _record(case, values):
    return Record("li-ma-zhang-2020", 1, Case(case), values, None, {})


def _trained(inputs, *, neurons=None, seed=0, samples=None, **values):
    more = {} if samples is None else {"samples": samples}
    m = 4 * inputs if neurons is None else neurons
    case = _run(activation="abs", neurons=m, inputs=inputs, time=1.0, **more)
    stay = {"entry": 1.0, "exit": 2.0 * inputs**2, "length": 1.0 * inputs**2}
    lottery = {"winners": 10, "neurons": 40, "chance": 0.9, "p_value": 1e-5, "kept_coordinate": 9}
    known = {
        "floor": 0.01,
        "loss": 0.001,
        "time_run": 100.0,
        "plateau": {**stay, "height_over_floor": 1.0},
        "low_fell": 5.0,
        "fourth_fell": 50.0,
        "best_start": 0.3,
        "lottery": lottery,
    }
    return _record({**case, "seed": seed}, {**known, **values})


def _kernels(inputs, samples, loss):
    base = {"ask": "kernel", "inputs": inputs, "samples": samples, "tests": 10, "seed": 0}
    return [
        _record(
            {**base, "kernel": name},
            {"floor": 0.01, "loss": loss, "standard_error": 1e-5},
        )
        for name in ("ntk", "arc-cosine")
    ]


def _verdict(claim, records):
    return PAPER.judge(records)[claim].verdict


def test_other_answers_contradict():
    sizes = [_trained(d) for d in (10, 20, 40)]
    assert _verdict("length", sizes) is Verdict.SUPPORTED
    cubed = [
        _trained(d, plateau={"length": d**3.0, "exit": d**3.0, "height_over_floor": 1.0})
        for d in (10, 20, 40)
    ]
    assert _verdict("length", cubed) is Verdict.UNDECIDED
    assert _verdict("length", sizes[:2]) is Verdict.UNDECIDED
    assert _verdict("orders", sizes) is Verdict.SUPPORTED
    assert _verdict("orders", [*sizes, _trained(50, low_fell=50.0)]) is Verdict.CONTRADICTED
    assert _verdict("orders", [*sizes, _trained(50, low_fell=None)]) is Verdict.CONTRADICTED
    assert _verdict("orders", [*sizes, _trained(50, fourth_fell=None)]) is Verdict.SUPPORTED
    assert _verdict("height", sizes) is Verdict.SUPPORTED
    high = {"length": 1.0, "exit": 1.0, "height_over_floor": 1.6}
    assert _verdict("height", [*sizes, _trained(50, plateau=high)]) is Verdict.CONTRADICTED
    assert _verdict("lottery", sizes) is Verdict.SUPPORTED
    fair = {"winners": 9, "neurons": 40, "chance": 0.5, "p_value": 0.5, "kept_coordinate": 9}
    assert _verdict("lottery", [_trained(10, lottery=fair)]) is Verdict.CONTRADICTED
    assert _verdict("lottery", [_trained(10, lottery=None)]) is Verdict.UNDECIDED


def test_a_network_has_to_be_below_the_kernels_and_the_floor():
    def judged(net, kernel):
        return _verdict("beyond-kernel", [_trained(10, samples=100, loss=net), *kernel])

    assert judged(0.001, _kernels(10, 100, 0.005)) is Verdict.SUPPORTED
    assert judged(0.006, _kernels(10, 100, 0.005)) is Verdict.CONTRADICTED
    assert judged(0.011, _kernels(10, 100, 0.05)) is Verdict.CONTRADICTED
    assert judged(0.001, _kernels(10, 200, 0.005)) is Verdict.UNDECIDED


def test_who_never_leaves_decides_nothing_and_who_leaves_at_the_published_size_contradicts():
    stay = {"entry": 1.0, "exit": None, "length": None, "height_over_floor": 1.0}
    small = _trained(10, neurons=20, samples=1000)
    assert _verdict("stuck", [small, _trained(10, neurons=20)]) is Verdict.UNDECIDED
    full = _trained(30, neurons=60, samples=10_000)
    assert _verdict("stuck", [small, full]) is Verdict.CONTRADICTED
    held = _trained(30, neurons=60, samples=10_000, plateau=stay)
    judged = PAPER.judge([small, held])["stuck"]
    assert judged.verdict is Verdict.UNDECIDED
    assert "but not d = 30, m = 60, N = 10000" in judged.summary


def test_formulas_that_disagree_with_samples_decide_nothing_or_contradict():
    def formula(activation, **values):
        case = {"ask": "formula", "activation": activation, "neurons": 1, "inputs": 1, "samples": 1}
        known = {
            "errors": 0.5,
            "printed_errors": 0.5,
            "orders_difference": 1e-6,
            "coefficient_difference": 1e-16,
            "c": {"4": 0.02653, "6": 0.00796},
            "c_sum_to_2000": 0.999998,
            "gradient_difference": 1e-11,
            "gradient_readings": {"on_complement": 0.0, "on_neuron": 0.1}
            if activation == "abs"
            else {},
        }
        return _record(case, {**known, **values})

    good = [formula("abs"), formula("relu")]
    for claim in ("coefficients", "population-loss", "gradient-constants"):
        assert _verdict(claim, good) is Verdict.SUPPORTED
    off = [formula("abs"), formula("relu", printed_errors=-300.0)]
    assert _verdict("population-loss", off) is Verdict.CONTRADICTED
    ours_off = [formula("abs", errors=9.0), formula("relu")]
    assert _verdict("population-loss", ours_off) is Verdict.UNDECIDED
    wrong = [formula("abs", coefficient_difference=1e-3), formula("relu")]
    assert _verdict("coefficients", wrong) is Verdict.CONTRADICTED
    swapped = {"on_complement": 0.07, "on_neuron": 1e-5}
    other = [formula("abs", gradient_readings=swapped), formula("relu")]
    assert _verdict("gradient-constants", other) is Verdict.CONTRADICTED


@pytest.mark.slow
def test_population_descent_leaves_the_plateau_at_every_published_width():
    # facts: dynamics.md §1, trap 5: m = 60, 45 and 30, two seeds each.
    for m in (60, 45, 30):
        for seed in (0, 1):
            case = _run(activation="abs", neurons=m, inputs=30, time=3600.0)
            found = measure({**case, "seed": seed}).values
            assert found["plateau"]["exit"] is not None
            assert found["loss"] <= 0.01 * found["floor"] * 1.001
