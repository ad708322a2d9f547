r"""Paths from inputs to outputs: path norms, basis paths and their norm.

The value of a path is the product of the weights on it. A bias is a weight of a constant input, so
that some paths start there. Where what enters a hidden unit is multiplied by s > 0 and what leaves
it is divided by s, the function stays, and so do all values of paths: they, and what is made of
them here, depend on the weights up to rescaling only.

Paths are dependent: of m weights and H hidden units, all values follow from those of m − H *basis
paths*. These are chosen by a *skeleton*: unit i of a layer of n′ units is joined to unit i mod n
of the n before it, and where that layer is the wider one, its unit j to unit j mod n′; in the
first layer only the former, among the heads only the latter. Every weight but the one by which
each hidden unit leaves along the skeleton has its basis path: along the skeleton to the weight,
and along the skeleton from it. Paths all on the skeleton are called *negative*, since they divide
when other paths are written in basis paths; the others, with one weight off it, *positive*.

**Source.** Zheng et al. (2018); Gonon et al. (2023) for path norms with biases. That weights off
the skeleton may be combined across layers of different widths as above is ours.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from shallows.model.activations import finite_number
from shallows.model.deep import Deep
from shallows.model.layers import Layers, layers_of
from shallows.model.network import Network

Edge = tuple[int, int, int]
"""A weight: its layer, row and column; a bias has column −1."""


def path_count(network: Network | Deep | Layers) -> int:
    """The number of paths, those that start at a bias included; an exact integer."""
    layers = layers_of(network)
    sizes, total = layers.sizes, math.prod(layers.sizes)
    for l, b in enumerate(layers.biases):
        if b is not None:
            total += math.prod(sizes[l + 1 :])
    return total


def log_path_norm(network: Network | Deep | Layers, q: float | int = 1.0) -> float:
    r"""The logarithm of `path_norm`; −∞ where all paths are zero.

    **Accuracy.** Some ulp of the largest sum of |log w| along a path, and of q times that over q;
    nothing overflows. **Cost.** One pass over the weights.

    **Raises.** `ValueError` unless q > 0, which may be infinite.
    """
    layers, q = _homogeneous(network), _exponent(q)
    log = np.zeros(layers.sizes[0])
    for w, b in zip(layers.weights, layers.biases, strict=True):
        terms = _log(w) + log
        if b is not None:
            terms = np.column_stack([terms, _log(b)])
        log = _log_norm(terms, q)
    return float(_log_norm(log[None], q)[0])


def path_norm(network: Network | Deep | Layers, q: float | int = 1.0) -> float:
    r"""$\bigl(\sum_p |v_p|^q\bigr)^{1/q}$ over all paths p from inputs and biases to outputs.

    It is the sum of the outputs, to the 1/q, that a network with weights and biases $|w|^q$ has
    where all inputs are 1. For q = ∞ it is the largest |v_p|.

    **Domain.** Homogeneous activations. Above 1.8e308 it is infinite: use `log_path_norm`.

    **Raises.** `ValueError` unless q > 0. **Source.** Gonon et al. (2023), for ReLU networks.
    """
    log = log_path_norm(network, q)
    return math.exp(log) if log < 709.78 else math.inf


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """Which weights basis paths run along, for the numbers of inputs, hidden units and outputs.

    See the module for the rule.
    """

    sizes: tuple[int, ...]

    def fixed(self, l: int) -> Bool[np.ndarray, "rows columns"]:
        """Of the matrix of layer l, the weights by which hidden units leave along the skeleton."""
        rows, columns = self.sizes[l + 1], self.sizes[l]
        mask = np.zeros((rows, columns), dtype=bool)
        if l:
            mask[np.arange(columns) % rows, np.arange(columns)] = True
        return mask

    def negative(self, l: int) -> Bool[np.ndarray, "rows columns"]:
        """Of the matrix of layer l, the weights whose basis paths are all on the skeleton."""
        rows, columns = self.sizes[l + 1], self.sizes[l]
        mask = np.zeros((rows, columns), dtype=bool)
        if l + 2 < len(self.sizes):
            mask[np.arange(rows), np.arange(rows) % columns] = True
        return mask & ~self.fixed(l)

    def into(self, l: int, unit: int) -> list[Edge]:
        """The weights on the skeleton from an input to a unit of layer l, the inputs being 0."""
        edges = []
        while l:
            before = unit % self.sizes[l - 1]
            edges.append((l - 1, unit, before))
            l, unit = l - 1, before
        return edges[::-1]

    def out_of(self, l: int, unit: int) -> list[Edge]:
        """The weights on the skeleton from a unit of layer l to an output."""
        edges = []
        while l + 1 < len(self.sizes):
            after = unit % self.sizes[l + 1]
            edges.append((l, after, unit))
            l, unit = l + 1, after
        return edges

    def basis(self, biases: Sequence[bool]) -> Iterator[list[Edge]]:
        """The basis paths, layer by layer, of weights in rows and then of biases.

        `biases` says which layers have them.
        """
        for l, has_bias in enumerate(biases):
            for i, j in np.argwhere(~self.fixed(l)).tolist():
                yield [*self.into(l, j), (l, i, j), *self.out_of(l + 1, i)]
            for i in range(self.sizes[l + 1] if has_bias else 0):
                yield [(l, i, -1), *self.out_of(l + 1, i)]


@dataclasses.dataclass(frozen=True, eq=False)
class BasisPaths:
    """Values of basis paths, in the order of `Skeleton.basis`."""

    log_values: Float[np.ndarray, " p"]
    """log |v_p|; −∞ for paths with a zero on them."""
    is_negative: Bool[np.ndarray, " p"]

    @property
    def log_norm(self) -> float:
        """The logarithm of `norm`, which does not overflow."""
        logs = self.log_values
        with np.errstate(divide="ignore"):
            terms = np.where(self.is_negative, np.log(np.abs(logs)), logs)
        return float(np.max(terms))

    @property
    def norm(self) -> float:
        r"""$\max(\max_{\text{negative}} |\log |v_p||, \max_{\text{positive}} |v_p|)$.

        It is infinite where a weight on the skeleton is zero.
        """
        log = self.log_norm
        return math.exp(log) if log < 709.78 else math.inf


def basis_paths(network: Network | Deep | Layers) -> BasisPaths:
    """The m − H basis paths of a network of m weights and biases and H hidden units.

    **Raises.** `ValueError` for batches, and for activations that are not homogeneous.
    **Cost.** One pass over the weights.
    """
    layers = _homogeneous(network)
    skeleton, into, out = _along_skeleton(np, layers)
    logs, negative = [], []
    for l, (w, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        free = ~skeleton.fixed(l)
        logs.append((into[l] + _log(w) + out[l + 1][:, None])[free])
        negative.append(skeleton.negative(l)[free])
        if b is not None:
            logs.append(_log(b) + out[l + 1])
            negative.append(np.zeros(len(b), dtype=bool))
    return BasisPaths(np.concatenate(logs), np.concatenate(negative))


def basis_path_norm(network: Network | Deep | Layers) -> float:
    """The norm of its basis paths; see `BasisPaths.norm`.

    **Source.** Zheng et al. (2018), for layers of one width; for others see the module.
    """
    return basis_paths(network).norm


def basis_path_coordinates(layers: Layers) -> Float[Array, " p"]:
    r"""$\log |v_p|$ of negative and $v_p$, up to its sign, of positive basis paths.

    Half its square is the regulariser, its largest modulus the norm; both may be differentiated
    in the weights, also under `jax.jit`. In the order of `Skeleton.basis`.

    **Domain.** Not where a weight on the skeleton is zero.
    """
    skeleton, into, out = _along_skeleton(jnp, layers)
    parts = []
    for l, (w, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        free, negative = ~skeleton.fixed(l), skeleton.negative(l)
        # Each formula only where it is used: the logarithm of a zero off the skeleton has none.
        log = into[l] + jnp.log(jnp.abs(jnp.where(negative, w, 1.0))) + out[l + 1][:, None]
        value = jnp.exp(jnp.where(negative, 0.0, into[l] + out[l + 1][:, None])) * w
        parts.append(jnp.where(negative, log, value)[free])
        if b is not None:
            parts.append(b * jnp.exp(out[l + 1]))
    return jnp.concatenate(parts)


def basis_path_penalty(layers: Layers) -> Float[Array, ""]:
    r"""$\tfrac12 \sum_{\text{negative}} \log^2 |v_p| + \tfrac12 \sum_{\text{positive}} v_p^2$.

    The smooth regulariser that goes with the norm φ: φ² is at most twice it.

    **Source.** Ours: which function of basis paths Zheng et al. (2018) add to the loss is unknown
    to us.
    """
    z = basis_path_coordinates(layers)
    return 0.5 * (z @ z)


@dataclasses.dataclass(frozen=True)
class PathBound:
    r"""A bound on the Rademacher complexity of networks of this shape by their L¹ path norm.

    $\frac{4B}{\sqrt n} \sqrt{D \log 3 + \log(3 (d + 1) o)}\; \|\Phi\|_1$, for n points with
    coordinates of modulus at most B, D layers, d inputs and o outputs. A Lipschitz constant of
    the loss comes on top.

    **Source.** Gonon et al. (2023), Theorem 3.1, without pooling.
    """

    rate: float
    """4 B/√n."""
    shape: float
    """The root."""
    log_norm: float
    """log ‖Φ‖₁."""

    @property
    def value(self) -> float:
        """Their product; infinite where it overflows."""
        log = math.log(self.rate * self.shape) + self.log_norm
        return math.exp(log) if log < 709.78 else math.inf


def path_bound(network: Network | Deep | Layers, points: int, radius: float | int) -> PathBound:
    """The bound for that many points with coordinates of modulus at most `radius`.

    **Raises.** `ValueError` unless both are positive.
    """
    layers, largest = layers_of(network), finite_number("radius", radius)
    if points < 1 or largest <= 0:
        raise ValueError(
            f"A bound needs points, and a positive bound on their coordinates, but got {points} "
            f"and {radius}. Pass e.g. `points=len(x), radius=np.max(np.abs(x))`."
        )
    inputs, *hidden, outputs = layers.sizes
    shape = (len(hidden) + 1) * math.log(3) + math.log(3 * (inputs + 1) * outputs)
    return PathBound(4 * largest / math.sqrt(points), math.sqrt(shape), log_path_norm(layers, 1))


def _along_skeleton(xp, layers):
    """The skeleton, and sums of log |w| along it: from inputs to units, and from units on."""
    skeleton, sizes = Skeleton(layers.sizes), layers.sizes
    log = _log if xp is np else lambda w: xp.log(xp.abs(w))
    into, out = [xp.zeros(sizes[0])], [xp.zeros(sizes[-1])]
    for l, w in enumerate(layers.weights[:-1]):
        rows = np.arange(sizes[l + 1])
        columns = rows % sizes[l]
        into.append(into[-1][columns] + log(w[rows, columns]))
    for l in range(len(layers.weights) - 1, 0, -1):
        columns = np.arange(sizes[l])
        rows = columns % sizes[l + 1]
        out.append(out[-1][rows] + log(layers.weights[l][rows, columns]))
    return skeleton, into, [None, *out[::-1]]


def _log(w):
    with np.errstate(divide="ignore"):
        return np.log(np.abs(np.asarray(w)))


def _log_norm(terms, q):
    """The logarithm of (Σ exp(q t))^(1/q), of each row."""
    top = np.max(terms, axis=1)
    if math.isinf(q):
        return top
    shifted = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return shifted + np.log(np.sum(np.exp(q * (terms - shifted[:, None])), axis=1)) / q


def _exponent(q):
    if not q > 0:
        raise ValueError(f"A path norm needs q > 0, but q is {q!r:.80}. Use e.g. 1, 2 or infinity.")
    return float(q)


def _homogeneous(network):
    layers = layers_of(network)
    if not layers.activation.is_homogeneous:
        raise ValueError(
            f"Values of paths say what a network does for homogeneous activations, and "
            f"{layers.activation.name} is not. Use `relu` or another piecewise linear one."
        )
    return layers
