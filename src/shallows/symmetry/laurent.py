r"""Power series in ε with ball coefficients: numbers that know how things behave as ε → 0.

With $\varepsilon = k^{-1/2}$ every size $k - P = \varepsilon^{-2} - P$ is such a number, and with
it everything a closed formula makes of sizes: a `ReducedLoss` evaluated in `PowerSeries` is its
own expansion as $k \to \infty$.

A number is a *Laurent polynomial* (nothing follows) or a Laurent polynomial up to
$O(\varepsilon^N)$, and N is carried through all operations, so that cancellation costs known
terms and never pretends otherwise.
"""

import contextlib
import functools
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import flint


class UnknownTermsError(ArithmeticError):
    """A decision needs terms that were not computed."""


class LostDigitsError(ArithmeticError):
    """A decision needs digits that were lost on the way."""


class Laurent:
    r"""A Laurent series in ε whose coefficients are real balls, up to a known order.

    `coefficients[i]` belongs to the power `valuation + i`.

    **Convention.** ε is positive and as small as need be: of two numbers the one with the larger
    leading coefficient is the larger. A comparison is true only where it is certain. Number of
    terms and precision are global (`PowerSeries.precision`), as in python-flint.

    **Accuracy.** Balls contain the coefficients, with one decision that is not proved: a *leading*
    coefficient whose ball contains 0 and is smaller than half the digits is 0. Numbers such as
    1/π − 1/π vanish in no other way.

    **Raises.** `UnknownTermsError` where a leading coefficient is needed and is not known.
    """

    __slots__ = ("_series", "order", "valuation")

    valuation: int
    """The power of the first term; of an unknown number, its order."""
    order: int | None
    """The first power that is not known; None for a Laurent polynomial."""

    def __init__(self, coefficients: Sequence[Any], valuation: int = 0, order: int | None = None):
        # More coefficients than terms are cut off, and the number is then known up to there.
        if order is not None:
            valuation = min(valuation, order)
        most = flint.ctx.cap if order is None else min(flint.ctx.cap, order - valuation)
        cut = order is not None or len(coefficients) > most
        series = flint.arb_series(list(coefficients[:most]), prec=most)
        self._set(valuation, series, not cut)

    @classmethod
    def _made(cls, valuation: int, series: flint.arb_series, is_whole: bool) -> "Laurent":
        made = object.__new__(cls)
        made._set(valuation, series, is_whole)
        return made

    def _set(self, valuation: int, series: flint.arb_series, is_whole: bool) -> None:
        length = series.length()
        zeros = 0
        while zeros < length and vanishes(series[zeros]):
            zeros += 1
        self.order = None if is_whole else valuation + series.prec
        if zeros:
            known = flint.ctx.cap if is_whole else series.prec - zeros
            series = flint.arb_series(list(series)[zeros:length], prec=known)
            valuation += zeros
        if zeros == length:
            # A number without a first term starts where nothing more is known.
            valuation = 0 if self.order is None else self.order
            series = flint.arb_series([], prec=flint.ctx.cap if is_whole else 0)
        self.valuation, self._series = valuation, series

    @property
    def coefficients(self) -> list[flint.arb]:
        """The known ones, in the order of their powers."""
        return list(self._series)[: self._series.length()]

    @property
    def known(self) -> int:
        """How many terms from the first one on are known, or are computed."""
        return self._series.prec

    @property
    def is_zero(self) -> bool:
        """Whether it is 0, for certain."""
        return self.order is None and not self._series.length()

    @property
    def is_unknown(self) -> bool:
        """Whether no term is known, so that it is 0 as far as one knows."""
        return self.order is not None and not self._series.length()

    def coefficient(self, power: int) -> flint.arb:
        """That of one power.

        **Raises.** `UnknownTermsError` for a power that is not known.
        """
        if self.order is not None and power >= self.order:
            raise UnknownTermsError(
                f"The coefficient of power {power} is not known: this series ends with "
                f"O(ε^{self.order}). Take more terms."
            )
        i = power - self.valuation
        return self._series[i] if 0 <= i < self._series.length() else flint.arb(0)

    def __call__(self, epsilon: Any) -> flint.arb:
        """Its known terms at a positive number."""
        x = flint.arb(epsilon)
        total = functools.reduce(lambda s, c: s * x + c, reversed(self.coefficients), flint.arb(0))
        return total * x**self.valuation

    def cut(self, order: int) -> "Laurent":
        """The Laurent polynomial of the midpoints of the terms below a power.

        Leading ones that are 0 to half the digits are left out.
        """
        kept = [c.mid() for c in self.coefficients[: max(order - self.valuation, 0)]]
        small = rounding(1 / 2)
        first = next((i for i, c in enumerate(kept) if abs(c) > small), len(kept))
        return Laurent(kept[first:], self.valuation + first)

    def blurred(self) -> "Laurent":
        """The same with errors of rounding in its coefficients, so that they may cancel."""
        error = flint.arb(0, rounding(4 / 5))
        return Laurent([c + error for c in self.coefficients], self.valuation, self.order)

    def widened(self, radius: flint.arb, order: int, first: int | None = None) -> "Laurent":
        """All series that differ by at most `radius` in each coefficient below `order`.

        They start at the power `first`, by default where this one does.
        """
        start = self.valuation if first is None else first
        error = flint.arb(0, radius.abs_upper())
        return Laurent([self.coefficient(p) + error for p in range(start, order)], start, order)

    def contains(self, other: "Laurent") -> bool:
        """Whether each coefficient known of both contains that of the other number."""
        ends = [x.order for x in (self, other) if x.order is not None]
        start = min(self.valuation, other.valuation)
        stop = min(ends, default=max(self._end, other._end))
        powers = range(start, stop)
        return all(self.coefficient(p).contains(other.coefficient(p)) for p in powers)

    @property
    def size(self) -> flint.arb:
        """A bound on the known coefficients."""
        return max((c.abs_upper() for c in self.coefficients), default=flint.arb(0))

    @property
    def _end(self) -> int:
        return self.valuation + self._series.length()

    def __add__(self, other: Any) -> "Laurent":
        other = series_of(other)
        if other is None:
            return NotImplemented
        if other.is_zero:
            return self
        if self.is_zero:
            return other
        low, high = (self, other) if self.valuation <= other.valuation else (other, self)
        shift = high.valuation - low.valuation
        a, b = low._series, high._series
        cap = flint.ctx.cap
        is_whole = low.order is None and high.order is None
        if shift:
            terms = [flint.arb(0)] * min(shift, cap) + list(b)[: b.length()]
            is_whole = is_whole and shift + b.length() <= cap
            b = flint.arb_series(terms, prec=min(cap, shift + b.prec))
        return Laurent._made(low.valuation, a + b, is_whole)

    __radd__ = __add__

    def __neg__(self) -> "Laurent":
        return Laurent._made(self.valuation, -self._series, self.order is None)

    def __pos__(self) -> "Laurent":
        return self

    def __sub__(self, other: Any) -> "Laurent":
        other = series_of(other)
        return NotImplemented if other is None else self + (-other)

    def __rsub__(self, other: Any) -> "Laurent":
        other = series_of(other)
        return NotImplemented if other is None else other + (-self)

    def __mul__(self, other: Any) -> "Laurent":
        if isinstance(other, int):
            if other == 0:
                return ZERO
            if other == 1:
                return self
        other = series_of(other)
        if other is None:
            return NotImplemented
        a, b = self._series, other._series
        if self.is_zero or other.is_zero:
            return ZERO
        is_whole = self.order is None and other.order is None
        is_whole = is_whole and a.length() + b.length() - 1 <= flint.ctx.cap
        power = self.valuation + other.valuation
        # The product of O(ε^N) with what starts at ε^v is O(ε^(N + v)).
        return Laurent._made(power, a * b, is_whole)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Laurent":
        other = series_of(other)
        if other is None:
            return NotImplemented
        if other.is_zero:
            raise ZeroDivisionError("A power series was divided by 0. Handle 0 apart.")
        other.leading("divided by")
        if self.is_zero:
            return ZERO
        is_whole = self.order is None and other.order is None and other._series.length() == 1
        quotient = self._series / other._series
        return Laurent._made(self.valuation - other.valuation, quotient, is_whole)

    def __rtruediv__(self, other: Any) -> "Laurent":
        other = series_of(other)
        return NotImplemented if other is None else other / self

    def leading(self, verb: str) -> flint.arb:
        """The first coefficient; `verb` says what it is needed for, if it is not known."""
        if self.is_unknown:
            raise UnknownTermsError(
                f"A number that is known to be O(ε^{self.order}), and nothing else, was {verb}. "
                f"Take more terms."
            )
        return self._series[0]

    @property
    def sign(self) -> int:
        """1 or −1 where certain, or 0."""
        if not self._series.length():
            return 0
        return 1 if self._series[0] > 0 else -1

    def __gt__(self, other: Any) -> bool:
        return (self - other).sign > 0

    def __lt__(self, other: Any) -> bool:
        return (self - other).sign < 0

    def __ge__(self, other: Any) -> bool:
        rest = self - other
        return rest.sign > 0 or rest.is_zero

    def __le__(self, other: Any) -> bool:
        rest = self - other
        return rest.sign < 0 or rest.is_zero

    # No hash: equal numbers may be known to different orders.
    def __eq__(self, other: object) -> bool:
        mine = series_of(other)
        return NotImplemented if mine is None else (self - mine).is_zero

    def __repr__(self) -> str:
        terms = [
            f"{c.str(12, radius=False)} ε^{self.valuation + i}"
            for i, c in enumerate(self.coefficients)
            if not c.is_zero()
        ]
        rest = [] if self.order is None else [f"O(ε^{self.order})"]
        return " + ".join([*terms, *rest]) or "0"

    def sqrt(self) -> "Laurent":
        r"""The root that is not negative.

        **Raises.** `ValueError` where it would be no Laurent series: of a negative number, and
        of one whose first power is odd.
        """
        if self.is_zero:
            return self
        if self.is_unknown:
            assert self.order is not None
            return Laurent([], order=-(-self.order // 2))
        if self.sign < 0 or self.valuation % 2:
            raise ValueError(
                f"{self!r} has no square root among power series in ε. Roots are taken of "
                f"positive numbers whose first power is even."
            )
        is_whole = self.order is None and self._series.length() == 1
        return Laurent._made(self.valuation // 2, self._series.sqrt(), is_whole)

    def _arctangent(self) -> "Laurent":
        """Of a number without constant and negative powers."""
        if not self._series.length():
            return self
        shift = self.valuation
        assert shift > 0
        with up_to(flint.ctx.cap + shift):
            terms = [flint.arb(0)] * shift + self.coefficients
            series = flint.arb_series(terms, prec=shift + self._series.prec).atan()
        return Laurent(list(series)[shift:], shift, shift + self._series.prec)


def angle(sine: Laurent, cosine: Laurent) -> Laurent:
    """The angle of (cosine, sine), as in `AbstractArithmetic`."""
    if sine.is_zero:
        cosine.leading("asked for its sign")
        return Laurent([flint.arb.pi()]) if cosine < 0 else ZERO
    if cosine.is_zero or sine.valuation < cosine.valuation:
        sine.leading("asked for its direction")
        return Laurent([flint.arb.pi() / 2]) - (cosine / sine)._arctangent()
    if sine.valuation > cosine.valuation:
        small = (sine / cosine)._arctangent()
        return small + Laurent([flint.arb.pi()]) if cosine < 0 else small
    # The angle of the leading parts, and the small one between that and the whole.
    s, c = sine.leading("asked for its direction"), cosine.leading("asked for its direction")
    turn = (sine * c - cosine * s) / (cosine * c + sine * s)
    return Laurent([flint.arb.atan2(s, c)]) + turn._arctangent()


def vanishes(x: flint.arb) -> bool:
    """Whether a coefficient is 0, to half the digits; see `Laurent`."""
    if not x.contains(0):
        return False
    if x.is_zero() or x.rad() < rounding(1 / 2):
        return True
    raise LostDigitsError(
        f"Whether {x} is 0 cannot be told with {flint.ctx.prec} bits. Take more of them."
    )


def series_of(x: Any) -> Laurent | None:
    """A number as a series; None for what is none."""
    if isinstance(x, Laurent):
        return x
    if isinstance(x, (flint.arb, flint.fmpq, flint.fmpz)):
        return Laurent([flint.arb(x)])
    if isinstance(x, numbers.Integral):
        return ZERO if x == 0 else Laurent([int(x)])
    if isinstance(x, numbers.Rational):
        return Laurent([flint.arb(int(x.numerator)) / int(x.denominator)])
    if isinstance(x, numbers.Real):
        return Laurent([flint.arb(float(x))])
    return None


ZERO = Laurent([])


@contextlib.contextmanager
def up_to(count: int) -> Iterator[None]:
    """Compute so many terms, for a while."""
    before = flint.ctx.cap
    flint.ctx.cap = count
    try:
        yield
    finally:
        flint.ctx.cap = before


def rounding(share: float) -> flint.arb:
    """What is small for so large a share of the digits."""
    return flint.arb(2) ** -int(share * flint.ctx.prec)
