"""Online learning in order parameters from the shell."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shallows.cli.door import app, bar, print_json, say, show
from shallows.cli.problems import Trained

if TYPE_CHECKING:
    from shallows.solve.order_parameters import OnlineLearning, Simulation

_POINTS = 201
_MOST = 20
_MARKS = 21
_LARGEST = 10**6


@app.command(
    epilog="Example: `shallows order -k 2 --activation erf --eta 1 --until 200 --out order`"
)
def order(
    k: Annotated[int, typer.Option("-k", help="Neurons of the student.")] = 2,
    m: Annotated[
        int | None, typer.Option("-m", help="Orthonormal neurons of the teacher. [default: k]")
    ] = None,
    activation: Annotated[
        str,
        typer.Option(
            "--activation", help="`relu`, `erf`, `abs` or `leaky:S`; others with `--eta 0`."
        ),
    ] = "relu",
    eta: Annotated[
        float, typer.Option("--eta", help="Step times inputs; 0: gradient flow, time in 1/eta.")
    ] = 0.5,
    until: Annotated[float, typer.Option("--until", help="Time: samples/inputs.")] = 100.0,
    noise: Annotated[
        float, typer.Option("--noise", help="Standard deviation of the teacher's noise.")
    ] = 0.0,
    trained: Annotated[
        Trained, typer.Option("--trained", help="`inner` weights, or `all`: heads too.")
    ] = Trained.inner,
    length: Annotated[
        float, typer.Option("--length", help="Length of each student neuron at the start.")
    ] = 0.5,
    spread: Annotated[
        float, typer.Option("--spread", help="Standard deviation of other overlaps there.")
    ] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the start, and samples.")] = 0,
    simulate: Annotated[
        str, typer.Option("--simulate", help="Also simulate, with so many inputs: `100,1000`.")
    ] = "",
    runs: Annotated[int, typer.Option("--runs", help="Runs with each number of inputs.")] = 10,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for a figure.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Learn a teacher online, one new input a step, in the limit of many inputs.

    Overlaps of the student's neurons with one another (Q) and with the teacher's (R) follow
    ordinary differential equations; heads start at 1. `--simulate` takes real steps beside.
    """
    if max(k, m or k) > _MOST:
        raise ValueError(
            f"At most {_MOST} neurons have order parameters that can be looked at, but `-k` is {k} "
            f"and `-m` {m or k}. Use fewer."
        )
    sizes = _sizes_in(simulate)
    import numpy as np

    from shallows.landscape import AllWeights, InnerWeights
    from shallows.model.named import activation as called
    from shallows.solve.evolution import Ending
    from shallows.solve.order_parameters import OrderParameters, online
    from shallows.solve.order_parameters import simulate as simulation_of

    parts = AllWeights() if trained is Trained.all else InnerWeights()
    start = OrderParameters.unaligned(
        k, m, length=length, spread=spread, activation=called(activation), seed=seed
    )
    run = online(start, rate=eta, until=until, noise=noise, trained=parts)
    made: list[Simulation] = []
    if sizes:
        with bar("simulation", sum(sizes)) as move:
            for d in sizes:
                done = sum(sizes[: len(made)])

                def progress(share: float, d: int = d, done: int = done) -> None:
                    move(int(done + share * d))

                one = simulation_of(
                    start,
                    inputs=d,
                    rate=eta,
                    times=np.linspace(0, until, _MARKS),
                    runs=runs,
                    noise=noise,
                    trained=parts,
                    seed=seed,
                    progress=progress,
                )
                made.append(one)
            move(sum(sizes))
    end = run.path.ending
    if end is not Ending.reached_end:
        say(f"shallows: {end.value}")
    if out is not None:
        from shallows.report.figures import save_figure
        from shallows.report.order_parameters import order_figure

        pictures = save_figure(order_figure(run, made), out / "order")
        say(f"Wrote {pictures[0]} and {pictures[1]}.")
    if as_json:
        print_json(_document(run, made, eta, noise))
    else:
        from shallows.report.order_parameters import order_table

        show(order_table(run, made))
    if end is not Ending.reached_end:
        raise typer.Exit(1)


def _document(
    run: "OnlineLearning", made: "list[Simulation]", eta: float, noise: float
) -> dict[str, Any]:
    import numpy as np

    times = np.linspace(0, run.path.times[-1], _POINTS)
    student, cross, heads = run.overlaps(times)
    k, m = run.start.cross.shape
    return {
        "neurons": k,
        "teachers": m,
        "activation": run.start.activation.name,
        "eta": eta,
        "noise": noise,
        "ending": run.path.ending.name,
        "times": times.tolist(),
        "loss": run.losses(times).tolist(),
        "student": student.tolist(),
        "cross": cross.tolist(),
        "heads": heads.tolist(),
        "simulations": [_simulated(one) for one in made],
    }


def _simulated(made: "Simulation") -> dict[str, Any]:
    quantities = {
        "loss": made.losses,
        "student": made.student,
        "cross": made.cross,
        "heads": made.heads,
    }
    return {
        "inputs": made.inputs,
        "runs": len(made.losses),
        "times": made.times.tolist(),
        **{
            name: {
                "mean": array.mean(0).tolist(),
                "deviation": array.std(0, ddof=min(1, len(array) - 1)).tolist(),
            }
            for name, array in quantities.items()
        },
    }


def _sizes_in(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")] if text else []
    except ValueError:
        sizes = [0]
    if not all(0 < d <= _LARGEST for d in sizes):
        raise ValueError(
            f"`--simulate` must be numbers of inputs, from 1 to {_LARGEST}, but is {text!r}. Use "
            f"e.g. `--simulate 100,1000`."
        )
    return sizes
