"""Injective layers: verdicts against cells, against pairs of cells, and witnesses in fractions."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from shallows.certify import (
    Verdict,
    have_equal_outputs,
    injective,
    is_convolution_injective,
    is_injective,
    is_network_injective,
)
from shallows.model import cells, doubled, planar_probability
from shallows.model.inequalities import Contradiction, rational_rows, strictly_negative


def _small(rng, trial):
    """Small whole numbers: many ties, zero rows, duplicated and opposite ones."""
    n = int(rng.integers(1, 4))
    m = int(rng.integers(1, 5 + 2 * n))
    reach = int(rng.integers(1, 3))
    w = rng.integers(-reach, reach + 1, (m, n))
    if trial % 3 == 0:
        w[m // 2 :] = -w[: m - m // 2]
    if trial % 5 == 0 and m > 1:
        w[-1] = w[0]
    return w, rng.integers(-reach, reach + 1, m) if trial % 2 else None


def _by_cells(w, b):
    """Whether the rows active in each cell span, by ranks of small whole numbers."""
    found = cells(w, b)
    return all(
        rows.any() and np.linalg.matrix_rank(w[rows]) == w.shape[1]
        for rows in np.unique(found.signs >= 0, axis=0)
    )


def _agree(first, count, seed):
    rng, seen = np.random.default_rng(seed), {Verdict.PROVED: 0, Verdict.REFUTED: 0}
    for trial in range(first, first + count):
        w, b = _small(rng, trial)
        found = is_injective(w, b)
        expected = Verdict.PROVED if _by_cells(w, b) else Verdict.REFUTED
        assert found.verdict is expected, (w.tolist(), b)
        seen[expected] += 1
        if found.witness is not None:
            assert have_equal_outputs(w, b, *found.witness)
        assert (found.witness is None) is (expected is Verdict.PROVED)
    return seen


def test_verdicts_are_those_of_all_cells():
    seen = _agree(0, 300, 0)
    assert min(seen.values()) > 50


@pytest.mark.slow
def test_verdicts_are_those_of_all_cells_ten_thousand_times():
    seen = _agree(0, 10_000, 1)
    assert min(seen.values()) > 1000


@pytest.mark.slow
def test_verdicts_are_those_of_the_definition():
    """Two cells, one point in the closure of each, one output: linear programmes, no criterion."""
    rng = np.random.default_rng(2)
    seen = set()
    for trial in range(40):
        n, m = int(rng.integers(1, 3)), int(rng.integers(2, 6))
        w = rng.integers(-2, 3, (m, n))
        b = rng.integers(-2, 3, m) if trial % 2 else np.zeros(m, dtype=int)
        signs = cells(w, b).signs
        farthest = max(
            _farthest(w, b, s, t) for s, t in itertools.combinations_with_replacement(signs, 2)
        )
        found = is_injective(w, b).verdict
        assert (found is Verdict.PROVED) is (farthest < 1e-7), (w.tolist(), b.tolist())
        seen.add(found)
    assert seen == {Verdict.PROVED, Verdict.REFUTED}


def _farthest(w, b, one, other):
    """The largest difference of two inputs with one output, x of one cell and y of another."""
    n = w.shape[1]
    s, t = (np.where(signs == 0, 1, signs)[:, None] for signs in (one, other))
    zero = np.zeros_like(w)
    inside = np.concatenate([np.hstack([-s * w, zero]), np.hstack([zero, -t * w])])
    offsets = np.concatenate([s[:, 0] * b, t[:, 0] * b])
    on, off = (s > 0), (t > 0)
    equal = np.hstack([on * w, -(off * w)])
    shift = (off[:, 0].astype(int) - on[:, 0]) * b
    best = 0.0
    for axis, sign in itertools.product(range(n), (1, -1)):
        cost = np.zeros(2 * n)
        cost[axis], cost[n + axis] = -sign, sign
        found = linprog(cost, A_ub=inside, b_ub=offsets, A_eq=equal, b_eq=shift, bounds=(-100, 100))
        if found.status == 0:
            best = max(best, -found.fun)
    return best


def test_a_proof_can_be_checked_without_the_search():
    # Every set of n − 1 rows, with what depends on it, must miss a circuit; circuits are exact.
    rng = np.random.default_rng(3)
    w = rng.normal(size=(14, 3))
    w[5] = w[4] + w[3]
    for b in (None, rng.normal(size=14)):
        found = is_injective(w, b)
        assert found.verdict is Verdict.PROVED
        rows = rational_rows(w, b)
        assert all(circuit.refutes(rows) for circuit in found.circuits)
        for pair in itertools.combinations(range(14), 2):
            normal = np.cross(rows[pair[0], :3], rows[pair[1], :3])
            flat = {i for i in range(14) if not rows[i, :3] @ normal}
            assert any(not flat & set(circuit.multipliers) for circuit in found.circuits)


def test_forty_rows_in_four_dimensions():
    rng = np.random.default_rng(4)
    w, b = rng.normal(size=(40, 4)), rng.normal(size=40)
    for bias in (None, b):
        found = is_injective(w, bias)
        assert found.verdict is Verdict.PROVED
        assert found.flats < 700  # at most 1 + 5 + 25 + 125, or with six rows a circuit 259
    few = is_injective(w[:9], b[:9])
    assert few.verdict is Verdict.REFUTED
    assert few.witness is not None
    assert have_equal_outputs(w[:9], b[:9], *few.witness)


def test_at_expansivity_two_only_doubled_bases_are_injective():
    rng = np.random.default_rng(5)
    w = doubled(rng.normal(size=(6, 6)), 2.0 ** rng.integers(-3, 4, 6))
    found = is_injective(w)
    assert found.verdict is Verdict.PROVED
    assert found.flats == 6
    nudged = w.copy()
    nudged[10, 3] *= 1 + 2**-50
    assert is_injective(nudged).verdict is Verdict.REFUTED
    # With biases opposite rows must be active at every x, one of them.
    assert is_injective(w, np.full(12, 1e-300)).verdict is Verdict.PROVED
    assert is_injective(w, np.full(12, -1e-300)).verdict is Verdict.REFUTED
    assert is_injective(np.delete(w, 7, axis=0)).verdict is Verdict.REFUTED


def test_the_signs_of_biases_do_not_decide():
    """Rows with negative biases set to zero leave too few, and yet the layer is injective."""
    w, b = [[1], [-1], [1], [-1]], [-1, 2, -1, 2]
    assert is_injective(w, b).verdict is Verdict.PROVED
    kept = [row if offset >= 0 else [0] for row, offset in zip(w, b, strict=True)]
    assert is_injective(kept).verdict is Verdict.REFUTED


def test_random_rows_in_the_plane_are_injective_as_often_as_counted():
    rng = np.random.default_rng(6)
    p = planar_probability(7)
    hits = sum(is_injective(rng.normal(size=(7, 2))).verdict is Verdict.PROVED for _ in range(100))
    assert abs(hits / 100 - p) < 4 * np.sqrt(p * (1 - p) / 100)


def test_fractions_and_witnesses_are_exact():
    third = Fraction(1, 3)
    w = np.array([[third, 1], [-third, -1], [1, 0], [-1, third]], dtype=object)
    found = is_injective(w)
    assert found.verdict is Verdict.REFUTED
    assert found.witness is not None
    x, y = found.witness
    assert x != y
    assert [max(0, row @ np.array(x)) for row in w] == [max(0, row @ np.array(y)) for row in w]
    w[3] = [-1, 0]
    assert is_injective(w).verdict is Verdict.PROVED
    # As floats, a third and minus a third are opposite, but 0.1 + 0.2 and −0.3 are not.
    assert is_injective([[0.1 + 0.2, 1], [-0.3, -1], [1, 0], [-1, 0]]).verdict is Verdict.REFUTED


def test_a_programme_finds_few_active_rows_and_its_answer_is_checked(monkeypatch):
    monkeypatch.setattr(injective, "_BEFORE_PROGRAMME", 1)
    w = np.random.default_rng(7).normal(size=(24, 8))
    found = is_injective(w, most=1, seconds=5)
    assert found.verdict is Verdict.REFUTED
    assert found.witness is not None
    assert have_equal_outputs(w, None, *found.witness)
    assert found.flats <= 2
    fewest = injective.fewest_active(rational_rows(doubled(np.eye(3))), 5)
    assert (fewest.active, fewest.bound) == (3, 3)


def test_what_is_missing_is_said():
    w = np.random.default_rng(8).normal(size=(30, 4))
    found = is_injective(w, most=5, seconds=0)
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason.startswith("After 6 sets of rows neither a proof nor a counterexample was")
    seen: list[int] = []
    assert is_injective(w, progress=seen.append).verdict is Verdict.PROVED
    assert seen[0] == 100


def test_a_wrong_prime_is_noticed(monkeypatch):
    # Modulo 7 the rows (7, 0) and (−7, 0) vanish, and nothing else spans.
    monkeypatch.setattr(injective, "_PRIMES", (7, 2_147_483_647))
    w = [[7, 1], [-7, -1], [0, 1], [0, -1]]
    assert is_injective(w).verdict is Verdict.PROVED
    assert is_injective(w[:3]).verdict is Verdict.REFUTED


def test_networks_by_layers():
    first = (doubled(np.eye(2)), None)
    second = (doubled(np.eye(4)), None)
    assert is_network_injective([first, second]).verdict is Verdict.PROVED
    # The second layer alone is not, but it is on what the first one reaches.
    later = is_network_injective([first, (np.eye(4), None)])
    assert later.verdict is Verdict.UNDECIDED
    assert later.reason.startswith("Layer 1 by itself: REFUTED.")
    refuted = is_network_injective([(np.eye(2), None), first])
    assert refuted.verdict is Verdict.REFUTED
    assert refuted.witness is not None
    assert have_equal_outputs(np.eye(2), None, *refuted.witness)
    with pytest.raises(ValueError, match=r"layer 1 has the shape \(8, 4\), but layer 0 has \(2,\)"):
        is_network_injective([(np.eye(2), None), second])
    with pytest.raises(ValueError, match="needs a layer, but there is none"):
        is_network_injective([])


def _convolved(kernels, size):
    """The matrix of all places of kernels on a line of this length, without padding."""
    width = len(kernels[0])
    rows = np.zeros(((size - width + 1) * len(kernels), size))
    for i, (place, kernel) in enumerate(itertools.product(range(size - width + 1), kernels)):
        rows[i, place : place + width] = kernel
    return rows


def test_convolutions_by_a_patch_are_injective_on_longer_signals():
    rng = np.random.default_rng(9)
    proved = 0
    for _ in range(12):
        kernels = rng.normal(size=(7, 2))
        found = is_convolution_injective(kernels, [2])
        assert found.verdict in (Verdict.PROVED, Verdict.UNDECIDED)
        if found.verdict is Verdict.PROVED:
            proved += 1
            for size in (3, 4):
                assert is_injective(_convolved(kernels, size)).verdict is Verdict.PROVED
    assert 0 < proved < 12
    image = np.array([[[1.0]], [[-1.0]]])
    assert is_convolution_injective(image, (2, 2)).verdict is Verdict.PROVED
    undecided = is_convolution_injective([[1, 2]], [3])
    assert undecided.verdict is Verdict.UNDECIDED
    assert "That does not decide" in undecided.reason
    with pytest.raises(ValueError, match=r"shape \(2,\) do not fit into a patch of shape \(1,\)"):
        is_convolution_injective([[1, 2]], [1])


def test_what_is_no_layer_is_refused():
    with pytest.raises(ValueError, match=r"with a normal in each row, but its shape is \(2,\)"):
        is_injective([1, 2])
    with pytest.raises(ValueError, match="`seconds` must not be negative, but is -1"):
        is_injective([[1]], seconds=-1)
    with pytest.raises(ValueError, match="`most` must be a positive integer"):
        is_injective([[1]], most=0)


def test_the_certificate_of_a_flat_is_a_theorem_of_the_alternative():
    rows = rational_rows([[1, 0], [0, 1], [-1, -1]], [0, 0, 0])
    found = strictly_negative(rows)
    assert isinstance(found, Contradiction)
    assert dict(found.multipliers) == {0: 1, 1: 1, 2: 1}
