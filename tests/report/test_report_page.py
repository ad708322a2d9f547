"""The pages, read as text; `test_report_browser.py` opens them."""

import html.parser
import json
import math
import re
import subprocess
import sys

import plotly.graph_objects as go
import pytest
from catalogues import (
    NASTY,
    census,
    family,
    many_families,
    nothing_settled,
    range_of_sizes,
    rectangular,
    reference_census,
    single_neuron,
)

from shallows.atlas.catalogue import Curve
from shallows.report import write_atlas_report, write_report
from shallows.report.plots import thinned

CENSUSES = [reference_census, nothing_settled, many_families, rectangular, single_neuron]


class Page(html.parser.HTMLParser):
    """The parts of a page that the tests look at: references, scripts with data, text."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.references: list[tuple[str, str]] = []
        self.data: dict[str, dict] = {}
        self.tags: list[str] = []
        self.text = ""
        self._inside: dict[str, str | None] | None = None
        self._script = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.references += [
            (tag, v) for k, v in attrs if k in {"src", "href", "srcset", "action", "data"} and v
        ]
        if tag in {"script", "style"}:
            self._inside, self._script = dict(attrs), ""

    def handle_data(self, data):
        if self._inside is None:
            self.text += data
        else:
            self._script += data

    def handle_endtag(self, tag):
        if tag in {"script", "style"} and self._inside is not None:
            if self._inside.get("type") == "application/json":
                self.data[str(self._inside["id"])] = json.loads(self._script)
            self._inside = None


def read(path) -> Page:
    return Page(path.read_text("utf-8"))


def rows(path) -> list[list[str]]:
    body = re.search(r'<table class="families".*?</table>', path.read_text("utf-8"), re.S)
    assert body
    found = re.findall(r"<tr>(.*?)</tr>", body[0], re.S)[1:]
    return [[Page(c).text.strip() for c in re.findall(r"<t[dh].*?</t[dh]>", r)] for r in found]


@pytest.mark.parametrize("make", CENSUSES)
def test_page_refers_to_nothing_outside_itself(make, tmp_path):
    page = read(write_report(make(), tmp_path / "report.html"))
    assert all(reference.startswith("#") for _, reference in page.references)
    assert not {"link", "iframe", "img", "object", "embed", "base"} & set(page.tags)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "default-src 'none'" in text
    assert "@import" not in text.split("<script")[0]


def test_family_table_holds_the_numbers_of_the_census(tmp_path):
    found = reference_census()
    path = write_report(found, tmp_path / "report.html")
    for row, member in zip(rows(path), found.families, strict=True):
        name, isotropy, flipped, count, share, loss, eigenvalue, kind, gradient = row
        assert (name, isotropy, kind) == (member.name, member.isotropy, member.kind.value)
        assert (int(flipped), int(count)) == (member.flipped, member.count)
        assert float(share.split()[0]) == pytest.approx(100 * member.count / 1000, abs=0.05)
        assert float(loss) == pytest.approx(member.loss, rel=5e-8)
        assert float(eigenvalue) == pytest.approx(member.smallest_eigenvalue, rel=5e-8)
        assert float(gradient) == pytest.approx(member.gradient_norm, rel=0.05)
    text = read(path).text
    assert "996 of 1000 starts settled, in 3 families" in text
    assert "65.1 % [62.1, 68.0]" in text
    assert "4: Used all its steps." in text


def test_weights_spectrum_and_curve_are_in_the_page_as_they_are(tmp_path):
    found = reference_census()
    page = read(write_report(found, tmp_path / "report.html"))
    for i, member in enumerate(found.families):
        data = page.data[f"family-{i + 1}-data"]
        assert data["family"]["weights"] == member.weights.tolist()
        assert data["family"]["outer"] == member.outer.tolist()
        heads = data["plots"]["spectrum"]["data"][1]
        assert heads["y"] == [level.multiplicity for level in member.spectrum]
        assert heads["x"] == pytest.approx([level.eigenvalue for level in member.spectrum])
        loss = data["plots"]["curve"]["data"][0]
        assert loss["y"] == pytest.approx([max(v, 1e-16) for v in member.curve.loss], rel=1e-5)
        assert loss["x"] == pytest.approx(member.curve.time)
    # The curve of the global minimum ends in rounding, below zero: drawn on the floor, told true.
    clipped = page.data["family-1-data"]["plots"]["curve"]["data"][0]
    assert clipped["customdata"][-3:-1] == [-1e-17, 0.0]
    assert min(clipped["y"]) == 1e-16


@pytest.mark.parametrize("make", CENSUSES)
def test_every_figure_is_valid_by_the_schema_of_plotly(make, tmp_path):
    data = read(write_report(make(), tmp_path / "report.html")).data
    plots = [plot for part in data.values() for plot in part["plots"].values()]
    assert plots
    for plot in plots:
        go.Figure(plot)  # raises on any attribute or value that plotly does not know


def test_the_two_pictures_agree_on_colours_also_beside_a_family_without_eigenvalue(tmp_path):
    """Regression: colours were counted anew without the families that cannot be drawn."""
    found = many_families()
    plots = read(write_report(found, tmp_path / "report.html")).data["plots"]["plots"]
    bars = dict(
        zip(
            (f.isotropy for f in found.families),
            plots["shares"]["data"][0]["marker"]["color"],
            strict=False,
        )
    )
    for trace in plots["landscape"]["data"]:
        isotropy = re.sub("</?sub>", "", trace["name"])
        if isotropy in bars:
            assert trace["marker"]["color"] == bars[isotropy]


@pytest.mark.parametrize("sizes", [[10], range(6, 12), [6, 10, 50]])
def test_atlas_figure_is_valid_and_every_size_adds_up(sizes, tmp_path):
    page = read(write_atlas_report(range_of_sizes(sizes), tmp_path / "atlas.html"))
    plot = page.data["plots"]["plots"]["atlas"]
    go.Figure(plot)
    bars = [trace["y"] for trace in plot["data"] if trace["type"] == "bar"]
    for column in zip(*bars, strict=True):
        assert sum(column) == pytest.approx(100)
    assert all(reference.startswith("#") for _, reference in page.references)


def test_atlas_page_says_shares_flips_and_worst_gradient_per_size(tmp_path):
    censuses = [
        census(
            [
                family("global", k=k, count=300, gradient_norm=1e-13),
                family("flipped:2", k=k, flipped=2, count=100, loss=0.03, gradient_norm=7e-13),
            ],
            starts=500,
        )
        for k in (7, 6)
    ] + [census([], starts=20)]
    path = write_atlas_report(censuses, tmp_path / "atlas.html", command="shallows census -k 6:10")
    body = re.search(r'<table class="sizes".*?</table>', path.read_text("utf-8"), re.S)
    assert body
    text = " ".join(Page(body[0]).text.split())
    assert "6 500 400 2 60.0 [55.6, 64.2] 0.5 0.03 7.0e-13" in text
    assert text.index(" 6 500") < text.index(" 7 500") < text.index("10 20 0 0 0.0 [0.0, 16.1] – –")
    assert "shallows census -k 6:10" in read(path).text


def test_hostile_text_stays_text(tmp_path):
    found = many_families()
    hostile = "</script><script>alert(1)</script>"
    found.unsettled[hostile] = 1
    found.provenance[hostile] = {"<b>": [hostile]}
    found.question["teacher"] = hostile
    path = write_report(found, tmp_path / "report.html", command=hostile, store=hostile)
    page = read(path)
    assert "alert(1)" not in path.read_text("utf-8").replace(
        "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;", ""
    )
    assert "b" not in page.tags
    assert page.text.count(hostile) >= 5
    assert page.data["family-1-data"]["family"]["name"] == NASTY
    assert rows(path)[0][0] == NASTY


def test_many_large_families_stay_below_ten_megabytes(tmp_path):
    path = write_report(many_families(), tmp_path / "report.html")
    assert path.stat().st_size < 10_000_000
    page = read(path)
    assert len(rows(path)) == 40
    assert len(page.data) == 1 + 30
    assert "The 30 most frequent families have a section; 10" in page.text
    assert "Thinned from 2000" in page.text
    assert "and 15 larger ones" in page.text


def test_matrices_that_would_make_the_page_heavy_are_left_to_the_store(tmp_path):
    large = [family(f"flipped:{p}", k=300, d=300, flipped=p, count=9 - p) for p in (1, 2)]
    page = read(write_report(census(large, starts=20), tmp_path / "report.html"))
    assert "weights" in page.data["family-1-data"]["plots"]
    assert "weights" not in page.data["family-2-data"]["plots"]
    assert "300 × 300 weights are left out" in page.text


def test_pages_without_curve_spectrum_or_store_say_so(tmp_path):
    bare = family("II", flipped=1, spectrum=(), curve=Curve((), (), ()))
    page = read(write_report(census([bare], starts=1), tmp_path / "report.html"))
    assert "No spectrum was computed" in page.text
    assert "No training curve was recorded" in page.text
    assert "written from Python" in page.text
    assert "The records are in" not in page.text
    stored = census([bare], starts=1, provenance={"store": "runs/ten"})
    assert "The records are in runs/ten" in read(write_report(stored, tmp_path / "b.html")).text


def test_not_a_number_is_told_and_not_drawn(tmp_path):
    odd = family("II", flipped=1, loss=math.nan, smallest_eigenvalue=math.nan)
    page = read(write_report(census([odd], starts=1), tmp_path / "report.html"))
    assert "not computed" in page.text
    assert set(page.data["plots"]["plots"]) == {"shares"}


def test_file_is_replaced_in_one_go_and_nothing_is_left_beside(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    assert write_report(single_neuron(), path) == path
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="disk full"):
            write_report(reference_census(), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert path.stat().st_mode & 0o400
    assert write_report(single_neuron(), str(path)).read_bytes() == before


def test_misuse_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"census\.starts=0.*Run it first"):
        write_report(census([], starts=0), tmp_path / "report.html")
    with pytest.raises(ValueError, match=r"a file, not a folder: .*report\.html"):
        write_report(single_neuron(), tmp_path)
    with pytest.raises(ValueError, match="at least one census: got an empty"):
        write_atlas_report([], tmp_path / "atlas.html")
    with pytest.raises(ValueError, match=r"neurons \[10\].*run them first"):
        write_atlas_report([census([], starts=0)], tmp_path / "atlas.html")
    with pytest.raises(ValueError, match=r"get\('neurons'\)=None.*Put it into"):
        write_atlas_report([census([], starts=5, question={})], tmp_path / "atlas.html")


def test_thinned_curves_keep_their_ends():
    assert thinned(3) == [0, 1, 2]
    kept = thinned(100_003, 400)
    assert (kept[0], kept[-1], len(kept)) == (0, 100_002, 400)


def test_importing_the_door_is_cheap():
    script = (
        "import sys, shallows.report; "
        "print([m for m in ('matplotlib', 'plotly', 'jinja2', 'rich') if m in sys.modules]); "
        "import shallows.report.page, shallows.report.figures; print('pyplot' in str(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.split("\n")[:2] == ["[]", "False"]
