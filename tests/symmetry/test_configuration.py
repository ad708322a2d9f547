import hypothesis as hp
import hypothesis.strategies as st
import numpy as np

from shallows.symmetry.configuration import coloured_graph, configuration, entry_classes

seeds = st.integers(0, 2**32 - 1)


def _graph(W):
    return coloured_graph(configuration(W, None, None, None), 1e-6)


@hp.settings(derandomize=True, deadline=None, max_examples=60)
@hp.given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), seeds)
def test_relabelled_graphs_are_one_matrix_in_canonical_order(k, d, top, seed):
    """Also where BLISS has to choose; it caught igraph's change of convention in 1.0."""
    rng = np.random.default_rng(seed)
    W = rng.integers(0, top + 1, (k, d)).astype(float)
    graphs = _graph(W), _graph(W[rng.permutation(k)][:, rng.permutation(d)])
    one, two = (g.classes[np.ix_(g.canonical_order, g.canonical_order)] for g in graphs)
    np.testing.assert_array_equal(one, two)
    colours = [g.colours[g.canonical_order].tolist() for g in graphs]
    assert colours[0] == colours[1] == sorted(colours[0])


@hp.settings(derandomize=True, deadline=None, max_examples=60)
@hp.given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), seeds)
def test_generators_are_automorphisms_and_colours_equitable(k, d, top, seed):
    graph = _graph(np.random.default_rng(seed).integers(0, top + 1, (k, d)).astype(float))
    for g in graph.generators:
        np.testing.assert_array_equal(graph.classes[np.ix_(g, g)], graph.classes)
        np.testing.assert_array_equal(graph.colours[g], graph.colours)
    seen: dict[int, list[tuple[int, int]]] = {}
    for v, colour in enumerate(graph.colours.tolist()):
        view = sorted(zip(graph.classes[v].tolist(), graph.colours.tolist(), strict=True))
        assert seen.setdefault(colour, view) == view


def test_classes_are_chains_unless_split():
    values = np.array([0.0, 0.9, 1.8, 5.0, 5.9])
    np.testing.assert_array_equal(entry_classes(values, 1.0), [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(entry_classes(values, 1.0, split_chains=True), [0, 0, 1, 2, 2])
    np.testing.assert_array_equal(entry_classes(values[::-1].copy(), 1.0), [1, 1, 0, 0, 0])


@hp.settings(derandomize=True, deadline=None, max_examples=60)
@hp.given(st.lists(st.floats(-1, 1), min_size=1, max_size=20), st.floats(0.01, 0.5))
def test_split_classes_refine_classes_and_are_no_wider_than_the_tolerance(values, tolerance):
    x = np.array(values)
    coarse = entry_classes(x, tolerance)
    fine = entry_classes(x, tolerance, split_chains=True)
    for label in range(int(fine.max()) + 1):
        assert len(set(coarse[fine == label].tolist())) == 1
        assert np.ptp(x[fine == label]) <= tolerance * (1 + 1e-9)
