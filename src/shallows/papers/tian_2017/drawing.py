"""The figure of this entry, from its records."""

from collections.abc import Sequence

from shallows import report
from shallows.lab import Record


def picture(records: Sequence[Record]):
    """Sampling errors against the angle, the saddle's place, and how long convergence takes."""
    of: dict[str, list[dict]] = {}
    for record in records:
        of.setdefault(record.case.data["ask"], []).append({**record.case.data, **record.values})
    sampling = []
    for number in sorted({row["samples"] for row in of["sampling"]}):
        mine = [row for row in of["sampling"] if row["samples"] == number]
        angles = [row["angle"] for row in mine]
        dots = report.Series(
            f"N = {number}", angles, [row["rms"] for row in mine], report.Mark.dots
        )
        exact = report.Series("", angles, [row["exact"] for row in mine], report.Mark.dashed)
        sampling += [dots, exact]
    saddles, journeys = (
        sorted(of[ask], key=lambda row: row["neurons"]) for ask in ("saddle", "journey")
    )
    sizes = [row["neurons"] for row in saddles]
    escape = [max(row["rates"]) for row in saddles]
    times = [row["time"] for row in journeys]
    return report.panel_figure(
        [
            report.Panel(
                "(a) one neuron on N samples", "angle θ to w*", "relative error of the gradient",
                tuple(sampling), is_y_log=True,
            ),
            report.Panel(
                "(b) the saddle on x = y", "K", "",
                (
                    report.Series("x at the saddle", sizes, [row["location"] for row in saddles]),
                    report.Series("rate of escape", sizes, escape),
                ),
                is_x_log=True, is_y_log=True,
            ),
            report.Panel(
                "(c) from (1e-3, 0) to w*", "K", "time",
                (report.Series("", [row["neurons"] for row in journeys], times),),
                is_x_log=True, is_y_log=True,
            ),
        ]
    )  # fmt: skip
