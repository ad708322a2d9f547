r"""Named critical points at any size: `global`, `A`, `I`, `II` and `flipped:P`.

For as many students as orthonormal teachers, P students can be *flipped*, close to minus a teacher
neuron, with isotropy Δ(S_{k−P} × S_P). `A` is P = k, `I` is P = k − 1, `II` is P = 1.
"""

import dataclasses
import math

import numpy as np

from shallows.atlas.catalogue import Kind
from shallows.solve.critical import NewtonOutcome
from shallows.solve.symmetric import symmetric_point
from shallows.symmetry import (
    Balls,
    Blocks,
    Eigenvalue,
    ReducedLoss,
    spectrum,
)


@dataclasses.dataclass(frozen=True)
class Member:
    """A family's critical point at one size."""

    name: str
    neurons: float
    loss: ReducedLoss
    point: np.ndarray
    """Balls, one for each orbit of entries of `loss.blocks`."""
    numbers: Balls
    gradient_norm: float

    @property
    def value(self) -> float:
        """The loss."""
        with self.numbers.precision():
            return float(self.loss.value(self.point, self.numbers))

    def spectrum(self) -> tuple[Eigenvalue, ...]:
        """All Hessian eigenvalues, in increasing order."""
        with self.numbers.precision():
            return spectrum(self.loss, self.point, self.numbers)

    def kind(self) -> Kind:
        """What its smallest eigenvalue makes it."""
        found = self.spectrum()
        least, largest = float(found[0].eigenvalue), float(found[-1].eigenvalue)
        if abs(least) <= 1e-12 * largest:
            return Kind.degenerate
        return Kind.minimum if least > 0 else Kind.saddle


def flipped_blocks(neurons: float, flipped: float) -> tuple[Blocks, np.ndarray]:
    """Blocks of unflipped and flipped neurons, the larger first, and start values for Newton.

    The start is the leading order in 1/k: unflipped neurons are near eᵢ, flipped ones near −eᵢ.
    """
    k, p = float(neurons), float(flipped)
    sizes = {"up": neurons - flipped, "down": flipped}
    order = [s for s in sorted(sizes, key=lambda s: -sizes[s]) if sizes[s] > 0]
    blocks = Blocks(tuple(sizes[s] for s in order))
    between = {
        ("up", "down"): (2 - 4 / math.pi * p / k) / k,
        ("down", "up"): 4 / math.pi * (1 - p / k) / k,
    }
    start = []
    for orbit in blocks.orbits:
        row, column = order[orbit.row], order[orbit.column]
        if orbit.is_diagonal is None:
            start.append(between[row, column])
        elif row == "up":
            start.append(1.0 if orbit.is_diagonal else 0.0)
        else:
            start.append(2 / k - 1.0 if orbit.is_diagonal else 2 / k)
    return blocks, np.array(start)


def flipped_count(name: str, neurons: float) -> float:
    """How many neurons the family called `name` flips."""
    named = {"global": 0, "A": neurons, "I": neurons - 1, "II": 1}
    if name in named:
        return named[name]
    kind, _, number = name.partition(":")
    if kind != "flipped" or not number.isdigit():
        raise ValueError(
            f"There is no family called {name!r}. Use `global`, `A`, `I`, `II` or `flipped:P`."
        )
    return int(number)


def member(name: str, neurons: float) -> Member:
    """The critical point of the family at this size."""
    flipped = flipped_count(name, neurons)
    if not 0 <= flipped <= neurons:
        raise ValueError(
            f"`{name}` flips {flipped} neurons, but there are {neurons}. Use 0 ≤ P ≤ k."
        )
    blocks, start = flipped_blocks(neurons, flipped)
    numbers = Balls(128 + math.ceil(8 * math.log2(max(neurons, 2))))
    found = symmetric_point(ReducedLoss(blocks), start, numbers)
    if found.outcome is not NewtonOutcome.converged:
        raise ValueError(f"No `{name}` at k = {neurons}: {found.outcome.value}")
    return Member(name, neurons, found.loss, found.point, numbers, found.gradient_norm)
