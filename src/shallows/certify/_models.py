r"""Taylor models: functions of one parameter t ∈ [−1, 1], enclosed by polynomials with balls.

A statement for all real sizes in an interval is one about functions of a parameter. With balls
for sizes nothing can be said: the loss is a difference of terms of order k². A *model* is a
polynomial in t whose coefficients are balls; it stands for all functions f such that for each t
there are numbers $c_n$ in the balls with $f(t) = \sum_n c_n t^n$. What an operation cannot keep
goes into the ball of $c_0$, with a bound that holds on all of [−1, 1], so that nothing is lost
but what the polynomial's degree cannot express.
"""

import contextlib
import math
import numbers
from collections.abc import Callable, Iterator
from typing import Any

import flint
import numpy as np
from flint import arb, arb_poly, arb_series

from shallows.certify._balls import Enclosed
from shallows.symmetry.arithmetic import AbstractArithmetic, eliminated

_UNIT = arb(0, 1)
_PIECES = 16


class Model(Enclosed):
    """All functions on [−1, 1] between the bounds of a polynomial with balls as coefficients.

    **Convention.** Degree and precision are global (`Models.precision`), as in python-flint. A
    comparison is true only where it holds for all functions at all t.

    **Accuracy.** Rigorous if `is_bounded`. Otherwise what is cut off is dropped: the quick form of
    truncated power series, for approximations.
    """

    __slots__ = ("_range", "is_bounded", "polynomial")

    def __init__(self, polynomial: arb_poly, is_bounded: bool = True):
        self.polynomial, self.is_bounded = polynomial, is_bounded
        self._range: arb | None = None

    def __call__(self, t: Any) -> arb:
        """An enclosure of the values at t."""
        return self.polynomial(arb(t))

    @property
    def range(self) -> arb:
        """A ball that contains all values."""
        if self._range is None:
            first, *rest = self.polynomial.coeffs() or [arb(0)]
            found = first + _UNIT * _size(rest) if self.is_bounded else first
            if self.is_bounded and found.contains(0):
                # Sums of sizes forget signs; short pieces do not.
                half = arb(1) / _PIECES
                pieces = [
                    self.polynomial(half * (2 * i + 1 - _PIECES) + half * _UNIT)
                    for i in range(_PIECES)
                ]
                whole = pieces[0]
                for piece in pieces[1:]:
                    whole = whole.union(piece)
                found = whole
            self._range = found
        return self._range

    @property
    def is_zero(self) -> bool:
        """Whether it is 0, for certain."""
        return not len(self.polynomial)

    def _made(self, polynomial: arb_poly) -> "Model":
        """The model of this degree."""
        terms = flint.ctx.cap
        if len(polynomial) > terms:
            cut = polynomial.truncate(terms)
            if self.is_bounded:
                cut += _UNIT * _size(polynomial.coeffs()[terms:])
            polynomial = cut
        return Model(polynomial, self.is_bounded)

    def _widened(self, polynomial: arb_poly, error: Callable[[], arb]) -> "Model":
        if not self.is_bounded:
            return Model(polynomial, False)
        bound = error().abs_upper()
        return Model(polynomial + (_UNIT * bound if bound.is_finite() else arb("nan")))

    def __add__(self, other: Any) -> "Model":
        other = _operand(other)
        return NotImplemented if other is None else Model(self.polynomial + other, self.is_bounded)

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Model":
        other = _operand(other)
        return NotImplemented if other is None else Model(self.polynomial - other, self.is_bounded)

    def __rsub__(self, other: Any) -> "Model":
        other = _operand(other)
        return NotImplemented if other is None else Model(other - self.polynomial, self.is_bounded)

    def __neg__(self) -> "Model":
        return Model(-self.polynomial, self.is_bounded)

    def __mul__(self, other: Any) -> "Model":
        other = _operand(other)
        return NotImplemented if other is None else self._made(self.polynomial * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Model":
        if isinstance(other, Model):
            return other._dividing(self.polynomial)
        other = _operand(other)
        return NotImplemented if other is None else self._made(self.polynomial * (1 / other))

    def __rtruediv__(self, other: Any) -> "Model":
        other = _operand(other)
        return NotImplemented if other is None else self._dividing(arb_poly([other]))

    def _dividing(self, numerator: arb_poly) -> "Model":
        # With q any polynomial, a/b − q = (a − q b)/b.
        middle = self.polynomial[0].mid()
        if middle.is_zero() or not middle.is_finite():
            raise ZeroDivisionError("A model was divided by one that may be 0 or has no bounds.")
        q = _middle(_series(numerator) / _series(self.polynomial))
        rest = numerator - q * self.polynomial
        return self._widened(q, lambda: _size(rest.coeffs()) / self.range.abs_lower())

    def sqrt(self) -> "Model":
        """The root; not finite where the model is not certain to be positive."""
        if self.is_zero:
            return self
        if not self.polynomial[0].mid() > 0:
            return Model(arb_poly([arb("nan")]), self.is_bounded)
        # With q any polynomial, √f − q = (f − q²)/(√f + q).
        q = _middle(_series(self.polynomial).sqrt())
        rest = self.polynomial - q * q

        def error() -> arb:
            least = arb(self.range.lower()).sqrt() + Model(q).range.lower()
            return _size(rest.coeffs()) / least if least > 0 else arb("nan")

        return self._widened(q, error)

    def angle(self, cosine: "Model") -> "Model":
        r"""That of the points (cosine, self), in [0, π]; the sine is positive, or exactly 0.

        With a fixed turn first, so that what remains is $\arctan w$ with small w.
        """
        if self.is_zero:
            return self if cosine > 0 else self + arb.pi()
        s, c = self.polynomial[0].mid(), cosine.polynomial[0].mid()
        if self.is_bounded and not self > 0:
            return Model(arb_poly([arb("nan")]))
        along = cosine * c + self * s
        w = (self * c - cosine * s) / along
        size = w.range.abs_upper() if self.is_bounded else arb("0.1")
        if not (size < 1 and (along > 0 or not self.is_bounded)):
            return Model(arb_poly([arb("nan")]), self.is_bounded)
        terms = flint.ctx.cap // 2 + 1
        if self.is_bounded and size > 1e-30:
            terms = min(1 + int(-flint.ctx.prec / (2 * math.log2(float(size)))), _MOST_TERMS)
        # Of the alternating series for (arctan w)/w what follows is smaller than its first term.
        total = Model(
            arb_poly([_UNIT / (2 * terms + 1) if self.is_bounded else 0]), self.is_bounded
        )
        square = -(w * w)
        for n in reversed(range(terms)):
            total = total * square + arb(1) / (2 * n + 1)
        return total * w + arb.atan2(s, c)

    def acos(self) -> "Model":
        """The angle in [0, π] with this cosine."""
        return (1 - self * self).sqrt().angle(self)


_MOST_TERMS = 300


def _operand(x: Any) -> arb | arb_poly | None:
    if isinstance(x, Model):
        return x.polynomial
    if isinstance(x, arb):
        return x
    if isinstance(x, numbers.Integral):
        return arb(int(x))
    return arb(float(x)) if isinstance(x, numbers.Real) else None


def _coefficient(x: Any) -> arb:
    return arb(x) if isinstance(x, (str, arb)) else arb(str(x))


def _size(coefficients: list[arb]) -> arb:
    return sum((c.abs_upper() for c in coefficients), start=arb(0))


def _series(polynomial: arb_poly) -> arb_series:
    return arb_series([c.mid() for c in polynomial.coeffs()], prec=flint.ctx.cap)


def _middle(series: arb_series) -> arb_poly:
    return arb_poly([c.mid() for c in series.coeffs()])


class Models(AbstractArithmetic):
    """Models of a given degree and precision.

    Degree and precision are global, so work inside `with numbers.precision():`.
    """

    def __init__(self, bits: int, degree: int, is_bounded: bool = True):
        self.bits = bits
        self.degree = degree
        self.is_bounded = is_bounded

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """See `AbstractArithmetic`."""
        before = flint.ctx.cap
        flint.ctx.cap = self.degree + 1
        try:
            with flint.ctx.workprec(self.bits):
                yield
        finally:
            flint.ctx.cap = before

    @property
    def pi(self):
        """See `AbstractArithmetic`."""
        return arb.pi()

    def polynomial(self, coefficients: Any) -> Model:
        """The model with these coefficients."""
        return Model(arb_poly([_coefficient(c) for c in coefficients]), self.is_bounded)

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        made = np.empty(np.shape(values), dtype=object)
        for i, value in np.ndenumerate(np.asarray(values, dtype=object)):
            made[i] = value if isinstance(value, Model) else self.polynomial([_operand(value)])
        return made

    def sqrt(self, x):
        """See `AbstractArithmetic`."""
        return _each(Model.sqrt, x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`."""
        return _each(Model.angle, sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return _each(lambda y: y if y.is_zero else 1 / y, x)

    def solution(self, matrix, vector):
        """See `AbstractArithmetic`; bounded models bound the solutions of all systems."""

        def largest(column, i):
            def size(r):
                return abs(float(column[r].polynomial[0].mid()))

            best = max(range(i, len(column)), key=size)
            return best if column[best] > 0 or column[best] < 0 else None

        return eliminated(matrix, vector, largest)

    def eigenvalues(self, matrix):
        """See `AbstractArithmetic`; in the middle of the interval, in floats."""
        middle = np.array([[float(x(0)) for x in row] for row in matrix])
        return np.linalg.eigvalsh(middle).tolist()


def _each(function, *arrays):
    return np.frompyfunc(function, len(arrays), 1)(*arrays)
