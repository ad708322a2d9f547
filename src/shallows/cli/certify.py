"""Proofs: make a certificate, check one, prove a statement for a whole range of sizes."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, complain, print_json, say, show, write_json

if TYPE_CHECKING:
    from shallows.certify import Certificate
    from shallows.certify.interval import IntervalCertificate

_MOST = 10**12


@app.command(epilog="Example: `shallows certify II -k 10 --out II-10.json`")
def certify(
    name: Annotated[str, typer.Argument(help="`A`, `I`, `II` or `flipped:P`.")],
    neurons: Annotated[int, typer.Option("-k", help="Neurons of student and teacher.")] = 10,
    bits: Annotated[
        int | None, typer.Option("--bits", help="Precision. [default: 192 + 12 log2 k]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write the certificate.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove that a named critical point exists, what its loss is, and whether it is a minimum.

    Krawczyk's operator in ball arithmetic on the point's fixed-point space, symmetric criticality,
    and the inertia of the Hessian on every isotypic component. `shallows verify` checks the
    certificate again with formulas of its own.
    """
    from shallows.atlas.theorems import certified

    began = time.perf_counter()
    certificate = certified(name, neurons, bits)
    spent = time.perf_counter() - began
    if out is not None:
        write_json(out, certificate.as_json())
    if as_json:
        print_json(_short(certificate) | {"seconds": spent})
    else:
        _show(certificate)
        say(f"{spent:.2f} s" + ("" if out is None else f"; certificate: {out}"))
    if certificate.verdict.name != "PROVED":
        complain(f"{certificate.statement} Raise `--bits`.", 1)


@app.command(epilog="Example: `shallows verify II-10.json`")
def verify(
    file: Annotated[Path, typer.Argument(help="What `certify` or `theorem` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove the statement of a certificate again, by a second and smaller code.

    Exit status 0 if all of it was proved, 1 if not (with the reason), 2 if the file is no
    certificate or was altered.
    """
    from shallows.atlas.theorems import Theorem
    from shallows.certify import Certificate
    from shallows.certify import verify as verified
    from shallows.certify.interval import IntervalCertificate
    from shallows.certify.verify_interval import verify_interval

    document = _read(file)
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema == IntervalCertificate.schema:
        interval = IntervalCertificate.from_json(document)
        with bar("checking", len(interval.boxes)) as step:
            check = verify_interval(interval, step)
        if as_json:
            print_json({"verdict": check.verdict.value, "reason": check.reason} | _ends(interval))
        else:
            print(f"{check.verdict.value}: {interval.statement}")
    elif schema == Theorem.schema:
        theorem = Theorem.from_json(document)
        with bar("checking", len(theorem.certificates)) as step:
            check = theorem.check(step)
        if as_json:
            said = {"statement": theorem.statement, "first": theorem.first, "last": theorem.last}
            print_json({"verdict": check.verdict.value, "reason": check.reason, **said})
        else:
            print(f"{check.verdict.value}: {theorem.statement}")
    else:
        certificate = Certificate.from_json(document)
        check = verified(certificate)
        if as_json:
            changed = {"verdict": check.verdict.value, "reason": check.reason}
            print_json(_short(certificate) | changed)
        else:
            print(f"{check.verdict.value}: {certificate.statement}")
    if check.verdict.name != "PROVED":
        complain(f"Not proved again: {check.reason}", 1)


@app.command(epilog="Example: `shallows theorem spurious --from 6 --to 1000 --out spurious.json`")
def theorem(
    name: Annotated[str, typer.Argument(help="`spurious`.")],
    first: Annotated[int, typer.Option("--from", help="The smallest size.")] = 6,
    last: Annotated[int, typer.Option("--to", help="The largest size.")] = 100,
    out: Annotated[Path, typer.Option("--out", help="The certificate.")] = Path("theorem.json"),
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    real: Annotated[
        bool, typer.Option("--real", help="For every real k in the range, in one process.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove for every whole number of neurons in a range that there is a spurious minimum.

    One file with a certificate for each size. Interrupt it when you like: what was proved is kept
    beside the file, and the same command goes on. With `--real`, one certificate for all real
    sizes in the range: a curve of critical points, all of them spurious strict minima.
    """
    from shallows.atlas.theorems import spurious, spurious_everywhere

    if not 1 <= first <= last <= _MOST:
        raise ValueError(
            f"`--from {first} --to {last}` is no range of sizes. Use e.g. `--from 6 --to 1000`."
        )
    if name != "spurious":
        raise ValueError(f"There is no theorem called {name!r}. The one there is: `spurious`.")
    if real:
        if workers != 1:
            raise ValueError(
                f"`--workers {workers}` has no use with `--real`, where each box continues the "
                f"one before. Leave it out."
            )
        _prove_everywhere(spurious_everywhere, first, last, out, as_json)
        return
    began = time.perf_counter()
    with bar("proving", last - first + 1) as step:
        proved = spurious(first, last, out.with_suffix(".store"), workers, step)
    spent = time.perf_counter() - began
    write_json(out, proved.as_json())
    found = {"verdict": proved.verdict.value, "statement": proved.statement}
    if as_json:
        missing = [int(k) for k in proved.missing]
        print_json({**found, "missing": missing, "seconds": spent, "certificate": str(out)})
    else:
        print(f"{found['verdict']}: {found['statement']}")
        say(f"{spent:.1f} s; certificate: {out}")
    if proved.missing:
        complain(f"Nothing was proved for k = {', '.join(map(str, proved.missing[:10]))} …", 1)


def _prove_everywhere(
    proof: "Callable[..., IntervalCertificate]", first: int, last: int, out: Path, as_json: bool
) -> None:
    began = time.perf_counter()
    with bar("proving", 100) as step:
        proved = proof(str(first), str(last), lambda share: step(int(100 * share)))
    spent = time.perf_counter() - began
    write_json(out, proved.as_json())
    if as_json:
        found = {"verdict": proved.verdict.value, "seconds": spent, "certificate": str(out)}
        print_json(found | _ends(proved))
    else:
        print(f"{proved.verdict.value}: {proved.statement}")
        say(f"{spent:.1f} s; certificate: {out}")
    if not proved.boxes:
        complain(proved.statement, 1)


def _ends(certificate: "IntervalCertificate") -> dict[str, Any]:
    """What an interval's certificate says, without its boxes."""
    c = certificate
    said = {"statement": c.statement, "first": c.first, "last": c.last, "boxes": len(c.boxes)}
    return said | {"loss": c.loss, "smallest_eigenvalue": c.smallest_eigenvalue}


def _short(certificate: "Certificate") -> dict[str, Any]:
    """A certificate without what only a check needs."""
    whole = certificate.as_json()
    kept = (
        "verdict",
        "statement",
        "loss",
        "smallest_eigenvalue",
        "index",
        "eigenvalues",
        "weights",
    )
    return {key: whole[key] for key in kept}


def _show(certificate: "Certificate") -> None:
    from rich.table import Table

    if not certificate.eigenvalues:
        return
    table = Table(title=f"{certificate.verdict.value} with {certificate.bits} bits")
    for title in ("component", "block", "eigenvalue between", "and"):
        table.add_column(title)
    table.add_column("multiplicity", justify="right")
    for e in certificate.eigenvalues:
        block = "×".join(f"S{certificate.sizes[f]}" for f in e.factors)
        table.add_row(e.component, block, *e.enclosure, e.multiplicity)
    show(table)
    print(certificate.statement)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"There is no file {str(path)!r}. Check the name.") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not a certificate: it is no JSON ({error}). Give a file that "
            f"`shallows certify` or `shallows theorem` wrote."
        ) from None
