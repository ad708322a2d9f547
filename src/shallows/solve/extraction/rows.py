r"""Rows of the next layer, from boundaries that earlier layers do not explain.

A unit of the next layer has the pre-activation $z = v\cdot F(x)$ with the features F that are
known. Where its boundary was seen at p, with the normal n, $v\cdot F(p) = 0$ and $F'(p)^\top v$ is
a multiple of n: linear equations for v, one for each input. Those of one sighting leave open the
weights of what is inactive there, and more. Sightings are of one unit if their equations have a
common solution although there are too many of them for that to be chance.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from shallows.solve.extraction.boundaries import SLACK, Boundaries
from shallows.solve.extraction.known import Known, zeros

# Singular values below this share of the largest are none.
_NOTHING = 1e-6
# Normals that are known worse than this do not tell units apart.
_SHARP = 1e-8
# Predicted kinks of a row must be there this often, where the function is not flat.
_SHARE = 0.85
# Sightings of later layers fit no row: after so many in vain there are no rows left, probably.
_FAILURES = 50
# With so many others a sighting is compared.
_COMPARED = 250
# Points that are thought of, to choose a few.
_THOUGHTS = 2000
# Kinks are predicted as far as this; all of them are found as far as 2^20.
_FAR, _NEAR = 2.0**18, 64.0


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One unit of the next layer."""

    row: Float[np.ndarray, " m"]
    """About the features, of unit length, up to its sign."""
    seen: Int[np.ndarray, " s"]
    """The sightings that it explains."""
    share: float
    """Of its predicted kinks that were seen."""
    unknown: Float[np.ndarray, "u m"]
    """Combinations of features, one a row, that never varied where it was seen; it has no part in
    them."""

    @property
    def is_complete(self) -> bool:
        """Whether its sightings determine all of it."""
        return not len(self.unknown)


class RowSearch:
    """Rows of the layer after those that are known."""

    def __init__(self, known: Known, seen: Boundaries):
        self.known, self.seen = known, seen
        knots = [known.knots(line.start, line.way, _FAR) for line in seen.lines]
        self.at = np.concatenate(knots)
        self.on = np.repeat(np.arange(len(knots)), [len(at) for at in knots])
        self.features = known.features(self._points(self.on, self.at))
        self.is_free = ~seen.explained(knots)
        """Which sightings are of no unit that is known."""
        self.lines = np.array([s.line for s in seen.sightings])
        self.places_on = np.array([s.t for s in seen.sightings])
        self.rows: list[Row] = []

    def found(self, before: Sequence[Row] = ()) -> list[Row]:
        """All rows that their sightings determine and that predict kinks rightly.

        Those `before`, from fewer lines, come first, and keep their order and signs, except for
        those that were not complete, of which more may be known now.
        """
        for old in before:
            if not old.is_complete:
                continue
            row = self._settled(self._predicted(old.row, np.zeros((0, len(old.row))))[0])
            if row is not None:
                turn = 1.0 if row.row @ old.row >= 0 else -1.0
                self._add(dataclasses.replace(row, row=turn * row.row))
        one = self.seen.sightings
        usable = np.array([s.normal is not None and s.angle <= _SHARP for s in one], dtype=bool)
        pool = np.flatnonzero(usable & self.is_free)
        if not len(pool):
            return []
        points = np.stack([one[i].point for i in pool])
        normals = np.array([one[i].normal for i in pool])
        groups = _planes if not self.known.depth else _Groups
        made = groups(self.known, points, normals)
        left, failures = np.ones(len(pool), dtype=bool), 0
        for seed in np.random.default_rng(len(pool)).permutation(len(pool)):
            if failures > _FAILURES:
                break
            if not left[seed]:
                continue
            group = made.grown(int(seed), left)
            row = self._settled(pool[group])
            failures += row is None
            if row is not None:
                self._add(row)
                left, failures = left & self.is_free[pool], 0
        return self.rows

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        self.is_free[row.seen] = False

    def _settled(self, members: Int[np.ndarray, " g"]) -> Row | None:
        """The row of a group, from all its sightings, if its predictions come true."""
        if len(members) < 3:
            return None
        row, unknown, seen, share = np.zeros(0), np.zeros(0), members, 0.0
        for _ in range(4):
            solved = self._solved(seen, row if len(row) else None)
            if solved is None:
                return None
            row, unknown = solved
            again, share = self._predicted(row, unknown)
            if share < _SHARE or len(again) < 3:
                return None
            if np.array_equal(again, seen):
                break
            seen = again
        return Row(row, seen, share, unknown)

    def _predicted(self, row, unknown) -> tuple[Int[np.ndarray, " s"], float]:
        """The free sightings at predicted kinks, and the share of predictions that came true.

        There is no prediction where features matter about which the row is not known.
        """
        t, before = zeros(self.at, (self.features @ row)[:, None])
        on = self.on[before]
        keep = on == self.on[before + 1]
        if len(unknown):
            there = self.known.features(self._points(on, t))
            doubt = np.linalg.norm(there @ unknown.T, axis=1)
            keep &= doubt <= _NOTHING * np.linalg.norm(there, axis=1)
        t, on = t[keep], on[keep]
        free = np.flatnonzero(self.is_free)
        gap = np.abs(t[:, None] - self.places_on[free])
        close = (gap <= SLACK * (1 + np.abs(t))[:, None]) & (on[:, None] == self.lines[free])
        is_near = np.abs(t) <= _NEAR
        for i in np.unique(on):
            here = on == i
            is_near[here] &= ~self.seen.lines[i].is_flat(t[here])
        share = np.sum(np.any(close, axis=1) & is_near) / max(np.sum(is_near), 1)
        return free[np.any(close, axis=0)], float(share)

    def _points(self, on, at) -> Float[np.ndarray, "n d"]:
        starts = np.stack([line.start for line in self.seen.lines])
        ways = np.stack([line.way for line in self.seen.lines])
        return starts[on] + at[:, None] * ways[on]

    def places(self, row: Row, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
        """Points at which more could be learnt of a row that is not complete, near its boundary.

        Thought of, without queries.
        """
        d = self.known.inputs
        x = 2.0 ** rng.uniform(-1, 1.5, (_THOUGHTS, 1)) * rng.normal(size=(_THOUGHTS, d))
        features = self.known.features(x)
        unsure = np.linalg.norm(features @ row.unknown.T, axis=1)
        order = np.argsort(np.where(unsure > 0.1 * np.max(unsure), np.abs(features @ row.row), 9e9))
        return x[order[: len(row.unknown)]]

    def _solved(self, members, before):
        """Least squares over all sightings, weighted by what they are known to.

        With the directions, one a row, in which features never vary there: the solution has no
        part in them.
        """
        one = [self.seen.sightings[i] for i in members]
        points = np.stack([s.point for s in one])
        values, slopes = self.known.features(points), self.known.slopes(points)
        length = np.ones(len(one)) if before is None else np.linalg.norm(before @ slopes, axis=1)
        size = 1 + np.linalg.norm(points, axis=1)
        scale = np.sqrt(np.mean(np.sum(slopes**2, axis=2) + (values / size[:, None]) ** 2, axis=0))
        used = scale > 0
        scale = np.where(used, scale, 1.0)
        depth = np.array([s.depth for s in one]) + 1e-15 * size
        parts = [values / (length * depth)[:, None]]
        open_parts = [values / size[:, None]]
        for k, s in enumerate(one):
            if s.normal is None:
                continue
            jacobian = slopes[k].T
            flat = jacobian - np.outer(s.normal, s.normal @ jacobian)
            parts.append(flat / (length[k] * (s.angle + 1e-15)))
            open_parts.append(jacobian)
        sizes, axes = _axes(np.concatenate(open_parts) / scale)
        is_open = sizes > _NOTHING * sizes[0]
        unknown, axes = axes[~is_open], axes[is_open]
        table = np.concatenate(parts) / scale @ axes.T
        if len(table) < len(axes):
            return None
        values_of, right = np.linalg.svd(table, full_matrices=False)[1:]
        if len(values_of) > 1 and values_of[-2] < 10 * values_of[-1]:
            return None
        row = (right[-1] @ axes) / scale
        row /= np.linalg.norm(row[:-1]) or 1.0
        return row, unknown / scale


class _planes:
    """Sightings of one hyperplane, which is what a unit of the first layer has."""

    def __init__(self, known: Known, points, normals):
        self.points, self.normals = points, normals

    def grown(self, seed: int, left: Bool[np.ndarray, " s"]) -> Int[np.ndarray, " g"]:
        n = self.normals[seed]
        turn = self.normals - np.outer(self.normals @ n, n)
        away = self.points - self.points[seed]
        slack = 1e-6 * (1 + np.linalg.norm(away, axis=1))
        fits = (np.linalg.norm(turn, axis=1) < 1e-6) & (np.abs(away @ n) < slack)
        return np.flatnonzero(fits & left)


class _Groups:
    """Sightings whose equations have a common solution.

    Each gives a matrix A of what the features do there and its part E across the normal, which is
    zero on the row. Gram matrices add, and the number of equations beyond need is counted.
    """

    def __init__(self, known: Known, points, normals):
        slopes = known.slopes(points)
        values = known.features(points) / (1 + np.linalg.norm(points, axis=1, keepdims=True))
        scale = np.sqrt(np.mean(np.sum(slopes**2, axis=2) + values**2, axis=0))
        scale = np.where(scale > 0, scale, 1.0)
        a = np.concatenate([np.swapaxes(slopes, 1, 2), values[:, None, :]], axis=1) / scale
        e = a.copy()
        e[:, :-1] -= normals[:, :, None] * np.einsum("sd,sdm->sm", normals, a[:, :-1])[:, None]
        self.a, self.e = (np.swapaxes(x, 1, 2) @ x for x in (a, e))
        self.rank = 1 + np.linalg.matrix_rank(known.below(points), tol=1e-9)

    def grown(self, seed: int, left: Bool[np.ndarray, " s"]) -> Int[np.ndarray, " g"]:
        """The sightings of the unit of one of them, which are taken as they are of most use."""
        a, e = self.a[seed], self.e[seed]
        members = [seed]
        if _nullity(e) - _nullity(a) < 1:
            return np.array(members)
        others = np.flatnonzero(left & (np.arange(len(left)) != seed))
        if len(others) > _COMPARED:
            others = np.sort(np.random.default_rng(seed).permutation(others)[:_COMPARED])
        # Once all of the row is known, its predictions find the others.
        while len(others) and not (len(members) > 4 and _nullity(a) == 0):
            sums = a + self.a[others]
            m = len(a)
            open_after = _nullity(sums)
            new = _nullity(a) - open_after
            spare = self.rank[others] - new - 1
            fits = (_nullity(e + self.e[others]) - open_after == 1) & (spare >= 1)
            if not np.any(fits):
                break
            taken = []
            for k in np.flatnonzero(fits)[np.argsort(-spare[fits], kind="stable")]:
                j = others[k]
                more_a, more_e = a + self.a[j], e + self.e[j]
                if spare[k] >= min(2, m) and _nullity(more_e) - _nullity(more_a) == 1:
                    a, e = more_a, more_e
                    taken.append(j)
            if not taken:
                break
            members += taken
            others = np.setdiff1d(others, taken)
        return np.array(members)


def _axes(table):
    """Singular values, one for each column, and right singular vectors."""
    triangle = np.linalg.qr(table, mode="r")
    m = table.shape[1]
    square = np.zeros((m, m))
    square[: len(triangle)] = triangle
    return np.linalg.svd(square)[1:]


def _nullity(gram):
    """The number of singular values that are nothing."""
    values = np.linalg.eigvalsh(gram)
    return np.sum(values < _NOTHING**2 * values[..., -1:], axis=-1)
