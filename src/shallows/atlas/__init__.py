"""What we found: the catalogue of critical points that training leads to, and named families.

The names below are loaded when they are first used, so that a report of a census, which needs
only the nouns in `catalogue`, does not pay for JAX.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

from shallows.atlas.catalogue import Census, Curve, Family, Kind, Level, Proof

_HOME = {
    "AbstractDirections": "shallows.atlas.basins",
    "AlongArcs": "shallows.atlas.basins",
    "Annihilation": "shallows.atlas.extra",
    "ArcEnd": "shallows.atlas.arcs",
    "ArcsCompared": "shallows.atlas.arcs",
    "Basin": "shallows.atlas.basins",
    "Bound": "shallows.atlas.shares",
    "Compared": "shallows.atlas.families",
    "Continuation": "shallows.atlas.extra",
    "DeepCensus": "shallows.atlas.depth",
    "DeepFamily": "shallows.atlas.depth",
    "Direction": "shallows.atlas.extra",
    "Discovery": "shallows.atlas.discovery",
    "Intermediate": "shallows.atlas.sheets",
    "Member": "shallows.atlas.families",
    "NamedArc": "shallows.atlas.arcs",
    "Pulse": "shallows.atlas.census",
    "Ring": "shallows.atlas.basins",
    "Search": "shallows.atlas.discovery",
    "Sheet": "shallows.atlas.sheets",
    "SiteData": "shallows.atlas.site",
    "Softest": "shallows.atlas.basins",
    "Theorem": "shallows.atlas.theorems",
    "Threshold": "shallows.atlas.thresholds",
    "Uniform": "shallows.atlas.basins",
    "annihilation": "shallows.atlas.extra",
    "arcs": "shallows.atlas.arcs",
    "arcs_compared": "shallows.atlas.arcs",
    "basin": "shallows.atlas.basins",
    "bounds": "shallows.atlas.shares",
    "census": "shallows.atlas.census",
    "certified": "shallows.atlas.theorems",
    "certified_census": "shallows.atlas.certification",
    "certified_point": "shallows.atlas.certification",
    "certified_threshold": "shallows.atlas.theorems",
    "certified_wider": "shallows.atlas.theorems",
    "clopper_pearson": "shallows.atlas.shares",
    "compared": "shallows.atlas.families",
    "continuations": "shallows.atlas.extra",
    "deep_census": "shallows.atlas.depth",
    "discover": "shallows.atlas.discovery",
    "family_name": "shallows.atlas.naming",
    "member": "shallows.atlas.families",
    "missed": "shallows.atlas.shares",
    "series": "shallows.atlas.series",
    "sheets": "shallows.atlas.sheets",
    "site_data": "shallows.atlas.site_data",
    "spurious": "shallows.atlas.theorems",
    "spurious_everywhere": "shallows.atlas.theorems",
    "spurious_to_infinity": "shallows.atlas.theorems",
    "threshold": "shallows.atlas.thresholds",
}

__all__ = [
    "AbstractDirections",
    "AlongArcs",
    "Annihilation",
    "ArcEnd",
    "ArcsCompared",
    "Basin",
    "Bound",
    "Census",
    "Compared",
    "Continuation",
    "Curve",
    "DeepCensus",
    "DeepFamily",
    "Direction",
    "Discovery",
    "Family",
    "Intermediate",
    "Kind",
    "Level",
    "Member",
    "NamedArc",
    "Proof",
    "Pulse",
    "Ring",
    "Search",
    "Sheet",
    "SiteData",
    "Softest",
    "Theorem",
    "Threshold",
    "Uniform",
    "annihilation",
    "arcs",
    "arcs_compared",
    "basin",
    "bounds",
    "census",
    "certified",
    "certified_census",
    "certified_point",
    "certified_threshold",
    "certified_wider",
    "clopper_pearson",
    "compared",
    "continuations",
    "deep_census",
    "discover",
    "family_name",
    "member",
    "missed",
    "series",
    "sheets",
    "site_data",
    "spurious",
    "spurious_everywhere",
    "spurious_to_infinity",
    "threshold",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'shallows.atlas' has no attribute {name!r}")


class _Room(ModuleType):
    """A package whose submodules `arcs`, `census`, `series` do not hide functions of that name.

    Whoever first imports a submodule, Python binds it to its package, here to the very name of
    the function. It is ugly to step in between, but the modules are rightly called what they
    define, and importing them at once instead would cost every reader of a report JAX.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType) and _HOME.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Room
