r"""Thresholds as certificates: where a family of critical points becomes a minimum.

The Hessian is positive but for one eigenvalue of one isotypic component (standard for type II,
exterior for A and I), whose sign is that of the last pivot p of L D Lᵀ. That p(a) < 0 < p(b) takes
balls at two sizes. That there is one zero between takes dp/dk > 0 on a whole interval around: with
*jets* (value, derivative in k) for numbers, and a narrow ball for k, the same formulas give it.
"""

import dataclasses
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

import flint
import numpy as np
from flint import arb

import shallows
from shallows.certify._balls import Enclosed, between, enclosure
from shallows.certify.certificate import MOST_BITS
from shallows.certify.document import opened, pair, sealed, well_formed, whole
from shallows.certify.interval import IntervalCertificate, Start, certify_interval
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.symmetry import Balls, Blocks, ReducedLoss, Representation, components

_BITS = 256


class Jet(Enclosed):
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

    @property
    def range(self) -> arb:
        """See `Enclosed`: the value."""
        return self.value


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


@dataclasses.dataclass(frozen=True, repr=False)
class ThresholdEnclosure(AbstractStated):
    """Where a family becomes a minimum as k grows: a statement that can be checked again.

    The student has blocks of sizes k − Σ `fixed`, and those in `fixed`. Numbers are decimal
    strings.
    """

    verdict: Verdict
    statement: str
    bits: int
    fixed: tuple[int, ...]
    component: str
    """The isotypic component of which an eigenvalue changes its sign."""
    lower: str
    upper: str
    """Between these decimal numbers lies the threshold, the only one between the next two."""
    monotone: tuple[str, str]
    weights: tuple[tuple[str, str], ...]
    """For each orbit of entries an interval: for each size in `monotone` there is exactly one
    critical point in this box."""
    beyond: IntervalCertificate | None
    """That it is a minimum from `monotone[1]` on, if that was asked for."""
    version: str = shallows.__version__
    schema: ClassVar[str] = "shallows-threshold/1"

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {
            "schema": self.schema,
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "verdict": self.verdict.value,
            "beyond": None if self.beyond is None else self.beyond.as_json(),
        }
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "ThresholdEnclosure":
        """The certificate in a document.

        **Raises.** `ValueError`: not a certificate, of another schema, altered, or malformed.
        """
        body = opened(document, cls.schema)
        with well_formed():
            whole("bits", body["bits"], 53, MOST_BITS)
            made = cls(
                **{
                    **body,
                    "verdict": Verdict(body["verdict"]),
                    "fixed": tuple(int(n) for n in body["fixed"]),
                    "monotone": pair(body["monotone"]),
                    "weights": tuple(pair(w) for w in body["weights"]),
                    "beyond": None
                    if body["beyond"] is None
                    else IntervalCertificate.from_json(body["beyond"]),
                }
            )
            pair([made.lower, made.upper])
        return made


def threshold_words(certificate: ThresholdEnclosure) -> str:
    """The statement, from the data."""
    c = certificate
    a, b = c.monotone
    rest = f"S_(k−{sum(c.fixed)})" if c.fixed else "S_k"
    group = "×".join([rest, *(f"S_{n}" for n in c.fixed)])
    said = [
        f"Let k students and k orthonormal teachers have outer weights 1 and k standard Gaussian "
        f"inputs. For every real k in [{a}, {b}] there is exactly one critical point of the "
        f"loss ½ E (f_student − f_teacher)² with weights in the given intervals among the students "
        f"fixed by Δ({group}), and these points form one continuous curve.",
        f"All isotypic components of the Hessian are positive definite but for "
        f"one eigenvalue of the {c.component} component, which is negative below and positive "
        f"above one size between {c.lower} and {c.upper}.",
    ]
    if c.beyond is not None:
        said.append(f"The same curve goes on from k = {b}. {c.beyond.statement}")
    return " ".join(said)


def certify_threshold(
    start: Start,
    near: float,
    *,
    fixed: Sequence[int] = (1,),
    component: Representation = Representation.standard,
    reach: str = "3E-8",
    until: str | None = None,
) -> ThresholdEnclosure:
    """Prove that a family with blocks k − Σ `fixed` and `fixed` becomes a minimum next to `near`.

    Proved: on [near − `reach`, near + `reach`] the points of the family form a continuous curve,
    all of the Hessian is positive but for one eigenvalue of `component`, and that changes its sign
    exactly once, from minus to plus, in the enclosure, which is 1e-14 wide. With `until` also that
    the curve goes on up to that size, as one of minima.

    **Raises.** `ValueError` for `until` below. **Cost.** A second, and `certify_interval`.
    """
    middle = Decimal(near)
    a, b = (str(round(middle + s * Decimal(reach), 12)) for s in (-1, 1))
    low, high = (str(round(middle + s * Decimal("5E-15"), 16)) for s in (-1, 1))
    family = _Family(tuple(fixed), component, Jets(_BITS))
    made = ThresholdEnclosure(
        Verdict.UNDECIDED,
        f"Nothing was proved about a threshold near k = {near!r}.",
        _BITS,
        tuple(fixed),
        component.value,
        low,
        high,
        (a, b),
        (),
        None,
    )
    with family.numbers.precision():
        first = family.curve(a, b, start(near))
        if first is None or not family.crosses(first, low, high):
            return made
    made = dataclasses.replace(made, verdict=Verdict.PROVED, weights=first.weights)
    if until is not None:
        beyond = certify_interval(start, b, until, fixed=fixed, width=1e-5, narrowest=1e-7)
        if beyond.verdict is not Verdict.PROVED:
            return dataclasses.replace(made, verdict=beyond.verdict, statement=beyond.statement)
        made = dataclasses.replace(made, beyond=beyond)
    return dataclasses.replace(made, statement=threshold_words(made))


@dataclasses.dataclass(frozen=True)
class _Curve:
    """One critical point for each size in a ball."""

    neurons: arb
    weights: tuple[tuple[str, str], ...]
    """The box: for each size there is no other critical point in it."""
    inner: np.ndarray
    """Where they are."""


@dataclasses.dataclass(frozen=True)
class _Family:
    fixed: tuple[int, ...]
    component: Representation
    numbers: Jets

    def problem(self, neurons: Any) -> ReducedLoss:
        """At this size."""
        single = (False, *(n == 1 for n in self.fixed))
        return ReducedLoss(Blocks((neurons - sum(self.fixed), *self.fixed), is_single=single))

    def curve(self, low: str, high: str, start: Any) -> _Curve | None:
        """The points for all sizes between these, if Newton's method proves that they exist."""
        balls, neurons = Balls(self.numbers.bits), between(low, high)
        loss, middle = self.problem(neurons), self.problem(neurons.mid())
        point = balls.numbers([_ball(x) for x in start])
        for _ in range(6):
            step = balls.solution(middle.hessian(point, balls), middle.gradient(point, balls))
            if step is None:
                return None
            point = balls.numbers([(x - s).mid() for x, s in zip(point, step, strict=True)])
        slope = loss.gradient(point, balls)
        reach = _solved(loss.hessian(point, balls), slope)
        if reach is None or not all(x.is_finite() for x in reach):
            return None
        around = [arb(0, (4 * x.abs_upper() + arb(2) ** -200).mid()) for x in reach]
        weights = tuple(enclosure(x + r) for x, r in zip(point, around, strict=True))
        tube = balls.numbers([between(*pair) for pair in weights])
        inner = self.newton(loss, tube)
        if inner is None:
            return None
        return _Curve(neurons, weights, inner)

    def newton(self, loss: ReducedLoss, tube: np.ndarray) -> np.ndarray | None:
        """An interval Newton step, if it maps the box into its interior."""
        balls = Balls(self.numbers.bits)
        middle = balls.numbers([x.mid() for x in tube])
        change = _solved(loss.hessian(tube, balls), loss.gradient(middle, balls))
        if change is None:
            return None
        image = np.array([m - c for m, c in zip(middle, change, strict=True)], dtype=object)
        is_inside = all(x.contains_interior(y) for x, y in zip(tube, image, strict=True))
        return image if is_inside else None

    def at(self, curve: _Curve, neurons: arb) -> np.ndarray:
        """A better enclosure of the point of the curve at one of its sizes."""
        inner, loss = curve.inner, self.problem(neurons)
        for _ in range(8):
            better = self.newton(loss, inner)
            if better is None:
                break
            inner = better
        return inner

    def pivots(self, neurons: arb, inner: np.ndarray) -> list[Jet] | None:
        """All pivots of the components along the curve; that which changes its sign is the last."""
        balls, table = Balls(self.numbers.bits), self.problem(neurons)
        # How the point moves: J z' = −∂g/∂k.
        moving = self.problem(Jet(neurons, 1))
        still = np.array([Jet(x) for x in inner], dtype=object)
        drift = [x.slope for x in moving.gradient(still, self.numbers)]
        speed = _solved(table.hessian(inner, balls), drift)
        if speed is None:
            return None
        jets = np.array([Jet(x, -v) for x, v in zip(inner, speed, strict=True)], dtype=object)
        found: list[Jet] = []
        for part in sorted(
            components(moving, jets, self.numbers),
            key=lambda c: c.representation is self.component,
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

    def crosses(self, curve: _Curve, low: str, high: str) -> bool:
        """Whether the last pivot, and no other one, changes its sign once, between these sizes."""
        ends = [arb(low), arb(high)]
        found = [self.pivots(curve.neurons, curve.inner)]
        found += [self.pivots(k, self.at(curve, k)) for k in ends]
        known = [pivots for pivots in found if pivots is not None]
        if len(known) < 3 or not all(p > 0 for pivots in known for p in pivots[:-1]):
            return False
        between_them, below, above = (pivots[-1] for pivots in known)
        return bool(between_them.slope > 0 and below < 0 and above > 0)


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
