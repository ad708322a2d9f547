"""What we study: networks, their activations, the laws of their inputs, and overlaps of neurons.

This room knows no loss and no algorithm.
"""

from shallows.model.activations import (
    AbstractActivation,
    PiecewiseLinear,
    absolute,
    leaky,
    relu,
)
from shallows.model.laws import (
    AbstractLaw,
    Gaussian,
    Mixture,
    Rotational,
    Sample,
    StudentT,
)
from shallows.model.network import Network, orthonormal
from shallows.model.overlaps import gram, gram_gradient, gram_hessian
from shallows.model.smooth import AbstractSmooth, Analytic, Erf, Polynomial, Sine

__all__ = [
    "AbstractActivation",
    "AbstractLaw",
    "AbstractSmooth",
    "Analytic",
    "Erf",
    "Gaussian",
    "Mixture",
    "Network",
    "PiecewiseLinear",
    "Polynomial",
    "Rotational",
    "Sample",
    "Sine",
    "StudentT",
    "absolute",
    "gram",
    "gram_gradient",
    "gram_hessian",
    "leaky",
    "orthonormal",
    "relu",
]
