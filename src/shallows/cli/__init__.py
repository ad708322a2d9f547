"""The door to the shell: one command per question.

A command parses, asks the library one thing and prints. Numerical imports wait until a command
runs, so that `--help` answers at once.
"""

from shallows.cli import arcs, census, certify, families, papers, series  # noqa: F401  # commands
from shallows.cli.door import app, main

__all__ = ["app", "main"]
