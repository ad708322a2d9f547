"""Sums of ReLUs and an affine function, as they are known while they are being recovered."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from shallows.model import Network


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ReluSum:
    r"""$f(x) = \sum_i h_i\,\sigma(n_i\cdot x + \beta_i) + S x + c$ with unit rows $n_i$."""

    normals: Float[np.ndarray, "h d"]
    offsets: Float[np.ndarray, " h"]
    heads: Float[np.ndarray, "h o"]
    slope: Float[np.ndarray, "o d"]
    constant: Float[np.ndarray, " o"]

    @property
    def neurons(self) -> int:
        """The number h of neurons."""
        return len(self.normals)

    @property
    def is_affine_free(self) -> bool:
        """Whether there is nothing beside the neurons."""
        return not np.any(self.slope) and not np.any(self.constant)

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n o"]:
        """The values at the points in the rows of `x`."""
        return np.maximum(self.distances(x), 0.0) @ self.heads + x @ self.slope.T + self.constant

    def distances(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n h"]:
        """The signed distances of points from the hyperplanes."""
        return x @ self.normals.T + self.offsets

    def turned(self, which: Bool[np.ndarray, " h"]) -> "ReluSum":
        """The same function with these neurons active on the other side of their hyperplanes."""
        sign = np.where(which, -1.0, 1.0)
        back = self.heads * which[:, None]
        return ReluSum(
            self.normals * sign[:, None],
            self.offsets * sign,
            self.heads,
            self.slope + back.T @ self.normals,
            self.constant + back.T @ self.offsets,
        )

    def rescaled(self, outputs: Float[np.ndarray, " o"]) -> "ReluSum":
        """With every output multiplied by its factor."""
        return dataclasses.replace(
            self,
            heads=self.heads * outputs,
            slope=self.slope * outputs[:, None],
            constant=self.constant * outputs,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """`inner`, `bias` and `outer`, and `slope` and `constant` unless these are zero."""
        outer = self.heads[:, 0] if self.heads.shape[1] == 1 else self.heads
        made = {"inner": self.normals, "bias": self.offsets, "outer": outer}
        if not self.is_affine_free:
            made |= {"slope": self.slope.T, "constant": self.constant}
        return made

    def network(self) -> Network:
        """The same as a network.

        A constant becomes a neuron without weights and with bias 1, the slope of each output two
        neurons, active on opposite sides.
        """
        inner, bias, heads = [self.normals], [self.offsets], [self.heads]
        outputs = len(self.constant)
        if np.any(self.constant) or not self.neurons:
            inner.append(np.zeros((1, self.normals.shape[1])))
            bias.append(np.ones(1))
            heads.append(self.constant[None])
        for j in np.flatnonzero(np.any(self.slope, axis=1)):
            inner += [self.slope[j : j + 1], -self.slope[j : j + 1]]
            bias.append(np.zeros(2))
            heads.append(np.outer([1.0, -1.0], np.eye(outputs)[j]))
        outer = np.concatenate(heads)
        return Network(
            np.concatenate(inner),
            outer[:, 0] if outputs == 1 else outer,
            np.concatenate(bias),
        )

    def __repr__(self) -> str:
        h, d = self.normals.shape
        return f"ReluSum({h} neurons, {d} inputs, {len(self.constant)} outputs)"
