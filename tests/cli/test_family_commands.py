"""The commands about named families: keys, tables, figures and misuse."""

import json

import pytest
import typer
from typer.testing import CliRunner

from shallows.atlas.families import compared
from shallows.cli import certify as proof_commands
from shallows.cli import families as family_commands
from shallows.report.comparison import comparison_figure, comparison_plot, comparison_table

app = typer.Typer()
for command in (family_commands.family, family_commands.threshold, family_commands.compare):
    app.command()(command)
for proof_command in (proof_commands.certify, proof_commands.verify):
    app.command()(proof_command)


def run(*words):
    result = CliRunner().invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_family_prints_one_document():
    found = json.loads(run("family", "II", "-k", 10, "-d", 12, "--json"))
    assert list(found) == [
        "name",
        "neurons",
        "inputs",
        "activation",
        "isotropy",
        "flipped",
        "continues",
        "loss",
        "kind",
        "gradient_norm",
        "smallest_eigenvalue",
        "weights",
        "spectrum",
    ]
    assert (found["name"], found["neurons"], found["inputs"]) == ("II", 10, 12)
    assert sum(level["multiplicity"] for level in found["spectrum"]) == 120
    assert set(found["spectrum"][0]) == {"component", "eigenvalue", "multiplicity", "block"}
    assert {e["component"] for e in found["spectrum"]} == {
        "trivial",
        "standard",
        "exterior",
        "two-row",
        "standard×standard",
    }
    assert sum(w["count"] for w in found["weights"]) == 120


def test_families_of_leaky_networks():
    plain, leaky = (
        json.loads(run("family", "II", "-k", 10, "--activation", a, "--json"))
        for a in ("relu", "leaky:0.1")
    )
    assert (plain["activation"], leaky["activation"]) == ("relu", "leaky:0.1")
    assert leaky["loss"] < plain["loss"]
    for words, message in (
        (["--activation", "erf"], r"from the ReLU to leaky ones, but `--activation erf` was given"),
        (["--activation", "leaky:0.1", "--extra", "1"], r"`--extra 1` was given with"),
    ):
        with pytest.raises(ValueError, match=message):
            run("family", "II", *words)


def test_a_single_block_has_no_name():
    found = json.loads(run("family", "A", "-k", 10, "--json"))
    assert set(found["spectrum"][0]) == {"component", "eigenvalue", "multiplicity"}


def test_family_prints_tables():
    text = run("family", "II", "-k", 10)
    assert "k = 10, Δ(S9×S1)" in text
    assert "0.0319640276465" in text
    assert "minimum, loss 0.0187021945856" in text


def test_threshold():
    found = json.loads(run("threshold", "A", "--json"))
    assert found["component"] == "exterior"
    assert f"{found['neurons']:.9f}" == "5.763812735"
    assert "II is a minimum from k = 5.58550524742588 on" in run("threshold", "II")


def test_compare_writes_a_figure_and_a_page(tmp_path):
    words = ("compare", "II", "A", "flipped:4", "-k", "5:20:5", "--out", tmp_path, "--json")
    rows = json.loads(run(*words))["families"]
    assert [(r["name"], r["neurons"]) for r in rows[:4]] == [
        ("II", 5),
        ("A", 5),
        ("flipped:4", 5),
        ("II", 10),
    ]
    assert rows[0]["kind"] == "saddle"
    for name in ("comparison.png", "comparison.pdf", "report.html"):
        assert (tmp_path / name).stat().st_size > 10_000
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Families compared: II, A, flipped:4" in page


def test_compare_prints_what_is_missing():
    text = run("compare", "II", "-k", "3:4")
    assert "does not exist" in text
    assert "saddle" in text


def test_figures_break_where_a_name_changes_its_sheet():
    rows = [compared(name, k) for k in (5, 6, 7, 8) for name in ("flipped:3", "global")]
    traces = {(t["name"], t["yaxis"]): t for t in comparison_plot(rows)["data"]}
    assert traces["flipped:3", "y2"]["x"] == [5, None, 6, 7, 8]
    assert traces["global", "y"]["x"] == []  # a loss of zero has no logarithm
    assert len(comparison_figure(rows).axes) == 2
    assert comparison_table(rows).row_count == 8
    from plotly import graph_objects

    graph_objects.Figure(comparison_plot(rows))  # plotly's own schema


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("family", "B", "-k", "10"), "no family called 'B'"),
        (("compare", "II", "-k", "6:3"), "`-k` must be a positive integer or a range"),
        (("compare", "II", "-k", "1:5000:1"), "at most 1000 sizes"),
        (("compare", "X", "-k", "6"), "no family called 'X'"),
    ],
)
def test_misuse_is_a_value_error(words, text):
    with pytest.raises(ValueError, match=text):
        run(*words)


def test_ranges_are_thinned_evenly_in_their_logarithm():
    sizes = family_commands.chosen_sizes("6:1000")
    assert (sizes[0], sizes[-1]) == (6, 1000)
    assert 25 <= len(sizes) <= 32
    assert family_commands.chosen_sizes("6:10") == [6, 7, 8, 9, 10]
    assert family_commands.chosen_sizes("20") == [20]


def test_thresholds_are_proved_and_verified(tmp_path):
    out = tmp_path / "threshold.json"
    found = json.loads(run("threshold", "A", "--certify", "--out", out, "--json"))
    assert found["verdict"] == "PROVED"
    assert found["component"] == "exterior"
    assert float(found["lower"]) < 5.7638127349195711 < float(found["upper"])
    checked = json.loads(run("verify", out, "--json"))
    assert (checked["verdict"], checked["reason"]) == ("PROVED", "")
    assert checked["statement"] == found["statement"]
    for option in ("--out", "--to"):
        with pytest.raises(ValueError, match=f"`{option}` belongs to a proof"):
            run("threshold", "A", option, "7")


def test_extra_neurons_are_proved_and_verified(tmp_path):
    out = tmp_path / "split.json"
    found = json.loads(run("certify", "A", "-k", 6, "--extra", 1, "--out", out, "--json"))
    assert found["verdict"] == "PROVED"
    assert float(found["separations"][0]["descent"]["quotient"][1]) < 0
    checked = json.loads(run("verify", out, "--json"))
    assert (checked["verdict"], checked["reason"]) == ("PROVED", "")
    assert "PROVED: Let 6 students" in run("certify", "A", "-k", 6, "--extra", 2)
    for words, text in (
        (("--how", 1), "`--how 1` chooses among what extra neurons make"),
        (("--extra", -1), "`--extra` must not be negative"),
        (("--extra", 1, "--how", 7), "has 3 continuations with 1 more neurons"),
    ):
        with pytest.raises(ValueError, match=text):
            run("certify", "A", "-k", 6, *words)
