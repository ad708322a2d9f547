"""How points move: training runs, critical points, and branches and series of them.

This room knows no proof and keeps no records.
"""

from shallows.solve.branch import (
    AbstractDirection,
    Branch,
    BranchOutcome,
    Event,
    EventKind,
    Fraction,
    Perturbation,
    PseudoArclength,
    Resizing,
    Waypoint,
    Width,
    branch,
)
from shallows.solve.critical import CriticalPoint, Newton, NewtonOutcome, critical_point
from shallows.solve.flow import (
    ZERO,
    Endpoint,
    Outcome,
    Trajectory,
    endpoints,
    has_continuum,
    recorded,
    teacher_power,
    trajectory,
)
from shallows.solve.methods import (
    AbstractMethod,
    GradientDescent,
    GradientFlow,
    StochasticDescent,
)
from shallows.solve.relations import closed_form
from shallows.solve.series import EigenvalueSeries, Series, Term, branch_series
from shallows.solve.symmetric import SymmetricPoint, symmetric_point

__all__ = [
    "ZERO",
    "AbstractDirection",
    "AbstractMethod",
    "Branch",
    "BranchOutcome",
    "CriticalPoint",
    "EigenvalueSeries",
    "Endpoint",
    "Event",
    "EventKind",
    "Fraction",
    "GradientDescent",
    "GradientFlow",
    "Newton",
    "NewtonOutcome",
    "Outcome",
    "Perturbation",
    "PseudoArclength",
    "Resizing",
    "Series",
    "StochasticDescent",
    "SymmetricPoint",
    "Term",
    "Trajectory",
    "Waypoint",
    "Width",
    "branch",
    "branch_series",
    "closed_form",
    "critical_point",
    "endpoints",
    "has_continuum",
    "recorded",
    "symmetric_point",
    "teacher_power",
    "trajectory",
]
