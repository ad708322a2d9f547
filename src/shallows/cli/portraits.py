"""Phase portraits of the flow that keeps the teacher's symmetry, from the shell."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, say, show

if TYPE_CHECKING:
    from shallows.solve.symmetric_flow import Portrait

_MOST = 4
_WINDOW = (-1.1, 1.2, -0.4, 1.1)


@app.command(epilog="Example: `shallows portrait -k 2,5,10 --out portraits`")
def portrait(
    sizes: Annotated[
        str, typer.Option("-k", help="Neurons, one to four sizes from 2 on: `2,5,10`.")
    ] = "2,5,10",
    start: Annotated[
        float, typer.Option("--start", help="Runs start at (START, 0) and (0, START).")
    ] = 1e-3,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a figure and a report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Where the gradient flow leads among students with x on the diagonal and y off it.

    For an orthonormal teacher of as many neurons this plane is invariant, and the flow in it exact.
    On x = y all neurons agree; any x > y, however small the difference, breaks that symmetry.
    """
    chosen = _sizes_in(sizes)
    if not 0 < start < 1:
        raise ValueError(f"`--start` must lie between 0 and 1, but is {start}. Use e.g. 1e-3.")
    from shallows.solve.symmetric_flow import portrait as portrait_of
    from shallows.symmetry import Blocks, ReducedLoss

    made = []
    with bar("phase portraits", len(chosen)) as move:
        for k in chosen:
            starts = [[start, 0.0], [0.0, start]]
            made.append(portrait_of(ReducedLoss(Blocks((k,))), starts, window=_WINDOW))
            move()
    if out is not None:
        from shallows.report.figures import save_figure
        from shallows.report.portraits import portrait_figure, write_portraits_report

        pictures = save_figure(portrait_figure(made), out / "portraits")
        command = shlex.join(["shallows", *sys.argv[1:]])
        page = write_portraits_report(made, out / "portraits.html", command=command)
        say(f"Wrote {page}, {pictures[0]} and {pictures[1]}.")
    if as_json:
        print_json({"portraits": [_document(one) for one in made]})
        return
    from shallows.report.portraits import portraits_table

    show(portraits_table(made))


def _document(made: "Portrait") -> dict[str, Any]:
    return {
        "neurons": made.loss.blocks.neurons,
        "fixed": [
            {
                "kind": point.kind.value,
                "point": point.point.tolist(),
                "loss": point.loss,
                "rates": point.rates.tolist(),
            }
            for point in made.fixed
        ],
        "runs": [
            {
                "start": run.points[0].tolist(),
                "end": run.points[-1].tolist(),
                "ending": run.ending.name,
                "time": float(run.times[-1]),
            }
            for run in made.runs
        ],
    }


def _sizes_in(text: str) -> list[int]:
    try:
        chosen = [int(part) for part in text.split(",")]
    except ValueError:
        chosen = []
    if not 1 <= len(chosen) <= _MOST or not all(2 <= k <= 10**6 for k in chosen):
        raise ValueError(
            f"`-k` must be one to {_MOST} sizes from 2 to 1000000, but is {text!r}. "
            f"Use e.g. `-k 2,5,10`."
        )
    return chosen
