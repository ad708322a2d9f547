"""Training two-layer ReLU networks to their global optimum, as convex programs.

This package knows no algorithm: see `shallows.solve.convex`.
"""

from shallows.landscape.convex.losses import AbstractLoss, Hinge, Logistic, Squared
from shallows.landscape.convex.normalised import NormalisedAfter, NormalisedBefore
from shallows.landscape.convex.patterns import Patterns, all_patterns, sampled_patterns
from shallows.landscape.convex.programs import (
    AbstractConvexProgram,
    DualPoint,
    Unnormalised,
)
from shallows.landscape.convex.ramps import Ramps

__all__ = [
    "AbstractConvexProgram",
    "AbstractLoss",
    "DualPoint",
    "Hinge",
    "Logistic",
    "NormalisedAfter",
    "NormalisedBefore",
    "Patterns",
    "Ramps",
    "Squared",
    "Unnormalised",
    "all_patterns",
    "sampled_patterns",
]
