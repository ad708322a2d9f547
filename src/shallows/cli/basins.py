"""Basins of named minima from the shell."""

import enum
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shallows.cli.cluster import ClusterOption, place_of
from shallows.cli.door import app, bar, print_json, say, show, sizes_in

if TYPE_CHECKING:
    from shallows.atlas.basins import AbstractDirections, Basin


class Where(enum.StrEnum):
    """Which directions starts lie in."""

    uniform = "uniform"
    softest = "softest"
    arcs = "arcs"


_NAMES = "`A`, `I`, `II`, `flipped:P`, `unflipped:Q` or `intermediate:P`; with several: compare."
_MOST_RADII, _MOST_STARTS = 1000, 10**6


@app.command(
    epilog="Example: `shallows basin A II -k 10 --radii 0.5:4:8 --starts 200 --out basins`"
)
def basin(
    names: Annotated[list[str], typer.Argument(help=_NAMES)],
    sizes: Annotated[str, typer.Option("-k", help="Neurons, or sizes: `6:20:2`.")] = "10",
    radii: Annotated[
        str, typer.Option("--radii", help="Distances: first, last and how many, or one.")
    ] = "0.5:4:8",
    starts: Annotated[
        int | None, typer.Option("--starts", help="Starts at each distance. [default: 200]")
    ] = None,
    directions: Annotated[
        Where,
        typer.Option(
            "--directions",
            help="`uniform` on spheres, `softest`: along eigenvectors of the smallest Hessian "
            "eigenvalue, or `arcs`: on the minimising tangency arcs.",
        ),
    ] = Where.uniform,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the starts.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the store and the figure.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Start at a distance from a named minimum, and count how often the gradient flow comes back.

    For each distance, the share of starts that end in the point itself, with its interval, and
    where the others go. With `--out`, what is there is not computed again.
    """
    distances = _radii_in(radii)
    chosen = sizes_in(sizes, 100, 100)

    from shallows.atlas.basins import basin as basin_of
    from shallows.atlas.families import member
    from shallows.lab import Store

    where = _directions(directions, starts)
    place = place_of(workers, cluster)
    for k in chosen:
        for name in names:
            member(name, k)  # before anything is written
    store = None if out is None else Store(out)
    found: list[Basin] = []
    with bar("basins", len(chosen) * len(names)) as move:
        for k in chosen:
            for name in names:
                made = basin_of(
                    name,
                    k,
                    distances,
                    where,
                    seed=seed,
                    store=store,
                    on=place,
                    progress=lambda done, total: move(len(found) + done / total),
                )
                found.append(made)
                move(len(found))
    from shallows.report.basins import basins_figure, basins_table

    if out is not None:
        from shallows.report import save_figure

        pictures = save_figure(basins_figure(found), out / "basins")
        say(f"figure: {', '.join(str(picture) for picture in pictures)}")
    if as_json:
        print_json({"basins": [one.as_json() for one in found]})
    else:
        show(basins_table(found))
    if not any(ring.starts for one in found for ring in one.rings):
        raise typer.Exit(1)


def _directions(where: Where, starts: int | None) -> "AbstractDirections":
    from shallows.atlas.basins import AlongArcs, Softest, Uniform
    from shallows.model.network import positive_integer

    if where is Where.arcs:
        if starts is not None:
            raise ValueError(
                f"On arcs there is one start for each arc, but `--starts {starts}` was given. "
                f"Leave it out, or use `--directions softest`."
            )
        return AlongArcs()
    number = positive_integer("starts", 200 if starts is None else starts, most=_MOST_STARTS)
    return Softest(number) if where is Where.softest else Uniform(number)


def _radii_in(text: str) -> list[float]:
    """The distances in `2` or `0.5:4:8`: first, last, and how many, evenly spaced."""
    try:
        first, *rest = text.split(":")
        low = float(first)
        high, count = (float(rest[0]), int(rest[1])) if rest else (low, 1)
        if len(rest) not in (0, 2) or not 0 < low <= high < math.inf:
            raise ValueError
        if not 1 <= count <= _MOST_RADII or (count == 1) != (low == high):
            raise ValueError
    except (ValueError, IndexError):
        raise ValueError(
            f"`--radii` must be a positive number, or first, last and how many of them "
            f"(at most {_MOST_RADII}), but is {text!r}. Use e.g. `--radii 0.5:4:8`."
        ) from None
    # Rounded, so that 0.5:4:8 and 0.5:7:14 share the records of their common distances.
    return [float(f"{low + (high - low) * i / max(count - 1, 1):.12g}") for i in range(count)]
