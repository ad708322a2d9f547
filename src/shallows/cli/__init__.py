"""The door to the shell: one command per question.

A command parses, asks the library one thing and prints. Numerical imports wait until a command
runs, so that `--help` answers at once.
"""

from shallows.cli import (  # noqa: F401  # importing registers the commands
    arcs,
    atlas,
    basins,
    census,
    certify,
    cite,
    cluster,
    convex,
    extract,
    families,
    injective,
    norms,
    order,
    papers,
    portraits,
    series,
    slices,
    spline,
    store,
)
from shallows.cli.door import app, main

__all__ = ["app", "main"]
