"""The figures of this entry, from its records: `picture(records)` and `board(records)`."""

import math
from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.lab import Record
from shallows.model.subspace import chessboard_data, diagonal_data
from shallows.papers.melamed_2023_adversarial.readings import Row, rows_of, sweep_of

_SHOWN = ("vanilla", "small start", "regularised")


def picture(records: Sequence[Record]):
    """Boundaries around a diagonal, gradients and distances, drawn; None where there are none."""
    found = panels(records)
    return report.subspace_figure(found) if found else None


def board(records: Sequence[Record]):
    """Slices and distances of the chessboard, drawn; None where it was not trained on."""
    found = chessboard_panels(records)
    return report.subspace_figure(found, columns=2) if found else None


def panels(records: Sequence[Record]) -> "list[report.BoundaryPanel | report.OffPanel]":
    """Boundaries around a diagonal; gradient against l, distance against d, both against β."""
    data = diagonal_data()
    found: list[report.BoundaryPanel | report.OffPanel] = []
    for variant in _SHOWN:
        table = _table(records, "diagonal", variant)
        if table is not None:
            u, v, outputs = _square(table, "u", "v", "output")
            found.append(report.BoundaryPanel(variant, u, v, outputs, data.points, data.labels))
    rows = [row for row in rows_of(records) if row["ask"] == "run"]
    made = [
        _panel(rows, "l", "gradient off P, d = 200", "directions l off P", ("gradient",), "bound"),
        _panel(rows, "d", "distance to a flip, l = d/2", "inputs d", ("universal", "own", "on")),
        _panel(rows, "β", "at the same margin", "scale β of the start", ("gradient", "universal")),
    ]
    return found + [one for one in made if one is not None]


def chessboard_panels(
    records: Sequence[Record],
) -> "list[report.BoundaryPanel | report.DistanceMap]":
    """For both variants a vertical slice through the middle row, and distances over the board."""
    data = chessboard_data()
    row = data.points[:, 1] == 0.5
    found: list[report.BoundaryPanel | report.DistanceMap] = []
    for variant in ("vanilla", "regularised"):
        table = _table(records, "chessboard", variant)
        if table is None:
            continue
        u, v, outputs = _square(table, "u", "v", "output")
        points = data.points[row][:, [0, 2]]
        axes = ("x₁, at x₂ = 1/2", "x₃")
        found.append(report.BoundaryPanel(variant, u, v, outputs, points, data.labels[row], axes))
        side = math.isqrt(int(np.count_nonzero(~np.isnan(table["distance"]))))
        places = np.linspace(0, 1, side)
        distances = table["distance"][: side * side].reshape(side, side)
        title = f"{variant}: distance across"
        found.append(
            report.DistanceMap(title, places, places, distances, data.points[:, :2], data.labels)
        )
    return found


_NAMES = {
    "gradient": "gradient off P",
    "universal": "universal direction",
    "own": "own gradient off P",
    "on": "gradient in P",
}


def _panel(
    rows: list[Row], letter: str, title: str, axis: str, names: tuple[str, ...], bound: str = ""
) -> "report.OffPanel | None":
    curves = []
    for name in names:
        x, y = sweep_of(rows, letter, name)
        if len(x) > 1 and len(y):
            curves.append(report.OffCurve(_NAMES[name], x, y))
    if bound and curves:
        x, y = sweep_of(rows, letter, bound)
        curves.append(report.OffCurve("√(kl/(2md))", x, y, True))
        curves.append(report.OffCurve("√2 times that", x, math.sqrt(2) * y, True))
    return report.OffPanel(title, axis, tuple(curves)) if curves else None


def _table(records: Sequence[Record], data: str, variant: str) -> dict[str, np.ndarray] | None:
    for record in records:
        case = record.case.data
        asked = (case["ask"], case.get("data"), case.get("variant"))
        if asked == ("released", data, variant) and record.table is not None:
            return {name: np.asarray(column) for name, column in record.table.items()}
    return None


def _square(table: dict[str, np.ndarray], *names: str) -> tuple[np.ndarray, ...]:
    u, v, values = (table[name] for name in names)
    side = math.isqrt(len(u))
    return np.unique(u), np.unique(v), values.reshape(side, side)
