"""Cells against counts in closed form, against signs at points, and against the network itself."""

import itertools
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import (
    Deep,
    Erf,
    Network,
    absolute,
    cells,
    leaky,
    linear_regions,
    linear_spline,
    sampled_cells,
    segment_kinks,
    zaslavsky,
)
from shallows.model.inequalities import exact_array


def _set(found):
    return {row.tobytes() for row in found.signs}


def _rational_signs(weights, offsets, found):
    w, b = exact_array("w", weights), exact_array("b", offsets)
    points = np.array([found.point(i) for i in range(len(found))], dtype=object)
    return np.sign((points @ w.T + b).astype(float)).astype(int)


@pytest.mark.parametrize(("n", "m"), [(1, 5), (2, 6), (3, 6), (4, 6), (3, 2)])
def test_generic_arrangements_have_as_many_cells_as_zaslavsky_counts(n, m):
    rng = np.random.default_rng(n)
    w, b = rng.normal(size=(m, n)), rng.normal(size=m)
    for offsets, is_central in [(b, False), (None, True)]:
        found = cells(w, offsets)
        assert len(found) == zaslavsky(m, n, is_central=is_central) == len(_set(found))
        exact = _rational_signs(w, np.zeros(m) if is_central else b, found)
        np.testing.assert_array_equal(exact, found.signs)


def test_every_sampled_cell_of_degenerate_arrangements_is_listed():
    rng = np.random.default_rng(0)
    for _ in range(12):
        n, m = int(rng.integers(2, 4)), int(rng.integers(1, 7))
        w, b = rng.integers(-1, 2, (m, n)), rng.integers(-1, 2, m)
        box = ([-2] * n, [Fraction(5, 3)] * n)
        points = rng.uniform(-2, 5 / 3, (300, n))
        sampled, inside, all_ = (
            sampled_cells(w, b, points=points),
            cells(w, b, box=box),
            cells(w, b),
        )
        assert _set(sampled) <= _set(inside) <= _set(all_)
        # Cells in a box of this size are not that small: 300 points see most of them.
        assert len(sampled) > 0.6 * len(inside)
        for found in (sampled, inside, all_):
            np.testing.assert_array_equal(_rational_signs(w, b, found), found.signs)
            assert len(_set(found)) == len(found)
        assert all(-2 < x < Fraction(5, 3) for i in range(len(inside)) for x in inside.point(i))


def test_equal_parallel_opposite_and_zero_rows_make_no_cells_of_their_own():
    w = [[1, 0], [2, 0], [-1, 0], [1, 0], [0, 0], [0, 0], [0, 1]]
    b = [0, 0, 0, 1, -1, 0, 0]
    found = cells(w, b)
    assert len(found) == 6  # three strips, cut in two
    assert set(found.signs[:, 4]) == {-1}
    assert set(found.signs[:, 5]) == {0}
    np.testing.assert_array_equal(found.signs[:, 0], found.signs[:, 1])
    np.testing.assert_array_equal(found.signs[:, 0], -found.signs[:, 2])
    assert len(cells([[0, 0]])) == 1
    assert len(cells([[1.0, 1.0]], [10.0], box=([-1, -1], [1, 1]))) == 1


def test_parallel_families_are_counted_by_hand():
    # a lines of one direction and b of another: (a + 1)(b + 1) rectangles.
    w, b = [[1, 0]] * 3 + [[0, 1]] * 4, [0, 1, 2, 0, 1, 2, 3]
    assert len(cells(w, b)) == 20
    # Coordinate hyperplanes and their multiples: orthants.
    assert len(cells(np.concatenate([np.eye(4), -2 * np.eye(4)]))) == 16


def test_what_is_too_large_is_refused_with_its_size_and_a_way_out():
    with pytest.raises(
        ValueError, match=r"30 hyperplanes in 20 dimensions may have 1_040_762_732 cells.*sampled"
    ):
        cells(np.random.default_rng(0).normal(size=(30, 20)))
    with pytest.raises(ValueError, match=r"may have 7 cells, more than 6\. Raise `most`"):
        cells([[1, 0], [0, 1], [1, 1]], [0, 0, 1], most=6)
    with pytest.raises(ValueError, match=r"more than 6 cells. Raise `most`, choose a smaller box"):
        cells([[1, 0], [0, 1], [1, 1]], [0, 0, 0.5], box=([-2, -2], [2, 2]), most=6)
    with pytest.raises(ValueError, match="A box in 2 dimensions has two corners"):
        cells([[1, 0]], box=([0, 0], [1, 0]))
    with pytest.raises(ValueError, match=r"have 2 coordinates, but `points` has shape \(3,\)"):
        sampled_cells([[1, 0]], points=[1, 2, 3])


@pytest.mark.parametrize("activation", [leaky(0.25), absolute])
def test_regions_of_a_deep_network_carry_its_affine_maps(activation):
    rng = np.random.default_rng(3)
    layers = [rng.normal(size=(4, 2)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))]
    network = Deep(layers, rng.normal(size=(3, 2)), activation)
    regions = linear_regions(network, box=([-1, -1], [1, 1]))
    assert len({tuple(s.tobytes() for s in r.signs) for r in regions}) == len(regions) > 8
    points = np.array([[float(t) for t in r.point] for r in regions])
    affine = [(r.matrix.astype(float), r.offset.astype(float)) for r in regions]
    # The region is the one of its point's signs, and of those of random points there is one each.
    known = {tuple(s.tobytes() for s in r.signs): i for i, r in enumerate(regions)}
    x = np.concatenate([points, rng.uniform(-1, 1, (200 - len(points), 2))])
    signal, signs = x, []
    for w in layers:
        before = signal @ w.T
        signs.append(np.sign(before).astype(np.int8))
        signal = np.where(before > 0, activation.positive, activation.negative) * before
    found = [known[tuple(s[i].tobytes() for s in signs)] for i in range(len(x))]
    assert found[: len(points)] == list(range(len(points)))
    values = [affine[i][0] @ p + affine[i][1] for i, p in zip(found, x, strict=True)]
    np.testing.assert_allclose(values, network(jnp.asarray(x)), atol=1e-13)


def test_regions_of_a_network_on_a_line_are_the_pieces_of_its_spline():
    network = Network([[1.0], [-2.0], [3.0]], [1.0, 0.5, -1.0], [0.5, 1.0, 2.0])
    spline = linear_spline(network)
    regions = sorted(linear_regions(network), key=lambda r: r.point)
    assert [float(r.matrix[0, 0]) for r in regions] == spline.slopes.tolist()
    kinks = segment_kinks(network, [-5], [5])
    assert [10 * float(k.time) - 5 for k in kinks] == pytest.approx(spline.knots, abs=1e-15)


def test_kinks_on_a_segment_are_where_the_slope_along_it_changes():
    rng = np.random.default_rng(5)
    network = Deep([rng.normal(size=(5, 3)), rng.normal(size=(5, 5))], rng.normal(size=5))
    start, end = rng.normal(size=3), rng.normal(size=3)
    kinks = segment_kinks(network, start, end)
    times = np.array([0.0, *(float(k.time) for k in kinks), 1.0])
    assert {k.layer for k in kinks} == {0, 1}
    # Affine between neighbours, on both thirds.
    shares = np.array([0, 1 / 3, 2 / 3, 1])
    t = np.concatenate([a + (b - a) * shares for a, b in itertools.pairwise(times)])
    values = np.asarray(network(jnp.asarray(start + t[:, None] * (end - start))))
    np.testing.assert_allclose(np.diff(values.reshape(-1, 4), 2, axis=1), 0, atol=1e-13)
    # Each is a zero of its unit, which has other signs before and after.
    for kink in kinks:
        near = [float(kink.time) + e for e in (-1e-9, 0.0, 1e-9)]
        signal = start + np.array(near)[:, None] * (end - start)
        for w in network.layers[: kink.layer]:
            signal = np.maximum(signal @ np.asarray(w).T, 0)
        unit = signal @ np.asarray(network.layers[kink.layer])[kink.unit]
        assert unit[0] * unit[2] < 0
        assert abs(unit[1]) < 1e-14


def test_a_unit_that_vanishes_on_a_piece_or_only_touches_zero():
    # Inner values on [−2, 2]: σ(x − 1) − σ(−x − 1) is −1, then 0 on [−1, 1], then 1.
    w, b = [[1.0], [-1.0], [1.0], [-1.0]], [-1.0, -1.0, 0.0, 0.0]
    first = Network(w, None, b)
    assert [float(k.time) for k in segment_kinks(first, [-2], [2])] == [0.25, 0.5, 0.5, 0.75]
    deep = Deep([[[1.0, -1.0], [-1.0, -1.0]], [[1.0, -1.0]]])
    # On x₂ = 1 the inner unit is σ(x₁ − 1) − σ(−x₁ − 1): it leaves zero at x₁ = 1.
    kinks = [k for k in segment_kinks(deep, [-2, 1], [2, 1]) if k.layer == 1]
    assert [(k.time, k.unit) for k in kinks] == [(Fraction(3, 4), 0)]
    touching = Deep([[[1.0], [-1.0]], [[1.0, 1.0]]])  # |x| ≥ 0
    assert [k.layer for k in segment_kinks(touching, [-1], [1])] == [0, 0]


def test_networks_without_regions_are_refused():
    with pytest.raises(ValueError, match=r"activation erf has no linear regions. Use one of"):
        linear_regions(Network([[1.0]], activation=Erf()))
    with pytest.raises(ValueError, match="This is a batch of networks"):
        linear_regions(Network([[[1.0]]]))
    with pytest.raises(ValueError, match=r"may have 4 cells, more than 3. Raise `most`"):
        linear_regions(Network(np.eye(2)), most=3)
    with pytest.raises(ValueError, match=r"more than 4 linear regions. Raise `most`"):
        linear_regions(Deep([np.eye(2), [[1.0, -1.0]]]), most=4)
    with pytest.raises(ValueError, match="has 2 inputs, but the ends of the segment have"):
        segment_kinks(Network([[1.0, 2.0]]), [0], [1])
