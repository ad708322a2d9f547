"""Beyond one machine: where a sweep runs, and a job file for a cluster."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shallows.cli.door import app, print_json, say

if TYPE_CHECKING:
    from shallows.lab import AbstractPlace

ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Instead of `--workers`, a Dask scheduler: its address, its scheduler file, or "
        "`local:N`.",
    ),
]


def place_of(workers: int, cluster: str | None) -> "AbstractPlace":
    """Where a sweep runs: here, in processes beside this one, or on a cluster.

    **Raises.** `ValueError` where both are asked for, or neither makes sense.
    """
    from shallows.lab import Cluster, Here, Processes
    from shallows.model.network import positive_integer

    number = positive_integer("workers", workers)
    if cluster is not None:
        if number != 1:
            raise ValueError(
                f"`--workers {number}` are of this machine and `--cluster {cluster}` has its own. "
                "Leave one of them out."
            )
        return Cluster(cluster)
    return Here() if number == 1 else Processes(number)


@app.command(
    epilog="Example: `shallows cluster --slurm --workers 32 'census -k 20 --starts 1000000'`",
)
def cluster(
    command: Annotated[
        str, typer.Argument(help="What to run, in quotes: a command that has `--cluster`.")
    ],
    slurm: Annotated[bool, typer.Option("--slurm", help="Write a job file for Slurm.")] = False,
    pbs: Annotated[bool, typer.Option("--pbs", help="Write a job file for PBS.")] = False,
    workers: Annotated[int, typer.Option("--workers", help="Workers, of one core each.")] = 32,
    memory: Annotated[str, typer.Option("--memory", help="Memory of a worker.")] = "2GB",
    time: Annotated[str, typer.Option("--time", help="Hours, minutes, seconds.")] = "04:00:00",
    queue: Annotated[
        str | None, typer.Option("--queue", help="Queue or partition. [default: the cluster's]")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Account to charge. [default: the cluster's]")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The job file.")] = Path("shallows.job"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a job file: a scheduler, its workers and one command, as one job.

    Submitted again after its time was up, it goes on where it stopped.
    """
    from shallows.lab.jobs import Job, Queue, job_file

    if slurm == pbs:
        raise ValueError("A job file is for one system. Give either `--slurm` or `--pbs`.")
    words = shlex.split(command)
    takers = _takers()
    if not words or words[0] not in takers:
        raise ValueError(
            f"The command is {command!r}, but those that run on a cluster are "
            f"{', '.join(f'`{name}`' for name in takers)}. Use e.g. `census -k 20`."
        )
    if {"--cluster", "--workers"} & {word.partition("=")[0] for word in words}:
        raise ValueError(
            f"The command is {command!r}, but where it runs is for the job file to say. Leave out "
            "`--cluster` and `--workers`."
        )
    if out.exists() and not out.is_file():
        raise ValueError(f"A job file is a file, and {out} is not. Use another `--out`.")
    system = Queue.slurm if slurm else Queue.pbs
    text = job_file(Job(workers, memory, time, queue, account), system, words)
    out.write_text(text, encoding="utf-8")
    submit = f"{'sbatch' if slurm else 'qsub'} {shlex.quote(str(out))}"
    if as_json:
        print_json({"file": str(out), "submit": submit, "workers": workers, "system": system.value})
        return
    say(f"job file: {out}; submit it with `{submit}`")


def _takers() -> list[str]:
    """The commands that have `--cluster`."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has
    return sorted(
        name for name, it in commands.items() if any("--cluster" in p.opts for p in it.params)
    )
