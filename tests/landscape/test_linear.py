"""Linear networks under masks: identities by sampling, derivatives, minimisers, spectra, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from shallows.landscape import (
    DeepLinearLoss,
    Dropconnect,
    Dropout,
    LinearLoss,
    balanced,
    equalised,
    gaussian_start,
    minimisers,
    rank_one_levels,
)

MASKS = [Dropout(0.6), Dropconnect(0.6)]


def _losses(masks):
    """Whitened inputs and data, in both kinds of weights."""
    rng = np.random.default_rng(0)
    white = LinearLoss(rng.normal(size=(2, 3)), 4, masks)
    x = rng.normal(size=(20, 3)) @ rng.normal(size=(3, 3))
    data = LinearLoss.of_data(x, rng.normal(size=(20, 2)), 4, masks)
    return [white, white.original, data, data.original]


@pytest.mark.parametrize("masks", MASKS, ids=["dropout", "dropconnect"])
def test_the_loss_is_the_mean_over_masks_and_so_is_its_gradient(masks):
    rng, n = np.random.default_rng(1), 20_000
    for loss in _losses(masks):
        a, b = gaussian_start(loss, 1.0, rng)
        many = np.tile(a, (n, 1, 1)), np.tile(b, (n, 1, 1))
        values = loss.filtered(*many, rng)
        assert abs(values.mean() - loss(a, b)) < 5 * values.std() / n**0.5
        slopes = loss.join(*loss.filtered_gradient(*many, rng))
        away = slopes.mean(axis=0) - loss.gradient_at(loss.join(a, b))
        assert np.all(np.abs(away) < 5 * slopes.std(axis=0) / n**0.5 + 1e-12)


@pytest.mark.parametrize("masks", MASKS, ids=["dropout", "dropconnect"])
def test_the_loss_written_out_and_its_derivatives_by_differences(masks):
    p = masks.retain
    share = p if isinstance(masks, Dropout) else p**2
    for loss in _losses(masks)[:2]:
        a, b = gaussian_start(loss, 1.0, np.random.default_rng(2))
        # facts: dynamics.md §4, in original weights p(1 − p) R, or p²(1 − p²) R.
        m, weight = (1, (1 - share) / share) if loss.gain == 1 else (share, share * (1 - share))
        r = np.sum(np.sum(a**2, axis=0) * np.sum(b**2, axis=1))
        expected = np.sum((loss.target - m * a @ b) ** 2) + weight * r
        assert loss(a, b) == pytest.approx(expected, rel=1e-14)
    for loss in _losses(masks):
        theta = np.random.default_rng(3).normal(size=loss.size)
        moves = 1e-5 * np.eye(loss.size)
        slopes = [
            (loss(*loss.split(theta + h)) - loss(*loss.split(theta - h))) / 2e-5 for h in moves
        ]
        np.testing.assert_allclose(loss.gradient_at(theta), slopes, atol=2e-8)
        rows = [(loss.gradient_at(theta + h) - loss.gradient_at(theta - h)) / 2e-5 for h in moves]
        np.testing.assert_allclose(loss.hessian(*loss.split(theta)), rows, atol=2e-8)


@pytest.mark.slow
def test_derivatives_are_those_of_automatic_differentiation():
    loss = _losses(MASKS[1])[3]
    target, root, metric = loss.target, loss.root, loss.metric

    def value(theta):
        a, b = jnp.split(loss.gain * theta, [8])
        a, b = a.reshape(2, 4), b.reshape(4, 3)
        r = jnp.sum(jnp.sum(a**2, axis=0) * jnp.einsum("ix,xy,iy->i", b, metric, b))
        return jnp.sum((target - a @ b @ root) ** 2) + loss.masks.penalty * r

    theta = np.random.default_rng(4).normal(size=loss.size)
    np.testing.assert_allclose(loss.gradient_at(theta), jax.grad(value)(theta), rtol=1e-12)
    hessian = loss.hessian(*loss.split(theta))
    np.testing.assert_allclose(hessian, jax.hessian(value)(theta), atol=1e-12)


def test_data_are_the_mean_over_their_points():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(7, 2))
    loss = LinearLoss.of_data(x, y, 4, Dropout(1.0))
    a, b = gaussian_start(loss, 1.0, rng)
    expected = np.mean(np.sum((y - x @ b.T @ a.T) ** 2, axis=1))
    assert loss(a, b) == pytest.approx(expected, rel=1e-13)
    # Fewer points than inputs: the second moment is singular.
    few = LinearLoss.of_data(x[:2], y[:2], 4, Dropout(1.0))
    assert few(a, b) == pytest.approx(np.mean(np.sum((y - x @ b.T @ a.T)[:2] ** 2, 1)), rel=1e-12)
    with pytest.raises(ValueError, match="The inputs lie in a subspace"):
        minimisers(LinearLoss.of_data(x[:2], y[:2], 4, Dropout(0.5)))


CASES = [
    (singular, f, p) for singular in ((2, 1.1), (3, 1.6, 1.4)) for f in (3, 6) for p in (0.5, 0.8)
]


@pytest.mark.parametrize(("singular", "f", "p"), CASES)
def test_minimisers_are_critical_equalised_and_as_many_as_the_dimension_says(singular, f, p):
    rng = np.random.default_rng(6)
    u, v = (np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in (3, 4))
    m = len(singular)
    for masks in (Dropout(p), Dropconnect(p)):
        loss = LinearLoss(u[:, :m] * singular @ v[:, :m].T, f, masks).original
        known = minimisers(loss)
        a, b = known.point()
        assert np.linalg.norm(loss.gradient_at(loss.join(a, b))) < 1e-13
        assert loss(a, b) == pytest.approx(known.value, rel=1e-13)
        assert np.max(np.abs(loss.conserved(loss.join(a, b)))) < 1e-14  # balanced
        products = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=1)
        np.testing.assert_allclose(products, products[0], rtol=1e-13)
        got = np.linalg.svd(loss.gain**2 * a @ b)[1]
        alpha = masks.penalty * sum(singular[: known.rank]) / (f + masks.penalty * known.rank)
        expected = np.pad(np.maximum(np.array(singular) - alpha, 0), (0, 3 - m))
        np.testing.assert_allclose(got, expected, atol=1e-13)
        # Away from balance too: the set has the same dimension everywhere.
        for point in ((a, b), known.point(rng.uniform(0.5, 2, f))):
            assert known.groups(*point) == 1
            spectrum = known.spectrum(*point)
            assert spectrum.zeros == known.dimension
            assert spectrum.smallest > 0


def test_no_descent_finds_less_than_the_minimum():
    rng = np.random.default_rng(7)
    for f in (1, 4):
        loss = LinearLoss(rng.normal(size=(3, 3)), f, Dropout(0.7))
        known = minimisers(loss)
        ends = [
            scipy.optimize.minimize(
                lambda t, loss=loss: float(loss(*loss.split(t))),
                rng.normal(size=loss.size),
                jac=loss.gradient_at,
                method="BFGS",
                options={"gtol": 1e-9},
            )
            for _ in range(2)
        ]
        least = min(end.fun for end in ends)
        assert least == pytest.approx(known.value, rel=1e-10)


def test_the_threshold_of_the_published_form():
    # cavazza2018, Theorem 3: with λ/f = (1 − p)/p, μ = (1 − p)/(p + (1 − p) d̄) Σ σ_i.
    s, f, p = np.array([3.0, 2.0, 0.4]), 4, 0.8
    fixed = Dropout(1 / (1 + f * (1 - p) / p))
    known = minimisers(LinearLoss(np.diag(s), f, fixed))
    assert known.rank == 2
    assert known.threshold == pytest.approx((1 - p) / (p + (1 - p) * 2) * 5.0, rel=1e-14)


@pytest.mark.parametrize("shape", [(2, 3), (1, 3), (1, 1)])
def test_the_spectrum_of_rank_one_is_exact(shape):
    rng = np.random.default_rng(8)
    o, d = shape
    u, v = (x / np.linalg.norm(x) for x in (rng.normal(size=o), rng.normal(size=d)))
    for f in (1, 2, 5):
        for loss in (
            LinearLoss(1.7 * np.outer(u, v), f, Dropout(0.4)),
            LinearLoss(1.7 * np.outer(u, v), f, Dropconnect(0.4)).original,
        ):
            known, levels = minimisers(loss), rank_one_levels(loss)
            expected = np.repeat(*map(np.array, zip(*levels, strict=True)))
            values = known.spectrum(*known.point()).eigenvalues
            np.testing.assert_allclose(values, expected, atol=1e-14 * values[-1] * loss.size)
            # facts: dynamics.md §4.
            lam, g = loss.masks.penalty, loss.gain**2
            first = 2 if shape != (1, 1) else 4
            low = first * (lam * 1.7 / (f + lam) if f > 1 else 1.7) * g
            assert levels[1][0] == pytest.approx(low, rel=1e-13)
            assert known.value == pytest.approx(lam * 1.7**2 / (f + lam), rel=1e-13)
    with pytest.raises(ValueError, match="known for targets of rank one"):
        rank_one_levels(LinearLoss(np.eye(2), 2, Dropout(0.5)))


def test_time_changes_with_the_weights():
    y, f = 2.0, 4
    rescaled, original = [], []
    for p in (0.02, 0.3, 0.6, 0.98):
        loss = LinearLoss(np.diag([y, 0]), f, Dropout(p))
        rescaled.append(rank_one_levels(loss)[1][0])
        original.append(rank_one_levels(loss.original)[1][0])
        assert original[-1] == pytest.approx(2 * p * (1 - p) * y / (p * f + 1 - p), rel=1e-13)
    assert rescaled == sorted(rescaled, reverse=True)
    assert max(original[0], original[-1]) < 0.2 * max(original)


def test_units_in_orthogonal_groups_add_zero_modes():
    # σ in proportion 3 : 1 among four units: three along one direction, one along the other.
    s = np.array([3.5, 1.5])
    known = minimisers(LinearLoss(np.diag(s), 4, Dropout(2 / 3)))
    np.testing.assert_allclose(known.singular, [3.0, 1.0], rtol=1e-14)
    z = np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert np.linalg.norm(known.loss.gradient_at(known.loss.join(z, z.T))) < 1e-14
    assert known.groups(z, z.T) == 2
    assert known.spectrum(z, z.T).zeros == known.dimension + 1
    assert known.groups(*known.point()) == 1
    # As many units as equal values: always orthogonal.
    square = minimisers(LinearLoss(np.eye(2), 2, Dropout(0.5)))
    assert square.groups(*square.point()) == 2
    assert square.spectrum(*square.point()).zeros == square.dimension + 1 == 3


def test_at_the_threshold_the_smallest_eigenvalue_vanishes():
    # facts: dynamics.md §4, trap 3: s = (1, 0.2), f = 4, p = 1/2.
    known = minimisers(LinearLoss(np.diag([1, 0.2]), 4, Dropout(0.5)))
    assert known.margin < 1e-15
    assert known.spectrum(*known.point()).zeros > known.dimension
    # Below it: 2 (α − s_2), and 2 (α + s_2).
    below = minimisers(LinearLoss(np.diag([1, 0.1]), 4, Dropout(0.5)))
    values = below.spectrum(*below.point()).eigenvalues
    for expected in (2 * (below.threshold - 0.1), 2 * (below.threshold + 0.1)):
        assert np.sum(np.abs(values - expected) < 1e-13) == 3  # f − ρ


def test_the_nearest_minimiser_is_found_by_newton_across_the_set():
    rng = np.random.default_rng(9)
    loss = LinearLoss(np.diag([2.0, 1.0, 0.0]), 4, Dropout(0.5))
    known = minimisers(loss)
    # facts: dynamics.md §4, reference numbers.
    assert (known.rank, known.threshold, known.dimension) == (2, 0.5, 6)
    a, b = known.point()
    _, vectors = np.linalg.eigh(loss.hessian(a, b))
    for size in (1e-2, 1e-3):
        move = size * vectors[:, known.dimension :] @ rng.normal(size=loss.size - known.dimension)
        x, y, distance = known.nearest(*loss.split(loss.join(a, b) + move))
        assert loss(x, y) == pytest.approx(known.value, rel=1e-14)
        assert abs(distance - np.linalg.norm(move)) < 20 * np.linalg.norm(move) ** 2
    with pytest.raises(ValueError, match="No minimiser near this point was found"):
        known.nearest(0 * a, 0 * b)


@pytest.mark.parametrize(("r", "f"), [(1, 1), (1, 5), (2, 2), (3, 7), (5, 5), (6, 8)])
def test_equalised_columns(r, f):
    sigma = np.sort(np.random.default_rng(f).uniform(0.01, 3, r))[::-1]
    z = equalised(sigma, f)
    np.testing.assert_allclose(z @ z.T, np.diag(sigma), atol=3e-15 * sigma.sum())
    np.testing.assert_allclose(np.sum(z**2, axis=0), sigma.sum() / f, rtol=3e-15 * f)


def test_several_layers_by_sampling_differences_and_the_shallow_case():
    rng = np.random.default_rng(10)
    target, p = rng.normal(size=(2, 3)), 0.7
    shallow = LinearLoss(target, 4, Dropout(p))
    a, b = gaussian_start(shallow, 1.0, rng)
    deep = DeepLinearLoss(target, p)
    assert deep([b, a]) == pytest.approx(shallow(a, b), rel=1e-14)
    for mine, theirs in zip(deep.gradient([b, a]), shallow.gradient(a, b)[::-1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-13)

    layers = [rng.normal(size=shape) / 2 for shape in ((4, 3), (3, 4), (2, 3))]
    drawn = np.array([deep.filtered(layers, rng) for _ in range(5000)])
    assert abs(drawn.mean() - deep(layers)) < 5 * drawn.std() / len(drawn) ** 0.5
    for i, slope in enumerate(deep.gradient(layers)):
        for place in np.ndindex(slope.shape):
            move = np.zeros(slope.shape)
            move[place] = 1e-5
            up, down = ([*layers[:i], layers[i] + s * move, *layers[i + 1 :]] for s in (1, -1))
            assert slope[place] == pytest.approx((deep(up) - deep(down)) / 2e-5, abs=1e-8)
    with pytest.raises(ValueError, match=r"map 3 to 4 to 2, in matrices of shapes"):
        deep([b, layers[2]])


@pytest.mark.parametrize("retain", [0, -0.1, 1.0001, np.nan])
@pytest.mark.parametrize("kind", [Dropout, Dropconnect])
def test_probabilities_lie_in_the_half_open_interval(kind, retain):
    with pytest.raises(ValueError, match=r"a probability in \(0, 1\], but .* was given. Pass the"):
        kind(retain)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"`target` must be a matrix.*shape \(3,\)"):
        LinearLoss(np.ones(3), 2, Dropout(0.5))
    with pytest.raises(ValueError, match="units"):
        LinearLoss(np.eye(2), 0, Dropout(0.5))
    with pytest.raises(ValueError, match=r"Masks that keep everything \(retain=1\)"):
        minimisers(LinearLoss(np.eye(2), 2, Dropout(1)))
    with pytest.raises(ValueError, match="The target is zero"):
        minimisers(LinearLoss(np.zeros((2, 2)), 2, Dropout(0.5)))
    with pytest.raises(ValueError, match="known for whitened inputs"):
        minimisers(_losses(Dropconnect(0.5))[2])
    with pytest.raises(ValueError, match="at most 2 singular values, but 3 were given"):
        equalised(np.ones(3), 2)
    with pytest.raises(ValueError, match=r"shapes \(3, 2\) and \(4, 2\)"):
        LinearLoss.of_data(np.ones((3, 2)), np.ones((4, 2)), 2, Dropout(0.5))
    with pytest.raises(ValueError, match="Unit 1 has one vector that is zero"):
        balanced(np.eye(2), np.diag([1.0, 0.0]))
    with pytest.raises(ValueError, match="a positive standard deviation, but 0 was given"):
        gaussian_start(LinearLoss(np.eye(2), 2, Dropout(0.5)), 0, np.random.default_rng(0))
