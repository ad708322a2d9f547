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
from typing import TYPE_CHECKING

import numpy as np

from shallows.symmetry.arithmetic import AbstractArithmetic, Floats, Number, Numbers
from shallows.symmetry.blocks import Blocks, Split, Teacher, orthonormal_teacher, pair_classes
from shallows.symmetry.kernels import AbstractKernel, Pairs, column, kernel, table

if TYPE_CHECKING:
    from shallows.model import AbstractActivation


@dataclasses.dataclass(frozen=True, init=False)
class ReducedLoss:
    """The loss under the standard Gaussian law, in coordinates on the orbits of entries.

    `blocks` are those of the student. The `teacher` has the same symmetry; by default it is
    orthonormal with one neuron for each input. `heads` are the student's outer weights, one for
    each row block (default: 1). The `activation` is the ReLU if it is not given.

    **Convention.** The normalisation of `SquaredLoss`. `gradient` and `hessian` are derivatives in
    the coordinates; divided by `blocks.counts`, the gradient is that of the full loss at one
    entry of each orbit.

    **Accuracy.** That of the numbers. In floats 1e-15 of the sizes of the terms, which are of
    order k² where the loss may be of order 1/k. At pairs of parallel neurons the second
    derivatives are those of the full loss; there are no third ones. Smooth activations are known in
    floats only, and other numbers raise `ValueError`.

    **Source.** Arjevani & Field (2020), 2003.10576, for the method; the formulas are those of
    `shallows.model.overlaps`.
    """

    blocks: Blocks
    teacher: Teacher
    heads: tuple[Number, ...]
    activation: "AbstractActivation | None"

    def __init__(
        self,
        blocks: Blocks,
        teacher: Teacher | None = None,
        heads: Numbers | None = None,
        activation: "AbstractActivation | None" = None,
    ):
        object.__setattr__(self, "activation", activation)
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
        inherited = tuple(self.heads[i] for i in ours.rows)
        return ReducedLoss(ours.blocks, teacher, inherited, self.activation), ours

    def value(self, point: Numbers, numbers: AbstractArithmetic | None = None) -> Number:
        """The loss at a point (or, in floats, at each of a batch: orbits on the last axis)."""
        o = Floats() if numbers is None else numbers
        unit, p = self._kernel.unit(o), self._pairs(point, o)
        return np.sum(p.share * self._kernel.value(p, o), axis=-1) / unit

    def gradient(self, point: Numbers, numbers: AbstractArithmetic | None = None) -> np.ndarray:
        """The derivatives in the coordinates."""
        o = Floats() if numbers is None else numbers
        p = self._pairs(point, o, self._with_student)
        share = p.share / self._kernel.unit(o)
        along_u, along_v, across = (column(x) for x in self._kernel.slopes(p, o))
        on_u = p.weight * (along_u * p.u + across * p.v)
        on_v = p.weight * (along_v * p.v + across * p.u)
        total = _zeros(self._width, on_u)
        for where, part in ((p.where_u, on_u), (p.where_v, on_v)):
            np.add.at(total, where, np.moveaxis(column(share) * part, (-2, -1), (0, 1)))
        return np.moveaxis(total, 0, -1)[..., : len(self.blocks.orbits)]

    def hessian(self, point: Numbers, numbers: AbstractArithmetic | None = None) -> np.ndarray:
        """The second derivatives in the coordinates."""
        o = Floats() if numbers is None else numbers
        p = self._pairs(point, o, self._with_student)
        share = table(p.share / self._kernel.unit(o))
        on_u, on_v, mixed = self._kernel.curvatures(p, o)
        total = _zeros((self._width, self._width), on_u[..., 0])
        for first, second, part in (
            (p.where_u, p.where_u, on_u),
            (p.where_v, p.where_v, on_v),
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
    def _kernel(self) -> AbstractKernel:
        return kernel(self.activation)

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

    def _pairs(self, point, o: AbstractArithmetic, chosen: np.ndarray | None = None) -> Pairs:
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
        # One kind of inputs makes no area, and an empty sum of objects would be the integer 0.
        squares = np.sum(area, axis=-1) if len(i) else o.numbers(np.zeros(area.shape[:-1]))
        sine = o.sqrt(squares)
        inner = np.sum(weight * u * v, axis=-1)
        return Pairs(
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


def _zeros(shape, like):
    shape = shape if isinstance(shape, tuple) else (shape,)
    return np.zeros((*shape, *like.shape[:-2]), dtype=like.dtype)


def full_loss(neurons: int, inputs: int, teachers: int | None = None) -> ReducedLoss:
    """The loss in all weights, for an orthonormal teacher: the trivial group's `ReducedLoss`.

    Coordinates are the weights, row by row. Without `teachers` there are as many as neurons.

    **Cost.** Formulas are evaluated in NumPy, pair by pair, at once and in any numbers: for small
    sizes, where `SquaredLoss` would be compiled for longer than it runs.
    """
    blocks = Blocks((1,) * (neurons + inputs), range(neurons), range(neurons, neurons + inputs))
    known = neurons if teachers is None else teachers
    return ReducedLoss(blocks, orthonormal_teacher(blocks, tuple(range(neurons, neurons + known))))
