"""The field Q(π): numbers whose zeros are known exactly.

π is transcendental, so that a rational function of π is 0 only if its numerator is the zero
polynomial. What cancels in the equations for k → ∞ cancels here, and not up to rounding.
"""

from fractions import Fraction
from typing import Any

import flint
from flint import arb, arb_poly, fmpz_poly
from flint.utils.flint_exceptions import DomainError

_ONE = fmpz_poly([1])


class Constant:
    """A rational function of π: a fraction of polynomials with whole coefficients, in lowest terms.

    **Convention.** The denominator's leading coefficient is positive. **Accuracy.** Exact; `ball`
    is at the working precision.
    """

    __slots__ = ("_ball", "denominator", "numerator")

    def __init__(self, numerator: fmpz_poly, denominator: fmpz_poly = _ONE):
        if denominator != _ONE:
            common = numerator.gcd(denominator)
            if denominator[denominator.degree()] < 0:
                common = -common
            if common != _ONE:
                numerator, denominator = numerator // common, denominator // common
        self.numerator, self.denominator = numerator, denominator
        self._ball: tuple[int, arb] | None = None

    @classmethod
    def of(cls, x: int | Fraction) -> "Constant":
        """A rational number."""
        return cls(fmpz_poly([x.numerator]), fmpz_poly([x.denominator]))

    @property
    def is_zero(self) -> bool:
        """Whether it is 0."""
        return not len(self.numerator)

    @property
    def ball(self) -> arb:
        """A ball that contains it."""
        if self._ball is None or self._ball[0] != flint.ctx.prec:
            self._ball = flint.ctx.prec, self._value()
        return self._ball[1]

    def _value(self) -> arb:
        pi = arb.pi()
        above = arb_poly(self.numerator)(pi)
        return above if self.denominator == _ONE else above / arb_poly(self.denominator)(pi)

    @property
    def sign(self) -> int:
        """1, 0 or −1."""
        if self.is_zero:
            return 0
        bits = 64
        while True:
            with flint.ctx.workprec(bits):
                ball = self._value()
            if not ball.contains(0):
                return 1 if ball > 0 else -1
            bits *= 2

    def __add__(self, other: "Constant") -> "Constant":
        p, q = self.denominator, other.denominator
        if p == q:
            return Constant(self.numerator + other.numerator, p)
        return Constant(self.numerator * q + other.numerator * p, p * q)

    def __neg__(self) -> "Constant":
        return Constant(-self.numerator, self.denominator)

    def __sub__(self, other: "Constant") -> "Constant":
        return self + (-other)

    def __mul__(self, other: "Constant") -> "Constant":
        return Constant(self.numerator * other.numerator, self.denominator * other.denominator)

    def __truediv__(self, other: "Constant") -> "Constant":
        if other.is_zero:
            raise ZeroDivisionError("A constant was divided by 0.")
        return Constant(self.numerator * other.denominator, self.denominator * other.numerator)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Constant) and (self - other).is_zero

    def __hash__(self) -> int:
        return hash((tuple(self.numerator), tuple(self.denominator)))

    def sqrt(self) -> "Constant":
        """The positive root.

        **Raises.** `ValueError` if that is not in the field.
        """
        try:
            made = Constant(self.numerator.sqrt(), self.denominator.sqrt())
        except DomainError as error:
            raise ValueError(f"{self!r} has no root among rational functions of π.") from error
        return -made if made.sign < 0 else made

    def __repr__(self) -> str:
        return f"({self.numerator})/({self.denominator})".replace("x", "π")

    def written(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The coefficients of numerator and denominator, from π⁰ on."""
        return tuple(map(str, self.numerator)), tuple(map(str, self.denominator))

    @classmethod
    def read(cls, written: Any) -> "Constant":
        """The number with these coefficients.

        **Raises.** `ValueError` for a denominator of 0 and for what are no whole numbers.
        """
        above, below = ([int(c) for c in part] for part in written)
        if not any(below):
            raise ValueError("A coefficient has the denominator 0.")
        return cls(fmpz_poly(above), fmpz_poly(below))


ZERO, ONE = Constant(fmpz_poly([])), Constant(_ONE)
PI = Constant(fmpz_poly([0, 1]))
