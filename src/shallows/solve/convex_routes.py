r"""Which way a convex program is solved."""

import enum
import functools
from collections.abc import Callable, Sequence

import numpy as np

from shallows.landscape.convex import (
    AbstractConvexProgram,
    NormalisedAfter,
    NormalisedBefore,
    Unnormalised,
    sampled_patterns,
)
from shallows.landscape.convex.closed_forms import is_spanning, two_neurons
from shallows.solve.convex import ConvexSolution, InteriorPoint, convex_solution
from shallows.solve.first_order import AbstractGroupMethod, AugmentedLagrangian, grouped

# Inequalities (patterns times points) up to which an interior point is the faster method.
_SMALL = 5_000


class Route(enum.Enum):
    """How `optimum` finds an optimum; the value says when it is taken, in this order."""

    nothing = "β is so large that the network is 0: no block gains more than it costs."
    two_neurons = "Normalised before the ReLU, U′ square, squared loss: a closed form."
    working_set = "Patterns times points above 5000: a few blocks at a time."
    interior_point = "All other programs: all blocks at once."


def route(program: AbstractConvexProgram) -> Route:
    """What `optimum` would do."""
    zero = np.zeros(program.shape)
    slope = program.loss.gradient(program.predict(zero), program.y)
    if program.support(slope) <= program.beta:
        return Route.nothing
    # A sample need not hold the two patterns of the closed form.
    if is_spanning(program) and program.patterns.exact:
        return Route.two_neurons
    return Route.working_set if _is_large(program) else Route.interior_point


def _is_large(program: AbstractConvexProgram) -> bool:
    if program.patterns.masks.size <= _SMALL:
        return False
    if not isinstance(program, Unnormalised | NormalisedBefore | NormalisedAfter):
        return False
    try:
        grouped(program)
    except ValueError:  # a pattern of too few points leaves weights free
        return False
    return True


def optimum(
    program: AbstractConvexProgram,
    large: AbstractGroupMethod = AugmentedLagrangian(),  # noqa: B008  # immutable
) -> ConvexSolution:
    """The optimum of a convex program, in closed form where there is one: see `Route`.

    `large` is the method for programs of many patterns.
    """
    chosen = route(program)
    if chosen is Route.nothing:
        zero = np.zeros(program.shape)
        slope = program.loss.gradient(program.predict(zero), program.y)
        return convex_solution(program, zero, slope)
    if chosen is Route.two_neurons:
        known = two_neurons(program)  # type: ignore[arg-type]  # `route` has looked
        return convex_solution(program, known.point, known.dual)
    return large(program) if chosen is Route.working_set else InteriorPoint()(program)


def restricted_optima(
    program: AbstractConvexProgram,
    counts: Sequence[int],
    *,
    seed: int = 0,
    progress: Callable[[], None] | None = None,
) -> list[tuple[int, float]]:
    """The optimum over ever larger samples of patterns: how many differ, and its value.

    Values decrease, as larger samples hold the smaller ones, to the optimum over all patterns.

    **Raises.** `ValueError` for counts that are not positive.
    """
    found = []
    for count in counts:
        draw = functools.partial(sampled_patterns, count=count, seed=seed)
        restricted = program.with_patterns(draw)
        found.append((len(restricted.patterns), optimum(restricted).value))
        if progress is not None:
            progress()
    return found
