"""Citations from the shell."""

import importlib
from typing import Annotated

import typer

from shallows.cli.door import app, print_json


@app.command(epilog="Example: `shallows cite tian-2017 chosaul2009`")
def cite(
    keys: Annotated[
        list[str], typer.Argument(help="Papers of the shelf, or keys of the bibliography.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Print BibTeX: of papers on the shelf, and of the sources that the documentation names."""
    from shallows.report.references import bibliography

    known = bibliography()
    if all(key in known for key in keys):  # the shelf takes seconds to open
        names = {key: key for key in keys}
    else:
        shelf = importlib.import_module("shallows.papers").shelf()
        names = {key: paper.source for key, paper in sorted(shelf.items())}
        names |= {key: key for key in known}
        wrong = [key for key in keys if key not in names]
        if wrong:
            raise ValueError(
                f"No source is called {', '.join(map(repr, wrong))}. Use a paper of the shelf "
                f"({', '.join(sorted(shelf))}) or a key of the bibliography "
                f"({', '.join(sorted(known))})."
            )
    found = {names[key]: known[names[key]] for key in keys}
    if not as_json:
        print("\n\n".join(one.bibtex for one in found.values()))
        return
    print_json(
        {
            "references": [
                {"key": one.key, **one.fields, "bibtex": one.bibtex} for one in found.values()
            ]
        }
    )
