"""What mkdocs does not do by itself: formulas as MathML, references, and a page for each paper.

Browsers draw MathML without a script, so that the site needs none from elsewhere and reads
the same from disk. Pages of papers are made of what the shelf holds (claims and sources), of the
document that `shallows run KEY --scale desk --json` printed when it was last kept
(docs/papers/KEY.json), of what there is to say besides (docs/papers/KEY.md) and of figures.
"""

import html
import json
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

from shallows.papers import shelf
from shallows.report import bibliography

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
_SHELF, _CLAIMS, _REFERENCES = "<!-- shelf -->", "<!-- claims -->", "<!-- references.bib -->"
_SKELETON = "<!-- skeleton.py -->"


def on_config(config, **_):
    """Put the pages of papers below their index."""
    pages = [{key: f"papers/{key}.md"} for key in sorted(shelf())]
    for entry in config["nav"]:
        if isinstance(entry, dict) and "Papers" in entry:
            entry["Papers"] += pages
    return config


def on_files(files, config, **_):
    """Make the page of each paper."""
    docs = Path(config["docs_dir"])
    for key, paper in sorted(shelf().items()):
        path = f"papers/{key}.md"
        notes = files.get_file_from_path(path)
        if notes is not None:
            files.remove(notes)
        text = "" if notes is None else notes.content_string
        files.append(File.generated(config, path, content=_page(paper, text, docs)))
    return files


def on_page_content(content: str, **_) -> str:
    """Replace the TeX that arithmatex has marked by MathML."""
    return _FORMULA.sub(_mathml, content)


def on_page_markdown(markdown: str, config, **_) -> str:
    """Replace placeholders: the list of references, the index of the shelf, the skeleton."""
    docs = Path(config["docs_dir"])
    if _REFERENCES in markdown:
        lines = [_reference(one) for one in bibliography().values()]
        markdown = markdown.replace(_REFERENCES, "\n".join(lines))
    if _SHELF in markdown:
        markdown = markdown.replace(_SHELF, _index(docs))
    if _SKELETON in markdown:
        code = (docs / "papers" / "skeleton.py").read_text("utf-8")
        markdown = markdown.replace(_SKELETON, f"```py\n{code}```")
    return markdown


def _page(paper, notes: str, docs: Path) -> str:
    """The notes may say where the claims go; else these come first."""
    reference = bibliography()[paper.source]
    lead = f"`{paper.key}`: {_reference(reference).removeprefix('* ').partition(': ')[2]}"
    code = f"```sh\nshallows run {paper.key} --scale desk\nshallows cite {paper.key}\n```"
    claims = _claims(paper, _kept(paper.key, docs))
    body = notes.replace(_CLAIMS, claims) if _CLAIMS in notes else f"{claims}\n\n{notes}"
    pictures = [
        f"![{picture.caption}](../figures/papers/{paper.key}-{number}.png)\n\n*{picture.caption}*"
        for number, picture in enumerate(paper.pictures, 1)
        if (docs / "figures" / "papers" / f"{paper.key}-{number}.png").exists()
    ]
    return "\n\n".join([f"# {paper.title}", lead, code, body, *pictures]) + "\n"


def _kept(key: str, docs: Path) -> dict[str, dict]:
    """Claims by id, of the document that was kept; none if there is none."""
    path = docs / "papers" / f"{key}.json"
    if not path.exists():
        return {}
    return {claim["id"]: claim for claim in json.loads(path.read_text("utf-8"))["claims"]}


def _claims(paper, kept: dict[str, dict]) -> str:
    rows = [
        "| claim | statement | source | verdict | evidence |",
        "| --- | --- | --- | --- | --- |",
    ]
    for claim in paper.claims:
        found = kept.get(claim.id)
        words = _plain(claim.statement) + ("" if claim.is_wording_known else " (*our reading*)")
        verdict = "not run" if found is None else found["verdict"]
        evidence = "" if found is None else _plain(found["evidence"]["summary"])
        cells = [f"`{claim.id}`{{ #{claim.id} }}", words, _plain(claim.source), verdict, evidence]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _index(docs: Path) -> str:
    rows = ["| paper | claims |", "| --- | --- |"]
    for key, paper in sorted(shelf().items()):
        kept = _kept(key, docs)
        cells = []
        for claim in paper.claims:
            verdict = kept[claim.id]["verdict"] if claim.id in kept else "not run"
            style = verdict.lower().replace(" ", "-")
            link = f"[{claim.id} **{verdict}**](papers/{key}.md#{claim.id})"
            cells.append(f"{link}{{ .verdict .{style} }}")
        rows.append(f"| [{paper.title}](papers/{key}.md), `{key}` | {' '.join(cells)} |")
    return "\n".join(rows)


def _plain(text: str) -> str:
    """Words that Markdown leaves as they are; code in backticks stays code."""
    return re.sub(r"([*|<\[\]])", r"\\\1", text)


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match["tag"] == "div" else "inline"
    formula = convert(html.unescape(match["tex"]), display=display)
    return f'<{match["tag"]} class="arithmatex">{formula}</{match["tag"]}>'


def _reference(one) -> str:
    where = list(one.where)
    if one.arxiv:
        where.append(f"[arXiv:{one.arxiv}](https://arxiv.org/abs/{one.arxiv})")
    authors = "; ".join(one.authors)
    return f"* `{one.key}`: {authors} ({one.fields['year']}). *{one.title}.* {'. '.join(where)}."
