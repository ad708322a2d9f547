r"""Cells of arrangements of hyperplanes, and the linear regions of networks, exactly.

Hyperplanes are added one by one. The new one, H, splits just those cells that meet it, and these
are the cells of the others' traces on H: an arrangement in one dimension less, whose cells come
with points on H. A step off H to both sides gives a point in each half. All numbers are integers:
a point is (X, D) with x = X/D. Only where cells are confined to a region (a box, or a cell of the
layer before) is a system of inequalities to be solved, one for each flat: see
`shallows.model.inequalities`.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int8, Shaped
from scipy.optimize import linprog

from shallows.model.activations import PiecewiseLinear
from shallows.model.deep import Deep
from shallows.model.inequalities import (
    Solution,
    coprime,
    exact_array,
    rational_rows,
    strictly_negative,
)
from shallows.model.network import Network, Numbers, positive_integer

_MOST = 200_000


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """Full-dimensional cells of an arrangement, each with its signs and a point inside.

    **Convention.** `signs[c, i]` is the sign of wᵢ·x + bᵢ in cell c; it is 0 only where wᵢ and bᵢ
    are. Cells are in the order in which they were found.
    """

    signs: Int8[np.ndarray, "c m"]
    homogeneous: Shaped[np.ndarray, "c coordinates"]
    """Integers (X, D), D > 0: the point X/D."""

    def __len__(self) -> int:
        return len(self.signs)

    def point(self, cell: int) -> tuple[Fraction, ...]:
        """A point inside this cell, exactly."""
        *whole, common = self.homogeneous[cell]
        return tuple(Fraction(entry, common) for entry in whole)

    @property
    def points(self) -> Float[np.ndarray, "c n"]:
        """The points, rounded; in a thin cell rounding may leave it."""
        whole, common = self.homogeneous[:, :-1], self.homogeneous[:, -1:]
        return (whole / common).astype(float)

    def __repr__(self) -> str:
        return f"Cells({len(self)} of {self.signs.shape[1]} hyperplanes)"


def zaslavsky(hyperplanes: int, dimension: int, *, is_central: bool = False) -> int:
    r"""The number of cells of hyperplanes in general position, the most there can be.

    $\sum_{k \le n} \binom{m}{k}$; for hyperplanes through one point, in general position but for
    that, $2 \sum_{k < n} \binom{m - 1}{k}$.

    **Source.** zaslavsky1975.
    """
    if is_central:
        if hyperplanes == 0:
            return 1
        return 2 * sum(math.comb(hyperplanes - 1, k) for k in range(dimension))
    return sum(math.comb(hyperplanes, k) for k in range(dimension + 1))


def cells(
    normals: Numbers,
    offsets: Numbers | None = None,
    *,
    box: tuple[Numbers, Numbers] | None = None,
    most: int = _MOST,
) -> Cells:
    """All cells of the hyperplanes wᵢ·x + bᵢ = 0, in Rⁿ or in an open box (its two corners).

    Floats are the fractions that they are. Equal, parallel and zero normals are allowed.

    **Accuracy.** Exact.

    **Raises.** `ValueError` as `rational_rows`, for a box with an empty side, and where there may
    be more than `most` cells (in a box: where there are).

    **Cost.** m integer products of n + 1 terms for each cell; 20 000 cells of 40 hyperplanes
    through 0 in R⁴ take 4 s of a busy core, the 102 091 of 40 others 15 to 30. In a box also
    C(m, n − 1) systems of inequalities at most.
    """
    rows = rational_rows(normals, offsets)
    return _all_cells(rows, None if box is None else _box(box, rows.shape[1] - 1), most)


def sampled_cells(
    normals: Numbers,
    offsets: Numbers | None = None,
    *,
    points: Numbers,
) -> Cells:
    """The cells in which these points lie: what is left where there are too many to list.

    Each cell comes with the first point in it; points on a hyperplane are left out. Nothing is
    said about other cells.

    **Raises.** `ValueError` as `rational_rows`, and for points of another dimension.
    """
    rows = rational_rows(normals, offsets)
    given = exact_array("points", points)
    if given.ndim != 2 or given.shape[1] != rows.shape[1] - 1:
        raise ValueError(
            f"Points of these cells have {rows.shape[1] - 1} coordinates, but `points` has shape "
            f"{given.shape}. Pass a matrix with one point in each row."
        )
    ones = np.full((len(given), 1), Fraction(1), dtype=object)
    homogeneous = coprime(np.concatenate([given, ones], axis=1))
    signs = _signs(rows, homogeneous)
    constant = ~np.any(rows[:, :-1] != 0, axis=1)
    inside = np.flatnonzero(np.all((signs != 0) | constant, axis=1))
    _, first = np.unique(signs[inside], axis=0, return_index=True)
    chosen = inside[np.sort(first)]
    return Cells(signs[chosen], homogeneous[chosen])


def _all_cells(rows: np.ndarray, region: np.ndarray | None, most: int) -> Cells:
    most = positive_integer("most", most)
    n = rows.shape[1] - 1
    if region is None:
        distinct = len(_distinct(rows))
        bound = zaslavsky(distinct, n, is_central=not np.any(rows[:, -1]))
        if bound > most:
            raise ValueError(
                f"{distinct} hyperplanes in {n} dimensions may have {bound:_} cells, more than "
                f"{most:_}. Raise `most`, confine them to a `box`, or look at some of them with "
                f"`sampled_cells`."
            )
    found = _found(rows, region, most)
    if found is None:
        return Cells(np.zeros((0, len(rows)), np.int8), np.zeros((0, n + 1), dtype=object))
    return Cells(_signs(rows, found), found)


def _found(rows: np.ndarray, region: np.ndarray | None, most: int) -> np.ndarray | None:
    """A point (X, D) in each cell inside the region; None where that is empty."""
    n = rows.shape[1] - 1
    live = rows[_distinct(rows)]
    if n == 1:
        return _intervals(live, region)
    start = _inside(region, n)
    if start is None:
        return None
    points, signs = start[None], np.zeros((1, 0), np.int8)
    for j, row in enumerate(live):
        pivot = int(min(np.flatnonzero(row[:-1]), key=lambda l: abs(row[l])))
        trace = _trace(live[:j], row, pivot)
        below = _found(trace, None if region is None else _trace(region, row, pivot), most)
        column = _signs(row[None], points)
        signs = np.concatenate([signs, column], axis=1)
        if below is None:
            continue
        lifted = _lift(below, row, pivot)
        seen = {cell.tobytes(): i for i, cell in enumerate(signs[:, :j])}
        cut = [seen[cell.tobytes()] for cell in _signs(live[:j], lifted)]
        walls = live[:j] if region is None else np.concatenate([live[:j], region])
        up, down = _both_sides(lifted, row, pivot, walls)
        points[cut], signs[cut, j] = up, 1
        points = np.concatenate([points, down])
        signs = np.concatenate([signs, signs[cut]])
        signs[-len(down) :, j] = -1
        if len(points) > most:
            raise ValueError(
                f"There are more than {most:_} cells. Raise `most`, choose a smaller box, or look "
                f"at some of them with `sampled_cells`."
            )
    return points


def _distinct(rows: np.ndarray) -> list[int]:
    """The first row of each hyperplane; rows are coprime integers."""
    seen: dict[tuple[int, ...], int] = {}
    for i, row in enumerate(rows):
        nonzero = np.flatnonzero(row[:-1])
        if len(nonzero):
            seen.setdefault(tuple(row if row[nonzero[0]] > 0 else -row), i)
    return list(seen.values())


def _signs(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    values = points @ rows.T
    return (values > 0).astype(np.int8) - (values < 0).astype(np.int8)


def _reduced(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their greatest common divisors."""
    if not rows.size:
        return rows
    factors = np.gcd.reduce(rows, axis=1)
    factors[factors == 0] = 1
    return rows // factors[:, None]


def _trace(rows: np.ndarray, row: np.ndarray, pivot: int) -> np.ndarray:
    """The rows on the hyperplane of `row`, in its coordinates without the one of `pivot`."""
    size, sign = abs(row[pivot]), 1 if row[pivot] > 0 else -1
    made = size * rows - (sign * rows[:, pivot])[:, None] * row
    return _reduced(np.delete(made, pivot, axis=1))


def _lift(points: np.ndarray, row: np.ndarray, pivot: int) -> np.ndarray:
    """Points of the hyperplane in all coordinates."""
    size, sign = abs(row[pivot]), 1 if row[pivot] > 0 else -1
    missing = -sign * (points @ np.delete(row, pivot))
    return _reduced(np.insert(size * points, pivot, missing, axis=1))


def _both_sides(
    points: np.ndarray, row: np.ndarray, pivot: int, walls: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points beside the hyperplane that no wall separates from those given, on it."""
    values, slopes = np.abs(points @ walls.T), np.abs(walls[:, pivot])
    # A power of two below |value|/(2 |slope|), the distance to a wall along this axis, or 1.
    steps = np.zeros(len(points), dtype=int)
    for i in np.flatnonzero(slopes):
        near = [v.bit_length() for v in values[:, i]]
        far = [(slopes[i] * d).bit_length() for d in points[:, -1]]
        steps = np.minimum(steps, np.subtract(near, far) - 2)
    scale = np.array([1 << -int(e) for e in steps], dtype=object)
    up = points * scale[:, None]
    down = up.copy()
    move = points[:, -1] * (1 if row[pivot] > 0 else -1)
    up[:, pivot] += move
    down[:, pivot] -= move
    return _reduced(up), _reduced(down)


def _intervals(rows: np.ndarray, region: np.ndarray | None) -> np.ndarray | None:
    """The cells on a line."""
    low: Fraction | None = None
    high: Fraction | None = None
    for w, b in () if region is None else region:
        if w == 0:
            if b <= 0:
                return None
            continue
        end = Fraction(-b, w)
        if w > 0:
            low = end if low is None else max(low, end)
        else:
            high = end if high is None else min(high, end)
    if low is not None and high is not None and low >= high:
        return None
    places = sorted(
        x
        for x in {Fraction(-b, w) for w, b in rows}
        if (low is None or x > low) and (high is None or x < high)
    )
    ends = [low, *places, high]
    middles = []
    for a, b in itertools.pairwise(ends):
        if a is None:
            middles.append(Fraction(0) if b is None else b - 1)
        else:
            middles.append(a + 1 if b is None else (a + b) / 2)
    return np.array([[x.numerator, x.denominator] for x in middles], dtype=object)


def _inside(region: np.ndarray | None, n: int) -> np.ndarray | None:
    """A point (X, D) with all rows of the region positive."""
    if region is None:
        return np.array([0] * n + [1], dtype=object)
    constant = ~np.any(region[:, :-1] != 0, axis=1)
    if np.any(region[constant, -1] <= 0):
        return None
    walls = region[~constant]
    centre = _centre(walls)
    if centre is not None:
        return centre
    found = strictly_negative(-walls)
    if not isinstance(found, Solution):
        return None
    return coprime(np.array([[*found.point, Fraction(1)]], dtype=object))[0]


def _centre(walls: np.ndarray) -> np.ndarray | None:
    """A point well inside and with few digits, if floats find one; it is checked exactly."""
    n = walls.shape[1] - 1
    scaled = (walls / np.max(np.abs(walls), axis=1)[:, None]).astype(float)
    lengths = np.linalg.norm(scaled[:, :-1], axis=1)
    found = linprog(  # the largest ball, of radius at most one
        np.r_[np.zeros(n), -1.0],
        A_ub=np.column_stack([-scaled[:, :-1], lengths]),
        b_ub=scaled[:, -1],
        bounds=[(None, None)] * n + [(None, 1.0)],
    )
    if found.status != 0 or not found.x[-1] > 1e-9:
        return None
    # Rounded by less than half the radius.
    common = 1 << max(0, math.ceil(math.log2(n / found.x[-1])))
    point = [round(Fraction(t) * common) for t in found.x[:-1].tolist()]
    made = _reduced(np.array([[*point, common]], dtype=object))[0]
    return made if all(walls @ made > 0) else None


def _box(box: tuple[Numbers, Numbers], n: int) -> np.ndarray:
    """Rows that are positive inside."""
    low, high = (exact_array("box", corner) for corner in box)
    if low.shape != (n,) or high.shape != (n,) or not all(low < high):
        raise ValueError(
            f"A box in {n} dimensions has two corners of as many coordinates, the first one less "
            f"in each, but they are {low.tolist()!s:.80} and {high.tolist()!s:.80}. Pass e.g. "
            f"`box=([-1] * {n}, [1] * {n})`."
        )
    one = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    return coprime(np.concatenate([np.column_stack([one, -low]), np.column_stack([-one, high])]))


@dataclasses.dataclass(frozen=True, eq=False)
class LinearRegion:
    """A set where a network is affine: a cell of each layer inside one of the layer before."""

    signs: tuple[Int8[np.ndarray, "..."], ...]
    """Of the preactivations, for each layer; 0 where one vanishes throughout."""
    point: tuple[Fraction, ...]
    """Inside."""
    matrix: Shaped[np.ndarray, "outputs n"]
    offset: Shaped[np.ndarray, " outputs"]
    """f(x) = matrix x + offset there; fractions. A number as output counts as one."""


def linear_regions(
    network: Network | Deep,
    *,
    box: tuple[Numbers, Numbers] | None = None,
    most: int = _MOST,
) -> list[LinearRegion]:
    """The linear regions of a network with any number of layers, in Rⁿ or in an open box.

    Regions differ in the sign of some preactivation; neighbours may share one affine map.

    **Accuracy.** Exact: weights are the fractions that they are.

    **Raises.** `ValueError` as `cells`, for a batch, and for an activation that is not piecewise
    linear. **Cost.** As `cells`, for every layer in every cell of the layers before.
    """
    layers, outer, sigma = _exact_network(network)
    n = layers[0][0].shape[1]
    outside = None if box is None else _box(box, n)
    identity = np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)], dtype=object)
    start = np.array([Fraction(0)] * n, dtype=object)
    done: list[LinearRegion] = []
    # Signs so far, the walls of the cell, and the last hidden layer as an affine map on it.
    Open = tuple[tuple[np.ndarray, ...], np.ndarray | None, np.ndarray, np.ndarray]
    todo: list[Open] = [((), outside, identity, start)]
    while todo:
        signs, walls, matrix, offset = todo.pop()
        weights, bias = layers[len(signs)]
        matrix, offset = weights @ matrix, weights @ offset + bias
        rows = coprime(np.column_stack([matrix, offset]))
        for cell, point in _split(rows, walls, most):
            gains = np.array([sigma[int(s)] for s in cell], dtype=object)
            inner = (gains[:, None] * matrix, gains * offset)
            if len(signs) + 1 == len(layers):
                affine = (outer.T @ inner[0], outer.T @ inner[1])
                done.append(LinearRegion((*signs, cell), point, *affine))
                continue
            moving = np.any(rows[:, :-1] != 0, axis=1)
            more = cell[moving, None].astype(object) * rows[moving]
            inside = more if walls is None else np.concatenate([walls, more])
            todo.append(((*signs, cell), inside if len(inside) else None, *inner))
        if len(done) + len(todo) > most:
            raise ValueError(
                f"There are more than {most:_} linear regions. Raise `most`, or choose a smaller "
                f"box."
            )
    return done


def _split(
    rows: np.ndarray, walls: np.ndarray | None, most: int
) -> list[tuple[np.ndarray, tuple[Fraction, ...]]]:
    found = _all_cells(rows, walls, most)
    return [(found.signs[i], found.point(i)) for i in range(len(found))]


def _exact_network(
    network: Network | Deep,
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, dict[int, Fraction]]:
    """Weights and biases of each layer, heads with a column for each output, slopes by sign."""
    if not isinstance(network.activation, PiecewiseLinear):
        raise ValueError(
            f"A network with the activation {network.activation.name} has no linear regions. Use "
            f"one of `relu`, `leaky(s)` and `absolute`."
        )
    if isinstance(network, Network):
        if network.inner.ndim != 2:
            raise ValueError(
                f"This is a batch of networks, of shape {network.inner.shape[:-2]}. Take one."
            )
        given: Sequence = [(network.inner, network.bias)]
    else:
        given = [(w, None) for w in network.layers]
    layers = []
    for w, b in given:
        bias = np.zeros(len(w)) if b is None else np.asarray(b)
        layers.append((exact_array("inner", np.asarray(w)), exact_array("bias", bias)))
    outer = exact_array("outer", np.asarray(network.outer))
    slopes = {
        1: Fraction(float(network.activation.positive)),
        -1: Fraction(float(network.activation.negative)),
        0: Fraction(0),
    }
    return layers, outer.reshape(len(outer), -1), slopes


@dataclasses.dataclass(frozen=True)
class SegmentKink:
    """Where a unit of a network changes sides on the way from one point to another."""

    time: Fraction
    """0 < t < 1: at (1 − t) start + t end."""
    layer: int
    unit: int


def segment_kinks(network: Network | Deep, start: Numbers, end: Numbers) -> list[SegmentKink]:
    """The places on a segment where preactivations change sign, by increasing t, exactly.

    A preactivation that only touches zero, or vanishes on a piece, is no change of sign there. A
    unit of a later layer may be listed several times. Where the function does not bend, since
    units cancel or their heads are 0, they are listed all the same.

    **Raises.** `ValueError` as `linear_regions`, and for points of another dimension.
    """
    layers, _, sigma = _exact_network(network)
    ends = [exact_array("start", start), exact_array("end", end)]
    n = layers[0][0].shape[1]
    if any(point.shape != (n,) for point in ends):
        raise ValueError(
            f"The network has {n} inputs, but the ends of the segment have the shapes "
            f"{ends[0].shape} and {ends[1].shape}. Pass two vectors of {n} numbers."
        )
    times, found = [Fraction(0), Fraction(1)], []
    # Between neighbouring times the layer is affine, so its values there say everything.
    values = np.array(ends, dtype=object)
    for number, (weights, bias) in enumerate(layers):
        before = values @ weights.T + bias
        new = {}
        for unit in range(before.shape[1]):
            crossed = _crossings(times, before[:, unit])
            found += [SegmentKink(t, number, unit) for t in crossed]
            new.update(dict.fromkeys(crossed))
        merged = sorted({*times, *new})
        filled = _interpolated(times, before, merged)
        gains = np.array([[sigma[(v > 0) - (v < 0)] for v in row] for row in filled], dtype=object)
        times, values = merged, gains * filled
    return sorted(found, key=lambda kink: (kink.time, kink.layer, kink.unit))


def _crossings(times: list[Fraction], values: np.ndarray) -> list[Fraction]:
    """Where a function that is linear between these times changes sign."""
    crossed, last = [], None
    for i, value in enumerate(values):
        if value == 0:
            continue
        if last is not None and (value > 0) != (values[last] > 0):
            if i == last + 1:
                a, b = abs(values[last]), abs(value)
                crossed.append(times[last] + (times[i] - times[last]) * a / (a + b))
            else:  # it vanishes from the one to the other: it leaves zero at the later
                crossed.append(times[i - 1])
        last = i
    return crossed


def _interpolated(times: list[Fraction], values: np.ndarray, at: list[Fraction]) -> np.ndarray:
    rows, left = [], 0
    for t in at:
        while left + 2 < len(times) and times[left + 1] <= t:
            left += 1
        share = (t - times[left]) / (times[left + 1] - times[left])
        rows.append((1 - share) * values[left] + share * values[left + 1])
    return np.array(rows, dtype=object)
