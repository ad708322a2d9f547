"""Students with heads |w|/m: by tensors, differences, samples, 50 digits, and the general loss."""

import itertools
import math

import mpmath
import numpy as np
import pytest

from shallows.landscape import NormWeighted, SampledNormWeighted, SquaredLoss
from shallows.landscape.norm_weighted import degree_two_floor, kernel, order_coefficient
from shallows.model import Gaussian, Network, absolute, leaky, relu

RNG = np.random.default_rng(0)
HEADS, W = RNG.uniform(0.1, 0.5, 4), RNG.normal(size=(6, 4))
STUDENTS = pytest.mark.parametrize("sigma", [absolute, relu, leaky(0.3)], ids=lambda s: s.name)


def literal(sigma, w, x):
    """(f − f*)² at the points, as it is written."""
    f = np.asarray(sigma(x @ w.T)) @ np.linalg.norm(w, axis=1) / len(w)
    return (f - np.abs(x) @ HEADS) ** 2


def differences(loss, w, h=1e-5):
    steps = h * np.eye(w.size).reshape(-1, *w.shape)
    return (loss(w + steps) - loss(w - steps)).reshape(w.shape) / (2 * h)


@STUDENTS
def test_loss_is_the_mean_of_squares_over_samples(sigma):
    squares = literal(sigma, W, RNG.normal(size=(200_000, 4)))
    error = squares.std() / math.sqrt(len(squares))
    assert abs(squares.mean() - NormWeighted(HEADS, sigma)(W)) < 5 * error


@STUDENTS
def test_gradient_is_m_times_that_of_differences_also_for_a_batch(sigma):
    loss, both = NormWeighted(HEADS, sigma), np.stack([W, 2 * W[::-1]])
    found = loss.gradient(both)
    for w, g in zip(both, found, strict=True):
        np.testing.assert_allclose(g, len(w) * differences(loss, w), atol=1e-8)
    np.testing.assert_allclose(found[0], loss.gradient(W), rtol=1e-13)
    np.testing.assert_allclose(loss(both), [loss(both[0]), loss(both[1])], rtol=1e-14)


def test_it_is_a_network_with_moving_heads_for_the_general_loss():
    # The teacher |x| is ReLU(x) + ReLU(−x); the head's share of the gradient is along the neuron.
    teacher = Network(np.vstack([np.eye(4), -np.eye(4)]), np.tile(HEADS, 2))
    general, loss = SquaredLoss(teacher, Gaussian(4)), NormWeighted(HEADS, relu)
    student = loss.network(W)
    slope, (norm, unit) = np.asarray(general.gradient(student)), loss.polar(W)
    expected = 2 * len(W) * (slope + np.sum(unit * slope, axis=1, keepdims=True) * unit)
    np.testing.assert_allclose(loss.gradient(W), expected, rtol=1e-12)
    np.testing.assert_allclose(norm, len(W) * np.asarray(student.outer))


@STUDENTS
def test_orders_are_distances_of_tensors_and_add_up(sigma):
    loss = NormWeighted(HEADS, sigma)
    norm = np.linalg.norm(W, axis=1)
    mass, unit = loss.even * norm**2 / len(W), W / norm[:, None]
    for k, found in zip((0, 2, 4), loss.orders(W, (0, 2, 4)), strict=True):
        tensor = sum(
            q * np.array([math.prod(v[list(i)]) for i in itertools.product(range(4), repeat=k)])
            for q, v in [*zip(mass, unit, strict=True), *zip(-HEADS, np.eye(4), strict=True)]
        )
        assert math.isclose(found, order_coefficient(k) * np.sum(tensor**2), rel_tol=1e-12)
    first = loss.odd**2 * np.sum((norm @ W / len(W)) ** 2)
    assert math.isclose(loss.orders(W, (1,))[0], first, rel_tol=1e-13)
    assert loss.orders(W, (3,))[0] == 0
    # The rest is at most that of parallel pairs, of mass (Σ|q|)².
    orders = loss.orders(W, [0, 1, *range(2, 401, 2)])
    rest = (1 - sum(order_coefficient(k) for k in range(0, 401, 2))) * (
        mass.sum() + HEADS.sum()
    ) ** 2
    assert 0 <= loss(W) - orders.sum() < rest


def test_coefficients_are_those_of_hermite_polynomials_in_50_digits():
    with mpmath.workdps(50):
        half_moments = [2 ** (mpmath.mpf(n) / 2) * mpmath.gamma(n / 2 + 1) for n in range(21)]
        for k, polynomial in enumerate(_hermite(20)):
            mean = sum(c * half_moments[n] for n, c in enumerate(polynomial)) if k % 2 == 0 else 0
            expected = 2 / mpmath.pi * mpmath.mpf(mean) ** 2 / mpmath.factorial(k)
            assert math.isclose(order_coefficient(k), expected, rel_tol=1e-14)
            if k >= 2 and k % 2 == 0:
                published = 2 * mpmath.fac2(k - 3) ** 2 / (mpmath.pi * mpmath.factorial(k))
                assert math.isclose(order_coefficient(k), published, rel_tol=1e-14)
    # facts: dynamics.md §1, computed.
    assert abs(order_coefficient(4) - 0.02653) < 5e-6
    assert abs(order_coefficient(6) - 0.00796) < 5e-6
    assert order_coefficient(5) == 0
    with pytest.raises(ValueError, match="whole numbers from 0 on, and -2 is not"):
        order_coefficient(-2)


def _hermite(most):
    """The coefficients of He_0, …, He_most, lowest first."""
    before, now = [], [1]
    for n in range(most + 1):
        yield now
        longer = [0, *now]
        before, now = (
            now,
            [c - n * b for c, b in itertools.zip_longest(longer, before, fillvalue=0)],
        )


def test_kernel_keeps_its_digits_where_students_meet_teachers():
    with mpmath.workdps(50):
        gaps = np.array([1e-3, 1e-8, 1e-12, 2.0**-52, 0.0])
        r = np.concatenate([1 - gaps, gaps - 1, [0.0, 0.3, -0.7]])
        for x, found in zip(map(mpmath.mpf, r), kernel(r), strict=True):
            exact = 2 / mpmath.pi * (mpmath.sqrt(1 - x * x) + x * mpmath.asin(x))
            assert abs(found - exact) < 4e-16


@pytest.mark.parametrize("tilt", [1e-3, 1e-7, 1e-9, 1e-12])
def test_gradient_keeps_its_digits_where_a_student_meets_a_teacher(tilt):
    # One student at an angle `tilt` from a teacher: the formula in 50 digits, all from the tilt.
    w = np.array([[2 * math.cos(tilt), 2 * math.sin(tilt)]])
    heads = np.array([0.7, 0.4])
    with mpmath.workdps(50):
        square = sum(mpmath.mpf(v) ** 2 for v in w[0])
        norm = mpmath.sqrt(square)
        expected = []
        for i in range(2):
            total = 4 * mpmath.mpf(w[0, i]) * square  # k(1) = 1, and k' is along nothing
            for l, a in enumerate(heads):
                r = mpmath.mpf(w[0, l]) / norm
                k = 2 / mpmath.pi * (mpmath.sqrt(1 - r * r) + r * mpmath.asin(r))
                across = (1 if i == l else 0) - r * mpmath.mpf(w[0, i]) / norm
                slope = 2 / mpmath.pi * mpmath.asin(r)
                total -= 2 * a * (2 * mpmath.mpf(w[0, i]) * k + norm * slope * across)
            expected.append(float(total))
    np.testing.assert_allclose(NormWeighted(heads).gradient(w)[0], expected, atol=2e-14)


def test_the_floor_is_what_orders_0_and_2_leave_of_the_teacher():
    loss, nothing = NormWeighted(HEADS), np.zeros((1, 4))
    left = float(loss(nothing)) - float(np.sum(loss.orders(nothing, (0, 2))))
    assert math.isclose(degree_two_floor(HEADS), left, rel_tol=1e-12)
    # facts: dynamics.md §1, computed: 1.50e-3 for a = 1/30.
    assert abs(degree_two_floor(np.full(30, 1 / 30)) - 1.50e-3) < 5e-6
    assert np.all(loss.gradient(nothing) == 0)


@STUDENTS
def test_a_sample_is_summed_literally(sigma):
    x = RNG.normal(size=(1234, 4))  # not a multiple of the block
    loss = SampledNormWeighted(NormWeighted(HEADS, sigma), x)
    assert math.isclose(loss(W), literal(sigma, W, x).mean(), rel_tol=1e-12)
    # Kinks are at distances of 1e-3 or so from 0 here, differences at 1e-6.
    found = loss.gradient(np.stack([W, W]))
    np.testing.assert_allclose(found[1], len(W) * differences(loss, W, 1e-6), atol=1e-6)


@STUDENTS
def test_sampled_gradients_scatter_around_the_exact_one(sigma):
    exact, shape = NormWeighted(HEADS, sigma), (40, 2000, 4)
    found = np.array([SampledNormWeighted(exact, x).gradient(W) for x in RNG.normal(size=shape)])
    error = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - exact.gradient(W)) < 5 * error)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"has shape \(2,\) and entries that are not finite. Use"):
        NormWeighted(np.array([1.0, np.nan]))
    with pytest.raises(ValueError, match=r"4 inputs, but the student's .* shape \(6, 3\)"):
        NormWeighted(HEADS).gradient(W[:, :3])
    with pytest.raises(ValueError, match=r"4 inputs, but `points` has shape \(10, 3\)"):
        SampledNormWeighted(NormWeighted(HEADS), np.zeros((10, 3)))
