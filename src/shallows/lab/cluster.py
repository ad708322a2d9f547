"""Sweeps on Dask: batches go to a scheduler, records come back, and only we write."""

import asyncio
import contextlib
import logging
import multiprocessing
import pickle
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import shallows
from shallows.lab.answers import Answer, SweepError
from shallows.lab.places import (
    ONE_THREAD,
    AbstractPlace,
    Deal,
    Item,
    one_thread_each,
    pickled,
    sendable,
)
from shallows.lab.study import Case, Record

# Seconds until a scheduler must have answered, and without any worker.
_CONNECT = 20
_WORKERS = 300

# Seconds in which a worker of a local cluster must have started.
_STARTING = 120

# Batches in flight for each thread of a worker: one in hand, one waiting beside it.
_AHEAD = 2

# A batch is late, and sent to another worker as well, when it has been in flight for so many times
# the longest that a batch has taken so far (waiting for its turn it may honestly be twice), but not
# before so many seconds; before any batch was done, after a minute. The next copy waits four times
# as long again.
_LATE = 4
_FLOOR = 5.0
_UNKNOWN = 60.0

# Ctrl-C reaches the workers of this machine too; the process that asks alone decides.
_DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"

# Seconds in which a worker that was done must hand in what it has, the first time that it is asked.
_HANDING = 5.0


@dataclass(frozen=True)
class Cluster(AbstractPlace):
    """On the workers of Dask distributed, which need not see the store.

    `address` is that of a scheduler (`tcp://HOST:PORT`), the path of its scheduler file, or
    `local:N` for a scheduler and N workers, each with one thread, on this machine.

    **Convention.** Workers run the very code that asks: version, source and precision are compared
    before the first case. They should have one thread each, which `local:N` and the job files of
    `job` see to.
    """

    address: str

    def __post_init__(self):
        kind, _, count = self.address.partition(":")
        if kind == "local" and (not count.isdecimal() or int(count) < 1):
            raise ValueError(
                f"A local cluster has a positive number of workers, but is {self.address!r}. Use "
                "e.g. `local:2`."
            )
        if kind != "local" and "://" not in self.address and not Path(self.address).is_file():
            raise ValueError(
                f"{self.address!r} is neither the address of a scheduler nor a scheduler file that "
                "is there. Use e.g. `tcp://10.0.0.1:8786`, `scheduler.json` or `local:2`."
            )
        _distributed()

    def run(self, answer: Answer, cases: Iterable[Case]) -> Generator[float | None, None, None]:
        """Answer the cases on the workers, and keep each record as soon as it comes.

        A batch whose worker was lost goes to another; if the scheduler is lost, what has come is
        kept. However this ends, what is still in flight is called off.

        **Stragglers.** A batch that is late goes to a worker that holds no late one as well, and
        who comes first counts: a worker that hangs, is stopped or crawls costs what it has in hand.
        Late is later than T = max(5 s, 4 L), where L is the longest that a batch has taken so far
        (before there is one, T is a minute), and copies follow at T, 4 T, 16 T, …, one to a
        worker. So what lands within T is measured once, and a batch that takes D > T everywhere at
        most 2 + log₄(D / T) times.

        **Raises.** `SweepError` if nobody answers, the scheduler is lost, or there has been no
        worker for five minutes.
        """
        payload = pickled(answer)
        with _client(self.address) as client:
            yield from _Away(client, answer, payload, cases).run()


@dataclass(eq=False)
class _Flight:
    """A batch on its way, and its copies, in the order in which they were sent."""

    batch: list[Item]
    began: float
    futures: list[Any] = field(default_factory=list)
    hearing: float = _HANDING

    def waited(self) -> float:
        """For how many seconds."""
        return time.monotonic() - self.began


class _Away:
    """Batches in flight on a cluster, and what has come of them."""

    def __init__(self, client: Any, answer: Answer, payload: bytes, cases: Iterable[Case]):
        self.client, self.answer, self.payload = client, answer, payload
        self.deal = Deal(cases)
        self.flying: dict[Any, _Flight] = {}
        self.mute: dict[Any, float] = {}  # those that do not hand in: not asked again before
        self.behind: set[Any] = set()  # on their way, where others have landed
        self.longest: float | None = None
        self.seconds: dict[int, float | None] = {}
        self.error: Exception | None = None
        self.landed = threading.Event()
        self.threads, self.counted = 1, float("-inf")
        self.alone: float | None = None  # since when there has been no worker

    def run(self) -> Generator[float | None, None, None]:
        number = 0
        while True:
            self._turn()
            if number in self.seconds:
                yield self.seconds.pop(number)
                number += 1
            elif self.error is not None:
                raise self.error
            elif self.flying:
                self._wait()
            else:
                return

    def _turn(self) -> None:
        # Land first, because whoever asks may have paused, and what is done is not late.
        self.landed.clear()
        for future in [future for future in self.flying if future.done()]:
            if future in self.flying and time.monotonic() > self.mute.get(future, 0.0):
                self._land(future)
        if self.error is None:
            self._submit()

    def _submit(self) -> None:
        if time.monotonic() > self.counted + 1:  # workers come and go
            self._count()
            self._copy_late()
            self.counted = time.monotonic()
        while self._room() > 0:
            batch = self.deal.batch()
            if not batch:
                return
            self._send(_Flight(batch, time.monotonic()))

    def _room(self) -> int:
        """How many more may be in flight: what keeps all busy, whatever the slow ones keep."""
        most = max(_AHEAD * self.threads - len(self.behind), self.threads)
        return most - len(self.flying)

    def _send(self, flight: _Flight, **where: Any) -> None:
        # Not pure: the same cases, asked again after a worker was lost, are another task.
        future = self.client.submit(
            _measured,
            shallows.__version__,
            self.payload,
            [case for _, case in flight.batch],
            pure=False,
            retries=0,
            **where,
        )
        future.add_done_callback(lambda _: self.landed.set())
        flight.futures.append(future)
        self.flying[future] = flight

    def _count(self) -> None:
        now, threads = time.monotonic(), sum(self._asked(self.client.nthreads).values())
        self.threads = max(1, threads)
        self.behind = {future for future in self.behind if not future.done()}
        self.alone = None if threads else self.alone or now
        if self.alone is not None and now > self.alone + _WORKERS:
            raise SweepError(
                f"There has been no worker for {_WORKERS} s. Start some and sweep again: what was "
                "answered is kept."
            )

    def _copy_late(self) -> None:
        """Send what is late to workers that hold nothing late, in preference to new batches."""
        usual = _UNKNOWN if self.longest is None else max(_FLOOR, _LATE * self.longest)
        late = [flight for flight in set(self.flying.values()) if flight.waited() > usual]
        due = [f for f in late if f.waited() > usual * _LATE ** (len(f.futures) - 1)]
        if not due:
            return
        held = self._asked(self.client.processing)
        who = {key: worker for worker, keys in held.items() for key in keys}
        done = self._asked(lambda: self.client.who_has(list(self.mute))) if self.mute else {}
        # Those are slow as well whose batches have come from elsewhere.
        known = [*self.behind, *(future for flight in late for future in flight.futures)]
        slow = {who.get(future.key) for future in known}.union(*done.values())
        others = [worker for worker in held if worker not in slow]
        most = max(self._room(), sum(not held[worker] for worker in others))
        for flight in sorted(due, key=_Flight.waited, reverse=True)[:most]:
            # What nobody holds waits for a worker as others do, and has not been held up.
            is_held = any(f.key in who or f in self.mute for f in flight.futures)
            if is_held and others:
                self._send(flight, workers=others, priority=1)

    def _wait(self) -> None:
        # A client whose scheduler has gone may say nothing: hence the second.
        self.landed.wait(timeout=1)
        if self.client.status not in ("running", "connecting"):
            raise self._lost_scheduler()

    def _asked(self, question: Callable[[], Any]) -> Any:
        """What the scheduler says."""
        try:
            return question()
        except (Exception, asyncio.CancelledError) as error:
            raise self._lost_scheduler() from error

    def _lost_scheduler(self) -> SweepError:
        where = self.client.scheduler.address if self.client.scheduler else "?"
        return SweepError(
            f"The scheduler at {where} was lost. Start one and sweep again: what was answered is "
            "kept, and only the cases in flight are computed anew."
        )

    def _land(self, future: Any) -> None:
        from distributed.scheduler import KilledWorker

        flight = self.flying[future]
        try:
            records, seconds, failure = future.result(timeout=flight.hearing)
        except KilledWorker:
            del self.flying[future]
            if not any(other in self.flying for other in flight.futures):
                self.deal.lost(flight.batch)
            return
        except (CancelledError, asyncio.CancelledError):  # whoever knew of it has gone
            raise self._lost_scheduler() from None
        except Exception as error:
            if isinstance(error, TimeoutError) and future.status != "error":
                # Its worker was stopped when it was done, or what it has is much.
                flight.hearing *= _LATE
                self.mute[future] = time.monotonic() + flight.hearing
                return
            if self.client.status != "running":
                raise self._lost_scheduler() from error
            del self.flying[future]
            self.error = self.error or _explained(error)
            return
        self._call_off(flight, future)
        self.longest = max(self.longest or 0.0, seconds)
        self.answer.store.write_all(records)
        numbers = (number for number, _ in flight.batch)
        for number, record in zip(numbers, records, strict=False):
            self.seconds[number] = record.provenance["seconds"]
        self.deal.answered(flight.batch, len(records), seconds)
        self.error = self.error or failure

    def _call_off(self, flight: _Flight, first: Any) -> None:
        """Take back what was sent after the first to land.

        What was sent before it stays: its worker is busy with it, and the scheduler, which would
        take that worker for free, gives it no more than its share.
        """
        later = flight.futures.index(first)
        for number, future in enumerate(flight.futures):
            self.flying.pop(future, None)
            self.mute.pop(future, None)
            if number < later and not future.done():
                self.behind.add(future)


def _measured(
    version: str, payload: bytes, cases: list[Case]
) -> tuple[list[Record], float, Exception | None]:
    """What a worker does with a batch; the version is compared before anything is unpacked."""
    began = time.perf_counter()
    if version != shallows.__version__:
        raise SweepError(
            f"A worker runs shallows {shallows.__version__}, but the sweep was started by "
            f"{version}. Install one version everywhere."
        )
    answer: Answer = pickle.loads(payload)
    records, failure = answer.measured(cases)
    return records, time.perf_counter() - began, sendable(failure)


def _explained(failure: Exception) -> Exception:
    if isinstance(failure, SweepError):
        return failure
    error = SweepError(
        f"A worker could not begin ({type(failure).__name__}: {failure}). Install the same "
        "packages on every worker, with the module of the study on its path."
    )
    error.__cause__ = failure
    return error


@contextlib.contextmanager
def _client(address: str) -> Iterator[Any]:
    distributed = _distributed()
    with contextlib.ExitStack() as stack:
        if address.startswith("local:"):
            where = stack.enter_context(_local(distributed, int(address.partition(":")[2])))
            options: dict[str, Any] = {"address": where}
        elif "://" in address:
            options = {"address": address}
        else:
            options = {"scheduler_file": address}
        stack.enter_context(_silence())
        try:
            client = distributed.Client(**options, timeout=_CONNECT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise SweepError(
                f"No scheduler answers at {address} ({type(error).__name__}: {error}). Start one, "
                "e.g. `dask scheduler`, or use `local:2`."
            ) from error
        stack.callback(client.close, timeout=2)
        try:
            client.wait_for_workers(1, timeout=_WORKERS)
        except TimeoutError:
            raise SweepError(
                f"The scheduler at {address} has had no worker for {_WORKERS} s. Start some, e.g. "
                f"`dask worker {address} --nthreads 1`."
            ) from None
        yield client


@contextlib.contextmanager
def _local(distributed: ModuleType, workers: int) -> Iterator[Any]:
    others = set(multiprocessing.active_children())
    try:
        with one_thread_each(), _uninterrupted() as interrupts:
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                # Its server for other things, at any free port: two sweeps at once are no news.
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,  # a killed worker is told of by what comes back
                env=ONE_THREAD,  # for the workers that replace others
                death_timeout=_STARTING,  # or one that is stopped as it starts is waited for
                preload=_DEAF,
            )
    except (RuntimeError, TimeoutError, AssertionError) as error:  # the last where one was stopped
        for child in set(multiprocessing.active_children()) - others:
            child.kill()  # or Python would wait for it when it ends
        if interrupts:
            raise KeyboardInterrupt from None
        is_slow = isinstance(error, TimeoutError | AssertionError)
        why = f"one had not after {_STARTING} s" if is_slow else error
        raise SweepError(
            f"A local cluster of {workers} workers could not start ({why}). Use fewer, or "
            '`--workers`; in a script, sweep under `if __name__ == "__main__":`.'
        ) from error
    try:
        if interrupts:
            raise KeyboardInterrupt
        yield cluster
    finally:
        cluster.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[list[int]]:
    """Collect Ctrl-C for later, because a cluster that is half begun cannot be ended cleanly."""
    heard: list[int] = []

    def hear(number: int, _: Any) -> None:
        if heard:  # somebody insists
            raise KeyboardInterrupt
        heard.append(number)

    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield heard
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let what happens be told once, by us: a client logs a traceback when its scheduler goes."""
    log = logging.getLogger("distributed.client")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)


def _distributed() -> ModuleType:
    try:
        import distributed
    except ImportError as error:
        raise ValueError(
            f"A cluster needs Dask distributed, which is not installed ({error}). Install the "
            "extra: `pip install 'shallows[cluster]'`."
        ) from None
    return distributed
