"""Basins: starts on spheres, ends counted, records reused; and bounds from counts."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from shallows import GradientDescent, Store, census, member
from shallows.atlas import (
    AlongArcs,
    Basin,
    Ring,
    Softest,
    Uniform,
    basin,
    bounds,
    clopper_pearson,
    missed,
)
from shallows.atlas.basins import _problem, centre
from shallows.atlas.catalogue import Census


@pytest.mark.parametrize("confidence", [0.9, 0.95])
@pytest.mark.parametrize(("count", "total"), [(0, 1000), (1, 7), (5, 9), (30, 30), (70, 200)])
def test_clopper_pearson_is_that_of_scipy_and_what_its_definition_says(count, total, confidence):
    low, high = clopper_pearson(count, total, confidence=confidence)
    theirs = binomtest(count, total).proportion_ci(confidence_level=confidence, method="exact")
    assert np.allclose((low, high), theirs, rtol=0, atol=1e-10)
    tail = (1 - confidence) / 2
    if count:
        assert abs(binom.sf(count - 1, total, low) - tail) < 1e-10
    if count < total:
        assert abs(binom.cdf(count, total, high) - tail) < 1e-10


def _census(**more):
    question = {
        "neurons": 10,
        "inputs": 10,
        "teacher": "orthonormal, 10 neurons",
        "law": "standard Gaussian",
        "trained": "InnerWeights",
        **more,
    }
    return Census(question, 1000, 1000, 1.0, (), {}, {})


def test_no_hits_bound_a_share():
    found = missed(_census())
    assert [bound.name for bound in found] == ["A", "I", "II"]
    # (1 − p)^1000 = 0.05
    assert abs(found[0].share_below - (1 - 0.05 ** (1 / 1000))) < 1e-12
    assert str(found[0]) == "A: 0 of 1000, share below 0.30 % with 95 % confidence"
    # Whoever did not settle may have been on the way there.
    (worse,) = bounds(dataclasses.replace(_census(), settled=998), ["A"])
    assert abs(binom.cdf(2, 1000, worse.share_below) - 0.05) < 1e-10
    assert "(2 unsettled, counted as hits)" in str(worse)
    for more in ({"law": "Rotational"}, {"activation": "erf"}, {"inputs": 11}):
        assert missed(_census(**more)) == ()
    with pytest.raises(ValueError, match="between 1/2 and 1"):
        bounds(_census(), ["A"], confidence=0.5)


def _made(counts, starts=100):
    rings = tuple(
        Ring(float(r), starts, n, {"A": n}, {}, 0.1) for r, n in enumerate(counts, start=1)
    )
    return Basin("A", 10, 3.0, 0.07, "minimum", "uniform", rings, 1.0, {})


def test_half_radius_is_where_the_share_falls_through_a_half():
    found = _made([100, 90, 52, 30, 10])
    assert abs(found.half_radius - (3 + 2 / 22)) < 1e-12
    assert found.half_bracket == (2.0, 4.0)  # 52 of 100 may be less than a half
    assert _made([100, 90]).half_radius is None
    assert _made([100, 90]).half_bracket == (2.0, None)
    assert _made([20]).half_bracket == (0.0, 1.0)


def test_misuse_is_told_with_a_remedy():
    with pytest.raises(ValueError, match="`radii` must be"):
        basin("II", 6, [-1.0])
    with pytest.raises(ValueError, match="There are no radii"):
        basin("II", 6, [])
    with pytest.raises(ValueError, match="no family called"):
        basin("B", 6, [1.0])
    with pytest.raises(ValueError, match="may be at most 100"):
        basin("II", 101, [1.0])


@pytest.mark.slow
def test_starts_lie_on_spheres_in_their_directions():
    origin = member("II", 6)
    c, numbers = centre(origin), np.array([0, 3, 4])
    for where in (Uniform(5), Softest(5)):
        drawn = where.draw(origin, 0.7, 1, numbers)
        assert np.allclose(np.linalg.norm(drawn - c, axis=(1, 2)), 0.7, rtol=1e-13)
        again = where.draw(origin, 1.4, 1, numbers[1:])
        # The same directions at each distance, whatever is asked for with them.
        assert np.allclose(again - c, 2 * (drawn[1:] - c), rtol=0, atol=1e-13)
    hessian = np.asarray(_problem(6).cell_hessian_at(c, np.ones(6)))
    least = float(origin.spectrum()[0].eigenvalue)
    for u in drawn - c:  # the last ones: the softest
        assert np.linalg.norm(hessian @ u.ravel() - least * u.ravel()) < 1e-12


@pytest.mark.slow
def test_starts_come_back_from_near_and_go_elsewhere_from_far(tmp_path):
    store = Store(tmp_path / "store")
    told = []
    found = basin(
        "II",
        6,
        [0.05, 3.0],
        Uniform(20),
        store=store,
        progress=lambda *progress: told.append(progress),
    )
    near, far = found.rings
    assert (near.returned, near.ends) == (20, {"II": 20})
    assert far.returned < 20
    assert sum(far.ends.values()) + sum(far.unsettled.values()) == 20
    assert set(far.ends) <= {"global", "II"}  # what there is at k = 6
    assert told[-1] == (40, 40)
    # To second order, with the mean of ½ u·H u over the sphere: trace / (2 · 36).
    hessian = np.asarray(_problem(6).cell_hessian_at(centre(member("II", 6)), np.ones(6)))
    mean = np.trace(hessian) / 72 * 0.05**2
    assert abs(near.rise / mean - 1) < 0.25
    # Nothing is computed again, and the answer is the same.
    keys = sorted(path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.json"))
    again = basin("II", 6, [0.05, 3.0], Uniform(20), store=store)
    assert again.rings == found.rings
    assert keys == sorted(p.stat().st_mtime_ns for p in (tmp_path / "store").rglob("*.json"))


@pytest.mark.slow
def test_a_saddle_does_not_take_its_starts_back():
    # A is a saddle below k = 5.76; along its unstable directions the flow leaves.
    origin = member("A", 5)
    assert origin.kind().value == "saddle"
    found = basin("A", 5, [0.3], Softest(20))
    assert found.rings[0].returned == 0
    assert found.half_bracket == (0.0, 0.3)


@pytest.mark.slow
def test_arcs_are_starts_as_long_as_they_last():
    found = basin("A", 8, [0.3, 5.0], AlongArcs())
    near, far = found.rings
    assert near.starts == near.returned > 0
    assert (far.starts, far.interval) == (0, (0.0, 1.0))
    # The loss on the arc is least at this distance: near λ r²/2, below that of other directions.
    least = float(member("A", 8).spectrum()[0].eigenvalue)
    assert near.rise < 1.2 * least * 0.3**2 / 2
    softest = basin("A", 8, [0.3], Softest(20))
    assert near.rise < softest.rings[0].rise


@pytest.mark.slow
def test_a_census_of_an_easy_problem_misses_the_hidden():
    found = census(_problem(6), 20, GradientDescent(), curves=False)
    names = {bound.name for bound in missed(found)}
    assert {"A", "I"} <= names
