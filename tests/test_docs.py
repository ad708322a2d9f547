"""What the documentation shows is there, is executed, and is complete."""

import ast
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from shallows.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
SHOWN = [page for page in PAGES if "```python" in page.read_text("utf-8")]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group has them


def _run(*command, cwd):
    # JAX's own threads make no difference at these sizes, and deprecations are errors here too.
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "error", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site."""
    for module in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is missing; install with `pip install -e '.[docs]'`")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_site_builds_without_a_warning_and_has_every_page(site):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}


def test_site_asks_nobody_else_for_anything(site):
    # Links that a reader may click are welcome; what a browser loads by itself is not.
    loaded = re.compile(
        r"<(?:script|img|iframe|source|object|embed)\b[^>]*?\b(?:src|data)=[\"']?(?:https?:)?//[^>]*>"
        r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*href=[\"']?(?:https?:)?//[^>]*>"
        r"|class=\"?mermaid|data-md-component=\"?source\""
    )
    for page in site.rglob("*.html"):
        assert not loaded.findall(page.read_text("utf-8")), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text("utf-8")), sheet


def test_every_formula_is_drawn(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        assert text.count('class="arithmatex"') == text.count('class="arithmatex"><math'), page
    assert "<math" in (site / "model.html").read_text("utf-8")


def test_every_public_name_is_on_the_page_of_its_room(site):
    rooms = ("model", "landscape", "symmetry", "solve", "certify", "lab", "atlas", "report")
    for room in rooms:
        module = importlib.import_module(f"shallows.{room}")
        page = (site / f"{room}.html").read_text("utf-8")
        for name in module.__all__:
            if not name.isupper():  # constants are explained where they are used
                assert re.search(rf'id="shallows\.{room}\.[\w.]*\b{name}"', page), (room, name)


def _section(command):
    text = (DOCS / "commands.md").read_text("utf-8")
    match = re.search(rf"^## `{command}`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"docs/commands.md has no section `{command}`"
    return match[1]


def _options(command):
    """All names of options, and of arguments, which stand by themselves."""
    return [
        name
        for parameter in COMMANDS[command].params
        for name in [*parameter.opts, *parameter.secondary_opts]
    ]


def _rows(command):
    """The table that ends with `--help`: options, and arguments before them."""
    match = re.search(
        r"^\| option \|.*?\n((?:\|.*\n)+?)\| `--help`", _section(command), re.MULTILINE
    )
    assert match, f"the section `{command}` has no table of options that ends with `--help`"
    return [row for row in match[1].splitlines() if row.startswith("| `")]


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_documented_with_each_of_its_options(command):
    cells = [row.split(" | ")[0] for row in _rows(command)]
    documented = re.findall(r"`([^`]+)`", " ".join(cells))
    assert set(documented) == set(_options(command))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_help_that_ends_with_an_example(command, tmp_path):
    text = _run("-m", "shallows", command, "--help", cwd=tmp_path)
    example = re.search(rf"Example: (shallows {command}\b.*)\Z", text.strip(), re.DOTALL)
    assert example
    _, name, *words = shlex.split(example[1])  # long ones are wrapped
    assert name == command
    taken = {word for word in words if re.match(r"--?[a-z]", word)}
    assert taken <= set(_options(command))
    for option in COMMANDS[command].params:
        assert getattr(option, "help", ""), option.name


def test_every_json_key_is_documented():
    # A real census: `method`, `step` and `teacher_neurons` were once missing from a made-up one.
    from shallows import Gaussian, GradientDescent, SquaredLoss, census, orthonormal

    loss = SquaredLoss(orthonormal(2), Gaussian(2))
    document = census(loss, 2, GradientDescent(), curves=False).as_json()
    keys = {*document, *document["families"][0], *document["families"][0]["spectrum"][0]}
    assert {"neurons", "method", "weights", "eigenvalue"} <= keys
    section = _section("census")
    first_cells = " ".join(re.findall(r"^\| (.*?) \|", section, re.MULTILINE))
    missing = [key for key in keys if f"`{key}`" not in first_cells and f'"{key}"' not in section]
    assert not missing


def _keys(document):
    """All keys but those of evidence, provenance, ends and series, which depend on the question."""
    if isinstance(document, list):
        return {key for item in document for key in _keys(item)}
    if not isinstance(document, dict):
        return set()
    open_ = {"evidence", "provenance", "ends", "unsettled"}
    nested = [v for k, v in document.items() if k not in open_ and not k.startswith("ξ")]
    return {*(k for k in document if not k.startswith("ξ")), *_keys(nested)}


QUESTIONS = [
    ("family", "II", "-k", "6", "--extra", "1"),
    ("threshold", "II"),
    ("compare", "II", "I", "-k", "6"),
    ("arcs", "II", "-k", "6", "--minimising", "--cuts", "1"),
    ("basin", "II", "-k", "6", "--radii", "0.5", "--starts", "2"),
    ("slice", "--from", "II", "--to", "global", "-k", "6", "--points", "3"),
    ("slice", "--from", "II", "--to", "global", "--through", "A", "-k", "6", "--points", "3"),
    ("slice", "--from", "II", "--split", "5", "-k", "6", "--points", "3"),
    ("series", "II", "--terms", "1"),
    ("certify", "II", "-k", "6", "--out", "II.json"),
    ("theorem", "spurious", "--from", "6", "--to", "7"),
    ("theorem", "spurious", "--real", "--from", "6", "--to", "7"),
    ("portrait", "-k", "2"),
    ("order", "--activation", "erf", "--until", "1", "--simulate", "9", "--runs", "2"),
    ("papers",),
    ("run", "arjevani-field-2020-hessian"),
    ("report", "rolnick-kording-2019", "--run", "smoke"),
    ("cite", "tian2017"),
]


# Tens of seconds each, most of it compilation.
_LONG = {"theorem", "basin", "slice", "portrait", "run", "report"}
_QUESTIONS = [
    pytest.param(words, id=words[0], marks=[pytest.mark.slow] if words[0] in _LONG else [])
    for words in QUESTIONS
]


@pytest.mark.parametrize("words", _QUESTIONS)
def test_every_json_key_of_a_command_is_documented(words, tmp_path):
    document = json.loads(_run("-m", "shallows", *words, "--json", cwd=tmp_path))
    section = _section(words[0])
    assert not {key for key in _keys(document) if f"`{key}`" not in section}
    written = {"certify": "II.json", "theorem": "theorem.json"}.get(words[0])
    if written:
        again = json.loads(_run("-m", "shallows", "verify", written, "--json", cwd=tmp_path))
        assert not {k for k in again if f"`{k}`" not in _section("verify") + section}
        page = (DOCS / "certify.md").read_text("utf-8")
        fields = json.loads((tmp_path / written).read_text("utf-8"))
        assert not {key for key in _keys(fields) if f"`{key}`" not in page}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_word_that_an_option_takes_is_documented(command):
    """`--law sphere` was in the help and not on the page."""
    rows = _rows(command)
    for option in COMMANDS[command].params:
        row = next(row for row in rows if f"`{option.opts[0]}`" in row.split(" | ")[0])
        for word in re.findall(r"`([A-Za-z]+(?::[A-Z])?)`", getattr(option, "help", None) or ""):
            assert f"`{word}`" in row, (option.opts, word)


def test_every_outcome_and_exit_status_is_documented():
    from shallows.solve import Outcome

    for outcome in Outcome:
        assert f"| `{outcome.name}` |" in _section("census")
    text = (DOCS / "commands.md").read_text("utf-8")
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == ["0", "1", "2", "130"]


# Tutorials train, which takes each of them ten seconds.
_SHOWN = [
    pytest.param(page, id=page.name, marks=[pytest.mark.slow] * (page.parent.name == "tutorials"))
    for page in SHOWN
]


@pytest.mark.parametrize("page", _SHOWN)
def test_python_that_is_shown_runs(page, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    named = r'^```python title="(\w+\.py)"\n(.*?)^```'
    for name, text in re.findall(named, page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "blocks.py").write_text("\n".join(blocks), "utf-8")
    _run("blocks.py", cwd=tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(example, tmp_path):
    if "sklearn" in example.read_text("utf-8"):
        pytest.importorskip("sklearn")
    out = _run(str(example), cwd=tmp_path)
    expected = {
        "digits": "shallows census --law digits.npz -k 10 --starts 20 --optimiser gd",
        "first_census": "50 of 50 starts settled",
        "hessian_of_a_point": "smallest eigenvalue  0.00470",  # facts: published as 0.0047
        "own_teacher": "20 of 20 starts settled",
    }
    assert expected[example.stem] in out


def test_digits_example_writes_what_the_command_line_reads(tmp_path):
    pytest.importorskip("sklearn")
    import numpy as np

    from shallows.cli.problems import law_in
    from shallows.model import Sample

    _run(str(ROOT / "examples" / "digits.py"), cwd=tmp_path)
    law = law_in(tmp_path / "digits.npz")
    assert isinstance(law, Sample)
    assert (law.size, law.inputs) == (1797, 10)
    moment = (
        np.load(tmp_path / "digits.npz")["inputs"].T @ np.load(tmp_path / "digits.npz")["inputs"]
    )
    assert np.allclose(moment / 1797, np.eye(10), atol=1e-12)


def _docstrings():
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text:
                    yield f"{path.name}: {getattr(node, 'name', 'module')}", text


def _bibliography():
    from shallows.report import bibliography

    return [(key, one.fields) for key, one in bibliography().items()]


def _surnames(fields):
    return [author.split(",")[0] for author in fields["author"].split(" and ")]


def _resolves(surnames, year, entries):
    return any(
        fields["year"] == year and all(name in surnames for name in _surnames(fields))
        for _, fields in entries
    )


_NAME = r"[A-Z][\w\-]+"
_CITED = re.compile(
    rf"((?:{_NAME}(?:, | & | and ))*{_NAME})\s+\(((?:19|20)\d\d(?:, (?:19|20)\d\d)*)\)"
)


def test_every_source_is_in_the_bibliography():
    """Author-year and arXiv numbers anywhere in a docstring, not only after **Source.**"""
    entries = _bibliography()
    assert len({key for key, _ in entries}) == len(entries) >= 10
    numbers = {fields.get("eprint") for _, fields in entries}
    cited = 0
    for where, text in _docstrings():
        flat = " ".join(text.split())
        for names, years in _CITED.findall(flat):
            surnames = re.split(r", | & | and ", names)
            for year in years.split(", "):
                cited += 1
                assert _resolves(surnames, year, entries), (where, names, year)
        for number in re.findall(r"\b\d{4}\.\d{5}\b", flat):
            cited += 1
            assert number in numbers, (where, number)
        for lead in re.findall(r"\*\*Source\.\*\* (.{0,200})", flat):
            assert re.search(r"\(?(19|20)\d\d\)?|\d{4}\.\d{5}|\b[Ff]acts\b", lead), (where, lead)
    assert cited >= 10


def test_a_source_that_is_nowhere_is_noticed():
    entries = _bibliography()
    assert _resolves(["Safran", "Shamir"], "2018", entries)
    assert not _resolves(["Safran", "Shamir"], "2019", entries)
    assert not _resolves(["Shamir"], "2018", entries)


def test_every_entry_of_the_bibliography_is_on_its_page(site):
    page = (site / "references.html").read_text("utf-8")
    for key, fields in _bibliography():
        assert key in page
        assert fields["year"] in page


def test_every_paper_has_a_page_with_its_claims(site):
    from shallows.papers import shelf

    index = (site / "papers.html").read_text("utf-8")
    for key, paper in shelf().items():
        page = (site / "papers" / f"{key}.html").read_text("utf-8")
        assert f"shallows run {key} --scale desk" in re.sub("<[^>]+>", "", page)
        kept = DOCS / "papers" / f"{key}.json"
        claims = json.loads(kept.read_text("utf-8"))["claims"] if kept.exists() else []
        assert {claim["id"] for claim in claims} <= {claim.id for claim in paper.claims}
        verdicts = {claim["id"]: claim["verdict"] for claim in claims}
        for claim in paper.claims:
            assert f'id="{claim.id}"' in page
            verdict = verdicts.get(claim.id, "not run")
            link = rf'<a class="verdict [\w-]+" href="papers/{key}\.html#{claim.id}">[^<]*'
            assert re.search(rf"{link}<strong>{verdict}</strong>", index), (key, claim.id)


def test_the_skeleton_is_shown_and_can_be_copied(site):
    page = (site / "adding-a-paper.html").read_text("utf-8")
    assert "PAPER" in page
    assert "skeleton.py -->" not in page
    assert (site / "papers" / "skeleton.py").read_text("utf-8").startswith('"""Cho')


def test_citation_states_the_licence_and_no_second_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert "license: Apache-2.0" in text
    # The version lives in one place, src/shallows/__init__.py.
    assert not re.search(r"^version:", text, re.MULTILINE)
