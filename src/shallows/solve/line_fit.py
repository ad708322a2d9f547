"""Wide networks trained on points of a line: how they start, how they fit, and where they stall."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.line import LineLoss, Parameters, invariants
from shallows.model import Network, PiecewiseLinear
from shallows.model.network import positive_integer
from shallows.model.pieces import samples
from shallows.solve.chebyshev import Chebyshev, Relaxation, Stop, relaxation

# Of the distance of a knot to the nearest two samples: where it counts as sliding along one.
_BLUR = 0.05


@dataclasses.dataclass(frozen=True)
class LineStart:
    r"""Random neurons and their copies of opposite head, so that f = 0.

    a = ±κ, b = a U(−reach, reach), c = ±1/κ, all independent, with κ = `scale`; and
    $\alpha = m^e$, with e = `exponent`: 1 in the mean-field and 1/2 in the kernel scaling.

    **Raises.** `ValueError` for a width that is odd, a scale or reach that is not positive, and an
    exponent outside [1/2, 1].
    """

    width: int
    scale: float
    exponent: float = 1.0
    reach: float = 1.5
    seed: int = 0

    def __post_init__(self):
        positive_integer("width", self.width, most=10**7)
        if self.width % 2:
            raise ValueError(
                f"The start pairs each neuron with a copy of opposite head, but the width is "
                f"{self.width}, which is odd. Use {self.width + 1}."
            )
        if not (np.isfinite(self.scale) and 1e-6 <= self.scale <= 1e6):
            raise ValueError(
                f"The scale κ of the start is positive, from 1e-6 to 1e6, but is {self.scale}. "
                f"Use e.g. 0.7 (knots move) or 100 (they do not)."
            )
        if not 0.5 <= self.exponent <= 1:
            raise ValueError(
                f"The exponent of α = mᵉ lies between 0.5 (kernel scaling) and 1 (mean field), but "
                f"is {self.exponent}. Use one of these."
            )
        if not (np.isfinite(self.reach) and self.reach > 0):
            raise ValueError(f"The reach of knots is positive, but is {self.reach}. Use e.g. 1.5.")

    @property
    def normaliser(self) -> float:
        """The factor α = mᵉ that divides the output."""
        return float(self.width) ** self.exponent

    def parameters(self) -> Parameters:
        """The rows a, b, c, by increasing knots; a neuron and its copy are neighbours."""
        generator, half = np.random.default_rng(self.seed), self.width // 2
        a = self.scale * generator.choice([-1.0, 1.0], half)
        b = a * generator.uniform(-self.reach, self.reach, half)
        c = generator.choice([-1.0, 1.0], half) / self.scale
        z = np.stack([np.tile(a, 2), np.tile(b, 2), np.concatenate([c, -c])])
        # By their knots: sums over knots run faster through memory.
        return z[:, np.argsort(z[1] / z[0], kind="stable")]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LineFit(notebook.AbstractTable):
    """A trained network, and how it got there."""

    loss: LineLoss
    start: Parameters
    run: Relaxation

    @property
    def end(self) -> Parameters:
        """The trained parameters."""
        return self.run.end

    @property
    def drift(self) -> float:
        """The largest change of a δᵢ, relative to the largest |δᵢ|: zero if time were exact."""
        first = invariants(self.start)
        return float(np.max(np.abs(invariants(self.end) - first)) / np.max(np.abs(first)))

    @property
    def moved(self) -> float:
        """The median distance by which a knot has moved."""
        knots = [z[1] / np.where(z[0] == 0, np.nan, z[0]) for z in (self.start, self.end)]
        return float(np.nanmedian(np.abs(knots[1] - knots[0])))

    @property
    def advice(self) -> str:
        """Where the fit is worst and what is slow there; empty for a run that reached its value.

        The tangent kernel says how long it would go on as things stand: ρ falls like exp(−λt) in
        the direction of an eigenvector.
        """
        if self.run.stop is Stop.reached_value:
            return ""
        rho = self.loss.residuals(self.end)
        worst = int(np.argmax(np.abs(rho)))
        values, vectors = np.linalg.eigh(self.loss.tangent_kernel(self.end))
        slow = int(np.argmax((vectors.T @ rho) ** 2))
        rate = max(float(values[slow]), 0.0)
        wait = f"{1 / rate:.3g}" if rate > 0 else "no"
        share = (vectors[:, slow] @ rho) ** 2 / (rho @ rho)
        return (
            f"{self.run.stop.value} The fit is worst at sample {worst + 1} of {len(rho)} "
            f"(x = {self.loss.x[worst]:.6g}, residual {rho[worst]:.3g}); {100 * share:.0f} % of "
            f"the loss is in a direction of the tangent kernel with time constant {wait}, after a "
            f"run of time {self.run.times[-1]:.3g}."
        )

    def __repr__(self) -> str:
        return (
            f"LineFit({self.end.shape[1]} neurons, {len(self.loss.x)} points: loss "
            f"{self.run.values[-1]:.6g}, {self.run.stop.name})"
        )

    def _columns(self) -> notebook.Columns:
        return {"time": self.run.times, "loss": self.run.values}

    def _notes(self) -> Sequence[str]:
        return [self.advice]


def line_fit(
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    start: LineStart,
    *,
    relative_loss: float = 1e-4,
    method: Chebyshev | None = None,
    snapshots: int = 0,
    progress: Callable[[float, float], object] | None = None,
) -> LineFit:
    r"""Gradient flow from a start until $L \le$ `relative_loss` · ½ Σ y².

    Knots slide along samples by a ramp (`LineLoss.blur`) of a twentieth of the distance of the
    nearest two samples, for neurons of the start's size.

    **Accuracy.** `drift` says it; at the default tolerance of 1e-2 a step, 5 to 20 per cent of δ.
    What is fitted is exact: the values are those of the network.

    **Raises.** `ValueError` as `LineLoss`. **Cost.** m log n + n operations a gradient; the tangent
    kernel, m n², once a step.
    """
    if not (math.isfinite(relative_loss) and 0 < relative_loss < 1):
        raise ValueError(
            f"The loss to reach is a share of ½ Σ y², between 0 and 1, but is {relative_loss}. "
            f"Use e.g. 1e-4."
        )
    x, y = samples(x, y)
    if not np.any(y):
        raise ValueError("All values are zero, and so is the network at its start. Give others.")
    blur = _BLUR * start.scale * float(np.min(np.diff(x)))
    loss = LineLoss(x, y, start.normaliser, blur)
    z = start.parameters()
    run = relaxation(
        loss.value_and_gradient,
        loss.curvature,
        z,
        value=relative_loss * 0.5 * float(y @ y),
        method=Chebyshev(tolerance=1e-2) if method is None else method,
        snapshots=snapshots,
        progress=progress,
    )
    return LineFit(loss, z, run)


def least_norm_heads(
    hidden: Network, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> Network:
    """The network with this hidden layer that fits the values with the least Σ cᵢ².

    It is a fit if the layer has rank n; else the least squares.

    **Raises.** `ValueError` for an activation that is not piecewise linear.
    """
    sigma = hidden.activation
    if not isinstance(sigma, PiecewiseLinear):
        raise ValueError(f"Splines are piecewise linear, but {sigma.name} is not. Use `relu`.")
    bias = 0.0 if hidden.bias is None else np.asarray(hidden.bias)
    height = np.outer(x, np.asarray(hidden.inner)[:, 0]) + bias
    features = sigma.positive * np.maximum(height, 0) + sigma.negative * np.minimum(height, 0)
    heads = np.linalg.lstsq(features, y, rcond=None)[0]
    return Network(hidden.inner, heads, hidden.bias, sigma)
