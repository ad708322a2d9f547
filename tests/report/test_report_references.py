"""The bibliography: every entry of the file is read, and printed as it stands."""

import importlib.resources
import re

from shallows.report import bibliography


def test_every_entry_of_the_file_is_read():
    text = (
        importlib.resources.files("shallows.report").joinpath("references.bib").read_text("utf-8")
    )
    found = bibliography()
    assert list(found) == re.findall(r"^@\w+\{([^,]+),$", text, re.MULTILINE)
    for key, one in found.items():
        assert one.bibtex in text
        assert one.bibtex.count("{") == one.bibtex.count("}")
        assert one.fields.keys() >= {"author", "title", "year"}, key
        assert re.fullmatch(r"\d{4}", one.fields["year"])
        # All lines but the first and the last are fields.
        assert len(one.fields) == len(one.bibtex.splitlines()) - 2, key


def test_a_reference_in_words():
    tian = bibliography()["tian2017"]
    assert tian.authors == ["Tian, Yuandong"]
    assert tian.title.startswith(
        "An Analytical Formula of Population Gradient for Two-Layered ReLU "
    )
    assert tian.arxiv == "1703.00560"
    assert tian.text.startswith("Tian, Yuandong (2017). An Analytical Formula")
    assert tian.text.endswith("International Conference on Machine Learning. arXiv:1703.00560.")
    assert "Dokmanić, Ivan" in bibliography()["puthawala2022"].authors
    for one in bibliography().values():
        assert not re.search(r"[{}\\]", one.text), one.text
