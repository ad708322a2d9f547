"""Arcs out of named families: which component, where they end, and what is proved of it."""

from typing import Any

import numpy as np
import pytest

from shallows.atlas import arcs_compared, discover, member
from shallows.atlas.arcs import arcs
from shallows.certify import Verdict
from shallows.solve import ArcOutcome
from shallows.symmetry import Blocks, block_isotropy, isotropy


def out_of(*arguments, **more) -> Any:
    """`arcs`; what ends are known to be there is not known to a type-checker."""
    return arcs(*arguments, **more)


def compared(*arguments, **more) -> Any:
    return arcs_compared(*arguments, **more)


@pytest.fixture(scope="module")
def out_of_two():
    return out_of("II", 10, cuts=(1, 2), only_minimising=True)


@pytest.mark.parametrize(
    ("name", "component"), [("II", "standard"), ("A", "exterior"), ("I", "exterior")]
)
@pytest.mark.parametrize("neurons", [10, 1000])
def test_the_minimising_arc_of_hidden_families_is_in_the_exterior_square(name, component, neurons):
    found = out_of(name, neurons, cuts=(1,), only_minimising=True, with_proofs=False)
    # facts, 3.5: s for II and x for A and I, with these eigenvalues at k = 10.
    assert {one.departure.representation.value for one in found} == {component}
    assert all(one.is_minimising for one in found)
    assert all(one.arc.outcome is ArcOutcome.critical_point for one in found)
    least = float(member(name, neurons).spectrum()[0].eigenvalue)
    assert all(abs(one.arc.eigenvalue - least) < 1e-12 for one in found)
    if neurons == 10:
        published = {"II": 0.0319640276, "A": 0.0174883386, "I": 0.0148814237}[name]
        assert abs(least - published) < 1e-10


def test_ends_are_certified_critical_points(out_of_two):
    assert [one.end.certified for one in out_of_two] == [Verdict.PROVED] * 4
    assert [one.end.kind.value for one in out_of_two] == ["saddle"] * 4
    assert [one.end.index for one in out_of_two] == [1, 1, 2, 9]
    # A cut of 7 and 2 ends in a group that is larger than the arc's: three neurons are alike.
    last = out_of_two[-1]
    assert (last.isotropy, last.end.isotropy) == ("Δ(S7×S2×S1)", "Δ(S7×S3)")
    assert max(one.end.gradient_norm for one in out_of_two) < 1e-13
    origin = out_of_two[0].origin
    for one in out_of_two:
        # From a minimum the loss rises: the end is the highest point of these arcs.
        assert abs(one.arc.barrier - (one.end.loss - origin.value)) < 1e-12


def test_neighbours_meet_at_the_same_saddle():
    # One arc out of II and one out of flipped:2, other sides of a pass.
    two = out_of("II", 20, cuts=(1,), only_minimising=True, with_proofs=False)
    pair = out_of("flipped:2", 20, cuts=(1,), only_minimising=True, with_proofs=False)
    losses = [one.end.loss for one in two]
    assert min(abs(x - pair[0].end.loss) for x in losses) < 1e-12
    assert pair[0].end.isotropy == "Δ(S18×S1×S1)"


@pytest.mark.slow
def test_an_end_is_among_the_points_that_a_search_finds():
    (one,) = out_of("A", 6, cuts=(1,), only_minimising=True, with_proofs=False)
    found = discover((4, 1, 1))
    assert any(abs(one.end.loss - other.loss) < 1e-10 for other in found)


def test_a_million_neurons_take_no_longer():
    (one,) = out_of("A", 10**6, cuts=(1,), only_minimising=True)
    assert one.end.certified is Verdict.PROVED
    assert one.end.isotropy == "Δ(S999998×S1×S1)"
    assert (one.end.index, one.end.flipped) == (1, 999_999)
    assert abs(one.end.distance - 1.0442) < 1e-4
    assert one.as_json()["end"]["name"].startswith("unnamed:")


def test_barriers_of_both_types_have_one_limit():
    rows = [compared(name, 10**5, cuts=(1,)) for name in ("II", "A", "I")]
    barriers = [row.lowest.arc.barrier for row in rows]
    assert max(barriers) - min(barriers) < 5e-6
    assert 0.01400 < min(barriers) < max(barriers) < 0.01402
    assert all(row.nearest.end.distance < 1.05 for row in rows)


def test_a_size_that_is_not_reached_says_why():
    gone = compared("intermediate:6", 9)
    assert gone.lowest is None
    assert "intermediate:6" in gone.reason


def test_misuse_is_explained():
    with pytest.raises(ValueError, match="`global` at k = 10 is the global minimum"):
        out_of("global", 10)
    with pytest.raises(ValueError, match="no family called 'B'"):
        out_of("B", 10)
    with pytest.raises(ValueError, match="no direction"):
        out_of("II", 10, cuts=(8,), only_minimising=True)


def test_a_stage_is_told_for_every_arc():
    told = []
    found = out_of(
        "A",
        7,
        cuts=(1,),
        only_minimising=True,
        with_proofs=False,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(i + 1, len(found)) for i in range(len(found))]


def test_groups_of_block_points_are_those_of_the_matrices():
    rng = np.random.default_rng(0)
    for blocks in (
        Blocks((5, 3, 1)),
        Blocks((4, 4, 1, 1)),
        Blocks((6, 1), columns=(0, 1)),
        Blocks((2, 2, 2, 1)),
    ):
        for values in (2, 3, 5, 20):
            point = rng.integers(values, size=len(blocks.orbits)) / 7 - 1.0
            assert block_isotropy(blocks, point)[0] == isotropy(blocks.embed(point)).name


def test_groups_of_large_block_points_are_called_by_their_sizes():
    # II at any size, seen in finer blocks.
    found = member("II", 10**5)
    loss, split = found.loss.cut({0: (10**5 - 4, 2, 1)})
    point = np.array([float(x) for x in found.point])[split.coarse]
    assert block_isotropy(loss.blocks, point) == ("Δ(S99999×S1)", 1)
    # Two blocks of one size that can be exchanged.
    halves = Blocks((500, 500))
    value = {True: 1.0, False: 0.0, None: 0.25}
    point = [value[o.is_diagonal] for o in halves.orbits]
    assert block_isotropy(halves, point) == ("non-product ⊃ Δ(S500×S500)", 0)
    # Relabelled: the two single neurons sit on each other's teachers.
    swapped = Blocks((1000, 1, 1))
    on = {(0, 0), (1, 2), (2, 1)}
    point = [float((o.row, o.column) in on and o.is_diagonal is not False) for o in swapped.orbits]
    assert block_isotropy(swapped, point) == ("ΔS1002", 0)
