"""The door to the eye: a census as a self-contained page, as figures and as a table.

Nothing here computes mathematics; what is drawn is what `shallows.atlas.catalogue` holds.
The names below are loaded when they are first used, so that importing this package costs
neither matplotlib nor plotly.
"""

import importlib
from typing import Any

_HOME = {
    "Reference": "shallows.report.references",
    "bibliography": "shallows.report.references",
    "Exhibit": "shallows.report.exhibits",
    "ExhibitedClaim": "shallows.report.exhibits",
    "ExhibitedFigure": "shallows.report.exhibits",
    "write_figures": "shallows.report.shelf",
    "write_shelf_report": "shallows.report.shelf",
    "Mark": "shallows.report.panels",
    "Panel": "shallows.report.panels",
    "Series": "shallows.report.panels",
    "panel_figure": "shallows.report.panels",
    "write_report": "shallows.report.page",
    "write_atlas_report": "shallows.report.page",
    "census_figure": "shallows.report.figures",
    "atlas_figure": "shallows.report.figures",
    "save_figure": "shallows.report.figures",
    "cells_figure": "shallows.report.cells",
    "fit_figure": "shallows.report.convex",
    "sampling_figure": "shallows.report.convex",
    "cone_figure": "shallows.report.portraits",
    "portrait_figure": "shallows.report.portraits",
    "write_portraits_report": "shallows.report.portraits",
    "families_table": "shallows.report.terminal",
    "proofs_table": "shallows.report.terminal",
    "sizes_table": "shallows.report.terminal",
    "OrderCurves": "shallows.report.plateaus",
    "PlateauLengths": "shallows.report.plateaus",
    "plateau_figure": "shallows.report.plateaus",
    "DepthCurve": "shallows.report.capacities",
    "GapCloud": "shallows.report.capacities",
    "depth_figure": "shallows.report.capacities",
    "gap_figure": "shallows.report.capacities",
    "RateCurve": "shallows.report.linear_flows",
    "dropout_figure": "shallows.report.linear_flows",
    "PowerPanel": "shallows.report.powers",
    "PowerSeries": "shallows.report.powers",
    "power_figure": "shallows.report.powers",
    "BoundaryPanel": "shallows.report.subspaces",
    "DistanceMap": "shallows.report.subspaces",
    "OffCurve": "shallows.report.subspaces",
    "OffPanel": "shallows.report.subspaces",
    "subspace_figure": "shallows.report.subspaces",
    "ExtractionCost": "shallows.report.extractions",
    "extraction_figure": "shallows.report.extractions",
    "Share": "shallows.report.shares",
    "wilson_interval": "shallows.report.shares",
    "write_site": "shallows.report.site",
}

__all__ = [
    "BoundaryPanel",
    "DepthCurve",
    "DistanceMap",
    "Exhibit",
    "ExhibitedClaim",
    "ExhibitedFigure",
    "ExtractionCost",
    "GapCloud",
    "Mark",
    "OrderCurves",
    "Panel",
    "PlateauLengths",
    "PowerPanel",
    "PowerSeries",
    "RateCurve",
    "Reference",
    "Series",
    "Share",
    "atlas_figure",
    "bibliography",
    "cells_figure",
    "census_figure",
    "cone_figure",
    "depth_figure",
    "dropout_figure",
    "extraction_figure",
    "families_table",
    "fit_figure",
    "gap_figure",
    "panel_figure",
    "plateau_figure",
    "portrait_figure",
    "power_figure",
    "proofs_table",
    "sampling_figure",
    "save_figure",
    "sizes_table",
    "subspace_figure",
    "wilson_interval",
    "write_atlas_report",
    "write_figures",
    "write_portraits_report",
    "write_report",
    "write_shelf_report",
    "write_site",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'shallows.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
