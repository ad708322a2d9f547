"""Networks with several hidden layers from queries: recovered layer by layer, or said not to be."""

import itertools
import math

import numpy as np
import pytest
import scipy.optimize

from shallows.model import Layers, Oracle
from shallows.model.oracle import layers_oracle
from shallows.solve import DeepLines, ExtractionOutcome, LayerOutcome, extract_deep
from shallows.solve.extraction.known import Known
from shallows.solve.extraction.sides import signs_by_skips


def _network(widths, seed, outputs=1, biases=1.0):
    """Weights of variance 2/fan-in, biases N(0, 1) or smaller."""
    rng = np.random.default_rng(seed)
    sizes = (*widths, outputs)
    weights = [rng.normal(size=(b, a)) * math.sqrt(2 / a) for a, b in itertools.pairwise(sizes)]
    return Layers(weights, [biases * rng.normal(size=b) for b in sizes[1:]])


def _values(network, x):
    weights = [np.array(w) for w in network.weights]
    biases = [np.array(b) for b in network.biases]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        x = np.maximum(x @ w.T + b, 0)
    return x @ weights[-1].T + biases[-1]


def _apart(found, truth):
    """The largest difference of weights, units being matched and scaled layer by layer."""
    weights = [np.array(w) for w in found.weights], [np.array(w) for w in truth.weights]
    biases = [np.array(b) for b in found.biases], [np.array(b) for b in truth.biases]
    worst = 0.0
    for l in range(len(weights[0])):
        ours, theirs = (np.column_stack([w[l], b[l]]) for w, b in zip(weights, biases, strict=True))
        if l + 1 == len(weights[0]):
            return max(worst, float(np.max(np.abs(ours - theirs))))
        size = [np.linalg.norm(w, axis=1) for w in (ours, theirs)]
        cost = np.max(np.abs((ours / size[0][:, None])[:, None] - theirs / size[1][:, None]), 2)
        rows, columns = scipy.optimize.linear_sum_assignment(cost)
        worst = max(worst, float(np.max(cost[rows, columns])))
        # What leaves our unit is as large as what leaves theirs, for the next layer.
        ratio = size[1][columns] / size[0]
        weights[0][l + 1] = weights[0][l + 1] / ratio
        weights[1][l + 1] = weights[1][l + 1][:, columns]
    raise AssertionError


def _fits(made, truth, most=1e-9):
    assert made.network is not None
    x = np.random.default_rng(9).normal(size=(2000, truth.sizes[0]))
    y = _values(truth, x)
    return np.max(np.abs(_values(made.network, x) - y)) < most * np.max(np.abs(y))


def test_features_slopes_and_knots_are_those_of_the_function():
    rng = np.random.default_rng(0)
    known = Known(4).with_layer(rng.normal(size=(5, 5)), has_sides=True)
    known = known.with_layer(rng.normal(size=(3, 6)))
    assert known.widths == (4, 5, 3)
    assert known.count == 3 + 5 + 1
    x, v = rng.normal(size=(2, 20, 4))
    numeric = (known.features(x + 1e-7 * v) - known.features(x - 1e-7 * v)) / 2e-7
    assert np.allclose(np.einsum("nmd,nd->nm", known.slopes(x), v), numeric, atol=1e-7)
    # Between knots every feature is linear; at them some unit vanishes.
    start, way = rng.normal(size=(2, 4))
    at = known.knots(start, way, 50.0)
    inner = at[:-1, None] + np.diff(at)[:, None] * np.array([0.01, 0.5, 0.99])
    y = known.features((start + inner.reshape(-1, 1) * way).reshape(-1, 4)).reshape(-1, 3, 9)
    assert np.allclose(y[:, 1] - y[:, 0], 49 / 98 * (y[:, 2] - y[:, 0]), atol=1e-9)
    h = known.signals(start + at[1:-1, None] * way)
    z = [h[l] @ known.weights[l].T + known.biases[l] for l in range(2)]
    assert np.max(np.min(np.abs(np.hstack(z)), axis=1)) < 1e-10
    with pytest.raises(ValueError, match="Use `turned` before"):
        known.with_layer(np.ones((1, 9)))


def test_turned_units_are_found_from_what_the_next_layer_skips():
    rng = np.random.default_rng(1)
    w, b, next_layer = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=(4, 6))
    signs = np.array([1.0, -1, -1, 1, 1, -1])
    known = Known(3).with_layer(np.column_stack([w, b]) * signs[:, None])
    # σ(z) = σ(−z) + z for the units that are turned.
    turned = (signs < 0) * 1.0
    rows = np.hstack([next_layer, (next_layer * turned) @ w, rng.normal(size=(4, 1))])
    x = rng.normal(size=(50, 3))
    made = known.features(x)[:, :-1] @ rows[:, :-1].T + (next_layer * turned) @ b
    assert np.allclose(made, np.maximum(x @ w.T + b, 0) @ next_layer.T)
    found = signs_by_skips(known, rows)
    assert found is not None
    assert np.array_equal(found, signs)
    assert signs_by_skips(known, rows + rng.normal(size=rows.shape)) is None


def test_two_layers_are_recovered_with_their_weights():
    truth = _network((6, 4, 4), 4, outputs=2)
    shown: list[float] = []
    made = extract_deep(layers_oracle(truth), progress=shown.append)
    assert made.outcome is ExtractionOutcome.recovered
    assert [layer.outcome for layer in made.layers] == [LayerOutcome.recovered] * 2
    assert made.network is not None
    assert made.network.sizes == truth.sizes
    assert _apart(made.network, truth) < 1e-9
    assert _fits(made, truth)
    assert made.error < 1e-10
    assert made.parameters == 6 * 4 + 4 + 4 * 4 + 4 + 4 * 2 + 2
    assert shown[-1] == 1.0


def test_a_layer_that_is_wider_than_the_inputs_gets_its_sides_from_the_next():
    """Slopes cannot tell them, and what the next layer skips does."""
    truth = _network((6, 8, 6), 0)
    made = extract_deep(layers_oracle(truth), DeepLines(widths=(8, 6)))
    assert made.outcome is ExtractionOutcome.recovered
    assert all(layer.has_sides for layer in made.layers)
    assert made.network is not None
    assert _apart(made.network, truth) < 1e-8
    assert _fits(made, truth)


def test_too_few_lines_and_layers_beyond_are_said_layer_by_layer():
    truth = _network((6, 4, 4), 3)
    made = extract_deep(layers_oracle(truth), DeepLines(most=3, widths=(4, 4)))
    assert made.outcome is ExtractionOutcome.partly_recovered
    assert made.network is None
    assert len(made.layers) == 2
    assert made.layers[0].units == 4
    assert made.layers[0].outcome is LayerOutcome.recovered
    assert made.layers[1].outcome in (LayerOutcome.partly, LayerOutcome.not_recovered)
    assert "kinks are of no unit that is known" in made.evidence
    assert made.as_json()["layers"][1]["stated"] == 4
    assert made.as_json()["layers"][1]["advice"]
    made = extract_deep(layers_oracle(truth, budget=1000))
    assert made.outcome is ExtractionOutcome.out_of_queries
    assert made.queries <= 1000
    curved = extract_deep(Oracle(lambda x: np.tanh(x @ np.ones(3)), 3), DeepLines(most=3))
    assert curved.outcome is ExtractionOutcome.not_piecewise_linear


def test_units_that_are_never_on_are_not_invented():
    truth = _network((6, 4, 4), 3)
    dead = np.array(truth.biases[0])
    dead[2] = -1e9
    network = Layers(truth.weights, [dead, *truth.biases[1:]])
    made = extract_deep(layers_oracle(network), DeepLines(widths=(4, 4)))
    assert made.outcome is ExtractionOutcome.recovered
    assert (made.layers[0].units, made.layers[0].stated) == (3, 4)
    assert made.layers[0].outcome is LayerOutcome.where_seen
    assert _fits(made, network)


def test_searches_without_meaning_are_misuse():
    with pytest.raises(ValueError, match="has 0, 3, 1e-09 and 0"):
        DeepLines(most=0)
    with pytest.raises(ValueError, match="Hidden layers have a unit each"):
        DeepLines(widths=(3, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "seeds", "share", "most"),
    [((10, 10, 10), 10, 0.7, 16.5), ((10, 20, 20), 3, 0.6, 17.8), ((20, 10, 10, 5), 2, 0.5, 17.5)],
)
def test_random_networks_are_recovered_from_few_queries_and_never_wrongly(
    widths, seeds, share, most
):
    recovered = 0
    for seed in range(seeds):
        truth = _network(widths, seed)
        made = extract_deep(layers_oracle(truth), DeepLines(deepest=len(widths) - 1))
        if made.outcome is not ExtractionOutcome.recovered:
            assert made.network is None
            continue
        recovered += math.log2(made.queries) <= most
        assert _fits(made, truth, 1e-8)
    assert recovered >= share * seeds
