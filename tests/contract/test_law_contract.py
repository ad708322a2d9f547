"""Every law keeps the promises of `AbstractLaw`, whatever parameters are trained."""

import inspect
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from shallows.landscape import AllWeights, SquaredLoss
from shallows.landscape.loss import AbstractTrained
from shallows.model import AbstractLaw, Network

NAMES = list(zoo.laws())
# One of each kind, where compiling takes its time: the others differ by numbers only.
KINDS = ["slanted gaussian", "ball", "weighted sample", "student", "mixture", "shifted", "product"]
DRAWS = 40_000


def _leaves(kind):
    """The classes below `kind` that can be instantiated."""
    below = [leaf for child in kind.__subclasses__() for leaf in _leaves(child)]
    return below if inspect.isabstract(kind) or kind.__subclasses__() else [kind]


def _loss(law, trained):
    return SquaredLoss(zoo.teacher(), zoo.laws()[law], zoo.TRAINED[trained])


def _parameters(loss, network):
    return loss.trained.join(network.inner, network.outer)


def test_the_zoo_has_an_example_of_every_law_and_of_everything_that_is_trained():
    def here(kind):
        return {leaf for leaf in _leaves(kind) if leaf.__module__.startswith("shallows")}

    assert here(AbstractLaw) == {type(law) for law in zoo.laws().values()}
    assert {type(zoo.laws()[name]) for name in KINDS} == here(AbstractLaw)
    assert here(AbstractTrained) == {type(trained) for trained in zoo.TRAINED.values()}


@pytest.mark.parametrize("law", sorted({type(law) for law in zoo.laws().values()}, key=str))
def test_a_law_names_its_arguments_like_the_interface(law):
    for name, method in inspect.getmembers(AbstractLaw, inspect.isfunction):
        if not name.startswith("_"):
            ours = list(inspect.signature(getattr(law, name)).parameters)
            assert ours == list(inspect.signature(method).parameters), name


# Compiling third derivatives takes ten seconds a law. The others are a constant, or a sum, away.
QUICK = {("slanted gaussian", "inner"), ("weighted sample", "inner"), ("weighted sample", "all")}


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow, id="-".join(one))
        for one in itertools.product(KINDS, zoo.TRAINED)
    ],
)
def test_gradient_and_hessian_are_the_derivatives_of_the_loss(name, trained):
    loss, f = _loss(name, trained), zoo.student()
    theta = _parameters(loss, f)

    def value(theta):
        return loss.value_at(*loss.trained.split(theta, f.outer))

    def slope(theta):
        return loss.gradient_at(*loss.trained.split(theta, f.outer))

    np.testing.assert_allclose(loss(f), value(theta), rtol=1e-15)
    gradient = loss.gradient(f)
    assert gradient.shape == theta.shape
    np.testing.assert_allclose(jax.jit(jax.grad(value))(theta), gradient, atol=1e-12)

    hessian = np.asarray(loss.cell_hessian(f))
    assert hessian.shape == (theta.size, theta.size)
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-13)
    dense = jax.jit(jax.jacfwd(slope))(theta).reshape(hessian.shape)
    np.testing.assert_allclose(dense, hessian, atol=1e-12)
    if loss.law.is_smooth:
        np.testing.assert_array_equal(loss.hessian(f), hessian)
        products = [loss.hvp(f, row.reshape(theta.shape)) for row in np.eye(theta.size)]
        np.testing.assert_allclose(np.reshape(products, hessian.shape), hessian, atol=1e-12)


@jax.jit
def _at_points(w, a, teacher, x):
    """Half the squared error at every point, and its derivatives in w and a by autodiff."""

    def at_a_point(w, a, x):
        return (jax.nn.relu(w @ x) @ a - teacher(x)) ** 2 / 2

    return jax.vmap(jax.value_and_grad(at_a_point, (0, 1)), (None, None, 0))(w, a, x)


@pytest.mark.parametrize("name", zoo.patient(NAMES))
def test_loss_and_gradient_are_means_over_draws(name):
    loss, f = _loss(name, "all"), zoo.student()
    x = loss.law.draw(jax.random.key(30), DRAWS)
    values, (on_w, on_a) = _at_points(f.inner, f.outer, loss.teacher, x)
    gradient = loss.gradient(f)
    for sampled, exact in (
        (values, loss(f)),
        (on_w, gradient[:, :-1]),
        (on_a, gradient[:, -1]),
    ):
        error = np.std(sampled, axis=0) / np.sqrt(DRAWS)
        assert np.all(np.abs(np.mean(sampled, axis=0) - exact) <= 5 * error)


@pytest.mark.parametrize("name", zoo.patient(KINDS))
def test_relabelling_moves_derivatives_along(name):
    loss, f, order = _loss(name, "all"), zoo.student(), [2, 0, 1]
    g = f.relabel(order)
    assert float(loss(g)) == pytest.approx(float(loss(f)), rel=1e-13)
    np.testing.assert_allclose(loss.gradient(g), np.asarray(loss.gradient(f))[order], atol=1e-13)
    p = loss.gradient(f).shape[1]
    blocks = np.asarray(loss.cell_hessian(f)).reshape(3, p, 3, p)
    moved = blocks[order][:, :, order].reshape(3 * p, 3 * p)
    np.testing.assert_allclose(loss.cell_hessian(g), moved, atol=1e-13)


@pytest.mark.parametrize("name", zoo.patient(NAMES))
def test_rescaling_changes_no_loss_and_the_gradient_is_flat_along_it(name):
    loss, f = _loss(name, "all"), zoo.student()
    s = np.array([0.5, 2.0, 3.0])
    g = f.rescale(s)
    assert float(loss(g)) == pytest.approx(float(loss(f)), rel=1e-12)
    ours, theirs = np.asarray(loss.gradient(g)), np.asarray(loss.gradient(f))
    np.testing.assert_allclose(ours[:, :-1], theirs[:, :-1] / s[:, None], atol=1e-13)
    np.testing.assert_allclose(ours[:, -1], theirs[:, -1] * s, atol=1e-13)
    # (w, a) → (s w, a/s) is a symmetry: its generator (w, −a) is orthogonal to the gradient.
    turn = np.sum(f.inner * theirs[:, :-1], axis=1) - f.outer * theirs[:, -1]
    np.testing.assert_allclose(turn, 0, atol=1e-13)


@pytest.mark.parametrize("name", zoo.patient(KINDS))
def test_the_loss_of_a_batch_is_the_loss_of_each(name):
    loss = _loss(name, "all")
    students = [zoo.student(seed) for seed in range(3)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *students)
    values, slopes = loss(batch), loss.gradient(batch)
    for i, f in enumerate(students):
        np.testing.assert_allclose(values[i], loss(f), rtol=1e-13)
        np.testing.assert_allclose(slopes[i], loss.gradient(f), atol=1e-13)


@pytest.mark.parametrize("name", zoo.patient(NAMES))
def test_the_teacher_split_in_two_is_a_global_minimum(name):
    # v₀ twice with halved heads: parallel neurons, of another width than the teacher.
    v = zoo.teacher()
    loss = SquaredLoss(v, zoo.laws()[name], AllWeights())
    rows = np.array([0, 0, 1])
    split = Network(v.inner[rows], v.outer[rows] / np.array([2, 2, 1]))
    assert abs(float(loss(split))) < 1e-14
    np.testing.assert_allclose(loss.gradient(split), 0, atol=1e-14)
    assert np.linalg.eigvalsh(loss.cell_hessian(split))[0] > -1e-12


@pytest.mark.parametrize("name", zoo.patient(NAMES))
def test_the_standard_basis_may_be_left_out_of_the_slope(name):
    law, f = zoo.laws()[name], zoo.student()
    heads = jnp.asarray([1.0, -2.0, 0.5])
    slope = jax.jit(type(law).slope)
    for w in (f.inner, f.inner.at[0].set(0.0), jnp.diag(jnp.asarray([2.0, 1.0 + 1e-9, -3.0]))):
        named = slope(law, w, f.outer, jnp.eye(3), heads)
        np.testing.assert_allclose(slope(law, w, f.outer, None, heads), named, atol=1e-14)
