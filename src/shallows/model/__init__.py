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
from shallows.model.cells import (
    Cells,
    LinearRegion,
    SegmentKink,
    cells,
    linear_regions,
    sampled_cells,
    segment_kinks,
    zaslavsky,
)
from shallows.model.deep import Deep, closed_sample, iterated
from shallows.model.expansivity import (
    GaussianThresholds,
    doubled,
    gaussian_thresholds,
    planar_probability,
)
from shallows.model.inverse import InverseLipschitz, inverse_lipschitz, reconstruct
from shallows.model.laws import AbstractLaw, Gaussian, Rotational, StudentT
from shallows.model.layers import Layers, he_layers, layers_of
from shallows.model.marginals import AbstractMarginal, Laplace, NoisySign, Uniform
from shallows.model.mixture import Mixture
from shallows.model.network import Network, orthonormal
from shallows.model.normalised import NormalisedNetwork, Placement, normalised_on
from shallows.model.oracle import Oracle, layers_oracle, network_oracle, onnx_oracle
from shallows.model.overlaps import gram, gram_gradient, gram_hessian
from shallows.model.paths import basis_path_norm, basis_path_penalty, basis_paths, path_norm
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
from shallows.model.subspace import (
    Subspace,
    SubspaceData,
    chessboard_data,
    coordinate_subspace,
    diagonal_data,
    digit_pair_data,
    random_labels,
    random_subspace,
    spanned,
)
from shallows.model.tangent import WideLimit, kernel_drift, tangent_kernel
from shallows.model.unit_data import UnitData, digit_data, pair_data

__all__ = [
    "AbstractActivation",
    "AbstractLaw",
    "AbstractMarginal",
    "AbstractSmooth",
    "Analytic",
    "Audit",
    "Cells",
    "Deep",
    "Erf",
    "EvenKnots",
    "Gaussian",
    "GaussianThresholds",
    "InverseLipschitz",
    "Laplace",
    "Layers",
    "LinearRegion",
    "LinearSpline",
    "Mixture",
    "Network",
    "NoisySign",
    "NormalisedNetwork",
    "Oracle",
    "PiecewiseLinear",
    "Placement",
    "Polynomial",
    "Product",
    "Rotational",
    "Rule",
    "Sample",
    "SegmentKink",
    "Shape",
    "ShiftedGaussian",
    "Sine",
    "StudentT",
    "Subspace",
    "SubspaceData",
    "Uniform",
    "UnitData",
    "WideLimit",
    "absolute",
    "audit",
    "basis_path_norm",
    "basis_path_penalty",
    "basis_paths",
    "cells",
    "chessboard_data",
    "closed_sample",
    "clustering",
    "coordinate_subspace",
    "diagonal_data",
    "digit_data",
    "digit_pair_data",
    "doubled",
    "gaussian_thresholds",
    "gram",
    "gram_gradient",
    "gram_hessian",
    "he_layers",
    "inverse_lipschitz",
    "iterated",
    "kernel_drift",
    "layers_of",
    "layers_oracle",
    "leaky",
    "linear_interpolant",
    "linear_regions",
    "linear_spline",
    "natural_cubic",
    "network_oracle",
    "noisy_signs",
    "normalised_on",
    "onnx_oracle",
    "orthonormal",
    "pair_data",
    "path_norm",
    "planar_probability",
    "random_labels",
    "random_subspace",
    "reconstruct",
    "relu",
    "sampled_cells",
    "segment_kinks",
    "spanned",
    "spline_of_kinks",
    "tangent_kernel",
    "with_constant",
    "zaslavsky",
]
