r"""The loss of block-symmetric students, in closed form, in any numbers.

With $c$ = (student heads, −teacher heads) the loss is $\frac12 c^\top K c$, and pairs of neurons
that the group carries into one another have the same overlap: a sum over few *classes* of pairs,
each counted as often as it occurs. Seen by a pair, inputs fall into a few kinds on which both
neurons are constant, so that inner products are short sums weighted by the sizes of the kinds.

Nothing here asks what a number is. Floats give the fast form, balls the one that is right at
k = 10⁹ (where the loss is a difference of terms of order k²), power series the one that knows
how things behave as k → ∞.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from shallows.symmetry.arithmetic import AbstractArithmetic, Floats, Number, Numbers
from shallows.symmetry.blocks import Blocks, Split, Teacher, orthonormal_teacher, pair_classes


@dataclasses.dataclass(frozen=True, init=False)
class ReducedLoss:
    """The loss under the standard Gaussian law, in coordinates on the orbits of entries.

    `blocks` are those of the student. The `teacher` has the same symmetry; by default it is
    orthonormal with one neuron for each input. `heads` are the student's outer weights, one for
    each row block (default: 1).

    **Convention.** The normalisation of `SquaredLoss`. `gradient` and `hessian` are derivatives in
    the coordinates; divided by `blocks.counts`, the gradient is that of the full loss at one
    entry of each orbit.

    **Accuracy.** That of the numbers. In floats 1e-15 of the sizes of the terms, which are of
    order k² where the loss may be of order 1/k. At pairs of parallel neurons the second
    derivatives are those of the full loss; there are no third ones.

    **Source.** Arjevani & Field (2020), 2003.10576, for the method; the formulas are those of
    `shallows.model.overlaps`.
    """

    blocks: Blocks
    teacher: Teacher
    heads: tuple[Number, ...]

    def __init__(
        self,
        blocks: Blocks,
        teacher: Teacher | None = None,
        heads: Numbers | None = None,
    ):
        object.__setattr__(self, "blocks", blocks)
        theirs = orthonormal_teacher(blocks) if teacher is None else teacher
        object.__setattr__(self, "teacher", theirs)
        given = (1,) * len(blocks.rows) if heads is None else tuple(heads)
        object.__setattr__(self, "heads", given)

    def split(self, singles: Mapping[int, int]) -> tuple["ReducedLoss", Split]:
        """The same loss on finer blocks; see `Blocks.split`."""
        return self._on(lambda blocks: blocks.split(singles))

    def cut(self, parts: Mapping[int, Numbers]) -> tuple["ReducedLoss", Split]:
        """The same loss on finer blocks; see `Blocks.cut`."""
        return self._on(lambda blocks: blocks.cut(parts))

    def _on(self, finer: Callable[[Blocks], Split]) -> tuple["ReducedLoss", Split]:
        theirs = finer(dataclasses.replace(self.blocks, rows=self.teacher.rows))
        ours = finer(self.blocks)
        heads = self.teacher.heads
        teacher = Teacher(
            theirs.blocks.rows,
            tuple(self.teacher.point[i] for i in theirs.coarse),
            None if heads is None else tuple(heads[i] for i in theirs.rows),
        )
        return ReducedLoss(ours.blocks, teacher, tuple(self.heads[i] for i in ours.rows)), ours

    def value(self, point: Numbers, numbers: AbstractArithmetic | None = None) -> Number:
        """The loss at a point (or, in floats, at each of a batch: orbits on the last axis)."""
        o = Floats() if numbers is None else numbers
        pairs = self._pairs(point, o)
        profile = pairs.sine + pairs.supplement * pairs.inner
        return np.sum(pairs.share * profile, axis=-1) / (2 * o.pi)

    def gradient(self, point: Numbers, numbers: AbstractArithmetic | None = None) -> np.ndarray:
        """The derivatives in the coordinates."""
        o = Floats() if numbers is None else numbers
        p = self._pairs(point, o, self._with_student)
        share = p.share / (2 * o.pi)
        on_u = p.weight * (_column(p.sine / p.square_u) * p.u + _column(p.supplement) * p.v)
        on_v = p.weight * (_column(p.sine / p.square_v) * p.v + _column(p.supplement) * p.u)
        total = _zeros(self._width, on_u)
        for where, part in ((p.where_u, on_u), (p.where_v, on_v)):
            np.add.at(total, where, np.moveaxis(_column(share) * part, (-2, -1), (0, 1)))
        return np.moveaxis(total, 0, -1)[..., : len(self.blocks.orbits)]

    def hessian(self, point: Numbers, numbers: AbstractArithmetic | None = None) -> np.ndarray:
        """The second derivatives in the coordinates."""
        o = Floats() if numbers is None else numbers
        p = self._pairs(point, o, self._with_student)
        share = (p.share / (2 * o.pi))[..., None, None]
        norm_u, norm_v = o.sqrt(p.square_u), o.sqrt(p.square_v)
        upon, diagonal = o.inverse(p.sine), np.eye(p.u.shape[-1], dtype=int)
        u, v, identity = p.weight * p.u, p.weight * p.v, p.weight[..., None, :] * diagonal

        def pure(x, y, square, inner):
            # y less its component along x: of length |y| sin θ.
            across = y - _column(inner / square) * x
            flat = identity - _square(x) / _table(square)
            return _table(p.sine / square) * flat + _table(upon) * _square(across)

        # With the half angle: the two terms of the textbook formula are singular at parallel
        # pairs, and cancel. What multiplies a cotangent that is set to 0 is exactly 0.
        lengths = norm_u * norm_v
        is_acute = (p.inner > 0).astype(bool)
        small = p.sine * o.inverse(lengths + np.where(is_acute, p.inner, -p.inner))
        large = o.inverse(small)
        tan, cot = np.where(is_acute, small, large), np.where(is_acute, large, small)
        unit_u, unit_v = u / _column(norm_u), v / _column(norm_v)
        turned = _table(tan) * _square(unit_u + unit_v) - _table(cot) * _square(unit_v - unit_u)
        mixed = _table(p.supplement) * identity + turned / 2

        total = _zeros((self._width, self._width), u)
        for first, second, part in (
            (p.where_u, p.where_u, pure(u, v, p.square_u, p.inner)),
            (p.where_v, p.where_v, pure(v, u, p.square_v, p.inner)),
            (p.where_u, p.where_v, mixed),
            (p.where_v, p.where_u, np.swapaxes(mixed, -1, -2)),
        ):
            where = (first[:, :, None], second[:, None, :])
            np.add.at(total, where, np.moveaxis(share * part, (-3, -2, -1), (0, 1, 2)))
        n = len(self.blocks.orbits)
        return np.moveaxis(total, (0, 1), (-2, -1))[..., :n, :n]

    def clearance(
        self, point: Numbers, numbers: AbstractArithmetic | None = None
    ) -> tuple[float, float]:
        """How far the point is from where the loss is not analytic.

        The smallest length of a student, and the smallest |sin θ| of a student and another
        neuron.
        """
        o = Floats() if numbers is None else numbers
        p = self._pairs(point, o, self._with_student)
        same = np.all(p.where_u == p.where_v, axis=-1)
        norms = [o.sqrt(x) for x, is_same in zip(p.square_u, same, strict=True) if is_same]
        lengths = o.sqrt(p.square_u) * o.sqrt(p.square_v)
        sines = (p.sine * o.inverse(lengths))[~same]
        return min(map(float, norms)), min(map(float, sines), default=1.0)

    @cached_property
    def _everybody(self) -> Blocks:
        """Students and teachers as one set of neurons."""
        rows = (*self.blocks.rows, *self.teacher.rows)
        return dataclasses.replace(self.blocks, rows=rows)

    @property
    def _classes(self):
        """All classes of pairs, with kinds of inputs filled up to equal numbers by empty ones."""
        blocks = self._everybody
        return _classes_of(blocks.rows, blocks.columns, blocks.is_single)

    @property
    def _width(self) -> int:
        return len(self._everybody.orbits) + 1

    @cached_property
    def _with_student(self) -> np.ndarray:
        """Which classes have a student in them; the others have no derivatives."""
        return np.array(
            [i for i, c in enumerate(self._classes[0]) if c.first < len(self.blocks.rows)]
        )

    def _pairs(self, point, o: AbstractArithmetic, chosen: np.ndarray | None = None) -> "_Pairs":
        classes, where_u, where_v, longest = self._classes
        if chosen is None:
            chosen = np.arange(len(classes))
        sizes = o.numbers(self.blocks.sizes)
        heads = [*self.heads, *(-h for h in self.teacher.heads or (1,) * len(self.teacher.rows))]
        share, kinds = [], []
        for i in chosen:
            c = classes[i]
            times = heads[c.first] * heads[c.second]
            for size in c.count:
                times = times * size(sizes)
            # Ordered pairs of one block are counted once, those of two blocks twice, and halved.
            share.append(times / 2 if c.first == c.second else times)
            kinds.append([w(sizes) for w in c.weights] + [0] * (longest - len(c.weights)))
        weight = o.numbers(kinds)
        values = o.numbers(point)
        fixed = o.numbers([*self.teacher.point, 0])
        fixed = np.broadcast_to(fixed, (*values.shape[:-1], len(fixed)))
        everything = np.concatenate([values, fixed], axis=-1)
        where_u, where_v = where_u[chosen], where_v[chosen]
        u, v = everything[..., where_u], everything[..., where_v]
        # Lagrange's identity: no cancellation where neurons are almost parallel.
        i, j = np.triu_indices(longest, 1)
        turn = u[..., i] * v[..., j] - u[..., j] * v[..., i]
        area = weight[..., i] * weight[..., j] * turn * turn
        # A neuron is parallel to itself, whatever rounding says.
        area = np.where(np.all(where_u == where_v, axis=-1)[:, None], o.numbers(0), area)
        sine = o.sqrt(np.sum(area, axis=-1))
        inner = np.sum(weight * u * v, axis=-1)
        return _Pairs(
            where_u=where_u,
            where_v=where_v,
            u=u,
            v=v,
            weight=weight,
            share=o.numbers(share),
            square_u=np.sum(weight * u * u, axis=-1),
            square_v=np.sum(weight * v * v, axis=-1),
            inner=inner,
            sine=sine,
            supplement=o.angle(sine, -inner),
        )


@functools.lru_cache(maxsize=256)
def _classes_of(rows, columns, is_single):
    # They do not depend on sizes, which change at every step along a branch.
    blocks = Blocks((1,) * len(is_single), rows, columns, is_single)
    classes, nowhere = pair_classes(blocks), len(blocks.orbits)
    longest = max(len(c.weights) for c in classes)
    u, v = (
        np.array([[*getattr(c, name), *[nowhere] * (longest - len(c.weights))] for c in classes])
        for name in ("u", "v")
    )
    return classes, u, v, longest


@dataclasses.dataclass(frozen=True)
class _Pairs:
    where_u: np.ndarray
    where_v: np.ndarray
    u: np.ndarray
    v: np.ndarray
    weight: np.ndarray
    share: np.ndarray
    square_u: np.ndarray
    square_v: np.ndarray
    inner: np.ndarray
    sine: np.ndarray
    """|u||v| sin θ."""
    supplement: np.ndarray
    """π − θ."""


def _column(x):
    return x[..., None]


def _table(x):
    return x[..., None, None]


def _square(x):
    return x[..., :, None] * x[..., None, :]


def _zeros(shape, like):
    shape = shape if isinstance(shape, tuple) else (shape,)
    return np.zeros((*shape, *like.shape[:-2]), dtype=like.dtype)
