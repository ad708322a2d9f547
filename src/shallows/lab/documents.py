"""Documents: records as JSON, with a checksum, and back.

JSON has no infinities and no NaN, so that they are written as ``{"$float": "inf"}``.
"""

import hashlib
import math
from typing import Any

from shallows.lab.study import Case, Record, canonical
from shallows.lab.table import from_parquet


def document_of(record: Record, table: str | None) -> dict[str, Any]:
    """What is written of a record; `table` is the checksum of its table."""
    return {
        "study": record.study,
        "version": record.version,
        "case": record.case.data,
        "values": _encode(record.values),
        "table": table,
        "provenance": _encode(record.provenance),
    }


def record_of(document: dict[str, Any], table: bytes | None) -> Record:
    """The record in a document. **Raises.** `ValueError` where there is none."""
    try:
        return Record(
            study=document["study"],
            version=document["version"],
            case=Case(document["case"]),
            values=_decode(document["values"]),
            table=None if table is None else from_parquet(table),
            provenance=_decode(document["provenance"]),
        )
    # A checksum may be right and yet no record be there, also where pyarrow looks for its table.
    except (LookupError, TypeError, ValueError, ArithmeticError, OSError, RuntimeError) as error:
        raise ValueError("it is JSON, but not a record") from error


def sealed(document: dict[str, Any]) -> bytes:
    """The document with its checksum, as bytes."""
    checksum = sha256(canonical(document).encode())
    return json_line({**document, "checksum": checksum})


def is_sealed(document: Any, data: bytes) -> bool:
    """Whether these bytes are what we would have written."""
    if not isinstance(document, dict):
        return False
    content = {name: value for name, value in document.items() if name != "checksum"}
    try:
        # Stricter than the checksum alone: an added space or a doubled key is seen as well.
        return sealed(content) == data
    except (ValueError, RecursionError):  # NaN, which we never write
        return False


def json_line(document: dict[str, Any]) -> bytes:
    """Canonical JSON and a line feed."""
    return f"{canonical(document)}\n".encode()


def sha256(data: bytes) -> str:
    """The checksum of all files and records."""
    return hashlib.sha256(data).hexdigest()


def _encode(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, dict):
        return {name: _encode(entry) for name, entry in value.items()}
    return [_encode(entry) for entry in value] if isinstance(value, list) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"$float"}:
            return float(value["$float"])
        return {name: _decode(entry) for name, entry in value.items()}
    return [_decode(entry) for entry in value] if isinstance(value, list) else value
