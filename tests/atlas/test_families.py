"""Named critical points: published numbers, dense Newton, any size, and where families end."""

import dataclasses
import time
from typing import Any

import numpy as np
import pytest

import shallows as sh
import zoo
from shallows.atlas import Kind
from shallows.atlas.families import Compared, Member, compared, leaking, member
from shallows.atlas.sheets import Sheet, sheets
from shallows.atlas.thresholds import Threshold, threshold
from shallows.model import leaky
from shallows.solve.waypoints import EventKind
from shallows.symmetry import Balls, Blocks, ReducedLoss, Representation, isotropy

# facts, landscapes.md §3.5: loss and smallest Hessian eigenvalue, as printed.
PRINTED = {
    6: (("0.05566858", "0.001504"), ("0.04739578", "-0.005825"), ("0.025080581", "0.004700")),
    10: (("0.07663666", "0.017488"), ("0.07205671", "0.014881"), ("0.018702195", "0.031964")),
    20: (("0.10150546", "0.034466"), ("0.09928651", "0.033669"), ("0.011275582", "0.055093")),
    100: (("0.14207419", "0.062173"), ("0.14157220", "0.062115"), ("0.002741672", "0.078163")),
    1000: (("0.16853332", "0.081099"), ("0.16847377", "0.081097"), ("0.000292553", "0.087377")),
}
# §4.5: every eigenvalue at k = 10, by component: trivial, standard, two-row, exterior.
LEVELS = {
    "A": (
        (1.43257864, 3.03820657),
        (0.0663332705, 0.176189119, 2.65827954),
        (0.336611714,),
        (0.0174883386,),
    ),
    "I": (
        (0.0796401492, 0.224350108, 1.43580923, 2.65887788, 3.04845368),
        (0.037414311, 0.0707903385, 0.179379169, 0.359746369, 2.66228813),
        (0.334873299,),
        (0.0148814237,),
    ),
    "II": (
        (0.0790933061, 0.216165562, 1.45408782, 2.65794575, 3.09635618),
        (0.0319640276, 0.0851862571, 0.239215084, 0.363740595, 2.69954308),
        (0.380175145,),
        (0.0628535926,),
    ),
}


def printed(number: float, like: str) -> str:
    return f"{number:.{len(like.split('.')[1])}f}"


def matrix(found: Member) -> np.ndarray:
    return found.blocks.embed([float(x) for x in found.point])


@pytest.mark.parametrize("k", PRINTED)
@pytest.mark.parametrize(("i", "name"), [(0, "A"), (1, "I"), (2, "II")])
def test_losses_and_smallest_eigenvalues_are_those_printed(i, name, k):
    loss, least = PRINTED[k][i]
    found = member(name, k)
    assert printed(found.value, loss) == loss
    e = found.spectrum()[0]
    assert printed(float(e.eigenvalue), least) == least
    expected = Representation.standard if name == "II" else Representation.exterior
    assert e.representation is expected
    assert found.kind() is (Kind.saddle if least.startswith("-") else Kind.minimum)


@pytest.mark.parametrize(("name", "k"), zoo.FAMILIES)
def test_weights_are_those_printed(name, k):
    expected = zoo.FAMILIES[name, k]
    weights = member(name, k).weights
    assert np.allclose(weights, expected[: len(weights)], rtol=6e-9, atol=0)


@pytest.mark.parametrize("name", LEVELS)
def test_every_eigenvalue_is_that_printed(name):
    found = member(name, 10).spectrum()
    for representation, expected in zip(
        (
            Representation.trivial,
            Representation.standard,
            Representation.two_row,
            Representation.exterior,
        ),
        LEVELS[name],
        strict=True,
    ):
        levels = [float(e.eigenvalue) for e in found if e.representation is representation]
        assert np.allclose(levels, expected, rtol=6e-9, atol=0)
    assert sum(e.multiplicity for e in found) == 100


@pytest.mark.parametrize("k", [6, 9, 12])
@pytest.mark.parametrize("name", ["A", "I", "II", "flipped:2", "flipped:3", "unflipped:3"])
def test_members_are_critical_points_of_the_full_loss(name, k):
    found, loss = member(name, k), sh.SquaredLoss(sh.orthonormal(k), sh.Gaussian(k))
    w = matrix(found)
    dense = sh.critical_point(loss, sh.Network(w), sh.Newton(basin=False))
    assert np.allclose(dense.student.inner, w, rtol=0, atol=1e-12)
    assert abs(float(loss(sh.Network(w))) - found.value) < 1e-13
    values = np.linalg.eigvalsh(np.asarray(loss.hessian(sh.Network(w))).reshape(k * k, -1))
    mine = [float(e.eigenvalue) for e in found.spectrum() for _ in range(int(e.multiplicity))]
    assert np.allclose(mine, values, rtol=0, atol=1e-12)
    assert isotropy(w).name == found.isotropy


@pytest.mark.parametrize(("name", "p"), [("A", 12), ("I", 11), ("II", 1), ("flipped:4", 4)])
def test_members_have_as_many_flipped_neurons_as_their_name_says(name, p):
    from shallows.symmetry import flipped_neurons

    found = member(name, 12)
    assert found.flipped == p == flipped_neurons(matrix(found))


@pytest.mark.parametrize(
    ("name", "k"), [("II", 7), ("flipped:3", 9.5), ("I", 1000), ("A", 10**9), ("flipped:2", 10**9)]
)
def test_weights_are_right_to_the_last_digits(name, k):
    # By recomputing with twice the bits.
    found = member(name, k)
    twice = Balls(2 * found.numbers.bits)
    from shallows.solve.symmetric import symmetric_point

    sharp = symmetric_point(found.loss, [float(x) for x in found.point], twice)
    exact = np.array([float(x) for x in sharp.point])
    assert np.allclose(found.weights, exact, rtol=1e-14, atol=0)
    with twice.precision():
        value = float(found.loss.value(sharp.point, twice))
    assert abs(found.value - value) <= 1e-14 * value


def test_a_billion_neurons_are_as_quick_as_ten():
    member("II", 10**9).spectrum()  # what is compiled or imported once
    begun = time.perf_counter()
    found = member("II", 10**9 - 1)
    levels = found.spectrum()
    assert time.perf_counter() - begun < 2  # a twentieth of that on an idle machine
    k = 10**9 - 1
    assert sum(e.multiplicity for e in levels) == k * k
    assert abs(k * found.value - (1 / 2 - 2 / np.pi**2)) < 5e-6
    assert found.kind() is Kind.minimum
    assert abs(member("A", 10**9).value - (1 / 2 - 1 / np.pi)) < 2e-5


def test_the_limit_of_fixed_fractions_is_reached_at_a_large_size():
    near, far = member("flipped:300", 1000), member(f"flipped:{3 * 10**8}", 10**9)
    assert near.continues == far.continues == "II"
    assert abs(near.value - far.value) < 5e-3
    assert far.gradient_norm < 1e-40
    assert member(f"flipped:{7 * 10**8}", 10**9).continues == "A"


def test_real_sizes_lie_between_whole_ones():
    losses = [member("II", k).value for k in (10, 10.25, 10.5, 11)]
    assert losses == sorted(losses, reverse=True)
    assert member("II", 10.5).isotropy == "Δ(S9.5×S1)"
    assert member("II", 10.0) == member("II", 10) or member("II", 10.0).neurons == 10


@pytest.mark.parametrize("name", ["global", "A", "II", "flipped:3"])
def test_more_inputs_than_neurons_are_not_used(name):
    square, wide = member(name, 7), member(name, 7, 9)
    assert wide.inputs == 9
    assert abs(square.value - wide.value) <= 1e-15
    w = matrix(wide)
    assert w.shape == (7, 9)
    assert not np.any(w[:, 7:])
    loss = sh.SquaredLoss(sh.orthonormal(7, 9), sh.Gaussian(9))
    dense = np.linalg.eigvalsh(np.asarray(loss.hessian(sh.Network(w))).reshape(63, -1))
    mine = [float(e.eigenvalue) for e in wide.spectrum() for _ in range(int(e.multiplicity))]
    assert np.allclose(mine, dense, rtol=0, atol=1e-12)
    assert wide.isotropy == square.isotropy


def test_the_global_minimum_is_exact():
    found = member("global", 12)
    assert found.value == 0.0
    assert found.weights == (1.0, 0.0)
    assert found.kind() is Kind.minimum
    assert abs(float(found.spectrum()[0].eigenvalue) - (1 / 4 - 1 / (2 * np.pi))) < 1e-16
    assert member("flipped:0", 12).point.tolist() == found.point.tolist()


def test_one_neuron_has_a_spectrum():
    # L = ½ (½|w|² − 2 K(w, e) + ½) has the Hessian ½ I at w = e. There was an AttributeError.
    for inputs in (None, 3):
        levels = member("global", 1, inputs).spectrum()
        assert [float(x.eigenvalue) for x in levels] == [0.5] * len(levels)
        assert sum(x.multiplicity for x in levels) == (inputs or 1)


def test_two_sheets_have_points_with_as_many_flipped_neurons():
    first, second = member("flipped:8", 20), member("unflipped:12", 20)
    assert (first.continues, second.continues) == ("II", "A")
    assert first.flipped == second.flipped == 8
    assert first.kind() is second.kind() is Kind.minimum
    # Both are in the census of docs/notes/census-atlas.md's run, the second 6 times of 500.
    assert printed(second.value, "0.065322") == "0.065322"
    assert first.value > second.value


@pytest.mark.parametrize(
    ("k", "p", "continues"),
    [(5, 2, "II"), (5, 3, "A"), (20, 16, "II"), (20, 17, "A"), (60, 42, "II"), (60, 48, "A")],
)
def test_flipped_is_on_the_sheet_of_type_two_where_that_reaches(k, p, continues):
    assert member(f"flipped:{p}", k).continues == continues


@pytest.mark.parametrize("count", [3, 10])
def test_a_sheet_has_no_jumps(count):
    # Twice as short steps and another start lead to the same points.
    sheet = Sheet("flipped", count)
    far = dataclasses.replace(sheet).walk(2.2 * count, _method(0.05), begin=40.0 * (1 + count))
    near = sheet.at(2.2 * count)
    assert np.allclose(far.end.point, [float(x) for x in near.point], rtol=0, atol=1e-6)


def _method(step):
    from shallows.solve.branch import PseudoArclength

    return PseudoArclength(first_step=step, longest_step=0.1, watch=False, around_folds=False)


def test_what_is_left_of_two_neurons_is_another_family():
    # Swapping the teachers of the last two unflipped neurons makes A of the sheet of II: what
    # would be `flipped:8` at k = 10 has the loss of A, and is refused.
    sheet = Sheet("flipped", 8)
    end = sheet.walk(10.0, _method(0.1)).end
    loss = ReducedLoss(Blocks((2, 8), is_single=(False, False)))
    assert abs(float(loss.value(end.point)) - member("A", 10).value) < 1e-9
    assert member("flipped:8", 10).continues == "A"


THRESHOLDS = {
    "II": (5.58550524742588, "standard", "unflipped", "crossing"),
    "A": (5.763812734919571, "exterior", "flipped", "crossing"),
    "I": (6.7448306562456315, "exterior", "flipped", "crossing"),
    "flipped:2": (7.561190497945401, "standard", "unflipped", "crossing"),
    "flipped:3": (9.32317221768978, "standard", "unflipped", "crossing"),
    "flipped:50": (80.08803300587, "trivial", None, "fold"),
    "unflipped:3": (8.717555499919396, "exterior", "flipped", "crossing"),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_thresholds(name):
    k, component, block, event = THRESHOLDS[name]
    found = threshold(name)
    assert isinstance(found, Threshold)
    assert abs(found.neurons - k) < 1e-11 * k
    assert found.representation.value == component
    assert (found.block, found.event.value) == (block, event)


def test_type_two_becomes_a_minimum_where_the_facts_say():
    assert printed(threshold("II").neurons, "5.5855") == "5.5855"


@pytest.mark.parametrize("name", ["II", "A", "I", "flipped:2"])
def test_families_are_saddles_below_their_threshold_and_minima_above(name):
    k = threshold(name).neurons
    below, above = (member(name, k * (1 + s)) for s in (-1e-9, 1e-9))
    assert float(below.spectrum()[0].eigenvalue) < 0 < float(above.spectrum()[0].eigenvalue)
    assert below.spectrum()[0].representation is threshold(name).representation


def test_a_family_that_begins_in_a_fold_does_not_go_beyond():
    found = threshold("flipped:50")
    assert found.event is EventKind.fold
    assert member("flipped:50", found.neurons + 0.01).continues == "II"
    assert member("flipped:50", found.neurons - 0.01).continues == "A"


@pytest.mark.parametrize(("k", "p"), [(20, 6), (30, 10), (30, 11), (46, 18)])
def test_three_blocks_are_minima_from_a_census(k, p):
    found = member(f"intermediate:{p}", k)
    assert found.kind() is Kind.minimum
    assert found.isotropy == f"Δ(S{k - 1 - p}×S{p}×S1)"
    assert found.roles == ("unflipped", "flipped", "intermediate")
    loss = {(20, 6): 0.0597534, (30, 10): 0.0746303, (30, 11): 0.0789649}.get((k, p))
    assert loss is None or abs(found.value - loss) < 6e-8


def test_three_blocks_appear_at_nineteen_neurons():
    assert member("intermediate:6", 19).kind() is Kind.minimum
    assert member("intermediate:5", 18).kind() is Kind.saddle


@pytest.mark.parametrize(
    ("name", "k", "d", "text"),
    [
        ("B", 10, None, "no family called 'B'. Use `global`"),
        ("flipped:x", 10, None, "no family called 'flipped:x'"),
        ("flipped:-1", 10, None, "no family called"),
        ("flipped:11", 10, None, "needs at least 11 neurons, but there are 10. Use 0 ≤ P ≤ k"),
        ("unflipped:11", 10, None, "Use 0 ≤ Q ≤ k"),
        ("II", 3, None, r"no `II` at k = 3: continued from `II`, it needs k > 3. Use another k"),
        ("I", 2, None, "no `I` at k = 2: continued from `A`, it needs k > 3"),
        ("flipped:2", 3, None, "`A`, it needs k > 3"),
        ("intermediate:6", 12, None, "the sheet ends in a fold near sizes"),
        ("intermediate:1", 12, None, "two neurons at least are flipped"),
        ("II", 0.5, None, "between 1 and 10¹² neurons, but 0.5"),
        ("II", 1e13, None, "between 1 and 10¹² neurons"),
        ("II", 10, 9, "at least as many inputs as neurons, but there are 9 and 10"),
    ],
)
def test_what_is_no_member_is_refused_with_the_reason(name, k, d, text):
    with pytest.raises(ValueError, match=text):
        member(name, k, d)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("global", "is the global minimum at every k"),
        ("flipped:20000", "up to 10,000 neurons"),
        ("intermediate:6", "no threshold is defined"),
        ("III", "no family called"),
    ],
)
def test_what_has_no_threshold_is_refused(name, text):
    with pytest.raises(ValueError, match=text):
        threshold(name)


@pytest.mark.usefixtures("unchecked_types")
def test_names_are_words_and_sizes_are_numbers():
    ten: Any = 10
    name: Any = "II"
    twelve: Any = "12"
    nothing: Any = None
    with pytest.raises(TypeError, match=r"number of neurons is 'II', but must be a number"):
        member(ten, name)
    with pytest.raises(TypeError, match=r"number of inputs is '12', but must be a number"):
        member("II", 10, twelve)
    with pytest.raises(TypeError, match=r"A family is called by its name, but this is None"):
        threshold(nothing)


def test_comparing_says_what_is_missing():
    row = compared("II", 3)
    assert isinstance(row, Compared)
    assert row.loss is None
    assert "needs k > 3" in row.reason
    there = compared("II", 6)
    assert (there.kind, there.representation) == (Kind.minimum, Representation.standard)
    with pytest.raises(ValueError, match="no family called"):
        compared("X", 6)


def test_names_say_where_they_are_looked_for():
    assert sheets("flipped:3", 10) == (Sheet("flipped", 3), Sheet("unflipped", 7))
    assert sheets("A") == (Sheet("unflipped", 0),)
    assert sheets("global") == ()


@pytest.mark.parametrize("slope", [0.1, 0.5, -0.4])
def test_families_of_leaky_networks_are_critical_in_all_weights(slope):
    """Against the dense loss, its gradient and Hessian, compiled from other formulas."""
    found = leaking(member("II", 6), slope)
    sigma = leaky(slope)
    loss = sh.SquaredLoss(sh.Network(np.eye(6), activation=sigma), sh.Gaussian(6))
    student = sh.Network(matrix(found), activation=sigma)
    assert np.abs(loss.gradient(student)).max() < 1e-15
    assert abs(float(loss(student)) - found.value) < 1e-14
    dense = np.linalg.eigvalsh(np.asarray(loss.hessian(student)).reshape(36, 36))
    ours = np.sort(
        np.concatenate(
            [np.full(int(e.multiplicity), float(e.eigenvalue)) for e in found.spectrum()]
        )
    )
    np.testing.assert_allclose(ours, dense, atol=1e-13)


def test_families_of_leaky_networks_at_any_size_and_their_limits():
    big = leaking(member("II", 1e9), 0.3)
    assert big.kind() is Kind.minimum
    assert leaking(member("global", 10), 0.3).value == 0
    with pytest.raises(ValueError, match=r"slope between -1 and 1, .* but 1.5 was given"):
        leaking(member("II", 10), 1.5)
