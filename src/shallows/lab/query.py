"""Questions to a store in SQL, answered by DuckDB."""

import json
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from shallows.lab.store import Store
from shallows.lab.study import Record

_TOGETHER = 5000  # records that are handed over at once: what is in memory here

# From Python's types of entries to those of columns; what varies, or is nested, stays JSON.
_TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


def query(
    store: Store, sql: str, *, step: Callable[[], Any] = lambda: None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names of columns, and rows, that a question in SQL has for an answer.

    `records` has the columns study, version, key, question, answer, provenance (JSON) and rows (of
    its table). For each study S there is a view S with the key, the version, and a column for each
    entry of its cases and values (`answer_NAME` for an entry of values that has the name of one of
    cases), and S_rows, the rows of all its tables with the key of their record. Hyphens of S become
    underscores.

    **Convention.** Every record is verified as it is read; the store is not changed. Infinities and
    NaN are numbers.

    **Raises.** `DamagedRecord` for the first record that is damaged; `ValueError` for SQL that
    DuckDB refuses, and if it is not installed. **Cost.** About 0.1 ms a record, and reading its
    table; `step` is called once a record.
    """
    duckdb = _duckdb()
    base = duckdb.connect(config={"autoinstall_known_extensions": False})
    try:
        base.execute(
            "CREATE TABLE records (study VARCHAR, version VARCHAR, key VARCHAR, question JSON, "
            "answer JSON, provenance JSON, rows BIGINT)"
        )
        for study in store.studies():
            _load(base, store, study, step)
        try:
            made = base.execute(sql)
            columns = [column[0] for column in made.description or ()]
            return columns, made.fetchall() if columns else []
        except duckdb.Error as error:
            views = ", ".join(row[0] for row in base.execute("SHOW TABLES").fetchall())
            raise ValueError(
                f"DuckDB refuses the question: {error}. There are the tables {views}."
            ) from None
    finally:
        base.close()


def _load(base: Any, store: Store, study: str, step: Callable[[], Any]) -> None:
    questions: dict[str, set[type]] = {}
    answers: dict[str, set[type]] = {}
    files: list[str] = []
    for rows in _rows(store, study, step, questions, answers, files):
        columns = list(zip(*rows, strict=True))
        arrow = _arrow(columns)
        base.register("arriving", arrow)
        base.execute("INSERT INTO records SELECT * FROM arriving")
        base.unregister("arriving")
    name = study.replace("-", "_")
    shown = ["key", "version"]
    for source, entries in (("question", questions), ("answer", answers)):
        for entry, types in entries.items():
            taken = {"key", "version"} | (set(questions) if source == "answer" else set())
            called = f"{source}_{entry}" if entry in taken else entry
            shown.append(f"{_extracted(source, entry, types)} AS {_quoted(called)}")
    base.execute(
        f"CREATE VIEW {_quoted(name)} AS SELECT {', '.join(shown)} FROM records "
        f"WHERE study = {_word(study)}"
    )
    if files:
        listed = ", ".join(map(_word, files))
        base.execute(
            f"CREATE VIEW {_quoted(name + '_rows')} AS SELECT parse_filename(filename, true) AS "
            f"key, * EXCLUDE (filename) FROM read_parquet([{listed}], filename = true, "
            "union_by_name = true)"
        )


def _rows(
    store: Store,
    study: str,
    step: Callable[[], Any],
    questions: dict[str, set[type]],
    answers: dict[str, set[type]],
    files: list[str],
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of `records`, in portions; notes the types of entries, and the files of tables."""
    rows: list[tuple[Any, ...]] = []
    for record in store.records(study):
        step()
        for entries, data in ((questions, record.case.data), (answers, record.values)):
            for name, value in data.items():
                is_long = isinstance(value, int) and abs(value) >= 2**63
                entries.setdefault(name, set()).add(list if is_long else type(value))
        rows.append(_row(record))
        if record.table is not None:
            files.append(str((store.folder / study / f"{record.key}.parquet").resolve()))
        if len(rows) == _TOGETHER:
            yield rows
            rows = []
    if rows:
        yield rows


def _row(record: Record) -> tuple[Any, ...]:
    return (
        record.study,
        str(record.version),
        record.key,
        *(json.dumps(_words(d)) for d in (record.case.data, record.values, record.provenance)),
        None if record.table is None else len(next(iter(record.table.values()))),
    )


def _words(value: Any) -> Any:
    """The value with infinities and NaN as words, which DuckDB reads as the numbers they are."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _words(entry) for name, entry in value.items()}
    return [_words(entry) for entry in value] if isinstance(value, list) else value


def _arrow(columns: list[tuple[Any, ...]]) -> Any:
    import pyarrow as pa

    names = ["study", "version", "key", "question", "answer", "provenance", "rows"]
    types = [pa.string()] * 6 + [pa.int64()]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    return pa.table(arrays, names=names)


def _extracted(source: str, entry: str, types: set[type]) -> str:
    found = types - {type(None)}
    if found == {int, float}:
        found = {float}
    kind = _TYPES.get(next(iter(found))) if len(found) == 1 else None
    pointer = _word("/" + entry.replace("~", "~0").replace("/", "~1"))
    if kind is None:
        return f"json_extract({source}, {pointer})"
    return f"CAST(json_extract_string({source}, {pointer}) AS {kind})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _word(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _duckdb() -> ModuleType:
    try:
        import duckdb
    except ImportError as error:
        raise ValueError(
            f"Questions in SQL need DuckDB, which is not installed ({error}). Install the extra: "
            "`pip install 'shallows[tables]'`."
        ) from None
    return duckdb
