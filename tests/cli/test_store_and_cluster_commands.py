"""The commands `store` and `cluster`, and `--cluster`."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from shallows.cli import main
from shallows.cli.cluster import _takers
from shallows.lab import Case, Record, Store

pytest.importorskip("duckdb")
pytest.importorskip("dask_jobqueue")


def _run(capsys, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["shallows", *map(str, words)])
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, " ".join(captured.err.split())


@pytest.fixture
def run(capsys, monkeypatch):
    return lambda *words: _run(capsys, monkeypatch, *words)


def _record(n, values=None, *, table=True, seconds=0.0):
    loss = math.inf if n == 3 else n / 2
    values = {"loss": loss, "word": "it's", "n": -n, "seconds": seconds, **(values or {})}
    rows = {"x": np.arange(n, dtype=float), "name": np.array(["a"] * n)} if table else None
    return Record("a-study", 1, Case({"n": n, "huge": 2**70}), values, rows, {"seed": n})


@pytest.fixture
def folder(tmp_path):
    store = Store(tmp_path / "store")
    store.write_all([_record(n, table=False) for n in range(1, 4)])
    store.write_all([_record(n) for n in range(4, 7)])
    return store.folder


def test_a_store_answers_questions_in_sql(run, folder):
    sql = "SELECT n, answer_n, loss, word, huge, version FROM a_study ORDER BY n"
    status, out, _ = run("store", "query", sql, "--store", folder, "--json")
    assert status == 0
    document = json.loads(out)
    assert document["columns"] == ["n", "answer_n", "loss", "word", "huge", "version"]
    losses = [0.5, 1.0, "inf", 2.0, 2.5, 3.0]
    expected = [
        [n, -n, loss, "it's", str(2**70), "1"] for n, loss in zip(range(1, 7), losses, strict=True)
    ]
    assert [[*row[:4], str(row[4]), row[5]] for row in document["rows"]] == expected
    # By a second route: the rows of the tables, counted and summed by hand.
    sql = (
        "SELECT s.n, count(*), sum(x), min(name) FROM a_study_rows r JOIN a_study s USING (key) "
        "GROUP BY s.n ORDER BY s.n"
    )
    document = json.loads(run("store", "query", sql, "--store", folder, "--json")[1])
    assert document["rows"] == [[n, n, n * (n - 1) / 2, "a"] for n in range(4, 7)]
    sql = "SELECT count(*), sum(rows), max(provenance->>'seed') FROM records"
    status, out, _ = run("store", "query", sql, "--store", folder)
    assert status == 0
    assert ["6", "15", "6"] in [line.split() for line in out.splitlines()]


def test_what_sql_is_not_is_misuse(run, folder):
    status, out, err = run("store", "query", "SELEC 1", "--store", folder)
    assert (status, out) == (2, "")
    assert "DuckDB refuses the question: Parser Error" in err
    assert "There are the tables a_study, a_study_rows, records." in err
    status, _, err = run("store", "query", "--store", folder)
    assert status == 2
    assert "takes one question and at most one folder, but was given 0 question(s)" in err
    status, _, err = run("store", "query", "SELECT 1", "--store", folder / "a-study")
    assert status == 2
    assert "There is no store in" in err


def test_the_folder_of_a_store_is_an_argument_or_an_option(run, folder, tmp_path):
    """`check` once took it as an option only, and `merge` as arguments only."""
    for words in (["check", folder], ["check", "--store", folder]):
        assert json.loads(run("store", *words, "--json")[1])["studies"] == {"a-study": 6}
    counted = "SELECT count(*) FROM a_study"
    for words in ([counted, folder], [counted, "--store", folder]):
        assert json.loads(run("store", "query", *words, "--json")[1])["rows"] == [[6]]
    for words in (["check", folder, "--store", folder], ["query", counted, folder, folder]):
        status, out, err = run("store", *words)
        assert (status, out) == (2, "")
        assert "at most one folder" in err
        assert "2 folder(s)" in err
    for words in ([folder], [folder, folder, folder], [folder, folder, "--store", folder]):
        status, out, err = run("store", "merge", *words)
        assert (status, out) == (2, "")
        assert "Use `store merge INTO FROM`." in err


def test_a_store_that_is_not_named_is_the_usual_or_the_only_one(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run("store", "check")
    assert status == 2
    assert err.endswith("There is no store in census (no shallows-store.json). Check the path.")

    Store("phases").write(_record(1))
    status, out, err = run("store", "check")
    assert (status, out) == (0, "a-study: 1 records\n")
    assert "store: phases" in err
    status, _, err = run("store", "check", "phase")
    assert (status, err) == (
        2,
        "shallows: There is no store in phase (no shallows-store.json). Check the path. "
        "Stores nearby: phases.",
    )
    status, _, err = run("report", "tian-2017")
    assert status == 2
    assert "no store in papers" in err
    assert "Stores nearby: phases. Or measure first, with `--run smoke`." in err

    Store("papers").write(_record(2))
    status, out, err = run("store", "check")
    assert (status, out) == (2, "")
    assert "here are several: papers, phases. Name one, e.g. `shallows store check papers`" in err

    Store("census").write_all([_record(3), _record(4)])
    status, out, err = run("store", "check")
    assert (status, out) == (0, "a-study: 2 records\n")
    assert "store: census (also here: papers, phases)" in err
    monkeypatch.chdir("census")
    assert run("store", "check")[1] == "a-study: 2 records\n"


@pytest.mark.parametrize("option", ["--store", "--out"])
def test_what_run_keeps_has_the_name_that_report_has_for_it(run, tmp_path, option):
    (tmp_path / "file").touch()
    status, _, err = run("run", "tian-2017", option, tmp_path / "file")
    assert status == 2
    assert f"A store is a folder, and {tmp_path / 'file'} is a file." in err


def test_without_duckdb_the_extra_is_named(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    status, _, err = run("store", "query", "SELECT 1", "--store", folder)
    assert status == 2
    assert "pip install 'shallows[tables]'" in err


def test_every_record_is_checked_and_the_damaged_ones_named(run, folder):
    status, out, err = run("store", "check", "--store", folder, "--json")
    assert status == 0
    assert json.loads(out) == {"studies": {"a-study": 6}, "damaged": []}
    (batch,) = folder.glob("a-study/batch-*.jsonl")
    batch.write_bytes(batch.read_bytes().replace(b'"loss":0.5', b'"loss":0.6'))
    (folder / "a-study" / f"{_record(5).key}.parquet").write_bytes(b"")
    status, out, err = run("store", "check", "--store", folder)
    assert status == 1
    assert "a-study: 6 records" in out
    assert f"{batch}: line 1 ({_record(1).key}): its content does not match its checksum" in err
    assert f"{_record(5).key}.parquet does not match its checksum" in err
    assert "2 damaged in" in err
    status, _, err = run("store", "query", "SELECT 1", "--store", folder)
    assert status == 1
    assert "Damaged record" in err


def test_stores_are_merged_once_and_conflicts_refused(run, folder, tmp_path):
    other = Store(tmp_path / "other")
    other.write_all([_record(n, table=False, seconds=9.0) for n in range(2, 4)])  # agree
    other.write_all([_record(7), _record(8)])
    status, out, _ = run("store", "merge", folder, other.folder, "--json")
    assert (status, json.loads(out)) == (0, {"added": 2, "records": 4})
    status, out, _ = run("store", "merge", folder, other.folder)
    assert (status, out) == (0, f"0 records added to {folder}; 4 were there.\n")
    assert len(Store(folder).keys("a-study")) == 8
    assert Store(folder).check() == []

    other.write(_record(4, {"loss": 2.0000000000000004}))
    other.write(_record(9))
    status, _, err = run("store", "merge", folder, other.folder)
    assert status == 2
    assert f"1 records of {other.folder} answer otherwise" in err
    assert f"a-study/{_record(4).key}" in err
    assert len(Store(folder).keys("a-study")) == 8
    status, _, err = run("store", "merge", folder, folder)
    assert status == 2
    assert "cannot be merged into itself" in err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_store_that_is_read_only_is_checked_and_not_merged_into(run, folder, tmp_path):
    other = Store(tmp_path / "other")
    other.write(_record(7))
    (folder / "a-study").chmod(0o500)
    try:
        assert run("store", "check", "--store", folder)[0] == 0
        status, _, err = run("store", "merge", folder, other.folder)
    finally:
        (folder / "a-study").chmod(0o700)
    assert status == 1
    assert "Could not write" in err


def _job(run, tmp_path, *words):
    path = tmp_path / "a.job"
    status, out, err = run("cluster", *words, "--out", path, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["file"] == str(path)
    text = path.read_text()
    subprocess.run(["bash", "-n", str(path)], check=True)  # it is a script
    return document, text


def test_a_slurm_job_file_holds_scheduler_workers_and_command(run, tmp_path):
    options = ["--workers", "8", "--time", "12:00:00", "--queue", "long", "--account", "maths"]
    words = ["--slurm", *options, "census -k 3 --teacher 'a b.npz'"]
    document, text = _job(run, tmp_path, *words)
    assert document["submit"].startswith("sbatch ")
    lines = text.splitlines()
    assert lines[0].startswith("#!")
    header = {line for line in lines if line.startswith("#SBATCH")}
    assert header == {
        f"#SBATCH {line}"
        for line in (
            "-J shallows",
            "-p long",
            "-A maths",
            "-t 12:00:00",
            "--cpus-per-task=1",
            "--ntasks=8",
            "--mem-per-cpu=2G",
        )
    }
    assert "srun --ntasks=8" in text
    assert "export OMP_NUM_THREADS=1" in lines
    assert "export JAX_ENABLE_X64=1" in lines
    assert lines[-1].endswith("""-m shallows census -k 3 --teacher 'a b.npz' --cluster "$file\"""")


def test_a_pbs_job_file(run, tmp_path):
    document, text = _job(run, tmp_path, "--pbs", "--workers", "4", "run tian-2017")
    assert document["submit"].startswith("qsub ")
    assert "#PBS -l select=4:ncpus=1:mem=2gb" in text
    assert "#PBS -l walltime=04:00:00" in text
    assert "pbsdsh" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["census -k 3"], "Give either `--slurm` or `--pbs`."),
        (["--slurm", "--pbs", "census"], "Give either `--slurm` or `--pbs`."),
        (["--slurm", "threshold II"], "those that run on a cluster are `atlas`, `basin`, `census`"),
        (["--slurm", "census --workers 2"], "Leave out `--cluster` and `--workers`."),
        (["--slurm", "--workers", "0", "census"], "at least one worker, not 0"),
        (["--slurm", "--memory", "2 gigs", "census"], "whole number of MB or GB, but is '2 gigs'"),
        (["--pbs", "--time", "4h", "census"], "hours, minutes and seconds, but is '4h'"),
        (["--pbs", "--queue", "a; b", "census"], "The name of the queue is one word"),
    ],
)
def test_what_is_no_job_is_misuse(run, tmp_path, words, message):
    status, out, err = run("cluster", *words, "--out", tmp_path / "a.job")
    assert (status, out) == (2, "")
    assert message in err
    assert not (tmp_path / "a.job").exists()


# What each command that sweeps is asked here; what it writes goes to `made`.
_MADE, _PAGE = ("--out", "made"), ("--out", "page.html")
ASKED = {
    "atlas": ["--scale", "smoke", *_MADE],
    "basin": ["II", "-k", "6", "--radii", "0.1:0.2:2", "--starts", "60", *_MADE],
    "census": ["-k", "2", "--starts", "110", "--optimiser", "gd", *_MADE],
    "phases": ["points.csv", "--scales", "1,20", "--exponents", "1", "--width", "20", *_MADE],
    "report": ["arjevani-field-2020-hessian", "--run", "smoke", "--store", "made", *_PAGE],
    "run": ["arjevani-field-2020-hessian", "--store", "made"],
    "theorem": ["spurious", "--from", "6", "--to", "9", "--out", "made.json"],
}


@pytest.fixture
def points(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points.csv").write_text("x,y\n0,0\n1,1\n2,0\n3,1\n")


def test_every_command_that_takes_a_cluster_is_asked_here():
    assert list(ASKED) == _takers()


@pytest.mark.parametrize("command", ASKED)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cluster", "local:none"], "positive number of workers, but is 'local:none'"),
        (["--cluster", "local:2", "--workers", "2"], "Leave one of them out."),
        (["--cluster", "nowhere"], "neither the address of a scheduler nor a scheduler file"),
        (["--workers", "0"], "`workers` must be a positive integer"),
    ],
)
def test_where_nothing_can_run_is_misuse(run, points, tmp_path, command, words, message):
    status, out, err = run(command, *ASKED[command], *words)
    assert (status, out) == (2, "")
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["points.csv"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["theorem", "spurious", "--real", "--cluster", "local:2"], "`--cluster local:2` has no"),
        (["theorem", "spurious", "--to", "infinity", "--workers", "2"], "`--workers 2` has no use"),
        (["report", "--cluster", "local:2"], "`--cluster local:2` measures, and a report only"),
    ],
)
def test_a_cluster_that_would_not_be_used_is_refused(run, points, words, message):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert message in err


def _same(document):
    """What must not depend on where it was computed."""
    if isinstance(document, list):
        return [_same(entry) for entry in document]
    if not isinstance(document, dict):
        return document
    where = {"provenance", "seconds", "written", "page", "bytes"}
    return {name: _same(entry) for name, entry in document.items() if name not in where}


@pytest.mark.slow
@pytest.mark.parametrize("command", ASKED)
def test_answers_are_the_same_on_a_cluster(run, points, tmp_path, monkeypatch, command):
    documents = []
    # Workers have one thread each; in this process XLA has several, and sums in another order.
    for number, place in enumerate((["--workers", "2"], ["--cluster", "local:2"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "points.csv").write_bytes((tmp_path / "points.csv").read_bytes())
        monkeypatch.chdir(folder)
        status, out, err = run(command, *ASKED[command], *place, "--json")
        assert status == 0, err
        documents.append(_same(json.loads(out)))
    assert documents[0] == documents[1]
    marks = sorted(tmp_path.glob("[01]/*/shallows-store.json"))
    stores = [Store.existing(mark.parent) for mark in marks]
    kept = [{name: one.keys(name) for name in one.studies()} for one in stores]
    assert len(kept) == 2
    assert kept[0] == kept[1]


@pytest.mark.slow
def test_a_census_is_the_same_on_one_worker_two_and_a_cluster(run, tmp_path):
    documents = []
    places = [[], ["--workers", "2"], ["--cluster", "local:2"]]
    for number, place in enumerate(places):
        words = ["-k", "3", "--starts", "220", "--optimiser", "gd", "--seed", "5", *place]
        status, out, err = run("census", *words, "--out", tmp_path / str(number), "--json")
        assert status == 0, err
        documents.append(json.loads(out))
    for document in documents:
        for changing in ("provenance", "seconds"):
            del document[changing]
    assert documents[0] == documents[1] == documents[2]
    assert len(Store(tmp_path / "2").keys("census")) == 3
