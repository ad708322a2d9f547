r"""Dropout: random masks on units or weights, and what they add to a squared loss on the mean.

For the mean over masks of a squared loss only means and variances of what they filter matter, so
that it is closed form wherever the loss is one.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shallows.model import AbstractLaw, relu


class AbstractMasks(eqx.Module):
    r"""Independent masks, 1 with probability p = `retain` and 0 otherwise, on the weights A, B.

    Of the network A B x, with f units between, the mean over masks is `gain`² A B x. In the
    *rescaled* weights `gain` · (A, B) it is A B x itself, and the squared loss on the mean is the
    loss without masks and `penalty` · Σ_i |a_i|² |b_i|², with columns a_i of A and rows b_i of B.

    **Convention.** p is the probability to stay; many libraries name the probability to go.

    **Raises.** `ValueError` for p outside (0, 1].
    """

    retain: eqx.AbstractVar[float]

    @property
    @abc.abstractmethod
    def gain(self) -> float:
        """What original weights are multiplied by to be rescaled."""

    @property
    @abc.abstractmethod
    def penalty(self) -> float:
        """λ, the strength of the term in rescaled weights."""

    @abc.abstractmethod
    def metric(self, covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
        """M, with which |b_i|² reads b_iᵀ M b_i for inputs of that second moment."""

    @abc.abstractmethod
    def draw(
        self,
        rng: np.random.Generator,
        shape: tuple[int, ...],
        outputs: int,
        units: int,
        inputs: int,
    ) -> tuple[Float[np.ndarray, "*b r f"], Float[np.ndarray, "*b f c"]]:
        """Masks for A and for B, of these leading axes; axes of length 1 where they are shared."""


class Dropout(AbstractMasks):
    r"""A mask on each hidden unit; $\lambda = (1 - p)/p$, gain √p.

    **Source.** cavazza2018, Theorem 1.
    """

    retain: float

    def __init__(self, retain: float | int):
        self.retain = _probability(retain)

    @property
    def gain(self):
        """See `AbstractMasks`."""
        return self.retain**0.5

    @property
    def penalty(self):
        """See `AbstractMasks`."""
        return (1 - self.retain) / self.retain

    def metric(self, covariance):
        """See `AbstractMasks`: the second moment itself."""
        return covariance

    def draw(self, rng, shape, outputs, units, inputs):
        """See `AbstractMasks`: on the columns of A; B has none."""
        mine = rng.random((*shape, 1, units)) < self.retain
        return mine.astype(float), np.ones((*shape, 1, 1))


class Dropconnect(AbstractMasks):
    r"""A mask on each weight of A and of B; $\lambda = (1 - p^2)/p^2$, gain p.

    **Source.** senencerdasanders2022 for the algorithm; the metric is ours.
    """

    retain: float

    def __init__(self, retain: float | int):
        self.retain = _probability(retain)

    @property
    def gain(self):
        """See `AbstractMasks`."""
        return self.retain

    @property
    def penalty(self):
        """See `AbstractMasks`."""
        return (1 - self.retain**2) / self.retain**2

    def metric(self, covariance):
        """See `AbstractMasks`: (diag S + p S)/(1 + p), since masks on B see single inputs."""
        own = np.diag(np.diag(covariance))
        return (own + self.retain * covariance) / (1 + self.retain)

    def draw(self, rng, shape, outputs, units, inputs):
        """See `AbstractMasks`."""
        outer = rng.random((*shape, outputs, units)) < self.retain
        inner = rng.random((*shape, units, inputs)) < self.retain
        return outer.astype(float), inner.astype(float)


class Filtered(eqx.Module):
    r"""What a law says of a student whose neurons pass dropout, on the mean over masks.

    In rescaled heads ½ E f² grows by λ times the energies ½ aᵢ² K(wᵢ, wᵢ) of the student's neurons,
    each alone: of ½ cᵀKc only the student's part of the diagonal changes. Methods are those of
    `AbstractLaw`, and as accurate.
    """

    law: AbstractLaw
    dropout: Dropout

    def energy(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        own = self._alone(self.law.energy, w, a, activation)
        whole = self.law.energy(w, a, v, b, activation)
        return whole + self.dropout.penalty * jnp.sum(own, axis=-1)

    def slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        own = self._alone(lambda *x: self.law.slope(*x)[0], w, a, activation)
        return self.law.slope(w, a, v, b, activation) + self.dropout.penalty * own

    def head_slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        own = self._alone(lambda *x: self.law.head_slope(*x)[0], w, a, activation)
        return self.law.head_slope(w, a, v, b, activation) + self.dropout.penalty * own

    def curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        own = self._alone(lambda *x: self.law.curvature(*x)[0, :, 0], w, a, activation)
        i = jnp.arange(len(a))
        whole = self.law.curvature(w, a, v, b, activation)
        return whole.at[i, :, i].add(self.dropout.penalty * own)

    def head_curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        own = self._alone(lambda *x: self.law.head_curvature(*x)[0, :, 0], w, a, activation)
        i = jnp.arange(len(a))
        whole = self.law.head_curvature(w, a, v, b, activation)
        return whole.at[i, :, i].add(self.dropout.penalty * own)

    def head_gram(self, w, activation=relu):
        """∂²/∂a∂a: the overlaps, with a diagonal that is 1 + λ = 1/p as large."""
        gram = self.law.gram(w, w, activation)
        return gram + self.dropout.penalty * jnp.diag(jnp.diag(gram))

    def _alone(self, quantity, w, a, activation):
        """A quantity of each neuron by itself, with a teacher that is none."""

        def one(w, a):
            return quantity(w[None], a[None], w[None], jnp.zeros(1), activation)

        d = w.shape[-1]
        made = jax.vmap(one)(w.reshape(-1, d), a.reshape(-1))
        return made.reshape(*a.shape, *made.shape[1:])


def _probability(retain: float | int) -> float:
    p = float(retain)
    if not 0 < p <= 1:
        raise ValueError(
            f"Dropout keeps each unit with a probability in (0, 1], but {retain} was given. "
            f"Pass the probability to stay, e.g. 0.8 to drop a fifth; 1 drops nothing."
        )
    return p
