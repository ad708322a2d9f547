"""Points are certified by their symmetry where they have one, and a census with all of them."""

import json
from typing import Any

import numpy as np
import pytest

from shallows import AllWeights, Gaussian, Network, Rotational, Sample, SquaredLoss, orthonormal
from shallows.atlas import (
    Census,
    Curve,
    Family,
    Kind,
    certified_census,
    certified_point,
    member,
)
from shallows.atlas.certification import blocks_of
from shallows.certify import Certificate, PointCertificate, Verdict, verify, verify_point
from shallows.lab import Store
from shallows.model import Erf


def matrix(name, k, seed=0):
    """A named point with neurons and inputs in disorder."""
    point = member(name, k)
    inner = point.loss.blocks.embed([float(x) for x in point.point])
    rng = np.random.default_rng(seed)
    return inner[np.ix_(rng.permutation(k), rng.permutation(k))]


def seen(inner):
    found = blocks_of(inner)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "k", "sizes"),
    [
        ("A", 6, (6,)),
        ("II", 9, (8, 1)),
        ("flipped:2", 8, (6, 2)),
        ("intermediate:6", 20, (13, 6, 1)),
    ],
)
def test_blocks_are_found_in_any_labelling(name, k, sizes):
    inner = matrix(name, k)
    blocks, neurons, inputs = seen(inner)
    assert blocks.sizes == sizes
    assert blocks.rows == blocks.columns == tuple(range(len(sizes)))
    shown = inner[np.ix_(neurons, inputs)]
    assert np.array_equal(np.sort(neurons), np.arange(k))
    assert np.max(np.abs(blocks.embed(blocks.restrict(shown)) - shown)) < 1e-14


def test_blocks_of_other_shapes():
    # One neuron more than inputs; two blocks of neurons moved by one factor; equal neurons.
    wide = np.concatenate([np.eye(4) + 0.1, np.full((1, 4), 0.3)])
    blocks, _, _ = seen(wide)
    assert (blocks.sizes, blocks.rows, blocks.columns) == ((4, 1), (0, 1), (0,))
    double = np.concatenate([np.eye(4) + 0.1, 0.5 - 0.7 * np.eye(4)])
    blocks, _, _ = seen(double[np.random.default_rng(0).permutation(8)])
    assert (blocks.sizes, blocks.rows, blocks.columns) == ((4,), (0, 0), (0,))
    rng = np.random.default_rng(1)
    assert blocks_of(rng.normal(size=(4, 4))) is None
    # A cyclic group is no product of symmetric groups.
    assert blocks_of(np.eye(5) + 0.3 * np.roll(np.eye(5), 1, axis=1)) is None


def test_a_point_with_symmetry_is_proved_by_it_and_one_without_in_all_weights():
    loss = SquaredLoss(orthonormal(6), Gaussian(6))
    found = certified_point(Network(matrix("II", 6)), loss)
    assert isinstance(found, Certificate)
    assert (found.verdict, found.index, found.sizes) == (Verdict.PROVED, 0, ("5", "1"))
    assert verify(found).reason == ""
    # The same teacher turned around: the same landscape, which is not seen in the entries.
    angle = 0.3
    turn = np.eye(6)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned = SquaredLoss(Network(turn), Gaussian(6))
    whole = certified_point(Network(matrix("II", 6) @ turn), turned)
    assert isinstance(whole, PointCertificate)
    assert (whole.verdict, whole.index) == (Verdict.PROVED, 0)
    assert abs(float(whole.loss[0]) - float(found.loss[0])) < 1e-13
    assert verify_point(whole).reason == ""


def test_laws_and_parameters_without_certificates_are_refused():
    teacher, student = orthonormal(3), Network(np.eye(3) + 0.1)
    rng = np.random.default_rng(0)
    for loss, message in (
        (SquaredLoss(teacher, Sample(rng.normal(size=(20, 3)))), "law of the inputs is Sample"),
        (SquaredLoss(teacher, Rotational(3)), "law of the inputs is Rotational"),
        (SquaredLoss(teacher, Gaussian(covariance=np.diag([1.0, 2, 3]))), "with a covariance"),
        (SquaredLoss(teacher, Gaussian(3), AllWeights()), "heads are trained"),
        (SquaredLoss(orthonormal(3, activation=Erf()), Gaussian(3)), "the activation is erf"),
    ):
        with pytest.raises(ValueError, match=message):
            certified_point(student, loss)
    large = SquaredLoss(orthonormal(40), Gaussian(40))
    with pytest.raises(ValueError, match="at most 1000"):
        certified_point(Network(rng.normal(size=(40, 40))), large)


@pytest.mark.usefixtures("unchecked_types")
def test_a_matrix_is_no_network():
    matrix: Any = np.eye(3)
    with pytest.raises(TypeError, match="The student is a ndarray, but must be a `Network`"):
        certified_point(matrix, SquaredLoss(orthonormal(3), Gaussian(3)))


def _family(name, weights):
    return Family(
        name, "", 1, 0, 1, 0.0, 0.1, Kind.minimum, 1e-13, weights, np.ones(len(weights)), (),
        Curve((), (), ()), 0, 0.0,
    )  # fmt: skip


def test_a_census_is_certified_once(tmp_path, monkeypatch):
    loss, store = SquaredLoss(orthonormal(6), Gaussian(6)), Store(tmp_path / "store")
    rng = np.random.default_rng(0)
    families = (
        _family("global", np.eye(6)[rng.permutation(6)]),
        _family("II", matrix("II", 6)),
        _family("unnamed", rng.normal(size=(6, 6))),
    )
    found = Census({"neurons": 6}, 3, 3, 0.0, families, {}, {})
    steps = []
    proved = certified_census(found, loss, store=store, step=lambda: steps.append(1))
    assert len(steps) == 3
    first, second, third = (family.proof for family in proved.families)
    assert (first.words, first.loss) == ("global minimum", ("0", "0"))
    assert (second.words, second.index) == ("minimum", 0)
    assert float(second.loss[0]) <= 0.02508058100246301 <= float(second.loss[1])
    assert verify(second.certificate).reason == ""
    assert (third.words, third.verdict) == ("nothing", Verdict.UNDECIDED)
    assert "no critical point so close" in third.statement
    document = json.loads(json.dumps(proved.as_json()))["families"]
    assert [f["verdict"] for f in document] == ["PROVED", "PROVED", "UNDECIDED"]
    assert document[1]["loss_enclosure"] == list(second.loss)

    def never(*arguments, **options):
        raise AssertionError("proved twice")

    monkeypatch.setattr("shallows.atlas.certification.certified_point", never)
    again = certified_census(found, loss, store=store)
    assert [f.proof for f in again.families] == [f.proof for f in proved.families]
