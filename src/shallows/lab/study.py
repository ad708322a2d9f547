"""Studies, cases, results and records: a question, its instances, the answers and their keeping.

Everything here is data that survives JSON. It is checked, copied and made plain (no numpy
scalars, no tuples) once, when an object is built, so that nothing later can fail to be stored.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shallows.lab.table import columns
from shallows.notebook import shortened

NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Case:
    """One instance of a question: the numbers and words that `measure` is called with.

    **Convention.** Types matter: 1 and 1.0 are different cases, and so are 0.0 and -0.0. Numpy
    scalars count as the Python number they hold, tuples as lists. Numbers are finite.
    """

    data: Mapping[str, Any]

    def __post_init__(self):
        object.__setattr__(self, "data", _plain_mapping(self.data, "case", finite=True))


@dataclass(frozen=True, eq=False)  # no equality: arrays do not compare to one truth value
class Result:
    """What `measure` returns: values for people, and a table where there are many rows.

    Values may be infinite or NaN and are kept as such; arrays belong into the table. What only
    `measure` knows about how it computed (precision, device, seed) goes into `provenance`.
    """

    values: Mapping[str, Any]
    table: Mapping[str, np.ndarray] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        _make_plain(self)


@dataclass(frozen=True)
class Study:
    """A question: its name, a version that changes whenever its numbers may move, its measure.

    `measure` takes the data of a case (a dictionary) and returns a `Result`. To be swept in
    other processes it must be picklable: a function at the top level of a module.
    """

    name: str
    version: int | str
    measure: Callable[[dict[str, Any]], Result]

    def __post_init__(self):
        if not NAME.fullmatch(self.name):
            raise ValueError(
                f"A study is named with a-z, 0-9 and hyphens, not {self.name!r}: the name becomes "
                "a folder. Rename it, e.g. `teacher-spectrum`."
            )
        if isinstance(self.version, bool) or not isinstance(self.version, int | str):
            raise TypeError(f"A version is an integer or a string, not {self.version!r}.")


@dataclass(frozen=True, eq=False, repr=False)
class Record:
    """One answered case: question, answer, and how the answer was come by."""

    study: str
    version: int | str
    case: Case
    values: Mapping[str, Any]
    table: Mapping[str, np.ndarray] | None
    provenance: Mapping[str, Any]

    def __post_init__(self):
        _make_plain(self)

    @property
    def key(self) -> str:
        """The name under which the record is stored; see `key`."""
        return _digest(self.study, self.version, self.case)

    def __repr__(self) -> str:
        rows = 0 if self.table is None else len(next(iter(self.table.values()), ()))
        more = f", {rows} rows" if rows else ""
        question, answer = (shortened(str(dict(x))) for x in (self.case.data, self.values))
        return f"Record({self.study}: {question} → {answer}{more})"


def key(study: Study, case: Case) -> str:
    """The name of an answer: 20 hexadecimal digits of SHA-256 over study, version and case.

    **Convention.** The hash is taken over canonical JSON: keys sorted, floats as their shortest
    exact decimal. Nothing else enters, in particular no provenance.
    """
    return _digest(study.name, study.version, case)


def canonical(data: Mapping[str, Any]) -> str:
    """JSON in the one form that is hashed: ASCII, sorted, no spaces, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(name: str, version: int | str, case: Case) -> str:
    text = canonical({"study": name, "version": version, "case": case.data})
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _make_plain(target: Result | Record) -> None:
    object.__setattr__(target, "values", _plain_mapping(target.values, "values"))
    object.__setattr__(target, "provenance", _plain_mapping(target.provenance, "provenance"))
    if target.table is not None:
        object.__setattr__(target, "table", columns(target.table))


def _plain_mapping(data: Mapping[str, Any], name: str, finite: bool = False) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise TypeError(f"{name} is a {type(data).__name__}, not a mapping. Name its entries.")
    try:
        return _plain(data, name, finite)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply, or contains itself. Flatten it.") from None


def _plain(value: Any, where: str, finite: bool) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _plain_int(int(value), where)
    if isinstance(value, float) and not isinstance(value, np.generic):
        if finite and not math.isfinite(value):
            raise ValueError(
                f"{where} is {float(value)}, which equals nothing or everything and cannot be part "
                "of a question. Leave it out, or use None or a word."
            )
        return float(value)
    if isinstance(value, Mapping):
        return {
            _plain_key(name, where): _plain(entry, f"{where}[{name!r}]", finite)
            for name, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{where}[{i}]", finite) for i, entry in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__name__}, which JSON cannot hold. Use numbers, strings, lists "
        "and mappings (`array.tolist()`, `float(scalar)`), or a column of the table."
    )


def _plain_int(value: int, where: str) -> int:
    # Python refuses to print or parse integers of more than 4300 digits; far below is enough.
    if value.bit_length() > 10_000:
        raise ValueError(f"{where} is an integer of {value.bit_length()} bits. Store it as a word.")
    return value


def _plain_key(name: Any, where: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"{where} has the key {name!r}, but keys in JSON are strings. Use `str`.")
    if name.startswith("$"):
        raise ValueError(f"{where} has the key {name!r}, but `$` is reserved. Rename it.")
    return str.__str__(name)
