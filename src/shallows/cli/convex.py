"""The global optimum of training a two-layer ReLU network on a table, from the shell."""

import csv
import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, say

if TYPE_CHECKING:
    import numpy as np

    from shallows.landscape import AbstractConvexProgram
    from shallows.solve import ConvexSolution

_MOST_POINTS = 2000
_SAMPLES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_WORDS = {
    "--normalise": ("none", "before", "after"),
    "--loss": ("squared", "logistic", "hinge"),
    "--bias": ("none", "penalised", "free"),
}


@app.command(epilog="Example: `shallows convex DATA.csv --target y --beta 0.01 --out convex`")
def convex(
    data: Annotated[Path, typer.Argument(help="A CSV file: a line of names, then numbers.")],
    target: Annotated[str, typer.Option("--target", help="The column of targets.")],
    beta: Annotated[
        float, typer.Option("--beta", help="Weight decay: the loss has (β/2) Σ weights².")
    ],
    normalise: Annotated[
        str,
        typer.Option("--normalise", help="Batch normalisation: `none`, `before` or `after` ReLU."),
    ] = "none",
    loss: Annotated[
        str,
        typer.Option("--loss", help="`squared` (half of it), `logistic` or `hinge`; a sum."),
    ] = "squared",
    bias: Annotated[
        str,
        typer.Option("--bias", help="`none`, `penalised`, or `free` for one feature."),
    ] = "none",
    usual: Annotated[
        bool, typer.Option("--usual", help="Normalise to variance one, not to length one.")
    ] = False,
    patterns: Annotated[
        int | None,
        typer.Option("--patterns", help="Draw this many activation patterns; else all are used."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="All patterns, at most.")] = 5000,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the sample of patterns.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the network and a figure.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The least regularised loss of two-layer ReLU networks of any width, proved, with a network.

    Training is restated as a convex program over all activation patterns of the data, solved, and
    its optimum enclosed in ball arithmetic. With `--patterns` it is bounded from above only.
    """
    for name, word in (("--normalise", normalise), ("--loss", loss), ("--bias", bias)):
        if word not in _WORDS[name]:
            raise ValueError(f"`{name}` must be one of {', '.join(_WORDS[name])}, not {word!r}.")
    if seed < 0:
        raise ValueError(f"`--seed` must not be negative, but is {seed}. Use e.g. 0.")
    names, x, y = _table_in(data, target)
    program = _program(names, x, y, beta, normalise, loss, bias, usual, patterns, limit, seed)
    from shallows.certify import certify_convex
    from shallows.solve.convex import ConvexOutcome
    from shallows.solve.convex_routes import optimum, restricted_optima, route

    counts = [n for n in _SAMPLES if n < len(program.patterns)]
    is_drawn = out is not None and x.shape[1] > 1
    chosen = route(program)
    with bar("solved, proved, restricted", 2 + is_drawn * len(counts)) as move:
        solution = optimum(program)
        move()
        proof = certify_convex(program, solution.network, solution.dual, limit=limit)
        move()
        curve: list[tuple[int, float]] = []
        if is_drawn:
            curve = restricted_optima(program, counts, seed=seed, progress=move)
    files: list[str] = []
    if out is not None:
        files = _written(out, program, solution, curve, names, target)
        say(f"Wrote {', '.join(files)}.")
    document = {
        "verdict": proof.verdict.value,
        "statement": proof.statement,
        "reason": proof.reason,
        "optimum": list(proof.optimum),
        "value": solution.value,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "outcome": solution.outcome.name,
        "route": chosen.name,
        "normalise": normalise,
        "loss": loss,
        "bias": bias,
        "usual": usual,
        "beta": beta,
        "points": len(y),
        "inputs": x.shape[1],
        "features": names,
        "patterns": len(program.patterns),
        "exact": program.patterns.exact,
        "rank": program.patterns.rank,
        "neurons": len(program.solid(solution.point)),
        "sampled": [{"patterns": n, "value": value} for n, value in curve],
        "files": files,
    }
    if as_json:
        print_json(document)
    else:
        print(_text(document))
    if solution.outcome is not ConvexOutcome.converged:
        say(f"shallows: {solution.outcome.name}: {solution.outcome.value}")
        raise SystemExit(1)
    if proof.verdict.name == "UNDECIDED" and program.patterns.exact:
        say(f"shallows: {proof.reason}")
        raise SystemExit(1)


def _program(
    names: list[str],
    x: "np.ndarray",
    y: "np.ndarray",
    beta: float,
    normalise: str,
    loss: str,
    bias: str,
    usual: bool,
    patterns: int | None,
    limit: int,
    seed: int,
) -> "AbstractConvexProgram":
    """The program that was asked for, after what only a table can tell."""
    from shallows.landscape.convex import (
        Hinge,
        Logistic,
        NormalisedAfter,
        NormalisedBefore,
        Ramps,
        Squared,
        Unnormalised,
        all_patterns,
        sampled_patterns,
    )

    if usual and normalise == "none":
        raise ValueError("`--usual` says how to normalise, but `--normalise` is none. Drop it.")
    losses: dict[str, Any] = {"squared": Squared, "logistic": Logistic, "hinge": Hinge}
    made = losses[loss]()
    _independent(names, x, normalise, bias)
    find: Any
    if patterns is None:
        find = functools.partial(all_patterns, limit=limit)
    else:
        find = functools.partial(sampled_patterns, count=patterns, seed=seed)
    if bias == "free":
        if normalise != "none" or loss != "squared" or patterns is not None or x.shape[1] != 1:
            raise ValueError(
                f"`--bias free` is for one feature, the squared loss, no normalisation and all "
                f"patterns, but there are {x.shape[1]} features, {loss} loss, normalisation "
                f"{normalise!r}{'' if patterns is None else ' and a sample'}. Use `--bias "
                f"penalised`."
            )
        return Ramps(x, y, beta)
    is_biased = bias == "penalised"
    if normalise == "before":
        if is_biased:
            raise ValueError(
                "`--bias penalised` does nothing before batch normalisation, which subtracts it; "
                "its own shift is penalised anyway. Drop it."
            )
        return NormalisedBefore(x, y, beta, made, usual=usual, patterns=find)
    if normalise == "after":
        return NormalisedAfter(x, y, beta, made, usual=usual, bias=is_biased, patterns=find)
    return Unnormalised(x, y, beta, made, bias=is_biased, patterns=find)


def _independent(names: list[str], x: "np.ndarray", normalise: str, bias: str) -> None:
    """**Raises.** `ValueError` for features that are constant or dependent, to rounding."""
    import numpy as np

    shifts = normalise == "before" or bias != "none"
    flat = np.flatnonzero(np.min(x, axis=0) == np.max(x, axis=0))
    if not shifts:
        flat = flat[x[0, flat] == 0]
    if len(flat):
        raise ValueError(
            f"The feature {names[flat[0]]!r} is {x[0, flat[0]]:.17g} at every point, so that "
            f"{'its weights do what biases do' if shifts else 'it does nothing'}. Remove the "
            f"column."
        )
    columns = np.column_stack([np.ones(len(x)), x]) if shifts else x
    scaled = columns / np.max(np.abs(columns), axis=0)
    scaled /= np.linalg.norm(scaled, axis=0)
    for j in range(1, scaled.shape[1] + 1):
        if np.linalg.matrix_rank(scaled[:, :j]) < min(j, len(x)):
            name = names[j - 1 - shifts]
            raise ValueError(
                f"The feature {name!r} depends linearly on the columns before it"
                f"{' and a constant' if shifts else ''}, to rounding. Remove the column."
            )


def _table_in(path: Path, target: str) -> tuple[list[str], "np.ndarray", "np.ndarray"]:
    """Names of features, features and targets of a CSV file with names in its first line."""
    import numpy as np

    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"There is no file {str(path)!r}. Check the name.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as text ({error}).") from None
    try:
        lines = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ValueError(f"{str(path)!r} is not a CSV file: {error}.") from None
    names = [cell.strip() for cell in lines[0]] if lines else []
    if target not in names:
        raise ValueError(
            f"There is no column {target!r} in {str(path)!r}, which has "
            f"{', '.join(map(repr, names)) or 'no line'}. Name one of them with `--target`."
        )
    if len(set(names)) < len(names) or len(names) < 2:
        raise ValueError(
            f"{str(path)!r} must have a target and features, all with different names, but has "
            f"{', '.join(map(repr, names))}. Rename its columns."
        )
    rows = []
    for number, row in enumerate(lines[1:], 1):
        try:
            values = [float(cell) for cell in row]
        except ValueError:
            values = []
        if len(values) != len(names) or not all(map(math.isfinite, values)):
            raise ValueError(
                f"Row {number} of {str(path)!r} is not {len(names)} finite numbers: "
                f"{','.join(row)!r:.80}. Repair or remove it."
            )
        rows.append(values)
    if not 2 <= len(rows) <= _MOST_POINTS:
        raise ValueError(
            f"{str(path)!r} has {len(rows)} points, but 2 to {_MOST_POINTS} are needed. "
            f"{'Thin them' if rows else 'Add some'}."
        )
    table, at = np.array(rows), names.index(target)
    return names[:at] + names[at + 1 :], np.delete(table, at, axis=1), table[:, at]


def _written(
    out: Path,
    program: "AbstractConvexProgram",
    solution: "ConvexSolution",
    curve: list[tuple[int, float]],
    names: list[str],
    target: str,
) -> list[str]:
    import numpy as np

    from shallows.report.convex import fit_figure, sampling_figure
    from shallows.report.figures import save_figure

    out.mkdir(parents=True, exist_ok=True)
    network = program.plain(solution.network)
    assert network.bias is not None
    np.savez(out / "network.npz", inner=network.inner, outer=network.outer, bias=network.bias)
    files = [str(out / "network.npz")]
    if network.inputs == 1:
        figure = fit_figure(program, solution, (names[0], target))
    elif curve:
        figure = sampling_figure(program, solution, curve)
    else:
        return files
    return files + [str(path) for path in save_figure(figure, out / "convex")]


def _text(document: dict[str, Any]) -> str:
    low, high = document["optimum"]
    which = "all" if document["exact"] else "sampled"
    lines = [f"{document['verdict']}: {document['statement']}"]
    if document["reason"]:
        lines.append(document["reason"])
    lines += [
        f"  optimum      [{low}, {high}]",
        f"  value        {document['value']:.17g}",
        f"  lower bound  {document['lower_bound']:.17g}, gap {document['gap']:.2g}"
        + ("" if document["exact"] else ", of the restricted program"),
        f"  patterns     {document['patterns']} ({which}), rank {document['rank']}",
        f"  neurons      {document['neurons']}",
        f"  route        {document['route']}, {document['outcome']}",
    ]
    return "\n".join(lines)
