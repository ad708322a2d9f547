"""The figure of this entry, from its records."""

from collections.abc import Sequence

from shallows import report
from shallows.lab import Record


def picture(records: Sequence[Record]):
    """Fitted against predicted rates, and how far descent with masks is from the flow."""
    flows = [r for r in records if r.case.data["ask"] == "flow" and "fitted" in r.values]
    dots, rates = [], []
    for name in sorted({r.case.data["start"] for r in flows}):
        mine = [r.values for r in flows if r.case.data["start"] == name]
        x, y = [v["rate"] for v in mine], [v["fitted"] for v in mine]
        dots.append(report.Series(name, x, y, report.Mark.dots))
        rates += x
    ends = [min(rates), max(rates)]
    dots.append(report.Series("as predicted", ends, ends, report.Mark.dashed))
    away = []
    for r in sorted(
        (r for r in records if r.case.data["ask"] == "masks"),
        key=lambda r: (r.case.data["masks"], r.case.data["step"]),
    ):
        v = r.values
        gap = [a - b for a, b in zip(v["mean"], v["flow"], strict=True)]
        name = f"{r.case.data['masks']}, step {r.case.data['step']:g}"
        error = [2 * e for e in v["standard_error"]]
        away.append(report.Series(name, v["times"], gap, error=error))
    return report.panel_figure(
        [
            report.Panel(
                "(a) rates of convergence", "by the Hessian at the limit", "fitted to the flow",
                tuple(dots), is_x_log=True, is_y_log=True,
            ),
            report.Panel(
                "(b) random masks less flow, ± 2 s.e.", "time", "difference of the mean loss",
                tuple(away[:6]),
            ),
        ]
    )  # fmt: skip
