"""What is minimised: losses as functions of a student's parameters.

This room knows no algorithm.
"""

from shallows.landscape.convex import (
    AbstractConvexProgram,
    NormalisedAfter,
    NormalisedBefore,
    Patterns,
    Ramps,
    Unnormalised,
    all_patterns,
    sampled_patterns,
)
from shallows.landscape.deep import DeepLoss, HiddenLayers
from shallows.landscape.dropout import AbstractMasks, Dropconnect, Dropout
from shallows.landscape.equalised import (
    Minimisers,
    NormalSpectrum,
    equalised,
    minimisers,
    rank_one_levels,
)
from shallows.landscape.line import LineLoss, attractors, invariants, polar, unpolar
from shallows.landscape.linear import DeepLinearLoss, LinearLoss, balanced, gaussian_start
from shallows.landscape.loss import AbstractTrained, AllWeights, InnerWeights, SquaredLoss
from shallows.landscape.norm_weighted import NormWeighted, SampledNormWeighted
from shallows.landscape.planes import KinkCurve, Plane, slice_through
from shallows.landscape.slices import (
    AbstractPath,
    Event,
    GreatCircles,
    Kink,
    Meeting,
    Slice,
    Straight,
    kinks,
    slice_along,
)
from shallows.landscape.splits import NeuronSplit, Signature, SplitLine

__all__ = [
    "AbstractConvexProgram",
    "AbstractMasks",
    "AbstractPath",
    "AbstractTrained",
    "AllWeights",
    "DeepLinearLoss",
    "DeepLoss",
    "Dropconnect",
    "Dropout",
    "Event",
    "GreatCircles",
    "HiddenLayers",
    "InnerWeights",
    "Kink",
    "KinkCurve",
    "LineLoss",
    "LinearLoss",
    "Meeting",
    "Minimisers",
    "NeuronSplit",
    "NormWeighted",
    "NormalSpectrum",
    "NormalisedAfter",
    "NormalisedBefore",
    "Patterns",
    "Plane",
    "Ramps",
    "SampledNormWeighted",
    "Signature",
    "Slice",
    "SplitLine",
    "SquaredLoss",
    "Straight",
    "Unnormalised",
    "all_patterns",
    "attractors",
    "balanced",
    "equalised",
    "gaussian_start",
    "invariants",
    "kinks",
    "minimisers",
    "polar",
    "rank_one_levels",
    "sampled_patterns",
    "slice_along",
    "slice_through",
    "unpolar",
]
