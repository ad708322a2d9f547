"""A two-layer network recovered from the answers of a file's function, from the shell."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shallows.cli.door import app, bar, print_json, say, show
from shallows.cli.problems import npz_arrays

if TYPE_CHECKING:
    from shallows.model.oracle import Oracle


@app.command(epilog="Example: `shallows extract MODEL.onnx --out recovered`")
def extract(
    file: Annotated[
        Path, typer.Argument(help="An ONNX model, or an npz file with `inner` and more.")
    ],
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Relative difference that counts as none.")
    ] = 1e-9,
    lines: Annotated[int, typer.Option("--lines", help="Lines to search, at most.")] = 8,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Queries, at most. [default: no bound]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Chooses lines and tests.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the recovered `network.npz`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Recover a two-layer ReLU network from its answers alone, and count the questions.

    The file is asked for values of its function and nothing else. What comes back is tested at
    points that were not used. Networks with more layers, and other functions, are called so.
    """
    from shallows.solve.extraction import ExtractionOutcome, Lines
    from shallows.solve.extraction import extract as recovered

    how = Lines(most=lines, tolerance=tolerance, seed=seed)
    if budget is not None and budget < 1:
        raise ValueError(f"`--budget` must be positive, but is {budget}. Use e.g. 1000000.")
    oracle = _oracle(file, budget)
    with bar("asking", 100) as move:
        made = recovered(oracle, how, progress=lambda share: move(min(100, round(100 * share))))
    is_recovered = made.outcome is ExtractionOutcome.recovered
    files: list[str] = []
    if out is not None and is_recovered and made.function is not None:
        import numpy as np

        out.mkdir(parents=True, exist_ok=True)
        path = out / "network.npz"
        np.savez(path, **made.function.arrays())  # type: ignore[arg-type]  # its own keywords
        files.append(str(path))
        say(f"Wrote {path}.")
    if as_json:
        document = {"file": str(file), "inputs": oracle.inputs, "outputs": oracle.outputs}
        print_json(document | made.as_json() | {"files": files})
    else:
        from shallows.report.extractions import extraction_table

        show(extraction_table(made, oracle.inputs, oracle.outputs))
    if not is_recovered:
        say(f"shallows: {made.outcome.name}: {made.outcome.value}")
        raise SystemExit(1)


def _oracle(file: Path, budget: int | None) -> "Oracle":
    from shallows.model.oracle import network_oracle, onnx_oracle

    if file.suffix.lower() == ".onnx":
        return onnx_oracle(file, budget=budget)
    from shallows.model import Network

    optional = {"outer", "bias", "slope", "constant"}
    arrays = npz_arrays(file, "network", {"inner"}, optional)
    network = Network(arrays["inner"], arrays.get("outer"), arrays.get("bias"))
    return network_oracle(
        network, slope=arrays.get("slope"), constant=arrays.get("constant"), budget=budget
    )
