r"""Tangency arcs: curves out of a critical point on which the gradient points to it, or away.

The *tangency set* of a critical point c is $\{W : \nabla L(W) = \lambda\,(W - c)\}$: the critical
points of the loss on spheres around c. With $L(W) - \frac{\lambda}{2} |W - c|^2$ in place of
the loss they are ordinary critical points that depend on a parameter, the *multiplier* λ, and c is
one for every λ. One-dimensional *arcs* leave it where λ is an eigenvalue of the Hessian, along
an eigenvector; other critical points are where an arc meets λ = 0.

Which eigenvectors there are is in `departures`: those that are, up to a factor, all that a subgroup
H of the isotropy group fixes in the eigenspace. Curves are traced in the fixed-point space of H,
so that the width does not matter, with the metric of the space of all matrices: r = |W − c| and λ
are those of the full loss.

**Source.** Arjevani (2023), 2312.16819, and Arjevani (2024), 2408.14445, for the arcs; how they are
computed is ours.
"""

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.optimize

from shallows import notebook
from shallows.solve.branch import keeps_neurons
from shallows.solve.critical import NewtonOutcome
from shallows.solve.departures import Departure
from shallows.solve.symmetric import SymmetricPoint, symmetric_point
from shallows.symmetry import (
    AbstractArithmetic,
    Component,
    Floats,
    ReducedLoss,
    component,
)
from shallows.symmetry.arithmetic import Numbers


class ArcOutcome(enum.Enum):
    """Why an arc ends; the value is advice."""

    critical_point = ""
    neuron_vanished = "A neuron shrinks to zero here, where the loss has no gradient."
    returned = "The arc comes back to its point, along another eigenvector, and met no other one."
    larger_symmetry = (
        "The arc runs into one on which all parts of a cut block are alike, where the tangency set "
        "branches. That one is an arc of the trivial component."
    )
    reached_radius = (
        "The arc reaches the radius. If that is the default one, there is no critical point "
        "farther away; otherwise raise `radius`."
    )
    not_simple = (
        "The eigenvalue is not simple in the fixed-point space, so that no direction is singled "
        "out. Cut blocks in other parts, or take another width."
    )
    not_regular = (
        "The gradient vanishes here, but the Hessian is singular or nearly so: the critical point "
        "is not isolated, or another one is very near. Take another width."
    )
    stalled = "Steps became too short: the arc is not regular here. Take another cut or width."
    out_of_steps = "All steps are used. Raise `max_steps`, or ask for a smaller radius."


@dataclasses.dataclass(frozen=True)
class Tracing:
    """How arcs are followed: predictor along the tangent, Newton's corrector across it.

    Steps are lengths in the space of W and λ, in units of the radius at which the neuron that
    moves most has moved by 1, and of |λ| at c (at least 1/4). They adapt, and grow with the radius.
    """

    radius: float | int | None = None
    """Where to stop. By default where no critical point can be any more: it has |W|² ≤ 2 E f_t²,
    f_t the teacher, if heads are not negative (a critical point has E f² = E f f_t ≤ E f_t² by
    homogeneity, and E f² ≥ |W|²/2 as kernels are not negative)."""
    first_step: float | int = 1e-3
    longest_step: float | int = 0.1
    shortest_step: float | int = 1e-9
    tolerance: float | int = 1e-11
    """Of the last Newton step, in these units; each is about the square of the one before."""
    max_steps: int = 4000
    clearance: float | int = 1e-3
    """Length below which a neuron has vanished."""


@dataclasses.dataclass(frozen=True)
class ArcPoint:
    """A point of an arc."""

    radius: float
    """|W − c|, in the Frobenius norm."""
    multiplier: float
    """λ; the gradient has norm |λ| r."""
    rise: float
    """L(W) − L(c)."""
    point: np.ndarray
    """One number for each orbit of entries of the arc's blocks."""


@dataclasses.dataclass(frozen=True, repr=False)
class Arc(notebook.AbstractTable):
    """Half an arc, from its point to where it ends."""

    departure: Departure
    eigenvalue: float
    """Of the Hessian, along which it leaves: λ at c."""
    loss: ReducedLoss
    """The loss on the fixed-point space that the arc lies in."""
    centre: np.ndarray
    """c there."""
    direction: np.ndarray
    """The eigenvector there, of norm 1 as a matrix."""
    points: tuple[ArcPoint, ...]
    """Without c, by arclength."""
    folds: tuple[ArcPoint, ...]
    """Where the arc turns back in r (or forth)."""
    outcome: ArcOutcome
    end: SymmetricPoint | None
    """The critical point that it meets, if it does."""
    last: ArcPoint | None
    """That point as one of the arc, or else the last one."""

    @property
    def is_answer(self) -> bool:
        """Whether the arc was followed to an end, and not given up."""
        given_up = (ArcOutcome.not_simple, ArcOutcome.stalled, ArcOutcome.out_of_steps)
        return self.outcome not in given_up

    @property
    def barrier(self) -> float:
        """The largest loss on the arc, its end included, less that at c; at least 0."""
        last = [] if self.last is None else [self.last]
        return max((p.rise for p in (*self.points, *self.folds, *last)), default=0.0)

    def matrix_norm(self, x: Numbers) -> float:
        """The Frobenius norm of the matrix with these values on the arc's orbits."""
        counts = [float(n) for n in self.loss.blocks.counts]
        return math.sqrt(sum(n * float(v) ** 2 for n, v in zip(counts, x, strict=True)))

    def __repr__(self) -> str:
        end = "" if self.last is None else f" to radius {self.last.radius:.6g}"
        return f"Arc({len(self.points)} points{end}, {self.outcome.name})"

    def _columns(self) -> notebook.Columns:
        way = [*self.points, *([] if self.last is None else [self.last])]
        weights = np.array([[float(x) for x in one.point] for one in way])
        return {
            "radius": [one.radius for one in way],
            "multiplier": [one.multiplier for one in way],
            "rise": [one.rise for one in way],
            **{f"weight{i}": column for i, column in enumerate(weights.T)},
        }

    def _notes(self) -> Sequence[str]:
        return [self.outcome.value]


def arc(
    loss: ReducedLoss,
    point: Numbers,
    departure: Departure,
    *,
    method: Tracing | None = None,
    numbers: AbstractArithmetic | None = None,
) -> Arc:
    r"""The half of a tangency arc that leaves the critical point in this way.

    With r = |W − c| and a unit eigenvector v of the eigenvalue μ it begins with W = c + r v + r² w
    and λ = μ + r ½ T(v, v, v), T the third derivative and $(H − \mu) w = \frac12 T(v, v, v)\,v −
    \frac12 T(v, v)$. It is followed by its arclength, around folds in r, until λ = 0.

    **Accuracy.** Points satisfy the equation to 1e-11 of their distance r from c; that critical
    points on the way are all seen rests on λ changing its sign. In floats, gradients lose 1e-16
    k²: beyond k = 1000 pass balls in which `point` is known.

    **Raises.** `ValueError` for parts that single out no direction, ranks that do not exist, and
    without `radius` for heads that are negative. **Cost.** One to three gradients in `numbers` and
    as many Hessians in floats a step, some tens of steps.
    """
    how = Tracing() if method is None else method
    o = Floats() if numbers is None else numbers
    with o.precision(), np.errstate(all="ignore"):
        part = component(loss, point, departure.representation, departure.parts, o)
        if not 0 <= departure.rank < len(part.matrix):
            raise ValueError(
                f"The {departure.representation.value} component has {len(part.matrix)} "
                f"eigenvalues here, numbered from 0, but number {departure.rank} was asked for."
            )
        fine, split = loss.cut(departure.parts)
        centre = o.numbers(point)[split.coarse]
        return _Walk(fine, centre, o, how, part, departure, split.coarse).run()


@dataclasses.dataclass(frozen=True)
class _Place:
    z: np.ndarray
    """W − c in orthonormal coordinates, then λ, both in their units."""
    tangent: np.ndarray
    sign: float
    """Of the determinant of equations and tangent: it changes at bifurcations."""


class _Walk:
    """One run of `arc`. The centre is as exact as `numbers`; what is added to it are floats."""

    def __init__(
        self, loss, centre, o, how: Tracing, part: Component, departure: Departure, coarse
    ):
        self.coarse = coarse
        self.loss, self.centre, self.o, self.how, self.departure = loss, centre, o, how, departure
        self.exact_root = o.sqrt(o.numbers(loss.blocks.counts))
        self.root = np.array([float(x) for x in self.exact_root])
        self.floats = np.array([float(x) for x in centre])
        self.first_value = loss.value(centre, o)
        matrix = np.array([[float(x) for x in row] for row in part.matrix])
        vectors = np.linalg.eigh(matrix)[1]
        mixture = vectors[:, departure.rank]
        mixture = mixture * np.sign(mixture[np.argmax(np.abs(mixture))]) * departure.sign
        basis = np.array([[float(x) for x in row] for row in part.vectors])
        self.eigenvalue = float(self.o.eigenvalues(part.matrix)[departure.rank])
        self.direction = mixture @ basis
        self.v = self.direction * self.root
        self.v /= np.linalg.norm(self.v)
        # The neuron that moves most; a block's neurons share what the block moves.
        rows = [
            np.sum(self.v[[x.row == r for x in loss.blocks.orbits]] ** 2)
            / float(loss.blocks.sizes[f])
            for r, f in enumerate(loss.blocks.rows)
        ]
        self.unit = 1 / math.sqrt(max(rows))
        self.lambda_unit = max(abs(self.eigenvalue), 0.25)
        self.units = np.array([*(self.unit for _ in self.v), self.lambda_unit])
        self.radius = float(_farthest(loss, self.norm(self.floats * self.root), o, how))

    @staticmethod
    def norm(y) -> float:
        return float(np.linalg.norm(y))

    def run(self) -> Arc:
        """Follow the arc."""
        self.points: list[ArcPoint] = []
        self.folds: list[ArcPoint] = []
        place = self._start()
        if place is None:
            return self._ended(ArcOutcome.not_simple, None)
        first, step = self._radius(place), self.how.first_step
        self.points.append(self._point(place))
        for _ in range(self.how.max_steps):
            step, new = self._advance(place, step)
            length = self._shortest(place if new is None else new)
            if new is None:
                vanishes = length < 100 * self.how.clearance
                outcome = ArcOutcome.neuron_vanished if vanishes else ArcOutcome.stalled
                return self._ended(outcome, place)
            if self._outward(new) * self._outward(place) < 0:
                fold = self._between(place, step, self._outward)
                # Unless it is a turn behind the critical point, where the arc ends.
                if fold.z[-1] * place.z[-1] > 0:
                    self.folds.append(self._point(fold))
            if new.z[-1] * place.z[-1] <= 0:
                return self._met(self._between(place, step, lambda p: float(p.z[-1])))
            if self._radius(new) > self.radius:
                last = self._between(place, step, lambda p: self._radius(p) - self.radius)
                return self._ended(ArcOutcome.reached_radius, last)
            self.points.append(self._point(new))
            if length < self.how.clearance:
                return self._ended(ArcOutcome.neuron_vanished, new)
            if self._radius(new) < first / 2:
                return self._ended(ArcOutcome.returned, new)
            if self.departure.parts and self.norm(self._unlike(new)) < 1e-3 * self.norm(new.z[:-1]):
                return self._ended(ArcOutcome.larger_symmetry, new)
            place = new
            longest = self.how.longest_step * max(1.0, self._radius(place) / self.unit)
            step = min(1.4 * step, longest)
        return self._ended(ArcOutcome.out_of_steps, place)

    def _start(self) -> _Place | None:
        """A point of the arc at a small radius; None if there is no direction to leave in."""
        table = self._hessian(np.zeros(len(self.v)))
        values, vectors = np.linalg.eigh(table)
        near = np.abs(values - self.eigenvalue) < 1e-7 * self.lambda_unit + 1e-13 * values[-1]
        if np.sum(near) != 1:
            return None
        small = 1e-3 * self.unit
        sides = [self._hessian(sign * small * self.v) for sign in (1, -1)]
        third = (sides[0] - sides[1]) @ self.v / (2 * small)
        gaps = np.where(near, np.inf, values - self.eigenvalue)
        bend = -vectors @ ((vectors.T @ third) / gaps) / 2
        r = self.how.first_step * self.unit
        # From here on it is a place like any other, corrected at this distance along v.
        z = np.append(r * self.v + r * r * bend, self.eigenvalue + r * (self.v @ third) / 2)
        ahead = np.append(self.v, 0.0)
        return self._corrected(z / self.units, ahead, 1.0)

    def _advance(self, place: _Place, step) -> tuple[float | int, _Place | None]:
        """The next place, and the step that led there."""
        while step >= self.how.shortest_step:
            new = self._step(place, step)
            # A tangent that turns much, or a determinant of another sign, may be another arc's.
            if (
                new is not None
                and new.tangent @ place.tangent > 0.97
                and (new.sign == place.sign or step < 1e-3)
                and keeps_neurons(self.loss.blocks, self._near(place), self._near(new))
                and self._keeps_parts(place, new)
            ):
                return step, new
            step /= 2
        return step, None

    def _keeps_parts(self, place: _Place, new: _Place) -> bool:
        """Whether parts have not become much more alike: else a step leaps to a symmetric arc."""
        before, after = self._unlike(place), self._unlike(new)
        return not self.departure.parts or float(before @ after) > float(before @ before) / 4

    def _unlike(self, place: _Place) -> np.ndarray:
        """What of W − c the isotropy group of c does not fix."""
        weight, away = self.root**2, place.z[:-1] / self.root
        mean = np.bincount(self.coarse, weight * away) / np.bincount(self.coarse, weight)
        return (away - mean[self.coarse]) * self.root

    def _step(self, place: _Place, step) -> _Place | None:
        return self._corrected(place.z + step * place.tangent, place.tangent, step)

    def _corrected(self, z, tangent, reach) -> _Place | None:
        """Newton's end across the tangent, if it is within `reach`."""
        predicted = z
        for _ in range(12):
            y, multiplier = z[:-1] * self.unit, z[-1] * self.lambda_unit
            rows = self._rows(y, multiplier)
            off = np.append(self._slope(y) - multiplier * y, tangent @ (z - predicted))
            try:
                change = np.linalg.solve(np.vstack([rows, tangent]), off)
            except np.linalg.LinAlgError:
                return None
            z = z - change
            size = float(np.max(np.abs(change)))
            if not size < reach:
                return None
            if size < self.how.tolerance:
                return self._placed(z, tangent)
        return None

    def _placed(self, z, before) -> _Place | None:
        rows = self._rows(z[:-1] * self.unit, z[-1] * self.lambda_unit)
        full = np.vstack([rows, before])
        last = np.zeros(len(z))
        last[-1] = 1.0
        try:
            found = np.linalg.solve(full, last)
        except np.linalg.LinAlgError:
            return None
        tangent = found / np.linalg.norm(found)
        return _Place(z, tangent, float(np.linalg.slogdet(np.vstack([rows, tangent]))[0]))

    def _rows(self, y, multiplier) -> np.ndarray:
        """The derivatives of ∇L − λ (W − c) in W and λ."""
        inner = self._hessian(y) - multiplier * np.eye(len(y))
        return np.column_stack([inner, -y]) * self.units

    def _between(self, place: _Place, step, function: Callable[[_Place], float]) -> _Place:
        """Where on this step the function changes its sign."""
        visited = {0.0: place}

        def there(length: float) -> float:
            if length not in visited:
                found = self._step(place, length)
                visited[length] = place if found is None else found
            return function(visited[length])

        root = float(scipy.optimize.brentq(there, 0.0, step, xtol=1e-13 * max(step, 1.0)))
        there(root)
        return visited[root]

    def _met(self, place: _Place) -> Arc:
        """The end at a critical point."""
        near = self._near(place)
        found = symmetric_point(self.loss, near, self.o)
        apart = np.array([float(x) for x in found.point - self.centre]) * self.root
        moved = self.norm(apart - place.z[:-1] * self.unit)
        is_regular = found.outcome is NewtonOutcome.converged and moved < 1e-4 * self.norm(apart)
        if not is_regular:
            return self._ended(ArcOutcome.not_regular, place)
        rise = float(self.loss.value(found.point, self.o) - self.first_value)
        last = ArcPoint(self.norm(apart), 0.0, rise, found.point)
        return self._made(ArcOutcome.critical_point, found, last)

    def _ended(self, outcome: ArcOutcome, place: _Place | None) -> Arc:
        return self._made(outcome, None, None if place is None else self._point(place))

    def _made(self, outcome, end: SymmetricPoint | None, last: ArcPoint | None) -> Arc:
        return Arc(
            self.departure,
            self.eigenvalue,
            self.loss,
            self.centre,
            self.direction,
            tuple(self.points),
            tuple(self.folds),
            outcome,
            end,
            last,
        )

    def _point(self, place: _Place) -> ArcPoint:
        point = self._near(place)
        rise = float(self.loss.value(point, self.o) - self.first_value)
        multiplier = float(place.z[-1] * self.lambda_unit)
        return ArcPoint(self._radius(place), multiplier, rise, point)

    def _near(self, place: _Place) -> np.ndarray:
        return self._at(place.z[:-1] * self.unit)

    def _at(self, y) -> np.ndarray:
        return self.centre + self.o.numbers(y) / self.exact_root

    def _slope(self, y) -> np.ndarray:
        slope = self.loss.gradient(self._at(y), self.o)
        return np.array([float(x) for x in slope / self.exact_root])

    def _hessian(self, y) -> np.ndarray:
        return self.loss.hessian(self.floats + y / self.root) / self.root / self.root[:, None]

    def _radius(self, place: _Place) -> float:
        return self._radius_of(place.z) * self.unit

    def _radius_of(self, z) -> float:
        return self.norm(z[:-1])

    def _outward(self, place: _Place) -> float:
        return float(place.z[:-1] @ place.tangent[:-1])

    def _shortest(self, place: _Place) -> float:
        return self.loss.clearance(self.floats + place.z[:-1] * self.unit / self.root)[0]


def _farthest(loss: ReducedLoss, size: float, o: AbstractArithmetic, how: Tracing) -> float | int:
    """The radius where to stop; see `Tracing`."""
    if how.radius is not None:
        return how.radius
    if any(float(h) < 0 for h in loss.heads):
        raise ValueError(
            f"With heads of both signs, {loss.heads}, critical points may be anywhere. Say where "
            f"to stop, e.g. `method=Tracing(radius=10)`."
        )
    power = 2 * float(loss.value(o.numbers([0] * len(loss.blocks.orbits)), o))
    # With heads a, the bound is on Σ aᵢ² |wᵢ|².
    return size + math.sqrt(2 * power) / min(1.0, *(abs(float(h)) for h in loss.heads))
