"""What a sweep costs beside its cases: overhead a case, and workers against bare processes.

    python benchmarks/sweep.py [overhead workers cluster]

`overhead` sweeps cases that do nothing, in one process, where each record has a file, and in
workers, where those of a batch share one; then it resumes, which reads every record again.
`workers` compares two workers with two independent processes that run the same measure in a
loop and keep nothing. Times are of the wall, since waiting is what is measured; best of the rounds.
"""

import argparse
import subprocess
import sys
import tempfile
import time

from shallows.lab import Case, Cluster, Here, Processes, Result, Store, Study, sweep


def nothing(case):
    """A case without work."""
    return Result({"n": case["n"]})


def busy(case):
    """A case of so many milliseconds of work on one core."""
    total = 0
    for i in range(case["loops"]):
        total += i * i
    return Result({"total": total % 1000})


NOTHING = Study("nothing", 1, nothing)
BUSY = Study("busy", 1, busy)


def swept(study, cases, on, folder=None):
    """Seconds after the first record, which pays for starting processes, and until it."""
    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        records = sweep(study, cases, Store(folder or scratch), on=on)
        next(records)
        first = time.perf_counter()
        count = 1 + sum(1 for _ in records)
        ended = time.perf_counter()
    assert count == len(cases)
    return ended - first, first - began


def overhead(count, places):
    """Milliseconds a case that does nothing."""
    cases = [Case({"n": n}) for n in range(count)]
    for on in places:
        few = cases[:2000] if on == Here() else cases
        with tempfile.TemporaryDirectory() as folder:
            seconds, first = swept(NOTHING, few, on, folder)
            print(
                f"{on!s:24} {len(few):7} cases  {1e3 * seconds / len(few):7.3f} ms a case", end=""
            )
            print(f"  (first after {first:.2f} s)")
            seconds, _ = swept(NOTHING, few, on, folder)
            print(f"{'  resumed':24} {len(few):7} cases  {1e3 * seconds / len(few):7.3f} ms a case")


def workers(rounds, count=1500, loops=100_000):
    """Two workers against two independent processes, on the same cases."""
    half = count // 2
    script = (
        "import sys, time; from sweep import busy; busy({'loops': 10}); "
        "print('ready', flush=True); input(); "
        f"[busy({{'loops': {loops}, 'n': n}}) for n in range({half})]"
    )
    alone, ours = [], []
    cases = [Case({"n": n, "loops": loops}) for n in range(count)]
    for _ in range(rounds):
        command = [sys.executable, "-c", script]
        pair = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=sys.path[0],
                text=True,
            )
            for _ in range(2)
        ]
        for process in pair:
            assert process.stdout is not None
            process.stdout.readline()
        began = time.perf_counter()
        for process in pair:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in pair:
            process.communicate()
        alone.append(time.perf_counter() - began)
        ours.append(swept(BUSY, cases, Processes(2))[0])
        print(f"  two processes {alone[-1]:.2f} s, two workers {ours[-1]:.2f} s")
    share = min(alone) / min(ours)
    print(
        f"two workers reach {share:.0%} of two processes ({1e3 * min(alone) / half:.1f} ms a case)"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["overhead", "workers"])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if "overhead" in options.what:
        overhead(options.cases, [Here(), Processes(1), Processes(2)])
    if "cluster" in options.what:
        overhead(options.cases, [Cluster("local:2")])
    if "workers" in options.what:
        workers(options.rounds)
