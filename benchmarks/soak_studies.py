"""What `soak.py` sweeps: studies of many cases, and what is compared of their records.

They have a file of their own so that workers, wherever they are, import them by its name.
"""

import json
import time
from collections import Counter

import numpy as np

from shallows.lab import Case, Cluster, Here, Processes, Result, Store, Study, sweep


def short(case):
    """A few milliseconds and one number."""
    time.sleep(0.01)
    return Result({"root": case["n"] ** 0.5})


def tabled(case):
    """A table of its own."""
    time.sleep(0.02)
    rows = np.random.default_rng(case["n"]).normal(size=(20, 3))
    return Result({"sum": float(rows.sum())}, {"i": np.arange(20), "row": rows})


def long(case):
    """Longer than a worker's patience."""
    time.sleep(0.8)
    return Result({"third": case["n"] / 3})


STUDIES = {
    Study(measure.__name__, 1, measure): [Case({"n": n}) for n in range(count)]
    for measure, count in ((short, 2000), (tabled, 200), (long, 8))
}


def place_of(words):
    """`here`, `processes:2`, or what `Cluster` takes."""
    kind, _, count = words.partition(":")
    if kind == "here":
        return Here()
    return Processes(int(count)) if kind == "processes" else Cluster(words)


def sweeps(folder, on):
    """Everything there is, into one store."""
    for study, cases in STUDIES.items():
        for _ in sweep(study, cases, Store(folder), on=on):
            pass


def answers(folder):
    """All that the store answers, as something that can be compared."""
    return {
        record.key: (
            record.values,
            {name: column.tobytes() for name, column in (record.table or {}).items()},
        )
        for study in STUDIES
        for record in Store(folder).records(study)
    }


def copies(folder):
    """How often each key is written in the store, in files of its own and in lines of batches."""
    found = Counter(path.stem for path in folder.glob("*/*.json"))
    for path in folder.glob("*/batch-*.jsonl"):
        found.update(json.loads(line)["key"] for line in path.read_text().splitlines())
    return found
