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
    underscores, and a name that is taken, in capitals or not, gets one more at its end. Tables that
    have no common columns have no view; an error says so.

    **Convention.** Every record is verified as it is read; the store is not changed. Infinities and
    NaN are numbers, whole numbers beyond 64 bits words.

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
        loaded = [(study, _load(base, store, study, step)) for study in store.studies()]
        names = {"records"}
        for study, (questions, answers, _) in loaded:
            _answers_view(base, study, _free(study.replace("-", "_"), names), questions, answers)
        notes = ""
        for study, (_, _, files) in loaded:
            try:
                _rows_view(base, _free(f"{study.replace('-', '_')}_rows", names), files)
            except duckdb.Error as error:
                notes += f" The tables of {study} do not fit together: {error}."
        try:
            made = base.execute(sql)
            columns = [column[0] for column in made.description or ()]
            return columns, made.fetchall() if columns else []
        except duckdb.Error as error:
            views = ", ".join(row[0] for row in base.execute("SHOW TABLES").fetchall())
            raise ValueError(
                f"DuckDB refuses the question: {error}. There are the tables {views}.{notes}"
            ) from None
    finally:
        base.close()


def _load(
    base: Any, store: Store, study: str, step: Callable[[], Any]
) -> tuple[dict[str, set[type]], dict[str, set[type]], list[str]]:
    """Fill `records`; the types of the study's entries, and the files of its tables."""
    questions: dict[str, set[type]] = {}
    answers: dict[str, set[type]] = {}
    files: list[str] = []
    for rows in _rows(store, study, step, questions, answers, files):
        arrow = _arrow(list(zip(*rows, strict=True)))
        base.register("arriving rows", arrow)  # a name that no study has
        base.execute('INSERT INTO records SELECT * FROM "arriving rows"')
        base.unregister("arriving rows")
    return questions, answers, files


def _answers_view(
    base: Any, study: str, name: str, questions: dict[str, set[type]], answers: dict[str, set[type]]
) -> None:
    shown, names = ["key", "version"], {"key", "version"}
    for source, entries in (("question", questions), ("answer", answers)):
        for entry, types in entries.items():
            if _word_of(entry) != entry:  # SQL cannot say it; it is in the JSON
                continue
            is_taken = entry in ("key", "version") or (source == "answer" and entry in questions)
            called = _free(f"{source}_{entry}" if is_taken else entry, names)
            shown.append(f"{_extracted(source, entry, types)} AS {_quoted(called)}")
    base.execute(
        f"CREATE VIEW {_quoted(name)} AS SELECT {', '.join(shown)} FROM records "
        f"WHERE study = {_word(study)}"
    )


def _rows_view(base: Any, name: str, files: list[str]) -> None:
    if files:
        listed = ", ".join(map(_word, files))
        base.execute(
            f"CREATE VIEW {_quoted(name)} AS SELECT parse_filename(filename, true) AS "
            f"key, * EXCLUDE (filename) FROM read_parquet([{listed}], filename = true, "
            "union_by_name = true)"
        )


def _free(name: str, taken: set[str]) -> str:
    """The name, longer if it is taken, or empty."""
    while not name or name.lower() in taken:
        name += "_"
    taken.add(name.lower())
    return name


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
                entries.setdefault(name, set()).add(str if _is_long(value) else type(value))
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
    """The value with words for numbers that JSON does not have; DuckDB reads them as numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if _is_long(value):  # a float to some versions of DuckDB
        return str(value)
    if isinstance(value, str):
        return _word_of(value)
    if isinstance(value, dict):
        return {_word_of(name): _words(entry) for name, entry in value.items()}
    return [_words(entry) for entry in value] if isinstance(value, list) else value


def _is_long(value: Any) -> bool:
    return isinstance(value, int) and abs(value) >= 2**63


def _word_of(text: str) -> str:
    """The text without lone surrogates and NULs, which DuckDB does not know."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


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
