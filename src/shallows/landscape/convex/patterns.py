r"""Activation patterns: which points of a data set a neuron can be active at.

The patterns of $g \mapsto 1[Xg \ge 0]$ are the cells of the central arrangement of the rows of X.
They depend on the column space of X only, so that the arrangement is that of independent columns.
"""

import dataclasses
import functools

import numpy as np
from flint import fmpq, fmpq_mat
from jaxtyping import Bool, Float, Shaped

from shallows.model.cells import cells, zaslavsky
from shallows.model.inequalities import coprime, exact_array
from shallows.model.network import Numbers, finite, positive_integer

_LIMIT = 20_000


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Patterns:
    """Activation patterns of n points, one a row.

    **Convention.** A point with features 0 is active in all. Only full-dimensional cells count:
    what a neuron on a wall of a cell does, one inside the cell does in the limit.
    """

    masks: Bool[np.ndarray, "P n"]
    exact: bool
    """Whether these are all. If not, programs over them are restricted, and what they certify
    bounds the least loss of networks from above only."""
    rank: int
    """Of the features."""
    walls: Bool[np.ndarray, "P n"] | None = None
    """For each pattern, one point for each wall of its cell: their inequalities imply all others.
    None where nobody knows."""

    def __len__(self) -> int:
        return len(self.masks)

    @functools.cached_property
    def index(self) -> dict[bytes, int]:
        """The number of each pattern, by its bytes."""
        return {mask.tobytes(): i for i, mask in enumerate(self.masks)}

    def __repr__(self) -> str:
        kind = "all" if self.exact else "a sample"
        return f"Patterns({len(self)} of {self.masks.shape[1]} points, {kind}, rank {self.rank})"


def all_patterns(features: Numbers, *, limit: int = _LIMIT) -> Patterns:
    r"""All patterns of these points (rows), exactly; floats are the fractions they are.

    Columns that depend on others are left out: exactly dependent ones, and where the rank to
    rounding is less than that, what an SVD leaves of the features takes their place.

    **Raises.** `ValueError` for no finite matrix, and where there may be more than `limit`
    patterns: $2 \sum_{k < r} \binom{n - 1}{k}$ of n points no two of which are parallel.

    **Cost.** n² for rank 2; else as `cells`, 4 s for 20 000 patterns of 40 points of rank 4.

    **Source.** Pilanci & Ergen (2020); zaslavsky1975 for the number.
    """
    x = _matrix(features)
    rows = independent_columns(x)
    line, side = _hyperplanes(rows)
    rank, distinct = rows.shape[1], int(line.max(initial=-1)) + 1
    number = zaslavsky(distinct, rank, is_central=True)
    if number > limit:
        raise ValueError(
            f"{len(x)} points of rank {rank} may have {number:_} activation patterns, more than "
            f"{limit:_}. Raise `limit`, or take a sample of them, `sampled_patterns(features, "
            f"1000)` (`--patterns 1000`), whose program bounds the optimum from above only."
        )
    first = [int(np.flatnonzero(line == l)[0]) for l in range(distinct)]
    chosen = rows[first]
    if rank == 0:
        signs = np.ones((1, 0), dtype=np.int8)
    elif rank == 2:
        signs = _planar(chosen)
    else:
        signs = cells(chosen, most=limit).signs
    # A zero row has no line; it counts as active.
    padded = np.concatenate([signs, np.ones((len(signs), 1), np.int8)], axis=1)
    masks = padded[:, line] * side > 0
    seen = {cell.tobytes() for cell in signs}
    walls = np.zeros_like(masks)
    for l, j in enumerate(first):
        flipped = signs.copy()
        flipped[:, l] *= -1
        walls[:, j] = [cell.tobytes() in seen for cell in flipped]
    return Patterns(masks, True, rank, walls)


def sampled_patterns(features: Numbers, count: int, *, seed: int = 0) -> Patterns:
    """The different ones among the patterns of `count` random directions.

    Directions are Gaussian in the coordinates in which features are orthonormal, so that patterns
    do not depend on units. A larger `count` adds to what a smaller one has.

    **Raises.** `ValueError` for no finite matrix, and a count that is not positive.
    """
    x = _matrix(features)
    count = positive_integer("count", count, most=10**7)
    u = orthonormal_columns(x)[0]
    gates = np.random.default_rng(seed).normal(size=(count, u.shape[1]))
    masks = gates @ u.T >= 0
    masks[:, ~np.any(x != 0, axis=1)] = True
    _, first = np.unique(masks, axis=0, return_index=True)
    return Patterns(masks[np.sort(first)], False, u.shape[1])


def orthonormal_columns(
    features: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, "n r"], Float[np.ndarray, " r"], Float[np.ndarray, "d r"]]:
    """The compact SVD (U, S, V) with features = U S Vᵀ.

    Singular values count that are above max(n, d) ε times the largest one.
    """
    u, s, vt = np.linalg.svd(features, full_matrices=False)
    rank = int(np.sum(s > max(features.shape) * np.finfo(float).eps * s[0])) if s[0] > 0 else 0
    return u[:, :rank], s[:rank], vt[:rank].T


def independent_columns(features: Float[np.ndarray, "n d"]) -> Shaped[np.ndarray, "n r"]:
    """Integer rows whose column space is that of the features, each scaled by a positive number."""
    u, s, _ = orthonormal_columns(features)
    exact = exact_array("features", features)
    pivots = exact_pivots(features)
    if len(pivots) > len(s):
        exact = exact_array("features", u * s)
        pivots = list(range(len(s)))
    return coprime(exact[:, pivots])


def _matrix(features: Numbers) -> np.ndarray:
    x = np.asarray(finite("features", features))
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"Features need a matrix with a row for each point, but their shape is {x.shape}. "
            f"Use e.g. `x[:, None]`."
        )
    return x


def exact_pivots(features: Float[np.ndarray, "n d"]) -> list[int]:
    """The columns that do not depend on those before them, in exact arithmetic."""
    n, d = features.shape
    exact = exact_array("features", features)
    matrix = fmpq_mat(n, d, [fmpq(t.numerator, t.denominator) for t in exact.ravel()])
    reduced, rank = matrix.rref()
    found: list[int] = []
    for i in range(rank):
        found.append(next(j for j in range(d) if reduced[i, j] != 0))
    return found


def _hyperplanes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the line of each row (−1 for a zero row), and on which side of it it is."""
    seen: dict[tuple[int, ...], int] = {}
    line, side = np.full(len(rows), -1), np.ones(len(rows), np.int8)
    for i, row in enumerate(rows):
        nonzero = np.flatnonzero(row)
        if len(nonzero):
            side[i] = 1 if row[nonzero[0]] > 0 else -1
            line[i] = seen.setdefault(tuple(int(side[i]) * row), len(seen))
    # Rows of a line count with the sign of its first one.
    for l in range(len(seen)):
        side[line == l] *= side[np.flatnonzero(line == l)[0]]
    return line, side


def _planar(rows: np.ndarray) -> np.ndarray:
    """Signs of distinct lines of a plane in its cells, in the order of their angles."""

    def earlier(i: int, j: int) -> int:
        cross = int(edges[i][0] * edges[j][1] - edges[i][1] * edges[j][0])
        return -1 if cross > 0 else 1

    m = len(rows)
    # Directions of the lines in the upper half-plane, where the cross product compares angles.
    edges = []
    for a, b in rows:
        x, y = -b, a
        edges.append((x, y) if y > 0 or (y == 0 and x > 0) else (-x, -y))
    order = sorted(range(m), key=functools.cmp_to_key(earlier))
    # A cell starts at one edge: beyond it, the sign of its row has changed.
    crossing = [int(np.sign(rows[i][0] * -edges[i][1] + rows[i][1] * edges[i][0])) for i in order]
    upper = np.where(np.arange(m)[:, None] >= np.arange(m), 1, -1) * np.array(crossing)
    signs = np.zeros((2 * m, m), np.int8)
    signs[:m, order] = upper
    return np.concatenate([signs[:m], -signs[:m]])
