r"""On which side of its boundary each unit of a hidden layer is active.

By slopes: where $z'(x)$ has independent rows, the function's slope is a combination of them that
is unique, and lacks those that are inactive. By skips: $\sigma(-z) = \sigma(z) - z$, so with units
turned round what the next layer makes of them changes by something linear in the layer before,
which is measured with it; a subset of given vectors must add up to that, the same for every unit
of the next layer.
"""

import numpy as np
from jaxtyping import Float

from shallows.solve.extraction.known import Known
from shallows.solve.extraction.orientation import flipped
from shallows.solve.extraction.probes import Cell, Probe
from shallows.solve.extraction.rows import Row

# Points in widest position, among so many that are thought of.
_THOUGHTS, _ASKED = 600, 24


def signs_by_slopes(
    probe: Probe, known: Known, cells: list[Cell]
) -> tuple[Float[np.ndarray, " k"] | None, str]:
    """A sign for each row of the last layer, or None with the reason.

    **Cost.** No queries if `cells` tell it; at most a slope at each of 24 points.
    """
    votes = np.zeros((2, known.widths[-1], 2), dtype=int)  # alive or not, unit, side
    _count(votes, known, cells)
    if not np.all(_decided(votes)):
        if known.widths[-1] > min(known.widths):
            return None, "the layer is wider than one before it"
        more = [probe.cell(x, 0.1, worst=1e-6) for x in _wide(probe, known)]
        _count(votes, known, [cell for cell in more if cell is not None])
    plain = _decided(votes)
    if not np.all(plain):
        unknown = int(np.sum(~plain))
        return None, f"slopes leave the sides of {unknown} of {len(plain)} units open"
    return np.where(votes[0, :, 1] > 0, 1.0, -1.0), ""


def _decided(votes):
    """Alive on one side, never on the other, where it was looked at."""
    return (np.min(votes[0], axis=1) == 0) & np.any(
        (votes[0] >= 2) & (votes[1][:, ::-1] >= 2), axis=1
    )


def _count(votes, known: Known, cells: list[Cell]) -> None:
    if not cells:
        return
    points = np.stack([cell.point for cell in cells])
    signals = known.signals(points)
    z = signals[-2] @ known.weights[-1].T + known.biases[-1]
    slopes = known.weights[-1] @ known.below(points)  # n k d
    if slopes.shape[1] > slopes.shape[2]:
        return
    for cell, side, rows in zip(cells, z > 0, slopes, strict=True):
        u, sizes, v = np.linalg.svd(rows, full_matrices=False)
        if sizes[-1] <= 1e-3 * sizes[0]:
            continue
        inverse = (u / sizes) @ v
        heads = inverse @ cell.slope.T
        error = np.linalg.norm(inverse, axis=1) * cell.error * np.sqrt(len(heads))
        size = np.max(np.abs(heads), axis=1)
        doubt = 20 * error + 1e-9 * np.max(size)
        units = np.arange(len(rows))
        alive = size > 100 * doubt
        nothing = size <= doubt
        np.add.at(votes, (0, units[alive], side[alive].astype(int)), 1)
        np.add.at(votes, (1, units[nothing], side[nothing].astype(int)), 1)


def _wide(probe: Probe, known: Known) -> Float[np.ndarray, "n d"]:
    """Points at which the rows of the last layer are as independent as can be found.

    So many units of the layers before are active there; searched for without queries.
    """
    rng, d = probe.rng, probe.inputs
    x = 2.0 ** rng.uniform(-1, 2, (_THOUGHTS, 1)) * rng.normal(size=(_THOUGHTS, d))
    best = np.zeros((0, d))
    for _ in range(6):
        rows = known.weights[-1] @ known.below(x)
        sizes = np.linalg.svd(rows, compute_uv=False)
        quality = sizes[:, -1] / np.maximum(sizes[:, 0], 1e-300)
        order = np.argsort(-quality)[: 2 * _ASKED]
        best = x[order]
        moved = np.repeat(best, 10, axis=0)
        step = 0.3 * (1 + np.linalg.norm(moved, axis=1, keepdims=True)) / np.sqrt(d)
        x = np.vstack([best, moved + step * rng.normal(size=moved.shape)])
    return best[rng.permutation(len(best))[:_ASKED]]


def signs_by_skips(known: Known, rows: list[Row] | np.ndarray) -> Float[np.ndarray, " k"] | None:
    """A sign for each row of the last layer, from rows about it and the layer before.

    None if no choice, or more than one, agrees with the rows.
    """
    table = np.array([r.row for r in rows if r.is_complete]) if isinstance(rows, list) else rows
    if not len(table):
        return None
    k = known.widths[-1]
    w = known.weights[-1]
    vectors = table[:, :k].T[:, :, None] * w[:, None, :]
    target = -table[:, k:-1]
    for error in (1e-10, 1e-8, 1e-6):
        which = flipped(vectors.reshape(k, -1), target.ravel(), error=error)
        if which is not None:
            return np.where(which, -1.0, 1.0)
    return None
