"""What nobody should get away with: documents with one number changed."""

import functools
import json


def altered(document):
    """Copies of a document, each with another of its numbers, or decimal strings, changed."""
    document = json.loads(json.dumps(document))
    for *way, last in _numbers(document):
        changed = json.loads(json.dumps(document))
        inner = functools.reduce(lambda part, key: part[key], way, changed)
        value = inner[last]
        inner[last] = value + 1 if isinstance(value, int) else value + "1"
        yield changed


def _numbers(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _numbers(inner, (*path, i))
    elif isinstance(value, int) or (isinstance(value, str) and any(c.isdigit() for c in value)):
        yield path
