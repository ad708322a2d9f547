"""First-order methods for convex programs, against interior points, duality and definitions."""

import dataclasses

import numpy as np
import pytest

from shallows.landscape.convex import (
    AbstractLoss,
    Hinge,
    Logistic,
    NormalisedAfter,
    NormalisedBefore,
    Squared,
    Unnormalised,
    all_patterns,
    sampled_patterns,
)
from shallows.landscape.convex.duality import cone_support
from shallows.solve import (
    AcceleratedProximal,
    AugmentedLagrangian,
    ConvexOutcome,
    DenseBlocks,
    GatedProximal,
    GroupProblem,
    InteriorPoint,
    MaskedBlocks,
    largest_penalty,
    regularisation_path,
)
from shallows.solve.first_order import grouped
from shallows.solve.first_order.cones import Faces, Prices, projection

METHODS = [AugmentedLagrangian(), AcceleratedProximal()]
LOSSES = [Squared(), Logistic(), Hinge()]


def _data(points=16, inputs=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(points, inputs)), rng.normal(size=points)


def _program(kind=Unnormalised, loss=None, beta=0.3, **data):
    x, y = _data(**data)
    loss = Squared() if loss is None else loss
    targets = y if isinstance(loss, Squared) else np.sign(y)
    return kind(x, targets, beta, loss, patterns=lambda f: sampled_patterns(f, 40, seed=1))


def _gated(beta=0.3):
    program = _program(beta=beta)
    blocks = MaskedBlocks(program.features, program.patterns.masks, gated=True)
    return GroupProblem(blocks, program.y, beta)


CASES: list[tuple] = [(Unnormalised, loss, METHODS[0]) for loss in LOSSES]
CASES += [(NormalisedAfter, LOSSES[0], METHODS[0])]
MORE = [
    (kind, loss, method)
    for kind in (Unnormalised, NormalisedBefore, NormalisedAfter)
    for loss in LOSSES
    for method in METHODS
    if (kind, loss, method) not in CASES and (loss, method) != (LOSSES[2], METHODS[1])
]


@pytest.mark.parametrize(
    ("kind", "loss", "method"),
    CASES + [pytest.param(*case, marks=pytest.mark.slow) for case in MORE],
    ids=lambda part: getattr(part, "__name__", type(part).__name__),
)
def test_optimum_is_that_of_interior_points(kind, loss, method):
    program = _program(kind, loss)
    best = InteriorPoint()(program)
    found = method(program)
    assert found.outcome is ConvexOutcome.converged
    assert abs(found.value - best.value) <= 1e-8 * best.value
    assert found.lower_bound <= best.value
    assert found.gap <= 1e-8 * found.value
    assert found.value == program.objective(found.point)
    assert program.violation(found.point) <= 1e-12
    # What is said of the dual vector holds by the program's own reckoning.
    assert program.support(found.dual) <= program.beta * (1 + 1e-10)
    assert -loss.conjugate(found.dual, program.y) == pytest.approx(found.lower_bound, rel=1e-12)


def test_patches_and_a_bias():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 3, 2)), rng.normal(size=12)
    program = Unnormalised(x, y, 0.2, bias=True, patterns=lambda f: sampled_patterns(f, 20, seed=0))
    found, best = AugmentedLagrangian()(program), InteriorPoint()(program)
    assert abs(found.value - best.value) <= 1e-8 * best.value
    assert program.cost(found.network) <= found.value * (1 + 1e-8)


def test_all_patterns_on_a_line():
    x = np.linspace(-1, 1, 12)
    program = Unnormalised(x[:, None], np.sin(3 * x), 12e-3, bias=True, patterns=all_patterns)
    found = AugmentedLagrangian(tolerance=1e-10)(program)
    # The reference value is of the loss 1/2n, to eight digits.
    assert abs(found.value / 12 - 0.01106784) < 6e-9


def test_conditions_of_optimality_with_cones():
    program = _program()
    problem, _ = grouped(program)
    found = AugmentedLagrangian(tolerance=1e-12).solve(problem)
    v = problem.y - problem.blocks.predict(found.groups, found.s)
    gains = problem.blocks.adjoint(found.groups, v)
    assert len(found.groups) > 2
    for group, s, a in zip(found.groups.tolist(), found.s, gains, strict=True):
        p, _, multipliers = projection(a, problem.blocks.cone(group))
        assert np.all(multipliers >= 0)
        assert np.allclose(p, problem.beta * s / np.linalg.norm(s), atol=1e-5)
        # Some weights are on walls of their cells, where leaving out the cone would differ.
    assert any(np.linalg.norm(a) > problem.beta * 1.01 for a in gains)
    assert program.support(v) <= problem.beta * (1 + 1e-5)


@pytest.mark.parametrize("loss", LOSSES[:2], ids=lambda l: type(l).__name__)
def test_all_gated_blocks_at_once_have_the_same_optimum_also_on_patches(loss):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(24, 3)), np.sign(rng.normal(size=12))
    masks = sampled_patterns(x, 30, seed=2).masks
    problem = GroupProblem(MaskedBlocks(x, masks, gated=True, patches=2), y, 0.2, loss)
    few, all_ = AugmentedLagrangian().solve(problem), GatedProximal().solve(problem)
    assert all_.outcome is ConvexOutcome.converged
    assert abs(all_.value / few.value - 1) < 1e-7
    assert all_.lower_bound <= few.value
    again = GatedProximal().solve(problem, all_)
    assert again.steps == 0
    assert np.isclose(again.value, all_.value, rtol=1e-14)


def test_steps_on_all_blocks_say_what_they_cannot_do():
    problem = grouped(_program())[0]
    with pytest.raises(ValueError, match="have cones, which these steps do not see"):
        GatedProximal().solve(problem)
    labels = dataclasses.replace(_gated(), y=np.sign(problem.y), loss=Hinge())
    with pytest.raises(ValueError, match="Hinge has no gradient"):
        GatedProximal().solve(labels)


@pytest.mark.parametrize("method", [*METHODS, GatedProximal()], ids=lambda m: type(m).__name__)
def test_conditions_of_optimality_without_cones(method):
    problem = _gated()
    found = method.solve(problem)
    assert found.outcome is ConvexOutcome.converged
    v = problem.y - problem.blocks.predict(found.groups, found.s)
    gains = problem.blocks.adjoints(v)
    length = np.linalg.norm(found.s, axis=1, keepdims=True)
    assert np.allclose(gains[found.groups], problem.beta * found.s / length, atol=1e-3)
    assert np.max(np.linalg.norm(gains, axis=1)) <= problem.beta * (1 + 1e-3)
    # Leaving out the cones makes the optimum smaller.
    assert found.value < AugmentedLagrangian().solve(grouped(_program())[0]).lower_bound


@pytest.mark.parametrize(
    "method",
    [AugmentedLagrangian, pytest.param(AcceleratedProximal, marks=pytest.mark.slow)],
)
def test_gap_bounds_what_is_missing(method):
    problem, _ = grouped(_program(beta=0.1))
    best = AugmentedLagrangian(tolerance=1e-11).solve(problem)
    seen = []
    loose = method(tolerance=1e-2).solve(problem, progress=lambda *pair: seen.append(pair))
    assert loose.gap <= 1e-2 * loose.value
    assert 0 <= loose.value - best.value <= loose.gap + 1e-12
    values, bounds = np.array(seen).T
    assert np.all(bounds <= best.value)
    assert np.all(np.diff(bounds) >= 0)
    assert np.all(values >= best.value * (1 - 1e-12))
    short = method(steps=3).solve(problem)
    assert short.outcome is ConvexOutcome.out_of_steps
    assert short.lower_bound <= best.value <= short.value


def test_path_is_monotone_and_warm_starts_change_nothing():
    problem, _ = grouped(_program())
    most = largest_penalty(problem)
    betas = most * np.array([1.001, 0.5, 0.1])
    path = list(regularisation_path(problem, betas.tolist(), AugmentedLagrangian(tolerance=1e-9)))
    assert len(path[0].groups) == 0
    assert len(path[1].groups) > 0
    losses = [found.problem.loss(_fit(found), problem.y) for found in path]
    penalties = [float(np.linalg.norm(found.s, axis=1).sum()) for found in path]
    assert np.all(np.diff(losses) < 0)
    assert np.all(np.diff(penalties) > 0)
    for found, beta in zip(path, betas, strict=True):
        cold = AugmentedLagrangian(tolerance=1e-9).solve(
            GroupProblem(problem.blocks, problem.y, beta)
        )
        assert abs(found.value - cold.value) <= 1e-9 * cold.value
        assert np.allclose(_fit(found), _fit(cold), atol=1e-4)
    # The optimum is concave in β, and its slope is the penalty.
    slopes = -np.diff([found.value for found in path]) / -np.diff(betas)
    assert np.all(slopes >= np.array(penalties[:-1]) - 1e-6)
    assert np.all(slopes <= np.array(penalties[1:]) + 1e-6)


def _fit(found):
    return found.problem.blocks.predict(found.groups, found.s)


def test_nothing_is_worth_its_penalty_beyond_the_largest():
    for loss in LOSSES:
        problem, _ = grouped(_program(loss=loss))
        most = largest_penalty(problem)
        assert most == pytest.approx(_program(loss=loss).support(-_start(problem)), rel=1e-10)
        beyond = GroupProblem(problem.blocks, problem.y, most * 1.001, loss)
        found = AugmentedLagrangian().solve(beyond)
        assert len(found.groups) == 0
        assert found.gap == pytest.approx(0, abs=1e-10 * found.value)


def _start(problem):
    return -problem.loss.gradient(np.zeros_like(problem.y), problem.y)


def test_projection_on_a_cone():
    rng = np.random.default_rng(2)
    u = rng.normal(size=(30, 5))
    u[4], u[5], u[6] = u[3], 0.0, -2 * u[7]
    for gate in rng.normal(size=(40, 5)):
        cone = np.where((u @ gate >= 0)[:, None], u, -u)
        old = None
        for a in (rng.normal(size=5), gate + rng.normal(size=5), gate, -gate):
            p, rows, multipliers = projection(a, cone, old)
            cold = projection(a, cone)[0]
            assert np.allclose(p, cold, atol=1e-12)
            assert np.min(cone @ p) >= -1e-11
            assert np.all(multipliers >= 0)
            assert np.allclose(p, a + cone.T @ multipliers, atol=1e-11)
            assert abs(p @ (a - p)) <= 1e-11
            assert np.allclose(cone[rows] @ p, 0, atol=1e-11)
            old = multipliers
        assert np.allclose(projection(gate, cone)[0], gate, atol=1e-15)


def test_faces_remember_but_do_not_invent():
    problem, _ = grouped(_program())
    blocks, rng = problem.blocks, np.random.default_rng(0)
    faces = Faces(blocks)
    faces.add(np.arange(8))
    faces.add(np.array([blocks.patterns, 11]))
    a = rng.normal(size=(10, blocks.width))
    for size in (1.0, 1e-3, 1e-6, 1.0):
        a = a + size * rng.normal(size=a.shape)
        expected = [
            projection(x, blocks.cone(g))[0] for g, x in zip(faces.groups.tolist(), a, strict=True)
        ]
        assert np.allclose(faces(a), expected, atol=1e-12)
        lengths = np.linalg.norm(expected, axis=1)
        middle = float(np.median(lengths))
        short = np.linalg.norm(faces(a, middle), axis=1)
        assert np.allclose(short[lengths > middle], lengths[lengths > middle], atol=1e-12)


def test_prices_bound_gains():
    program = _program(points=30, inputs=5)
    problem, _ = grouped(program)
    blocks, rng = problem.blocks, np.random.default_rng(5)
    prices, nobody = Prices(blocks), np.zeros(2 * blocks.patterns, dtype=bool)
    v = rng.normal(size=30)
    for change in (0.0, 0.1, 1.0):
        v = v + change * rng.normal(size=30)
        true = np.array(
            [cone_support(a, blocks.cone(g))[0] for g, a in enumerate(blocks.adjoints(v))]
        )
        for beta, wanted in ((0.8 * true.max(), 1000), (1.001 * true.max(), 3), (0.1, 5)):
            bounds, exact = prices(v, beta, nobody, wanted)
            assert np.all(bounds >= true - 1e-10)
            assert np.allclose(bounds[exact], true[exact], atol=1e-10)
            above = exact & (bounds > beta)
            assert above.sum() >= min(3, (true > beta).sum())
            if wanted > (true > beta).sum():
                assert np.array_equal(bounds > beta, true > beta)


def test_dense_blocks_are_masked_ones_written_out():
    masked, _ = grouped(_program())
    blocks = masked.blocks
    count = range(blocks.patterns)
    dense = DenseBlocks(blocks.columns(np.array(count)), np.array([blocks.cone(i) for i in count]))
    rng = np.random.default_rng(1)
    groups, v = np.array([3, 0, blocks.patterns + 3]), rng.normal(size=blocks.points)
    s, multipliers = rng.normal(size=(3, blocks.width)), rng.normal(size=(3, blocks.points))
    for this in (blocks, dense):
        columns = this.columns(groups)
        cones = np.array([this.cone(g) for g in groups.tolist()])
        assert np.allclose(this.adjoint(groups, v), np.einsum("gnr,n->gr", columns, v))
        assert np.allclose(this.adjoints(v)[groups], this.adjoint(groups, v))
        assert np.allclose(this.predict(groups, s), np.einsum("gnr,gr->n", columns, s))
        assert np.allclose(this.slack(groups, s), np.einsum("gcr,gr->gc", cones, s))
        assert np.allclose(
            this.pull(groups, multipliers), np.einsum("gcr,gc->gr", cones, multipliers)
        )
        assert this.curvature >= max(np.linalg.norm(c, 2) ** 2 for c in cones) * (1 - 1e-12)
    one = AugmentedLagrangian().solve(masked)
    other = AugmentedLagrangian().solve(GroupProblem(dense, masked.y, masked.beta))
    assert abs(one.value - other.value) <= 1e-8 * one.value


class _Absolute(AbstractLoss):
    """Σ |p − y|, which nobody knows."""

    def checked(self, y):
        pass

    def __call__(self, p, y):
        return float(np.abs(p - y).sum())

    def gradient(self, p, y):
        return np.sign(p - y)

    def conjugate(self, v, y):
        return float(v @ y)

    def admissible(self, v, y):
        return v

    def best_scale(self, v, y, most):
        return min(most, 1.0)


def test_misuse_is_explained():
    x, y = _data()
    masks = (np.random.default_rng(0).normal(size=(7, 3)) @ x.T) >= 0
    blocks = MaskedBlocks(x, masks)
    with pytest.raises(ValueError, match="an entry for each row of the features"):
        MaskedBlocks(x, masks[:, 1:])
    with pytest.raises(ValueError, match=r"16 rows are no multiple of 3 patches"):
        MaskedBlocks(x, masks, patches=3)
    with pytest.raises(ValueError, match="a cone of its width"):
        DenseBlocks(np.zeros((2, 5, 3)), np.zeros((2, 5, 4)))
    with pytest.raises(ValueError, match=r"16 points, but the targets have shape \(15,\)"):
        GroupProblem(blocks, y[1:], 1.0)
    with pytest.raises(ValueError, match="`beta` must be positive"):
        GroupProblem(blocks, y, 0.0)
    with pytest.raises(ValueError, match="Labels must be"):
        GroupProblem(blocks, y, 1.0, Logistic())
    with pytest.raises(ValueError, match="conjugate of _Absolute is not known"):
        AugmentedLagrangian().solve(GroupProblem(blocks, y, 1.0, _Absolute()))
    with pytest.raises(ValueError, match=r"Hinge has no gradient. Use `AugmentedLagrangian\(\)`"):
        AcceleratedProximal().solve(GroupProblem(blocks, np.sign(y), 1.0, Hinge()))
    other = AugmentedLagrangian().solve(GroupProblem(blocks, y + 1, 1.0))
    with pytest.raises(ValueError, match="other blocks or targets"):
        AugmentedLagrangian().solve(GroupProblem(blocks, y, 1.0), other)
    few = NormalisedAfter(x[:5], y[:5], 0.1)
    with pytest.raises(ValueError, match=r"does not see all 4 coordinates.*InteriorPoint"):
        AugmentedLagrangian()(few)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("is_gated", [False, True])
def test_optimum_of_the_program_as_it_is_written(loss, is_gated):
    import cvxpy as cp

    program = _program(loss=loss, points=20, inputs=3, beta=0.2)
    x, y, masks = program.features, program.y, program.patterns.masks
    count = len(masks)
    s, t = cp.Variable((count, 3)), cp.Variable((count, 3))
    p = cp.sum(cp.multiply(masks.astype(float), (s - t) @ x.T), axis=0)
    cost = {
        Squared: cp.sum_squares(p - y) / 2,
        Logistic: cp.sum(cp.logistic(-cp.multiply(y, p))),
        Hinge: cp.sum(cp.pos(1 - cp.multiply(y, p))),
    }[type(loss)]
    signs = np.where(masks, 1.0, -1.0)
    inside = [cp.multiply(signs, z @ x.T) >= 0 for z in (s, t)]
    cost += 0.2 * (cp.sum(cp.norm(s, axis=1)) + cp.sum(cp.norm(t, axis=1)))
    written = cp.Problem(cp.Minimize(cost), [] if is_gated else inside)
    tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
    best = written.solve(solver=cp.CLARABEL, **tight)
    blocks = MaskedBlocks(x, masks, gated=is_gated)
    found = AugmentedLagrangian(tolerance=1e-9).solve(GroupProblem(blocks, y, 0.2, loss))
    assert found.outcome is ConvexOutcome.converged
    assert abs(found.value - best) <= 1e-8 * best + 1e-9


@pytest.mark.slow
def test_hundred_strange_problems():
    # Scales from 1e-2 to 1e2, zero, equal and opposite points, features of lower rank.
    failed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n, r, count = (int(rng.integers(*pair)) for pair in ((3, 40), (1, 8), (1, 80)))
        x = rng.normal(size=(n, r)) * 10 ** rng.uniform(-2, 2)
        x[rng.integers(n)] *= rng.random() > 0.2
        x[rng.integers(n)] = rng.choice([1.0, -2.0]) * x[rng.integers(n)]
        if rng.random() < 0.2:
            x[:, -1] = x[:, 0]
        masks = np.unique(rng.normal(size=(count, r)) @ x.T >= 0, axis=0)
        loss = LOSSES[rng.integers(3)]
        y = rng.normal(size=n) * 10 ** rng.uniform(-2, 2)
        if not isinstance(loss, Squared):
            y = np.where(np.arange(n) == 0, -np.sign(y[1]), np.sign(y))
        blocks = MaskedBlocks(x, masks, gated=rng.random() < 0.3)
        most = largest_penalty(GroupProblem(blocks, y, 1.0, loss))
        if most > 0:
            problem = GroupProblem(blocks, y, most * 10 ** rng.uniform(-4, 0.1), loss)
            found = AugmentedLagrangian().solve(problem)
            assert found.lower_bound <= found.value * (1 + 1e-12)
            assert found.gap <= 1e-5 * found.value
            failed += found.outcome is not ConvexOutcome.converged
    assert failed <= 3
