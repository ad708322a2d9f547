import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import lab_studies
import pytest
from lab_studies import SQUARES, cases, contents

import shallows
from shallows.lab import Here, Processes, Progress, Store, StoreError, Study, SweepError, key, sweep
from shallows.lab.files import beside

HERE = Path(__file__).parent
PLACES = [Here(), Processes(2)]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def _study(name):
    return Study(name.replace("_", "-"), 1, getattr(lab_studies, name))


@pytest.mark.parametrize("on", PLACES)
def test_records_come_in_the_order_of_the_cases(store, on):
    asked = [*reversed(cases(6)), *cases(2)]  # two of them twice
    events: list[Progress] = []
    records = list(sweep(SQUARES, asked, store, on=on, progress=events.append))
    assert [record.case for record in records] == asked
    assert [event.key for event in events] == [key(SQUARES, case) for case in asked]
    assert [event.done for event in events] == list(range(1, 9))
    assert (events[-1].total, events[-1].reused, events[-1].recomputed) == (8, 2, 0)
    assert events[0].seconds > 0
    assert events[-1].seconds == 0
    assert records[0].provenance["precision"] == "float64"
    assert records[0].provenance["seconds"] == events[0].seconds


def test_both_places_store_the_same(tmp_path):
    stores = [Store(tmp_path / str(i)) for i in range(2)]
    for store, on in zip(stores, PLACES, strict=True):
        list(sweep(SQUARES, cases(5), store, on=on))
    assert contents(stores[0], SQUARES) == contents(stores[1], SQUARES)


def test_what_is_stored_is_not_computed_again(store, tmp_path):
    study, log = _study("logged"), tmp_path / "log"
    asked = cases(6, log=str(log))
    list(sweep(study, asked[:4], store))
    list(sweep(study, asked, store))
    list(sweep(study, asked, store, on=Processes(1)))  # starts no process at all
    assert log.read_text().split() == list("012345")


def test_an_iterator_left_early_has_computed_what_was_asked_for(store, tmp_path):
    study, log = _study("logged"), tmp_path / "log"
    records = sweep(study, cases(6, log=str(log)), store)
    assert not log.exists()
    next(records)
    next(records)
    records.close()
    assert log.read_text().split() == ["0", "1"]


@pytest.mark.parametrize("on", PLACES)
def test_a_failing_case_is_named_and_the_others_are_kept(store, on):
    message = (
        f'Study failing failed on case {{"n":2}} ({key(_study("failing"), cases(3)[2])}): '
        "ZeroDivisionError: two is too many. What was answered is kept; sweep again to go on."
    )
    with pytest.raises(SweepError, match=re.escape(message)) as caught:
        list(sweep(_study("failing"), cases(4), store, on=on))
    assert "two is too many" in str(caught.value.__cause__)
    assert len(store.keys("failing")) >= 2
    store.clean()  # a worker may have been ended while it wrote; every sweep begins with this
    assert store.check() == []


def test_a_measure_returns_a_result(store):
    with pytest.raises(SweepError, match=r"`measure` returned a dict\. Return a `Result`"):
        list(sweep(_study("wrong_type"), cases(1), store))


def test_a_measure_that_cannot_be_sent_is_refused(store):
    study = Study("local", 1, lambda case: lab_studies.bare(case))
    with pytest.raises(TypeError, match="Make `measure` a function at the top level of a module"):
        list(sweep(study, cases(1), store, on=Processes(1)))


def test_no_workers_are_no_place():
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        Processes(0)


def test_workers_have_one_thread_each_and_we_keep_ours(store, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    (record,) = sweep(_study("surroundings"), cases(1), store, on=Processes(1))
    values = dict(record.values)
    assert values.pop("pid") != os.getpid()
    assert values.pop("XLA_FLAGS") == ("--xla_dump_to=/nowhere --xla_cpu_multi_thread_eigen=false")
    assert set(values.values()) == {"1"}
    assert dict(os.environ) == before


def test_a_worker_of_another_version_is_refused(store, monkeypatch):
    monkeypatch.setattr(shallows, "__version__", "99.0")
    from shallows.lab import origin

    origin._surroundings.cache_clear()
    try:
        with pytest.raises(SweepError, match=r"but the sweep was started by 99\.0\. Start Python"):
            list(sweep(SQUARES, cases(1), store, on=Processes(1)))
    finally:
        origin._surroundings.cache_clear()
    assert store.keys(SQUARES) == []


def test_a_worker_that_cannot_write_says_so(store):
    (store.folder / "squares").touch()
    with pytest.raises(StoreError, match="Could not write"):
        list(sweep(SQUARES, cases(1), store, on=Processes(1)))


def test_a_case_whose_worker_was_killed_is_tried_again(store, tmp_path):
    asked = cases(5, flag=str(tmp_path / "flag"))
    records = list(sweep(_study("dying_once"), asked, store, on=Processes(2)))
    assert [record.case for record in records] == asked
    assert store.check() == []


def test_what_a_killed_neighbour_left_is_swept_away(store):
    """Its file once stayed until the next sweep, whenever it happened to be writing."""
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    list(sweep(SQUARES, cases(1), store))
    asked = sweep(SQUARES, cases(2), store)  # has looked through the store
    mine = beside(store.folder / "squares" / "00000000000000000000.parquet")
    left = mine.with_name(mine.name.replace(f".{os.getpid()}.", f".{gone.stdout.strip()}."))
    left.touch()
    assert [damage.path for damage in store.check()] == [left]
    assert len(list(asked)) == 2
    assert store.check() == []


def test_a_case_that_kills_every_worker_is_named(store):
    with pytest.raises(SweepError, match=r'3 times workers were killed .*{"n":1} alone.* is kept'):
        list(sweep(_study("dying"), cases(3), store, on=Processes(1)))
    assert len(store.keys("dying")) == 1


SWEEPER = """
import sys
sys.path.insert(0, sys.argv[1])
import lab_studies
from shallows.lab import Processes, Store, Study, sweep
study = Study(sys.argv[3].replace("_", "-"), 1, getattr(lab_studies, sys.argv[3]))
asked = lab_studies.cases(40, folder=sys.argv[4])
records = sweep(study, asked, Store(sys.argv[2]), on=Processes(2))
for record in records:
    print(record.key, flush=True)
    if sys.argv[5:]:
        raise LookupError("the caller erred")
"""


def _sweeper(store, name, folder, *more):
    return subprocess.Popen(
        [sys.executable, "-c", SWEEPER, str(HERE), str(store.folder), name, str(folder), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the signal below goes to the whole group, as Ctrl-C does
    )


def test_two_processes_sweep_one_store(store, tmp_path):
    pair = [_sweeper(store, "squares", tmp_path) for _ in range(2)]
    outputs = [process.communicate() for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    expected = [key(SQUARES, case) for case in cases(40, folder=str(tmp_path))]
    assert [output.split() for output, _ in outputs] == [expected, expected]
    assert store.check() == []
    assert len(list(store.records(SQUARES))) == 40


def _is_alive(pid):
    # A zombie counts as dead: who reaps orphans, and when, is not ours to say.
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _until(condition):
    while not condition():  # no time limit of ours: the test runner's or the reader's decides
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc who lives")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_leaves_a_whole_store_and_no_workers(store, tmp_path, how):
    process = _sweeper(store, "endless", tmp_path)
    assert process.stdout.readline().strip() == store.keys("endless")[0]
    _until(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    workers = [int(path.stem) for path in tmp_path.glob("*.pid")]
    if how == signal.SIGINT:
        os.killpg(process.pid, how)
    else:
        process.kill()
    _, errors = process.communicate()
    assert process.returncode == -how
    assert ("KeyboardInterrupt" in errors) == (how == signal.SIGINT)
    _until(lambda: not any(_is_alive(pid) for pid in workers))
    assert store.check() == []
    assert len(store.keys("endless")) == 1


def test_a_caller_who_errs_does_not_wait_for_the_workers(store, tmp_path):
    """The traceback keeps the iterator alive, and Python waits for its pool: 10 minutes a case."""
    process = _sweeper(store, "endless", tmp_path, "err")
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors.endswith("LookupError: the caller erred\n")
    assert store.check() == []


def test_workers_that_never_begin_are_no_fault_of_a_case(tmp_path):
    """A script without a guard starts itself again in every worker."""
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(HERE)!r}); import lab_studies\n"
        "from shallows.lab import Processes, Store, sweep\n"
        f"store = Store({str(tmp_path / 'store')!r})\n"
        "list(sweep(lab_studies.BARE, lab_studies.cases(2), store, on=Processes(1)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "6 worker processes in a row ended before they were ready. In a script" in done.stderr
