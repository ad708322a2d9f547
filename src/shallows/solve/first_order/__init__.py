"""Convex programs of many patterns, by methods that look at a few of them at a time."""

from shallows.solve.first_order.blocks import (
    AbstractBlocks,
    DenseBlocks,
    GroupProblem,
    MaskedBlocks,
    grouped,
)
from shallows.solve.first_order.gated import GatedProximal
from shallows.solve.first_order.lagrangian import AugmentedLagrangian
from shallows.solve.first_order.proximal import AcceleratedProximal
from shallows.solve.first_order.working_set import (
    AbstractGroupMethod,
    GroupSolution,
    largest_penalty,
    regularisation_path,
)

__all__ = [
    "AbstractBlocks",
    "AbstractGroupMethod",
    "AcceleratedProximal",
    "AugmentedLagrangian",
    "DenseBlocks",
    "GatedProximal",
    "GroupProblem",
    "GroupSolution",
    "MaskedBlocks",
    "grouped",
    "largest_penalty",
    "regularisation_path",
]
