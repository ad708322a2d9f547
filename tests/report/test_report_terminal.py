"""The tables of the terminal, at one hundred columns."""

import dataclasses
import io

import pytest
from catalogues import (
    many_families,
    nothing_settled,
    range_of_sizes,
    rectangular,
    reference_census,
    single_neuron,
)
from rich.console import Console

from shallows.atlas.catalogue import Proof
from shallows.certify.verdict import Verdict
from shallows.report import families_table, proofs_table, sizes_table


def printed(table, width=100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_reference_census_fits_and_tells_every_number():
    text = printed(families_table(reference_census()))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    expected = {
        "global": "ΔS10 0 651 65.1 [62.1, 68.0] 4.8146e-30 0.0908451 minimum",
        "II": "Δ(S9×S1) 1 311 31.1 [28.3, 34.0] 0.018702195 0.031964 minimum",
        "flipped:2": "Δ(S8×S2) 2 34 3.4 [2.4, 4.7] 0.035326882 0.015992 minimum",
    }
    for name, rest in expected.items():
        assert f"{name} {rest}" in [" ".join(line.split()) for line in lines]
    assert "k = 10, d = 10" in lines[0]
    assert "996 of 1000 starts settled, in 3 families" in text


@pytest.mark.parametrize("make", [many_families, nothing_settled, rectangular, single_neuron])
def test_nasty_censuses_fit_without_cut_numbers(make):
    found = make()
    text = printed(families_table(found))
    assert max(map(len, text.splitlines())) <= 100
    for member in found.families:
        assert f"{member.loss:.8g}" in text
        assert member.kind.value in text


def test_square_brackets_in_a_name_are_not_markup():
    assert "[bold]" not in printed(families_table(reference_census()))
    folded = "".join(
        line[:20].strip() for line in printed(families_table(many_families())).split("\n")
    )
    assert "<script>alert('x')</script>" in folded


def test_proofs_fit_and_say_why_nothing_is_proved():
    loss, least = ("-0.018702194585606972", "0.018702194585606973"), ("0.031", "0.032")
    document = object()
    proofs = [
        Proof(Verdict.PROVED, None, ("0", "0"), None, "It is the teacher."),
        Proof(Verdict.PROVED, 1234, loss, least, "It is a saddle.", document),
        Proof(Verdict.UNDECIDED, None, None, None, "Nothing was proved: [bold] neurons meet."),
    ]
    found = reference_census()
    families = [
        dataclasses.replace(family, proof=proof)
        for family, proof in zip(found.families, proofs, strict=True)
    ]
    text = printed(proofs_table(dataclasses.replace(found, families=tuple(families))))
    assert max(map(len, text.splitlines())) <= 100
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "global PROVED global minimum 0 0" in lines
    assert f"II PROVED saddle of index 1234 {loss[0]} {loss[1]}" in lines
    assert "flipped:2 UNDECIDED nothing – –" in lines
    assert "flipped:2: Nothing was proved: [bold] neurons meet." in text
    assert Proof(Verdict.PROVED, 0, loss, least, "", document).words == "minimum"
    assert Proof(Verdict.PROVED, None, loss, least, "", document).words == "critical point"


def test_sizes_fit_and_are_in_order():
    text = printed(sizes_table([*reversed(range_of_sizes(range(6, 9))), nothing_settled()]))
    lines = [line for line in text.splitlines() if line.strip()]
    assert max(map(len, lines)) <= 100
    assert [line.split()[0] for line in lines[3:]] == ["6", "7", "8", "10"]
    assert lines[-1].split()[:4] == ["10", "50", "0", "0"]
