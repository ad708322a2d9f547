"""Dropout of ReLU students: the term on the diagonal, by all masks, and what it does not change."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from shallows.atlas.census import census, usual_step
from shallows.atlas.certification import refuse_uncertifiable
from shallows.atlas.questions import digest
from shallows.atlas.shares import missed
from shallows.landscape import AllWeights, Dropout, NeuronSplit, SquaredLoss
from shallows.model import Gaussian, Network, orthonormal
from shallows.solve import Newton, critical_point

P = 0.7


def _losses(name="gaussian", sigma="relu", trained="all", outputs=None):
    rng = np.random.default_rng(1)
    heads = rng.normal(size=2 if outputs is None else (2, outputs))
    mine = rng.normal(size=3 if outputs is None else (3, outputs))
    activation = zoo.activations()[sigma]
    law, how = zoo.laws()[name], zoo.TRAINED[trained]
    teacher = Network(rng.normal(size=(2, 3)), heads, activation=activation)
    student = Network(rng.normal(size=(3, 3)), mine, activation=activation)
    return (
        SquaredLoss(teacher, law, how),
        SquaredLoss(teacher, law, how, dropout=Dropout(P)),
        student,
    )


def _over_masks(quantity, student):
    """The mean of a quantity of students over all masks, with heads divided by p."""
    total = 0.0
    for mask in itertools.product((0, 1), repeat=student.neurons):
        share = np.prod([P if kept else 1 - P for kept in mask])
        kept = np.array(mask) / P
        heads = (np.asarray(student.outer).T * kept).T
        total = total + share * quantity(student.inner, jnp.asarray(heads))
    return total


def test_the_value_is_the_mean_over_all_masks():
    plain, with_masks, f = _losses("sample", trained="inner")
    expected = float(_over_masks(plain.value_at, f))
    assert float(with_masks(f)) == pytest.approx(expected, rel=1e-13)
    assert expected > 1.1 * float(plain(f))


@pytest.mark.slow
def test_for_the_relu_it_adds_squares_of_weights():
    plain, with_masks, f = _losses()
    w, a = np.asarray(f.inner), np.asarray(f.outer)
    c, sizes = (1 - P) / (4 * P), np.sum(w**2, axis=1)
    more = float(with_masks(f)) - float(plain(f))
    assert more == pytest.approx(c * np.sum(a**2 * sizes), rel=1e-13)
    slopes = np.asarray(with_masks.gradient(f)) - np.asarray(plain.gradient(f))
    expected = 2 * c * np.column_stack([a[:, None] ** 2 * w, a * sizes])
    np.testing.assert_allclose(slopes, expected, atol=1e-14)


CASES = [
    *((name, "relu", "all", None) for name in zoo.laws() if name != "product"),
    pytest.param("product", "relu", "all", None, marks=pytest.mark.slow),  # to compile
    ("gaussian", "relu", "all", 2),
    ("slanted gaussian", "erf", "all", None),
    ("sample", "tanh", "inner", None),
    ("sample", "relu", "inner", 2),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "sigma", "trained", "outputs"), CASES)
def test_value_and_derivatives_are_means_over_all_masks(name, sigma, trained, outputs):
    plain, with_masks, f = _losses(name, sigma, trained, outputs)
    assert float(with_masks(f)) == pytest.approx(float(_over_masks(plain.value_at, f)), rel=1e-13)
    batch = Network(
        jnp.stack([f.inner, 2 * f.inner]), jnp.stack([f.outer] * 2), activation=f.activation
    )
    assert float(with_masks(batch)[0]) == pytest.approx(float(with_masks(f)), rel=1e-13)

    # The mean over masks of derivatives in neurons; those in heads carry the factor of the mask.
    d = f.inputs
    slopes = _over_masks(lambda w, a: plain.gradient_at(w, a)[:, :d], f)
    found = np.asarray(with_masks.gradient(f))
    np.testing.assert_allclose(found[:, :d], slopes, atol=1e-13)
    theta = np.asarray(with_masks.trained.join(f.inner, f.outer))

    def gradient(x):
        x = jnp.asarray(x.reshape(theta.shape))
        return np.asarray(with_masks.gradient_at(*with_masks.trained.split(x, f.outer))).ravel()

    def value(x):
        x = jnp.asarray(x.reshape(theta.shape))
        return float(with_masks.value_at(*with_masks.trained.split(x, f.outer)))

    moves = 1e-5 * np.eye(theta.size)
    x = theta.ravel()
    np.testing.assert_allclose(
        found.ravel(), [(value(x + h) - value(x - h)) / 2e-5 for h in moves], atol=1e-8
    )
    rows = [(gradient(x + h) - gradient(x - h)) / 2e-5 for h in moves]
    np.testing.assert_allclose(with_masks.cell_hessian(f), rows, atol=1e-7)


@pytest.mark.slow
def test_census_critical_points_and_isotropy_work_with_it():
    loss = SquaredLoss(orthonormal(4), Gaussian(4), dropout=Dropout(0.8))
    found = census(loss, 3, curves=False)
    assert found.settled == 3
    assert found.question["dropout"] == 0.8
    (family,) = found.families
    # Symmetric as the problem is: relabellings do not see the term.
    assert family.isotropy == "ΔS4"
    assert missed(found) == ()
    point = critical_point(loss, Network(family.weights), Newton(basin=False))
    assert point.gradient_norm < 1e-12
    # Shrunk towards zero, as by weight decay: the loss of the fit itself is positive.
    assert 0 < float(SquaredLoss(orthonormal(4), Gaussian(4))(point.student)) < family.loss
    hessian = np.linalg.eigvalsh(loss.hessian(point.student))
    assert hessian[0] == pytest.approx(family.smallest_eigenvalue, rel=1e-8)
    assert usual_step(loss) == pytest.approx(
        1 / np.linalg.eigvalsh(loss.hessian(orthonormal(4)))[-1], rel=0.05
    )


def test_other_probabilities_are_other_questions():
    def of(dropout):
        return SquaredLoss(orthonormal(2), Gaussian(2), dropout=dropout)

    assert len({digest(of(one)) for one in (None, Dropout(0.5), Dropout(0.6))}) == 3
    assert usual_step(of(None)) is None


def test_what_knows_nothing_of_it_refuses_it():
    loss = SquaredLoss(orthonormal(2), Gaussian(2), dropout=Dropout(0.5))
    with pytest.raises(ValueError, match="constant along a split, but with dropout it is not"):
        NeuronSplit(loss, orthonormal(2), 0)
    with pytest.raises(ValueError, match=r"but dropout \(retain=0.5\) adds a term to it"):
        refuse_uncertifiable(loss)
    with pytest.raises(ValueError, match=r"a probability in \(0, 1\], but 0 was given. Pass the"):
        SquaredLoss(orthonormal(2), Gaussian(2), AllWeights(), dropout=Dropout(0))
