"""The figure of this entry, from its records: `picture(records)`."""

from collections.abc import Callable, Sequence

import numpy as np

from shallows import report
from shallows.atlas.powers import fitted_exponent
from shallows.lab import Record
from shallows.papers.zou_gu_2019 import theory
from shallows.papers.zou_gu_2019.readings import FIELDS, Row, converged, rows_of, table

_AXES = {"m": "width m", "n": "points n", "φ": "separation φ"}


def picture(records: Sequence[Record]):
    """The panels, drawn; None where no power can be fitted."""
    found = panels(records)
    return report.power_figure(found) if found else None


def panels(records: Sequence[Record]) -> "list[report.PowerPanel]":
    """Ratio and length against m, steps against n and φ, and widths against n and φ."""
    rows = rows_of(records)
    runs = converged([row for row in rows if row["ask"] == "run"])
    searches = [row for row in rows if row["ask"] == "width"]
    kinds = {"keeps half": 0.5, "converges": 0.0}

    def panel(title, letter, value, bound):
        names = {"fixed m": "φ", "m ∝ φ⁻⁴": "φ along m ∝ φ⁻⁴"} if letter == "φ" else {"": letter}
        series = {
            name: ([row for row in runs if row["along"] == along], value, "seed")
            for name, along in names.items()
        }
        return _panel(title, letter, series, bound)

    def of_widths(letter):
        series = {
            name: (
                [r for r in searches if (r["kept"], r["along"]) == (kept, letter)],
                lambda row: row["width"],
                "group",
            )
            for name, kept in kinds.items()
        }
        return _panel("smallest width", letter, series, theory.WIDTH)

    found = [
        panel("least |∇L|²/L of a run", "m", lambda row: row["least_ratio"], theory.RATIO),
        panel("length Σ η |∇L|", "m", lambda row: row["length"], theory.LENGTH),
        panel("steps to ε", "n", lambda row: row["iterations"], theory.ITERATIONS),
        panel("steps to ε", "φ", lambda row: row["iterations"], theory.ITERATIONS),
        of_widths("n"),
        of_widths("φ"),
    ]
    return [one for one in found if one.series]


def _panel(
    title: str,
    letter: str,
    series: dict[str, tuple[list[Row], Callable[[Row], float | None], str]],
    bound: theory.Powers,
) -> "report.PowerPanel":
    made = []
    for name, (along, value, by) in series.items():
        x, y = table(along, FIELDS[letter], value, by)
        if len(x) > 1 and len(y) > 1:
            made.append(report.PowerSeries(name, x, y, fitted_exponent(x, np.array(y))))
    return report.PowerPanel(title, letter, _AXES[letter], tuple(made), float(bound.get(letter, 0)))
