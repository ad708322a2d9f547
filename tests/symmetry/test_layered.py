"""Isotropy of several layers, against all relabellings tried one by one."""

import itertools
from math import factorial

import numpy as np
import pytest

from shallows.symmetry import isotropy
from shallows.symmetry.layered import layered_isotropy, layered_order


def _by_trying(layers, heads):
    """The number of relabellings that leave every layer and the heads as they are."""
    sizes = [layers[0].shape[1], *(len(w) for w in layers)]
    count = 0
    for units in itertools.product(*(itertools.permutations(range(n)) for n in sizes)):
        fits = all(
            np.array_equal(w[np.ix_(units[l + 1], units[l])], w) for l, w in enumerate(layers)
        )
        count += fits and np.array_equal(heads[list(units[-1])], heads)
    return count


def _type_two(k):
    w = np.full((k, k), 0.1) + 0.9 * np.eye(k)
    w[-1], w[:, -1], w[-1, -1] = 0.2, 0.3, -0.6
    return w


def _cyclic(k):
    return sum(np.roll(np.eye(k), i, axis=1) * (i + 1) for i in range(k))


ONES = np.ones(3)
EXAMPLES = {
    "ΔS3": ([np.eye(3), np.eye(3) + 0.5], ONES, True),
    "Δ(S2×S1)": ([_type_two(3), _type_two(3) + 1], ONES, True),
    "trivial": ([np.arange(9.0).reshape(3, 3), np.eye(3)], ONES, True),
    "Δ(S2[0:0:1]×S1)+2:2:0": (
        [np.arange(9.0).reshape(3, 3), np.array([[1.0, 2, 3]] * 2 + [[0, 0, 1]])],
        ONES,
        False,
    ),
    "Δ(S3[1:0:0]×S3[0:1:0]×S3[0:0:1])": ([np.ones((3, 3)), np.ones((3, 3))], ONES, False),
    "non-product of order 3": ([_cyclic(3), np.eye(3)], ONES, True),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_group_is_that_of_all_relabellings_that_fix_the_layers(name):
    layers, heads, is_diagonal = EXAMPLES[name]
    found = layered_isotropy(layers, heads)
    assert found.name == name
    assert found.order == _by_trying(layers, heads)
    assert found.is_diagonal is is_diagonal
    for units in found.generators:
        for l, w in enumerate(layers):
            np.testing.assert_array_equal(w[np.ix_(units[l + 1], units[l])], w)


def test_heads_are_part_of_what_stays():
    layers = [np.eye(3), np.eye(3)]
    assert layered_isotropy(layers, np.array([1.0, 1.0, 2.0])).name == "Δ(S2×S1)"
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert layered_isotropy(layers, rows).name == "Δ(S2×S1)"
    assert layered_isotropy(layers, np.eye(3)).order == 1


def test_with_one_layer_it_is_the_isotropy_of_a_student():
    rng = np.random.default_rng(0)
    for w in (_type_two(5), np.eye(4), rng.normal(size=(3, 3)), _cyclic(4), np.zeros((3, 3))):
        mine, theirs = layered_isotropy([w], np.ones(len(w))), isotropy(w)
        assert mine.order == theirs.order
        assert [len(o) for o in mine.orbits[1]] == [len(o) for o in theirs.neuron_orbits]


def test_of_large_products_no_element_is_listed():
    found = layered_isotropy([np.eye(12)] * 3, np.ones(12))
    assert (found.name, found.order, found.is_diagonal) == ("ΔS12", factorial(12), True)


def test_noise_below_the_tolerance_changes_nothing_and_noise_near_it_is_confessed():
    rng = np.random.default_rng(1)
    noise = [rng.uniform(-1, 1, size=(4, 4)) for _ in range(2)]
    layers = [_type_two(4), np.eye(4)]
    quiet = [w + 1e-9 * e for w, e in zip(layers, noise, strict=True)]
    found = layered_isotropy(quiet, np.ones(4))
    assert (found.name, found.ambiguous) == ("Δ(S3×S1)", False)
    loud = [w + 3e-6 * e for w, e in zip(layers, noise, strict=True)]
    assert layered_isotropy(loud, np.ones(4)).ambiguous


def test_relabelled_networks_have_one_representative():
    rng = np.random.default_rng(2)
    for layers in ([_type_two(4), _type_two(4) + 1], [rng.normal(size=(4, 4)) for _ in range(2)]):
        heads = np.ones(4)
        units = [rng.permutation(4) for _ in range(3)]
        moved = [w[units[l + 1]][:, units[l]] for l, w in enumerate(layers)]

        def canonical(ws, heads=heads):
            order = layered_order(ws, heads)
            return [w[order[l + 1]][:, order[l]] for l, w in enumerate(ws)]

        for one, two in zip(canonical(layers), canonical(moved), strict=True):
            np.testing.assert_array_equal(one, two)


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="Layers must be matrices with a column for each unit"):
        layered_isotropy([np.eye(3), np.eye(2)], np.ones(2))
    with pytest.raises(ValueError, match="Weights must be finite, but some are not"):
        layered_isotropy([np.diag([1.0, np.nan])], np.ones(2))
    with pytest.raises(ValueError, match="must lie strictly between 0 and 1"):
        layered_isotropy([np.eye(2)], np.ones(2), tolerance=2.0)
