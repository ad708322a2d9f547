"""`shallows atlas`: what it writes, and what it refuses before it computes anything."""

import json
import socket
import sys

import pytest

from shallows.atlas import member
from shallows.cli import main


def run(monkeypatch, capfd, *words):
    """Exit status, stdout and stderr; in this process, as Python takes seconds to start."""
    monkeypatch.setattr(sys, "argv", ["shallows", "atlas", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, *capfd.readouterr()


def test_misuse_is_one_message(monkeypatch, capfd, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, message in [
            (["--out", tmp_path / "mine"], "is not empty and not a store"),
            (["--out", tmp_path / "file"], "A store is a folder, and"),
            (["--out", tmp_path / "file" / "below"], "cannot be used as a store"),
            (["--out", tmp_path / "new", "--census", tmp_path / "none"], "none"),
            (["--out", tmp_path / "new", "--serve", "--port", port], f"Port {port} is in use"),
            (["--out", tmp_path / "new", "--serve", "--port", 99999], "from 0 to 65535"),
            (["--out", tmp_path / "new", "--workers", 0], "`workers` must be a positive integer"),
        ]:
            status, out, err = run(monkeypatch, capfd, *words)
            assert (status, out) == (2, ""), (words, err)
            assert message in err
            assert "Traceback" not in err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_a_page_in_seconds(monkeypatch, capfd, tmp_path):
    words = ["--out", tmp_path / "page", "--scale", "smoke", "--json"]
    status, out, err = run(monkeypatch, capfd, *words)
    assert status == 0, err
    document = json.loads(out)
    assert (tmp_path / "page" / "index.html").stat().st_size == document["bytes"] < 2e6
    assert document["proved"] == 9
    for point in document["points"]:
        found = member(point["name"], point["neurons"])
        assert point["loss"] == found.value
        assert point["kind"] == found.kind().value
    again = run(monkeypatch, capfd, *words)
    assert json.loads(again[1])["points"] == document["points"]
