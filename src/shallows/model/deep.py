"""Networks with several hidden layers, and data sets that no relabelling of the inputs changes."""

import itertools
import math
import os
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows.model.activations import AbstractActivation, relu
from shallows.model.network import (
    Network,
    Numbers,
    finite,
    permutation,
    positive_integer,
    unmasked,
)
from shallows.model.sample import Sample

# Rows of a closed data set beyond which memory and patience end.
_MOST_POINTS = 2_000_000


class Deep(eqx.Module):
    r"""$f(x) = a^\top \sigma(W_L\,\sigma(W_{L-1} \cdots \sigma(W_1 x)))$, with L hidden layers.

    **Convention.** Layer l is a matrix with one row for each of its units and one column for each
    unit of the layer before, the inputs for the first. Without `outer` the heads are 1; a matrix
    of heads has a column for each output. No biases. `Deep([W], a)` is `Network(W, a)`.

    **Raises.** `ValueError` for no layers, for layers whose sizes do not fit, and for weights that
    are not finite.
    """

    layers: tuple[Float[Array, "?rows ?columns"], ...]
    outer: Float[Array, " k"] | Float[Array, "k o"]
    activation: AbstractActivation

    def __init__(
        self,
        layers: Sequence[Numbers],
        outer: Numbers | None = None,
        activation: AbstractActivation = relu,
    ):
        matrices = [finite(f"layers[{i}]", w) for i, w in enumerate(layers)]
        if not matrices:
            raise ValueError("A network needs a hidden layer, but there is none. Pass `[W]`.")
        refuse_misfits("layers", matrices, "Use e.g. `np.eye(4)`.")
        last = Network(matrices[-1], outer, activation=activation)
        self.layers = tuple(matrices)
        self.outer, self.activation = last.outer, last.activation

    @classmethod
    def from_torch(cls, source: Any, activation: AbstractActivation = relu) -> "Deep":
        """The network without biases in a PyTorch module or state dict. See `Layers.from_torch`.

        **Raises.** `ValueError` naming the layer, or the entry, that cannot be read, or that has
        biases; `TypeError` for anything else.
        """
        # Delayed: a chain of layers, with which files are read, knows what a deep network is.
        from shallows.model.layers import Layers

        return Layers.from_torch(source, activation).deep()

    @classmethod
    def from_onnx(cls, path: str | os.PathLike[str]) -> "Deep":
        """The network without biases in an ONNX file. See `Layers.from_onnx`.

        **Raises.** `ValueError` where onnx is missing, for files that are no models, and naming
        the operator that cannot be read, or the layer that has biases.
        """
        from shallows.model.layers import Layers

        return Layers.from_onnx(path).deep()

    def _repr_html_(self) -> str:
        # Delayed for the same reason.
        from shallows.model.layers import layers_of

        return layers_of(self)._repr_html_()

    @property
    def depth(self) -> int:
        """The number L of hidden layers."""
        return len(self.layers)

    @property
    def inputs(self) -> int:
        """The number d of inputs."""
        return self.layers[0].shape[1]

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of units of each hidden layer, the first one first."""
        return tuple(w.shape[0] for w in self.layers)

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n"] | Float[Array, "*n o"]:
        """The outputs at the points in the rows of `x`."""
        signal = jnp.asarray(unmasked("x", x), dtype=float)
        if signal.shape[-1:] != (self.inputs,):
            raise ValueError(
                f"The network has {self.inputs} inputs, but the points have shape {x.shape}. "
                f"Their last axis must have length {self.inputs}."
            )
        return forward(self.layers, self.activation, signal) @ self.outer

    def relabel(self, units: Sequence[Sequence[int] | np.ndarray | None]) -> "Deep":
        """The network whose unit i of layer l is unit `units[l][i]` of this one.

        `units[0]` is about the inputs, and permutes the arguments of the function; the others
        leave it as it is. None stands for the identity.

        **Raises.** `ValueError` unless there is one permutation for the inputs and one a layer.
        """
        sizes = (self.inputs, *self.widths)
        if len(units) != len(sizes):
            raise ValueError(
                f"`units` needs a permutation for the inputs and for each of the {self.depth} "
                f"layers, but has {len(units)}. Pass None for the identity."
            )
        orders = [
            permutation(f"units[{l}]", order, size)
            for l, (order, size) in enumerate(zip(units, sizes, strict=True))
        ]
        layers = [w[orders[l + 1]][:, orders[l]] for l, w in enumerate(self.layers)]
        return Deep(layers, self.outer[orders[-1]], self.activation)


def refuse_misfits(name: str, matrices: Sequence[Array], remedy: str) -> None:
    """Raise `ValueError` unless each is a matrix with a column for each row of the one before."""
    for i, w in enumerate(matrices):
        if w.ndim != 2 or 0 in w.shape:
            raise ValueError(
                f"`{name}[{i}]` must be a matrix with a row for each unit, but has shape "
                f"{w.shape}. {remedy}"
            )
        if i and w.shape[1] != matrices[i - 1].shape[0]:
            raise ValueError(
                f"Layers do not fit: `{name}[{i}]` has {w.shape[1]} columns, but the layer "
                f"before has {matrices[i - 1].shape[0]} units. Give it a column for each."
            )


def forward(
    layers: Sequence[Float[Array, "..."]],
    activation: AbstractActivation,
    x: Float[Array, "*n d"],
) -> Float[Array, "*n k"]:
    """The last hidden layer at the points in the rows of `x`."""
    for w in layers:
        x = activation(x @ w.T)
    return x


def iterated(neurons: int, depth: int, activation: AbstractActivation = relu) -> Deep:
    r"""The target $\sum_{i \le k} \sigma(\sigma(\cdots x_i))$: every layer the identity, heads 1.

    What leaves it as it is are the k! relabellings that move inputs and all layers alike, ΔS_k;
    at depth 1 it is `orthonormal(k)`.
    """
    k, layers = positive_integer("neurons", neurons), positive_integer("depth", depth)
    return Deep([np.eye(k)] * layers, activation=activation)


def closed_sample(points: Numbers, weights: Numbers | None = None) -> Sample:
    """The data set of all relabellings of the inputs of these points: d! of each, n d! in all.

    A loss under it is invariant under relabelling inputs exactly, up to the rounding of its sum,
    which no finite set of random draws is.

    **Raises.** `ValueError` as `Sample`, and for more than two million points. **Cost.** d!
    """
    base = np.asarray(finite("points", points))
    Sample(base, weights)  # refuses what is no data set
    n, d = base.shape
    if math.factorial(min(d, 12)) * n > _MOST_POINTS:
        raise ValueError(
            f"The relabellings of {n} points with {d} inputs are {n} · {d}! points, more than "
            f"{_MOST_POINTS:_}. Use fewer inputs: 7 at most, or fewer points."
        )
    orders = np.array(list(itertools.permutations(range(d))))
    whole = np.concatenate([base[:, order] for order in orders])
    return Sample(whole, None if weights is None else np.tile(np.asarray(weights), len(orders)))
