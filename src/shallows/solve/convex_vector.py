"""Several outputs: the optimum of networks with vectors as heads, between two convex programs."""

import dataclasses

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.convex import Squared
from shallows.landscape.convex.closed_forms import disjoint_cost, is_spanning
from shallows.landscape.convex.vector import Outputs
from shallows.solve.convex import ConvexSolution
from shallows.solve.convex_routes import optimum


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class VectorBounds(notebook.AbstractShown):
    """The least regularised loss of networks with several outputs lies between two numbers."""

    lower: float
    """Of the dual of the nuclear-norm program, up to rounding; where patterns are a sample, of
    the restricted problem only."""
    upper: float
    """Of a network each of whose neurons has one output."""
    exact: float | None
    """The optimum, where it is known in closed form; else None."""
    solutions: tuple[ConvexSolution, ...]
    """For each output."""
    dual: Float[np.ndarray, "n c"]

    def __repr__(self) -> str:
        return f"VectorBounds({self.lower:.9g} to {self.upper:.9g}, {len(self.solutions)} outputs)"


def vector_bounds(problem: Outputs) -> VectorBounds:
    """Both bounds; they meet where no neuron gains by having two outputs.

    The closed form is `disjoint_cost`, for square U′ and targets that overlap nowhere.

    **Accuracy.** Bounds hold up to rounding, as the dual vector is scaled to be feasible. Of the
    nuclear-norm program it is the optimum to 1e-6 relative.

    **Raises.** `ValueError` for other losses than the squared one. **Cost.** An interior-point
    step per matrix block: 0.1 s for 18 patterns of 9 points.
    """
    first = problem.programs[0]
    if not all(isinstance(p.loss, Squared) for p in problem.programs):
        raise ValueError(
            f"Bounds for several outputs are made for the squared loss, not for "
            f"{type(first.loss).__name__}. Use `Squared()`."
        )
    solutions = tuple(optimum(p) for p in problem.programs)
    y, exact = problem.targets, None
    if is_spanning(first) and np.all(np.count_nonzero(y, axis=1) <= 1):
        exact = disjoint_cost(y, first.beta)
    candidates = [nuclear_dual(problem), np.column_stack([s.dual for s in solutions])]
    bounds = [problem.nuclear_bound(v) for v in candidates]
    lower, dual = max(bounds, key=lambda bound: bound[0])
    return VectorBounds(lower, sum(s.value for s in solutions), exact, solutions, dual)


def nuclear_dual(problem: Outputs) -> Float[np.ndarray, "n c"]:
    """The residual f(X) − Y at the optimum of the nuclear-norm program, by CVXPY and Clarabel."""
    import cvxpy as cp  # a second, for those who need it

    first, y = problem.programs[0], problem.targets
    _, patterns, width = first.shape
    blocks = [cp.Variable((width, y.shape[1])) for _ in range(patterns)]
    fit = sum(first.columns(i) @ block for i, block in enumerate(blocks))
    penalty = sum(cp.normNuc(block) for block in blocks)
    program = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - y) + first.beta * penalty))
    program.solve(solver=cp.CLARABEL)
    return np.asarray(fit.value) - y
