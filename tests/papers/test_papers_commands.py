"""The shelf from the shell."""

import json
import re

import pytest

from shallows.cli.papers import papers, run


def test_papers_lists_claims_and_says_whose_words_they_are(capsys):
    papers(as_json=False)
    text = capsys.readouterr().out
    assert "arjevani-field-2020-hessian: Analytic Characterization of the Hessian" in text
    assert "[wording not known]" in re.sub(r"\s+", " ", text)


def test_papers_as_json(capsys):
    papers(as_json=True)
    document = json.loads(capsys.readouterr().out)
    keys = [entry["key"] for entry in document["papers"]]
    assert keys == sorted(keys)
    assert {"id", "statement", "source"} <= set(document["papers"][0]["claims"][0])


def test_run_prints_one_document_or_a_table_and_resumes(tmp_path, capsys):
    run("arjevani-field-2020-hessian", "smoke", tmp_path / "out", 1, as_json=True)
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert {"key", "title", "claims"} <= set(document)
    assert "arjevani-field-2020-hessian" in captured.err
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    run("arjevani-field-2020-hessian", "smoke", tmp_path / "out", 1, as_json=False)
    text = capsys.readouterr().out
    for claim in document["claims"]:
        assert re.search(rf"{claim['id']} +{claim['verdict']}", text)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.json")}
    assert after == before


def test_misuse_names_what_was_given_and_what_there_is(tmp_path):
    with pytest.raises(ValueError, match=r"no paper 'x' on the shelf. Use one of arjevani-"):
        run("x", "smoke", tmp_path, 1, as_json=True)
    with pytest.raises(ValueError, match=r"`--scale` is 'huge'.*`smoke`, `desk`, `paper`. Use one"):
        run("arjevani-field-2020-hessian", "huge", tmp_path, 1, as_json=True)
    assert not list(tmp_path.iterdir())
