r"""Branches: critical points followed in one real parameter, around folds and through crossings.

Sizes of blocks are numbers in a formula, so that the number of neurons can be continued like any
other parameter, and so can the fraction of flipped neurons, or a teacher. At a regular point the
critical points of the reduced loss form a curve through it. It is followed by its arclength
(predictor along the tangent, Newton's corrector across), which does not notice folds, where the
curve turns back in the parameter.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.optimize

from shallows.solve.critical import NewtonOutcome
from shallows.solve.directions import AbstractDirection
from shallows.solve.symmetric import symmetric_point
from shallows.solve.waypoints import Branch, BranchOutcome, Event, EventKind, Waypoint
from shallows.symmetry import (
    AbstractArithmetic,
    Blocks,
    Floats,
    ReducedLoss,
    Representation,
    components,
)
from shallows.symmetry.arithmetic import Number, Numbers


@dataclasses.dataclass(frozen=True)
class PseudoArclength:
    """Predictor along the tangent, Newton's corrector across it, steps that adapt.

    Steps are lengths in the space of the coordinate and of weights, each weight in units of its
    size at leading order: 1 on diagonals, 1/n elsewhere, n the size of its larger block.
    """

    first_step: float | int = 0.05
    longest_step: float | int = 0.5
    shortest_step: float | int = 1e-7
    tolerance: float | int = 1e-9
    """Of the last Newton step; each is about the square of the one before."""
    max_steps: int = 1000
    around_folds: bool = True
    """Whether to go on where the parameter turns back."""
    watch: bool = True
    """Whether to look for eigenvalues that cross zero. Most of the cost."""
    clearance: float | int = 1e-4
    """Length below which a neuron has vanished; sine of an angle, in units of the smallest
    weights at leading order, below which two are parallel."""


def branch(
    start: Numbers,
    *,
    along: AbstractDirection,
    begin: float | int,
    to: float | int,
    method: PseudoArclength | None = None,
    numbers: AbstractArithmetic | None = None,
) -> Branch:
    """The branch of critical points through `start`, from the parameter `begin` towards `to`.

    The start is improved by Newton's method first. A branch that goes around folds ends where the
    parameter reaches `to`, or `begin` again.

    **Accuracy.** Points are as good as `symmetric_point` in these numbers. Floats lose 1e-16 k²
    of each weight, enough to follow a branch up to k = 10⁵; use balls beyond.

    **Raises.** `ValueError` where Newton's method finds no critical point at the start.
    """
    how = PseudoArclength() if method is None else method
    o = Floats() if numbers is None else numbers
    # Newton's steps may try sizes, or points, for which there are no numbers.
    with o.precision(), np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return _Walk(along, how, o, float(along.coordinate(to))).run(start, begin)


@dataclasses.dataclass(frozen=True)
class _Place:
    z: np.ndarray
    """Scaled weights, then the coordinate."""
    tangent: np.ndarray
    """A unit vector of floats, forwards along the branch."""
    sign: float
    """Of the determinant of equations and tangent: it changes at bifurcations, not at folds."""

    @property
    def coordinate(self) -> Number:
        return self.z[-1]


class _Walk:
    """One run of `branch`; the state of a walker is a `_Place`."""

    def __init__(
        self,
        along: AbstractDirection,
        how: PseudoArclength,
        numbers: AbstractArithmetic,
        goal: float,
    ):
        self.along, self.how, self.o, self.goal = along, how, numbers, goal
        is_float = isinstance(numbers, Floats)
        # The derivative in the parameter is a central difference: it bends the predictor, and
        # Newton's steps, but no result.
        self.h = 1e-5 if is_float else 1e-12

    def run(self, start, begin: float | int) -> Branch:
        first = self.along.coordinate(begin)
        loss = self.along.loss(first)
        found = symmetric_point(loss, start, self.o)
        if found.outcome is not NewtonOutcome.converged:
            raise ValueError(
                f"There is no critical point near the start of this branch, "
                f"{self.along.name} = {begin:g}: {found.outcome.value}"
            )
        z = self.o.numbers([*(found.point / self.o.numbers(scales(loss.blocks))), first])
        ahead = np.zeros(len(z))
        ahead[-1] = 1.0 if self.goal > float(first) else -1.0
        place = self._placed(z, ahead)
        # What is parallel from the start, like students on their teachers, may stay so.
        usual = self._obstacle(place)
        spectrum = self._spectrum(place)
        points, events = [self._waypoint(place)], []
        step, low = self.how.first_step, float(first)
        outcome = BranchOutcome.out_of_steps
        for _ in range(self.how.max_steps):
            if place.tangent[-1] * ahead[-1] > 0:  # no further than a little beyond the goal
                left = (self.goal - float(place.coordinate)) / place.tangent[-1]
                step = min(step, 1.02 * left + 1e-6)
            step, new = self._advance(place, step)
            if new is None:
                # Towards parallel vectors the curve becomes steeper than any step can follow.
                obstacle = self._obstacle(place, 100)
                outcome = BranchOutcome.stalled
                if obstacle is not None and obstacle is not usual:
                    outcome = obstacle
                break
            is_past = (float(new.coordinate) - self.goal) * ahead[-1] >= 0
            if is_past:
                new = self._at(self.goal, place, new)
            if new.tangent[-1] * place.tangent[-1] < 0:
                events.append(self._fold(place, step))
                if not self.how.around_folds:
                    outcome = BranchOutcome.fold
                    break
            seen = self._spectrum(new)
            events += self._crossings(place, new, spectrum, seen)
            points.append(self._waypoint(new))
            place, spectrum = new, seen
            if is_past:
                outcome = BranchOutcome.reached_end
                break
            if (float(place.coordinate) - low) * ahead[-1] < -1e-9:
                outcome = BranchOutcome.reached_end  # back at where it began, on another sheet
                break
            obstacle = self._obstacle(place)
            if obstacle is not None and obstacle is not usual:
                outcome = obstacle
                break
            step = min(1.4 * step, self.how.longest_step)
        return Branch(self.along, tuple(points), tuple(events), outcome)

    def _advance(self, place: _Place, step: float | int) -> tuple[float | int, _Place | None]:
        """The next place, and the step that led there."""
        while step >= self.how.shortest_step:
            new = self._step(place, step)
            # A tangent that turns much, or a determinant of another sign, may be another branch's.
            if (
                new is not None
                and new.tangent @ place.tangent > 0.9
                and (new.sign == place.sign or step < 1e-3)
                and keeps_neurons(
                    self.along.loss(place.coordinate).blocks,
                    self._waypoint(place).point,
                    self._waypoint(new).point,
                )
            ):
                return step, new
            step /= 2
        return step, None

    def _step(self, place: _Place, step: float | int) -> _Place | None:
        z = predicted = place.z + self.o.numbers(step * place.tangent)
        across = None
        for _ in range(8):
            if not self._exists(z[-1]):
                return None
            slope, matrix = self._equations(z, across)
            across = matrix[:, -1]
            off = sum(self.o.numbers(place.tangent) * (z - predicted))
            full = np.vstack([matrix, self.o.numbers(place.tangent)])
            change = self.o.solution(full, np.append(slope, off))
            if change is None:
                return None
            z = _middle(z - change)
            size = max(abs(float(x)) for x in change)
            if not size < step:
                return None
            if size < self.how.tolerance:
                return self._placed(z, place.tangent)
        return None

    def _exists(self, coordinate) -> bool:
        try:
            blocks = self.along.loss(coordinate).blocks
        except ValueError:
            return False
        pairs = zip(blocks.sizes, blocks.is_single, strict=True)
        # A block that moves has more than one place; at one its off-diagonal values are nowhere.
        return all(is_single or float(n) > 1 for n, is_single in pairs)

    def _at(self, coordinate: float, place: _Place, new: _Place) -> _Place:
        """The place at this coordinate, between two neighbours."""
        x = self._solved(coordinate, place, new)
        if x is None:  # a fold is very near; the nearer neighbour will do
            return new
        z = self.o.numbers([*x, coordinate])
        return self._placed(z, new.tangent)

    def _solved(self, coordinate, place: _Place, new: _Place) -> np.ndarray | None:
        """Scaled weights at a coordinate between two places, by Newton's method."""
        gap = float(new.coordinate) - float(place.coordinate)
        share = (float(coordinate) - float(place.coordinate)) / gap if gap else 0.0
        guess = place.z + (new.z - place.z) * self.o.numbers([share])[0]
        loss = self.along.loss(coordinate)
        scale = self.o.numbers(scales(loss.blocks))
        found = symmetric_point(loss, guess[:-1] * scale, self.o)
        if found.outcome is not NewtonOutcome.converged:
            return None
        x = found.point / scale
        far = max(abs(float(a - b)) for a, b in zip(x, guess, strict=False))
        near = max(abs(float(v)) for v in new.z[:-1] - place.z[:-1])
        return x if far <= 2 * near + 1e-6 else None

    def _equations(self, z, across=None) -> tuple[np.ndarray, np.ndarray]:
        """The gradient at one entry of each orbit, and its derivatives in z.

        The last of them, in the coordinate, may be given.
        """
        here = self.along.loss(z[-1])
        slope, weights, scale = self._slope(here, z[:-1])
        point = z[:-1] * scale
        table = weights[:, None] * here.hessian(point, self.o) * scale
        if across is not None:
            return slope, np.column_stack([table, across])
        h = self.o.numbers([self.h])[0]
        up, down = (self._slope(self.along.loss(z[-1] + s), z[:-1])[0] for s in (h, -h))
        return slope, np.column_stack([table, _middle((up - down) / (2 * h))])

    def _slope(self, loss: ReducedLoss, y):
        scale = self.o.numbers(scales(loss.blocks))
        counts = self.o.numbers(loss.blocks.counts)
        weights = 1 / (counts * scale)
        return _middle(weights * loss.gradient(y * scale, self.o)), weights, scale

    def _placed(self, z, before: np.ndarray) -> _Place:
        """The place there, with the tangent that goes on from one before."""
        matrix = self._equations(z)[1]
        table = np.array([[float(x) for x in row] for row in matrix])
        rows = table / np.linalg.norm(table, axis=1, keepdims=True)
        last = np.append(np.zeros(len(rows)), 1.0)
        try:
            found = np.linalg.solve(np.vstack([rows, before]), last)
        except np.linalg.LinAlgError:
            found = before
        tangent = found / np.linalg.norm(found)
        return _Place(z, tangent, float(np.linalg.slogdet(np.vstack([rows, tangent]))[0]))

    def _obstacle(self, place: _Place, times: float | int = 1) -> BranchOutcome | None:
        """Which end the place is near, by `times` the clearance; None if it is near none."""
        loss = self.along.loss(place.coordinate)
        scale = self.o.numbers(scales(loss.blocks))
        length, angle = loss.clearance(place.z[:-1] * scale, self.o)
        if length < times * self.how.clearance:
            return BranchOutcome.neuron_vanished
        # At leading order neurons are parallel to teachers but for weights of the size of scales.
        if angle < times * self.how.clearance * min(map(float, scale)):
            return BranchOutcome.parallel_vectors
        return None

    def _waypoint(self, place: _Place) -> Waypoint:
        loss = self.along.loss(place.coordinate)
        point = place.z[:-1] * self.o.numbers(scales(loss.blocks))
        return Waypoint(float(self.along.parameter(place.coordinate)), loss, point)

    def _spectrum(self, place: _Place) -> dict[Any, list[float]]:
        if not self.how.watch:
            return {}
        here = self._waypoint(place)
        return {
            (part.representation, part.factors): [float(x) for x in self.o.eigenvalues(part.matrix)]
            for part in components(here.loss, here.point, self.o)
        }

    def _crossings(self, place, new, before, after) -> Iterator[Event]:
        turned = new.tangent[-1] * place.tangent[-1] < 0
        for key in before.keys() & after.keys():
            if turned and key[0] is Representation.trivial:
                continue
            for i, (a, b) in enumerate(zip(before[key], after[key], strict=True)):
                if (a < 0) != (b < 0):
                    representation, factors = key
                    yield self._crossing(place, new, representation, factors, i, b < 0)

    def _crossing(
        self,
        place: _Place,
        new: _Place,
        representation: Representation,
        factors: tuple[int, ...],
        i: int,
        falls: bool,
    ) -> Event:
        solved: dict[float, np.ndarray] = {}

        def eigenvalue(coordinate: float) -> float:
            x = self._solved(coordinate, place, new)
            if x is None:
                raise ValueError
            loss = self.along.loss(coordinate)
            solved[coordinate] = x * self.o.numbers(scales(loss.blocks))
            values = component_eigenvalues(
                loss, solved[coordinate], representation, factors, self.o
            )
            return float(values[i])

        ends = float(place.coordinate), float(new.coordinate)
        try:
            root = scipy.optimize.brentq(eigenvalue, *ends, xtol=1e-14, rtol=1e-14)
            width = 1e-13 * max(1.0, abs(root))
            while eigenvalue(root - width) * eigenvalue(root + width) >= 0 and width < 1e-6:
                width *= 4
            interval = (root - width, root + width)
        except ValueError:  # on both sides of a fold the coordinate is no coordinate
            root, interval = sum(ends) / 2, (min(ends), max(ends))
        low, high = (float(self.along.parameter(x)) for x in interval)
        point = solved[root] if root in solved else self._waypoint(new).point
        return Event(
            EventKind.crossing,
            float(self.along.parameter(root)),
            (low, high),
            representation,
            factors,
            point,
            falls,
        )

    def _fold(self, place: _Place, step: float | int) -> Event:
        """Where the coordinate turns, by the sign of the tangent along the arclength."""
        visited = {0.0: place}

        def turn(length: float | int) -> float:
            if length not in visited:
                found = self._step(place, length)
                visited[length] = place if found is None else found
            return float(visited[length].tangent[-1])

        try:
            root = scipy.optimize.brentq(turn, 0.0, step, xtol=max(1e-10, self.how.tolerance / 10))
        except ValueError:  # the last step was cut short at its goal
            root = step
        turn(root)
        # The two nearest on both sides; in between the coordinate is quadratic, and less differs.
        near = sorted(visited, key=lambda s: abs(s - root))[:2]
        c = [float(self.along.parameter(visited[s].coordinate)) for s in near]
        width = abs(c[-1] - c[0]) + 1e-13 * abs(c[0])
        best = visited[root]
        middle = float(self.along.parameter(best.coordinate))
        return Event(
            EventKind.fold,
            middle,
            (middle - width, middle + width),
            Representation.trivial,
            (),
            self._waypoint(best).point,
            True,
        )


def keeps_neurons(blocks: Blocks, before: Numbers, after: Numbers) -> bool:
    """Whether no neuron has lost most of its length, or turned: else a step leaps over zero."""
    counts = np.array([float(c) for c in blocks.counts])
    x, y = (np.array([float(v) for v in point]) for point in (before, after))
    for row in range(len(blocks.rows)):
        mine = np.array([o.row == row for o in blocks.orbits])
        if np.sum((counts * x * y)[mine]) < np.sum((counts * x * x)[mine]) / 4:
            return False
    return True


def component_eigenvalues(
    loss: ReducedLoss,
    point: Numbers,
    representation: Representation,
    factors: tuple[int, ...],
    numbers: AbstractArithmetic,
) -> list[Number]:
    """The eigenvalues of one component, in increasing order."""
    for part in components(loss, point, numbers):
        if (part.representation, part.factors) == (representation, factors):
            return numbers.eigenvalues(part.matrix)
    raise ValueError(
        f"There is no component {representation.value} of the factors {factors}. "
        f"See `components` for those that exist."
    )


def scales(blocks: Blocks) -> list[Number]:
    """The size of each weight at leading order: 1 on diagonals, otherwise 1/n for n inputs."""
    return [
        1.0
        if orbit.is_diagonal
        else 1
        / max(
            blocks.sizes[blocks.rows[orbit.row]],
            blocks.sizes[blocks.columns[orbit.column]],
            key=float,
        )
        for orbit in blocks.orbits
    ]


def _middle(values):
    """Iterates are exact numbers; see `symmetric_point`."""
    if values.dtype != object:
        return values
    return np.array([v.mid() for v in values.ravel()], dtype=object).reshape(values.shape)
