"""Named families from the shell: one point, its threshold, several against the width."""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import (
    app,
    complain,
    print_json,
    range_in,
    say,
    show,
    sizes_in,
    write_json,
)

if TYPE_CHECKING:
    from shallows.atlas.extra import Continuation
    from shallows.atlas.families import Member

_LARGEST, _SIZES = 10**12, 1000
_NAME = "`global`, `A`, `I`, `II`, `flipped:P`, `unflipped:Q` or `intermediate:P`."


@app.command(epilog="Example: `shallows family II -k 1000000000`")
def family(
    name: Annotated[str, typer.Argument(help=_NAME)],
    neurons: Annotated[float, typer.Option("-k", help="Neurons; need not be whole.")] = 10,
    inputs: Annotated[
        float | None, typer.Option("--inputs", "-d", help="Input dimension. [default: k]")
    ] = None,
    extra: Annotated[
        int,
        typer.Option("--extra", help="Extra student neurons: what the point turns into with them."),
    ] = 0,
    activation: Annotated[
        str,
        typer.Option(
            "--activation",
            help="`relu`, or `leaky:SLOPE`, to which the point is followed from the ReLU.",
        ),
    ] = "relu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """One named critical point at any size, with every Hessian eigenvalue.

    Its symmetry leaves a handful of numbers, whatever k is: a billion neurons take no longer
    than ten. Weights, loss and eigenvalues are right to 1e-14.
    """
    from shallows.atlas.families import leaking, member

    if extra < 0:
        raise ValueError(f"`--extra` must not be negative, but is {extra}. Use e.g. `--extra 1`.")
    slope = _slope(activation, extra)
    found = member(name, neurons, inputs)
    if slope:
        found = leaking(found, slope)
    continued = []
    if extra:
        from shallows.atlas.extra import continuations

        continued = list(continuations(found, extra))
    if as_json:
        document = family_document(found)
        if extra:
            document["continuations"] = [c.as_json() for c in continued]
        print_json(document)
        return
    levels = found.spectrum()
    weights = _table(
        f"{found.name}: k = {_written(found.neurons)}, {found.isotropy}",
        ("neurons", "inputs", "entry", "weight"),
    )
    for row in _weights(found):
        weights.add_row(row["neurons"], row["inputs"], row["entry"], repr(row["value"]))
    show(weights)
    table = _table(
        f"Hessian: {found.kind().value}, loss {found.value:.12g}",
        ("eigenvalue", "multiplicity", "component", "block"),
    )
    for e in levels:
        cells = (f"{float(e.eigenvalue):.12g}", _written(e.multiplicity), e.representation.value)
        table.add_row(*cells, _block(found, e.factors) or "")
    show(table)
    if extra:
        show(_continued(found, continued, extra))


def _slope(activation: str, extra: int) -> float:
    """The slope of a leaky ReLU: what families are followed in."""
    from shallows.model import PiecewiseLinear
    from shallows.model.named import activation as called

    sigma = called(activation)
    if not isinstance(sigma, PiecewiseLinear) or sigma.positive != 1:
        raise ValueError(
            f"Families are followed from the ReLU to leaky ones, but `--activation {activation}` "
            f"was given. Use `leaky:0.1`; what there is for others, `shallows census --activation "
            f"{activation}` and `shallows.discover` find."
        )
    if extra and sigma.negative:
        raise ValueError(
            f"Extra neurons are added to families of the ReLU, but `--extra {extra}` was given "
            f"with `--activation {activation}`. Leave out one of them."
        )
    return sigma.negative


def _continued(found: "Member", continued: "list[Continuation]", extra: int) -> Any:
    table = _table(
        f"with {extra} extra neuron{'s' if extra > 1 else ''}: every continuation that was found",
        ("", "how", "loss", "kind", "smallest eigenvalue", "component"),
    )
    table.columns[1].no_wrap = False
    for i, c in enumerate(continued, 1):
        least = c.smallest
        cells = ("", "") if least is None else (f"{float(least.eigenvalue):.9g}",)
        component = () if least is None else (least.representation.value,)
        table.add_row(str(i), c.how, f"{c.value:.9g}", c.kind.value, *cells, *component)
    return table


def family_document(found: "Member") -> dict[str, Any]:
    """What `shallows family --json` prints, without `continuations`."""
    from shallows.model import relu

    levels = found.spectrum()
    spectrum = []
    for e in levels:
        level: dict[str, Any] = {
            "component": e.representation.value,
            "eigenvalue": float(e.eigenvalue),
            "multiplicity": _whole(e.multiplicity),
        }
        if len(found.blocks.sizes) > 1:
            level["block"] = _block(found, e.factors)
        spectrum.append(level)
    return {
        "name": found.name,
        "neurons": found.neurons,
        "inputs": found.inputs,
        "activation": (found.loss.activation or relu).name,
        "isotropy": found.isotropy,
        "flipped": found.flipped,
        "continues": found.continues,
        "loss": found.value,
        "kind": found.kind().value,
        "gradient_norm": found.gradient_norm,
        "smallest_eigenvalue": float(levels[0].eigenvalue),
        "weights": _weights(found),
        "spectrum": spectrum,
    }


@app.command(epilog="Example: `shallows threshold II --certify --out threshold.json`")
def threshold(
    name: Annotated[str, typer.Argument(help="`A`, `I`, `II`, `flipped:P` or `unflipped:Q`.")],
    certify: Annotated[
        bool, typer.Option("--certify", help="Prove it, for `A`, `I` and `II`.")
    ] = False,
    until: Annotated[
        int | None,
        typer.Option("--to", help="With `--certify`: also that it is a minimum up to this size."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With `--certify`: where to write the certificate."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The real number of neurons from which on a family is a minimum.

    Sizes of blocks are numbers in a formula, so that the width can be followed as a real number;
    the threshold is where an eigenvalue of the named component is zero. With `--certify`, an
    enclosure that is proved, in a file that `shallows verify` checks.
    """
    if certify:
        _certified(name, until, out, as_json)
        return
    if until is not None or out is not None:
        option = "--to" if until is not None else "--out"
        raise ValueError(f"`{option}` belongs to a proof. Add `--certify`, or leave it out.")
    from shallows.atlas.thresholds import threshold

    found = threshold(name)
    document = {
        "name": found.name,
        "neurons": found.neurons,
        "component": found.representation.value,
        "block": found.block,
        "event": found.event.value,
    }
    if as_json:
        print_json(document)
        return
    where = f" of the {found.block} neurons" if found.block else ""
    print(
        f"{found.name} is a minimum from k = {found.neurons!r} on: there an eigenvalue of the "
        f"{found.representation.value} component{where} is zero ({found.event.value})."
    )


def _certified(name: str, until: int | None, out: Path | None, as_json: bool) -> None:
    from shallows.atlas.theorems import certified_threshold

    began = time.perf_counter()
    found = certified_threshold(name, until=None if until is None else str(until))
    spent = time.perf_counter() - began
    if out is not None:
        write_json(out, found.as_json())
    if as_json:
        kept = ("verdict", "statement", "component", "lower", "upper", "monotone")
        whole = found.as_json()
        print_json({"name": name} | {key: whole[key] for key in kept} | {"seconds": spent})
    else:
        print(f"{found.verdict.value}: {found.statement}")
        say(f"{spent:.2f} s" + ("" if out is None else f"; certificate: {out}"))
    if found.verdict.value != "PROVED":
        complain(found.statement, 1)


@app.command(epilog="Example: `shallows compare II A I -k 6:1000 --out compared`")
def compare(
    names: Annotated[list[str], typer.Argument(help=f"Families: {_NAME}")],
    sizes: Annotated[
        str,
        typer.Option("-k", help="Sizes: `20`, `6:1000` (some of them, evenly in log k), `6:30:2`."),
    ] = "6:1000",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for a figure and a report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Loss and smallest Hessian eigenvalue of families against the number of neurons.

    A size that a family does not reach is a row that says so.
    """
    chosen = chosen_sizes(sizes)
    from shallows.atlas.families import compared
    from shallows.atlas.sheets import sheets

    for name in names:
        sheets(name)  # before anything is computed
    rows = [compared(name, k) for k in chosen for name in names]
    if out is not None:
        from shallows.report import save_figure
        from shallows.report.comparison import comparison_figure, write_comparison_report

        command = shlex.join(["shallows", *sys.argv[1:]])
        page = write_comparison_report(rows, out / "report.html", command=command)
        pictures = save_figure(comparison_figure(rows), out / "comparison")
        say(f"report: {page}; figure: {', '.join(str(picture) for picture in pictures)}")
    if as_json:
        print_json(
            {
                "families": [
                    {
                        "name": row.name,
                        "neurons": row.neurons,
                        "loss": row.loss,
                        "smallest_eigenvalue": row.smallest_eigenvalue,
                        "component": row.representation.value if row.representation else None,
                        "kind": row.kind.value if row.kind else None,
                    }
                    for row in rows
                ]
            }
        )
        return
    from shallows.report.comparison import comparison_table

    show(comparison_table(rows))
    for row in rows:
        if row.loss is None:
            say(row.reason)


def chosen_sizes(text: str, most: int = 30) -> list[int]:
    """The sizes in `20`, `6:30:2` (both ends included), or at most 30 of `6:1000`.

    **Raises.** `ValueError` for what is none of these.
    """
    first, last, step = range_in(text)
    if step is None:
        count = min(most, last - first + 1)
        ratio = (last / first) ** (1 / max(count - 1, 1))
        return sorted({*(round(first * ratio**i) for i in range(count)), first, last})
    return sizes_in(text, _LARGEST, _SIZES)


def _weights(found: "Member") -> list[dict[str, Any]]:
    """The orbits of entries, with their values and how many entries each has."""
    blocks, made = found.blocks, []
    for orbit, value, count in zip(blocks.orbits, found.weights, blocks.counts, strict=True):
        entry = {True: "diagonal", False: "off-diagonal", None: "all"}[orbit.is_diagonal]
        made.append(
            {
                "neurons": found.roles[orbit.row],
                "inputs": (*found.roles, "unused")[orbit.column],
                "entry": entry,
                "value": value,
                "count": _whole(count),
            }
        )
    return made


def _block(found: "Member", factors: tuple[int, ...]) -> str | None:
    """What the group's factors move: the trivial component belongs to none."""
    return "×".join((*found.roles, "unused")[f] for f in factors) or None


def _whole(number: Any) -> int | float:
    return number if isinstance(number, int) else float(number)


def _written(number: Any) -> str:
    return str(number) if isinstance(number, int) else f"{float(number):.12g}"


def _table(title: str, headings: tuple[str, ...]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for heading in headings:
        is_number = heading in (
            "weight",
            "eigenvalue",
            "multiplicity",
            "loss",
            "smallest eigenvalue",
        )
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    return table
