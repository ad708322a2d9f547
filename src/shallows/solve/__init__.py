"""How points move: training runs, critical points, branches and series of them, arcs out of them.

This room knows no proof and keeps no records.
"""

from shallows.solve.arcs import Arc, ArcOutcome, ArcPoint, Tracing, arc
from shallows.solve.basis_path_descent import add_basis_path_penalty, gsgd, on_basis_paths
from shallows.solve.branch import (
    Branch,
    BranchOutcome,
    Event,
    EventKind,
    PseudoArclength,
    Waypoint,
    branch,
)
from shallows.solve.chebyshev import Chebyshev, Relaxation, Stop, relaxation
from shallows.solve.critical import CriticalPoint, Newton, NewtonOutcome, critical_point
from shallows.solve.departures import Departure, departures
from shallows.solve.directions import AbstractDirection, Fraction, Perturbation, Resizing, Width
from shallows.solve.extraction import Extraction, ExtractionOutcome, Lines, extract
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
from shallows.solve.kernel_regression import KernelFlow, KernelRegression, LinearisedDescent
from shallows.solve.knots import (
    Encounter,
    KnotFlow,
    Passage,
    TwinFlow,
    full_flow,
    reduced_flow,
    twin_flow,
)
from shallows.solve.line_fit import LineFit, LineStart, least_norm_heads, line_fit
from shallows.solve.methods import (
    AbstractMethod,
    GradientDescent,
    GradientFlow,
    StochasticDescent,
)
from shallows.solve.order_parameters import (
    OnlineLearning,
    OrderParameters,
    Simulation,
    online,
    simulate,
)
from shallows.solve.overparameterised import (
    HeNetwork,
    WideEnding,
    WideNetwork,
    WideRun,
    WidthSearch,
    output_kernel,
    smallest_width,
    wide_descent,
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
    "Chebyshev",
    "CriticalPoint",
    "Departure",
    "EigenvalueSeries",
    "Encounter",
    "Endpoint",
    "Event",
    "EventKind",
    "Extraction",
    "ExtractionOutcome",
    "Fraction",
    "GradientDescent",
    "GradientFlow",
    "HeNetwork",
    "KernelFlow",
    "KernelRegression",
    "KnotFlow",
    "LineFit",
    "LineStart",
    "LinearisedDescent",
    "Lines",
    "Newton",
    "NewtonOutcome",
    "OnlineLearning",
    "OrderParameters",
    "Outcome",
    "Passage",
    "Perturbation",
    "PseudoArclength",
    "Relaxation",
    "Resizing",
    "Series",
    "Simulation",
    "StochasticDescent",
    "Stop",
    "SymmetricPoint",
    "Term",
    "Tracing",
    "Trajectory",
    "TwinFlow",
    "Waypoint",
    "WideEnding",
    "WideNetwork",
    "WideRun",
    "Width",
    "WidthSearch",
    "add_basis_path_penalty",
    "arc",
    "branch",
    "branch_series",
    "closed_form",
    "critical_point",
    "departures",
    "endpoints",
    "extract",
    "full_flow",
    "gsgd",
    "has_continuum",
    "least_norm_heads",
    "line_fit",
    "on_basis_paths",
    "online",
    "output_kernel",
    "recorded",
    "reduced_flow",
    "relaxation",
    "simulate",
    "smallest_width",
    "symmetric_point",
    "teacher_power",
    "trajectory",
    "twin_flow",
    "wide_descent",
]
