"""What a branch is followed in: width, a fraction of neurons, sizes, teacher or activation."""

import abc
import dataclasses
import math

from shallows.model.activations import leaky
from shallows.symmetry import ReducedLoss, Teacher
from shallows.symmetry.arithmetic import Number


class AbstractDirection(abc.ABC):
    """What is continued: a curve of problems with the same orbits.

    The *coordinate* is an increasing function of the parameter in which equal steps are about
    equally hard.
    """

    name: str
    """What the parameter is called in messages."""

    @abc.abstractmethod
    def loss(self, coordinate: Number) -> ReducedLoss:
        """The problem there."""

    @abc.abstractmethod
    def coordinate(self, parameter: Number) -> Number:
        """The coordinate of a parameter."""

    @abc.abstractmethod
    def parameter(self, coordinate: Number) -> Number:
        """The parameter of a coordinate."""


@dataclasses.dataclass(frozen=True)
class Width(AbstractDirection):
    """Along the number of neurons k: one factor grows, the others keep their sizes.

    With `factor=None` all that are moved grow in proportion. The coordinate is log k, so that k
    from 3 to 10⁹ is a curve of length 20.
    """

    of: ReducedLoss
    factor: int | None = 0
    name = "k"

    def loss(self, coordinate):
        """See `AbstractDirection`."""
        sizes = list(self.of.blocks.sizes)
        if self.factor is None:
            single = self.of.blocks.is_single
            fixed = sum(single[f] for f in self._rows)
            times = (_exp(coordinate) - fixed) / (self.of.blocks.neurons - fixed)
            grown = [n if one else n * times for n, one in zip(sizes, single, strict=True)]
            return _resized(self.of, grown)
        others = sum(n for f, n in enumerate(sizes) if f != self.factor and f in self._rows)
        sizes[self.factor] = (_exp(coordinate) - others) / self._rows.count(self.factor)
        return _resized(self.of, sizes)

    @property
    def _rows(self) -> tuple[int, ...]:
        return self.of.blocks.rows

    def coordinate(self, parameter):
        """See `AbstractDirection`."""
        return _log(parameter)

    def parameter(self, coordinate):
        """See `AbstractDirection`."""
        return _exp(coordinate)


@dataclasses.dataclass(frozen=True)
class Fraction(AbstractDirection):
    """Along the fraction p/k of neurons in one factor, at fixed k: another gives what it takes."""

    of: ReducedLoss
    factor: int = 1
    giver: int = 0
    name = "p/k"

    def loss(self, coordinate):
        """See `AbstractDirection`."""
        sizes = list(self.of.blocks.sizes)
        both = sizes[self.factor] + sizes[self.giver]
        sizes[self.factor] = coordinate * self.of.blocks.neurons
        sizes[self.giver] = both - sizes[self.factor]
        return _resized(self.of, sizes)

    def coordinate(self, parameter):
        """See `AbstractDirection`."""
        return parameter

    def parameter(self, coordinate):
        """See `AbstractDirection`."""
        return coordinate


@dataclasses.dataclass(frozen=True)
class Resizing(AbstractDirection):
    """Along a segment of logarithms of sizes, from those of `of` (t = 0) to others (t = 1)."""

    of: ReducedLoss
    sizes: tuple[Number, ...]
    name = "t"

    def loss(self, coordinate):
        """See `AbstractDirection`."""
        pairs = zip(self.of.blocks.sizes, self.sizes, strict=True)
        ends = [(_log(a), _log(b)) for a, b in pairs]
        return _resized(self.of, [_exp((1 - coordinate) * a + coordinate * b) for a, b in ends])

    def coordinate(self, parameter):
        """See `AbstractDirection`."""
        return parameter

    def parameter(self, coordinate):
        """See `AbstractDirection`."""
        return coordinate


@dataclasses.dataclass(frozen=True)
class Perturbation(AbstractDirection):
    """Along a segment of teachers with one symmetry: from that of `of` (t = 0) to `teacher`."""

    of: ReducedLoss
    teacher: Teacher
    name = "t"

    def __post_init__(self):
        if self.of.teacher.rows != self.teacher.rows:
            raise ValueError(
                f"Both teachers need the same blocks of rows, but they have "
                f"{self.of.teacher.rows} and {self.teacher.rows}. Split the coarser one."
            )

    def loss(self, coordinate):
        """See `AbstractDirection`."""
        t, first, last = coordinate, self.of.teacher, self.teacher
        one = (1,) * len(first.rows)

        def between(a, b):
            return tuple((1 - t) * x + t * y for x, y in zip(a, b, strict=True))

        heads = between(first.heads or one, last.heads or one)
        teacher = Teacher(first.rows, between(first.point, last.point), heads)
        return ReducedLoss(self.of.blocks, teacher, self.of.heads, self.of.activation)

    def coordinate(self, parameter):
        """See `AbstractDirection`."""
        return parameter

    def parameter(self, coordinate):
        """See `AbstractDirection`."""
        return coordinate


@dataclasses.dataclass(frozen=True)
class Slope(AbstractDirection):
    """Along the slope n of the activation max(t, n t), from the ReLU (n = 0) to the identity (1).

    Students and teacher have the same activation.
    """

    of: ReducedLoss
    name = "slope"

    def loss(self, coordinate):
        """See `AbstractDirection`."""
        activation = leaky(float(coordinate))
        return ReducedLoss(self.of.blocks, self.of.teacher, self.of.heads, activation)

    def coordinate(self, parameter):
        """See `AbstractDirection`."""
        return parameter

    def parameter(self, coordinate):
        """See `AbstractDirection`."""
        return coordinate


def _resized(loss: ReducedLoss, sizes) -> ReducedLoss:
    return ReducedLoss(loss.blocks.resized(sizes), loss.teacher, loss.heads, loss.activation)


def _exp(x):
    return x.exp() if hasattr(x, "exp") else math.exp(x)


def _log(x):
    return x.log() if hasattr(x, "log") else math.log(x)
