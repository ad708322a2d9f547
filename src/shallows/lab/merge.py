"""Two stores put together."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from shallows.lab.store import Store, StoreError
from shallows.lab.study import Record

_TOGETHER = 1000  # records of a batch


def merge(into: Store, other: Store, *, step: Callable[[], Any] = lambda: None) -> int:
    """Copy the records that only `other` has; return how many. Done twice, it adds nothing.

    **Convention.** Two records conflict if their questions agree and their answers do not: a value
    that is no time (`seconds`), or an entry of the table. How they were come by may differ.

    **Raises.** `StoreError` that names the conflicting records, with nothing copied;
    `DamagedRecord` for a record that cannot be read. **Cost.** Reads all records of `other` twice,
    and calls `step` each time.
    """
    if into.folder.resolve() == other.folder.resolve():
        raise StoreError(f"{other.folder} cannot be merged into itself. Name another store.")
    conflicts, missing = [], {}
    for study in other.studies():
        known = set(into.keys(study))
        missing[study] = [name for name in other.keys(study) if name not in known]
        for name in other.keys(study):
            step()
            record = other.read(study, name)
            if name in known and not _agree(into.read(study, name), record):
                conflicts.append(f"{study}/{name}")
    if conflicts:
        more = f" and {len(conflicts) - 10} more" if len(conflicts) > 10 else ""
        raise StoreError(
            f"{len(conflicts)} records of {other.folder} answer otherwise than those of "
            f"{into.folder}: {', '.join(conflicts[:10])}{more}. Nothing was copied; delete the "
            "ones that are wrong, or keep the stores apart."
        )
    for study, names in missing.items():
        records = _read(other, study, names, step)
        while together := list(itertools.islice(records, _TOGETHER)):
            into.write_all(together)
    return sum(len(names) for names in missing.values())


def _read(store: Store, study: str, names: list[str], step: Callable[[], Any]) -> Iterator[Record]:
    for name in names:
        step()
        yield store.read(study, name)


def _agree(one: Record, two: Record) -> bool:
    # `repr` tells 0.0 from -0.0 and 1 from 1.0, and NaN agrees with NaN.
    values = [{k: v for k, v in r.values.items() if k != "seconds"} for r in (one, two)]
    if repr(sorted(values[0].items())) != repr(sorted(values[1].items())):
        return False
    if one.table is None or two.table is None:
        return one.table is two.table
    return one.table.keys() == two.table.keys() and all(
        _same(column, two.table[name]) for name, column in one.table.items()
    )


def _same(x: np.ndarray, y: np.ndarray) -> bool:
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
