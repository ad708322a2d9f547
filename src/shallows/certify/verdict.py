"""What can be said about a statement."""

import enum
from typing import TYPE_CHECKING

from shallows.notebook import page, shortened


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


class AbstractStated:
    """A statement and its verdict, which is what is printed of it, and what a notebook shows."""

    if TYPE_CHECKING:  # fields of some, properties of others

        @property
        def statement(self) -> str:
            """In words."""

        @property
        def verdict(self) -> Verdict:
            """Whether it holds."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verdict.value}: {shortened(self.statement, 100)})"

    def _repr_html_(self) -> str:
        supposed = "; ".join(getattr(self, "hypotheses", ()))
        notes = [self.statement, f"Supposed: {supposed}." if supposed else ""]
        return page(f"{type(self).__name__}: {self.verdict.value}", notes=notes)
