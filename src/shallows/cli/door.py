"""What every command shares: how it complains, prints and reads sizes.

A command parses, asks the library one thing and prints. Exit status: 0 answered; 1 computed,
but no answer; 2 misuse. With `--json` one document goes to stdout and nothing else does;
progress and messages always go to stderr. Numerical imports wait until a command runs, so
that `--help` answers at once.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import shallows

app = typer.Typer(
    help="An exact laboratory for shallow ReLU networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


_INTERRUPTED = 130  # what shells report for SIGINT


def main() -> None:
    """Run the command line; misuse and broken stores end in one message, never a traceback."""
    try:
        app()
    except OSError as error:
        if error.errno is None:  # one of ours, which says what to do
            complain(str(error), 1)
        name = f" ({error.filename})" if error.filename else ""
        complain(
            f"The system refused: {error.strerror or error}{name}. Free space or choose another "
            f"`--out`; what was finished is kept, and the same command goes on.",
            1,
        )
    except (ValueError, TypeError) as error:  # after `OSError`, as a store's may be both
        complain(str(error), 2)
    except MemoryError as error:
        complain(f"Memory ran out: {error}. Ask for a smaller problem.", 1)
    except RuntimeError as error:  # a sweep's, or XLA's
        complain(str(error), 1)
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # Typer has turned Ctrl-C into this, without a word
            say("shallows: Interrupted. Finished blocks are kept; the same command goes on.")
        raise


def complain(message: str, status: int) -> None:
    """Say what is wrong, on stderr, and end with this status."""
    # On one line, also where it quotes a matrix.
    print(f"shallows: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(status)


def _version(wanted: bool | None) -> None:
    if wanted:
        print(f"shallows {shallows.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = None,
) -> None:
    pass


def range_in(text: str) -> tuple[int, int, int | None]:
    """First, last and step (None if not given) of `10`, `6:50` or `10:100:10`.

    **Raises.** `ValueError` for anything else.
    """
    try:
        first, *rest = (int(part) for part in text.split(":"))
        last = rest[0] if rest else first
        step = rest[1] if len(rest) > 1 else None
        if len(rest) > 2 or not 1 <= first <= last or (step is not None and step < 1):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"`-k` must be a positive integer or a range of them, but is {text!r}. "
            f"Use e.g. `-k 10`, `-k 6:50` or `-k 10:100:10`."
        ) from None
    return first, last, step


def sizes_in(text: str, largest: int, most: int) -> list[int]:
    """The sizes in a range, both ends included.

    **Raises.** `ValueError` as `range_in`, for a size above `largest` and more than `most` sizes.
    """
    first, last, step = range_in(text)
    sizes = range(first, last + 1, step or 1)
    if last > largest or len(sizes) > most:
        raise ValueError(
            f"`-k` may ask for at most {most} sizes of at most {largest} neurons, but is "
            f"{text!r}. Ask for fewer, e.g. with a step: `-k 10:100:10`."
        )
    return list(sizes)


def show(renderable: Any) -> None:
    """Print a table on stdout."""
    from rich.console import Console

    console = Console()
    # Tables are made for 100 columns; in a narrower window lines wrap, and stay legible.
    Console(width=max(console.width, 100)).print(renderable)


def say(message: str) -> None:
    """Print a message on stderr."""
    print(message, file=sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """Print the one document of `--json`."""
    # Python prints floats with as many digits as round-trip, at most 17.
    print(json.dumps(document, ensure_ascii=False, allow_nan=False))


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document whole or not at all."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr; call what it yields with what is done, or for one step more.

    A damaged record is named as well.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)

        def move(done: int | None = None, damaged: str | None = None) -> None:
            if damaged:
                progress.console.print(f"damaged record, recomputed: {damaged}", markup=False)
            if done is None:
                progress.advance(task)
            else:
                progress.update(task, completed=done)

        yield move
