"""Shares and the words around them."""

import math

import hypothesis as hp
import hypothesis.strategies as st
import pytest
from catalogues import census, family, nothing_settled, reference_census, single_neuron
from scipy.stats import binomtest

from shallows.report import Share, wilson_interval
from shallows.report.words import (
    answer_sentence,
    duration,
    exact,
    large,
    question_sentence,
    significant,
    value,
)


@hp.given(st.integers(1, 5000), st.data(), st.floats(0.5, 0.999))
def test_wilson_interval_is_that_of_scipy(total, data, confidence):
    count = data.draw(st.integers(0, total))
    expected = binomtest(count, total).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(count, total, confidence=confidence)
    assert low == pytest.approx(expected.low, rel=1e-10, abs=1e-12)
    assert high == pytest.approx(expected.high, rel=1e-10, abs=1e-12)
    assert 0 <= low <= count / total <= high <= 1


@pytest.mark.parametrize(("count", "total"), [(1, 0), (-1, 10), (11, 10)])
def test_impossible_counts_are_refused_with_a_remedy(count, total):
    with pytest.raises(ValueError, match=rf"count={count} and total={total}.*Count the starts"):
        wilson_interval(count, total)


def test_impossible_confidence_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match=r"confidence=95.*Pass e\.g\. 0\.95"):
        wilson_interval(1, 2, confidence=95)


def test_share_reads_as_percent_with_interval():
    assert str(Share(651, 1000)) == "65.1 % [62.1, 68.0]"


def test_question_and_answer_of_the_reference_census():
    found = reference_census()
    assert question_sentence(found) == (
        "Which critical points does gradient descent with step 0.5 find from 1000 random starts, "
        "with k = 10 student neurons and d = 10 inputs (teacher: orthonormal; "
        "law of the inputs: standard Gaussian; trained: inner weights; start: 0.31623; seed 0)?"
    )
    assert answer_sentence(found) == (
        "996 of 1000 starts settled, in 3 families; the global minimum was found by "
        "65.1 % [62.1, 68.0] of the starts."
    )


def test_answers_without_families_or_without_the_global_minimum():
    assert answer_sentence(nothing_settled()) == (
        "0 of 50 starts settled, so there is no family to show."
    )
    assert answer_sentence(census([family("II", flipped=1, count=100)], starts=100)) == (
        "100 of 100 starts settled, in 1 family; none of them is named the global minimum "
        "(0 of 100, so at most 3.7 % at 95 % confidence)."
    )
    assert "in 1 family;" in answer_sentence(single_neuron())


def test_a_sparse_question_still_reads():
    found = census([], starts=1, question={"optimiser": "flow"}, unsettled={})
    expected = "Which critical points does gradient flow find from 1 random start?"
    assert question_sentence(found) == expected


def test_numbers_in_words():
    assert significant(0.018702194871) == "0.018702195"
    assert significant(math.nan) == exact(math.inf) == "not computed"
    assert exact(0.1 + 0.2) == "0.30000000000000004"
    assert large(362880) == "362\N{NARROW NO-BREAK SPACE}880"
    assert large(math.factorial(200)) == "≈ 7.887e374"
    assert [duration(s) for s in (3.14159, 812.3, 9000)] == ["3.14 s", "13.5 min", "2.5 h"]
    assert value({"sizes": (6, 10)}) == '{"sizes": [6, 10]}'
    assert [value(v) for v in (None, True, 0.1)] == ["not recorded", "yes", "0.1"]
