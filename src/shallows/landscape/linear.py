r"""Shallow linear networks under dropout and dropconnect: the loss on the mean over masks.

With A (o × f) and B (f × d) in rescaled weights (see `AbstractMasks`) and whitened inputs it is

$$ J(A, B) = |Y - AB|^2 + \lambda \sum_{i \le f} |a_i|^2 |b_i|^2, $$

a matrix factorisation with a regulariser. There is no factor ½: half of J has half its rates.

**Source.** cavazza2018, Theorem 1; senencerdasanders2022.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from shallows.landscape.dropout import AbstractMasks
from shallows.model.network import Numbers, finite, positive_integer


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class LinearLoss:
    r"""$J(gA, gB)$ as a function of weights A (o × f), B (f × d), on the mean over masks.

    With inputs of second moment S = R R the target Y stands for E y xᵀ R⁻¹, AB for ABR and |b_i|²
    for b_iᵀ M b_i, with the masks' metric M of S; `floor` is what no network can fit.

    **Accuracy.** Polynomials of degree four, to rounding. Value and gradient take batches.

    **Raises.** `ValueError` for targets that are no finite matrix, and units that are no positive
    number. **Cost.** The Hessian, f(o + d) squared numbers, is dense.
    """

    target: Float[np.ndarray, "o d"]
    units: int
    masks: AbstractMasks
    gain: float = 1.0
    """g: 1 in rescaled weights, `masks.gain` in the original ones."""
    root: Float[np.ndarray, "d d"] | None = None
    """R; None for whitened inputs."""
    floor: float = 0.0

    def __init__(
        self,
        target: Numbers,
        units: int,
        masks: AbstractMasks,
        *,
        gain: float = 1.0,
        root: Float[np.ndarray, "d d"] | None = None,
        floor: float = 0.0,
    ):
        target = np.asarray(finite("target", target))
        if target.ndim != 2 or not target.size:
            raise ValueError(
                f"`target` must be a matrix, outputs by inputs, but has shape {target.shape}. "
                f"Use e.g. `np.diag([2.0, 1.0])`."
            )
        fields = {
            "target": target,
            "units": positive_integer("units", units),
            "masks": masks,
            "gain": gain,
            "root": root,
            "floor": floor,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)  # frozen

    @classmethod
    def of_data(
        cls, inputs: Numbers, outputs: Numbers, units: int, masks: AbstractMasks
    ) -> "LinearLoss":
        """The mean over the points in the rows of `inputs` (n × d) and `outputs` (n × o)."""
        x, y = np.asarray(finite("inputs", inputs)), np.asarray(finite("outputs", outputs))
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not x.size or not y.size:
            raise ValueError(
                f"Data are a row of inputs and a row of outputs for each point, but have shapes "
                f"{x.shape} and {y.shape}. Use as many rows in both."
            )
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        size = np.sqrt(np.maximum(values, 0.0))
        seen = size > 1e-12 * size[-1] if size[-1] > 0 else size > 0
        target = (y.T @ x / len(x)) @ (vectors[:, seen] / size[seen]) @ vectors[:, seen].T
        floor = float(np.mean(np.sum(y**2, axis=1)) - np.sum(target**2))
        root = (vectors * size) @ vectors.T
        return cls(target, units, masks, root=root, floor=max(floor, 0.0))

    @property
    def original(self) -> "LinearLoss":
        """The same loss as a function of the weights that the masks filter."""
        return dataclasses.replace(self, gain=self.masks.gain)

    @property
    def rescaled(self) -> "LinearLoss":
        """The same loss as a function of `masks.gain` times these weights."""
        return dataclasses.replace(self, gain=1.0)

    @property
    def size(self) -> int:
        """The number n = f(o + d) of weights."""
        return self.units * sum(self.target.shape)

    def join(
        self, outer: Float[np.ndarray, "*b o f"], inner: Float[np.ndarray, "*b f d"]
    ) -> Float[np.ndarray, "*b n"]:
        """A and B as one vector, row by row, A first."""
        lead = outer.shape[:-2]
        return np.concatenate([outer.reshape(*lead, -1), inner.reshape(*lead, -1)], axis=-1)

    def split(
        self, theta: Float[np.ndarray, "*b n"]
    ) -> tuple[Float[np.ndarray, "*b o f"], Float[np.ndarray, "*b f d"]]:
        """A and B of the vector."""
        (o, d), f = self.target.shape, self.units
        lead = theta.shape[:-1]
        return theta[..., : o * f].reshape(*lead, o, f), theta[..., o * f :].reshape(*lead, f, d)

    def __call__(
        self, outer: Float[np.ndarray, "*b o f"], inner: Float[np.ndarray, "*b f d"]
    ) -> Float[np.ndarray, "*b"] | float:
        """The loss on the mean over masks."""
        a, b, miss, weight, b_metric = self._parts(outer, inner)
        fit = np.sum(miss**2, axis=(-2, -1))
        products = np.sum(a**2, axis=-2) * np.sum(b * b_metric, axis=-1)
        return fit + weight * np.sum(products, axis=-1) + self.floor

    def gradient(
        self, outer: Float[np.ndarray, "*b o f"], inner: Float[np.ndarray, "*b f d"]
    ) -> tuple[Float[np.ndarray, "*b o f"], Float[np.ndarray, "*b f d"]]:
        """∂/∂A and ∂/∂B."""
        a, b, miss, weight, b_metric = self._parts(outer, inner)
        miss = miss if self.root is None else miss @ self.root
        of_a = miss @ b.mT + weight * a * np.sum(b * b_metric, axis=-1)[..., None, :]
        of_b = a.mT @ miss + weight * np.sum(a**2, axis=-2)[..., None] * b_metric
        return 2 * self.gain * of_a, 2 * self.gain * of_b

    def gradient_at(self, theta: Float[np.ndarray, "*b n"]) -> Float[np.ndarray, "*b n"]:
        """The gradient, of and as vectors."""
        return self.join(*self.gradient(*self.split(theta)))

    def hessian(
        self, outer: Float[np.ndarray, "o f"], inner: Float[np.ndarray, "f d"]
    ) -> Float[np.ndarray, "n n"]:
        """The second derivatives, in the order of `join`."""
        a, b, miss, weight, b_metric = self._parts(outer, inner)
        (o, d), f = self.target.shape, self.units
        seen = b if self.root is None else b @ self.moment
        pull = miss if self.root is None else miss @ self.root
        alpha, beta = np.sum(a**2, axis=0), np.sum(b * b_metric, axis=1)
        units = np.eye(f)
        of_a = np.einsum("pq,ij->piqj", np.eye(o), seen @ b.T + weight * np.diag(beta))
        of_b = np.einsum("ij,xy->ixjy", a.T @ a, self.moment)
        of_b += weight * np.einsum("ij,i,xy->ixjy", units, alpha, self.metric)
        mixed = np.einsum("pj,iy->pijy", a, seen) + np.einsum("ij,py->pijy", units, pull)
        mixed += 2 * weight * np.einsum("ij,pi,iy->pijy", units, a, b_metric)
        n = o * f
        full = np.empty((self.size, self.size))
        full[:n, :n], full[n:, n:] = of_a.reshape(n, n), of_b.reshape(f * d, f * d)
        full[:n, n:] = mixed.reshape(n, f * d)
        full[n:, :n] = full[:n, n:].T
        return 2 * self.gain**2 * full

    def filtered(
        self,
        outer: Float[np.ndarray, "*b o f"],
        inner: Float[np.ndarray, "*b f d"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, "*b"] | float:
        """The loss under masks drawn once for each of the batch; its mean is the loss itself."""
        left, right, _, _ = self._filtered(outer, inner, rng)
        miss = self._mapped(left @ right) - self.target
        return np.sum(miss**2, axis=(-2, -1)) + self.floor

    def filtered_gradient(
        self,
        outer: Float[np.ndarray, "*b o f"],
        inner: Float[np.ndarray, "*b f d"],
        rng: np.random.Generator,
    ) -> tuple[Float[np.ndarray, "*b o f"], Float[np.ndarray, "*b f d"]]:
        """The gradient of `filtered`: what a step of training with masks sees of all inputs."""
        left, right, on_outer, on_inner = self._filtered(outer, inner, rng)
        miss = self._mapped(self._mapped(left @ right) - self.target)
        return 2 * on_outer * (miss @ right.mT), 2 * on_inner * (left.mT @ miss)

    def conserved(self, theta: Float[np.ndarray, "*b n"]) -> Float[np.ndarray, "*b f"]:
        """|a_i|² − b_iᵀb_i of each unit, which the gradient flow keeps; whitened inputs."""
        a, b = self.split(theta)
        return np.sum(a**2, axis=-2) - np.sum(b**2, axis=-1)

    @property
    def moment(self) -> Float[np.ndarray, "d d"]:
        """S = E x xᵀ."""
        return np.eye(self.target.shape[1]) if self.root is None else self.root @ self.root

    @property
    def metric(self) -> Float[np.ndarray, "d d"]:
        """M, in which the masks measure the rows of B."""
        return self.masks.metric(self.moment)

    def _mapped(self, matrix):
        return matrix if self.root is None else matrix @ self.root

    def _parts(self, outer, inner):
        """Rescaled weights, the residual, λ, and B M."""
        a, b = self.gain * outer, self.gain * inner
        b_metric = b if self.root is None else b @ self.metric
        return a, b, self._mapped(a @ b) - self.target, self.masks.penalty, b_metric

    def _filtered(self, outer, inner, rng):
        (o, d), f = self.target.shape, self.units
        mine, other = self.masks.draw(rng, outer.shape[:-2], o, f, d)
        # Masks filter the original weights.
        scale = self.gain / self.masks.gain
        return scale * mine * outer, scale * other * inner, scale * mine, scale * other


@dataclasses.dataclass(frozen=True, eq=False)
class DeepLinearLoss:
    r"""The same for a product W_L ⋯ W_1 with dropout on every hidden layer, on the mean over masks.

    In rescaled weights, where W_L ⋯ W_1 is the mean, and with whitened inputs it is
    |Y|² − 2 ⟨Y, W_L ⋯ W_1⟩ + tr G_L, with second moments of what the layers see,

    $$ G_1 = W_1 W_1^\top, \qquad G_{l+1} = W_{l+1} (G_l + \lambda\,\mathrm{diag}\, G_l)
       W_{l+1}^\top. $$

    Closed form at every depth, at the cost of a forward and a backward pass. What its minimisers
    are is known to us for two layers only.

    **Raises.** `ValueError` for layers that do not fit together.
    """

    target: Float[np.ndarray, "o d"]
    retain: float
    """The probability to stay, of each unit of each hidden layer."""

    def __call__(self, layers: list[Float[np.ndarray, "..."]]) -> float:
        """The loss on the mean over masks."""
        moments, product = self._forward(layers)
        square = float(np.sum(self.target**2) - 2 * np.sum(self.target * product))
        return square + float(np.trace(moments[-1]))

    def gradient(self, layers: list[Float[np.ndarray, "..."]]) -> list[Float[np.ndarray, "..."]]:
        """∂/∂W of each layer."""
        moments, _ = self._forward(layers)
        below = [np.eye(self.target.shape[1])]
        for w in layers[:-1]:
            below.append(w @ below[-1])
        slopes, above = [], np.eye(len(self.target))
        pull = np.eye(len(self.target))  # ∂ tr G_L / ∂ G_l
        for i, w in reversed(list(enumerate(layers))):
            seen = np.eye(w.shape[1]) if i == 0 else self._noisy(moments[i - 1])
            slopes.append(2 * (pull @ w @ seen - above.T @ self.target @ below[i].T))
            above, pull = above @ w, self._noisy(w.T @ pull @ w)
        return slopes[::-1]

    def filtered(self, layers: list[Float[np.ndarray, "..."]], rng: np.random.Generator) -> float:
        """The loss under masks drawn once."""
        seen = layers[0]
        for w in layers[1:]:
            mask = (rng.random(len(seen)) < self.retain) / self.retain
            seen = w @ (mask[:, None] * seen)
        return float(np.sum((self.target - seen) ** 2))

    def _noisy(self, moment):
        return moment + (1 - self.retain) / self.retain * np.diag(np.diag(moment))

    def _forward(self, layers):
        sizes = [self.target.shape[1], *(len(w) for w in layers)]
        fits = all(w.shape[1] == n for w, n in zip(layers, sizes[:-1], strict=True))
        if not layers or not fits or sizes[-1] != len(self.target):
            raise ValueError(
                f"The layers map {' to '.join(map(str, sizes))}, in matrices of shapes "
                f"{[w.shape for w in layers]}, but the target is {self.target.shape}. Begin with "
                f"as many columns, and end with as many rows, as it has."
            )
        moments, product = [layers[0] @ layers[0].T], layers[0]
        for w in layers[1:]:
            moments.append(w @ self._noisy(moments[-1]) @ w.T)
            product = w @ product
        return moments, product


def balanced(
    outer: Float[np.ndarray, "o f"], inner: Float[np.ndarray, "f d"]
) -> tuple[Float[np.ndarray, "o f"], Float[np.ndarray, "f d"]]:
    """The same network with |a_i| = |b_i|: each unit rescaled.

    **Raises.** `ValueError` where one of a unit's two vectors is zero and the other is not.
    """
    a, b = np.linalg.norm(outer, axis=0), np.linalg.norm(inner, axis=1)
    odd = np.flatnonzero((a == 0) != (b == 0))
    if len(odd):
        raise ValueError(
            f"Unit {int(odd[0])} has one vector that is zero and one that is not, and no scale "
            f"makes them equally long. Set both to zero."
        )
    scale = np.sqrt(np.where(a > 0, b, 1.0) / np.where(a > 0, a, 1.0))
    return outer * scale, inner / scale[:, None]


def gaussian_start(
    loss: LinearLoss, deviation: float | int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "o f"], Float[np.ndarray, "f d"]]:
    """Independent normal weights of that standard deviation."""
    if not 0 < deviation < math.inf:
        raise ValueError(
            f"Weights start with a positive standard deviation, but {deviation} was given. "
            f"Use e.g. 0.5."
        )
    return loss.split(deviation * rng.normal(size=loss.size))
