r"""Gaussian laws with a mean, and biases as weights of an input that is constant.

A bias is the weight of one more input that is 1. So a student with trained biases under a law is a
student without biases under `with_constant(law)`: `Network.with_constant` moves the biases there
and `Network.without_constant` brings them back.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from shallows.model import biased
from shallows.model.activations import AbstractOverlaps, PiecewiseLinear
from shallows.model.laws import AbstractLaw, AbstractLinear, Gaussian
from shallows.model.mixture import Mixture
from shallows.model.network import Numbers, finite
from shallows.model.sample import Sample


class ShiftedGaussian(AbstractLinear):
    r"""$x \sim \mathcal{N}(\mu, \Sigma)$: overlaps of piecewise linear neurons by Owen's T.

    x = R (z, 1) with z standard Gaussian, and so everything is as in `biased`. The covariance
    may be singular: an input of variance zero is a constant one. Without `covariance` it is I.

    **Accuracy.** Relative to |R u||R v| as in `biased`: overlaps and gradients to 1e-15 and
    1e-14, second derivatives to 1e-13, also where neurons are parallel. **Cost.** 4 to 6 times
    that of a centred Gaussian, several times that for piecewise linear activations other than relu.

    **Raises.** `ValueError` as `Gaussian`, and for a mean that is no vector of as many inputs.
    """

    inputs: int = eqx.field(static=True)
    root: Float[Array, "d e"]
    constant: float = eqx.field(static=True)
    is_smooth = True

    def __init__(self, mean: Numbers, covariance: Numbers | None = None):
        shift = np.asarray(finite("mean", mean))
        if shift.ndim != 1 or not shift.size:
            raise ValueError(
                f"`mean` must be a vector with a number for each input, but has shape "
                f"{shift.shape}. Use e.g. `data.mean(axis=0)`."
            )
        self.inputs, self.constant = len(shift), 1.0
        if covariance is None:
            spread = np.eye(self.inputs)
        elif np.all(np.asarray(finite("covariance", covariance)) == 0):
            raise ValueError(
                "`covariance` must not be zero: then x is a point. Use `Sample(mean[None])`."
            )
        else:
            spread = np.asarray(Gaussian(covariance=covariance).root)
        if len(spread) != self.inputs:
            raise ValueError(
                f"`mean` has {self.inputs} entries, but `covariance` has {len(spread)} rows. "
                f"Give both one for each input."
            )
        self.root = jnp.concatenate([spread, shift[:, None]], axis=1)

    @property
    def has_constant(self) -> bool:
        """Whether the last input is 1, as under `with_constant`."""
        return bool(jnp.all(self.root[-1, :-1] == 0) & (self.root[-1, -1] == 1))

    def check(self, activation):
        """See `AbstractLaw`: closed forms are known for piecewise linear activations."""
        if not isinstance(activation, PiecewiseLinear):
            raise ValueError(
                f"Under a Gaussian with a mean, and for neurons with biases, there are closed "
                f"forms for piecewise linear activations, such as relu, and {activation.name} is "
                f"none. Use a `Sample` of draws."
            )

    def overlaps(self, activation):
        """See `AbstractLinear`."""
        self.check(activation)
        return Biased(activation)

    def draw(self, key, number):
        """See `AbstractLaw`."""
        z = jax.random.normal(key, (number, self.inputs))
        return z @ self.root[:, :-1].T + self.root[:, -1]


class Biased(AbstractOverlaps):
    """The overlaps of piecewise linear neurons under x = (z, 1), z standard Gaussian.

    σ(t) = p max(t, 0) − n max(−t, 0): such a neuron is two ReLU neurons, w and −w.
    """

    activation: PiecewiseLinear

    def _sum(self, of):
        """Σ over signs s, t of u and v of their coefficients and of(s, t)."""
        parts = {1: self.activation.positive, -1: -self.activation.negative}
        terms = [(s, t, a * b) for s, a in parts.items() for t, b in parts.items() if a * b != 0]
        return sum(of(s, t) if c == 1 else c * of(s, t) for s, t, c in terms)

    def gram(self, u, v):
        """See `AbstractOverlaps`."""
        return self._sum(lambda s, t: biased.gram(s * u, t * v))

    def slopes(self, u, v):
        """See `AbstractOverlaps`."""
        return self._sum(lambda s, t: s * biased.gram_gradient(s * u, t * v))

    def net_pull(self, w, a, v, b):
        """See `AbstractOverlaps`."""
        v = jnp.eye(w.shape[-1]) if v is None else v
        theirs = jnp.broadcast_to(v, (*w.shape[:-2], *v.shape))
        heads = jnp.broadcast_to(-b, (*a.shape[:-1], *b.shape))
        both, heads = jnp.concatenate([w, theirs], axis=-2), jnp.concatenate([a, heads], axis=-1)

        def signed(s, t):
            if s == t:
                return s * biased.net_pull(s * w, a, t * v, b)
            return s * biased.pull(s * w, t * both, heads)

        return self._sum(signed)

    def curvature(self, u, heads, v):
        """See `AbstractOverlaps`."""
        v = u if v is None else v
        return self._sum(lambda s, t: biased.curvature(s * u, heads, t * v))

    def mixed_curvature(self, u):
        """See `AbstractOverlaps`."""
        return self._sum(lambda s, t: s * t * biased.mixed_curvature(s * u, t * u))


def with_constant(law: AbstractLaw) -> AbstractLaw:
    """The law of (x, 1): under it the last weight of a neuron is its bias.

    **Domain.** Gaussian laws, data sets, and mixtures of these. **Raises.** `ValueError` for
    others, whose overlaps with biases have no closed form.
    """
    if isinstance(law, Sample):
        rows = law.points.reshape(-1, law.inputs)[: law.size]
        ones = jnp.ones((len(rows), 1))
        return Sample(jnp.concatenate([rows, ones], axis=1), law.mass.reshape(-1)[: law.size])
    if isinstance(law, Mixture):
        return Mixture([with_constant(part) for part in law.laws], law.weights)
    d = law.inputs
    if isinstance(law, Gaussian):
        root, mean = jnp.eye(d) if law.root is None else law.root, jnp.zeros(d)
    elif isinstance(law, ShiftedGaussian):
        root, mean = law.root[:, :-1], law.root[:, -1]
    else:
        raise ValueError(
            f"Under a {type(law).__name__} law neurons with biases have no closed form. Use a "
            f"Gaussian, a mixture of Gaussians, or a `Sample` of draws."
        )
    covariance = jnp.zeros((d + 1, d + 1)).at[:d, :d].set(root @ root.T)
    return ShiftedGaussian(jnp.append(mean, 1.0), covariance)
