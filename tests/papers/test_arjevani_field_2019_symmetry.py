"""The verdicts on least symmetry breaking, from records made up to be on either side."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from shallows.certify import Verdict
from shallows.lab import Case
from shallows.papers import Scale, paper
from shallows.papers.arjevani_field_2019_symmetry import _is_diagonal

KEY = "arjevani-field-2019-symmetry"


def _point(isotropy, order, count=1, *, is_diagonal=True, is_global=False):
    return {
        "isotropy": isotropy,
        "order": order,
        "is_diagonal": is_diagonal,
        "count": count,
        "loss": 0.0 if is_global else 0.1,
        "is_global": is_global,
        "kind": "minimum",
        "smallest_eigenvalue": 0.1,
    }


def _record(what, points, target_order=24, settled=10):
    case = {"what": what, "law": "standard", "activation": "relu", "optimiser": "descent"}
    data = {**case, "neurons": 4, "starts": 10}
    values = {"target_order": target_order, "settled": settled, "points": points}
    return SimpleNamespace(case=Case(data), values=values)


def _judged(*records):
    return paper(KEY).judge(records)


def test_one_minimum_without_symmetry_is_a_counterexample_and_said_to_be_one():
    kept, broken = _point("Δ(S3×S1)", 6, 9), _point("trivial", 1)
    assert _judged(_record("laws", [kept]))["laws"].verdict is Verdict.SUPPORTED
    found = _judged(_record("laws", [kept, broken]))["laws"]
    assert found.verdict is Verdict.CONTRADICTED
    assert "Of 10 runs that ended in spurious minima 9 ended" in found.summary
    assert "Counterexamples: 1 of 10 at standard, relu, k = 4." in found.summary
    (row,) = found.numbers["censuses"].values()
    assert [m["index"] for m in row["minima"]] == [4, 24]


def test_symmetry_that_is_not_the_targets_does_not_count_as_kept():
    found = _judged(_record("activations", [_point("S2(students)", 2, is_diagonal=False)]))
    assert found["activations"].verdict is Verdict.CONTRADICTED


def test_global_minima_decide_nothing_and_runs_that_did_not_settle_are_said():
    found = _judged(_record("laws", [_point("ΔS4", 24, is_global=True)], settled=1))["laws"]
    assert found.verdict is Verdict.UNDECIDED
    assert "standard, relu, k = 4 (1 of 10 runs settled)" in found.summary


def test_symmetry_where_the_law_has_none_contradicts():
    with_none, with_some = _point("trivial", 1), _point("Δ(S2×S1×S1)", 2)
    for points, verdict in (
        ([with_none], Verdict.SUPPORTED),
        ([with_none, with_some], Verdict.CONTRADICTED),
    ):
        assert _judged(_record("forced", points, 1))["forced"].verdict is verdict


def test_groups_are_diagonal_by_name_or_by_their_elements():
    cyclic = sum(np.roll(np.eye(3), i, axis=1) * (i + 1) for i in range(3))
    for name, order, expected in (
        ("Δ(S7×S1)", 5040, True),
        ("trivial", 1, True),
        ("S2(students)", 2, False),
        ("Δ(S8[2:1])", 40320, False),
        ("Δ(S8)+1", 40320, False),
        ("ΔS3 × S2(inputs)", 12, False),
        ("non-product of order 3", 3, True),
        ("non-product of order 4", 4, False),
    ):
        family: Any = SimpleNamespace(
            isotropy=name, isotropy_order=order, weights=cyclic, outer=np.ones(3)
        )
        assert _is_diagonal(family) is expected, name


def test_every_claim_is_asked_about_at_desk_scale():
    entry = paper(KEY)
    asked = {case.data["what"] for case in entry.cases(Scale.desk)}
    assert asked == {claim.id for claim in entry.claims}
