"""Whether a layer of ReLUs is injective, from the shell."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, say, write_json
from shallows.cli.problems import npz_arrays

if TYPE_CHECKING:
    from shallows.certify import Injectivity

# Cells of a layer whose inverse is measured, too: a second or two.
_MOST_CELLS = 5000


@app.command(epilog="Example: `shallows injective LAYER.npz --out injective`")
def injective(
    layer: Annotated[Path, typer.Argument(help="An npz file with `inner` and perhaps `bias`.")],
    most: Annotated[int, typer.Option("--most", help="Sets of rows that are looked at.")] = 100_000,
    seconds: Annotated[
        float, typer.Option("--seconds", help="For a mixed-integer programme, in hard cases.")
    ] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the answer with its proof, and a figure."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Whether x ↦ ReLU(Wx + b) is injective: a proof, or two inputs with the same output.

    The numbers in the file are taken as the fractions they are, and nothing is rounded.
    """
    arrays = npz_arrays(layer, "layer", {"inner"}, {"bias"})
    from shallows.certify import is_injective
    from shallows.model import Network

    weights, bias = arrays["inner"], arrays.get("bias")
    if Network(weights, bias=bias).inner.ndim != 2:
        raise ValueError(f"{str(layer)!r} holds a batch of layers. Keep one.")
    with bar("sets of rows, at most", max(most, 1)) as move, _strangers_to_stderr():
        found = is_injective(weights, bias, most=most, seconds=seconds, progress=move)
    document = _document(found, weights, bias)
    files = []
    if out is not None:
        proof = out / "injective.json"
        circuits = [{str(i): str(t) for i, t in c.multipliers.items()} for c in found.circuits]
        write_json(proof, document | {"circuits": circuits})
        files.append(str(proof))
        if document["inputs"] == 2:
            from shallows.report.cells import cells_figure
            from shallows.report.figures import save_figure

            files += map(str, save_figure(cells_figure(weights, bias, found), out / "injective"))
        say(f"Wrote {', '.join(files)}.")
    if as_json:
        print_json(document | {"files": files})
    else:
        print(_text(document))
    if found.verdict.name == "UNDECIDED":
        say(f"shallows: {found.reason}")
        raise SystemExit(1)


def _document(found: "Injectivity", weights: Any, bias: Any) -> dict[str, Any]:
    from shallows.model import inverse_lipschitz, zaslavsky

    neurons, inputs = weights.shape
    witness, bounds = None, None
    if found.witness is not None:
        first, second = ([str(t) for t in point] for point in found.witness)
        witness = {"first": first, "second": second}
    elif found.verdict.name == "PROVED" and zaslavsky(neurons, inputs) <= _MOST_CELLS:
        measured = inverse_lipschitz(weights, bias)
        bounds = [measured.lower, measured.upper]
    return {
        "verdict": found.verdict.value,
        "statement": found.statement,
        "reason": found.reason,
        "neurons": neurons,
        "inputs": inputs,
        "sets": found.flats,
        "circuits": len(found.circuits),
        "witness": witness,
        "inverse_lipschitz": bounds,
    }


def _text(document: dict[str, Any]) -> str:
    lines = [f"{document['verdict']}: {document['statement']}", document["reason"]]
    if document["witness"] is not None:
        # Fractions that may be long; `--json` has them.
        for point in document["witness"].values():
            lines.append(f"  x ≈ ({', '.join(f'{float(Fraction(t)):.10g}' for t in point)})")
    if document["inverse_lipschitz"] is not None:
        low, high = document["inverse_lipschitz"]
        lines.append(
            f"Outputs are at least κ times as far apart as inputs, {low:.6g} ≤ κ ≤ {high:.6g}."
        )
    return "\n".join(lines)


@contextmanager
def _strangers_to_stderr() -> Iterator[None]:
    """Whatever a library in C prints on stdout meanwhile goes to stderr.

    HiGHS has such lines in its search for integers, and no option that silences them; after
    `--json` they would spoil the document.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        if os.name == "posix":
            ctypes.CDLL(None).fflush(None)
        os.dup2(kept, 1)
        os.close(kept)
