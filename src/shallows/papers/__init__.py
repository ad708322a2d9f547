"""The shelf: one file for each paper, its claims with their sources, measured and judged.

An entry is data and two pure functions: `measure` answers one case, `judge` reads the records of
all and gives each claim a verdict; pictures are drawn from the same records. Whatever an entry
computes comes out of the rooms. Entries import this page and no other entry, and nothing imports
them: they are found by their files.
"""

import dataclasses
import enum
import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shallows import notebook
from shallows.certify.verdict import Verdict
from shallows.lab import (
    AbstractPlace,
    Case,
    DamagedRecord,
    Here,
    MissingRecord,
    Progress,
    Record,
    Result,
    Store,
    Study,
    key,
    sweep,
)
from shallows.report.exhibits import Exhibit, ExhibitedClaim, ExhibitedFigure
from shallows.report.references import bibliography

if TYPE_CHECKING:  # half a second, for those who draw
    from matplotlib.figure import Figure


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
    """A key of the bibliography, and the place."""
    is_wording_known: bool
    """Whether the statement follows words of the source that we have read (those of its abstract
    at least). Where it does not, it is our reading, and its failure need not be the source's."""


@dataclasses.dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Judgement({self.verdict.value}: {notebook.shortened(self.summary)})"


def supported(holds: Any) -> Verdict:
    """What numbers in floating point can say of a claim: SUPPORTED, or else CONTRADICTED."""
    return Verdict.SUPPORTED if holds else Verdict.CONTRADICTED


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure of an entry."""

    claims: tuple[str, ...]
    """Ids of those it shows."""
    caption: str
    """What to see, whatever the scale."""
    draw: Callable[[Sequence[Record]], "Figure | None"]
    """From the records that are judged, and nothing else; None where these show too little."""


@dataclasses.dataclass(frozen=True, repr=False)
class Paper(notebook.AbstractShown):
    """An entry of the shelf."""

    key: str
    """Its name on the shelf: letters, digits and hyphens."""
    title: str
    source: str
    """Its key in the bibliography."""
    claims: tuple[Claim, ...]
    version: int
    """Raised whenever the numbers of `measure` may move."""
    cases: Callable[[Scale], Sequence[Case]]
    measure: Callable[[dict[str, Any]], Result]
    judge: Callable[[Sequence[Record]], Mapping[str, Judgement]]
    """For each claim's id; pure."""
    pictures: tuple[Picture, ...] = ()

    @property
    def study(self) -> Study:
        """The question, as the laboratory keeps it."""
        return Study(self.key, self.version, self.measure)

    def __repr__(self) -> str:
        return f"Paper({self.key!r}: {self.title})"

    def _columns(self) -> notebook.Columns:
        return {
            "claim": [claim.id for claim in self.claims],
            "statement": [claim.statement for claim in self.claims],
            "source": [claim.source for claim in self.claims],
        }


@dataclasses.dataclass(frozen=True, repr=False)
class Reading(notebook.AbstractTable):
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

    @property
    def provenance(self) -> dict[str, Any]:
        """What the records say of where they come from, together.

        **Convention.** `seconds` is the time of all measures, whenever and wherever they ran.
        """
        origins = [record.provenance for record in self.records]
        written = sorted(origin["written"] for origin in origins if "written" in origin)
        seeds = {r.case.data.get("seed", r.provenance.get("seed")) for r in self.records} - {None}
        # Measures that say nothing compute in the package's own precision.
        precisions = {origin.get("precision", "float64") for origin in origins}
        return {
            "scale": self.scale.value,
            "cases": len(self.records),
            "seconds": sum(origin.get("seconds", 0.0) for origin in origins),
            "written": sorted({written[0], written[-1]}) if written else [],
            "precision": sorted(precisions),
            "seeds": sorted(seeds),
            **{
                name: sorted({str(o[name]) for o in origins if o.get(name) is not None})
                for name in ("shallows", "commit", "python", "jax", "cpu")
            },
            "study_version": self.paper.version,
        }

    def __repr__(self) -> str:
        found = Counter(self.judgements[claim.id].verdict.value for claim in self.paper.claims)
        counts = ", ".join(f"{n} {verdict}" for verdict, n in found.items())
        return f"Reading({self.paper.key!r} at {self.scale.value}: {counts})"

    def _columns(self) -> notebook.Columns:
        made = [self.judgements[claim.id] for claim in self.paper.claims]
        return {
            "claim": [claim.id for claim in self.paper.claims],
            "verdict": [one.verdict for one in made],
            "statement": [claim.statement for claim in self.paper.claims],
            "evidence": [one.summary for one in made],
        }

    def _notes(self) -> list[str]:
        return [self.paper.title, f"Cases: {len(self.records)}."]


@dataclasses.dataclass(frozen=True, repr=False)
class Holding:
    """What a store holds of a paper."""

    paper: Paper
    reading: Reading | None
    """Of the largest scale whose cases are all there."""
    kept: Mapping[Scale, tuple[int, int]]
    """For each scale that was asked for, how many of its cases are there, and how many it has."""
    damaged: tuple[str, ...]
    """Records that count as none, and why."""

    def exhibit(self) -> Exhibit:
        """It with its figures, for a page."""
        found = self.reading
        scale = Scale.smoke if found is None else found.scale
        documents = [] if found is None else found.as_json()["claims"]
        evidence = {one["id"]: one["evidence"] for one in documents}
        figures = []
        for picture in self.paper.pictures:
            figure = None if found is None else picture.draw(found.records)
            if figure is not None:
                figures.append(ExhibitedFigure(picture.caption, picture.claims, figure))
        return Exhibit(
            key=self.paper.key,
            title=self.paper.title,
            reference=bibliography()[self.paper.source],
            scale=None if found is None else found.scale.value,
            claims=tuple(
                ExhibitedClaim(
                    claim.id,
                    claim.statement,
                    claim.source,
                    claim.is_wording_known,
                    None if found is None else found.judgements[claim.id].verdict,
                    evidence.get(claim.id),
                )
                for claim in self.paper.claims
            ),
            figures=tuple(figures),
            provenance={} if found is None else found.provenance,
            kept={one.value: counts for one, counts in self.kept.items()},
            command=f"shallows run {self.paper.key} --scale {scale.value}",
        )

    def __repr__(self) -> str:
        kept = ", ".join(f"{n} of {all_} at {size.value}" for size, (n, all_) in self.kept.items())
        return f"Holding({self.paper.key!r}: {kept})"


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
    return _judged(paper, scale, sweep(paper.study, cases, store, on=on, progress=progress))


def holding(paper: Paper, store: Store, scales: Sequence[Scale] = tuple(Scale)) -> Holding:
    """What the store holds of the paper, at the largest of these scales that is complete.

    Where a larger scale asks no more than a smaller one, as without the data of an optional
    package, it is the smaller one.

    Nothing is computed but verdicts, and nothing is written: a damaged record counts as none.
    """
    found: dict[str, Record] = {}
    damaged: dict[str, str] = {}
    asked = {scale: [key(paper.study, case) for case in paper.cases(scale)] for scale in scales}
    ordered = sorted(scales, key=list(Scale).index)
    for name in dict.fromkeys(name for names in asked.values() for name in names):
        try:
            found[name] = store.read(paper.study, name)
        except MissingRecord:
            pass
        except DamagedRecord as error:
            damaged[name] = str(error)
    kept = {s: (sum(name in found for name in asked[s]), len(asked[s])) for s in ordered}
    whole = [scale for scale in ordered if kept[scale][0] == kept[scale][1]]
    complete = None
    if whole:
        scale = next(s for s in whole if asked[s] == asked[whole[-1]])
        complete = _judged(paper, scale, (found[name] for name in asked[scale]))
    return Holding(paper, complete, kept, tuple(damaged.values()))


def _judged(paper: Paper, scale: Scale, records: Iterable[Record]) -> Reading:
    records = tuple(records)
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
    "Holding",
    "Judgement",
    "Paper",
    "Picture",
    "Reading",
    "Scale",
    "holding",
    "paper",
    "reading",
    "shelf",
    "supported",
]
