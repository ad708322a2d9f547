"""`shallows convex`: proved optima of tables, networks as files, and tables that are refused."""

import itertools
import json
import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from test_census_command import _is_misuse, _run

from shallows.model import Network


def _table(path, **columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(repr, map(float, row))) for row in rows)]
    path.write_text("\n".join(lines), "utf-8")
    return path


def _plane(path, n=8):
    rng = np.random.default_rng(8)
    a, b, y = rng.normal(size=(3, n))
    return _table(path, a=a, y=y, b=b, label=np.sign(y))


@pytest.fixture
def sine(tmp_path):
    x = np.linspace(-1, 1, 12)
    return _table(tmp_path / "sine.csv", x=x, y=np.sin(3 * x))


def test_twelve_points_of_a_sine(sine, tmp_path):
    out = tmp_path / "out"
    words = ("convex", sine, "--target", "y", "--beta", 0.012, "--bias", "penalised")
    status, text, error = _run(*words, "--out", out, "--json")
    found = json.loads(text)
    low, high = map(float, found["optimum"])
    assert (status, found["verdict"], found["patterns"], found["exact"]) == (0, "PROVED", 24, True)
    # Facts: .01106784 is the optimum over 12, with β = 12e-3.
    assert f"{low / 12:.8f}" == f"{high / 12:.8f}" == "0.01106784"
    assert found["files"] == [
        str(out / name) for name in ("network.npz", "convex.png", "convex.pdf")
    ]
    assert (out / "convex.png").stat().st_size > 10_000
    assert f"Wrote {out / 'network.npz'}" in error
    kept = np.load(out / "network.npz")
    network = Network(kept["inner"], kept["outer"], kept["bias"])
    x = np.linspace(-1, 1, 12)[:, None]
    weights = sum(float(np.sum(kept[name] ** 2)) for name in kept.files)
    cost = (
        0.5 * np.sum((np.asarray(network(jnp.asarray(x))) - np.sin(3 * x[:, 0])) ** 2)
        + 0.006 * weights
    )
    assert np.isclose(cost, found["value"], rtol=1e-12)
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    section = page.split("## `convex`")[1].split("\n## ")[0]
    assert not {key for key in found if f"`{key}`" not in section}
    status, text, _ = _run(*words)
    assert status == 0
    cost = "squared loss ½ Σ (f(x) − y)² + (β/2) Σ (|w|² + b² + a²)"
    assert text.startswith(f"PROVED: The least {cost} over networks of any width")
    assert "  patterns     24 (all), rank 2\n" in text


@pytest.mark.slow
def test_normalised_networks_are_written_without_normalisation(tmp_path):
    file = _plane(tmp_path / "plane.csv")
    table = np.genfromtxt(file, delimiter=",", names=True)
    x = np.column_stack([table["a"], table["b"], table["label"]])
    values = {}
    for place, more in (("before", ()), ("after", ("--bias", "penalised", "--usual"))):
        out = tmp_path / place
        asked = ("--target", "y", "--normalise", place, "--beta", 0.1, *more, "--json")
        status, text, _ = _run("convex", file, *asked, "--out", out)
        found = json.loads(text)
        assert (status, found["verdict"], found["inputs"]) == (0, "PROVED", 3)
        assert found["features"] == ["a", "b", "label"]
        sampled = [entry["value"] for entry in found["sampled"]]
        assert all(a >= b * (1 - 1e-7) for a, b in itertools.pairwise(sampled))
        assert sampled[-1] >= found["lower_bound"]
        kept = np.load(out / "network.npz")
        fit = np.asarray(Network(kept["inner"], kept["outer"], kept["bias"])(jnp.asarray(x)))
        values[place] = found["value"] - 0.5 * np.sum((fit - table["y"]) ** 2)
    assert all(0 < rest < 2 for rest in values.values())  # what is left are penalties


def test_free_biases_and_samples(sine, tmp_path):
    status, text, _ = _run(
        "convex", sine, "--target", "y", "--beta", 0.02, "--bias", "free", "--json"
    )
    assert (status, json.loads(text)["verdict"]) == (0, "PROVED")
    file = _plane(tmp_path / "plane.csv")
    asked = ("convex", file, "--target", "label", "--loss", "logistic", "--beta", 0.1)
    status, text, _ = _run(*asked, "--patterns", 5, "--seed", 1, "--json")
    found = json.loads(text)
    assert (status, found["verdict"], found["exact"]) == (0, "UNDECIDED", False)
    assert found["optimum"][0] == "0"
    assert found["patterns"] <= 5
    _, text, _ = _run(*asked, "--patterns", 5, "--seed", 1)
    assert "of the restricted program" in text
    assert "(sampled), rank 3" in text


@pytest.mark.parametrize(
    ("columns", "words", "message"),
    [
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "z"], "There is no column 'z' in .*'x', 'y'"),
        ({"x": [1, np.nan], "y": [0, 1]}, ["--target", "y"], "Row 2 .* is not 2 finite numbers"),
        ({"x": [1, 2], "y": [0, 1], "c": [3, 3]}, ["--target", "y", "--normalise", "before"],
         "The feature 'c' is 3 at every point, so that its weights do what biases do"),
        ({"x": [1, 2], "y": [0, 1], "c": [0, 0]}, ["--target", "y"], "so that it does nothing"),
        ({"one": [1, 1], "y": [0, 1], "c": [0, 0]}, ["--target", "y"], "The feature 'c' is 0 at"),
        ({"x": [1e200, 2], "y": [0, 1]}, ["--target", "y"], r"entries up to 1e\+200"),
        ({"a": [1, 2, 3], "y": [0, 1, 5], "b": [2, 4, 6]}, ["--target", "y"],
         "The feature 'b' depends linearly on the columns before it, to rounding"),
        ({"x": [1, 2], "y": [1, 1]}, ["--target", "y", "--loss", "hinge"], "one class only"),
        ({"x": [1, 2], "y": [1, 3]}, ["--target", "y", "--loss", "logistic"], "must be −1 or 1"),
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "y", "--beta", "-1"], "`beta` must be positive"),
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "y", "--normalise", "no"], "must be one of none"),
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "y", "--usual"], "`--normalise` is none"),
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "y", "--seed", "-1"], "must not be negative"),
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "y", "--patterns", "0"], "positive integer"),
        ({"x": [1, 2], "y": [0, 1]}, ["--target", "y", "--normalise", "before", "--bias",
         "penalised"], "does nothing before batch normalisation"),
        ({"x": [1, 2], "z": [1, 3], "y": [0, 1]}, ["--target", "y", "--bias", "free"],
         "is for one feature"),
        ({"x": [1], "y": [0]}, ["--target", "y"], "has 1 points, but 2 to 2000 are needed"),
        ({"y": [1, 2]}, ["--target", "y"], "must have a target and features"),
    ],
)  # fmt: skip
def test_tables_and_options_that_make_no_sense(tmp_path, columns, words, message):
    file = _table(tmp_path / "table.csv", **columns)
    words = words if "--beta" in words else [*words, "--beta", "0.1"]
    assert re.search(message, _is_misuse(*_run("convex", file, *words)))


def test_too_many_patterns_are_refused_with_their_number_and_the_way_out(tmp_path):
    rng = np.random.default_rng(0)
    columns = dict(zip("abcdefy", rng.normal(size=(7, 30)), strict=True))
    file = _table(tmp_path / "large.csv", **columns)
    error = _is_misuse(*_run("convex", file, "--target", "y", "--beta", 0.1))
    # 2 Σ C(29, k) for k < 6
    assert "may have 293_192 activation patterns, more than 5_000" in error
    assert "`--patterns 1000`" in error
    assert "There is no file" in _is_misuse(*_run("convex", "no.csv", "--target", "y", "--beta", 1))
