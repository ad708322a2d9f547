r"""Accelerated proximal gradient steps."""

import dataclasses

import numpy as np

from shallows.landscape.convex import Logistic, Squared
from shallows.solve.first_order.working_set import AbstractGroupMethod, WorkingSet

# How often the gap is looked at, in steps.
_PERIOD = 10


@dataclasses.dataclass(frozen=True)
class AcceleratedProximal(AbstractGroupMethod):
    """Nesterov's accelerated proximal gradient method, restarted where it would turn back.

    The proximal map of a group is the projection on its cone, shortened by β over the curvature.

    **Domain.** Losses with a gradient: `Squared` and `Logistic`.

    **Accuracy.** As asked, but the steps grow like the square root of the features' condition.

    **Cost.** Two products with the features a step, and no factorisation.

    **Source.** Beck & Teboulle (2009); odonoghuecandes2015 for restarts.
    """

    def improve(self, working: WorkingSet, tolerance: float, steps: int) -> int:
        """Steps from where s is."""
        problem, blocks = working.problem, working.problem.blocks
        bend = {Squared: 1.0, Logistic: 0.25}.get(type(problem.loss))
        if bend is None:
            raise ValueError(
                f"{type(problem.loss).__name__} has no gradient. Use `AugmentedLagrangian()`."
            )
        groups, beta = working.groups, problem.beta
        rate = 1 / (bend * _largest_eigenvalue(working))
        s, weight = working.s, 1.0
        ahead, taken = s, 0
        while taken < steps:
            v = -problem.loss.gradient(blocks.predict(groups, ahead), problem.y)
            projected = working.faces(ahead + rate * blocks.adjoint(groups, v), rate * beta)
            lengths = np.maximum(np.linalg.norm(projected, axis=1), rate * beta)
            new = (1 - rate * beta / lengths)[:, None] * projected
            taken += 1
            if np.sum((ahead - new) * (new - s)) > 0:
                weight = 1.0
            following = (1 + np.sqrt(1 + 4 * weight**2)) / 2
            ahead = new + (weight - 1) / following * (new - s)
            s, weight = new, following
            if taken % _PERIOD == 0:
                working.s = s
                working.v = -problem.loss.gradient(blocks.predict(groups, s), problem.y)
                if working.relative_gap() <= tolerance:
                    break
        working.s = s
        working.v = -problem.loss.gradient(blocks.predict(groups, s), problem.y)
        return taken


def _largest_eigenvalue(working: WorkingSet) -> float:
    """A bound of that of Σ A Aᵀ over the groups, for the length of steps."""
    blocks = working.problem.blocks
    stacked = blocks.columns(working.groups).swapaxes(0, 1).reshape(blocks.points, -1)
    return float(np.linalg.norm(stacked @ stacked.T, 2))
