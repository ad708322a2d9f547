"""What we found: the catalogue of critical points that training leads to.

The names below are loaded when they are first used, so that a report of a census, which needs
only the nouns in `catalogue`, does not pay for JAX.
"""

import importlib
import sys
from types import ModuleType
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
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'shallows.atlas' has no attribute {name!r}")


class _Room(ModuleType):
    """A package whose submodule `census` does not hide the function `census`.

    Whoever first imports a submodule, Python binds it to its package, here to the very name of
    the function. It is ugly to step in between, but the module is rightly called what it
    defines, and importing it at once instead would cost every reader of a report JAX.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
