"""Convex programs solved: known optima, other routes to them, and training that is never below."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize

from shallows.landscape.convex import (
    AbstractLoss,
    Hinge,
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Ramps,
    Squared,
    Unnormalised,
    sampled_patterns,
)
from shallows.landscape.convex.vector import outputs
from shallows.model import Network, Placement, normalised_on
from shallows.solve.convex import (
    ConvexOutcome,
    InteriorPoint,
    convex_solution,
    fewer_blocks,
)
from shallows.solve.convex_routes import Route, optimum, restricted_optima, route
from shallows.solve.convex_vector import vector_bounds

SINE = np.linspace(-1, 1, 12)


def _data_set_s():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 12))
    return x, np.sin(4 * x) + 0.1 * rng.normal(size=12)


def _plane(n=7):
    rng = np.random.default_rng(8)
    return rng.normal(size=(n, 2)), rng.normal(size=n)


def test_twelve_points_of_a_sine_have_the_optimum_of_the_facts():
    # Facts: 1/(2n) |f − y|² + λ ..., λ = 1e-3, is .01106784; Adam .01107 to .01114.
    program = Unnormalised(SINE[:, None], np.sin(3 * SINE), 12e-3, bias=True)
    found = InteriorPoint()(program)
    assert f"{found.value / 12:.8f}" == "0.01106784"
    assert (len(program.patterns), found.outcome) == (24, ConvexOutcome.converged)
    assert 0 <= found.gap < 1e-9
    assert abs(program.cost(found.network) / found.value - 1) < 1e-12
    assert found.network.neurons <= 12


def test_free_biases_make_the_lasso_of_the_facts_below_penalised_ones():
    x, y = _data_set_s()
    program = Ramps(x, y, 0.02)
    lasso = optimum(program)
    assert f"{lasso.value:.8f}" == "0.26687178"
    # Facts: knots at 3001 other places make .26696313. Penalised biases, with an affine function
    # that is free, make .289453; the same with knots on a grid, .289516, has its dual in
    # tests/model/test_pieces.py. Here affine functions are not free: on these data to no effect.
    penalised = optimum(Unnormalised(x[:, None], y, 0.02, bias=True))
    assert lasso.value < 0.26696313 < penalised.lower_bound
    assert f"{penalised.value:.6f}" == f"{penalised.lower_bound:.6f}" == "0.289453"
    assert abs(lasso.program.cost(lasso.network) - lasso.value) < 1e-12
    # The same LASSO by its dual: y less its projection on {|Aᵀv| ≤ β, 1·v = 0}.
    ramps = np.abs(program.ramps.T @ lasso.dual)
    assert ramps.max() <= 0.02 * (1 + 1e-9)
    assert abs(lasso.dual.sum()) < 1e-12


@pytest.mark.parametrize("beta", [0.05, 0.7, 4.0])
def test_normalised_before_with_few_points_is_the_closed_form_in_fifty_digits(beta):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, 6)), rng.normal(size=5)
    program = NormalisedBefore(x, y, beta)
    assert len(program.patterns) == 2**5
    with mpmath.workdps(50):
        expected = mpmath.mpf(0)
        for part in (y[y > 0], y[y < 0]):
            t = mpmath.sqrt(sum(mpmath.mpf(v) ** 2 for v in part.tolist()))
            expected += beta * t - mpmath.mpf(beta) ** 2 / 2 if t >= beta else t**2 / 2
    closed, numeric = optimum(program), InteriorPoint()(program)
    assert route(program) is (Route.nothing if beta == 4.0 else Route.two_neurons)
    assert abs(closed.value / float(expected) - 1) < 1e-13
    assert abs(numeric.value / float(expected) - 1) < 1e-8
    assert abs(closed.lower_bound / float(expected) - 1) < 1e-13
    assert abs(program.cost(closed.network) / float(expected) - 1) < 1e-12
    assert len(closed.network.inner) <= 2


@pytest.mark.parametrize("loss", [Squared(), Logistic(), Hinge()], ids=lambda l: type(l).__name__)
@pytest.mark.parametrize("kind", [Unnormalised, NormalisedBefore, NormalisedAfter])
def test_gaps_close_and_networks_have_the_value(kind, loss):
    x, y = _plane()
    program = kind(x, y if isinstance(loss, Squared) else np.sign(y), 0.1, loss)
    found = optimum(program)
    assert route(program) is Route.interior_point
    assert found.outcome is ConvexOutcome.converged
    assert -1e-12 < found.gap < 1e-7 * found.value
    assert program.violation(found.point) < 1e-8
    assert abs(program.cost(found.network) / found.value - 1) < 2e-8
    assert abs(program.objective(program.point(found.network)) / found.value - 1) < 2e-8


@pytest.mark.parametrize("kind", [Unnormalised, NormalisedBefore])
def test_a_program_of_many_patterns_is_solved_by_a_few_at_a_time(kind):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(30, 8)), rng.normal(size=30)
    program = kind(x, y, 1.0, patterns=lambda gates: sampled_patterns(gates, 200))
    assert route(program) is Route.working_set
    found = optimum(program)
    assert found.outcome is ConvexOutcome.converged
    assert abs(InteriorPoint()(program).value / found.value - 1) < 1e-7


def test_a_large_penalty_leaves_nothing():
    x, y = _plane()
    for kind in (Unnormalised, NormalisedBefore, NormalisedAfter):
        program = kind(x, y, 1e3)
        found = optimum(program)
        assert route(program) is Route.nothing
        assert not np.any(found.point)
        assert np.isclose(found.value, found.lower_bound, rtol=1e-12)
        assert np.isclose(program.cost(found.network), 0.5 * y @ y, rtol=1e-12)


def test_training_comes_near_the_optimum_and_never_below_it():
    x, y = _plane(5)
    program = NormalisedBefore(x, y, 0.3)
    found = optimum(program)

    def cost(t):
        w, (scale, shift, outer) = t[:8].reshape(4, 2), t[8:].reshape(3, 4)
        gates = x @ w.T
        gates -= gates.mean(axis=0)
        unit = gates / np.sqrt(np.sum(gates**2, axis=0))
        values = np.maximum(scale * unit + shift / np.sqrt(5), 0) @ outer
        return 0.5 * np.sum((values - y) ** 2) + 0.15 * np.sum(t[8:] ** 2)

    rng = np.random.default_rng(3)
    ends = [minimize(cost, rng.normal(size=20), options={"maxiter": 100}) for _ in range(3)]
    best = min(ends, key=lambda end: end.fun)
    assert found.lower_bound <= best.fun < 1.1 * found.value
    rest = best.x[8:].reshape(3, 4)
    made = normalised_on(x, Placement.before, best.x[:8].reshape(4, 2), *rest)
    assert np.isclose(program.cost(made), best.fun, rtol=1e-12)
    assert np.isclose(program.cost(found.network), found.value, rtol=1e-12)


@pytest.mark.slow
def test_training_plain_networks_reaches_the_optimum():
    program = Unnormalised(SINE[:, None], np.sin(3 * SINE), 12e-3, bias=True)
    found = optimum(program)

    def value(t):
        w, b, a = t.reshape(3, 30)
        gates = np.outer(SINE, w) + b
        on = gates > 0
        residual = (gates * on) @ a - program.y
        back = residual[:, None] * a * on
        gradient = [SINE @ back, back.sum(axis=0), residual @ (gates * on)]
        cost = 0.5 * residual @ residual + 0.006 * t @ t
        return cost, np.concatenate(gradient) + 0.012 * t

    rng = np.random.default_rng(4)
    ends = [
        minimize(value, rng.normal(size=90), jac=True, method="L-BFGS-B", options={"maxiter": 5000})
        for _ in range(8)
    ]
    costs = [end.fun for end in ends]
    best = ends[int(np.argmin(costs))].x.reshape(3, 30)
    assert found.lower_bound <= min(costs) < 1.02 * found.value
    made = Network(best[0][:, None], best[2], best[1])
    assert np.isclose(program.cost(made), min(costs), rtol=1e-9)
    assert program.objective(program.point(made)) <= min(costs) * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Unnormalised, NormalisedBefore, NormalisedAfter])
def test_the_program_of_the_facts_stated_anew_has_this_optimum(kind):
    import cvxpy as cp

    x, y = _plane()
    n = len(y)
    centred = x - x.mean(axis=0)
    u = np.linalg.svd(centred, full_matrices=False)[0]
    ones = np.full((n, 1), 1 / np.sqrt(n))
    features = np.column_stack([u, ones]) if kind is NormalisedBefore else x
    # Patterns by brute force.
    gates = np.random.default_rng(0).normal(size=(20_000, features.shape[1]))
    masks = np.unique(gates @ features.T >= 0, axis=0)
    fit, penalty, cones = 0, 0, []
    for mask in masks:
        for sign in (1, -1):
            z = cp.Variable(features.shape[1])
            cones.append(cp.multiply(2.0 * mask - 1, features @ z) >= 0)
            part = cp.multiply(mask, features @ z)
            if kind is NormalisedAfter:
                alpha, part = cp.Variable(), part - cp.sum(part) / n
                fit = fit + sign * (part + alpha * ones[:, 0])
                penalty = penalty + cp.norm(cp.hstack([part, alpha]))
            else:
                fit, penalty = fit + sign * part, penalty + cp.norm(z)
    stated = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(fit - y) + 0.1 * penalty), cones)
    expected = stated.solve(solver=cp.CLARABEL)
    found = optimum(kind(x, y, 0.1))
    assert abs(found.value / expected - 1) < 1e-7
    # Sampling misses the smallest cells, where here no neuron is needed.
    assert 0.9 * len(found.program.patterns) <= len(masks) <= len(found.program.patterns)


def test_samples_of_patterns_come_down_to_the_optimum():
    x, y = _plane(9)
    program = Unnormalised(x, y, 0.1)
    best = optimum(program)
    seen = []
    values = restricted_optima(program, [1, 4, 16, 400], progress=lambda: seen.append(1))
    assert len(seen) == 4
    costs = [value for _, value in values]
    assert all(a >= b * (1 - 1e-7) for a, b in itertools.pairwise(costs))
    assert costs[0] > 1.01 * best.value
    # Of 18 patterns 400 draws find all but the smallest cells.
    assert 16 <= values[-1][0] <= len(program.patterns) == 18
    assert best.lower_bound <= costs[-1] < 1.001 * best.value


def test_few_blocks_are_enough():
    program = Unnormalised(SINE[:, None], np.sin(3 * SINE), 12e-3, bias=True)
    found = InteriorPoint()(program)
    # An optimal point with a neuron in two pieces is put together again.
    scaled = np.stack([found.point[0], found.point[1]])
    assert np.allclose(program.predict(fewer_blocks(program, scaled)), program.predict(scaled))
    assert len(program.solid(found.point)) <= 12
    assert not np.any(fewer_blocks(program, np.zeros(program.shape)))


def test_a_method_that_did_not_finish_says_so():
    program = Unnormalised(SINE[:, None], np.sin(3 * SINE), 12e-3, bias=True)
    cut = InteriorPoint(steps=2)(program)
    assert cut.outcome is ConvexOutcome.out_of_steps
    assert "Raise `steps`" in cut.outcome.value
    best = optimum(program)
    # Whatever the point and the vector are, the value is a value and the bound a bound.
    assert cut.lower_bound <= best.value <= cut.value
    poor = convex_solution(program, best.point * 1.1, np.sin(SINE))
    assert poor.outcome is ConvexOutcome.inaccurate
    assert poor.lower_bound < best.value < poor.value


@pytest.mark.parametrize("kind", [Unnormalised, NormalisedBefore, NormalisedAfter, Ramps])
def test_units_of_features_and_targets_do_not_matter(kind):
    x, y = _plane(6)
    x = x[:, :1] if kind is Ramps else x
    best = InteriorPoint()(kind(x, y, 0.1)).value
    for size, height in ((1e-6, 1e3), (1e6, 1e-6), (1.0, 1e9)):
        # Where weights are penalised their units are those of y/x.
        free = size if kind in (Unnormalised, Ramps) else 1.0
        found = InteriorPoint()(kind(size * x, height * y, 0.1 * height * free))
        assert found.outcome is ConvexOutcome.converged
        assert abs(found.value / height**2 - best) < 1e-6 * best


def test_features_of_very_different_sizes_are_tried_as_they_are_too():
    x = np.random.default_rng(0).normal(size=(6, 2)) * [1e4, 1e-4]
    y = np.random.default_rng(0).normal(size=18)[12:]
    found = InteriorPoint()(Unnormalised(x, y, 1e-3, bias=True))
    assert found.gap < 1e-5 * found.value


def test_a_point_outside_its_cones_is_no_optimum():
    x, y = _plane()
    program = Unnormalised(x, y, 0.1)
    best = optimum(program)
    # Cheaper than any network: a least-squares fit with all gates, cones forgotten.
    point = np.zeros(program.shape)
    system = np.concatenate([program.columns(i) for i in range(len(program.patterns))], axis=1)
    point[0] = np.linalg.lstsq(system, program.y)[0].reshape(point[0].shape)
    assert program.violation(point) > 0.01
    assert program.objective(point) < best.lower_bound
    assert convex_solution(program, point, best.dual).outcome is ConvexOutcome.inaccurate


def test_losses_without_a_conic_form_are_refused():
    with pytest.raises(ValueError, match="The loss _Odd has no conic form here"):
        InteriorPoint()(Unnormalised(SINE[:, None], np.sign(SINE), 0.1, _Odd()))


class _Odd(AbstractLoss):
    """Σ |p − y|, which no solver here knows."""

    def checked(self, y):
        pass

    def __call__(self, p, y):
        return float(np.sum(np.abs(p - y)))

    def gradient(self, p, y):
        return np.sign(p - y)

    def conjugate(self, v, y):
        return float(v @ y) if np.max(np.abs(v)) <= 1 else np.inf

    def admissible(self, v, y):
        return v

    def best_scale(self, v, y, most):
        return min(most, 1.0)


@pytest.mark.slow
def test_several_outputs_lie_between_two_programs_and_one_hot_ones_on_both():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(5, 6)), np.eye(3)[[0, 1, 2, 0, 1]]
    known = vector_bounds(outputs(lambda y: NormalisedBefore(x, y, 0.3), labels))
    # Facts, to check: Σ h(|y_c|), each output by itself. The dual agrees.
    assert known.exact is not None
    assert abs(known.upper / known.exact - 1) < 1e-12
    assert abs(known.lower / known.exact - 1) < 1e-6
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    open_ = vector_bounds(outputs(lambda c: Unnormalised(x, c, 0.3), y))
    assert open_.exact is None
    assert 0 < open_.lower < open_.upper
    with pytest.raises(ValueError, match="squared loss, not for Logistic"):
        vector_bounds(outputs(lambda c: Unnormalised(x, c, 0.3, Logistic()), np.sign(y)))


def test_patterns_that_are_sampled_need_no_enumeration():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(30, 12)), rng.normal(size=30)
    program = Unnormalised(x, y, 0.5, patterns=lambda f: sampled_patterns(f, 25, seed=1))
    found = optimum(program)
    assert found.outcome is ConvexOutcome.converged
    assert not program.patterns.exact
