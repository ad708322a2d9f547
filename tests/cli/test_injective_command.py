"""`shallows injective`: verdicts, witnesses in fractions, files; and files that are no layers."""

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from test_census_command import _is_misuse, _run

from shallows.certify import have_equal_outputs, injective
from shallows.model import doubled
from shallows.model.inequalities import Contradiction, rational_rows


def _layer(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_a_proof_is_printed_kept_and_drawn(tmp_path):
    w = doubled([[1.0, 2.0], [0.0, 1.0]])
    file, out = _layer(tmp_path / "layer.npz", inner=w, bias=np.full(4, 0.5)), tmp_path / "out"
    status, text, _ = _run("injective", file, "--out", out, "--json")
    found = json.loads(text)
    assert (status, found["verdict"], found["neurons"], found["inputs"]) == (0, "PROVED", 4, 2)
    assert found["witness"] is None
    low, high = found["inverse_lipschitz"]
    # Everywhere x is known up to a shear of norm √2 + 1.
    assert high == pytest.approx(np.sqrt(2) - 1) == 2 * low
    kept = json.loads((out / "injective.json").read_text("utf-8"))
    circuits = [Contradiction({int(i): int(t) for i, t in c.items()}) for c in kept["circuits"]]
    assert len(circuits) == found["circuits"] == 2
    assert all(circuit.refutes(rational_rows(w, np.full(4, 0.5))) for circuit in circuits)
    assert (out / "injective.png").stat().st_size > 10_000
    assert found["files"] == [str(out / f"injective.{kind}") for kind in ("json", "png", "pdf")]


def test_a_counterexample_is_exact(tmp_path):
    w, b = np.array([[0.1, 0.2], [0.3, -0.4], [-0.7, 0.1]]), np.array([0.1, 0.2, -0.3])
    file = _layer(tmp_path / "layer.npz", inner=w, bias=b)
    status, text, _ = _run("injective", file, "--json")
    found = json.loads(text)
    assert (status, found["verdict"], found["inverse_lipschitz"]) == (0, "REFUTED", None)
    pair = [[Fraction(t) for t in found["witness"][key]] for key in ("first", "second")]
    assert have_equal_outputs(w, b, *pair)
    status, text, _ = _run("injective", file)
    assert status == 0
    assert text.startswith("REFUTED: This layer of 3 ReLUs on 2 inputs is injective.")
    assert text.count("x ≈ (") == 2


def test_no_answer_is_status_one_and_says_what_is_missing(tmp_path):
    file = _layer(tmp_path / "layer.npz", inner=doubled(np.eye(4)))
    status, text, error = _run("injective", file, "--most", 3, "--json")
    assert (status, json.loads(text)["verdict"]) == (1, "UNDECIDED")
    assert "In floats, the fewest active rows found are 4, and there are at least 4" in error
    assert "Raise `most`, or `seconds`." in error


def test_what_libraries_print_does_not_spoil_the_document(tmp_path):
    script = (
        "import ctypes, sys; from shallows.cli.injective import _strangers_to_stderr\n"
        "with _strangers_to_stderr(): ctypes.CDLL(None).puts(b'stray')\n"
        "print('document')\n"
    )
    if sys.platform == "win32":
        pytest.skip("the C library is called by another name")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("document\n", "stray\n")


@pytest.mark.parametrize(
    ("arrays", "words", "message"),
    [
        ({"weights": np.eye(2)}, (), r"holds ['weights'], but a layer file needs ['inner'] and"),
        ({"inner": np.ones(3)}, (), "must be a matrix with a row for each neuron"),
        ({"inner": np.array([[np.inf]])}, (), "`inner` must be finite, but has 1 entries"),
        (
            {"inner": np.eye(2), "bias": np.ones(3)},
            (),
            "`bias` needs a number for each of the 2 neurons",
        ),
        ({"inner": np.ones((2, 2, 2))}, (), "holds a batch of layers. Keep one."),
        ({"inner": np.eye(2)}, ("--most", 0), "`most` must be a positive integer"),
        ({"inner": np.eye(2)}, ("--seconds", -1), "`seconds` must not be negative"),
    ],
)
def test_what_is_no_layer_is_misuse(arrays, words, message, tmp_path):
    file = _layer(tmp_path / "layer.npz", **arrays)
    error = _is_misuse(*_last_line(_run("injective", file, *words)))
    assert message in error


def _last_line(answer):
    """The answer without the bar, which a message may follow."""
    status, out, error = answer
    return status, out, error.splitlines(keepends=True)[-1]


def test_a_missing_file_is_misuse(tmp_path):
    assert "There is no file" in _is_misuse(*_run("injective", tmp_path / "none.npz"))


def _keys(document):
    return {*document, *(k for v in document.values() if isinstance(v, dict) for k in v)}


def test_every_json_key_is_documented(tmp_path):
    file = _layer(tmp_path / "layer.npz", inner=np.eye(2))
    document = json.loads(_run("injective", file, "--json")[1])
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    section = page.split("## `injective`\n")[1].split("\n## ")[0]
    assert not {key for key in _keys(document) if f"`{key}`" not in section}
    assert injective.Verdict.UNDECIDED.value in section
