r"""Tangent kernels: of ReLU networks with infinitely many neurons exactly, and of any network.

A network f with parameters θ moves, under gradient descent on its values at points x, by its
*tangent kernel* $\Theta(x, y) = \nabla_\theta f(x) \cdot \nabla_\theta f(y)$. For wide networks
with independent weights Θ tends to a function of the two points, made of two overlaps
(`overlaps`), those of ReLUs and of steps: with $g$ Gaussian of covariance Σ and θ its angle,

$$ \mathbb{E}\,\sigma(g_x)\sigma(g_y) = \frac{\sqrt{\Sigma_{xx}\Sigma_{yy}}}{2\pi}
     \bigl(\sin\theta + (\pi - \theta)\cos\theta\bigr), \qquad
   \mathbb{E}\,\sigma'(g_x)\sigma'(g_y) = \frac{\pi - \theta}{2\pi}. $$

**Source.** Cho & Saul (2009), degrees 1 and 0, halved; Jacot, Gabriel & Hongler (2018).
"""

import dataclasses
import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shallows.model.activations import finite_number
from shallows.model.deep import Deep
from shallows.model.network import Network, Numbers, finite, positive_integer
from shallows.model.overlaps import _ANGLE, _NEAR, _polynomial

# Pairs of nearly parallel points whose differences are formed at a time.
_CHUNK = 100_000

# Pairs below which NumPy is done before anything is compiled.
_SMALL = 40_000

Kernel = Literal["tangent", "covariance"]


@dataclasses.dataclass(frozen=True)
class WideLimit:
    r"""The limit of ReLU networks with independent weights whose hidden layers widen.

    $$ g_1 = \sqrt{w}\,\omega_1 x + \sqrt{b}\,\beta_1, \qquad
       g_{l+1} = \sqrt{w/m_l}\;\omega_{l+1}\,\sigma(g_l) + \sqrt{b}\,\beta_{l+1}, \qquad
       f = \sqrt{h/m_L}\;\omega_{L+1} \cdot \sigma(g_L) $$

    with L = `depth` hidden layers of $m_l$ neurons, w = `weight`, b = `bias`, h = `head`, and
    standard Gaussian ω, β, which are what is trained, layer l at the rate `rates`[l] (those of
    heads last; 0 is fixed, by default all are 1).

    **Convention.** No $1/\sqrt d$ in the first layer. `WideLimit(rates=(1, 0))` is the limit of
    $\frac{1}{\sqrt m}\sum a\,\sigma(w \cdot x)$ with w ~ N(0, I) trained and a = ±1 fixed. With
    He's w = 2 layers keep lengths. Where weights W = √c ω are trained themselves, instead of ω,
    their part of the kernel is 1/c times as large: divide the rate by c.

    **Raises.** `ValueError` for a depth below 1, variances that are negative or not finite, weights
    or heads of variance 0, and for rates that are negative, all 0, or not one for each layer.
    """

    depth: int = 1
    weight: float | int = 1.0
    head: float | int = 1.0
    bias: float | int = 0.0
    rates: Sequence[float | int] = ()

    def __post_init__(self) -> None:
        layers = positive_integer("depth", self.depth, most=1000) + 1
        for name in ("weight", "head", "bias"):
            value = finite_number(name, getattr(self, name))
            if value < 0 or (value == 0 and name != "bias"):
                least = "at least" if name == "bias" else "above"
                raise ValueError(
                    f"`{name}` is a variance and must be {least} 0, but is {value:g}. Use e.g. 1.0."
                )
            object.__setattr__(self, name, value)
        object.__setattr__(self, "rates", _rates(self.rates or (1.0,) * layers, layers))

    def tangent(self, x: Numbers, y: Numbers | None = None) -> Float[np.ndarray, "n p"]:
        r"""The tangent kernel Θ(xᵢ, yⱼ) of points in the rows of `x` and `y`, by default of `x`.

        With $\Sigma_1 = w\,x \cdot y + b$ and $\Sigma_{l+1} = w\,\mathbb{E}\sigma\sigma + b$ it is

        $$ \Theta_1 = r_1 \Sigma_1, \qquad \Theta_{l+1} = r_{l+1} \Sigma_{l+1}
             + w\,\mathbb{E}\sigma'\sigma'\;\Theta_l, \qquad
           \Theta = h\,(\mathbb{E}\sigma'\sigma'\;\Theta_L + r_{L+1} \mathbb{E}\sigma\sigma). $$

        **Accuracy.** 1e-14 of $\sqrt{\Theta(x, x)\,\Theta(y, y)}$, also where points are nearly
        parallel or opposite, and at 20 layers.

        **Raises.** `ValueError` for points that are no finite matrix, or of different lengths.
        **Cost.** A few ns a pair; one with an angle within 0.14 of 0 or π costs d of them more.
        """
        return self._of("tangent", x, y)

    def covariance(self, x: Numbers, y: Numbers | None = None) -> Float[np.ndarray, "n p"]:
        r"""$\mathbb{E} f(x_i) f(y_j)$ at the start, the kernel of the Gaussian process f tends to.

        **Accuracy**, **Raises**, **Cost.** As `tangent`.
        """
        return self._of("covariance", x, y)

    def _of(self, wanted: Kernel, x: Numbers, y: Numbers | None) -> np.ndarray:
        first = _with_bias(_points("x", x), self)
        second = first if y is None else _with_bias(_points("y", y), self)
        if first.shape[1] != second.shape[1]:
            raise ValueError(
                f"Points of `x` have {np.asarray(x).shape[1]} coordinates, but those of `y` "
                f"{np.asarray(y).shape[1]}. A kernel is of points of one space: use as many."
            )
        is_small = len(first) * len(second) < _SMALL
        whole = partial(_matrix, np) if is_small else _compiled
        matrix, least, (r, u), (s, v) = whole(self, wanted, first, second, y is None)
        columns = np.flatnonzero(np.asarray(least) < _NEAR)
        if not len(columns):
            return np.asarray(matrix)
        table = np.array(matrix)
        r, u, s, v = (np.asarray(z) for z in (r, u, s, v))
        for i, j, cosine, gap in _near_pairs(u, v, columns, y is None):
            table[i, j] = _of_pairs(np, self, wanted, cosine, gap, r[i], s[j])
        return table

    def draw(self, inputs: int, widths: Sequence[int], seed: int = 0) -> Network | Deep:
        """A network with as many neurons in each hidden layer, in the law of which f is the limit.

        **Raises.** `ValueError` for other than `depth` widths, and with biases: append the
        constant √(bias/weight) to the points instead, which at depth 1 is the same.
        """
        if self.bias:
            raise ValueError(
                f"A draw has no biases, but their variance is {self.bias:g}. Draw with `bias=0`, "
                f"and append the constant √(bias/weight) to the points."
            )
        sizes = self._sizes(inputs, widths)
        rng = np.random.default_rng(seed)
        spread = [self.weight, *(self.weight / m for m in sizes[1:-1])]
        layers = [
            math.sqrt(c) * rng.normal(size=(m, n))
            for c, n, m in zip(spread, sizes, sizes[1:], strict=False)
        ]
        outer = math.sqrt(self.head / sizes[-1]) * rng.normal(size=sizes[-1])
        return Network(layers[0], outer) if self.depth == 1 else Deep(layers, outer)

    def rates_of(self, widths: Sequence[int]) -> tuple[float, ...]:
        """The `rates` with which `tangent_kernel` of what is drawn tends to `tangent`."""
        sizes = self._sizes(1, widths)
        spread = [self.weight, *(self.weight / m for m in sizes[1:-1]), self.head / sizes[-1]]
        return tuple(r * c for r, c in zip(self.rates, spread, strict=True))

    def _sizes(self, inputs: int, widths: Sequence[int]) -> list[int]:
        if len(widths) != self.depth:
            raise ValueError(
                f"`widths` needs a number of neurons for each of the {self.depth} hidden layers, "
                f"but is {widths!r:.200}. Pass e.g. {(1000,) * self.depth}."
            )
        return [positive_integer("inputs", inputs)] + [
            positive_integer("widths", m) for m in widths
        ]


def tangent_kernel(
    network: Network | Deep,
    x: Numbers,
    y: Numbers | None = None,
    *,
    rates: Sequence[float | int] | None = None,
) -> Float[np.ndarray, "n p"]:
    r"""$\sum_l r_l\, \nabla_l f(x_i) \cdot \nabla_l f(y_j)$, l over hidden layers, then the heads.

    $\nabla_l$ is the gradient in the weights of layer l, with its biases if the network has any.
    `rates` are 1 by default; where W = √c ω and ω is trained, r is c: of
    $f = \frac{1}{\sqrt m} \sum a\,\sigma(w \cdot x)$ with its outer weights $a/\sqrt m$ in the
    network it is (1, 1/m), and with fixed heads (1, 0).

    **Convention.** For single-output networks. At a kink σ′ is the mean of the two sides.

    **Accuracy.** 1e-15 of the sum of absolute terms: a Jacobian is never formed, but for each
    layer a product of signals and one of their derivatives. **Cost.** 2 n p (m + …) operations.

    **Raises.** `ValueError` for batches, vector outputs, and points or rates that do not fit.
    """
    if isinstance(network, Network):
        if network.inner.ndim > 2:
            raise ValueError(
                f"This is a batch of networks, of shape {network.inner.shape[:-2]}, and each has "
                f"its kernel. Take one, e.g. `network[0]`."
            )
        layers: tuple = (network.inner,)
        bias = network.bias
    else:
        layers, bias = network.layers, None
    if network.outer.ndim > 1:
        raise ValueError(
            f"The network has {network.outer.shape[1]} outputs, and each pair of them its kernel. "
            f"Take one output: pass a network with `outer[:, 0]`."
        )
    share = _rates((1.0,) * (len(layers) + 1) if rates is None else rates, len(layers) + 1)
    d = layers[0].shape[1]
    points = [_points("x", x)] if y is None else [_points("x", x), _points("y", y)]
    for name, some in zip("xy", points, strict=False):
        if some.shape[1] != d:
            raise ValueError(
                f"The network has {d} inputs, but the points in `{name}` have {some.shape[1]} "
                f"coordinates. Use as many columns."
            )
    parts = [_signals(layers, bias, network.outer, network.activation, some) for some in points]
    (inward, outward), (inward_y, outward_y) = parts[0], parts[-1]
    total = share[-1] * inward[-1] @ inward_y[-1].T
    for l, rate in enumerate(share[:-1]):
        if rate:
            signal = inward[l] @ inward_y[l].T + (0.0 if bias is None else 1.0)
            total = total + rate * signal * (outward[l] @ outward_y[l].T)
    return total


def kernel_drift(
    path: Sequence[Network | Deep],
    points: Numbers,
    *,
    rates: Sequence[float | int] | None = None,
) -> Float[np.ndarray, " t"]:
    r"""$|\Theta_t - \Theta_0|_F / |\Theta_0|_F$ of the networks on a path, the first being 0.

    **Raises.** `ValueError` for no networks, and as `tangent_kernel`.
    """
    if not path:
        raise ValueError("There is no network whose kernel could drift. Pass the start at least.")
    first = tangent_kernel(path[0], points, rates=rates)
    moved = [tangent_kernel(one, points, rates=rates) - first for one in path[1:]]
    return np.array([0.0, *(np.linalg.norm(m) / np.linalg.norm(first) for m in moved)])


def _signals(layers, bias, outer, activation, x):
    """What enters each layer, the heads last, and the derivative of f by what each makes of it."""
    weights = [np.asarray(w) for w in layers]
    inward, slopes = [x], []
    for w in weights:
        g = inward[-1] @ w.T if bias is None else inward[-1] @ w.T + np.asarray(bias)
        inward.append(np.asarray(activation(g)))
        slopes.append(np.asarray(activation.slope(g)))
    outward, back = [], np.asarray(outer)
    for w, slope in zip(weights[::-1], slopes[::-1], strict=True):
        outward.append(back * slope)
        back = outward[-1] @ w
    return inward, outward[::-1]


def _matrix(xp, limit, wanted, x, y, is_own):
    """The kernel with angles from rounded cosines; norms and units; 1 − |cos θ| at its least."""
    r, u = _polar(xp, limit, x)
    s, v = (r, u) if is_own else _polar(xp, limit, y)
    rows = np.arange(len(x)) if is_own else np.full(len(x), -1)
    if xp is np:
        return *_rows(np, limit, wanted, (r, u, rows), (s, v)), (r, u), (s, v)
    # In blocks of rows, so that what is between stays in the cache.
    size = min(range(64, 129), key=lambda b: -len(x) % b)
    blocks = [
        jnp.pad(z, [(0, -len(x) % size), *[(0, 0)] * (z.ndim - 1)]).reshape(-1, size, *z.shape[1:])
        for z in (r, u, rows)
    ]
    made, least = jax.lax.map(lambda z: _rows(jnp, limit, wanted, z, (s, v)), blocks)
    return made.reshape(-1, len(s))[: len(x)], jnp.min(least, axis=0), (r, u), (s, v)


_compiled = partial(jax.jit, static_argnums=(0, 1, 4))(partial(_matrix, jnp))


def _rows(xp, limit, wanted, some, every):
    """Rows of the kernel, and the least 1 − |cos θ| of each column, without the diagonal."""
    (r, u, rows), (s, v) = some, every
    cosine = u @ v.T
    gap = xp.maximum(1 - xp.abs(cosine), 0.0)
    own = rows[:, None] == np.arange(len(v))
    least = xp.min(xp.where(own, 1.0, gap), axis=0)
    cosine, gap = xp.where(own, 1.0, cosine), xp.where(own, 0.0, gap)
    return _of_pairs(xp, limit, wanted, cosine, gap, r[:, None], s), least


def _polar(xp, limit, x):
    """Standard deviations in the first layer, and unit vectors."""
    # Scaled, so that neither huge nor tiny points overflow or vanish when squared.
    largest = xp.maximum(xp.max(xp.abs(x), axis=1), 1e-300)
    scaled = x / largest[:, None]
    length = xp.sqrt(xp.sum(scaled * scaled, axis=1))
    unit = scaled / xp.where(length > 0, length, 1.0)[:, None]
    return math.sqrt(limit.weight) * length * largest, unit


def _near_pairs(u, v, columns, is_own):
    """Index pairs with angles near 0 or π, and cosine and gap of them, from differences."""
    rounded = u @ v[columns].T
    if is_own:
        rounded[columns, np.arange(len(columns))] = 0.0
    rows, places = np.nonzero(1 - np.abs(rounded) < _NEAR)
    for first in range(0, len(rows), _CHUNK):
        i, at = rows[first : first + _CHUNK], places[first : first + _CHUNK]
        sign = np.sign(rounded[i, at])
        away = u[i] - sign[:, None] * v[columns[at]]
        gap = np.sum(away * away, axis=-1) / 2
        yield i, columns[at], sign * (1 - gap), gap


def _of_pairs(xp, limit, wanted, cosine, gap, r, s):
    """The kernel of pairs with Σ₁ = r s cos θ and gap = 1 − |cos θ|; `xp` is a NumPy."""
    tangent = limit.rates[0] * r * s * cosine
    for l in range(limit.depth):
        sine = xp.sqrt(gap * (2 - gap))
        angle = sine * _polynomial(_ANGLE, gap)
        supplement = xp.where(cosine > 0, np.pi - angle, angle)
        profile = sine + supplement * cosine
        mean, step = r * s * profile / (2 * np.pi), supplement / (2 * np.pi)
        if l + 1 < limit.depth:
            # 1 − cos of the next angle, without cancellation near 0.
            near = gap + (angle * cosine - sine) / np.pi
            gap = xp.maximum(xp.where(cosine > 0, near, 1 - profile / np.pi), 0.0)
            r, s, gap = _next(xp, limit, r, s, gap)
            cosine = 1 - gap
            tangent = limit.rates[l + 1] * r * s * cosine + limit.weight * step * tangent
    if wanted == "covariance":
        return limit.head * mean
    return limit.head * (step * tangent + limit.rates[-1] * mean)


def _next(xp, limit, r, s, gap):
    """Standard deviations of the next layer, and its gap from that which it has without biases."""
    r, s, b = np.sqrt(limit.weight / 2) * r, np.sqrt(limit.weight / 2) * s, limit.bias
    if not b:
        return r, s, gap
    u, v, length = xp.sqrt(r * r + b), xp.sqrt(s * s + b), r * s
    # (r² + b)(s² + b) − Σ² for Σ = r s (1 − gap) + b, as a sum of what is positive.
    rest = length * gap * (length * (2 - gap) + 2 * b) + b * (r - s) ** 2
    return u, v, rest / (u * v * (u * v + length * (1 - gap) + b))


def _points(name: str, value: Numbers) -> np.ndarray:
    points = np.asarray(finite(name, value))
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(
            f"`{name}` must be a matrix with a point in each row, but has shape {points.shape}. "
            f"For one point pass `{name}[None]`."
        )
    return points


def _with_bias(points: np.ndarray, limit: WideLimit) -> np.ndarray:
    """In the first layer a bias is the weight of one more input."""
    if not limit.bias:
        return points
    constant = np.full((len(points), 1), math.sqrt(limit.bias / limit.weight))
    return np.concatenate([points, constant], axis=1)


def _rates(rates: Sequence[float | int], layers: int) -> tuple[float, ...]:
    values = tuple(finite_number("rates", r) for r in rates)
    if len(values) != layers or min(values) < 0 or max(values) == 0:
        raise ValueError(
            f"`rates` needs a number ≥ 0 for each of {layers - 1} hidden layers and one for the "
            f"heads, not all 0, but is {tuple(rates)!r:.200}. Pass e.g. {(1.0,) * layers}."
        )
    return values
