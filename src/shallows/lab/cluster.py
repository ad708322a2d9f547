"""Sweeps on Dask: batches go to a scheduler, records come back, and only we write."""

import asyncio
import contextlib
import logging
import pickle
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import shallows
from shallows.lab.answers import Answer, SweepError
from shallows.lab.places import (
    AbstractPlace,
    Deal,
    Item,
    one_thread,
    one_thread_each,
    pickled,
    sendable,
)
from shallows.lab.study import Case, Record

# Seconds until a scheduler must have answered, and a first worker come.
_CONNECT = 20
_WORKERS = 300

# Batches in flight for each thread of a worker: one in hand, one waiting beside it.
_AHEAD = 2


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

        **Raises.** `SweepError` if nobody answers, or the scheduler is lost.
        """
        payload = pickled(answer)
        with _client(self.address) as client:
            yield from _Away(client, answer, payload, cases).run()


class _Away:
    """Batches in flight on a cluster, and what has come of them."""

    def __init__(self, client: Any, answer: Answer, payload: bytes, cases: Iterable[Case]):
        self.client, self.answer, self.payload = client, answer, payload
        self.deal = Deal(cases)
        self.flying: dict[Any, list[Item]] = {}
        self.seconds: dict[int, float | None] = {}
        self.error: Exception | None = None
        self.landed = threading.Event()
        self.threads, self.counted = 1, float("-inf")

    def run(self) -> Generator[float | None, None, None]:
        number = 0
        while True:
            if self.error is None:
                self._submit()
            self.landed.clear()
            for future in [future for future in self.flying if future.done()]:
                self._land(future)
            if number in self.seconds:
                yield self.seconds.pop(number)
                number += 1
            elif self.error is not None:
                raise self.error
            elif self.flying:
                self._wait()
            else:
                return

    def _submit(self) -> None:
        if time.monotonic() > self.counted + 1:  # workers come and go
            self.threads = max(1, sum(self.client.nthreads().values()))
            self.counted = time.monotonic()
        while len(self.flying) < _AHEAD * self.threads:
            batch = self.deal.batch()
            if not batch:
                return
            # Not pure: the same cases, asked again after a worker was lost, are another task.
            version, batch_cases = shallows.__version__, [case for _, case in batch]
            future = self.client.submit(
                _measured, version, self.payload, batch_cases, pure=False, retries=0
            )
            future.add_done_callback(lambda _: self.landed.set())
            self.flying[future] = batch

    def _wait(self) -> None:
        # A client whose scheduler has gone may say nothing: hence the second.
        self.landed.wait(timeout=1)
        if self.client.status not in ("running", "connecting"):
            raise self._lost_scheduler()

    def _lost_scheduler(self) -> SweepError:
        where = self.client.scheduler.address if self.client.scheduler else "?"
        return SweepError(
            f"The scheduler at {where} was lost. Start one and sweep again: what was answered is "
            "kept, and only the cases in flight are computed anew."
        )

    def _land(self, future: Any) -> None:
        from distributed.scheduler import KilledWorker

        batch = self.flying.pop(future)
        try:
            records, seconds, failure = future.result()
        except KilledWorker:
            self.deal.lost(batch)
            return
        except (CancelledError, asyncio.CancelledError):  # whoever knew of it has gone
            raise self._lost_scheduler() from None
        except Exception as error:
            if self.client.status != "running":
                raise self._lost_scheduler() from error
            self.error = self.error or _explained(error)
            return
        self.answer.store.write_all(records)
        numbers = (number for number, _ in batch)
        for number, record in zip(numbers, records, strict=False):
            self.seconds[number] = record.provenance["seconds"]
        self.deal.answered(batch, len(records), seconds)
        self.error = self.error or failure


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
    try:
        with one_thread_each():
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,  # a killed worker is told of by what comes back
                env=one_thread(),  # for the workers that replace others
            )
    except (RuntimeError, TimeoutError) as error:
        raise SweepError(
            f"A local cluster of {workers} workers could not start ({error}). Use fewer, or "
            '`--workers`; in a script, sweep under `if __name__ == "__main__":`.'
        ) from error
    try:
        yield cluster
    finally:
        cluster.close()


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
