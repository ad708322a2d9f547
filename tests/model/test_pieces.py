"""The function of a network on a line is the network, and its norms are those of a program."""

import numpy as np
import pytest
import scipy.optimize

from shallows.model import (
    Erf,
    LinearSpline,
    Network,
    leaky,
    linear_interpolant,
    linear_spline,
    natural_cubic,
    spline_of_kinks,
)
from shallows.model.pieces import samples


def data_set_s():
    """Data set S of the facts: 12 points of sin 4x with noise."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 12))
    return x, np.sin(4 * x) + 0.1 * rng.normal(size=12)


@pytest.mark.parametrize("activation", [leaky(0.0), leaky(0.25), leaky(-1.0)], ids=str)
def test_spline_is_the_network(activation):
    rng = np.random.default_rng(1)
    w = np.concatenate([rng.normal(size=6), [0.0, 0.0]])  # two flat neurons
    b = np.concatenate([rng.normal(size=6), [0.7, -0.4]])
    c = rng.normal(size=8)
    spline = linear_spline(Network(w[:, None], c, b, activation))
    x = np.linspace(-4, 4, 81)
    t = np.outer(x, w) + b
    expected = (np.maximum(t, 0) + activation.negative * np.minimum(t, 0)) @ c
    assert np.max(np.abs(spline(x) - expected)) <= 1e-14
    assert len(spline.knots) == 6
    # Slopes by differences inside the pieces.
    ends = np.concatenate([[-9.0], spline.knots, [9.0]])
    middles = (ends[1:] + ends[:-1]) / 2
    h = 1e-4
    assert np.allclose((spline(middles + h) - spline(middles - h)) / (2 * h), spline.slopes)


def test_equal_knots_are_merged_exactly_and_copies_of_opposite_sign_vanish():
    # 1/3 = 2/6 = −1/−3; the jumps 0.1 + 0.2 − 0.3 of floats do not vanish, a + b − b − a does.
    network = Network([[3.0], [6.0], [-3.0]], [1.0, 0.5, 2.0], [-1.0, -2.0, 1.0])
    spline = linear_spline(network)
    assert spline.knots.tolist() == [1 / 3]
    assert spline.jumps.tolist() == [3.0 + 3.0 + 6.0]
    rng = np.random.default_rng(2)
    w, b, c = rng.normal(size=(3, 9))
    order = rng.permutation(18)
    pairs = Network(np.tile(w, 2)[order, None], np.append(c, -c)[order], np.tile(b, 2)[order])
    zero = linear_spline(pairs)
    assert (len(zero.knots), zero.slope, zero.intercept) == (0, 0.0, 0.0)


def test_knots_beyond_all_numbers_are_at_infinity():
    network = Network([[1e-308], [1.0]], [1.0, 1.0], [1e10, 0.0])
    spline = linear_spline(network)
    assert spline.knots.tolist() == [0.0]
    assert spline(np.array([-2.0]))[0] == 1e10


def test_norms_of_data_set_s_are_those_of_the_facts():
    x, y = data_set_s()
    spline = linear_interpolant(x, y)
    assert np.max(np.abs(spline(x) - y)) <= 1e-14
    assert abs(spline.norm - 87.673392) < 1e-6
    assert spline.norm == spline.variation
    assert abs(abs(spline.slope + spline.slopes[-1]) - 3.206) < 1e-3


def test_interpolant_has_the_least_variation_of_all_by_linear_programming():
    x, y = data_set_s()
    rng = np.random.default_rng(3)
    knots = np.sort(np.concatenate([x, rng.uniform(-1.2, 1.2, 20)]))
    kinks = np.maximum(x[:, None] - knots, 0)
    affine = np.stack([x, np.ones(12)], axis=1)
    found = scipy.optimize.linprog(
        np.concatenate([np.ones(2 * len(knots)), np.zeros(2)]),
        A_eq=np.hstack([kinks, -kinks, affine]),
        b_eq=y,
        bounds=[(0, None)] * (2 * len(knots)) + [(None, None)] * 2,
    )
    assert abs(found.fun - linear_interpolant(x, y).variation) < 1e-8


def test_weighted_variation_of_one_neuron_is_its_norm():
    # c (a x − b)₊ balanced: ½ (c² + a² + b²) = |c| √(a² + b²).
    a, b, c = 1.5, -0.7, 2.0
    spline = linear_spline(Network([[a]], [c], [-b]))
    assert np.isclose(spline.weighted_variation, c * np.hypot(a, b), rtol=1e-15)


def test_units_change_the_axes():
    x, y = data_set_s()
    spline = linear_interpolant(x, y)
    other = spline.in_units(3.0, 0.5, -2.0, 4.0)
    assert np.allclose(other(3 + 0.5 * x), -2 + 4 * y, atol=1e-13)
    assert np.isclose(other.variation, spline.variation * 8)


def test_natural_cubic_interpolates_and_is_straight_at_its_ends():
    x, y = data_set_s()
    cubic = natural_cubic(x, y)
    assert np.allclose(cubic(x), y)
    assert np.max(np.abs(cubic(x[[0, -1]], 2))) < 1e-10
    line = natural_cubic([0.0, 2.0], [1.0, 5.0])
    assert np.isclose(line(1.5), 4.0)


def test_samples_are_sorted_and_repeated_ones_kept_once():
    x, y = samples([2.0, 0.0, 2.0, 1.0], [5.0, 1.0, 5.0, 3.0])
    assert (x.tolist(), y.tolist()) == ([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: samples([1.0, 1.0, 2.0], [0.0, 3.0, 1.0]), r"at x = 1 both y = 0 and y = 3"),
        (lambda: samples([1.0], [0.0]), "at least two points .* but there is 1"),
        (lambda: samples([], []), "at least two points .* but there is 0"),
        (lambda: samples([1.0, 1.0], [2.0, 2.0]), "but there is 1"),
        (lambda: samples([1.0, 2.0], [2.0]), "one value each"),
        (lambda: samples([1.0, np.nan], [2.0, 1.0]), "`x` must be finite"),
        (lambda: linear_spline(Network(np.eye(2))), "one input and one output"),
        (lambda: linear_spline(Network([[1.0]], activation=Erf())), "erf is not piecewise linear"),
        (lambda: LinearSpline(np.ones(2), np.ones(2), 0.0, 0.0), "increase strictly"),
        (lambda: spline_of_kinks([np.inf], [1.0]), "`knots` must be finite"),
    ],
)
def test_misuse_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_least_penalised_cost_on_data_set_s_is_that_of_the_dual():
    """Facts: .289516 for ½ Σ (f − y)² + .02 Σ √(1 + u²) |j| with knots at 6001 points of [−3, 3].

    The dual asks for the point ν nearest to y, orthogonal to affine functions, on which no kink
    gains more than it costs. Its constraints are added one by one, and its multipliers are the
    jumps of the primal's spline.
    """
    x, y = data_set_s()
    knots, beta = np.linspace(-3, 3, 6001), 0.02
    affine = np.linalg.qr(np.stack([x, np.ones_like(x)], axis=1))[0]
    kinks = np.maximum(x[:, None] - knots, 0) / np.hypot(1.0, knots)
    kinks, goal = (v - affine @ (affine.T @ v) for v in (kinks, y))
    nu, chosen, signs = goal, np.array([], dtype=int), np.array([])
    for _ in range(100):
        gains = kinks.T @ nu
        worst = int(np.argmax(np.abs(gains)))
        if abs(gains[worst]) <= beta * (1 + 1e-9):
            break
        chosen, signs = np.append(chosen, worst), np.append(signs, np.sign(gains[worst]))
        rows = signs[:, None] * kinks.T[chosen]
        factor = np.linalg.cholesky(rows @ rows.T + 1e-14 * np.eye(len(rows)))
        z = scipy.optimize.nnls(factor.T, np.linalg.solve(factor, rows @ goal - beta))[0]
        nu = goal - rows.T @ z
        chosen, signs, z = chosen[z > 0], signs[z > 0], z[z > 0]
    order = np.argsort(chosen)
    u, jumps = knots[chosen][order], (signs * z / np.hypot(1.0, knots[chosen]))[order]
    rest = y - nu - LinearSpline(u, jumps, 0.0, 0.0)(x)  # what is left is affine
    slope, intercept = np.polyfit(x, rest, 1)
    best = LinearSpline(u, jumps, float(slope), float(intercept))
    primal = 0.5 * np.sum((best(x) - y) ** 2) + beta * best.weighted_variation
    assert abs(primal - (goal @ nu - 0.5 * nu @ nu)) < 1e-11
    assert f"{primal:.6f}" == "0.289516"
