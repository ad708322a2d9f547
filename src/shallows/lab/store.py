"""A store: one folder of answers, where the path is the question.

``STUDY/KEY.json`` holds a record and ``KEY.parquet`` its table, if it has one; small records that
were written together share a file, see `shallows.lab.batches`. A file ``shallows-store.json`` says
that the folder is ours; other things may lie in it as well.

**Writing.** Each file is written beside its place, flushed to the disk and renamed, the JSON
last: a record is there completely or not at all, whoever is killed when (one that is being
replaced by another answer is gone if its writer dies between the two renames). The renames happen
under a lock, so that several writers of one record cannot pair one's JSON with another's table;
the last one wins.

**Reading.** The JSON carries a checksum of itself and of the table, and must be byte for byte
what we would have written. Anything else is a `DamagedRecord`, never a silent answer.

**Floats** come back bit for bit. JSON has no infinities and no NaN, so that they are written
as ``{"$float": "inf"}``; the payload of a NaN is kept in tables only.
"""

import contextlib
import errno
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shallows.lab.batches import Batches, batch, line_of
from shallows.lab.documents import document_of, is_sealed, json_line, record_of, sealed, sha256
from shallows.lab.files import beside, contents, holds, is_stale, is_temporary, remove
from shallows.lab.study import NAME, Case, Record, Study, canonical, key
from shallows.lab.table import to_parquet

try:
    import fcntl
except ImportError:  # Windows: renames are atomic there too, but two of them are not
    fcntl = None  # type: ignore[assignment]  # asked for before it is used

MARKER = "shallows-store.json"
SCHEMA = 1

_KEY = re.compile(r"[0-9a-f]{20}")


class StoreError(ValueError):
    """A folder cannot be used as a store, or a record cannot be written or read."""


class NotAStore(StoreError):
    """The folder is not ours, so nothing was written into it."""


# OSError first: pickles are made anew by the constructor of the first.
class NotKept(OSError, StoreError):
    """The system has no room, or a device fails. Nobody asked for anything wrong."""


class MissingRecord(StoreError):
    """There is no record under this key."""


class DamagedRecord(StoreError):
    """A record is there, but it is not what was written."""

    def __init__(self, path: Path, reason: str):
        super().__init__(path, reason)  # both, so that the error can be pickled
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"Damaged record {self.path}: {self.reason}. Sweep its study again to recompute it, "
            "or delete the file."
        )


@dataclass(frozen=True)
class Damage:
    """A file in a store that is not as it should be, and why."""

    path: Path
    reason: str


class Store:
    """One folder of records. Opening a folder that is missing or empty makes it a store.

    **Raises.** `NotAStore` where the folder holds something else, `StoreError` where it cannot
    be used. To look into a store without ever making one, use `Store.existing`.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self._batches: dict[str, Batches] = {}
        self._looked: dict[str, float] = {}
        with _explained(f"The folder {self.folder} cannot be used as a store", StoreError):
            if self.folder.exists() and not self.folder.is_dir():
                raise NotAStore(
                    f"A store is a folder, and {self.folder} is a file. Choose a folder."
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            marker = self.folder / MARKER
            # In this order, because another process may be making and filling this very store.
            strangers = [p.name for p in self.folder.iterdir() if not is_temporary(p)]
            if not marker.exists():
                if strangers:
                    raise NotAStore(
                        f"The folder {self.folder} is not empty and not a store (no {MARKER}, but "
                        f"{min(strangers)}). Choose another; nothing was written into this one."
                    )
                self._put({marker: json_line({"format": "shallows-store", "schema": SCHEMA})})
            _check_marker(marker)

    @classmethod
    def existing(cls, folder: str | os.PathLike[str]) -> "Store":
        """The store in this folder, which must be one already."""
        if not (Path(folder) / MARKER).exists():
            raise NotAStore(f"There is no store in {folder} (no {MARKER}). Check the path.")
        return cls(folder)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {
            "folder": self.folder,
            "_batches": {},
            "_looked": {},
        }  # whoever gets it looks for itself

    def has(self, study: Study, case: Case) -> bool:
        """Whether there is a record; `read` says whether it is sound."""
        return self.holds(study, key(study, case))

    def holds(self, study: Study | str, key: str, *, look: bool = True) -> bool:
        """Whether there is a record under this key; without `look`, as far as was seen before."""
        if os.path.exists(self._path(study, key)):  # which is false where nobody may look
            return True
        batches = self._batched(study)
        return key in (batches.refresh() if look else batches).places

    def look(self, study: Study | str) -> None:
        """Look for what others have written, for the sake of `holds` without `look`.

        Not more than twice a second, since it means to list a folder that may be long.
        """
        name = _name(study)
        if time.monotonic() > self._looked.get(name, -1.0) + 0.5:
            self._batched(study).refresh()
            self._looked[name] = time.monotonic()

    def read(self, study: Study | str, key: str) -> Record:
        """The record, verified.

        **Raises.** `MissingRecord`, or `DamagedRecord` with the path and what is wrong.
        """
        path = self._path(study, key)
        if not os.path.exists(path):
            record = self._in_batches(study, key)
            if record is not None:
                return record
        try:
            return _read(path)
        except (MissingRecord, DamagedRecord):
            # Perhaps we looked between a writer's two renames. It is done when the lock is free.
            with self._locked():
                return _read(path)

    def write(self, record: Record) -> None:
        """Keep the record, replacing one of the same key.

        **Raises.** `NotKept` if it could not be written; then nothing of it is left.
        """
        path = self._path(record.study, record.key)
        parquet = path.with_suffix(".parquet")
        files: dict[Path, bytes] = {}
        if record.table is not None:
            files[parquet] = to_parquet(record.table)
        files[path] = sealed(document_of(record, sha256(files[parquet]) if files else None))
        with _explained(f"Could not write {path}", NotKept):
            path.parent.mkdir(exist_ok=True)
            self._put(files)
            if record.table is None:
                remove(parquet)

    def write_all(self, records: Iterable[Record]) -> None:
        """Keep the records; those that are new and have no table share a file for each study.

        **Raises.** `NotKept` if they could not be written; each is there whole, or not at all.
        """
        together: dict[str, list[Record]] = {}
        for record in records:
            # A record in a file of its own is found first, so that it can replace another.
            if record.table is not None or self.holds(record.study, record.key, look=False):
                self.write(record)
            else:
                together.setdefault(record.study, []).append(record)
        for study, small in together.items():
            if len(small) == 1:
                self.write(small[0])
                continue
            lines = (line_of(r.key, canonical(document_of(r, None))) for r in small)
            name, data = batch(lines)
            path = self.folder / _name(study) / name
            with _explained(f"Could not write {path}", NotKept):
                path.parent.mkdir(exist_ok=True)
                self._put({path: data})

    def studies(self) -> list[str]:
        """The names of the studies that have records."""
        own = {path.parent.name for path in self.folder.glob("*/*.json") if _is_ours(path)}
        batched = {path.parent.name for path in self.folder.glob("*/batch-*.jsonl")}
        return sorted(own | {name for name in batched if NAME.fullmatch(name)})

    def keys(self, study: Study | str) -> list[str]:
        """The keys of a study's records, of all its versions, sorted."""
        folder = self.folder / _name(study)
        own = {path.stem for path in folder.glob("*.json") if _is_ours(path)}
        return sorted(own | self._batched(study).refresh().places.keys())

    def records(self, study: Study | str) -> Iterator[Record]:
        """The records of a study in the order of their keys.

        Of a `Study`, those of its version; of a name, those of every version there is. A damaged
        record raises; `check` finds all of them.
        """
        for name in self.keys(study):
            record = self.read(study, name)
            if isinstance(study, str) or record.version == study.version:
                yield record

    def check(self, *, step: Callable[[], Any] = lambda: None) -> list[Damage]:
        """Everything wrong in the store: damaged records, tables without one, stale files.

        Every record is read and verified; `step` is called once for each.
        """
        found = []
        self._batches.clear()  # what has been seen may have been altered since
        for study in self.studies():
            for name in self.keys(study):
                step()
                try:
                    self.read(study, name)
                except MissingRecord:  # somebody deleted it while we looked
                    continue
                except DamagedRecord as error:
                    found.append(Damage(error.path, error.reason))
            faults = (Damage(*fault) for fault in self._batched(study).faults())
            found += [damage for damage in faults if damage not in found]
        for folder in sorted({path.parent for path in self.folder.glob("*/*.parquet")}):
            if NAME.fullmatch(folder.name) and self._tables_alone(folder):
                with self._locked():  # perhaps we looked between two renames
                    alone = self._tables_alone(folder)
                found += [Damage(path, "a table without a record") for path in alone]
        found += [Damage(path, "left by a writer that was killed") for path in self._stale()]
        return found

    def clean(self) -> None:
        """Remove what killed writers left behind; files of living ones stay."""
        for path in self._stale():
            with contextlib.suppress(OSError):  # a store that is only read stays as it is
                path.unlink(missing_ok=True)

    def mend(self, study: Study | str) -> None:
        """Put whole batches in the place of damaged ones, and remove tables that have no record.

        Lines that are beyond reading stay, and are named by `check`, until they are answered
        elsewhere. A store that cannot be written stays as it is.
        """
        batches = self._batched(study).doubt().refresh()

        def is_elsewhere(key: str) -> bool:
            place = batches.places.get(key)
            is_batched = place is not None and place[0] not in batches.damaged
            return is_batched or self._path(study, key).exists()

        with contextlib.suppress(OSError), self._locked() as is_alone:
            whole: dict[str, bytes] = {}
            for lines in batches.mended(is_elsewhere):
                whole.update([batch(lines)] if lines else [])
            for name, data in whole.items():
                if not holds(batches.folder / name, data):
                    self._put({batches.folder / name: data}, is_locked=True)
            for name in batches.damaged - whole.keys():
                remove(batches.folder / name)
            if is_alone:  # or somebody may be between two renames
                for parquet in self._tables_alone(batches.folder):
                    remove(parquet)
        batches.refresh()

    def _tables_alone(self, folder: Path) -> list[Path]:
        """Tables without a record; without the lock also one that is being written."""
        parquets = [path for path in sorted(folder.glob("*.parquet")) if _is_ours(path)]
        return [path for path in parquets if not os.path.lexists(path.with_suffix(".json"))]

    def _in_batches(self, study: Study | str, key: str) -> Record | None:
        batches, damage = self._batched(study), None
        while key in batches.places or key in batches.refresh().places:
            path = batches.folder / batches.places[key][0]
            try:
                return batches.record(key)
            except FileNotFoundError:  # it has been mended, and there is another
                pass
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None)
                said = f"it cannot be read ({reason})" if reason else str(error)
                if damage is not None or path.name in batches.damaged:
                    raise DamagedRecord(path, said) from error
                damage = said  # unless it is only that the file was altered since it was seen
            batches.forget(path.name)
        return None

    def _batched(self, study: Study | str) -> Batches:
        name = _name(study)
        return self._batches.setdefault(name, Batches(self.folder / name))

    def _stale(self) -> list[Path]:
        found = [*self.folder.glob(".*.tmp"), *self.folder.glob("*/.*.tmp")]
        return sorted(filter(is_stale, found))

    def _path(self, study: Study | str, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(
                f"A key has 20 hexadecimal digits, not {key!r}. Use `key(study, case)`."
            )
        return self.folder / _name(study) / f"{key}.json"

    def _put(self, files: dict[Path, bytes], *, is_locked: bool = False) -> None:
        """Write all files beside their places, then rename them in order."""
        written = {path: beside(path) for path in files}
        *tables, last = files
        try:
            for path, data in files.items():
                with written[path].open("xb") as file:
                    file.write(data)
                    file.flush()
                    # Before the rename, or a power cut could leave a name without its content.
                    os.fsync(file.fileno())
            # Locks of one process that come from two openings of a file exclude one another.
            with contextlib.nullcontext() if is_locked else self._locked():
                for path in tables:
                    # An old record must not lie beside another table, not even for a moment.
                    if path.exists() and not holds(path, files[path]):
                        remove(last)
                for path in files:
                    try:
                        os.replace(written[path], path)
                    except IsADirectoryError:
                        remove(path)
                        os.replace(written[path], path)
        except OSError:
            if not last.exists():  # the last rename failed, and the first left a table behind
                for path in files:
                    remove(path)
            raise
        finally:
            for temporary in written.values():
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[bool]:
        """Wait for the lock of all writers; whether there is one."""
        with contextlib.ExitStack() as stack:
            is_alone = False
            # Some network file systems have no locks. Then only writers of one record that
            # compute different tables can clash, and the checksum tells.
            with contextlib.suppress(OSError):
                file = stack.enter_context((self.folder / MARKER).open("rb"))
                if fcntl is not None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    is_alone = True
            yield is_alone


def _read(path: Path) -> Record:
    try:
        data = contents(path)
    except FileNotFoundError:
        if path.is_symlink():
            raise DamagedRecord(path, "it is a link to nothing") from None
        raise MissingRecord(f"There is no record {path}. Sweep its study to compute it.") from None
    except OSError as error:
        raise DamagedRecord(path, f"it cannot be read ({error.strerror})") from error
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedRecord(path, "it is not JSON; it may have been cut short") from None
    if not is_sealed(document, data):
        raise DamagedRecord(path, "its content does not match its checksum")
    parquet, table = path.with_suffix(".parquet"), None
    if document.get("table") is not None:
        try:
            table = contents(parquet)
        except OSError as error:
            reason = f"{parquet.name} cannot be read ({error.strerror})"
            raise DamagedRecord(path, reason) from error
        if sha256(table) != document["table"]:
            raise DamagedRecord(path, f"{parquet.name} does not match its checksum")
    try:
        record = record_of(document, table)
    except ValueError as error:
        raise DamagedRecord(path, str(error)) from error
    if (record.study, record.key) != (path.parent.name, path.stem):
        raise DamagedRecord(path, f"it answers another question, {record.study}/{record.key}")
    return record


def _name(study: Study | str) -> str:
    name = study if isinstance(study, str) else study.name
    if not NAME.fullmatch(name):
        raise ValueError(f"A study is named with a-z, 0-9 and hyphens, not {name!r}.")
    return name


def _is_ours(path: Path) -> bool:
    return bool(_KEY.fullmatch(path.stem) and NAME.fullmatch(path.parent.name))


def _check_marker(marker: Path) -> None:
    try:
        content = json.loads(contents(marker))
        schema = content["schema"]
        is_ours = content["format"] == "shallows-store" and type(schema) is int and schema > 0
    except (ValueError, TypeError, LookupError, RecursionError):
        is_ours = False
    if not is_ours:
        raise NotAStore(
            f"{marker} is not the mark of a store. Choose another folder, or delete the file if "
            "you know that the folder is a store."
        )
    if schema > SCHEMA:
        raise StoreError(
            f"The store {marker.parent} has schema {schema}, but this version of shallows knows "
            f"schemas up to {SCHEMA}. Upgrade shallows, or use another folder."
        )


# A full disk or quota, and a device that fails, whatever was being done.
_SYSTEM = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


@contextlib.contextmanager
def _explained(fact: str, kind: type[StoreError]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise (NotKept if error.errno in _SYSTEM else kind)(
            f"{fact}: {error.strerror or error}. Nothing was half-written; make room or check "
            "permissions, and run again."
        ) from error
