"""The command line: answers, exit statuses and messages."""

import json
import subprocess
import sys

import numpy as np
import pytest

from shallows import cli


def _run(monkeypatch, capsys, *words):
    """Status, stdout and stderr of `shallows WORDS`."""
    monkeypatch.setattr(sys, "argv", ["shallows", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


def test_a_census_prints_one_json_document_and_writes_its_files(monkeypatch, capsys, tmp_path):
    words = ["census", "-k", 4, "--starts", 6, "--optimiser", "gd", "--out", tmp_path / "c"]
    status, out, err = _run(monkeypatch, capsys, *words, "--json")
    assert status == 0, err
    document = json.loads(out)
    assert "Traceback" not in err
    assert document["starts"] == document["settled"] == 6
    assert document["seconds"] > 0
    (family,) = document["families"]
    wanted = {"name", "isotropy", "flipped", "count", "loss", "smallest_eigenvalue", "kind"}
    assert wanted | {"gradient_norm"} <= set(family)
    assert (family["name"], family["isotropy"], family["kind"]) == ("global", "ΔS4", "minimum")
    assert family["gradient_norm"] <= 1e-12
    for name in ("report.html", "census.png", "census.pdf", "shallows-store.json"):
        assert (tmp_path / "c" / name).stat().st_size > 0
    # The same command answers from the store, and more starts reuse what is there.
    status, again, _ = _run(monkeypatch, capsys, *words, "--json")
    assert json.loads(again)["provenance"]["blocks_reused"] == 1
    assert json.loads(again)["families"] == document["families"]


def test_a_range_of_sizes_gives_a_list_of_censuses(monkeypatch, capsys, tmp_path):
    words = ["census", "-k", "2:3", "--starts", 3, "--optimiser", "gd", "--out", tmp_path, "--json"]
    status, out, _ = _run(monkeypatch, capsys, *words)
    assert status == 0
    assert [size["neurons"] for size in json.loads(out)["sizes"]] == [2, 3]


BAD = [
    (["-k", "0"], "`-k` must be a positive integer or a range of them, but is '0'"),
    (["-k", "-3"], "`-k` must be a positive integer or a range of them, but is '-3'"),
    (["-k", "x"], "`-k` must be a positive integer or a range of them, but is 'x'"),
    (["-k", "6:3"], "`-k` must be a positive integer or a range of them, but is '6:3'"),
    (["-k", "5", "-d", "3"], "There are no 5 orthonormal neurons in 3 dimensions"),
    (["-k", "3", "-d", "0"], "`inputs` must be a positive integer, but is 0"),
    (["-k", "3", "--neurons", "0"], "must be a positive integer, but is 0"),
    (["-k", "3", "--starts", "0"], "`starts` must be a positive integer, but is 0"),
    (["-k", "3", "--starts", "many"], "unable to parse string as an integer"),
    (["-k", "3", "--workers", "0"], "`workers` must be a positive integer, but is 0"),
    (["-k", "3", "--step", "0.1"], "The gradient flow has no step"),
    (["-k", "3", "--optimiser", "gd", "--step", "-1"], "`step` must be a positive number"),
    (["-k", "3", "--optimiser", "gd", "--step", "nan"], "`step` must be a positive number"),
    (["-k", "3", "--init", "0"], "`init` must be a positive number"),
    (["-k", "3", "--optimiser", "adam"], "'adam' is not one of"),
    (["-k", "3:4", "-d", "5"], "A range of sizes"),
    (["-k", "3", "--teacher", "nowhere.npz"], "There is no file 'nowhere.npz' for the teacher"),
    (["-k", "3", "--bogus"], "No such option"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(w) for w, _ in BAD])
def test_misuse_ends_with_status_2_and_a_message(monkeypatch, capsys, tmp_path, words, message):
    status, out, err = _run(monkeypatch, capsys, "census", *words, "--out", tmp_path / "new")
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert message in " ".join(err.replace("│", " ").split())
    assert not (tmp_path / "new" / "census").exists()


def _npz(tmp_path, **arrays):
    np.savez(tmp_path / "file.npz", **arrays)
    return tmp_path / "file.npz"


@pytest.mark.parametrize(
    ("option", "arrays", "message"),
    [
        ("--teacher", {"inner": np.full((2, 2), np.nan)}, "`inner` must be finite"),
        ("--teacher", {"weights": np.eye(2)}, "holds ['weights'], but a teacher file needs"),
        ("--teacher", {"inner": np.eye(2), "outer": np.ones(3)}, "`outer` needs a number for each"),
        ("--law", {"inputs": np.ones((0, 2))}, "`points` must be a matrix"),
        ("--law", {"covariance": -np.eye(2)}, "must be positive semidefinite"),
        ("--law", {"weights": np.ones(2)}, "must hold one of `inputs`"),
    ],
)
def test_files_that_make_no_sense_are_named(monkeypatch, capsys, tmp_path, option, arrays, message):
    words = ["census", "--starts", 2, option, _npz(tmp_path, **arrays), "--out", tmp_path / "o"]
    status, _, err = _run(monkeypatch, capsys, *words)
    assert (status, "Traceback" in err) == (2, False)
    assert message in err


def test_a_file_that_is_no_archive_is_named(monkeypatch, capsys, tmp_path):
    (tmp_path / "file.npz").write_bytes(b"junk")
    words = ["census", "--law", tmp_path / "file.npz", "--out", tmp_path / "o"]
    status, _, err = _run(monkeypatch, capsys, *words)
    assert (status, "Traceback" in err) == (2, False)
    assert "cannot be read as an npz file of numbers" in err


def test_a_folder_that_is_not_ours_is_left_alone(monkeypatch, capsys, tmp_path):
    (tmp_path / "precious").write_text("data")
    words = ["census", "-k", 3, "--starts", 2, "--out", tmp_path]
    status, _, err = _run(monkeypatch, capsys, *words)
    assert status == 2
    assert "is not empty and not a store" in err
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_a_damaged_record_is_named_and_recomputed(monkeypatch, capsys, tmp_path):
    words = ["census", "-k", 3, "--starts", 4, "--optimiser", "gd", "--out", tmp_path, "--json"]
    _, before, _ = _run(monkeypatch, capsys, *words)
    (record,) = (tmp_path / "census").glob("*.json")
    record.write_text(record.read_text()[:-30])
    status, after, err = _run(monkeypatch, capsys, *words)
    assert status == 0
    assert "damaged record, recomputed" in err
    assert json.loads(after)["families"] == json.loads(before)["families"]
    assert json.loads(after)["provenance"]["damaged_recomputed"] == 1


def test_no_settled_start_is_status_1(monkeypatch, capsys, tmp_path):
    # Two unit steps beyond the stability limit: nothing settles.
    words = ["census", "-k", 3, "--starts", 2, "--optimiser", "gd", "--step", "1e9"]
    status, _, err = _run(monkeypatch, capsys, *words, "--out", tmp_path)
    assert status == 1
    assert "No start settled" in err


def test_help_has_an_example_and_imports_no_numerics():
    code = (
        "import sys; sys.argv = ['shallows', 'census', '--help']\n"
        "from shallows.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Example: shallows census" in done.stdout
