"""What a store holds: questions in SQL, a check of every record, and stores put together."""

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, complain, print_json, say, show

if TYPE_CHECKING:
    from shallows.lab import Store


class Action(enum.StrEnum):
    """What to do with a store."""

    query = "query"
    check = "check"
    merge = "merge"


_SHOWN = 100  # rows on the terminal; `--json` has all
_NAMED = 8  # stores in a message
_USUAL = Path("census")


@app.command(
    epilog="Example: `shallows store query 'SELECT outcome, count(*) FROM census_rows "
    "GROUP BY outcome' census`"
)
def store(
    action: Annotated[
        Action, typer.Argument(help="`query` SQL, `check`, or `merge` one store INTO another.")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="With `query` the question and perhaps the store's folder, with `check` perhaps "
            "the folder; with `merge` two folders: INTO, FROM."
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--store",
            help="The folder, for `query` and `check`. [default: `census`, or the one store here]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Ask a store in SQL, verify every record of it, or merge another store into it.

    The tables are `records` and, for each study, STUDY (a column for each entry of cases and
    values) and STUDY_rows (the rows of all tables), with underscores for hyphens.
    """
    given = words or []
    if action is Action.merge:
        if len(given) != 2 or folder is not None:
            raise ValueError(
                f"`store merge` takes two folders and no `--store`, but was given "
                f"{len(given)} folder(s){'' if folder is None else f' and `--store {folder}`'}. "
                f"Use `store merge INTO FROM`."
            )
        _merge(Path(given[0]), Path(given[1]), as_json)
        return
    questions, folders = (given[:1], given[1:]) if action is Action.query else ([], given)
    named = [*map(Path, folders), *([] if folder is None else [folder])]
    if len(named) > 1 or (action is Action.query and not questions):
        raise ValueError(
            f"`store {action}` takes {'one question and ' * (action is Action.query)}at most one "
            f"folder, but was given {len(questions)} question(s) and {len(named)} folder(s). "
            f"Use `store query SQL DIR` or `store check DIR`."
        )
    kept = _at_hand() if not named else existing(named[0])
    if action is Action.query:
        _query(kept, questions[0], as_json)
    else:
        _check(kept, as_json)


def existing(folder: Path) -> "Store":
    """The store in this folder; where there is none, the message names those nearby.

    **Raises.** `NotAStore`.
    """
    from shallows.lab import NotAStore, Store

    try:
        return Store.existing(folder)
    except NotAStore as error:
        near = list(dict.fromkeys([*_stores_in(folder), *_stores_in(Path())]))
        if not near:
            raise
        raise NotAStore(f"{error} Stores nearby: {_listed(near)}.") from None


def _at_hand() -> "Store":
    """Where no folder was named: `census`, else the only store here. Which it is, is said."""
    here = _stores_in(Path())
    chosen = here[0] if len(here) == 1 else _USUAL
    others = [folder for folder in here if folder != chosen]
    if chosen not in here and others:
        raise ValueError(
            f"No store was named, and here are several: {_listed(others)}. Name one, e.g. "
            f"`shallows store check {others[0]}`."
        )
    kept = existing(chosen)
    say(f"store: {chosen}" + (f" (also here: {_listed(others)})" if others else ""))
    return kept


def _stores_in(folder: Path) -> list[Path]:
    from shallows.lab.store import MARKER

    return sorted(marker.parent for marker in [*folder.glob(MARKER), *folder.glob(f"*/{MARKER}")])


def _listed(stores: list[Path]) -> str:
    more = f" and {len(stores) - _NAMED} more" if len(stores) > _NAMED else ""
    return f"{', '.join(map(str, stores[:_NAMED]))}{more}"


def _query(kept: "Store", sql: str, as_json: bool) -> None:
    from shallows.lab import DamagedRecord
    from shallows.lab.query import query

    total = sum(len(kept.keys(study)) for study in kept.studies())
    try:
        with bar("reading", total) as move:
            columns, rows = query(kept, sql, step=move)
    except DamagedRecord as error:
        complain(str(error), 1)
    if as_json:
        print_json({"columns": columns, "rows": [[_plain(cell) for cell in row] for row in rows]})
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows[:_SHOWN]:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    show(table)
    if len(rows) > _SHOWN:
        say(f"{_SHOWN} of {len(rows)} rows; `--json` prints all.")


def _check(kept: "Store", as_json: bool) -> None:
    studies = {study: len(kept.keys(study)) for study in kept.studies()}
    with bar("checking", sum(studies.values())) as move:
        damages = kept.check(step=move)
    if as_json:
        print_json(
            {
                "studies": studies,
                "damaged": [{"file": str(one.path), "reason": one.reason} for one in damages],
            }
        )
    else:
        for study, count in studies.items():
            print(f"{study}: {count} records")
        for one in damages:
            say(f"{one.path}: {one.reason}")
    if damages:
        complain(
            f"{len(damages)} damaged in {kept.folder}. Run again the command that made the store: "
            "what is damaged is computed anew.",
            1,
        )


def _merge(into: Path, other: Path, as_json: bool) -> None:
    from shallows.lab import DamagedRecord, Store, merge

    source = existing(other)
    total = sum(len(source.keys(study)) for study in source.studies())
    try:
        with bar("merging", 2 * total) as move:
            added = merge(Store(into), source, step=move)
    except DamagedRecord as error:
        complain(str(error), 1)
    if as_json:
        print_json({"added": added, "records": total})
    else:
        print(f"{added} records added to {into}; {total - added} were there.")


def _plain(cell: Any) -> Any:
    """A cell as JSON has it; infinities and NaN as words, as in a store."""
    if isinstance(cell, float) and cell - cell != 0:
        return str(cell)
    if isinstance(cell, bool | int | float | str) or cell is None:
        return cell
    if isinstance(cell, list | tuple):
        return [_plain(entry) for entry in cell]
    if isinstance(cell, dict):
        return {str(name): _plain(entry) for name, entry in cell.items()}
    return str(cell)
