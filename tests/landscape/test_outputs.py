"""Several outputs: values, derivatives and errors of the squared loss with rows as heads."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from shallows.landscape import AllWeights, InnerWeights, SquaredLoss
from shallows.model import Erf, Gaussian, Network, Sample, orthonormal
from shallows.solve.flow import teacher_power

OUTPUTS = 2
# Compiling takes all the time; the others differ in nothing that several outputs touch.
FAST = ["weighted sample"]


def _network(seed, neurons, **options):
    rng = np.random.default_rng(seed)
    return Network(rng.normal(size=(neurons, 3)), rng.normal(size=(neurons, OUTPUTS)), **options)


def _marked(names):
    return [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in names]


def _central(of, theta, step=1e-5):
    """Central differences of `of`, an axis for θ.ravel() first."""
    moves = step * np.eye(theta.size).reshape(-1, *theta.shape)
    return np.array([(of(theta + h) - of(theta - h)) / (2 * step) for h in moves])


@pytest.mark.parametrize("name", _marked(zoo.laws()))
def test_value_and_derivatives_with_rows_as_heads(name):
    law, f, teacher = zoo.laws()[name], _network(0, 3), _network(1, 2)
    loss = SquaredLoss(teacher, law, AllWeights())

    # The definition, ½ tr CᵀKC with the Gram matrix of all neurons.
    neurons = jnp.concatenate([f.inner, teacher.inner])
    c = np.concatenate([f.outer, -np.asarray(teacher.outer)])
    gram = np.asarray(law.gram(neurons, neurons))
    assert float(loss(f)) == pytest.approx(np.trace(c.T @ gram @ c) / 2, rel=1e-13)

    theta = np.asarray(loss.trained.join(f.inner, f.outer))

    def value(t):
        return loss.value_at(*loss.trained.split(jnp.asarray(t), f.outer))

    def slope(t):
        return loss.gradient_at(*loss.trained.split(jnp.asarray(t), f.outer))

    gradient, hessian = np.asarray(loss.gradient(f)), np.asarray(loss.cell_hessian(f))
    assert gradient.shape == (3, 3 + OUTPUTS)
    np.testing.assert_allclose(_central(value, theta), gradient.ravel(), atol=2e-8)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-13)
    rows = _central(slope, theta).reshape(hessian.shape)
    np.testing.assert_allclose(rows, hessian, atol=2e-8)


@pytest.mark.slow
def test_loss_and_gradient_of_several_outputs_are_means_over_draws():
    f, teacher = _network(2, 3), _network(3, 2)
    loss = SquaredLoss(teacher, zoo.laws()["slanted gaussian"], AllWeights())
    x = np.asarray(loss.law.draw(jax.random.key(5), 40_000))
    active = np.maximum(x @ np.asarray(f.inner).T, 0)
    residual = active @ np.asarray(f.outer) - np.asarray(teacher(jnp.asarray(x)))
    values = np.sum(residual**2, axis=1) / 2
    on_a = active[:, :, None] * residual[:, None, :]
    pull = (residual @ np.asarray(f.outer).T) * (active > 0)
    on_w = pull[:, :, None] * x[:, None, :]
    gradient = loss.gradient(f)
    for sampled, exact in ((values, loss(f)), (on_w, gradient[:, :3]), (on_a, gradient[:, 3:])):
        error = np.std(sampled, axis=0) / np.sqrt(len(x))
        assert np.all(np.abs(np.mean(sampled, axis=0) - exact) <= 5 * error)


def test_several_outputs_are_a_sum_of_losses_of_one():
    f, teacher, law = _network(4, 3), _network(5, 2), zoo.laws()["weighted sample"]
    both = SquaredLoss(teacher, law)
    each = [SquaredLoss(Network(teacher.inner, b), law) for b in teacher.outer.T]
    ones = [Network(f.inner, a) for a in f.outer.T]
    pairs = list(zip(each, ones, strict=True))
    assert float(both(f)) == pytest.approx(sum(float(l(g)) for l, g in pairs), rel=1e-14)
    slopes = sum(np.asarray(l.gradient(g)) for l, g in pairs)
    np.testing.assert_allclose(both.gradient(f), slopes, atol=1e-14)


@pytest.mark.slow
def test_the_lipschitz_bound_is_the_sum_of_bounds():
    f, teacher, law = _network(4, 3), _network(5, 2), zoo.laws()["slanted gaussian"]
    outputs = zip(teacher.outer.T, f.outer.T, strict=True)
    bound = sum(
        SquaredLoss(Network(teacher.inner, b), law).hessian_lipschitz(Network(f.inner, a), 0.1)
        for b, a in outputs
    )
    assert SquaredLoss(teacher, law).hessian_lipschitz(f, 0.1) == pytest.approx(bound, rel=1e-13)


@pytest.mark.slow
def test_one_column_of_heads_is_the_loss_of_the_vector():
    f, law = _network(6, 3), zoo.laws()["slanted gaussian"]
    teacher = _network(7, 2)
    column = SquaredLoss(Network(teacher.inner, teacher.outer[:, :1]), law)
    vector = SquaredLoss(Network(teacher.inner, teacher.outer[:, 0]), law)
    student = Network(f.inner, f.outer[:, :1])
    assert float(column(student)) == pytest.approx(
        float(vector(Network(f.inner, f.outer[:, 0]))), rel=1e-14
    )


@pytest.mark.slow
def test_a_smooth_activation_and_a_batch_with_several_outputs():
    teacher = _network(8, 2, activation=Erf())
    students = [_network(seed, 3, activation=Erf()) for seed in (9, 10)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *students)
    for trained in (InnerWeights(), AllWeights()):
        loss = SquaredLoss(teacher, Gaussian(3), trained)
        for i, f in enumerate(students):
            assert float(loss(batch)[i]) == pytest.approx(float(loss(f)), rel=1e-13)
            np.testing.assert_allclose(loss.gradient(batch)[i], loss.gradient(f), atol=1e-14)
            theta = loss.trained.join(f.inner, f.outer)
            v = np.random.default_rng(0).normal(size=theta.shape)
            dense = np.asarray(loss.hessian(f)) @ v.ravel()
            np.testing.assert_allclose(np.ravel(loss.hvp(f, v)), dense, atol=1e-12)
            # A sample of the law is the other route.
            x = Gaussian(3).draw(jax.random.key(i), 20_000)
            errors = (
                np.sum(
                    (np.asarray(f(jnp.asarray(x))) - np.asarray(teacher(jnp.asarray(x)))) ** 2,
                    axis=1,
                )
                / 2
            )
            mean, spread = errors.mean(), errors.std() / np.sqrt(len(errors))
            assert abs(mean - float(loss(f))) <= 5 * spread
            assert float(SquaredLoss(teacher, Sample(x))(f)) == pytest.approx(mean, rel=1e-12)


@pytest.mark.slow
def test_one_head_a_neuron_against_several_outputs_is_that_of_all():
    # As arrays only: a solver asks for the power of the teacher with a student of zero heads.
    teacher = _network(11, 2)
    loss = SquaredLoss(teacher, zoo.laws()["slanted gaussian"])
    gram = np.asarray(loss.law.gram(teacher.inner, teacher.inner))
    b = np.asarray(teacher.outer)
    assert teacher_power(loss) == pytest.approx(np.trace(b.T @ gram @ b) / 2, rel=1e-13)


def test_other_outputs_than_the_teachers_are_refused():
    loss = SquaredLoss(_network(0, 2), Gaussian(3))
    for student in (zoo.student(), Network(np.ones((3, 3)), np.ones((3, 4)))):
        with pytest.raises(ValueError, match=r"different outputs: `outer` of the student has"):
            loss(student)
    with pytest.raises(ValueError, match=r"teacher \(3,\). Give both a number"):
        SquaredLoss(orthonormal(3), Gaussian(3))(_network(0, 3))


def test_a_network_with_several_outputs():
    f = _network(12, 3)
    x = np.random.default_rng(1).normal(size=(5, 3))
    expected = np.maximum(x @ np.asarray(f.inner).T, 0) @ np.asarray(f.outer)
    np.testing.assert_allclose(f(jnp.asarray(x)), expected, atol=1e-14)
    assert (f.outputs, zoo.student().outputs) == (OUTPUTS, None)
    order = [2, 0, 1]
    np.testing.assert_allclose(f.relabel(order)(jnp.asarray(x)), expected, atol=1e-14)
    np.testing.assert_array_equal(f.relabel(order).outer, np.asarray(f.outer)[order])
    np.testing.assert_allclose(f.rescale([0.5, 2.0, 3.0])(jnp.asarray(x)), expected, atol=1e-14)
    basis = zoo.rotation(3)
    np.testing.assert_allclose(f.embed(basis)(jnp.asarray(x @ basis.T)), expected, atol=1e-14)
    message = "`outer` needs a number for each of the 3 neurons (rows of `inner`), or a row with"
    for heads in (np.ones((2, 3)), np.ones((1, 3)), np.ones((3, 0))):
        with pytest.raises(ValueError, match=re.escape(message)):
            Network(np.eye(3), heads)
