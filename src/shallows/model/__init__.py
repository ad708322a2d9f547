"""What we study: networks, the laws of their inputs, and overlaps of neurons.

This room knows no loss and no algorithm.
"""

from shallows.model.laws import AbstractLaw, Gaussian, Rotational, Sample
from shallows.model.network import Network, orthonormal
from shallows.model.overlaps import gram, gram_gradient, gram_hessian

__all__ = [
    "AbstractLaw",
    "Gaussian",
    "Network",
    "Rotational",
    "Sample",
    "gram",
    "gram_gradient",
    "gram_hessian",
    "orthonormal",
]
