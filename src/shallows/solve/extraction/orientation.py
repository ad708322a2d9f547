r"""Which side of its hyperplane each neuron is active on.

$\sigma(z) - \sigma(-z) = z$, so that turning neurons round changes a sum of ReLUs by an affine
function only. Conversely, if the affine remainder has slope $-\sum_i \varepsilon_i v_i$ with
ε in {0, 1} and $v_i = $ head × row, the neurons with ε = 1 were turned. With as many equations as
neurons that is a linear system; with fewer it is a subset sum of low density, which a short
vector of a lattice answers.
"""

import flint
import numpy as np
from jaxtyping import Bool, Float

# The lattice has a dimension for each neuron; its reduction takes seconds at this size.
_MOST = 130
# Bits of evidence beyond one for each neuron, without which agreement may be chance.
_SPARE = 24


def flipped(
    vectors: Float[np.ndarray, "h e"], target: Float[np.ndarray, " e"], *, error: float = 1e-11
) -> Bool[np.ndarray, " h"] | None:
    """The subset of rows of `vectors` whose sum is `target`, or None if there is none known.

    **Convention.** Equality up to √h times `error`, relative to the largest entry: the accuracy of
    the numbers. None also where all digits together are too few for a subset to mean anything,
    and beyond 130 rows that are linearly dependent.

    **Source.** Lagarias & Odlyzko (1985), with the reduction of Lenstra, Lenstra & Lovász (1982).
    """
    h, e = vectors.shape
    if h == 0:
        return np.zeros(0, dtype=bool) if not np.any(target) else None
    size = float(np.max(np.abs(vectors)))
    digits = min(14.0, -np.log10(max(error, 1e-300)))
    if e * digits * np.log2(10) < h + _SPARE:
        return None
    values = np.linalg.svd(vectors, compute_uv=False)
    if h <= e and values[-1] > 1e-6 * values[0]:
        solution = np.linalg.lstsq(vectors.T, target, rcond=None)[0]
        chosen = np.round(solution).astype(int)
    else:
        found = None
        for more in (0.0, 1.0, -1.0) if h <= _MOST else ():
            found = _short_vector(vectors / size, target / size, digits + more)
            if found is not None:
                break
        if found is None:
            return None
        chosen = found
    if np.any((chosen < 0) | (chosen > 1)):
        return None
    rest = chosen @ vectors - target
    return chosen.astype(bool) if np.max(np.abs(rest)) <= 3 * error * size * np.sqrt(h) else None


def _short_vector(vectors, target, digits):
    """ε from the lattice of all (y, y₀, K (Σ yᵢ vᵢ − y₀ t)) with t = 2 target − Σ vᵢ, y = ±1."""
    h, e = vectors.shape
    # Reduction misses the shortest vector by up to 1.03^h; columns make all others longer than
    # that. More than needed cost time only.
    columns = min(e, int(np.ceil(h * np.log10(10 * 1.03**h) / digits)) + 2)
    mixed = np.linalg.qr(np.random.default_rng(0).normal(size=(e, e)))[0][:, :columns]
    rows = np.vstack([vectors, -(2 * target - np.sum(vectors, axis=0))]) @ mixed
    scaled = np.round(rows * 10.0**digits).astype(np.int64)
    basis = np.hstack([np.eye(h + 1, dtype=np.int64), scaled])
    reduced = flint.fmpz_mat(basis.tolist()).lll()
    for i in range(h + 1):
        row = [int(reduced[i, j]) for j in range(h + 1)]
        if all(abs(x) == 1 for x in row):
            y = np.array(row[:h]) * row[h]
            return (y + 1) // 2
    return None
