r"""Fixed-point spaces of products of symmetric groups, with blocks of any real size.

A product $S_{n_1} \times \dots \times S_{n_r}$ acts on a weight matrix by permuting some of its
rows and some of its columns, each *block* of rows or columns with one of the factors. The matrices
that stay what they are have one number for each orbit of entries: a row block and a column block of
different factors meet in a constant, those of one factor in a diagonal and an off-diagonal
value. ΔS_k has 2 such numbers, Δ(S_{k−1} × S_1) has 5, whatever k is, and sizes enter all
formulas as numbers that need not be whole.

By symmetric criticality a critical point among those matrices is a critical point among all.
"""

import dataclasses
import itertools
import numbers
from collections.abc import Mapping, Sequence

import numpy as np

from shallows.symmetry.arithmetic import Number, Numbers


@dataclasses.dataclass(frozen=True)
class Orbit:
    """One orbit of entries: one coordinate of the fixed-point space."""

    row: int
    """Its block of rows."""
    column: int
    """Its block of columns."""
    is_diagonal: bool | None
    """Whether it holds the entries whose row and column have the same place in their blocks; None
    where the blocks belong to different factors."""


@dataclasses.dataclass(frozen=True, init=False)
class Blocks:
    """Blocks of rows and columns, and the symmetric group that moves each.

    `Blocks((k,))` is ΔS_k, `Blocks((k - 1, 1))` is Δ(S_{k−1} × S_1), both for square matrices:
    factor i moves row block i and column block i. `rows` and `columns` name the factor of
    each block where it is otherwise: with one more neuron, fixed by all, `Blocks((k, 1), columns=
    (0,))`; with the neurons of a block doubled, `Blocks((p, q), rows=(0, 0, 1))`; with d − k more
    inputs, `Blocks((k, d - k), rows=(0,))`.

    **Domain.** Sizes are positive; a size of exactly 1 (when constructed) is a fixed row or
    column, without off-diagonal entries. Real sizes are meant for formulas, whole ones for
    matrices.

    **Raises.** `ValueError` for a size that is not positive, and for blocks of unknown factors.
    """

    sizes: tuple[Number, ...]
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    is_single: tuple[bool, ...]
    """For each factor, whether it is S_1 and stays so when sizes move."""

    def __init__(
        self,
        sizes: Numbers,
        rows: Sequence[int] | None = None,
        columns: Sequence[int] | None = None,
        is_single: Sequence[bool] | None = None,
    ):
        every = tuple(range(len(sizes)))
        for size in sizes:
            if isinstance(size, numbers.Real) and not 0 < float(size) < np.inf:
                raise ValueError(
                    f"Blocks have positive sizes, but one of {tuple(sizes)} is {size}. Leave out "
                    f"a block that is empty."
                )
        for name, given in (("rows", rows), ("columns", columns)):
            for factor in given or ():
                if factor not in every:
                    raise ValueError(
                        f"`{name}` names factor {factor}, but there are {len(every)} sizes: "
                        f"{tuple(sizes)}. Number factors from 0 in the order of their sizes."
                    )
        # The only way to fill in a default once, in a class that is frozen afterwards.
        object.__setattr__(self, "sizes", tuple(sizes))
        object.__setattr__(self, "rows", every if rows is None else tuple(rows))
        object.__setattr__(self, "columns", every if columns is None else tuple(columns))
        single = [bool(n == 1) for n in sizes] if is_single is None else is_single
        object.__setattr__(self, "is_single", tuple(single))

    @property
    def orbits(self) -> tuple[Orbit, ...]:
        """The coordinates of the fixed-point space, in their order."""
        found = []
        for (r, f), (c, g) in itertools.product(enumerate(self.rows), enumerate(self.columns)):
            if f != g:
                found.append(Orbit(r, c, None))
            else:
                found.append(Orbit(r, c, True))
                if not self.is_single[f]:
                    found.append(Orbit(r, c, False))
        return tuple(found)

    @property
    def counts(self) -> tuple[Number, ...]:
        """How many entries each orbit has: the metric in which the space lies among matrices."""
        made = []
        for orbit in self.orbits:
            n, m = self.sizes[self.rows[orbit.row]], self.sizes[self.columns[orbit.column]]
            made.append({None: n * m, True: n, False: n * (n - 1)}[orbit.is_diagonal])
        return tuple(made)

    @property
    def neurons(self) -> Number:
        """The number of rows."""
        return sum((self.sizes[f] for f in self.rows), start=0)

    @property
    def inputs(self) -> Number:
        """The number of columns."""
        return sum((self.sizes[f] for f in self.columns), start=0)

    def resized(self, sizes: Numbers) -> "Blocks":
        """The same blocks in other sizes."""
        return dataclasses.replace(self, sizes=tuple(sizes))

    def embed(self, point: Numbers) -> np.ndarray:
        """The k × d matrix with these values on its orbits, blocks one after the other.

        **Raises.** `ValueError` where a size is not whole, or the point has another length.
        """
        self._check(point)
        rows, columns = self._places(self.rows), self._places(self.columns)
        value = {
            (o.row, o.column, o.is_diagonal): x for o, x in zip(self.orbits, point, strict=True)
        }
        return np.array(
            [
                [
                    value[r, c, (i == j) if self.rows[r] == self.columns[c] else None]
                    for c, j in columns
                ]
                for r, i in rows
            ]
        )

    def restrict(self, matrix: np.ndarray) -> np.ndarray:
        """The mean over each orbit: the orthogonal projection on the fixed-point space.

        **Raises.** `ValueError` where a size is not whole, or the matrix has another shape.
        """
        rows, columns = self._places(self.rows), self._places(self.columns)
        if np.shape(matrix) != (len(rows), len(columns)):
            raise ValueError(
                f"These blocks make matrices of shape {(len(rows), len(columns))}, but this one "
                f"has {np.shape(matrix)}. Check the sizes {self.sizes}."
            )
        means = []
        for orbit in self.orbits:
            mask = np.array(
                [
                    [
                        r == orbit.row
                        and c == orbit.column
                        and (orbit.is_diagonal is None or (i == j) == orbit.is_diagonal)
                        for c, j in columns
                    ]
                    for r, i in rows
                ]
            )
            means.append(np.mean(np.asarray(matrix)[mask]))
        return np.array(means)

    def split(self, singles: Mapping[int, int]) -> "Split":
        """The blocks of S_{n−j} × S_1 × … × S_1 in place of S_n, for each factor and its j.

        Places that become fixed are the last ones; a remainder of size 0 vanishes.
        """
        for f, j in singles.items():
            if isinstance(self.sizes[f], numbers.Real) and self.sizes[f] < j:
                raise ValueError(
                    f"A block of size {self.sizes[f]} has no {j} places to fix. Take a larger one."
                )
        return self.cut({f: (self.sizes[f] - j, *(1,) * j) for f, j in singles.items()})

    def cut(self, parts: Mapping[int, Numbers]) -> "Split":
        """The blocks of S_{p_0} × … × S_{p_r} in place of S_n, for each factor and the sizes p.

        A first part of size 0 vanishes. The sizes are taken at their word: they should add up to
        n.
        """
        sizes, single = list(self.sizes), list(self.is_single)
        # The parts of each factor, with the number that their places get in `Split`.
        numbered = {f: [(f, 0)] for f in range(len(sizes))}
        for f, (first, *others) in parts.items():
            more = [(len(sizes) + i, i + 1) for i in range(len(others))]
            numbered[f] = more if bool(first == 0) else [(f, 0), *more]
            # A factor that is used up keeps its number and moves nothing.
            sizes[f] = 1 if bool(first == 0) else first
            single[f] = bool(sizes[f] == 1)
            sizes += others
            single += [bool(n == 1) for n in others]
        rows = [(b, *part) for b, f in enumerate(self.rows) for part in numbered[f]]
        columns = [(b, *part) for b, f in enumerate(self.columns) for part in numbered[f]]
        fine = Blocks(
            tuple(sizes),
            tuple(f for _, f, _ in rows),
            tuple(f for _, f, _ in columns),
            tuple(single),
        )
        index = {(o.row, o.column, o.is_diagonal): i for i, o in enumerate(self.orbits)}
        coarse, places = [], []
        for o in fine.orbits:
            (r, _, i), (c, _, j) = rows[o.row], columns[o.column]
            same = self.rows[r] == self.columns[c]
            coarse.append(index[r, c, bool(o.is_diagonal) if same else None])
            places.append((i, j))
        return Split(fine, np.array(coarse, dtype=int), tuple(places), tuple(b for b, _, _ in rows))

    def whole(self) -> tuple[int, ...]:
        """The sizes as integers.

        **Raises.** `ValueError` where one is not whole.
        """
        made = []
        for size in self.sizes:
            if not isinstance(size, numbers.Real) or float(size) % 1:
                raise ValueError(
                    f"Only blocks of whole sizes make a matrix, but these have {self.sizes}. Take "
                    f"whole numbers of neurons, or stay in the reduced coordinates."
                )
            made.append(round(float(size)))
        return tuple(made)

    def _places(self, blocks: tuple[int, ...]) -> list[tuple[int, int]]:
        """Block and place within the block, for every row or column."""
        sizes = self.whole()
        return [(b, i) for b, f in enumerate(blocks) for i in range(sizes[f])]

    def _check(self, point: Numbers) -> None:
        if len(point) != len(self.orbits):
            raise ValueError(
                f"These blocks have {len(self.orbits)} orbits of entries, but {len(point)} values "
                f"were given. One value for each of `blocks.orbits`."
            )


@dataclasses.dataclass(frozen=True)
class Split:
    """Finer blocks, and where they come from."""

    blocks: Blocks
    coarse: np.ndarray
    """The coarser orbit of each orbit: `point[coarse]` is the same matrix."""
    places: tuple[tuple[int, int], ...]
    """Of each orbit, the parts of its rows and columns: 1, 2, … for those split off, or 0."""
    rows: tuple[int, ...]
    """The coarser row block of each row block."""


def orthonormal_teacher(blocks: Blocks, neurons: Sequence[int] | None = None) -> "Teacher":
    """The teacher of unit vectors: one for each input of the column blocks of these factors.

    By default of all of them, so that there are as many teacher neurons as inputs.
    """
    rows = blocks.columns if neurons is None else tuple(neurons)
    theirs = dataclasses.replace(blocks, rows=rows)
    return Teacher(rows, tuple(1 if o.is_diagonal else 0 for o in theirs.orbits))


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A teacher with the symmetry of the blocks: the factor of each row block, and its entries."""

    rows: tuple[int, ...]
    point: tuple[Number, ...]
    heads: tuple[Number, ...] | None = None
    """Outer weights of the row blocks; 1 by default."""


@dataclasses.dataclass(frozen=True)
class Size:
    """A size or a size less one or two, as a function of all sizes."""

    factor: int | None
    less: int = 0

    def __call__(self, sizes: Numbers) -> Number:
        """Its value."""
        return 1 if self.factor is None else sizes[self.factor] - self.less


@dataclasses.dataclass(frozen=True)
class PairClass:
    """Pairs of neurons that the group carries into one another.

    Seen by such a pair, inputs fall into few kinds: on each, both neurons are constant.
    """

    first: int
    second: int
    """The blocks of the two neurons, students first, then teachers."""
    count: tuple[Size, ...]
    """Its number of ordered pairs, as a product."""
    u: tuple[int, ...]
    v: tuple[int, ...]
    """For each kind of inputs, the orbits in which the entries of the two neurons lie."""
    weights: tuple[Size, ...]
    """How many inputs there are of each kind."""


def pair_classes(blocks: Blocks) -> tuple[PairClass, ...]:
    """All classes of pairs of rows, of blocks r ≤ s."""
    index = {(o.row, o.column, o.is_diagonal): i for i, o in enumerate(blocks.orbits)}

    def entry(row: int, column: int, is_own: bool) -> int:
        same = blocks.rows[row] == blocks.columns[column]
        return index[row, column, is_own if same else None]

    made = []
    for r, s in itertools.combinations_with_replacement(range(len(blocks.rows)), 2):
        f, g = blocks.rows[r], blocks.rows[s]
        many = not blocks.is_single[f]
        # Places of the pair in their common factor: equal or different; otherwise independent.
        kinds = (["equal", "different"] if many else ["equal"]) if f == g else ["independent"]
        for kind in kinds:
            u, v, weights = [], [], []

            def inputs_of(owner_u: bool, owner_v: bool, size: Size, column: int) -> None:
                u.append(entry(r, column, owner_u))  # noqa: B023 # called in this turn only
                v.append(entry(s, column, owner_v))  # noqa: B023 # likewise
                weights.append(size)  # noqa: B023 # likewise

            for column, h in enumerate(blocks.columns):
                own = {f, g} & {h}
                if not own:
                    inputs_of(False, False, Size(h), column)
                    continue
                if kind == "different":
                    inputs_of(True, False, Size(None), column)
                    inputs_of(False, True, Size(None), column)
                    inputs_of(False, False, Size(h, 2), column)
                    continue
                inputs_of(f == h, g == h, Size(None), column)
                if not blocks.is_single[h]:
                    inputs_of(False, False, Size(h, 1), column)
            count = {
                "equal": (Size(f),),
                "different": (Size(f), Size(f, 1)),
                "independent": (Size(f), Size(g)),
            }[kind]
            made.append(PairClass(r, s, count, tuple(u), tuple(v), tuple(weights)))
    return tuple(made)
