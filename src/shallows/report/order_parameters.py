"""Online learning: the loss and the overlaps against time, with simulations beside."""

import itertools
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table
from rich.text import Text

from shallows.report import scales
from shallows.report.figures import _STYLE, _figure
from shallows.report.terminal import _table
from shallows.report.words import significant
from shallows.solve.order_parameters import OnlineLearning, Simulation

_COLOURS = (scales.BLUE, scales.VERMILLION, scales.GREEN, scales.PURPLE, scales.ORANGE, scales.SKY)
_LINES = ("-", "--", ":", "-.")
_ROWS = 11
_POINTS = 601
# Beyond this number of curves a legend hides them.
_NAMED = 9


def order_table(run: OnlineLearning, made: Sequence[Simulation] = ()) -> Table:
    """Loss, largest overlap of each student with a teacher, and lengths, at eleven times."""
    k, m = run.start.cross.shape
    caption = "R: largest overlap of each student neuron with a teacher's; |w|: its length."
    if made:
        caption += f"\nWith d inputs: the mean of {len(made[0].losses)} runs ± its standard error."
    table = _table(f"Online learning, k = {k}, m = {m}, {run.start.activation.name}", caption)
    for heading in ("time", "loss", *(f"d = {one.inputs}" for one in made), "R", "|w|"):
        table.add_column(heading, justify="right" if heading in ("time", "loss") else "left")
    for time in np.linspace(0, run.path.times[-1], _ROWS):
        at = run.at(time)
        best = [f"{row[np.argmax(np.abs(row))]:.4f}" for row in at.cross[:6]]
        lengths = [f"{length:.4f}" for length in np.sqrt(np.diag(at.student))[:6]]
        table.add_row(
            Text(f"{time:g}"),
            Text(significant(at.loss, 6)),
            *(_simulated(one, float(time)) for one in made),
            Text(" ".join(best)),
            Text(" ".join(lengths)),
        )
    return table


def _simulated(made: Simulation, time: float) -> Text:
    i = int(np.argmin(np.abs(made.times - time)))
    if abs(made.times[i] - time) > 1 / made.inputs:
        return Text("–")
    runs = made.losses[:, i]
    error = runs.std(ddof=1) / np.sqrt(len(runs)) if len(runs) > 1 else 0.0
    return Text(f"{significant(float(runs.mean()), 4)} ± {error:.1g}")


def order_figure(run: OnlineLearning, made: Sequence[Simulation] = ()) -> Figure:
    """(a) The loss, (b) overlaps with the teacher, (c) overlaps among students, against time.

    With simulations at several sizes also (d), how far single runs are from the limit: the root
    mean square over runs, times and entries of R, against the number of inputs.

    **Convention.** 7.2 inches wide, with (d) 9. Lines are the limit of many inputs, marks with
    bars the mean and the standard deviation of runs with the most inputs.
    """
    times = np.linspace(0, run.path.times[-1], _POINTS)
    student, cross, _ = run.overlaps(times)
    k, m = run.start.cross.shape
    most = max(made, key=lambda one: one.inputs, default=None)
    has_sizes = len({one.inputs for one in made}) > 1
    with matplotlib.rc_context(_STYLE):
        figure = _figure(9.0 if has_sizes else 7.2, 2.6)
        left, middle, right, *rest = figure.subplots(1, 4 if has_sizes else 3)
        left.semilogy(times, np.maximum(run.losses(times), scales.FLOOR), color=scales.BLUE, lw=1.2)
        _overlay(left, most, most.losses if most else None, scales.BLUE)
        left.set_title("(a) loss", loc="left")
        for i, n in itertools.product(range(k), range(m)):
            _curve(middle, times, cross[:, i, n], i, n, k * m <= _NAMED)
            _overlay(middle, most, most.cross[:, :, i, n] if most else None, _COLOURS[i % 6])
        middle.set_title("(b) R, with teachers", loc="left")
        for i, j in itertools.combinations_with_replacement(range(k), 2):
            _curve(right, times, student[:, i, j], i, j, k * (k + 1) // 2 <= _NAMED)
            _overlay(right, most, most.student[:, :, i, j] if most else None, _COLOURS[i % 6])
        right.set_title("(c) Q, among students", loc="left")
        for axes in (left, middle, right):
            axes.set_xlabel("time = samples / inputs")
            axes.margins(x=0.02)
        for axes, few in ((middle, k * m <= _NAMED), (right, k * (k + 1) // 2 <= _NAMED)):
            if few:  # below, where no curve is
                axes.legend(
                    loc="upper center",
                    bbox_to_anchor=(0.5, -0.24),
                    ncols=4,
                    columnspacing=1.0,
                    frameon=False,
                    handlelength=1.5,
                )
        for axes in rest:
            _draw_deviations(axes, run, made)
    return figure


def deviation(run: OnlineLearning, made: Simulation) -> float:
    """How far R of single runs is from the limit: the root mean square after the start."""
    _, limit, _ = run.overlaps(made.times[1:])
    return float(np.sqrt(np.mean((made.cross[:, 1:] - limit) ** 2)))


def _draw_deviations(axes: Axes, run: OnlineLearning, made: Sequence[Simulation]) -> None:
    sizes = np.array(sorted({one.inputs for one in made}), dtype=float)
    axes.loglog(
        [one.inputs for one in made], [deviation(run, one) for one in made], "o", color=scales.BLUE,
        ms=4,
    )  # fmt: skip
    first = next(deviation(run, one) for one in made if one.inputs == sizes[0])
    axes.loglog(sizes, first * np.sqrt(sizes[0] / sizes), "k--", lw=0.8, label="d$^{-1/2}$")
    axes.set_title("(d) R of a run − limit", loc="left")
    axes.set_xlabel("inputs d")
    axes.legend(frameon=False)


def _curve(axes: Axes, times, curve, colour: int, line: int, is_named: bool) -> None:
    axes.plot(
        times,
        curve,
        _LINES[line % 4],
        color=_COLOURS[colour % 6],
        lw=1.2,
        label=f"{colour + 1}, {line + 1}" if is_named else None,
    )


def _overlay(axes: Axes, made: Simulation | None, runs, colour: str) -> None:
    if made is None:
        return
    spread = runs.std(0, ddof=1) if len(runs) > 1 else np.zeros(runs.shape[1])
    mean = runs.mean(0)
    # On the logarithmic axis a bar must not reach zero.
    low = np.minimum(spread, 0.9 * mean) if axes.get_yscale() == "log" else spread
    axes.errorbar(
        made.times, mean, [low, spread], fmt="o", color=colour, ms=2.2, elinewidth=0.6, mfc="white",
        mew=0.7,
    )  # fmt: skip
