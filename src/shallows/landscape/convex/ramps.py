r"""Networks of one input whose biases are not penalised: a LASSO on ramps with knots at the data.

$$ \min\; \tfrac12 \Bigl|\sum_j z_j (x - x_j)_+ + z_j' (x_j - x)_+ + \xi 1 - y\Bigr|^2
   + \beta \sum_j (|z_j| + |z_j'|). $$

As a function of its knot a neuron is affine between points of the data, where it costs the same:
knots elsewhere gain nothing.
"""

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex.losses import Squared
from shallows.landscape.convex.patterns import Patterns
from shallows.landscape.convex.programs import AbstractConvexProgram, Point, problem, with_biases
from shallows.model.network import Network, Numbers
from shallows.model.pieces import LinearSpline, spline_of_kinks

# The bias of the neuron that stands for ξ: its penalised weight is ξ/_FAR.
_FAR = 1e8


class Ramps(AbstractConvexProgram[Network]):
    r"""$\tfrac12 |f(x) - y|^2 + \tfrac\beta2 \sum (w_j^2 + a_j^2)$ over networks of one input.

    Biases of neurons are free, and so is a constant ξ, which is eliminated: what is fitted are
    Pc y by Pc A. Blocks are ramps: first those to the right of each point, then those to the left.

    **Raises.** `ValueError` for more than one input, points that are all equal, and a penalty that
    is not positive.

    **Source.** Zeger et al. (2024), 2403.01046; Savarese et al. (2019) for what it penalises.
    """

    def __init__(self, x: Numbers, y: Numbers, beta: float):
        given = np.asarray(x, dtype=float)
        batch, self.y, self.loss, self.beta = problem(
            given[:, None] if given.ndim == 1 else given, y, beta, Squared()
        )
        if batch.shape[1:] != (1, 1):
            raise ValueError(
                f"Ramps are functions of one input, but `x` has shape {given.shape}. Use "
                f"`Unnormalised(x, y, beta, bias=True)`, where biases are penalised."
            )
        self.batch, points = batch, batch[:, 0, 0]
        self.given, self.mean = self.y, float(self.y.mean())
        self.y = self.y - self.mean
        self.x, self.knots, self.patches = points, np.unique(points), 1
        if len(self.knots) < 2:
            raise ValueError(
                f"All {len(points)} points are {points[0]:.17g}, and only constants can be fitted. "
                f"Give points that differ."
            )
        right = np.maximum(points[:, None] - self.knots, 0)
        left = np.maximum(self.knots - points[:, None], 0)
        self.ramps = np.concatenate([right, left], axis=1)
        self._centred = self.ramps - self.ramps.mean(axis=0)
        # A slope is not negative in its copy: a gate that is always on says so.
        self.features = self.gates = np.ones((1, 1))
        on = np.ones((2 * len(self.knots), 1), dtype=bool)
        self.patterns = Patterns(on, True, 1, on)

    @property
    def width(self) -> int:
        """One number, the slope."""
        return 1

    def columns(self, pattern: int) -> Float[np.ndarray, "n r"]:
        """Pc times a ramp."""
        return self._centred[:, pattern, None]

    def metric(self, pattern: int) -> None:
        """The identity."""

    def predict(self, point: Point) -> Float[np.ndarray, " n"]:
        """Of Pc y, with the best ξ."""
        return self._centred @ (point[0] - point[1])[:, 0]

    def adjoint(self, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, "P r"]:
        """Of the centred ramps."""
        return (self._centred.T @ v)[:, None]

    def norms(self, point: Point) -> Float[np.ndarray, "2 P"]:
        """Absolute values."""
        return np.abs(point[..., 0])

    def spline(self, point: Point) -> LinearSpline:
        """The function of a point, with its ξ."""
        slopes = (point[0] - point[1])[:, 0]
        m = len(self.knots)
        slopes[[i for i in range(2 * m) if not {(0, i), (1, i)} & set(self.solid(point))]] = 0.0
        right, left = slopes[:m], slopes[m:]
        constant = self.mean - float(self.ramps.mean(axis=0) @ slopes)
        # z′(t − x)₊ = z′(t − x) + z′(x − t)₊
        intercept = constant + float(left @ self.knots)
        return spline_of_kinks(self.knots, right + left, -float(left.sum()), intercept)

    def network(self, point: Point) -> Network:
        """Balanced neurons, and one of weight 0 and bias 1e8 for ξ, which costs βξ²/2 · 1e-16."""
        m = len(self.knots)
        inner, outer, bias = [0.0], [0.0], [_FAR]
        for s, i in self.solid(point):
            root = float(np.sqrt(self.norms(point)[s, i]))
            side = 1.0 if i < m else -1.0
            inner.append(side * root)
            outer.append((1.0 - 2 * s) * root)
            bias.append(-side * root * float(self.knots[i % m]))
        hidden = np.maximum(np.outer(self.x, inner[1:]) + bias[1:], 0) @ np.array(outer[1:])
        outer[0] = (self.mean - float(hidden.mean())) / _FAR
        return Network(np.array(inner)[:, None], outer, bias)

    def plain(self, network: Network) -> Network:
        """The network, with biases 0 if it has none."""
        return with_biases(network)

    @property
    def targets(self) -> Float[np.ndarray, " n"]:
        """The targets as given, not centred."""
        return self.given

    def cost(self, network: Network) -> float:
        """½ |f(x) − y|² + (β/2) Σ (w² + a²)."""
        w, b, a = _weights(network)
        values = np.maximum(np.outer(self.x, w) + b, 0) @ a
        return self.loss(values - self.mean, self.y) + self.beta * float(w @ w + a @ a) / 2

    def point(self, network: Network) -> Point:
        """Slopes |a w|, shared among the two data points that a knot lies between."""
        point = np.zeros(self.shape)
        m = len(self.knots)
        for w, b, a in zip(*_weights(network), strict=True):
            if not w or not a:
                continue
            s, at = int(a < 0), float(np.clip(-b / w, self.knots[0], self.knots[-1]))
            j = min(int(np.searchsorted(self.knots, at, side="right")) - 1, m - 2)
            share = (at - self.knots[j]) / (self.knots[j + 1] - self.knots[j])
            first = j if w > 0 else m + j
            point[s, first, 0] += (1 - share) * abs(a * w)
            point[s, first + 1, 0] += share * abs(a * w)
        return point


def _weights(network: Network) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if network.inner.shape[1:] != (1,) or network.outputs is not None:
        raise ValueError(
            f"The network has inner weights of shape {network.inner.shape}, but this program is "
            f"about one input and one output. Use another program."
        )
    w, a = np.asarray(network.inner)[:, 0], np.asarray(network.outer)
    b = np.zeros_like(w) if network.bias is None else np.asarray(network.bias)
    return w, b, a
