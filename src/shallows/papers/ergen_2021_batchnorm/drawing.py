"""The figure of this entry, from its records."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shallows import report
from shallows.lab import Record
from shallows.papers import Picture


def _of(records: Sequence[Record], **data: Any) -> list[Record]:
    """Records of such cases."""
    return [r for r in records if all(r.case.data.get(k) == v for k, v in data.items())]


def _column(record: Record, name: str) -> list[float]:
    assert record.table is not None
    return np.asarray(record.table[name], dtype=float).tolist()


def _picture(records: Sequence[Record]):
    """Gaps over training, directions over time, and errors against rank."""
    return report.panel_figure([_gaps(records), _directions(records), _errors(records)])


def _gaps(records: Sequence[Record]) -> "report.Panel":
    series = []
    found = _of(records, ask="stick", step=2e-2)
    for record in sorted(found, key=lambda one: one.case.data["width"]):
        case, gaps = record.case.data, record.values["gaps"]
        # The best of the runs.
        gap = _column(record, f"gap{int(np.argmin(gaps))}")
        steps = _column(record, "step")
        name = "first layer fixed" if case["is_fixed"] else "all trained"
        series.append(
            report.Series(f"{name}, {case['width']} neurons", steps, gap, report.Mark.line)
        )
    return report.Panel(
        "(a) normalised after the ReLU", "step of Adam", "cost over optimum, less 1", tuple(series),
        is_x_log=True, is_y_log=True,
    )  # fmt: skip


def _directions(records: Sequence[Record]) -> "report.Panel":
    record = _of(records, ask="bias", is_whitened=False)[0]
    steps, values = _column(record, "step"), record.values["values"]
    series = tuple(
        report.Series(
            f"singular value {value:.2g}", steps, _column(record, f"unlearnt{i}"),
            report.Mark.line,
        )
        for i, value in enumerate(values)
    )  # fmt: skip
    return report.Panel(
        "(b) before: directions", "step of descent", "share not yet learnt", series,
        is_x_log=True,
    )  # fmt: skip


def _errors(records: Sequence[Record]) -> "report.Panel":
    series, levels = [], {}
    found = _of(records, ask="truncation", data="ours")
    ranks = found[0].values["ranks"]
    errors = np.array([record.values["errors"] for record in found])
    spread = errors.std(axis=0) / np.sqrt(len(errors)) if len(errors) > 1 else None
    series.append(
        report.Series(
            "program of rank k", ranks, errors.mean(axis=0).tolist(), report.Mark.both,
            None if spread is None else spread.tolist(),
        )
    )  # fmt: skip
    levels["descent, stopped at its best"] = float(np.mean([r.values["stopped"] for r in found]))
    levels["descent, at its end"] = float(np.mean([r.values["trained"] for r in found]))
    return report.Panel(
        "(c) on other points", "singular values kept, k", "mean squared error", tuple(series),
        levels=levels,
    )  # fmt: skip


PICTURES = (
    Picture(
        ("sticking", "bias", "truncation"),
        "(a) On eight points narrow networks end far above the certified optimum (the best of "
        "three runs), where a random first layer that stays comes close. (b) Descent learns large "
        "singular directions first. (c) Programs that keep the largest singular values do as well "
        "on other points as descent that is stopped early; with all of them the program is where "
        "descent ends.",
        _picture,
    ),
)
