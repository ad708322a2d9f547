"""Descent until a margin: gradients, what stays where it was, and how runs end."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model.subspace import (
    chessboard_data,
    coordinate_subspace,
    diagonal_data,
    random_labels,
    random_subspace,
)
from shallows.solve.margin_training import (
    GaussianHeads,
    MarginDescent,
    MarginEnding,
    SignHeads,
    Trained,
    UniformHeads,
    Weights,
    logistic_gradient,
)


def _loss(weights, x, y):
    return float(np.mean(np.log1p(np.exp(-y * weights(x)))))


def test_gradients_are_those_of_central_differences():
    data = diagonal_data()
    start = GaussianHeads(5).draw(2, seed=1)
    _, gradient = logistic_gradient(start, data.points, data.labels)

    def moved(name, index, step):
        parts = {
            f: np.array(getattr(start, f), float) for f in ("inner", "heads", "bias", "offset")
        }
        parts[name][index] += step
        made = Weights(parts["inner"], parts["heads"], parts["bias"], float(parts["offset"]))
        return _loss(made, data.points, data.labels)

    h = 1e-6
    for name in ("inner", "heads", "bias", "offset"):
        found = np.array(getattr(gradient, name), float)
        for index in np.ndindex(found.shape):
            slope = (moved(name, index, h) - moved(name, index, -h)) / (2 * h)
            assert abs(found[index] - slope) < 1e-9


def test_extreme_outputs_do_not_overflow():
    x, y = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1.0, -1.0])
    _, gradient = logistic_gradient(Weights(np.array([[1e6, 0.0]]), np.array([1.0])), x, y)
    np.testing.assert_allclose(gradient.inner, [[0.5, 0.0]])


def test_the_network_is_the_same_function_as_the_weights():
    x = np.random.default_rng(0).normal(size=(9, 3))
    for start in (SignHeads(6, 0.5), GaussianHeads(6), UniformHeads(6)):
        weights = start.draw(3, seed=2)
        np.testing.assert_allclose(
            np.asarray(weights.network(jnp.asarray(x))), weights(x), atol=1e-15
        )


def test_starts_have_their_variances():
    d, m, draws = 8, 50, 200
    for start, inner, heads in (
        (SignHeads(m, 0.3), 0.09 / d, 1 / m),
        (GaussianHeads(m, 2.0), 1 / (4 * d), 1 / (4 * m)),
        (UniformHeads(m, 3.0), 1 / (27 * d), 1 / (27 * m)),
    ):
        drawn = [start.draw(d, seed) for seed in range(draws)]
        for values, variance in (
            (np.array([w.inner for w in drawn]), inner),
            (np.array([w.heads for w in drawn]), heads),
        ):
            squares = values.ravel() ** 2
            error = np.std(squares) / math.sqrt(squares.size)
            assert abs(np.mean(squares) - variance) <= 5 * error + 1e-15
    # Of one seed, scales are multiples: what differs is not the draw.
    small, large = SignHeads(5, 0.1).draw(3, 4), SignHeads(5, 1.0).draw(3, 4)
    np.testing.assert_allclose(10 * small.inner, large.inner)


@pytest.mark.parametrize("batch", [None, 3])
@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_nothing_moves_off_the_subspace_but_by_decay(batch, decay):
    start = SignHeads(60).draw(20, 0)
    method = MarginDescent(step=0.2, decay=decay, batch=batch, steps=500)
    flat, turned = coordinate_subspace(20, 8), random_subspace(20, 8)
    for subspace in (flat, turned):
        run = method.run(random_labels(subspace, 7), start)
        assert run.ending is MarginEnding.reached
        assert run.margins[-1] >= 1 > run.margins[-2]
        before, after = (subspace.coordinates_off(w.inner) for w in (run.start, run.end))
        expected = (1 - 0.2 * decay) ** run.steps * before
        if subspace is flat and decay == 0:
            np.testing.assert_array_equal(after, before)
        else:
            np.testing.assert_allclose(after, expected, atol=1e-13)
        assert np.max(np.abs(run.end.inner - run.start.inner)) > 1e-2


def test_at_a_height_a_combination_with_the_bias_is_what_stays():
    # The board is a linear subspace of (x, 1), and what is orthogonal to it there is w₃ − h b.
    data = chessboard_data(3)
    method = MarginDescent(step=0.05, margin=0.01, steps=200, trained=Trained.everything)
    run = method.run(data, UniformHeads(30, 1.0).draw(3, 0))
    before, after = (w.inner[:, 2] - 0.5 * np.asarray(w.bias) for w in (run.start, run.end))
    np.testing.assert_allclose(after, before, atol=1e-15)
    assert np.max(np.abs(run.end.inner[:, 2] - run.start.inner[:, 2])) > 1e-3


def test_penalties_pull_as_their_gradients_say():
    data, start = diagonal_data(), GaussianHeads(4).draw(2, 0)
    options: tuple[dict[str, Any], ...] = ({}, {"first_layer": 0.3}, {"decay": 0.2})
    plain, layer, decay = (
        MarginDescent(step=0.1, steps=1, trained=Trained.everything, **more).run(data, start).end
        for more in options
    )
    bias, without, with_layer = (np.asarray(w.bias) for w in (start, plain, layer))
    length = math.sqrt(np.sum(start.inner**2) + np.sum(bias**2))
    np.testing.assert_allclose(plain.inner - layer.inner, 0.1 * 0.3 * start.inner / length)
    np.testing.assert_allclose(without - with_layer, 0.1 * 0.3 * bias / length)
    np.testing.assert_array_equal(plain.heads, layer.heads)
    np.testing.assert_allclose(plain.heads - decay.heads, 0.1 * 0.2 * start.heads)
    assert abs(plain.offset - decay.offset - 0.02 * start.offset) < 1e-15


def test_runs_end_as_they_say():
    data, start = diagonal_data(), GaussianHeads(20).draw(2, 0)
    late = MarginDescent(step=0.02, steps=5).run(data, start)
    assert (late.ending, late.steps, len(late.margins)) == (MarginEnding.out_of_steps, 5, 6)
    with np.errstate(over="ignore", invalid="ignore"):
        far = MarginDescent(step=1e200, trained=Trained.everything).run(data, start)
    assert far.ending is MarginEnding.diverged
    # Without `everything`, heads and offset stay.
    assert late.end.heads is start.heads
    assert late.end.offset == start.offset


@pytest.mark.parametrize(
    "options",
    [{"step": 0.0}, {"step": 1.0, "margin": 0.0}, {"step": 1.0, "decay": 1.0}, {"step": math.inf}],
)
def test_misuse_is_named_with_a_remedy(options):
    with pytest.raises(ValueError, match=r"must .* Use "):
        MarginDescent(**options)
