"""`shallows census --depth` and several outputs, as they are typed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from shallows.cli import main
from shallows.cli.door import app


def _run(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "shallows", *words], cwd=cwd, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--depth", "0"], "about 2 hidden layers or more, but `--depth` is 0"),
        (["--points", "5"], "about 2 hidden layers or more, but `--depth` is 1"),
        (["--depth", "2", "-d", "3", "--certify"], "but --inputs, --certify was given. Leave"),
        (["--depth", "2", "-k", "30"], "is one size, at most 7, as the data are closed under"),
        (["--depth", "2", "-k", "4:6"], "is one size, at most 7, as the data are closed under"),
        (["--depth", "2", "--law", __file__], "data are drawn from a named law, but `--law` is"),
        (
            ["--depth", "2", "--optimiser", "flow", "--step", "0.1"],
            "The gradient flow has no step, but `--step 0.1`",
        ),
    ],
)
def test_what_makes_no_sense_with_depth_is_refused(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["shallows", "census", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_deep_census_prints_one_document_and_a_table(tmp_path):
    words = ["census", "--depth", "2", "-k", "3", "--activation", "erf", "--starts", "3"]
    answer = _run(*words, "--points", "5", "--json", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert (document["depth"], document["widths"], document["points"]) == (2, [3, 3], 30)
    assert document["settled"] == sum(f["count"] for f in document["families"]) > 0
    assert {"isotropy", "index", "each_layer", "layers"} <= set(document["families"][0])
    table = _run(*words, "--points", "5", cwd=tmp_path).stdout
    assert document["families"][0]["isotropy"] in table


@pytest.mark.slow
def test_a_census_with_several_outputs(tmp_path):
    heads = np.column_stack([np.ones(4), [1, 1, -1, -1]])
    np.savez(tmp_path / "teacher.npz", inner=np.eye(4), outer=heads)
    for trained, isotropy in (("inner", "Δ(S2×S2)"), ("all", None)):
        answer = _run(
            *("census", "--teacher", "teacher.npz", "--starts", "4", "--trained", trained),
            *("--out", trained, "--json"),
            cwd=tmp_path,
        )
        assert answer.returncode == 0, answer.stderr
        (family,) = [f for f in json.loads(answer.stdout)["families"] if f["name"] == "global"]
        assert np.shape(family["outer"]) == (4, 2)
        assert isotropy in (None, family["isotropy"])
    wider = _run("census", "--teacher", "teacher.npz", "--neurons", "5", cwd=tmp_path)
    assert wider.returncode == 2
    assert "students have the teacher's heads, and so its 4 neurons, but 5" in wider.stderr
    proofs = _run("census", "--teacher", "teacher.npz", "--certify", cwd=tmp_path)
    assert proofs.returncode == 2
    assert "about networks with one output" in proofs.stderr


def test_help_names_the_option():
    assert "--depth" in CliRunner().invoke(app, ["census", "--help"], terminal_width=200).output
