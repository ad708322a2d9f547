"""The space of wider students around a family, searched in floats for critical points."""

import itertools

import numpy as np

from shallows.atlas.families import Member
from shallows.symmetry import ReducedLoss

# A family's neuron is found again in one of the wider student's if this is their cosine.
_SAME = 0.8
# Neurons closer to parallel than this are one neuron, split.
_PARALLEL = 1e-5


class Wider:
    """The fixed-point space of the wider student, with the lengths that its matrices have."""

    def __init__(self, point: Member, loss: ReducedLoss, added: int):
        self.loss, self.added = loss, added
        blocks = loss.blocks
        self.home = floats(point.point)
        self.root = np.sqrt(floats(blocks.counts))
        self.sides = np.sqrt([float(blocks.sizes[f]) for f in blocks.columns])
        rows = np.array([orbit.row for orbit in blocks.orbits])
        self.per_row = np.eye(len(blocks.rows))[rows]
        # Neurons that the group fixes can exchange their roles.
        self.fixed = [r for r, f in enumerate(blocks.rows) if blocks.is_single[f]]
        self.old = len(blocks.rows) - added
        self.rows = [np.flatnonzero(rows == r) for r in range(len(blocks.rows))]
        # What rounding leaves of the loss, a difference of terms of order k², and of its gradient.
        self.resolution = 1e-15 * max(float(blocks.neurons), 10.0) ** 2
        self.slope = 1e-11 * max(float(blocks.neurons), 10.0)

    def is_near(self, points: np.ndarray) -> np.ndarray:
        """Whether each of the family's neurons has one in its direction."""
        home = np.concatenate([self.home, np.zeros(len(self.root) - len(self.home))]) * self.root
        y = points * self.root
        near = np.ones(len(points), dtype=bool)
        for r in range(self.old):
            other = self.fixed if r in self.fixed else [r]
            near &= (
                np.max([_cosine(y[:, self.rows[s]], home[self.rows[r]]) for s in other], 0) > _SAME
            )
        return near

    def is_proper(self, points: np.ndarray) -> np.ndarray:
        """Whether no neuron is zero, and no two that the group fixes are parallel."""
        y = points * self.root
        proper = np.all(np.sqrt(y**2 @ self.per_row)[:, self.fixed] > 1e-4, axis=1)
        for r, s in itertools.combinations(self.fixed, 2):
            u, v = y[:, self.rows[r]], y[:, self.rows[s]]
            proper &= _cosine(u, v) < 1 - _PARALLEL
        return proper

    def ordered(self, x: np.ndarray) -> np.ndarray:
        """The same student: of the neurons that the group fixes, the family's first."""
        y, home = x * self.root, self.home * self.root[: len(self.home)]
        rest = sorted(self.fixed, key=lambda r: tuple(x[self.rows[r]]), reverse=True)
        order = []
        for r in self.fixed[: -self.added]:
            like = [float(y[self.rows[s]] @ home[self.rows[r]]) for s in rest]
            order.append(rest.pop(int(np.argmax(like))))
        made = x.copy()
        for r, s in zip(self.fixed, order + rest, strict=True):
            made[self.rows[r]] = x[self.rows[s]]
        return made

    def is_known(self, x: np.ndarray, found: list[np.ndarray]) -> bool:
        """Whether it is one of those, up to the order of fixed neurons."""
        y = self.ordered(x) * self.root
        return any(np.linalg.norm(y - z * self.root) < 1e-5 for z in found)

    def gradient(self, y: np.ndarray) -> np.ndarray:
        """In coordinates in which lengths are those of matrices."""
        return self.loss.gradient(y / self.root) / self.root

    def hessian(self, y: np.ndarray) -> np.ndarray:
        """The same, twice."""
        return self.loss.hessian(y / self.root) / self.root[:, None] / self.root

    def descents(self, starts: np.ndarray, floor: float, steps: int = 500):
        """Where the gradient flow from each start leads, the losses there, and if it settled.

        Those below `floor`, and those of which a neuron vanishes, are not followed further. Steps
        are those of the exponential Euler method: exact for quadratic losses, however stiff.
        """
        y, h = starts * self.root, np.full(len(starts), 1e-3)
        value, settled = self.loss.value(starts), np.zeros(len(starts), dtype=bool)
        active = np.arange(len(starts))
        for _ in range(steps):
            slope, curvature = self.gradient(y[active]), self.hessian(y[active])
            settled[active] = np.linalg.norm(slope, axis=1) < self.slope
            size = np.sqrt(y[active] ** 2 @ self.per_row)
            alive = np.all(size > 1e-5, axis=1) & (value[active] > max(floor, self.resolution))
            going = alive & ~settled[active]
            active, slope, curvature, size = (a[going] for a in (active, slope, curvature, size))
            if not len(active):
                break
            levels, vectors = np.linalg.eigh(curvature)
            exponent = np.clip(levels * h[active, None], -30, 700)
            small = np.abs(exponent) < 1e-8
            pace = np.where(
                small, h[active, None], -np.expm1(-exponent) / np.where(small, 1, levels)
            )
            along = np.einsum("bij,bi->bj", vectors, slope)
            step = -np.einsum("bij,bj->bi", vectors, pace * along)
            moved = np.sqrt(step**2 @ self.per_row)
            ahead = self.loss.value((y[active] + step) / self.root)
            good = np.all(moved < 0.3 * size, axis=1) & (ahead <= value[active] + self.resolution)
            y[active[good]] += step[good]
            value[active[good]] = ahead[good]
            h[active] *= np.where(good, 2.0, 0.25)
        return y / self.root, value, settled

    def newton(self, starts: np.ndarray, found: np.ndarray, steps: int = 30) -> np.ndarray:
        """Critical points from these starts, pushed away from those that were found before.

        Deflation multiplies the gradient by 1 + Σ 1/|y − z|², which turns out to change no more
        than the length of Newton's steps.
        """
        y = starts * self.root
        known = found.reshape(-1, len(self.root)) * self.root
        for _ in range(steps):
            slope = self.gradient(y)
            curvature = self.hessian(y)
            good = np.all(np.isfinite(slope), 1) & np.all(np.isfinite(curvature), (1, 2))
            good &= np.abs(np.linalg.det(np.where(good[:, None, None], curvature, 0))) > 0
            y, slope, curvature = y[good], slope[good], curvature[good]
            if not len(y):
                break
            step = -np.linalg.solve(curvature, slope[..., None])[..., 0]
            if len(known):
                apart = y[:, None] - known
                square = np.sum(apart**2, axis=-1)[..., None] + 1e-300
                push = np.sum(-2 * apart / square**2, axis=1) / (1 + np.sum(1 / square, axis=1))
                step /= _away_from_zero(1 - np.sum(push * step, axis=1))[:, None]
            size = np.sqrt(y**2 @ self.per_row)
            most = np.max(np.sqrt(step**2 @ self.per_row) / size, axis=1)
            y = y + step * np.minimum(1, 0.5 / np.maximum(most, 1e-300))[:, None]
        done = np.linalg.norm(self.gradient(y), axis=1) < self.slope
        return y[done] / self.root


def _away_from_zero(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1e-2, np.where(x < 0, -1e-2, 1e-2), x)


def _cosine(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1)
    return np.sum(u * v, axis=-1) / np.maximum(lengths, 1e-300)


def small_neurons(space: Wider, rng) -> np.ndarray:
    """The family's student with new neurons close to zero."""
    if (space.added, len(space.sides)) == (1, 2):
        turn = 2 * np.pi * np.arange(32) / 32
        new = np.stack([np.cos(turn), np.sin(turn)], axis=-1)[:, None]
    elif (space.added, len(space.sides)) == (1, 1):
        new = np.array([[[1.0]], [[-1.0]]])
    else:
        new = _directions(space, rng, 24 * space.added)
    return _students(space, np.tile(space.home, (len(new), 1)), 0.02 * new)


def around(space: Wider, rng, count: int) -> np.ndarray:
    """Students around the family's, with new neurons of any direction and size."""
    sizes = np.exp(rng.uniform(np.log(0.03), 0, size=(count, space.added, 1)))
    old = space.home * (1 + 0.05 * rng.normal(size=(count, len(space.home))))
    return _students(space, old, sizes * _directions(space, rng, count))


def _directions(space: Wider, rng, count: int) -> np.ndarray:
    new = rng.normal(size=(count, space.added, len(space.sides)))
    return new / np.linalg.norm(new, axis=-1, keepdims=True)


def _students(space: Wider, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([old, (new / space.sides).reshape(len(new), -1)], axis=1)


def floats(values) -> np.ndarray:
    """Balls, or other numbers, as floats."""
    return np.vectorize(float, otypes=[float])(values)
