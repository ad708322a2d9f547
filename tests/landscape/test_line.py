"""The loss on a line against dense formulas, differences and 50 digits."""

import mpmath
import numpy as np
import pytest

from shallows.landscape import LineLoss, attractors, invariants, polar, unpolar
from shallows.landscape.line import inner_square
from shallows.model import linear_spline

X = np.linspace(-1, 1, 10)
Y = np.array([1.0, 1, 1, -1, -1, -1, 1, 1, 1, -1])
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(3, 7))
Z[0, 2], Z[1, 2] = 0.0, -0.6  # flat, and seen by all
Z[0, 3], Z[1, 3] = 0.0, 0.6  # flat, and seen by none


def dense(z, x, y, scale):
    """Loss and gradient as matrices, m × n."""
    height = np.outer(z[0], x) - z[1][:, None]
    seen = height > 0
    rho = z[2] @ (height * seen) / scale - y
    s0, s1 = seen @ rho, seen @ (rho * x)
    return rho @ rho / 2, np.stack([z[2] * s1, -z[2] * s0, z[0] * s1 - z[1] * s0]) / scale


def test_loss_and_gradient_are_the_dense_ones_and_differences():
    loss = LineLoss(X, Y, 7.0)
    value, slope = loss.value_and_gradient(Z)
    expected_value, expected = dense(Z, X, Y, 7.0)
    assert abs(value - expected_value) < 1e-14
    assert np.max(np.abs(slope - expected)) < 1e-15
    assert loss.value_at(Z) == value
    h = 1e-6
    for i, j in np.ndindex(3, 7):
        if j in (2, 3) and i == 0:
            continue  # a flat neuron has its knot at infinity on one side or the other
        step = np.zeros_like(Z)
        step[i, j] = h
        difference = (loss.value_at(Z + step) - loss.value_at(Z - step)) / (2 * h)
        assert abs(difference - slope[i, j]) < 1e-8


def test_network_is_the_one_that_is_trained():
    loss = LineLoss(X, Y, 7.0)
    outputs = linear_spline(loss.network(Z))(X)
    assert np.max(np.abs(outputs - Y - loss.residuals(Z))) < 1e-14


def test_gradient_to_fifty_digits_where_sums_cancel():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(3, 40)) * 10.0 ** rng.integers(-3, 4, 40)
    x, y = np.sort(rng.normal(size=6)), rng.normal(size=6)
    loss = LineLoss(x, y, 3.0)
    mpmath.mp.dps = 50
    a, b, c = ([mpmath.mpf(v) for v in row] for row in z)
    xs = [mpmath.mpf(v) for v in x]
    height = [[a[i] * s - b[i] for s in xs] for i in range(40)]
    rho = [
        sum(c[i] * max(height[i][j], 0) for i in range(40)) / 3 - mpmath.mpf(y[j]) for j in range(6)
    ]
    terms = sum(abs(z[2]) * (abs(z[0]) + abs(z[1])))
    assert max(abs(float(r) - s) for r, s in zip(rho, loss.residuals(z), strict=True)) < (
        1e-15 * terms
    )
    slope = loss.gradient_at(z)
    largest = np.max(np.abs(slope))
    for i in range(40):
        s1 = sum(rho[j] * xs[j] for j in range(6) if height[i][j] > 0)
        assert abs(float(c[i] * s1 / 3) - slope[0, i]) < 1e-13 * largest


def test_curvature_bounds_the_hessian_of_the_cell():
    loss, h = LineLoss(X, Y, 7.0), 1e-6
    z = np.delete(Z, [2, 3], axis=1)
    rows = []
    for i, j in np.ndindex(3, 5):
        step = np.zeros_like(z)
        step[i, j] = h
        rows.append(((loss.gradient_at(z + step) - loss.gradient_at(z - step)) / (2 * h)).ravel())
    largest = np.max(np.abs(np.linalg.eigvalsh(np.array(rows))))
    assert largest <= loss.curvature(z) * (1 + 1e-9) <= 3 * largest
    blurred = LineLoss(X, Y, 7.0, 0.1)
    assert blurred.curvature(z) > loss.curvature(z)


def test_tangent_kernel_moves_the_residuals():
    loss = LineLoss(X, Y, 7.0)
    z, h = np.delete(Z, [2, 3], axis=1), 1e-6
    slope = loss.gradient_at(z)
    moved = (loss.residuals(z - h * slope) - loss.residuals(z + h * slope)) / (2 * h)
    assert np.max(np.abs(moved + loss.tangent_kernel(z) @ loss.residuals(z))) < 1e-8


def test_blur_changes_the_gradient_next_to_knots_only_and_keeps_delta():
    knot = X[4] + 0.004
    z = np.array([[1.0, -2.0, 1.0], [knot, -2 * knot, 0.0], [1.0, 0.5, -1.0]])
    sharp, soft = LineLoss(X, Y, 3.0), LineLoss(X, Y, 3.0, 0.01)
    rho = sharp.residuals(z)
    assert np.array_equal(soft.residuals(z), rho)
    gap = (soft.gradient_at(z) - sharp.gradient_at(z)) * 3.0
    share = 0.5 - 0.004 / 0.02  # of an unseen point, by a neuron that rises
    assert np.isclose(gap[1, 0], -z[2, 0] * share * rho[4])
    part = (0.008 / 0.02 + 0.5) - 1  # of a seen one, by one that falls
    assert np.isclose(gap[1, 1], -z[2, 1] * part * rho[4])
    assert np.all(gap[:, 2] == 0)
    a, b, c = z
    by_a, by_b, by_c = soft.gradient_at(z)
    assert np.max(np.abs(c * by_c - a * by_a - b * by_b)) < 1e-15


def test_a_step_of_descent_changes_delta_by_the_square_of_the_step():
    loss, step = LineLoss(X, Y, 7.0), 0.3
    by_a, by_b, by_c = loss.gradient_at(Z)
    change = invariants(Z - step * loss.gradient_at(Z)) - invariants(Z)
    assert np.max(np.abs(change - step**2 * (by_c**2 - by_a**2 - by_b**2))) < 1e-15


def test_polar_coordinates_and_delta_are_all():
    z = np.concatenate([Z, 1e4 * Z, Z * [[1e-5], [1e-5], [1]]], axis=1)
    again = unpolar(polar(z), invariants(z), np.sign(z[2]))
    assert np.max(np.abs(again / np.where(z == 0, np.inf, z) - (z != 0))) < 1e-9
    # facts: the difference q − δ cancels for δ > 0.
    r, delta = np.array([1e-6]), np.array([1e4])
    assert np.isclose(inner_square(r, delta)[0], 1e-16, rtol=1e-12)


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("outer", [1, -1])
def test_attractors_are_where_velocities_point_at_the_sample(rises, outer):
    rho = np.random.default_rng(2).normal(size=10)
    found = attractors(LineLoss(X, Y, 1.0), rho, rises, outer)
    a = 1.0 if rises else -1.0
    for j, x in enumerate(X):
        signs = []
        for u in (x - 1e-9, x + 1e-9):
            seen = a * (X - u) > 0
            signs.append(np.sign(outer / a * np.sum((rho * (1 + u * X))[seen])))
        expected = {(1.0, -1.0): 1.0, (-1.0, 1.0): -1.0}.get(tuple(signs), 0.0)
        assert found[j] == expected
        # facts: for either sign of a an attractor has c ρ > 0.
        if expected == 1.0:
            assert outer * rho[j] > 0
    assert np.any(found)


def test_knot_velocity_is_that_of_the_gradient():
    loss = LineLoss(X, Y, 7.0)
    z = np.delete(Z, [2, 3], axis=1)
    by_a, by_b, _ = loss.gradient_at(z)
    expected = (-by_b * z[0] + z[1] * by_a) / z[0] ** 2
    assert np.allclose(loss.knot_velocity(z), expected, rtol=1e-12)
    assert np.isnan(loss.knot_velocity(Z)[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LineLoss(X, Y, 0.0), "scale α of a network is positive, but is 0"),
        (lambda: LineLoss(X, Y, 1.0, -1.0), "`blur` is a width"),
        (lambda: LineLoss([0.0], [1.0], 1.0), "at least two points"),
        (lambda: attractors(LineLoss(X, Y, 1.0), Y, True, 2), "`outer` is the sign of c"),
    ],
)
def test_misuse_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
