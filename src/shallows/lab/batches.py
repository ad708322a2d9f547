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
from typing import Any

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


def document(line: bytes) -> Any:
    """What a line holds. **Raises.** `ValueError` with what is wrong with it."""
    match = _LINE.fullmatch(line)
    if not match:
        raise ValueError("it is not a record; it may have been cut short")
    if hashlib.sha256(match["text"]).hexdigest().encode() != match["sum"]:
        raise ValueError("its content does not match its checksum")
    return json.loads(match["text"])


class Batches:
    """The batches of one folder, and where they keep each key: file, first byte, bytes, line.

    **Cost.** About 300 bytes a record in memory; a file is read once, when it is new.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.places: dict[str, tuple[str, int, int, int]] = {}
        self.damaged: set[str] = set()
        self._known: set[str] = set()

    def refresh(self) -> "Batches":
        """Look for files that have come or gone."""
        try:
            names = {entry for entry in os.listdir(self.folder) if _FILE.fullmatch(entry)}
        except OSError:  # no folder yet, or a file in its place: no batches
            names = set()
        gone = self._known - names
        if gone:
            self.damaged -= gone
            self.places = {k: place for k, place in self.places.items() if place[0] not in gone}
            self._known &= names
        for name in sorted(names - self._known):
            self._add(name)
        return self

    def find(self, key: str) -> tuple[Path, int, bytes] | None:
        """File, number and text of the line of a key, or None."""
        place = self.places.get(key)
        if place is None:
            return None
        name, first, count, number = place
        with (self.folder / name).open("rb") as file:
            file.seek(first)
            return self.folder / name, number, file.read(count)

    def faults(self) -> Iterator[tuple[Path, str]]:
        """Every file that is not as it was written, with what is wrong, line by line."""
        for name in sorted(self.damaged):
            path, is_named = self.folder / name, False
            for number, line in _lines(path.read_bytes()):
                try:
                    document(line)
                except ValueError as error:
                    is_named = True
                    yield path, f"line {number} ({_key_of(line) or 'key unknown'}): {error}"
            if not is_named:
                yield path, "it does not match its name; whole lines may have been lost"

    def mended(self, is_elsewhere: Callable[[str], bool]) -> Iterator[tuple[str, str, bytes]]:
        """For each damaged file its name, and name and content of one to put in its place.

        What is left out is beyond reading, and answered elsewhere or without a key.
        """
        for name in sorted(self.damaged):
            kept = []
            for _, line in _lines((self.folder / name).read_bytes()):
                key = _key_of(line)
                try:
                    document(line)
                except ValueError:
                    if key is None or is_elsewhere(key):
                        continue
                kept.append(line)
            yield name, *batch(kept)

    def _add(self, name: str) -> None:
        try:
            data = (self.folder / name).read_bytes()
        except FileNotFoundError:
            return
        except OSError:  # its faults will say so
            data = b""
        self._known.add(name)
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


def _key_of(line: bytes) -> str | None:
    """The key that a line says it has, sound or not; None if it is beyond reading."""
    match = _HEAD.match(line)
    return match["key"].decode() if match else None


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    lines = data.split(b"\n")
    return ((n, line) for n, line in enumerate(lines, 1) if line or n < len(lines))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:20]
