"""Eigenvalues at continued and at split students, and directions of descent along them."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from shallows.atlas.wider import floats
from shallows.symmetry import (
    AbstractArithmetic,
    Blocks,
    Component,
    Eigenvalue,
    Representation,
)


@dataclasses.dataclass(frozen=True)
class Direction:
    """A unit eigenvector of the full Hessian, in reduced coordinates."""

    eigenvalue: float
    blocks: Blocks
    """Blocks of the narrower student on which it is constant."""
    vector: np.ndarray
    place: int | float | None
    """The row of the narrower student that is split, if any; its other parts come last."""
    parts: int
    """In how many."""
    is_between: bool
    """Whether it moves the parts of the split neuron against one another, and nothing else."""

    def matrix(self) -> Float[np.ndarray, "k d"]:
        """It as a matrix in the shape of `Continuation.student`; whole sizes only."""
        found = self.blocks.embed([float(x) for x in self.vector])
        if self.place is None:
            return found
        place = int(self.place)
        if self.is_between:
            found[place] /= math.sqrt(2)
            return np.concatenate(
                [found, [-found[place]], np.zeros((self.parts - 2, len(found.T)))]
            )
        found[place] /= math.sqrt(self.parts)
        return with_copies(found, place, self.parts - 1)


@dataclasses.dataclass(frozen=True)
class Level:
    """An eigenvalue, and where it comes from."""

    eigenvalue: Eigenvalue
    part: Component
    is_between: bool

    def direction(self, place, parts: int) -> Direction:
        """The eigenvector: in floats, which are enough to go down along."""
        matrix, vectors = (floats(x) for x in (self.part.matrix, self.part.vectors))
        vector = np.linalg.eigh(matrix)[1][:, 0] @ vectors
        value = float(self.eigenvalue.eigenvalue)
        return Direction(value, self.part.blocks, vector, place, parts, self.is_between)


def levels(parts, o: AbstractArithmetic) -> list[Level]:
    """All eigenvalues of some components."""
    return [
        Level(Eigenvalue(c.representation, c.factors, value, c.dimension), c, False)
        for c in parts
        for value in o.eigenvalues(c.matrix)
    ]


def _inside(part: Component, factor: int) -> np.ndarray:
    """Which vectors of a component move the one neuron that is a factor by itself."""
    rows = np.array([part.blocks.rows[orbit.row] for orbit in part.blocks.orbits])
    return np.array([np.all(rows[floats(v) != 0] == factor) for v in part.vectors])


def together(part: Component, factor: int, parts: int, o: AbstractArithmetic) -> Component:
    """The Hessian where all parts of the neuron move alike, by a unit vector in all."""
    root = o.sqrt(o.numbers([1, parts]))
    stretch = root[_inside(part, factor).astype(int)]
    return dataclasses.replace(part, matrix=part.matrix * stretch[:, None] * stretch)


def between(part: Component, factor: int, parts: int, neuron, o) -> list[Level]:
    """The Hessian where the parts move against one another: q H', for each of q − 1 ways."""
    chosen = np.flatnonzero(_inside(part, factor))
    if not len(chosen):
        return []
    matrix = part.matrix[np.ix_(chosen, chosen)] - o.numbers(np.eye(len(chosen))) / 2
    is_trivial = part.representation is Representation.trivial
    if is_trivial:
        # Along the neuron it is zero by construction: put that eigenvalue above all others.
        above = 10 * (1 + math.ceil(np.sum(np.abs(floats(matrix)))))
        matrix = matrix + above * neuron[:, None] * neuron / np.sum(neuron * neuron)
    part = dataclasses.replace(part, matrix=matrix * parts, vectors=part.vectors[chosen])
    values = o.eigenvalues(part.matrix)
    times = part.dimension * (parts - 1)
    return [
        Level(Eigenvalue(part.representation, part.factors, value, times), part, True)
        for value in (values[:-1] if is_trivial else values)
    ]


def with_copies(matrix: np.ndarray, place: int, copies: int) -> np.ndarray:
    """The matrix with copies of one row at its end."""
    return np.concatenate([matrix, *[matrix[place : place + 1]] * copies])
