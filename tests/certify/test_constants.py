"""The field Q(π): axioms, exact zeros, and values by another library."""

import functools

import flint
import hypothesis as hp
import hypothesis.strategies as st
import mpmath
import pytest
from flint import fmpz_poly

from shallows.certify._constants import ONE, PI, ZERO, Constant

polynomials = st.lists(st.integers(-20, 20), min_size=1, max_size=4)


@st.composite
def constants(draw):
    below = draw(polynomials.filter(any))
    return Constant(fmpz_poly(draw(polynomials)), fmpz_poly(below))


def _mpmath(c):
    with mpmath.workdps(60):
        above, below = (
            functools.reduce(lambda s, x: s * mpmath.pi + int(x), reversed(list(p)), mpmath.mpf(0))
            for p in (c.numerator, c.denominator)
        )
        return above / below


@hp.given(constants(), constants(), constants())
def test_it_is_a_field(a, b, c):
    assert a + b == b + a
    assert a * (b + c) == a * b + a * c
    assert (a - a).is_zero
    if not b.is_zero:
        assert a / b * b == a
        assert hash(a / b) == hash((a * b) / (b * b))


@hp.given(constants(), constants())
def test_values_and_signs_are_those_of_other_arithmetic(a, b):
    c = a * b - a
    with flint.ctx.workprec(200), mpmath.workdps(60):
        value = _mpmath(c)
        assert abs(mpmath.mpf(c.ball.mid().str(50, radius=False)) - value) < 1e-40
        assert c.sign == mpmath.sign(_mpmath(a) * (_mpmath(b) - 1))


@hp.given(constants())
def test_squares_have_roots_and_texts_are_read_again(a):
    root = (a * a).sqrt()
    assert root in (a, -a)
    assert root.sign >= 0
    assert Constant.read(a.written()) == a
    assert Constant.read(a.written()).written() == a.written()


def test_what_is_close_to_zero_is_not_zero():
    # The best fraction for π with denominators of this size: 355/113.
    close = PI - Constant.of(355) / Constant.of(113)
    assert not close.is_zero
    assert close.sign == -1
    assert (PI / PI - ONE).is_zero
    assert ((PI + ONE) * (PI - ONE) - PI * PI + ONE).is_zero


def test_numbers_outside_are_refused():
    with pytest.raises(ValueError, match="has no root among rational functions"):
        PI.sqrt()
    with pytest.raises(ValueError, match="has no root among rational functions"):
        Constant.of(2).sqrt()
    with pytest.raises(ZeroDivisionError, match="divided by 0"):
        ONE / ZERO
    with pytest.raises(ValueError, match="denominator 0"):
        Constant.read((("1",), ("0",)))
