"""Sweeps: every case of a study answered once, here or in other processes."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shallows.lab.answers import Answer, identity
from shallows.lab.origin import provenance
from shallows.lab.places import HERE, AbstractPlace
from shallows.lab.store import DamagedRecord, MissingRecord, Store
from shallows.lab.study import Case, Record, Study, key


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


def sweep(
    study: Study,
    cases: Iterable[Case],
    store: Store,
    *,
    on: AbstractPlace = HERE,
    progress: Callable[[Progress], Any] | None = None,
) -> Generator[Record, None, None]:
    """The record of every case, in the order of the cases, computed where the store has none.

    Cases are looked up and computed as the iterator is asked for them, in other processes ahead
    of that; nothing is computed if nobody asks. To resume a sweep is to call it again.

    **Convention.** A damaged record counts as none: it is computed again, `progress` hears its
    name, and the new record's provenance says what it `replaces`.

    **Raises.** `SweepError` if `measure` fails, from its exception, or if workers are killed;
    `StoreError` if a record cannot be kept. **Cost.** A sequence of cases is asked for each of
    them when it is needed, so that one that makes them does not hold them; 100 bytes a case else.
    """
    asked = cases if isinstance(cases, Sequence) else list(cases)
    store.clean()
    plan = _Plan(study, asked, store)
    answer = Answer(study, store, provenance(), identity(study))

    def records() -> Generator[Record, None, None]:
        reused = recomputed = 0
        with contextlib.closing(on.run(answer, plan.missing())) as answers:
            for done in range(1, len(asked) + 1):
                name, is_missing, damage = plan.next()
                seconds = next(answers) if is_missing else None
                reused += seconds is None
                recomputed += damage is not None
                record = store.read(study, name)
                if progress is not None:
                    took = seconds or 0.0
                    progress(Progress(done, len(asked), reused, recomputed, name, took, damage))
                yield record
        store.clean()  # a worker that was killed, or ended beside one, may have been writing
        store.mend(study)

    return records()


class _Plan:
    """Which cases are missing, found out once for each: by who computes, or by who waits.

    A place may ask from any of its threads, and ahead of who waits.
    """

    def __init__(self, study: Study, cases: Sequence[Case], store: Store):
        self.study, self.store = study, store
        self.known = set(store.keys(study))
        self.seen: set[str] = set()
        self.turn = threading.Lock()
        self.cases = iter(cases)
        self.decided: deque[tuple[str, bool, str | None]] = deque()
        self.unasked: deque[Case] = deque()

    def next(self) -> tuple[str, bool, str | None]:
        """Of the next case its key, whether it is to be computed, and the damage if there was."""
        with self.turn:
            if not self.decided:
                self._decide()
            return self.decided.popleft()

    def missing(self) -> Iterator[Case]:
        """The cases to compute."""
        while True:
            with self.turn:
                while not self.unasked:
                    if not self._decide():
                        return
                case = self.unasked.popleft()
            yield case

    def _decide(self) -> bool:
        case = next(self.cases, None)
        if case is None:
            return False
        name = key(self.study, case)
        is_missing, damage = False, None
        if name not in self.seen:  # a case that is asked for twice is missing once
            self.seen.add(name)
            is_missing, damage = self._look(name)
        if is_missing:
            self.unasked.append(case)
        self.decided.append((name, is_missing, damage))
        return True

    def _look(self, name: str) -> tuple[bool, str | None]:
        if name not in self.known:
            return True, None
        try:
            self.store.read(self.study, name)
        except MissingRecord:
            return True, None
        except DamagedRecord as error:
            return True, str(error)
        return False, None
