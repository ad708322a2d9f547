"""The file to copy works where it is copied to, and what is kept of it is shown."""

import dataclasses
import importlib.util
import json
import math
import pickle
import shutil
import sys
from pathlib import Path

import pytest

from shallows import papers
from shallows.certify import Verdict
from shallows.cli.papers import report, run
from shallows.lab import Store
from shallows.papers import Scale, holding, reading

SKELETON = Path(__file__).parents[2] / "docs" / "papers" / "skeleton.py"


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """The skeleton on the shelf: copied under another name, and found by its file."""
    folder = tmp_path / "more"
    folder.mkdir()
    shutil.copy(SKELETON, folder / "cho_saul_2009.py")
    monkeypatch.setattr(papers, "__path__", [str(folder)])
    yield papers.paper("cho-saul-2009")
    sys.modules.pop("shallows.papers.cho_saul_2009")
    vars(papers).pop("cho_saul_2009", None)


def _skeleton():
    spec = importlib.util.spec_from_file_location("skeleton", SKELETON)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_found_measured_and_drawn(entry, tmp_path):
    assert list(papers.shelf()) == ["cho-saul-2009"]
    assert pickle.loads(pickle.dumps(entry.study)).name == entry.key
    found = reading(entry, Scale.smoke, Store(tmp_path / "s"))
    assert found.judgements["closed-form"].verdict is Verdict.SUPPORTED
    assert [len(entry.cases(scale)) for scale in Scale] == [5, 13, 13]
    figure = entry.pictures[0].draw(found.records)
    assert figure is not None
    line = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    # At θ = 0 it is half the second moment of a Gaussian, at θ = π nothing.
    assert line.get_ydata()[[0, -1]] == pytest.approx([0.5, 0.0], abs=1e-15)
    assert json.loads(json.dumps(found.as_json()))["claims"][0]["verdict"] == "SUPPORTED"
    provenance = found.provenance
    assert provenance["cases"] == 5
    assert provenance["seeds"] == [0]
    assert provenance["precision"] == ["float64"]
    assert math.isclose(provenance["seconds"], sum(r.provenance["seconds"] for r in found.records))


def test_its_judge_can_be_contradicted(entry, tmp_path):
    records = reading(entry, Scale.smoke, Store(tmp_path / "s")).records
    moved = [dataclasses.replace(r, values={**r.values, "mean": 0.3}) for r in records]
    assert entry.judge(moved)["closed-form"].verdict is Verdict.CONTRADICTED


def test_a_holding_is_the_largest_scale_that_is_complete(entry, tmp_path):
    store = Store(tmp_path / "s")
    bare = holding(entry, store)
    assert bare.reading is None
    assert bare.kept[Scale.smoke] == (0, 5)
    exhibit = bare.exhibit()
    assert exhibit.scale is None
    assert exhibit.figures == ()
    assert [claim.verdict for claim in exhibit.claims] == [None]
    assert exhibit.command == "shallows run cho-saul-2009 --scale smoke"

    reading(entry, Scale.smoke, store)
    reading(entry, Scale.desk, store)
    full = holding(entry, store)
    assert full.reading is not None
    assert full.reading.scale is Scale.desk
    assert full.kept == {Scale.smoke: (5, 5), Scale.desk: (13, 13), Scale.paper: (0, 13)}
    small = holding(entry, store, [Scale.smoke])
    assert small.reading is not None
    assert small.reading.scale is Scale.smoke
    assert small.exhibit().claims[0].verdict is Verdict.SUPPORTED
    # Without the data of an optional package a larger scale may ask no more.
    poor = dataclasses.replace(entry, cases=lambda scale: entry.cases(Scale.smoke))
    same = holding(poor, store)
    assert same.reading is not None
    assert same.reading.scale is Scale.smoke
    # Another version is another question.
    assert holding(dataclasses.replace(entry, version=2), store).reading is None

    case = entry.cases(Scale.desk)[0]
    name = papers.key(entry.study, case)
    (store.folder / entry.key / f"{name}.json").write_text("{}", "utf-8")
    damaged = holding(entry, store)
    assert damaged.reading is not None
    assert damaged.reading.scale is Scale.smoke
    assert damaged.kept[Scale.desk] == (12, 13)
    assert name in damaged.damaged[0]


def test_run_all_goes_on_where_one_fails_and_resumes(entry, tmp_path, monkeypatch, capsys):
    broken = dataclasses.replace(entry, key="broken", measure=_fails)
    monkeypatch.setattr(papers, "shelf", lambda: {"broken": broken, entry.key: entry})
    with pytest.raises(SystemExit) as status:
        run("", "smoke", tmp_path / "s", 1, as_json=True, everything=True)
    assert status.value.code == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert [one["key"] for one in document["papers"]] == ["cho-saul-2009"]
    assert document["failed"][0]["key"] == "broken"
    assert "no such luck" in document["failed"][0]["why"]
    assert "2/2 cho-saul-2009" in captured.err
    with pytest.raises(SystemExit):
        run("", "smoke", tmp_path / "s", 1, as_json=False, everything=True)
    text = capsys.readouterr().out
    assert "failed" in text
    assert "SUPPORTED" in text

    monkeypatch.setattr(papers, "shelf", lambda: {entry.key: entry})
    run("", "smoke", tmp_path / "s", 1, as_json=True, everything=True)
    again = json.loads(capsys.readouterr().out)
    assert again["failed"] == []
    assert again["papers"] == document["papers"]


def _fails(case):
    raise ArithmeticError("no such luck")


def test_report_shows_what_is_kept_and_measures_what_is_missing(entry, tmp_path, capsys):
    store, page = tmp_path / "s", tmp_path / "r.html"
    with pytest.raises(ValueError, match=r"There is no store in .* measure first, with `--run smo"):
        report(None, store, page)
    assert not store.exists()
    report(None, store, page, first="smoke", as_json=True)
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    (one,) = document["papers"]
    assert one["scale"] == "smoke"
    assert one["claims"][0]["verdict"] == "SUPPORTED"
    assert one["kept"]["desk"] == [0, 13]
    assert Path(document["page"]).read_text("utf-8").count("data:image/svg+xml") == 1
    assert "1/1 cho-saul-2009" in captured.err

    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.json")}
    report([entry.key], store, page, scale="desk", figures=tmp_path / "f")
    captured = capsys.readouterr()
    assert "Not run: cho-saul-2009. To measure them first, add `--run smoke`." in captured.err
    assert "not run" in captured.out
    assert list((tmp_path / "f").iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.json")} == before
    with pytest.raises(ValueError, match=r"`--run` is 'huge'.*`smoke`, `desk`, `paper`"):
        report(None, store, page, first="huge")
    with pytest.raises(ValueError, match="A report is a file, but `--out` is the folder"):
        report(None, store, tmp_path)


def test_run_needs_one_paper_or_all(tmp_path):
    with pytest.raises(ValueError, match="neither a paper nor `--all`"):
        run("", "smoke", tmp_path)
    with pytest.raises(ValueError, match="'tian-2017' and `--all`"):
        run("tian-2017", "smoke", tmp_path, everything=True)


def test_the_skeleton_names_a_source_that_there_is():
    from shallows.report import bibliography

    module = _skeleton()
    assert module.PAPER.title == bibliography()[module.PAPER.source].title
