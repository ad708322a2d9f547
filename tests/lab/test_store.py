import errno
import json
import math
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest
from lab_studies import BARE, SQUARES, bare, cases, contents, squares
from test_study import junk

from shallows.lab import (
    Case,
    Damage,
    DamagedRecord,
    MissingRecord,
    NotAStore,
    NotKept,
    Progress,
    Record,
    Result,
    Store,
    StoreError,
    Study,
    key,
    sweep,
)

HERE = Path(__file__).parent
MARKER = "shallows-store.json"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def _record(n=3, study=SQUARES, **more):
    result = study.measure({"n": n})
    values = {**result.values, **more}
    return Record(study.name, study.version, Case({"n": n}), values, result.table, {})


def _bits(array):
    return array.dtype, array.shape, array.tobytes()


def _files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# --- what goes in comes out -----------------------------------------------------------------


def test_the_path_is_the_question(store):
    with_table, without = _record(), _record(study=BARE)
    store.write(with_table)
    store.write(without)
    assert _files(store.folder) == [
        "bare",
        f"bare/{key(BARE, Case({'n': 3}))}.json",
        MARKER,
        "squares",
        f"squares/{with_table.key}.json",
        f"squares/{with_table.key}.parquet",
    ]
    assert store.studies() == ["bare", "squares"]
    assert store.has(SQUARES, Case({"n": 3}))
    assert not store.has(SQUARES, Case({"n": 4}))


def test_a_record_comes_back_bit_for_bit(store):
    nan = np.frombuffer(struct.pack("<Q", 0x7FF8DEADBEEF0001), float)[0]  # with a payload
    floats = np.array([0.1, -0.0, 0.0, 5e-324, 1.7976931348623157e308, math.inf, nan, 1 / 3])
    table = {
        "float": floats,
        "int": np.array([2**63 - 1, -(2**63), *range(6)]),
        "bool": np.arange(8) % 2 == 0,
        "word": np.array(["", "θ", "a" * 9, "\0x", "x", '"', "\n", "π"]),
        "wide": np.stack([floats, -floats, floats]).T,
        "wide words": np.array([["a", "bcd"]] * 8),
        "wide bool": np.array([[True, False]] * 8),
        "": np.arange(8),
    }
    values = {
        "x": [0.1, -0.0, 5e-324, 2**70, True, None, "θ\ud800\0"],
        "inf": [math.inf, -math.inf],
    }
    record = Record("a", "v1", Case({"x": 1 / 3}), values, table, {"seed": 1})
    store.write(record)
    back = store.read("a", record.key)

    assert (back.study, back.version, back.case, back.key) == ("a", "v1", record.case, record.key)
    assert repr(back.values) == repr({"inf": values["inf"], "x": values["x"]})
    assert back.provenance == {"seed": 1}
    assert list(back.table) == list(table)
    for name, column in table.items():
        assert _bits(back.table[name]) == _bits(column), name


def test_a_table_without_rows_keeps_its_columns(store):
    table = {"x": np.zeros(0), "y": np.zeros((0, 3), np.int64), "z": np.zeros(0, str)}
    record = Record("a", 1, Case({}), {}, table, {})
    store.write(record)
    back = store.read("a", record.key)
    assert [_bits(column) for column in back.table.values()] == [_bits(c) for c in table.values()]


@hp.seed(2)
@hp.settings(max_examples=100, deadline=None)
@hp.given(values=st.dictionaries(st.text(max_size=5), junk, max_size=4))
def test_junk_comes_back_or_is_refused_with_a_message(tmp_path_factory, values):
    store = Store(tmp_path_factory.getbasetemp() / "junk")
    try:
        record = Record("junk", 1, Case({}), values, None, {})
    except (TypeError, ValueError) as error:
        assert str(error).startswith("values")  # noqa: PT017 - both outcomes are right
        return
    store.write(record)
    back = store.read("junk", record.key)
    # `repr` tells -0.0 from 0.0 and finds NaN equal to itself.
    assert repr(_sorted(back.values)) == repr(_sorted(record.values))


def _sorted(value):
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(entry) for entry in value] if isinstance(value, list) else value


def test_the_last_writer_wins_and_a_table_may_vanish(store):
    store.write(_record())
    store.write(_record(extra=1))
    assert store.read("squares", _record().key).values["extra"] == 1
    plain = Record("squares", 1, Case({"n": 3}), {}, None, {})
    store.write(plain)
    assert store.read("squares", plain.key).table is None
    assert store.check() == []


def test_records_of_a_study_are_those_of_its_version(store):
    store.write(_record())
    newer = Study("squares", 2, squares)
    store.write(_record(study=newer))
    assert [record.version for record in store.records(newer)] == [2]
    assert sorted(record.version for record in store.records("squares")) == [1, 2]
    assert len(store.keys("squares")) == 2
    assert store.keys("nobody-asked") == []


def test_a_store_can_be_sent_to_another_process(store):
    assert pickle.loads(pickle.dumps(store)).folder == store.folder
    assert repr(store) == f"Store({str(store.folder)!r})"


# --- folders that are not ours --------------------------------------------------------------


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    message = (
        f"The folder {tmp_path} is not empty and not a store (no {MARKER}, but thesis.tex). "
        "Choose another; nothing was written into this one."
    )
    with pytest.raises(NotAStore, match=re.escape(message)):
        Store(tmp_path)
    assert _files(tmp_path) == ["thesis.tex"]


def test_other_files_may_lie_in_a_store(store):
    (store.folder / "report.html").touch()
    (store.folder / "figures").mkdir()
    (store.folder / "figures" / "one.json").touch()
    store.write(_record())
    again = Store(store.folder)
    assert again.check() == []
    assert again.studies() == ["squares"]


def test_looking_for_a_store_makes_none(tmp_path):
    with pytest.raises(NotAStore, match=re.escape(f"There is no store in {tmp_path}")):
        Store.existing(tmp_path)
    assert _files(tmp_path) == []
    assert Store.existing(Store(tmp_path).folder).studies() == []


def test_a_file_is_not_a_store(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotAStore, match=re.escape(f"A store is a folder, and {file} is a file")):
        Store(file)
    with pytest.raises(StoreError, match="cannot be used as a store: Not a directory"):
        Store(file / "below")


def test_a_newer_schema_is_not_guessed(store):
    (store.folder / MARKER).write_text('{"format": "shallows-store", "schema": 2}')
    with pytest.raises(StoreError, match=r"schema 2, .* knows schemas up to 1. Upgrade shallows"):
        Store(store.folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other", "schema": 1}', "[" * 9999])
def test_a_marker_that_is_not_ours_is_no_marker(store, text):
    (store.folder / MARKER).write_text(text)
    with pytest.raises(NotAStore, match="is not the mark of a store"):
        Store(store.folder)


def test_a_maker_that_was_killed_is_no_obstacle(tmp_path):
    (tmp_path / f".{MARKER}.0123abcd.1.0123abcd.tmp").touch()
    assert Store(tmp_path).studies() == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(store):
    store.write(_record())
    store.folder.chmod(0o500)
    try:
        with pytest.raises(StoreError, match=r"Could not write .*: Permission denied"):
            Store(store.folder).write(_record(study=BARE))
        assert store.read("squares", _record().key).values["n"] == 3
    finally:
        store.folder.chmod(0o700)


def test_a_file_where_a_study_should_be(store):
    (store.folder / "squares").touch()
    with pytest.raises(StoreError, match=r"Could not write .*json: .*File exists.*run again"):
        store.write(_record())


@pytest.mark.parametrize("name", ["..", "a/b", ""])
def test_a_path_cannot_leave_the_store(store, name):
    with pytest.raises(ValueError, match="A study is named with"):
        store.keys(name)
    with pytest.raises(ValueError, match="A key has 20 hexadecimal digits"):
        store.read("squares", name)


# --- damage ---------------------------------------------------------------------------------


def _truncate(json_file, parquet):
    json_file.write_bytes(json_file.read_bytes()[:-20])
    return json_file, "it is not JSON; it may have been cut short"


def _empty(json_file, parquet):
    json_file.write_bytes(b"")
    return json_file, "it is not JSON; it may have been cut short"


def _change_a_digit(json_file, parquet):
    json_file.write_bytes(json_file.read_bytes().replace(b'"n":3', b'"n":4', 1))
    return json_file, "its content does not match its checksum"


def _add_a_space(json_file, parquet):
    json_file.write_bytes(json_file.read_bytes() + b" ")
    return json_file, "its content does not match its checksum"


def _flip_a_bit_of_the_table(json_file, parquet):
    data = bytearray(parquet.read_bytes())
    data[len(data) // 2] ^= 1
    parquet.write_bytes(data)
    return json_file, f"{parquet.name} does not match its checksum"


def _truncate_the_table(json_file, parquet):
    parquet.write_bytes(parquet.read_bytes()[:-1])
    return json_file, f"{parquet.name} does not match its checksum"


def _delete_the_table(json_file, parquet):
    parquet.unlink()
    return json_file, f"{parquet.name} cannot be read (No such file or directory)"


DAMAGES = [
    _truncate,
    _empty,
    _change_a_digit,
    _add_a_space,
    _flip_a_bit_of_the_table,
    _truncate_the_table,
    _delete_the_table,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_recomputed(store, damage):
    list(sweep(SQUARES, cases(5), store))
    before = contents(store, SQUARES)
    name = key(SQUARES, Case({"n": 3}))
    file = store.folder / "squares" / f"{name}.json"
    path, reason = damage(file, file.with_suffix(".parquet"))

    with pytest.raises(DamagedRecord) as caught:
        store.read(SQUARES, name)
    assert (caught.value.path, caught.value.reason) == (path, reason)
    assert str(pickle.loads(pickle.dumps(caught.value))) == (
        f"Damaged record {path}: {reason}. Sweep its study again to recompute it, "
        "or delete the file."
    )
    assert store.check() == [Damage(path, reason)]

    events: list[Progress] = []
    records = list(sweep(SQUARES, cases(5), store, progress=events.append))
    assert [event.damaged for event in events if event.damaged] == [str(caught.value)]
    assert (events[-1].reused, events[-1].recomputed) == (4, 1)
    assert records[3].provenance["replaces"] == str(caught.value)
    assert contents(store, SQUARES) == before
    assert store.check() == []


def test_records_that_swapped_names_are_both_damaged(store):
    list(sweep(SQUARES, cases(5), store))
    before = contents(store, SQUARES)
    folder = store.folder / "squares"
    one, two = (key(SQUARES, Case({"n": n})) for n in (2, 3))
    for suffix in ("json", "parquet"):
        a, b, aside = folder / f"{one}.{suffix}", folder / f"{two}.{suffix}", folder / "aside"
        a.rename(aside)
        b.rename(a)
        aside.rename(b)
    with pytest.raises(DamagedRecord, match=f"it answers another question, squares/{two}"):
        store.read(SQUARES, one)
    assert len(store.check()) == 2
    events: list[Progress] = []
    list(sweep(SQUARES, cases(5), store, progress=events.append))
    assert events[-1].recomputed == 2
    assert contents(store, SQUARES) == before


def test_tables_that_swapped_names_are_noticed(store):
    list(sweep(SQUARES, cases(5), store))
    one, two = (
        store.folder / "squares" / f"{key(SQUARES, Case({'n': n}))}.parquet" for n in (2, 3)
    )
    a, b = one.read_bytes(), two.read_bytes()
    one.write_bytes(b)
    two.write_bytes(a)
    assert {damage.path.stem for damage in store.check()} == {one.stem, two.stem}


def test_a_record_of_another_study_is_noticed(store):
    store.write(_record(study=BARE))
    path = store.folder / "bare" / f"{_record(study=BARE).key}.json"
    (store.folder / "other").mkdir()
    path.rename(store.folder / "other" / path.name)
    with pytest.raises(DamagedRecord, match="it answers another question, bare/"):
        store.read("other", path.stem)


def test_every_byte_of_a_record_counts(store):
    record = _record(2)
    store.write(record)
    file = store.folder / "squares" / f"{record.key}.json"
    for path in (file, file.with_suffix(".parquet")):
        data = path.read_bytes()
        for i in range(0, len(data), 7):
            path.write_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
            with pytest.raises(DamagedRecord):
                store.read("squares", record.key)
        path.write_bytes(data)
    assert store.check() == []


@hp.seed(3)
@hp.settings(max_examples=200, deadline=None)
@hp.given(data=st.binary(max_size=200) | junk.map(repr).map(str.encode) | st.just(b"[" * 99999))
@hp.example(b'{"checksum": NaN}')
@hp.example(b'{"x": 1e999}')
@hp.example(b"9" * 5000)
@hp.example(b"\xff\xfe1\x00")
def test_random_bytes_are_a_damaged_record(tmp_path_factory, data):
    store = Store(tmp_path_factory.getbasetemp() / "bytes")
    path = store.folder / "squares" / f"{'0' * 20}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(DamagedRecord):
        store.read("squares", path.stem)


@pytest.mark.parametrize("document", [{}, {"table": None}, {"table": 1}, {"case": 1}])
def test_a_checksum_does_not_make_a_record(store, document):
    from shallows.lab.documents import sealed

    path = store.folder / "squares" / f"{'0' * 20}.json"
    path.parent.mkdir()
    path.write_bytes(sealed(document))
    with pytest.raises(DamagedRecord):
        store.read("squares", path.stem)


def test_a_folder_in_place_of_a_record(store):
    (store.folder / "squares" / f"{'0' * 20}.json").mkdir(parents=True)
    with pytest.raises(DamagedRecord, match="cannot be read"):
        store.read("squares", "0" * 20)


def test_a_missing_record_is_not_damage(store):
    with pytest.raises(MissingRecord, match=r"There is no record .* Sweep its study"):
        store.read(SQUARES, "0" * 20)


# --- writers that fail, die or meet ---------------------------------------------------------


@pytest.mark.parametrize("which", ["fsync", "replace"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_full_disk_leaves_nothing_behind(store, monkeypatch, which, nth):
    store.write(_record(study=BARE))
    before = _files(store.folder)
    real, calls = getattr(os, which), []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, which, full)
        with pytest.raises(NotKept, match=r"Could not write .*: No space left on device. Noth"):
            store.write(_record())
    assert _files(store.folder) == sorted([*before, "squares"])
    store.write(_record())
    assert store.check() == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_store_on_a_full_disk_is_no_misuse(tmp_path, monkeypatch, code):
    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotKept, match=f"cannot be used as a store: {os.strerror(code)}. Nothing"):
        Store(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_that_there_is_no_room_is_said_across_processes():
    error = pickle.loads(pickle.dumps(NotKept("No room.")))
    assert isinstance(error, StoreError)
    assert isinstance(error, OSError)
    assert str(error) == "No room."


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
def test_a_limit_on_the_size_of_files_is_a_full_disk(store):
    code = f"""
import resource
from shallows.lab import Case, Record, Store, StoreError
store = Store({str(store.folder)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.write(Record("small", 1, Case({{}}), {{}}, None, {{}}))
try:
    store.write(Record("large", 1, Case({{}}), {{"x": "x" * 5000}}, None, {{}}))
except StoreError as error:
    assert "File too large" in str(error), error
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert store.check() == []
    assert store.studies() == ["small"]
    assert list((store.folder / "large").iterdir()) == []


WRITER = """
import sys
import numpy as np
from shallows.lab import Case, Record, Store
store = Store(sys.argv[1])
for i in range(10**9):
    if i == 1:
        print("ready", flush=True)
    for n in range(4):  # the same keys again and again, with another table each time
        x = np.full((200, 3), float(i))
        store.write(Record("race", 1, Case({"n": n}), {"i": float(i)}, {"x": x}, {}))
"""


def _writer(folder):
    command = [sys.executable, "-c", WRITER, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _agrees(record):
    return (record.table["x"] == record.values["i"]).all()


def test_writers_killed_at_any_moment_leave_whole_records(store):
    moments = random.Random(4)
    for _ in range(8):
        pair = [_writer(store.folder) for _ in range(2)]
        for process in pair:
            process.stdout.readline()
        time.sleep(moments.uniform(0, 0.1))
        for process in pair:
            process.kill()
            process.wait()
            process.stdout.close()
        for name in store.keys("race"):
            path = store.folder / "race" / f"{name}.json"
            assert json.loads(path.read_bytes())["study"] == "race"
        assert all(_agrees(record) for record in store.records("race"))
        # Killed between its two renames, a writer leaves a table and no record.
        assert {damage.reason for damage in store.check()} <= {
            "left by a writer that was killed",
            "a table without a record",
        }
        # Both had written all four, and a writer that dies takes at most the one in its hands.
        assert len(store.keys("race")) >= 2
        store.clean()
        assert not list(store.folder.glob("*/.*.tmp"))


def test_the_same_answer_again_is_never_away(store, monkeypatch):
    """Two sweeps of one store: if the second dies while it writes, the first one's record stays."""
    store.write(_record())
    real = os.replace

    def dies_before_the_last(source, target):
        if target.suffix == ".json":
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", dies_before_the_last)
    with pytest.raises(KeyboardInterrupt):
        store.write(_record())
    assert store.read("squares", _record().key).values["n"] == 3
    assert store.check() == []


def test_readers_never_see_two_writers_mixed(store):
    pair = [_writer(store.folder) for _ in range(2)]
    try:
        for process in pair:
            process.stdout.readline()
        while len(store.keys("race")) < 4:
            time.sleep(0.01)
        for _ in range(25):
            assert all(_agrees(record) for record in store.records("race"))
    finally:
        for process in pair:
            process.kill()
            process.wait()
            process.stdout.close()


def test_only_files_of_dead_writers_are_removed(store):
    from shallows.lab.files import HOST

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store.write(_record())
    folder = store.folder / "squares"

    def temporary(host, pid, age=0.0):
        path = folder / f".x.json.{host}.{pid}.0123abcd.tmp"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
        return path

    living = temporary(HOST, os.getpid())
    gone = temporary(HOST, dead.pid)
    elsewhere = temporary("0" * 8, dead.pid)
    long_ago = temporary("1" * 8, dead.pid, age=2 * 24 * 3600)
    foreign = folder / ".notes.tmp"
    foreign.touch()
    assert store.check() == [
        Damage(path, "left by a writer that was killed") for path in sorted([gone, long_ago])
    ]
    store.clean()
    assert sorted(folder.glob(".*")) == sorted([living, elsewhere, foreign])


def test_a_table_without_a_record_is_reported(store):
    store.write(_record())
    path = store.folder / "squares" / f"{_record().key}.json"
    path.unlink()
    assert store.check() == [Damage(path.with_suffix(".parquet"), "a table without a record")]
    list(sweep(SQUARES, [Case({"n": 3})], store))
    assert store.check() == []


def test_result_values_may_be_infinite(store):
    (record,) = sweep(Study("bare", 1, bare), cases(1), store)
    assert record.values["worst"] == -math.inf
    assert math.isnan(Result({"x": math.nan}).values["x"])
