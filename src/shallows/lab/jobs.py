"""Job files: a scheduler, its workers and one command that sweeps, as one job of Slurm or PBS."""

import enum
import re
import shlex
import sys
from dataclasses import dataclass

from shallows.lab.places import ONE_THREAD


class Queue(enum.StrEnum):
    """The system that a job file is for."""

    slurm = "slurm"
    pbs = "pbs"


@dataclass(frozen=True)
class Job:
    """A job: so many workers of one core each, for a time.

    **Raises.** `ValueError` for a number, a time or an amount of memory that no system would take.
    """

    workers: int
    memory: str = "2GB"
    """Of each worker."""
    time: str = "04:00:00"
    queue: str | None = None
    account: str | None = None

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(f"A job has at least one worker, not {self.workers}. Use e.g. 32.")
        if not re.fullmatch(r"[1-9]\d*(MB|GB)", self.memory):
            raise ValueError(
                f"Memory is a whole number of MB or GB, but is {self.memory!r}. Use e.g. `2GB`."
            )
        if not re.fullmatch(r"\d{1,3}:[0-5]\d:[0-5]\d", self.time):
            raise ValueError(
                f"A time is hours, minutes and seconds, but is {self.time!r}. Use e.g. `04:00:00`."
            )
        for name, word in (("queue", self.queue), ("account", self.account)):
            if word is not None and not re.fullmatch(r"[\w.@:-]+", word):
                raise ValueError(
                    f"The name of the {name} is one word, but is {word!r}. Leave it out, or use "
                    "the one that the cluster knows."
                )


def job_file(job: Job, system: Queue, command: list[str]) -> str:
    """The text of a job file that runs `shallows COMMAND --cluster FILE` on workers of its own.

    The job starts a scheduler, which writes its address into a file beside the job, then the
    workers, then the command; all end with it. Submitted again, it goes on where it stopped. The
    header is dask-jobqueue's, for one core a worker.

    **Raises.** `ValueError` if dask-jobqueue is not installed.
    """
    exports = "\n".join(f"export {name}={shlex.quote(v)}" for name, v in ONE_THREAD.items())
    number, folder = {
        Queue.slurm: ("${SLURM_JOB_ID}", "${SLURM_SUBMIT_DIR}"),
        Queue.pbs: ("${PBS_JOBID}", "${PBS_O_WORKDIR}"),
    }[system]
    python = shlex.quote(sys.executable)
    worker = (
        f"{python} -m distributed.cli.dask_worker --scheduler-file $file --nworkers 1 --nthreads 1 "
        "--no-dashboard --local-directory ${TMPDIR:-/tmp} --death-timeout 300"
    )
    if system is Queue.slurm:
        start = f"srun --ntasks={job.workers} --kill-on-bad-exit=0 {worker}"
    else:
        # `pbsdsh` starts one on each core of the selection, and passes no environment on.
        inner = "; ".join([*exports.splitlines(), f"cd '{folder}'", f"exec {worker}"])
        start = f'pbsdsh -- bash -c "{inner.replace(chr(34), chr(92) + chr(34))}"'
    return f"""{_header(job, system).strip()}

# One thread a worker: whoever asks for more cores asks for more workers.
{exports}
cd "{folder}"
file="$PWD/scheduler-{number}.json"
{python} -m distributed.cli.dask_scheduler --scheduler-file "$file" --port 0 --no-dashboard &
scheduler=$!
trap 'kill $scheduler 2>/dev/null; rm -f "$file"' EXIT
while [ ! -s "$file" ]; do sleep 1; done
{start} &

{python} -m shallows {shlex.join(command)} --cluster "$file"
"""


def _header(job: Job, system: Queue) -> str:
    try:
        from dask_jobqueue.pbs import PBSJob
        from dask_jobqueue.slurm import SLURMJob
    except ImportError as error:
        raise ValueError(
            f"A job file needs dask-jobqueue, which is not installed ({error}). Install the extra: "
            "`pip install 'shallows[cluster]'`."
        ) from None
    options = {
        "scheduler": "tcp://nobody:0",  # asked for, and not part of the header
        "name": "shallows",
        "job_name": "shallows",
        "cores": 1,
        "processes": 1,
        "memory": job.memory,
        "walltime": job.time,
        "queue": job.queue,
        "account": job.account,
        "config_name": system.value,
    }
    if system is Queue.slurm:
        # Memory belongs to a task: `--mem` would be for all tasks of a node together.
        more = [f"--ntasks={job.workers}", f"--mem-per-cpu={job.memory[:-1]}"]
        skipped = ["-n 1", "--mem="]
        header = SLURMJob(
            **options, job_directives_skip=skipped, job_extra_directives=more
        ).job_header
    else:
        chunk = f"select={job.workers}:ncpus=1:mem={job.memory.lower()}"
        header = PBSJob(**options, resource_spec=chunk).job_header
    return f"#!/usr/bin/env bash\n{header}"
