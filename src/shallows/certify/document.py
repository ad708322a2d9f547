"""Certificates as documents: sealed by a digest, read only if nothing was altered or is missing."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any


def sealed(body: dict[str, Any]) -> dict[str, Any]:
    """A document with the digest of its contents, as JSON keeps them."""
    return {**body, "digest": digest(json.loads(json.dumps(body)))}


def digest(body: dict[str, Any]) -> str:
    """Identifies the contents of a certificate."""
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def opened(document: Any, *schemas: str) -> dict[str, Any]:
    """What a document holds besides its schema and its digest, if it was not altered.

    **Raises.** `ValueError`: not a certificate, of another schema, or altered.
    """
    if not isinstance(document, dict) or "schema" not in document:
        raise ValueError(
            "This is not a certificate: it has no `schema`. Give a file that `shallows certify` or "
            "`shallows theorem` wrote."
        )
    if document["schema"] not in schemas:
        raise ValueError(
            f"The certificate has schema {document['schema']!r}, and this version reads "
            f"{' and '.join(map(repr, schemas))}. Use the version of shallows that made it, or a "
            f"newer one."
        )
    body = {key: value for key, value in document.items() if key != "digest"}
    if document.get("digest") != digest(body):
        raise ValueError(
            "The certificate was altered after it was made: its digest does not match its "
            "contents. Make it again."
        )
    body.pop("schema")
    return body


@contextlib.contextmanager
def well_formed() -> Iterator[None]:
    """Say of what is missing, or of another kind, that the document is malformed."""
    try:
        yield
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"The certificate is malformed: {error}. Make it again.") from error


def texts(values: Any) -> tuple[str, ...]:
    """A list of texts, such as decimal strings."""
    if not isinstance(values, list | tuple) or not all(isinstance(v, str) for v in values):
        raise TypeError(f"{values!r:.100} is no list of texts")
    return tuple(values)


def pair(values: Any) -> tuple[str, str]:
    """Two decimal strings."""
    is_list = isinstance(values, list | tuple) and len(values) == 2
    if not is_list or not all(isinstance(v, str) for v in values):
        raise TypeError(f"{values!r:.100} is no pair of decimal strings")
    low, high = values
    return low, high


def whole(name: str, value: Any, least: int, most: int) -> int:
    """An integer in a range."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if not is_whole or not least <= value <= most:
        raise ValueError(f"`{name}` is {value!r}, but must be an integer from {least} to {most}.")
    return value


def agrees(body: dict[str, Any], made: Any) -> None:
    """Require that the words of a document are those that its data make.

    **Raises.** `ValueError` if they are not.
    """
    if (body["statement"], body["verdict"]) != (made.statement, made.verdict.value):
        raise ValueError("The certificate's words do not say what its data say. Make it again.")
