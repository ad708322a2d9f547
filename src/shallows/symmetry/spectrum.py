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
from collections.abc import Callable, Iterator

import numpy as np

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
class Eigenvalue:
    """One eigenvalue of the Hessian."""

    representation: Representation
    factors: tuple[int, ...]
    eigenvalue: Number
    multiplicity: Number


def spectrum(
    loss: ReducedLoss, point: Numbers, numbers: AbstractArithmetic | None = None
) -> tuple[Eigenvalue, ...]:
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
    return tuple(sorted(found, key=lambda e: float(e.eigenvalue)))


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
    return tuple(_made(loss, o.numbers(point), o))


def _made(loss: ReducedLoss, point, o: AbstractArithmetic) -> Iterator[Component]:
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


# A pattern says what value a vector has at an entry, from the places of its row and column
# (0 where not fixed) and whether it is on the diagonal of its blocks.
Pattern = Callable[[int, int, bool | None], Number]
Patterns = Callable[[int, int], list[Pattern]]


def _trivial(row: int, column: int) -> list[Pattern]:
    on, off = (lambda i, j, diagonal: int(diagonal)), (lambda i, j, diagonal: int(not diagonal))
    return [on, off] if row == column else [lambda i, j, diagonal: 1]


def _mean_free(n, place):
    """The vector of Rⁿ that is 1 at the fixed place, with mean zero."""
    return 1 if place == 1 else -1 / (n - 1)


def _standard(f, n) -> Patterns:
    def a(place):
        return _mean_free(n, place)

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


def _exterior(n) -> Pattern:
    """The antisymmetric matrix with 1 at (1, 2) whose rows have mean zero."""
    small = 1 / (n - 2)
    upper = {(1, 2): 1, (1, 0): -small, (0, 2): -small}

    def pattern(i, j, diagonal):
        return upper.get((i, j), 0) - upper.get((j, i), 0)

    return pattern


def _two_row(n) -> Pattern:
    """The symmetric matrix with zero diagonal and 1 at (1, 2) whose rows have mean zero."""
    small = 1 / (n - 2)

    def pattern(i, j, diagonal):
        if diagonal:
            return 0
        return {2: 1, 1: -small, 0: 2 * small / (n - 3)}[bool(i) + bool(j)]

    return pattern


def _half(even):
    return even // 2 if isinstance(even, int) else even / 2


def _only(f, pattern) -> Patterns:
    return lambda row, column: [pattern] if row == column == f else []


def _product(f, n, g, m) -> Patterns:
    def patterns(row, column):
        if (row, column) == (f, g):
            return [lambda i, j, diagonal: _mean_free(n, i) * _mean_free(m, j)]
        if (row, column) == (g, f):
            return [lambda i, j, diagonal: _mean_free(m, i) * _mean_free(n, j)]
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

    def __call__(self, representation, factors, dimension, patterns: Patterns) -> Component:
        o = self.numbers
        metric = o.numbers(self.fine.blocks.counts)
        vectors = []
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
                    vectors.append(vector / o.sqrt(square))
        basis = np.array(vectors).reshape(-1, len(metric))
        matrix = basis @ self.hessian @ basis.T
        return Component(representation, factors, dimension, matrix, basis, self.fine.blocks)
