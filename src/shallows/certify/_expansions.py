r"""Functions of ε on all of (0, ε₀] at once: a head with exact coefficients, a tail with bounds.

In the equations for k → ∞ terms of the orders ε⁻⁴ to ε⁻¹ cancel identically. Balls do not cancel,
and what they leave is unbounded as ε → 0. So a number is

$$f(\varepsilon) = \sum_{v \le j < M} c_j \varepsilon^j + \varepsilon^M \sum_i b_i \varepsilon^i$$

with $c_j$ in Q(π), exact, and balls $b_i$: it stands for all functions f such that for each ε in
(0, ε₀] there are numbers in the balls with this value. As in a Taylor model, what an operation
cannot keep goes into the last ball, with a bound that holds on all of (0, ε₀].
"""

import contextlib
import dataclasses
import functools
import itertools
import numbers
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from flint import arb, arb_poly, arb_series

from shallows.certify._balls import Enclosed
from shallows.certify._constants import ONE, PI, ZERO, Constant
from shallows.symmetry.arithmetic import AbstractArithmetic


@dataclasses.dataclass(frozen=True)
class Scale:
    """Where numbers live: ε from 0 (excluded) to `upper`, and how many terms they have."""

    upper: str
    exact: int
    """The most terms of a head."""
    terms: int
    """The most terms of head and tail."""

    @functools.cached_property
    def epsilon(self) -> arb:
        """A ball that contains all of [0, ε₀]."""
        half = (arb(self.upper) / 2).abs_upper()
        return half + arb(0, half)


class Expansion(Enclosed):
    """All functions on (0, ε₀] with this head and a tail in these balls.

    `head` are the exact coefficients from the power `low` on, the first not 0; `tail` those from
    the power `order` on, where the head ends. Without a tail it is a Laurent polynomial.

    **Convention.** Precision is global (`Expansions.precision`), as in python-flint. A comparison
    is true only where it holds for all functions at all ε. Operations are of numbers of one scale.
    """

    __slots__ = ("_full", "_inverse", "_range", "head", "low", "order", "scale", "tail")

    def __init__(
        self, scale: Scale, low: int, head: Sequence[Constant], tail: arb_poly | None = None
    ):
        first = 0
        while first < len(head) and head[first].is_zero:
            first += 1
        head = list(head[first:])
        if tail is None:
            while head and head[-1].is_zero:
                head.pop()
            if not head:
                low = first = 0
        self.scale, self.low, self.head = scale, low + first, head
        self._full: arb_poly | None = None
        self._range: arb | None = None
        self._inverse: Expansion | None = None
        if len(head) > scale.exact:
            rest = arb_poly([c.ball for c in head[scale.exact :]])
            cut = len(head) - scale.exact
            tail = rest if tail is None else rest + tail.left_shift(cut)
            self.head = head[: scale.exact]
        self.tail = None if tail is None else _folded(tail, scale.terms - len(self.head), scale)
        self.order = None if tail is None else self.low + len(self.head)

    @property
    def is_zero(self) -> bool:
        """Whether it is 0, for certain."""
        return not self.head and self.tail is None

    @property
    def full(self) -> arb_poly:
        """The coefficients from the power `low` on, all in balls."""
        if self._full is None:
            full = arb_poly([c.ball for c in self.head])
            if self.tail is not None:
                full += self.tail.left_shift(len(self.head))
            self._full = full
        return self._full

    @property
    def range(self) -> arb:
        """A ball that contains ε to the power −`low` times all values."""
        if self._range is None:
            self._range = self.full(self.scale.epsilon)
        return self._range

    def scaled(self, power: int) -> arb:
        """A ball that contains ε to the power −`power` times all values.

        **Raises.** `ArithmeticError` where that may have no bounds.
        """
        if self.is_zero:
            return arb(0)
        if self.low < power:
            raise ArithmeticError(
                f"A number of order ε^{self.low} has no bounds when divided by ε^{power}."
            )
        return self.range * self.scale.epsilon ** (self.low - power)

    def __call__(self, epsilon: Any) -> arb:
        """An enclosure of the values at one ε, not 0."""
        x = arb(epsilon)
        return self.full(x) * x**self.low

    def coefficient(self, power: int) -> Constant:
        """The exact one of a power in the head, or before it."""
        if self.order is not None and power >= self.order:
            raise ArithmeticError(f"The coefficient of ε^{power} is not known exactly.")
        i = power - self.low
        return self.head[i] if 0 <= i < len(self.head) else ZERO

    def balls(self, power: int) -> list[arb]:
        """Those of the coefficients from a power on."""
        return self._from(power).coeffs()

    def _head(self, start: int, stop: int) -> list[Constant]:
        """Exact coefficients of powers, where no tail has begun."""
        return [self.coefficient(p) for p in range(start, stop)]

    def _from(self, power: int) -> arb_poly:
        """Balls for the coefficients from a power on."""
        shift = self.low - power
        return self.full.left_shift(shift) if shift >= 0 else self.full.right_shift(-shift)

    def __add__(self, other: Any) -> "Expansion":
        other = self._operand(other)
        if other is None:
            return NotImplemented
        if other.is_zero:
            return self
        if self.is_zero:
            return other
        low = min(self.low, other.low)
        ends = [x.order for x in (self, other) if x.order is not None]
        stop = min(ends) if ends else max(x.low + len(x.head) for x in (self, other))
        low = min(low, stop)
        head = [a + b for a, b in zip(self._head(low, stop), other._head(low, stop), strict=True)]
        tail = self._from(stop) + other._from(stop) if ends else None
        return Expansion(self.scale, low, head, tail)

    __radd__ = __add__

    def __neg__(self) -> "Expansion":
        tail = None if self.tail is None else -self.tail
        return Expansion(self.scale, self.low, [-c for c in self.head], tail)

    def __sub__(self, other: Any) -> "Expansion":
        other = self._operand(other)
        return NotImplemented if other is None else self + (-other)

    def __rsub__(self, other: Any) -> "Expansion":
        other = self._operand(other)
        return NotImplemented if other is None else other + (-self)

    def __mul__(self, other: Any) -> "Expansion":
        other = self._operand(other)
        if other is None:
            return NotImplemented
        if self.is_zero or other.is_zero:
            return Expansion(self.scale, 0, [])
        # A product of a head and a tail starts as late as the tail does.
        ends = [len(x.head) for x in (self, other) if x.tail is not None]
        whole, most = len(self.head) + len(other.head) - 1, self.scale.exact
        count = min([*ends, most]) if ends else min(whole, most)
        head = _product(self.head, other.head, count)
        is_whole = not ends and count == whole
        tail = None if is_whole else (self.full * other.full).right_shift(count)
        return Expansion(self.scale, self.low + other.low, head, tail)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Expansion":
        other = self._operand(other)
        return NotImplemented if other is None else self * other.inverse()

    def __rtruediv__(self, other: Any) -> "Expansion":
        other = self._operand(other)
        return NotImplemented if other is None else other * self.inverse()

    def inverse(self) -> "Expansion":
        """1/f.

        **Raises.** `ZeroDivisionError` where f is not certain to have no zero.
        """
        if self._inverse is None:
            self._inverse = self._inverted()
        return self._inverse

    def _inverted(self) -> "Expansion":
        if self.is_zero or self.range.contains(0):
            raise ZeroDivisionError("An expansion was divided by one that may be 0.")
        if self.tail is None and len(self.head) == 1:
            return Expansion(self.scale, -self.low, [ONE / self.head[0]])
        head: list[Constant] = []
        for n in range(self._exact_terms):
            terms = (c * head[n - i] for i, c in enumerate(self.head[: n + 1]) if i)
            head.append((sum(terms, start=-ONE if n == 0 else ZERO)) / -self.head[0])
        n = self.scale.terms
        found = arb_poly(list(1 / arb_series(self.full.coeffs(), prec=n))[:n])
        # With the first n terms q of 1/f, 1 − q f starts with the power n, and 1/f − q is that
        # over f.
        rest = -(found * self.full).right_shift(n)
        return self._approximated(-self.low, head, found, rest, self.range)

    def sqrt(self) -> "Expansion":
        """The positive root.

        **Raises.** `ValueError` for an odd first power, or where the first coefficient has no root
        in the field; `ArithmeticError` where the number is not certain to be positive.
        """
        if self.is_zero:
            return self
        if not self.range > 0:
            raise ArithmeticError("A root was taken of an expansion that may be negative.")
        if self.low % 2:
            raise ValueError(f"A number of order ε^{self.low} has no root among expansions.")
        head = [self.head[0].sqrt()] if self.head else []
        if self.tail is None and len(self.head) == 1:
            return Expansion(self.scale, self.low // 2, head)
        for n in range(1, self._exact_terms):
            terms = (head[i] * head[n - i] for i in range(1, n))
            here = self.head[n] if n < len(self.head) else ZERO
            head.append((sum(terms, start=-here)) / -(head[0] + head[0]))
        n = self.scale.terms
        found = arb_poly(list(arb_series(self.full.coeffs(), prec=n).sqrt())[:n])
        # √f − q = (f − q²)/(√f + q), where f − q² starts with the power n.
        rest = (self.full - found * found).right_shift(n)
        below = self.range.sqrt() + found(self.scale.epsilon)
        return self._approximated(self.low // 2, head, found, rest, below)

    @property
    def _exact_terms(self) -> int:
        """How many coefficients of an analytic function of this number are exact."""
        return self.scale.exact if self.tail is None else len(self.head)

    def _approximated(self, low, head, found: arb_poly, rest: arb_poly, below: arb) -> "Expansion":
        """`found`, whose first terms are those of `head`, plus ε to its length times rest/below."""
        if below.contains(0):
            raise ZeroDivisionError("An expansion was divided by one that may be 0.")
        n, m = self.scale.terms, len(head)
        error = rest(self.scale.epsilon) / below
        tail = found.right_shift(m) + arb_poly([error]).left_shift(n - m)
        return Expansion(self.scale, low, head, tail)

    def arctangent(self) -> "Expansion":
        """Of a number of positive order and of size below 1."""
        if self.is_zero:
            return self
        if not (self.low > 0 and self.scaled(0).abs_upper() < 1):
            raise ArithmeticError("An angle is not certain to be small.")
        # Of the alternating series for (arctan w)/w what follows is smaller than its first term.
        count = -(-self.scale.terms // (2 * self.low)) + 1
        total = Expansion(self.scale, 0, [], arb_poly([arb(0, 1) / (2 * count + 1)]))
        square = -(self * self)
        for n in reversed(range(count)):
            total = total * square + Fraction(1, 2 * n + 1)
        return total * self

    def angle(self, cosine: "Expansion") -> "Expansion":
        """That of the points (cosine, self), in [0, π]; the sine is positive, or exactly 0."""
        pi = Expansion(self.scale, 0, [PI])
        if not (self.is_zero or self > 0):
            raise ArithmeticError("The sine of an angle is not certain to be positive.")
        if self.is_zero or (not cosine.is_zero and self.low > cosine.low):
            if not (cosine > 0 or cosine < 0):
                raise ArithmeticError("The direction of an angle is not certain.")
            small = (self / cosine).arctangent()
            return small if cosine > 0 else small + pi
        if cosine.is_zero:
            return pi / 2
        return pi / 2 - (cosine / self).arctangent()

    def acos(self) -> "Expansion":
        """The angle in [0, π] with this cosine."""
        return (1 - self * self).sqrt().angle(self)

    def _operand(self, x: Any) -> "Expansion | None":
        return x if isinstance(x, Expansion) else _expansion(x, self.scale)


def _expansion(x: Any, scale: Scale) -> Expansion | None:
    if isinstance(x, arb):
        whole = x.unique_fmpz() if x.is_exact() else None
        if whole is None:
            return Expansion(scale, 0, [], arb_poly([x]))
        x = int(whole)
    if isinstance(x, numbers.Rational):
        return Expansion(scale, 0, [Constant.of(Fraction(x))])
    return Expansion(scale, 0, [x]) if isinstance(x, Constant) else None


def _folded(tail: arb_poly, terms: int, scale: Scale) -> arb_poly:
    """The same with fewer terms."""
    terms = max(terms, 1)
    if len(tail) <= terms:
        return tail
    x = scale.epsilon
    last = x * tail.right_shift(terms)(x)
    return tail.truncate(terms) + arb_poly([last]).left_shift(terms - 1)


def _product(a: Sequence[Constant], b: Sequence[Constant], count: int) -> list[Constant]:
    found = [ZERO] * count
    for (i, x), (j, y) in itertools.product(enumerate(a[:count]), enumerate(b[:count])):
        if i + j < count and not (x.is_zero or y.is_zero):
            found[i + j] = found[i + j] + x * y
    return found


class Expansions(AbstractArithmetic):
    """Expansions of a given scale and precision.

    Precision is global, so work inside `with numbers.precision():`.
    """

    def __init__(self, bits: int, scale: Scale):
        self.bits = bits
        self.scale = scale

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """See `AbstractArithmetic`."""
        before = flint.ctx.cap
        flint.ctx.cap = self.scale.terms
        try:
            with flint.ctx.workprec(self.bits):
                yield
        finally:
            flint.ctx.cap = before

    @property
    def pi(self):
        """See `AbstractArithmetic`."""
        return Expansion(self.scale, 0, [PI])

    @property
    def epsilon(self) -> Expansion:
        """The variable."""
        return Expansion(self.scale, 1, [ONE])

    def expansion(
        self, head: dict[int, Constant], order: int | None = None, tail: Sequence[Any] = ()
    ) -> Expansion:
        """The number with these exact coefficients, and a tail from the power `order` on."""
        low = min(head) if order is None else min([*head, order])
        stop = max(head) + 1 if order is None else order
        known = [head.get(p, ZERO) for p in range(low, stop)]
        return Expansion(self.scale, low, known, None if order is None else arb_poly(list(tail)))

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        made = np.empty(np.shape(values), dtype=object)
        for i, value in np.ndenumerate(np.asarray(values, dtype=object)):
            made[i] = value if isinstance(value, Expansion) else _expansion(value, self.scale)
        return made

    def sqrt(self, x):
        """See `AbstractArithmetic`."""
        return _each(Expansion.sqrt, x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`."""
        return _each(Expansion.angle, sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return _each(lambda y: y if y.is_zero else y.inverse(), x)

    def solution(self, matrix, vector):
        """See `AbstractArithmetic`; this one bounds the solutions of all systems."""
        table = np.concatenate([matrix, np.reshape(vector, (-1, 1))], axis=1)
        n = len(table)
        for i in range(n):
            # The entry that starts at the lowest power divides with the least loss.
            able = [r for r in range(i, n) if not table[r, i].range.contains(0)]
            if not able:
                return None
            best = min(able, key=lambda r: table[r, i].low)
            table[[i, best]] = table[[best, i]]
            table[i, i + 1 :] = table[i, i + 1 :] * table[i, i].inverse()
            for r in range(n):
                if r != i and not table[r, i].is_zero:
                    table[r, i + 1 :] = table[r, i + 1 :] - table[r, i] * table[i, i + 1 :]
        return table[:, n]

    def eigenvalues(self, matrix):
        """See `AbstractArithmetic`; at the largest ε, in balls."""
        with flint.ctx.workprec(self.bits):
            values = [[x(self.scale.upper).mid() for x in row] for row in matrix]
            found = flint.acb_mat(values).eig(algorithm="approx")
            return sorted((z.real for z in found), key=float)


def _each(function, *arrays):
    return np.frompyfunc(function, len(arrays), 1)(*arrays)
