"""Sweeps on Dask, and what is lost when processes are killed at random: nothing."""

import contextlib
import importlib
import math
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

from shallows.lab import Case, Cluster, Here, Processes, Store, Study, SweepError, key, sweep
from shallows.lab.answers import Answer, Identity, identity
from shallows.lab.cluster import _Away

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


def _workers(name, pid=None):
    """Processes below this one, or another, that answer cases, by what their command line says."""
    found = []
    children = Path(f"/proc/{pid or os.getpid()}/task").glob("*/children")
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
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who works")
def test_a_stopped_worker_costs_what_it_has_in_hand(tmp_path):
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    asked = cases(600, seconds=0.02, log=str(log))
    answers = sweep(LOGGED, asked, store, on=Cluster("local:3"))
    records = [next(answers) for _ in range(100)]
    pid = _workers(b"spawn_main")[0]
    os.kill(pid, signal.SIGSTOP)
    began = time.perf_counter()
    try:
        records += [next(answers) for _ in range(500)]
        took = time.perf_counter() - began
        assert next(answers, None) is None
        # With the sweep's own cluster goes the worker, which cannot leave by itself.
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    again = len(log.read_text().split()) - 600
    print(f"{took:.1f} s after one of three was stopped, {again} cases measured again")
    # Five seconds until what it holds is late, as many until it has not handed in what it had
    # done, and five of the work of two workers.
    assert took < 40
    assert 0 <= again <= 2 * 60  # two batches: each half a second of twenty milliseconds, or less
    assert [record.case for record in records] == asked
    assert store.check() == []
    assert len(store.keys("log-and-sleep")) == 600


INTERRUPTED = """
import sys
from lab_studies import cases, log_and_sleep
from shallows.lab import Cluster, Store, Study, sweep

if __name__ == "__main__":
    study, log = Study("log-and-sleep", 1, log_and_sleep), sys.argv[2]
    try:
        answers = sweep(study, cases(5000, seconds=0.01, log=log), Store(sys.argv[1]),
                        on=Cluster("local:2"))
        for record in answers:
            print("first", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who works")
@pytest.mark.parametrize("when", ["workers start", "workers work"])
def test_an_interrupt_ends_a_local_cluster_without_a_word(tmp_path, when):
    script, store = tmp_path / "script.py", tmp_path / "store"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, script, store, tmp_path / "log"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        if when == "workers work":
            assert process.stdout.readline() == b"first\n"
        else:
            until = time.monotonic() + 60
            while not _workers(b"spawn_main", process.pid) and time.monotonic() < until:
                time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, told = process.communicate(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 130
    assert b"Exception ignored" not in told
    # A worker that has not yet imported anything cannot have been told to keep silent.
    assert b"Traceback" not in told or when == "workers start"
    if when == "workers work":
        assert Store(store).check() == []


@pytest.mark.slow
def test_a_case_that_is_slow_everywhere_is_measured_as_often_as_stated(tmp_path, monkeypatch):
    monkeypatch.setattr("shallows.lab.cluster._FLOOR", 1.0)
    land, longest = _Away._land, [0.0]

    def land_and_look(away, future):
        land(away, future)
        longest.append(away.longest)

    monkeypatch.setattr(_Away, "_land", land_and_look)
    study, log, D = Study("begin-and-sleep", 1, lab_studies.begin_and_sleep), tmp_path / "log", 20.0
    asked = [Case({"n": n, "seconds": 0.05, "log": str(log)}) for n in range(60)]
    asked.append(Case({"n": 60, "seconds": D, "log": str(log)}))
    records = list(sweep(study, asked, Store(tmp_path / "store"), on=Cluster("local:3")))
    assert [record.case for record in records] == asked
    calls = Counter(log.read_text().split())
    usual = max(1.0, 4 * max(L for L in longest if L < D))  # a worker's first batch imports much
    print(f"T = {usual:.1f} s, {calls['60']} times {D} s")
    assert calls["60"] <= 2 + math.log(D / usual, 4)
    assert calls["60"] >= 2 or usual > D - 2
    assert all(calls[str(n)] == 1 for n in range(40))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="stops what it has started")
def test_a_sweep_whose_only_worker_is_stopped_ends_with_a_message(tmp_path, monkeypatch):
    # A scheduler gives up a silent worker after so long, at least five seconds, as a rule 300.
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "2s")
    store, file = Store(tmp_path / "store"), tmp_path / "scheduler.json"
    with _cluster(file) as (_, worker):
        records = sweep(LOGGED, _logged(600, tmp_path), store, on=Cluster(str(file)))
        next(records)
        worker.send_signal(signal.SIGSTOP)
        monkeypatch.setattr("shallows.lab.cluster._WORKERS", 3)
        with pytest.raises(SweepError, match=r"There has been no worker for 3 s\. Start some"):
            list(records)
    assert store.check() == []
    assert store.keys("log-and-sleep")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who works")
def test_a_worker_that_is_stopped_as_it_starts_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("shallows.lab.cluster._STARTING", 10)

    def stop_the_first():
        until = time.monotonic() + 60
        while not (pids := _workers(b"spawn_main")) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(pids[0], signal.SIGSTOP)

    thread = threading.Thread(target=stop_the_first)
    thread.start()
    with pytest.raises(SweepError, match=r"2 workers could not start \(one had not after 10 s\)"):
        list(sweep(BARE, cases(3), Store(tmp_path), on=Cluster("local:2")))
    thread.join()
    assert _workers(b"spawn_main") == []


@contextlib.contextmanager
def _cluster(file):
    """A scheduler and a worker, without anybody who starts them again."""
    file.unlink(missing_ok=True)
    words = ["--scheduler-file", str(file), "--no-dashboard"]
    module = [sys.executable, "-m"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with contextlib.ExitStack() as stack:
        pair = []
        command = [*module, "distributed.cli.dask_scheduler", "--port", "0", *words]
        pair.append(_ended(stack, subprocess.Popen(command, **quiet)))
        while not file.exists() or not file.read_text():
            time.sleep(0.05)
        command = [*module, "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *words]
        command += ["--death-timeout", "5"]
        pair.append(_ended(stack, subprocess.Popen(command, **quiet)))
        yield pair


def _ended(stack, process):
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _logged(count, folder):
    return cases(count, seconds=0.01, log=str(folder / "log"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kills what it has started")
def test_a_lost_scheduler_costs_the_cases_in_flight(tmp_path):
    file, log, store = tmp_path / "scheduler.json", tmp_path / "log", Store(tmp_path / "store")
    asked = _logged(600, tmp_path)
    with _cluster(file) as (scheduler, _):
        records = sweep(LOGGED, asked, store, on=Cluster(str(file)))
        for _ in range(200):
            next(records)
        scheduler.kill()
        with pytest.raises(SweepError, match=r"The scheduler at .* was lost\. Start one and sweep"):
            list(records)
    kept = len(store.keys("log-and-sleep"))
    assert store.check() == []
    assert 200 <= kept < 600
    with _cluster(file):
        assert len(list(sweep(LOGGED, asked, store, on=Cluster(str(file))))) == 600
    assert len(log.read_text().split()) <= 600 + 150  # two batches of half a second, and one
