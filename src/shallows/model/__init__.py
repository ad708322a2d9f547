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
from shallows.model.deep import Deep, closed_sample, iterated
from shallows.model.laws import AbstractLaw, Gaussian, Rotational, StudentT
from shallows.model.mixture import Mixture
from shallows.model.network import Network, orthonormal
from shallows.model.overlaps import gram, gram_gradient, gram_hessian
from shallows.model.sample import Sample
from shallows.model.shifted import ShiftedGaussian, with_constant
from shallows.model.signs import noisy_signs
from shallows.model.smooth import AbstractSmooth, Analytic, Erf, Polynomial, Sine

__all__ = [
    "AbstractActivation",
    "AbstractLaw",
    "AbstractSmooth",
    "Analytic",
    "Deep",
    "Erf",
    "Gaussian",
    "Mixture",
    "Network",
    "PiecewiseLinear",
    "Polynomial",
    "Rotational",
    "Sample",
    "ShiftedGaussian",
    "Sine",
    "StudentT",
    "absolute",
    "closed_sample",
    "gram",
    "gram_gradient",
    "gram_hessian",
    "iterated",
    "leaky",
    "noisy_signs",
    "orthonormal",
    "relu",
    "with_constant",
]
