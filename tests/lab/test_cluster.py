"""Sweeps on Dask, and what is lost when processes are killed at random: nothing."""

import importlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import lab_studies
import pytest
from lab_studies import BARE, cases, contents

from shallows.lab import Cluster, Here, Processes, Store, Study, SweepError, key, sweep
from shallows.lab.answers import Answer, Identity, identity

pytest.importorskip("distributed")

HERE = Path(__file__).parent
COUNT = 6000  # of ten milliseconds: twenty seconds of three workers
LOGGED = Study("log-and-sleep", 1, lab_studies.log_and_sleep)


@pytest.fixture(autouse=True)
def studies_are_importable(monkeypatch):
    # Workers of Dask import a study's module; those of `Processes` are told where it is.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))


def test_a_cluster_answers_as_this_process_does(tmp_path):
    stores = [Store(tmp_path / name) for name in ("here", "there")]
    asked = [*cases(40), *cases(2)]
    for store, on in zip(stores, (Here(), Cluster("local:1")), strict=True):
        events: list = []
        records = list(sweep(BARE, asked, store, on=on, progress=events.append))
        assert [record.case for record in records] == asked
        assert (events[-1].done, events[-1].reused) == (42, 2)
    assert contents(stores[0], BARE) == contents(stores[1], BARE)
    assert stores[1].check() == []


@pytest.mark.parametrize("address", ["local:", "local:0", "local:two", "nowhere.json", ""])
def test_what_is_no_cluster_is_refused(address):
    with pytest.raises(ValueError, match=r"local cluster has a positive|is neither the address"):
        Cluster(address)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"not installed .*pip install 'shallows\[cluster\]'"):
        Cluster("local:2")


@pytest.mark.parametrize("what", ["version", "code", "precision"])
def test_a_worker_that_differs_is_refused_with_both_values(tmp_path, what):
    mine = identity(BARE)
    asked = Identity(**{**vars(mine), what: "another"})
    answer = Answer(BARE, Store(tmp_path), {}, asked)
    with pytest.raises(SweepError, match=rf"{getattr(mine, what)}, but .* started by another\."):
        answer(cases(1))
    with pytest.raises(SweepError, match=r"by another\. Start Python and the workers anew"):
        answer.measured(cases(1))
    assert Store(tmp_path).studies() == []


def test_a_process_without_64_bits_is_known(monkeypatch):
    jax = importlib.import_module("jax")
    assert identity(BARE).precision == "float64"
    monkeypatch.setattr(type(jax.config), "jax_enable_x64", False, raising=False)
    assert identity(BARE).precision == "float32"


@pytest.mark.slow
def test_nobody_there_is_said(tmp_path, monkeypatch):
    cluster = importlib.import_module("shallows.lab.cluster")
    monkeypatch.setattr(cluster, "_CONNECT", 1)
    with pytest.raises(SweepError, match=r"No scheduler answers at tcp://127\.0\.0\.1:9 .*Start"):
        next(sweep(BARE, cases(1), Store(tmp_path), on=Cluster("tcp://127.0.0.1:9")))


@pytest.mark.slow
def test_a_failing_case_on_a_cluster_is_named_and_others_are_kept(tmp_path):
    study, store = Study("failing", 1, lab_studies.failing), Store(tmp_path)
    with pytest.raises(SweepError, match=r'failed on case {"n":2} .*two is too many'):
        list(sweep(study, cases(4), store, on=Cluster("local:1")))
    assert store.has(study, cases(2)[1])
    assert store.check() == []


def _workers(name):
    """Processes below this one that answer cases, by what their command line says."""
    found = []
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    for pid in {pid for path in children for pid in path.read_text().split()}:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name in command:
            found.append(int(pid))
    return found


class _Killer:
    """Kills random worker processes, one after the other, until it has done so often enough."""

    def __init__(self, kills, seed, every):
        self.left, self.chance, self.every = kills, random.Random(seed), every
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _run(self):
        while self.left and not self.ended.wait(self.chance.uniform(0.5, 1.5) * self.every):
            pids = _workers(b"spawn_main")
            if pids:
                os.kill(self.chance.choice(pids), signal.SIGKILL)
                self.left -= 1


# Dask starts a worker again after seconds, so that it is killed less often.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who works")
@pytest.mark.parametrize(
    ("on", "kills", "every"), [(Processes(3), 20, 0.6), (Cluster("local:3"), 5, 2.0)]
)
def test_nothing_is_lost_or_doubled_over_random_kills(tmp_path, on, kills, every):
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    asked = cases(COUNT, seconds=0.01, log=str(log))
    answers = sweep(LOGGED, asked, store, on=on)
    records = [next(answers)]
    with _Killer(kills, seed=7, every=every) as killer:
        records += answers
    print(f"{kills - killer.left} kills, {on}")
    assert killer.left == 0
    assert [record.case for record in records] == asked
    assert store.check() == []
    assert sorted(store.keys("log-and-sleep")) == sorted(key(LOGGED, case) for case in asked)
    lines = [
        line
        for path in store.folder.glob("*/batch-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    singles = list(store.folder.glob("*/*[0-9a-f].json"))
    assert len(lines) + len(singles) == COUNT  # each once
    # What a kill costs: the batch in flight, at most half a second of ten milliseconds a case.
    again = Counter(log.read_text().split()).total() - COUNT
    print(f"{again} cases measured again")
    assert again <= (kills - killer.left) * 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills what it has started")
def test_a_lost_scheduler_costs_the_cases_in_flight(tmp_path):
    file, log, store = tmp_path / "scheduler.json", tmp_path / "log", Store(tmp_path / "store")
    asked = cases(600, seconds=0.01, log=str(log))
    module = [sys.executable, "-m"]

    def cluster():
        file.unlink(missing_ok=True)
        words = ["--scheduler-file", str(file), "--no-dashboard"]
        command = [*module, "distributed.cli.dask_scheduler", "--port", "0", *words]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        scheduler = subprocess.Popen(command, **quiet)
        while not file.exists() or not file.read_text():
            time.sleep(0.05)
        command = [*module, "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *words]
        return scheduler, subprocess.Popen([*command, "--death-timeout", "5"], **quiet)

    pair = cluster()
    try:
        records = sweep(LOGGED, asked, store, on=Cluster(str(file)))
        for _ in range(200):
            next(records)
        pair[0].kill()
        with pytest.raises(SweepError, match=r"The scheduler at .* was lost\. Start one and sweep"):
            list(records)
        for process in pair:
            process.kill()
            process.wait()
        kept = len(store.keys("log-and-sleep"))
        assert store.check() == []
        assert 200 <= kept < 600
        pair = cluster()
        assert len(list(sweep(LOGGED, asked, store, on=Cluster(str(file))))) == 600
        assert len(log.read_text().split()) <= 600 + 150  # two batches of half a second, and one
    finally:
        for process in pair:
            process.kill()
            process.wait()
