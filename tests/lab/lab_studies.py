"""Studies that worker processes can import: the measures are at the top level of a module."""

import math
import os
import signal
import time
from pathlib import Path

import numpy as np

from shallows.lab import Case, Result, Study


def squares(case):
    n = case["n"]
    i = np.arange(n)
    return Result(
        values={"sum": float(np.sqrt(i).sum()), "n": n},
        table={"i": i, "root": np.sqrt(i), "name": i.astype(str), "pair": np.stack([i, -i], 1)},
        provenance={"precision": "float64"},
    )


def bare(case):
    return Result(values={"n": case["n"], "third": 1 / 3, "worst": -math.inf})


def logged(case):
    """Leaves one line per call in a file, so that calls can be counted across processes."""
    with open(case["log"], "a") as log:
        log.write(f"{case['n']}\n")
    return squares(case)


def failing(case):
    if case["n"] == 2:
        raise ZeroDivisionError("two is too many")
    return squares(case)


def wrong_type(case):
    return {"n": case["n"]}


def dying_once(case):
    """Is killed the first time that anybody asks."""
    flag = Path(case["flag"])
    if case["n"] == 1 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(case)


def dying(case):
    if case["n"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(case)


def endless(case):
    """Says who works, then never finishes, except for the first case."""
    if case["n"] > 0:
        (Path(case["folder"]) / f"{os.getpid()}.pid").touch()
        time.sleep(600)
    return squares(case)


def surroundings(case):
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "JAX_ENABLE_X64")
    values = {name: os.environ.get(name) for name in names}
    return Result(values={**values, "XLA_FLAGS": os.environ["XLA_FLAGS"], "pid": os.getpid()})


def log_and_sleep(case):
    """A case that takes a moment, and says that it was measured to the end."""
    time.sleep(case["seconds"])
    with open(case["log"], "a") as log:
        log.write(f"{case['n']}\n")
    return bare(case)


def begin_and_sleep(case):
    """A case that says that it was begun, and takes a moment."""
    with open(case["log"], "a") as log:
        log.write(f"{case['n']}\n")
    time.sleep(case["seconds"])
    return bare(case)


SQUARES = Study("squares", 1, squares)
BARE = Study("bare", 1, bare)


def cases(count, **more):
    return [Case({"n": n, **more}) for n in range(count)]


def contents(store, study):
    """All that the store answers, without provenance, as something that can be compared."""
    return {
        record.key: (
            record.case.data,
            record.values,
            None
            if record.table is None
            else {name: (c.dtype.str, c.shape, c.tobytes()) for name, c in record.table.items()},
        )
        for record in store.records(study)
    }
