"""What we found: the catalogue of critical points that training leads to.

The names below are loaded when they are first used, so that a report of a census, which needs
only the nouns in `catalogue`, does not pay for JAX.
"""

import importlib
from typing import Any

from shallows.atlas.catalogue import Census, Curve, Family, Kind, Level

_HOME = {
    "Pulse": "shallows.atlas.census",
    "census": "shallows.atlas.census",
    "family_name": "shallows.atlas.naming",
}

__all__ = ["Census", "Curve", "Family", "Kind", "Level", "Pulse", "census", "family_name"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        # `shallows.atlas.census` is also a submodule; importing it must not hide the function,
        # so all names that come from it are bound at once.
        module = importlib.import_module(_HOME[name])
        globals().update((n, getattr(module, n)) for n, h in _HOME.items() if h == _HOME[name])
        return globals()[name]
    raise AttributeError(f"module 'shallows.atlas' has no attribute {name!r}")
