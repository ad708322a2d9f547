"""Batches: many small records in one file, each with a checksum of its own.

A record without a table is a few hundred bytes, and a file of its own costs it two renames'
worth of waiting for the disk. Records that are written together share ``batch-HASH.jsonl``,
HASH of its content: one line each, ``{"checksum": …, "key": …, "record": …}``, the checksum taken
over the bytes of the record. A batch is written beside its place and renamed, and never changed.
A line that was altered is known by its checksum, a line that was lost by the name of the file, and
neither harms the others.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from shallows.lab.documents import record_of
from shallows.lab.files import contents
from shallows.lab.study import Record

_FILE = re.compile(r"batch-([0-9a-f]{20})\.jsonl")
# Loose where it can be, so that a line with an altered checksum still says which key it had.
_HEAD = re.compile(rb'\{"checksum":"(?P<sum>.{64})","key":"(?P<key>[0-9a-f]{20})",')
_LINE = re.compile(_HEAD.pattern + rb'"record":(?P<text>.*)\}')


def batch(lines: Iterable[bytes]) -> tuple[str, bytes]:
    """Name and content of the file with these lines."""
    data = b"".join(line + b"\n" for line in lines)
    return f"batch-{_digest(data)}.jsonl", data


def line_of(key: str, text: str) -> bytes:
    """The line for a record, which is canonical JSON."""
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return f'{{"checksum":"{checksum}","key":"{key}","record":{text}}}'.encode()


def record_in(line: bytes, study: str) -> Record:
    """The record of this study in a line. **Raises.** `ValueError` with what is wrong with it."""
    record, _ = _content(line)
    if (record.study, record.key) != (study, _key_of(line)):
        raise ValueError(f"it answers another question, {record.study}/{record.key}")
    return record


class Batches:
    """The batches of one folder, and where they keep each key: file, first byte, bytes, line.

    **Cost.** About 300 bytes a record in memory; a file is read once, when it is new.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.places: dict[str, tuple[str, int, int, int]] = {}
        self.damaged: set[str] = set()
        self._known: dict[str, tuple[int, ...]] = {}  # with signatures

    def refresh(self) -> "Batches":
        """Look for files that have come or gone."""
        try:
            names = {entry for entry in os.listdir(self.folder) if _FILE.fullmatch(entry)}
        except OSError:  # no folder yet, or a file in its place: no batches
            names = set()
        gone = self._known.keys() - names
        if gone:
            self.damaged -= gone
            self.places = {k: place for k, place in self.places.items() if place[0] not in gone}
            self._known = {name: seen for name, seen in self._known.items() if name in names}
        for name in sorted(names - self._known.keys()):
            self._add(name)
        return self

    def doubt(self) -> "Batches":
        """Forget the files that were altered since they were seen."""
        for name, seen in list(self._known.items()):
            if seen != self._signature(name):
                self.forget(name)
        return self

    def forget(self, name: str) -> None:
        """Take a file for one that was never seen: it is not what it was, or it is gone."""
        self.damaged.discard(name)
        self.places = {k: place for k, place in self.places.items() if place[0] != name}
        self._known.pop(name, None)

    def record(self, key: str) -> Record:
        """The record at the place of a key.

        **Raises.** `OSError` if its file cannot be read, `ValueError` with what is wrong.
        """
        name, first, count, number = self.places[key]
        line = contents(self.folder / name, first, count)
        try:
            record = record_in(line, self.folder.name)
            if record.key != key:  # the file was altered since it was seen
                raise ValueError(f"it answers another question, {record.study}/{record.key}")
        except ValueError as error:
            raise ValueError(f"line {number} ({key}): {error}") from error
        return record

    def faults(self) -> Iterator[tuple[Path, str]]:
        """Every file that is not as it was written, with what is wrong, line by line."""
        for name in sorted(self.damaged):
            path, is_named = self.folder / name, False
            try:
                data = contents(path)
            except FileNotFoundError:  # somebody mended it while we looked
                continue
            except OSError as error:
                yield path, f"it cannot be read ({error.strerror})"
                continue
            for number, line in _lines(data):
                try:
                    record_in(line, self.folder.name)
                except ValueError as error:
                    is_named = True
                    yield path, f"line {number} ({_key_of(line) or 'key unknown'}): {error}"
            if not is_named:
                yield path, "it does not match its name; whole lines may have been lost"

    def mended(self, is_elsewhere: Callable[[str], bool]) -> Iterator[list[bytes]]:
        """For each damaged file the lines of one to put in its place.

        What is left out is beyond reading, and answered elsewhere or without a key. A file that
        is there, but not for us to read, is taken out of the damaged ones.
        """
        for name in sorted(self.damaged):
            path = self.folder / name
            try:
                data = contents(path) if path.is_file() else b""
            except OSError:
                self.damaged.discard(name)
                continue
            kept: dict[str, bytes] = {}
            for _, line in _lines(data):
                try:
                    record, text = _content(line)
                    if record.study != self.folder.name:
                        raise ValueError
                    # Its key may have been altered, and is known again from the record.
                    kept[record.key] = line_of(record.key, text)
                except ValueError:
                    key = _key_of(line)
                    if key is not None and not is_elsewhere(key):
                        kept.setdefault(key, line)
            yield list(kept.values())

    def _add(self, name: str) -> None:
        seen = self._signature(name)
        try:
            data = contents(self.folder / name)
        except FileNotFoundError:
            return
        except OSError:  # its faults will say so
            data = b""
            self.damaged.add(name)
        self._known[name] = seen
        is_whole = name == f"batch-{_digest(data)}.jsonl"
        if not is_whole:
            self.damaged.add(name)
        first = 0
        for number, line in _lines(data):
            key = _key_of(line)
            # Where two files have one key, a sound line must not be hidden by a damaged one.
            if key is not None and (is_whole or key not in self.places):
                self.places[key] = name, first, len(line), number
            first += len(line) + 1

    def _signature(self, name: str) -> tuple[int, ...]:
        """What changes when a file does, as good as always."""
        try:
            status = (self.folder / name).stat()
        except OSError:
            return ()
        return status.st_size, status.st_mtime_ns, status.st_ino


def _content(line: bytes) -> tuple[Record, str]:
    """The record that a line holds under whichever key, and its text."""
    match = _LINE.fullmatch(line)
    if not match:
        raise ValueError("it is not a record; it may have been cut short")
    if hashlib.sha256(match["text"]).hexdigest().encode() != match["sum"]:
        raise ValueError("its content does not match its checksum")
    text = match["text"].decode()
    try:
        document = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return record_of(document, None), text


def _key_of(line: bytes) -> str | None:
    """The key that a line says it has, sound or not; None if it is beyond reading."""
    match = _HEAD.match(line)
    return match["key"].decode() if match else None


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    lines = data.split(b"\n")
    return ((n, line) for n, line in enumerate(lines, 1) if line or n < len(lines))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:20]
