"""The bibliography: what docstrings and the shelf name as their sources, as BibTeX and as text."""

import dataclasses
import functools
import importlib.resources
import re
import unicodedata
from collections.abc import Mapping

_ENTRY = re.compile(r"^@\w+\{([^,]+),\n(.*?)\n\}$", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
_WHERE = ("journal", "booktitle", "publisher")
_ACCENT = re.compile(r"\\(['`\"^~cv])\s*\{?(\w)\}?")
_COMBINING = {"'": 0x301, "`": 0x300, '"': 0x308, "^": 0x302, "~": 0x303, "c": 0x327, "v": 0x30C}


@dataclasses.dataclass(frozen=True)
class Reference:
    """An entry of the bibliography."""

    key: str
    fields: Mapping[str, str]
    bibtex: str
    """As it stands in the file."""

    @property
    def authors(self) -> list[str]:
        """Each as `Surname, Names`."""
        return _plain(self.fields["author"]).split(" and ")

    @property
    def title(self) -> str:
        """Without the braces that keep BibTeX from lowering capitals."""
        return _plain(self.fields["title"])

    @property
    def where(self) -> list[str]:
        """Where it was published, apart from arXiv."""
        return [_plain(self.fields[name]) for name in _WHERE if name in self.fields]

    @property
    def text(self) -> str:
        """In one line, without markup."""
        where = [*self.where, *([f"arXiv:{self.arxiv}"] if self.arxiv else [])]
        parts = [f"{'; '.join(self.authors)} ({self.fields['year']}). {self.title}", *where]
        return ". ".join(parts) + "."

    @property
    def arxiv(self) -> str | None:
        """Its number there."""
        return self.fields.get("eprint")


@functools.cache
def bibliography() -> Mapping[str, Reference]:
    """All references by key, in the order of the file.

    **Source.** `references.bib` beside this file, one field a line; the facts of each entry are
    those of its publisher or of arXiv.
    """
    text = (
        importlib.resources.files("shallows.report").joinpath("references.bib").read_text("utf-8")
    )
    return {
        match[1]: Reference(match[1], dict(_FIELD.findall(match[2])), match[0])
        for match in _ENTRY.finditer(text)
    }


def _plain(text: str) -> str:
    """Text without TeX: accents become letters, braces go."""

    def letter(match: re.Match[str]) -> str:
        return unicodedata.normalize("NFC", match[2] + chr(_COMBINING[match[1]]))

    return re.sub(r"[{}]", "", _ACCENT.sub(letter, text)).replace(r"\&", "&")
