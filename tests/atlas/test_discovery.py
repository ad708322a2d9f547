"""Critical points in fixed-point spaces: what is known is found again, under its name."""

import numpy as np
import pytest

from shallows.atlas import Kind
from shallows.atlas.discovery import Discovery, Search, discover
from shallows.atlas.families import member
from shallows.symmetry import Blocks, ReducedLoss


def names(found):
    return {d.name for d in found if d.kind is Kind.minimum}


def test_both_sheets_are_found_among_two_blocks():
    found = discover((12, 8), Search(starts=200, rounds=1, steps=80))
    assert {"global", "A", "flipped:8", "unflipped:12"} <= names(found)
    for d in found:
        assert isinstance(d, Discovery)
        assert d.count > 0
        assert d.gradient_norm < 1e-10
        assert np.max(np.abs(d.reduced.gradient(d.point))) < 1e-9
        assert (d.negative > 0) == (d.kind is Kind.saddle)
    losses = [d.loss for d in found]
    assert losses == sorted(losses)
    # A point of larger symmetry than the blocks' says so.
    whole = next(d for d in found if d.name == "A")
    assert (whole.isotropy, whole.is_larger, whole.flipped) == ("ΔS20", True, 20)
    own = next(d for d in found if d.name == "flipped:8")
    assert (own.isotropy, own.is_larger, own.flipped) == ("Δ(S12×S8)", False, 8)
    assert abs(own.loss - member("flipped:8", 20).value) < 1e-12


@pytest.mark.slow
def test_three_blocks_hold_the_intermediate_family():
    found = discover((13, 6, 1), Search(starts=200, rounds=1, steps=80))
    between = next(d for d in found if d.name == "intermediate:6")
    assert between.kind is Kind.minimum
    assert not between.is_larger
    assert abs(between.loss - member("intermediate:6", 20).value) < 1e-12
    assert {"global", "II", "A", "I"} <= names(found)


def test_deflation_finds_what_the_first_round_missed():
    few = Search(starts=20, rounds=1)
    once, twice = discover((4, 2), few), discover((4, 2), Search(starts=20, rounds=3))
    assert len(twice) > len(once)
    assert {d.name for d in once} <= {d.name for d in twice}


def test_a_search_can_be_repeated():
    how = Search(starts=40, rounds=2, seed=3)
    first, second = discover(Blocks((5,)), how), discover((5,), how)
    assert [(d.name, d.loss, d.count) for d in first] == [(d.name, d.loss, d.count) for d in second]
    assert discover(ReducedLoss(Blocks((5,))), how)[0].name == "global"


def test_what_cannot_be_searched_is_refused():
    with pytest.raises(ValueError, match="up to 100 neurons, but these blocks have 101"):
        discover((100, 1))
    with pytest.raises(ValueError, match="whole sizes"):
        discover(Blocks((2.5, 1)))
