"""What a page about the shelf shows of a paper: its claims, verdicts, figures and provenance."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shallows.certify.verdict import Verdict
from shallows.report.references import Reference

if TYPE_CHECKING:  # half a second, for those who draw
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class ExhibitedClaim:
    """A claim, and what became of it."""

    id: str
    statement: str
    source: str
    is_wording_known: bool
    verdict: Verdict | None
    """None where nothing was measured."""
    evidence: Mapping[str, Any] | None
    """`summary`, in words, and the numbers it rests on."""

    def as_json(self) -> dict[str, Any]:
        """As in `shallows run KEY --json`; verdict and evidence null where nothing was measured."""
        return {
            "id": self.id,
            "statement": self.statement,
            "source": self.source,
            "is_wording_known": self.is_wording_known,
            "verdict": None if self.verdict is None else self.verdict.value,
            "evidence": None if self.evidence is None else dict(self.evidence),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class ExhibitedFigure:
    """A figure, and what to see in it."""

    caption: str
    claims: tuple[str, ...]
    """Ids of those it shows."""
    figure: "Figure"


@dataclasses.dataclass(frozen=True, eq=False)
class Exhibit:
    """A paper, as it is shown."""

    key: str
    title: str
    reference: Reference
    scale: str | None
    """None where nothing was measured."""
    claims: tuple[ExhibitedClaim, ...]
    figures: tuple[ExhibitedFigure, ...]
    provenance: Mapping[str, Any]
    """Of the records: versions, dates, precisions, seeds, how many and how long."""
    kept: Mapping[str, tuple[int, int]]
    """For each scale, how many of its cases the store holds, and how many there are."""
    command: str
    """What measures it, or has measured it."""

    def as_json(self) -> dict[str, Any]:
        """A document; the contract of `key`, `title` and `claims` is that of `shallows run`."""
        return {
            "key": self.key,
            "title": self.title,
            "source": self.reference.key,
            "scale": self.scale,
            "command": self.command,
            "claims": [claim.as_json() for claim in self.claims],
            "figures": [
                {"caption": one.caption, "claims": list(one.claims)} for one in self.figures
            ],
            "kept": {scale: list(counts) for scale, counts in self.kept.items()},
            "provenance": dict(self.provenance),
        }
