"""`python -m shallows`, the same as `shallows`."""

from shallows.cli import main

main()
