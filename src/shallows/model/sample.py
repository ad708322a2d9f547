"""Data sets as laws of the inputs."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows.model.activations import relu
from shallows.model.laws import AbstractLaw
from shallows.model.network import Numbers, finite, given_type, positive_integer


class Sample(AbstractLaw):
    """A data set as a law: inputs in the rows of `points`, with weights that add up to one.

    Averages are exact sums. For piecewise linear activations the energy is piecewise quadratic:
    its gradient jumps where a neuron's hyperplane meets a point, and what `curvature` returns is
    the Hessian inside a cell of activations, which for `InnerWeights` is the Gauss–Newton matrix
    and never negative. It says nothing about the law the data came from: see docs, "Numerical
    hazards".

    **Cost.** n·k·d a gradient, in blocks of `block` points so that memory stays bounded.

    **Raises.** `ValueError` for empty or non-finite points and for weights that are negative
    or all zero.
    """

    inputs: int = eqx.field(static=True)
    points: Float[Array, "blocks block d"]
    mass: Float[Array, "blocks block"]
    size: int = eqx.field(static=True)
    """The number of points."""
    given_as: str = eqx.field(static=True)
    """The type that the points came in, as in `Network`."""
    is_smooth = False

    def __init__(self, points: Numbers, weights: Numbers | None = None, *, block: int = 4096):
        x = finite("points", points)
        if x.ndim != 2 or 0 in x.shape:
            raise ValueError(
                f"`points` must be a matrix with a row for each data point, but has shape "
                f"{x.shape}. Reshape it to (points, inputs)."
            )
        n, self.inputs = x.shape
        self.size, self.given_as = n, given_type(points)
        mass = probabilities(weights, n)
        block = min(positive_integer("block", block), n)
        blocks = -(-n // block)
        filler = blocks * block - n  # points of weight zero complete the last block
        self.points = jnp.pad(x, ((0, filler), (0, 0))).reshape(blocks, block, self.inputs)
        self.mass = jnp.pad(mass, (0, filler)).reshape(blocks, block)

    def _mean(self, summand):
        """Σ over points of mass · summand(x), block by block."""
        total = jax.eval_shape(summand, self.points[0], self.mass[0])
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), total)

        def add(sums, block):
            return (jax.tree.map(jnp.add, sums, summand(*block)), None)

        return jax.lax.scan(add, zero, (self.points, self.mass))[0]

    def check(self, activation):
        """See `AbstractLaw`: any activation will do."""

    def moment(self):
        """See `AbstractLaw`."""
        return self._mean(lambda x, p: (x * p[:, None]).T @ x)

    def gram(self, u, v, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(
            lambda x, p: jnp.einsum(
                "...nk,n,...nm->...km", activation(_project(x, u)), p, activation(_project(x, v))
            )
        )

    def energy(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda x, p: (_residual(x, w, a, v, b, activation) ** 2) @ p) / 2

    def slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`; at a kink σ′ is the mean of its sides (1{0 > 0} = ½)."""
        v = jnp.eye(self.inputs) if v is None else v

        def summand(x, p):
            pull = _residual(x, w, a, v, b, activation) * p
            return jnp.einsum("...nk,...n,nd->...kd", activation.slope(_project(x, w)), pull, x)

        return a[..., None] * self._mean(summand)

    def head_slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""

        def summand(x, p):
            pull = _residual(x, w, a, v, b, activation) * p
            return jnp.einsum("...nk,...n->...k", activation(_project(x, w)), pull)

        return self._mean(summand)

    def curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        k, d = w.shape

        def summand(x, p):
            t = _project(x, w)
            flat = (activation.slope(t)[:, :, None] * x[:, None]).reshape(len(x), -1)
            first = (flat * p[:, None]).T @ flat
            if not activation.is_smooth:
                return first, jnp.zeros((k, d, d))
            pull = _residual(x, w, a, v, b, activation) * p
            return first, jnp.einsum("ni,n,nd,ne->ide", activation.bend(t), pull, x, x)

        first, second = self._mean(summand)
        heads = a[:, None, None, None] * a[:, None]
        i = jnp.arange(k)
        return (heads * first.reshape(k, d, k, d)).at[i, :, i].add(a[:, None, None] * second)

    def head_curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""

        def summand(x, p):
            t = _project(x, w)
            slope = activation.slope(t)
            mixed = a[:, None, None] * jnp.einsum("ni,n,nd,nj->idj", slope, p, x, activation(t))
            field = jnp.einsum("ni,n,nd->id", slope, p * _residual(x, w, a, v, b, activation), x)
            k = jnp.arange(len(a))
            return mixed.at[k, :, k].add(field)

        return self._mean(summand)

    def draw(self, key, number):
        """See `AbstractLaw`: points drawn with replacement, by weight."""
        index = jax.random.choice(key, self.mass.size, (number,), p=self.mass.reshape(-1))
        return self.points.reshape(-1, self.inputs)[index]


def probabilities(weights: Numbers | None, number: int) -> Float[Array, " n"]:
    """Weights of any size as probabilities, equal ones without `weights`, or an error."""
    mass = np.ones(number) if weights is None else np.asarray(finite("weights", weights))
    if mass.shape != (number,) or np.any(mass < 0) or not np.any(mass):
        raise ValueError(
            f"`weights` must be {number} non-negative numbers that are not all zero, but have "
            f"shape {mass.shape} and minimum {mass.min(initial=math.inf):.3g}. "
            f"Leave them out for equal weights."
        )
    mass = mass / mass.max()  # so that the sum of huge weights does not overflow
    return jnp.asarray(mass / mass.sum())


def _project(x, w):
    return jnp.einsum("nd,...kd->...nk", x, w)


def _residual(x, w, a, v, b, activation):
    ours = jnp.einsum("...nk,...k->...n", activation(_project(x, w)), a)
    return ours - activation(_project(x, v)) @ b
