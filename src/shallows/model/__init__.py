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
from shallows.model.analytic import Analytic
from shallows.model.audit import Audit, Rule, Shape, audit, clustering
from shallows.model.deep import Deep, closed_sample, iterated
from shallows.model.laws import AbstractLaw, Gaussian, Rotational, StudentT
from shallows.model.marginals import AbstractMarginal, Laplace, NoisySign, Uniform
from shallows.model.mixture import Mixture
from shallows.model.network import Network, orthonormal
from shallows.model.overlaps import gram, gram_gradient, gram_hessian
from shallows.model.pieces import (
    LinearSpline,
    linear_interpolant,
    linear_spline,
    natural_cubic,
    spline_of_kinks,
)
from shallows.model.product import Product
from shallows.model.sample import Sample
from shallows.model.shifted import ShiftedGaussian, with_constant
from shallows.model.signs import noisy_signs
from shallows.model.smooth import AbstractSmooth, Erf, Polynomial, Sine
from shallows.model.spline_kernels import EvenKnots
from shallows.model.tangent import WideLimit, kernel_drift, tangent_kernel

__all__ = [
    "AbstractActivation",
    "AbstractLaw",
    "AbstractMarginal",
    "AbstractSmooth",
    "Analytic",
    "Audit",
    "Deep",
    "Erf",
    "EvenKnots",
    "Gaussian",
    "Laplace",
    "LinearSpline",
    "Mixture",
    "Network",
    "NoisySign",
    "PiecewiseLinear",
    "Polynomial",
    "Product",
    "Rotational",
    "Rule",
    "Sample",
    "Shape",
    "ShiftedGaussian",
    "Sine",
    "StudentT",
    "Uniform",
    "WideLimit",
    "absolute",
    "audit",
    "closed_sample",
    "clustering",
    "gram",
    "gram_gradient",
    "gram_hessian",
    "iterated",
    "kernel_drift",
    "leaky",
    "linear_interpolant",
    "linear_spline",
    "natural_cubic",
    "noisy_signs",
    "orthonormal",
    "relu",
    "spline_of_kinks",
    "tangent_kernel",
    "with_constant",
]
