r"""The gated relaxation for very many patterns, on JAX's default device.

Without cones a group needs no sign, and all prices are known: with v = −∇L no block gains more
than $\max_i |U^\top D_i v|$. So all blocks move at once, by two products of matrices a step.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from shallows.landscape.convex import Logistic, Squared
from shallows.solve.convex import ConvexOutcome
from shallows.solve.first_order.blocks import GroupProblem, MaskedBlocks
from shallows.solve.first_order.working_set import GroupSolution, Progress

# How often the gap is looked at, in steps.
_PERIOD = 50


@dataclasses.dataclass(frozen=True)
class GatedProximal:
    """Nesterov's accelerated proximal gradient steps on all blocks of a gated problem.

    **Domain.** `MaskedBlocks` with `gated=True`, the losses `Squared` and `Logistic`.

    **Accuracy.** As asked, but the steps grow like the square root of the features' condition.
    In float64, also on a GPU.

    **Cost.** 4PNr operations a step for P patterns of N rows and r features; memory P(N + 3r).

    **Source.** Beck & Teboulle (2009); odonoghuecandes2015 for restarts.
    """

    tolerance: float = 1e-8
    """Of the gap, relative to the value."""
    steps: int = 20_000

    def solve(
        self,
        problem: GroupProblem,
        start: GroupSolution | None = None,
        progress: Progress | None = None,
    ) -> GroupSolution:
        """The optimum, from another problem's if there is a start: see `AbstractGroupMethod.solve`.

        **Raises.** `ValueError` for blocks in cones, and losses without a gradient.
        """
        blocks, loss = problem.blocks, problem.loss
        if not isinstance(blocks, MaskedBlocks) or not blocks.is_gated:
            raise ValueError(
                "The blocks have cones, which these steps do not see. Use `MaskedBlocks(…, "
                "gated=True)`, or `AugmentedLagrangian()`."
            )
        if not isinstance(loss, Squared | Logistic):
            raise ValueError(f"{type(loss).__name__} has no gradient. Use `AugmentedLagrangian()`.")
        everyone = np.arange(blocks.patterns)
        z = np.zeros((blocks.patterns, blocks.width))
        if start is not None:
            signed = blocks.signs(start.groups)[:, None] * start.s
            np.add.at(z, start.groups % blocks.patterns, signed)
        bend = 1.0 if isinstance(loss, Squared) else 0.25
        rate = 1 / (bend * _largest_eigenvalue(blocks))
        state = (jnp.asarray(z), jnp.asarray(z), jnp.asarray(1.0))
        data = (jnp.asarray(blocks.features), jnp.asarray(blocks.masks), jnp.asarray(problem.y))
        lower, dual = -np.inf, np.zeros(blocks.points)
        outcome, taken, rounds = ConvexOutcome.out_of_steps, 0, 0
        while True:
            z = np.asarray(state[0])
            value, v = problem.objective(everyone, z), -_slope(problem, z)
            price = float(np.max(np.linalg.norm(blocks.adjoint(everyone, v), axis=1)))
            bound, kappa = problem.bound(v, price)
            if bound > lower:
                lower, dual = bound, kappa * v
            rounds += 1
            if progress is not None:
                progress(value, lower)
            if value - lower <= self.tolerance * max(abs(value), 1e-300):
                outcome = ConvexOutcome.converged
                break
            if taken >= self.steps:
                break
            state = _steps(*data, rate, problem.beta, state, isinstance(loss, Squared), _PERIOD)
            taken += _PERIOD
        kept = everyone[np.any(z != 0, axis=1)]
        return GroupSolution(problem, kept, z[kept], value, dual, lower, rounds, taken, outcome)


def _slope(problem: GroupProblem, z: np.ndarray) -> np.ndarray:
    prediction = problem.blocks.predict(np.arange(len(z)), z)
    return problem.loss.gradient(prediction, problem.y)


def _largest_eigenvalue(blocks: MaskedBlocks) -> float:
    """That of Σ A Aᵀ, which is UUᵀ times the number of common patterns, entry by entry."""
    masks = blocks.masks.astype(float)
    rows = (blocks.features @ blocks.features.T) * (masks.T @ masks)
    n, k = blocks.points, blocks.patches
    return float(np.linalg.norm(rows.reshape(n, k, n, k).sum(axis=(1, 3)), 2))


@partial(jax.jit, static_argnames=("is_squared", "number"))
def _steps(features, masks, y, rate, beta, state, is_squared, number):
    patches = masks.shape[1] // len(y)

    def step(_, state):
        z, ahead, weight = state
        gates = jnp.where(masks, ahead @ features.T, 0.0)
        p = jnp.sum(gates, axis=0).reshape(-1, patches).sum(axis=1)
        slope = p - y if is_squared else -y * jax.nn.sigmoid(-y * p)
        moved = ahead - rate * jnp.where(masks, jnp.repeat(slope, patches), 0.0) @ features
        lengths = jnp.linalg.norm(moved, axis=1, keepdims=True)
        new = (1 - rate * beta / jnp.maximum(lengths, rate * beta)) * moved
        weight = jnp.where(jnp.sum((ahead - new) * (new - z)) > 0, 1.0, weight)
        following = (1 + jnp.sqrt(1 + 4 * weight**2)) / 2
        return new, new + (weight - 1) / following * (new - z), following

    return jax.lax.fori_loop(0, number, step, state)
