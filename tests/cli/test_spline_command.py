"""`shallows spline`: a fit of points in a file, audited; and files that are no points."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_census_command import _is_misuse, _run

from shallows.solve import Stop

POINTS = "x,y\n10,3\n11,3\n# a comment\n12,1\n13,1\n\n14,3\n"


def _csv(path, text=POINTS):
    path.write_text(text, "utf-8")
    return path


FIT = ("--init-scale", 0.7, "--width", 60, "--until", 0.02)


def test_a_fit_is_printed_and_audited(tmp_path):
    status, text, _ = _run("spline", _csv(tmp_path / "data.csv"), *FIT, "--json")
    found = json.loads(text)
    assert (status, found["stop"], found["advice"]) == (0, "reached_value", "")
    assert found["points"] == 5
    assert found["relative_loss"] <= 0.02
    assert len(found["audit"]["rules"]) == 11
    spline = found["spline"]
    x, y = np.array([10.0, 11, 12, 13, 14]), np.array([3.0, 3, 1, 1, 3])
    kinks = np.maximum(x[:, None] - np.array(spline["knots"]), 0) @ np.array(spline["jumps"])
    fitted = spline["intercept"] + spline["slope"] * x + kinks
    assert np.isclose(0.5 * np.sum((fitted - y) ** 2), found["loss"], rtol=1e-8)
    assert np.isclose(found["audit"]["variation"], np.sum(np.abs(spline["jumps"])))


@pytest.mark.slow  # imports what draws, and draws at 300 dots an inch
def test_a_fit_is_drawn(tmp_path):
    out = tmp_path / "out"
    status, text, error = _run("spline", _csv(tmp_path / "data.csv"), *FIT, "--out", out)
    assert status == 0
    assert "reached_value" in text
    assert "spline.html" in error
    page = (out / "spline.html").read_text("utf-8")
    assert '"sliders"' in page
    assert "--init-scale" in page
    assert not re.search(r"<(?:script|link|img)[^>]*(?:src|href)=[\"']?http", page)
    assert (out / "spline.png").stat().st_size > 10_000


def _keys(document):
    if isinstance(document, list):
        return {key for item in document for key in _keys(item)}
    if not isinstance(document, dict):
        return set()
    return {*document, *_keys(list(document.values()))}


def test_every_json_key_is_documented(tmp_path):
    words = ("spline", _csv(tmp_path / "data.csv"), "--init-scale", 1, "--width", 8, "--steps", 1)
    document = json.loads(_run(*words, "--json")[1])
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    section = page.split("## `spline`\n")[1].split("\n## ")[0]
    assert not {key for key in _keys(document) if f"`{key}`" not in section}
    assert not {stop.name for stop in Stop if f"`{stop.name}`" not in section} - {"reached_time"}


def test_a_run_that_does_not_get_there_says_where_and_why(tmp_path):
    file = _csv(tmp_path / "data.csv")
    words = ("spline", file, "--init-scale", 1, "--width", 20, "--steps", 3)
    status, text, error = _run(*words)
    assert status == 1
    assert "out_of_steps" in text
    assert "The fit is worst at sample" in error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n1,3\n2,1\n", "at x = 1 both y = 2 and y = 3"),
        ("1,2\n", "at least two points"),
        ("", "at least two points"),
        ("x,y\n1,2\n2,nan\n", "Line 3 of .* is not two finite numbers: '2,nan'"),
        ("1,2\n2,inf\n", "Line 2 "),
        ("1,2\n2,two\n", "Line 2 "),
        ("1,2,3\n", "Line 1 of .* is not two finite numbers"),
        ("1;2\n2;3\n", "Line 2 "),
        ("1,5\n2,5\n3,5\n", "All 3 values are 5: a constant needs no fit"),
        ("\n".join(f"{i},{i % 2}" for i in range(501)), "501 points; at most 500"),
    ],
)
def test_files_without_points_are_misuse(tmp_path, text, message):
    found = _run("spline", _csv(tmp_path / "data.csv", text), "--init-scale", 1, "--width", 4)
    error = re.sub(r"loss, on a log[^\n]*\n", "", found[2])  # the bar, where it had begun
    assert re.search(message, _is_misuse(found[0], found[1], error))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--init-scale", 0), "scale κ of the start is positive"),
        (("--init-scale", -2), "scale κ of the start is positive"),
        (("--init-scale", "nan"), "scale κ of the start is positive"),
        (("--init-scale", 1, "--width", 7), "is 7, which is odd"),
        (("--init-scale", 1, "--width", 200_000), "`--width` may be at most"),
        (("--init-scale", 1, "--exponent", 1.5), "but is 1.5"),
        (("--init-scale", 1, "--until", 2), "between 0 and 1"),
        (("--init-scale", 1, "--steps", 0), "`--steps` must lie between"),
        (("--init-scale", 1, "--seed", -1), "`--seed` must not be negative"),
        ((), "Missing option '--init-scale'"),
    ],
)
def test_questions_without_meaning_are_misuse(tmp_path, words, message):
    status, text, error = _run("spline", _csv(tmp_path / "data.csv"), *words)
    error = re.sub(r"loss, on a log[^\n]*\n", "", error)
    assert message in _is_misuse(status, text, error)


def test_files_that_are_not_there_or_no_text_are_misuse(tmp_path):
    assert "no file" in _is_misuse(*_run("spline", tmp_path / "none.csv", "--init-scale", 1))
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    assert "not a text file" in _is_misuse(*_run("spline", binary, "--init-scale", 1))
    assert "not a text file" in _is_misuse(*_run("spline", tmp_path, "--init-scale", 1))


@pytest.mark.slow  # draws
def test_a_map_of_regimes_goes_on_where_it_stopped(tmp_path):
    words = ("phases", _csv(tmp_path / "data.csv"), "--scales", "30,0.7", "--until", 0.02)
    options = (*words, "-m", 60, "--out", tmp_path / "map", "--json")
    status, text, _ = _run(*options, "--exponents", "1")
    found = json.loads(text)
    assert (status, found["scales"], found["exponents"]) == (0, [0.7, 30.0], [1.0])
    assert found["reached"] == [[True, True]]
    assert found["moved"][0][0] > 20 * found["moved"][0][1]  # knots move from small scales
    assert found["cubic"][0][1] < found["cubic"][0][0]
    records = sorted((tmp_path / "map" / "phase-map").glob("*.json"))
    times = [path.stat().st_mtime_ns for path in records]
    assert _run(*options, "--exponents", "1")[1] == text
    assert [path.stat().st_mtime_ns for path in records] == times


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scales", "a,b"), "`--scales` is a list of numbers with commas between, but is 'a,b'"),
        (("--scales", "-1"), "κ"),
        (("--exponents", "3"), "exponent"),
    ],
)
def test_a_map_of_nothing_is_refused(words, message, tmp_path):
    found = _run("phases", _csv(tmp_path / "data.csv"), *words, "--out", tmp_path / "map")
    assert message in found[2]
    assert (found[0], found[1]) == (2, "")
