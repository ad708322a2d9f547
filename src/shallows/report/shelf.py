"""The shelf as one HTML file: which claims hold, first as a matrix, then paper by paper."""

import base64
import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

from shallows.certify.verdict import Verdict
from shallows.report.exhibits import Exhibit, ExhibitedClaim, ExhibitedFigure
from shallows.report.figures import _STYLE
from shallows.report.page import _facts, _write
from shallows.report.words import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_RUN = "not run"
_LARGEST = 300_000
"""Characters of a drawing; beyond, its pixels are smaller."""
_DOTS = 120
"""Pixels of a page for an inch of paper: letters of 7 points are as large as a caption's."""

_MEANINGS = {
    Verdict.PROVED: "It holds: exact or ball arithmetic leaves no other possibility.",
    Verdict.REFUTED: "It does not hold: there is a counterexample in exact or ball arithmetic.",
    Verdict.SUPPORTED: "All that was computed, in floating point or for some of its cases only, is "
    "as it says.",
    Verdict.CONTRADICTED: "Something that was computed, in floating point, is not as it says.",
    Verdict.UNDECIDED: "What was computed does not tell, or there is too little of it.",
}


def write_shelf_report(
    exhibits: Sequence[Exhibit],
    path: str | os.PathLike[str],
    *,
    command: str | None = None,
    store: str | os.PathLike[str] | None = None,
    provenance: dict[str, Any] | None = None,
) -> Path:
    """Write one self-contained page about papers and their claims, and return its path.

    The page makes no network request and needs no script to be read: figures are images inside it.

    **Convention.** As `write_report`. `provenance` is that of the page; each paper has its own.

    **Raises.** `ValueError` for no papers. **Cost.** Drawing, about 0.2 s a figure.
    """
    if not exhibits:
        raise ValueError("A report of no papers has nothing to say. Name some, or none for all.")
    counts = Counter(word(claim) for one in exhibits for claim in one.claims)
    order = [*(verdict.value for verdict in Verdict), NOT_RUN]
    return _write(
        "shelf.html.j2",
        path,
        title="The shelf: claims, measured",
        exhibits=[_section(one) for one in exhibits],
        columns=[name for name in order if name != NOT_RUN or counts[name]],
        totals=counts,
        counts=[(name, counts[name]) for name in order if counts[name]],
        meanings=[(verdict.value, _MEANINGS[verdict]) for verdict in Verdict],
        claims=plural(sum(counts.values()), "claim"),
        papers=plural(len(exhibits), "paper"),
        plots={},
        command=command,
        store=store,
        facts=_facts({"provenance": provenance or {}}),
    )


def write_figures(exhibits: Sequence[Exhibit], folder: str | os.PathLike[str]) -> list[Path]:
    """Write the figures of papers as `KEY-1.png`, `KEY-2.png`, …, and return their paths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for one in exhibits:
        for number, shown in enumerate(one.figures, 1):
            path = Path(folder) / f"{one.key}-{number}.png"
            with matplotlib.rc_context(_STYLE):
                shown.figure.savefig(path, dpi=120, metadata={"Software": None})
            written.append(path)
    return written


def word(claim: ExhibitedClaim) -> str:
    """Its verdict, or that there is none."""
    return NOT_RUN if claim.verdict is None else claim.verdict.value


def _section(one: Exhibit) -> dict[str, Any]:
    shown = {
        claim.id: [i for i, figure in enumerate(one.figures, 1) if claim.id in figure.claims]
        for claim in one.claims
    }
    return {
        "exhibit": one,
        "claims": [(claim, word(claim), shown[claim.id]) for claim in one.claims],
        "figures": [_image(figure) for figure in one.figures],
        "facts": _facts({"provenance": one.provenance}),
        "kept": ", ".join(
            f"{held} of {plural(total, 'case')} at {scale}"
            for scale, (held, total) in one.kept.items()
        ),
    }


def _image(shown: ExhibitedFigure) -> dict[str, Any]:
    kind, data = _bytes(shown.figure)
    return {
        "caption": shown.caption,
        "claims": shown.claims,
        "width": round(_DOTS * shown.figure.get_figwidth()),
        "height": round(_DOTS * shown.figure.get_figheight()),
        # An image, and not drawn inside the page: names inside two drawings may be the same.
        "source": f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
    }


def _bytes(figure: "Figure") -> tuple[str, bytes]:
    with matplotlib.rc_context(_STYLE):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        if buffer.tell() <= _LARGEST:
            return "svg+xml", buffer.getvalue()
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=200, metadata={"Software": None})
        return "png", buffer.getvalue()
