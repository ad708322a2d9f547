r"""Steps along the gradient flow, with control of the local error.

Two explicit methods share the work. Dormand & Prince's pair of orders 5 and 4 takes the steps that
accuracy limits. Near a minimum stability limits it, to 3.3/λ for the largest Hessian eigenvalue λ
and six gradients; there a Runge–Kutta–Chebyshev method of order 2 takes steps of up to 0.65 s²/λ
for s gradients. Each lane changes over when that is worth it.

**Source.** Dormand & Prince (1980); Hairer, Nørsett & Wanner, "Solving ODEs I", II.4; Sommeijer,
Shampine & Verwer (1998), "RKC: an explicit solver for parabolic PDEs".
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


class Place(NamedTuple):
    """Where one lane of the flow is."""

    theta: Float[Array, "k p"]
    slope: Float[Array, "k p"]
    time: Float[Array, ""]
    pace: Float[Array, ""]
    stiffness: Float[Array, ""]
    """The largest Hessian eigenvalue while it limits the step, as far as is known; or 0."""


Slope = Callable[[Float[Array, "k p"]], Float[Array, "k p"]]

# Dormand & Prince's tableau; the last stage is the first of the next step.
_STAGES = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
    ]
)
_ERROR = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])

# Just inside the stability interval (-3.3, 0) of the pair.
_STABLE = 2.8

# Stages of the longest Chebyshev step.
_LONGEST = 60


def step(slope: Slope, at: Place, tolerance: Float[Array, ""]) -> Place:
    """One step, or none if its error is too large; in any case with the next step's size."""

    def by_chebyshev(at):
        return _chebyshev(slope, at, tolerance)

    def by_dormand_prince(at):
        return _dormand_prince(slope, at, tolerance)

    return jax.lax.cond(at.stiffness > 0, by_chebyshev, by_dormand_prince, at)


def _dormand_prince(slope, at, tolerance):
    # A loop over the stages: XLA compiles a gradient that it meets six times into slower code.
    def stage(i, carry):
        _, moved, slopes = carry
        change = _combined(jnp.asarray(_STAGES)[i], slopes)
        before, moved = moved, at.theta - at.pace * change
        return before, moved, slopes.at[i].set(slope(moved))

    slopes = jnp.zeros((7, *at.theta.shape)).at[0].set(at.slope)
    before, moved, slopes = jax.lax.fori_loop(1, 7, stage, (at.theta, at.theta, slopes))
    error = _relative(at.pace * _combined(jnp.asarray(_ERROR), slopes), at.theta, moved, tolerance)
    good = error <= 1
    wish = at.pace * jnp.clip(0.95 * (error + 1e-12) ** -0.2, 0.2, jnp.where(good, 5.0, 1.0))
    # The last two stages differ mostly in the stiffest direction (Hairer's detection of stiffness):
    # their quotient bounds the step by stability before the error estimate notices, without which
    # the gradient never falls below the tolerance.
    spread = jnp.linalg.norm(moved - before)
    stiffness = jnp.linalg.norm(slopes[-1] - slopes[-2]) / jnp.maximum(spread, 1e-300)
    limit = jnp.where(spread > 1e-11, _STABLE / jnp.maximum(stiffness, 1e-300), at.pace)
    # The stages differ from λ by little; the margin is for what it grows by later.
    stiffness = jnp.maximum(1.25 * stiffness, 1e-300)
    there = Place(moved, slopes[-1], at.time + at.pace, jnp.minimum(wish, limit), jnp.zeros(()))
    longer = _next_chebyshev(at, there, stiffness, tolerance)
    worth_it = longer / _stages(longer * stiffness) > 1.3 * limit / 6
    changes = good & (limit < wish) & (spread > 1e-11) & worth_it
    there = there._replace(
        pace=jnp.where(changes, longer, there.pace), stiffness=jnp.where(changes, stiffness, 0.0)
    )
    return _accepted(good, there, at._replace(pace=there.pace))


def _combined(weights, slopes):
    # A sum, not a product of matrices, which XLA would call out for.
    return jnp.sum(weights[:, None, None] * slopes, axis=0)


def _chebyshev(slope, at, tolerance):
    stages = _stages(at.pace * at.stiffness)
    first, mu, nu, mu_slope, gamma_slope = (jnp.asarray(table)[stages] for table in _CHEBYSHEV)

    def stage(j, carry):
        before, moved = carry
        change = mu_slope[j] * slope(moved) + gamma_slope[j] * at.slope
        rest = (1 - mu[j] - nu[j]) * at.theta
        return moved, rest + mu[j] * moved + nu[j] * before - at.pace * change

    start = (at.theta, at.theta - first * at.pace * at.slope)
    _, moved = jax.lax.fori_loop(2, stages + 1, stage, start)
    there = Place(moved, slope(moved), at.time + at.pace, at.pace, at.stiffness)
    longer = _next_chebyshev(at, there, at.stiffness, tolerance)
    good = longer >= 0.8 * at.pace
    # Back where it no longer pays, and where λ may have been underestimated.
    normal = _STABLE / at.stiffness
    stays = good & (longer / _stages(longer * at.stiffness) > normal / 6)
    there = there._replace(
        pace=jnp.where(stays, longer, normal),
        stiffness=jnp.where(stays, at.stiffness, 0.0),
    )
    return _accepted(good, there, at._replace(pace=normal, stiffness=jnp.zeros(())))


def _next_chebyshev(at, there, stiffness, tolerance):
    """The Chebyshev method's next step, from the error it has, or would have had, in this one."""
    pace = there.time - at.time
    error = 0.8 * (at.theta - there.theta) - 0.4 * pace * (at.slope + there.slope)
    error = _relative(error, at.theta, there.theta, tolerance)
    wish = pace * jnp.minimum(0.8 * (error + 1e-12) ** (-1 / 3), 5.0)
    return jnp.minimum(wish, ((_LONGEST - 1) ** 2 - 1) / 1.54 / stiffness)


def _stages(reach):
    """How many stages a Chebyshev step of size reach/λ takes."""
    return jnp.clip(1 + jnp.sqrt(1 + 1.54 * reach).astype(int), 2, _LONGEST)


def _relative(error, theta, moved, tolerance):
    ratio = error / (1 + jnp.maximum(jnp.abs(theta), jnp.abs(moved)))
    size = jnp.sqrt(jnp.mean(ratio**2)) / tolerance
    return jnp.where(jnp.isfinite(size), size, 1e6)


def _accepted(good: Bool[Array, ""], there: Place, stayed: Place) -> Place:
    return jax.tree.map(lambda new, old: jnp.where(good, new, old), there, stayed)


def _chebyshev_tables():
    """The coefficients μ̃₁, μⱼ, νⱼ, μ̃ⱼ and γ̃ⱼ of RKC for each number of stages s (first axis)."""
    first = np.zeros(_LONGEST + 1)
    rows = np.zeros((4, _LONGEST + 1, _LONGEST + 1))
    for s in range(2, _LONGEST + 1):
        j = np.arange(2, s + 1)
        x = 1 + 2 / 13 / s**2
        t = np.ones((3, s + 1))  # Tⱼ(x) and its first two derivatives
        t[:, 0], t[:, 1] = (1, 0, 0), (x, 1, 0)
        for i in range(2, s + 1):
            t[0, i] = 2 * x * t[0, i - 1] - t[0, i - 2]
            t[1, i] = 2 * x * t[1, i - 1] - t[1, i - 2] + 2 * t[0, i - 1]
            t[2, i] = 2 * x * t[2, i - 1] - t[2, i - 2] + 4 * t[1, i - 1]
        scale = t[1, s] / t[2, s]
        b = np.empty(s + 1)
        b[2:] = t[2, 2:] / t[1, 2:] ** 2
        b[0], b[1] = b[2], 1 / x
        first[s] = b[1] * scale
        rows[0, s, j] = 2 * x * b[j] / b[j - 1]
        rows[1, s, j] = -b[j] / b[j - 2]
        rows[2, s, j] = 2 * scale * b[j] / b[j - 1]
        rows[3, s, j] = -(1 - b[j - 1] * t[0, j - 1]) * rows[2, s, j]
    return first, *rows


_CHEBYSHEV = _chebyshev_tables()
