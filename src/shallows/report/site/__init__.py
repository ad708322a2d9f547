"""The atlas page: one self-contained file that draws itself, without a plotting library.

The scripts beside this file draw with SVG, at the width that a figure has; `core.js` comes first
and `main.js` last. Together with the data the page weighs about one megabyte, which plotly.js alone
would make five.
"""

import os
from pathlib import Path

from markupsafe import Markup

from shallows.atlas.site import SiteData
from shallows.report import words
from shallows.report.page import _environment, _resource, _write_text

_SCRIPTS = ("core", "families", "map", "point", "arcs", "census", "portraits", "fits", "main")


def site_page(data: SiteData, *, command: str | None = None, live: bool = False) -> str:
    """The page as HTML.

    It makes no network request (its content security policy forbids them); with `live` it may ask
    the server that it came from for points at other sizes, see `shallows.report.site.live`.
    """
    origin = {key: data.provenance[key] for key in sorted(data.provenance)}
    return (
        _environment()
        .get_template("site/index.html.j2")
        .render(
            live=live,
            command=command,
            style=Markup(_resource("site/site.css")),
            script=Markup("\n".join(_resource(f"site/{name}.js") for name in _SCRIPTS)),
            document={**data.as_json(), "live": live},
            provenance=[(key, words.value(value)) for key, value in origin.items()],
        )
    )


def write_site(data: SiteData, path: str | os.PathLike[str], *, command: str | None = None) -> Path:
    """Write the page to a file, whole or not at all, and return its path.

    **Cost.** About one megabyte for 32 sizes of six families.
    """
    return _write_text(site_page(data, command=command), path)
