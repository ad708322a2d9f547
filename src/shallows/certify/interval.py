r"""Certificates for all real sizes in an interval: a curve of critical points, and what it is.

With $\varepsilon = k^{-1/2}$ the weights of a family are analytic functions of ε. The interval is
divided into boxes of ε, and on each the weights are close to a polynomial in t ∈ [−1, 1], the
*predictor*. Newton's method in Taylor models then proves, for all t at once, that there is exactly
one critical point within a radius of the predictor, and what its loss and its Hessian are.
"""

import dataclasses
import decimal
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from flint import arb

import shallows
from shallows.certify._balls import enclosure, negative_eigenvalues
from shallows.certify._models import Model, Models
from shallows.certify.certificate import MOST_BITS
from shallows.certify.document import opened, pair, sealed, texts, well_formed, whole
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.symmetry import Blocks, ReducedLoss, components
from shallows.symmetry.arithmetic import Numbers

MOST_DEGREE = 200

_HYPOTHESES = (
    "inputs are standard Gaussian and teachers are orthonormal; all outer weights are 1 and fixed",
    "ball arithmetic (arb) is correct",
    "where k is not whole, the loss is the formula for block-symmetric students, and the "
    "Hessian eigenvalues are those of its isotypic components, whose entries are analytic in k",
)
_METHOD = (
    "Interval Newton method for the gradient of the reduced loss in Taylor models of ε = k^(−1/2), "
    "with adaptive boxes of ε; symmetric criticality; L D Lᵀ of the isotypic components of the "
    "Hessian in Taylor models, and Sylvester's law of inertia."
)


@dataclasses.dataclass(frozen=True)
class Box:
    """What is proved for all ε between two numbers.

    With ε = (upper + lower)/2 + t (upper − lower)/2 the weight on orbit i is within `radius[i]` of
    Σₙ `predictor[i][n]` tⁿ.
    """

    lower: str
    upper: str
    predictor: tuple[tuple[str, ...], ...]
    radius: tuple[str, ...]
    loss: tuple[str, str]
    smallest_eigenvalue: tuple[str, str]

    @property
    def neurons(self) -> tuple[float, float]:
        """The sizes, from below, in floats."""
        return float(self.upper) ** -2, float(self.lower) ** -2

    def weights(self, neurons: int | float) -> tuple[tuple[float, float], ...]:
        """Enclosures of the weights at one size in the box, up to rounding in floats."""
        low, high = Decimal(self.lower), Decimal(self.upper)
        t = float((1 / Decimal(neurons).sqrt() - (low + high) / 2) / ((high - low) / 2))
        found = []
        for coefficients, radius in zip(self.predictor, self.radius, strict=True):
            middle = float(np.polynomial.polynomial.polyval(t, [float(c) for c in coefficients]))
            reach = float(radius) + 1e-15 * abs(middle)
            found.append((middle - reach, middle + reach))
        return tuple(found)


@dataclasses.dataclass(frozen=True, repr=False)
class IntervalCertificate(AbstractStated):
    """A statement about one critical point for each real size in an interval.

    The student has blocks of sizes k − Σ `fixed`, and those in `fixed`; factor i moves row
    block i and column block i. Numbers are decimal strings; enclosures are rounded outward.
    """

    verdict: Verdict
    statement: str
    hypotheses: tuple[str, ...]
    method: str
    bits: int
    degree: int
    first: str
    last: str
    fixed: tuple[int, ...]
    boxes: tuple[Box, ...]
    """By decreasing ε; together they cover the interval."""
    loss: tuple[str, str]
    smallest_eigenvalue: tuple[str, str]
    version: str = shallows.__version__
    schema: ClassVar[str] = "shallows-interval/1"

    def at(self, neurons: int | float) -> Box:
        """A box that this size is in.

        **Raises.** `ValueError` for a size outside the interval.
        """
        for box in self.boxes:
            if (
                Fraction(box.lower) ** 2 * Fraction(neurons)
                <= 1
                <= (Fraction(box.upper) ** 2 * Fraction(neurons))
            ):
                return box
        raise ValueError(
            f"The certificate is for sizes from {self.first} to {self.last}, and {neurons} is not "
            f"among them. Choose one of these."
        )

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {"schema": self.schema, **dataclasses.asdict(self), "verdict": self.verdict.value}
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "IntervalCertificate":
        """The certificate in a document.

        **Raises.** `ValueError`: not a certificate, of another schema, altered, or malformed.
        """
        body = opened(document, cls.schema)
        with well_formed():
            for name, most in (("bits", MOST_BITS), ("degree", MOST_DEGREE)):
                whole(name, body[name], 1, most)
            return cls(
                **{
                    **body,
                    "verdict": Verdict(body["verdict"]),
                    "hypotheses": tuple(body["hypotheses"]),
                    "fixed": tuple(int(n) for n in body["fixed"]),
                    "loss": pair(body["loss"]),
                    "smallest_eigenvalue": pair(body["smallest_eigenvalue"]),
                    "boxes": tuple(
                        Box(
                            *pair([b["lower"], b["upper"]]),
                            tuple(texts(p) for p in b["predictor"]),
                            texts(b["radius"]),
                            pair(b["loss"]),
                            pair(b["smallest_eigenvalue"]),
                        )
                        for b in body["boxes"]
                    ),
                }
            )


def interval_words(certificate: IntervalCertificate) -> str:
    """The statement, from the data."""
    c = certificate
    rest = "k" if not c.fixed else f"(k−{sum(c.fixed)})"
    group = "×".join([f"S_{rest}", *(f"S_{n}" for n in c.fixed)])
    said = [
        f"For every real k from {c.first} to {c.last}, with k students and k orthonormal teachers, "
        f"all outer weights 1 and k standard Gaussian inputs, there is exactly one critical point "
        f"of the loss ½ E (f_student − f_teacher)² among the students fixed by Δ({group}) within "
        f"the given distance of the given curve. These points form one continuous curve.",
        f"Their losses lie in [{c.loss[0]}, {c.loss[1]}].",
        f"Their smallest Hessian eigenvalues lie in "
        f"[{c.smallest_eigenvalue[0]}, {c.smallest_eigenvalue[1]}].",
    ]
    if Decimal(c.loss[0]) > 0 and Decimal(c.smallest_eigenvalue[0]) > 0:
        said.append(
            "All isotypic components of the Hessian are positive definite and the losses are "
            "positive, so that for every whole k in the range the point is a strict local minimum "
            "and no global one."
        )
    return " ".join(said)


# Weights near the critical point of a real size.
Start = Callable[[float], Numbers]


def certify_interval(
    start: Start,
    first: str,
    last: str,
    *,
    fixed: Sequence[int] = (1,),
    degree: int = 30,
    width: float = 0.25,
    narrowest: float = 1e-4,
    step: Callable[[float], None] = lambda share: None,
) -> IntervalCertificate:
    """Prove that for all real sizes there are critical points next to `start`, and what they are.

    `first` and `last` are decimal strings. What is claimed is existence, uniqueness, the loss, and
    a positive definite Hessian, on boxes of relative widths from `width` on; where one is narrower
    than `narrowest` and nothing is proved, the verdict is `UNDECIDED`, and nothing is claimed.
    `step` is told the share that is done.

    **Raises.** `ValueError` for an empty interval, and for blocks other than k − Σ `fixed` with
    fixed ones of size 1. **Cost.** Some seconds for each box; three boxes for a factor of ten in k.
    """
    low, high = Decimal(first), Decimal(last)
    if not (sum(fixed) + 3 < low <= high < Decimal("1e13")):
        raise ValueError(
            f"[{first}, {last}] is no interval of sizes above {sum(fixed) + 3} and below 10¹³. "
            f"Use e.g. '6' and '10000'."
        )
    if any(n != 1 for n in fixed):
        raise ValueError(
            f"Only blocks of one neuron can be fixed so far, but `fixed` is {tuple(fixed)}. "
            f"Use () or (1,)."
        )
    bits = 192 + math.ceil(8 * math.log2(high))
    boxes: list[Box] = []
    upper, end = _root(low, decimal.ROUND_CEILING), _root(high, decimal.ROUND_FLOOR)
    whole = Decimal(upper) / Decimal(end)
    before: _Curve | None = None
    verdict = Verdict.PROVED
    while Decimal(upper) > Decimal(end):
        lower = str(max(Decimal(end), _short(Decimal(upper) * Decimal(1 - width))))
        found = _box(start, lower, upper, tuple(fixed), bits, degree, before)
        if found is None:
            width /= 1.6
            if width < narrowest:
                verdict = Verdict.UNDECIDED
                break
            continue
        box, before = found
        boxes.append(box)
        step(math.log(float(Decimal(boxes[0].upper) / Decimal(lower))) / math.log(float(whole)))
        upper, width = lower, width * (1.25 if width > 0.05 else 2)
    if verdict is Verdict.UNDECIDED:
        boxes = []
    made = IntervalCertificate(
        verdict=verdict,
        statement=f"Nothing was proved: there was no success near k = {float(upper) ** -2:.10g}.",
        hypotheses=_HYPOTHESES,
        method=_METHOD,
        bits=bits,
        degree=degree,
        first=str(low),
        last=str(high),
        fixed=tuple(fixed),
        boxes=tuple(boxes),
        loss=_hull([b.loss for b in boxes]) if boxes else ("0", "Infinity"),
        smallest_eigenvalue=(
            _hull([b.smallest_eigenvalue for b in boxes]) if boxes else ("-Infinity", "Infinity")
        ),
    )
    if not boxes:
        return made
    return dataclasses.replace(made, statement=interval_words(made))


def _hull(pairs: Sequence[tuple[str, str]]) -> tuple[str, str]:
    return min((p[0] for p in pairs), key=Decimal), max((p[1] for p in pairs), key=Decimal)


def _root(size: Decimal, rounding: str) -> str:
    """size^(−1/2), rounded; checked, as decimals round roots to nearest only."""
    found = Decimal(1) / size.sqrt()
    up = rounding == decimal.ROUND_CEILING
    found = decimal.Context(prec=12, rounding=rounding).plus(
        found * Decimal(1 + (1e-14 if up else -1e-14))
    )
    exact = Fraction(found) ** 2 * Fraction(size)
    assert exact >= 1 if up else exact <= 1
    return str(found)


def _short(x: Decimal) -> Decimal:
    return decimal.Context(prec=6).plus(x)


@dataclasses.dataclass(frozen=True)
class _Curve:
    """Proved enclosures of the weights on a box: the critical points are in `inner`."""

    tube: np.ndarray
    """Within the radius of the predictor: there is no other critical point."""
    inner: np.ndarray


def _box(start, lower, upper, fixed, bits, degree, before: _Curve | None):
    """What can be proved between two ε, or None."""
    try:
        return _proved(start, lower, upper, fixed, bits, degree, before)
    except (ArithmeticError, ValueError):  # a division by what may be 0
        return None


def _proved(start, lower, upper, fixed, bits, degree, before):
    numbers = Models(bits, degree)
    middle = float((Decimal(lower) + Decimal(upper)) / 2)
    series = _predictor(start(middle**-2), lower, upper, fixed, bits, degree)
    with numbers.precision():
        loss = _problem(lower, upper, fixed, numbers)
        exact = [numbers.polynomial([c.mid() for c in p]) for p in series]
        point = np.array(exact, dtype=object)
        change = numbers.solution(loss.hessian(point, numbers), loss.gradient(point, numbers))
        if change is None:
            return None
        # Much wider than the error, so that the next box's curve is inside as well.
        radius = []
        for c, p in zip(change, series, strict=True):
            wide = 256 * c.range.abs_upper() + abs(p[0]) * arb(2) ** (-bits // 2)
            if not wide < 1e-3:
                return None
            radius.append(enclosure(wide, 3)[1])
        predictor = tuple(
            tuple(_written(c, Decimal(r)) for c in p) for p, r in zip(series, radius, strict=True)
        )
        middles = np.array([numbers.polynomial(p) for p in predictor], dtype=object)
        around = [arb(0, arb(r).abs_upper()) for r in radius]
        tube = np.array([m + a for m, a in zip(middles, around, strict=True)], dtype=object)
        change = numbers.solution(loss.hessian(tube, numbers), loss.gradient(middles, numbers))
        if change is None or not all(
            a.contains_interior(-c.range) for a, c in zip(around, change, strict=True)
        ):
            return None
        inner = np.array([m - c.range for m, c in zip(middles, change, strict=True)], dtype=object)
        if before is not None and not _is_continued(before, tube, inner):
            return None
        # Wider than is known, and with fewer digits: others have other bounds for what is cut off.
        made = loss.value(inner, numbers)
        doubt = sum((c.rad() for c in made.polynomial.coeffs()), start=arb(0))
        value = enclosure(made.range + arb(0, (16 * doubt).abs_upper()), 9)
        matrices = [part.matrix for part in components(loss, inner, numbers)]
        least = _smallest(matrices)
        if least is None or not Decimal(value[0]) > 0:
            return None
    return Box(lower, upper, predictor, tuple(radius), value, least), _Curve(tube, inner)


def epsilon(lower: str, upper: str, numbers: Models) -> Model:
    """ε as a function of t."""
    low, high = arb(lower), arb(upper)
    return numbers.polynomial([(high + low) / 2, (high - low) / 2])


def _problem(lower, upper, fixed, numbers: Models) -> ReducedLoss:
    small = epsilon(lower, upper, numbers)
    sizes = (1 / (small * small) - sum(fixed), *fixed)
    return ReducedLoss(Blocks(sizes, is_single=(False, *(n == 1 for n in fixed))))


def _predictor(start, lower, upper, fixed, bits, degree) -> list[list[arb]]:
    """Coefficients of the weights, by Newton's method for power series; no part of a proof."""
    found = [[arb(x.mid() if isinstance(x, arb) else float(x))] for x in start]
    for count in (0, *(2**j - 1 for j in range(1, degree.bit_length())), degree, degree):
        numbers = Models(bits, count, is_bounded=False)
        with numbers.precision():
            loss = _problem(lower, upper, fixed, numbers)
            point = np.array([numbers.polynomial(c) for c in found], dtype=object)
            slope, table = loss.gradient(point, numbers), loss.hessian(point, numbers)
            change = numbers.solution(table, slope)
            if change is None:
                raise ZeroDivisionError("The critical point is degenerate.")
            moved = [(x - y).polynomial for x, y in zip(point, change, strict=True)]
            found = [[p[i].mid() for i in range(count + 1)] for p in moved]
    return found


def _written(number: arb, radius: Decimal) -> str:
    """In decimals, with an error far below the radius."""
    places = radius.adjusted() - 4
    scaled = (number * arb(10) ** -places + arb(1) / 2).floor().unique_fmpz()
    if scaled is None:
        raise ValueError("A coefficient has too few digits.")
    return str(
        Decimal(int(scaled))
        .scaleb(places, decimal.Context(prec=MOST_BITS))
        .normalize(decimal.Context(prec=MOST_BITS))
    )


def _is_continued(before: _Curve, tube: np.ndarray, inner: np.ndarray) -> bool:
    """Whether two boxes have the same critical point where they meet.

    It is so if what is proved of one lies where the other one's is unique.
    """
    ways = [
        (zip(tube, before.inner, strict=True), 1, -1),
        (zip(before.tube, inner, strict=True), -1, 1),
    ]
    return any(
        all(wide(t).contains_interior(narrow(s)) for wide, narrow in pairs) for pairs, t, s in ways
    )


def _smallest(matrices: Sequence[np.ndarray]) -> tuple[str, str] | None:
    """An enclosure of the smallest eigenvalue over the box, positive; None if that failed."""
    ends = [
        [np.linalg.eigvalsh([[float(x(t)) for x in row] for row in m])[0] for t in (-1, 0, 1)]
        for m in matrices
    ]
    middle, highest = min(map(min, ends)), [max(some) for some in ends]
    if not middle > 0:
        return None
    for share in (0.98, 0.9, 0.75, 0.5, 0.25, 0.05):
        low = _rounded(share * middle)
        if all(negative_eigenvalues(shifted(m, low)) == 0 for m in matrices):
            break
    else:
        return None
    ways = [
        (m, top * (1 + slack))
        for slack in (0.02, 0.1, 0.3, 1)
        for m, top in zip(matrices, highest, strict=True)
    ]
    for m, top in sorted(ways, key=lambda way: way[1]):
        high = _rounded(top)
        if has_eigenvalue_below(m, high):
            return low, high
    return None


def _rounded(x: float) -> str:
    return str(decimal.Context(prec=6).create_decimal_from_float(float(x)))


def shifted(matrix: Any, by: str) -> list[list[Any]]:
    """The matrix less a multiple of the identity."""
    return [
        [x - arb(by) if i == j else x for j, x in enumerate(row)] for i, row in enumerate(matrix)
    ]


def has_eigenvalue_below(matrix: Any, bound: str) -> bool:
    """Whether a negative pivot proves it, with any row last."""
    table = shifted(matrix, bound)
    n = len(table)
    for last in range(n):
        order = [*(i for i in range(n) if i != last), last]
        count = negative_eigenvalues([[table[i][j] for j in order] for i in order])
        if count:
            return True
    return False
