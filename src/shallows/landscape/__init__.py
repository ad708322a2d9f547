"""What is minimised: losses as functions of a student's parameters.

This room knows no algorithm.
"""

from shallows.landscape.deep import DeepLoss, HiddenLayers
from shallows.landscape.loss import AbstractTrained, AllWeights, InnerWeights, SquaredLoss
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
    "AbstractPath",
    "AbstractTrained",
    "AllWeights",
    "DeepLoss",
    "Event",
    "GreatCircles",
    "HiddenLayers",
    "InnerWeights",
    "Kink",
    "KinkCurve",
    "Meeting",
    "NeuronSplit",
    "Plane",
    "Signature",
    "Slice",
    "SplitLine",
    "SquaredLoss",
    "Straight",
    "kinks",
    "slice_along",
    "slice_through",
]
