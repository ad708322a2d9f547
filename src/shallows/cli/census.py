"""The census: which critical points training finds, and how often."""

import dataclasses
import enum
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import shallows
from shallows.cli.cluster import ClusterOption, place_of
from shallows.cli.door import app, bar, complain, print_json, say, show, sizes_in, write_json
from shallows.cli.problems import Trained, named_law, problem

if TYPE_CHECKING:
    from shallows.atlas import Census
    from shallows.lab import AbstractPlace, Store
    from shallows.landscape import SquaredLoss
    from shallows.solve import AbstractMethod


class Optimiser(enum.StrEnum):
    """How students are trained."""

    flow = "flow"
    gd = "gd"
    sgd = "sgd"


_LARGEST = 10_000  # a teacher of that many neurons fills a gigabyte
_SIZES = 1000  # each has a page of its own


@app.command(epilog="Example: `shallows census -k 10 --starts 1000 --optimiser gd --out census`")
def census(
    neurons_of_teacher: Annotated[
        str | None,
        typer.Option(
            "-k", help="Neurons of teacher and student, or a range of sizes: `6:50`. [default: 10]"
        ),
    ] = None,
    inputs: Annotated[
        int | None, typer.Option("--inputs", "-d", help="Input dimension. [default: k]")
    ] = None,
    neurons: Annotated[
        int | None, typer.Option("--neurons", help="Neurons of the student. [default: k]")
    ] = None,
    starts: Annotated[int, typer.Option("--starts", help="Random starts, for each size.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the starts.")] = 0,
    optimiser: Annotated[
        Optimiser | None,
        typer.Option(
            "--optimiser",
            help="Gradient flow, descent with a fixed step, or SGD. [default: flow; gd for data]",
        ),
    ] = None,
    step: Annotated[
        float | None,
        typer.Option(
            "--step",
            help="Step of gd or sgd. [default: 5/max(k, 6), for other activations than relu "
            "1/λ_max at the teacher; sgd 1/k]",
        ),
    ] = None,
    init: Annotated[
        float | None,
        typer.Option("--init", help="Standard deviation of a start's weights. [default: 1/√d]"),
    ] = None,
    bias: Annotated[
        bool,
        typer.Option(
            "--bias", help="Train a bias of each neuron, too; the teacher's are 0, or its file's."
        ),
    ] = False,
    trained: Annotated[
        Trained, typer.Option("--trained", help="Inner weights only, or heads too.")
    ] = Trained.inner,
    teacher: Annotated[
        str, typer.Option("--teacher", help="`orthonormal`, or an npz file: inner[, outer, bias].")
    ] = "orthonormal",
    law: Annotated[
        str,
        typer.Option(
            "--law",
            help="`gaussian`, `sphere`, `ball` (of radius √d), `uniform` or `laplace` (independent "
            "inputs), `student:NU`, `signs:NOISE` (±1 with Gaussian noise), or an npz file: "
            "inputs[, weights] (a data set), covariance, or covariances[, weights] (a mixture).",
        ),
    ] = "gaussian",
    activation: Annotated[
        str,
        typer.Option(
            "--activation",
            help="`relu`, `leaky:0.1`, `abs`, `erf`, `sin`, `cos`, `poly:0,0,1`, `hermite:0,0,1`, "
            "`tanh`, `sigmoid`, `softplus`, `silu` or `gelu`.",
        ),
    ] = "relu",
    dropout: Annotated[
        float | None,
        typer.Option(
            "--dropout",
            help="Add the mean effect of dropout that KEEPS each neuron with this probability, in "
            "(0, 1].",
        ),
    ] = None,
    depth: Annotated[
        int, typer.Option("--depth", help="Hidden layers; more than one on drawn data.")
    ] = 1,
    points: Annotated[
        int | None,
        typer.Option(
            "--points",
            help="With --depth: points drawn from the law, each in all k! orders. [default: 10]",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the store, report and figures.")
    ] = Path("census"),
    workers: Annotated[int, typer.Option("--workers", help="Processes to use.")] = 1,
    cluster: ClusterOption = None,
    certify: Annotated[
        bool,
        typer.Option("--certify", help="Prove what each family is, and write certificates."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train from many random starts: which critical points are found, and how often.

    Every start is followed to a gradient norm of 1e-12. End points that are relabellings of one
    another are one family; the table gives its isotropy group, how often it was found, its loss
    and its smallest Hessian eigenvalue. Interrupt it when you like: the same command goes on
    where it stopped, and a larger `--starts` reuses what is there. With `--certify` it is proved,
    family by family, that there is a critical point, what its loss is, and how many Hessian
    eigenvalues are negative; `shallows verify` checks the certificates again. With `--depth` the
    target is the identity in each of several layers, and the isotropy is that of all layers
    together.
    """
    if depth != 1 or points is not None:
        _at_depth(
            depth,
            points,
            refused={
                "inputs": inputs is not None,
                "neurons": neurons is not None,
                "teacher": teacher != "orthonormal",
                "trained": trained is not Trained.inner,
                "bias": bias,
                "dropout": dropout is not None,
                "certify": certify,
                "workers": workers != 1,
                "cluster": cluster is not None,
                "optimiser sgd": optimiser is Optimiser.sgd,
            },
            neurons=neurons_of_teacher,
            law=law,
            activation=activation,
            starts=starts,
            seed=seed,
            optimiser=optimiser,
            step=step,
            init=init,
            out=out,
            as_json=as_json,
        )
        return
    sizes = [None] if neurons_of_teacher is None else sizes_in(neurons_of_teacher, _LARGEST, _SIZES)
    given = (inputs, neurons, teacher, law) != (None, None, "orthonormal", "gaussian")
    if len(sizes) > 1 and given:
        raise ValueError(
            f"A range of sizes (`-k {neurons_of_teacher}`) means orthonormal problems with "
            f"d = k and Gaussian inputs. Leave out --inputs, --neurons, --teacher and --law, or "
            f"ask for one size."
        )

    from shallows.atlas.census import MOST_STARTS
    from shallows.lab import Store
    from shallows.model.network import positive_integer
    from shallows.solve.methods import positive

    positive_integer("starts", starts, most=MOST_STARTS)
    place = place_of(workers, cluster)
    if init is not None:
        positive("init", init)
    if neurons is not None:
        positive_integer("neurons", neurons)
    # One problem at a time is in memory; the first is made before anything is written.
    loss = problem(sizes[0], inputs, teacher, law, trained, activation, bias, dropout)
    method = _method(optimiser, step, loss)
    if certify:
        from shallows.atlas.certification import refuse_uncertifiable

        refuse_uncertifiable(loss)
    store = Store(out)
    command = shlex.join(["shallows", *sys.argv[1:]])

    found: list[Census] = []
    for size in sizes:
        if found:
            loss = problem(size, inputs, teacher, law, trained, activation, bias, dropout)
        k = loss.teacher.neurons if neurons is None else neurons
        with _bar(f"k = {k}", starts) as pulse:
            made = shallows.census(
                loss,
                starts,
                method,
                neurons=k,
                init=init,
                seed=seed,
                store=store,
                on=place,
                progress=pulse,
                curves=len(sizes) == 1,
            )
        found.append(_certified(made, loss, store, place, out) if certify else made)
    if len(found) == 1:
        _publish_one(found[0], out, command, as_json)
    else:
        _publish_many(found, out, command, as_json)
    if not any(census.settled for census in found):
        complain("No start settled; the outcomes above say why and what to do.", 1)


def _at_depth(
    depth: int,
    points: int | None,
    *,
    refused: dict[str, bool],
    neurons: str | None,
    law: str,
    activation: str,
    starts: int,
    seed: int,
    optimiser: Optimiser | None,
    step: float | None,
    init: float | None,
    out: Path,
    as_json: bool,
) -> None:
    from shallows.cli.depth import census_at_depth, refuse_beside_depth
    from shallows.model.named import activation as called
    from shallows.solve import GradientDescent, GradientFlow
    from shallows.solve.methods import positive

    if depth < 2:
        raise ValueError(
            f"`--depth` and `--points` are about 2 hidden layers or more, but `--depth` is "
            f"{depth}. Leave both out for one layer."
        )
    refuse_beside_depth(depth, **refused)
    named = named_law(law)
    if named is None:
        raise ValueError(
            f"With `--depth {depth}` data are drawn from a named law, but `--law` is the file "
            f"{law!r}. Use gaussian, sphere, ball or student:5."
        )
    # At every kink of a data set's loss a flow's step shrinks to nothing.
    kinked = not called(activation).is_smooth
    descends = optimiser is Optimiser.gd or (optimiser is None and kinked)
    if not descends and step is not None:
        raise ValueError(
            f"The gradient flow has no step, but `--step {step}` was given. Leave it out, or use "
            f"`--optimiser gd`."
        )
    how = GradientDescent(0.1 if step is None else step) if descends else GradientFlow()
    if init is not None:
        positive("init", init)
    census_at_depth(
        depth,
        neurons,
        named,
        activation,
        10 if points is None else points,
        starts,
        seed,
        how,
        init,
        out,
        as_json,
    )


def _certified(
    census: "Census", loss: "SquaredLoss", store: "Store", place: "AbstractPlace", out: Path
) -> "Census":
    """The census with proofs, and its certificates in the folder."""
    from shallows.atlas.certification import certified_census

    k = census.question["neurons"]
    with bar(f"proving, k = {k}", len(census.families)) as step:
        proved = certified_census(census, loss, store=store, on=place, step=step)
    families = []
    for rank, family in enumerate(proved.families, 1):
        proof = family.proof
        if proof is not None and proof.certificate is not None:
            name = re.sub(r"[^A-Za-z0-9]+", "-", family.name).strip("-")
            path = out / "certificates" / f"k{k:03d}-{rank:02d}-{name[:40]}.json"
            write_json(path, proof.certificate.as_json())
            family = dataclasses.replace(family, proof=dataclasses.replace(proof, file=str(path)))
        families.append(family)
    return dataclasses.replace(proved, families=tuple(families))


def _publish_one(census: "Census", out: Path, command: str, as_json: bool) -> None:
    from shallows.atlas.shares import missed
    from shallows.report import (
        census_figure,
        families_table,
        proofs_table,
        save_figure,
        write_report,
    )

    page = write_report(census, out / "report.html", command=command, store=str(out))
    pictures = save_figure(census_figure(census), out / "census")
    bounds = missed(census)
    if as_json:
        print_json({**census.as_json(), "missed": [bound.as_json() for bound in bounds]})
        return
    show(families_table(census))
    for bound in bounds:
        print(bound)
    if any(family.proof is not None for family in census.families):
        show(proofs_table(census))
    for outcome, count in census.unsettled.items():
        say(f"ended as {outcome}: {count}. {_advice(outcome)}")
    say(f"report: {page}; figure: {', '.join(str(picture) for picture in pictures)}")


def _publish_many(found: "list[Census]", out: Path, command: str, as_json: bool) -> None:
    from shallows.report import (
        atlas_figure,
        save_figure,
        sizes_table,
        write_atlas_report,
        write_report,
    )

    for census in found:
        name = f"k{census.question['neurons']:03d}.html"
        write_report(census, out / name, command=command, store=str(out))
    page = write_atlas_report(found, out / "report.html", command=command, store=str(out))
    pictures = save_figure(atlas_figure(found), out / "atlas")
    if as_json:
        print_json({"sizes": [census.as_json() for census in found]})
        return
    show(sizes_table(found))
    say(f"report: {page}; figure: {', '.join(str(picture) for picture in pictures)}")


def _method(
    optimiser: Optimiser | None, step: float | None, loss: "SquaredLoss"
) -> "AbstractMethod":
    from shallows.atlas.census import usual_method, usual_step
    from shallows.solve import GradientDescent, GradientFlow, StochasticDescent

    if optimiser is None:
        optimiser = Optimiser(usual_method(loss).name)
    if optimiser is Optimiser.flow:
        if step is not None:
            raise ValueError(
                f"The gradient flow has no step, but `--step {step}` was given. "
                f"Leave it out, or use `--optimiser gd`."
            )
        return GradientFlow()
    if optimiser is Optimiser.gd:
        return GradientDescent(usual_step(loss) if step is None else step)
    return StochasticDescent(step)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[Any], None]]:
    """A progress bar on stderr: rate, remaining time and families found so far."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("families: {task.fields[families]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total, families=0, rate="")

        def pulse(event: Any) -> None:
            if event.damaged:
                progress.console.print(f"damaged record, recomputed: {event.damaged}", markup=False)
            speed = progress.tasks[task].speed
            rate = f"{speed:.1f} starts/s" if speed else ""
            progress.update(task, completed=event.starts, families=event.families, rate=rate)

        yield pulse


def _advice(outcome: str) -> str:
    from shallows.solve import Outcome

    return Outcome[outcome].value
