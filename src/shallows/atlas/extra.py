r"""What becomes of a family when the student has more neurons than the teacher.

A critical point stays one in two ways when M neurons are added. *Splitting* replaces a neuron w by
parallel ones $t_1 w, \dots, t_q w$ with $\sum t_a = 1$: the network stays what it is, and the
shares sweep a simplex of critical points. The Hessian decouples there. With
$u_a = t_a\delta + \epsilon_a$ and $\sum\epsilon_a = 0$ its quadratic form is

$$ Q(\delta, \text{rest}) + \sum_a \frac{1}{t_a} \epsilon_a^\top H' \epsilon_a, $$

Q that of the narrow network and H' its diagonal block at the neuron less I/2. So a split minimum
is a saddle if and only if H' has a negative eigenvalue. H' w = 0 always: that is the simplex, and
no sign of degeneracy.

*New neurons* are fixed by the family's group, one number for each block of inputs. At a new
neuron of zero the loss has one-sided derivatives only; descent starts from small ones in many
directions. Its ends, and what Newton's method finds around them, are the other continuations.

What is found here is evidence: nothing says that there are no others.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from shallows import notebook
from shallows.atlas.catalogue import Kind
from shallows.atlas.families import Member, member
from shallows.atlas.split_levels import Direction, between, levels, together, with_copies
from shallows.atlas.wider import Wider, around, floats, small_neurons
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Network
from shallows.solve.branch import scales
from shallows.solve.critical import NewtonOutcome
from shallows.solve.symmetric import symmetric_point
from shallows.symmetry import (
    AbstractArithmetic,
    Blocks,
    Eigenvalue,
    Floats,
    ReducedLoss,
    components,
)

# Below this multiple of the family's own loss, descent is on its way to the global minimum.
_NOTHING = 1e-4
# An eigenvalue that cannot be told from zero, as in `Member.kind`.
_ZERO = 1e-12
# Neurons up to which floats, which lose 1e-16 k², are good for a search.
_FLOATS = 2000


@dataclasses.dataclass(frozen=True, repr=False)
class Continuation:
    """A critical point of the wider student that continues a family's."""

    name: str
    """The family."""
    neurons: int | float
    """Of the family; the student has `extra` more."""
    extra: int
    added: int
    """How many are new, each fixed by the family's group."""
    row: int | None
    """The row block of which one neuron is split in `parts` equal ones; None if there is none."""
    parts: int
    loss: ReducedLoss
    """With the neurons that are new, and before a neuron is split (which leaves its value)."""
    point: np.ndarray
    numbers: AbstractArithmetic
    value: float
    """The loss."""
    is_gone: bool
    """Whether this is no continuation, but where descent from the family ended instead."""
    spectrum: tuple[Eigenvalue, ...]
    """All Hessian eigenvalues but those that are zero by construction; empty if it has gone.
    `factors` are those of `group`."""
    group: Blocks
    """The blocks that are left in place; of `loss`, with the split neuron by itself."""
    zeros: int
    """How many are zero by construction: shares of split neurons."""
    direction: Direction | None
    """Of descent at second order, if there is one."""

    @property
    def how(self) -> str:
        """How it continues the family, in words."""
        words = []
        if self.added:
            words.append(f"{self.added} new neuron{'s' if self.added > 1 else ''}")
        if self.row is not None:
            words.append(f"{self._whose} split in {self.parts}")
        return ", ".join(words) + (" (descends out of the family)" if self.is_gone else "")

    @property
    def _whose(self) -> str:
        blocks, row = self.loss.blocks, self.row or 0
        new = row - len(blocks.rows) + self.added
        if new >= 0:
            return "the new neuron" if self.added == 1 else f"new neuron {new + 1}"
        size = blocks.sizes[blocks.rows[row]]
        if blocks.is_single[blocks.rows[row]]:
            return "the single neuron"
        return f"a neuron of the block of {_printed(size)}"

    @property
    def smallest(self) -> Eigenvalue | None:
        """The smallest eigenvalue that is not zero by construction."""
        return self.spectrum[0] if self.spectrum else None

    @property
    def kind(self) -> Kind:
        """What the smallest of these makes it: a line of minima counts as a minimum."""
        if not self.spectrum:
            return Kind.degenerate
        least = float(self.spectrum[0].eigenvalue)
        if abs(least) <= _ZERO:
            return Kind.degenerate
        return Kind.minimum if least > 0 else Kind.saddle

    def student(self) -> Network:
        """The full student; whole sizes only."""
        matrix = self.loss.blocks.embed([float(x) for x in self.point])
        if self.row is not None:
            place = int(_last(self.loss.blocks, self.row))
            matrix[place] /= self.parts
            matrix = with_copies(matrix, place, self.parts - 1)
        return Network(matrix)

    def descends(self) -> bool:
        """Whether the full loss falls along `direction` as its eigenvalue says, to 5 %.

        By a second difference whose step is 1/1000 of the smallest neuron's norm: the loss has
        no third derivative at split neurons, and large ones at small neurons.

        **Cost.** Overlaps of all pairs: for whole sizes up to some thousand.
        """
        if self.direction is None:
            return False
        along, student = self.direction.matrix(), self.student()
        theirs = dataclasses.replace(self.loss.blocks, rows=self.loss.teacher.rows)
        teacher = Network(theirs.embed([float(x) for x in self.loss.teacher.point]))
        full = SquaredLoss(teacher, Gaussian(student.inputs))
        step = 1e-3 * float(np.min(np.linalg.norm(student.inner, axis=1)))
        here, ahead, behind = (
            float(full(Network(student.inner + s * along))) for s in (0.0, step, -step)
        )
        found = (ahead - 2 * here + behind) / step**2
        least = self.direction.eigenvalue
        return min(ahead, behind) < here and abs(found - least) <= 0.05 * abs(least)

    def as_json(self) -> dict[str, object]:
        """One entry of `continuations` in the command `family`."""
        least = self.smallest
        return {
            "how": self.how,
            "loss": self.value,
            "smallest_eigenvalue": None if least is None else float(least.eigenvalue),
            "component": None if least is None else least.representation.value,
            "factors": None
            if least is None
            else [_printed(self.group.sizes[f]) for f in least.factors],
            "kind": self.kind.value,
            "is_gone": self.is_gone,
            "zeros_by_construction": self.zeros,
        }

    def __repr__(self) -> str:
        return (
            f"Continuation({self.name!r}, k = {_printed(self.neurons)} + {self.extra}, {self.how}: "
            f"{self.kind.value}, loss {self.value:.6g})"
        )


@dataclasses.dataclass(frozen=True, repr=False)
class Annihilation(notebook.AbstractTable):
    """How many extra neurons a family of one size survives, as far as was found."""

    name: str
    neurons: int | float
    extra: int | None
    """The smallest number with which nothing that was found is a minimum; None if that
    number is larger than those tried."""
    found: tuple[tuple[Continuation, ...], ...]
    """For 1, 2, … extra neurons, what continues the family: evidence, no proof."""

    def __repr__(self) -> str:
        by = "none of those tried" if self.extra is None else f"{self.extra} more neurons"
        return f"Annihilation({self.name!r}, k = {_printed(self.neurons)}: by {by})"

    def _columns(self) -> notebook.Columns:
        each = [one for together in self.found for one in together]
        least = [one.smallest for one in each]
        return {
            "extra": [one.extra for one in each],
            "how": [one.how for one in each],
            "loss": [one.value for one in each],
            "smallest_eigenvalue": [None if e is None else float(e.eigenvalue) for e in least],
            "kind": [one.kind for one in each],
        }


def annihilation(name: str, sizes: Sequence[int], most: int = 3) -> tuple[Annihilation, ...]:
    """For each size, the smallest number of extra neurons with which the family is no minimum.

    That every continuation found is a saddle, or has gone, is evidence that it is none: the
    search is that of `continuations`, which does not prove that there are no others.

    **Raises.** `ValueError` where `member` does, and for `most` below 1.
    """
    _positive("most", most)
    return tuple(_annihilated(member(name, k), most) for k in sizes)


def _annihilated(point: Member, most: int) -> Annihilation:
    if point.kind() is not Kind.minimum:
        return Annihilation(point.name, point.neurons, 0, ())
    found = []
    for extra in range(1, most + 1):
        found.append(continuations(point, extra))
        if all(c.is_gone or c.kind is Kind.saddle for c in found[-1]):
            return Annihilation(point.name, point.neurons, extra, tuple(found))
    return Annihilation(point.name, point.neurons, None, tuple(found))


def continuations(
    point: Member, extra: int, *, free: Mapping[int, int] | None = None, seed: int = 0
) -> tuple[Continuation, ...]:
    """What continues a family's point with `extra` more neurons, of lowest loss first.

    Some of them may be new, and all others come from splitting one neuron into equal parts. (To
    split several is a minimum just if each of them alone is.) Where descent from the family leaves
    it, its end is listed as well, with `is_gone`.

    New neurons have the symmetry of the family. With `free={0: 1}` they have that of the subgroup
    that fixes one place of factor 0 (see `Blocks.split`), and the others may follow them; with
    less symmetry there is more to find, and the search is less thorough.

    **Accuracy.** Points, losses and spectra are computed in the family's balls, as exact as its
    own. The search is in floats: beyond 2000 neurons it is made at 1000, and what it finds is
    followed to the family's size, where blocks allow it; ends that have gone are left out then.

    **Raises.** `ValueError` for fewer than 1 extra neurons.

    **Source.** safranyehudaishamir2020 for splitting; arjevanifield2022 for new neurons.
    """
    _positive("extra", extra)
    made: list[Continuation] = []
    with point.numbers.precision():
        point = _loosened(point, free)
        base = _searchable(point, free)
        for added in range(extra + 1):
            cores, gone = _cores(base, added, seed)
            if base is not point:
                cores, gone = _carried(cores, point, added), None
            rest = extra - added
            for loss, x in cores:
                rows = range(len(loss.blocks.rows)) if rest else [None]
                made += [_continuation(point, extra, added, row, loss, x) for row in rows]
            if gone is not None and not rest:
                made.append(_left(point, extra, *gone))
    return tuple(sorted(made, key=lambda c: (c.value, c.how)))


def _loosened(point: Member, free: Mapping[int, int] | None) -> Member:
    if not free:
        return point
    loss, split = point.loss.split(free)
    return dataclasses.replace(point, loss=loss, point=point.point[split.coarse])


def _searchable(point: Member, free: Mapping[int, int] | None) -> Member:
    """The family at a size at which floats are good for a search; the same where there is none."""
    if float(point.neurons) <= _FLOATS:
        return point
    small = _loosened(member(point.name, _FLOATS // 2), free)
    sizes, wanted = small.loss.blocks.sizes, point.loss.blocks.sizes
    return small if sizes[1:] == wanted[1:] and small.inputs == small.neurons else point


def _carried(cores, point: Member, added: int):
    """Critical points of a smaller family, followed to the size of this one."""
    wanted = _wide(point, added)
    ends = [_followed(loss, x, wanted, point.numbers) for loss, x in cores]
    return [(wanted, x) for x in ends if x is not None]


def _followed(loss: ReducedLoss, x, wanted: ReducedLoss, o: AbstractArithmetic):
    """The point at the wanted size, in steps of log k; None where Newton's method loses it."""
    now, last = (math.log(float(b.blocks.sizes[0])) for b in (loss, wanted))
    weights, growth, step = floats(x) / floats(scales(loss.blocks)), 0.0, 0.05
    while step > 1e-3:
        step = min(step, last - now)
        there = wanted
        if now + step < last:
            sizes = (round(math.exp(now + step)), *wanted.blocks.sizes[1:])
            there = ReducedLoss(wanted.blocks.resized(sizes), wanted.teacher, wanted.heads)
        unit = floats(scales(there.blocks))
        # Weights go like powers of k, or tend to constants: in both cases this is close.
        guess = weights * np.exp(np.clip(growth * step, -1, 1))
        found = symmetric_point(there, guess * unit, o)
        end = floats(found.point) / unit
        if found.outcome is not NewtonOutcome.converged or np.any(
            np.abs(end - guess) > 0.1 * np.abs(guess) + 1e-4
        ):
            step /= 4
            continue
        if there is wanted:
            return found.point
        growth = np.log(np.maximum(end / weights, 1e-3)) / step
        now, weights, step = now + step, end, min(2 * step, 1.0)
    return None


def _positive(name: str, number: int) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(
            f"`{name}` counts neurons that are added, but is {number!r}. Use 1, 2, …; without "
            f"any, ask for the `member` itself."
        )


def _printed(size) -> str:
    return f"{float(size):g}" if float(size) < 1e6 else str(size)


# Splitting: the spectrum where one neuron of the narrower student has become q equal parts.


def _continuation(point: Member, extra: int, added: int, row: int | None, loss, x) -> Continuation:
    o, parts = point.numbers, 1 if row is None else extra - added + 1
    if row is None:
        group, place, found = loss.blocks, None, levels(components(loss, x, o), o)
    else:
        # The neuron by itself: the point stays what it is, and the group moves the others.
        place = _last(loss.blocks, row)
        factor, alone, single, coarse = loss.blocks.rows[row], row, loss, range(len(x))
        if not loss.blocks.is_single[factor]:
            factor, (single, split) = len(loss.blocks.sizes), loss.split({factor: 1})
            alone, coarse = single.blocks.rows.index(factor), split.coarse
        group = single.blocks
        own = [i for i, orbit in enumerate(group.orbits) if orbit.row == alone]
        size = [group.sizes[group.columns[group.orbits[i].column]] for i in own]
        neuron = x[coarse][own] * o.sqrt(o.numbers(size))
        whole = components(single, x[coarse], o)
        found = levels([together(part, factor, parts, o) for part in whole], o)
        for part in whole:
            found += between(part, factor, parts, neuron, o)
    found.sort(key=lambda level: float(level.eigenvalue.eigenvalue))
    direction = None
    if float(found[0].eigenvalue.eigenvalue) < -_ZERO:
        direction = found[0].direction(place, parts)
    return Continuation(
        name=point.name,
        neurons=point.neurons,
        extra=extra,
        added=added,
        row=row,
        parts=parts,
        loss=loss,
        point=x,
        numbers=o,
        value=float(loss.value(x, o)),
        is_gone=False,
        spectrum=tuple(level.eigenvalue for level in found),
        group=group,
        zeros=parts - 1,
        direction=direction,
    )


def _last(blocks: Blocks, row: int) -> int | float:
    """The place, among all neurons, of a row block's last one."""
    return sum(blocks.sizes[f] for f in blocks.rows[: row + 1]) - 1


# New neurons: descent from small ones, Newton's method from anywhere around, all in floats.


def _wide(point: Member, added: int) -> ReducedLoss:
    narrow = point.loss.blocks
    n = len(narrow.sizes)
    blocks = Blocks(
        (*narrow.sizes, *[1] * added),
        (*narrow.rows, *range(n, n + added)),
        narrow.columns,
        (*narrow.is_single, *[True] * added),
    )
    return ReducedLoss(blocks, point.loss.teacher, (*point.loss.heads, *[1] * added))


def _cores(point: Member, added: int, seed: int):
    """Critical points with that many new neurons, and where descent ends if it leaves them."""
    if not added:
        return [(point.loss, point.point)], None
    space = Wider(point, _wide(point, added), added)
    rng = np.random.default_rng(seed)
    floor = _NOTHING * point.value
    ends, values, settled = space.descents(small_neurons(space, rng), floor)
    nothing = values < floor
    near, arrived = space.is_near(ends) & ~nothing, settled & space.is_proper(ends)
    candidates = list(ends[arrived & near])
    left = np.flatnonzero(nothing | (arrived & ~near))
    gone = None
    if len(left):
        lowest = left[np.argmin(values[left])]
        end, value, _ = space.descents(ends[lowest][None], 0.0)
        gone = (space.loss, end[0], max(float(value[0]), 0.0))
    found: list[np.ndarray] = []
    for _ in range(2):
        candidates += list(space.newton(around(space, rng, 64 * added), np.array(found)))
        for x in candidates:
            is_ours = (space.is_near(x[None]) & space.is_proper(x[None]))[0]
            if is_ours and not space.is_known(x, found):
                found.append(space.ordered(x))
        candidates = []
    cores: list[np.ndarray] = []
    for x in found:
        sharp = symmetric_point(space.loss, x, point.numbers, reach=1e-2)
        # What floats at large k told apart may be one point after all.
        is_new = not space.is_known(floats(sharp.point), [floats(y) for y in cores])
        if sharp.outcome is NewtonOutcome.converged and is_new:
            cores.append(sharp.point)
    return [(space.loss, x) for x in cores], gone


def _left(point: Member, extra: int, loss: ReducedLoss, x, value: float) -> Continuation:
    return Continuation(
        name=point.name,
        neurons=point.neurons,
        extra=extra,
        added=extra,
        row=None,
        parts=1,
        loss=loss,
        point=x,
        numbers=Floats(),
        value=value,
        is_gone=True,
        spectrum=(),
        group=loss.blocks,
        zeros=0,
        direction=None,
    )
