"""Proved bounds of the smallest flip: against exhaustive search, closed forms and a programme."""

import itertools
import math
from fractions import Fraction

import flint
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from shallows.certify.flip_bounds import (
    Euclidean,
    FlipOutcome,
    Maximum,
    _Problem,
    _Rows,
    _Search,
    smallest_flip,
)
from shallows.certify.verdict import Verdict
from shallows.model import Erf, Network
from shallows.solve.flips import flip_by_programme


def _network(seed, m=12, d=3):
    rng = np.random.default_rng(seed)
    return Network(
        rng.normal(size=(m, d)) / math.sqrt(d), rng.choice([-1.0, 1.0], size=m), rng.normal(size=m)
    )


def _by_cells(network, x, sign, norm):
    """The smallest flip by all sign patterns, each a convex programme of its own."""
    w, a, b = (np.asarray(part) for part in (network.inner, network.outer, network.bias))
    h0, best = w @ x + b, math.inf
    for pattern in itertools.product([False, True], repeat=len(w)):
        on = np.array(pattern)
        signs = np.where(on, 1.0, -1.0)
        # In the cell signs h ≥ 0 and sign Σ a h ≤ 0.
        rows = np.vstack([signs[:, None] * w, -sign * (a * on) @ w])
        right = np.append(-signs * h0, sign * (a * on) @ h0)
        d = len(x)
        if norm == "max":
            box = np.vstack([np.hstack([s * np.eye(d), -np.ones((d, 1))]) for s in (1, -1)])
            matrix = np.vstack([np.hstack([-rows, np.zeros((len(rows), 1))]), box])
            found = scipy.optimize.linprog(
                np.append(np.zeros(d), 1.0),
                matrix,
                np.append(-right, np.zeros(2 * d)),
                bounds=[(None, None)] * d + [(0, None)],
            )
            best = min(best, found.x[-1]) if found.status == 0 else best
        else:
            found = scipy.optimize.linprog(np.zeros(d), -rows, -right, bounds=[(None, None)] * d)
            if found.status != 0:
                continue
            least = scipy.optimize.minimize(
                lambda z: z @ z,
                found.x,
                jac=lambda z: 2 * z,
                constraints={"type": "ineq", "fun": lambda z, r=rows, t=right: r @ z - t,
                             "jac": lambda z, r=rows: r},
                method="SLSQP",
            )  # fmt: skip
            if np.min(rows @ least.x - right) > -1e-8:
                best = min(best, math.sqrt(least.fun))
    return best


def _exact(network, x, basis, z):
    """N(x + B z) in fractions."""
    fractions = [[Fraction(t) for t in row] for row in basis.tolist()]
    moved = [
        Fraction(t) + sum(q * Fraction(s) for q, s in zip(row, z.tolist(), strict=True))
        for t, row in zip(x.tolist(), fractions, strict=True)
    ]
    total = Fraction(0)
    w, a, b = (np.asarray(part).tolist() for part in (network.inner, network.outer, network.bias))
    for row, head, bias in zip(w, a, b, strict=True):
        enter = sum((Fraction(p) * q for p, q in zip(row, moved, strict=True)), Fraction(bias))
        total += Fraction(head) * max(enter, Fraction(0))
    return total


@pytest.mark.parametrize("norm", [Euclidean(), Maximum()])
def test_bounds_enclose_what_all_cells_together_give(norm):
    for seed in range(2):
        network = _network(seed, m=6, d=2)
        x = np.array([0.4, -0.3])
        found = smallest_flip(network, x, norm=norm, within=50.0)
        kind = "max" if isinstance(norm, Maximum) else "two"
        expected = _by_cells(network, x, math.copysign(1.0, float(network(jnp.asarray(x)))), kind)
        assert found.lower <= expected * (1 + 1e-6)
        assert expected <= found.upper * (1 + 1e-6)
        assert found.outcome is FlipOutcome.enclosed
        assert found.verdict is Verdict.PROVED
        assert 0 < found.upper - found.lower <= 2e-6 * found.upper


def test_bounds_agree_with_a_programme_and_along_columns():
    basis = np.linalg.qr(np.random.default_rng(9).normal(size=(5, 3)))[0]
    seen = 0
    for seed in range(6):
        network, x = _network(seed, m=20, d=5), np.full(5, 0.7)
        found = smallest_flip(network, x, basis, norm=Maximum(), within=3.0)
        other = flip_by_programme(network, x, basis, within=3.0)
        if found.outcome is FlipOutcome.none_within:
            assert other.radius >= found.lower == 3.0
            continue
        seen += 1
        assert abs(other.radius - found.upper) < 2e-6 * found.upper
        assert _exact(network, x, basis, found.shift) * _exact(network, x, basis, np.zeros(3)) < 0
        assert found.shift is not None
        assert abs(np.max(np.abs(found.shift)) - found.upper) < 1e-12
        # Norms: |z|∞ ≤ |z|₂ ≤ √l |z|∞.
        round_one = smallest_flip(network, x, basis)
        assert found.lower <= round_one.upper <= math.sqrt(3) * found.upper
    assert seen >= 3


def test_closed_forms():
    # A tent of height 1 on [0, 2], less 1/2: zeros at 1/2 and 3/2.
    tent = Network([[1.0]] * 3 + [[0.0]], [1.0, -2.0, 1.0, -0.5], [0.0, -1.0, -2.0, 1.0])
    found = smallest_flip(tent, [1.1])
    assert found.lower <= 0.4 <= found.upper
    assert found.upper - found.lower < 1e-6
    # One neuron: |N|/|w|, and with the other norm its dual.
    one = Network([[3.0, 4.0], [0.0, 0.0]], [1.0, -1.0], [0.0, 1.0])
    assert smallest_flip(one, [1.0, 1.0]).upper == pytest.approx(6 / 5, rel=1e-9)
    assert smallest_flip(one, [1.0, 1.0], norm=Maximum()).upper == pytest.approx(6 / 7, rel=1e-9)
    # On the boundary already, exactly.
    touching = smallest_flip(one, [0.0, 0.25])
    assert (touching.lower, touching.upper, touching.verdict) == (0.0, 0.0, Verdict.PROVED)


def test_where_there_is_no_flip_that_is_proved():
    positive = Network([[1.0, 2.0], [-1.0, 0.5], [0.0, 0.0]], [1.0, 1.0, 1.0], [0.0, 0.0, 0.1])
    for norm in (Euclidean(), Maximum()):
        found = smallest_flip(positive, [0.3, 0.2], norm=norm, within=1e3)
        assert (found.outcome, found.lower) == (FlipOutcome.none_within, 1e3)
        assert found.verdict is Verdict.PROVED
        assert found.shift is None
        assert "No shift with |z|" in found.statement
    with pytest.raises(ValueError, match=r"no radius to search in. Pass one"):
        smallest_flip(positive, [0.3, 0.2])


def test_a_search_that_is_cut_short_still_encloses():
    network, x = _network(1, m=40, d=5), np.full(5, 0.5)
    cut = smallest_flip(network, x, within=20.0, most=3)
    assert cut.branches == 3
    if cut.outcome is FlipOutcome.out_of_branches:
        assert cut.verdict is Verdict.UNDECIDED
    full = smallest_flip(network, x, within=20.0, gap=1e-3, most=4000)
    assert cut.lower <= full.upper
    assert full.lower <= cut.upper


def test_a_bound_holds_in_rational_arithmetic_for_any_multipliers():
    network, x = _network(4, m=8, d=3), np.array([0.2, -0.1, 0.4])
    problem = _Problem(network, x, None, Euclidean())
    search = _Search(problem, Euclidean(), 1e-6)
    rng = np.random.default_rng(0)
    w, b = np.asarray(network.inner), np.asarray(network.bias)
    h0 = [
        sum((Fraction(p) * Fraction(q) for p, q in zip(row, x.tolist(), strict=True)), Fraction(t))
        for row, t in zip(w.tolist(), b.tolist(), strict=True)
    ]
    for _ in range(20):
        rows = _Rows(rng.normal(size=(3, 8)), rng.normal(size=3))
        u = rng.exponential(size=3)
        with flint.ctx.workprec(192):
            found = search._proved(rows, u)
        v = [
            sum(Fraction(s) * Fraction(q[i]) for s, q in zip(u, rows.factors, strict=True))
            for i in range(8)
        ]
        value = sum((a * h for a, h in zip(v, h0, strict=True)), Fraction(0))
        value += sum(Fraction(s) * Fraction(e) for s, e in zip(u, rows.constants, strict=True))
        slope = [
            sum(a * Fraction(t) for a, t in zip(v, w[:, j].tolist(), strict=True)) for j in range(3)
        ]
        if value <= 0:
            assert found == 0
        else:
            square = sum((s * s for s in slope), Fraction(0))
            assert Fraction(found) ** 2 * square <= value**2
            assert Fraction(found * (1 + 1e-14)) ** 2 * square > value**2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: smallest_flip(Network([[1.0]], activation=Erf()), [1.0]), "activation is erf"),
        (lambda: smallest_flip(_network(0), [1.0]), "vector of 3 numbers"),
        (lambda: smallest_flip(_network(0), np.ones(3), np.ones((2, 1))), "columns of 3"),
        (lambda: smallest_flip(_network(0), np.ones(3), gap=0.0), "between 1e-9 and 1"),
        (lambda: smallest_flip(_network(0), np.ones(3), most=0), "positive integer"),
        (lambda: smallest_flip(_network(0), np.ones(3), within=-1.0), "positive radius"),
    ],
)
def test_misuse_is_named_with_a_remedy(call, words):
    with pytest.raises(ValueError, match=words):
        call()
