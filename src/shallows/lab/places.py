"""Places: where cases are answered. In this process, or in others beside it.

Elsewhere cases are dealt in batches that take about a quarter of a second, so that a batch of
short ones costs one message and one file, and a long case travels alone.
"""

import abc
import atexit
import contextlib
import functools
import itertools
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from shallows.lab.answers import PATIENCE, Answer, SweepError
from shallows.lab.study import Case, canonical

# A case together with its place in the order of the sweep.
Item = tuple[int, Case]

# A batch of one case that was in the hands of so many workers when they were killed is given up.
LIVES = 3

# So many workers in a row that ended before they were ready are no accident.
STILLBORN = 6


class AbstractPlace(abc.ABC):
    """Where cases are answered."""

    @abc.abstractmethod
    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Answer each case, and yield its seconds in the order of the cases."""


@dataclass(frozen=True)
class Here(AbstractPlace):
    """In this process, one case after the other."""

    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Answer each case when its turn comes."""
        for case in cases:
            seconds, failure = answer([case])
            if failure is not None:
                raise failure
            yield from seconds


HERE = Here()


@dataclass(frozen=True)
class Processes(AbstractPlace):
    """In fresh processes beside this one, each with one thread for its linear algebra.

    **Convention.** As with all of Python's spawned processes, a script that sweeps needs
    ``if __name__ == "__main__":``, and the measure must be importable by name.
    """

    workers: int

    def __post_init__(self):
        if self.workers < 1:
            raise ValueError(
                f"A sweep needs at least one worker, not {self.workers}. Use `Here()`."
            )

    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Answer the cases in the workers, ahead of whoever asks; a killed one is replaced.

        However this ends before its time (an error, Ctrl-C, a caller who stops asking), the
        workers are terminated at once: what they had finished is in the store.
        """
        payload = pickled(answer)
        crew = _Crew(self.workers, payload, cases)
        try:
            yield from crew.run()
        finally:
            crew.leave()


class Deal:
    """Deals cases in batches; takes back what was not answered. Not for several threads at once."""

    # Enough to make a message and a file cheap (0.2 ms and 2 ms), and few enough to be read again
    # at once by whoever waits for the first of them.
    MOST = 1000

    def __init__(self, cases: Iterable[Case]):
        self._new = enumerate(cases)
        self._back: deque[list[Item]] = deque()
        self._deaths: dict[int, int] = {}
        self._size = 1

    def batch(self) -> list[Item]:
        """The next cases, none if there are none at present."""
        if self._back:
            first = self._back.popleft()
            if len(first) > self._size:
                self._back.appendleft(first[self._size :])
            return first[: self._size]
        return list(itertools.islice(self._new, self._size))

    def answered(self, batch: list[Item], count: int, seconds: float) -> None:
        """The first `count` of a batch were answered in so many seconds."""
        if count < len(batch):
            self._back.appendleft(batch[count:])
        if count:
            fitting = int(PATIENCE / 2 / max(seconds / count, 1e-9))
            # Not more than fourfold at once, because the first case may be shorter than the others.
            self._size = max(1, min(fitting, 4 * count, self.MOST))

    def lost(self, batch: list[Item]) -> None:
        """The worker that held a batch was killed: halve it, until the case that kills is alone.

        **Raises.** `SweepError` for a case that was alone with three workers that were killed.
        """
        if len(batch) > 1:
            middle = len(batch) // 2
            self._back.extendleft((batch[middle:], batch[:middle]))
            return
        ((number, case),) = batch
        self._deaths[number] = self._deaths.get(number, 0) + 1
        if self._deaths[number] == LIVES:
            raise SweepError(
                f"{LIVES} times workers were killed while they held the case "
                f"{canonical(case.data)} alone. If memory ran out, use fewer workers. What was "
                "answered is kept."
            )
        self._back.appendleft(batch)


class _Crew:
    """Threads that each drive a worker process, and what they have brought back."""

    def __init__(self, workers: int, payload: bytes, cases: Iterable[Case]):
        self.payload = payload
        self.deal = Deal(cases)
        self.turn = threading.Condition()
        self.seconds: dict[int, float | None] = {}
        self.error: BaseException | None = None
        self.error_at = 0  # what comes before it is waited for
        self.in_flight = 0
        self.stillborn = 0
        self.is_leaving = False
        self.workers: set[_Worker] = set()
        # Daemons, because Python waits for other threads before it exits.
        self.at_work = workers
        self.threads = [threading.Thread(target=self._drive, daemon=True) for _ in range(workers)]
        _CREWS.add(self)

    def run(self) -> Generator[float | None, None, None]:
        for thread in self.threads:
            thread.start()
        number = 0
        while True:
            with self.turn:
                self.turn.wait_for(functools.partial(self._is_ready, number))
                if number not in self.seconds:
                    break
                seconds = self.seconds.pop(number)
            yield seconds
            number += 1
        if self.error is not None:
            raise self.error

    def _is_ready(self, number: int) -> bool:
        """Whether there is an answer, or no hope of one."""
        if number in self.seconds:
            return True
        return not self.at_work or (self.error is not None and number >= self.error_at)

    def leave(self) -> None:
        """Terminate what still runs, and wait for it."""
        with self.turn:
            self.is_leaving = True
            self.turn.notify_all()
            workers = list(self.workers)
        for worker in workers:
            worker.terminate()
        for thread in self.threads:
            if thread.ident is not None:  # it was started
                thread.join()

    def _drive(self) -> None:
        worker: _Worker | None = None
        try:
            while batch := self._next():
                worker = worker or self._hired()
                began = time.perf_counter()
                try:
                    seconds, failure = worker.ask([case for _, case in batch])
                except (EOFError, OSError):
                    self._dismiss(worker)
                    was_ready, worker = worker.is_ready, None
                    self._lost(batch, was_ready)
                else:
                    self._take(batch, seconds, failure, time.perf_counter() - began)
        except BaseException as error:
            with self.turn:
                self.error, self.error_at = self.error or error, 0
                self.turn.notify_all()
        finally:
            if worker is not None:
                self._dismiss(worker)
            with self.turn:
                self.at_work -= 1
                self.turn.notify_all()

    def _next(self) -> list[Item]:
        """A batch, or nothing if there is nothing left to do."""
        with self.turn:
            while not self.is_leaving and self.error is None:
                batch = self.deal.batch()
                if batch:
                    self.in_flight += 1
                    return batch
                if not self.in_flight:
                    break
                self.turn.wait()  # somebody may hand in less than a batch
            return []

    def _take(self, batch: list[Item], seconds: list[Any], failure: Any, took: float) -> None:
        with self.turn:
            self.in_flight -= 1
            numbers = [number for number, _ in batch]
            self.seconds.update(zip(numbers, seconds, strict=False))
            self.deal.answered(batch, len(seconds), took)
            if failure is not None and self.error is None:
                self.error, self.error_at = failure, numbers[len(seconds)]
            self.turn.notify_all()

    def _lost(self, batch: list[Item], was_ready: bool) -> None:
        with self.turn:
            self.in_flight -= 1
            if self.is_leaving:
                return
            if was_ready:
                self.stillborn = 0
                self.deal.lost(batch)
            else:
                self.stillborn += 1
                self.deal.answered(batch, 0, 0.0)
            if self.stillborn == STILLBORN:
                raise SweepError(
                    f"{STILLBORN} worker processes in a row ended before they were ready. In a "
                    'script, sweep under `if __name__ == "__main__":`; if memory ran out, use '
                    "fewer workers."
                )
            self.turn.notify_all()

    def _hired(self) -> "_Worker":
        with self.turn:
            if self.is_leaving:
                raise SweepError("The sweep was ended.")  # heard by nobody
            worker = _Worker(self.payload)
            self.workers.add(worker)
            return worker

    def _dismiss(self, worker: "_Worker") -> None:
        worker.close()
        with self.turn:
            self.workers.discard(worker)


class _Worker:
    """A process that answers batches."""

    def __init__(self, payload: bytes):
        # Spawned rather than forked: a fork copies locks that threads of JAX may hold.
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, payload))
        with one_thread_each():
            self.process.start()
        self.is_ready = False
        theirs.close()  # or the end of the process would not be the end of the line

    def ask(self, cases: list[Case]) -> tuple[list[float | None], Exception | None]:
        if not self.is_ready:
            self.is_ready = self.line.recv()
        self.line.send(cases)
        seconds, failure, story = self.line.recv()
        if failure is not None and story:
            failure.__cause__ = _Elsewhere(story)
        return seconds, failure

    def terminate(self) -> None:
        with contextlib.suppress(ValueError):  # closed meanwhile
            self.process.terminate()

    def close(self) -> None:
        self.line.close()
        self.process.join()
        self.process.close()


class _Elsewhere(Exception):
    """The traceback of another process, which does not survive the journey."""


def _work(line: multiprocessing.connection.Connection, payload: bytes) -> None:
    # Ctrl-C reaches the whole group; the parent alone decides, and terminates us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    answer: Answer | None = None
    with contextlib.suppress(EOFError, OSError):  # whoever asks has gone
        line.send(True)
        while True:
            cases = line.recv()
            seconds: list[float | None] = []
            try:
                answer = answer or pickle.loads(payload)
                seconds, failure = answer(cases)
            except Exception as error:
                failure = error
            story = "".join(traceback.format_exception(failure)) if failure is not None else ""
            line.send((seconds, sendable(failure), story))


def sendable(failure: Exception | None) -> Exception | None:
    """The failure, or its words where it cannot travel."""
    try:
        pickle.loads(pickle.dumps(failure))
    except Exception:
        return SweepError(f"{type(failure).__name__}: {failure}")
    return failure


def pickled(answer: Answer) -> bytes:
    """The answer as bytes. **Raises.** `TypeError` where its measure cannot be sent."""
    try:
        return pickle.dumps(answer)
    except Exception as error:  # whatever an object's own pickling raises
        raise TypeError(
            f"The study cannot be sent to other processes ({error}). Make `measure` a function at "
            "the top level of a module, or sweep `on=Here()`."
        ) from error


# What importing the package tells XLA comes on top.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_ENABLE_X64": "1",
}


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Let processes started meanwhile use one thread each.

    Threads are counted when a library is imported, and a worker imports ours before it runs
    the first line of ours: the environment it inherits is the only place early enough.
    """
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


_ENVIRONMENT = threading.RLock()


def _leave_with_parent() -> None:
    # A parent that was killed cannot tell us while we measure.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_CREWS: "weakref.WeakSet[_Crew]" = weakref.WeakSet()


# If the program ended with an error whose traceback keeps an iterator alive, its workers live, and
# `multiprocessing` waits for them at exit, perhaps for hours. What is registered last runs first:
# hence `multiprocessing.util` is imported above.
@atexit.register
def _leave_all() -> None:
    for crew in list(_CREWS):
        crew.leave()
