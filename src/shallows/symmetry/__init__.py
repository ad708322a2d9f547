"""Relabellings of neurons and inputs: which of them leave a student where it is.

The group of those is the student's isotropy, and its name, `Δ(S9×S1)` say, is the family a
critical point belongs to. `canonical` picks one student among all relabelled ones, so that two
runs that found the same point are seen to have done so. A configuration is a graph whose edges
carry the classes of inner products; all else is graph automorphisms.

The other way round, the students that a product of symmetric groups leaves in place form a small
space, whatever the width: `Blocks` are its coordinates, `ReducedLoss` the loss in them and
`spectrum` all Hessian eigenvalues, in floats, balls, power series or any other numbers. Students
and teachers come as a `Network` or as arrays, and all is computed in NumPy.
"""

from shallows.symmetry.alignment import Alignment, aligned
from shallows.symmetry.arithmetic import AbstractArithmetic, Balls, Floats
from shallows.symmetry.block_isotropy import block_isotropy
from shallows.symmetry.blocks import Blocks, Orbit, Split, Teacher, orthonormal_teacher
from shallows.symmetry.canonical import (
    Canonical,
    canonical,
    distance_up_to_relabelling,
    flipped_neurons,
    matched_distance,
)
from shallows.symmetry.isotropy import Isotropy, isotropy
from shallows.symmetry.laurent import Laurent, LostDigitsError, UnknownTermsError
from shallows.symmetry.layered import LayeredIsotropy, layered_isotropy, layered_order
from shallows.symmetry.power_series import PowerSeries
from shallows.symmetry.reduced import ReducedLoss
from shallows.symmetry.spectrum import (
    Component,
    Eigenvalue,
    Representation,
    Spectrum,
    component,
    components,
    fixed_dimension,
    spectrum,
)

__all__ = [
    "AbstractArithmetic",
    "Alignment",
    "Balls",
    "Blocks",
    "Canonical",
    "Component",
    "Eigenvalue",
    "Floats",
    "Isotropy",
    "Laurent",
    "LayeredIsotropy",
    "LostDigitsError",
    "Orbit",
    "PowerSeries",
    "ReducedLoss",
    "Representation",
    "Spectrum",
    "Split",
    "Teacher",
    "UnknownTermsError",
    "aligned",
    "block_isotropy",
    "canonical",
    "component",
    "components",
    "distance_up_to_relabelling",
    "fixed_dimension",
    "flipped_neurons",
    "isotropy",
    "layered_isotropy",
    "layered_order",
    "matched_distance",
    "orthonormal_teacher",
    "spectrum",
]
