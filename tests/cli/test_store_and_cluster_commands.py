"""The commands `store` and `cluster`, and `--cluster`."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from shallows.cli import main
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
    assert "`store query` takes 1 further argument(s), but was given 0" in err
    status, _, err = run("store", "query", "SELECT 1", "--store", folder / "a-study")
    assert status == 2
    assert "There is no store in" in err


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
    assert status == 2
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
        (["--slurm", "threshold II"], "those that run on a cluster are `census`, `run`"),
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cluster", "local:none"], "positive number of workers, but is 'local:none'"),
        (["--cluster", "local:2", "--workers", "2"], "Leave one of them out."),
        (["--cluster", "nowhere"], "neither the address of a scheduler nor a scheduler file"),
    ],
)
def test_where_a_census_cannot_run_is_misuse(run, tmp_path, words, message):
    status, _, err = run("census", "-k", "2", "--out", tmp_path / "store", *words)
    assert status == 2
    assert message in err
    assert not (tmp_path / "store").exists()


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
