r"""Means and variances over inputs of what enters the neurons of random ReLU networks, by depth.

With $y_l = W_l\,\sigma(y_{l-1})$, $y_1 = W_1 x$, and weights N(0, 2/fan-in), let ⟨·⟩ be the mean
over inputs x and ⟪·⟫ that over weights. He's variance of the weights conserves
$s^2 = ⟪⟨y^2⟩⟫$, but not its two parts, the squared sample mean $m^2 = ⟪⟨y⟩^2⟫$ and the sample
variance $v^2 = s^2 - m^2$: means grow at the expense of variances, since the angle between any two
inputs shrinks from layer to layer.

**Source.** Luther & Seung (2019); Cho & Saul (2009) for the kernel.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from shallows.model.layers import Layers
from shallows.model.network import Numbers, finite, positive_integer

Normalisation = Callable[[np.ndarray], np.ndarray]
"""What is done to a matrix of pre-activations, a row for each input, before σ."""


@dataclasses.dataclass(frozen=True, eq=False)
class SampleStatistics:
    """Of pre-activations, layer by layer, the first one first."""

    squared_mean: Float[np.ndarray, " l"]
    """m²."""
    variance: Float[np.ndarray, " l"]
    """v²."""

    @property
    def total(self) -> Float[np.ndarray, " l"]:
        """s² = m² + v²."""
        return self.squared_mean + self.variance

    @property
    def share(self) -> Float[np.ndarray, " l"]:
        """v²/s²: 1 where means vanish, 0 where all inputs look the same."""
        return self.variance / self.total


def variance_shares(depth: int, first: float | int = 1.0) -> Float[np.ndarray, " l"]:
    r"""v²/s² in layers 1 … `depth` at infinite width, from what it is in the first.

    With $c = m^2/s^2$ it is the arc-cosine kernel, iterated:
    $c_{l+1} = \frac1\pi\bigl(\sqrt{1 - c^2} + c\,(\pi - \arccos c)\bigr)$. Inputs of mean zero
    that are nearly orthogonal to one another, as white ones in many dimensions, have `first` = 1;
    then v²/s² ~ 9π²/(2 l²).

    **Domain.** Laws whose inputs have one length and all pairs one angle, or so nearly; for others
    see `wide_statistics`. **Accuracy.** 1e-14, relative, at 30 layers: from 1 − c, not from c.

    **Raises.** `ValueError` unless `first` is between 0 and 1.
    """
    if not 0 <= first <= 1:
        raise ValueError(
            f"`first` is a share of the variance, between 0 and 1, but is {first}. Use 1 for "
            f"white inputs."
        )
    shares = [np.asarray(float(first))]
    for _ in range(positive_integer("depth", depth) - 1):
        shares.append(next_gap(shares[-1]))
    return np.array(shares)


def next_gap(gap: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    r"""1 − cos of the angle between two inputs in the next layer, of that in this one.

    $g + (\theta \cos\theta - \sin\theta)/\pi$ with $\cos\theta = 1 - g$; for small g it is
    $g - \frac{2\sqrt2}{3\pi} g^{3/2}$.
    """
    angle = 2 * np.arcsin(np.sqrt(np.clip(gap, 0, 2) / 2))
    direct = angle * np.cos(angle) - np.sin(angle)
    # Where the two nearly cancel, their series: Σ (−1)ⁿ 2n θ²ⁿ⁺¹/(2n + 1)!
    series = sum(
        (-1) ** n * 2 * n / math.factorial(2 * n + 1) * angle ** (2 * n + 1) for n in range(1, 8)
    )
    return np.asarray(np.maximum(gap + np.where(angle < 0.5, series, direct) / np.pi, 0.0))


def wide_statistics(points: Numbers, depth: int) -> SampleStatistics:
    r"""At infinite width, for inputs that are equally often each row of `points`.

    $m_l^2$ is the mean over pairs of rows of $\frac2d |x||x'|$ times the kernel, iterated l − 1
    times, of the angle between them; s² that of $\frac2d |x|^2$ in every layer.

    **Accuracy.** 1e-14 of s². **Cost.** depth · n² evaluations of an arcsine.

    **Raises.** `ValueError` for points that are no finite matrix.
    """
    x = _matrix(points)
    lengths = np.linalg.norm(x, axis=1)
    unit = x / np.where(lengths > 0, lengths, 1.0)[:, None]
    gap = np.array([np.sum((row - unit) ** 2, axis=1) / 2 for row in unit])
    weights = np.outer(lengths, lengths) * 2 / x.shape[1]
    total = float(np.mean(np.diag(weights)))
    variances = []
    # v² from what is left, so that nothing cancels in deep layers: ½ of the spread of lengths.
    spread = total - float(np.mean(weights))
    for _ in range(positive_integer("depth", depth)):
        variances.append(spread + float(np.mean(weights * gap)))
        gap = next_gap(gap)
    variance = np.array(variances)
    return SampleStatistics(total - variance, variance)


def drawn_statistics(
    points: Numbers,
    widths: Sequence[int],
    rng: np.random.Generator,
    *,
    normalise: Normalisation | None = None,
    of_sample: bool = False,
) -> SampleStatistics:
    """Of one random network of these widths, as means over its neurons.

    `points` are all inputs there are; with `of_sample` they are independent draws, and m² and v²
    are unbiased estimates for their law. `normalise` is applied before σ, and what is returned
    is from before it.

    **Raises.** `ValueError` for points that are no finite matrix, and for fewer than two of a
    sample. **Cost.** Products of the points with each matrix, and drawing these.
    """
    signal = _matrix(points)
    n = len(signal)
    if of_sample and n < 2:
        raise ValueError("One point says nothing of variances over a sample. Pass two at least.")
    means, variances = [], []
    for m in widths:
        inputs = signal.shape[1]
        y = signal @ rng.normal(size=(positive_integer("widths", m), inputs)).T
        y *= math.sqrt(2 / inputs)
        variance = float(np.mean(np.var(y, axis=0, ddof=1 if of_sample else 0)))
        mean = float(np.mean(np.mean(y, axis=0) ** 2))
        means.append(mean - variance / n if of_sample else mean)
        variances.append(variance)
        signal = np.maximum(y if normalise is None else normalise(y), 0.0)
    return SampleStatistics(np.array(means), np.array(variances))


def over_samples(y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Batch normalisation: each neuron of mean 0 and variance 1 over inputs, or 0 if constant."""
    return _standard(y, 0)


def over_units(y: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Layer normalisation: each input of mean 0 and variance 1 over the layer's neurons."""
    return _standard(y, 1)


def normalised_start(layers: Layers, points: Numbers, *, by_layer: bool = False) -> Layers:
    """The network whose hidden neurons have mean 0 and variance 1 over these inputs, in all layers.

    Weights are divided by standard deviations, and biases take means away, layer after layer.
    `by_layer`: with one mean and one variance for all neurons of a layer together, over inputs
    and neurons. Heads stay.

    **Raises.** `ValueError` for points that do not fit, and where a neuron is constant on them.
    """
    signal = _matrix(points)
    if signal.shape[1] != layers.sizes[0]:
        raise ValueError(
            f"The network has {layers.sizes[0]} inputs, but points have {signal.shape[1]} "
            f"coordinates. Use as many."
        )
    weights, biases = [], []
    for l, (w, b) in enumerate(zip(layers.weights[:-1], layers.biases[:-1], strict=True)):
        matrix, shift = np.asarray(w), np.zeros(len(w)) if b is None else np.asarray(b)
        y = signal @ matrix.T + shift
        axes = None if by_layer else 0
        mean, spread = np.mean(y, axis=axes), np.std(y, axis=axes)
        if np.any(spread <= 1e-12 * np.max(np.abs(y), axis=axes)):
            raise ValueError(
                f"A neuron of layer {l} is constant on these {len(signal)} points, so that it "
                f"cannot have variance 1. Use more points, or wider layers."
            )
        weights.append(matrix / np.broadcast_to(spread, len(w))[:, None])
        biases.append((shift - mean) / spread)
        signal = np.asarray(layers.activation((y - mean) / spread))
    return Layers(
        [*weights, layers.weights[-1]],
        [*biases, layers.biases[-1]],
        layers.activation,
    )


def _standard(y, axis):
    spread = np.std(y, axis=axis, keepdims=True)
    return (y - np.mean(y, axis=axis, keepdims=True)) / np.where(spread > 0, spread, 1.0)


def _matrix(points: Numbers) -> np.ndarray:
    x = np.asarray(finite("points", points))
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"`points` must be a matrix with an input in each row, but has shape {x.shape}."
        )
    return x
