r"""Students whose heads are the norms of their neurons, against an orthonormal teacher.

$$ f(x) = \frac1m \sum_i |w_i|\, \sigma(w_i \cdot x), \qquad f^*(x) = \sum_l a_l\, |x_l|, \qquad
   L = \mathbb{E}\, (f - f^*)^2, \quad x \sim \mathcal{N}(0, I_d). $$

This is a network with heads $|w_i|/m$ that move with the neurons, so that a plain squared loss
knows everything about it but the gradient. Let

$$ p_i = \mathbb{E}\,(f - f^*)\,\sigma'(w_i \cdot x)\,x. $$

By homogeneity of σ the head's share of the gradient is along the neuron, and

$$ m\, \frac{\partial L}{\partial w_i}
     = 2\, |w_i|\, \bigl(I + \bar w_i \bar w_i^\top\bigr)\, p_i, $$

under any law. For $\sigma(t) = s\,t + \mu |t|$ write $q$ for the masses
$(\mu |w_i|^2 / m,\, -a_l)$ of students and teachers and $v$ for their directions. The odd part of σ
is uncorrelated with the even one, and with $r = \cos\angle(v_i, v_j)$

$$ L = \sum_{ij} q_i q_j\, k(r_{ij}) + s^2 \Bigl|\frac1m \sum_i |w_i| w_i\Bigr|^2, \qquad
   k(r) = \mathbb{E}\,|z||z'| = \tfrac2\pi\bigl(\sqrt{1 - r^2} + r \arcsin r\bigr)
        = \sum_{k \text{ even}} c_k r^k, $$

whose terms are the losses of each order: the squared distances of the tensors
$\sum_i q_i v_i^{\otimes k}$ from zero, times $c_k$.

**Source.** Li, Ma & Zhang (2020), 2007.04596, section 2 (the terms) and Eqs. 4, 7, 8; their sum and
the factor $I + \bar w \bar w^\top$ are ours.
"""

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float

from shallows.model import Network, PiecewiseLinear, absolute

# Points of a data set that are looked at together: their activations fit into a cache.
_BLOCK = 500


def order_coefficient(k: int) -> float:
    r"""$c_k = 2\,[(k-3)!!]^2 / (\pi\, k!)$ for even k, and 0 for odd: what |z| has of order k.

    The squared norm of the part of |z| in the k-th Hermite polynomial; they add up to 1.

    **Raises.** `ValueError` for negative orders. **Source.** Li, Ma & Zhang (2020), Eq. 4.
    """
    if k < 0:
        raise ValueError(f"Orders are whole numbers from 0 on, and {k} is not. Use e.g. 4.")
    if k % 2:
        return 0.0
    # c_{k+2}/c_k = (k − 1)²/((k + 1)(k + 2)), from (−3)!! = −1: no factorial overflows.
    value = 2 / math.pi
    for i in range(0, k, 2):
        value *= (i - 1) ** 2 / ((i + 1) * (i + 2))
    return value


def degree_two_floor(heads: Float[np.ndarray, " d"]) -> float:
    r"""$(1 - 3/\pi) \sum_l a_l^2$: the loss of the best function of degree 2, and of all below.

    What is left where orders 0 and 2 are fitted exactly and those above not at all.
    """
    return (1 - 3 / math.pi) * float(np.sum(np.square(heads)))


class AbstractNormWeighted(abc.ABC):
    """The loss of such students under some law of the inputs."""

    heads: Float[np.ndarray, " d"]
    activation: PiecewiseLinear

    @property
    def even(self) -> float:
        """μ, σ's share of |t|: 1 for the absolute value, ½ for the ReLU."""
        return (self.activation.positive - self.activation.negative) / 2

    @property
    def odd(self) -> float:
        """s, σ's share of t: 0 for the absolute value, ½ for the ReLU."""
        return (self.activation.positive + self.activation.negative) / 2

    @abc.abstractmethod
    def __call__(self, w: Float[np.ndarray, "*b m d"]) -> Float[np.ndarray, "*b"]:
        """L, for each student of a batch."""

    @abc.abstractmethod
    def pull(
        self, norm: Float[np.ndarray, "*b m"], unit: Float[np.ndarray, "*b m d"]
    ) -> Float[np.ndarray, "*b m d"]:
        """E (f − f*)(x) σ′(wᵢ·x) x, for neurons given by lengths and directions."""

    def polar(
        self, w: Float[np.ndarray, "*b m d"]
    ) -> tuple[Float[np.ndarray, "*b m"], Float[np.ndarray, "*b m d"]]:
        """Lengths and directions of the neurons; a zero neuron has direction zero."""
        if w.shape[-1] != self.heads.size:
            raise ValueError(
                f"The teacher has {self.heads.size} inputs, but the student's weights have shape "
                f"{w.shape}. Their last axis must have length {self.heads.size}."
            )
        norm = np.sqrt(np.einsum("...id,...id->...i", w, w))
        return norm, w / (norm + (norm == 0))[..., None]

    def gradient(self, w: Float[np.ndarray, "*b m d"]) -> Float[np.ndarray, "*b m d"]:
        """The gradient m ∂L/∂wᵢ, in the metric of the mean over neurons.

        **Convention.** With the factor m: a step of size η is W ← W − η m ∇L, and η counts as time
        whatever the width is. At a zero neuron it is zero.
        """
        norm, unit = self.polar(w)
        p = self.pull(norm, unit)
        p += np.einsum("...id,...id->...i", unit, p)[..., None] * unit
        p *= 2 * norm[..., None]
        return p


@dataclass(frozen=True, eq=False)
class NormWeighted(AbstractNormWeighted):
    r"""Under $x \sim \mathcal{N}(0, I_d)$, in closed form.

    The teacher's directions are the standard basis; turn the student for any other orthonormal one.

    **Accuracy.** Loss and pull to 1e-14 of (mean |w|² + Σ|a|)² and its root, also where students
    meet teachers or each other: sine and arcsine are taken of the same rounded cosine, and the pull
    moves by no more than that cosine does.

    **Cost.** Two products of m × d and (m + d) × d matrices, a square root and an arcsine a pair.

    **Raises.** `ValueError` for heads that are no finite vector, and for students of other spaces.
    """

    heads: Float[np.ndarray, " d"]
    activation: PiecewiseLinear = absolute

    def __post_init__(self):
        a = np.asarray(self.heads, dtype=float)
        if a.ndim != 1 or not a.size or not np.all(np.isfinite(a)):
            raise ValueError(
                f"The teacher has one finite head for each input, but `heads` has shape {a.shape}"
                f"{'' if np.all(np.isfinite(a)) else ' and entries that are not finite'}. Use e.g. "
                f"`np.full(30, 1 / 30)`."
            )
        object.__setattr__(self, "heads", a)

    def network(self, w: Float[np.ndarray, "*b m d"]) -> Network:
        """The student as a network, with heads |wᵢ|/m."""
        return Network(w, np.linalg.norm(w, axis=-1) / w.shape[-2], activation=self.activation)

    def __call__(self, w):
        """See `AbstractNormWeighted`."""
        norm, unit = self.polar(w)
        c = order_coefficient(0)
        square = np.sum(self.heads**2)
        own = c * np.sum(self.heads) ** 2 + (1 - c) * square
        even = self._form(norm, kernel(_cosines(unit))) + own
        return even + self.odd**2 * np.sum(_mean_weighted(norm, unit) ** 2, axis=-1)

    def pull(self, norm, unit):
        """See `AbstractNormWeighted`."""
        m = unit.shape[-2]
        mass = self.even / m * norm**2
        cosine = _cosines(unit)
        sine = np.subtract(1, cosine)
        sine *= 1 + cosine
        np.sqrt(sine, out=sine)
        turned = np.arcsin(cosine, out=cosine)
        radial = (sine[..., :m] @ mass[..., None])[..., 0] - sine[..., m:] @ self.heads
        p = turned[..., :m] @ (mass[..., None] * unit)
        p -= turned[..., m:] * self.heads
        p += radial[..., None] * unit
        p *= 2 / np.pi * self.even
        if self.odd:
            p += self.odd**2 * _mean_weighted(norm, unit)[..., None, :]
        return p

    def orders(
        self, w: Float[np.ndarray, "*b m d"], orders: Sequence[int] = (0, 2, 4, 6)
    ) -> Float[np.ndarray, "*b o"]:
        r"""The loss of each order, $c_k \,\|\sum_i q_i v_i^{\otimes k}\|^2$; all add up to L.

        Order 1 is that of σ's odd part, $s^2 |\frac1m \sum_i |w_i| w_i|^2$; other odd orders are 0.

        **Accuracy.** 1e-15 of the terms that a square is the sum of.
        """
        norm, unit = self.polar(w)
        cosine = _cosines(unit)
        found = []
        for k in orders:
            if k == 1:
                found.append(self.odd**2 * np.sum(_mean_weighted(norm, unit) ** 2, axis=-1))
                continue
            own = np.sum(self.heads) ** 2 if k == 0 else np.sum(self.heads**2)
            power = _power(cosine * cosine, k // 2)
            found.append(order_coefficient(k) * (self._form(norm, power) + own))
        return np.stack(found, axis=-1)

    def _form(self, norm, among):
        """Σ qᵢqⱼ Mᵢⱼ over pairs with a student, M = `among` as in `_cosines`."""
        m = norm.shape[-1]
        mass = self.even / m * norm**2
        half = (among[..., :m] @ mass[..., None])[..., 0] - 2 * among[..., m:] @ self.heads
        return np.sum(mass * half, axis=-1)


@dataclass(frozen=True, eq=False)
class SampledNormWeighted(AbstractNormWeighted):
    """The same on a data set: means over `points` (n × d), with the targets of the same teacher.

    **Convention.** σ′ at a kink is the mean of its sides, as in `Sample`.

    **Accuracy.** Sums over the points, to 1e-14.

    **Cost.** Two products with an n × d matrix. **Raises.** `ValueError` for points and students of
    other spaces.
    """

    population: NormWeighted
    points: Float[np.ndarray, "n d"]
    heads: Float[np.ndarray, " d"] = field(init=False)
    activation: PiecewiseLinear = field(init=False)

    def __post_init__(self):
        d = self.population.heads.size
        if self.points.ndim != 2 or self.points.shape[1] != d or not len(self.points):
            raise ValueError(
                f"The teacher has {d} inputs, but `points` has shape {self.points.shape}. Give a "
                f"row of {d} numbers for each point."
            )
        object.__setattr__(self, "heads", self.population.heads)
        object.__setattr__(self, "activation", self.population.activation)

    @cached_property
    def targets(self) -> Float[np.ndarray, " n"]:
        """f* at the points."""
        return np.abs(self.points) @ self.heads

    def __call__(self, w):
        """See `AbstractNormWeighted`."""
        if w.ndim > 2:
            return np.stack([self(one) for one in w])
        total = sum(float(r @ r) for *_, r in self._residuals(*self.polar(w)))
        return np.asarray(total / len(self.points))

    def pull(self, norm, unit):
        """See `AbstractNormWeighted`."""
        if unit.ndim > 2:
            return np.stack([self.pull(*one) for one in zip(norm, unit, strict=True)])
        even, odd = np.zeros_like(unit), np.zeros_like(unit[0])
        for x, sign, r in self._residuals(norm, unit):
            even += (sign * r) @ x
            odd += r @ x
        return (self.even * even + self.odd * odd) / len(self.points)

    def _residuals(self, norm, unit):
        """For each block of points: the points, the signs of W x (m × block), and f − f*."""
        share = norm**2 / len(norm)
        for i in range(0, len(self.points), _BLOCK):
            x = self.points[i : i + _BLOCK]
            z = unit @ x.T
            f = self.even * (share @ np.abs(z))
            if self.odd:
                f += self.odd * (share @ z)
            yield x, np.sign(z, out=z), f - self.targets[i : i + _BLOCK]


def kernel(r: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    r"""$k(r) = \frac2\pi(\sqrt{1 - r^2} + r \arcsin r)$, the mean of |z||z'| at correlation r.

    **Accuracy.** 1e-15, also at ±1, where both summands have infinite slope and their sum has ±1.
    """
    return 2 / np.pi * (np.sqrt((1 - r) * (1 + r)) + r * np.arcsin(r))


def _cosines(unit):
    """Those of students (rows) with students and, after them, with the teachers."""
    cosine = np.concatenate([unit @ np.swapaxes(unit, -1, -2), unit], axis=-1)
    return np.clip(cosine, -1, 1, out=cosine)


def _mean_weighted(norm, unit):
    """The mean of |wᵢ| wᵢ, from which the odd part of f comes."""
    return np.einsum("...i,...id->...d", norm**2, unit) / norm.shape[-1]


def _power(x, n):
    """xⁿ by squaring: NumPy's own takes a logarithm."""
    if n == 0:
        return np.ones_like(x)
    half = _power(x, n // 2)
    return half * half * x if n % 2 else half * half
