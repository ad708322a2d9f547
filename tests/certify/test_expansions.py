"""Functions on (0, ε₀]: they enclose what they stand for, and cancel what vanishes."""

import re
from fractions import Fraction

import hypothesis as hp
import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
from flint import arb

from shallows.atlas import member
from shallows.atlas.series import at_infinity, series
from shallows.certify._coefficients import exact_coefficients
from shallows.certify._constants import PI, Constant
from shallows.certify._expansions import Expansion, Expansions, Scale
from shallows.symmetry import Balls, Blocks, ReducedLoss, components
from shallows.symmetry.spectrum import forms

SCALE = Scale("0.05", 6, 12)
NUMBERS = Expansions(200, SCALE)
where = st.fractions(Fraction(1, 10**9), Fraction(1, 20), max_denominator=10**9)
rationals = st.fractions(-3, 3, max_denominator=9)


def _ball(x):
    return arb(x.numerator) / x.denominator


@st.composite
def examples(draw, low=(-2, 2), is_positive=False):
    """An expansion, and a function that it stands for: exact, decimals, and a hidden remainder."""
    start = draw(st.integers(*low))
    if is_positive:
        start -= start % 2
    exact = [(draw(rationals), draw(rationals)) for _ in range(draw(st.integers(1, 4)))]
    if is_positive:
        exact[0] = (Fraction(draw(st.integers(3, 9))) ** 2, Fraction(0))
    tail = [draw(st.floats(-5, 5)) for _ in range(draw(st.integers(0, 3)))]
    radius, frequency = draw(st.floats(0, 2)), draw(st.integers(0, 9))
    head = {start + i: Constant.of(a) + Constant.of(b) * PI for i, (a, b) in enumerate(exact)}
    order = start + len(exact)
    with NUMBERS.precision():
        balls = [arb(c) for c in tail] or [arb(0)]
        balls[0] += arb(0, radius)
        made = NUMBERS.expansion(head, order, balls)

    def value(e):
        total = sum(
            ((_ball(a) + _ball(b) * arb.pi()) * e ** (start + i) for i, (a, b) in enumerate(exact)),
            start=arb(0),
        )
        total += sum((arb(c) * e ** (order + i) for i, c in enumerate(tail)), start=arb(0))
        return total + arb(radius) * (frequency / e).sin() * e**order

    return made, value


def _encloses(made: Expansion, expected, at) -> bool:
    return made(at).overlaps(expected) and made(at).is_finite()


@hp.settings(max_examples=40)
@hp.given(examples(), examples(), where)
def test_sums_and_products_enclose(f, g, at):
    with NUMBERS.precision():
        e = _ball(at)
        (a, x), (b, y) = f, g
        assert _encloses(a + b, x(e) + y(e), e)
        assert _encloses(a - b * 3, x(e) - 3 * y(e), e)
        assert _encloses(a * b, x(e) * y(e), e)
        assert _encloses(a * b * a, x(e) * y(e) * x(e), e)
        assert _encloses(Fraction(1, 3) - a, arb(1) / 3 - x(e), e)


@hp.settings(max_examples=40)
@hp.given(examples(is_positive=True), examples(), where)
def test_quotients_and_roots_enclose(f, g, at):
    with NUMBERS.precision():
        e = _ball(at)
        (a, x), (b, y) = f, g
        hp.assume(a.range > 0)
        assert _encloses(b / a, y(e) / x(e), e)
        assert _encloses(2 / a, 2 / x(e), e)
        assert _encloses(a.sqrt(), x(e).sqrt(), e)
        # Tight as well: not just right.
        assert (a.sqrt() * a.sqrt() - a)(e).abs_upper() < 100 * x(e).abs_upper()


@hp.settings(max_examples=40)
@hp.given(examples(low=(2, 4)), where)
def test_angles_enclose(f, at):
    with NUMBERS.precision():
        e = _ball(at)
        (a, x), one = f, NUMBERS.numbers([1])[0]
        hp.assume(a > 0)
        assert a.arctangent()(e).overlaps(x(e).atan())
        for sine, cosine, s, c in (
            (a, one + a, x(e), 1 + x(e)),
            (a, -one - a, x(e), -1 - x(e)),
            (one, a, arb(1), x(e)),
            (one, -a, arb(1), -x(e)),
        ):
            assert sine.angle(cosine)(e).overlaps(arb.atan2(s, c))
        assert (one - one).angle(-one) == NUMBERS.pi
        assert one.angle(one - one) == NUMBERS.pi / 2


def test_what_vanishes_identically_vanishes_and_balls_do_not_hide_it():
    with NUMBERS.precision():
        e = NUMBERS.epsilon
        k = 1 / (e * e)
        assert ((k + NUMBERS.pi) * (k - NUMBERS.pi) - k * k + NUMBERS.pi * NUMBERS.pi).is_zero
        assert not (k * k * (e + arb(0, "1e-40")) - k * k * e).is_zero
        big = k * k * (NUMBERS.pi / (1 + e)) - k * k * NUMBERS.pi + k * k * e * NUMBERS.pi
        assert big.low == -2  # ε⁻⁴ and ε⁻³ are gone
        assert big.coefficient(-2) == PI


def test_comparisons_hold_for_all_or_are_false():
    with NUMBERS.precision():
        e = NUMBERS.epsilon
        assert e > 0
        assert e < Fraction(6, 100)
        # Equal at the end, and somewhere between.
        for number in (Fraction(5, 100), Fraction(1, 100)):
            assert not e < number
            assert not e > number


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda e: 1 / (e - Fraction(1, 100)), "may be 0"),
        (lambda e: e.sqrt(), "no root among expansions"),
        (lambda e: (e - Fraction(1, 100)).sqrt(), "may be negative"),
        (lambda e: (2 * e * e).sqrt(), "no root among rational functions"),
        (lambda e: (-e).angle(e), "sine of an angle"),
        (lambda e: (100 * e).arctangent(), "not certain to be small"),
        (lambda e: e.scaled(2), "no bounds when divided"),
        (lambda e: (e + arb(1, 0.1)).coefficient(1), "not known exactly"),
    ],
)
def test_what_is_not_certain_is_refused(operation, message):
    with NUMBERS.precision(), pytest.raises((ArithmeticError, ValueError), match=message):
        operation(NUMBERS.epsilon)


def _second_type(o, order=5):
    """The loss at size k as a function of ε, and weights close to type II."""
    k = 1 / (o.epsilon * o.epsilon)
    family, _, _ = at_infinity("II")
    _, start = family(k, o)
    spread = o.numbers([o.expansion({}, order + m, [arb("0.3")]) for m in (1, 2, 1, 1, 0)])
    loss = ReducedLoss(Blocks((k - 1, 1), is_single=(False, True)))
    return loss, o.numbers(start) + spread


@pytest.mark.parametrize("neurons", [2000])
def test_the_reduced_loss_is_that_of_balls_at_any_size(neurons):
    o, balls = Expansions(300, Scale("0.03", 12, 20)), Balls(600)
    with o.precision():
        loss, point = _second_type(o)
        value, slope, table = (f(point, o) for f in (loss.value, loss.gradient, loss.hessian))
        parts = [(p.matrix, p.squares) for p in forms(loss, point, o)]
    with balls.precision():
        e = 1 / arb(neurons).sqrt()
        there, theirs = ReducedLoss(Blocks((neurons - 1, 1))), [x(e) for x in point]
        # The weights in the balls of 600 bits are those of 300, so that both enclose one value.
        assert value(e).overlaps(there.value(theirs, balls))
        for ours, other in (
            (slope, there.gradient(theirs, balls)),
            (table, there.hessian(theirs, balls)),
        ):
            for x, y in zip(ours.flat, other.flat, strict=True):
                assert x(e).overlaps(y)
                assert x(e).rad() < 1e-3 * abs(y) + 1e-3
        for (matrix, squares), part in zip(parts, components(there, theirs, balls), strict=True):
            lengths = [s(e).sqrt() for s in squares]
            for (i, j), x in np.ndenumerate(matrix):
                assert (x(e) / (lengths[i] * lengths[j])).overlaps(part.matrix[i, j])


def _evaluated(number):
    """A constant, or a formula in π, with 80 digits."""
    with mpmath.workdps(80):
        if isinstance(number, Constant):
            above, below = (
                mpmath.fsum(int(c) * mpmath.pi**n for n, c in enumerate(p))
                for p in (number.numerator, number.denominator)
            )
            return above / below
        text = re.sub(r"\d+", r"mpf(\g<0>)", number).replace("^", "**")
        return eval(text, {"mpf": mpmath.mpf, "pi": mpmath.mpf(mpmath.pi)})


@pytest.mark.parametrize("name", ["A", pytest.param("II", marks=pytest.mark.slow)])
def test_exact_coefficients_are_those_of_the_series(name):
    """Linear equations over Q(π) against Newton's method in balls and integer relations."""
    o, expected = Expansions(300, Scale("0.03", 12, 20)), series(name, 5)
    family, few, _ = at_infinity(name)
    with o.precision():
        k = 1 / (o.epsilon * o.epsilon)
        _, leading = family(k, o)
        sizes = (k - few, *(1,) * few)
        loss = ReducedLoss(Blocks(sizes, is_single=(False, *(True,) * few)))
        heads = exact_coefficients(loss, o.numbers(leading), 7, o)
        for head, terms in zip(heads, expected.weights, strict=True):
            for (power, exact), term in zip(sorted(head.items()), terms, strict=False):
                assert -Fraction(power, 2) == term.power
                assert exact.ball.overlaps(term.coefficient)
                assert term.coefficient.rad() < 1e-30
                if term.closed_form is not None:
                    assert abs(_evaluated(exact) - _evaluated(term.closed_form)) < 1e-60


def test_solutions_solve():
    o = Expansions(200, Scale("0.05", 8, 14))
    with o.precision():
        e = o.epsilon
        k = 1 / (e * e)
        # Leading parts of rank one, as in the Hessian.
        matrix = o.numbers([[k + 1, k + e], [k + e, k + 2 * e]])
        vector = o.numbers([1, o.pi])
        found = o.solution(matrix, vector)
        for row, b in zip(matrix, vector, strict=True):
            rest = row[0] * found[0] + row[1] * found[1] - b
            assert rest(arb("0.03")).contains(0)
            assert rest(arb("0.03")).abs_upper() < 1e-6
        singular = o.numbers([[k, k], [k, k]])
        assert o.solution(singular, vector) is None


def test_member_is_near_the_curve():
    o = Expansions(300, Scale("0.03", 12, 20))
    with o.precision():
        _, point = _second_type(o, order=9)
        weights = member("II", 10**8).weights
        for x, w in zip(point, weights, strict=True):
            assert abs(float(x(arb(10) ** -4).mid()) - w) < 1e-7
