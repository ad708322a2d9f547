r"""Check a certificate for an interval of sizes again.

Nothing here calls what found the curve or made the certificate, except for the arithmetic of
Taylor models (`_models`). The formulas for the overlap and its derivatives are those in
`shallows.certify.verify`, where the theorems behind a check are listed; besides, one needs to know

* the interval Newton method: if all matrices in J contain the Jacobians of g on the box X around
  m, and m − J⁻¹g(m) lies in the interior of X for each of them, then g has exactly one zero in X
  (a model says this for all t at once, and the zeros depend continuously on t);
* that two boxes of ε with a common end continue one curve if, at this end, the zero of one lies
  where the other's is the only one.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from flint import arb

from shallows.certify._balls import between, negative_eigenvalues
from shallows.certify._models import Model, Models
from shallows.certify.interval import Box, IntervalCertificate, interval_words
from shallows.certify.verdict import Verdict
from shallows.certify.verify import Check


class FailedError(Exception):
    """A claim that was not proved again; the text says which."""


def require(truth: bool, otherwise: str) -> None:
    """Go on only if it is true."""
    if not truth:
        raise FailedError(otherwise)


# A model, or a constant.
Value = Any
# The value of a matrix at places of a row and a column; whether these are equal.
Matrix = Callable[[int, int, bool], Value]

# Around each weight where there is one critical point, and a smaller enclosure of it.
_Curve = list[tuple[Model, Model]]


def verify_interval(
    certificate: IntervalCertificate, step: Callable[[], None] = lambda: None
) -> Check:
    """Prove the statement of a certificate again, or say what cannot be proved.

    `step` is called after each box. **Accuracy.** Rigorous. **Cost.** A few seconds for each box.
    """
    numbers = Models(certificate.bits, certificate.degree)
    try:
        with numbers.precision():
            _check(certificate, numbers, step)
    except (FailedError, ArithmeticError, ValueError) as failure:
        return Check(Verdict.UNDECIDED, str(failure))
    return Check(Verdict.PROVED, "")


def _check(c: IntervalCertificate, numbers: Models, step: Callable[[], None]) -> None:
    require(c.verdict is Verdict.PROVED, "It does not claim to be a proof.")
    require(interval_words(c) == c.statement, "Its words do not say what its data say.")
    require(all(n == 1 for n in c.fixed), f"Fixed blocks have one neuron, not {c.fixed}.")
    first, last = exact(c.first), exact(c.last)
    require(sum(c.fixed) + 3 < first <= last and bool(c.boxes), "It has no interval of sizes.")
    ends = [(exact(b.lower), exact(b.upper)) for b in c.boxes]
    require(all(0 < low < high for low, high in ends), "A box of ε is empty.")
    meet = all(a == b for (a, _), (_, b) in itertools.pairwise(ends))
    covered = ends[0][1] ** 2 * first >= 1 and ends[-1][0] ** 2 * last <= 1
    require(meet and covered, "The boxes do not cover the interval.")
    for whole, parts in (
        (c.loss, [b.loss for b in c.boxes]),
        (c.smallest_eigenvalue, [b.smallest_eigenvalue for b in c.boxes]),
    ):
        low, high = (exact(text) for text in whole)
        inside = all(low <= exact(a) and exact(b) <= high for a, b in parts)
        require(inside, "What is said of all sizes does not follow from what is said of boxes.")
    before: _Curve | None = None
    for box in c.boxes:
        before = _one_box(box, c.fixed, numbers, before)
        step()


def exact(text: str) -> Fraction:
    """The number that a decimal string is."""
    number = Decimal(text)
    require(number.is_finite() and abs(number.adjusted()) < 10_000, f"{text} is no number.")
    return Fraction(number)


def _one_box(box: Box, fixed, numbers: Models, before: _Curve | None) -> _Curve:
    where = f"ε from {box.lower} to {box.upper}"
    low, high = arb(box.lower), arb(box.upper)
    small = numbers.polynomial([(high + low) / 2, (high - low) / 2])
    size = 1 / (small * small) - sum(fixed)
    space = Space(size, tuple(range(1 + len(fixed))))
    require(
        len(box.predictor) == len(box.radius) == len(space.orbits)
        and all(0 < len(p) <= numbers.degree + 1 for p in box.predictor)
        and all(exact(r) > 0 for r in box.radius),
        f"For {where} it has no predictor with a radius for each orbit.",
    )
    middle = [numbers.polynomial([Decimal(text) for text in p]) for p in box.predictor]
    around = [between(f"-{r}", r) for r in box.radius]
    tube = [m + a for m, a in zip(middle, around, strict=True)]
    slopes = Loss(space, middle).slopes()
    change = solution(Loss(space, tube).matrices(space.units)[0], slopes)
    require(
        all(a.contains_interior(-x.range) for a, x in zip(around, change, strict=True)),
        f"For {where} Newton's method does not map the tube of weights into its interior.",
    )
    point = [m - x.range for m, x in zip(middle, change, strict=True)]
    curve = list(zip(tube, point, strict=True))
    if before is not None:
        pairs = list(zip(before, curve, strict=True))
        require(
            all(now(1).contains(p(-1)) for (_, p), (now, _) in pairs)
            or all(last(-1).contains(p(1)) for (last, _), (_, p) in pairs),
            f"For {where} the curve does not continue the one before.",
        )
    loss = between(*box.loss)
    value = Loss(space, point).value().range
    require(loss.contains(value), f"For {where} the loss is not enclosed by what it claims.")

    least, most = box.smallest_eigenvalue
    is_below = False
    for name, fine, patterns in isotypic(space):
        hessian, gram = Loss(fine, point).matrices(patterns)
        require(
            negative_eigenvalues(_shifted(hessian, gram, least)) == 0,
            f"For {where} an eigenvalue of the {name} component may be below {least}.",
        )
        is_below = is_below or has_negative(_shifted(hessian, gram, most))
    require(is_below, f"For {where} no eigenvalue is certain to be below {most}.")
    return curve


def solution(table: list[list[Value]], right: list[Value]) -> list[Value]:
    """The solutions of all systems in a matrix of models, by elimination."""
    rows = [[*row, x] for row, x in zip(table, right, strict=True)]
    n = len(rows)
    for i in range(n):
        pivot = rows[i][i]
        require(pivot > 0 or pivot < 0, "The Hessian may be singular on the fixed-point space.")
        rows[i] = [x / pivot for x in rows[i]]
        for r in range(n):
            if r != i:
                factor = rows[r][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[n] for row in rows]


def _shifted(hessian: Any, gram: Any, shift: str) -> list[list[Model]]:
    return [
        [x - arb(shift) * y for x, y in zip(*rows, strict=True)]
        for rows in zip(hessian, gram, strict=True)
    ]


def has_negative(matrix: list[list[Model]]) -> bool:
    """Whether a pivot is negative for some order of rows."""
    n = len(matrix)
    orders = [[*(i for i in range(n) if i != last), last] for last in range(n)]
    return any(
        bool(negative_eigenvalues([[matrix[i][j] for j in order] for i in order]))
        for order in orders
    )


@dataclasses.dataclass(frozen=True)
class Space:
    """Square matrices fixed by permutations of the places in class 0, but for some of these.

    Rows and columns are in the same places. Place 0 stands for `size` rows that are permuted, every
    other place for one row.
    """

    size: Value
    classes: tuple[int, ...]
    """Of each place: 0, or the number of a fixed row."""

    @property
    def orbits(self) -> list[tuple[int, int, bool]]:
        """The entries that are equal, by classes, when no place of class 0 is fixed."""
        every = sorted(set(self.classes))
        return [
            (r, c, same)
            for r in every
            for c in every
            for same in ((True, False) if r == c == 0 else (r == c,))
        ]

    def orbit(self, row: int, column: int, same: bool) -> int:
        """Which entries these are."""
        return self.orbits.index((self.classes[row], self.classes[column], same))

    @property
    def units(self) -> list[Matrix]:
        """For each orbit, the matrix that is 1 on it and 0 elsewhere."""

        def unit(n: int) -> Matrix:
            return lambda i, column, same: int(self.orbit(i, column, same) == n)

        return [unit(n) for n in range(len(self.orbits))]

    def pairs(self) -> Iterator[tuple[int, int, bool, Value]]:
        """Places of two rows, whether they are the same row, and how many such pairs there are."""
        for i in range(len(self.classes)):
            for j in range(len(self.classes)):
                many = self.size if 0 in (i, j) else 1
                yield i, j, i == j, many
                if i == j == 0:
                    yield 0, 0, False, many * (many - 1)

    def columns(self, i: int, j: int, same: bool) -> Iterator[tuple[Value, int, bool, bool]]:
        """Numbers and places of columns, and whether they are at the place of row i, and row j."""
        for place in range(1, len(self.classes)):
            yield 1, place, i == place, j == place
        if i == j == 0 and not same:
            yield 1, 0, True, False
            yield 1, 0, False, True
            yield self.size - 2, 0, False, False
        elif 0 in (i, j):
            yield 1, 0, i == 0, j == 0
            yield self.size - 1, 0, False, False
        else:
            yield self.size, 0, False, False


class Loss:
    """½ Σ cᵢ cⱼ K(wᵢ, wⱼ) at a point of a space, and its derivatives along matrices.

    Numbers are models, or others with their operations and their own `pi`.
    """

    def __init__(self, space: Space, point: Sequence[Value], pi: Value = None):
        self.space = space
        self.pi = arb.pi() if pi is None else pi

        def student(i: int, column: int, same: bool) -> Value:
            return point[space.orbit(i, column, same)]

        self.student: Matrix = student
        self.teacher: Matrix = lambda i, column, same: int(same)

    def inner(self, pair: tuple[int, int, bool], x: Matrix, p: int, y: Matrix, q: int) -> Value:
        """Σ over columns of x at row p times y at row q of the pair (0 or 1 each)."""
        total: Value = 0
        for count, column, *same in self.space.columns(*pair):
            a, b = x(pair[p], column, same[p]), y(pair[q], column, same[q])
            if not any(isinstance(z, int) and z == 0 for z in (a, b)):
                total = total + count * (a * b)
        return total

    def seen(self, pair: tuple[int, int, bool], other: Matrix) -> tuple[Value, ...]:
        """|u|², |v|², u·v, |u||v| sin θ and π − θ of a student and another neuron."""
        w = self.student
        a, b = self.inner(pair, w, 0, w, 0), self.inner(pair, other, 1, other, 1)
        c = self.inner(pair, w, 0, other, 1)
        return a, b, c, (a * b - c * c).sqrt(), (-c / (a * b).sqrt()).acos()

    def value(self) -> Value:
        """The loss."""
        total: Value = 0
        for i, j, same, count in self.space.pairs():
            pair = (i, j, same)
            if same:  # |w|²/2 of a student, 1/2 of a teacher
                total += count * (self.inner(pair, self.student, 0, self.student, 0) + 1) / 2
            else:
                _, _, c, s, supplement = self.seen(pair, self.student)
                total += count * (s + supplement * c + 1) / (2 * self.pi)
            _, _, c, s, supplement = self.seen(pair, self.teacher)
            total -= count * (s + supplement * c) / self.pi
        return total / 2

    def slopes(self) -> list[Value]:
        """The derivatives along the orbits."""
        w = self.student
        totals: list[Value] = [arb(0)] * len(self.space.units)
        for i, j, same, count in self.space.pairs():
            pair = (i, j, same)
            for other, head in ((w, 1), (self.teacher, -1)):
                on_u: Value = arb(0)
                on_v: Value = self.pi
                if head < 0 or not same:
                    a, _, _, s, on_v = self.seen(pair, other)
                    on_u = s / a
                for n, x in enumerate(self.space.units):
                    along = on_u * self.inner(pair, x, 0, w, 0)
                    along += on_v * self.inner(pair, x, 0, other, 1)
                    totals[n] = totals[n] + head * count * along / (2 * self.pi)
        return totals

    def matrices(self, along: list[Matrix]) -> tuple[list[list[Value]], list[list[Value]]]:
        """The Hessian between matrices, and their inner products."""
        n, w = len(along), self.student
        hessian, gram = ([[arb(0)] * n for _ in along] for _ in range(2))
        places = [(p, q) for p in range(n) for q in range(n)]
        for i, j, same, count in self.space.pairs():
            pair = (i, j, same)
            own = {(p, q): self.inner(pair, along[p], 0, along[q], 0) for p, q in places}
            if same:
                for p, q in places:
                    hessian[p][q] += Fraction(1, 2) * (count * own[p, q])
                    gram[p][q] += count * own[p, q]
            for other, head in ((w, 1), (self.teacher, -1)):
                if head > 0 and same:
                    continue
                a, b, c, s, supplement = self.seen(pair, other)
                on_u = [self.inner(pair, x, 0, w, 0) for x in along]
                on_v = [self.inner(pair, x, 0, other, 1) for x in along]
                across = [v - c / a * u for u, v in zip(on_u, on_v, strict=True)]
                u_on = [self.inner(pair, w, 0, x, 1) for x in along]
                v_on = [self.inner(pair, other, 1, x, 1) for x in along]
                for p, q in places:
                    value = s / a * (own[p, q] - on_u[p] * on_u[q] / a)
                    value += across[p] * across[q] / s
                    if head > 0:
                        value += supplement * self.inner(pair, along[p], 0, along[q], 1)
                        value += (on_u[p] * v_on[q] + on_v[p] * u_on[q]) / s
                        value -= c / s * (on_u[p] * u_on[q] / a + on_v[p] * v_on[q] / b)
                    hessian[p][q] += head * count * value / (2 * self.pi)
        return hessian, gram


def isotypic(space: Space) -> Iterator[tuple[str, Space, list[Matrix]]]:
    """Names, spaces with places fixed, and matrices in these, one for each copy.

    See `shallows.symmetry.spectrum` for why these are all.
    """
    n = space.size
    singles = space.classes[1:]

    def v(place: int) -> Value:
        """A vector with mean zero, 1 at the fixed place."""
        return 1 if place == 1 else -1 / (n - 1)

    yield "trivial", space, space.units

    fine = Space(n - 1, (0, 0, *singles))

    def on(r: int, c: int, value: Matrix, fine: Space = fine) -> Matrix:
        return lambda i, j, same: (
            value(i, j, same) if (fine.classes[i], fine.classes[j]) == (r, c) else 0
        )

    made = [
        on(0, 0, lambda i, j, same: v(i) if same else 0),
        on(0, 0, lambda i, j, same: 0 if same else v(i) + v(j)),
        on(0, 0, lambda i, j, same: 0 if same else v(i) - v(j)),
    ]
    for r in singles:
        made += [on(0, r, lambda i, j, same: v(i)), on(r, 0, lambda i, j, same: v(j))]
    yield "standard", fine, made

    fine = Space(n - 2, (0, 0, 0, *singles))
    turned = {(1, 2): 1, (1, 0): -1 / (n - 2), (0, 2): -1 / (n - 2)}
    yield (
        "exterior",
        fine,
        [on(0, 0, lambda i, j, same: turned.get((i, j), 0) - turned.get((j, i), 0), fine)],
    )
    even = [2 / ((n - 2) * (n - 3)), -1 / (n - 2), 1]
    yield (
        "two-row",
        fine,
        [on(0, 0, lambda i, j, same: 0 if same else even[(i > 0) + (j > 0)], fine)],
    )
