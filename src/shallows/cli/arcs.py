"""Tangency arcs out of named families from the shell."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, say, show
from shallows.cli.families import chosen_sizes

if TYPE_CHECKING:
    from shallows.atlas.arcs import ArcsCompared, NamedArc
    from shallows.solve.arcs import Tracing

_NAMES = "`A`, `I`, `II`, `flipped:P`, `unflipped:Q` or `intermediate:P`; with several: compare."


@app.command(epilog="Example: `shallows arcs II -k 10`")
def arcs(
    names: Annotated[list[str], typer.Argument(help=_NAMES)],
    sizes: Annotated[
        str,
        typer.Option(
            "-k", help="Neurons, not necessarily whole; or, to compare, sizes: `10:1000`."
        ),
    ] = "10",
    radius: Annotated[
        float | None,
        typer.Option(
            "--radius", help="Where to stop. [default: where no critical point can be any more]"
        ),
    ] = None,
    cuts: Annotated[
        str | None,
        typer.Option(
            "--cuts", help="How many places parts of a block have: `1,2`. [default: 1, 2 and half]"
        ),
    ] = None,
    minimising: Annotated[
        bool, typer.Option("--minimising", help="Only arcs along the smallest eigenvalue.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a figure and a report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Curves out of a critical point on which the gradient points to it, and where they end.

    One for each Hessian eigenvalue, way to cut a block of neurons in parts, and half. Each is
    followed to the next critical point on it, which is named and certified. With several names or
    sizes the arcs along the smallest eigenvalue are compared.
    """
    parts = _cuts_in(cuts)
    if radius is not None and not 0 < radius < float("inf"):
        raise ValueError(
            f"`--radius` must be a positive number, but is {radius}. Use e.g. `--radius 3`."
        )
    if len(names) > 1 or ":" in sizes:
        _compare(names, sizes, parts, radius, out, as_json)
        return
    from shallows.atlas.arcs import arcs as arcs_of

    size = _size_in(sizes)
    with bar(f"arcs out of {names[0]}", 1) as move:
        found = arcs_of(
            names[0],
            size,
            cuts=parts,
            only_minimising=minimising,
            method=_tracing(radius),
            progress=lambda done, total: move(done / total),
        )
    if out is not None:
        _drawn(found, out)
    if as_json:
        print_json(arcs_document(found))
    else:
        from shallows.report.arcs import arcs_table

        show(arcs_table(found))
    if not any(one.arc.is_answer for one in found):
        raise typer.Exit(1)


def arcs_document(found: "tuple[NamedArc, ...]") -> dict[str, Any]:
    """What `shallows arcs --json` prints for one family at one size."""
    origin = found[0].origin
    return {
        "name": origin.name,
        "neurons": origin.neurons,
        "isotropy": origin.isotropy,
        "loss": origin.value,
        "kind": origin.kind().value,
        "arcs": [one.as_json() for one in found],
    }


def _compare(names, sizes: str, parts, radius, out: Path | None, as_json: bool) -> None:
    chosen = chosen_sizes(sizes)
    from shallows.atlas.arcs import arcs_compared
    from shallows.atlas.sheets import sheets

    for name in names:
        sheets(name)  # before anything is computed
    rows = []
    with bar("arcs", len(chosen) * len(names)) as move:
        for k in chosen:
            for name in names:
                rows.append(arcs_compared(name, k, cuts=parts, method=_tracing(radius)))
                move()
    if out is not None:
        _drawn(rows, out)
    if as_json:
        print_json({"comparison": [_row(row) for row in rows]})
        return
    from shallows.report.arcs import arcs_comparison_table

    show(arcs_comparison_table(rows))
    for row in rows:
        if row.reason:
            say(row.reason)


def _row(row: "ArcsCompared") -> dict[str, Any]:
    return {
        "name": row.name,
        "neurons": row.neurons,
        "eigenvalue": row.eigenvalue,
        "component": row.representation.value if row.representation else None,
        "arcs": [one.as_json() for one in row.arcs],
    }


def _drawn(found, out: Path) -> None:
    from shallows.report import save_figure
    from shallows.report.arcs import arcs_comparison_figure, arcs_figure, write_arcs_report

    command = shlex.join(["shallows", *sys.argv[1:]])
    page = write_arcs_report(found, out / "report.html", command=command)
    draw = arcs_figure if isinstance(found, tuple) else arcs_comparison_figure
    pictures = save_figure(draw(found), out / "arcs")
    say(f"report: {page}; figure: {', '.join(str(picture) for picture in pictures)}")


def _tracing(radius: float | None) -> "Tracing":
    from shallows.solve.arcs import Tracing

    return Tracing(radius=radius)


def _size_in(text: str) -> int | float:
    try:
        size = float(text)
    except ValueError:
        raise ValueError(
            f"`-k` must be a number of neurons or a range of them, but is {text!r}. Use e.g. "
            f"`-k 10` or `-k 10:1000`."
        ) from None
    return int(size) if size.is_integer() else size


def _cuts_in(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"`--cuts` must be whole numbers of places, separated by commas, but is {text!r}. Use "
            f"e.g. `--cuts 1,2`."
        ) from None
