"""The door to the eye: a census as a self-contained page, as figures and as a table.

Nothing here computes mathematics; what is drawn is what `shallows.atlas.catalogue` holds.
The names below are loaded when they are first used, so that importing this package costs
neither matplotlib nor plotly.
"""

import importlib
from typing import Any

_HOME = {
    "write_report": "shallows.report.page",
    "write_atlas_report": "shallows.report.page",
    "census_figure": "shallows.report.figures",
    "atlas_figure": "shallows.report.figures",
    "save_figure": "shallows.report.figures",
    "cone_figure": "shallows.report.portraits",
    "portrait_figure": "shallows.report.portraits",
    "write_portraits_report": "shallows.report.portraits",
    "families_table": "shallows.report.terminal",
    "proofs_table": "shallows.report.terminal",
    "sizes_table": "shallows.report.terminal",
    "OrderCurves": "shallows.report.plateaus",
    "PlateauLengths": "shallows.report.plateaus",
    "plateau_figure": "shallows.report.plateaus",
    "RateCurve": "shallows.report.linear_flows",
    "dropout_figure": "shallows.report.linear_flows",
    "Share": "shallows.report.shares",
    "wilson_interval": "shallows.report.shares",
}

__all__ = [
    "OrderCurves",
    "PlateauLengths",
    "RateCurve",
    "Share",
    "atlas_figure",
    "census_figure",
    "cone_figure",
    "dropout_figure",
    "families_table",
    "plateau_figure",
    "portrait_figure",
    "proofs_table",
    "save_figure",
    "sizes_table",
    "wilson_interval",
    "write_atlas_report",
    "write_portraits_report",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'shallows.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
