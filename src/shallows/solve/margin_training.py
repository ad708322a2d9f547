r"""Descent of the logistic loss of a two-layer network until every point has a margin.

$f(x) = \sum_i a_i\, \sigma(w_i^\top x + b_i) + c$. In NumPy: gradients are closed formulas, and
runs of a thousand neurons take seconds.
"""

import dataclasses
import enum
import math
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.model.network import Network, positive_integer
from shallows.model.subspace import SubspaceData


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """Of a two-layer ReLU network, with or without biases."""

    inner: Float[np.ndarray, "m d"]
    heads: Float[np.ndarray, " m"]
    bias: Float[np.ndarray, " m"] | None = None
    offset: float = 0.0
    """The bias c of the output, which is there where `bias` is."""

    def __call__(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """The outputs at points in rows."""
        return np.maximum(self._enter(x), 0) @ self.heads + self.offset

    def _enter(self, x: np.ndarray) -> np.ndarray:
        return x @ self.inner.T + (0.0 if self.bias is None else self.bias)

    @property
    def network(self) -> Network:
        """The same function; an output bias becomes a neuron that is 1 everywhere."""
        if self.bias is None:
            return Network(self.inner, self.heads)
        return Network(
            np.vstack([self.inner, np.zeros(self.inner.shape[1])]),
            np.append(self.heads, self.offset),
            np.append(self.bias, 1.0),
        )


@runtime_checkable
class Start(Protocol):
    """A law of weights to start from."""

    def draw(self, inputs: int, seed: int) -> Weights:
        """One draw."""
        ...


@dataclasses.dataclass(frozen=True)
class SignHeads:
    r"""Heads ±1/√m that stay, $w_i \sim N(0, (\beta^2/d)\, I)$, no biases: as in theorems.

    **Source.** melamed2023, our reading.
    """

    width: int
    scale: float = 1.0
    """β."""

    def draw(self, inputs: int, seed: int) -> Weights:
        """One draw; from one seed those of all β are multiples of one another."""
        m = positive_integer("width", self.width)
        rng = np.random.default_rng(seed)
        signs = rng.choice([-1.0, 1.0], size=m) / math.sqrt(m)
        return Weights(self.scale / math.sqrt(inputs) * rng.normal(size=(m, inputs)), signs)


@dataclasses.dataclass(frozen=True)
class GaussianHeads:
    """Heads N(0, 1/m) and weights N(0, 1/d), both divided by `factor`, and uniform biases.

    Biases are as libraries draw them, within ±1/√d (inner) and ±1/√m (outer), and not divided.

    **Source.** melamed2023, the released code of its experiment on a diagonal.
    """

    width: int
    factor: float = 1.0

    def draw(self, inputs: int, seed: int) -> Weights:
        """One draw; from one seed factors change nothing but the size of weights."""
        m = positive_integer("width", self.width)
        rng = np.random.default_rng(seed)
        inner = rng.normal(size=(m, inputs)) / (math.sqrt(inputs) * self.factor)
        heads = rng.normal(size=m) / (math.sqrt(m) * self.factor)
        return Weights(inner, heads, *_biases(rng, m, inputs))


@dataclasses.dataclass(frozen=True)
class UniformHeads:
    """All weights and biases uniform within ±1/√(inputs of their layer), as libraries draw them.

    Weights are divided by `factor`, biases are not.

    **Source.** melamed2023, the released code of its experiment on a chessboard.
    """

    width: int
    factor: float = 3.0

    def draw(self, inputs: int, seed: int) -> Weights:
        """One draw."""
        m = positive_integer("width", self.width)
        rng = np.random.default_rng(seed)
        inner = rng.uniform(-1, 1, size=(m, inputs)) / (math.sqrt(inputs) * self.factor)
        heads = rng.uniform(-1, 1, size=m) / (math.sqrt(m) * self.factor)
        return Weights(inner, heads, *_biases(rng, m, inputs))


class Trained(enum.Enum):
    """What descent moves."""

    inner = enum.auto()
    """The inner weights, and inner biases where there are any."""
    everything = enum.auto()


class MarginEnding(enum.Enum):
    """How a run ended."""

    reached = "Every point has the margin."
    out_of_steps = "Points are left without the margin. Allow more steps, or decay less."
    diverged = "Weights are no longer finite. Use a shorter step."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MarginRun(notebook.AbstractShown):
    """From a start until the margin is reached."""

    start: Weights
    end: Weights
    ending: MarginEnding
    steps: int
    """Taken before the margin was seen."""
    margins: Float[np.ndarray, " t"]
    """The least y f(x) whenever it was looked at: each step, or with batches each epoch."""

    def __repr__(self) -> str:
        return f"MarginRun({self.steps} steps, margin {self.margins[-1]:.6g}, {self.ending.name})"

    def _columns(self) -> notebook.Columns:
        return {"look": range(len(self.margins)), "margin": self.margins}


@dataclasses.dataclass(frozen=True)
class MarginDescent:
    r"""w ← w − η (∇ + λ w + …) for the mean logistic loss, until all y f(x) reach the margin.

    Comparisons need one margin: the outputs, and with them all distances to a change of sign, grow
    for as long as training goes on.

    **Raises.** `ValueError` for a step, margin or number of steps that is not positive, for
    negative penalties, and for ηλ ≥ 1.
    """

    step: float
    """η."""
    margin: float = 1.0
    decay: float = 0.0
    """λ, on all that is trained; (1 − ηλ) per step where there is no gradient."""
    first_layer: float = 0.0
    """A penalty of this times the length of all inner weights and biases; not its square."""
    trained: Trained = Trained.inner
    batch: int | None = None
    """Points a step, in random order without replacement; None for all."""
    steps: int = 100_000

    def __post_init__(self):
        if not (self.step > 0 and self.margin > 0 and math.isfinite(self.step)):
            raise ValueError(
                f"Step and margin must be positive, but are {self.step} and {self.margin}. Use "
                f"e.g. `MarginDescent(step=0.1)`."
            )
        if not (0 <= self.decay < 1 / self.step and self.first_layer >= 0):
            raise ValueError(
                f"Penalties must not be negative, and a step must not turn weights over: "
                f"decay={self.decay}, first_layer={self.first_layer}, step={self.step}. Use a "
                f"decay below {1 / self.step:g}."
            )
        positive_integer("steps", self.steps)

    def run(self, data: SubspaceData, start: Weights, *, seed: int = 0) -> MarginRun:
        """One run; the seed orders batches.

        **Cost.** 4 n m d operations a step.
        """
        x, y = data.points, data.labels
        batch = len(x) if self.batch is None else min(self.batch, len(x))
        rng = np.random.default_rng(seed)
        now, margins, taken = start, [], 0
        while True:
            outputs, gradient = logistic_gradient(now, x, y)
            margins.append(float(np.min(y * outputs)))
            if not math.isfinite(margins[-1]):
                ending = MarginEnding.diverged
                break
            if margins[-1] >= self.margin:
                ending = MarginEnding.reached
                break
            if taken >= self.steps:
                ending = MarginEnding.out_of_steps
                break
            if batch == len(x):
                now, taken = self._moved(now, gradient), taken + 1
                continue
            order = rng.permutation(len(x))
            for first in range(0, len(x), batch):
                rows = order[first : first + batch]
                now = self._moved(now, logistic_gradient(now, x[rows], y[rows])[1])
                taken += 1
        return MarginRun(start, now, ending, taken, np.array(margins))

    def _moved(self, now: Weights, gradient: Weights) -> Weights:
        keep = 1 - self.step * self.decay
        inner = keep
        if self.first_layer:
            square = np.sum(now.inner**2) + (0 if now.bias is None else np.sum(now.bias**2))
            inner = keep - self.step * self.first_layer / math.sqrt(max(float(square), 1e-300))
        moved = inner * now.inner - self.step * gradient.inner
        bias = now.bias
        if bias is not None and gradient.bias is not None:
            bias = inner * bias - self.step * gradient.bias
        if self.trained is Trained.inner:
            return Weights(moved, now.heads, bias, now.offset)
        heads = keep * now.heads - self.step * gradient.heads
        # Without biases there is no offset to train.
        offset = keep * now.offset - self.step * gradient.offset if bias is not None else 0.0
        return Weights(moved, heads, bias, offset)


def logistic_gradient(
    weights: Weights, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Weights]:
    r"""The outputs, and the gradient of $\frac1n \sum_j \log(1 + e^{-y_j f(x_j)})$.

    **Convention.** σ′(0) = 0. **Accuracy.** A few ulp of the sums' terms; no overflow.
    """
    enter = weights._enter(x)
    active = enter > 0
    after = np.where(active, enter, 0.0)
    outputs = after @ weights.heads + weights.offset
    # −y/(1 + e^(y f)), by tanh, which does not overflow.
    pull = -y * 0.5 * (1 - np.tanh(0.5 * y * outputs)) / len(x)
    share = (pull[:, None] * active) * weights.heads
    return outputs, Weights(
        share.T @ x,
        after.T @ pull,
        None if weights.bias is None else share.sum(axis=0),
        float(pull.sum()),
    )


def _biases(rng: np.random.Generator, width: int, inputs: int) -> tuple[np.ndarray, float]:
    return (
        rng.uniform(-1, 1, size=width) / math.sqrt(inputs),
        float(rng.uniform(-1, 1)) / math.sqrt(width),
    )
