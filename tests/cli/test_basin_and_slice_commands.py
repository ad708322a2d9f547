"""`shallows basin` and `shallows slice`: documents, figures, exit statuses and messages."""

import json
import sys

import numpy as np
import pytest

from shallows import Gaussian, Network, SquaredLoss, orthonormal
from shallows.atlas import Basin, Ring
from shallows.cli import main
from shallows.cli.basins import _radii_in
from shallows.landscape import GreatCircles, NeuronSplit, Straight, slice_along, slice_through
from shallows.report import save_figure
from shallows.report.basins import basins_figure, basins_table
from shallows.report.slices import plane_figure, slices_figure, split_figure


def run(monkeypatch, capsys, *words):
    """The exit status, and what went to stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["shallows", *words])
    status = 0
    try:
        main()
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("basin", "B", "-k", "6"), "no family called"),
        (("basin", "II", "-k", "6", "--radii", "0"), "must be a positive number"),
        (("basin", "II", "-k", "6", "--radii", "1:2"), "first, last and how many"),
        (("basin", "II", "-k", "6", "--starts", "0"), "positive integer"),
        (("basin", "II", "-k", "6", "--directions", "arcs", "--starts", "9"), "one start for each"),
        (("slice", "--from", "II"), "Give either `--to` or `--split`"),
        (("slice", "--from", "II", "--to", "A", "--split", "1"), "Give either `--to` or `--split`"),
        (("slice", "--from", "II", "--split", "1", "--through", "A"), "A plane needs three"),
        (("slice", "--from", "II", "--to", "gone.npz"), "no file 'gone.npz'"),
        (("slice", "--from", "II", "--to", "A", "--points", "1"), "must be between 2 and"),
        (("slice", "--from", "II", "--to", "A", "--margin", "-1"), "must be between 2 and"),
        (("slice", "--from", "odd.npz", "--to", "A"), "3 neurons and 4 inputs"),
    ],
)
def test_misuse_ends_in_one_message(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("odd.npz", inner=np.ones((3, 4)))
    status, out, err = run(monkeypatch, capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_distances_that_are_asked_for():
    assert _radii_in("0.5:4:8") == [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert _radii_in("2") == [2.0]


def test_figures_and_tables_of_basins(tmp_path):
    def made(name, k, counts):
        rings = tuple(
            Ring(r / 2, 50, n, {name: n, "global": 40 - n}, {"out_of_steps": 10}, 0.1)
            for r, n in enumerate(counts, start=1)
        )
        return Basin(name, k, k**0.5, 0.07, "minimum", "uniform", rings, 1.0, {})

    found = [made(n, k, [40, 30, c]) for n, c in (("A", 5), ("II", 1)) for k in (6, 8, 10, 12)]
    figure = basins_figure(found)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["(a) k = 6", "(b) k = 10", "(c) k = 12", "(d) half come back"]
    lines = figure.axes[0].get_lines()
    assert np.allclose(lines[0].get_ydata(), [80, 60, 10])
    assert np.allclose(lines[0].get_xdata(), np.array([0.5, 1, 1.5]) / 6**0.5)
    assert all(path.stat().st_size > 1000 for path in save_figure(figure, tmp_path / "b"))
    assert basins_table(found).row_count == 24
    assert "half return from r = 1.1" in str(basins_table(found).caption)
    with pytest.raises(ValueError, match="no basins"):
        basins_figure([])


@pytest.mark.slow
def test_figures_of_slices(tmp_path):
    loss, draw = SquaredLoss(orthonormal(3), Gaussian(3)), np.random.default_rng(0)
    three = [Network(w) for w in draw.normal(size=(3, 3, 3))]
    paths = {way.__name__: slice_along(loss, way(*three[:2])) for way in (Straight, GreatCircles)}
    line = NeuronSplit(loss, three[0], 1).along(np.array([-0.5, 0.2, 0.4, 0.8, 1.5]))
    figures = {
        "paths": slices_figure(paths, ["one", "two"]),
        "plane": plane_figure(slice_through(loss, *three, points=9), ["one", "two", "three"]),
        "split": split_figure(line),
    }
    for name, figure in figures.items():
        assert all(path.stat().st_size > 1000 for path in save_figure(figure, tmp_path / name))
    assert [text.get_text() for text in figures["plane"].axes[0].texts] == ["one", "two", "three"]


@pytest.mark.slow
def test_documents(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("basin", "II", "-k", "6", "--radii", "0.1", "--starts", "4", "--out", "basins")
    status, out, _ = run(monkeypatch, capsys, *words, "--json")
    assert status == 0
    (found,) = json.loads(out)["basins"]
    assert found["rings"][0]["share"] == 1.0
    assert {path.name for path in (tmp_path / "basins").iterdir()} >= {"basins.png", "basins.pdf"}

    # A relabelling of the teacher is the teacher again, in a file.
    np.savez("moved.npz", inner=np.eye(6)[[2, 0, 1, 3, 5, 4]])
    moved = ("slice", "--from", "global", "--to", "moved.npz", "-k", "6", "--points", "5")
    status, out, _ = run(monkeypatch, capsys, *moved, "--json")
    assert status == 0
    document = json.loads(out)
    assert document["distance"] == 0.0
    assert [path["barrier"] for path in document["paths"]] == [0.0, 0.0]
    # As given, five neurons go elsewhere; all turn by a right angle and none vanishes.
    status, out, _ = run(monkeypatch, capsys, *moved, "--as-given", "--json")
    document = json.loads(out)
    assert abs(document["distance"] - 10**0.5) < 1e-12
    assert document["paths"][0]["barrier"] > 0.01
    split = ("slice", "--from", "II", "--split", "0", "-k", "6", "--points", "4", "--json")
    document = json.loads(run(monkeypatch, capsys, *split)[1])
    assert document["shares"] == [-0.625, 0.125, 0.875, 1.625]
    assert document["negative"] == [0, 5, 5, 0]
    assert (document["negative_inside"], document["negative_outside"]) == (5, 0)
