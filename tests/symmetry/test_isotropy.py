import re
from itertools import permutations
from math import factorial

import hypothesis as hp
import hypothesis.strategies as st
import jaxtyping
import numpy as np
import pytest

from shallows.symmetry import Isotropy, isotropy

# facts: landscapes.md §3.6, computed with 50 digits: ξ1 … ξ5 of W in Fix ΔS_{k−1}.
FAMILIES = {
    ("A", 6): (-0.663397368, 0.330709783, 0.330709783, 0.330709783, -0.663397368),
    ("I", 6): (-0.587730202, 0.391153865, -0.0137988947, 0.0167703136, 1.06839564),
    ("II", 6): (0.986703819, -0.0504134032, 0.308010991, 0.224515808, -0.601511924),
    ("A", 20): (-0.900746014, 0.0993506531, 0.0993506531, 0.0993506531, -0.900746014),
    ("I", 20): (-0.89461393, 0.103664182, -0.0027878314, 0.0160649539, 1.04517292),
    ("II", 20): (1.00300375, -0.00365514068, 0.0931874083, 0.0637147102, -0.810020576),
}


def _family(k, values):
    diagonal, off, column, row, corner = values
    W = np.full((k, k), off)
    np.fill_diagonal(W, diagonal)
    W[:-1, -1], W[-1, :-1], W[-1, -1] = column, row, corner
    return W


def _blocks(sizes, seed=0):
    """A generic student of isotropy Δ(S_p × S_q × …)."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(len(sizes)), sizes)
    W = rng.normal(size=(len(sizes),) * 2)[index][:, index]
    return W + np.diag(rng.normal(size=len(sizes))[index])


def _shuffled(W, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    W = W[rng.permutation(len(W))][:, rng.permutation(W.shape[1])]
    return W + noise * rng.normal(size=W.shape)


def _brute_force(W, V, outer, teacher_outer):
    """All (π, ρ) that keep the joint Gram matrix and the outer weights: the definition."""
    k, rows, heads = len(W), np.concatenate([W, V]), np.concatenate([outer, teacher_outer])
    gram = rows @ rows.T
    found = set()
    for pi in permutations(range(k)):
        for rho in permutations(range(len(V))):
            g = np.array(pi + tuple(k + j for j in rho))
            if np.allclose(gram[np.ix_(g, g)], gram, atol=1e-9) and np.allclose(heads[g], heads):
                found.add((pi, rho))
    return found


def _closure(group: Isotropy):
    k, m = (sum(map(len, orbits)) for orbits in (group.neuron_orbits, group.input_orbits))
    one = tuple(range(k)), tuple(range(m))
    seen, new = {one}, [one]
    while new:
        pi, rho = new.pop()
        for p, r in group.generators:
            g = tuple(p[i] for i in pi), tuple(r[j] for j in rho)
            if g not in seen:
                seen.add(g)
                new.append(g)
    return seen


def _partition(elements, position):
    """Orbits from the whole group, as a set of sets."""
    n = len(next(iter(elements))[position])
    return {frozenset(g[position][i] for g in elements) for i in range(n)}


def _agrees_with_brute_force(W, V=None, outer=None, teacher_outer=None):
    m = W.shape[1] if V is None else len(V)
    expected = _brute_force(
        W,
        np.eye(m) if V is None else V,
        np.ones(len(W)) if outer is None else outer,
        np.ones(m) if teacher_outer is None else teacher_outer,
    )
    group = isotropy(W, V, outer, teacher_outer)
    assert group.order == len(expected)
    assert _closure(group) == expected
    assert set(map(frozenset, group.neuron_orbits)) == _partition(expected, 0)
    assert set(map(frozenset, group.input_orbits)) == _partition(expected, 1)


small = st.integers(1, 4)
seeds = st.integers(0, 2**32 - 1)


@hp.settings(derandomize=True, deadline=None, max_examples=60)
@hp.given(small, small, st.integers(1, 3), seeds)
def test_group_equals_brute_force_for_few_distinct_entries(k, d, top, seed):
    rng = np.random.default_rng(seed)
    _agrees_with_brute_force(rng.integers(0, top + 1, (k, d)).astype(float))


@hp.settings(derandomize=True, deadline=None, max_examples=40)
@hp.given(small, small, small, st.booleans(), seeds)
def test_group_equals_brute_force_for_any_teacher(k, m, d, has_heads, seed):
    """Teachers may span less than the input space, or be linearly dependent."""
    rng = np.random.default_rng(seed)
    W, V = (rng.integers(-1, 2, (n, d)).astype(float) for n in (k, m))
    heads = (rng.choice([-1.0, 1.0], n) if has_heads else None for n in (k, m))
    _agrees_with_brute_force(W, V, *heads)


@hp.settings(derandomize=True, deadline=None, max_examples=20)
@hp.given(small, small, seeds)
def test_standard_basis_given_or_implied_is_the_same_group(k, d, seed):
    W = np.random.default_rng(seed).integers(0, 2, (k, d)).astype(float)
    implied, given = isotropy(W), isotropy(W, np.eye(d))
    assert (implied.name, implied.order) == (given.name, given.order)


@pytest.mark.parametrize(("letter", "k"), FAMILIES)
def test_known_families_have_their_published_isotropy(letter, k):
    W = _shuffled(_family(k, FAMILIES[letter, k]))
    group = isotropy(W)
    assert group.name == (f"ΔS{k}" if letter == "A" else f"Δ(S{k - 1}×S1)")
    assert group.order == factorial(k if letter == "A" else k - 1)
    assert group.is_product
    assert not group.ambiguous


@pytest.mark.parametrize("sizes", [(10,), (7, 3), (7, 2, 1), (5, 5), (3, 3, 2, 1, 1), (50, 30, 20)])
def test_blocks_give_the_product_of_their_symmetric_groups(sizes):
    group = isotropy(_shuffled(_blocks(sizes), noise=1e-9))
    inside = "×".join(f"S{p}" for p in sizes)
    assert group.name == (f"Δ({inside})" if len(sizes) > 1 else f"Δ{inside}")
    assert group.order == np.prod([factorial(p) for p in sizes], dtype=object)
    assert tuple(map(len, group.neuron_orbits)) == sizes
    assert tuple(map(len, group.input_orbits)) == sizes
    assert not group.ambiguous


def test_generators_leave_a_noisy_student_in_place():
    W = _shuffled(_blocks((7, 3)), noise=1e-9)
    for pi, rho in isotropy(W).generators:
        np.testing.assert_allclose(W[np.ix_(pi, rho)], W, atol=1e-8)


@pytest.mark.parametrize("k", [50, 100])
def test_orders_beyond_double_precision_are_exact(k):
    assert isotropy(_shuffled(_blocks((k - 1, 1)))).order == factorial(k - 1)
    assert isotropy(np.zeros((k, k))).order == factorial(k) ** 2
    assert isotropy(np.random.default_rng(0).normal(size=(k, k))).name == "trivial"


def _extended(rows):
    """ΔS8 with further rows below."""
    return np.concatenate([_blocks((8,)), np.array(rows, dtype=float).reshape(-1, 8)])


NAMES = {
    "Δ(S8)+1": _extended([[0.3] * 8]),
    "Δ(S8)+2": _extended([[0.3] * 8, [0.4] * 8]),
    "ΔS8 × S2(students)": _extended([[0.3] * 8] * 2),
    "ΔS8[2:1]": _extended(2 * np.eye(8)),
    "Δ(S4×S1) × S2(students)": np.insert(_blocks((4, 1, 1)), 5, _blocks((4, 1, 1))[5], 0)[:, :5],
    "Δ(S8)+1 input": _extended([[0.3] * 8]).T,
    "ΔS3 × S2(inputs)": np.eye(3, 5),
    "S5(students) × S5(inputs)": np.zeros((5, 5)),
    "S3(students) × S5(inputs)": np.full((3, 5), 0.7),
    "S2(students) × S2(students) × S4(inputs)": np.repeat([[1.0, 2.0]], 4, 0).T.repeat(2, 0),
    "S2(inputs)^4+1": np.repeat(np.arange(4.0)[None, :], 2, 1),
    "Δ(S2×S1^4)": _blocks((2, 1, 1, 1, 1)),
    "Δ(S3×S1×S1×S1)": _blocks((3, 1, 1, 1)),
    "trivial": np.arange(6.0).reshape(2, 3),
}


@pytest.mark.parametrize(("name", "student"), NAMES.items())
def test_names_of_products(name, student):
    group = isotropy(_shuffled(student))
    assert group.name == name
    assert group.is_product


def test_other_groups_are_called_by_their_order():
    circulant = np.array([[(j - i) % 5 for j in range(5)] for i in range(5)], dtype=float)
    assert isotropy(circulant).name == "non-product of order 5"
    doubled = np.eye(3).repeat(2, 0)  # S2 ≀ S3: duplicates swap, and pairs are permuted
    assert isotropy(doubled).name == "non-product of order 48"
    assert isotropy(doubled).order == 2**3 * factorial(3)
    assert not isotropy(doubled).is_product
    assert isotropy(np.eye(20).repeat(2, 0)).name == "non-product of order 2.551e24"


def test_symmetric_group_in_another_action_is_not_called_a_product():
    """S4 on six students, one for each pair of inputs: a symmetric group, but not naturally."""
    pairs = [[float(j in (a, b)) for j in range(4)] for a in range(4) for b in range(a)]
    assert isotropy(np.array(pairs)).name == "non-product of order 24"


def test_outer_weights_tell_neurons_apart():
    W, heads = np.eye(5), np.array([1.0, 1.0, 1.0, -1.0, -1.0])
    assert isotropy(W).name == "ΔS5"
    assert isotropy(W, outer=heads).name == "Δ(S3×S2)"
    assert isotropy(W, teacher_outer=heads).name == "Δ(S3×S2)"
    assert isotropy(W, outer=heads, teacher_outer=np.roll(heads, 1)).name == "Δ(S2×S1×S1×S1)"


def _rotated(*configuration, seed=0):
    d = configuration[0].shape[1]
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    return [rows @ turn for rows in configuration]


def test_teachers_of_less_symmetry_break_that_of_the_student():
    generic = np.random.default_rng(0).normal(size=(5, 5))
    assert isotropy(generic, generic).name == "trivial"
    # Equiangular: V Vᵀ = I/2 + 11ᵀ/2.
    equiangular = np.linalg.cholesky(np.eye(5) / 2 + np.full((5, 5), 0.5))
    assert isotropy(*_rotated(equiangular, equiangular)).name == "ΔS5"
    assert isotropy(*_rotated(equiangular[:4], equiangular)).name == "Δ(S4)+1 input"
    # Two orthogonal pairs of neurons at 60°: S2 ≀ S2 permutes the teacher.
    pair = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
    pairs = np.kron(np.eye(2), pair)
    assert isotropy(*_rotated(pairs, pairs)).order == 8
    assert isotropy(*_rotated(np.kron(np.diag([1.0, 2.0]), pair), pairs)).name == "Δ(S2×S2)"


def test_students_outside_the_span_of_the_teacher_are_told_apart_by_their_own_angles():
    """W Vᵀ = 0 for all of them: only W Wᵀ shows that two students coincide."""
    V = np.eye(2, 5)
    outside = np.array([[0.0, 0, 1, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]])
    assert isotropy(outside, V).name == "S2(students) × S2(inputs)+1"
    assert isotropy(outside[1:], V).name == "S2(students) × S2(inputs)"


def test_student_short_against_the_teacher_counts_as_zero():
    W = 1e-9 * np.random.default_rng(0).normal(size=(4, 4))
    assert isotropy(W).name == "S4(students) × S4(inputs)"
    assert isotropy(W, tolerance=1e-12).name == "trivial"


@pytest.mark.parametrize(("shift", "ambiguous"), [(3e-7, True), (3e-6, True), (3e-5, False)])
def test_a_gap_near_the_tolerance_that_matters_is_confessed(shift, ambiguous):
    W = np.eye(5)
    W[0, 0] += shift
    group = isotropy(W)
    assert group.ambiguous is ambiguous
    assert group.name == ("ΔS5" if shift < 1e-6 else "Δ(S4×S1)")
    if ambiguous:
        assert group.gap == pytest.approx(shift, rel=1e-4)
    else:
        assert group.gap is None


def test_a_chain_wider_than_the_tolerance_is_confessed():
    W = np.diag(1 + 0.09e-6 * np.arange(30))
    group = isotropy(W)
    assert group.name == "ΔS30"
    assert group.ambiguous
    assert group.gap == pytest.approx(0.09e-6, rel=1e-3)


def test_a_gap_near_the_tolerance_that_does_not_matter_is_not_reported():
    W = np.random.default_rng(0).normal(size=(30, 30))
    W[0, 0] = W[1, 1] + 3e-6
    assert not isotropy(W).ambiguous


@pytest.fixture
def _plain():
    """Run with the package's own checks of shapes, not those of jaxtyping, as users do."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


nan = np.diag([1.0, np.nan])


@pytest.mark.usefixtures("_plain")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"inner": np.ones(3)},
            "A student is a matrix with one row per neuron, at least one neuron and one input: "
            "inner.shape=(3,). Pass a single neuron w as `w[None, :]`.",
        ),
        ({"inner": np.ones((0, 3))}, "at least one neuron and one input: inner.shape=(0, 3)."),
        (
            {"inner": np.eye(2), "teacher_inner": np.ones(2)},
            "A teacher is a matrix with one row per neuron, at least one neuron and one input: "
            "teacher_inner.shape=(2,).",
        ),
        (
            {"inner": np.eye(2), "teacher_inner": np.eye(3)},
            "Student and teacher live in different spaces: inner.shape=(2, 2) but "
            "teacher_inner.shape=(3, 3). Embed the smaller one first by appending zero columns.",
        ),
        (
            {"inner": nan},
            "The student has entries that are not finite: inner[1, 1]=nan. Drop the point, or "
            "train it again with a smaller step.",
        ),
        ({"inner": np.eye(2), "teacher_inner": nan}, "The teacher has entries that are not finite"),
        ({"inner": np.eye(2), "outer": np.array([1.0, np.inf])}, "not finite: outer[1]=inf."),
        (
            {"inner": np.eye(2), "outer": np.ones(3)},
            "The student has 2 neurons but outer.shape=(3,). Pass one outer weight per neuron, or "
            "`None` if all are 1.",
        ),
        (
            {"inner": np.ones((2, 3)), "teacher_outer": np.ones(2)},
            "The teacher has 3 neurons but teacher_outer.shape=(2,).",
        ),
        (
            {"inner": np.eye(2), "tolerance": -1.0},
            "The tolerance must lie strictly between 0 and 1, as it is relative to the longest "
            "row: tolerance=-1.0. Pass e.g. `tolerance=1e-6`.",
        ),
        ({"inner": np.eye(2), "tolerance": float("nan")}, "tolerance=nan."),
    ],
)
def test_misuse_is_refused_with_fact_offender_and_remedy(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        isotropy(**arguments)
