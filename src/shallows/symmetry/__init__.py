"""Relabellings of neurons and inputs: which of them leave a student where it is.

The group of those is the student's isotropy, and its name, `Δ(S9×S1)` say, is the family a
critical point belongs to. `canonical` picks one student among all relabelled ones, so that two
runs that found the same point are seen to have done so. A configuration is a graph whose edges
carry the classes of inner products; all else is graph automorphisms. Only NumPy arrays here: the
room is called on end points and never differentiated.
"""

from shallows.symmetry.canonical import (
    Canonical,
    canonical,
    distance_up_to_relabelling,
    flipped_neurons,
)
from shallows.symmetry.isotropy import Isotropy, isotropy

__all__ = [
    "Canonical",
    "Isotropy",
    "canonical",
    "distance_up_to_relabelling",
    "flipped_neurons",
    "isotropy",
]
