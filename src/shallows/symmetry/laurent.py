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
import numpy as np

from shallows.symmetry.arithmetic import AbstractArithmetic


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
        while zeros < length and _vanishes(series[zeros]):
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
        small = _rounding(1 / 2)
        first = next((i for i, c in enumerate(kept) if abs(c) > small), len(kept))
        return Laurent(kept[first:], self.valuation + first)

    def blurred(self) -> "Laurent":
        """The same with errors of rounding in its coefficients, so that they may cancel."""
        error = flint.arb(0, _rounding(4 / 5))
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
        other = _number(other)
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
        other = _number(other)
        return NotImplemented if other is None else self + (-other)

    def __rsub__(self, other: Any) -> "Laurent":
        other = _number(other)
        return NotImplemented if other is None else other + (-self)

    def __mul__(self, other: Any) -> "Laurent":
        if isinstance(other, int):
            if other == 0:
                return _ZERO
            if other == 1:
                return self
        other = _number(other)
        if other is None:
            return NotImplemented
        a, b = self._series, other._series
        if self.is_zero or other.is_zero:
            return _ZERO
        is_whole = self.order is None and other.order is None
        is_whole = is_whole and a.length() + b.length() - 1 <= flint.ctx.cap
        power = self.valuation + other.valuation
        # The product of O(ε^N) with what starts at ε^v is O(ε^(N + v)).
        return Laurent._made(power, a * b, is_whole)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Laurent":
        other = _number(other)
        if other is None:
            return NotImplemented
        if other.is_zero:
            raise ZeroDivisionError("A power series was divided by 0. Handle 0 apart.")
        other._leading("divided by")
        if self.is_zero:
            return _ZERO
        is_whole = self.order is None and other.order is None and other._series.length() == 1
        quotient = self._series / other._series
        return Laurent._made(self.valuation - other.valuation, quotient, is_whole)

    def __rtruediv__(self, other: Any) -> "Laurent":
        other = _number(other)
        return NotImplemented if other is None else other / self

    def _leading(self, verb: str) -> flint.arb:
        if self.is_unknown:
            raise UnknownTermsError(
                f"A number that is known to be O(ε^{self.order}), and nothing else, was {verb}. "
                f"Take more terms."
            )
        return self._series[0]

    @property
    def _sign(self) -> int:
        """1 or −1 where certain, or 0."""
        if not self._series.length():
            return 0
        return 1 if self._series[0] > 0 else -1

    def __gt__(self, other: Any) -> bool:
        return (self - other)._sign > 0

    def __lt__(self, other: Any) -> bool:
        return (self - other)._sign < 0

    def __ge__(self, other: Any) -> bool:
        rest = self - other
        return rest._sign > 0 or rest.is_zero

    def __le__(self, other: Any) -> bool:
        rest = self - other
        return rest._sign < 0 or rest.is_zero

    def __eq__(self, other: object) -> bool:
        mine = _number(other)
        return NotImplemented if mine is None else (self - mine).is_zero

    __hash__ = None  # type: ignore[assignment] # equal numbers may be known to different orders

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
        if self._sign < 0 or self.valuation % 2:
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
        with _terms(flint.ctx.cap + shift):
            terms = [flint.arb(0)] * shift + self.coefficients
            series = flint.arb_series(terms, prec=shift + self._series.prec).atan()
        return Laurent(list(series)[shift:], shift, shift + self._series.prec)


def _angle(sine: Laurent, cosine: Laurent) -> Laurent:
    """The angle of (cosine, sine), as in `AbstractArithmetic`."""
    if sine.is_zero:
        cosine._leading("asked for its sign")
        return Laurent([flint.arb.pi()]) if cosine < 0 else _ZERO
    if cosine.is_zero or sine.valuation < cosine.valuation:
        sine._leading("asked for its direction")
        return Laurent([flint.arb.pi() / 2]) - (cosine / sine)._arctangent()
    if sine.valuation > cosine.valuation:
        small = (sine / cosine)._arctangent()
        return small + Laurent([flint.arb.pi()]) if cosine < 0 else small
    # The angle of the leading parts, and the small one between that and the whole.
    s, c = sine._leading("asked for its direction"), cosine._leading("asked for its direction")
    turn = (sine * c - cosine * s) / (cosine * c + sine * s)
    return Laurent([flint.arb.atan2(s, c)]) + turn._arctangent()


def _vanishes(x: flint.arb) -> bool:
    if not x.contains(0):
        return False
    if x.is_zero() or x.rad() < _rounding(1 / 2):
        return True
    raise LostDigitsError(
        f"Whether {x} is 0 cannot be told with {flint.ctx.prec} bits. Take more of them."
    )


def _number(x: Any) -> Laurent | None:
    if isinstance(x, Laurent):
        return x
    if isinstance(x, (flint.arb, flint.fmpq, flint.fmpz)):
        return Laurent([flint.arb(x)])
    if isinstance(x, numbers.Integral):
        return _ZERO if x == 0 else Laurent([int(x)])
    if isinstance(x, numbers.Rational):
        return Laurent([flint.arb(int(x.numerator)) / int(x.denominator)])
    if isinstance(x, numbers.Real):
        return Laurent([flint.arb(float(x))])
    return None


_ZERO = Laurent([])


@contextlib.contextmanager
def _terms(count: int) -> Iterator[None]:
    before = flint.ctx.cap
    flint.ctx.cap = count
    try:
        yield
    finally:
        flint.ctx.cap = before


class PowerSeries(AbstractArithmetic):
    """Laurent series in ε with balls of `bits` bits, and so many terms of each number.

    Number of terms and precision are global, so work inside `with numbers.precision():`.
    """

    def __init__(self, bits: int, terms: int):
        self.bits = bits
        self.terms = terms

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """See `AbstractArithmetic`."""
        with flint.ctx.workprec(self.bits), _terms(self.terms):
            yield

    @property
    def pi(self):
        """See `AbstractArithmetic`."""
        return Laurent([flint.arb.pi()])

    @property
    def epsilon(self) -> Laurent:
        """The variable."""
        return Laurent([1], 1)

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        made = np.empty(np.shape(values), dtype=object)
        for i, value in np.ndenumerate(np.asarray(values, dtype=object)):
            made[i] = _number(value)
        return made

    def sqrt(self, x):
        """See `AbstractArithmetic`."""
        return _each(Laurent.sqrt, x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`; analytic also where the sine vanishes like a power of ε."""
        return _each(_angle, sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return _each(lambda y: y if y.is_zero else 1 / y, x)

    def solution(self, matrix, vector):
        """See `AbstractArithmetic`; the balls and orders of this one are bounds."""
        table = np.concatenate([matrix, np.reshape(vector, (-1, 1))], axis=1)
        n = len(table)
        try:
            for i in range(n):
                # The entry that starts at the lowest power divides with the least loss.
                best = min(range(i, n), key=lambda r: _weight(table[r, i]))
                if table[best, i].is_zero:
                    return None
                table[[i, best]] = table[[best, i]]
                table[i] = table[i] / table[i, i]
                for r in range(n):
                    if r != i and not table[r, i].is_zero:
                        table[r] = table[r] - table[r, i] * table[i]
        except UnknownTermsError:
            return None
        return table[:, n]

    def eigenvalues(self, matrix):
        r"""See `AbstractArithmetic`; the balls and orders of these are bounds.

        Eigenvalues of a symmetric matrix of real Laurent series are such series themselves
        (Rellich): ones that start alike are split where they first differ.

        **Raises.** `UnknownTermsError` where the terms do not tell how.
        """
        return sorted(_roots(_characteristic(matrix)), key=functools.cmp_to_key(_order))


def _order(x: Laurent, y: Laurent) -> int:
    return (x - y)._sign


def _each(function, *arrays):
    return np.frompyfunc(function, len(arrays), 1)(*arrays)


def _weight(x: Laurent) -> float | int:
    return np.inf if not x._series.length() else x.valuation


def _characteristic(matrix: np.ndarray) -> list[Laurent]:
    """The coefficients of det(λ − matrix), from λ⁰ on, without divisions by series."""
    n = len(matrix)
    made = [_ZERO] * n + [Laurent([1])]
    power = np.full((n, n), _ZERO, dtype=object)
    # Faddeev & LeVerrier.
    for j in range(1, n + 1):
        power = matrix @ power + made[n - j + 1] * _identity(n)
        made[n - j] = -np.trace(matrix @ power) / j
    return made


def _identity(n: int) -> np.ndarray:
    made = np.full((n, n), _ZERO, dtype=object)
    made[np.diag_indices(n)] = Laurent([1])
    return made


# Coefficients from the power 0 on.
Polynomial = list[Laurent]


def _roots(polynomial: Polynomial, above: float | int = -np.inf) -> list[Laurent]:
    """The roots that start at powers > `above`, all of which are real Laurent series."""
    found: list[Laurent] = []
    for power, side in _sides(polynomial):
        if power <= above:
            continue
        for leading, times in _real_roots(side):
            first = Laurent([leading], power)
            if times == 1:
                found.append(_simple_root(polynomial, first))
            else:
                found += [first + r for r in _roots(_shifted(polynomial, first), power)]
    return found


def _sides(polynomial: Polynomial) -> Iterator[tuple[int, list[flint.arb]]]:
    """The sides of Newton's polygon: a power, and the polynomial of roots' leading coefficients."""
    points = [(i, c) for i, c in enumerate(polynomial) if not c.is_zero]
    if points[0][0]:
        raise UnknownTermsError("An eigenvalue vanishes as far as is known. Take more terms.")
    here = 0
    while here < len(points) - 1:
        i, a = points[here]
        slopes = [(a.valuation - b.valuation) / (j - i) for j, b in points[here + 1 :]]
        steepest = max(slopes)
        if steepest % 1:
            raise ValueError(
                f"Eigenvalues start at the power {steepest}, so that the matrix is not symmetric. "
                f"Check it."
            )
        last = here + 1 + max(x for x, s in enumerate(slopes) if s == steepest)
        side = [flint.arb(0)] * (points[last][0] - i + 1)
        for j, c in points[here : last + 1]:
            if a.valuation - c.valuation == steepest * (j - i):
                side[j - i] = c._leading("needed to tell eigenvalues apart")
        yield int(steepest), side
        here = last


def _real_roots(coefficients: list[flint.arb]) -> list[tuple[flint.arb, int]]:
    """Roots of a polynomial all of whose roots are real, with multiplicities."""
    near = np.sort(np.roots([float(c) for c in reversed(coefficients)]).real)
    # In floats a root of multiplicity m scatters by the m-th root of rounding. Roots taken for one
    # are one only if derivatives vanish there too, to half the digits.
    for tolerance in (1e-3, 1e-5, 1e-7, 1e-9):
        gaps = np.flatnonzero(np.diff(near) > tolerance * np.max(np.abs(near))) + 1
        found = [(_real_root(coefficients, g), len(g)) for g in np.split(near, gaps)]
        if all(root is not None for root, _ in found):
            return [(root, times) for root, times in found if root is not None]
    raise LostDigitsError(
        "Leading coefficients of eigenvalues are too close to tell them apart. Take more bits."
    )


def _real_root(coefficients: list[flint.arb], near: np.ndarray) -> flint.arb | None:
    """The root that these approximate, if it has their multiplicity."""
    chain = [flint.arb_poly(coefficients)]
    for _ in near:
        chain.append(chain[-1].derivative())
    # A root of multiplicity m is a simple one of the derivative of order m − 1.
    value, slope = chain[-2:]
    x = flint.arb(float(np.mean(near)))
    for _ in range(flint.ctx.prec.bit_length() + 3):
        x = (x - value(x) / slope(x)).mid()
    around = flint.arb(x, 4 * (value(x) / slope(x)).abs_upper())
    found = x - value(x) / slope(around)
    is_multiple = all(_vanishes(p(found)) for p in chain[:-2])
    return found if around.contains(found) and is_multiple else None


def _shifted(polynomial: Polynomial, by: Laurent) -> Polynomial:
    """The polynomial in λ − `by`."""
    made = list(polynomial)
    for i in range(len(made) - 1):
        for j in range(len(made) - 2, i - 1, -1):
            made[j] = made[j] + by * made[j + 1]
    return made


def _simple_root(polynomial: Polynomial, first: Laurent) -> Laurent:
    """The root that starts like this and no other does."""
    slope = [i * c for i, c in enumerate(polynomial)][1:]

    x = first.cut(first.valuation + 1)
    for _ in range(_MOST_STEPS):
        change = _at(polynomial, x) / _at(slope, x.blurred())
        moved = x - change
        if moved.order is None:  # a root that ends
            return moved
        is_done = change.size < _rounding(3 / 5)
        order = moved.order
        x = moved.cut(order)
        if is_done:
            break
    around = x.widened(2 * change.size + _rounding(3 / 4), order)
    found = _improved(polynomial, x, _at(slope, around))
    if not around.contains(found):
        raise LostDigitsError(
            f"Newton's method did not enclose an eigenvalue near {first!r}. Take more bits."
        )
    return found


def _improved(polynomial: Polynomial, x: Laurent, slope: Laurent) -> Laurent:
    """Newton's step from a Laurent polynomial, with all its errors.

    What rounding leaves of the value at x is no number that vanishes, and must not be dropped.
    """
    known = [(i, c) for i, c in enumerate(polynomial) if not c.is_zero]
    first = min(c.valuation + i * x.valuation for i, c in known)
    order = min(c.order + i * x.valuation for i, c in known if c.order is not None)
    value, power, t = flint.arb_poly(), flint.arb_poly([1]), flint.arb_poly(x.coefficients)
    for i, c in enumerate(polynomial):
        if not c.is_zero:
            shift = c.valuation + i * x.valuation - first
            value += (flint.arb_poly(c.coefficients) * power).left_shift(shift)
        power = power * t
    with _terms(max(flint.ctx.cap, order - first)):
        series = flint.arb_series(value.coeffs()[: order - first], prec=order - first)
        change = series / flint.arb_series(slope.coefficients, prec=slope._series.prec)
    start, end = first - slope.valuation, first - slope.valuation + change.prec
    terms = [x.coefficient(p) - change[p - start] for p in range(max(x.valuation, start), end)]
    ahead = [x.coefficient(p) for p in range(x.valuation, min(start, end))]
    return Laurent([*ahead, *terms], x.valuation, end)


_MOST_STEPS = 40


def _rounding(share: float) -> flint.arb:
    """What is small for so large a share of the digits."""
    return flint.arb(2) ** -int(share * flint.ctx.prec)


def _at(polynomial: Polynomial, x: Laurent) -> Laurent:
    total = _ZERO
    for c in reversed(polynomial):
        total = total * x + c
    return total
