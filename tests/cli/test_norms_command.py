"""`shallows norms`: files by either set of names, and files that are no network."""

import json
import math

import numpy as np
import pytest
from test_census_command import _is_misuse, _run


def _saved(path, **arrays):
    np.savez(path, **arrays)
    return path


W1 = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 1.0]])
W2 = np.array([[1.0, 0.5, -2.0], [0.0, -1.0, 4.0]])


def test_norms_of_layers_and_of_two_layer_files(tmp_path):
    file = _saved(tmp_path / "deep.npz", W1=W1, b1=[1.0, 0, -3], W2=W2)
    status, text, _ = _run("norms", file, "-q", "1,inf", "--points", 400, "--json")
    found = json.loads(text)
    assert status == 0
    assert (found["sizes"], found["has_biases"], found["weights"]) == ([2, 3, 2], True, 15)
    assert (found["paths"], found["basis_paths"]) == (18, 12)
    assert found["negative_basis_paths"] == 3
    whole = np.abs(W2) @ np.column_stack([np.abs(W1), [1, 0, 3]])
    one, largest = found["path_norms"]
    assert math.isclose(one["norm"], whole.sum(), rel_tol=1e-14)
    assert largest["q"] is None
    assert math.isclose(largest["norm"], 12.0)
    assert math.isclose(found["bound"]["value"], 0.2 * found["bound"]["shape"] * whole.sum())
    # Along the skeleton: units 0, 1, 2 from inputs 0, 1, 0 and to outputs 0, 1, 0. Negative:
    # 1 · 1, 3 · (−1), (−1)(−2); positive: −2 · 1, .5 · (−1), 1 · (−2), those of the heads off the
    # skeleton, 3 · .5, 1 · 0, (−1) · 4, and of biases, 1 · 1, 0, (−3)(−2).
    assert math.isclose(found["basis_path_norm"], 6.0)
    # The heads of one output may be a vector.
    arrays = {"inner": W1, "outer": W2[0], "bias": np.ones(3)}
    two = _run("norms", _saved(tmp_path / "two.npz", **arrays), "--json")
    same = _run("norms", _saved(tmp_path / "w.npz", W1=W1, W2=W2[0], b1=np.ones(3)), "--json")
    assert two[0] == 0
    assert two[1] == same[1]


def test_what_overflows_or_vanishes_is_null(tmp_path):
    # A zero on the skeleton, and paths beyond 1e308.
    file = _saved(tmp_path / "x.npz", W1=1e200 * np.eye(2), W2=1e200 * np.ones((1, 2)))
    found = json.loads(_run("norms", file, "--json")[1])
    assert found["path_norms"][0]["norm"] is None
    exact = 400 * math.log(10) + math.log(2)
    assert math.isclose(found["path_norms"][0]["log_norm"], exact, rel_tol=1e-14)
    file = _saved(tmp_path / "zero.npz", inner=np.ones((2, 2)), outer=np.zeros(2))
    found = json.loads(_run("norms", file, "--json")[1])
    assert found["path_norms"][0] == {"q": 1.0, "norm": 0.0, "log_norm": None}
    assert found["basis_path_norm"] is None
    table = _run("norms", file)[1]
    assert "infinite: a weight on the skeleton is 0" in table
    assert "path norm, q = 2" in table


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"W1": W1}, "but a network file has matrices `W1`, `W2`, …"),
        ({"W1": W1, "W3": W2}, "but a network file has matrices"),
        ({"W1": W1, "W2": W2, "c": W1}, "but a network file has matrices"),
        ({"inner": W1, "W2": W2}, "but a network file has matrices"),
        ({"W1": W1, "W2": W1}, "Layers do not fit: `W2` has 2 columns"),
        ({"W1": W1, "W2": W2, "b1": np.ones(2)}, "`b1` needs a number for each of the 3"),
        ({"W1": W1 * np.nan, "W2": W2}, "`W1` must be finite"),
    ],
    ids=range(7),
)
def test_files_that_are_no_network_are_refused(tmp_path, arrays, words):
    assert words in _is_misuse(*_run("norms", _saved(tmp_path / "bad.npz", **arrays)))


def test_options_that_mean_nothing_are_refused(tmp_path):
    file = _saved(tmp_path / "x.npz", inner=W1)
    for words, message in [
        ((tmp_path / "none.npz",), "There is no file"),
        ((file, "-q", "0"), "`-q` takes positive numbers"),
        ((file, "-q", "one"), "`-q` takes positive numbers"),
        ((file, "--points", 0), "A bound needs points"),
    ]:
        assert message in _is_misuse(*_run("norms", *words))
