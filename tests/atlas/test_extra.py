"""What becomes of families when neurons are added, against dense Hessians and known numbers."""

import functools

import numpy as np
import pytest

import shallows as sh
from shallows.atlas import Kind
from shallows.atlas.extra import annihilation, continuations
from shallows.atlas.families import member


@functools.cache
def found(name, neurons, extra):
    return continuations(member(name, neurons), extra)


def new(name, neurons, extra):
    """Those all of whose added neurons are new."""
    return [c for c in found(name, neurons, extra) if c.added == extra and not c.is_gone]


# facts: landscapes.md §7.2, computed with Newton's method from the end of a descent.
@pytest.mark.parametrize(
    ("name", "extra", "loss", "eigenvalue", "component", "kind"),
    [
        ("A", 1, 0.0716511, -0.01384, "standard", Kind.saddle),
        ("I", 1, 0.0650261, -0.00230, "standard", Kind.saddle),
        ("II", 1, 0.0178927, 0.0057, "trivial", Kind.minimum),
    ],
)
def test_known_continuations_at_ten_neurons(name, extra, loss, eigenvalue, component, kind):
    (point,) = (c for c in new(name, 10, extra) if abs(c.value - loss) < 5e-8)
    assert point.smallest is not None
    assert abs(float(point.smallest.eigenvalue) - eigenvalue) < 5e-5  # printed with four decimals
    assert point.smallest.representation.value == component
    assert point.kind is kind


def test_with_two_neurons_the_second_type_flows_to_the_global_minimum():
    (gone,) = (c for c in found("II", 10, 2) if c.is_gone)
    assert gone.value < 1e-8
    assert gone.kind is Kind.degenerate
    assert "descends out of the family" in gone.how
    assert all(c.kind is Kind.saddle for c in found("II", 10, 2) if not c.is_gone)


def full(inputs):
    return sh.SquaredLoss(sh.orthonormal(inputs), sh.Gaussian(inputs))


ASKED = [("A", 7, 1), ("A", 7, 2), ("II", 7, 1), ("II", 7, 2), ("flipped:2", 7, 1)]


@pytest.mark.parametrize("asked", ASKED)
def test_spectra_are_those_of_dense_hessians(asked):
    for point in found(*asked):
        if point.is_gone:
            continue
        student, loss = point.student(), full(7)
        assert student.inner.shape == (7 + point.extra, 7)
        assert np.linalg.norm(loss.gradient(student)) < 1e-12
        assert abs(float(loss(student)) - point.value) < 1e-13
        dense = np.linalg.eigvalsh(loss.hessian(student))
        levels = [(float(e.eigenvalue), e.multiplicity) for e in point.spectrum]
        levels.append((0.0, point.zeros))
        mine = np.sort([value for value, times in levels for _ in range(times)])
        assert len(mine) == len(dense)
        assert np.allclose(mine, dense, rtol=0, atol=1e-11 * dense[-1]), point.how


@pytest.mark.parametrize("asked", ASKED)
def test_directions_of_descent_are_eigenvectors_and_go_down(asked):
    for point in found(*asked):
        if point.direction is None:
            assert point.kind is not Kind.saddle
            continue
        along = point.direction.matrix().ravel()
        hessian = np.asarray(full(7).hessian(point.student()))
        size = np.linalg.norm(hessian, 2)
        assert np.isclose(np.linalg.norm(along), 1)
        assert np.linalg.norm(hessian @ along - point.direction.eigenvalue * along) < 1e-9 * size
        assert point.descends(), point.how


def test_a_split_neuron_leaves_the_loss_and_one_zero_eigenvalue_for_each_share():
    family = member("A", 7)
    for extra in (1, 2):
        (split,) = (c for c in found("A", 7, extra) if c.added == 0)
        assert split.value == family.value
        assert split.zeros == extra
        assert split.how == f"a neuron of the block of 7 split in {extra + 1}"
        rows = np.asarray(split.student().inner)
        assert np.allclose(rows[-1] * (extra + 1), family.loss.blocks.embed(_floats(family))[-1])


def _floats(point):
    return [float(x) for x in point.point]


@pytest.mark.slow
def test_smallest_numbers_that_annihilate():
    table = {
        (row.name, row.neurons): row.extra
        for name, sizes in (("A", [7, 12, 20]), ("I", [6, 10, 11, 12]), ("II", [12]))
        for row in annihilation(name, sizes, most=2)
    }
    # I is a saddle at k = 6 already (facts §3.5); from k = 12 on one neuron is not enough.
    assert table == {
        ("A", 7): 1,
        ("A", 12): 1,
        ("A", 20): 1,
        ("I", 6): 0,
        ("I", 10): 1,
        ("I", 11): 1,
        ("I", 12): 2,
        ("II", 12): 2,
    }


def test_a_family_that_survives_is_not_given_a_number():
    (row,) = annihilation("II", [12], most=1)
    assert row.extra is None
    assert any(c.kind is Kind.minimum for c in row.found[0])


@pytest.mark.parametrize(
    ("name", "loss", "kind"), [("A", 0.16836510, Kind.saddle), ("II", 0.00026597872, Kind.minimum)]
)
def test_a_thousand_neurons_are_no_more_work(name, loss, kind):
    (point,) = new(name, 1000, 1)
    assert abs(point.value - loss) < 1e-8
    assert point.kind is kind


@pytest.mark.parametrize("neurons", [10**6, 10**9])
def test_a_million_neurons_are_followed_from_a_thousand(neurons):
    (point,) = new("II", neurons, 1)
    assert point.kind is Kind.minimum
    # Facts §3.3: k L → 1/2 − 2/π² without the new neuron, which keeps a share of the gain.
    assert 0.26 < neurons * point.value < 1 / 2 - 2 / np.pi**2
    assert 0.0044 < float(point.spectrum[0].eigenvalue) < 0.0045


def test_a_split_global_minimum_is_degenerate():
    (split,) = found("global", 5, 1)
    assert split.kind is Kind.degenerate
    assert abs(split.value) < 1e-30
    assert split.direction is None
    (row,) = annihilation("global", [5], most=1)
    assert row.extra is None


def test_more_inputs_than_neurons():
    for point in continuations(member("II", 7, 9), 1):
        assert point.is_gone or point.student().inner.shape == (8, 9)
        assert point.is_gone or point.kind is not Kind.saddle or point.descends()


def test_with_less_symmetry_a_becomes_what_continues_the_first_type():
    around = continuations(member("A", 20), 1, free={0: 1})
    minima = [c.value for c in around if c.kind is Kind.minimum]
    (first,) = (c.value for c in new("I", 20, 1) if c.kind is Kind.minimum)
    assert np.allclose(minima, first, rtol=1e-12)
    assert len(minima) == 1


def test_the_same_is_found_again():
    again = continuations(member("II", 7), 1)
    assert [c.as_json() for c in again] == [c.as_json() for c in found("II", 7, 1)]


def test_json_has_the_keys_of_the_command():
    entry = found("A", 7, 1)[0].as_json()
    assert {"how", "loss", "smallest_eigenvalue", "component", "kind"} <= set(entry)
    assert entry["component"] == "standard"
    assert entry["factors"] == ["7"]


@pytest.mark.parametrize("extra", [0, -1, True])
def test_adding_no_neuron_is_refused(extra):
    with pytest.raises(ValueError, match=r"`extra` counts neurons that are added.*Use 1, 2, …"):
        continuations(member("A", 7), extra)
    with pytest.raises(ValueError, match=r"`most` counts neurons that are added, but is"):
        annihilation("A", [7], most=extra)
