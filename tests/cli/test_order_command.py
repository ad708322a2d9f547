"""`shallows order`: documents, figures, exit statuses and messages."""

import json
import sys

import numpy as np
import pytest

from shallows.cli import main
from shallows.model import Erf
from shallows.report.order_parameters import deviation, order_figure, order_table
from shallows.solve.order_parameters import OrderParameters, online, simulate


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


@pytest.mark.slow
def test_a_figure_is_written(tmp_path, monkeypatch, capsys):
    # A time that is no whole number of steps.
    words = ["order", "--eta", "1", "--until", "0.38", "--simulate", "20,30", "--runs", "1"]
    status, out, err = run(monkeypatch, capsys, *words, "--out", str(tmp_path))
    assert status == 0
    assert "d = 30" in out
    assert f"Wrote {tmp_path / 'order.png'}" in " ".join(err.split())
    assert (tmp_path / "order.pdf").exists()


def test_the_document_is_what_the_library_finds(monkeypatch, capsys):
    words = ["order", "-k", "2", "-m", "1", "--activation", "erf", "--eta", "0.4", "--until", "2"]
    words += ["--simulate", "40,20", "--runs", "3", "--json"]
    status, out, _ = run(monkeypatch, capsys, *words)
    assert status == 0
    document = json.loads(out)
    start = OrderParameters.unaligned(2, 1, activation=Erf())
    exact = online(start, rate=0.4, until=2)
    made = simulate(start, inputs=40, rate=0.4, times=np.linspace(0, 2, 21), runs=3)
    assert (document["neurons"], document["teachers"], document["ending"]) == (2, 1, "reached_end")
    np.testing.assert_allclose(document["loss"], exact.losses(document["times"]), rtol=1e-12)
    np.testing.assert_allclose(document["cross"][-1], exact.at(2.0).cross, rtol=1e-12)
    found, other = document["simulations"]
    assert (found["inputs"], other["inputs"], found["runs"]) == (40, 20, 3)
    np.testing.assert_allclose(found["loss"]["mean"], made.losses.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["student"]["deviation"][5], made.student[:, 5].std(0, ddof=1))


def test_table_and_figure_of_a_limit_and_of_runs():
    start = OrderParameters.unaligned(2, activation=Erf())
    exact = online(start, rate=0, until=4)
    table = order_table(exact)
    assert (table.row_count, len(table.columns)) == (11, 4)
    figure = order_figure(exact)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "(a) loss",
        "(b) R, with teachers",
        "(c) Q, among students",
    ]
    assert [len(axes.lines) for axes in figure.axes] == [1, 4, 3]
    made = [simulate(start, inputs=d, rate=1.0, times=[0, 4], runs=2) for d in (20, 30)]
    assert order_figure(exact, made).axes[3].get_title("left") == "(d) R of a run − limit"
    limit = exact.at(4).cross
    np.testing.assert_allclose(
        deviation(exact, made[1]) ** 2, np.mean((made[1].cross[:, 1] - limit) ** 2)
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-k", "0"), "`neurons` must be a positive integer, but is 0"),
        (("-k", "21"), "At most 20 neurons"),
        (("--eta", "-1"), "`rate` must be at least 0, but is -1.0"),
        (("--until", "0"), "`until` must be positive, but is 0.0"),
        (("--activation", "sin"), "the activation is sin"),
        (("--activation", "softest"), "softest"),
        (("--spread", "3"), "No vectors have these overlaps"),
        (("--length", "0"), "`length` must be positive"),
        (("--eta", "0", "--simulate", "50"), "takes steps, but `rate` is 0"),
        (("--simulate", "1e3"), "`--simulate` must be numbers of inputs, from 1 to"),
        (("--simulate", "3", "--until", "1"), "span 4 dimensions, but `inputs` is 3"),
        (("--simulate", "9", "--until", "1", "--runs", "0"), "`runs` must be a positive integer"),
    ],
)
def test_misuse_ends_in_one_message(words, message, monkeypatch, capsys):
    status, out, err = run(monkeypatch, capsys, "order", *words)
    assert status == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
