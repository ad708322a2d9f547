"""What mkdocs does not do by itself: formulas as MathML, and the list of references.

Browsers draw MathML without a script, so that the site needs none from elsewhere and reads
the same from disk.
"""

import html
import re
from pathlib import Path

from latex2mathml.converter import convert

_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.DOTALL
)
_ENTRY = re.compile(r"@(\w+)\{([^,]+),\n(.*?)\n\}", re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)


def on_page_content(content: str, **_) -> str:
    """Replace the TeX that arithmatex has marked by MathML."""
    return _FORMULA.sub(_mathml, content)


def on_page_markdown(markdown: str, config, **_) -> str:
    """Replace the placeholder in references.md by the entries of references.bib."""
    if "<!-- references.bib -->" not in markdown:
        return markdown
    text = (Path(config["docs_dir"]) / "references.bib").read_text("utf-8")
    return markdown.replace(
        "<!-- references.bib -->", "\n".join(_reference(*entry) for entry in entries(text))
    )


def entries(text: str) -> list[tuple[str, dict[str, str]]]:
    """The entries of a BibTeX file: key and fields, one field a line."""
    return [(key, dict(_FIELD.findall(body))) for _, key, body in _ENTRY.findall(text)]


def _mathml(match: re.Match[str]) -> str:
    display = "block" if match["tag"] == "div" else "inline"
    formula = convert(html.unescape(match["tex"]), display=display)
    return f'<{match["tag"]} class="arithmatex">{formula}</{match["tag"]}>'


def _reference(key: str, fields: dict[str, str]) -> str:
    where = [fields[name] for name in ("journal", "booktitle", "publisher") if name in fields]
    if "eprint" in fields:
        where.append(f"[arXiv:{fields['eprint']}](https://arxiv.org/abs/{fields['eprint']})")
    authors = fields["author"].replace(" and ", "; ")
    plain = fields["title"].replace("{", "").replace("}", "")
    return f"* `{key}`: {authors} ({fields['year']}). *{plain}.* {'. '.join(where)}."
