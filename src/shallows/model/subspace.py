"""Labelled points on a subspace of the inputs, and the directions off it.

All gradients of a network's inner weights are combinations of data points. Where these lie in a
linear subspace P, what weights have orthogonal to P is what they started with.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from shallows.model.network import Numbers, finite, positive_integer
from shallows.model.unit_data import digits

# How far bases may be from orthonormal, and points from their subspace, relative to their length.
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, eq=False)
class Subspace:
    r"""A subspace $P = \{o + A c\}$ of $\mathbb{R}^d$ and its orthogonal directions.

    The columns of A (`along`) and of `across` are an orthonormal basis together. P is linear where
    the offset o, which is orthogonal to it, is 0.

    **Raises.** `ValueError` for columns that are not orthonormal or do not fill the space, for none
    on either side, and for an offset that is not orthogonal to `along`.
    """

    along: Float[np.ndarray, "d p"]
    across: Float[np.ndarray, "d l"]
    offset: Float[np.ndarray, " d"]

    def __init__(self, along: Numbers, across: Numbers, offset: Numbers | None = None):
        a, b = np.asarray(finite("along", along)), np.asarray(finite("across", across))
        if a.ndim != 2 or b.ndim != 2 or len(a) != len(b) or 0 in (a.shape[1], b.shape[1]):
            raise ValueError(
                f"A subspace needs columns along and across it, of one length, but they have "
                f"shapes {a.shape} and {b.shape}. Use e.g. `coordinate_subspace(3, 1)`."
            )
        both = np.column_stack([a, b])
        error = np.max(np.abs(both.T @ both - np.eye(both.shape[1])))
        if both.shape[1] != len(a) or error > _ROUNDING:
            raise ValueError(
                f"The {a.shape[1]} columns along and {b.shape[1]} across must be an orthonormal "
                f"basis of {len(a)} dimensions, but their products are off by {error:.2g}. Use "
                f"`spanned(vectors)`."
            )
        o = np.zeros(len(a)) if offset is None else np.asarray(finite("offset", offset))
        if o.shape != (len(a),) or np.max(np.abs(a.T @ o)) > _ROUNDING * (1 + np.linalg.norm(o)):
            raise ValueError(
                f"The offset must be a vector of {len(a)} numbers orthogonal to the subspace, but "
                f"is {offset!r:.80}. Subtract its part along the subspace."
            )
        for name, value in (("along", a), ("across", b), ("offset", o)):
            object.__setattr__(self, name, value)

    @property
    def inputs(self) -> int:
        """The number d."""
        return len(self.along)

    @property
    def codimension(self) -> int:
        """The number l of directions off it."""
        return self.across.shape[1]

    def embed(self, coordinates: Float[np.ndarray, "n p"]) -> Float[np.ndarray, "n d"]:
        """The points o + A c for coordinates c in rows."""
        return coordinates @ self.along.T + self.offset

    def coordinates_off(self, x: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n l"]:
        """Coordinates of the part that is orthogonal to P; of weights, the offset plays no part."""
        return x @ self.across

    def part_off(self, x: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n d"]:
        r"""$\Pi_\perp x$ for each row."""
        return self.coordinates_off(x) @ self.across.T


def coordinate_subspace(inputs: int, codimension: int) -> Subspace:
    """That of the first coordinates: what is off it is exactly zero, without rounding."""
    d, l = _sizes(inputs, codimension)
    unit = np.eye(d)
    return Subspace(unit[:, : d - l], unit[:, d - l :])


def random_subspace(inputs: int, codimension: int, *, seed: int = 0) -> Subspace:
    """A subspace drawn uniformly, that is rotated: projections have rounding."""
    d, l = _sizes(inputs, codimension)
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    q = q * np.sign(np.diag(r))
    return Subspace(q[:, : d - l], q[:, d - l :])


def spanned(vectors: Numbers) -> Subspace:
    """The subspace that the rows span.

    **Accuracy.** Rows count as dependent from 1e-10 of the largest singular value down.

    **Raises.** `ValueError` for rows that span nothing or the whole space.
    """
    rows = np.atleast_2d(np.asarray(finite("vectors", vectors)))
    _, values, directions = np.linalg.svd(rows)
    rank = int(np.count_nonzero(values > 1e-10 * max(values[0], 1e-300)))
    if not 0 < rank < rows.shape[1]:
        raise ValueError(
            f"These {len(rows)} vectors span {rank} of {rows.shape[1]} dimensions, which leaves "
            f"{'nothing on' if rank == 0 else 'nothing off'} the subspace. Use fewer, or embed "
            f"them in a larger space."
        )
    return Subspace(directions[:rank].T, directions[rank:].T)


@dataclasses.dataclass(frozen=True, eq=False)
class SubspaceData:
    """Points in rows on a subspace, with labels ±1.

    **Raises.** `ValueError` for points off the subspace by more than 1e-9 of their length, and for
    labels that are not one of ±1 a point.
    """

    points: Float[np.ndarray, "n d"]
    labels: Float[np.ndarray, " n"]
    subspace: Subspace

    def __init__(self, points: Numbers, labels: Numbers, subspace: Subspace):
        x, y = np.asarray(finite("points", points)), np.asarray(finite("labels", labels))
        if x.ndim != 2 or x.shape[1] != subspace.inputs or not len(x):
            raise ValueError(
                f"Points need a row of {subspace.inputs} numbers each, but have shape {x.shape}. "
                f"Use `subspace.embed(coordinates)`."
            )
        off = np.linalg.norm(subspace.coordinates_off(x - subspace.offset), axis=1)
        worst = int(np.argmax(off))
        if off[worst] > _ROUNDING * (1 + np.linalg.norm(x[worst])):
            raise ValueError(
                f"Point {worst} is {off[worst]:.3g} off the subspace. Use "
                f"`subspace.embed(coordinates)`, or `spanned(points)`."
            )
        if y.shape != (len(x),) or not np.all(np.abs(y) == 1):
            raise ValueError(
                f"Each of the {len(x)} points needs a label +1 or −1, but the labels are "
                f"{labels!r:.80}. Use e.g. `np.sign(values)`."
            )
        for name, value in (("points", x), ("labels", y), ("subspace", subspace)):
            object.__setattr__(self, name, value)


def random_labels(subspace: Subspace, points: int, *, seed: int = 0) -> SubspaceData:
    r"""Points of length √d uniform in directions of P, with labels ±1 at random.

    **Convention.** d counts all inputs, so that coordinates off P are as large as those of weights.
    """
    n = positive_integer("points", points)
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(n, subspace.along.shape[1]))
    c *= math.sqrt(subspace.inputs) / np.linalg.norm(c, axis=1, keepdims=True)
    return SubspaceData(subspace.embed(c), rng.choice([-1.0, 1.0], size=n), subspace)


def diagonal_data(points: int = 7) -> SubspaceData:
    """Points on the diagonal of the plane, even from (−1, −1) to (1, 1), with labels in turns."""
    n = positive_integer("points", points)
    if n < 2:
        raise ValueError("One point has no neighbour of the other label. Use e.g. 7.")
    half = math.sqrt(0.5)
    subspace = Subspace([[half], [half]], [[half], [-half]])
    places = np.linspace(-1, 1, n)
    return SubspaceData(np.column_stack([places, places]), _alternating(n), subspace)


def chessboard_data(side: int = 5, height: float | int = 0.5) -> SubspaceData:
    """A chessboard of side² points in [0, 1]² at one height in R³, with labels in turns.

    The plane does not go through 0 unless the height is 0: weights off it are free to move.
    """
    n = positive_integer("side", side)
    if n < 2:
        raise ValueError("One point is no chessboard. Use e.g. `side=5`.")
    places = np.linspace(0, 1, n)
    u, v = (grid.ravel() for grid in np.meshgrid(places, places, indexing="ij"))
    unit = np.eye(3)
    subspace = Subspace(unit[:, :2], unit[:, 2:], [0.0, 0.0, float(height)])
    labels = np.outer(_alternating(n), _alternating(n)).ravel()
    return SubspaceData(np.column_stack([u, v, np.full(n * n, float(height))]), labels, subspace)


def digit_pair_data(
    subspace: Subspace, pair: tuple[int, int] = (3, 8), points: int = 40, *, seed: int = 0
) -> SubspaceData:
    """Two of scikit-learn's digits, 8 × 8 pixels, turned isometrically into a 64-dimensional P.

    Pictures of unit length times √d; the first digit of the pair has the label −1.

    **Raises.** `ValueError` for a subspace of another dimension, for what are not two digits,
    for more points than there are, and without scikit-learn.
    """
    pixels, digit = digits()
    if subspace.along.shape[1] != 64:
        raise ValueError(
            f"Digits have 64 pixels, but the subspace has {subspace.along.shape[1]} dimensions. "
            f"Use e.g. `random_subspace(96, 32)`."
        )
    if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(range(10)):
        raise ValueError(f"A pair of two digits from 0 to 9 is needed, not {pair}. Use (3, 8).")
    both = np.flatnonzero(np.isin(digit, pair))
    n = positive_integer("points", points, most=len(both))
    chosen = np.random.default_rng(seed).choice(both, size=n, replace=False)
    x = pixels[chosen] / np.linalg.norm(pixels[chosen], axis=1, keepdims=True)
    labels = np.where(digit[chosen] == pair[0], -1.0, 1.0)
    return SubspaceData(subspace.embed(math.sqrt(subspace.inputs) * x), labels, subspace)


def _alternating(n: int) -> np.ndarray:
    return np.where(np.arange(n) % 2 == 0, 1.0, -1.0)


def _sizes(inputs: int, codimension: int) -> tuple[int, int]:
    d, l = positive_integer("inputs", inputs), positive_integer("codimension", codimension)
    if l >= d:
        raise ValueError(
            f"A subspace of {d} inputs leaves at most {d - 1} directions off it, but {l} were "
            f"asked for. Use fewer."
        )
    return d, l
