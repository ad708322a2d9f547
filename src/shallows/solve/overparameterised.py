r"""Gradient descent of wide ReLU networks with fixed heads: what theories of it bound, measured.

For n points of length 1 with targets in $\mathbb{R}^k$, and networks with L hidden layers of m
neurons of which the heads V stay,

$$ f(x) = V \sigma(W_L \cdots \sigma(W_1 x)), \qquad
   \mathcal{L}(W) = \frac{1}{2n} \sum_i |f(x_i) - y_i|^2, \qquad
   W \leftarrow W - \eta \nabla \mathcal{L}(W), $$

with $W_l \sim N(0, 2/m)$ and $V \sim N(0, 1/k)$. Let K be the tangent kernel of all outputs at all
points, $nk \times nk$, and r the residuals. At each W where no neuron is at a kink

$$ |\nabla\mathcal{L}|^2 = \frac{1}{n^2} r^\top K r, \qquad\text{so}\qquad
   \frac{2}{n} \lambda_{\min}(K) \le \frac{|\nabla\mathcal{L}|^2}{\mathcal{L}}
      \le \frac{2}{n} \lambda_{\max}(K), $$

and K tends to $\frac{m}{k} H \otimes I_k$ at the start, H being a `WideLimit`.

**Source.** Zou & Gu (2019) for the setting, Arora et al. (2019) for the prediction.
"""

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int

from shallows import notebook
from shallows.model import Deep, WideLimit
from shallows.model.network import positive_integer
from shallows.model.unit_data import UnitData
from shallows.solve.kernel_regression import LinearisedDescent

# The loss, in units of that at the start, beyond which a run has diverged.
_BEYOND = 1e6

# λ_min over λ_max below which a kernel in floats is singular.
_SINGULAR = 1e-13


class WideEnding(enum.Enum):
    """How a run ended; the value is advice."""

    converged = ""
    out_of_steps = "The loss is still above the one wanted. Take more steps, or more neurons."
    diverged = "The loss grew a million times. Take a smaller step."
    stalled = (
        "The gradient is 0: at points that are not fitted no neuron is on any more. Take a smaller "
        "step, or more neurons."
    )
    below = "|∇L|²/L fell below what was to be kept: the kernel has moved. Take more neurons."


@dataclasses.dataclass(frozen=True, eq=False)
class WideNetwork:
    """f by its matrices: NumPy's, as to compile for each width takes longer than to train it."""

    layers: tuple[Float[np.ndarray, "..."], ...]
    heads: Float[np.ndarray, "m k"]

    def __call__(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """The outputs at the points."""
        return _signals(self.layers, points)[-1] @ self.heads

    def as_deep(self) -> Deep:
        """The same network as the rooms know it."""
        return Deep(self.layers, self.heads)


@dataclasses.dataclass(frozen=True)
class HeNetwork:
    r"""The law of networks at the start: $W_l \sim N(0, 2/m)$, $V \sim N(0, 1/k)$.

    **Raises.** `ValueError` for a width or depth below 1.
    """

    width: int
    """m, of each hidden layer."""
    depth: int = 1
    """L, the number of hidden layers."""

    def __post_init__(self):
        positive_integer("width", self.width)
        positive_integer("depth", self.depth)

    @property
    def limit(self) -> WideLimit:
        """H, as a kernel: m/k times it is the limit of the tangent kernel of one output."""
        return WideLimit(self.depth, 2.0, 1.0, rates=(0.5,) * self.depth + (0.0,))

    def draw(self, data: UnitData, seed: int = 0) -> WideNetwork:
        """A network with the inputs and outputs of the data."""
        rng = np.random.default_rng([seed, self.width, self.depth])
        m, sizes = self.width, [data.points.shape[1]] + [self.width] * (self.depth - 1)
        layers = tuple(math.sqrt(2 / m) * rng.normal(size=(m, n)) for n in sizes)
        return WideNetwork(layers, rng.normal(size=(m, data.outputs)) / math.sqrt(data.outputs))

    def step(self, outputs: int, scale: float | int = 2.0) -> float:
        """η = scale · k/(L² m), the step of the theory up to its constant.

        With the scale 2 the largest η λ_max(K)/n is near 1/L at most, so that descent is stable.
        """
        return scale * outputs / (self.depth**2 * self.width)

    def rate(self, data: UnitData, scale: float | int = 2.0) -> float:
        r"""$\eta\,\lambda_{\min}(\frac{m}{k} H)/n$, whatever the width: of residuals, in the limit.

        **Raises.** `ValueError` where H is singular to rounding, as for opposite points.
        """
        values = np.linalg.eigvalsh(self.limit.tangent(data.points))
        if values[0] <= _SINGULAR * values[-1]:
            cosines = np.abs(data.points @ data.points.T) - 2 * np.eye(len(data.points))
            i, j = sorted(int(a) for a in np.unravel_index(np.argmax(cosines), cosines.shape))
            raise ValueError(
                f"The kernel of infinitely wide networks is singular at these points: its "
                f"eigenvalues go down to {values[0]:.2g}, and no rate follows. The points nearest "
                f"to one line through 0 are {i} and {j}. Append a constant coordinate to all, or "
                f"remove one of the two."
            )
        return scale * float(values[0]) / (self.depth**2 * len(data.points))

    def allowed_steps(self, data: UnitData, until: float | int, scale: float | int = 2.0) -> int:
        r"""T with $(1 - \rho/2)^T \le$ `until`, ρ = `rate`: what theory allows to get there.

        The half is the theory's: $|r_t|^2 \le (1 - \eta\lambda_{\min}/2)^t\,|r_0|^2$.

        **Source.** Du, Zhai, Póczos & Singh (2019).
        """
        return math.ceil(math.log(until) / math.log1p(-self.rate(data, scale) / 2))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class WideRun(notebook.AbstractTable):
    """A run of descent, and what moved."""

    data: UnitData
    step: float
    """η."""
    start: WideNetwork
    end: WideNetwork
    losses: Float[np.ndarray, " t"]
    """Of the start and after each step."""
    squares: Float[np.ndarray, " t"]
    """|∇L|² there."""
    records: Int[np.ndarray, " s"]
    """The numbers of the steps after which the following is known; the first is 0."""
    displacements: Float[np.ndarray, " s"]
    """|W − W₀|, of all hidden layers in the Frobenius norm."""
    largest_moves: Float[np.ndarray, " s"]
    """The largest |w − w₀| of a neuron's weights."""
    flips: Float[np.ndarray, " s"]
    """The share of pairs of a neuron and a point where it is on now and was off, or the reverse."""
    ending: WideEnding

    @property
    def iterations(self) -> int:
        """The number of steps."""
        return len(self.losses) - 1

    @property
    def ratios(self) -> Float[np.ndarray, " t"]:
        """|∇L|²/L, of which theory has lower bounds."""
        return self.squares / self.losses

    @property
    def lengths(self) -> Float[np.ndarray, " t"]:
        """How long the way was so far, Σ η |∇L|."""
        steps = self.step * np.sqrt(self.squares[:-1])
        return np.concatenate([[0.0], np.cumsum(steps)])

    def prediction(self) -> Float[np.ndarray, " s"]:
        """The losses at `records` if the kernel stayed that of the start.

        **Cost.** The eigenvectors of a matrix of size nk.
        """
        n = len(self.data.points)
        residual = self.start(self.data.points) - self.data.targets
        # Output by output, as the kernel has it.
        gram = output_kernel(self.start, self.data.points) / n
        linear = LinearisedDescent(gram, residual.T.ravel(), self.step)
        return linear.distances(self.records) ** 2 / (2 * n)

    def __repr__(self) -> str:
        return (
            f"WideRun({self.iterations} steps, loss {self.losses[0]:.6g} to {self.losses[-1]:.6g}, "
            f"{self.ending.name})"
        )

    def _columns(self) -> notebook.Columns:
        return {"step": range(len(self.losses)), "loss": self.losses, "gradient²": self.squares}

    def _notes(self) -> Sequence[str]:
        return [self.ending.value]


def wide_descent(
    data: UnitData,
    network: WideNetwork,
    *,
    step: float,
    steps: int,
    until: float = 1e-4,
    kept: float = 0.0,
    records: int = 30,
) -> WideRun:
    """Descend until the loss is `until` times that at the start, or for so many steps.

    A run also ends where |∇L|²/L falls below `kept`. What moved is recorded at up to `records`
    steps, evenly in their logarithm, and at the end.

    **Accuracy.** Rounding: 1e-13 of the loss and of |∇L|².

    **Raises.** `ValueError` for a network that does not fit the data, and for numbers that are
    not positive. **Cost.** 6 n (m d + (L − 1) m²) operations a step.
    """
    _check(data, network)
    positive = 0 < step < math.inf and steps > 0 and kept >= 0 and records > 0
    if not (positive and 0 < until < 1):
        raise ValueError(
            f"A descent needs a positive step, positive numbers of steps and of records, and "
            f"`until` between 0 and 1, but has {step=}, {steps=}, {records=} and {until=}. Use "
            f"e.g. `HeNetwork(1000).step(1)`, 10_000, 30 and 1e-4."
        )
    x, y, first, heads = data.points, data.targets, network.layers, network.heads
    layers = [w.copy() for w in first]
    was_on = [signal > 0 for signal in _signals(layers, x)[1:]]
    wanted = set(np.unique(np.geomspace(1, steps, records).round().astype(int)).tolist())
    losses, squares, seen = [], [], []
    ending, number = WideEnding.out_of_steps, 0
    while True:
        signals = _signals(layers, x)
        residual = signals[-1] @ heads - y
        gradients = _gradients(layers, heads, signals, residual / len(x))
        losses.append(float(np.vdot(residual, residual)) / (2 * len(x)))
        squares.append(sum(float(np.vdot(g, g)) for g in gradients))
        if losses[-1] <= until * losses[0]:
            ending = WideEnding.converged
        elif not losses[-1] <= _BEYOND * losses[0]:
            ending = WideEnding.diverged
        elif squares[-1] == 0:
            ending = WideEnding.stalled
        elif squares[-1] < kept * losses[-1]:
            ending = WideEnding.below
        is_last = number == steps or ending is not WideEnding.out_of_steps
        if is_last or number == 0 or number in wanted:
            seen.append((number, *_moved(layers, first, signals, was_on)))
        if is_last:
            break
        for w, g in zip(layers, gradients, strict=True):
            w -= step * g
        number += 1
    numbers, displacements, largest, flips = (
        np.array(column) for column in zip(*seen, strict=True)
    )
    return WideRun(
        data, step, network, WideNetwork(tuple(layers), heads), np.array(losses), np.array(squares),
        numbers, displacements, largest, flips, ending,
    )  # fmt: skip


def output_kernel(
    network: WideNetwork, points: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, "nk nk"]:
    r"""K of all outputs: $\sum_l \nabla_{W_l} f_a(x_i) \cdot \nabla_{W_l} f_b(x_j)$, heads fixed.

    **Convention.** Output by output: row $a n + i$. The diagonal blocks are `tangent_kernel` of
    one output each; the others are not determined by kernels of one output, as they need not be
    symmetric.

    **Accuracy.** 1e-15 of the sum of absolute terms. **Cost.** L (nk)² m operations.
    """
    signals, k, n = _signals(network.layers, points), network.heads.shape[1], len(points)
    back = np.repeat(network.heads.T[:, None, :], n, axis=1)
    total = np.zeros((n * k, n * k))
    for l in reversed(range(len(network.layers))):
        back = back * (signals[l + 1] > 0)
        flat = back.reshape(n * k, -1)
        total += (flat @ flat.T) * np.tile(signals[l] @ signals[l].T, (k, k))
        back = back @ network.layers[l]
    return total


@dataclasses.dataclass(frozen=True)
class WidthSearch:
    """The smallest width that was found to converge, and all that were tried."""

    width: int | None
    """None where not even the largest width asked for converges."""
    tried: tuple[tuple[int, int, int], ...]
    """Widths, in increasing order, with the number of runs that converged and of all runs."""
    steps: tuple[int, ...]
    """How many steps each data set was allowed."""


def smallest_width(
    data: Sequence[UnitData],
    *,
    depth: int = 1,
    until: float = 1e-4,
    kept: float | int = 0.0,
    scale: float | int = 2.0,
    most: int = 4096,
    resolution: float = 0.1,
    progress: Callable[[int], None] | None = None,
) -> WidthSearch:
    r"""The smallest width with which half of the runs converge in the steps that theory allows.

    A width converges if at least half of the runs, one from each data set with its own start, get
    to `until` times their first loss within `HeNetwork.allowed_steps`, the rate being that of
    infinite width, halved; and if, where `kept` is positive, $|\nabla L|^2/L$ never falls below
    that share of $\frac{2m}{nk}\lambda_{\min}(H)$. That is how proofs go: with the share ½ the
    halved rate follows. Widths 1, 2, 4, … are tried until one converges, then the gap below it is
    bisected until it is at most `resolution` of its lower end. `progress` hears each width.

    **Convention.** A width stops being tried once it is decided. That all widths above converge
    too is not looked at: of the result one knows that it converges and that one a little below it,
    or none below it, does not.

    **Raises.** `ValueError` for no data, and as `HeNetwork.rate`.
    """
    if not data or not (resolution > 0 and 0 < until < 1 and most > 0 and 0 <= kept < 1):
        raise ValueError(
            f"A search needs data, a positive resolution and largest width, and `until` and `kept` "
            f"between 0 and 1, but has {len(data)} data sets, {resolution=}, {most=}, {until=} and "
            f"{kept=}. Use e.g. `[pair_data(10, 20, 0.2, seed=s) for s in range(5)]`."
        )
    steps = tuple(HeNetwork(1, depth).allowed_steps(one, until, scale) for one in data)
    # |∇L|²/L of infinite width is 2 ρ/η.
    rates = [HeNetwork(1, depth).rate(one, scale) for one in data]
    tried: dict[int, tuple[int, int]] = {}

    def converges(width: int) -> bool:
        law, good, ran = HeNetwork(width, depth), 0, 0
        for seed, (one, allowed, rate) in enumerate(zip(data, steps, rates, strict=True)):
            step = law.step(one.outputs, scale)
            run = wide_descent(
                one, law.draw(one, seed), step=step, steps=allowed, until=until,
                kept=kept * 2 * rate / step, records=1,
            )  # fmt: skip
            good, ran = good + (run.ending is WideEnding.converged), ran + 1
            if 2 * good >= len(data) or 2 * (ran - good) > len(data):
                break
        tried[width] = good, ran
        if progress is not None:
            progress(width)
        return 2 * good >= len(data)

    low, high = 0, 1
    while not converges(high):
        if high >= most:
            return WidthSearch(None, _sorted(tried), steps)
        low, high = high, min(2 * high, most)
    while high - low > max(1, resolution * low):
        middle = (low + high) // 2
        low, high = (low, middle) if converges(middle) else (middle, high)
    return WidthSearch(high, _sorted(tried), steps)


def _check(data: UnitData, network: WideNetwork) -> None:
    sizes = (network.layers[0].shape[1], network.heads.shape[1])
    if sizes != (data.points.shape[1], data.outputs):
        raise ValueError(
            f"The data have {data.points.shape[1]} inputs and {data.outputs} outputs, but the "
            f"network has {sizes[0]} and {sizes[1]}. Draw one that fits: "
            f"`HeNetwork(1000).draw(data)`."
        )


def _signals(layers: Sequence[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """What enters each layer, the heads last."""
    signals = [x]
    for w in layers:
        signals.append(np.maximum(signals[-1] @ w.T, 0.0))
    return signals


def _gradients(layers, heads, signals, slopes) -> list[np.ndarray]:
    """∂L/∂W of each layer, `slopes` being those of the loss by the outputs."""
    found, back = [], slopes @ heads.T
    for l in reversed(range(len(layers))):
        back = back * (signals[l + 1] > 0)
        found.append(back.T @ signals[l])
        if l:
            back = back @ layers[l]
    return found[::-1]


def _moved(layers, first, signals, was_on) -> tuple[float, float, float]:
    moves = [w - w0 for w, w0 in zip(layers, first, strict=True)]
    total = math.sqrt(sum(float(np.vdot(v, v)) for v in moves))
    largest = max(float(np.max(np.linalg.norm(v, axis=1))) for v in moves)
    flips = [(s > 0) != on for s, on in zip(signals[1:], was_on, strict=True)]
    return total, largest, float(np.mean(np.stack(flips)))


def _sorted(tried: dict[int, tuple[int, int]]) -> tuple[tuple[int, int, int], ...]:
    return tuple((width, *tried[width]) for width in sorted(tried))
