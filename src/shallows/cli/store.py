"""What a store holds: questions in SQL, a check of every record, and stores put together."""

import enum
from pathlib import Path
from typing import Annotated, Any

import typer

from shallows.cli.door import app, bar, complain, print_json, say, show


class Action(enum.StrEnum):
    """What to do with a store."""

    query = "query"
    check = "check"
    merge = "merge"


_SHOWN = 100  # rows on the terminal; `--json` has all


@app.command(
    epilog="Example: `shallows store query 'SELECT outcome, count(*) FROM census_rows "
    "GROUP BY outcome' --store census`"
)
def store(
    action: Annotated[
        Action, typer.Argument(help="`query` SQL, `check`, or `merge` one store INTO another.")
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(help="With `query` the question; with `merge` two folders: INTO, FROM."),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--store", help="Folder of the store, for `query` and `check`.")
    ] = Path("census"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Ask a store in SQL, verify every record of it, or merge another store into it.

    The tables are `records` and, for each study, STUDY (a column for each entry of cases and
    values) and STUDY_rows (the rows of all tables), with underscores for hyphens.
    """
    given = words or []
    wanted = {Action.query: 1, Action.check: 0, Action.merge: 2}[action]
    if len(given) != wanted:
        raise ValueError(
            f"`store {action}` takes {wanted} further argument(s), but was given {len(given)}. Use "
            "`store query SQL --store DIR`, `store check --store DIR` or `store merge INTO FROM`."
        )
    if action is Action.query:
        _query(folder, given[0], as_json)
    elif action is Action.check:
        _check(folder, as_json)
    else:
        _merge(Path(given[0]), Path(given[1]), as_json)


def _query(folder: Path, sql: str, as_json: bool) -> None:
    from shallows.lab import DamagedRecord, Store
    from shallows.lab.query import query

    kept = Store.existing(folder)
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


def _check(folder: Path, as_json: bool) -> None:
    from shallows.lab import Store

    kept = Store.existing(folder)
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
            f"{len(damages)} damaged in {folder}. Run again the command that made the store: what "
            "is damaged is computed anew.",
            1,
        )


def _merge(into: Path, other: Path, as_json: bool) -> None:
    from shallows.lab import Store, merge

    source = Store.existing(other)
    total = sum(len(source.keys(study)) for study in source.studies())
    with bar("merging", 2 * total) as move:
        added = merge(Store(into), source, step=move)
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
