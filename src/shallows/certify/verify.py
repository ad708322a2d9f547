r"""Check a certificate again, by formulas written down a second time.

Nothing here calls what found the point or made the certificate. To read it, one needs to know

* the loss ½ Σ cᵢ cⱼ K(wᵢ, wⱼ) over students (c = 1) and teachers (c = −1). With a = |u|², b = |v|²,
  c = u·v, s = |u||v| sin θ and φ = π − θ, the overlap and its derivatives are

  $$ 2\pi K = s + \varphi c, \qquad 2\pi\,\partial_u K = \tfrac{s}{a} u + \varphi v, $$
  $$ 2\pi\,\partial_{uu} K = \tfrac{s}{a}\bigl(I - \tfrac{uu^\top}{a}\bigr)
     + \tfrac{qq^\top}{s}, \quad q = v - \tfrac{c}{a} u, $$
  $$ 2\pi\,\partial_{uv} K = \varphi I + \tfrac{1}{s}(uv^\top + vu^\top)
     - \tfrac{c}{s}\bigl(\tfrac{uu^\top}{a} + \tfrac{vv^\top}{b}\bigr); $$

* that a matrix which the group of the blocks leaves in place has one value for each orbit of
  entries, and that such a critical point of the loss among them is one among all (symmetric
  criticality);
* Krawczyk's theorem: if m − Y g(m) + (I − Y J(X))(X − m) lies in the interior of the box X, where J
  contains all Jacobians of g on X, then g has exactly one zero in X;
* Schur's lemma: the Hessian is a number on each irreducible representation of the group, up
  to a small matrix between copies; and Sylvester's law of inertia for that matrix;
* that with as many students as teachers the loss vanishes at permutation matrices only (see
  `shallows.certify.distance`), and Birkhoff's theorem: a doubly stochastic matrix is a mean of
  these.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal

import flint
from flint import arb

from shallows.certify._balls import between, negative_eigenvalues
from shallows.certify.certificate import Certificate, Descent, Distance, words
from shallows.certify.verdict import Verdict


@dataclasses.dataclass(frozen=True)
class Check:
    """What a second look at a certificate gave."""

    verdict: Verdict
    """`PROVED` if every part of the statement was proved again; otherwise `UNDECIDED`."""
    reason: str
    """Empty if proved; otherwise what failed."""


class FailedError(Exception):
    """A part of a statement that was not proved; the text says which."""


def verify(certificate: Certificate) -> Check:
    """Prove the statement of a certificate again, or say what cannot be proved.

    **Accuracy.** Rigorous: ball arithmetic throughout. **Cost.** About 0.1 s, whatever the sizes.
    """
    try:
        with flint.ctx.workprec(certificate.bits):
            _check(certificate)
    except (FailedError, ArithmeticError, ValueError) as failure:
        return Check(Verdict.UNDECIDED, str(failure))
    return Check(Verdict.PROVED, "")


def _require(truth: bool, otherwise: str) -> None:
    if not truth:
        raise FailedError(otherwise)


def _check(certificate: Certificate) -> None:
    _require(certificate.verdict is Verdict.PROVED, "It does not claim to be a proof.")
    _require(words(certificate) == certificate.statement, "Its words do not say what its data say.")
    sizes = []
    for text in certificate.sizes:
        _require(text.isdecimal() and int(text) > 0, f"Size {text!r} is no positive whole number.")
        sizes.append(int(text))
    space = Space(sizes, certificate.rows, certificate.columns)
    box = [between(*pair) for pair in certificate.weights]
    _require(len(box) == len(space.orbits), "It has another number of weights than of orbits.")
    point = _refined(space, box)
    here = _Loss(space, point)
    loss = between(*certificate.loss)
    _require(loss.contains(here.value()), "The loss is not enclosed by what it claims.")

    claimed: dict[tuple[str, tuple[int, ...]], list] = {}
    for e in certificate.eigenvalues:
        claimed.setdefault((e.component, e.factors), []).append(e)
    total = index = 0
    ends = []
    for name, factors, dimension, singles, patterns in _components(space):
        mine = sorted(claimed.pop((name, factors), []), key=lambda e: e.rank)
        hessian, gram = _Loss(Space(sizes, space.rows, space.columns, singles), point).matrices(
            patterns
        )
        where = f"{name} component of factors {factors}"
        _require(
            [e.rank for e in mine] == list(range(len(hessian))), f"The {where} is not all there."
        )
        total += dimension * len(hessian)
        for e in mine:
            _require(e.multiplicity == str(dimension), f"A multiplicity in the {where} is wrong.")
            low, high = (Decimal(text) for text in e.enclosure)
            below, above = (
                negative_eigenvalues(_shifted(hessian, gram, arb(text))) for text in e.enclosure
            )
            _require(
                below is not None and above is not None and below <= e.rank < above,
                f"Eigenvalue {e.rank} of the {where} is not enclosed by {e.enclosure}.",
            )
            ends.append((low, high))
            index += dimension if high < 0 else 0
            if certificate.index is not None:
                _require(bool(high < 0 or low > 0), f"The sign of one in the {where} is open.")
    _require(not claimed, f"It claims components that there are not: {sorted(claimed)}.")
    _require(total == space.count, "Multiplicities do not add up to the number of weights.")
    _require(certificate.index in (None, index), f"The index is {index}.")
    _require(
        tuple(Decimal(text) for text in certificate.smallest_eigenvalue)
        == (min(low for low, _ in ends), min(high for _, high in ends)),
        "The smallest eigenvalue is not the least of those enclosed.",
    )
    if certificate.descent is not None:
        check_descent(space, point, certificate.descent)
    if certificate.distance is not None:
        _check_distance(space, point, certificate.distance)


def check_descent(space: "Space", point: list[arb], descent: Descent, less: str = "0") -> None:
    """Whether the Hessian less a multiple of the identity has the quotient that is claimed.

    **Raises.** An error with the reason if that is not proved.
    """
    sizes, fixed = space.sizes, descent.fixed
    _require(
        len(fixed) == len(sizes)
        and all(0 <= j <= min(3, n) for j, n in zip(fixed, sizes, strict=True)),
        f"A direction fixes {fixed} places of factors of sizes {sizes}.",
    )
    fine = Space(sizes, space.rows, space.columns, dict(enumerate(fixed)))
    value = {
        (e.row, e.place, e.column, e.position, e.is_diagonal): between(e.value, e.value)
        for e in descent.entries
    }
    _require(len(value) == len(descent.entries), "A direction has an entry twice.")

    def along(i: _Neuron, column: _Column, own: bool) -> int | arb:
        kind = own if i.factor == column.factor else None
        return value.get((i.block, i.part, column.block, column.part, kind), 0)

    ((hessian,),), ((square,),) = _Loss(fine, point).matrices([along])
    _require(bool(square > 0), "A direction is zero.")
    quotient = between(*descent.quotient)
    _require(
        quotient.contains(hessian / square - arb(less)) and Decimal(descent.quotient[1]) < 0,
        f"The Rayleigh quotient of a direction is not proved to lie in {descent.quotient}.",
    )


def _check_distance(space: "Space", point: list[arb], distance: Distance) -> None:
    rows, columns = ([space.sizes[f] for f in some] for some in (space.rows, space.columns))
    _require(sum(rows) == sum(columns), "With more students than teachers there are other minima.")
    _require(
        (len(distance.matched), len(distance.rows), len(distance.columns))
        == (len(space.orbits), len(rows), len(columns)),
        "The distance has other numbers of orbits or blocks.",
    )
    for text in distance.matched:
        _require(text.isdecimal(), f"{text!r} is no number of entries.")
    matched = [int(text) for text in distance.matched]
    for place, ours in ((0, rows), (1, columns)):
        for block, n in enumerate(ours):
            times = sum(m for m, o in zip(matched, space.orbits, strict=True) if o[place] == block)
            _require(times == n, "The matrix of the distance is not doubly stochastic.")
    u, v = ([between(t, t) for t in some] for some in (distance.rows, distance.columns))
    size = inner = arb(0)
    for (r, c, own), m, x in zip(space.orbits, matched, point, strict=True):
        _require(bool(u[r] + v[c] > x), "The dual variables of the distance are not feasible.")
        count = rows[r] * (columns[c] if own is None else 1 if own else columns[c] - 1)
        size += count * x * x
        inner += m * x
    dual = sum((n * x for n, x in zip((*rows, *columns), (*u, *v), strict=True)), arb(0))
    least, most = (size + sum(columns) - 2 * x for x in (dual, inner))
    low, high = (Decimal(text) for text in distance.enclosure)
    _require(
        0 <= low <= high
        and bool(arb(str(low)) ** 2 <= least)
        and bool(most <= arb(str(high)) ** 2),
        "The distance to the nearest permutation matrix is not enclosed by what it claims.",
    )


def _refined(space: "Space", box: list[arb]) -> list[arb]:
    """Krawczyk's operator on the box: exactly one critical point, and it is in the result."""
    n = len(box)
    middle = [arb(x.mid()) for x in box]
    gradient = flint.arb_mat([[x] for x in _Loss(space, middle).slopes(space.units)])
    jacobian = flint.arb_mat(_Loss(space, box).matrices(space.units)[0])
    inverse = flint.arb_mat([[x.mid() for x in row] for row in jacobian.tolist()]).inv().mid()
    identity = flint.arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
    around = flint.arb_mat([[x - m] for x, m in zip(box, middle, strict=True)])
    centre = flint.arb_mat([[m] for m in middle])
    image = centre - inverse * gradient + (identity - inverse * jacobian) * around
    inside = [row[0] for row in image.tolist()]
    _require(
        all(x.contains_interior(y) for x, y in zip(box, inside, strict=True)),
        "Krawczyk's operator does not map the box of weights into its interior.",
    )
    return inside


@dataclasses.dataclass(frozen=True)
class _Neuron:
    block: int
    """Its row block; teachers continue the count."""
    factor: int
    part: int
    """Which part of its factor: 0 for those that are not fixed, 1, 2, … for a fixed one."""
    number: int
    head: int


@dataclasses.dataclass(frozen=True)
class _Column:
    block: int
    factor: int
    part: int


# The value of a matrix for a neuron and a column; `own` if their places in their factor are equal.
Matrix = Callable[[_Neuron, _Column, bool], int | arb]


class Space:
    """Blocks of rows and columns, each factor S_n with the last `singles[f]` places fixed."""

    def __init__(self, sizes, rows, columns, singles=None):
        self.sizes, self.rows, self.columns = sizes, tuple(rows), tuple(columns)
        singles = singles or {}
        parts = []
        for f, n in enumerate(sizes):
            fixed = singles.get(f, 0)
            parts.append([(0, n - fixed)] * (n > fixed) + [(p, 1) for p in range(1, fixed + 1)])
        self.parts = [_Column(c, f, p) for c, f in enumerate(self.columns) for p, _ in parts[f]]
        self.number = {(f, p): n for f, some in enumerate(parts) for p, n in some}
        self.students = [
            _Neuron(r, f, p, n, 1) for r, f in enumerate(self.rows) for p, n in parts[f]
        ]
        # One teacher for each input: eᵢ, in a row block for each column block.
        self.teachers = [
            _Neuron(len(self.rows) + c, f, p, n, -1)
            for c, f in enumerate(self.columns)
            for p, n in parts[f]
        ]
        self.orbits: list[tuple[int, int, bool | None]] = []
        for r, f in enumerate(self.rows):
            for c, g in enumerate(self.columns):
                if f != g:
                    self.orbits.append((r, c, None))
                else:
                    self.orbits.append((r, c, True))
                    if sizes[f] > 1:
                        self.orbits.append((r, c, False))
        neurons = sum(sizes[f] for f in self.rows)
        self.count = neurons * sum(sizes[f] for f in self.columns)

    def orbit(self, neuron: _Neuron, column: _Column, own: bool):
        """Which entries are equal to this one."""
        return (neuron.block, column.block, own if neuron.factor == column.factor else None)

    @property
    def units(self) -> list[Matrix]:
        """For each orbit, the matrix that is 1 on it and 0 elsewhere."""

        def unit(orbit) -> Matrix:
            return lambda i, column, own: int(self.orbit(i, column, own) == orbit)

        return [unit(orbit) for orbit in self.orbits]

    def kinds(self, i: _Neuron, j: _Neuron, same: bool) -> Iterator[tuple]:
        """Kinds of columns as neurons i and j see them, and how many there are of each."""
        for column in self.parts:
            n = self.number[column.factor, column.part]
            mine, yours = ((x.factor, x.part) == (column.factor, column.part) for x in (i, j))
            if mine and yours and not same:
                yield from ((1, column, True, False), (1, column, False, True))
                yield (n - 2, column, False, False)
            elif mine or yours:
                yield (1, column, mine, yours)
                yield (n - 1, column, False, False)
            else:
                yield (n, column, False, False)


class _Loss:
    """The loss at a point of a space, and its derivatives along matrices."""

    def __init__(self, space: Space, point: list[arb]):
        self.space = space
        self.values = dict(
            zip(Space(space.sizes, space.rows, space.columns).orbits, point, strict=True)
        )

    def weights(self, i: _Neuron, column: _Column, own: bool) -> int | arb:
        """The matrix of students and teachers."""
        if i.head > 0:
            return self.values[self.space.orbit(i, column, own)]
        return int(own and i.block - len(self.space.rows) == column.block)

    def pairs(self, everybody: bool) -> Iterator[tuple]:
        """Neurons i (students, or everybody) and j, whether in the same place, and how many."""
        s = self.space
        for i in s.students + (s.teachers if everybody else []):
            for j in s.students + s.teachers:
                if (i.factor, i.part) == (j.factor, j.part):
                    yield i, j, True, i.number * i.head * j.head
                    if i.number > 1:
                        yield i, j, False, i.number * (i.number - 1) * i.head * j.head
                else:
                    yield i, j, False, i.number * j.number * i.head * j.head

    def inner(self, pair, x: Matrix, p: int, y: Matrix, q: int) -> arb:
        """Σ over columns of x at neuron p times y at neuron q of the pair (0 or 1 each)."""
        total = arb(0)
        for n, column, *own in self.space.kinds(*pair):
            if n:
                total += n * x(pair[p], column, own[p]) * y(pair[q], column, own[q])
        return total

    def angle(self, pair):
        """|u|², |v|², u·v, |u||v| sin θ and π − θ."""
        w = self.weights
        a, b, c = (self.inner(pair, w, p, w, q) for p, q in ((0, 0), (1, 1), (0, 1)))
        return a, b, c, (a * b - c * c).sqrt(), (-c / (a * b).sqrt()).acos()

    def value(self) -> arb:
        """The loss."""
        total = arb(0)
        for i, j, same, share in self.pairs(everybody=True):
            if i.block == j.block and same:
                total += share * self.inner((i, j, same), self.weights, 0, self.weights, 0) / 2
            elif i.head < 0 and j.head < 0:
                total += share / (2 * arb.pi())  # orthogonal unit vectors
            else:
                _, _, c, s, supplement = self.angle((i, j, same))
                total += share * (s + supplement * c) / (2 * arb.pi())
        return total / 2

    def slopes(self, along: list[Matrix]) -> list[arb]:
        """The derivatives along matrices."""
        w, totals = self.weights, [arb(0)] * len(along)
        for i, j, same, share in self.pairs(everybody=False):
            if i.block == j.block and same:
                on_u, on_v = arb(0), arb.pi()
            else:
                a, _, _, s, on_v = self.angle((i, j, same))
                on_u = s / a
            for n, x in enumerate(along):
                xu, xv = (self.inner((i, j, same), x, 0, w, q) for q in (0, 1))
                totals[n] += share * (on_u * xu + on_v * xv) / (2 * arb.pi())
        return totals

    def matrices(self, along: list[Matrix]) -> tuple[list[list[arb]], list[list[arb]]]:
        """The Hessian between matrices, and their inner products."""
        n = len(along)
        hessian = [[arb(0)] * n for _ in along]
        gram = [[arb(0)] * n for _ in along]
        for i, j, same, share in self.pairs(everybody=False):
            for p, q, value, product in self.blocks(along, i, j, same):
                hessian[p][q] += share * value / (2 * arb.pi())
                gram[p][q] += i.number * product
        return hessian, gram

    def blocks(self, along, i, j, same) -> Iterator[tuple]:
        """What a pair contributes to the Hessian (times 2π) and to inner products."""
        w, pair, is_student = self.weights, (i, j, same), j.head > 0
        is_itself = i.block == j.block and same
        if not is_itself:
            a, b, c, s, supplement = self.angle(pair)
        seen = []
        for x in along:
            xu, xv = (self.inner(pair, x, 0, w, q) for q in (0, 1))
            ux, vx = (self.inner(pair, w, q, x, 1) if is_student else 0 for q in (0, 1))
            seen.append((x, xu, xv, ux, vx))
        for p, (x, xu, xv, _, _) in enumerate(seen):
            for q, (y, yu, yv, uy, vy) in enumerate(seen):
                own = self.inner(pair, x, 0, y, 0)
                if is_itself:
                    yield p, q, arb.pi() * own, own
                    continue
                value = s / a * (own - xu * yu / a) + (xv - c / a * xu) * (yv - c / a * yu) / s
                if is_student:
                    value += supplement * self.inner(pair, x, 0, y, 1)
                    value += (xu * vy + xv * uy - c * (xu * uy / a + xv * vy / b)) / s
                yield p, q, value, 0


def _shifted(hessian, gram, shift):
    return [
        [x - shift * y for x, y in zip(*rows, strict=True)]
        for rows in zip(hessian, gram, strict=True)
    ]


def _components(space: Space) -> Iterator[tuple]:
    """Name, factors, dimension, fixed places, and the matrices that these places fix, by copies."""
    sizes = space.sizes
    blocks = list(itertools.product(enumerate(space.rows), enumerate(space.columns)))

    def only(r, c, value) -> Matrix:
        return lambda i, column, own: (
            value(i, column, own) if (i.block, column.block) == (r, c) else 0
        )

    def mean_free(f):
        return lambda part: 1 if part == 1 else -1 / arb(sizes[f] - 1)

    def product(v, w) -> Matrix:
        return lambda i, column, own: v(i.part) * w(column.part)

    yield "trivial", (), 1, {}, space.units
    moved = [f for f, n in enumerate(sizes) if n > 1 and f in (*space.rows, *space.columns)]
    for f in moved:
        made: list[Matrix] = []
        v = mean_free(f)
        for (r, row), (c, column) in blocks:
            if row == column == f:
                made.append(only(r, c, lambda i, k, own, v=v: v(i.part) if own else 0))
                if sizes[f] > 2:
                    made.append(
                        only(r, c, lambda i, k, own, v=v: 0 if own else v(i.part) + v(k.part))
                    )
                made.append(only(r, c, lambda i, k, own, v=v: 0 if own else v(i.part) - v(k.part)))
            elif row == f:
                made.append(only(r, c, lambda i, k, own, v=v: v(i.part)))
            elif column == f:
                made.append(only(r, c, lambda i, k, own, v=v: v(k.part)))
        yield "standard", (f,), sizes[f] - 1, {f: 1}, made
    for f in moved:
        n, own_blocks = sizes[f], [(r, c) for (r, x), (c, y) in blocks if x == y == f]
        if n > 2 and own_blocks:
            turned = {(1, 2): arb(1), (1, 0): -1 / arb(n - 2), (0, 2): -1 / arb(n - 2)}
            yield (
                "exterior",
                (f,),
                (n - 1) * (n - 2) // 2,
                {f: 2},
                [
                    only(
                        r,
                        c,
                        lambda i, k, own, t=turned: (
                            t.get((i.part, k.part), 0) - t.get((k.part, i.part), 0)
                        ),
                    )
                    for r, c in own_blocks
                ],
            )
        if n > 3 and own_blocks:
            even = [2 / (arb(n - 2) * (n - 3)), -1 / arb(n - 2), arb(1)]
            yield (
                "two-row",
                (f,),
                n * (n - 3) // 2,
                {f: 2},
                [
                    only(
                        r, c, lambda i, k, own, e=even: 0 if own else e[(i.part > 0) + (k.part > 0)]
                    )
                    for r, c in own_blocks
                ],
            )
    for f, g in itertools.combinations(moved, 2):
        made = [
            only(r, c, product(mean_free(x), mean_free(y)))
            for (r, x), (c, y) in blocks
            if {x, y} == {f, g}
        ]
        if made:
            yield "standard×standard", (f, g), (sizes[f] - 1) * (sizes[g] - 1), {f: 1, g: 1}, made
