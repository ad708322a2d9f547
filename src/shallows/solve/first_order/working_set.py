r"""The loop around the methods: a few groups are solved for, all are priced, the best ones join.

With v = −∇L at the optimum over some groups, a group of which no unit vector gains more than β
from v stays zero; if that holds for all, v is feasible for the dual, and else it is after scaling.
So each pricing bounds the optimum from below, whatever the groups were.
"""

import abc
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.convex import AbstractConvexProgram
from shallows.solve.convex import ConvexOutcome, ConvexSolution
from shallows.solve.critical import one_blas_thread
from shallows.solve.first_order.blocks import GroupProblem, Groups, grouped
from shallows.solve.first_order.cones import Faces, Prices
from shallows.solve.first_order.responses import response

Progress = Callable[[float, float], object]

# The relative gap over the first few groups.
_COARSEST = 0.1


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GroupSolution(notebook.AbstractShown):
    """A point of a `GroupProblem`, by its groups that are not zero, with bounds on the optimum."""

    problem: GroupProblem
    groups: Groups
    s: Float[np.ndarray, "m r"]
    value: float
    """The objective."""
    dual: Float[np.ndarray, " n"]
    """v, feasible: no unit vector in the cone of a group gains more than β, up to rounding."""
    lower_bound: float
    rounds: int
    """How often all groups were priced."""
    steps: int
    """Of the method, in all rounds."""
    outcome: ConvexOutcome

    @property
    def gap(self) -> float:
        """The value less the lower bound."""
        return self.value - self.lower_bound

    def __repr__(self) -> str:
        return (
            f"GroupSolution(value {self.value:.9g}, gap {self.gap:.3g}, {len(self.s)} groups, "
            f"{self.outcome.name})"
        )

    def _notes(self) -> list[str]:
        return [self.outcome.value]


class WorkingSet:
    """Some groups of a problem, and the state of a method on them."""

    def __init__(self, problem: GroupProblem):
        self.problem = problem
        self.faces = Faces(problem.blocks)
        self.s = np.zeros((0, problem.blocks.width))
        self.response = response(problem.loss, problem.y)
        self.v = self.response.start()
        """The dual vector, −∇L at the prediction."""
        self.pace = 0.0
        """What the method wants to remember."""

    @property
    def groups(self) -> Groups:
        """Their numbers."""
        return self.faces.groups

    def add(self, groups: Groups, s: Float[np.ndarray, "m r"]) -> None:
        """Groups and where they are."""
        self.faces.add(groups)
        self.s = np.concatenate([self.s, s])

    def gains(self, v: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        """What unit vectors of each group gain from v; 0 where that is shown to be below β."""
        a = self.problem.blocks.adjoint(self.groups, v)
        return np.linalg.norm(self.faces(a, self.problem.beta), axis=1)

    def relative_gap(self) -> float:
        """Between the objective and the bound if there were no other groups."""
        if not len(self.groups):
            return 0.0
        value = self.problem.objective(self.groups, self.s)
        price = max(self.problem.beta, float(np.max(self.gains(self.v))))
        return (value - self.problem.bound(self.v, price)[0]) / max(abs(value), 1e-300)


@dataclasses.dataclass(frozen=True)
class AbstractGroupMethod(abc.ABC):
    """A method for the groups of a working set, which called on a program solves it."""

    tolerance: float = 1e-8
    """Of the gap, relative to the value."""
    rounds: int = 100
    steps: int = 20_000
    """In all rounds."""

    @abc.abstractmethod
    def improve(self, working: WorkingSet, tolerance: float, steps: int) -> int:
        """Move s and v until the relative gap on these groups is small; the steps that took."""

    def __call__(self, program: AbstractConvexProgram) -> ConvexSolution:
        """The optimum of a program.

        **Raises.** `ValueError` for a loss, or penalties, that it cannot do.
        """
        problem, factors = grouped(program)
        found = self.solve(problem)
        point = np.zeros(program.shape)
        count = problem.blocks.patterns
        for group, s in zip(found.groups.tolist(), found.s, strict=True):
            factor = factors[group % count]
            z = s if factor is None else np.linalg.solve(factor, s)
            point[group // count, group % count] = z
        value = program.objective(point)
        return ConvexSolution(program, point, value, -found.dual, found.lower_bound, found.outcome)

    def solve(
        self,
        problem: GroupProblem,
        start: GroupSolution | None = None,
        progress: Progress | None = None,
    ) -> GroupSolution:
        """The optimum of a problem of groups, from another one's if there is a start.

        `progress(value, lower_bound)` is called after each round.
        """
        # Matrices are too small for BLAS's threads: waiting for each other they take tenfold.
        with one_blas_thread():
            return self._solve(problem, start, progress)

    def _solve(
        self, problem: GroupProblem, start: GroupSolution | None, progress: Progress | None
    ) -> GroupSolution:
        blocks, beta = problem.blocks, problem.beta
        working, prices = WorkingSet(problem), Prices(blocks)
        if start is not None:
            if start.problem.blocks is not blocks or np.any(start.problem.y != problem.y):
                raise ValueError(
                    "The start solves a problem of other blocks or targets. Only the penalty may "
                    "differ; else start from nothing."
                )
            working.add(start.groups, start.s)
            working.v = start.dual
        settled = np.zeros(2 * blocks.patterns, dtype=bool)
        settled[working.groups] = True
        lower, dual, taken = -np.inf, np.zeros(blocks.points), 0
        outcome, rounds, batch = ConvexOutcome.out_of_steps, 0, max(8, blocks.points // 2)
        finest = self.tolerance / 4
        goal = _COARSEST
        value = problem.loss(np.zeros(blocks.points), problem.y)
        while rounds < self.rounds:
            rounds += 1
            if len(working.groups):
                taken += self.improve(working, goal, self.steps - taken)
                value = problem.objective(working.groups, working.s)
            bounds, exact = prices(working.v, beta, settled, batch)
            if len(working.groups):
                bounds[working.groups] = working.gains(working.v)
            # Gains that are known to be at most β only are not told apart.
            bound, kappa = problem.bound(working.v, max(beta, float(np.max(bounds))))
            if bound > lower:
                lower, dual = bound, kappa * working.v
            if progress is not None:
                progress(value, lower)
            relative = (value - lower) / max(abs(value), 1e-300)
            if relative <= self.tolerance:
                outcome = ConvexOutcome.converged
                break
            if taken >= self.steps:
                break
            new = np.flatnonzero(~settled & exact & (bounds > beta))
            new = new[np.argsort(-bounds[new], kind="stable")[:batch]]
            if not len(new) and goal == finest:
                outcome = ConvexOutcome.inaccurate
                break
            # Where nobody wants to join, what is left of the gap is the method's.
            goal = max(finest, min(_COARSEST, relative / 10)) if len(new) else finest
            working.add(new, np.zeros((len(new), blocks.width)))
            settled[new] = True
        kept = np.any(working.s != 0, axis=1)
        groups, s = working.groups[kept], working.s[kept]
        value = problem.objective(groups, s)
        return GroupSolution(problem, groups, s, value, dual, lower, rounds, taken, outcome)


@runtime_checkable
class SolvesGroups(Protocol):
    """A method of problems of groups that can start where another one ended."""

    def solve(self, problem: GroupProblem, start: GroupSolution | None = None) -> GroupSolution:
        """The optimum."""
        ...


def regularisation_path(
    problem: GroupProblem, betas: Sequence[float], method: SolvesGroups
) -> Iterator[GroupSolution]:
    """Solutions for many penalties, in their order, each from the one before.

    It is fastest from the largest penalty down; `largest_penalty` is where it leaves zero.
    """
    found = None
    for beta in betas:
        found = method.solve(dataclasses.replace(problem, beta=beta), found)
        yield found


def largest_penalty(problem: GroupProblem) -> float:
    """The β from which on all groups are zero: the largest gain from −∇L(0)."""
    blocks = problem.blocks
    v = -problem.loss.gradient(np.zeros(blocks.points), problem.y)
    prices, least = Prices(blocks), 0.0
    nobody = np.zeros(2 * blocks.patterns, dtype=bool)
    while True:
        bounds, exact = prices(v, least, nobody, 1)
        best = float(np.max(bounds[exact], initial=0.0))
        if best <= least:
            return least
        least = best
