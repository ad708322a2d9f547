"""What can be said about a statement."""

import abc
import enum

from shallows.notebook import page


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


class AbstractStated(abc.ABC):
    """A statement and its verdict, which is what is printed of it, and what a notebook shows."""

    statement: str
    verdict: Verdict

    def __repr__(self) -> str:
        words = " ".join(self.statement.split())
        short = words if len(words) <= 100 else f"{words[:100]}…"
        return f"{type(self).__name__}({self.verdict.value}: {short})"

    def _repr_html_(self) -> str:
        supposed = "; ".join(getattr(self, "hypotheses", ()))
        notes = [self.statement, f"Supposed: {supposed}." if supposed else ""]
        return page(f"{type(self).__name__}: {self.verdict.value}", notes=notes)
