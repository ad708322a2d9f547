"""Inverses of layers: bounds against pairs of inputs, and inputs against their outputs."""

import numpy as np
import pytest

from shallows.model import doubled, inverse_lipschitz, reconstruct


def test_no_two_inputs_come_closer_than_the_bound_and_some_come_that_close():
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(14, 2)), 0.3 * rng.normal(size=14)
    for bias in (None, b):
        found = inverse_lipschitz(w, bias)
        shift = 0 if bias is None else bias
        x = 3 * rng.normal(size=(4000, 2))
        y = np.where(rng.random((4000, 1)) < 0.5, 3 * rng.normal(size=(4000, 2)), x + 1e-3)

        def layer(points, shift=shift):
            return np.maximum(points @ w.T + shift, 0)

        ratios = np.linalg.norm(layer(x) - layer(y), axis=1) / np.linalg.norm(x - y, axis=1)
        assert ratios.min() >= found.lower > 0
        assert found.upper == 2 * found.lower
        # In the cell that attains it, along the eigenvector: exactly √A.
        active = w[w @ found.point + shift >= 0]
        values, vectors = np.linalg.eigh(active.T @ active)
        step = 1e-6 * vectors[:, 0]
        change = np.linalg.norm(layer(found.point + step) - layer(found.point)) / 1e-6
        np.testing.assert_allclose([change, values[0] ** 0.5], found.upper, rtol=1e-7)


def test_constants_of_layers_that_can_be_seen():
    found = inverse_lipschitz(doubled(2 * np.eye(3)))
    assert (found.lower, found.upper, found.cells) == (1.0, 2.0, 8)
    assert inverse_lipschitz(np.eye(2)).upper == 0.0


def test_inputs_come_back_from_their_outputs():
    rng = np.random.default_rng(1)
    w, b = rng.normal(size=(20, 3)), rng.normal(size=20)
    for _ in range(20):
        x = 2 * rng.normal(size=3)
        np.testing.assert_allclose(reconstruct(w, np.maximum(w @ x + b, 0), b), x, atol=1e-12)
    # On hyperplanes, where rows that are exactly 0 matter.
    w = doubled(np.eye(3))
    for point in ([0, 0, 0], [1, 0, -2], [0, 0, 5]):
        y = np.maximum(w @ np.array(point), 0)
        np.testing.assert_allclose(reconstruct(w, y), point, atol=1e-12)


def test_outputs_without_or_with_many_inputs_are_refused():
    w = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    with pytest.raises(ValueError, match="Several inputs have this output: the 1 rows that are"):
        reconstruct(w, [1.0, 0, 0])
    with pytest.raises(ValueError, match="No input has this output: the nearest found misses"):
        reconstruct(w, [1.0, 1, 1])
    with pytest.raises(ValueError, match="its zeros contradict its other entries"):
        reconstruct(np.array([[1.0, 0], [1.0, 0], [0.0, 1]]), [1.0, 0, 0])
    with pytest.raises(ValueError, match="is not negative, but entry 1 is -1"):
        reconstruct(w, [1.0, -1, 0])
    with pytest.raises(ValueError, match=r"have the shapes \(2,\) and \(3, 2\)"):
        reconstruct(w, [1.0, 0])
    with pytest.raises(ValueError, match=r"`bias` must have shape \(3,\)"):
        reconstruct(w, [1.0, 0, 0], [1.0])
