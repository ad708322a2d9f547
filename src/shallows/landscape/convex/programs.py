r"""Training a two-layer ReLU network to its global optimum, as a convex program.

With all activation patterns $D_i = \mathrm{diag}\,1[Fg \ge 0]$ of the features F, the network
problem

$$ \min\; L(f(X)) + \tfrac{\beta}{2} \sum_j (|w_j|^2 + a_j^2) $$

has, for enough neurons, the value of

$$ \min\; L\Bigl(\sum_i A_i (z_i - z_i')\Bigr) + \beta \sum_i (|M_i z_i| + |M_i z_i'|), \qquad
   C_i z_i \ge 0,\; C_i z_i' \ge 0. $$

| program | Aᵢ | Mᵢ | Cᵢ |
| --- | --- | --- | --- |
| `Unnormalised` | Dᵢ X | I | (2Dᵢ − I) X |
| `NormalisedBefore` | Dᵢ U′, U′ = [U, 1/√n], Pc X = U S Vᵀ | I | (2Dᵢ − I) U′ |
| `NormalisedAfter` | [Pc Dᵢ X, 1/√n] | Aᵢ | [(2Dᵢ − I) X, 0] |

Where a point has K patches F has nK rows, and the rows of a point are summed after Dᵢ.
"""

import abc
import copy
import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex.duality import cone_support, seminorm_support
from shallows.landscape.convex.losses import AbstractLoss, Squared
from shallows.landscape.convex.patterns import Patterns, all_patterns
from shallows.model.network import Network, Numbers, finite
from shallows.model.normalised import NormalisedNetwork

Point = Float[np.ndarray, "2 P r"]
Find = Callable[[np.ndarray], Patterns]
Student = TypeVar("Student", Network, NormalisedNetwork)

# Blocks below this share of the largest one are what an interior point leaves of zeros.
_TINY = 1e-9
# How far outside a listed cell, relative to its preactivations, a neuron may be by rounding.
_OUTSIDE = 1e-7
# Of data: squares of their products are finite.
_LARGEST = 1e75


@dataclasses.dataclass(frozen=True, eq=False)
class DualPoint:
    """A feasible point of the dual, and what follows from it."""

    vector: Float[np.ndarray, " n"]
    value: float
    """A lower bound of the program, and where its patterns are all, of the network problem."""
    support: float
    """The largest gain of a unit block under the vector; at most β up to rounding."""


class AbstractConvexProgram(abc.ABC, Generic[Student]):
    """A convex program of blocks z of the patterns, in two copies: heads of either sign.

    A point has the axes (sign, pattern, coordinate).
    """

    patterns: Patterns
    features: Float[np.ndarray, "N r"]
    """F, of which the patterns are: in rows, the patches of the first point first."""
    y: Float[np.ndarray, " n"]
    loss: AbstractLoss
    beta: float
    """β of the program."""
    batch: Float[np.ndarray, "n K d"]
    """The inputs as given."""
    patches: int
    """K, for each point."""
    gates: Float[np.ndarray, "N q"]
    """Data in whose column space the features are, from which patterns are found."""

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """How many coordinates a block has."""

    @abc.abstractmethod
    def columns(self, pattern: int) -> Float[np.ndarray, "n r"]:
        """Aᵢ."""

    @abc.abstractmethod
    def metric(self, pattern: int) -> Float[np.ndarray, "m r"] | None:
        """Mᵢ; None where it is the identity."""

    @abc.abstractmethod
    def predict(self, point: Point) -> Float[np.ndarray, " n"]:
        """Σ Aᵢ (zᵢ − zᵢ′)."""

    @abc.abstractmethod
    def adjoint(self, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "P r"]:
        """Aᵢᵀ v for all patterns."""

    @abc.abstractmethod
    def norms(self, point: Point) -> Float[np.ndarray, "2 P"]:
        """|Mᵢ z| for all blocks."""

    @abc.abstractmethod
    def network(self, point: Point) -> Student:
        """A network of this regularised cost: one neuron for each block that is not tiny."""

    @abc.abstractmethod
    def plain(self, network: Student) -> Network:
        """The same function of the inputs as were given, with biases and without normalisation."""

    @property
    def inputs(self) -> Float[np.ndarray, "N d"]:
        """The inputs as given, patches in rows."""
        return self.batch.reshape(-1, self.batch.shape[2])

    @property
    @abc.abstractmethod
    def targets(self) -> Float[np.ndarray, " n"]:
        """The targets as given."""

    @abc.abstractmethod
    def cost(self, network: Student) -> float:
        """The regularised cost of a network."""

    @abc.abstractmethod
    def point(self, network: Student) -> Point:
        """The point of a network, neurons of one pattern and sign merged: it costs no more.

        **Raises.** `ValueError` for a neuron whose pattern is not listed.
        """

    def with_patterns(self, patterns: Patterns | Find) -> "AbstractConvexProgram[Student]":
        """The same program over other patterns, such as a sample of them."""
        made = copy.copy(self)
        made.patterns = found_patterns(patterns, self.gates)
        return made

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a point."""
        return 2, len(self.patterns), self.width

    def cone(self, pattern: int, *, walls: bool = False) -> Float[np.ndarray, "m r"]:
        """Cᵢ; with `walls`, where these are known, those rows only that imply the others."""
        mask = self.patterns.masks[pattern]
        rows = np.where(mask[:, None], self.features, -self.features)
        if walls and self.patterns.walls is not None:
            rows = rows[self.patterns.walls[pattern]]
        else:
            rows = rows[np.any(rows != 0, axis=1)]
        return np.pad(rows, ((0, 0), (0, self.width - rows.shape[1])))

    def objective(self, point: Point) -> float:
        """Loss and penalty; the cone is not looked at."""
        return self.loss(self.predict(point), self.y) + self.beta * float(self.norms(point).sum())

    def violation(self, point: Point) -> float:
        """The largest −(Cᵢ z)ⱼ, or 0."""
        gates = point[..., : self.features.shape[1]] @ self.features.T
        return max(0.0, float(np.max(np.where(self.patterns.masks, -gates, gates))))

    def support(self, v: Float[np.ndarray, " n"]) -> float:
        """The largest ±vᵀAᵢz over all blocks with |Mᵢ z| ≤ 1 in their cones."""
        gains = self.adjoint(v)
        # Without the cone gains can only be larger: most blocks need no second look.
        metrics = [self.metric(i) for i in range(len(gains))]
        free = np.array(
            [
                np.linalg.norm(c if m is None else np.linalg.lstsq(m.T, c)[0])
                for c, m in zip(gains, metrics, strict=True)
            ]
        )
        largest = 0.0
        for i in np.argsort(-free, kind="stable").tolist():
            if free[i] <= largest:
                break
            cone, m = self.cone(i, walls=True), metrics[i]
            for c in (gains[i], -gains[i]):
                found = cone_support(c, cone) if m is None else seminorm_support(c, cone, m)
                largest = max(largest, found[0])
        return largest

    def dual_bound(self, v: Float[np.ndarray, " n"]) -> DualPoint:
        """The bound −L*(κv), with κ such that κv is feasible; v is a residual, or ∇L.

        **Accuracy.** Feasible to rounding: `shallows.certify.certify_convex` proves such bounds.
        """
        v = self.loss.admissible(v, self.y)
        largest = self.support(v)
        most = np.inf if largest == 0 else self.beta / largest
        kappa = self.loss.best_scale(v, self.y, most)
        return DualPoint(kappa * v, -self.loss.conjugate(kappa * v, self.y), kappa * largest)

    def solid(self, point: Point) -> list[tuple[int, int]]:
        """Sign and pattern of the blocks that are not tiny."""
        norms = self.norms(point)
        kept = norms > _TINY * float(np.max(norms, initial=0.0))
        return [(int(s), int(i)) for s, i in np.argwhere(kept)]

    def pattern_of(self, direction: Float[np.ndarray, " r"]) -> int:
        """The pattern in the closure of whose cell a direction of the features lies."""
        gates = self.features @ direction
        gates[np.abs(gates) <= 1e-14 * float(np.max(np.abs(gates), initial=0.0))] = 0.0
        known = self.patterns.index.get((gates >= 0).tobytes())
        if known is not None:
            return known
        outside = np.max(np.where(self.patterns.masks, -gates, gates), axis=1, initial=0.0)
        best = int(np.argmin(outside))
        if outside[best] > _OUTSIDE * float(np.max(np.abs(gates))):
            raise ValueError(
                f"A neuron has an activation pattern that is not among the {len(self.patterns)} "
                f"of this program. Use `all_patterns`, or a larger sample."
            )
        return best


class Masked(AbstractConvexProgram[Student]):
    """Programs with Aᵢ = Dᵢ F and Mᵢ = I."""

    @property
    def targets(self) -> Float[np.ndarray, " n"]:
        """As given."""
        return self.y

    @property
    def width(self) -> int:
        """The number of features."""
        return self.features.shape[1]

    def columns(self, pattern: int) -> Float[np.ndarray, "n r"]:
        """Dᵢ F, the rows of a point summed."""
        masked = self.features * self.patterns.masks[pattern][:, None]
        return masked.reshape(len(self.y), self.patches, -1).sum(axis=1)

    def metric(self, pattern: int) -> None:
        """The identity."""

    def predict(self, point: Point) -> Float[np.ndarray, " n"]:
        """Σ Dᵢ F (zᵢ − zᵢ′)."""
        gates = self.features @ (point[0] - point[1]).T
        values = np.sum(gates * self.patterns.masks.T, axis=1)
        return values.reshape(len(self.y), self.patches).sum(axis=1)

    def adjoint(self, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "P r"]:
        """Fᵀ Dᵢ v."""
        return (self.patterns.masks * np.repeat(v, self.patches)) @ self.features

    def norms(self, point: Point) -> Float[np.ndarray, "2 P"]:
        """Lengths."""
        return np.linalg.norm(point, axis=2)


class Unnormalised(Masked[Network]):
    r"""Weight decay on both layers, $L + \tfrac\beta2 \sum (|w_j|^2 + a_j^2)$.

    With `bias` there is a column of ones: biases are penalised like other weights. An X of three
    axes (points, patches, inputs) makes a convolutional layer whose outputs are summed over the
    patches; for a mean divide X by their number. `patterns` may be a sample.

    **Raises.** `ValueError` for data that are not finite or do not fit, for features that are all
    0, a penalty that is not positive, and as `all_patterns`.

    **Source.** Pilanci & Ergen (2020).
    """

    def __init__(
        self,
        x: Numbers,
        y: Numbers,
        beta: float,
        loss: AbstractLoss | None = None,
        *,
        bias: bool = False,
        patterns: Patterns | Find = all_patterns,
    ):
        batch, self.y, self.loss, self.beta = problem(x, y, beta, loss)
        self.batch, self.has_bias = batch, bias
        if bias:
            batch = np.concatenate([batch, np.ones((*batch.shape[:2], 1))], axis=2)
        self.patches = batch.shape[1]
        self.features = batch.reshape(-1, batch.shape[2])
        if not np.any(self.features):
            raise ValueError(
                "All features are 0, so that every network without biases is. Pass `bias=True`."
            )
        self.gates = self.features
        self.patterns = found_patterns(patterns, self.gates)

    def network(self, point: Point) -> Network:
        """Neurons z/√|z| with heads ±√|z|."""
        blocks = self.solid(point)
        if not blocks:
            zero = np.zeros((1, self.width))
            return self._student(zero, np.zeros(1))
        z = np.array([point[block] for block in blocks])
        root = np.sqrt(np.linalg.norm(z, axis=1))
        sign = np.array([1.0 - 2 * s for s, _ in blocks])
        return self._student(z / root[:, None], sign * root)

    def _student(self, inner: np.ndarray, outer: np.ndarray) -> Network:
        network = Network(inner, outer)
        return network.without_constant() if self.has_bias else network

    def plain(self, network: Network) -> Network:
        """The network, with biases 0 if it has none."""
        return with_biases(network)

    def cost(self, network: Network) -> float:
        """L + (β/2) Σ (|w|² + b² + a²)."""
        inner, outer = self._weights(network)
        values = np.maximum(self.features @ inner.T, 0) @ outer
        values = values.reshape(len(self.y), self.patches).sum(axis=1)
        penalty = float(np.sum(inner**2) + np.sum(outer**2)) / 2
        return self.loss(values, self.y) + self.beta * penalty

    def point(self, network: Network) -> Point:
        """Σ |a| w over the neurons of a pattern and sign."""
        point = np.zeros(self.shape)
        for w, a in zip(*self._weights(network), strict=True):
            if a and np.any(w):
                point[int(a < 0), self.pattern_of(w)] += abs(a) * w
        return point

    def _weights(self, network: Network) -> tuple[np.ndarray, np.ndarray]:
        made = network.with_constant() if self.has_bias else network
        if made.bias is not None or made.inner.shape[1:] != (self.width,):
            raise ValueError(
                f"The network has inner weights of shape {made.inner.shape}, with"
                f"{'out' if made.bias is None else ''} biases, but this program has {self.width} "
                f"features. Build the program with `bias=True` if biases are meant."
            )
        return np.asarray(made.inner), np.asarray(made.outer)


def with_biases(network: Network) -> Network:
    """The network, with biases 0 if it has none."""
    if network.bias is not None:
        return network
    return Network(network.inner, network.outer, np.zeros(network.neurons))


def found_patterns(patterns: Patterns | Find, features: np.ndarray) -> Patterns:
    """Patterns of these features, as given or as found; checked to fit."""
    made = patterns if isinstance(patterns, Patterns) else patterns(features)
    if made.masks.shape[1] != len(features) or not len(made):
        raise ValueError(
            f"Patterns are of {made.masks.shape[1]} points each, but there are {len(features)} "
            f"(points, or patches of points). Use those of these features."
        )
    return made


def problem(
    x: Numbers, y: Numbers, beta: float, loss: AbstractLoss | None
) -> tuple[np.ndarray, np.ndarray, AbstractLoss, float]:
    """Data with an axis for patches, checked."""
    batch, targets = np.asarray(finite("x", x)), np.asarray(finite("y", y))
    if batch.ndim not in (2, 3) or 0 in batch.shape:
        raise ValueError(
            f"`x` must have a row for each point, or an axis of patches in between, but has shape "
            f"{batch.shape}. Use e.g. `x[:, None]`."
        )
    if targets.shape != batch.shape[:1]:
        raise ValueError(
            f"`y` needs one number for each of the {len(batch)} points, but has shape "
            f"{targets.shape}. For several outputs see `shallows.landscape.convex.vector`."
        )
    for name, values in (("x", batch), ("y", targets)):
        if np.max(np.abs(values)) > _LARGEST:
            raise ValueError(
                f"`{name}` has entries up to {np.max(np.abs(values)):.3g}, whose products overflow "
                f"beyond {_LARGEST:g}. Choose other units."
            )
    if not 0 < beta < np.inf:
        raise ValueError(f"`beta` must be positive and finite, but is {beta}. Use e.g. 0.01.")
    loss = Squared() if loss is None else loss
    loss.checked(targets)
    return batch if batch.ndim == 3 else batch[:, None], targets, loss, float(beta)
