"""The sign rule is equivalent to the least variation, and clustering is a share."""

import hypothesis as hp
import hypothesis.strategies as st
import numpy as np
import pytest
from test_pieces import data_set_s

from shallows.model import Network, Shape, audit, clustering, linear_interpolant, spline_of_kinks

X = np.arange(6.0)


def through(values, knots, jumps):
    """A spline through values at X: kinks of any kind, and then those at X that mend it."""
    bumps = spline_of_kinks(knots, jumps)
    rest = linear_interpolant(X, values - bumps(X))
    return spline_of_kinks(
        np.append(bumps.knots, rest.knots),
        np.append(bumps.jumps, rest.jumps),
        rest.slope + bumps.slope,
        rest.intercept + bumps.intercept,
    )


@hp.settings(max_examples=25)
@hp.given(
    st.lists(st.integers(-3, 3), min_size=6, max_size=6),
    st.lists(st.tuples(st.integers(-5, 30), st.sampled_from([-1, 1, 2])), max_size=2),
)
def test_sign_rule_holds_exactly_where_the_variation_is_least(values, kinks):
    # Quarters are exact in binary, so nothing here is rounded.
    spline = through(
        np.array(values, dtype=float), [k / 4 for k, _ in kinks], [j for _, j in kinks]
    )
    found = audit(spline, X, tolerance=0.0)
    assert found.excess >= -1e-12
    assert found.obeys_the_sign_rule == (found.excess <= 1e-12)


def test_rules_of_a_zigzag_and_of_a_parabola():
    zigzag = audit(linear_interpolant(X, [0, 1, 0, 1, 0, 1]), X)
    assert {rule.shape for rule in zigzag.rules if rule.low < rule.high} == {Shape.linear}
    parabola = linear_interpolant(X, X**2)
    shapes = [rule.shape for rule in audit(parabola, X).rules if rule.low < rule.high]
    linear, convex = Shape.linear, Shape.convex
    assert shapes == [linear, linear, convex, convex, convex, linear, linear]
    # One kink more between two samples, upwards: still least. Downwards: not.
    assert audit(through(X**2, [2.5], [1.0]), X).obeys_the_sign_rule
    worse = audit(through(X**2, [2.5], [-1.0]), X)
    (broken,) = [rule for rule in worse.rules if not rule.holds]
    assert (broken.low, broken.high, broken.defect) == (2.0, 3.0, 1.0)
    assert worse.excess == 2.0


def test_knots_near_a_sample_count_as_at_it():
    x, y = data_set_s()
    exact = linear_interpolant(x, y)
    shifted = spline_of_kinks(exact.knots + 1e-5, exact.jumps, exact.slope, exact.intercept)
    assert not audit(shifted, x).obeys_the_sign_rule
    assert audit(shifted, x, near=1e-3).obeys_the_sign_rule
    with pytest.raises(ValueError, match="would count as at both"):
        audit(shifted, x, near=1.0)


def test_clustering_is_a_share_of_curvature():
    x = np.linspace(-1, 1, 10)
    w = np.array([1.0, -2.0, 1.0, 1.0])
    knots = np.array([x[3] + 0.01, x[4], 0.0, 5.0])  # the last one is outside
    network = Network(w[:, None], [1.0, 1.0, 3.0, 9.0], -w * knots)
    share, even = clustering(network, x)
    assert np.isclose(share, (1 + 2) / (1 + 2 + 3))
    assert np.isclose(even, (8 * 0.04 + 2 * 0.02) / 2)
    # Overlapping neighbourhoods are counted once.
    assert np.isclose(clustering(network, x, within=0.2)[1], 1.0)
    assert np.isnan(clustering(Network([[1.0]], [1.0], [-7.0]), x)[0])
