r"""Every Hessian eigenvalue of a block-symmetric point, with its multiplicity, at any size.

The Hessian commutes with the group, so that on each irreducible representation it is a multiple of
the identity, up to a small matrix between copies of the same one. In a space of matrices a block of
size n contributes the *trivial* representation, the *standard* one (dimension n − 1), its
*exterior* square and the *two-row* one of partition (n−2, 2); two blocks together, the product of
their standard ones. Each copy contains one vector, unique up to a factor, that is fixed as soon
as one or two places of each block are; it is written down below, and the reduced Hessian of
the finer blocks, applied to such vectors, gives all eigenvalues.
"""

import dataclasses
import enum
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from shallows import notebook
from shallows.symmetry.arithmetic import AbstractArithmetic, Floats, Number, Numbers
from shallows.symmetry.blocks import Blocks, Split
from shallows.symmetry.reduced import ReducedLoss


class Representation(enum.Enum):
    """The irreducible representations that occur in a space of matrices; the value is the name."""

    trivial = "trivial"
    standard = "standard"
    exterior = "exterior"
    two_row = "two-row"
    product = "standard×standard"


@dataclasses.dataclass(frozen=True)
class Component:
    """An isotypic component of the space of matrices, and the Hessian on it."""

    representation: Representation
    factors: tuple[int, ...]
    """The factors of the group that move it: none, one or two."""
    dimension: Number
    """Of the representation: how often each eigenvalue occurs."""
    matrix: np.ndarray
    """The Hessian between copies, in an orthonormal basis; its eigenvalues are the component's."""
    vectors: np.ndarray
    """That basis, a row for each copy, in the coordinates of `blocks`."""
    blocks: Blocks
    """The finer blocks in which the vectors are constant on orbits."""


@dataclasses.dataclass(frozen=True)
class Form:
    """The same as a `Component` in vectors that are orthogonal and have no roots in them.

    For numbers that are closed under the operations of a field, and not under square roots.
    """

    representation: Representation
    factors: tuple[int, ...]
    matrix: np.ndarray
    """The Hessian between the vectors."""
    squares: tuple[Number, ...]
    """Of the lengths of the vectors."""


@dataclasses.dataclass(frozen=True)
class Eigenvalue:
    """One eigenvalue of the Hessian."""

    representation: Representation
    factors: tuple[int, ...]
    eigenvalue: Number
    multiplicity: Number

    def as_json(self) -> dict[str, Any]:
        """For records, in floats."""
        return {
            "representation": self.representation.value,
            "eigenvalue": float(self.eigenvalue),
            "multiplicity": self.multiplicity,
        }


class Spectrum(tuple[Eigenvalue, ...]):
    """Eigenvalues in increasing order, with what a notebook shows of them."""

    __slots__ = ()

    def _columns(self) -> dict[str, list[Any]]:
        return {
            "eigenvalue": [float(e.eigenvalue) for e in self],
            "multiplicity": [e.multiplicity for e in self],
            "component": [e.representation.value for e in self],
            "factors": ["×".join(map(str, e.factors)) for e in self],
        }

    def _repr_html_(self) -> str:
        return notebook.page(f"Spectrum: {len(self)} different eigenvalues", self._columns())

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row for each eigenvalue, in floats.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return notebook.frame(self._columns())


def spectrum(
    loss: ReducedLoss, point: Numbers, numbers: AbstractArithmetic | None = None
) -> Spectrum:
    """All eigenvalues of the full Hessian at `point`, in increasing order.

    See `components` for domain, accuracy and cost. In floats the small ones lose the digits
    that the largest, which grows like k/4, has before the point.
    """
    o = Floats() if numbers is None else numbers
    found = [
        Eigenvalue(part.representation, part.factors, value, part.dimension)
        for part in components(loss, point, o)
        for value in o.eigenvalues(part.matrix)
    ]
    return Spectrum(sorted(found, key=lambda e: float(e.eigenvalue)))


def components(
    loss: ReducedLoss, point: Numbers, numbers: AbstractArithmetic | None = None
) -> tuple[Component, ...]:
    r"""The isotypic components of the blocks' group, and the Hessian at `point` on each.

    Components of dimension zero are left out. Dimensions times numbers of copies add up to
    the number of entries of the matrices.

    **Accuracy.** That of `numbers`. **Domain.** Sizes of moved blocks above 1; real ones as well,
    where dimensions are formal. **Cost.** Reduced Hessians of a few tens of coordinates,
    whatever the sizes are.

    **Source.** For ΔS_k and ΔS_{k−1}: Arjevani & Field (2020), 2008.01805.
    """
    o = Floats() if numbers is None else numbers
    return tuple(part.component() for part in _made(loss, o.numbers(point), o))


def forms(
    loss: ReducedLoss, point: Numbers, numbers: AbstractArithmetic | None = None
) -> tuple[Form, ...]:
    """The isotypic components as quadratic forms, without the roots of an orthonormal basis.

    With D the diagonal of `squares` the eigenvalues λ are those of det(`matrix` − λ D) = 0. See
    `components` for the rest.
    """
    o = Floats() if numbers is None else numbers
    return tuple(part.form() for part in _made(loss, o.numbers(point), o))


def _made(loss: ReducedLoss, point, o: AbstractArithmetic) -> Iterator["_Part"]:
    blocks = loss.blocks
    size = o.numbers(blocks.sizes)
    moved = [f for f in range(len(size)) if not blocks.is_single[f]]
    moved = [f for f in moved if f in (*blocks.rows, *blocks.columns)]
    own = [f for f in moved if f in blocks.rows and f in blocks.columns]

    fine, split = loss.split({})
    made = _Maker(fine, split, fine.hessian(point[split.coarse], o), blocks, o)
    yield made(Representation.trivial, (), 1, _trivial)

    for f in moved:
        n = size[f]
        fine, split = loss.split({f: 1})
        made = _Maker(fine, split, fine.hessian(point[split.coarse], o), blocks, o)
        yield made(Representation.standard, (f,), blocks.sizes[f] - 1, _standard(f, n))
    for f in own:
        n = size[f]
        if not n > 2:
            continue
        fine, split = loss.split({f: 2})
        made = _Maker(fine, split, fine.hessian(point[split.coarse], o), blocks, o)
        exact = blocks.sizes[f]
        hooks, pairs = _half((exact - 1) * (exact - 2)), _half(exact * (exact - 3))
        yield made(Representation.exterior, (f,), hooks, _only(f, _exterior(n)))
        if n > 3:
            yield made(Representation.two_row, (f,), pairs, _only(f, _two_row(n)))
    for f, g in itertools.combinations(moved, 2):
        if not any((r, c) in ((f, g), (g, f)) for r in blocks.rows for c in blocks.columns):
            continue
        n, m = size[f], size[g]
        dimension = (blocks.sizes[f] - 1) * (blocks.sizes[g] - 1)
        fine, split = loss.split({f: 1, g: 1})
        made = _Maker(fine, split, fine.hessian(point[split.coarse], o), blocks, o)
        yield made(Representation.product, (f, g), dimension, _product(f, n, g, m))


def fixed_dimension(representation: Representation, *parts: Numbers) -> int:
    r"""The dimension of the vectors that $S_{p_0} \times \dots \times S_{p_r}$ fixes.

    `parts` are the sizes p into which the representation's block is cut, or each of its two.
    With r parts of which s have more than one place it is 1 (trivial), r − 1 (standard), (r − 1)(r
    − 2)/2 (exterior) and r(r − 3)/2 + s (two-row, from four places on): Young's rule. For a
    product of standard representations the dimensions multiply.
    """
    if representation is Representation.product:
        return math.prod(len(each) - 1 for each in parts)
    several = len(parts[0]) if parts else 1
    large = sum(1 for p in parts[0] if float(p) > 1) if parts else 1
    return {
        Representation.trivial: 1,
        Representation.standard: several - 1,
        Representation.exterior: (several - 1) * (several - 2) // 2,
        Representation.two_row: several * (several - 3) // 2 + large,
    }[representation]


def component(
    loss: ReducedLoss,
    point: Numbers,
    representation: Representation,
    parts: Mapping[int, Numbers],
    numbers: AbstractArithmetic | None = None,
) -> Component:
    """One component, by vectors that are fixed by the group of these parts of its factors.

    Which vectors: up to a factor there is one in each copy, for two parts (p_0, p_1) in the
    standard and the two-row representation, two parts of each factor in a product, and three
    in the exterior square. `components` takes the smallest parts; the Hessian between copies is
    the same for all.

    **Raises.** `ValueError` for parts that fix no vector, or more than one.
    """
    o = Floats() if numbers is None else numbers
    factors = tuple(parts)
    wanted = {Representation.trivial: 0, Representation.product: 2}.get(representation, 1)
    pieces = {Representation.exterior: 3}.get(representation, 2)
    if (
        len(parts) != wanted
        or any(len(p) != pieces for p in parts.values())
        or (parts and fixed_dimension(representation, *parts.values()) != 1)
    ):
        raise ValueError(
            f"A vector of the {representation.value} representation is singled out by {wanted} "
            f"block(s) cut in {pieces}, but the parts are {dict(parts)}. Use (n − p, p) for "
            f"standard, the same with 2 ≤ p ≤ n − 2 for two-row, (n − p − q, p, q) for exterior."
        )
    for f, each in parts.items():
        if abs(float(sum(each)) - float(loss.blocks.sizes[f])) > 1e-9 * float(loss.blocks.sizes[f]):
            raise ValueError(
                f"The parts of a block of {loss.blocks.sizes[f]} places add up to "
                f"{loss.blocks.sizes[f]}, but {'+'.join(map(str, each))} were given."
            )
    fine, split = loss.cut(parts)
    given = o.numbers(point)
    made = _Maker(fine, split, fine.hessian(given[split.coarse], o), loss.blocks, o)
    sizes = o.numbers(loss.blocks.sizes)
    n = [sizes[f] for f in factors]
    p = [o.numbers(list(parts[f])) for f in factors]
    if representation is Representation.trivial:
        return made(representation, factors, 1, _trivial).component()
    exact = [loss.blocks.sizes[f] for f in factors]
    if representation is Representation.product:
        (f, g), dimension = factors, (exact[0] - 1) * (exact[1] - 1)
        patterns = _product(f, n[0], g, n[1], p[0][1], p[1][1])
    elif representation is Representation.standard:
        dimension, patterns = exact[0] - 1, _standard(factors[0], n[0], p[0][1])
    elif representation is Representation.exterior:
        dimension = _half((exact[0] - 1) * (exact[0] - 2))
        patterns = _only(factors[0], _exterior(n[0], p[0][1], p[0][2]))
    else:
        dimension = _half(exact[0] * (exact[0] - 3))
        patterns = _only(factors[0], _two_row(n[0], p[0][1]))
    return made(representation, factors, dimension, patterns).component()


# A pattern says what value a vector has at an entry, from the parts of its row and column
# (0 where not split off) and whether it is on the diagonal of its blocks.
Pattern = Callable[[int, int, bool | None], Number]
Patterns = Callable[[int, int], list[Pattern]]


def _trivial(row: int, column: int) -> list[Pattern]:
    on, off = (lambda i, j, diagonal: int(diagonal)), (lambda i, j, diagonal: int(not diagonal))
    return [on, off] if row == column else [lambda i, j, diagonal: 1]


def _mean_free(n, part, p=1):
    """The vector of Rⁿ that is 1 on part 1, of p places, with mean zero."""
    return 1 if part == 1 else -p / (n - p)


def _standard(f, n, p=1) -> Patterns:
    def a(part):
        return _mean_free(n, part, p)

    def patterns(row, column):
        if row == column == f:
            return [
                lambda i, j, diagonal: a(i) if diagonal else 0,
                lambda i, j, diagonal: 0 if diagonal else a(i) + a(j),
                lambda i, j, diagonal: 0 if diagonal else a(i) - a(j),
            ]
        if row == f:
            return [lambda i, j, diagonal: a(i)]
        if column == f:
            return [lambda i, j, diagonal: a(j)]
        return []

    return patterns


def _exterior(n, p=1, q=1) -> Pattern:
    """The antisymmetric matrix, constant between three parts, with 1 at (1, 2) and row sums 0."""
    rest = n - p - q
    upper = {(1, 2): 1, (1, 0): -q / rest, (0, 2): -p / rest}

    def pattern(i, j, diagonal):
        return upper.get((i, j), 0) - upper.get((j, i), 0)

    return pattern


def _two_row(n, p=2) -> Pattern:
    """The symmetric matrix with zero diagonal and row sums, and 1 among the p places off part 0."""
    across = -(p - 1) / (n - p)

    def pattern(i, j, diagonal):
        if diagonal:
            return 0
        return {2: 1, 1: across, 0: -across * p / (n - p - 1)}[bool(i) + bool(j)]

    return pattern


def _half(even):
    return even // 2 if isinstance(even, int) else even / 2


def _only(f, pattern) -> Patterns:
    return lambda row, column: [pattern] if row == column == f else []


def _product(f, n, g, m, p=1, q=1) -> Patterns:
    def patterns(row, column):
        if (row, column) == (f, g):
            return [lambda i, j, diagonal: _mean_free(n, i, p) * _mean_free(m, j, q)]
        if (row, column) == (g, f):
            return [lambda i, j, diagonal: _mean_free(m, i, q) * _mean_free(n, j, p)]
        return []

    return patterns


@dataclasses.dataclass(frozen=True)
class _Maker:
    """Makes components out of patterns in one choice of fixed places."""

    fine: ReducedLoss
    split: Split
    hessian: np.ndarray
    coarse: Blocks
    numbers: AbstractArithmetic

    def __call__(self, representation, factors, dimension, patterns: Patterns) -> "_Part":
        o = self.numbers
        metric = o.numbers(self.fine.blocks.counts)
        vectors, squares = [], []
        for (r, f), (c, g) in itertools.product(
            enumerate(self.coarse.rows), enumerate(self.coarse.columns)
        ):
            for pattern in patterns(f, g):
                vector = o.numbers(
                    [
                        pattern(*self.split.places[x], self.coarse.orbits[y].is_diagonal)
                        if (self.coarse.orbits[y].row, self.coarse.orbits[y].column) == (r, c)
                        else 0
                        for x, y in enumerate(self.split.coarse)
                    ]
                )
                square = np.sum(metric * vector * vector)
                if square > 0:  # for n = 2 some patterns vanish
                    vectors.append(vector)
                    squares.append(square)
        return _Part(self, representation, factors, dimension, vectors, squares)


@dataclasses.dataclass(frozen=True)
class _Part:
    """Vectors of a component, of any length."""

    maker: _Maker
    representation: Representation
    factors: tuple[int, ...]
    dimension: Number
    vectors: list[np.ndarray]
    squares: list[Number]

    def component(self) -> Component:
        o = self.maker.numbers
        basis = [v / o.sqrt(x) for v, x in zip(self.vectors, self.squares, strict=True)]
        table, matrix = self._on(basis)
        blocks = self.maker.fine.blocks
        return Component(self.representation, self.factors, self.dimension, matrix, table, blocks)

    def form(self) -> Form:
        _, matrix = self._on(self.vectors)
        return Form(self.representation, self.factors, matrix, tuple(self.squares))

    def _on(self, basis: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        table = np.array(basis).reshape(-1, len(self.maker.hessian))
        return table, table @ self.maker.hessian @ table.T
