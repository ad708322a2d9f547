"""Networks as chains of weight matrices, heads included: what paths run through."""

import itertools
import os
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows import notebook
from shallows.model.activations import AbstractActivation, relu
from shallows.model.deep import Deep, refuse_misfits
from shallows.model.network import Network, Numbers, finite, given_type


class Layers(eqx.Module):
    r"""$f(x) = W_{L+1}\,\sigma(W_L \cdots \sigma(W_1 x + b_1) \cdots + b_L) + b_{L+1}$.

    **Convention.** Each matrix has one row for each of its units and one column for each unit of
    the layer before; the last one is that of the heads, a row for each output. Biases are given
    for all layers, None for those without; without `biases` there are none at all. The output
    always is a vector. A pytree: maps over its leaves, and Optax, give another one.

    **Raises.** `ValueError` for fewer than two matrices, for shapes that do not fit and for
    numbers that are not finite.
    """

    weights: tuple[Float[Array, "?rows ?columns"], ...]
    biases: tuple[Float[Array, " ?rows"] | None, ...]
    activation: AbstractActivation
    given_as: str = eqx.field(static=True)
    """The type that the first matrix came in, such as float32."""

    def __init__(
        self,
        weights: Sequence[Numbers],
        biases: Sequence[Numbers | None] | None = None,
        activation: AbstractActivation = relu,
    ):
        matrices = [finite(f"weights[{i}]", w) for i, w in enumerate(weights)]
        if len(matrices) < 2:
            raise ValueError(
                f"A network has a hidden layer and heads at least, but {len(matrices)} matrices "
                f"were given. Pass e.g. `[W, a[None]]`."
            )
        refuse_misfits(
            "weights", matrices, "For the heads of a single output pass one row, `a[None]`."
        )
        given = [None] * len(matrices) if biases is None else list(biases)
        if len(given) != len(matrices):
            raise ValueError(
                f"`biases` needs a vector or None for each of the {len(matrices)} layers, but has "
                f"{len(given)} entries. Pass None for layers without."
            )
        vectors = [None if b is None else finite(f"biases[{i}]", b) for i, b in enumerate(given)]
        for i, (w, b) in enumerate(zip(matrices, vectors, strict=True)):
            if b is not None and b.shape != w.shape[:1]:
                raise ValueError(
                    f"`biases[{i}]` needs a number for each of the {w.shape[0]} units of its "
                    f"layer, but has shape {b.shape}."
                )
        self.weights, self.biases = tuple(matrices), tuple(vectors)
        self.activation, self.given_as = activation, given_type(weights[0])

    @classmethod
    def from_torch(cls, source: Any, activation: AbstractActivation = relu) -> "Layers":
        """The network in a PyTorch module, or in a state dict.

        Linear layers with ReLUs, or another of the known activations, between them; dropout is
        left out, single precision is promoted. What `activation` is for, and what is checked, is
        said at `torch_layers`.

        **Raises.** `ValueError` naming the layer, or the entry, that cannot be read; `TypeError`
        for what is neither module nor state dict.
        """
        # Delayed, as what reads networks knows them; here it is found by who has one.
        from shallows.model.imported import torch_layers

        return torch_layers(source, activation)

    @classmethod
    def from_onnx(cls, path: str | os.PathLike[str]) -> "Layers":
        """The network in an ONNX file; see `onnx_layers`.

        **Raises.** `ValueError` where onnx is missing, for files that are no models, and naming
        the operator that is no step of a chain of linear layers and activations.
        """
        from shallows.model.imported import onnx_layers

        return onnx_layers(path)

    def shallow(self) -> Network:
        """The same network with one hidden layer; a single output becomes a number.

        **Raises.** `ValueError` for more hidden layers, and for heads with biases, which a
        `Network` does not have.
        """
        if len(self.weights) != 2:
            raise ValueError(
                f"A `Network` has one hidden layer, but this one has {len(self.weights) - 1}, of "
                f"sizes {self.sizes}. Read it as `Layers`, or without biases as `Deep`."
            )
        self._refuse_lift("Network")
        heads = self.weights[1]
        outer = heads[0] if len(heads) == 1 else heads.T
        # Nothing is lost, and records say in which precision the weights came.
        inner = np.asarray(self.weights[0]).astype(self.given_as)
        return Network(inner, outer, self.biases[0], self.activation)

    def deep(self) -> Deep:
        """The same network without biases; a single output becomes a number.

        **Raises.** `ValueError` for biases that are not zero, with the layer.
        """
        for i, b in enumerate(self.biases[:-1]):
            if b is not None and np.any(b):
                raise ValueError(
                    f"A `Deep` network has no biases, but hidden layer {i + 1} has some. Read it "
                    f"as `Layers`."
                )
        self._refuse_lift("Deep")
        heads = self.weights[-1]
        outer = heads[0] if len(heads) == 1 else heads.T
        return Deep(self.weights[:-1], outer, self.activation)

    def without_lift(self) -> "Layers":
        """The function less its biases of the output, f − b_{L+1}."""
        return eqx.tree_at(
            lambda layers: layers.biases[-1], self, None, is_leaf=lambda leaf: leaf is None
        )

    def _refuse_lift(self, name: str) -> None:
        b = self.biases[-1]
        if b is not None and np.any(b):
            raise ValueError(
                f"The output layer has biases, {np.asarray(b)[:3].tolist()}, which a `{name}` does "
                f"not have. Take `Layers.from_torch(…).without_lift()`, say, then `.shallow()` or "
                f"`.deep()`, and subtract them from the targets too."
            )

    def _repr_html_(self) -> str:
        columns = {
            "layer": [*range(1, len(self.weights)), "heads"],
            "units": self.sizes[1:],
            "norm of weights": [float(jnp.linalg.norm(w)) for w in self.weights],
            "norm of biases": [
                None if b is None else float(jnp.linalg.norm(b)) for b in self.biases
            ],
        }
        title = f"Layers: {' → '.join(map(str, self.sizes))}, {self.activation.name}"
        return notebook.page(title, columns)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of inputs, of units of each hidden layer, and of outputs."""
        return (self.weights[0].shape[1], *(w.shape[0] for w in self.weights))

    @property
    def has_biases(self) -> bool:
        """Whether any layer has biases."""
        return any(b is not None for b in self.biases)

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n o"]:
        """The outputs at the points in the rows of `x`."""
        signal = jnp.asarray(x, dtype=float)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            signal = signal @ w.T if b is None else signal @ w.T + b
            if i + 1 < len(self.weights):
                signal = self.activation(signal)
        return signal

    def rescale(self, factors: Sequence[Numbers]) -> "Layers":
        """The same function with what enters hidden unit j multiplied by `factors[l][j]` > 0.

        What leaves it is divided by the same number.

        **Raises.** `ValueError` unless there is a vector of positive numbers for each hidden
        layer, and for activations that are not homogeneous.
        """
        if not self.activation.is_homogeneous:
            raise ValueError(
                f"Rescaling leaves the function as it is for homogeneous activations only, and "
                f"{self.activation.name} is not. Change the weights as you like instead."
            )
        hidden = self.sizes[1:-1]
        scales = [np.asarray(finite(f"factors[{l}]", s)) for l, s in enumerate(factors)]
        if [s.shape for s in scales] != [(m,) for m in hidden] or any(
            (s <= 0).any() for s in scales
        ):
            raise ValueError(
                f"`factors` needs a vector of positive numbers for each hidden layer, of lengths "
                f"{hidden}, but has shapes {[s.shape for s in scales]}. Pass e.g. "
                f"`[np.ones(m) for m in {hidden}]`."
            )
        into = [*scales, np.ones(self.sizes[-1])]
        out = [np.ones(self.sizes[0]), *scales]
        weights = [
            np.asarray(w) * s[:, None] / r for w, s, r in zip(self.weights, into, out, strict=True)
        ]
        biases = [
            None if b is None else np.asarray(b) * s for b, s in zip(self.biases, into, strict=True)
        ]
        return Layers(weights, biases, self.activation)


def layers_of(network: Network | Deep | Layers) -> Layers:
    """The network as a chain of matrices; a single output becomes one row of heads.

    **Raises.** `ValueError` for a batch of networks.
    """
    if isinstance(network, Layers):
        return network
    if isinstance(network, Network):
        if network.inner.ndim > 2:
            raise ValueError(
                f"This is a batch of networks, of shape {network.inner.shape[:-2]}. Take one, "
                f"e.g. `network[0]`."
            )
        hidden: tuple[Array, ...] = (network.inner,)
        bias: tuple[Array | None, ...] = (network.bias, None)
    else:
        hidden, bias = network.layers, (None,) * (network.depth + 1)
    heads = jnp.atleast_2d(network.outer.T)
    return Layers((*hidden, heads), bias, network.activation)


def he_layers(
    sizes: Sequence[int], rng: np.random.Generator, *, has_biases: bool = False
) -> Layers:
    """Independent weights N(0, 2/fan-in), heads N(0, 1/fan-in); biases, if any, are 0.

    `sizes` are those of inputs, hidden layers and outputs.
    """
    drawn = [
        rng.normal(size=(m, n)) * np.sqrt((1 if l == len(sizes) - 2 else 2) / n)
        for l, (n, m) in enumerate(itertools.pairwise(sizes))
    ]
    return Layers(drawn, [np.zeros(m) for m in sizes[1:]] if has_biases else None)
