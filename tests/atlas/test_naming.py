"""Names of families, group by group."""

import numpy as np
import pytest

import zoo
from shallows.atlas import family_name
from shallows.atlas.families import member
from shallows.atlas.naming import ZERO_LOSS
from shallows.symmetry import flipped_neurons, isotropy


def _name(inner, teacher_neurons=None, is_global=False):
    inner = np.asarray(inner, dtype=float)
    k = len(inner)
    m = k if teacher_neurons is None else teacher_neurons
    return family_name(isotropy(inner), flipped_neurons(inner), k, m, is_global=is_global)


def _two_block(k, p):
    """About a point with p flipped neurons: its signs and its symmetry."""
    w = np.eye(k) - 0.01
    w[-p:, -p:] = 0.2 - 0.9 * np.eye(p)
    w[:-p, -p:], w[-p:, :-p] = 0.3, 0.25
    return w


@pytest.mark.parametrize("k", [6, 20])
@pytest.mark.parametrize("family", ["A", "I", "II"])
def test_the_named_points_have_their_names(family, k):
    assert _name(zoo.spurious(family, k).inner) == family


def test_names_do_not_depend_on_the_order_of_neurons_and_inputs():
    rng = np.random.default_rng(0)
    for family in ("A", "I", "II"):
        inner = np.asarray(zoo.spurious(family, 6).inner)
        assert _name(inner[rng.permutation(6)][:, rng.permutation(6)]) == family


@pytest.mark.parametrize(
    ("p", "name"), [(1, "II"), (2, "flipped:2"), (3, "flipped:3"), (5, "flipped:5"), (6, "I")]
)
def test_two_blocks_are_named_after_the_flipped_one(p, name):
    assert _name(_two_block(7, p)) == name


def test_two_neurons_are_too_few_for_letters():
    # All but one would be one, and both names would mean the same point.
    assert _name([[-0.6, 0.3], [0.3, -0.6]]) == "flipped:2"
    assert _name(_two_block(2, 1)) == "unnamed:trivial,p=1"


def test_a_loss_of_zero_is_global_whatever_the_point():
    assert _name(np.eye(5), is_global=True) == "global"
    assert _name(zoo.spurious("A", 6).inner, is_global=True) == "global"
    assert 0 < ZERO_LOSS < 1e-10


def test_everything_else_is_unnamed_and_says_its_group():
    rng = np.random.default_rng(1)
    assert _name(rng.normal(size=(4, 4)) + 3 * np.eye(4)) == "unnamed:trivial"
    assert _name(np.eye(5)).startswith("unnamed:ΔS5")  # no flipped neuron, yet not zero
    broken = _two_block(7, 2)
    broken[0, 0] = 0.7
    name = _name(broken)
    assert name.startswith("unnamed:Δ(S4")
    assert name.endswith(",p=2")


def test_a_wider_student_has_no_letters():
    inner = np.vstack([zoo.spurious("II", 6).inner, np.full(6, 0.05)])
    assert _name(inner, teacher_neurons=6).startswith("unnamed:")


def test_names_with_a_loss_are_those_of_the_families():
    def named(name, k, loss=None):
        found = member(name, k)
        inner = found.blocks.embed([float(x) for x in found.point])
        value = found.value if loss is None else loss
        group, p = isotropy(inner), flipped_neurons(inner)
        return family_name(group, p, k, k, is_global=False, loss=value)

    for name in ("II", "A", "I", "flipped:8", "unflipped:12", "intermediate:6"):
        assert named(name, 20) == name
    # The same group and number of flipped neurons, and another point.
    assert named("flipped:8", 20, loss=0.07) == "unnamed:Δ(S12×S8),p=8"
    assert named("intermediate:6", 20, loss=0.07) == "unnamed:Δ(S13×S6×S1),p=7"
    assert named("II", 20, loss=0.02) == "unnamed:Δ(S19×S1),p=1"
