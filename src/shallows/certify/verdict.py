"""What can be said about a statement."""

import enum


class Verdict(enum.Enum):
    """An answer to whether a statement holds; a float never pretends to be a proof."""

    PROVED = "PROVED"
    """It holds: exact or ball arithmetic leaves no other possibility."""
    REFUTED = "REFUTED"
    """It does not hold: there is a counterexample in exact or ball arithmetic."""
    SUPPORTED = "SUPPORTED"
    """All that was computed, in floats or for some of its cases only, is as it says."""
    CONTRADICTED = "CONTRADICTED"
    """Something that was computed, in floats, is not as it says."""
    UNDECIDED = "UNDECIDED"
    """What was computed does not tell, or there is too little of it."""
