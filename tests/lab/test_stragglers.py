"""What is late on a cluster, against a scheduler and a clock that do what the test says."""

import pytest
from lab_studies import BARE, cases, contents

from shallows.lab import Store, SweepError
from shallows.lab.answers import Answer, identity
from shallows.lab.cluster import _Away

pytest.importorskip("distributed")


class _Future:
    """A task of a scheduler that does what the test says."""

    def __init__(self, key, batch, where):
        self.key, self.batch, self.where = key, batch, where
        self.status, self.outcome = "pending", None

    def add_done_callback(self, call):
        pass

    def done(self):
        return self.status != "pending"

    def result(self, timeout):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class _Scheduler:
    """Workers of one thread each, as a client sees them; nothing runs by itself."""

    status = "running"

    def __init__(self, workers, answer):
        self.workers: dict[str, list[_Future]] = {name: [] for name in workers}
        self.answer, self.sent = answer, []

    def nthreads(self):
        return dict.fromkeys(self.workers, 1)

    def processing(self):
        return {name: [f.key for f in tasks] for name, tasks in self.workers.items()}

    def who_has(self, futures):
        return {future.key: (future.where,) for future in futures}

    def submit(self, function, version, payload, batch, *, workers=None, **options):
        where = min(workers or self.workers, key=lambda name: len(self.workers[name]))
        future = _Future(len(self.sent), batch, where)
        self.workers[where].append(future)
        self.sent.append(future)
        return future

    def end(self, future, *, seconds=0.1, outcome=None):
        records, failure = self.answer.measured(future.batch)
        future.outcome = outcome or (records, seconds, failure)
        future.status = "error" if type(outcome).__name__ == "KilledWorker" else "finished"
        self.workers[future.where].remove(future)


class _Clock:
    """A clock that a test turns."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("shallows.lab.cluster.time.monotonic", lambda: self.now)


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Makes a clock, workers a, b and c, and the sweep of so many cases, one to a batch."""

    def make(count, workers="abc", study=BARE):
        clock = _Clock(monkeypatch)
        answer = Answer(study, Store(tmp_path), {}, identity(study))
        scheduler = _Scheduler(workers, answer)
        away = _Away(scheduler, answer, b"", cases(count))
        monkeypatch.setattr(away.deal, "MOST", 1)

        def turn(seconds=0.0):
            clock.now += seconds
            away._turn()
            return scheduler.sent

        return away, scheduler, turn

    return make


def test_what_is_late_goes_to_workers_that_hold_nothing_late(away):
    sweep, scheduler, turn = away(7)
    first, *others = turn()[:6]
    assert [future.where for future in (first, *others)] == list("abcabc")
    for future in others:
        if future.where != "a":
            scheduler.end(future)
    turn(1.1)
    scheduler.end(scheduler.sent[6])
    assert len(turn(3.8)) == 7  # after 4.9 s nothing is late yet
    copies = turn(1.1)[7:]
    assert {copy.batch[0].data["n"] for copy in copies} == {0, 3}
    assert {copy.where for copy in copies} == {"b", "c"}
    assert len(turn(13)) == 9  # neither is the copy, before four times as long
    scheduler.end(copies[0])
    scheduler.end(copies[1])
    turn()
    assert not sweep.flying
    assert {future.where for future in sweep.behind} == {"a"}
    assert len(sweep.seconds) == len(sweep.answer.store.keys("bare")) == 7
    # What comes after all changes nothing.
    before = contents(sweep.answer.store, BARE)
    scheduler.end(first)
    turn(1.1)
    assert contents(sweep.answer.store, BARE) == before
    assert {future.key for future in sweep.behind} == {3}


def test_a_case_that_is_slow_everywhere_is_sent_as_often_as_stated(away):
    for worker_count in (3, 6):
        sweep, scheduler, turn = away(2, "abcdef"[:worker_count])
        long, short = turn()
        scheduler.end(short, seconds=1.0)
        # T = 5 s: copies after 5, 20 and 80 s, as far as there are workers that have none.
        times = [t for t in range(1, 101) if len(scheduler.sent) < len(turn(1.01))]
        assert times == [5, 20, 80][: worker_count - 1]
        copies = scheduler.sent[2:]
        assert len({future.where for future in (long, *copies)}) == 1 + len(copies)
        scheduler.end(long)
        turn()
        assert not sweep.flying  # the copies are called off
        assert not sweep.behind


def test_what_takes_long_is_not_late_soon(away):
    _, scheduler, turn = away(2)
    one, _ = turn()
    assert len(turn(59)) == 2  # nothing is known yet of how long a batch takes
    scheduler.end(one, seconds=50.0)
    assert len(turn(140)) == 2
    assert len(turn(2)) == 3
    _, scheduler, turn = away(2)
    turn()
    assert len(turn(61)) == 4
    assert {copy.where for copy in scheduler.sent[2:]} == {"c"}


def test_a_worker_that_is_done_but_mute_is_asked_again(away):
    sweep, scheduler, turn = away(2)
    mute, other = turn()
    scheduler.end(other)
    scheduler.end(mute, outcome=TimeoutError())
    assert len(turn(1.1)) == 2
    (copy,) = turn(5)[2:]
    assert copy.where != mute.where  # which holds nothing, as far as the scheduler knows
    mute.outcome = (*sweep.answer.measured(mute.batch)[:1], 0.1, None)
    turn()
    assert sweep.flying
    turn(20)
    assert not sweep.flying
    assert not sweep.mute


def test_the_last_copy_to_be_killed_counts(away):
    from distributed.scheduler import KilledWorker

    sweep, scheduler, turn = away(2)
    first, other = turn()
    scheduler.end(other)
    turn(1.1)
    (copy,) = turn(5)[2:]
    killed = KilledWorker("task", None, 3)  # type: ignore[arg-type]  # the worker is not asked
    scheduler.end(first, outcome=killed)
    assert len(turn()) == 3
    scheduler.end(copy, outcome=killed)
    again = turn()[-1]
    assert again.batch == first.batch
    scheduler.end(again)
    turn()
    assert len(sweep.seconds) == 2


def test_slow_workers_leave_room_for_others(away):
    sweep, _, turn = away(9)
    turn()
    sweep.behind = {_Future(key, [], "a") for key in range(100, 110)}
    sweep.flying.clear()
    turn()
    assert len(sweep.flying) == 3


def test_without_workers_there_is_an_end(away):
    _, scheduler, turn = away(2)
    turn()
    scheduler.workers = {}
    turn(2)
    turn(299)
    with pytest.raises(SweepError, match=r"no worker for 300 s\. Start some and sweep again"):
        turn(3)
