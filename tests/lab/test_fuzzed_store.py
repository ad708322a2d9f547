"""Stores that were damaged at random: never a wrong value, never a traceback, and a sweep heals."""

import contextlib
import errno
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lab_studies import BARE, SQUARES, bare, cases, squares

from shallows.cli import door
from shallows.lab import (
    Case,
    DamagedRecord,
    MissingRecord,
    NotKept,
    Record,
    Store,
    StoreError,
    key,
    merge,
    query,
    sweep,
)
from shallows.lab.documents import sealed
from shallows.lab.store import MARKER

ASKED = {SQUARES: cases(3), BARE: cases(9)}


def _bits(record):
    table = record.table and {
        name: (c.dtype.str, c.shape, c.tobytes()) for name, c in record.table.items()
    }
    return repr(sorted(record.values.items())), table


def _record(study, case):
    result = (squares if study is SQUARES else bare)(dict(case.data))
    return Record(study.name, study.version, case, result.values, result.table, {})


@pytest.fixture
def whole(tmp_path):
    """A store with tables, a record alone, and two batches."""
    store = Store(tmp_path / "whole")
    for case in ASKED[SQUARES]:
        store.write(_record(SQUARES, case))
    records = [_record(BARE, case) for case in ASKED[BARE]]
    store.write_all(records[:5])
    store.write_all(records[5:8])
    store.write(records[8])
    return store.folder


@pytest.fixture
def written(whole):
    """What was written, and to which file."""
    found = {}
    for study, asked in ASKED.items():
        for case in asked:
            name = key(study, case)
            files = [p for p in (whole / study.name).iterdir() if name in p.read_text("latin-1")]
            own = whole / study.name / f"{name}.json"
            file = own if own.exists() else files[0]
            found[study.name, name] = (_bits(_record(study, case)), file.relative_to(whole))
    return found


# --- damages --------------------------------------------------------------------------------


def _altered(data, rng):
    """The bytes, not as they were."""
    n = len(data)
    at = rng.randrange(n) if n else 0
    lines = data.split(b"\n")
    line = rng.randrange(len(lines))
    kind = rng.randrange(13)
    if kind == 0:
        return (
            data[:at] + bytes([(data[at] if n else 0) ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        )
    if kind == 1:
        count = rng.randrange(1, 20)
        return data[:at] + rng.randbytes(count) + data[at + count :]
    if kind == 2:
        return data[:at]
    if kind == 3:
        return data + rng.choice([b" ", b"\n", b"\0", data, rng.randbytes(9)])
    if kind == 4:
        return data[:at] + rng.choice([b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\r"]) + data[at:]
    if kind == 5:
        lines.insert(line, lines[rng.randrange(len(lines))])
        return b"\n".join(lines)
    if kind == 6:
        del lines[line]
        return b"\n".join(lines)
    if kind == 7:
        other = rng.randrange(len(lines))
        lines[line], lines[other] = lines[other], lines[line]
        return b"\n".join(lines)
    if kind == 8:
        return b""
    if kind == 9:
        huge = rng.choice([b"9" * 5000, b"1e999", b"-1e999", b"NaN", b"2e-999", b"true", b'"0"'])
        numbers = list(re.finditer(rb"\d+", data)) or list(re.finditer(rb"\A", data))
        first, last = rng.choice(numbers).span()
        return data[:first] + huge + data[last:]
    if kind == 10:
        return rng.choice([b"[", b'{"a":', b'{"checksum":"']) * rng.choice([1, 99, 99_999])
    if kind == 11:
        digits = list(re.finditer(rb"[0-9a-f]{20}|\A", data))
        first, last = rng.choice(digits).span()  # a key, or a part of a checksum
        return data[:first] + rng.randbytes(10).hex().encode() + data[last:]
    # A right checksum over what is no record.
    junk = rng.choice(
        [{}, {"table": 1}, {"case": {}, "study": "bare"}, {"values": {"$float": "x"}}]
    )
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        junk = {**json.loads(data), **junk}
        junk.pop("checksum", None)
    return sealed(junk)


def _clear(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _damage(folder, rng):
    """Do something to the folder, and say what."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    studies = sorted(p for p in folder.iterdir() if p.is_dir())
    # The mark is one file of many, and is damaged on its own in another test.
    if rng.random() < 0.9:
        files = [p for p in files if p.name != MARKER]
    if not files or not studies:
        return "nothing left to damage"
    path, other, study = rng.choice(files), rng.choice(files), rng.choice(studies)
    kind = rng.choice(["alter"] * 12 + list("abcdefghijklmn"))
    said = f"{kind} {path.relative_to(folder)}"
    if kind == "alter":
        path.write_bytes(_altered(path.read_bytes(), rng))
    elif kind == "a":
        data = path.read_bytes(), other.read_bytes()
        other.write_bytes(data[0])
        path.write_bytes(data[1])
        said += f" swapped with {other.relative_to(folder)}"
    elif kind == "b":
        path.unlink()
    elif kind == "c":
        path.unlink()
        path.mkdir()
        if rng.random() < 0.5:
            (path / "notes.txt").write_text("mine")
    elif kind == "d":
        path.unlink()
        os.mkfifo(path)
    elif kind == "e":
        path.unlink()
        path.symlink_to(rng.choice(["nowhere", path.name, "/dev/null", "."]))
    elif kind == "f":  # under the name of another record
        suffix = rng.choice([path.suffix, ".json", ".parquet"])
        shutil.copy(path, study / f"{rng.randbytes(10).hex()}{suffix}")
    elif kind == "g":
        shutil.copy(path, study / f"batch-{rng.randbytes(10).hex()}.jsonl")
    elif kind == "h":
        names = ["thesis.tex", ".x.json.0123abcd.99999999999999.0123abcd.tmp", "\udcff", "x.json"]
        (rng.choice([folder, study]) / rng.choice(names)).write_bytes(rng.randbytes(30))
    elif kind == "i":
        shutil.copytree(study, folder / rng.choice(["a-copy", "Not a study", "…"]), symlinks=True)
    elif kind == "j":
        target = study / rng.choice([f"batch-{'0' * 20}.jsonl", f"{'0' * 20}.parquet"])
        _clear(target)
        target.mkdir()
    elif kind == "k":
        shutil.rmtree(study)
    elif kind == "l":
        shutil.copy(path, study / other.name)
    elif kind == "m":  # a record over another one, table and all
        for suffix in (".json", ".parquet"):
            if path.with_suffix(suffix).is_file() and path != other:
                _clear(other.with_suffix(suffix))
                shutil.copy(path.with_suffix(suffix), other.with_suffix(suffix))
    elif kind == "n":
        _clear(study)
        study.write_bytes(b"a file where a study was")
    return said


# --- what must hold -------------------------------------------------------------------------


def _opened(folder, mark):
    """The store, its mark put right if it was not ours any more."""
    try:
        return Store(folder)
    except StoreError:
        _clear(folder / MARKER)
        (folder / MARKER).write_bytes(mark)
        return Store(folder)


def _read_all(store, written):
    """Files with records that cannot be read; all others are as they were written."""
    damaged = set()
    for study in {*store.studies(), "squares", "bare"}:
        for name in store.keys(study):
            try:
                record = store.read(study, name)
            except DamagedRecord as error:
                damaged.add(error.path)
            except MissingRecord:
                pass
            else:
                assert (study, name) in written, "nobody wrote this"
                assert _bits(record) == written[study, name][0]
        with contextlib.suppress(StoreError):
            assert {record.study for record in store.records(study)} <= {study}
    return damaged


def _lost(store, written):
    """Files, still there, with records that the store does not know any more."""
    known = {(study, name) for study in ("squares", "bare") for name in store.keys(study)}
    lost = {file for question, (_, file) in written.items() if question not in known}
    return {store.folder / file for file in lost if (store.folder / file).is_file()}


def _asked_again(store, written):
    """Sweep everything; False if the store says that it cannot be written."""
    for study, asked in ASKED.items():
        try:
            records = list(sweep(study, asked, store))
        except StoreError:
            assert not (store.folder / study.name).is_dir()
            return False
        for case, record in zip(asked, records, strict=True):
            assert _bits(record) == written[study.name, key(study, case)][0]
    return True


def _is_foreign(damage, written):
    """Whether this is about a key that nobody asked for: a sweep cannot answer it."""
    names = [damage.path.stem, *re.findall(r"\(([0-9a-f]{20})\)", damage.reason)]
    asked = {name for study, name in written if study == damage.path.parent.name}
    keys = {name for name in names if re.fullmatch(r"[0-9a-f]{20}", name)}
    return not asked or (bool(keys) and not asked & keys)


def _holds(folder, whole, written, rng, used=None):
    """All that is promised of a store, whatever was done to its files."""
    store = _opened(folder, (whole / MARKER).read_bytes())
    damaged = _read_all(store, written)
    named = {damage.path for damage in store.check()}
    assert damaged <= named
    assert _lost(store, written) <= named
    if rng.random() < 0.2:
        other = Store(folder.parent / "merged")
        for pair in ((other, store), (store, Store(whole))):
            with contextlib.suppress(StoreError):
                merge(*pair)
            assert not _read_all(other, written)
        shutil.rmtree(other.folder)
    if rng.random() < 0.05:
        with contextlib.suppress(DamagedRecord):
            ((count,),) = query(store, "SELECT count(*) FROM records")[1]
            assert count <= len(written) + 2
    store.clean()
    # Who has looked at the store before the damage may be wrong about it, and must find out.
    if not _asked_again(used if used is not None and rng.random() < 0.5 else store, written):
        return
    fresh = Store(folder)
    assert not _lost(fresh, written)
    assert [damage for damage in fresh.check() if not _is_foreign(damage, written)] == []
    for study, asked in ASKED.items():
        assert {key(study, case) for case in asked} <= set(fresh.keys(study))


def _fuzz(tmp_path, whole, written, monkeypatch, seeds):
    # Nobody pulls a plug here.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    folder = tmp_path / "damaged"
    for seed in seeds:
        rng = random.Random(seed)
        shutil.copytree(whole, folder)
        used = Store(folder)
        for study in used.studies():
            used.keys(study)
        said = []
        for _ in range(rng.choice([1, 1, 1, 2, 4, 8])):
            with contextlib.suppress(OSError, shutil.Error):  # done to what is damaged already
                said.append(_damage(folder, rng))
        try:
            _holds(folder, whole, written, rng, used)
        except BaseException as error:
            error.add_note(f"seed {seed}: {'; '.join(said)}")
            raise
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="damages need pipes and links")
def test_a_damaged_store_never_answers_wrongly_and_is_healed(tmp_path, whole, written, monkeypatch):
    _fuzz(tmp_path, whole, written, monkeypatch, range(15))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="damages need pipes and links")
@pytest.mark.parametrize("block", range(8))
def test_thousands_of_damages(tmp_path, whole, written, monkeypatch, block):
    _fuzz(tmp_path, whole, written, monkeypatch, range(1000 + 500 * block, 1500 + 500 * block))


# --- commands -------------------------------------------------------------------------------


def _status(monkeypatch, *words):
    """The exit status of a command, and what it said; anything but `SystemExit` is a traceback."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "argv", ["shallows", *map(str, words)])
    status: str | int = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            door.main()
        except SystemExit as end:
            status = end.code or 0
    assert "Traceback" not in err.getvalue()
    assert status == 0 or "shallows: " in err.getvalue()
    return status, out.getvalue(), err.getvalue()


def _commands(tmp_path, whole, written, monkeypatch, seeds):
    pytest.importorskip("duckdb")
    monkeypatch.setattr(os, "fsync", lambda _: None)
    folder, other = tmp_path / "damaged", tmp_path / "other"
    for seed in seeds:
        rng = random.Random(seed)
        shutil.copytree(whole, folder)
        with contextlib.suppress(OSError, shutil.Error):
            _damage(folder, rng)
        try:
            is_ours, is_sound = True, not Store(folder).check()
        except StoreError:
            is_ours = False
        status, out, _ = _status(monkeypatch, "store", "check", "--store", folder, "--json")
        assert status == (2 if not is_ours else 0 if is_sound else 1)
        if is_ours:
            document = json.loads(out)
            assert bool(document["damaged"]) != is_sound
        sql = "SELECT count(*) FROM records"
        status, out, _ = _status(monkeypatch, "store", "query", sql, "--store", folder, "--json")
        assert (status == 2) == (not is_ours)
        if status == 0:
            assert json.loads(out)["rows"][0][0] <= len(written)
        for into, source in ((other, folder), (folder, whole)):
            status, out, _ = _status(monkeypatch, "store", "merge", into, source, "--json")
            assert is_ours or status == 2
            assert status in (0, 1) or not is_ours
            if status == 0:
                assert json.loads(out)["records"] >= json.loads(out)["added"]
        if other.exists():
            _read_all(Store(other), written)
            shutil.rmtree(other)
        shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="damages need pipes and links")
def test_commands_on_a_damaged_store_answer_or_complain(tmp_path, whole, written, monkeypatch):
    _commands(tmp_path, whole, written, monkeypatch, range(4))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="damages need pipes and links")
def test_commands_on_many_damaged_stores(tmp_path, whole, written, monkeypatch):
    _commands(tmp_path, whole, written, monkeypatch, range(4, 150))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="damages need pipes and links")
@pytest.mark.parametrize("command", ["census", "report"])
def test_a_census_and_a_report_of_damaged_stores(tmp_path, monkeypatch, command):
    """The census answers the same again; the report, what is left."""
    folder, sound = tmp_path / "damaged", tmp_path / "sound"
    paper = "arjevani-field-2020-hessian"
    words = {
        "census": ["census", "-k", "2", "--starts", "120", "--json", "--out"],
        "report": ["report", paper, "--json", "--out", tmp_path / "page.html", "--store"],
    }[command]
    if command == "report":
        assert _status(monkeypatch, "run", paper, "--scale", "smoke", "--store", sound)[0] == 0
    status, out, said = _status(monkeypatch, *words, sound)
    assert status == 0, said
    expected = json.loads(out).get("families")
    for path in sound.iterdir():  # figures are written anew, and no part of the store
        if path.is_file() and path.name != MARKER:
            path.unlink()
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for seed in range(25):
        shutil.copytree(sound, folder)
        with contextlib.suppress(OSError, shutil.Error):
            what = _damage(folder, random.Random(seed))
        status, out, said = _status(monkeypatch, *words, folder)
        assert status in (0, 1, 2), (what, said)
        if status == 0:
            assert json.loads(out).get("families") == expected, what
        else:
            assert MARKER in what or what[0] == "n", (what, said)
        shutil.rmtree(folder)


# --- questions, disks and neighbours --------------------------------------------------------


def test_names_and_numbers_that_sql_would_confuse(tmp_path):
    pytest.importorskip("duckdb")
    store = Store(tmp_path / "store")
    values: dict[str, object] = {
        "A": 1.5,
        "a": 2,
        "": 3,
        "\ud800": 4,
        "q\0": 5,
        "'": 6,
        '"': 7,
        "~/": 8,
        "key": 9,
    }
    values |= {"big": 2**9000, "word": "\ud800\0θ", "inside": [float("nan"), {"x": 2**70}]}
    studies = ["records", "census", "census-rows"]
    for study in studies:
        table = {"x": np.arange(3.0), "KEY": np.arange(3)}
        store.write(Record(study, 1, Case({"a": 1, "N": 2}), values, table, {}))
    for study in ("records_", "census", "census_rows"):
        columns, rows = query(store, f"SELECT * FROM {study}")
        row = dict(zip(columns, rows[0], strict=True))
        assert (row["A_"], row["a"], row["answer_a"], row["answer_key"]) == (1.5, 1, 2, 9)
        assert (row["_"], row["'"], row['"'], row["~/"]) == (3, 6, 7, 8)
        assert (row["big"], row["word"]) == (str(2**9000), "??θ")
    for view in ("records_rows", "census_rows_"):
        assert query(store, f"SELECT sum(x) FROM {view}")[1] == [(3.0,)]
    assert query(store, "SELECT count(*) FROM records")[1] == [(len(studies),)]


def test_tables_that_have_no_common_columns_are_left_out_and_named(tmp_path):
    pytest.importorskip("duckdb")
    store = Store(tmp_path / "store")
    store.write(Record("odd", 1, Case({}), {}, {"filename": np.arange(2)}, {}))
    assert query(store, "SELECT count(*) FROM odd")[1] == [(1,)]
    with pytest.raises(ValueError, match=r"tables of odd do not fit together: .*filename"):
        query(store, "SELECT * FROM odd_rows")


@pytest.mark.parametrize("which", ["fsync", "replace"])
def test_a_full_disk_in_the_middle_of_a_merge(tmp_path, whole, monkeypatch, which):
    into = Store(tmp_path / "into")
    real, calls = getattr(os, which), []

    def full(*words):
        calls.append(words)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*words)

    with monkeypatch.context() as patch:
        patch.setattr(os, which, full)
        with pytest.raises(NotKept, match=r"Could not write .*: No space left on device"):
            merge(into, Store(whole))
    assert into.check() == []
    done = sum(len(into.keys(study)) for study in into.studies())
    assert merge(into, Store(whole)) == 12 - done
    assert into.check() == []


def test_a_store_that_cannot_be_mended_is_swept_all_the_same(whole, written, monkeypatch):
    """What is asked for is there; that a line nobody asked for is damaged stays to be said."""
    path = max(p for p in (whole / "bare").glob("batch-*"))
    lost = next(name for (_, name), (_, file) in written.items() if whole / file == path)
    lines = path.read_bytes().split(b"\n")
    at = next(i for i, line in enumerate(lines) if lost.encode() in line)
    lines[at] = lines[at].replace(b"0.333", b"0.334")
    path.write_bytes(b"\n".join(lines))

    def refused(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "rename"):
            patch.setattr(os, name, refused)
        asked = [case for case in ASKED[BARE] if key(BARE, case) != lost]
        assert len(list(sweep(BARE, asked, Store(whole)))) == 8
        with pytest.raises(StoreError, match=r"Could not write .*: Permission denied"):
            list(sweep(BARE, ASKED[BARE], Store(whole)))
    assert [lost in damage.reason for damage in Store(whole).check()] == [True]


MERGER = """
import sys
from lab_studies import BARE, SQUARES, cases
from shallows.lab import Store, merge, sweep
into, other = map(Store, sys.argv[1:])
print("ready", flush=True)
for round in range(3):
    merge(into, other)
    for study in (SQUARES, BARE):
        assert len(list(sweep(study, cases(12), into))) == 12
"""


def test_two_processes_merge_and_sweep_into_one_store(tmp_path, whole, written):
    into = Store(tmp_path / "into").folder
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", MERGER, str(into), str(whole)]
    environment = {**os.environ, "PYTHONPATH": here}
    pair = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    for process in pair:
        process.communicate()
        assert process.returncode == 0
    store = Store(into)
    assert store.check() == []
    assert [len(store.keys(study)) for study in store.studies()] == [12, 12]
    for (study, name), (bits, _) in written.items():
        assert _bits(store.read(study, name)) == bits
