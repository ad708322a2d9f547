"""Path norms of a network in a file."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, print_json, show
from shallows.cli.problems import layers_in

if TYPE_CHECKING:
    from rich.table import Table

    from shallows.model import Layers


@app.command(epilog="Example: `shallows norms network.npz -q 1,2`")
def norms(
    network: Annotated[
        Path,
        typer.Argument(help="An npz file: W1, W2, …[, b1, b2, …], or inner[, outer, bias]."),
    ],
    exponents: Annotated[
        str, typer.Option("-q", help="Exponents of path norms, positive numbers: `1,2`, or `inf`.")
    ] = "1,2",
    points: Annotated[
        int | None,
        typer.Option("--points", help="Also bound how far off training data are: how many points."),
    ] = None,
    radius: Annotated[
        float, typer.Option("--radius", help="With `--points`: largest modulus of a coordinate.")
    ] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Path norms of a ReLU network, and the norm of its basis paths.

    They are the same however hidden units are scaled.
    """
    chosen = _exponents_in(exponents)
    document = _document(layers_in(network), chosen, points, radius)
    if as_json:
        print_json(document)
    else:
        show(_table(document))


def _document(
    layers: "Layers", exponents: list[float], points: int | None, radius: float
) -> dict[str, Any]:
    from shallows.model.paths import basis_paths, log_path_norm, path_bound, path_count

    found = basis_paths(layers)
    logs = [log_path_norm(layers, q) for q in exponents]
    document = {
        "sizes": list(layers.sizes),
        "has_biases": layers.has_biases,
        "weights": sum(w.size for w in layers.weights)
        + sum(b.size for b in layers.biases if b is not None),
        "paths": path_count(layers),
        "basis_paths": len(found.log_values),
        "negative_basis_paths": int(found.is_negative.sum()),
        "path_norms": [
            {"q": _number(q), "norm": _exponential(log), "log_norm": _number(log)}
            for q, log in zip(exponents, logs, strict=True)
        ],
        "basis_path_norm": _number(found.norm),
        "log_basis_path_norm": _number(found.log_norm),
        "bound": None,
    }
    if points is not None:
        bound = path_bound(layers, points, radius)
        document["bound"] = {
            "value": _number(bound.value),
            "rate": bound.rate,
            "shape": bound.shape,
            "log_path_norm": _number(bound.log_norm),
        }
    return document


def _table(document: dict[str, Any]) -> "Table":
    from rich import box
    from rich.table import Table

    sizes = " → ".join(map(str, document["sizes"]))
    table = Table(title=f"A network of {sizes} units", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("quantity")
    table.add_column("value", justify="right")
    paths = document["paths"]
    table.add_row("paths", f"{paths:,}" if paths < 10**15 else f"about 10^{_digits(paths)}")
    table.add_row("basis paths", f"{document['basis_paths']:,}")
    table.add_row("of these negative", f"{document['negative_basis_paths']:,}")
    for one in document["path_norms"]:
        q = "∞" if one["q"] is None else f"{one['q']:g}"
        table.add_row(f"path norm, q = {q}", _words(one["norm"], one["log_norm"]))
    size = _words(document["basis_path_norm"], document["log_basis_path_norm"])
    is_infinite = document["basis_path_norm"] is document["log_basis_path_norm"] is None
    table.add_row(
        "basis-path norm", "infinite: a weight on the skeleton is 0" if is_infinite else size
    )
    if document["bound"]:
        bound = document["bound"]
        table.add_row("bound on the Rademacher complexity", _words(bound["value"], None))
        table.add_row("= 4 B/√n", f"{bound['rate']:.6g}")
        table.add_row("× the root for this shape", f"{bound['shape']:.6g}")
        table.add_row("× the path norm, q = 1", "")
    return table


def _words(value: float | None, log: float | None) -> str:
    if value is not None:
        return f"{value:.10g}"
    return "overflows" if log is None else f"e^{log:.10g}"


def _digits(count: int) -> int:
    # The length of the decimal number, which Python refuses to write beyond 4300 digits.
    return round((count.bit_length() - 1) * math.log10(2))


def _number(value: float) -> float | None:
    """A number for JSON, which knows no infinity."""
    return value if math.isfinite(value) else None


def _exponential(log: float) -> float | None:
    return math.exp(log) if log < 709.78 else None


def _exponents_in(text: str) -> list[float]:
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(q > 0 for q in found):
        raise ValueError(
            f"`-q` takes positive numbers separated by commas, but is {text!r}. Use e.g. `1,2`."
        )
    return found
