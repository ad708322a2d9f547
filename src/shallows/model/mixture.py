"""Mixtures of laws."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from shallows.model.activations import relu
from shallows.model.laws import AbstractLaw
from shallows.model.network import Numbers
from shallows.model.sample import probabilities


class Mixture(AbstractLaw):
    """One of several laws, chosen with the given probabilities: all averages are mean averages.

    **Raises.** `ValueError` for no laws, laws in different spaces, and for weights that are
    negative or all zero. **Cost.** That of the parts together.
    """

    inputs: int = eqx.field(static=True)
    laws: tuple[AbstractLaw, ...]
    weights: Float[Array, " n"]

    def __init__(self, laws: Sequence[AbstractLaw], weights: Numbers | None = None):
        self.laws = tuple(laws) if isinstance(laws, list | tuple) else ()
        if not self.laws or not all(isinstance(law, AbstractLaw) for law in self.laws):
            raise ValueError(
                f"`laws` must be laws, at least one, but is {laws!r:.200}. Use e.g. "
                f"`[Gaussian(covariance=a), Gaussian(covariance=b)]`."
            )
        dimensions = {law.inputs for law in self.laws}
        if len(dimensions) > 1:
            raise ValueError(
                f"The laws of a mixture live in different spaces, of dimensions "
                f"{sorted(dimensions)}. Use laws with the same number of inputs."
            )
        (self.inputs,) = dimensions
        self.weights = probabilities(weights, len(self.laws))

    @property
    def is_smooth(self):  # type: ignore[override]  # what the parts say
        """See `AbstractLaw`."""
        return all(law.is_smooth for law in self.laws)

    def check(self, activation):
        """See `AbstractLaw`."""
        for law in self.laws:
            law.check(activation)

    def _mean(self, of):
        alike: dict[object, list] = {}
        for p, law in zip(self.weights, self.laws, strict=True):
            shapes = tuple(leaf.shape for leaf in jax.tree.leaves(law))
            alike.setdefault((jax.tree.structure(law), shapes), []).append((p, law))
        return sum(_mean_of(parts, of) for parts in alike.values())

    def moment(self):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.moment())

    def gram(self, u, v, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.gram(u, v, activation))

    def energy(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.energy(w, a, v, b, activation))

    def slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.slope(w, a, v, b, activation))

    def head_slope(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.head_slope(w, a, v, b, activation))

    def curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.curvature(w, a, v, b, activation))

    def head_curvature(self, w, a, v, b, activation=relu):
        """See `AbstractLaw`."""
        return self._mean(lambda law: law.head_curvature(w, a, v, b, activation))

    def draw(self, key, number):
        """See `AbstractLaw`."""
        which, *keys = jax.random.split(key, 1 + len(self.laws))
        chosen = jax.random.choice(which, len(self.laws), (number,), p=self.weights)
        drawn = [law.draw(k, number) for k, law in zip(keys, self.laws, strict=True)]
        return jnp.stack(drawn)[chosen, jnp.arange(number)]


def _mean_of(parts, of):
    """Σ p · of(law) over laws of one kind, compiled once."""
    if len(parts) == 1:
        ((p, law),) = parts
        return p * of(law)
    weights, laws = jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    return jnp.tensordot(weights, jax.lax.map(of, laws), axes=1)
