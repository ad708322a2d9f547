from itertools import permutations

import hypothesis as hp
import hypothesis.strategies as st
import jaxtyping
import numpy as np
import pytest

from shallows.model import Network
from shallows.symmetry import (
    canonical,
    distance_up_to_relabelling,
    flipped_neurons,
    isotropy,
    matched_distance,
)

# facts: landscapes.md §3.6, as in test_isotropy.
TYPE_II_6 = (0.986703819, -0.0504134032, 0.308010991, 0.224515808, -0.601511924)
FLIPPED = {
    ("A", 6): ((-0.663397368, 0.330709783, 0.330709783, 0.330709783, -0.663397368), 6),
    ("I", 6): ((-0.587730202, 0.391153865, -0.0137988947, 0.0167703136, 1.06839564), 5),
    ("II", 6): (TYPE_II_6, 1),
    ("A", 20): ((-0.900746014, 0.0993506531, 0.0993506531, 0.0993506531, -0.900746014), 20),
    ("I", 20): ((-0.89461393, 0.103664182, -0.0027878314, 0.0160649539, 1.04517292), 19),
    ("II", 20): ((1.00300375, -0.00365514068, 0.0931874083, 0.0637147102, -0.810020576), 1),
}


def _family(k, values):
    diagonal, off, column, row, corner = values
    W = np.full((k, k), off)
    np.fill_diagonal(W, diagonal)
    W[:-1, -1], W[-1, :-1], W[-1, -1] = column, row, corner
    return W


def _shuffled(W, rng, noise=0.0):
    W = W[rng.permutation(len(W))][:, rng.permutation(W.shape[1])]
    return W + noise * rng.uniform(-1, 1, size=W.shape)


seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@st.composite
def students(draw):
    """Block-structured k × d students whose distinct entries are at least 0.01 apart."""
    values = st.integers(-100, 100)
    rows, columns = draw(sizes), draw(sizes)
    if draw(st.booleans()):
        columns = rows
    block = [[draw(values) for _ in columns] for _ in rows]
    W = np.repeat(np.repeat(np.array(block), rows, 0), columns, 1) / 100
    for i in range(min(W.shape)):
        if draw(st.booleans()):
            W[i, i] += draw(values) / 100
    return W


@hp.settings(derandomize=True, deadline=None, max_examples=150)
@hp.given(students(), seeds)
def test_noisy_relabelled_copies_have_one_representative(W, seed):
    rng = np.random.default_rng(seed)
    one, two = (canonical(_shuffled(W, rng, noise=1e-9)) for _ in range(2))
    np.testing.assert_allclose(one.inner, two.inner, rtol=0, atol=1e-8)
    assert one.isotropy.name == two.isotropy.name
    assert one.isotropy.order == two.isotropy.order
    assert not one.isotropy.ambiguous


@hp.settings(derandomize=True, deadline=None, max_examples=40)
@hp.given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_few_distinct_entries_with_outer_weights_have_one_representative(k, d, seed):
    """Coincidences that are no block structure: the search tree is really needed."""
    rng = np.random.default_rng(seed)
    W = rng.integers(0, 2, (k, d)).astype(float)
    a, b = rng.choice([-1.0, 1.0], k), rng.choice([1.0, 2.0], d)
    pi, rho = rng.permutation(k), rng.permutation(d)
    one = canonical(W, outer=a, teacher_outer=b)
    two = canonical(W[np.ix_(pi, rho)], outer=a[pi], teacher_outer=b[rho])
    np.testing.assert_array_equal(one.inner, two.inner)
    np.testing.assert_array_equal(one.outer, two.outer)
    np.testing.assert_array_equal(one.teacher_outer, two.teacher_outer)


@hp.settings(derandomize=True, deadline=None, max_examples=60)
@hp.given(students(), seeds)
def test_the_representative_is_the_student_relabelled_and_its_own_representative(W, seed):
    W = _shuffled(W, np.random.default_rng(seed))
    found = canonical(W)
    np.testing.assert_array_equal(found.inner, W[np.ix_(found.neurons, found.inputs)])
    np.testing.assert_array_equal(found.overlaps, found.inner)
    np.testing.assert_array_equal(canonical(found.inner).inner, found.inner)
    assert found.isotropy == isotropy(W)


@hp.settings(derandomize=True, deadline=None, max_examples=40)
@hp.given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), seeds)
def test_for_any_teacher_the_inner_products_have_one_representative(k, m, d, seed):
    rng = np.random.default_rng(seed)
    W, V = (rng.integers(-1, 2, (n, d)).astype(float) for n in (k, m))
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    one = canonical(W, V)
    two = canonical((W @ turn)[rng.permutation(k)], (V @ turn)[rng.permutation(m)])
    np.testing.assert_allclose(one.overlaps, two.overlaps, atol=1e-12)
    np.testing.assert_allclose(one.gram, two.gram, atol=1e-12)
    np.testing.assert_allclose(one.teacher @ one.teacher.T, two.teacher @ two.teacher.T, atol=1e-12)


@pytest.mark.parametrize(("family", "known"), FLIPPED.items())
def test_representatives_of_known_families_show_the_special_neuron_last(family, known):
    W = _family(family[1], known[0])
    shuffled = _shuffled(W, np.random.default_rng(1))
    np.testing.assert_array_equal(canonical(shuffled).inner, W)


def test_blocks_are_contiguous_with_the_largest_first_and_extra_neurons_last():
    index = np.repeat([0, 1, 2], [4, 3, 1])
    block = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]]) / 10
    W = block[index][:, index] + np.diag(np.array([1.0, -1.0, 2.0])[index])
    W = np.concatenate([W, np.full((1, 8), 0.15)])
    np.testing.assert_array_equal(canonical(_shuffled(W, np.random.default_rng(2))).inner, W)
    wide = canonical(_shuffled(W.T, np.random.default_rng(3)))
    np.testing.assert_array_equal(wide.inner, W.T)


@pytest.mark.parametrize(("family", "known"), FLIPPED.items())
def test_flipped_neurons_of_known_families(family, known):
    values, flipped = known
    W = _shuffled(_family(family[1], values), np.random.default_rng(0))
    assert flipped_neurons(W) == flipped


def test_flipped_neurons_without_partner_or_without_direction_do_not_count():
    W = np.array([[1.0, 0.1], [0.1, -1.0], [-0.5, -0.5]])
    assert flipped_neurons(W) == 1
    assert flipped_neurons(np.zeros((3, 3))) == 0
    assert flipped_neurons(np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])) == 1


@hp.settings(derandomize=True, deadline=None, max_examples=20)
@hp.given(st.integers(1, 6), seeds)
def test_flipped_neurons_do_not_depend_on_the_frame(k, seed):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(k, k))
    turn = np.linalg.qr(rng.normal(size=(k, k)))[0]
    lengths = rng.uniform(1, 2, (k, 1))
    assert flipped_neurons(W) == flipped_neurons(W @ turn, lengths * turn)


@hp.settings(derandomize=True, deadline=None, max_examples=40)
@hp.given(students(), seeds)
def test_distance_between_relabelled_copies_is_their_noise(W, seed):
    rng = np.random.default_rng(seed)
    one, two = (_shuffled(W, rng, noise=1e-9) for _ in range(2))
    assert distance_up_to_relabelling(one, two) <= 2e-9 * np.sqrt(W.size)


def _least_distance(W, X, b):
    return min(
        float(np.linalg.norm(W[np.ix_(pi, rho)] - X))
        for pi in permutations(range(len(W)))
        for rho in map(list, permutations(range(W.shape[1])))
        if (b[rho] == b).all()
    )


@hp.settings(derandomize=True, deadline=None, max_examples=40)
@hp.given(st.integers(1, 4), st.integers(1, 4), st.booleans(), seeds)
def test_distance_bounds_the_least_distance_and_meets_it_nearby(k, d, has_heads, seed):
    rng = np.random.default_rng(seed)
    W, X = rng.normal(size=(2, k, d))
    b = rng.choice([1.0, 2.0], d) if has_heads else np.ones(d)
    least = _least_distance(W, X, b)
    assert distance_up_to_relabelling(W, X, teacher_outer=b) >= least - 1e-12
    # Far beyond the tolerance but well below the differences between neurons.
    Y = W + 1e-3 * rng.normal(size=W.shape)
    pi = rng.permutation(k)
    assert distance_up_to_relabelling(W, Y[pi], teacher_outer=b) == pytest.approx(
        _least_distance(W, Y, b), rel=1e-9
    )


@hp.settings(derandomize=True, deadline=None, max_examples=40)
@hp.given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_matched_distance_bounds_the_least_distance(k, d, seed):
    W, X = np.random.default_rng(seed).normal(size=(2, k, d))
    assert matched_distance(W, X) >= _least_distance(W, X, np.ones(d)) - 1e-12


def test_matched_distance_is_zero_between_relabelled_copies_of_what_training_finds():
    rng = np.random.default_rng(0)
    generic = rng.normal(size=(7, 7))
    for W in (np.eye(6), _family(6, TYPE_II_6), generic, rng.normal(size=(9, 6))):
        for _ in range(20):
            copy = _shuffled(W, rng, noise=1e-9)
            assert matched_distance(W, copy) <= 2e-9 * np.sqrt(W.size)
    # The rows of a circulant have the same entries, and cannot be exchanged at will.
    W = np.array([np.roll(generic[0], i) for i in range(7)])
    assert max(matched_distance(W, _shuffled(W, rng)) for _ in range(5)) > 0.1


def test_distance_separates_families_and_counts_outer_weights():
    rng = np.random.default_rng(0)
    W = _family(6, TYPE_II_6)
    assert (
        1
        < distance_up_to_relabelling(W, _shuffled(np.eye(6), rng))
        <= np.linalg.norm(W - np.eye(6))
    )
    a = np.ones(6)
    b = np.array([1.0, 1, 1, 1, 1, -1])
    assert distance_up_to_relabelling(W, W, None, a, b) == pytest.approx(2.0)
    assert distance_up_to_relabelling(W, W[::-1], None, b, b[::-1].copy()) == 0.0


def test_distance_with_another_teacher_is_free_of_its_symmetries():
    rng = np.random.default_rng(0)
    # Two orthogonal pairs at 60° in five dimensions: swapping the pairs is a symmetry.
    V = np.kron(np.eye(2), np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])) @ np.eye(4, 5)
    swap = np.zeros((5, 5))
    swap[[0, 1, 2, 3, 4], [2, 3, 0, 1, 4]] = [1, 1, 1, 1, -1]
    W = rng.normal(size=(3, 5))
    assert distance_up_to_relabelling(W, (W @ swap)[[2, 0, 1]], V) == pytest.approx(0, abs=1e-12)
    other = W + 0.1 * rng.normal(size=W.shape)
    assert 0.01 < distance_up_to_relabelling(W, other, V) <= np.linalg.norm(W - other)
    # A generic teacher allows no relabelling of its own.
    G = rng.normal(size=(4, 5))
    assert distance_up_to_relabelling(W, (W @ swap)[[2, 0, 1]], G) > 0.1
    assert distance_up_to_relabelling(W, W[[2, 0, 1]], G) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("k", [50, 100])
def test_wide_students_have_representatives(k):
    rng = np.random.default_rng(0)
    generic = rng.normal(size=(k, k))
    for W in (_family(k, TYPE_II_6), generic):
        one, two = canonical(W), canonical(_shuffled(W, rng))
        np.testing.assert_array_equal(one.inner, two.inner)


def test_students_of_different_shapes_are_refused():
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with pytest.raises(ValueError, match="cannot be relabelled into one another") as refusal:
            distance_up_to_relabelling(np.eye(2), np.eye(3))
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    assert str(refusal.value).endswith(
        "first.shape=(2, 2) but second.shape=(3, 3). Add zero neurons to the smaller one first."
    )


def test_networks_are_taken_as_they_come():
    """Networks hold JAX arrays and heads, and were refused with an `AttributeError`."""
    rng = np.random.default_rng(3)
    W = _family(6, TYPE_II_6)
    other = _shuffled(W, rng)
    assert flipped_neurons(Network(W)) == 1
    assert isotropy(Network(W)) == isotropy(W)
    np.testing.assert_array_equal(canonical(Network(W)).inner, canonical(W).inner)
    assert distance_up_to_relabelling(Network(W), Network(other)) == pytest.approx(0, abs=1e-12)
    heads = np.array([1.0, 1, 1, 2, 2, 3])
    assert isotropy(Network(W, heads)) == isotropy(W, outer=heads)
    slanted = Network(rng.normal(size=(4, 6)), heads[:4])
    mine = isotropy(Network(W, heads), slanted)
    assert mine == isotropy(W, np.asarray(slanted.inner), heads, heads[:4])


def test_what_a_network_already_says_is_not_said_twice():
    with pytest.raises(ValueError, match="The student is a network, which has outer weights, but"):
        isotropy(Network(np.eye(2)), outer=np.ones(2))
    with pytest.raises(ValueError, match=r"but `teacher_outer` was given as well. Leave it out"):
        canonical(np.eye(2), Network(np.eye(2)), teacher_outer=np.ones(2))
    with pytest.raises(ValueError, match=r"without biases, but the student has 2 of them. Pass"):
        flipped_neurons(Network(np.eye(2), bias=np.zeros(2)))
    with pytest.raises(ValueError, match=r"A student is a matrix .* inner.shape=\(1, 2, 2\)"):
        isotropy(Network(np.eye(2)[None]))
    with pytest.raises(ValueError, match="`inner` must be known everywhere, but has masked"):
        isotropy(np.ma.masked_equal(np.eye(2), 0))
