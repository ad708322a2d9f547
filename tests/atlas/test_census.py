"""The census: its catalogue against theory and published numbers, and how it goes on."""

import dataclasses
import re
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

import zoo
from shallows import census
from shallows.atlas import Kind, Pulse
from shallows.atlas.census import VERSION, Block, Blocks, usual_method
from shallows.atlas.sorting import spectrum_of
from shallows.lab import NotAStore, Processes, Result, Store, Study, key
from shallows.landscape import AllWeights, SquaredLoss
from shallows.model import Gaussian, Network, Rotational, Sample, orthonormal
from shallows.solve import ZERO, GradientDescent, GradientFlow, StochasticDescent, teacher_power

# Two blocks of 100 starts of which a few end in type II, as with few other seeds: it is rare.
K, STARTS, SEED = 6, 200, 11
ROTATED_SEED = 0
DESCENT = GradientDescent()
SLANTED_TEACHER = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.3, 0.3, 1.0]])


def _problem(k=K, trained=None):
    return SquaredLoss(orthonormal(k), Gaussian(k), trained)


def _same(one, other, accuracy=0.0):
    """Whether two catalogues are the same; with accuracy 0 to the last bit."""
    assert one.question == other.question
    assert (one.starts, one.settled, one.unsettled) == (
        other.starts,
        other.settled,
        other.unsettled,
    )
    _same_families(one.families, other.families, accuracy)


def _same_families(ours, theirs, accuracy=0.0):
    words = ("name", "isotropy", "isotropy_order", "flipped", "count", "kind", "first_start")
    for name in words:
        assert [getattr(f, name) for f in ours] == [getattr(f, name) for f in theirs]
    for mine, their in zip(ours, theirs, strict=True):
        for name in ("loss", "smallest_eigenvalue", "gradient_norm", "weights", "outer", "spread"):
            one, other = getattr(mine, name), getattr(their, name)
            np.testing.assert_allclose(one, other, rtol=0, atol=accuracy)
        assert [level.multiplicity for level in mine.spectrum] == [
            level.multiplicity for level in their.spectrum
        ]


def _is_consistent(found, loss):
    """What holds for every catalogue."""
    assert sum(family.count for family in found.families) == found.settled
    assert found.settled + sum(found.unsettled.values()) == found.starts
    names = [family.name for family in found.families]
    assert len(set(names)) == len(names)
    counts = [family.count for family in found.families]
    assert counts == sorted(counts, reverse=True)
    k, d = found.question["neurons"], found.question["inputs"]
    parameters = k * d  # heads add k, rescalings take them away again
    for family in found.families:
        values = [level.eigenvalue for level in family.spectrum]
        assert values == sorted(values)
        assert values[0] == family.smallest_eigenvalue
        assert sum(level.multiplicity for level in family.spectrum) == parameters
        if family.kind is Kind.minimum:
            assert family.smallest_eigenvalue > 0
        assert family.weights.shape == (k, d)
        there = Network(family.weights, family.outer)
        assert float(loss(there)) == pytest.approx(family.loss, abs=1e-13)
        assert 0 <= family.first_start < found.starts
        assert family.spread <= 1e-6 * np.linalg.norm(family.weights)
        if family.loss > ZERO * teacher_power(loss) or k == loss.teacher.neurons:
            assert family.gradient_norm <= 1e-12


@pytest.fixture(scope="module")
def reference():
    """The catalogue that others are compared with, computed at one go."""
    return census(_problem(), STARTS, DESCENT, seed=SEED)


def test_a_census_finds_the_global_minimum_and_type_ii(reference):
    _is_consistent(reference, _problem())
    assert (reference.starts, reference.settled, reference.unsettled) == (STARTS, STARTS, {})
    best, second = reference.families
    assert (best.name, best.isotropy, best.isotropy_order) == ("global", "ΔS6", 720)
    assert (best.kind, best.flipped, best.loss) == (Kind.minimum, 0, pytest.approx(0, abs=1e-14))
    np.testing.assert_allclose(best.weights, np.eye(K), rtol=0, atol=1e-11)
    assert (second.name, second.isotropy, second.isotropy_order) == ("II", "Δ(S5×S1)", 120)
    assert (second.kind, second.flipped) == (Kind.minimum, 1)
    assert second.count < 10
    # Safran & Shamir 2018, with the smallest eigenvalue in facts: landscapes.md, 3.5.
    assert second.loss == pytest.approx(0.02508058, abs=1e-8)
    assert second.smallest_eigenvalue == pytest.approx(0.004700, abs=1e-6)
    entries = np.sort(np.asarray(zoo.spurious("II", K).inner).ravel())
    np.testing.assert_allclose(np.sort(second.weights.ravel()), entries, rtol=0, atol=1e-8)


def test_hessians_have_the_multiplicities_of_representation_theory(reference):
    # Facts: landscapes.md, 4.2 and 4.3; at the global minimum the exterior part meets a standard
    # one, and what is left of M(k, k) = 2t + 3s + x + y are the multiplicities below.
    best, second = (family.spectrum for family in reference.families)
    assert sorted(level.multiplicity for level in best) == [1, 1, 5, 5, 9, 15]
    c = 1 / (2 * np.pi)
    levels = {level.multiplicity: level.eigenvalue for level in best}
    assert levels[15] == pytest.approx(1 / 4 - c, abs=1e-12)
    assert levels[9] == pytest.approx(1 / 4 + c, abs=1e-12)
    # Under ΔS5: 5t + 5s + x + y with dimensions 1, 4, 6 and 5.
    assert sorted(level.multiplicity for level in second) == [1] * 5 + [4] * 5 + [5, 6]
    assert second[0].multiplicity == 4  # the standard component


def test_curves_lead_from_the_start_to_the_end(reference):
    for family in reference.families:
        curve = family.curve
        assert curve.time[0] == 0
        assert list(curve.time) == sorted(set(curve.time))
        assert len(curve.time) == len(curve.loss) == len(curve.gradient_norm)
        assert np.all(np.diff(curve.loss) < 1e-14)
        assert curve.loss[-1] == pytest.approx(family.loss, abs=1e-6)
        inner, outer, _ = Block(_problem(), DESCENT, K, 1 / np.sqrt(K), SEED).starts(
            family.first_start, 1
        )
        start = Network(inner[0], outer[0])
        assert curve.loss[0] == pytest.approx(float(_problem()(start)), rel=1e-13)


def test_the_same_question_has_the_same_answer(reference):
    again = census(_problem(), STARTS, DESCENT, seed=SEED)
    _same(again, reference)
    bare = census(_problem(), 100, DESCENT, seed=SEED, curves=False)
    assert bare.families[0].curve.time == ()
    assert bare.families[0].loss == reference.families[0].loss


def test_starts_are_drawn_from_seed_and_number_alone():
    block = Block(_problem(), DESCENT, K, 0.5, 3)
    inner, outer, keys = block.starts(0, 50)
    alone, _, key = block.starts(17, 1)
    assert np.array_equal(alone[0], inner[17])
    assert np.array_equal(jax.random.key_data(key[0]), jax.random.key_data(keys[17]))
    assert np.all(outer == 1)
    other, *_ = dataclasses.replace(block, seed=4).starts(0, 50)
    assert np.min(np.abs(other - inner)) > 0
    # Independent normal entries of standard deviation `init`.
    number = inner.size
    assert abs(inner.mean()) < 5 * 0.5 / np.sqrt(number)
    assert abs(inner.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * number)


def test_the_question_is_in_the_catalogue(reference):
    question = dict(reference.question)
    for name, value in {
        "neurons": K,
        "inputs": K,
        "starts": STARTS,
        "seed": SEED,
        "trained": "InnerWeights",
        "init": pytest.approx(1 / np.sqrt(K)),
        "teacher": "orthonormal, 6 neurons",
        "law": "standard Gaussian",
    }.items():
        assert question[name] == value
    assert reference.provenance["precision"] == "float64"
    assert reference.seconds > 0


# The same landscape, seen from elsewhere


@pytest.mark.slow
def test_a_relabelled_teacher_has_the_same_catalogue(reference):
    order = np.random.default_rng(0).permutation(K)
    loss = SquaredLoss(Network(np.eye(K)[order]), Gaussian(K))
    found = census(loss, STARTS, DESCENT, seed=SEED, curves=False)
    _is_consistent(found, loss)
    names = ("name", "isotropy", "isotropy_order", "flipped", "count", "kind", "first_start")
    for mine, theirs in zip(found.families, reference.families, strict=True):
        for name in names:
            assert getattr(mine, name) == getattr(theirs, name)
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-13)
        for one, other in zip(mine.spectrum, theirs.spectrum, strict=True):
            assert one.multiplicity == other.multiplicity
            assert one.eigenvalue == pytest.approx(other.eigenvalue, abs=1e-10)


@pytest.mark.slow
def test_a_rotated_teacher_has_the_same_families(reference):
    # Not the same counts: the starts are not rotated with it.
    loss = SquaredLoss(Network(zoo.rotation(K)), Gaussian(K))
    found = census(loss, 100, DESCENT, seed=ROTATED_SEED, curves=False)
    _is_consistent(found, loss)
    for mine, theirs in zip(found.families, reference.families, strict=True):
        for name in ("name", "isotropy", "isotropy_order", "flipped", "kind"):
            assert getattr(mine, name) == getattr(theirs, name)
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-13)
        for one, other in zip(mine.spectrum, theirs.spectrum, strict=True):
            assert one.multiplicity == other.multiplicity
            assert one.eigenvalue == pytest.approx(other.eigenvalue, abs=1e-10)


# Going on


class _Stop:
    """Remembers what it saw, and interrupts at a number of starts."""

    def __init__(self, at=None):
        self.at, self.pulses = at, []

    def __call__(self, pulse: Pulse):
        self.pulses.append(pulse)
        if self.at is not None and pulse.starts >= self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("at", "kept"), [(1, 0), (150, 1), (200, 1)])
def test_an_interrupted_census_goes_on_where_it_stopped(tmp_path, reference, at, kept):
    store = Store(tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        census(_problem(), STARTS, DESCENT, seed=SEED, store=store, progress=_Stop(at))
    assert len(store.keys("census")) == kept
    assert store.check() == []
    found = census(_problem(), STARTS, DESCENT, seed=SEED, store=store)
    assert found.provenance["blocks_reused"] == kept
    assert found.provenance["damaged_recomputed"] == 0
    assert found.provenance["store"] == str(tmp_path / "store")
    _same(found, reference)


def test_more_starts_reuse_those_that_are_there(tmp_path, reference):
    store = Store(tmp_path)
    fewer = census(_problem(), 100, DESCENT, seed=SEED, store=store)
    assert fewer.provenance["blocks_reused"] == 0
    more = census(_problem(), STARTS, DESCENT, seed=SEED, store=store)
    assert more.provenance["blocks_reused"] == 1
    _same(more, reference)
    again = census(_problem(), STARTS, DESCENT, seed=SEED, store=store)
    assert again.provenance["blocks_reused"] == 2
    assert again.seconds == more.seconds  # of the starts, not of this look at them
    _same(again, reference)


@pytest.mark.slow
def test_more_starts_reuse_those_of_an_unfinished_block(tmp_path):
    """Sixty starts and then 160 once trained 220: the short block was none of the longer run's."""
    store, loss = Store(tmp_path), _problem(3)

    def taken(starts):
        found = census(loss, starts, DESCENT, store=store, curves=False)
        trained = sum(record.case.data["count"] for record in store.records("census"))
        return found, found.provenance["blocks_reused"], trained

    assert taken(6)[1:] == (0, 6)
    found, reused, trained = taken(16)
    assert (reused, trained) == (1, 16)  # 6 and 10
    assert taken(16)[1:] == (2, 16)
    _same(found, census(loss, 16, DESCENT, curves=False))


def test_a_census_keeps_few_records():
    study = Study("census", VERSION, lambda _: Result({}))
    question = {"seed": 0}

    def cut(number, known=()):
        cases = Blocks(study, question, number, 100, known)
        return [(case.data["first"], case.data["count"]) for case in cases], {
            key(study, case) for case in cases
        }

    assert cut(250)[0] == [(0, 100), (100, 100), (200, 50)]
    assert len(cut(10_000)[0]) == 100
    known = cut(60)[1]
    assert cut(60, known)[0] == [(0, 60)]
    assert cut(250, known)[0] == [(0, 60), (60, 40), (100, 100), (200, 50)]
    known |= cut(170, known)[1]  # the longest piece is taken where there are several
    assert cut(250, known)[0] == [(0, 60), (60, 40), (100, 70), (170, 30), (200, 50)]
    known |= cut(100)[1]
    assert cut(170, known)[0] == [(0, 100), (100, 70)]


@pytest.mark.slow
def test_another_question_reuses_nothing(tmp_path):
    store = Store(tmp_path)
    loss = SquaredLoss(Network(SLANTED_TEACHER), Gaussian(3))
    census(loss, 7, DESCENT, store=store, curves=False)
    other = SquaredLoss(Network(SLANTED_TEACHER[:, ::-1]), Gaussian(3))
    changes: list[tuple[SquaredLoss, dict[str, Any]]] = [
        (loss, {"seed": 1}),
        (loss, {"init": 0.1}),
        (loss, {"method": GradientDescent(0.5)}),
        (loss, {"method": GradientDescent(max_steps=30_000)}),
        (other, {}),
    ]
    for problem, changed in changes:
        found = census(problem, 7, store=store, curves=False, **({"method": DESCENT} | changed))
        assert found.provenance["blocks_reused"] == 0, changed
    assert len(store.keys("census")) == 6
    again = census(loss, 7, DESCENT, store=store, curves=False)
    assert again.provenance["blocks_reused"] == 1


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_a_damaged_record_is_named_and_computed_again(tmp_path, reference, suffix):
    store = Store(tmp_path)
    census(_problem(), STARTS, DESCENT, seed=SEED, store=store)
    victim = sorted((tmp_path / "census").glob(f"*.{suffix}"))[0]
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    watch = _Stop()
    found = census(_problem(), STARTS, DESCENT, seed=SEED, store=store, progress=watch)
    named = [pulse.damaged for pulse in watch.pulses if pulse.damaged]
    assert len(named) == 1
    assert str(victim.with_suffix(".json")) in named[0]
    assert found.provenance["damaged_recomputed"] == 1
    assert found.provenance["blocks_reused"] == 1
    _same(found, reference)
    assert store.check() == []


def test_progress_counts_starts_and_families(reference):
    watch = _Stop()
    found = census(_problem(), STARTS, DESCENT, seed=SEED, progress=watch, curves=False)
    counts = [pulse.starts for pulse in watch.pulses]
    assert counts == sorted(counts)
    assert set(counts) == set(range(1, STARTS + 1))
    assert watch.pulses[-1] == Pulse(STARTS, STARTS, len(found.families))


@pytest.mark.slow  # two processes import JAX and compile
def test_other_processes_give_the_same_catalogue(tmp_path, reference):
    store = Store(tmp_path)
    watch = _Stop()
    found = census(
        _problem(), STARTS, DESCENT, seed=SEED, store=store, on=Processes(2), progress=watch
    )
    assert [pulse.starts for pulse in watch.pulses] == [100, 200]
    _same(found, reference)


# Other landscapes


@pytest.mark.slow
def test_a_teacher_in_more_inputs_leaves_the_others_alone():
    k, d = 5, 7
    loss = SquaredLoss(orthonormal(k, d), Gaussian(d))
    found = census(loss, 7, DESCENT, curves=False)
    _is_consistent(found, loss)
    (family,) = found.families
    assert (family.name, family.count, family.kind) == ("global", 7, Kind.minimum)
    # Facts: landscapes.md, 4.3, for d > k.
    near = {round(level.eigenvalue, 10): level.multiplicity for level in family.spectrum}
    assert near[0.25] == (k - 1) * (d - k)
    assert near[(k + 1) / 4] == d - k


@pytest.mark.slow
def test_heads_may_be_trained_too():
    loss = _problem(3, AllWeights())
    found = census(loss, 7, DESCENT, curves=False)
    assert found.question["trained"] == "AllWeights"
    (family,) = found.families
    assert (family.name, family.count) == ("global", 7)
    # 3 · (3 + 1) parameters less 3 directions that rescale a neuron.
    assert sum(level.multiplicity for level in family.spectrum) == 9
    assert family.smallest_eigenvalue > 0.01
    assert family.kind is Kind.minimum


@pytest.mark.slow
def test_neurons_to_spare_make_one_family_of_all_zeros():
    loss = _problem(3)
    found = census(loss, 7, DESCENT, neurons=4, curves=False)
    assert (found.question["neurons"], found.settled) == (4, 7)
    (family,) = found.families
    assert (family.name, family.kind, family.count) == ("global", Kind.degenerate, 7)
    assert 0 <= family.loss <= ZERO * teacher_power(loss)
    cut = census(loss, 7, GradientDescent(max_steps=100), neurons=4, curves=False)
    assert (cut.settled, cut.families, cut.unsettled) == (0, (), {"out_of_steps": 7})
    assert cut.starts == 7


def test_a_teacher_may_be_slanted():
    rows = SLANTED_TEACHER
    loss = SquaredLoss(Network(rows), Gaussian(3))
    found = census(loss, 7, DESCENT, curves=False)
    _is_consistent(found, loss)
    (family,) = found.families
    assert (family.name, family.isotropy, family.count) == ("global", "trivial", 7)
    # Rounded: entries that are zero have any sign.
    found_rows = family.weights[np.lexsort(family.weights.T.round(6))]
    np.testing.assert_allclose(found_rows, rows[np.lexsort(rows.T)], atol=1e-10)


@pytest.mark.slow
def test_inputs_may_be_slanted():
    # As in the whitened coordinates: the teacher is what its neurons become there.
    law = Gaussian(covariance=zoo.SLANTED)
    loss = SquaredLoss(orthonormal(3), law)
    found = census(loss, 7, GradientDescent(0.2), curves=False)
    _is_consistent(found, loss)
    (family,) = found.families
    assert (family.name, family.isotropy, family.kind) == ("global", "trivial", Kind.minimum)
    back = np.linalg.inv(np.asarray(law.root))
    undone = SquaredLoss(Network(np.eye(3) @ back), law)  # orthonormal once whitened
    (family,) = census(undone, 7, GradientDescent(0.2), curves=False).families
    assert (family.name, family.isotropy) == ("global", "ΔS3")


@pytest.mark.slow
def test_rotational_laws_have_the_landscape_of_the_gaussian_scaled():
    law = Rotational(3, 2.0)
    loss = SquaredLoss(orthonormal(3), law)
    (family,) = census(loss, 7, DESCENT, curves=False).families
    assert (family.name, family.isotropy) == ("global", "ΔS3")
    spectrum, kind = spectrum_of(_problem(3), np.eye(3), np.ones(3))
    assert kind is Kind.minimum
    assert family.smallest_eigenvalue == pytest.approx(
        law.constant * spectrum[0].eigenvalue, rel=1e-10
    )


def test_a_data_set_has_a_census_too():
    points = np.random.default_rng(1).normal(size=(40, 2))
    loss = SquaredLoss(orthonormal(2), Sample(points))
    found = census(loss, 7, GradientDescent(0.5), curves=False)
    _is_consistent(found, loss)
    assert found.question["law"] == "sample of 40 points"
    (family,) = found.families
    assert (family.name, family.count) == ("global", 7)


def test_under_a_data_set_descent_is_the_default():
    """The flow slides along kinks: six of these seven runs used up all its steps."""
    points = np.random.default_rng(1).normal(size=(40, 2))
    found = census(SquaredLoss(orthonormal(2), Sample(points)), 7, curves=False)
    assert found.question["optimiser"] == "gd"
    assert found.settled == 7
    assert usual_method(_problem(3)).name == "flow"


def test_runs_that_end_at_kinks_are_counted_and_not_catalogued():
    points = np.random.default_rng(1).normal(size=(6, 2))
    loss = SquaredLoss(Network(np.eye(2), np.array([1.0, -1.0])), Sample(points))
    found = census(loss, 7, GradientDescent(0.5), neurons=1, curves=False)
    _is_consistent(found, loss)
    assert found.unsettled["at_kink"] > 0
    assert all(family.kind is not Kind.saddle for family in found.families)


@pytest.mark.slow
@pytest.mark.parametrize("method", [GradientFlow(), StochasticDescent(opening=1000)])
def test_other_optimisers_find_the_same_families(method, reference):
    found = census(_problem(), 100, method, seed=SEED)
    _is_consistent(found, _problem())
    assert found.settled == 100
    known = {family.name: family for family in reference.families}
    for family in found.families:
        assert family.loss == pytest.approx(known[family.name].loss, abs=1e-13)


# Kinds


@pytest.mark.parametrize(
    ("family", "kind"), [("A", Kind.minimum), ("I", Kind.saddle), ("II", Kind.minimum)]
)
def test_kinds_are_read_off_the_smallest_eigenvalue(family, kind):
    spectrum, found = spectrum_of(_problem(), np.asarray(zoo.spurious(family, K).inner), np.ones(K))
    assert found is kind
    least = zoo.LEAST_EIGENVALUES[family, K]
    assert spectrum[0].eigenvalue == pytest.approx(least, abs=1e-6)
    assert sum(level.multiplicity for level in spectrum) == K * K


def test_an_eigenvalue_of_zero_is_degenerate():
    flat = SquaredLoss(orthonormal(3), Gaussian(covariance=zoo.FLAT))
    spectrum, kind = spectrum_of(flat, np.eye(3), np.ones(3))
    assert kind is Kind.degenerate
    assert abs(spectrum[0].eigenvalue) < 1e-14


def _run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    [
        pytest.param("from shallows.atlas import Pulse, census", marks=pytest.mark.slow),
        "import shallows.atlas.census",
        pytest.param("from shallows.atlas.census import VERSION", marks=pytest.mark.slow),
        pytest.param("import shallows; shallows.census", marks=pytest.mark.slow),
    ],
)
def test_the_module_of_that_name_does_not_hide_the_function(first):
    # `from shallows.atlas import Pulse` once made `shallows.census` a module, and so did any
    # import of the module before the function was asked for.
    code = (
        "import shallows, shallows.atlas as atlas\n"
        "from shallows import census; from shallows.atlas import census as same\n"
        "print(callable(census), census is same is shallows.census is atlas.census)"
    )
    assert _run(f"{first}\n{code}") == "True True\n"


# Misuse


@pytest.mark.parametrize("value", [0, -3, True])
def test_starts_and_neurons_are_positive_integers(value):
    message = re.escape(f"must be a positive integer, but is {value!r}. Use e.g. 10.")
    with pytest.raises(ValueError, match=f"`starts` {message}"):
        census(_problem(3), value)
    with pytest.raises(ValueError, match=f"`neurons` {message}"):
        census(_problem(3), 7, neurons=value)


def test_starts_fit_into_memory():
    message = "`starts` may be at most 10_000_000, but is 1000000000000. Ask for fewer."
    with pytest.raises(ValueError, match=re.escape(message)):
        census(_problem(3), 10**12)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 10**30, 1.5, None])
@pytest.mark.usefixtures("unchecked_types")
def test_seeds_are_integers_of_64_bits(seed):
    # 1.5 was once taken for 1.
    message = f"`seed` must be an integer of at most 64 bits, but is {seed}. Use 0."
    with pytest.raises(ValueError, match=re.escape(message)):
        census(_problem(3), 7, seed=seed)


@pytest.mark.usefixtures("unchecked_types")
def test_arguments_in_another_order_and_methods_without_parentheses_are_refused():
    number: Any = 20
    loss: Any = _problem(3)
    method: Any
    with pytest.raises(TypeError, match=r"The first argument is a int, but must be the loss"):
        census(number, loss)
    for method in (GradientDescent, "gd"):
        with pytest.raises(TypeError, match=r"`method` is .* with its parentheses"):
            census(loss, 7, method)


@pytest.mark.parametrize("length", [0.0, 1e-9, 1e-150])
def test_a_teacher_too_small_to_be_told_from_zero_is_refused(length):
    # At 1e-9 a gradient norm of 1e-12 is reached a thousandth of the way before the minimum: each
    # start once was a family, and a minimum, of its own.
    loss = SquaredLoss(Network(length * np.eye(2)), Gaussian(2))
    with pytest.raises(ValueError, match=r"where the root mean square of the teacher is .* near 1"):
        census(loss, 7, DESCENT, init=max(length, 1e-9))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_the_size_of_starts_is_a_positive_number(value):
    with pytest.raises(ValueError, match=r"`init` must be a positive number, but is "):
        census(_problem(3), 7, init=value)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(NotAStore, match="is not empty and not a store"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
