"""Answers: what a sweep does with a batch of cases, in whichever process it is done."""

import functools
import hashlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shallows
from shallows.lab.origin import now
from shallows.lab.store import DamagedRecord, MissingRecord, Store
from shallows.lab.study import Case, Record, Result, Study, canonical, key

# Seconds after which a worker hands in what it has: what a kill, a lost scheduler or a power cut
# costs is this, or one case where a case takes longer.
PATIENCE = 0.5


# Nothing there is imported by a measure, but for the module that holds it.
_DOORS = {"cli", "report", "papers"}


class SweepError(RuntimeError):
    """A case could not be answered; the text names it. What was answered is kept."""


@dataclass(frozen=True)
class Identity:
    """What must be the same in all processes that answer cases of one sweep."""

    version: str
    code: str
    """A digest of the sources of the rooms and of the module of the measure."""
    precision: str
    """What JAX computes in: `float64`, or that of a process that was told otherwise."""


def identity(study: Study) -> Identity:
    """The identity of this process, for this study."""
    return Identity(shallows.__version__, _code(study), _precision())


@dataclass(frozen=True)
class Answer:
    """Answers batches of cases: measures them and keeps the records.

    The worker writes where it can, so that an answer is safe the moment it is known. Workers that
    do not see the store call `measured`, and somebody who does calls `keep`.
    """

    study: Study
    store: Store
    origin: dict[str, Any]
    identity: Identity

    def __call__(self, cases: Sequence[Case]) -> tuple[list[float | None], Exception | None]:
        """Answer the first cases, at least one, until time is up, or one fails.

        For each the seconds that it took, or None if somebody else had stored the answer meanwhile.
        """
        self.check()
        until = time.perf_counter() + PATIENCE
        self.store.look(self.study)
        seconds: list[float | None] = []
        records: list[Record] = []
        failure = None
        try:
            for case in cases:
                record = self._measured_if_missing(case)
                if record is not None:
                    records.append(record)
                seconds.append(None if record is None else record.provenance["seconds"])
                if time.perf_counter() > until:
                    break
        except Exception as error:
            failure = error
        try:
            self.store.write_all(records)
        except Exception as error:
            return [], error
        return seconds, failure

    def measured(self, cases: Sequence[Case]) -> tuple[list[Record], Exception | None]:
        """As when called, but the records are returned and nothing is looked up or kept."""
        self.check()
        until = time.perf_counter() + PATIENCE
        records: list[Record] = []
        try:
            for case in cases:
                records.append(self._measured(case, {}))
                if time.perf_counter() > until:
                    break
        except Exception as error:
            return records, error
        return records, None

    def check(self) -> None:
        """Refuse to measure where numbers may differ from those of who asks.

        **Raises.** `SweepError` with both values.
        """
        mine = identity(self.study)
        for what in ("version", "code", "precision"):
            here, there = getattr(mine, what), getattr(self.identity, what)
            if here != there:
                called = {"version": "shallows", "code": "the code", "precision": "JAX in"}[what]
                raise SweepError(
                    f"A worker runs {called} {here}, but the sweep was started by {there}. Start "
                    "Python and the workers anew, with one installation on their path."
                )

    def _measured_if_missing(self, case: Case) -> Record | None:
        name = key(self.study, case)
        if not self.store.holds(self.study, name, look=False):
            return self._measured(case, {})
        try:
            self.store.read(self.study, name)
            return None
        except MissingRecord:
            return self._measured(case, {})
        except DamagedRecord as error:
            return self._measured(case, {"replaces": str(error)})

    def _measured(self, case: Case, more: dict[str, Any]) -> Record:
        study = self.study
        start = time.perf_counter()
        try:
            result = study.measure(dict(case.data))
            if not isinstance(result, Result):
                raise TypeError(f"`measure` returned a {type(result).__name__}. Return a `Result`.")
        except Exception as error:
            raise SweepError(
                f"Study {study.name} failed on case {canonical(case.data)} ({key(study, case)}): "
                f"{type(error).__name__}: {error}. What was answered is kept; sweep again to go on."
            ) from error
        seconds = time.perf_counter() - start
        how = {**self.origin, "written": now(), "seconds": seconds, **more, **result.provenance}
        return Record(study.name, study.version, case, result.values, result.table, how)


def _precision() -> str:
    # Asked of JAX only where somebody has imported it: this room does not know it.
    jax = sys.modules.get("jax")
    if jax is None:
        is_double = os.environ.get("JAX_ENABLE_X64", "1").lower() in ("1", "true", "on", "yes")
    else:
        is_double = jax.config.jax_enable_x64
    return "float64" if is_double else "float32"


def _code(study: Study) -> str:
    measure = study.measure
    while isinstance(measure, functools.partial):
        measure = measure.func
    where = getattr(measure, "__module__", None) or type(measure).__module__
    module = sys.modules.get(where)
    return _digest(getattr(module, "__file__", None))


@functools.cache
def _digest(more: str | None) -> str:
    """Twelve hexadecimal digits for the sources of the rooms, and a file."""
    package = Path(shallows.__file__).parent
    paths = {
        path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in _DOORS
    }
    if more is not None:
        paths.add(Path(more))
    total = hashlib.sha256()
    for path in sorted(paths):
        try:
            source = path.read_bytes()
        except OSError:  # a notebook's cell, or a module in an archive
            continue
        name = path.relative_to(package).as_posix() if path.is_relative_to(package) else path.name
        total.update(f"{name}:{len(source)}\n".encode() + source)
    return total.hexdigest()[:12]
