r"""Certificates for all real sizes from one on: a curve of critical points that has no end.

With $\varepsilon = k^{-1/2}$ the sizes above some number are ε in (0, ε₀]. There the weights are
enclosed by a Laurent polynomial in ε whose first coefficients are exact, in Q(π), and a tail of
decimals. In expansions (`_expansions`) the terms of the equations that grow as ε → 0 cancel
identically; what remains has bounds on all of (0, ε₀], and Newton's method contracts there, for
all ε at once. Up to that number the curve is that of an `IntervalCertificate`, and goes on.
"""

import dataclasses
import decimal
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from flint import arb

import shallows
from shallows.certify._balls import enclosure, negative_eigenvalues
from shallows.certify._coefficients import decimals, exact_coefficients, metric
from shallows.certify._constants import Constant
from shallows.certify._expansions import Expansion, Expansions, Scale
from shallows.certify.certificate import MOST_BITS
from shallows.certify.document import opened, pair, sealed, texts, well_formed, whole
from shallows.certify.interval import Box, IntervalCertificate, Start, certify_interval
from shallows.certify.verdict import AbstractStated, Verdict
from shallows.symmetry import Blocks, ReducedLoss
from shallows.symmetry.arithmetic import AbstractArithmetic, Number
from shallows.symmetry.spectrum import Form, forms

MOST_TERMS = 200

_METHOD = (
    "Up to some size the method of the part that is called `interval`. From there on interval "
    "Newton method for the gradient of the reduced loss in expansions in ε = k^(−1/2) with exact "
    "coefficients in Q(π), where zeros are certain as π is transcendental, and with balls for "
    "what follows, on all of (0, ε₀] at once; symmetric criticality; L D Lᵀ of the isotypic "
    "components of the Hessian in expansions, and Sylvester's law of inertia."
)

# The curve in powers of ε relative to the metric: exact terms, and those before the unknown part.
_EXACT, _FREE = 7, 4
_RADIUS = "1e-6"
_BITS = 300


@dataclasses.dataclass(frozen=True)
class Weight:
    """One weight for all ε in (0, ε₀]: within radius · ε^`power` of a Laurent polynomial in ε.

    That has the `exact` coefficients, and those in `decimals` from the power `order` on.
    """

    exact: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...]
    """The power of ε; the coefficients of two polynomials in π, from π⁰ on; their quotient."""
    order: int
    decimals: tuple[str, ...]
    power: int
    radius: str


@dataclasses.dataclass(frozen=True)
class Tail:
    """What is proved for all ε in (0, `upper`]."""

    upper: str
    bits: int
    exact: int
    """The most exact terms of a number in the check."""
    terms: int
    """The most terms of a number in the check."""
    weights: tuple[Weight, ...]
    loss_power: int
    """0, or 1 where the loss falls like 1/k."""
    scaled_loss: tuple[str, str]
    """Of k to this power times the loss."""
    limit: tuple[tuple[str, ...], tuple[str, ...]]
    """Of the same as k → ∞: two polynomials in π, as in `Weight`."""
    smallest_eigenvalue: tuple[str, str]

    def at(self, neurons: int | float) -> tuple[tuple[float, float], ...]:
        """Enclosures of the weights at one size, up to rounding in floats."""
        e = float(neurons) ** -0.5
        found = []
        for w in self.weights:
            middle = sum(float(Constant.read(c).ball) * e**p for p, *c in w.exact)
            middle += sum(float(c) * e ** (w.order + i) for i, c in enumerate(w.decimals))
            reach = float(w.radius) * e**w.power + 1e-14 * abs(middle)
            found.append((middle - reach, middle + reach))
        return tuple(found)


@dataclasses.dataclass(frozen=True, repr=False)
class InfinityCertificate(AbstractStated):
    """A statement about one critical point for each real size from `first` on.

    Without a `tail` only what `interval` says was proved, and the verdict is `UNDECIDED`.
    """

    verdict: Verdict
    statement: str
    hypotheses: tuple[str, ...]
    method: str
    first: str
    fixed: tuple[int, ...]
    interval: IntervalCertificate
    tail: Tail | None
    version: str = shallows.__version__
    schema: ClassVar[str] = "shallows-infinity/1"

    @property
    def loss(self) -> tuple[str, str]:
        """Between these are all losses; where the lower one is 0, it is their limit."""
        assert self.tail is not None
        low, high = (Fraction(text) for text in self.tail.scaled_loss)
        if self.tail.loss_power:
            # In the tail k is at least 1/ε₀², and that is not below the interval's end.
            low, high = Fraction(0), high / Fraction(self.interval.last)
        first, last = self.interval.loss
        return (
            first if Fraction(first) <= low else _rounded(low, decimal.ROUND_FLOOR),
            last if Fraction(last) >= high else _rounded(high, decimal.ROUND_CEILING),
        )

    @property
    def smallest_eigenvalue(self) -> tuple[str, str]:
        """Between these are the smallest eigenvalues at all sizes."""
        assert self.tail is not None
        pairs = self.interval.smallest_eigenvalue, self.tail.smallest_eigenvalue
        return min((p[0] for p in pairs), key=Decimal), max((p[1] for p in pairs), key=Decimal)

    def as_json(self) -> dict[str, Any]:
        """The document, with a digest of its contents."""
        body = {
            "schema": self.schema,
            "version": self.version,
            "verdict": self.verdict.value,
            "statement": self.statement,
            "hypotheses": self.hypotheses,
            "method": self.method,
            "first": self.first,
            "fixed": self.fixed,
            "interval": self.interval.as_json(),
            "tail": None if self.tail is None else dataclasses.asdict(self.tail),
        }
        return sealed(body)

    @classmethod
    def from_json(cls, document: Any) -> "InfinityCertificate":
        """The certificate in a document.

        **Raises.** `ValueError`: not a certificate, of another schema, altered, or malformed.
        """
        body = opened(document, cls.schema)
        with well_formed():
            tail = body["tail"]
            return cls(
                **{
                    **body,
                    "verdict": Verdict(body["verdict"]),
                    "hypotheses": tuple(body["hypotheses"]),
                    "fixed": tuple(int(n) for n in body["fixed"]),
                    "interval": IntervalCertificate.from_json(body["interval"]),
                    "tail": None if tail is None else _tail_from(tail),
                }
            )


def _tail_from(body: dict[str, Any]) -> Tail:
    for name, most in (("bits", MOST_BITS), ("terms", MOST_TERMS), ("exact", body["terms"] - 1)):
        whole(name, body[name], 1, most)
    weights = []
    for w in body["weights"]:
        powers = [w["order"], w["power"], *(p for p, _, _ in w["exact"])]
        if not all(isinstance(p, int) and abs(p) <= MOST_TERMS for p in powers):
            raise TypeError(f"{powers} are no powers of ε")
        exact = tuple((p, texts(n), texts(d)) for p, n, d in w["exact"])
        (radius,) = texts([w["radius"]])
        weights.append(Weight(exact, w["order"], texts(w["decimals"]), w["power"], radius))
    (upper,) = texts([body["upper"]])
    above, below = body["limit"]
    return Tail(
        upper,
        body["bits"],
        body["exact"],
        body["terms"],
        tuple(weights),
        whole("loss_power", body["loss_power"], 0, 1),
        pair(body["scaled_loss"]),
        (texts(above), texts(below)),
        pair(body["smallest_eigenvalue"]),
    )


def infinity_words(certificate: InfinityCertificate) -> str:
    """The statement, from the data."""
    c, tail = certificate, certificate.tail
    if tail is None and not c.interval.boxes:
        return c.interval.statement
    if tail is None:
        return f"Nothing was proved beyond k = {c.interval.last}. {c.interval.statement}"
    rest = "k" if not c.fixed else f"(k−{sum(c.fixed)})"
    group = "×".join([f"S_{rest}", *(f"S_{n}" for n in c.fixed)])
    low, high = c.smallest_eigenvalue
    said = [
        f"For every real k ≥ {c.first}, with k students and k orthonormal teachers, all outer "
        f"weights 1 and k standard Gaussian inputs, there is exactly one critical point of the "
        f"loss ½ E (f_student − f_teacher)² among the students fixed by Δ({group}) within the "
        f"given distance of the given curve. These points form one continuous curve.",
        f"Their losses are positive and at most {c.loss[1]}. For k^(−1/2) ≤ {tail.upper}, "
        f"{'k times ' if tail.loss_power else ''}the loss lies in [{tail.scaled_loss[0]}, "
        f"{tail.scaled_loss[1]}]; it tends to {_formula(tail.limit)} as k → ∞.",
        f"Their smallest Hessian eigenvalues lie in [{low}, {high}].",
    ]
    if Decimal(low) > 0:
        said.append(
            f"All isotypic components of the Hessian are positive definite, so that every whole "
            f"k ≥ {c.first} has a spurious strict local minimum of isotropy Δ({group}): a strict "
            f"local minimum that is no global one."
        )
    return " ".join(said)


def _formula(limit: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    above, below = (_polynomial(part) for part in limit)
    return f"({above})/({below})"


def _polynomial(coefficients: Sequence[str]) -> str:
    text = ""
    for power, c in reversed(list(enumerate(map(int, coefficients)))):
        if c:
            symbol = {0: "", 1: "π"}.get(power, f"π^{power}")
            size = "" if abs(c) == 1 and symbol else str(abs(c))
            sign = ("− " if c < 0 else "+ ") if text else ("−" if c < 0 else "")
            text += f"{' ' if text else ''}{sign}{size}{symbol}"
    return text or "0"


# Blocks at size k, and the leading terms of the weights as k → ∞.
Family = Callable[[Number, AbstractArithmetic], tuple[Blocks, Sequence[Number]]]


def certify_infinity(
    family: Family,
    start: Start,
    first: str,
    *,
    fixed: Sequence[int] = (1,),
    last: str = "1000",
    degree: int = 30,
    terms: int = 24,
    step: Callable[[float], None] = lambda share: None,
) -> InfinityCertificate:
    """Prove that for all real sizes from one on there are critical points, and what they are.

    `start`, `fixed` and `degree` are as in `certify_interval`, which proves the sizes up to `last`.
    `family(k, numbers)` makes the blocks at size k and the leading terms of the weights. What is
    claimed beyond is existence, uniqueness, the loss times k, a positive definite Hessian, and
    that the curve goes on; where that fails the verdict is `UNDECIDED`, and the statement says
    what is proved. `step` is told the share that is done.

    **Domain.** Weights whose coefficients are rational functions of π, and angles between neurons
    that tend to 0, π/2 or π. **Raises.** As `certify_interval`. **Cost.** 30 s, and that of
    the sizes up to `last`.
    """
    interval = certify_interval(
        start, first, last, fixed=fixed, degree=degree, step=lambda share: step(share / 2)
    )
    tail = None
    if interval.verdict is Verdict.PROVED:
        end = interval.boxes[-1]
        scale = Scale(end.lower, _EXACT + 5, terms)
        try:
            tail = _proved(family, tuple(fixed), end, Expansions(_BITS, scale), step)
        except (ArithmeticError, ValueError):  # a division by what may be 0, or an odd root
            tail = None
    made = InfinityCertificate(
        verdict=Verdict.UNDECIDED if tail is None else Verdict.PROVED,
        statement="",
        hypotheses=interval.hypotheses,
        method=_METHOD,
        first=interval.first,
        fixed=tuple(fixed),
        interval=interval,
        tail=tail,
    )
    return dataclasses.replace(made, statement=infinity_words(made))


def _proved(family: Family, fixed, end: Box, numbers: Expansions, step) -> Tail | None:
    upper, terms = numbers.scale.upper, numbers.scale.terms
    with numbers.precision():
        size = 1 / (numbers.epsilon * numbers.epsilon)
        blocks = Blocks((size - sum(fixed), *fixed), is_single=(False, *(n == 1 for n in fixed)))
        loss = ReducedLoss(blocks)
        _, leading = family(size, numbers)
        heads = exact_coefficients(loss, numbers.numbers(leading), _EXACT, numbers)
        step(0.6)
        powers = metric(loss, numbers)
        tails = decimals(loss, heads, _EXACT, numbers)
        weights = [
            Weight(_written(head), _EXACT + m, tail, _FREE + m, _RADIUS)
            for head, tail, m in zip(heads, tails, powers, strict=True)
        ]
        step(0.8)
        middle = numbers.numbers([polynomial(w, numbers) for w in weights])
        tube = numbers.numbers(
            [m + deviation(w, numbers) for m, w in zip(middle, weights, strict=True)]
        )
        change = numbers.solution(loss.hessian(tube, numbers), loss.gradient(middle, numbers))
        if change is None or not all(
            c.scaled(w.power).abs_upper() < arb(w.radius).abs_lower()
            for c, w in zip(change, weights, strict=True)
        ):
            return None
        inner = middle - change
        if not (is_continued(end, tube, inner) and are_distinct(blocks, tube)):
            return None
        value = loss.value(inner, numbers)
        parts = forms(loss, inner, numbers)
        step(0.95)
        least = _smallest(parts, upper)
        if least is None or not value > 0 or value.low not in (0, 2):
            return None
        scaled = enclosure(value.scaled(value.low), 9)
        limit = value.coefficient(value.low).written()
    return Tail(
        upper,
        numbers.bits,
        numbers.scale.exact,
        terms,
        tuple(weights),
        value.low // 2,
        scaled,
        limit,
        least,
    )


def _rounded(x: Fraction, rounding: str) -> str:
    context = decimal.Context(prec=9, rounding=rounding)
    return str(context.divide(Decimal(x.numerator), Decimal(x.denominator)))


def polynomial(weight: Weight, numbers: Expansions) -> Expansion:
    """The weight without the part that is not known."""
    exact = {power: Constant.read(c) for power, *c in weight.exact}
    if any(power >= weight.order for power in exact) or not exact:
        raise ValueError("A weight's exact coefficients do not end where its decimals begin.")
    return numbers.expansion(exact, weight.order, [arb(text) for text in weight.decimals])


def deviation(weight: Weight, numbers: Expansions) -> Expansion:
    """All that is within the radius of 0."""
    ball = arb(0, arb(weight.radius).abs_upper())
    return numbers.expansion({}, weight.power, [ball])


def is_continued(end: Box, tube: Sequence[Expansion], inner: Sequence[Expansion]) -> bool:
    """Whether an interval and its tail have the same critical point where they meet.

    It is so if what is proved of one lies where the other one's is unique.
    """
    around = [
        # The end of the last box is t = −1.
        sum(((-1) ** n * arb(c) for n, c in enumerate(p)), start=arb(0, arb(r).abs_upper()))
        for p, r in zip(end.predictor, end.radius, strict=True)
    ]
    return all(
        wide(end.lower).contains_interior(x) for wide, x in zip(tube, around, strict=True)
    ) or all(
        x.contains_interior(narrow(end.lower)) for x, narrow in zip(around, inner, strict=True)
    )


def are_distinct(blocks: Blocks, weights: Sequence[Any]) -> bool:
    """Whether each diagonal orbit has a value that no other has.

    Then rows and columns can only be permuted alike, and within their blocks.
    """
    return all(
        a > b or a < b
        for o, a in zip(blocks.orbits, weights, strict=True)
        for b in weights
        if o.is_diagonal and a is not b
    )


def _written(head: dict[int, Constant]) -> tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...]:
    return tuple((power, *c.written()) for power, c in sorted(head.items()))


def _smallest(parts: Sequence[Form], upper: str) -> tuple[str, str] | None:
    """An enclosure of the smallest eigenvalue for all ε, positive; None if that failed."""
    levels = []
    for part in parts:
        at = [_levels(part, Fraction(upper) / n) for n in (1, 8, 1000)]
        levels.append((min(at), max(at)))
    middle = min(low for low, _ in levels)
    if not middle > 0:
        return None
    for share in (0.9999, 0.98, 0.9, 0.75, 0.5, 0.25, 0.05):
        least = f"{share * middle:.6g}"
        if all(negative_eigenvalues(_shifted(part, least)) == 0 for part in parts):
            break
    else:
        return None
    ways = [
        (part, top * (1 + slack))
        for slack in (1e-4, 1e-3, 0.01, 0.1, 0.3, 1)
        for part, (_, top) in zip(parts, levels, strict=True)
    ]
    for part, top in sorted(ways, key=lambda way: way[1]):
        most = f"{top:.6g}"
        if _has_eigenvalue_below(part, most):
            return least, most
    return None


def _levels(part: Form, epsilon: Fraction) -> float:
    """The smallest eigenvalue of a component at one ε, in floats."""
    e = arb(epsilon.numerator) / epsilon.denominator
    lengths = [x(e).sqrt() for x in part.squares]
    table = [
        [float((x(e) / (a * b)).mid()) for x, b in zip(row, lengths, strict=True)]
        for row, a in zip(part.matrix, lengths, strict=True)
    ]
    return float(np.linalg.eigvalsh(table)[0])


def _shifted(part: Form, by: str) -> list[list[Expansion]]:
    return [
        [x - Fraction(by) * part.squares[i] if i == j else x for j, x in enumerate(row)]
        for i, row in enumerate(part.matrix)
    ]


def _has_eigenvalue_below(part: Form, bound: str) -> bool:
    """Whether a negative pivot proves it, with any row last."""
    table = _shifted(part, bound)
    n = len(table)
    for last in range(n):
        order = [*(i for i in range(n) if i != last), last]
        try:
            count = negative_eigenvalues([[table[i][j] for j in order] for i in order])
        except ArithmeticError:
            continue
        if count:
            return True
    return False
