"""The atlas page from the shell: written to a folder, or served to this machine."""

import contextlib
import enum
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.cluster import ClusterOption, place_of
from shallows.cli.door import app, bar, print_json, say

if TYPE_CHECKING:
    from shallows.atlas.site import SiteData


class _Scale(enum.Enum):
    smoke = "smoke"
    desk = "desk"


@app.command(epilog="Example: `shallows atlas --out atlas-page --workers 2`")
def atlas(
    out: Annotated[Path, typer.Option("--out", help="Folder of the page and its store.")] = Path(
        "atlas-page"
    ),
    census: Annotated[
        Path | None,
        typer.Option(
            "--census",
            help="A folder that `shallows census` wrote, to show instead of the shipped summary.",
        ),
    ] = None,
    scale: Annotated[
        _Scale, typer.Option("--scale", help="`desk`: 32 sizes of six families; `smoke`: a few.")
    ] = _Scale.desk,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it, with points at any size, until Ctrl-C.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Where to serve; 0 for any free.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """A page to look at: which minima there are, which of them training never finds, and proofs.

    One file that works offline, on a phone and without a mouse. Interrupt the making when you like:
    the same command goes on where it stopped.
    """
    from shallows.atlas.site import DESK, SMOKE
    from shallows.atlas.site_census import shipped_census, stored_census
    from shallows.atlas.site_data import cases, site_data
    from shallows.lab import Store
    from shallows.report.site import write_site
    from shallows.report.site.live import LiveSite

    plan = SMOKE if scale is _Scale.smoke else DESK
    command = shlex.join(["shallows", *sys.argv[1:]])
    # What can be refused is asked for before a minute is spent.
    place = place_of(workers, cluster)
    server = LiveSite(port) if serve else None
    store = Store(out)
    table = shipped_census() if census is None else stored_census(census)
    with bar("the atlas page", len(cases(plan))) as move:
        data = site_data(plan, table, store, on=place, progress=lambda e: move(e.done, e.damaged))
    page = write_site(data, out / "index.html", command=command)
    say(f"page: {page} ({page.stat().st_size / 1e6:.2f} MB)")
    if as_json:
        print_json(_document(data, page, None if server is None else server.address))
    elif server is None:
        print(page)
    if server is None:
        return
    server.show(data, command=command)
    sys.stdout.flush()
    say(f"serving {server.address}; Ctrl-C ends it")
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


def _document(data: "SiteData", page: Path, address: str | None) -> dict[str, Any]:
    proved = [p for p in data.points if p.proof is not None and p.proof.verdict == "PROVED"]
    return {
        "page": str(page),
        "bytes": page.stat().st_size,
        "address": address,
        "families": list(data.families),
        "stops": list(data.stops),
        "points": [
            {
                "name": p.name,
                "neurons": p.neurons,
                "loss": p.loss,
                "smallest_eigenvalue": p.smallest_eigenvalue,
                "kind": p.kind,
                "reason": p.reason,
            }
            for p in data.points
        ],
        "proved": len(proved),
        "census": data.census.source,
    }
