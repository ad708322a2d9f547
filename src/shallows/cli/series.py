"""Power series of named families from the shell."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, print_json, show

if TYPE_CHECKING:
    from shallows.solve.series import Series, Term

_NAME = "`A`, `I`, `II`, `flipped:P` or `unflipped:Q`."


@app.command(epilog="Example: `shallows series II --terms 5`")
def series(
    name: Annotated[str, typer.Argument(help=_NAME)],
    terms: Annotated[int, typer.Option("--terms", help="Terms of each series.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Weights, loss and Hessian eigenvalues as power series in 1/√k, for large k.

    Coefficients have 30 digits. Closed forms are proposed where integer relations are found that
    hold to all digits that were computed, about 140; they are no proofs.
    """
    from shallows.atlas.series import series

    found = series(name, terms)
    if as_json:
        print_json(series_document(found))
    else:
        _print_tables(found)


def series_document(found: "Series") -> dict[str, Any]:
    """What `shallows series --json` prints."""
    eigenvalues = []
    for e in found.eigenvalues:
        entry: dict[str, Any] = {"component": e.representation.value}
        if len(found.roles) > 1:
            entry["block"] = found.block(e.factors)
        entry |= {"multiplicity": e.multiplicity, "terms": _terms(e.terms)}
        eigenvalues.append(entry)
    return {
        "name": found.name,
        "loss": _terms(found.loss),
        "weights": {f"ξ{i}": _terms(w) for i, w in enumerate(found.weights, 1)},
        "eigenvalues": eigenvalues,
    }


def _terms(terms: "tuple[Term, ...]") -> list[dict[str, Any]]:
    return [
        {"power": float(t.power), "coefficient": t.decimal, "closed_form": t.closed_form}
        for t in terms
    ]


def _print_tables(found: "Series") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def table(title: str, parts: "list[tuple[str, tuple[Term, ...]]]") -> Table:
        made = Table(
            title=Text(title, style="bold"),
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        made.add_column("", no_wrap=True)
        made.add_column("power of k", justify="right", no_wrap=True)
        made.add_column("coefficient", no_wrap=True)
        made.add_column("closed form", overflow="fold")
        for heading, terms in parts:
            for i, t in enumerate(terms):
                cells = (heading if i == 0 else "", str(t.power), t.decimal, t.closed_form or "")
                made.add_row(*map(Text, cells), end_section=t is terms[-1])
        return made

    weights = [(f"ξ{i}", w) for i, w in enumerate(found.weights, 1)]
    eigenvalues = []
    for e in found.eigenvalues:
        where = found.block(e.factors) if len(found.roles) > 1 else None
        heading = " ".join(filter(None, (e.representation.value, where)))
        eigenvalues.append((f"{heading}\n× ({e.multiplicity})", e.terms))
    show(table(f"{found.name}: loss and weights", [("loss", found.loss), *weights]))
    show(table(f"{found.name}: Hessian", eigenvalues))
