"""Records as a table of pandas."""

from collections.abc import Iterable
from typing import Any

from shallows import notebook
from shallows.lab.study import Record


def records_frame(records: Iterable[Record]) -> Any:
    """A `pandas.DataFrame` with a row for each record: what was asked and what came out.

    Columns are the entries of cases and of values, and the wall time in `seconds`; an entry of
    values that has the name of one of cases is `answer_NAME`. What a record lacks is missing.
    Its index is the key of the record. Tables of records stay there: `record.table` is columns
    that pandas takes as they are, where they have one dimension.

    **Raises.** `ValueError` if pandas is not installed. **Cost.** All values are in memory.
    """
    rows: dict[str, dict[str, Any]] = {}
    for record in records:
        asked = dict(record.case.data)
        answers = {
            (f"answer_{name}" if name in asked else name): value
            for name, value in record.values.items()
        }
        rows[record.key] = {"seconds": record.provenance.get("seconds"), **asked, **answers}
    names = dict.fromkeys(name for row in rows.values() for name in row)
    made = notebook.frame({name: [row.get(name) for row in rows.values()] for name in names})
    made.index = list(rows)
    return made
