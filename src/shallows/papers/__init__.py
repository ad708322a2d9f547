"""The shelf: one file for each paper, its claims with their sources, measured and judged.

An entry is data and two pure functions: `measure` answers one case, `judge` reads the records of
all and gives each claim a verdict. Whatever an entry computes comes out of the rooms. Entries
import this page and no other entry, and nothing imports them: they are found by their files.
"""

import dataclasses
import enum
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shallows.certify.verdict import Verdict
from shallows.lab import AbstractPlace, Case, Here, Progress, Record, Result, Store, Study, sweep


class Scale(enum.StrEnum):
    """How much is computed."""

    smoke = "smoke"
    """Seconds: whether it runs, and a first look."""
    desk = "desk"
    """A minute or two."""
    paper = "paper"
    """As far as is worth it."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement that can be measured, and where it comes from."""

    id: str
    statement: str
    source: str
    """A key of docs/references.bib, and the place."""
    is_wording_known: bool
    """Whether the statement follows words of the source that we have read (those of its abstract
    at least). Where it does not, it is our reading, and its failure need not be the source's."""


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What the records say about a claim."""

    verdict: Verdict
    summary: str
    """Why, in a sentence or two."""
    numbers: Mapping[str, Any]
    """What it rests on."""
    proof: str = ""
    """For PROVED and REFUTED: which certificates were checked."""

    @classmethod
    def by_numbers(cls, holds: Any, summary: str, numbers: Mapping[str, Any]) -> "Judgement":
        """One that rests on whether the numbers are as claimed; see `supported`."""
        return cls(supported(holds), summary, numbers)

    def __post_init__(self):
        if self.verdict in (Verdict.PROVED, Verdict.REFUTED) and not self.proof:
            raise ValueError(
                f"Records hold numbers with rounding, but the verdict is `{self.verdict.value}`. "
                f"Judge `SUPPORTED` or `CONTRADICTED`, or name the certificates that were checked."
            )


def supported(holds: Any) -> Verdict:
    """What numbers in floating point can say of a claim: SUPPORTED, or else CONTRADICTED."""
    return Verdict.SUPPORTED if holds else Verdict.CONTRADICTED


@dataclasses.dataclass(frozen=True)
class Paper:
    """An entry of the shelf."""

    key: str
    """Its name on the shelf: letters, digits and hyphens."""
    title: str
    source: str
    """Its key in docs/references.bib."""
    claims: tuple[Claim, ...]
    version: int
    """Raised whenever the numbers of `measure` may move."""
    cases: Callable[[Scale], Sequence[Case]]
    measure: Callable[[dict[str, Any]], Result]
    judge: Callable[[Sequence[Record]], Mapping[str, Judgement]]
    """For each claim's id; pure."""

    @property
    def study(self) -> Study:
        """The question, as the laboratory keeps it."""
        return Study(self.key, self.version, self.measure)


@dataclasses.dataclass(frozen=True)
class Reading:
    """A paper, measured: its claims and what became of them."""

    paper: Paper
    scale: Scale
    judgements: Mapping[str, Judgement]
    records: tuple[Record, ...]

    def as_json(self) -> dict[str, Any]:
        """The document that `shallows run KEY --json` prints."""
        return {
            "key": self.paper.key,
            "title": self.paper.title,
            "scale": self.scale.value,
            "claims": [
                {
                    "id": claim.id,
                    "statement": claim.statement,
                    "source": claim.source,
                    "is_wording_known": claim.is_wording_known,
                    "verdict": self.judgements[claim.id].verdict.value,
                    "evidence": {
                        "summary": self.judgements[claim.id].summary,
                        **self.judgements[claim.id].numbers,
                    },
                }
                for claim in self.paper.claims
            ],
        }


def shelf() -> dict[str, Paper]:
    """All entries by key: the attribute `PAPER` of every file beside this one."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            paper = importlib.import_module(f"{__name__}.{module.name}").PAPER
            found[paper.key] = paper
    return found


def paper(key: str) -> Paper:
    """The entry of this key.

    **Raises.** `ValueError` where there is none.
    """
    entries = shelf()
    if key not in entries:
        raise ValueError(
            f"There is no paper {key!r} on the shelf. Use one of {', '.join(sorted(entries))}."
        )
    return entries[key]


def reading(
    paper: Paper,
    scale: Scale,
    store: Store,
    *,
    on: AbstractPlace = Here(),  # noqa: B008 # immutable
    progress: Callable[[Progress], Any] | None = None,
) -> Reading:
    """The paper's claims, judged by its cases at this scale.

    Cases that the store has answered are not computed again: what was interrupted goes on.
    """
    cases = list(paper.cases(scale))
    records = tuple(sweep(paper.study, cases, store, on=on, progress=progress))
    judgements = dict(paper.judge(records))
    unjudged = {claim.id for claim in paper.claims} ^ set(judgements)
    if unjudged:
        raise RuntimeError(
            f"`{paper.key}` has claims without a judgement, or the other way round: "
            f"{sorted(unjudged)}. Mend its `judge`."
        )
    return Reading(paper, scale, judgements, records)


__all__ = [
    "Claim",
    "Judgement",
    "Paper",
    "Reading",
    "Scale",
    "paper",
    "reading",
    "shelf",
    "supported",
]
