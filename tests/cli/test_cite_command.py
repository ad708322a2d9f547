"""Citations: of the shelf's keys and of the bibliography's."""

import json

import pytest

from shallows.cli.cite import cite
from shallows.papers import shelf
from shallows.report import bibliography


def test_papers_and_sources_are_printed_once_each(capsys):
    cite(["tian-2017", "chosaul2009", "tian2017"], as_json=False)
    text = capsys.readouterr().out
    assert text.count("@") == 2
    assert bibliography()["tian2017"].bibtex in text
    assert bibliography()["chosaul2009"].bibtex in text


def test_every_paper_of_the_shelf_can_be_cited(capsys):
    cite(sorted(shelf()), as_json=True)
    found = json.loads(capsys.readouterr().out)["references"]
    assert [one["key"] for one in found] == [paper.source for _, paper in sorted(shelf().items())]
    for one in found:
        assert one["bibtex"] == bibliography()[one["key"]].bibtex
        assert one["year"] in one["bibtex"]


def test_an_unknown_key_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"'tian-2016'. Use a paper.*tian-2017.*wilson1927") as no:
        cite(["tian-2017", "tian-2016"], as_json=False)
    assert "'tian-2017'" not in str(no.value)
