r"""Two-layer networks with batch normalisation, before or after the ReLU.

With Pc = I − 11ᵀ/n on a batch X of n rows, neuron i of the two is

$$ v\,\Bigl(\gamma\,\frac{P_c X w}{|P_c X w|} + \alpha \frac{1}{\sqrt n}\Bigr)_+
   \quad\text{and}\quad
   v\,\Bigl(\gamma\,\frac{P_c (X w)_+}{|P_c (X w)_+|} + \alpha \frac{1}{\sqrt n}\Bigr). $$
"""

import dataclasses
import enum

import numpy as np
from jaxtyping import Float

from shallows.model.network import Network, Numbers, finite

# Spread, relative to |(Xw)|, below which a neuron is constant on the batch to rounding.
_CONSTANT = 1e-14


class Placement(enum.Enum):
    """Where a neuron is normalised."""

    before = "before the ReLU"
    after = "after the ReLU"


@dataclasses.dataclass(frozen=True, eq=False)
class NormalisedNetwork:
    r"""A network whose neurons were normalised on a batch, with the statistics of that batch.

    **Convention.** Spreads are lengths |Pc t|, not standard deviations |Pc t|/√n, and shifts come
    with 1/√n: `usual_scale` and `usual_shift`, γ/√n and α/√n, are what libraries train. A batch of
    three axes holds patches (n × patches × inputs): statistics are over all of them, and outputs
    are summed over the patches of a point. Where a neuron is constant on the batch, 0/0 is 0.
    """

    inner: Float[np.ndarray, "k d"]
    scale: Float[np.ndarray, " k"]
    """γ"""
    shift: Float[np.ndarray, " k"]
    """α"""
    outer: Float[np.ndarray, " k"]
    """v"""
    placement: Placement
    centre: Float[np.ndarray, " k"]
    """The mean over the batch of what is normalised."""
    spread: Float[np.ndarray, " k"]
    """Its distance to its mean, as a vector."""
    points: int
    """n, or n times patches: how many numbers a batch normalises."""

    @property
    def usual_scale(self) -> Float[np.ndarray, " k"]:
        """γ/√n, where normalised means of variance one."""
        return self.scale / np.sqrt(self.points)

    @property
    def usual_shift(self) -> Float[np.ndarray, " k"]:
        """α/√n, what is added to a neuron."""
        return self.shift / np.sqrt(self.points)

    def plain(self, *, has_constant: bool = False) -> Network:
        """The same function without normalisation: statistics go into weights and biases.

        What is added after the ReLU becomes a neuron of weight 0 and bias 1. With `has_constant`
        the last input is always 1, and becomes a bias.
        """
        gain = np.where(self.spread > 0, self.scale / np.where(self.spread > 0, self.spread, 1), 0)
        added = self.usual_shift - gain * self.centre
        if self.placement is Placement.before:
            inner, outer, bias = self.inner * gain[:, None], self.outer, added
        else:
            constant = float(self.outer @ added)
            inner = np.concatenate([self.inner, np.zeros((1, self.inner.shape[1]))])
            outer = np.append(self.outer * gain, constant)
            bias = np.append(np.zeros(len(gain)), 1.0)
        if has_constant:
            bias, inner = bias + inner[:, -1], inner[:, :-1]
        if not len(inner):
            inner, outer, bias = np.zeros((1, inner.shape[1])), np.zeros(1), np.zeros(1)
        return Network(inner, outer, bias)

    def __call__(self, x: Numbers) -> Float[np.ndarray, " n"]:
        """The outputs at points, or at points of several patches each, with stored statistics."""
        x = np.asarray(finite("x", x))
        if x.ndim not in (2, 3) or x.shape[-1] != self.inner.shape[1]:
            raise ValueError(
                f"The network has {self.inner.shape[1]} inputs, but the points have shape "
                f"{x.shape}. Their last axis must have that length, and there are two or three."
            )
        t = x @ self.inner.T
        if self.placement is Placement.after:
            t = np.maximum(t, 0)
        safe = np.where(self.spread > 0, self.spread, 1.0)
        unit = np.where(self.spread > 0, (t - self.centre) / safe, 0.0)
        neurons = self.scale * unit + self.usual_shift
        if self.placement is Placement.before:
            neurons = np.maximum(neurons, 0)
        outputs = neurons @ self.outer
        return outputs.sum(axis=1) if x.ndim == 3 else outputs


def normalised_on(
    batch: Numbers,
    placement: Placement,
    inner: Numbers,
    scale: Numbers,
    shift: Numbers,
    outer: Numbers,
) -> NormalisedNetwork:
    """The network with the statistics of this batch, of points or of points with patches each.

    **Raises.** `ValueError` for what is not finite, and parameters that are not one a neuron.
    """
    x = np.asarray(finite("batch", batch))
    w, g, a, v = (
        np.asarray(finite(name, value))
        for name, value in (("inner", inner), ("scale", scale), ("shift", shift), ("outer", outer))
    )
    flat = x.reshape(-1, x.shape[-1])
    if w.ndim != 2 or w.shape[1] != flat.shape[1]:
        raise ValueError(
            f"`inner` needs a row for each neuron and a column for each of the {flat.shape[1]} "
            f"inputs of the batch, but has shape {w.shape}."
        )
    for name, value in (("scale", g), ("shift", a), ("outer", v)):
        if value.shape != (len(w),):
            raise ValueError(
                f"`{name}` needs a number for each of the {len(w)} neurons (rows of `inner`), but "
                f"has shape {value.shape}."
            )
    t = flat @ w.T
    if placement is Placement.after:
        t = np.maximum(t, 0)
    centre = t.mean(axis=0)
    spread = np.linalg.norm(t - centre, axis=0)
    spread[spread <= _CONSTANT * np.linalg.norm(t, axis=0)] = 0.0
    return NormalisedNetwork(w, g, a, v, placement, centre, spread, len(flat))
