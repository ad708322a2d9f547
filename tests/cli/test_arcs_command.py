"""`shallows arcs`: documents, tables, figures, exit statuses and messages."""

import json
import subprocess
import sys

import numpy as np
import pytest

from shallows.atlas import arcs_compared
from shallows.atlas.arcs import arcs
from shallows.cli import main
from shallows.report import save_figure
from shallows.report.arcs import (
    arcs_comparison_figure,
    arcs_figure,
    arcs_table,
    write_arcs_report,
)


def shallows(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "shallows", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def found():
    return arcs("A", 8, cuts=(1,), with_proofs=False)


def test_one_document_on_stdout_and_pictures_in_the_folder(tmp_path):
    words = ("arcs", "II", "-k", "8", "--minimising", "--cuts", "1", "--out", "drawn", "--json")
    done = shallows(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["name"] == "II"
    first = document["arcs"][0]
    assert first["component"] == "standard"
    assert first["isotropy"] == "Δ(S6×S1×S1)"
    assert first["end"]["certified"] == "PROVED"
    assert abs(first["barrier"] - (first["end"]["loss"] - document["loss"])) < 1e-12
    assert first["end"]["distance"] == first["radius"]
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert names == {"report.html", "arcs.png", "arcs.pdf"}
    page = (tmp_path / "drawn" / "report.html").read_text("utf-8")
    assert "shallows arcs II -k 8" in page
    assert "critical" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("arcs", "global"), "is the global minimum"),
        (("arcs", "B"), "no family called"),
        (("arcs", "II", "-k", "few"), "`-k` must be a number"),
        (("arcs", "II", "--radius", "-1"), "`--radius` must be a positive number"),
        (("arcs", "II", "--cuts", "1,x"), "`--cuts` must be whole numbers"),
        (("arcs", "II", "--cuts", "0"), "at least one place"),
        (("arcs", "II", "-k", "nan"), "between 1 and 10¹²"),
    ],
)
def test_misuse_is_one_line_and_status_2(words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["shallows", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_families_are_compared(monkeypatch, capsys):
    words = ["arcs", "II", "A", "-k", "8", "--cuts", "1", "--json"]
    monkeypatch.setattr(sys, "argv", ["shallows", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    rows = json.loads(capsys.readouterr().out)["comparison"]
    assert [(r["name"], r["component"]) for r in rows] == [("II", "standard"), ("A", "exterior")]


def test_the_table_has_a_row_for_each_arc(found):
    assert arcs_table(found).row_count == len(found) == 11


def test_the_figure_draws_every_arc_from_its_eigenvalue(found, tmp_path):
    figure = arcs_figure(found)
    left, right = ([np.asarray(line.get_ydata()) for line in a.lines] for a in figure.axes)
    curves = [y for y in right if len(y) > 1]
    assert len(curves) == len(found)
    starts = sorted(float(y[0]) for y in curves)
    assert np.allclose(starts, [one.arc.eigenvalue for one in found], rtol=0.05)
    lowest = [one for one in found if one.is_minimising]
    assert len([y for y in left if len(y) > 1]) == len(lowest)
    assert all(path.stat().st_size > 0 for path in save_figure(figure, tmp_path / "arcs"))


def test_the_comparison_has_a_curve_for_each_family(tmp_path):
    rows = [arcs_compared(name, k, cuts=(1,)) for name in ("II", "A") for k in (8, 16)]
    figure = arcs_comparison_figure(rows)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["II", "A"]
    page = write_arcs_report(rows, tmp_path / "report.html")
    assert "Minimising arcs compared: II, A" in page.read_text("utf-8")
    with pytest.raises(ValueError, match="no arcs"):
        write_arcs_report([], tmp_path / "none.html")
