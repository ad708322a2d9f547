"""The census command where things go wrong: junk, damage, and the death of the process."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from unittest import mock

import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest

import shallows
from shallows import cli
from shallows.cli.door import sizes_in
from shallows.lab import Store, SweepError
from shallows.lab.store import MARKER

MACHINE = [sys.executable, "-m", "shallows"]


def _run(*words):
    """Status, stdout and stderr of `shallows WORDS`."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["shallows", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        cli.main()
    return end.value.code or 0, out.getvalue(), err.getvalue()


def _asked(*words, answer=None):
    """The same up to the point where starts would be trained; that ends with `answer`, or well."""
    with mock.patch.object(shallows, "census", side_effect=answer or SystemExit(0)) as taken:
        return *_run(*words), taken


def _is_misuse(status, out, err):
    """Status 2, nothing on stdout and one line of ours on stderr, or the usage error of Typer."""
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    if "Usage:" not in err:
        assert re.fullmatch(r"(k = [^\n]*\n)?shallows: [^\n]+\n", err)  # perhaps after a bar
        assert err.endswith(".\n")
    return err


# What is asked


def test_help_shows_every_option_and_an_example():
    status, out, _ = _run("census", "--help")
    assert status == 0
    options = (
        "-k --inputs -d --neurons --starts --seed --optimiser --step --init --trained --teacher "
        "--law --out --workers --json"
    )
    for option in options.split():
        assert f"{option} " in out, option
    assert "Example: shallows census -k 10 --starts 1000 --optimiser gd --out census" in out
    status, out, _ = _run("--help")
    assert status == 0
    assert "census" in out
    status, out, _ = _run("--version")
    assert (status, out) == (0, f"shallows {shallows.__version__}\n")


def test_importing_the_package_imports_no_numerics():
    code = (
        "import sys, shallows; shallows.__version__; dir(shallows)\n"
        "print([m for m in ('jax', 'numpy', 'scipy', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_options_reach_the_census(tmp_path):
    words = "census -k 4 --neurons 5 --starts 7 --seed -2 --optimiser sgd --step 0.2 --init 0.3"
    status, _, _, taken = _asked(*words.split(), "--trained", "all", "--out", tmp_path)
    assert status == 0
    (loss, starts, method), options = taken.call_args
    assert (loss.teacher.neurons, loss.law.inputs, starts) == (4, 4, 7)
    assert type(loss.trained).__name__ == "AllWeights"
    assert (type(method).__name__, method.step) == ("StochasticDescent", 0.2)
    assert (options["neurons"], options["init"], options["seed"]) == (5, 0.3, -2)
    assert options["store"].folder == tmp_path


def test_dropout_is_a_probability_and_reaches_the_loss(tmp_path):
    *_, taken = _asked("census", "-k", 2, "--dropout", 0.8, "--out", tmp_path / "c")
    assert taken.call_args.args[0].dropout.retain == 0.8
    for wrong in (0, -0.5, 1.2, "nan"):
        err = _is_misuse(*_run("census", "-k", 2, "--dropout", wrong, "--out", tmp_path / "d"))
        assert "a probability in (0, 1]" in err
    assert not (tmp_path / "d").exists()
    err = _is_misuse(*_run("census", "--depth", 2, "--dropout", 0.8, "--out", tmp_path / "d"))
    assert "--dropout was given" in err


def test_the_default_is_the_flow_at_ten(tmp_path):
    _, _, _, taken = _asked("census", "--out", tmp_path)
    (loss, starts, method), options = taken.call_args
    assert (loss.teacher.neurons, starts, type(method).__name__) == (10, 1000, "GradientFlow")
    assert (options["init"], options["seed"]) == (None, 0)
    _, _, _, taken = _asked("census", "-d", "7", "-k", "5", "--law", "sphere", "--out", tmp_path)
    (loss, *_), _ = taken.call_args
    assert (loss.teacher.neurons, loss.law.inputs) == (5, 7)
    assert type(loss.law).__name__ == "Rotational"


def test_a_data_set_is_descended_unless_told_otherwise(tmp_path):
    data = _npz(tmp_path / "x.npz", inputs=np.random.default_rng(0).normal(size=(9, 3)))
    words = ["census", "--law", data, "--out", tmp_path / "o"]
    asked = {
        (): ("GradientDescent", None),
        ("--step", "0.25"): ("GradientDescent", 0.25),
        ("--optimiser", "sgd"): ("StochasticDescent", None),
    }
    for more, expected in asked.items():
        _, _, _, taken = _asked(*words, *more)
        (_, _, method), _ = taken.call_args
        assert (type(method).__name__, method.step) == expected
    _, _, _, taken = _asked(*words, "--optimiser", "flow")
    assert type(taken.call_args[0][2]).__name__ == "GradientFlow"
    err = _is_misuse(*_run(*words, "--optimiser", "flow", "--step", "0.25"))
    assert "The gradient flow has no step" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--starts 1000000000000",
            "`starts` may be at most 10_000_000, but is 1000000000000. Ask for fewer.",
        ),
        (
            "-k 6:100000000",
            "`-k` may ask for at most 1000 sizes of at most 10000 neurons, but is '6:100000000'. "
            "Ask for fewer, e.g. with a step: `-k 10:100:10`.",
        ),
        ("-k 6:1100", "but is '6:1100'. Ask for fewer, e.g. with a step: `-k 10:100:10`."),
        ("-k 99999", "but is '99999'. Ask for fewer"),
    ],
)
def test_what_no_memory_holds_is_misuse(tmp_path, words, message):
    """As lists these took gigabytes, and minutes, before anything was said."""
    began = time.monotonic()
    assert message in _is_misuse(*_run("census", *words.split(), "--out", tmp_path / "o"))
    assert time.monotonic() - began < 30
    assert not (tmp_path / "o").exists()


def test_the_problems_of_a_range_are_made_one_after_the_other(tmp_path):
    with (
        mock.patch.object(cli.census, "problem", side_effect=ZeroDivisionError) as made,
        pytest.raises(ZeroDivisionError),
    ):
        _run("census", "-k", "6:900", "--out", tmp_path / "o")
    assert made.call_count == 1


def test_a_range_has_both_ends_and_may_have_a_step():
    assert sizes_in("6", 10, 10) == [6]
    assert sizes_in("6:8", 10, 10) == [6, 7, 8]
    assert sizes_in("6:6", 10, 10) == [6]
    assert sizes_in("3:10:3", 10, 10) == [3, 6, 9]


# Files


def _npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_teachers_and_laws_come_from_files(tmp_path):
    rows, heads = np.array([[1, 2], [3, 5]]), np.array([1, -1])
    teacher = _npz(tmp_path / "t.npz", inner=rows, outer=heads)
    data = _npz(tmp_path / "x.npz", inputs=np.ones((3, 2)), weights=np.array([1, 1, 2]))
    out = tmp_path / "o"
    status, _, err, taken = _asked("census", "--teacher", teacher, "--law", data, "--out", out)
    assert status == 0, err
    (loss, *_), options = taken.call_args
    assert np.array_equal(loss.teacher.inner, rows)
    assert np.array_equal(loss.teacher.outer, heads)
    assert loss.law.size == 3
    assert options["neurons"] == 2
    root = _npz(tmp_path / "c.npz", covariance=np.diag([1.0, 4.0]))
    _, _, _, taken = _asked("census", "--teacher", teacher, "--law", root, "--out", out)
    (loss, *_), _ = taken.call_args
    np.testing.assert_allclose(loss.law.root, np.diag([1.0, 2.0]), atol=1e-15)


@pytest.mark.parametrize(
    ("role", "arrays", "message"),
    [
        ("teacher", {"inner": np.array([["a", "b"], ["c", "d"]])}, "must be an array of real"),
        ("teacher", {"inner": np.eye(3) * 1j}, "complex128 numbers"),
        ("teacher", {"inner": np.array([[1, None]])}, "Object arrays cannot be loaded"),
        ("teacher", {"inner": np.ones((2, 3, 3))}, "A loss has one teacher"),
        ("teacher", {"inner": np.ones(3)}, "`inner` must be a matrix"),
        ("teacher", {"inner": np.float64(1)}, "`inner` must be a matrix"),
        ("teacher", {"inner": np.ones((0, 3))}, "`inner` must be a matrix"),
        ("teacher", {"inner": np.eye(2), "extra": np.eye(2)}, "Rename its arrays"),
        ("law", {"inputs": np.full((3, 2), np.inf)}, "`points` must be finite"),
        ("law", {"inputs": np.ones((3, 2)), "weights": -np.ones(3)}, "minimum -1"),
        ("law", {"inputs": np.ones((3, 2)), "weights": np.ones(2)}, "have shape (2,)"),
        ("law", {"inputs": np.eye(2), "covariance": np.eye(2)}, "must hold one of `inputs`"),
        ("law", {"covariance": np.eye(2), "weights": np.ones(2)}, "belong to the points"),
        ("law", {"covariance": np.array([[1.0, 2], [0, 1]])}, "must be symmetric"),
    ],
)
def test_arrays_that_make_no_sense_are_misuse(tmp_path, role, arrays, message):
    path = _npz(tmp_path / "f.npz", **arrays)
    err = _is_misuse(*_run("census", f"--{role}", path, "--out", tmp_path / "o"))
    assert message in err
    assert not (tmp_path / "o").exists()


def test_files_that_contradict_the_options_are_misuse(tmp_path):
    teacher = _npz(tmp_path / "t.npz", inner=np.eye(3))
    data = _npz(tmp_path / "x.npz", inputs=np.ones((5, 2)))
    out = ("--out", tmp_path / "o")
    err = _is_misuse(*_run("census", "--teacher", teacher, "-k", 4, *out))
    assert "which has 3 neurons. Leave -k out; for a wider student use `--neurons`." in err
    err = _is_misuse(*_run("census", "--teacher", teacher, "-d", 4, *out))
    assert "which has 3 inputs. Leave it out." in err
    err = _is_misuse(*_run("census", "--teacher", teacher, "--law", data, *out))
    assert "Teacher and law live in different spaces" in err
    err = _is_misuse(*_run("census", "-k", 3, "--law", data, *out))
    assert "There are no 3 orthonormal neurons in 2 dimensions" in err
    assert "`-k 2 --neurons 3`" in err
    err = _is_misuse(*_run("census", "-k", "3:4", "--teacher", teacher, *out))
    assert "A range of sizes" in err


def test_a_bare_array_is_not_an_archive(tmp_path):
    np.save(tmp_path / "f.npy", np.eye(3))
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "empty.npz").touch()
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000, 100000), }"
    with zipfile.ZipFile(tmp_path / "endless.npz", "w") as file:
        text = header.ljust(117) + b"\n"
        file.writestr("inner.npy", b"\x93NUMPY\x01\x00" + bytes([len(text), 0]) + text)
    for name in ("f.npy", "folder.npz", "empty.npz", "endless.npz"):
        for role in ("--teacher", "--law"):
            err = _is_misuse(*_run("census", role, tmp_path / name, "--out", tmp_path / "o"))
            assert "cannot be read as an npz file of numbers" in err
            assert err.endswith("Write it with `numpy.savez`.\n")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "f.npz"
    np.savez_compressed(path, inner=np.random.default_rng(0).normal(size=(3, 3)))
    return path


@hp.given(st.data())
def test_a_damaged_archive_is_misuse_or_read_as_it_was(archive, data):
    content = bytearray(archive.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[where] ^= data.draw(st.integers(1, 255))
    else:
        content = content[:where]
    damaged = archive.with_name("damaged.npz")
    damaged.write_bytes(content)
    out = archive.with_name("o")
    status, printed, err, taken = _asked("census", "--teacher", damaged, "--out", out)
    if status == 0:  # archives have bytes that nobody reads
        (loss, *_), _ = taken.call_args
        assert np.array_equal(loss.teacher.inner, np.load(archive)["inner"])
    else:
        assert "npz file" in _is_misuse(status, printed, err)


# Junk


# With few digits: a size of 99999999 would rightly be tried.
JUNK = st.text(max_size=6).filter(
    lambda text: "\0" not in text and sum(map(str.isdigit, text)) <= 2
)
OPTIONS = (
    "-k -d --inputs --neurons --starts --seed --optimiser --step --init --trained --teacher --law "
    "--workers --junk"
)


@hp.settings(max_examples=150)
@hp.given(st.lists(st.tuples(st.sampled_from(OPTIONS.split()), JUNK), min_size=1, max_size=3))
def test_junk_never_ends_in_a_traceback(tmp_path_factory, pairs):
    out = tmp_path_factory.getbasetemp() / "junk"
    words = [word for pair in pairs for word in pair]
    status, printed, err, taken = _asked("census", *words, "--out", out)
    if status == 0:
        assert taken.called or "Usage:" in printed  # `--help` is no junk
    else:
        assert not taken.called
        _is_misuse(status, printed, err)


@pytest.mark.parametrize(
    "words",
    [
        "-k 3:4:0",
        "-k 1:2:3:4",
        "-k 3.0",
        "-k 3 --neurons -2",
        "-k 3 --init inf",
        "-k 3 --init -0.5",
        "-k 3 --optimiser sgd --step inf",
        "-k 3 --starts -1",
        "-k 3 --workers -1",
        "-k 3 -d -1",
        "-k 3 --seed 1.5",
        "-k 3 --seed 99999999999999999999",
        "-k 3 --trained heads",
        "-k 3 --law nowhere.npz",
        "-k 3 -k",
        "-k 3 4",
    ],
)
def test_misuse_leaves_nothing_behind(tmp_path, words):
    _is_misuse(*_run("census", *words.split(), "--out", tmp_path / "o"))
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    # A seed is looked at by the library, which has a store by then.
    assert left == ([MARKER] if "--seed 9" in words else [])


def test_an_empty_size_is_misuse(tmp_path):
    assert "but is ''" in _is_misuse(*_run("census", "-k", "", "--out", tmp_path / "o"))


# Stores


def test_a_store_is_a_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    err = _is_misuse(*_run("census", "-k", 3, "--out", tmp_path / "file"))
    assert "A store is a folder" in err
    err = _is_misuse(*_run("census", "-k", 3, "--out", tmp_path / "file" / "below"))
    assert "cannot be used as a store" in err
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "marker", ["", "{", "[]", '{"format": "diary", "schema": 1}', '{"format":"shallows-store"}']
)
def test_a_damaged_marker_is_misuse(tmp_path, marker):
    Store(tmp_path)
    (tmp_path / MARKER).write_text(marker)
    err = _is_misuse(*_run("census", "-k", 3, "--out", tmp_path))
    assert MARKER in err
    assert (tmp_path / MARKER).read_text() == marker


def test_a_store_of_a_later_version_is_left_alone(tmp_path):
    Store(tmp_path)
    marker = json.loads((tmp_path / MARKER).read_text())
    (tmp_path / MARKER).write_text(json.dumps(marker | {"schema": 99}))
    err = _is_misuse(*_run("census", "-k", 3, "--out", tmp_path))
    assert "99" in err
    assert [path.name for path in tmp_path.iterdir()] == [MARKER]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SweepError("A worker was killed twice."), "A worker was killed twice."),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "f"), "No space left on device (f)"),
        (MemoryError("80 GB"), "Memory ran out: 80 GB."),
    ],
)
def test_what_is_not_the_users_fault_is_status_1(tmp_path, error, message):
    status, out, err, _ = _asked("census", "-k", 3, "--out", tmp_path, answer=error)
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("shallows: ")
    assert message in err
    assert "Traceback" not in err


def _raises(code):
    def full(*_):
        raise OSError(code, os.strerror(code))

    return full


@pytest.mark.parametrize("which", ["fsync", "replace"])
def test_a_disk_that_is_full_is_status_1(tmp_path, monkeypatch, which):
    """A store's own error is a kind of `ValueError`, and was once taken for misuse."""
    words = ["census", "-k", 2, "--starts", 2, "--optimiser", "gd", "--out", tmp_path / "o"]
    with monkeypatch.context() as patch:
        patch.setattr(os, which, _raises(errno.ENOSPC))
        status, out, err = _run(*words)
    assert (status, out) == (1, "")
    assert "cannot be used as a store: No space left on device. Nothing was half-written" in err
    Store(tmp_path / "o")
    with monkeypatch.context() as patch:
        patch.setattr(os, which, _raises(errno.ENOSPC))
        status, out, err = _run(*words)
    assert (status, out) == (1, "")
    assert "Traceback" not in err
    assert re.search(
        r"shallows: Could not write \S+\.json: No space left on device\. Nothing was half-written; "
        r"make room or check permissions, and run again\.\n$",
        err,
    )
    assert Store(tmp_path / "o").keys("census") == []


# Answers


@pytest.mark.slow
def test_a_range_prints_one_document_and_a_page_for_each_size(tmp_path):
    words = ["census", "-k", "3:4", "--starts", 3, "--optimiser", "gd", "--out", tmp_path]
    status, out, err = _run(*words, "--json")
    assert status == 0, err
    assert out.count("\n") == 1
    document = json.loads(out)
    assert list(document) == ["sizes"]
    keys = {"neurons", "inputs", "starts", "settled", "seconds", "families", "optimiser", "seed"}
    assert all(keys <= set(size) for size in document["sizes"])
    for name in ("report.html", "k003.html", "k004.html", "atlas.png", "atlas.pdf", MARKER):
        assert (tmp_path / name).stat().st_size > 0
    status, table, err = _run(*words)
    assert status == 0
    assert "global" in table
    assert "report.html" in err
    assert "report.html" not in table


def test_floats_are_printed_so_that_they_round_trip(tmp_path):
    words = ["census", "-k", 3, "--starts", 3, "--optimiser", "gd", "--out", tmp_path, "--json"]
    _, out, _ = _run(*words)
    (family,) = json.loads(out)["families"]
    weights = np.array(family["weights"])
    store = Store(tmp_path)
    (record,) = store.records("census")
    assert record.table is not None
    ends = record.table["inner"].reshape(-1, 3, 3)
    # The representative is one of the ends, relabelled, to the last bit.
    assert any(np.array_equal(np.sort(end.ravel()), np.sort(weights.ravel())) for end in ends)


# The death of the process


def _until_records(process, folder, number):
    """Wait until that many blocks are in the store."""
    deadline = time.monotonic() + 300
    while len(list((folder / "census").glob("[0-9a-f]*.json"))) < number:
        assert process.poll() is None, "It ended before it could be killed."
        assert time.monotonic() < deadline
        time.sleep(0.002)


def _ended(words, folder, number, end):
    """What is left of a census that was ended after so many blocks: status, stdout, stderr."""
    with subprocess.Popen(
        [*MACHINE, *words, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        _until_records(process, folder, number)
        process.send_signal(end)
        out, err = process.communicate(timeout=100)
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


WORDS = "-k 6 --starts 600 --optimiser gd --seed 11 --json --out"


@pytest.mark.slow
def test_a_killed_census_goes_on_where_it_stopped(tmp_path):
    words, folder = ["census", *WORDS.split()], tmp_path / "killed"
    status, _ = _ended(words, folder, 2, signal.SIGKILL)
    assert status == -signal.SIGKILL
    blocks = len(Store(folder).keys("census"))
    assert 2 <= blocks < 6
    status, out, _ = _run(*words, folder)
    finished = json.loads(out)
    assert status == 0
    assert finished["provenance"]["blocks_reused"] == blocks
    assert finished["provenance"]["damaged_recomputed"] == 0
    assert Store(folder).check() == []
    _, out, _ = _run(*words, tmp_path / "at once")
    at_once = json.loads(out)
    for document in (finished, at_once):  # what may differ
        del document["seconds"], document["provenance"]
    assert finished == at_once
    assert [family["name"] for family in finished["families"]][:2] == ["global", "II"]


@pytest.mark.slow
def test_an_interrupted_census_says_what_is_kept(tmp_path):
    status, err = _ended(["census", *WORDS.split()], tmp_path, 1, signal.SIGINT)
    assert status == 130
    assert err.endswith(
        "shallows: Interrupted. Finished blocks are kept; the same command goes on.\n"
    )
    assert 1 <= len(Store(tmp_path).keys("census")) < 6
    assert Store(tmp_path).check() == []


@pytest.mark.slow
def test_two_workers_answer_like_one(tmp_path):
    words = ["census", "-k", "4", "--starts", "150", "--optimiser", "gd", "--json", "--out"]
    _, one, _ = _run(*words, tmp_path / "one")
    done = subprocess.run(
        [*MACHINE, *words, tmp_path / "two", "--workers", "2"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (mine,), (theirs,) = (json.loads(text)["families"] for text in (one, done.stdout))
    assert mine["count"] == theirs["count"] == 150
    assert mine["smallest_eigenvalue"] == pytest.approx(theirs["smallest_eigenvalue"], abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["flow", "sgd"])
def test_every_optimiser_answers(tmp_path, optimiser):
    words = ["census", "-k", 3, "--starts", 3, "--optimiser", optimiser, "--out", tmp_path]
    status, out, err = _run(*words, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert (document["optimiser"], document["settled"]) == (optimiser, 3)


# Biases and laws by name


def test_biases_are_the_weights_of_a_constant_input(tmp_path):
    path = tmp_path / "teacher.npz"
    np.savez(path, inner=np.eye(2), bias=[0.5, -0.5])
    _, _, _, taken = _asked("census", "--teacher", path, "--bias", "--out", tmp_path / "out")
    loss = taken.call_args.args[0]
    np.testing.assert_array_equal(loss.teacher.inner, [[1, 0, 0.5], [0, 1, -0.5]])
    np.testing.assert_array_equal(loss.law.moment(), np.eye(3))
    assert _asked("census", "-k", "3", "--bias", "--out", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--law", "sphere", "--bias"), "Under a Rotational law neurons with biases have no"),
        (("--law", "signs"), "The law 'signs' needs the standard deviation of its noise"),
        (("--law", "signs:2"), "`noise` must lie above 0 and be at most 1"),
        (("--law", "signs:0.5", "-k", "30"), "Use at most 10 inputs"),
        (("--activation", "erf", "--bias"), "closed forms for piecewise linear activations"),
        (("--law", "cauchy"), "sphere, ball, uniform, laplace, student:5, signs:0.5;"),
        (("--bias", "--certify"), "standard Gaussian inputs"),
    ],
)
def test_what_has_no_closed_form_is_refused_with_the_reason(words, text, tmp_path):
    assert text in _is_misuse(*_run("census", "-k", "3", *words, "--out", tmp_path / "out"))


def test_biases_of_a_teacher_are_not_dropped(tmp_path):
    path = tmp_path / "teacher.npz"
    np.savez(path, inner=np.eye(2), bias=[0.5, -0.5])
    err = _is_misuse(*_run("census", "--teacher", path, "--out", tmp_path / "out"))
    assert "Add `--bias`, or leave them out of the file" in err


@pytest.mark.slow
def test_a_census_with_biases_finds_the_teacher(tmp_path):
    status, out, _ = _run(
        "census", "-k", "3", "--bias", "--starts", "5", "--json", "--out", tmp_path / "out"
    )
    found = json.loads(out)
    assert status == 0
    assert (found["inputs"], found["law"]) == (4, "Gaussian with a mean, one input constant")
    assert [family["name"] for family in found["families"]] == ["global"]
