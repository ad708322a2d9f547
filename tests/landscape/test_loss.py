"""The squared loss: published numbers, exact spectra, integrals, symmetries and errors."""

import re

import hypothesis as hp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import zoo
from shallows.landscape import AllWeights, InnerWeights, SquaredLoss
from shallows.model import Gaussian, Network, Rotational, Sample, orthonormal

C = 1 / (2 * np.pi)


def _levels(hessian, digits=1e-7):
    """The distinct eigenvalues of a matrix, and how often they occur."""
    values = np.linalg.eigvalsh(hessian)
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > digits)
    counts = np.diff([*starts, len(values)])
    return [(values[i : i + n].mean(), int(n)) for i, n in zip(starts, counts, strict=True)]


# Reference: landscapes.md, sections 1, 3.5, 3.6, 4.3 and 4.5.


@pytest.mark.parametrize(("family", "k"), zoo.FAMILIES)
def test_known_families_have_their_losses_and_smallest_eigenvalues(family, k):
    loss, point = SquaredLoss(orthonormal(k), Gaussian(k)), zoo.spurious(family, k)
    assert abs(float(loss(point)) - zoo.LOSSES[family, k]) < 1e-8
    assert np.linalg.norm(loss.gradient(point)) < 1e-7
    least = np.linalg.eigvalsh(loss.hessian(point))[0]
    assert abs(least - zoo.LEAST_EIGENVALUES[family, k]) < 1e-6


# Isotypic eigenvalues at k = 10 with multiplicities, and the loss.
TEN = {
    "A": (
        0.07663666,
        {1: [1.43257864, 3.03820657], 9: [0.0663332705, 0.176189119, 2.65827954]}
        | {35: [0.336611714], 36: [0.0174883386]},
    ),
    "I": (
        0.07205671,
        {1: [0.0796401492, 0.224350108, 1.43580923, 2.65887788, 3.04845368]}
        | {8: [0.037414311, 0.0707903385, 0.179379169, 0.359746369, 2.66228813]}
        | {27: [0.334873299], 28: [0.0148814237]},
    ),
    "II": (
        0.018702195,
        {1: [0.0790933061, 0.216165562, 1.45408782, 2.65794575, 3.09635618]}
        | {8: [0.0319640276, 0.0851862571, 0.239215084, 0.363740595, 2.69954308]}
        | {27: [0.380175145], 28: [0.0628535926]},
    ),
}


@pytest.mark.parametrize("family", TEN)
def test_the_spectra_of_known_families_at_width_ten(family):
    k, (value, spectrum) = 10, TEN[family]
    loss = SquaredLoss(orthonormal(k), Gaussian(k))
    i, j = np.indices((k, k))
    last_i, last_j = i == k - 1, j == k - 1
    kind = np.select([last_i & last_j, last_j, last_i, i == j], [4, 2, 3, 0], 1)
    tied = np.eye(5)[kind]  # W = tied @ ξ

    def slope(x):
        return np.einsum("ijt,ij->t", tied, loss.gradient(Network(tied @ x)))

    ends = np.array([zoo.FAMILIES[family, 6], zoo.FAMILIES[family, 20]])
    x = scipy.optimize.root(slope, ends.mean(axis=0), tol=1e-13).x
    point = Network(tied @ x)
    assert np.linalg.norm(loss.gradient(point)) < 1e-10
    assert abs(float(loss(point)) - value) < 1e-8
    expected = sorted((level, n) for n, levels in spectrum.items() for level in levels)
    found = _levels(loss.hessian(point))
    assert [n for _, n in found] == [n for _, n in expected]
    np.testing.assert_allclose([x for x, _ in found], [x for x, _ in expected], rtol=1e-7)


@pytest.mark.parametrize(("k", "d"), [(4, 4), (10, 10), (4, 6)])
def test_the_spectrum_of_the_global_minimum_is_exact(k, d):
    loss = SquaredLoss(orthonormal(k, d), Gaussian(d))
    assert abs(float(loss(orthonormal(k, d)))) < 1e-14
    low, high = np.roots([1, -(k + 2) / 4, (k + 1) / 16 + 1 / (4 * np.pi) - C**2])[::-1]
    trivial = np.linalg.eigvals([[1 / 2 + (k - 1) * C, (k - 1) / 4], [1 / 4, k / 4 + C]])
    expected = (
        [1 / 4 - C] * (k * (k - 1) // 2)
        + [1 / 4 + C] * (k * (k - 3) // 2)
        + [low] * (k - 1)
        + [high] * (k - 1)
        + list(trivial)
        + [1 / 4] * ((k - 1) * (d - k))
        + [(k + 1) / 4] * (d - k)
    )
    values = np.linalg.eigvalsh(loss.hessian(orthonormal(k, d)))
    np.testing.assert_allclose(values, np.sort(expected), atol=1e-13)


def test_the_loss_of_a_student_that_is_nothing_is_the_known_constant():
    for d in (1, 4):
        loss = SquaredLoss(orthonormal(d), Gaussian(d))
        silent = Network(np.ones((1, d)), 0.0)
        assert float(loss(silent)) == pytest.approx(d / 4 + d * (d - 1) / (4 * np.pi), rel=1e-14)


# Crosschecks: the angular integral, and the quadratic form of overlaps.


@pytest.mark.parametrize("covariance", [None, np.array([[2.0, 0.7], [0.7, 0.5]])])
@hp.given(st.integers(0, 10**6))
@hp.settings(max_examples=15)
def test_loss_and_gradient_are_integrals_over_the_circle(covariance, seed):
    f, g = zoo.student(seed, 3, 2), zoo.teacher(seed + 1, 2, 2)
    law = Gaussian(2) if covariance is None else Gaussian(covariance=covariance)
    root = np.eye(2) if covariance is None else np.linalg.cholesky(covariance)
    w, a = np.asarray(f.inner), np.asarray(f.outer)
    neurons = np.concatenate([w, g.inner]) @ root
    # x = R z with z = r (cos φ, sin φ) and E r² = 2: one trigonometric polynomial between kinks.
    kinks = np.arctan2(neurons[:, 1], neurons[:, 0])[:, None] + np.array([-np.pi, np.pi]) / 2
    ends = np.sort(np.mod(kinks.ravel(), 2 * np.pi))
    ends = np.append(ends, ends[0] + 2 * np.pi)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle, half = (ends[1:] + ends[:-1])[:, None] / 2, np.diff(ends)[:, None] / 2
    angle, weight = (middle + half * nodes).ravel(), (half * weights).ravel() / (2 * np.pi)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) @ root.T
    mine = np.maximum(x @ w.T, 0)
    residual = mine @ a - np.maximum(x @ np.asarray(g.inner).T, 0) @ np.asarray(g.outer)
    active = (x @ w.T > 0).astype(float)

    loss = SquaredLoss(g, law, AllWeights())
    gradient = np.asarray(loss.gradient(f))
    assert float(loss(f)) == pytest.approx(weight @ residual**2, rel=1e-12, abs=1e-14)
    slope = 2 * a[:, None] * np.einsum("n,nk,nd->kd", weight * residual, active, x)
    np.testing.assert_allclose(gradient[:, :-1], slope, atol=1e-12)
    np.testing.assert_allclose(gradient[:, -1], 2 * mine.T @ (weight * residual), atol=1e-12)


@pytest.mark.parametrize("name", ["slanted gaussian", "ball", "sample"])
@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 4), (4, 1)])
def test_the_loss_is_half_a_quadratic_form_of_overlaps(k, m, name):
    law, f, g = zoo.laws()[name], zoo.student(1, k), zoo.teacher(2, m)
    rows = jnp.concatenate([f.inner, g.inner])
    c = np.concatenate([f.outer, -g.outer])
    expected = c @ np.asarray(law.gram(rows, rows)) @ c / 2
    assert float(SquaredLoss(g, law)(f)) == pytest.approx(expected, rel=1e-13)


# Properties.


@pytest.mark.parametrize("name", ["sphere", "slanted gaussian"])
@pytest.mark.parametrize("seed", range(3))
def test_rotating_student_teacher_and_law_together_rotates_the_derivatives(name, seed):
    q = zoo.rotation(3, seed)
    law, f, g = zoo.laws()[name], zoo.student(seed), zoo.teacher(seed + 1)
    turned = Gaussian(covariance=q @ zoo.SLANTED @ q.T) if name == "slanted gaussian" else law
    before = SquaredLoss(g, law)
    after = SquaredLoss(g.embed(q), turned)
    assert float(after(f.embed(q))) == pytest.approx(float(before(f)), rel=1e-12)
    np.testing.assert_allclose(after.gradient(f.embed(q)), before.gradient(f) @ q.T, atol=1e-13)
    whole = np.kron(np.eye(3), q)
    hessian = whole @ np.asarray(before.hessian(f)) @ whole.T
    np.testing.assert_allclose(after.hessian(f.embed(q)), hessian, atol=1e-12)


def test_embedding_all_in_a_larger_space_changes_no_loss():
    basis = zoo.rotation(5)[:, :3]
    f, g = zoo.student(), zoo.teacher()
    small, large = SquaredLoss(g, Gaussian(3)), SquaredLoss(g.embed(basis), Gaussian(5))
    assert float(large(f.embed(basis))) == pytest.approx(float(small(f)), rel=1e-13)


@hp.given(st.integers(0, 10**6))
def test_a_loss_is_never_negative(seed):
    loss = SquaredLoss(zoo.teacher(seed), Gaussian(3))
    assert float(loss(zoo.student(seed + 1))) >= 0
    size = float(loss(Network(loss.teacher.inner, 0.0)))  # ½ E f*²
    assert abs(float(loss(loss.teacher))) < 1e-14 * size


def test_only_what_is_trained_has_a_gradient():
    f, g = zoo.student(), zoo.teacher()
    inner, everything = (SquaredLoss(g, Gaussian(3), t) for t in (InnerWeights(), AllWeights()))
    assert isinstance(SquaredLoss(g, Gaussian(3)).trained, InnerWeights)
    np.testing.assert_array_equal(inner.gradient(f), everything.gradient(f)[:, :-1])
    blocks = np.asarray(everything.hessian(f)).reshape(3, 4, 3, 4)
    np.testing.assert_array_equal(inner.hessian(f), blocks[:, :3, :, :3].reshape(9, 9))
    np.testing.assert_allclose(blocks[:, 3, :, 3], Gaussian(3).gram(f.inner, f.inner), rtol=1e-15)


# Data sets.


def test_a_sample_hides_the_negative_curvature_of_its_law():
    rng = np.random.default_rng(0)
    f = Network(rng.normal(size=(5, 5)) / np.sqrt(5))
    population = SquaredLoss(orthonormal(5), Gaussian(5))
    sampled = SquaredLoss(orthonormal(5), Sample(rng.normal(size=(20_000, 5))))
    assert np.linalg.eigvalsh(population.hessian(f))[0] < -0.1
    assert np.linalg.eigvalsh(sampled.cell_hessian(f))[0] > 0
    # The sampled loss and gradient are those of the law, up to chance.
    assert float(sampled(f)) == pytest.approx(float(population(f)), rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_the_cell_hessian_of_a_sample_is_a_gauss_newton_matrix(seed):
    loss = SquaredLoss(zoo.teacher(seed), zoo.laws()["weighted sample"])
    values = np.linalg.eigvalsh(loss.cell_hessian(zoo.student(seed + 1)))
    assert values[0] > -1e-14 * values[-1]


# How fast the Hessian can change.


@jax.jit
def _textbook(u, v):
    length = jnp.sqrt((u @ u) * (v @ v))
    angle = jnp.arccos(u @ v / length)
    return length * (jnp.sin(angle) + (jnp.pi - angle) * jnp.cos(angle)) / (2 * jnp.pi)


def _derivative(f, order):
    """The derivative of that order of a function of one number, at 0."""
    for _ in range(order):

        def f(t, f=f):
            return jax.jvp(f, (t,), (1.0,))[1]

    return f(0.0)


def test_the_pieces_of_the_lipschitz_bound_are_suprema():
    angles = np.concatenate([np.geomspace(1e-3, 1, 40), np.linspace(1, np.pi - 1e-3, 100)])
    turn, tilt = np.meshgrid(np.linspace(0, np.pi, 91), np.linspace(0, np.pi / 2, 7))
    p = np.stack([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)], axis=-1)
    u = jnp.asarray([1.0, 0.0, 0.0])

    def forms(angle, p):
        v = jnp.stack([jnp.cos(angle), jnp.sin(angle), 0.0 * angle])
        pure = _derivative(lambda t: _textbook(u + t * p, v), 3)
        mixed = jax.grad(lambda v: _derivative(lambda t: _textbook(u + t * p, v), 2))(v)
        return jnp.abs(pure), jnp.linalg.norm(mixed)

    every = jax.jit(jax.vmap(jax.vmap(forms, (None, 0)), (0, None)))
    pure, mixed = every(jnp.asarray(angles), jnp.asarray(p.reshape(-1, 3)))
    for found, bound in ((pure, 3 * np.sqrt(3) / (4 * np.pi)), (mixed, 1 / np.pi)):
        assert 0.995 * bound < float(jnp.max(found)) < bound * (1 + 1e-6)


@pytest.mark.parametrize("name", ["gaussian", "slanted gaussian", "ball"])
def test_the_hessian_changes_no_faster_than_its_bound(name):
    rng = np.random.default_rng(4)
    tightest = np.inf
    for seed in range(4):
        loss, f = SquaredLoss(zoo.teacher(seed), zoo.laws()[name]), zoo.student(seed + 50)
        before = np.asarray(loss.hessian(f))
        for radius in (1e-6, 1e-2):
            bound = loss.hessian_lipschitz(f, radius)
            for _ in range(10):
                step = rng.normal(size=(3, 3))
                step *= radius / np.linalg.norm(step)
                after = np.asarray(loss.hessian(Network(f.inner + step, f.outer)))
                rate = np.linalg.norm(after - before, 2) / radius
                assert rate <= bound
                tightest = min(tightest, float(bound / rate))
    assert tightest < 20


def test_the_bound_is_reached_up_to_a_factor_of_two_by_one_neuron():
    # Third derivatives of K(w, v) in w alone, at the angle where they are largest.
    rates = []
    for angle in np.linspace(0.1, 3.1, 31):
        loss = SquaredLoss(Network(np.array([[np.cos(angle), np.sin(angle)]]) * 50.0), Gaussian(2))
        f = Network(np.array([[1.0, 0.0]]))
        bound = loss.hessian_lipschitz(f)
        before = np.asarray(loss.hessian(f))
        for turn in np.linspace(0, np.pi, 19):
            step = 1e-6 * np.array([[np.cos(turn), np.sin(turn)]])
            rate = np.linalg.norm(loss.hessian(Network(f.inner + step)) - before, 2) / 1e-6
            rates.append(rate / bound)
    assert 0.5 < max(rates) <= 1 + 1e-6


def test_there_is_no_lipschitz_bound_where_there_is_no_hessian():
    f, g = zoo.student(), zoo.teacher()
    shortest = float(np.min(np.linalg.norm(f.inner, axis=1)))
    assert SquaredLoss(g, Gaussian(3)).hessian_lipschitz(f, shortest) == np.inf
    assert SquaredLoss(g, Gaussian(3)).hessian_lipschitz(f, 0.9 * shortest) < np.inf
    assert SquaredLoss(g, Gaussian(3), AllWeights()).hessian_lipschitz(f) == np.inf
    assert SquaredLoss(g, zoo.laws()["sample"]).hessian_lipschitz(f) == np.inf


# Errors.

TEACHER = Network(np.eye(2, 3))
LOSS = SquaredLoss(TEACHER, Gaussian(3))
SAMPLED = SquaredLoss(TEACHER, Sample(np.eye(3)))
BIASED = Network(np.eye(2, 3), None, np.ones(2))
BIAS_TEXT = (
    "The {0} has biases, which a loss knows as weights of one more input that is constant 1. Use "
    "`{0}.with_constant()` and the law `with_constant(law)`, for student and teacher alike."
)
KINK_TEXT = (
    "The loss under a Sample law has kinks and no Hessian; its almost-everywhere second derivative "
    "is a Gauss-Newton matrix, which is never negative, whatever the law behind the data. If that "
    "is what you want, call `cell_hessian`."
)
ERRORS = {
    "teacher and law": (
        lambda: SquaredLoss(TEACHER, Rotational(4)),
        "Teacher and law live in different spaces: the teacher has 3 inputs, the law 4. Embed the "
        "teacher first: `teacher.embed(basis)`.",
    ),
    "teachers": (
        lambda: SquaredLoss(Network(np.ones((5, 2, 3))), Gaussian(3)),
        "A loss has one teacher, but this is a batch of shape (5,). Take one: `teacher[0]`.",
    ),
    "biased teacher": (lambda: SquaredLoss(BIASED, Gaussian(3)), BIAS_TEXT.format("teacher")),
    "biased student": (lambda: LOSS(BIASED), BIAS_TEXT.format("student")),
    "student and teacher": (
        lambda: LOSS.gradient(Network(np.eye(2))),
        "Student and teacher live in different spaces: the student has 2 inputs, the teacher 3. "
        "Embed the smaller one first, e.g. `student.embed(basis)`.",
    ),
    "students": (
        lambda: LOSS.hessian(Network(np.ones((5, 2, 3)))),
        "A Hessian is taken at one student, but this is a batch of shape (5,). Take one: "
        "`student[0]`.",
    ),
    "a zero neuron": (
        lambda: LOSS.hessian(Network(np.eye(2, 3)[::-1] * np.array([[1.0], [0.0]]))),
        "Neuron 1 is zero, and the loss has no Hessian there. Move it off zero or leave it out.",
    ),
    "product at a zero neuron": (
        lambda: LOSS.hvp(Network(np.zeros((1, 3))), np.zeros((1, 3))),
        "Neuron 0 is zero, and the loss has no Hessian there. Move it off zero or leave it out.",
    ),
    "direction": (
        lambda: LOSS.hvp(TEACHER, np.ones(6)),
        "`v` must have the shape of the trained parameters, (2, 3), but has (6,). Reshape it: "
        "`v.reshape(2, 3)`.",
    ),
    "hessian of a sample": (lambda: SAMPLED.hessian(TEACHER), KINK_TEXT),
    "product of a sample": (lambda: SAMPLED.hvp(TEACHER, np.ones((2, 3))), KINK_TEXT),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_an_error_of_a_loss_names_the_fact_the_offender_and_the_remedy(name):
    wrong, text = ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        wrong()


def test_a_loss_and_its_gradient_exist_at_zero_neurons():
    f = Network(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]))
    for name in ("slanted gaussian", "ball", "sample"):
        loss = SquaredLoss(zoo.teacher(), zoo.laws()[name], AllWeights())
        assert np.isfinite(float(loss(f)))
        assert np.all(np.isfinite(loss.gradient(f)))
