"""A ReLU network recovered from the answers of a file's function, from the shell."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shallows.cli.door import app, bar, print_json, say, show
from shallows.cli.problems import layers_in, npz_arrays, npz_contents

if TYPE_CHECKING:
    from shallows.model.oracle import Oracle
    from shallows.solve.extraction import Extraction
    from shallows.solve.extraction.deep import DeepExtraction


@app.command(epilog="Example: `shallows extract MODEL.onnx --out recovered`")
def extract(
    file: Annotated[
        Path,
        typer.Argument(help="An ONNX model, or an npz file: inner and more, or W1, W2, …, b1, …."),
    ],
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Relative difference that counts as none.")
    ] = 1e-9,
    deepest: Annotated[int, typer.Option("--deepest", help="Hidden layers, at most.")] = 3,
    widths: Annotated[
        str | None,
        typer.Option(
            "--widths", help="Units of the hidden layers, if known: `20,10`. [default: not known]"
        ),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines", help="Lines to search, at most. [default: 8, for several layers 120]"
        ),
    ] = None,
    budget: Annotated[
        int | None, typer.Option("--budget", help="Queries, at most. [default: no bound]")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Chooses lines and tests.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the recovered `network.npz`.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Recover a ReLU network from its answers alone, and count the questions.

    The file is asked for values of its function and nothing else. What comes back is tested at
    points that were not used. One hidden layer is tried first, then several; functions that are
    no such networks are called so.
    """
    from shallows.solve.extraction import ExtractionOutcome, Lines
    from shallows.solve.extraction import extract as recovered
    from shallows.solve.extraction.deep import DeepLines, extract_deep

    stated = _widths_in(widths)
    shallow = Lines(most=8 if lines is None else lines, tolerance=tolerance, seed=seed)
    deep = DeepLines(120 if lines is None else lines, deepest, stated, tolerance, seed)
    if budget is not None and budget < 1:
        raise ValueError(f"`--budget` must be positive, but is {budget}. Use e.g. 1000000.")
    oracle = _oracle(file, budget)
    made: Extraction | DeepExtraction | None = None
    with bar("asking", 100) as move:

        def shown(share: float) -> None:
            move(min(100, round(100 * share)))

        if stated is None or len(stated) == 1:
            made = recovered(oracle, shallow, progress=shown)
        is_deep = made is None or made.outcome is ExtractionOutcome.not_two_layers
        if is_deep and deepest > 1 and (stated is None or len(stated) > 1):
            made = extract_deep(oracle, deep, progress=shown)
    assert made is not None
    is_recovered = made.outcome is ExtractionOutcome.recovered
    files: list[str] = []
    if out is not None and is_recovered:
        import numpy as np

        out.mkdir(parents=True, exist_ok=True)
        path = out / "network.npz"
        np.savez(path, **made.arrays())  # type: ignore[arg-type]  # its own keywords
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


def _widths_in(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        found = tuple(int(word) for word in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise ValueError(
            f"`--widths` takes positive whole numbers separated by commas, but is {text!r}. Use "
            f"e.g. `20,10`."
        )
    return found


def _oracle(file: Path, budget: int | None) -> "Oracle":
    from shallows.model.oracle import layers_oracle, network_oracle, onnx_oracle

    if file.suffix.lower() == ".onnx":
        return onnx_oracle(file, budget=budget)
    if "W1" in npz_contents(file, "network"):
        return layers_oracle(layers_in(file), budget=budget)
    from shallows.model import Network

    optional = {"outer", "bias", "slope", "constant"}
    arrays = npz_arrays(file, "network", {"inner"}, optional)
    network = Network(arrays["inner"], arrays.get("outer"), arrays.get("bias"))
    return network_oracle(
        network, slope=arrays.get("slope"), constant=arrays.get("constant"), budget=budget
    )
