"""Certificates of points: of a user's own, and of the families of a census."""

import json

import numpy as np
import pytest
from test_census_command import _is_misuse, _run

from shallows.atlas.families import member


def _own(path, k=6, **changes):
    point = member("II", k)
    inner = point.loss.blocks.embed([float(x) for x in point.point])[::-1]
    np.savez(path, **{"inner": inner, **changes})
    return path


def test_a_point_of_ones_own_is_certified_and_verified(tmp_path):
    file, out = _own(tmp_path / "own.npz"), tmp_path / "own.json"
    status, text, _ = _run("certify", "--weights", file, "--out", out, "--json")
    found = json.loads(text)
    assert (status, found["verdict"], found["index"]) == (0, "PROVED", 0)
    assert found["schema"].startswith("shallows-certificate/")
    assert _run("verify", out)[0] == 0
    # A teacher of one's own that is not orthonormal: a certificate in all weights.
    teacher, student = tmp_path / "teacher.npz", tmp_path / "student.npz"
    np.savez(teacher, inner=[[1.0, 0.0], [-1.0, 0.0]])
    np.savez(student, inner=[[0.0, 2 / np.pi]])
    status, text, _ = _run("certify", "--weights", student, "--teacher", teacher, "--out", out)
    assert status == 0
    assert "It is a saddle: 1 of the 2 Hessian eigenvalues are negative" in text
    status, text, _ = _run("verify", out, "--json")
    assert (status, json.loads(text)["schema"]) == (0, "shallows-point/1")
    document = json.loads(out.read_text("utf-8"))
    out.write_text(json.dumps({**document, "index": 0}), "utf-8")
    assert "altered" in _is_misuse(*_run("verify", out))


def test_where_nothing_is_proved_the_statement_says_why(tmp_path):
    file = _own(tmp_path / "own.npz", inner=np.ones((2, 3)))
    status, text, error = _run("certify", "--weights", file)
    assert status == 1
    assert "Student 1 and student 2 are parallel" in text
    assert "Nothing was proved" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no point to certify"),
        (("--weights", "none.npz"), "no file 'none.npz' for the student"),
        (("II", "--weights", "none.npz"), "NAME would name one"),
        (("-k", 6, "--weights", "none.npz"), "-k would name one"),
        (("II", "--teacher", "none.npz"), "Named families have an orthonormal teacher"),
    ],
)
def test_points_that_are_not_there_are_misuse(words, message):
    assert message in _is_misuse(*_run("certify", *words))


@pytest.mark.slow  # compiles a whole census
def test_a_census_with_proofs(tmp_path):
    out = tmp_path / "census"
    words = ("census", "-k", 3, "--neurons", 2, "--starts", 6, "--out", out, "--certify")
    status, text, _ = _run(*words, "--json")
    assert status == 0
    families = json.loads(text)["families"]
    assert families
    for family in families:
        assert family["verdict"] == "PROVED"
        assert family["index"] == 0
        low, high = map(float, family["loss_enclosure"])
        assert low - 1e-12 <= family["loss"] <= high + 1e-12
        # Two students cannot be three teachers: their minimum may well be global.
        assert "no global minimum" not in family["statement"]
        assert _run("verify", family["certificate"])[0] == 0
    status, text, _ = _run(*words)
    assert status == 0
    assert "PROVED" in text
    page = (out / "report.html").read_text("utf-8")
    assert "What is proved" in page
    assert families[0]["loss_enclosure"][0] in page


def test_a_census_that_cannot_be_certified_is_refused_before_it_starts(tmp_path):
    data, out = tmp_path / "data.npz", tmp_path / "census"
    np.savez(data, inputs=np.random.default_rng(0).normal(size=(20, 3)))
    refused = _run("census", "--law", data, "--starts", 3, "--out", out, "--certify")
    assert "the law of the inputs is Sample" in _is_misuse(*refused)
    refused = _run("census", "-k", 3, "--trained", "all", "--starts", 3, "--out", out, "--certify")
    assert "heads are trained" in _is_misuse(*refused)
    assert not out.exists()
