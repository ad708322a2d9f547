"""Sweeps: every case of a study answered once, here or in other processes."""

import abc
import contextlib
import functools
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import shallows
from shallows.lab.origin import now, provenance
from shallows.lab.store import DamagedRecord, MissingRecord, Store
from shallows.lab.study import Case, Record, Result, Study, canonical, key

# Seconds that a measurement took, or None if somebody else had stored the answer meanwhile.
Answer = Callable[[Case], float | None]


class SweepError(RuntimeError):
    """A case could not be answered; the text names it. What was answered is kept."""


@dataclass(frozen=True)
class Progress:
    """What is known after each case of a sweep."""

    done: int
    total: int
    reused: int
    """How many of those done were in the store already."""
    recomputed: int
    """How many of those done were in the store, but damaged."""
    key: str
    """Of the case just done."""
    seconds: float
    """What measuring it took; 0.0 if it was reused."""
    damaged: str | None = None
    """Which file was found damaged, and how, if this case was recomputed for that reason."""


class AbstractPlace(abc.ABC):
    """Where cases are answered."""

    @abc.abstractmethod
    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Call `answer` on each case, and yield what it returns in the order of the cases."""


@dataclass(frozen=True)
class Here(AbstractPlace):
    """In this process, one case after the other."""

    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Call `answer` on each case when its turn comes."""
        for case in cases:
            yield answer(case)


@dataclass(frozen=True)
class Processes(AbstractPlace):
    """In fresh processes beside this one, each with one thread for its linear algebra.

    **Convention.** As with all of Python's spawned processes, a script that sweeps needs
    ``if __name__ == "__main__":``, and the measure must be importable by name.
    """

    workers: int

    # How many cases are handed out ahead of the one waited for. What comes back is a number
    # (the record goes to the store), so that a slow case holds up nobody at little cost.
    _AHEAD = 32

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(
                f"A sweep needs at least one worker, not {self.workers}. Use `Here()`."
            )

    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Call `answer` in the workers; a case whose worker was killed is tried once more.

        However this ends before its time (an error, Ctrl-C, a caller who stops asking), the
        workers are terminated at once: what they had finished is in the store.
        """
        _check_picklable(answer)
        tasks = (_Task(case) for case in cases)
        window: deque[_Task] = deque()
        pool = self._pool()
        try:
            while True:
                window.extend(itertools.islice(tasks, self._AHEAD * self.workers - len(window)))
                if not window:
                    break
                try:
                    with _one_thread_each():  # a pool starts its processes while we submit
                        for task in window:
                            task.future = task.future or pool.submit(answer, task.case)
                    seconds = window[0].answer()
                except BrokenProcessPool as error:
                    pool.shutdown(wait=True)
                    self._blame([task for task in window if task.is_open()], error)
                    pool = self._pool()
                else:
                    window.popleft()
                    yield seconds
        except BaseException:
            _terminate(pool)
            raise
        pool.shutdown(wait=True)

    def _pool(self) -> ProcessPoolExecutor:
        # Spawned rather than forked: a fork copies locks that threads of JAX may hold.
        pool = ProcessPoolExecutor(
            self.workers, multiprocessing.get_context("spawn"), initializer=_enter_worker
        )
        _POOLS.add(pool)
        return pool

    def _blame(self, unanswered: "list[_Task]", error: BrokenProcessPool) -> None:
        # Cases are handed out first come, first served: these were in the workers' hands.
        for task in unanswered[: self.workers]:
            task.crashes += 1
        twice = [canonical(task.case.data) for task in unanswered if task.crashes > 1]
        if twice:
            raise SweepError(
                "A worker process was killed twice while it held one of the cases "
                f"{', '.join(twice)}. If memory ran out, use fewer workers; in a script, sweep "
                'under `if __name__ == "__main__":`. What was answered is kept.'
            ) from error
        for task in unanswered:
            task.future = None


def sweep(
    study: Study,
    cases: Iterable[Case],
    store: Store,
    *,
    on: AbstractPlace = Here(),
    progress: Callable[[Progress], Any] | None = None,
) -> Generator[Record, None, None]:
    """The record of every case, in the order of the cases, computed where the store has none.

    The store is looked through at once; cases are computed as the iterator is asked for them,
    so that nothing is computed if nobody asks. To resume a sweep is to call it again.

    **Convention.** A damaged record counts as none: it is computed again, `progress` hears its
    name, and the new record's provenance says what it `replaces`.

    **Raises.** `SweepError` if `measure` fails, from its exception, or if workers are killed;
    `StoreError` if a record cannot be kept.
    """
    cases = list(cases)
    keys = [key(study, case) for case in cases]
    missing: dict[str, Case] = {}
    damaged: dict[str, str] = {}
    store.clean()
    for name, case in zip(keys, cases, strict=True):
        if name in missing:
            continue
        try:
            store.read(study, name)
        except MissingRecord:
            missing[name] = case
        except DamagedRecord as error:
            missing[name] = case
            damaged[name] = str(error)
    answer = functools.partial(_answer, study, store, provenance())

    def records() -> Generator[Record, None, None]:
        reused = recomputed = 0
        with contextlib.closing(on.run(answer, list(missing.values()))) as answers:
            for done, name in enumerate(keys, start=1):
                # A case that is asked for twice is missing once.
                seconds = next(answers) if missing.pop(name, None) is not None else None
                damage = damaged.pop(name, None)
                reused += seconds is None
                recomputed += damage is not None
                record = store.read(study, name)
                if progress is not None:
                    took = seconds or 0.0
                    progress(Progress(done, len(keys), reused, recomputed, name, took, damage))
                yield record
        store.clean()  # a worker that was killed, or ended beside one, may have been writing

    return records()


def _answer(study: Study, store: Store, origin: dict[str, Any], case: Case) -> float | None:
    """Measure and store one case, in whichever process this is.

    The worker writes, so that an answer is safe the moment it is known.
    """
    if shallows.__version__ != origin["shallows"]:
        raise SweepError(
            f"A worker runs shallows {shallows.__version__}, but the sweep was started by "
            f"{origin['shallows']}. Start Python anew, with one installation on its path."
        )
    name = key(study, case)
    replaces = {}
    try:
        store.read(study, name)
        return None
    except MissingRecord:
        pass
    except DamagedRecord as error:
        replaces = {"replaces": str(error)}
    start = time.perf_counter()
    try:
        result = study.measure(dict(case.data))
        if not isinstance(result, Result):
            raise TypeError(f"`measure` returned a {type(result).__name__}. Return a `Result`.")
    except Exception as error:
        raise SweepError(
            f"Study {study.name} failed on case {canonical(case.data)} ({name}): "
            f"{type(error).__name__}: {error}. What was answered is kept; sweep again to go on."
        ) from error
    seconds = time.perf_counter() - start
    how = {**origin, "written": now(), "seconds": seconds, **replaces, **result.provenance}
    store.write(Record(study.name, study.version, case, result.values, result.table, how))
    return seconds


@dataclass
class _Task:
    """A case on its way through the pool."""

    case: Case
    future: Future[float | None] | None = None
    crashes: int = 0

    def answer(self) -> float | None:
        assert self.future is not None
        return self.future.result()

    def is_open(self) -> bool:
        return self.future is None or isinstance(self.future.exception(), BrokenProcessPool)


def _check_picklable(answer: Answer) -> None:
    try:
        pickle.dumps(answer)
    except Exception as error:  # whatever an object's own pickling raises
        raise TypeError(
            f"The study cannot be sent to other processes ({error}). Make `measure` a function at "
            "the top level of a module, or sweep `on=Here()`."
        ) from error


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes started meanwhile use one thread each.

    Threads are counted when a library is imported, and a worker imports ours before it runs
    the first line of ours: the environment it inherits is the only place early enough.
    """
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    wanted = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),
        "JAX_ENABLE_X64": "1",
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _enter_worker() -> None:
    # Ctrl-C reaches the whole group; the parent alone decides, and terminates us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    # A parent that was killed cannot tell us, and the queue we wait on would wait for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _terminate(pool: ProcessPoolExecutor) -> None:
    # Private until Python 3.14 (`terminate_workers`). `shutdown` alone would wait for the cases
    # in hand, perhaps for hours.
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


_POOLS: "weakref.WeakSet[ProcessPoolExecutor]" = weakref.WeakSet()


def _terminate_all() -> None:
    for pool in list(_POOLS):
        _terminate(pool)


# Python waits for pools before it exits. If the program ended with an error whose traceback keeps
# an iterator, and so its pool, alive, that could be hours. Public `atexit` comes after the waiting;
# this private one is what concurrent.futures itself uses, and runs what was registered last first.
threading._register_atexit(_terminate_all)  # type: ignore[attr-defined]  # it is private
