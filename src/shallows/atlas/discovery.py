"""Critical points in a fixed-point space, from many random starts: what other families are."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from shallows.atlas.catalogue import Kind
from shallows.atlas.naming import ZERO_LOSS, family_name
from shallows.solve.branch import scales
from shallows.solve.critical import NewtonOutcome
from shallows.solve.symmetric import SymmetricPoint, symmetric_point
from shallows.symmetry import (
    Blocks,
    ReducedLoss,
    flipped_neurons,
    isotropy,
    spectrum,
)

MOST = 100
"""Neurons up to which points are searched: those found are written out as matrices."""


@dataclasses.dataclass(frozen=True, repr=False)
class Discovery:
    """A critical point in a fixed-point space, up to relabelling."""

    name: str
    """That of a known family, or `unnamed:` and its group; see `shallows.atlas.naming`."""
    isotropy: str
    """All of it: the group may be larger than that of the blocks."""
    is_larger: bool
    """Whether it is larger, so that the point belongs to a smaller fixed-point space."""
    flipped: int
    loss: float
    kind: Kind
    smallest_eigenvalue: float
    negative: int
    """How many eigenvalues are negative."""
    count: int
    """Starts that ended here."""
    reduced: ReducedLoss
    point: np.ndarray
    """Floats, one for each orbit of entries of `reduced.blocks`."""
    gradient_norm: float

    def __repr__(self) -> str:
        return (
            f"Discovery({self.name!r}, {self.isotropy}, {self.kind.value}, loss {self.loss:.6g}, "
            f"{self.count}×)"
        )


@dataclasses.dataclass(frozen=True)
class Search:
    """How to look for critical points: damped least squares from random starts, then deflation."""

    starts: int = 400
    rounds: int = 2
    """After the first one, the points found so far repel."""
    steps: int = 150
    seed: int = 0


def discover(
    where: ReducedLoss | Blocks | Sequence[int], method: Search | None = None
) -> tuple[Discovery, ...]:
    """All critical points found in the fixed-point space of these blocks, by increasing loss.

    `where` is a reduced loss, blocks, or a partition of the number of neurons: `(14, 5, 1)`.
    Points that are relabellings of one another are one. Those with a neuron that vanishes, where
    the loss has no gradient, are left out.

    **Domain.** Whole sizes, up to 100 neurons.

    **Raises.** `ValueError` beyond. **Cost.** Seconds; it grows with the number of orbits squared.
    """
    how = Search() if method is None else method
    loss = _reduced(where)
    rng = np.random.default_rng(how.seed)
    scale = np.array([float(x) for x in scales(loss.blocks)])
    catalogue = _Catalogue(loss, scale)
    for turn in range(how.rounds):
        starts = _starts(loss, rng, how.starts)
        known = catalogue.points if turn else []
        for end in _least_squares(loss, scale, starts, known, how.steps):
            catalogue.add(end)
    return tuple(sorted(catalogue.classes, key=lambda c: c.loss))


def _reduced(where) -> ReducedLoss:
    if not isinstance(where, ReducedLoss):
        where = ReducedLoss(where if isinstance(where, Blocks) else Blocks(tuple(where)))
    where.blocks.whole()
    if where.blocks.neurons > MOST:
        raise ValueError(
            f"Points are searched among up to {MOST} neurons, but these blocks have "
            f"{where.blocks.neurons}. Search at a smaller size, and follow what is found with "
            f"`branch`."
        )
    return where


def _starts(loss: ReducedLoss, rng: np.random.Generator, count: int) -> np.ndarray:
    """In scaled coordinates: of the size at leading order, a half of them let down the slope."""
    orbits = loss.blocks.orbits
    is_diagonal = np.array([bool(o.is_diagonal) for o in orbits])
    shape = (count, len(orbits))
    y = np.where(is_diagonal, rng.uniform(-1.3, 1.3, shape), rng.uniform(-3, 4, shape))
    half = count // 2
    # Minima have small basins for least squares, and large ones for descent.
    y[:half] = _descended(loss, np.where(is_diagonal, y[:half], y[:half] / 2))
    return y


def _descended(loss: ReducedLoss, y: np.ndarray, steps: int = 300) -> np.ndarray:
    """Steps of gradient descent, as in a census."""
    scale = np.array([float(x) for x in scales(loss.blocks)])
    counts = np.array([float(c) for c in loss.blocks.counts])
    x, pace = y * scale, 5 / max(float(loss.blocks.neurons), 6)
    for _ in range(steps):
        with np.errstate(all="ignore"):
            slope = loss.gradient(x) / counts
        x = x - pace * np.where(np.isfinite(slope), slope, 0)
    return x / scale


def _least_squares(loss, scale, y, known, steps) -> np.ndarray:
    """Where Levenberg and Marquardt's steps end that make the gradient small; a row for each."""
    counts = np.array([float(c) for c in loss.blocks.counts])
    # In these units the Hessian at a typical point has entries of order one and k.
    weights = 1 / (counts * scale)
    damping = np.full(len(y), 1e-1)

    def residual(y):
        with np.errstate(all="ignore"):
            return weights * loss.gradient(y * scale)

    slope = residual(y)
    size = np.sum(slope**2, axis=-1)
    for _ in range(steps):
        with np.errstate(all="ignore"):
            table = weights[:, None] * loss.hessian(y * scale) * scale
        table = np.where(np.isfinite(table), table, 0)
        slope = np.where(np.isfinite(slope), slope, 0)
        normal = np.swapaxes(table, -1, -2) @ table
        rhs = (np.swapaxes(table, -1, -2) @ slope[..., None])[..., 0]
        ridge = damping[:, None, None] * np.eye(y.shape[-1])
        change = np.linalg.solve(normal + ridge, rhs[..., None])[..., 0]
        if known:
            change *= _deflated(y, change, np.array(known))[:, None]
        trial = y - change
        new = residual(trial)
        new_size = np.sum(new**2, axis=-1)
        # Deflation may have to go uphill to leave a point's neighbourhood.
        better = new_size < size if not known else new_size < 4 * size
        y = np.where(better[:, None], trial, y)
        slope = np.where(better[:, None], new, slope)
        size = np.where(better, new_size, size)
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-14, 1e6)
    return y[size < 1e-12]


def _deflated(y, change, known) -> np.ndarray:
    r"""The factor by which deflation lengthens, or turns round, a Newton step.

    The gradient is multiplied by $\prod_i (1 + |y - y_i|^{-2})$, which has no zeros; the step
    of the product is a multiple of the step of the gradient.

    **Source.** Farrell, Birkisson & Funke (2015), 1410.5620.
    """
    apart = y[:, None] - known[None]
    square = np.maximum(np.sum(apart**2, axis=-1), 1e-12)
    logarithmic = np.sum((-2 / (square * (square + 1)))[..., None] * apart, axis=1)
    along = np.sum(logarithmic * -change, axis=-1)
    factor = 1 / (1 + np.where(np.isfinite(along), along, 0) + 1e-300)
    return np.clip(factor, -3, 3)


class _Catalogue:
    """Points found so far, in scaled coordinates, and their classes up to relabelling."""

    def __init__(self, loss: ReducedLoss, scale: np.ndarray):
        self.loss, self.scale = loss, scale
        self.points: list[np.ndarray] = []
        self.belongs: list[int] = []
        self.classes: list[Discovery] = []
        self.levels: list[np.ndarray] = []

    def add(self, end: np.ndarray) -> None:
        """Polish an end of the search, and count it where it belongs."""
        place = self._place(end)
        if place is None:
            polished = symmetric_point(self.loss, end * self.scale)
            y = polished.point / self.scale
            is_good = (
                polished.outcome is NewtonOutcome.converged
                and polished.gradient_norm < 1e-10
                and np.max(np.abs(y - end)) < 1e-2
                and self.loss.clearance(polished.point)[0] > 1e-3
            )
            if not is_good:
                return
            place = self._place(y)
            if place is None:
                self.points.append(y)
                self.belongs.append(self._class(polished))
                place = self.belongs[-1]
        known = self.classes[place]
        self.classes[place] = dataclasses.replace(known, count=known.count + 1)

    def _place(self, y) -> int | None:
        for other, place in zip(self.points, self.belongs, strict=True):
            if np.max(np.abs(y - other)) < 1e-4:
                return place
        return None

    def _class(self, polished: SymmetricPoint) -> int:
        # Equal losses and equal spectra: no relabelling changes them, and chance does not match.
        value = float(self.loss.value(polished.point))
        levels = spectrum(self.loss, polished.point)
        mine = np.sort(
            [float(e.eigenvalue) for e in levels for _ in range(round(float(e.multiplicity)))]
        )
        for i, (known, theirs) in enumerate(zip(self.classes, self.levels, strict=True)):
            if abs(known.loss - value) < 1e-9 and np.allclose(mine, theirs, rtol=0, atol=1e-6):
                return i
        self.levels.append(mine)
        self.classes.append(_described(polished, value, mine))
        return len(self.classes) - 1


def _described(polished: SymmetricPoint, value: float, levels: np.ndarray) -> Discovery:
    loss, blocks = polished.loss, polished.loss.blocks
    matrix = blocks.embed(polished.point)
    teacher = _teacher(loss)
    group = isotropy(matrix, teacher)
    flipped = flipped_neurons(matrix, teacher)
    is_global = value < ZERO_LOSS * blocks.neurons
    name = family_name(group, flipped, len(matrix), len(teacher), is_global=is_global, loss=value)
    own = math.prod(math.factorial(n) for n in blocks.whole())
    small = 1e-9
    kind = Kind.minimum if levels[0] > small else Kind.saddle
    if abs(levels[0]) <= small:
        kind = Kind.degenerate
    return Discovery(
        name=name,
        isotropy=group.name,
        is_larger=group.order > own,
        flipped=flipped,
        loss=max(value, 0.0),
        kind=kind,
        smallest_eigenvalue=float(levels[0]),
        negative=int(np.sum(levels < -small)),
        count=0,
        reduced=loss,
        point=polished.point,
        gradient_norm=polished.gradient_norm,
    )


def _teacher(loss: ReducedLoss) -> np.ndarray:
    theirs = dataclasses.replace(loss.blocks, rows=loss.teacher.rows)
    return theirs.embed(loss.teacher.point).astype(float)
