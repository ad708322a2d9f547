"""Records that share a file: as safe as those with a file each, and read as if they had one."""

import contextlib
import errno
import json
import os
import re

import pytest
from lab_studies import BARE, SQUARES, cases, contents

from shallows.lab import DamagedRecord, NotKept, Processes, Record, Store, key, sweep
from shallows.lab.batches import line_of
from shallows.lab.places import Deal


def _records(count, first=0):
    asked = cases(first + count)[first:]
    return [Record("bare", 1, case, {"third": 1 / 3, **case.data}, None, {}) for case in asked]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    made.write_all(_records(5))
    return made


def _file(store):
    (path,) = (store.folder / "bare").glob("batch-*.jsonl")
    return path


def test_records_of_a_batch_share_a_file_and_come_back(store, tmp_path):
    assert [path.suffix for path in (store.folder / "bare").iterdir()] == [".jsonl"]
    assert store.studies() == ["bare"]
    assert store.has(BARE, cases(5)[4])
    assert not store.has(BARE, cases(6)[5])
    one_by_one = Store(tmp_path / "other")
    for record in _records(5):
        one_by_one.write(record)
    assert contents(Store(store.folder), BARE) == contents(one_by_one, BARE)
    lines = _file(store).read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == [key(BARE, case) for case in cases(5)]
    assert store.check() == []


def test_a_reader_sees_what_others_add_and_sends_nothing_of_it_on(store):
    reader = Store(store.folder)
    assert len(reader.keys("bare")) == 5
    store.write_all(_records(3, first=5))
    assert reader.read(BARE, key(BARE, cases(7)[6])).values["n"] == 6
    assert reader.__getstate__()["_batches"] == {}


def test_records_with_tables_or_alone_have_files_of_their_own(tmp_path):
    store = Store(tmp_path)
    list(sweep(SQUARES, cases(3), store))
    with_tables = list(store.records(SQUARES))
    other = Store(tmp_path / "other")
    other.write_all([*with_tables, *_records(1)])
    assert not list(other.folder.glob("*/batch-*"))
    assert len(list(other.folder.glob("*/*.parquet"))) == 3


def test_every_byte_of_a_batch_counts(store):
    """Whatever byte changes, one record at most is lost, and the file is named."""
    path, whole = _file(store), _file(store).read_bytes()
    for at in range(0, len(whole), 37):
        data = bytearray(whole)
        data[at] ^= 1
        path.write_bytes(data)
        changed = Store(store.folder)
        assert {damage.path for damage in changed.check()} == {path}
        sound = 0
        for case in cases(5):
            name = key(BARE, case)
            if name in changed.keys("bare"):
                with contextlib.suppress(DamagedRecord):
                    sound += changed.read(BARE, name).values["n"] == case.data["n"]
        assert sound >= (3 if whole[at] == ord("\n") else 4)


def test_damage_is_named_recomputed_and_mended(store):
    path = _file(store)
    data = path.read_bytes()
    second = data.split(b"\n")[1]
    path.write_bytes(data.replace(second, second.replace(b"0.333", b"0.334"))[:-40])
    damaged = Store(store.folder)
    reasons = sorted(damage.reason for damage in damaged.check())
    assert [re.sub(r"\(.*\)", "()", reason) for reason in reasons] == [
        "line 2 (): its content does not match its checksum",
        "line 5 (): it is not a record; it may have been cut short",
    ]
    events: list = []
    records = list(sweep(BARE, cases(6), damaged, progress=events.append))
    assert [record.values["n"] for record in records] == list(range(6))
    assert [event.damaged is not None for event in events] == [False, True, False, False, True, 0]
    assert str(path) in events[1].damaged
    assert "line 2" in records[1].provenance["replaces"]
    assert (events[-1].reused, events[-1].recomputed) == (3, 2)
    assert damaged.check() == Store(store.folder).check() == []
    assert _file(store) != path  # three lines have another name
    assert len(store.keys("bare")) == 6


def test_lost_lines_are_noticed_by_the_name_of_the_file(store):
    path = _file(store)
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:3]) + b"\n")
    (damage,) = Store(store.folder).check()
    assert "does not match its name" in damage.reason
    lost = Store(store.folder)
    assert len(list(sweep(BARE, cases(5), lost))) == 5
    assert lost.check() == []


def test_a_line_that_answers_another_question_is_damaged(store):
    text = json.loads(_file(store).read_text().splitlines()[0])["record"]
    line = line_of("0" * 20, json.dumps(text, sort_keys=True, separators=(",", ":")))
    (store.folder / "bare" / f"batch-{'0' * 20}.jsonl").write_bytes(line + b"\n")
    with pytest.raises(DamagedRecord, match="it answers another question, bare/"):
        store.read("bare", "0" * 20)


@pytest.mark.parametrize("which", ["fsync", "replace"])
def test_a_full_disk_leaves_nothing_of_a_batch(store, monkeypatch, which):
    before = sorted(store.folder.rglob("*"))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, which, full)
        with pytest.raises(NotKept, match=r"Could not write .*batch-.*: No space left on device"):
            store.write_all(_records(4, first=5))
        with pytest.raises(NotKept, match=r"No space left on device\. Nothing was half-written"):
            list(sweep(BARE, cases(9), store))
    assert sorted(store.folder.rglob("*")) == before
    assert len(list(sweep(BARE, cases(9), store))) == 9
    assert store.check() == []


def test_a_deal_grows_halves_and_takes_back():
    deal = Deal(cases(100))
    first = deal.batch()
    assert [number for number, _ in first] == [0]
    deal.answered(first, 1, 1e-3)
    second = deal.batch()
    assert [number for number, _ in second] == [1, 2, 3, 4]  # fourfold, though 250 would fit
    deal.answered(second, 1, 1.0)  # the next was slow: the others are dealt anew, one by one
    third = deal.batch()
    assert [number for number, _ in third] == [2]
    deal.answered(third, 1, 1e-3)
    rest = deal.batch()
    assert [number for number, _ in rest] == [3, 4]
    deal.lost(rest)
    assert [number for number, _ in deal.batch()] == [3]
    assert [number for number, _ in deal.batch()] == [4]


def test_short_cases_share_files_and_long_ones_do_not(tmp_path):
    store = Store(tmp_path)
    asked = cases(300)
    assert len(list(sweep(BARE, asked, store, on=Processes(1)))) == 300
    assert len(store.keys("bare")) == 300
    assert len(list((store.folder / "bare").iterdir())) < 30
    assert store.check() == []
