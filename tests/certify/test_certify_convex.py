"""Enclosures of optima: they hold the closed form, and are refused where a pattern is missing."""

import mpmath
import numpy as np
import pytest

from shallows.certify import Verdict, certify_convex
from shallows.landscape.convex import (
    Hinge,
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Patterns,
    Ramps,
    Squared,
    Unnormalised,
    sampled_patterns,
)
from shallows.model import Network, Placement, normalised_on
from shallows.solve import optimum

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(7, 2)), RNG.normal(size=7)


def _certified(program):
    found = optimum(program)
    made = certify_convex(program, found.network, found.dual)
    low, high = map(mpmath.mpf, made.optimum)
    return found, made, low, high


def test_the_closed_form_in_fifty_digits_is_enclosed():
    x, y = RNG.normal(size=(4, 5)), np.array([1.0, -0.5, 2.0, -0.25])
    program = NormalisedBefore(x, y, 0.3)
    with mpmath.workdps(50):
        _, made, low, high = _certified(program)
        beta, lengths = mpmath.mpf(0.3), [mpmath.sqrt(5), mpmath.sqrt(mpmath.mpf("0.3125"))]
        expected = sum(beta * t - beta**2 / 2 for t in lengths)
        assert low <= expected <= high
        assert high - low < 1e-13
    assert made.verdict is Verdict.PROVED
    assert "batch normalisation before the ReLU" in made.statement
    assert "β = 0.3, lies between" in made.statement


@pytest.mark.parametrize("loss", [Squared(), Logistic(), Hinge()], ids=lambda l: type(l).__name__)
@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        (Unnormalised, {"bias": True}),
        (NormalisedBefore, {"usual": True}),
        (NormalisedAfter, {}),
        (NormalisedAfter, {"bias": True, "usual": True}),
    ],
    ids=["plain", "before", "after", "after with a kernel"],
)
def test_optima_are_enclosed_tightly(kind, rest, loss):
    y = Y if isinstance(loss, Squared) else np.sign(Y)
    program = kind(X, y, 0.1, loss, **rest)
    found, made, low, high = _certified(program)
    assert made.verdict is Verdict.PROVED
    assert low <= high * (1 + 1e-15)
    assert high - low < 1e-5 * high
    # What floats say, but for their rounding.
    assert abs(high / program.cost(found.network) - 1) < 1e-12
    assert abs(low / found.lower_bound - 1) < 1e-7


def test_ramps_and_patches_are_enclosed():
    _, made, low, high = _certified(Ramps(X[:, 0], Y, 0.1))
    assert made.verdict is Verdict.PROVED
    assert high - low < 1e-8
    assert "biases free" in made.statement
    for kind in (Unnormalised, NormalisedBefore):
        patches = RNG.normal(size=(4, 2, 2))
        found, made, low, high = _certified(kind(patches, Y[:4], 0.1))
        assert made.verdict is Verdict.PROVED
        assert high - low < 1e-8 * high
        assert low <= found.value * (1 + 1e-12)


def test_any_network_and_any_vector_prove_something_true():
    program = Unnormalised(X, Y, 0.1)
    best = optimum(program)
    rng = np.random.default_rng(1)
    network = Network(rng.normal(size=(3, 2)), rng.normal(size=3))
    for vector in (rng.normal(size=7), -Y, 100 * best.dual, best.dual):
        low, high = map(float, certify_convex(program, network, vector).optimum)
        assert low <= best.value * (1 + 1e-15)
        assert best.value <= high == pytest.approx(program.cost(network), rel=1e-14)
    before = NormalisedBefore(X, Y, 0.1)
    made = normalised_on(X, Placement.before, rng.normal(size=(3, 2)), *rng.normal(size=(3, 3)))
    assert float(certify_convex(before, made, -Y).optimum[1]) == pytest.approx(before.cost(made))


def test_bounds_do_not_rest_on_what_the_program_says_of_its_patterns():
    program = Unnormalised(X, Y, 0.1)
    found = optimum(program)
    masks = program.patterns.masks
    for missing in (0, len(masks) - 1):
        fewer = Patterns(np.delete(masks, missing, axis=0), True, 2)
        made = certify_convex(program.with_patterns(fewer), found.network, found.dual)
        assert made.verdict is Verdict.UNDECIDED
        assert f"1 of {len(masks)} patterns" in made.reason
        assert made.optimum[0] == "0"
    sample = program.with_patterns(lambda f: sampled_patterns(f, 5))
    made = certify_convex(sample, found.network, found.dual)
    assert (made.verdict, made.optimum[0]) == (Verdict.UNDECIDED, "0")
    assert "bounds the optimum from above only" in made.reason
    assert float(made.optimum[1]) == pytest.approx(found.value)


def test_columns_that_are_dependent_but_for_rounding_are_undecided():
    x = np.column_stack([X, X @ [0.1, 0.7]])
    found, made, *_ = _certified(NormalisedBefore(x, Y, 0.1))
    assert made.verdict is Verdict.UNDECIDED
    assert "rank" in made.reason
    assert "Remove columns" in made.reason
    # Exactly dependent ones do no harm.
    found, made, *_ = _certified(NormalisedBefore(np.column_stack([X, 2 * X[:, 0]]), Y, 0.1))
    assert made.verdict is Verdict.PROVED
    assert found.program.width == 3


def test_misuse_says_what_is_wrong():
    program = Unnormalised(X, Y, 0.1)
    network = Network(np.eye(2))
    with pytest.raises(ValueError, match=r"an array of shape \(3,\)"):
        certify_convex(program, network, Y[:3])
    with pytest.raises(ValueError, match="at least 64"):
        certify_convex(program, network, Y, bits=10)
    odd = Unnormalised(X, Y, 0.1, _Odd())
    with pytest.raises(ValueError, match="The loss _Odd is not one that is known in balls"):
        certify_convex(odd, network, Y)
    with pytest.raises(ValueError, match="`dual` must be finite"):
        certify_convex(program, network, Y * np.nan)
    with pytest.raises(ValueError, match="`bias=True`"):
        certify_convex(program, Network(np.eye(2), bias=[1.0, 2.0]), Y)


class _Odd(Squared):
    """Another loss than its class."""


def test_statements_say_which_networks_they_are_about():
    words = []
    for program in (
        Unnormalised(X, Y, 1e3),
        Unnormalised(X, Y, 1e3, bias=True),
        NormalisedAfter(X, Y, 1e3),
        NormalisedAfter(X, Y, 1e3, bias=True),
        Unnormalised(X[:6].reshape(3, 2, 2), Y[:3], 1e3),
        Unnormalised(X, np.sign(Y), 1e3, Hinge()),
    ):
        words.append(_certified(program)[1].statement.split(" over networks")[0])
    assert len(set(words)) == len(words)
    assert words[0] == "The least squared loss ½ Σ (f(x) − y)² + (β/2) Σ (|w|² + a²), no biases,"
    assert words[1] == "The least squared loss ½ Σ (f(x) − y)² + (β/2) Σ (|w|² + b² + a²)"
    assert "summed over 2 patches" in words[4]
