r"""How many ReLUs an injective layer needs: 2n at least, and how many more if they are random.

For weights iid N(0, 1), no biases, m/n = α and n → ∞ the layer is injective with probability
1 above some threshold. That is bounded by the roots below. Q is the Gaussian tail, h(p) the entropy
$-p \ln p - (1-p) \ln(1-p)$.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import erf
from scipy.stats import norm

from shallows.model.network import Numbers, finite, positive_integer


@dataclasses.dataclass(frozen=True)
class GaussianThresholds:
    """Bounds of the expansivity α = m/n from which on Gaussian layers are injective."""

    mean_direction: float
    r"""Below it they are not: $x = -\sum_i w_i$ has α n Q(α^{−1/2}) < n active rows."""
    gordon: float
    """Above it they are, by Gordon's inequality: 1/Q(√(2χ)) for the root χ of
    erf(√χ)/2 − e^{−χ} √(χ/π) = Q(√(2χ))."""
    cells: float
    """Above it they are, by a union over cells: 2 h(1/α) = ln 2."""
    rays: float
    """Likewise over rays: h(1/α) + (1 − 1/α)(h(1/(α − 1)) − ln 2) = 0."""


FULL_RSB = (6.697929, 6.698131)
"""Where the threshold is by the replica method, which is no proof: published, not computed here."""


def gaussian_thresholds() -> GaussianThresholds:
    """The roots, to 1e-13.

    **Source.** puthawala2022 (3.4 and 10.5), maillard2023 (the equations of Gordon's bound).
    """

    def gordon(chi: float) -> float:
        return float(
            erf(math.sqrt(chi)) / 2
            - math.exp(-chi) * math.sqrt(chi / math.pi)
            - norm.sf(math.sqrt(2 * chi))
        )

    def rays(alpha: float) -> float:
        inner = _entropy(1 / (alpha - 1)) - math.log(2)
        return _entropy(1 / alpha) + (1 - 1 / alpha) * inner

    chi = _root(gordon, 0.1, 5)
    return GaussianThresholds(
        _root(lambda a: a * float(norm.sf(a**-0.5)) - 1, 2, 5),
        1 / float(norm.sf(math.sqrt(2 * chi))),
        _root(lambda a: 2 * _entropy(1 / a) - math.log(2), 4, 20),
        _root(rays, 4, 20),
    )


def _entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log1p(-p)


def _root(f: Callable[[float], float], low: float | int, high: float | int) -> float:
    return float(brentq(f, low, high, xtol=1e-14, rtol=1e-15))


def planar_probability(rows: int) -> float:
    r"""How probable it is that m random rows in the plane make an injective layer.

    $1 - m(m-2)/2^{m-1}$ for m ≥ 4, and 0 for fewer, for every law under which a row and its
    opposite are alike and two rows are hardly ever parallel.

    The layer is not injective if some half-plane holds at most one row; words of signs are counted.
    """
    m = positive_integer("rows", rows)
    return 1 - m * (m - 2) / 2 ** (m - 1) if m >= 4 else 0.0


def doubled(basis: Numbers, scales: Numbers | None = None) -> Float[np.ndarray, "m n"]:
    """W = [B; −DB], injective with the fewest rows, 2n; D is diagonal and positive.

    **Accuracy.** Rows are exactly opposite only if DB is not rounded, as for powers of two. Else
    the layer is injective up to rounding only, and `is_injective` refutes it.

    **Raises.** `ValueError` unless B is invertible and D has a positive entry for each row.
    """
    b = np.asarray(finite("basis", basis))
    n = len(b)
    if b.ndim != 2 or b.shape != (n, n) or np.linalg.matrix_rank(b) < n:
        raise ValueError(
            f"`basis` must be an invertible matrix, but has shape {b.shape}"
            f"{'' if b.ndim != 2 or b.shape != (n, n) else ' and dependent rows'}. "
            f"Use e.g. `np.eye(3)`."
        )
    d = np.ones(n) if scales is None else np.asarray(finite("scales", scales))
    if d.shape != (n,) or np.any(d <= 0):
        raise ValueError(
            f"`scales` must be {n} positive numbers, but are {d.tolist()!s:.60}. Use e.g. ones."
        )
    return np.concatenate([b, -d[:, None] * b])
