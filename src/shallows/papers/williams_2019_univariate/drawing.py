"""The figure of this entry, from its records."""

from collections.abc import Sequence

from shallows import report
from shallows.lab import Record
from shallows.papers import Picture


def _picture(records: Sequence[Record]):
    """Random features and knots against their limits, and what fits are near to."""
    of: dict[str, list[dict]] = {}
    for record in records:
        of.setdefault(record.case.data["ask"], []).append({**record.case.data, **record.values})
    kernels, features, fits = of["kernel"], of["features"], of["fit"]
    widths = sorted(row["width"] for row in features)
    first = min(features, key=lambda row: row["width"])
    root = [first["error"] * (first["width"] / m) ** 0.5 for m in widths]
    errors = [2 * row["standard_error"] for row in features]
    near = []
    # The exponent that most fits have.
    most = max((row["exponent"] for row in fits), key=[r["exponent"] for r in fits].count)
    mine = [row for row in fits if row["exponent"] == most]
    scales = [row["scale"] for row in mine]
    for key, words in (("linear", "linear interpolant"), ("cubic", "natural cubic spline")):
        near.append(report.Series(words, scales, [row[key] for row in mine]))
    return report.panel_figure(
        [
            report.Panel(
                "(a) knots in [−R, R]", "R", "gap to the natural cubic spline",
                (report.Series("", [r["reach"] for r in kernels], [r["gap"] for r in kernels]),),
                is_x_log=True, is_y_log=True,
            ),
            report.Panel(
                "(b) random features", "width m", "error, ± 2 s.e.",
                (
                    report.Series(
                        "", [row["width"] for row in features],
                        [row["error"] for row in features], report.Mark.dots, errors,
                    ),
                    report.Series("m^(−1/2)", widths, root, report.Mark.dashed),
                ),
                is_x_log=True, is_y_log=True,
            ),
            report.Panel(
                f"(c) fits, α = m^{most:g}", "scale κ", "distance (rms)", tuple(near),
                is_x_log=True, is_y_log=True,
            ),
        ]
    )  # fmt: skip


PICTURES = (
    Picture(
        ("kernel", "random-features", "adaptive"),
        "(a) The kernel's interpolant is the natural cubic spline, once knots reach far. (b) "
        "Random layers approach the kernel like m^(−1/2). (c) From a small scale κ fits are "
        "near the linear interpolant, from a large one near the cubic spline.",
        _picture,
    ),
)
