"""The figure of this entry, from its records."""

from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.lab import Record

_ORDERS = (0, 2, 4, 6)


def picture(records: Sequence[Record]):
    """Losses by order in the largest run of each kind, and the length of plateaus against d."""
    plain = [r for r in records if r.case.data["ask"] == "training" and _is_plain(r)]
    whole, sampled = ([r for r in plain if (_samples(r) is not None) is s] for s in (False, True))
    kernel = min(
        (r.values["loss"] for r in records if r.case.data["ask"] == "kernel"), default=None
    )
    shown = [max(some, key=lambda r: r.case.data["inputs"]) for some in (whole, sampled) if some]
    sized = [r for r in whole if r.case.data["neurons"] == 4 * r.case.data["inputs"]]
    lasted = [
        (r.case.data["inputs"], r.values["plateau"]["length"]) for r in sized if r.values["plateau"]
    ]
    lengths = None
    if len({d for d, _ in lasted}) > 1:
        lengths = report.PlateauLengths(*np.array(lasted, dtype=float).T)
    return report.plateau_figure([_curves(r, kernel) for r in shown], lengths) if shown else None


def _samples(record: Record) -> int | None:
    return record.case.data.get("samples")


def _is_plain(record: Record) -> bool:
    """Absolute-value students of one stage, as the figure's caption has it."""
    case = record.case.data
    return (
        case["activation"] == "abs"
        and case.get("kappa", 1.0) == 1.0
        and "bounds" not in case
        and record.table is not None
    )


def _curves(record: Record, kernel: float | None) -> "report.OrderCurves":
    table, case = record.table, record.case.data
    assert table is not None
    number = _samples(record)
    where = "population" if number is None else f"{number} samples"
    return report.OrderCurves(
        f"{where}, d = {case['inputs']}, m = {case['neurons']}",
        table["time"],
        table["loss"],
        _ORDERS,
        np.stack([table[f"order_{k}"] for k in _ORDERS], axis=1),
        record.values["floor"],
        kernel,
        table.get("sampled_loss"),
    )
