r"""Several outputs: a program above the optimum, and one below.

Neurons with vectors as heads, $f(X) = \sum_j (Xw_j)_+ v_j^\top$ with the penalty
$\tfrac\beta2 \sum (|w_j|^2 + |v_j|^2)$, make a convex program whose norm of a matrix block W is
$\min \sum_k |u_k| |v_k|$ over $W = \sum u_k v_k^\top$ with all $u_k$ in the cone. Nobody has a
formula for it. *Above* are neurons with one output each: a program for each output. *Below* is the
nuclear norm, which forgets the cone,

$$ \min\; L\Bigl(\sum_i D_i F W_i\Bigr) + \beta \sum_i |W_i|_*, $$

and its dual asks for $|F^\top D_i V| \le \beta$ in the spectral norm.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex.programs import AbstractConvexProgram, Masked
from shallows.model.network import Numbers, finite


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """One program for each column of the targets; all have the same features and patterns."""

    programs: Sequence[AbstractConvexProgram]

    @property
    def targets(self) -> Float[np.ndarray, "n c"]:
        """In columns."""
        return np.column_stack([p.y for p in self.programs])

    def nuclear_objective(self, blocks: Float[np.ndarray, "P r c"]) -> float:
        """Loss and nuclear norms of blocks W."""
        first = self.programs[0]
        penalty = sum(float(np.linalg.norm(block, "nuc")) for block in blocks)
        total = first.beta * penalty
        for c, program in enumerate(self.programs):
            point = np.stack([blocks[:, :, c], np.zeros(first.shape[1:])])
            total += program.loss(program.predict(point), program.y)
        return total

    def nuclear_bound(self, v: Float[np.ndarray, "n c"]) -> tuple[float, Float[np.ndarray, "n c"]]:
        """The bound −L*(κV) of all networks with vectors as heads, κV feasible; and κV."""
        first = self.programs[0]
        gains = np.stack([p.adjoint(column) for p, column in zip(self.programs, v.T, strict=True)])
        largest = float(np.max(np.linalg.norm(np.moveaxis(gains, 0, 2), 2, axis=(1, 2))))
        most = np.inf if largest == 0 else first.beta / largest
        # The loss is a sum over outputs: one long vector.
        flat, y = v.T.ravel(), np.concatenate([p.y for p in self.programs])
        kappa = first.loss.best_scale(flat, y, most)
        return -first.loss.conjugate(kappa * flat, y), kappa * v


def outputs(make: Callable[[np.ndarray], Masked], targets: Numbers) -> Outputs:
    """The programs of the columns of `targets`, each made by `make(column)`.

    **Raises.** `ValueError` for targets that are no matrix, and programs whose neurons are
    normalised after the ReLU, for which bounds are not made.
    """
    y = np.asarray(finite("targets", targets))
    if y.ndim != 2 or 0 in y.shape:
        raise ValueError(
            f"Targets of several outputs are a matrix with a column for each, but have shape "
            f"{y.shape}. For one output use the program itself."
        )
    first = make(y[:, 0])
    if not isinstance(first, Masked):
        raise ValueError(
            f"Bounds for several outputs are made for `Unnormalised` and `NormalisedBefore`, not "
            f"for `{type(first).__name__}`. Use one of these."
        )
    rest = [make(column).with_patterns(first.patterns) for column in y.T[1:]]
    return Outputs((first, *rest))
