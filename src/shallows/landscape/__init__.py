"""What is minimised: losses as functions of a student's parameters.

This room knows no algorithm.
"""

from shallows.landscape.loss import AbstractTrained, AllWeights, InnerWeights, SquaredLoss

__all__ = ["AbstractTrained", "AllWeights", "InnerWeights", "SquaredLoss"]
