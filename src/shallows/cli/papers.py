"""The shelf from the shell: which papers there are, what their claims are worth, and a page of it.

The shelf is opened by its name only: it may import the doors, and no arrow points to it.
"""

import importlib
import shlex
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer

from shallows.cli.cluster import ClusterOption, place_of
from shallows.cli.door import app, bar, print_json, say, show
from shallows.cli.store import existing


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


_SCALE_HELP = "`smoke` (seconds), `desk` (minutes) or `paper`."


@app.command(epilog="Example: `shallows run arjevani-field-2021-families --scale smoke`")
def run(
    key: Annotated[
        str, typer.Argument(help="The paper; `shallows papers` lists them. None with --all.")
    ] = "",
    scale: Annotated[str, typer.Option("--scale", help=_SCALE_HELP)] = "smoke",
    folder: Annotated[
        Path, typer.Option("--store", "--out", help="Folder of the store; `--out` is the same.")
    ] = Path("papers"),
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every paper of the shelf.")] = False,
) -> None:
    """Measure a paper's claims, or all papers', and give each a verdict.

    Numbers in floating point are evidence and no proof: a claim is SUPPORTED or CONTRADICTED by
    them, or UNDECIDED. Interrupt it when you like: the same command goes on where it stopped.
    """
    if everything == bool(key):
        given = f"{key!r} and `--all`" if key else "neither a paper nor `--all`"
        raise ValueError(
            f"`shallows run` measures one paper or all, but was given {given}. Use e.g. "
            f"`shallows run tian-2017` or `shallows run --all`; `shallows papers` lists them."
        )
    shelf = _shelf()
    chosen = _chosen([] if everything else [key])
    size = _scale("--scale", scale)
    from shallows.lab import Store

    on = place_of(workers, cluster)
    store = Store(folder)
    if everything:
        found, failed = _measured(chosen, size, store, on)
        _summarise(size, found, failed, as_json)
        if failed:
            raise SystemExit(1)
        return
    reading = _read(shelf, chosen[0], size, store, on, key)
    document = reading.as_json()
    if as_json:
        print_json(document)
        return
    table = _table(f"{reading.paper.title} ({size.value})", ("claim", "verdict", _EVIDENCE))
    for claim in document["claims"]:
        words = f"{claim['statement']}\n→ {claim['evidence']['summary']}\n"
        table.add_row(*_cells(claim["id"], claim["verdict"], words))
    show(table)


@app.command(epilog="Example: `shallows report --run smoke --out report.html`")
def report(
    keys: Annotated[
        list[str] | None, typer.Argument(help="The papers; all of the shelf if none is given.")
    ] = None,
    store: Annotated[Path, typer.Option("--store", help="Folder of what `run` has kept.")] = Path(
        "papers"
    ),
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("report.html"),
    scale: Annotated[
        str, typer.Option("--scale", help=f"Show this scale only: {_SCALE_HELP}")
    ] = "",
    first: Annotated[
        str, typer.Option("--run", help=f"Measure first what is missing: {_SCALE_HELP}")
    ] = "",
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Folder for the figures, as PNG files.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write one page about the shelf: all claims, their verdicts and the figures that show them.

    It reads what `shallows run` has kept, of each paper at the largest scale that is complete. What
    has not been run says so, with the command that runs it.
    """
    shelf = _shelf()
    chosen = _chosen(keys or [])
    scales = [_scale("--scale", scale)] if scale else list(shelf.Scale)
    size = _scale("--run", first) if first else None
    if out.is_dir():
        raise ValueError(f"A report is a file, but `--out` is the folder {out}. Use {out}/x.html.")
    if size is None and cluster is not None:
        raise ValueError(
            f"`--cluster {cluster}` measures, and a report only reads what was kept. Add e.g. "
            f"`--run smoke`, or leave it out."
        )
    from shallows.lab import NotAStore, Store, provenance
    from shallows.report import write_figures, write_shelf_report

    on = place_of(workers, cluster)
    failed: dict[str, str] = {}
    if size is None:
        try:
            kept = existing(store)
        except NotAStore as error:
            raise NotAStore(f"{error} Or measure first, with `--run smoke`.") from None
    else:
        kept = Store(store)
        missing = [one for one in chosen if shelf.holding(one, kept, [size]).reading is None]
        _, failed = _measured(missing, size, kept, on)
    exhibits, bare = [], []
    for paper in chosen:
        held = shelf.holding(paper, kept, scales)
        for damage in held.damaged:
            say(damage)
        if held.reading is None:
            bare.append(paper.key)
        exhibits.append(held.exhibit())
    options = {"--store": store, "--out": out, "--scale": scale, "--run": first}
    given = [str(word) for pair in options.items() if pair[1] for word in pair]
    page = write_shelf_report(
        exhibits,
        out,
        command=shlex.join(["shallows", "report", *(keys or []), *given]),
        store=store,
        provenance=provenance(),
    )
    if figures is not None:
        write_figures(exhibits, figures)
    if bare:
        say(f"Not run: {', '.join(bare)}. To measure them first, add `--run smoke`.")
    if as_json:
        print_json({"page": str(page), "papers": [one.as_json() for one in exhibits]})
    else:
        _count({one.key: [c.verdict for c in one.claims] for one in exhibits})
        say(f"Wrote {page}.")
    if failed:
        raise SystemExit(1)


_EVIDENCE = "statement, evidence"


def _chosen(keys: list[str]) -> list[Any]:
    """Papers by their keys; all of the shelf if there are none."""
    shelf = _shelf()
    if not keys:
        return [paper for _, paper in sorted(shelf.shelf().items())]
    return [shelf.paper(key) for key in dict.fromkeys(keys)]


def _scale(option: str, text: str) -> Any:
    scales = _shelf().Scale
    try:
        return scales(text)
    except ValueError:
        raise ValueError(
            f"`{option}` is {text!r}, but cases are chosen for "
            f"{', '.join(f'`{s.value}`' for s in scales)}. Use one of these."
        ) from None


def _read(shelf: Any, paper: Any, size: Any, store: Any, on: Any, title: str) -> Any:
    with bar(title, len(paper.cases(size))) as move:
        return shelf.reading(paper, size, store, on=on, progress=lambda e: move(e.done, e.damaged))


def _measured(
    papers: list[Any], size: Any, store: Any, on: Any
) -> tuple[list[Any], dict[str, str]]:
    """One after the other; what fails is told apart, and the others go on."""
    from shallows.lab import StoreError, SweepError

    found, failed = [], {}
    for number, paper in enumerate(papers, 1):
        try:
            title = f"{number}/{len(papers)} {paper.key}"
            found.append(_read(_shelf(), paper, size, store, on, title))
        except StoreError:  # it would be the same for all
            raise
        except (SweepError, ValueError) as error:
            failed[paper.key] = str(error)
            say(f"shallows: {error}")
    return found, failed


def _summarise(size: Any, found: list[Any], failed: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "scale": size.value,
                "papers": [
                    {**one.as_json(), "seconds": one.provenance["seconds"]} for one in found
                ],
                "failed": [{"key": key, "why": why} for key, why in failed.items()],
            }
        )
        return
    seconds = {one.paper.key: one.provenance["seconds"] for one in found}
    verdicts = {
        one.paper.key: [one.judgements[c.id].verdict for c in one.paper.claims] for one in found
    }
    _count({**verdicts, **{key: [] for key in failed}}, seconds)


def _count(verdicts: dict[str, list[Any]], seconds: dict[str, float] | None = None) -> None:
    """A table with a row for each paper: how many of its claims have which verdict."""
    from shallows.certify.verdict import Verdict

    present = [v for v in Verdict if any(v in found for found in verdicts.values())]
    is_bare = any(None in found for found in verdicts.values())
    headings = ["paper", *(v.value for v in present), *(["not run"] if is_bare else [])]
    table = _table("Claims, by verdict", (*headings, *(["seconds"] if seconds else [])))
    rows = {**verdicts, "all": [one for found in verdicts.values() for one in found]}
    for key, found in rows.items():
        cells = [str(found.count(v) or "") for v in [*present, *([None] if is_bare else [])]]
        if seconds is not None:
            took = sum(seconds.values()) if key == "all" else seconds.get(key)
            cells.append("failed" if took is None else f"{took:.1f}")
        table.add_row(*_cells(key, *cells))
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
        is_wide = heading in ("statement", "source", _EVIDENCE)
        table.add_column(heading, overflow="fold", ratio=i if is_wide else None)
    return table
