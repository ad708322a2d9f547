"""Proofs: make a certificate, check one, prove a statement for a whole range of sizes."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.cluster import ClusterOption, place_of
from shallows.cli.door import app, bar, complain, print_json, say, show, write_json
from shallows.cli.points import certify_weights, short

if TYPE_CHECKING:
    from shallows.certify import Certificate
    from shallows.certify.infinity import InfinityCertificate
    from shallows.certify.interval import IntervalCertificate
    from shallows.certify.splitting import SplittingCertificate

_MOST = 10**12
_INFINITY = "infinity"


@app.command(epilog="Example: `shallows certify II -k 10 --out II-10.json`")
def certify(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="`A`, `I`, `II` or `flipped:P`; or else `--weights`.")
    ] = None,
    neurons: Annotated[int, typer.Option("-k", help="Neurons of student and teacher.")] = 10,
    bits: Annotated[
        int | None, typer.Option("--bits", help="Precision. [default: 192 + 12 log2 k]")
    ] = None,
    extra: Annotated[
        int,
        typer.Option("--extra", help="Extra student neurons: prove what the point becomes."),
    ] = 0,
    how: Annotated[
        int | None,
        typer.Option(
            "--how",
            help="With `--extra`: which of the continuations that `shallows family --extra` "
            "lists, from 1. [default: splitting any neuron of the point]",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="A point of your own: an npz file with inner[, outer]."),
    ] = None,
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher",
            help="With `--weights`: `orthonormal`, a neuron for each input, or an npz file: "
            "inner[, outer].",
        ),
    ] = "orthonormal",
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write the certificate.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove that a named critical point exists, what its loss is, and whether it is a minimum.

    Krawczyk's operator in ball arithmetic on the point's fixed-point space, symmetric criticality,
    and the inertia of the Hessian on every isotypic component. `shallows verify` checks the
    certificate again with formulas of its own. With `--extra`, that the point with more neurons is
    a saddle, by a direction along which the loss falls. With `--weights`, the critical point next
    to the student in a file: by its symmetry if it has one, otherwise in all of its weights.
    """
    if weights is not None:
        named = {"name": "NAME", "neurons": "-k", "extra": "--extra", "how": "--how"}
        given = [o for n, o in named.items() if _is_given(context, n)]
        if given:
            raise ValueError(
                f"`--weights` brings the point, but {' and '.join(given)} would name one. Leave "
                f"out one or the other."
            )
        certify_weights(weights, teacher, bits, out, as_json)
        return
    if name is None:
        raise ValueError(
            "There is no point to certify. Name a family, e.g. `shallows certify II -k 10`, or "
            "give a student of your own, `--weights FILE.npz`."
        )
    if teacher != "orthonormal":
        raise ValueError(
            f"Named families have an orthonormal teacher, but `--teacher {teacher}` was given. "
            f"Leave it out, or give a student with `--weights`."
        )
    from shallows.atlas.theorems import certified, certified_wider
    from shallows.certify.splitting import SplittingCertificate

    if extra < 0:
        raise ValueError(f"`--extra` must not be negative, but is {extra}. Use e.g. `--extra 1`.")
    if how is not None and not extra:
        raise ValueError(f"`--how {how}` chooses among what extra neurons make. Add `--extra 1`.")
    began = time.perf_counter()
    if extra:
        found = certified_wider(name, neurons, extra, how, bits)
        if isinstance(found, SplittingCertificate):
            _told(found, extra, out, as_json, time.perf_counter() - began)
            return
        certificate = found
    else:
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


def _is_given(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name != "DEFAULT"


def _told(
    certificate: "SplittingCertificate", extra: int, out: Path | None, as_json: bool, spent: float
) -> None:
    if out is not None:
        write_json(out, certificate.as_json())
    if as_json:
        print_json(_splitting(certificate) | {"extra": extra, "seconds": spent})
    else:
        print(f"{certificate.verdict.value}: {certificate.statement}")
        say(f"{spent:.2f} s" + ("" if out is None else f"; certificate: {out}"))
    if certificate.verdict.name != "PROVED":
        complain(f"{certificate.statement} Raise `--bits`, or choose `--how`.", 1)


def _splitting(certificate: "SplittingCertificate") -> dict[str, Any]:
    """What a certificate about split neurons says, without what only a check needs."""
    whole = certificate.as_json()
    kept = {key: whole[key] for key in ("verdict", "statement", "separations")}
    return kept | {"loss": certificate.core.loss, "core": _short(certificate.core)}


@dataclasses.dataclass(frozen=True)
class _Kind:
    """How certificates of one schema are read, checked and told."""

    read: Callable[[Any], Any]
    check: Callable[..., Any]
    said: Callable[[Any], dict[str, Any]]
    parts: Callable[[Any], int] | None = None
    """How many parts are checked one after another; None for certificates checked at once."""


def _kinds() -> dict[str | None, _Kind]:
    """By schema; None stands for certificates of one point by its symmetry, and for no schema."""
    from shallows import certify as room
    from shallows.atlas.theorems import Theorem
    from shallows.certify.interval import IntervalCertificate
    from shallows.certify.threshold import ThresholdEnclosure
    from shallows.certify.verify_interval import verify_interval

    point, splitting = room.PointCertificate, room.SplittingCertificate
    endless, ends = room.InfinityCertificate, ("statement", "first", "last")
    return {
        None: _Kind(room.Certificate.from_json, room.verify, _short),
        point.schema: _Kind(point.from_json, room.verify_point, short),
        splitting.schema: _Kind(splitting.from_json, room.verify_splitting, _splitting),
        ThresholdEnclosure.schema: _Kind(
            ThresholdEnclosure.from_json,
            room.verify_threshold,
            lambda c: {key: getattr(c, key) for key in ("statement", "lower", "upper")},
        ),
        endless.schema: _Kind(
            endless.from_json, room.verify_infinity, _ends, lambda c: len(c.interval.boxes) + 1
        ),
        IntervalCertificate.schema: _Kind(
            IntervalCertificate.from_json, verify_interval, _ends, lambda c: len(c.boxes)
        ),
        Theorem.schema: _Kind(
            Theorem.from_json,
            Theorem.check,
            lambda c: {key: getattr(c, key) for key in ends},
            lambda c: len(c.certificates),
        ),
    }


@app.command(epilog="Example: `shallows verify II-10.json`")
def verify(
    file: Annotated[Path, typer.Argument(help="What `certify`, `theorem` or `threshold` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove the statement of a certificate again, by a second and smaller code.

    Exit status 0 if all of it was proved, 1 if not (with the reason), 2 if the file is no
    certificate or was altered.
    """
    document = _read(file)
    schema = document.get("schema") if isinstance(document, dict) else None
    kinds = _kinds()
    kind = kinds.get(schema, kinds[None])
    certificate = kind.read(document)
    if kind.parts is None:
        check = kind.check(certificate)
    else:
        with bar("checking", kind.parts(certificate)) as step:
            check = kind.check(certificate, step)
    if as_json:
        changed = {"verdict": check.verdict.value, "reason": check.reason}
        print_json(kind.said(certificate) | changed)
    else:
        print(f"{check.verdict.value}: {certificate.statement}")
    if check.verdict.name != "PROVED":
        complain(f"Not proved again: {check.reason}", 1)


@app.command(
    epilog="Example: `shallows theorem spurious --from 6 --to infinity --out spurious.json`"
)
def theorem(
    name: Annotated[str, typer.Argument(help="`spurious`.")],
    first: Annotated[int, typer.Option("--from", help="The smallest size.")] = 6,
    to: Annotated[
        str, typer.Option("--to", help="The largest size; `infinity` for all, with `--real`.")
    ] = "100",
    family: Annotated[
        str, typer.Option("--family", help="With `--to infinity`: `A`, `I` or `II`.")
    ] = "II",
    out: Annotated[Path, typer.Option("--out", help="The certificate.")] = Path("theorem.json"),
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    real: Annotated[
        bool, typer.Option("--real", help="For every real k in the range, in one process.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Prove for every whole number of neurons in a range that there is a spurious minimum.

    One file with a certificate for each size. Interrupt it when you like: what was proved is kept
    beside the file, and the same command goes on. With `--real`, one certificate for all real
    sizes in the range: a curve of critical points, all of them spurious strict minima. With `--to
    infinity`, the same for all sizes from the smallest on: one theorem about infinitely many.
    """
    from shallows.atlas.theorems import spurious, spurious_everywhere, spurious_to_infinity

    if name != "spurious":
        raise ValueError(f"There is no theorem called {name!r}. The one there is: `spurious`.")
    if (workers != 1 or cluster is not None) and (real or to == _INFINITY):
        given = f"--workers {workers}" if cluster is None else f"--cluster {cluster}"
        raise ValueError(
            f"`{given}` has no use with `--real` and `--to {_INFINITY}`, where each box continues "
            f"the one before. Leave it out."
        )
    place = place_of(workers, cluster)
    if to == _INFINITY:
        if not 1 <= first <= _MOST:
            raise ValueError(f"`--from {first}` is no size. Use e.g. `--from 6`.")
        _prove_everywhere(lambda step: spurious_to_infinity(str(first), family, step), out, as_json)
        return
    if family != "II":
        raise ValueError(
            f"`--family {family}` is proved for all large sizes at once only. Add `--to infinity`."
        )
    last = int(to) if to.isascii() and to.isdigit() else 0
    if not 1 <= first <= last <= _MOST:
        raise ValueError(
            f"`--from {first} --to {to}` is no range of sizes. Use e.g. `--from 6 --to 1000`, or "
            f"`--to {_INFINITY}`."
        )
    if real:
        _prove_everywhere(
            lambda step: spurious_everywhere(str(first), str(last), step), out, as_json
        )
        return
    began = time.perf_counter()
    with bar("proving", last - first + 1) as step:
        proved = spurious(first, last, out.with_suffix(".store"), place, step)
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
    proof: "Callable[[Callable[[float], None]], IntervalCertificate | InfinityCertificate]",
    out: Path,
    as_json: bool,
) -> None:
    began = time.perf_counter()
    with bar("proving", 100) as step:
        proved = proof(lambda share: step(int(100 * share)))
    spent = time.perf_counter() - began
    write_json(out, proved.as_json())
    if as_json:
        found = {"verdict": proved.verdict.value, "seconds": spent, "certificate": str(out)}
        print_json(found | _ends(proved))
    else:
        print(f"{proved.verdict.value}: {proved.statement}")
        say(f"{spent:.1f} s; certificate: {out}")
    if proved.verdict.name != "PROVED":
        complain(proved.statement, 1)


def _ends(certificate: "IntervalCertificate | InfinityCertificate") -> dict[str, Any]:
    """What a certificate for real sizes says, without its boxes."""
    from shallows.certify.infinity import InfinityCertificate

    c = certificate
    if isinstance(c, InfinityCertificate):
        tail = c.tail
        return {
            "statement": c.statement,
            "first": c.first,
            "last": c.interval.last if tail is None else _INFINITY,
            "boxes": len(c.interval.boxes),
            "loss": None if tail is None else c.loss,
            "scaled_loss": None if tail is None else tail.scaled_loss,
            "smallest_eigenvalue": None if tail is None else c.smallest_eigenvalue,
        }
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
        "descent",
        "distance",
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
    except IsADirectoryError:
        raise ValueError(
            f"{str(path)!r} is a folder, not a certificate. Name the file in it."
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{str(path)!r} is not a certificate: it is no JSON ({error}). Give a file that "
            f"`shallows certify` or `shallows theorem` wrote."
        ) from None
