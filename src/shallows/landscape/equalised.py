r"""Minimisers of shallow linear networks under dropout: equalised, with thresholded values.

For fixed AB = X the term Σ |a_i|² |b_i|² is at least |X|_*²/f, with equality where all products
|a_i| |b_i| are equal and a_i, b_i are images of one vector: $a_i = r_i U z_i$,
$b_i = V z_i / r_i$, with $X = U\,\mathrm{diag}(\sigma) V^\top$, $Z Z^\top =
\mathrm{diag}(\sigma)$ and |z_i|² = Σσ/f. What is left is a convex problem in X, so that

$$ \sigma_i = s_i - \alpha, \quad \alpha = \frac{\lambda}{f + \lambda\rho} \sum_{i \le \rho} s_i,
   \qquad \min J = \alpha \sum_{i \le \rho} s_i + \sum_{i > \rho} s_i^2, $$

with ρ ≤ f the largest number with s_ρ > α.

**Source.** cavazza2018, Theorem 3, there for the width f as λ/f is fixed; the set of minimisers,
its dimension and the spectra are ours.
"""

import dataclasses
import math

import numpy as np
import scipy.sparse.csgraph
from jaxtyping import Float

from shallows.landscape.linear import LinearLoss

# Relative to the largest: eigenvalues and inner products below count as zero.
_RESOLUTION = 1e-9


@dataclasses.dataclass(frozen=True)
class NormalSpectrum:
    """The Hessian at a minimiser: along the set of minimisers, and across."""

    eigenvalues: Float[np.ndarray, " n"]
    zeros: int
    """How many are below 1e-9 of the largest."""

    @property
    def smallest(self) -> float:
        """The smallest that is not zero."""
        return float(self.eigenvalues[self.zeros])

    @property
    def rate(self) -> float:
        """At which the loss falls in the end: exp(−rate · t), twice the smallest eigenvalue."""
        return 2 * self.smallest


@dataclasses.dataclass(frozen=True, eq=False)
class Minimisers:
    """All minimisers of a `LinearLoss`, in closed form."""

    loss: LinearLoss
    left: Float[np.ndarray, "o r"]
    """U; r is the rank ρ."""
    right: Float[np.ndarray, "d r"]
    singular: Float[np.ndarray, " r"]
    """σ, of the product in rescaled weights."""
    target: Float[np.ndarray, " m"]
    """s, all singular values of Y."""
    threshold: float
    """α."""
    value: float
    """min J."""

    @property
    def rank(self) -> int:
        """ρ."""
        return len(self.singular)

    @property
    def dimension(self) -> int:
        r"""$f\rho - \rho(\rho + 1)/2 + 1$, of the set of minimisers.

        **Domain.** Where `groups` is 1. Where units fall into mutually orthogonal groups the set
        may have corners.
        """
        f, r = self.loss.units, self.rank
        return f * r - r * (r + 1) // 2 + 1

    @property
    def margin(self) -> float:
        """How far the threshold is from the nearest singular value, relative to the largest.

        At zero the smallest eigenvalue vanishes, and the flow is no longer exponential.
        """
        return float(np.min(np.abs(self.target - self.threshold)) / self.target[0])

    def point(
        self, scales: Float[np.ndarray, " f"] | None = None
    ) -> tuple[Float[np.ndarray, "o f"], Float[np.ndarray, "f d"]]:
        """A minimiser, balanced (|a_i| = |b_i|) but for the `scales` r_i of its units.

        **Accuracy.** The gradient there is about 1e-15 of |Y|^(3/2).
        """
        z = equalised(self.singular, self.loss.units)
        r = np.ones(self.loss.units) if scales is None else scales
        outer, inner = self.left @ z * r, (self.right @ (z / r)).T
        if self.loss.root is not None:
            inner = np.linalg.solve(self.loss.root, inner.T).T
        return outer / self.loss.gain, inner / self.loss.gain

    def groups(self, outer: Float[np.ndarray, "o f"], inner: Float[np.ndarray, "f d"]) -> int:
        """Into how many mutually orthogonal groups the units of a minimiser fall.

        One more zero eigenvalue than `dimension` for each beyond the first.
        """
        unit = self.left.T @ outer
        unit = unit / np.linalg.norm(unit, axis=0)
        linked = np.abs(unit.T @ unit) > math.sqrt(_RESOLUTION)
        return int(scipy.sparse.csgraph.connected_components(linked)[0])

    def spectrum(
        self, outer: Float[np.ndarray, "o f"], inner: Float[np.ndarray, "f d"]
    ) -> NormalSpectrum:
        """Of the Hessian there."""
        values = np.linalg.eigvalsh(self.loss.hessian(outer, inner))
        return NormalSpectrum(values, int(np.sum(np.abs(values) <= _RESOLUTION * values[-1])))

    def nearest(
        self, outer: Float[np.ndarray, "o f"], inner: Float[np.ndarray, "f d"]
    ) -> tuple[Float[np.ndarray, "o f"], Float[np.ndarray, "f d"], float]:
        """A minimiser near a point, by Newton's method across the set, and the distance.

        It is the nearest one up to terms of second order in the distance.

        **Raises.** `ValueError` where that does not end at a minimiser: too far, or at the
        threshold.
        """
        loss, start = self.loss, self.loss.join(outer, inner)
        theta, size = start, loss.gain * self.target[0] ** 1.5
        for _ in range(50):
            slope = loss.gradient_at(theta)
            if np.linalg.norm(slope) <= 1e-13 * size:
                break
            values, vectors = np.linalg.eigh(loss.hessian(*loss.split(theta)))
            across = slice(self.dimension, None)
            move = (vectors[:, across].T @ slope) / np.maximum(
                np.abs(values[across]), _RESOLUTION * values[-1]
            )
            theta = theta - vectors[:, across] @ move
        excess = float(loss(*loss.split(theta))) - self.value
        if not (np.linalg.norm(slope) <= 1e-10 * size and excess <= 1e-10 * self.target[0] ** 2):
            raise ValueError(
                f"No minimiser near this point was found: the gradient norm is "
                f"{np.linalg.norm(slope):.3g} and the loss exceeds the least by {excess:.3g}. "
                f"Follow the flow further, or stay away from the threshold."
            )
        return *loss.split(theta), float(np.linalg.norm(theta - start))


def minimisers(loss: LinearLoss) -> Minimisers:
    """The minimisers of a loss.

    **Raises.** `ValueError` for a target that is zero, for masks that keep everything (then all
    factorisations of Y are minimisers), and for inputs whose metric is not their second moment
    (dropconnect on inputs that are not whitened), where there is no closed form.
    """
    penalty, f = loss.masks.penalty, loss.units
    if penalty == 0:
        raise ValueError(
            "Masks that keep everything (retain=1) do not choose among factorisations, and there "
            "is no equalised minimiser. Use a smaller probability."
        )
    if not np.allclose(loss.metric, loss.moment, rtol=0, atol=1e-12 * np.max(loss.moment)):
        raise ValueError(
            f"Under {type(loss.masks).__name__} minimisers are known for whitened inputs, but "
            f"these are correlated or of unequal size. Whiten them, or use `Dropout`."
        )
    if loss.root is not None and np.linalg.cond(loss.root) > 1e10:
        raise ValueError(
            "The inputs lie in a subspace, so that weights across it do not matter. Project the "
            "data on its principal components."
        )
    u, s, vt = np.linalg.svd(loss.target, full_matrices=False)
    if s[0] == 0:
        raise ValueError(
            "The target is zero, and so are all minimisers. Give it a singular value that is not."
        )
    ranks = np.arange(1, min(f, len(s)) + 1)
    alpha = penalty * np.cumsum(s)[: len(ranks)] / (f + penalty * ranks)
    rank = int(ranks[s[: len(ranks)] > alpha][-1])
    threshold = float(alpha[rank - 1])
    value = threshold * float(np.sum(s[:rank])) + float(np.sum(s[rank:] ** 2)) + loss.floor
    left, right = u[:, :rank], vt[:rank].T
    return Minimisers(loss, left, right, s[:rank] - threshold, s, threshold, value)


def equalised(singular: Float[np.ndarray, " r"], units: int) -> Float[np.ndarray, "r f"]:
    r"""Z with $Z Z^\top = \mathrm{diag}(\sigma)$ and columns of equal length, for r ≤ f.

    It exists by the theorem of Schur and Horn. From a rotation in which all entries differ from
    zero (Hartley's) at most f − 1 rotations of two columns bring one column after the other to the
    common length; a diagonal start would leave columns in orthogonal groups (see `Minimisers`).

    **Accuracy.** 1e-15 of Σσ. **Raises.** `ValueError` for more values than units.

    **Source.** bendelmickey1978 for the rotations.
    """
    r, f = len(singular), units
    if r > f:
        raise ValueError(
            f"A product through {f} units has at most {f} singular values, but {r} were given. "
            f"Use more units."
        )
    angle = 2 * np.pi * np.outer(np.arange(r), np.arange(f)) / f
    z = np.sqrt(singular)[:, None] * (np.cos(angle) + np.sin(angle)) / math.sqrt(f)
    mean = float(np.sum(singular)) / f
    free = list(range(f))
    while len(free) > 1:
        sizes = np.sum(z[:, free] ** 2, axis=0)
        i, j = free[int(np.argmax(sizes))], free[int(np.argmin(sizes))]
        if np.ptp(sizes) <= 4e-16 * mean:
            break
        # |cos t z_i + sin t z_j|² = centre + reach · cos(2t − phase) shall be the mean.
        half, cross = (z[:, i] @ z[:, i] - z[:, j] @ z[:, j]) / 2, float(z[:, i] @ z[:, j])
        reach, phase = math.hypot(half, cross), math.atan2(cross, half)
        centre = (z[:, i] @ z[:, i] + z[:, j] @ z[:, j]) / 2
        swing = math.acos(min(max((mean - centre) / reach, -1.0), 1.0))
        t = min((phase + swing) / 2, (phase - swing) / 2, key=abs)
        z[:, [i, j]] = z[:, [i, j]] @ [[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]
        free.remove(i)
    return z


def rank_one_levels(loss: LinearLoss) -> tuple[tuple[float, int], ...]:
    r"""Hessian eigenvalues at a balanced minimiser of a target y u vᵀ, with multiplicities.

    0 (f times), then with c = λ y/(f + λ): 2c ((o + d − 2)(f − 1) times), 4c (f − 1 times), 2y
    (o + d − 2 times) and 4y; multiplied by g². For f ≥ 2 units and more than one input or output
    the smallest that is not zero is 2 λ y/(f + λ) g².

    **Raises.** `ValueError` for targets of another rank.
    """
    found = minimisers(loss)
    if np.any(found.target[1:] > 1e-12 * found.target[0]):
        raise ValueError(
            f"The spectrum is known for targets of rank one, but this one has the singular values "
            f"{found.target}. Ask `Minimisers.spectrum` at a point."
        )
    f, across = loss.units, sum(loss.target.shape) - 2
    y, c = float(found.target[0]), found.threshold
    levels = [(0.0, f), (2 * c, across * (f - 1)), (4 * c, f - 1), (2 * y, across), (4 * y, 1)]
    merged: dict[float, int] = {}
    for size, number in levels:
        if number:
            key = loss.gain**2 * size
            merged[key] = merged.get(key, 0) + number
    return tuple(sorted(merged.items()))
