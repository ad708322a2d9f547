"""The page of the shelf: every claim is in the matrix, in words and colour, and leads on."""

import base64
import re

import pytest
from exhibits import two_exhibits

from shallows.certify.verdict import Verdict
from shallows.report import write_figures, write_shelf_report
from shallows.report.page import _prose
from shallows.report.words import cited


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("shelf") / "report.html"
    command = "shallows report --store papers"
    made = write_shelf_report(two_exhibits(), path, command=command, store="papers")
    return made.read_text("utf-8")


def test_every_claim_is_in_the_matrix_and_leads_to_what_was_found(page):
    matrix = re.search(r'<dl class="matrix">(.*?)</dl>', page, re.DOTALL)
    assert matrix
    cells = re.findall(
        r'<a class="verdict ([a-z-]+)" href="#([\w-]+)".*?</span> ([\w ]+)</a>', matrix[1]
    )
    shown = {target: (style, word) for style, target, word in cells}
    claims = {f"{one.key}--{claim.id}": claim for one in two_exhibits() for claim in one.claims}
    assert shown.keys() == claims.keys()
    for target, claim in claims.items():
        word = "not run" if claim.verdict is None else claim.verdict.value
        assert shown[target] == (word.lower().replace(" ", "-"), word)
        assert page.count(f'id="{target}"') == 1
        assert f".verdict.{shown[target][0]} {{" in page
    assert (
        "6 claims: 1 PROVED, 1 REFUTED, 1 SUPPORTED, 1 CONTRADICTED, 1 UNDECIDED, 1 not run."
        in page
    )


def test_papers_and_verdicts_come_first_as_a_matrix_of_counts(page):
    assert page.index('<table class="verdicts">') < page.index('<dl class="matrix">')
    table = re.search(r'<table class="verdicts">(.*?)</table>', page, re.DOTALL)
    assert table
    head, *rows = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL)
    columns = re.findall(r"([\w ]+)</span></th>", head)
    assert columns == [*(verdict.value for verdict in Verdict), "not run"]
    shown = [re.sub(r"<[^>]+>", " ", row.replace("<td", "| <td")).split("|") for row in rows]
    cells = [[cell.strip() for cell in row] for row in shown]
    assert cells == [
        ["tian-2017", "1", "1", "1", "1", "1", "", "5"],
        ["luther-seung-2019", "", "", "", "", "", "1", "1"],
        ["all", "1", "1", "1", "1", "1", "1", "6"],
    ]
    assert 'href="#tian-2017--claim-refuted" title="claim-refuted"' in rows[0]
    assert 'aria-label="1 REFUTED: claim-refuted"' in rows[0]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("`max_steps` up to x_max", "<code>max_steps</code> up to x<sub>max</sub>"),
        ("ΔS_{k−1} at k^(−1/2)", "ΔS<sub>k−1</sub> at k<sup>−1/2</sup>"),
        ("w*_2, 2^19.2 of S_k", "w*<sub>2</sub>, 2<sup>19.2</sup> of S<sub>k</sub>"),
        ("snake_case, a ` alone, 1 < 2", "snake_case, a ` alone, 1 &lt; 2"),
        ("`a` and `<b>", "<code>a</code> and `&lt;b&gt;"),
    ],
)
def test_formulas_are_printed_as_formulas(written, shown):
    assert _prose(written) == shown


def test_sources_are_named_and_told_apart():
    assert cited("tian2017, Lemma 1; safranshamir2018") == (
        "Tian (2017), Lemma 1; Safran & Shamir (2018)"
    )
    assert cited("ergen2021") == "Ergen et al. (2021)"
    one, other = cited("arjevanifield2020"), cited("arjevanifield2020hessian")
    assert one != other == "Arjevani & Field (2020, arXiv:2008.01805)"
    assert cited("nobody1999, and page 2000") == "nobody1999, and page 2000"


def test_every_link_within_the_page_has_a_target(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r'data-copy-text="([^"]+)"', page)) <= set(ids)


def test_claims_come_with_source_evidence_figure_and_command(page):
    first, second = two_exhibits()
    for claim in first.claims:
        assert f"Found &lt;{claim.verdict.value}&gt;." in page
    assert "Source: Tian (2017), Lemma 1. The wording is ours." in page
    assert 'href="#tian-2017--figure-1">Figure 1</a> shows it.' in page
    assert page.count("shows it.") == 1
    assert "Dots lie on a line." in page
    for one in (first, second):
        assert one.command in page
    assert "The store holds 0 of 5 cases at smoke." in page
    assert 'href="https://arxiv.org/abs/1703.00560"' in page
    assert re.search(r"precision</th><td>.*float64", page)


def test_the_page_is_one_file_that_asks_nobody(page):
    assert "default-src 'none'" in page
    assert not re.search(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)', page)
    assert len(page) < 500_000  # plotly.js alone has millions
    (image,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    drawing = base64.b64decode(image).decode()
    assert drawing.lstrip().startswith("<?xml")
    assert "<dc:date>" not in drawing


def test_documents_have_the_contract_of_run():
    measured, bare = (one.as_json() for one in two_exhibits())
    assert {"key", "title", "claims"} <= set(measured)
    assert [claim["verdict"] for claim in measured["claims"]] == [v.value for v in Verdict]
    assert measured["claims"][0]["evidence"]["numbers"] == [1.0]
    assert bare["claims"][0] | {"verdict": None, "evidence": None} == bare["claims"][0]
    assert measured["figures"] == [{"caption": "Dots lie on a line.", "claims": ["claim-proved"]}]


def test_figures_are_written_by_key_and_number(tmp_path):
    (path,) = write_figures(two_exhibits(), tmp_path / "figures")
    assert path.name == "tian-2017-1.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_misuse_is_refused(tmp_path):
    with pytest.raises(ValueError, match="A report of no papers has nothing to say"):
        write_shelf_report([], tmp_path / "r.html")
    with pytest.raises(ValueError, match="A report is a file, not a folder"):
        write_shelf_report(two_exhibits(), tmp_path)
