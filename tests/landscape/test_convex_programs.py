"""Convex programs: points are networks of the same cost, and duals bound them from below."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from shallows.landscape.convex import (
    Hinge,
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Ramps,
    Squared,
    Unnormalised,
    sampled_patterns,
)
from shallows.landscape.convex.closed_forms import disjoint_cost, two_neurons
from shallows.landscape.convex.duality import cone_support, seminorm_support
from shallows.landscape.convex.vector import outputs
from shallows.model import Network, linear_spline
from shallows.model.normalised import Placement, normalised_on

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 2)), RNG.normal(size=8)
PATCHES = RNG.normal(size=(5, 3, 2))
LABELS = np.sign(Y)

PROGRAMS: dict[str, Any] = {
    "plain": lambda beta=0.1: Unnormalised(X, Y, beta),
    "bias": lambda beta=0.1: Unnormalised(X, Y, beta, bias=True),
    "patches": lambda beta=0.1: Unnormalised(PATCHES, Y[:5], beta),
    "before": lambda beta=0.1: NormalisedBefore(X, Y, beta),
    "before, usual": lambda beta=0.1: NormalisedBefore(X, Y, beta, usual=True),
    "before, patches": lambda beta=0.1: NormalisedBefore(PATCHES, Y[:5], beta),
    "after": lambda beta=0.1: NormalisedAfter(X, Y, beta),
    "after, bias": lambda beta=0.1: NormalisedAfter(X, Y, beta, bias=True, usual=True),
    "ramps": lambda beta=0.1: Ramps(X[:, 0], Y, beta),
}
everywhere = pytest.mark.parametrize("name", PROGRAMS)


def _random_network(program, k=7):
    rng = np.random.default_rng(5)
    d = program.batch.shape[2]
    if isinstance(program, NormalisedBefore | NormalisedAfter):
        is_before = isinstance(program, NormalisedBefore)
        batch = program.batch if program.patches > 1 else program.batch[:, 0]
        if not is_before:
            batch = program.features
        inner = rng.normal(size=(k, batch.shape[-1]))
        place = Placement.before if is_before else Placement.after
        return normalised_on(batch, place, inner, *rng.normal(size=(3, k)))
    has_bias = isinstance(program, Ramps) or program.has_bias
    return Network(
        rng.normal(size=(k, d)), rng.normal(size=k), rng.normal(size=k) if has_bias else None
    )


def _copied(program, network):
    """Each neuron twice, with half of each weight's square: what merging undoes."""
    half = math.sqrt(0.5)
    if isinstance(network, Network):
        bias = None if network.bias is None else np.tile(network.bias, 2) * half
        inner, outer = np.tile(network.inner, (2, 1)) * half, np.tile(network.outer, 2) * half
        return Network(inner, outer, bias)
    batch = program.batch if program.patches > 1 else program.batch[:, 0]
    batch = program.features if isinstance(program, NormalisedAfter) else batch
    parts = (np.tile(v, 2) * half for v in (network.scale, network.shift, network.outer))
    return normalised_on(batch, network.placement, np.tile(network.inner, (2, 1)), *parts)


@everywhere
def test_columns_predictions_and_their_adjoint_are_one_linear_map(name):
    program = PROGRAMS[name]()
    point = np.random.default_rng(1).normal(size=program.shape)
    v = np.random.default_rng(2).normal(size=len(program.y))
    slow = sum(
        program.columns(i) @ (point[0, i] - point[1, i]) for i in range(len(program.patterns))
    )
    assert np.allclose(program.predict(point), slow, atol=1e-12)
    gains = program.adjoint(v)
    assert np.isclose(v @ slow, np.sum(gains * (point[0] - point[1])), rtol=1e-12)
    for i in range(len(gains)):
        metric = program.metric(i)
        z = point[1, i]
        length = np.linalg.norm(z if metric is None else metric @ z)
        assert np.isclose(program.norms(point)[1, i], length, rtol=1e-12)


@everywhere
def test_a_network_is_a_point_that_predicts_the_same_and_costs_no_more(name):
    program = PROGRAMS[name]()
    network = _random_network(program)
    point = program.point(network)
    assert program.violation(point) < 1e-12
    # A merged point costs at most as much; back and forth it stays what it is.
    assert program.objective(point) <= program.cost(network) * (1 + 1e-12)
    back = program.network(point)
    assert np.isclose(program.cost(back), program.objective(point), rtol=1e-12)
    assert np.allclose(program.point(back), point, atol=1e-8)
    twice = program.point(_copied(program, network))
    assert np.allclose(twice, point, atol=1e-12)
    # Without normalisation, on the inputs as given, it is the same function at the points.
    plain = np.asarray(program.plain(back)(jnp.asarray(program.inputs)))
    plain = plain.reshape(-1, program.patches).sum(axis=1)
    fit = program.targets - program.y + program.predict(point)
    assert np.allclose(plain, fit, atol=1e-9)


@pytest.mark.parametrize("loss", [Squared(), Logistic(), Hinge()], ids=lambda l: type(l).__name__)
def test_conjugates_are_suprema_and_gradients_attain_them(loss):
    y = LABELS if not isinstance(loss, Squared) else Y
    p = np.random.default_rng(3).normal(size=8)
    v = loss.gradient(p, y)
    # Fenchel's equality at a gradient, his inequality elsewhere.
    assert np.isclose(loss.conjugate(v, y), v @ p - loss(p, y), atol=1e-12)
    other = loss.admissible(v * 0.9, y)
    assert loss.conjugate(other, y) >= other @ p - loss(p, y) - 1e-12
    one = np.array([1.0])
    for slope in (-0.3, -0.8):
        best = minimize_scalar(
            lambda t, s=slope: loss(np.array([t]), one) - s * t, bounds=(-30, 30), method="bounded"
        )
        assert np.isclose(loss.conjugate(np.array([slope]), one), -best.fun, atol=1e-6)
    if not isinstance(loss, Squared):
        assert loss.conjugate(np.array([0.1]), one) == np.inf
    else:
        assert loss.best_scale(-Y, Y, np.inf) == 1.0
    assert loss.best_scale(loss.admissible(v, y), y, 0.5) <= 0.5


def test_support_of_a_cone_is_the_largest_gain_of_its_unit_vectors():
    angles = np.linspace(0, 2 * np.pi, 200_001)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    rng = np.random.default_rng(4)
    for _ in range(5):
        c, cone = rng.normal(size=2), rng.normal(size=(2, 2))
        inside = np.all(cone @ circle >= 0, axis=0)
        expected = max(0.0, np.max((c @ circle)[inside]))
        found, multipliers = cone_support(c, cone)
        assert abs(found - expected) < 1e-4
        assert np.min(multipliers) >= 0
        metric = rng.normal(size=(3, 2))
        lengths = np.linalg.norm(metric @ circle, axis=0)
        expected = max(0.0, np.max((c @ circle / lengths)[inside]))
        assert abs(seminorm_support(c, cone, metric)[0] - expected) < 1e-4


def test_directions_that_cost_nothing_help_to_stay_in_the_cone():
    # |z₁| is penalised, z₂ is free, and z₁ + z₂ ≥ 0: nothing keeps z₁ from being anything.
    metric, c = np.array([[1.0, 0.0]]), np.array([-2.0, 0.0])
    assert np.isclose(seminorm_support(c, np.array([[1.0, 1.0]]), metric)[0], 2.0)
    assert np.isclose(seminorm_support(c, np.array([[1.0, 0.0]]), metric)[0], 0.0)


def test_supports_do_not_depend_on_units_where_multipliers_are_zero_at_the_optimum():
    # Of points on walls: SciPy's `nnls` alone ends early in some twenty of these.
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(3, 9))
        basis = np.linalg.qr(np.column_stack([rng.normal(size=(n, n - 1)), np.ones(n)]))[0]
        on = rng.random(n) < 0.5
        c = basis.T @ np.where(on, np.maximum(rng.normal(size=n), 0), 0)
        cone = np.where(on[:, None], basis, -basis)
        # Rows are orthonormal, so that the projection on the cone is known.
        expected = np.linalg.norm(np.maximum(cone @ c, 0))
        for unit in (1.0, 1e-3, 7.3):
            found, multipliers = cone_support(unit * c, cone)
            assert abs(found - unit * expected) < 1e-12 * unit
            assert np.min(multipliers) >= 0


def test_directions_that_are_nothing_but_for_rounding_constrain_nothing():
    program = NormalisedAfter(X, Y, 0.1, bias=True)
    copied = NormalisedAfter(np.column_stack([X, np.ones(8), np.zeros(8)]), Y, 0.1, bias=True)
    v = np.random.default_rng(3).normal(size=8)
    assert np.isclose(copied.support(v), program.support(v), rtol=1e-9)


@everywhere
def test_the_dual_bounds_networks_from_below(name):
    program = PROGRAMS[name]()
    network = _random_network(program)
    rng = np.random.default_rng(6)
    for v in (-program.y, rng.normal(size=len(program.y))):
        bound = program.dual_bound(v)
        assert bound.value <= program.cost(network)
        assert bound.support <= program.beta * (1 + 1e-12)
    assert program.dual_bound(-program.y).value > 0


def test_usual_normalisation_divides_the_penalty_by_the_root_of_n():
    usual, length = NormalisedBefore(X, Y, 0.4, usual=True), NormalisedBefore(X, Y, 0.4 / 8**0.5)
    assert usual.beta == length.beta
    network = _random_network(usual)
    # In the words of libraries: (t − mean)/deviation γ′ + α′, all three penalised alike.
    t = X @ network.inner.T
    unit = (t - t.mean(axis=0)) / t.std(axis=0)
    values = np.maximum(unit * network.usual_scale + network.usual_shift, 0) @ network.outer
    squares = network.usual_scale**2 + network.usual_shift**2 + network.outer**2
    expected = 0.5 * np.sum((values - Y) ** 2) + 0.2 * np.sum(squares)
    assert np.isclose(usual.cost(network), expected, rtol=1e-12)
    # The convex program knows their best balance only.
    point = usual.point(network)
    assert usual.objective(point) <= expected
    assert np.isclose(usual.objective(point), length.objective(point), rtol=1e-14)


def test_whitened_features_are_orthonormal_and_may_be_truncated():
    x = RNG.normal(size=(9, 4)) * [100.0, 1.0, 1e-2, 1e-4]
    program = NormalisedBefore(
        x, RNG.normal(size=9), 0.1, patterns=lambda f: sampled_patterns(f, 9)
    )
    assert np.allclose(program.features.T @ program.features, np.eye(5), atol=1e-12)
    short = NormalisedBefore(x, program.y, 0.1, rank=1)
    assert (short.width, len(short.patterns)) == (2, 18)


def test_ramps_are_the_spline_and_share_knots_between_points():
    program = PROGRAMS["ramps"]()
    network = Network([[2.0], [-1.0]], [0.5, 3.0], [-1.0, 0.4])
    point = program.point(network)
    spline = program.spline(point)
    assert np.isclose(program.norms(point).sum(), 0.5 * 2 + 3 * 1)
    f = np.maximum(2 * program.x - 1, 0) * 0.5 + np.maximum(0.4 - program.x, 0) * 3
    expected = f - f.mean() + Y.mean()
    assert np.allclose(spline(program.x), expected, atol=1e-12)
    assert np.allclose(linear_spline(program.network(point))(program.x), expected, atol=1e-7)


def test_two_neurons_have_the_dual_value():
    x, y = RNG.normal(size=(5, 6)), RNG.normal(size=5)
    for beta in (0.01, 0.5):
        program = NormalisedBefore(x, y, beta)
        known = two_neurons(program)
        assert np.isclose(program.objective(known.point), known.value, rtol=1e-13)
        assert np.isclose(program.dual_bound(known.dual).value, known.value, rtol=1e-13)
        assert len(program.network(known.point).inner) == 2
        assert program.violation(known.point) < 1e-12


def test_several_outputs_are_one_loss():
    y = RNG.normal(size=(8, 2))
    both = outputs(lambda column: Unnormalised(X, column, 0.3), y)
    assert np.array_equal(both.targets, y)
    blocks = RNG.normal(size=(len(both.programs[0].patterns), 2, 2))
    fit = sum(both.programs[0].columns(i) @ w for i, w in enumerate(blocks))
    penalty = sum(np.sum(np.linalg.svd(w)[1]) for w in blocks)
    expected = 0.5 * np.sum((fit - y) ** 2) + 0.3 * penalty
    assert np.isclose(both.nuclear_objective(blocks), expected)
    bound, dual = both.nuclear_bound(-y)
    assert 0 < bound < both.nuclear_objective(0 * blocks)
    spectra = [np.linalg.norm(dual.T @ both.programs[0].columns(i), 2) for i in range(len(blocks))]
    assert max(spectra) <= 0.3 * (1 + 1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Unnormalised(X, Y, 0.0), "`beta` must be positive and finite, but is 0.0"),
        (lambda: Unnormalised(X, Y[:3], 1.0), r"each of the 8 points, but has shape \(3,\)"),
        (lambda: Unnormalised(X[:, 0], Y, 1.0), r"but has shape \(8,\)"),
        (lambda: Unnormalised(X * np.nan, Y, 1.0), "`x` must be finite"),
        (lambda: Unnormalised(0 * X, Y, 1.0), "All features are 0"),
        (lambda: Unnormalised(1e200 * X, Y, 1.0), r"`x` has entries up to 2\.\d+e\+200, whose"),
        (lambda: Unnormalised(X, Y, 1.0, Logistic()), "Labels must be −1 or 1, but 8 of 8"),
        (lambda: Unnormalised(X, np.ones(8), 1.0, Hinge()), "there is one class only"),
        (lambda: NormalisedBefore(0 * X + 3, Y, 1.0), "constant on the 8 points"),
        (lambda: NormalisedBefore(X, Y, 1.0, rank=3), "from 1 to the rank 2 of Pc X, but is 3"),
        (lambda: NormalisedAfter(PATCHES, Y[:5], 1.0), "not made for 3 patches"),
        (lambda: Ramps(X, Y, 1.0), "Ramps are functions of one input"),
        (lambda: Ramps(np.ones(8), Y, 1.0), "All 8 points are 1, and only constants"),
        (lambda: two_neurons(NormalisedBefore(X, Y, 1.0)), "here n = 8 and U′ has 3 columns"),
        (lambda: disjoint_cost(np.ones((2, 2)), 1.0), "point 0 has 2"),
        (lambda: outputs(lambda c: Unnormalised(X, c, 1.0), Y), r"but have shape \(8,\)"),
        (
            lambda: outputs(lambda c: NormalisedAfter(X, c, 1.0), Y[:, None]),  # type: ignore[arg-type, return-value]
            "not for `NormalisedAfter`",
        ),
        (
            lambda: Unnormalised(X, Y, 1.0, patterns=sampled_patterns(X[:4], 3)),
            "Patterns are of 4 points each, but there are 8",
        ),
        (
            lambda: Unnormalised(X, Y, 1.0, patterns=sampled_patterns(X, 1)).point(
                _random_network(PROGRAMS["plain"]())
            ),
            "pattern that is not among the 1 of this program",
        ),
        (
            lambda: PROGRAMS["plain"]().cost(_random_network(PROGRAMS["bias"]())),
            "Build the program with `bias=True`",
        ),
        (
            lambda: PROGRAMS["before"]().cost(_random_network(PROGRAMS["after"]())),
            "normalised after the ReLU, but this program is for those before",
        ),
        (lambda: PROGRAMS["ramps"]().cost(Network(np.eye(2))), "one input and one output"),
    ],
)
def test_misuse_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
