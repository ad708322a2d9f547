"""`shallows extract`: networks in files recovered, and files that are none."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_census_command import _is_misuse, _run

from shallows.solve import ExtractionOutcome, LayerOutcome

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")


def _npz(path, d=4, h=5, **more):
    rng = np.random.default_rng(0)
    arrays = {"inner": rng.normal(size=(h, d)), "bias": rng.normal(size=h)}
    np.savez(path, **{"outer": rng.normal(size=h), **arrays, **more})
    return path


def _quiet(found):
    """Without what the bar left on stderr."""
    status, out, err = found
    return status, out, "".join(line for line in err.splitlines(True) if "asking" not in line)


def test_a_network_in_a_file_is_recovered_and_written(tmp_path):
    file, out = _npz(tmp_path / "n.npz"), tmp_path / "out"
    status, text, _ = _run("extract", file, "--out", out, "--json")
    found = json.loads(text)
    assert (status, found["outcome"], found["neurons"]) == (0, "recovered", 5)
    assert found["error"] < 1e-11
    given, made = np.load(file), np.load(out / "network.npz")
    x = np.random.default_rng(1).normal(size=(1000, 4))
    values = [np.maximum(x @ n["inner"].T + n["bias"], 0) @ n["outer"] for n in (given, made)]
    assert np.max(np.abs(values[0] - values[1])) < 1e-11
    assert set(made.files) == {"inner", "bias", "outer"}
    section = PAGE.split("## `extract`\n")[1].split("\n## ")[0]
    assert not {key for key in found if f"`{key}`" not in section}
    assert not {outcome.name for outcome in ExtractionOutcome if f"`{outcome.name}`" not in section}


def test_several_layers_are_recovered_and_written(tmp_path):
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {
        "W1": rng.normal(size=(4, 5)),
        "W2": rng.normal(size=(4, 4)),
        "W3": np.ones((1, 4)),
    }
    given |= {"b1": rng.normal(size=4), "b2": rng.normal(size=4)}
    np.savez(tmp_path / "deep.npz", **given)
    status, text, _ = _run("extract", tmp_path / "deep.npz", "--out", tmp_path / "out", "--json")
    found = json.loads(text)
    assert (status, found["outcome"]) == (0, "recovered")
    assert [layer["units"] for layer in found["layers"]] == [4, 3]  # one is never on
    made = np.load(tmp_path / "out" / "network.npz")
    x = rng.normal(size=(500, 5))
    values = []
    for n in (given | {"b3": 0.0}, made):
        h = np.maximum(np.maximum(x @ n["W1"].T + n["b1"], 0) @ n["W2"].T + n["b2"], 0)
        values.append(h @ n["W3"].T + n["b3"])
    assert np.max(np.abs(values[0] - values[1])) < 1e-9
    section = PAGE.split("## `extract`\n")[1].split("\n## ")[0]
    keys = {*found, *found["layers"][0]}
    assert not {key for key in keys if f"`{key}`" not in section}
    assert not {outcome.name for outcome in LayerOutcome if f"`{outcome.name}`" not in section}
    # Too few lines, and no layer but one: what is known of each layer, and advice.
    words = ("extract", tmp_path / "deep.npz", "--widths", "4,4", "--lines", 2)
    status, text, err = _quiet(_run(*words))
    assert status == 1
    assert "of 4 units" in text
    assert "partly_recovered" in err
    assert _quiet(_run("extract", tmp_path / "deep.npz", "--deepest", 1))[0] == 1


def test_what_is_written_can_be_read_again_with_its_affine_part(tmp_path):
    file = _npz(tmp_path / "n.npz", slope=np.ones((4, 1)), constant=np.ones(1))
    assert _run("extract", file, "--out", tmp_path / "out")[0] == 0
    made = np.load(tmp_path / "out" / "network.npz")
    assert set(made.files) == {"inner", "bias", "outer", "slope", "constant"}
    status, text, _ = _run("extract", tmp_path / "out" / "network.npz")
    assert status == 0
    assert "not all known" in text


def test_no_answer_is_status_1_with_advice(tmp_path):
    status, text, err = _quiet(_run("extract", _npz(tmp_path / "n.npz"), "--budget", 700))
    assert status == 1
    assert "out_of_queries" in text
    assert "Allow more." in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lines", 0), "has 0, 1e-09 and 0"),
        (("--deepest", 0), "has 120, 0, 1e-09 and 0"),
        (("--widths", "3,x"), "separated by commas, but is '3,x'"),
        (("--tolerance", 2), "has 8, 2.0 and 0"),
        (("--seed", -1), "and -1"),
        (("--budget", 0), "`--budget` must be positive, but is 0"),
    ],
)
def test_questions_without_meaning_are_misuse(tmp_path, words, message):
    assert message in _is_misuse(*_run("extract", _npz(tmp_path / "n.npz"), *words))


def test_files_that_are_no_networks_are_misuse(tmp_path):
    assert "There is no file" in _is_misuse(*_run("extract", tmp_path / "none.npz"))
    (tmp_path / "junk.npz").write_text("junk")
    assert "cannot be read as an npz" in _is_misuse(*_run("extract", tmp_path / "junk.npz"))
    wrong = _npz(tmp_path / "w.npz", bias=np.ones(7))
    assert "bias" in _is_misuse(*_run("extract", wrong))
    tilted = _npz(tmp_path / "t.npz", slope=np.ones(3))
    assert "`slope` has shape (3, 1)" in _is_misuse(*_run("extract", tilted))
    (tmp_path / "junk.onnx").write_text("junk")
    error = _is_misuse(*_run("extract", tmp_path / "junk.onnx"))
    has_onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    assert ("is not an ONNX model" if has_onnx else "shallows[onnx]") in error
