"""How points move: training runs, critical points, branches and series of them, arcs out of them.

This room knows no proof and keeps no records.
"""

from shallows.solve.arcs import Arc, ArcOutcome, ArcPoint, Tracing, arc
from shallows.solve.branch import (
    Branch,
    BranchOutcome,
    Event,
    EventKind,
    PseudoArclength,
    Waypoint,
    branch,
)
from shallows.solve.critical import CriticalPoint, Newton, NewtonOutcome, critical_point
from shallows.solve.departures import Departure, departures
from shallows.solve.directions import AbstractDirection, Fraction, Perturbation, Resizing, Width
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
    "Arc",
    "ArcOutcome",
    "ArcPoint",
    "Branch",
    "BranchOutcome",
    "CriticalPoint",
    "Departure",
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
    "Tracing",
    "Trajectory",
    "Waypoint",
    "Width",
    "arc",
    "branch",
    "branch_series",
    "closed_form",
    "critical_point",
    "departures",
    "endpoints",
    "has_continuum",
    "recorded",
    "symmetric_point",
    "teacher_power",
    "trajectory",
]
