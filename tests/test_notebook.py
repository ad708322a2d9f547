"""What notebooks show, and tables for pandas and xarray."""

import base64
import html
import re
import sys
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import shown as examples
from shallows import notebook
from shallows.atlas import member
from shallows.atlas.catalogue import Census, Curve, Family, Kind, Level
from shallows.certify import Verdict
from shallows.certify.gram import LeastEigenvalue
from shallows.lab import Case, Record, records_frame
from shallows.model import Deep, Layers, Network
from shallows.solve import Outcome, Trajectory, Width, branch
from shallows.solve.evolution import Ending, Evolution

W = np.array([[1.0, -0.25], [0.0, 0.5]])


def _family(name="II", count=3):
    levels = (Level(-0.1, 1), Level(2.0, 3))
    curve = Curve((0.0, 1.0), (0.5, 0.1), (1.0, 1e-13))
    return Family(
        name=name,
        isotropy="ΔS2",
        isotropy_order=1,
        flipped=0,
        count=count,
        loss=0.1,
        smallest_eigenvalue=-0.1,
        kind=Kind.saddle,
        gradient_norm=1e-13,
        weights=W,
        outer=np.ones(2),
        spectrum=levels,
        curve=curve,
        first_start=0,
        spread=1e-9,
    )


def _census(*families, unsettled=None):
    asked = {"neurons": 2, "law": "<b>", "method": {"step": 1}}
    return Census(asked, 5, 4, 0.1, families, unsettled or {}, {})


class _Balanced(HTMLParser):
    """Fails where tags are not closed in their order, and notes all that there are."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _checked(text):
    parser = _Balanced()
    parser.feed(text)
    assert not parser.open
    assert {tag for tag, _ in parser.tags} <= set(
        ["div", "strong", "img", "table", "thead", "tbody", "tr", "th", "td"]
    )
    for _, attrs in parser.tags:
        assert set(attrs) <= {"style", "src", "alt", "title", "width", "height"}
        assert attrs.get("src", "data:").startswith("data:")
        # Neither colours of text nor of background: the notebook's own are seen.
        assert not re.search(r"(^|;|\s)(color|background)", attrs.get("style", ""))
    return text


def _shown():
    rng = np.random.default_rng(0)
    student = Network(rng.normal(size=(2, 3, 2)))
    zeros = np.zeros(2)
    run = Trajectory(
        student, (Outcome.settled, Outcome.at_kink), zeros, zeros, np.array([1, 2]), zeros
    )
    return [
        _family(),
        _census(_family(), _family("flipped:2", 1), unsettled={"diverged": 1}),
        _census(),
        Network(W, bias=[0.0, 1.0]),
        Network(W, np.ones((2, 3))),
        student,
        Deep([W, W]),
        Layers([W, W], [np.ones(2), None]),
        member("II", 10),
        member("II", 10).spectrum(),
        run,
        LeastEigenvalue("λ > 0 & <all>", Verdict.PROVED, ("0.5", "1"), ""),
    ]


@pytest.mark.parametrize("shown", _shown(), ids=lambda x: type(x).__name__)
def test_html_is_whole_and_plain_and_the_text_is_short(shown):
    text = _checked(shown._repr_html_())
    assert len(text) < 20_000
    if not isinstance(shown, tuple):  # a spectrum prints as what it is
        assert len(repr(shown)) < 500
    if isinstance(shown, Network) and shown.inner.ndim == 2:
        assert "data:image/png" in text


def test_words_are_escaped_and_long_tables_are_cut():
    text = _checked(notebook.page("<i>", {"<x>": ["&", None, Kind.saddle, 1 / 3] * 20}))
    assert "<i>" not in text
    assert "&lt;x&gt;" in text
    assert "&amp;" in text
    assert "saddle" in text
    assert "0.333333" in text
    assert "and 40 more" in text
    assert text.count("<tr>") == 42  # the head, 30 rows, that there are more, and the last ten
    assert "&lt;b&gt;" in _census()._repr_html_()


@pytest.fixture(scope="module")
def quick():
    return examples.quick()


def test_results_print_as_one_line_and_show_a_table_below(quick):
    for result in quick:
        text = _checked(result._repr_html_())
        assert len(text) < 20_000, result
        line = repr(result)
        assert line.startswith(f"{type(result).__name__}(")
        assert len(line) < 200
        assert "\n" not in line
        if isinstance(result, notebook.AbstractShown):
            columns = result._columns()
            lengths = {len(list(column)) for column in columns.values()}
            assert len(lengths) <= 1
            assert all(html.escape(name) in text for name in list(columns)[:12])


def test_large_results_stay_short():
    times = np.linspace(0.0, 1.0, 5000)
    states = np.cos(1000 * times[:, None] * np.arange(300.0)) / 3
    path = Evolution(times, states, Ending.reached_end, (), {"loss": times / 3}, ())
    text = _checked(path._repr_html_())
    assert "and 4960 more" in text
    assert "and 290 more columns" in text
    for result in (path, examples.a_slice(5000), examples.a_reading(200)):
        assert len(repr(result)) < 200
        assert len(_checked(result._repr_html_())) < 20_000


@pytest.mark.slow
def test_every_kind_of_result_is_shown_in_these_tests(quick):
    def leaves(kind):
        below = kind.__subclasses__()
        return {leaf for one in below for leaf in leaves(one)} if below else {kind}

    results = [*quick, *examples.slow()]
    for result in results:
        assert len(repr(result)) < 200
        assert len(_checked(result._repr_html_())) < 20_000
    assert leaves(notebook.AbstractShown) <= {type(result) for result in results}
    split, named, arc, terms = examples.slow()
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    assert repr(named).startswith("NamedArc('II', k = 6, ")
    points = arc.to_pandas()
    # By a second route: the distance of a point is the norm of its matrix.
    last = points.filter(like="weight").to_numpy()[-1] - [float(x) for x in arc.centre]
    assert points["radius"].iloc[-1] == pytest.approx(arc.matrix_norm(last), rel=1e-9)
    assert points["multiplier"].iloc[-1] == 0
    spectra = split.to_xarray()["spectrum"]
    for share in (-0.5, 1.5):
        assert int((spectra.sel(share=share) < -1e-9).sum()) == split.signature.outside
    table = terms.to_pandas()
    assert table["coefficient"][0] == pytest.approx(0.5 * (1 - 2 / np.pi), rel=1)
    assert set(table["of"]) >= {"loss", "weight0"}


def test_texts_say_what_matters():
    assert repr(_census(_family())) == "Census(4 of 5 starts settled: II 3×)"
    many = _census(*[_family(f"flipped:{i}") for i in range(9)])
    assert repr(many).endswith("and 4 more)")
    assert repr(member("II", 10)) == "Member('II', k = 10, Δ(S9×S1), loss 0.0187022)"
    proved = LeastEigenvalue("x" * 200, Verdict.PROVED, ("0.5", "1"), "")
    assert repr(proved).startswith("LeastEigenvalue(PROVED: xxx")
    assert len(repr(proved)) < 140


def test_the_picture_is_a_png_of_the_matrix():
    text = notebook.picture_of(W)
    (code,) = re.findall(r"base64,([^\"]+)", html.unescape(text))
    data = base64.b64decode(code)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    size = int.from_bytes(data[33:37], "big")
    assert data[37:41] == b"IDAT"
    assert int.from_bytes(data[41 + size : 45 + size], "big") == zlib.crc32(data[37 : 41 + size])
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(2, 1 + 2 * 4)
    assert not rows[:, 0].any()  # no filters
    pixels = rows[:, 1:].reshape(2, 2, 4)
    assert np.array_equal(pixels[..., 3], [[255, 64], [0, 128]])  # opacity is size
    assert tuple(pixels[0, 0, :3]) != tuple(pixels[0, 1, :3])  # colour is sign
    assert notebook.picture_of(np.zeros((1, 300))) == ""
    assert notebook.picture_of(np.array([[np.nan]])) == ""
    assert "base64" in notebook.picture_of(np.zeros((2, 2)))


def test_tables_for_pandas():
    pytest.importorskip("pandas")
    found = _census(_family(), _family("I", 1))
    table = found.to_pandas()
    assert list(table["name"]) == ["II", "I"]
    assert list(table["count"]) == [3, 1]
    assert "weights" not in table
    assert table.attrs["neurons"] == 2
    assert list(found.families[0].to_pandas()["multiplicity"]) == [1, 3]
    assert list(found.families[0].curve.to_pandas()["loss"]) == [0.5, 0.1]
    spectrum = member("II", 10).spectrum()
    levels = spectrum.to_pandas()
    assert levels["multiplicity"].sum() == 100  # the dimension of the space of matrices
    assert levels["eigenvalue"].is_monotonic_increasing
    assert len(_census().to_pandas()) == 0
    start = member("II", 10)
    walk = branch(np.array(start.weights), along=Width(start.loss), begin=10, to=11)
    steps = walk.to_pandas()
    assert abs(steps["parameter"].iloc[-1] - 11) < 1e-9
    np.testing.assert_allclose(steps.iloc[-1, 1:], member("II", 11).weights, rtol=0, atol=1e-9)
    assert repr(walk).startswith(f"Branch({len(steps)} points from 10 to 11")


def test_arrays_for_xarray():
    pytest.importorskip("xarray")
    data = _census(_family(), _family("I", 1)).to_xarray()
    assert dict(data.sizes) == {"family": 2, "neuron": 2, "input": 2}
    assert np.array_equal(data["weights"].sel(family="I"), W)
    assert data["count"].sel(family="II") == 3
    with pytest.raises(ValueError, match="No family was found in 5 starts"):
        _census().to_xarray()
    student, zeros = Network(np.stack([W, 2 * W])), np.zeros(2)
    run = Trajectory(student, (Outcome.settled,) * 2, zeros, zeros, np.array([1, 2]), zeros)
    assert np.array_equal(run.to_xarray()["inner"].isel(start=1), 2 * W)
    assert list(run.to_pandas()["outcome"]) == ["settled", "settled"]
    times, states = np.array([0.0, 0.5]), np.arange(6.0).reshape(2, 3)
    watched = {"loss": np.array([2.0, 1.0]), "overlaps": np.ones((2, 2, 4))}
    path = Evolution(times, states, Ending.reached_end, (), watched, ()).to_xarray()
    assert path["loss"].sel(time=0.5) == 1
    assert path["overlaps"].dims[0] == "time"
    assert np.array_equal(path["state"], states)


def test_tables_of_results(quick):
    pytest.importorskip("pandas")
    for result in quick:
        if isinstance(result, notebook.AbstractTable):
            table, columns = result.to_pandas(), result._columns()
            assert list(table.columns) == list(columns)
            assert len(table) == len(list(next(iter(columns.values()))))
    basin = examples.a_basin().to_pandas()
    assert list(basin["share"]) == [0.9, 0.2]
    assert list(basin["ends_global"]) == [0, 14]
    assert basin["share_from"][0] < 0.9 < basin["share_to"][0]
    (claim,) = examples.a_reading().to_pandas().itertuples()
    assert (claim.claim, claim.verdict, claim.evidence) == ("small", "SUPPORTED", "0.5 < 1")
    phases = examples.a_phase_map().to_pandas()
    assert list(phases["scale"]) == [0.7, 7.0, 70.0] * 2
    assert list(phases["moved"]) == list(range(6))


def test_arrays_of_results(quick):
    pytest.importorskip("xarray")
    made = examples.a_slice().to_xarray()
    assert made["loss"].sel(t=0.5) == 1.5
    assert np.array_equal(made["inner"].sel(t=0.5), 2 * examples.W)
    assert made["jump"].sel(kink=0.5) == 0.25
    plane = examples.a_plane().to_xarray()
    assert plane["loss"].sel(x=1.0, y=2.0) == 21
    assert plane["corner"].sel(axis="y")[2] == 2
    phases = examples.a_phase_map().to_xarray()
    assert phases["moved"].sel(scale=7.0, exponent=1.0) == 4
    runs = examples.a_simulation().to_xarray()
    assert runs["loss"].sel(time=1.0).mean() == pytest.approx(0.4)
    assert runs["cross"].dims == ("run", "time", "neuron", "teacher")
    by_name = {type(result).__name__: result for result in quick}
    online = by_name["OnlineLearning"]
    data = online.to_xarray()
    end = online.at(1.0)
    assert np.allclose(data["student"].isel(time=-1), end.student, atol=1e-12)
    assert np.allclose(data["loss"].isel(time=-1), end.loss, atol=1e-12)
    flow = by_name["Portrait"].to_xarray()["velocity"]
    assert (
        flow.sel(x=flow["x"][3], y=flow["y"][5], component="y")
        == (by_name["Portrait"].velocity[5, 3, 1])
    )


def test_records_are_rows():
    pytest.importorskip("pandas")
    records = [
        Record("s", 1, Case({"k": k, "x": 1}), {"x": k / 2, "loss": 0.5}, None, {"seconds": 2.0})
        for k in (3, 4)
    ]
    table = records_frame(iter(records))
    assert list(table.columns) == ["seconds", "k", "x", "answer_x", "loss"]
    assert list(table.index) == [record.key for record in records]
    assert list(table["answer_x"]) == [1.5, 2.0]


@pytest.mark.parametrize(("library", "make"), [("pandas", "to_pandas"), ("xarray", "to_xarray")])
def test_absence_of_a_library_is_explained(monkeypatch, library, make):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueError, match=rf"made with {library}.*shallows\[tables\]"):
        getattr(_census(_family()), make)()
