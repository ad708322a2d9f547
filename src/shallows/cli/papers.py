"""The shelf from the shell: which papers there are, and what their claims are worth.

The shelf is opened by its name only: it may import the doors, and no arrow points to it.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, show


@app.command(epilog="Example: `shallows papers`")
def papers(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the shelf: papers, and the claims that `shallows run` measures.

    Where a claim's wording is known from no page of the paper, it says so.
    """
    entries = [paper for _, paper in sorted(_shelf().shelf().items())]
    if as_json:
        claims = [[_claim(claim) for claim in paper.claims] for paper in entries]
        print_json(
            {
                "papers": [
                    {"key": paper.key, "title": paper.title, "claims": theirs}
                    for paper, theirs in zip(entries, claims, strict=True)
                ]
            }
        )
        return
    for paper in entries:
        table = _table(f"{paper.key}: {paper.title}", ("claim", "statement", "source"))
        for claim in paper.claims:
            table.add_row(*_cells(claim.id, claim.statement, _source(claim)))
        show(table)


@app.command(epilog="Example: `shallows run arjevani-field-2021-families --scale smoke`")
def run(
    key: Annotated[str, typer.Argument(help="The paper; `shallows papers` lists them.")],
    scale: Annotated[
        str, typer.Option("--scale", help="`smoke` (seconds), `desk` (minutes) or `paper`.")
    ] = "smoke",
    out: Annotated[Path, typer.Option("--out", help="Folder of the store.")] = Path("papers"),
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure a paper's claims and give each a verdict.

    Numbers in floating point are evidence and no proof: a claim is SUPPORTED or CONTRADICTED by
    them, or UNDECIDED. Interrupt it when you like: the same command goes on where it stopped.
    """
    shelf = _shelf()
    paper = shelf.paper(key)
    try:
        size = shelf.Scale(scale)
    except ValueError:
        raise ValueError(
            f"`--scale` is {scale!r}, but cases are chosen for "
            f"{', '.join(f'`{s.value}`' for s in shelf.Scale)}. Use one of these."
        ) from None
    from shallows.lab import Here, Processes, Store

    place = Here() if workers == 1 else Processes(workers)
    with bar(key, len(paper.cases(size))) as move:
        reading = shelf.reading(
            paper, size, Store(out), on=place, progress=lambda e: move(e.done, e.damaged)
        )
    document = reading.as_json()
    if as_json:
        print_json(document)
        return
    table = _table(f"{paper.title} ({size.value})", ("claim", "verdict", "statement, evidence"))
    for claim in document["claims"]:
        words = f"{claim['statement']}\n→ {claim['evidence']['summary']}\n"
        table.add_row(*_cells(claim["id"], claim["verdict"], words))
    show(table)


def _shelf() -> ModuleType:
    return importlib.import_module("shallows.papers")


def _claim(claim: Any) -> dict[str, Any]:
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "is_wording_known": claim.is_wording_known,
    }


def _source(claim: Any) -> str:
    return claim.source if claim.is_wording_known else f"{claim.source} [wording not known]"


def _cells(*texts: str) -> list[Any]:
    from rich.text import Text

    return [Text(text) for text in texts]  # rich reads square brackets in plain strings


def _table(title: str, headings: tuple[str, ...]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for i, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", ratio=None if i < 1 else i)
    return table
