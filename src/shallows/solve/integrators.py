r"""Steps along the gradient flow, with control of the local error.

Away from its first moments a flow is smooth, but stiff: the Hessian's largest eigenvalue λ limits
the step of usual explicit methods to some 3/λ. Here each step takes as many gradients s as
it needs to be stable (see `coefficients`), with 0.35 s²/λ as its limit, at order 4.

**Source.** Abdulle (2002), "Fourth order Chebyshev methods with recurrence relation"; Hairer &
Wanner, "Solving ODEs II", IV.2.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from shallows.solve.coefficients import TABLEAUS


class Place(NamedTuple):
    """Where one lane of the flow is."""

    theta: Float[Array, "k p"]
    slope: Float[Array, "k p"]
    time: Float[Array, ""]
    pace: Float[Array, ""]
    stiffness: Float[Array, ""]
    """A bound on the Hessian's eigenvalues."""


Slope = Callable[[Float[Array, "k p"]], Float[Array, "k p"]]

_REACH = np.array([t.reach for t in TABLEAUS])
_SUBSTEPS = np.array([len(t.euler) for t in TABLEAUS])
_EULER = np.array([np.pad(t.euler, (0, _SUBSTEPS.max() - len(t.euler))) for t in TABLEAUS])
_FINISH = np.array([[np.pad(row, (0, 5 - len(row))) for row in t.finish] for t in TABLEAUS])
_ERROR = np.array([t.error for t in TABLEAUS])

# For what power steps have not found, and for what λ grows by until they are made again.
_MARGIN = 1.125


def step(slope: Slope, at: Place, tolerance: Float[Array, ""]) -> Place:
    """One step, or none if its error is too large; in any case with the next step's size."""
    pace = jnp.minimum(at.pace, _REACH[-1] / at.stiffness)
    kind = jnp.searchsorted(jnp.asarray(_REACH[:-1]), pace * at.stiffness)
    lengths, weights = pace * jnp.asarray(_EULER)[kind], pace * jnp.asarray(_FINISH)[kind]

    # Loops: XLA compiles a gradient that it meets several times into slower code.
    def substep(i, carry):
        theta, now = carry
        theta = theta - lengths[i] * now
        return theta, slope(theta)

    number = jnp.asarray(_SUBSTEPS)[kind]
    base, now = jax.lax.fori_loop(0, number, substep, (at.theta, at.slope))

    def stage(i, carry):
        _, slopes = carry
        moved = base - _combined(weights[i], slopes)
        return moved, slopes.at[i + 1].set(slope(moved))

    slopes = jnp.zeros((5, *base.shape)).at[0].set(now)
    moved, slopes = jax.lax.fori_loop(0, 4, stage, (base, slopes))
    error = pace * _combined(jnp.asarray(_ERROR)[kind], slopes)
    error = _smoothed(slope, moved, slopes[-1], error, at.stiffness)
    error = _relative(error, at.theta, moved, tolerance)
    good = error <= 1
    longer = pace * jnp.clip(0.9 * (error + 1e-12) ** -0.25, 0.2, jnp.where(good, 3.0, 0.9))
    there = Place(moved, slopes[-1], at.time + pace, longer, at.stiffness)
    return _accepted(good, there, at._replace(pace=longer))


def _smoothed(slope, theta, now, error, stiffness):
    """The part of an error that adds up: in the stiffest directions it is forgotten at once."""
    # There the method's error is by far the largest, since h λ is not small.
    large = 1e-5 / jnp.maximum(jnp.linalg.norm(error), 1e-300)
    image = (slope(theta + large * error) - now) / large
    return error - _MARGIN / stiffness * image


def stiffness(
    slope: Slope, theta: Float[Array, "k p"], generic: Float[Array, "k p"], rounds: Int[Array, ""]
) -> Float[Array, ""]:
    """A bound on the Hessian's largest eigenvalue: what power steps find, with a margin."""
    before = slope(theta)

    def power(_, carry):
        direction, _ = carry
        # Differences of gradients: what they lose in digits does not matter here.
        image = (slope(theta + 1e-5 * direction) - before) / 1e-5
        size = jnp.linalg.norm(image)
        return image / jnp.maximum(size, 1e-300), size

    _, size = jax.lax.fori_loop(0, rounds, power, (generic, jnp.zeros(())))
    return jnp.where(jnp.isfinite(size), _MARGIN * jnp.maximum(size, 1e-300), 1.0)


def _combined(weights, slopes):
    # A sum, not a product of matrices, which XLA would call out for.
    return jnp.sum(weights[:, None, None] * slopes, axis=0)


def _relative(error, theta, moved, tolerance):
    ratio = error / (1 + jnp.maximum(jnp.abs(theta), jnp.abs(moved)))
    size = jnp.sqrt(jnp.mean(ratio**2)) / tolerance
    return jnp.where(jnp.isfinite(size), size, 1e6)


def _accepted(good: Bool[Array, ""], there: Place, stayed: Place) -> Place:
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), there, stayed)
