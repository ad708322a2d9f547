"""How points move: training runs, and the critical points they lead to.

This room knows no proof and keeps no records.
"""

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

__all__ = [
    "ZERO",
    "AbstractMethod",
    "CriticalPoint",
    "Endpoint",
    "GradientDescent",
    "GradientFlow",
    "Newton",
    "NewtonOutcome",
    "Outcome",
    "StochasticDescent",
    "Trajectory",
    "critical_point",
    "endpoints",
    "has_continuum",
    "recorded",
    "teacher_power",
    "trajectory",
]
