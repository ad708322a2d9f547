r"""Check a certificate of a threshold again.

Nothing here calls what found the curve or made the certificate. The formulas of the loss and of the
isotypic components are those of `shallows.certify.verify_interval`, in other numbers: balls, each
with its derivative in k, as power series of length two in flint. One needs to know

* the interval Newton method: if all matrices in J contain the Jacobians of g on the box X around
  m, and m − J⁻¹g(m) lies in the interior of X for each of them, then g has exactly one zero in
  X. With a ball for k this says so for all sizes in it, and the zeros depend continuously on k;
* that the zero moves with dz/dk = −J⁻¹ ∂g/∂k;
* Sylvester's law of inertia: with positive pivots but for the last one, that one has the sign
  of the smallest eigenvalue. If it grows with k, it changes its sign at most once.
"""

import itertools
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import flint
from flint import arb, arb_series

from shallows.certify._balls import between
from shallows.certify.interval import IntervalCertificate
from shallows.certify.threshold import ThresholdEnclosure, threshold_words
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check
from shallows.certify.verify_interval import (
    FailedError,
    Loss,
    Space,
    isotypic,
    require,
    verify_interval,
)


def verify_threshold(certificate: ThresholdEnclosure) -> Check:
    """Prove the statement of a certificate again, or say what cannot be proved.

    **Accuracy.** Rigorous: ball arithmetic throughout. **Cost.** About a second, and that of
    `verify_interval` where the certificate says what is beyond.
    """
    try:
        with flint.ctx.workprec(certificate.bits):
            _check(certificate)
    except (FailedError, ArithmeticError, ValueError) as failure:
        return Check(Verdict.UNDECIDED, str(failure))
    if certificate.beyond is not None:
        return verify_interval(certificate.beyond)
    return Check(Verdict.PROVED, "")


class _Series:
    """A ball that depends on k, and its derivative: a power series of length two."""

    __slots__ = ("series",)

    def __init__(self, series: arb_series):
        self.series = series

    @property
    def value(self) -> arb:
        return self.series[0]

    @property
    def slope(self) -> arb:
        return self.series[1]

    def __add__(self, other: Any) -> "_Series":
        return _Series(self.series + _plain(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "_Series":
        return _Series(self.series - _plain(other))

    def __rsub__(self, other: Any) -> "_Series":
        return _Series(_plain(other) - self.series)

    def __neg__(self) -> "_Series":
        return _Series(-self.series)

    def __mul__(self, other: Any) -> "_Series":
        return _Series(self.series * _plain(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "_Series":
        return _Series(self.series / _plain(other))

    def __rtruediv__(self, other: Any) -> "_Series":
        return _Series(_plain(other) / self.series)

    def sqrt(self) -> "_Series":
        return _Series(self.series.sqrt())

    def acos(self) -> "_Series":
        return _Series(self.series.acos())


def _plain(x: Any) -> arb_series:
    if isinstance(x, _Series):
        return x.series
    number = arb(x.numerator) / x.denominator if isinstance(x, Fraction) else arb(x)
    return arb_series([number], 2)


def _series(value: arb, slope: Any = 0) -> _Series:
    return _Series(arb_series([value, arb(slope)], 2))


def _check(c: ThresholdEnclosure) -> None:
    require(c.verdict is Verdict.PROVED, "It does not claim to be a proof.")
    require(threshold_words(c) == c.statement, "Its words do not say what its data say.")
    require(all(n == 1 for n in c.fixed), f"Fixed blocks have one neuron, not {c.fixed}.")
    a, b = c.monotone
    ends = [Decimal(text) for text in (a, c.lower, c.upper, b)]
    ordered = all(x < y for x, y in itertools.pairwise(ends))
    require(sum(c.fixed) + 3 < ends[0] and ordered, "The sizes are not in order.")
    tube = [between(*pair) for pair in c.weights]
    sizes = between(a, b)
    inner = _newton(c, sizes, tube)
    require(inner is not None, "Newton's method does not map the box into its interior.")
    assert inner is not None
    for name, pivots in _pivots(c, sizes, inner):
        last = pivots.pop() if name == c.component else None
        require(
            all(p.value > 0 for p in pivots), f"The {name} component may not be positive definite."
        )
        require(last is None or bool(last.slope > 0), "The pivot may change its sign twice.")
    for text, sign in ((c.lower, -1), (c.upper, 1)):
        size, point = arb(text), inner
        for _ in range(8):
            better = _newton(c, size, point)
            if better is None:
                break
            point = better
        found = [p[-1].value for name, p in _pivots(c, size, point) if name == c.component]
        require(len(found) == 1 and bool(sign * found[0] > 0), f"The sign at {text} is open.")
    if c.beyond is not None:
        require(c.beyond.fixed == c.fixed, "What is beyond has other blocks.")
        require(
            Decimal(c.beyond.first) == Decimal(b) and bool(c.beyond.boxes),
            "What is beyond begins elsewhere.",
        )
        require(_goes_on(c, c.beyond, inner), "What is beyond is not on the same curve.")


def _space(c: ThresholdEnclosure, size: Any) -> Space:
    return Space(size - sum(c.fixed), tuple(range(1 + len(c.fixed))))


def _newton(c: ThresholdEnclosure, size: arb, box: list[arb]) -> list[arb] | None:
    """An interval Newton step, if it maps the box into its interior."""
    middle = [arb(x.mid()) for x in box]
    slopes = _Slopes(c, size, middle).values
    change = _solution(_hessian(c, size, box), slopes)
    image = [m - x for m, x in zip(middle, change, strict=True)]
    inside = all(x.contains_interior(y) for x, y in zip(box, image, strict=True))
    return image if inside else None


class _Slopes:
    """The gradient of the loss at a fixed point, and its derivative in k."""

    def __init__(self, c: ThresholdEnclosure, size: arb, point: Sequence[arb]):
        space = _space(c, _series(size, 1))
        require(len(point) == len(space.orbits), "It has another number of weights than orbits.")
        found = Loss(space, [_series(x) for x in point]).slopes()
        pairs = [(_plain(x)[0], _plain(x)[1]) for x in found]
        self.values, self.drift = ([pair[n] for pair in pairs] for n in (0, 1))


def _hessian(c: ThresholdEnclosure, size: arb, point: Sequence[arb]) -> list[list[arb]]:
    space = _space(c, _series(size))
    require(len(point) == len(space.orbits), "It has another number of weights than orbits.")
    rows, _ = Loss(space, [_series(x) for x in point]).matrices(space.units)
    return [[_plain(x)[0] for x in row] for row in rows]


def _pivots(c: ThresholdEnclosure, size: arb, point: list[arb]) -> list[tuple[str, list[_Series]]]:
    """Of L D Lᵀ of each component along the curve, up to positive factors that depend on k."""
    drift = _Slopes(c, size, point).drift
    speed = _solution(_hessian(c, size, point), drift)
    moving = [_series(x, -v) for x, v in zip(point, speed, strict=True)]
    found = []
    for name, fine, patterns in isotypic(_space(c, _series(size, 1))):
        rows, _ = Loss(fine, moving).matrices(patterns)
        rest = [[_Series(_plain(x)) for x in row] for row in rows]
        pivots = []
        for i, row in enumerate(rest):
            pivots.append(row[i])
            for other in rest[i + 1 :]:
                factor = other[i] / row[i]
                for j in range(i + 1, len(rest)):
                    other[j] = other[j] - factor * row[j]
        found.append((name, pivots))
    return found


def _solution(matrix: list[list[arb]], right: Sequence[arb]) -> list[arb]:
    """The solutions of all systems in balls."""
    found = flint.arb_mat(matrix).solve(flint.arb_mat([[x] for x in right]))
    return [row[0] for row in found.tolist()]


def _goes_on(c: ThresholdEnclosure, beyond: IntervalCertificate, inner: list[arb]) -> bool:
    """Whether the point where the threshold's curve ends lies where the other's is unique."""
    size, point = arb(c.monotone[1]), inner
    for _ in range(8):
        better = _newton(c, size, point)
        if better is None:
            break
        point = better
    box, exact = beyond.boxes[0], Fraction(c.monotone[1])
    if not Fraction(box.lower) ** 2 * exact <= 1 <= Fraction(box.upper) ** 2 * exact:
        return False
    low, high = arb(box.lower), arb(box.upper)
    t = (1 / size.sqrt() - (low + high) / 2) / ((high - low) / 2)
    for x, coefficients, radius in zip(point, box.predictor, box.radius, strict=True):
        middle = sum((arb(a) * t**n for n, a in enumerate(coefficients)), arb(0))
        if not abs(x - middle) < arb(radius):
            return False
    return True
