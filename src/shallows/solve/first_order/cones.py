r"""Projections on the cones of groups, and what groups gain from a dual vector.

The projection of a on Cs ≥ 0 is p = a + Cᵀλ for the λ ≥ 0 that make it shortest, and |p| is the
largest a·s over |s| ≤ 1 in the cone. So every λ ≥ 0 bounds that gain from above, and old λ are
worth keeping. Where p has the constraints of the last time active (its *face*), which one product
with C decides, it is a linear function of a.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dposv
from scipy.optimize import nnls

from shallows.solve.first_order.blocks import AbstractBlocks, Groups

# Relative to |a|: how far outside a cone rounding leaves a projection.
_OUTSIDE = 1e-12
# Accelerated steps on λ for many groups at once, in instalments, before those that are left are
# projected one by one; and how many at once, for the cache.
_SWEEPS = (8, 16, 40)
_CHUNK = 256


def projection(
    a: Float[np.ndarray, " r"],
    cone: Float[np.ndarray, "c r"],
    multipliers: Float[np.ndarray, " c"] | None = None,
) -> tuple[Float[np.ndarray, " r"], Int[np.ndarray, " k"], Float[np.ndarray, " c"]]:
    """The projection p of a, the linearly independent rows of its face, and λ with p = a + Cᵀλ.

    It starts from old multipliers, which are changed, if there are any.

    **Accuracy.** p is outside by at most 1e-12 |a| times the length of a row.

    **Source.** Lawson & Hanson (1974), chapter 23.
    """
    fresh = multipliers is None
    if multipliers is None:
        multipliers, _ = nnls(cone.T, -a, maxiter=100 * sum(cone.shape))
    active = np.flatnonzero(multipliers > 0)
    slopes = cone @ a
    allowed = _OUTSIDE * float(np.linalg.norm(a)) * np.linalg.norm(cone, axis=1)
    for _ in range(10 * sum(cone.shape)):
        while len(active):
            rows = cone[active]
            # Normal equations: they choose the face, and what is on it is found again below.
            _, solved, failed = dposv(rows @ rows.T, -slopes[active])
            if failed or len(active) > len(a):
                if fresh:
                    break
                return projection(a, cone)  # rounding made the face dependent
            if solved.min() > 0:
                multipliers[active] = solved
                break
            old, bad = multipliers[active], solved <= 0
            shares = np.where(bad, old, 1.0) / np.where(bad, old - solved, 1.0)
            shares[~bad] = 1.0
            share = shares.min()
            stay = shares > share
            multipliers[active] = np.where(stay, old + share * (solved - old), 0.0)
            active = active[stay]
        if len(active) >= len(a):
            return np.zeros_like(a), active, multipliers
        p = a + multipliers[active] @ cone[active]
        slack = cone @ p + allowed
        slack[active] = 0.0
        worst = int(slack.argmin())
        if slack[worst] >= 0:
            return p, active, multipliers
        active = np.append(active, worst)
    raise AssertionError("Lawson and Hanson's method is finite")


class Faces:
    """Projections of a growing list of groups, with the face of each from the last time."""

    def __init__(self, blocks: AbstractBlocks):
        self.blocks = blocks
        self.groups: Groups = np.zeros(0, dtype=int)
        r = blocks.width
        self._rows: list[np.ndarray] = []
        self._known = np.zeros(0, dtype=bool)
        self._pull = np.zeros((0, r))
        """Cᵀλ."""
        self.bases = np.zeros((0, r, r))
        """Orthonormal, of the normals of each face; columns beyond their number are 0."""
        self._solve = np.zeros((0, r, r))
        """λ of the face, as a linear function of the coordinates in its basis."""
        self._multipliers: list[np.ndarray | None] = []
        self._reach = 0.0

    def add(self, groups: Groups) -> None:
        """Groups, behind those that there are."""
        m, r = len(groups), self.blocks.width
        self.groups = np.concatenate([self.groups, groups])
        self._rows += [np.zeros(0, dtype=int)] * m
        self._multipliers += [None] * m
        self._known = np.concatenate([self._known, np.zeros(m, dtype=bool)])
        self._pull = np.concatenate([self._pull, np.zeros((m, r))])
        self.bases = np.concatenate([self.bases, np.zeros((m, r, r))])
        self._solve = np.concatenate([self._solve, np.zeros((m, r, r))])

    def __call__(
        self, a: Float[np.ndarray, "m r"], threshold: float = 0.0
    ) -> Float[np.ndarray, "m r"]:
        """The projections of a; 0 for those that are shown to be no longer than the threshold."""
        if self.blocks.is_gated:
            return np.where(np.linalg.norm(a, axis=1)[:, None] > threshold, a, 0.0)
        found = np.zeros_like(a)
        open_ = np.flatnonzero(shortest(a, self._pull) > threshold)
        if not len(open_):
            return found
        x, groups = a[open_], self.groups[open_]
        along = np.einsum("mrk,mr->mk", self.bases[open_], x)
        p = x - np.einsum("mrk,mk->mr", self.bases[open_], along)
        lengths = np.array([len(self._rows[j]) for j in open_])
        p[lengths == self.blocks.width] = 0.0
        multipliers = -np.einsum("mkl,ml->mk", self._solve[open_], along)
        slack = self.blocks.slack(groups, p).min(axis=1, initial=0.0)
        allowed = _OUTSIDE * np.sqrt(self.blocks.curvature) * np.linalg.norm(x, axis=1)
        good = self._known[open_] & (slack >= -allowed) & (multipliers.min(axis=1) >= 0)
        for at in np.flatnonzero(~good):
            p[at] = self._project(int(open_[at]), x[at])
        self._pull[open_] = p - x
        found[open_] = p
        return found

    def _project(self, j: int, a: np.ndarray) -> np.ndarray:
        cone = self.blocks.cone(int(self.groups[j]))
        p, rows, self._multipliers[j] = projection(a, cone, self._multipliers[j])
        self._known[j], self._rows[j], k = True, rows, len(rows)
        self.bases[j] = self._solve[j] = 0.0
        if k:
            basis, factor = np.linalg.qr(cone[rows].T)
            self.bases[j][:, :k] = basis
            self._solve[j][:k, :k] = solve_triangular(factor, np.eye(k))
        return p


class Prices:
    """Bounds on what groups gain from a dual vector, with multipliers from the last time."""

    def __init__(self, blocks: AbstractBlocks):
        self.blocks = blocks
        rows = 0 if blocks.is_gated else blocks.cone(0).shape[0]
        self._multipliers = np.zeros((2 * blocks.patterns, rows))

    def __call__(
        self,
        v: Float[np.ndarray, " n"],
        beta: float,
        settled: Bool[np.ndarray, " g"],
        wanted: int,
    ) -> tuple[Float[np.ndarray, " g"], Bool[np.ndarray, " g"]]:
        """Upper bounds of the gains of all groups, and whether they are the gains to rounding.

        Bounds above β are improved until `wanted` of them are gains, or no bound above β is left
        that is none. Groups that are settled are left out.
        """
        blocks = self.blocks
        a = blocks.adjoints(v)
        bounds = np.linalg.norm(a, axis=1)
        bounds[settled] = 0.0
        exact = np.full(len(a), blocks.is_gated)
        if blocks.is_gated:
            return bounds, exact
        above = 0
        for sweeps in _SWEEPS:
            left = np.flatnonzero((bounds > beta) & ~exact)
            for first in range(0, len(left), _CHUNK):
                some = left[first : first + _CHUNK]
                bounds[some] = self._descend(some, a[some], beta, sweeps)
            left = left[bounds[left] > beta]
            last = sweeps == _SWEEPS[-1] or len(left) <= wanted
            order = left[np.argsort(-bounds[left], kind="stable")].tolist()
            for group in order if last else order[:wanted]:
                p, _, self._multipliers[group] = projection(a[group], blocks.cone(group))
                bounds[group], exact[group] = np.linalg.norm(p), True
                above += int(bounds[group] > beta)
                if above >= wanted:
                    return bounds, exact
            # Many of the most promising ones gained enough: the others may wait.
            if last or above >= max(1, wanted // 2):
                break
        return bounds, exact

    def _descend(self, groups: Groups, a: np.ndarray, beta: float, sweeps: int) -> np.ndarray:
        """|a + Cᵀλ| after accelerated projected gradient steps on its square, while above β."""
        blocks = self.blocks
        old = self._multipliers[groups]
        p = a + blocks.pull(groups, old)
        best = np.linalg.norm(p, axis=1)
        worse = best > np.linalg.norm(a, axis=1)
        old[worse], p[worse] = 0.0, a[worse]
        best[worse] = np.linalg.norm(a[worse], axis=1)
        at, ahead, ahead_p, weight = np.arange(len(groups)), old, p, 1.0
        for _ in range(sweeps):
            done = best[at] <= beta
            if np.mean(done) > 0.25:
                self._multipliers[groups[at[done]]] = old[done]
                stay = ~done
                at, a, old, p = at[stay], a[stay], old[stay], p[stay]
                ahead, ahead_p = ahead[stay], ahead_p[stay]
            if not len(at):
                return best
            new = blocks.slack(groups[at], ahead_p)
            new *= -1 / blocks.curvature
            new += ahead
            np.maximum(new, 0.0, out=new)
            new_p = a + blocks.pull(groups[at], new)
            following = (1 + np.sqrt(1 + 4 * weight**2)) / 2
            share = (weight - 1) / following
            ahead, ahead_p = new + share * (new - old), new_p + share * (new_p - p)
            old, p, weight = new, new_p, following
            best[at] = np.minimum(best[at], np.linalg.norm(p, axis=1))
        self._multipliers[groups[at]] = old
        return best


def shortest(
    a: Float[np.ndarray, "m r"], pulls: Float[np.ndarray, "m r"]
) -> Float[np.ndarray, " m"]:
    """The least |a + tz| over t ≥ 0, row by row: for z = Cᵀλ, bounds of the projections of a."""
    squares = np.einsum("mr,mr->m", pulls, pulls)
    along = -np.einsum("mr,mr->m", a, pulls)
    t = np.maximum(0.0, along) / np.where(squares > 0, squares, 1.0)
    return np.linalg.norm(a + t[:, None] * pulls, axis=1)
