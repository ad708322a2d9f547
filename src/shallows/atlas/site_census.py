"""The censuses on the atlas page: those of docs/notes/census-atlas.md, or those of a store."""

import importlib.resources
import json
import os
from collections import Counter

from shallows.atlas.catalogue import Family
from shallows.atlas.questions import digest
from shallows.atlas.site import CensusRow, CensusTable, from_json
from shallows.atlas.sorting import Sorter
from shallows.lab import Record, Store
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, orthonormal

_COLUMNS = ("global", "1", "2", "3", "4", "5–9", "≥ 10")


def shipped_census() -> CensusTable:
    """500 starts of gradient descent at each k from 6 to 50, as docs/notes/census-atlas.md says."""
    text = (
        importlib.resources.files("shallows.atlas").joinpath("site_census.json").read_text("utf-8")
    )
    return from_json(CensusTable, json.loads(text))


def stored_census(folder: str | os.PathLike[str]) -> CensusTable:
    """The censuses of orthonormal problems with d = k and Gaussian inputs in a store.

    Where one size has several (by other methods or seeds), that with the most starts.

    **Raises.** `StoreError` for a folder that is no store, `DamagedRecord` for a record that is not
    what was written, and `ValueError` for a store without any such census. **Cost.** That of
    sorting end points: seconds for a thousand starts.
    """
    store = Store.existing(folder)
    groups: dict[str, list[Record]] = {}
    for record in store.records("census"):
        question = {k: v for k, v in record.case.data.items() if k not in ("first", "count")}
        groups.setdefault(json.dumps(question, sort_keys=True), []).append(record)
    best: dict[int, CensusRow] = {}
    seen: Counter[str] = Counter()
    asked: set[str] = set()
    for text, records in groups.items():
        question = json.loads(text)
        k = question["neurons"]
        if question["inputs"] != k or "InnerWeights" not in question["trained"]:
            continue
        loss = SquaredLoss(orthonormal(k), Gaussian(k))
        if question["digest"] != digest(loss):
            continue
        row = _row(k, loss, records)
        if k not in best or row.starts > best[k].starts:
            best[k] = row
            asked.add(str(question["optimiser"]))
    if not best:
        raise ValueError(
            f"The store {os.fspath(folder)!r} has no census of k neurons for k orthonormal "
            f"teachers, k Gaussian inputs and trained inner weights. Make one, e.g. `shallows "
            f"census -k 6:12 --starts 100 --out {os.fspath(folder)}`."
        )
    for row in best.values():
        seen.update(row.found or {})
    return CensusTable(
        source=f"the store {os.fspath(folder)}: {'; '.join(sorted(asked))}",
        never=tuple(name for name in ("A", "I", "II") if not seen[name]),
        rows=tuple(best[k] for k in sorted(best)),
    )


def _row(neurons: int, loss: SquaredLoss, records: list[Record]) -> CensusRow:
    sorter = Sorter(loss)
    starts = covered = 0
    # One census has no start in two blocks, but the store may be of several: no start twice.
    for record in sorted(records, key=lambda r: (r.case.data["first"], -r.case.data["count"])):
        first, count = int(record.case.data["first"]), int(record.case.data["count"])
        if first >= covered:
            sorter.add(record.table)
            starts, covered = starts + count, first + count
    families = sorter.families()
    hits = Counter(dict.fromkeys(_COLUMNS, 0))
    for family in families:
        hits[_column(family)] += family.count
    return CensusRow(
        neurons,
        starts,
        sorter.settled,
        len(families),
        dict(hits),
        {family.name: family.count for family in families},
        sum(f.loss * f.count for f in families) / max(sorter.settled, 1),
    )


def _column(family: Family) -> str:
    flipped = family.flipped
    if family.name.split(":")[0].split("#")[0] == "global":
        return "global"
    return str(flipped) if flipped < 5 else "5–9" if flipped < 10 else "≥ 10"
