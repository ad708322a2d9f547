r"""Thresholds as proved enclosures: where a family of critical points becomes a minimum.

The Hessian of type II is positive but for one eigenvalue of its standard component, whose sign
is that of the last pivot p of L D Lᵀ. That p(a) < 0 < p(b) takes balls at two sizes. That there is
one zero between takes dp/dk > 0 on a whole interval around: with *jets* (value, derivative in k)
for numbers, and a narrow ball for k, the same formulas give it.
"""

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import flint
import numpy as np
from flint import arb

from shallows.certify._balls import between
from shallows.certify.interval import IntervalCertificate, Start, certify_interval
from shallows.certify.verdict import Verdict
from shallows.symmetry import Balls, Blocks, ReducedLoss, Representation, components

_BITS = 256


class Jet:
    """A ball, and one for the derivative in k."""

    __slots__ = ("slope", "value")

    def __init__(self, value: Any, slope: Any = 0):
        self.value, self.slope = arb(value), arb(slope)

    @property
    def is_zero(self) -> bool:
        """Whether it is 0 for all k, for certain."""
        return self.value.is_zero() and self.slope.is_zero()

    def __add__(self, other: Any) -> "Jet":
        x = _jet(other)
        return Jet(self.value + x.value, self.slope + x.slope)

    __radd__ = __add__

    def __neg__(self) -> "Jet":
        return Jet(-self.value, -self.slope)

    def __sub__(self, other: Any) -> "Jet":
        return self + -_jet(other)

    def __rsub__(self, other: Any) -> "Jet":
        return _jet(other) - self

    def __mul__(self, other: Any) -> "Jet":
        x = _jet(other)
        return Jet(self.value * x.value, self.slope * x.value + self.value * x.slope)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Jet":
        x = _jet(other)
        quotient = self.value / x.value
        return Jet(quotient, (self.slope - quotient * x.slope) / x.value)

    def __rtruediv__(self, other: Any) -> "Jet":
        return _jet(other) / self

    def sqrt(self) -> "Jet":
        """The root."""
        if self.is_zero:
            return self
        root = self.value.sqrt()
        return Jet(root, self.slope / (2 * root))

    def angle(self, cosine: "Jet") -> "Jet":
        """That of (cosine, self); the sine is positive, or exactly 0."""
        s, c = self, cosine
        if s.is_zero:
            return Jet(arb.pi() if c < 0 else 0)
        turn = (c.value * s.slope - s.value * c.slope) / (c.value**2 + s.value**2)
        return Jet(arb.atan2(s.value, c.value), turn)

    def __gt__(self, other: Any) -> bool:
        return bool((self - other).value > 0)

    def __lt__(self, other: Any) -> bool:
        return bool((self - other).value < 0)

    def __eq__(self, other: object) -> bool:
        return (self - other).is_zero

    __hash__ = None  # type: ignore[assignment] # equal jets may be known differently well


def _jet(x: Any) -> Jet:
    return x if isinstance(x, Jet) else Jet(int(x) if isinstance(x, np.integer) else x)


class Jets(Balls):
    """Jets, with the precision of balls."""

    def numbers(self, values):
        """See `AbstractArithmetic`."""
        return _each(_jet, np.asarray(values, dtype=object))

    def sqrt(self, x):
        """See `AbstractArithmetic`."""
        return _each(Jet.sqrt, x)

    def angle(self, sine, cosine):
        """See `AbstractArithmetic`."""
        return _each(Jet.angle, sine, cosine)

    def inverse(self, x):
        """See `AbstractArithmetic`."""
        return _each(lambda y: y if y.is_zero else 1 / y, x)


def _each(function, *arrays):
    return np.frompyfunc(function, len(arrays), 1)(*arrays)


@dataclasses.dataclass(frozen=True)
class ThresholdEnclosure:
    """Where a family becomes a minimum as k grows."""

    verdict: Verdict
    statement: str
    lower: str
    upper: str
    """Between these decimal numbers lies the threshold, the only one between the next two."""
    monotone: tuple[str, str]
    beyond: IntervalCertificate | None
    """That it is a minimum from `monotone[1]` on, if that was asked for."""


def certify_threshold(
    start: Start, near: float, *, reach: str = "3E-8", until: str | None = None
) -> ThresholdEnclosure:
    """Prove that a family with isotropy Δ(S_(k−1) × S_1) becomes a minimum next to `near`.

    Proved: on [near − `reach`, near + `reach`] the points of the family form a continuous curve,
    all of the Hessian is positive but for one eigenvalue of the standard component, and that
    changes its sign exactly once, from minus to plus, in the enclosure, which is 1e-14 wide.

    **Raises.** `ValueError` for `until` below. **Cost.** A second, and `certify_interval`.
    """
    middle = Decimal(near)
    a, b = (str(round(middle + s * Decimal(reach), 12)) for s in (-1, 1))
    low, high = (str(round(middle + s * Decimal("5E-15"), 16)) for s in (-1, 1))
    numbers = Jets(_BITS)
    with numbers.precision():
        around = _pivots(start, between(a, b), numbers)
        ends = [_pivots(start, arb(text), numbers) for text in (low, high)]
        found = [pivots for pivots in (around, *ends) if pivots is not None]
        is_proved = False
        if len(found) == 3 and all(p > 0 for pivots in found for p in pivots[:-1]):
            between_them, below, above = (pivots[-1] for pivots in found)
            is_proved = bool(between_them.slope > 0 and below < 0 and above > 0)
    if not is_proved:
        words = f"Nothing was proved about a threshold near k = {near!r}."
        return ThresholdEnclosure(Verdict.UNDECIDED, words, low, high, (a, b), None)
    words = (
        f"For real k in [{a}, {b}] there is a continuous curve of critical points fixed by "
        f"Δ(S_(k−1)×S_1). All isotypic components of the Hessian are positive definite but for one "
        f"eigenvalue of the standard component, which is negative below and positive above one "
        f"size between {low} and {high}."
    )
    beyond = None
    verdict = Verdict.PROVED
    if until is not None:
        beyond = certify_interval(start, b, until, width=1e-5, narrowest=1e-7)
        verdict = beyond.verdict
        words += f" {beyond.statement}"
    return ThresholdEnclosure(verdict, words, low, high, (a, b), beyond)


def _pivots(start: Start, neurons: arb, numbers: Jets) -> list[Jet] | None:
    """All pivots of the components, the standard one's last; None if no point was proved.

    They are functions of all sizes in a ball, with derivatives along the curve of points.
    """
    loss = _problem(neurons)
    balls = Balls(numbers.bits)
    middle = _problem(neurons.mid())
    point = balls.numbers([_ball(x) for x in start(float(neurons.mid()))])
    for _ in range(6):
        step = balls.solution(middle.hessian(point, balls), middle.gradient(point, balls))
        if step is None:
            return None
        point = balls.numbers([(x - s).mid() for x, s in zip(point, step, strict=True)])
    slope = loss.gradient(point, balls)
    reach = _solved(loss.hessian(point, balls), slope)
    if reach is None:
        return None
    around = [arb(0, (4 * x.abs_upper() + arb(2) ** -200).mid()) for x in reach]
    tube = np.array([x + r for x, r in zip(point, around, strict=True)], dtype=object)
    table = loss.hessian(tube, balls)
    change = _solved(table, slope)
    if change is None or not all(
        r.contains_interior(-x) for r, x in zip(around, change, strict=True)
    ):
        return None
    inner = [x - c for x, c in zip(point, change, strict=True)]
    # How the point moves: J z' = −∂g/∂k.
    moving = _problem(Jet(neurons, 1))
    drift = [x.slope for x in moving.gradient(np.array([Jet(x) for x in inner]), numbers)]
    speed = _solved(table, np.array(drift, dtype=object))
    if speed is None:
        return None
    jets = np.array([Jet(x, -v) for x, v in zip(inner, speed, strict=True)], dtype=object)
    found: list[Jet] = []
    for part in sorted(
        components(moving, jets, numbers),
        key=lambda c: c.representation is Representation.standard,
    ):
        rest = [list(row) for row in part.matrix]
        for i in range(len(rest)):
            pivot = rest[i][i]
            found.append(pivot)
            for row in range(i + 1, len(rest)):
                factor = rest[row][i] / pivot
                for column in range(i + 1, len(rest)):
                    rest[row][column] = rest[row][column] - factor * rest[i][column]
    return found


def _problem(neurons: Any) -> ReducedLoss:
    return ReducedLoss(Blocks((neurons - 1, 1), is_single=(False, True)))


def _ball(x: Any) -> arb:
    return arb(x.mid()) if isinstance(x, arb) else arb(float(x))


def _solved(matrix: np.ndarray, vector: Sequence[Any] | np.ndarray) -> list[arb] | None:
    """The solutions of all systems in balls."""
    try:
        found = flint.arb_mat([list(row) for row in matrix]).solve(
            flint.arb_mat([[x] for x in vector])
        )
    except ZeroDivisionError:
        return None
    return [row[0] for row in found.tolist()]
