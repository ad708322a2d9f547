"""Path norms and basis paths, against every path of small networks written out."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.model import Deep, Erf, Layers, Network, he_layers, layers_of
from shallows.model.paths import (
    Skeleton,
    basis_path_coordinates,
    basis_path_norm,
    basis_path_penalty,
    basis_paths,
    log_path_norm,
    path_bound,
    path_count,
    path_norm,
)

# Equal widths, a layer that widens, one that narrows, one unit, many outputs, few inputs.
SHAPES = [(3, 4, 4, 2), (2, 3, 5, 1), (4, 5, 2, 3), (2, 1, 3), (1, 2, 4, 3, 5), (5, 2, 2, 2, 1)]


def _drawn(sizes, has_biases=False, seed=0):
    layers = he_layers(sizes, np.random.default_rng(seed), has_biases=has_biases)
    if has_biases:
        rng = np.random.default_rng(seed + 1)
        return Layers(layers.weights, [rng.normal(size=n) for n in sizes[1:]])
    return layers


def _every_path(layers):
    """Each path as its edges; a bias has column −1."""
    sizes = layers.sizes
    for units in itertools.product(*map(range, sizes)):
        yield [(l, units[l + 1], units[l]) for l in range(len(sizes) - 1)]
    for l, b in enumerate(layers.biases):
        if b is not None:
            for units in itertools.product(*map(range, sizes[l + 1 :])):
                rest = [(l + 1 + n, j, i) for n, (i, j) in enumerate(itertools.pairwise(units))]
                yield [(l, units[0], -1), *rest]


def _number_on(layers):
    """The number on each edge."""
    found: dict[tuple[int, int, int], float] = {}
    for l, (w, b) in enumerate(zip(layers.weights, layers.biases, strict=True)):
        found |= {(l, i, j): float(x) for (i, j), x in np.ndenumerate(np.asarray(w))}
        if b is not None:
            found |= {(l, i, -1): float(x) for i, x in enumerate(np.asarray(b))}
    return found


def _values(layers, paths):
    number = _number_on(layers)
    return np.array([math.prod(number[edge] for edge in path) for path in paths])


def _incidence(layers, paths):
    number = {edge: n for n, edge in enumerate(_number_on(layers))}
    matrix = np.zeros((len(paths), len(number)))
    for row, path in zip(matrix, paths, strict=True):
        row[[number[edge] for edge in path]] = 1
    return matrix


def _basis(layers):
    return list(Skeleton(layers.sizes).basis([b is not None for b in layers.biases]))


def _rescaled(layers, seed=5):
    rng = np.random.default_rng(seed)
    return layers.rescale([np.exp(rng.normal(size=m)) for m in layers.sizes[1:-1]])


@pytest.mark.parametrize("has_biases", [False, True])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_norms_and_counts_are_those_of_all_paths(sizes, has_biases):
    layers = _drawn(sizes, has_biases)
    values = np.abs(_values(layers, _every_path(layers)))
    assert path_count(layers) == len(values)
    for q in (0.5, 1, 2, 7.5):
        exact = math.fsum(values**q)
        assert math.isclose(path_norm(layers, q), exact ** (1 / q), rel_tol=1e-13)
    assert math.isclose(path_norm(layers, math.inf), np.max(values), rel_tol=1e-14)


@pytest.mark.parametrize("q", [1, 2, 4])
def test_a_path_norm_is_one_pass_of_ones_through_powers_of_the_weights(q):
    # How the toolkit of Gonon et al. defines it.
    layers = _drawn((3, 4, 4, 2), has_biases=True)
    signal = np.ones(3)
    for w, b in zip(layers.weights, layers.biases, strict=True):
        signal = np.maximum(np.abs(np.asarray(w)) ** q @ signal + np.abs(np.asarray(b)) ** q, 0)
    assert math.isclose(path_norm(layers, q), np.sum(signal) ** (1 / q), rel_tol=1e-13)


@pytest.mark.parametrize("has_biases", [False, True])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_basis_paths_are_a_basis(sizes, has_biases):
    layers = _drawn(sizes, has_biases)
    paths = _basis(layers)
    weights, hidden = len(_number_on(layers)), sum(sizes[1:-1])
    rows = _incidence(layers, paths)
    assert len(paths) == np.linalg.matrix_rank(rows) == weights - hidden
    # Nothing is missing: every path is a combination, with whole numbers.
    every = _incidence(layers, list(_every_path(layers)))
    powers = np.linalg.pinv(rows.T) @ every.T
    assert np.allclose(rows.T @ powers, every.T, atol=1e-12)
    assert np.allclose(powers, np.round(powers), atol=1e-10)
    # Paths that divide are negative ones, and one fewer than those that multiply at most.
    negative = basis_paths(layers).is_negative
    assert not np.any((np.round(powers) < 0) & ~negative[:, None])
    assert np.all(np.round(powers)[~negative].max() <= 1)


@pytest.mark.parametrize("has_biases", [False, True])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_values_of_basis_paths_and_their_norm(sizes, has_biases):
    layers = _drawn(sizes, has_biases)
    paths, found = _basis(layers), basis_paths(layers)
    values = _values(layers, paths)
    assert np.allclose(found.log_values, np.log(np.abs(values)), rtol=1e-13, atol=1e-13)
    skeleton = {e for path, n in zip(paths, found.is_negative, strict=True) if n for e in path}
    off = [sum(edge not in skeleton for edge in path) for path in paths]
    assert off == [0 if n else 1 for n in found.is_negative]
    terms = np.where(found.is_negative, np.abs(np.log(np.abs(values))), np.abs(values))
    assert math.isclose(found.norm, np.max(terms), rel_tol=1e-13)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_nothing_depends_on_the_scaling_of_units(sizes):
    layers = _drawn(sizes, has_biases=True)
    other = _rescaled(layers)
    for q in (0.5, 1, 2):
        assert math.isclose(path_norm(layers, q), path_norm(other, q), rel_tol=1e-13)
    assert math.isclose(basis_path_norm(layers), basis_path_norm(other), rel_tol=1e-12)
    logs = [basis_paths(n).log_values for n in (layers, other)]
    assert np.allclose(logs[0], logs[1], rtol=1e-12, atol=1e-12)
    # A norm of the weights does: what is asserted above is not true of anything whatever.
    moved = [float(np.max(np.abs(n.weights[0]))) for n in (layers, other)]
    assert not math.isclose(*moved, rel_tol=1e-3)


def test_every_path_is_bounded_by_the_basis_path_norm():
    # A path with k weights off the skeleton is k positive paths over k − 1 negative ones.
    layers = _drawn((3, 3, 3, 3))
    size = basis_path_norm(layers)
    skeleton = {
        e
        for p, n in zip(_basis(layers), basis_paths(layers).is_negative, strict=True)
        if n
        for e in p
    }
    paths = list(_every_path(layers))
    for path, value in zip(paths, _values(layers, paths), strict=True):
        k = sum(edge not in skeleton for edge in path)
        bound = math.exp(size) if k == 0 else size**k * math.exp((k - 1) * size)
        assert abs(value) <= bound


def test_in_the_gauge_of_the_facts_the_norm_is_read_off_the_weights():
    rng = np.random.default_rng(0)
    w1, w2, a = (rng.normal(size=(3, 3)) for _ in range(3))
    for w in (w2, a):
        np.fill_diagonal(w, 1.0)
    v = np.diag(w1)
    off = ~np.eye(3, dtype=bool)
    terms = [np.abs(np.log(np.abs(v))), np.abs(w1[off])]
    terms += [np.abs(w * v)[off] for w in (w2, a)]
    assert math.isclose(
        basis_path_norm(Layers([w1, w2, a])), max(map(np.max, terms)), rel_tol=1e-14
    )


def test_the_regulariser_its_gradient_and_its_terms():
    layers = _drawn((2, 3, 2, 2), has_biases=True)
    # A zero off the skeleton.
    weights = [np.array(w) for w in layers.weights]
    for w in weights:
        w[1, 0] = 0.0
    layers = Layers(weights, layers.biases)
    x = jnp.asarray(np.random.default_rng(2).normal(size=(4, 2)))

    @jax.jit
    def everything(layers):
        energy, slope = jax.value_and_grad(basis_path_penalty)(layers)
        return energy, slope, basis_path_coordinates(layers), layers(x)

    energy, slope, z, outputs = everything(layers)
    paths, found = _basis(layers), basis_paths(layers)
    values = _values(layers, paths)
    logs = np.log(np.abs(np.where(found.is_negative, values, 1.0)))
    exact = np.where(found.is_negative, logs, np.abs(values))
    assert np.allclose(np.where(found.is_negative, z, np.abs(z)), exact, rtol=1e-13, atol=1e-13)
    assert math.isclose(found.norm, np.max(np.abs(exact)), rel_tol=1e-13)
    assert math.isclose(float(energy), exact @ exact / 2, rel_tol=1e-13)
    assert found.norm**2 <= 2 * float(energy)
    # By hand: d log|v_p| / dw = 1/w and d v_p / dw = the product of the others, on the path.
    number = _number_on(layers)
    by_hand = dict.fromkeys(number, 0.0)
    for path, here, value, is_log in zip(paths, exact, values, found.is_negative, strict=True):
        for edge in path:
            rest = math.prod(number[e] for e in path if e != edge)
            by_hand[edge] += here / number[edge] if is_log else value * rest
    slopes = _number_on(slope)
    assert list(slopes) == list(by_hand)
    assert np.allclose(list(slopes.values()), list(by_hand.values()), rtol=1e-12, atol=1e-13)
    # Rescaled, it is the same function, with the same terms.
    again = everything(_rescaled(layers))
    assert np.allclose(again[3], outputs, rtol=1e-12, atol=1e-13)
    assert np.allclose(again[2], z, rtol=1e-12, atol=1e-12)
    # The norm is no norm of the weights: those of the other gradient are others.
    assert not np.allclose(again[1].weights[0], slope.weights[0], rtol=1e-3)


def test_nothing_overflows():
    deep = Layers([np.full((50, 50), 1e30)] * 40)
    # 50^41 paths of value 10^(30 · 40).
    exact = 41 * math.log(50) + 1200 * math.log(10)
    assert math.isclose(log_path_norm(deep, 1), exact, rel_tol=1e-14)
    assert path_norm(deep, 1) == math.inf
    assert math.isclose(log_path_norm(deep, 2), 41 * math.log(50) / 2 + 1200 * math.log(10))
    assert path_count(deep) == 50**41
    assert math.isclose(basis_paths(deep).log_norm, 1200 * math.log(10), rel_tol=1e-12)
    assert basis_path_norm(deep) == math.inf
    small = Layers([np.full((50, 50), 1e-30)] * 40)
    assert math.isclose(log_path_norm(small), 41 * math.log(50) - 1200 * math.log(10))


def test_zeros():
    w = np.eye(3)
    cut = Layers([w, w, np.zeros((1, 3))])
    assert path_norm(cut) == 0
    assert log_path_norm(cut, 2) == -math.inf
    # Off the skeleton a zero is a path of value zero; on it, its logarithm.
    assert basis_path_norm(Layers([w, w, w])) == 0
    assert basis_path_norm(cut) == math.inf


def test_networks_of_every_kind():
    rng = np.random.default_rng(0)
    w, a, b = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=4)
    x = jnp.asarray(rng.normal(size=(5, 3)))
    for network in (Network(w, a), Network(w, a, b), Network(w, np.stack([a, b], 1)), Deep([w], a)):
        layers = layers_of(network)
        assert np.allclose(np.asarray(layers(x)).reshape(np.shape(network(x))), network(x))
    exact = np.sum(np.abs(a) @ np.abs(np.column_stack([w, b])))
    assert math.isclose(path_norm(Network(w, a, b)), exact, rel_tol=1e-14)
    with pytest.raises(ValueError, match="a batch of networks, of shape"):
        path_norm(Network(np.ones((2, 3, 3))))
    with pytest.raises(ValueError, match="homogeneous activations, and erf is not"):
        path_norm(Network(w, a, activation=Erf()))


@pytest.mark.parametrize("q", [0, -1, math.nan])
def test_exponents_are_positive(q):
    with pytest.raises(ValueError, match="A path norm needs q > 0, but q is"):
        path_norm(Network(np.eye(2)), q)


def test_layers_that_do_not_fit_are_refused():
    w = np.ones((3, 2))
    cases: list[tuple[list, list | None, str]] = [
        ([w], None, "but 1 matrices were given"),
        ([w, np.ones(3)], None, r"`weights\[1\]` must be a matrix .* has shape \(3,\)"),
        ([w, np.ones((1, 2))], None, r"`weights\[1\]` has 2 columns, but the layer before has 3"),
        ([w, np.ones((1, 3))], [np.ones(3)], "for each of the 2 layers, but has 1"),
        ([w, np.ones((1, 3))], [np.ones(2), None], r"`biases\[0\]` needs a number for each of"),
    ]
    for weights, biases, match in cases:
        with pytest.raises(ValueError, match=match):
            Layers(weights, biases)
    fine = Layers([w, np.ones((1, 3))])
    with pytest.raises(ValueError, match=r"`factors` needs a vector of positive numbers .*\(3,\)"):
        fine.rescale([np.array([1.0, -1.0, 1.0])])


def test_the_bound_has_its_three_factors():
    layers = _drawn((3, 4, 4, 2))
    bound = path_bound(layers, 100, 0.5)
    assert bound.rate == 0.2
    # facts: (4B/√n) √(D log 3 + log(3 (d + 1) o)) ‖Φ‖₁, with D = 3, d = 3, o = 2.
    exact = 0.2 * math.sqrt(3 * math.log(3) + math.log(24)) * path_norm(layers)
    assert math.isclose(bound.value, exact, rel_tol=1e-14)
    with pytest.raises(ValueError, match="needs points, and a positive bound"):
        path_bound(layers, 0, 1.0)
