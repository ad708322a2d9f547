"""Training runs: three ways to move against textbook versions of them, and how runs end."""

import re
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shallows.landscape import AllWeights, SquaredLoss
from shallows.model import Erf, Gaussian, Network, Sample, orthonormal, relu
from shallows.solve import (
    ZERO,
    GradientDescent,
    GradientFlow,
    Outcome,
    StochasticDescent,
    endpoints,
    has_continuum,
    recorded,
    teacher_power,
    trajectory,
)

METHODS = {
    "flow": GradientFlow(),
    "gd": GradientDescent(),
    "sgd": StochasticDescent(opening=50),
}

# Nearly all tests train four students of six neurons: compiling another shape costs seconds.
K, LANES = 6, 4


def _problem(k=K, trained=None):
    return SquaredLoss(orthonormal(k), Gaussian(k), trained)


def _starts(seed=0, number=LANES, k=K, d=None):
    shape = (number, k, d or k)
    return Network(np.random.default_rng(seed).normal(size=shape) / np.sqrt(shape[-1]))


def _keys(seed=0, number=LANES):
    return jax.random.split(jax.random.key(seed), number)


def _field(w):
    """The textbook gradient for the teacher I, in plain NumPy (facts: landscapes.md, section 2)."""

    def pull(u, v):
        length, other = np.linalg.norm(u), np.linalg.norm(v)
        angle = 2 * np.arctan2(
            np.linalg.norm(u / length - v / other), np.linalg.norm(u / length + v / other)
        )
        return (other * np.sin(angle) * u / length + (np.pi - angle) * v) / (2 * np.pi)

    k, d = w.shape
    rows = []
    for i in range(k):
        mine = sum(pull(w[i], w[j]) for j in range(k) if j != i)
        rows.append(w[i] / 2 + mine - sum(pull(w[i], e) for e in np.eye(d)))
    return np.array(rows)


# What a start's end depends on


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n == "sgd" else []) for n in METHODS]
)
def test_an_end_depends_on_the_start_alone_whatever_runs_beside_it(name):
    # Not bit for bit: XLA vectorises shapes of one and two lanes in its own way, which may move the
    # last bit of a step, and the end by some 1e-15.
    starts, keys = _starts(number=7), _keys(5, 7)

    def ends(order, lanes):
        inner, outer = np.asarray(starts.inner)[order], np.asarray(starts.outer)[order]
        runs = endpoints(
            _problem(), inner, outer, METHODS[name], keys=keys[np.array(order)], lanes=lanes
        )
        return {order[end.start]: end for end in runs}

    everything = list(range(7))
    expected = ends(everything, LANES)
    assert sorted(expected) == everything
    for order, lanes in [(everything[::-1], LANES), ([3, 6, 5, 1], None), ([4, 1], None), ([6], 9)]:
        for start, end in ends(order, lanes).items():
            same = expected[start]
            np.testing.assert_allclose(end.inner, same.inner, rtol=0, atol=1e-12)
            assert (end.outcome, end.steps) == (same.outcome, same.steps)
            assert end.polished == same.polished


@pytest.mark.parametrize("name", list(METHODS))
def test_the_same_run_twice_is_the_same_to_the_last_bit(name):
    runs = [trajectory(_problem(), _starts(), METHODS[name]) for _ in range(2)]
    assert np.array_equal(runs[0].student.inner, runs[1].student.inner)
    assert np.array_equal(runs[0].time, runs[1].time)


def test_one_network_is_a_batch_of_one():
    four = trajectory(_problem(), _starts())
    one = trajectory(_problem(), _starts()[1])
    assert one.student.inner.shape == (K, K)
    assert len(one.outcome) == 1
    np.testing.assert_allclose(one.student.inner, four.student.inner[1], atol=1e-12)


# The flow


@eqx.filter_jit
def _dopri8(loss, start, time):
    """Where the flow is, by a more careful integrator of somebody else's."""
    term = diffrax.ODETerm(lambda t, w, _: -loss.gradient_at(w, start.outer))
    return diffrax.diffeqsolve(
        term,
        diffrax.Dopri8(),
        0.0,
        time,
        0.01,
        start.inner,
        stepsize_controller=diffrax.PIDController(rtol=1e-12, atol=1e-12),
        max_steps=100_000,
    ).ys[0]


@pytest.mark.parametrize(("tolerance", "accuracy"), [(1e-8, 1e-6), (1e-11, 1e-9)])
def test_the_flow_is_where_another_integrator_is_at_the_same_time(tolerance, accuracy):
    loss, starts, method = _problem(), _starts(1), GradientFlow(tolerance)
    state = method.begin(loss, starts.inner, starts.outer, _keys())
    for steps in (10, 30):
        state = method.advance(loss, state, steps)
        for lane in range(LANES):
            expected = _dopri8(loss, starts[lane], state.time[lane])
            np.testing.assert_allclose(state.theta[lane], expected, rtol=0, atol=accuracy)


def test_the_flow_ends_in_the_minimum_that_another_integrator_flows_to():
    loss = _problem()
    bent = np.eye(K)
    bent[-1, -1] = -0.8  # leads to a point of type II, to which random starts rarely do
    starts = Network(np.stack([*np.asarray(_starts(2).inner)[1:], bent]))
    ends = trajectory(loss, starts)
    assert ends.outcome == (Outcome.settled,) * LANES
    np.testing.assert_allclose(ends.loss, [0, 0, 0, 0.025080581], atol=1e-9)
    for lane in range(LANES):
        expected = _dopri8(loss, starts[lane], jnp.asarray(3000.0))
        np.testing.assert_allclose(ends.student.inner[lane], expected, rtol=0, atol=1e-5)


# Descent


def test_descent_is_the_textbook_formula():
    step, start = 0.3, _starts(3)
    method = GradientDescent(step)
    state = method.begin(_problem(), start.inner, start.outer, _keys())
    state = method.advance(_problem(), state, 200)
    for lane in range(2):
        w = np.array(start.inner[lane])
        for _ in range(200):
            w = w - step * _field(w)
        np.testing.assert_allclose(state.theta[lane], w, rtol=0, atol=1e-12)
        assert float(state.time[lane]) == 200


@pytest.mark.parametrize(("k", "step"), [(3, 5 / 6), (8, 5 / 8)])
def test_the_step_of_descent_is_five_over_the_width_but_never_beyond_stability(k, step):
    start, loss = _starts(k=k, number=1), _problem(k)
    assert float(GradientDescent().begin(loss, start.inner, start.outer, _keys()).pace[0]) == step
    given = GradientDescent(0.1).begin(loss, start.inner, start.outer, _keys())
    assert float(given.pace[0]) == 0.1
    stiffness = np.linalg.eigvalsh(loss.hessian(loss.teacher))[-1]
    assert step * stiffness < 2


@pytest.mark.parametrize(
    ("name", "trained"), [("flow", None), pytest.param("gd", AllWeights(), marks=pytest.mark.slow)]
)
def test_the_loss_never_increases(name, trained):
    loss, start = _problem(K, trained), _starts(4)[0]
    method = GradientDescent(0.2) if name == "gd" else METHODS[name]
    time, values, sizes = recorded(loss, start, method, until=400)
    assert np.all(np.diff(values) <= 1e-14)
    assert np.all(np.diff(time) > 0)
    assert time[0] == 0
    assert values[0] == pytest.approx(float(loss(start)), rel=1e-14)
    assert sizes[0] == pytest.approx(float(jnp.linalg.norm(loss.gradient(start))), rel=1e-13)


def test_curves_are_sampled_evenly_on_a_logarithmic_axis():
    time, *_ = recorded(_problem(), _starts()[0], GradientDescent(), until=20)
    assert time.tolist() == [0, 1, 2, 3, 4, 6, 8, 12, 16, 20]


# Stochastic descent


def _noisy_gradients(loss, start, step, number):
    """Gradients of `number` minibatches of eight, seen from one opening step each."""
    method = StochasticDescent(step, batch=8, opening=1)
    many = jnp.broadcast_to(start.inner, (number, *start.inner.shape))
    state = method.begin(loss, many, jnp.ones(many.shape[:2]), _keys(7, number))
    return (start.inner - np.asarray(state.theta)) / step


def test_minibatch_gradients_are_right_on_average():
    number, start = 4000, _starts(6, k=4)[0]
    gradients = _noisy_gradients(_problem(4), start, 0.5, number)
    error = gradients.std(axis=0) / np.sqrt(number)
    assert np.all(np.abs(gradients.mean(axis=0) - _problem(4).gradient(start)) < 5 * error)
    assert error.min() > 1e-3  # they do scatter


@pytest.mark.slow  # compiles shapes of its own
def test_minibatches_of_a_data_set_are_drawn_from_it_by_weight():
    points = np.random.default_rng(8).normal(size=(5, 2))
    loss = SquaredLoss(orthonormal(2), Sample(points, np.array([0.5, 0.2, 0.1, 0.1, 0.1])))
    number, start = 4000, _starts(k=2)[0]
    gradients = _noisy_gradients(loss, start, 1.0, number)
    error = gradients.std(axis=0) / np.sqrt(number)
    assert np.all(np.abs(gradients.mean(axis=0) - loss.gradient(start)) <= 5 * error + 1e-15)


def test_the_noise_of_a_start_is_that_of_its_key():
    starts = _starts()
    same = jnp.broadcast_to(starts.inner[0], starts.inner.shape)
    keys = _keys()[np.array([0, 0, 1, 2])]
    theta = METHODS["sgd"].begin(_problem(), same, starts.outer, keys).theta
    assert np.array_equal(theta[0], theta[1])
    assert np.max(np.abs(theta[0] - theta[2])) > 1e-3


def test_stochastic_descent_counts_its_opening_steps_and_then_settles():
    ends = trajectory(_problem(), _starts(), METHODS["sgd"], key=jax.random.key(1))
    assert ends.outcome == (Outcome.settled,) * LANES
    assert np.all(ends.steps % 100 == 50)
    assert np.all(ends.gradient_norm <= 1e-12)


# How runs end


@pytest.mark.parametrize("newton", [True, False])
def test_settled_runs_have_the_gradient_norm_they_say(newton):
    loss = _problem()
    ends = trajectory(loss, _starts(), GradientDescent(), newton=newton)
    assert ends.outcome == (Outcome.settled,) * LANES
    assert np.all(ends.gradient_norm <= 1e-12)
    sizes = np.linalg.norm(loss.gradient(ends.student), axis=(1, 2))
    np.testing.assert_allclose(sizes, ends.gradient_norm, rtol=0, atol=1e-14)
    np.testing.assert_allclose(ends.loss, loss(ends.student), rtol=0, atol=1e-14)


@pytest.mark.slow  # compiles shapes of its own
def test_a_long_teacher_is_learnt_to_the_same_gradient_norm():
    loss = SquaredLoss(Network(30 * np.eye(K)), Gaussian(K))
    ends = trajectory(loss, Network(30 * np.asarray(_starts().inner)), GradientDescent())
    assert ends.outcome == (Outcome.settled,) * LANES
    assert np.all(ends.gradient_norm <= 1e-12)


@pytest.mark.parametrize("step", [10.0, 1e6])
def test_a_step_that_is_too_large_diverges(step):
    ends = trajectory(_problem(), _starts(), GradientDescent(step))
    assert ends.outcome == (Outcome.diverged,) * LANES
    assert Outcome.diverged.value.startswith("The weights grew without bound. Use a smaller step")


@pytest.mark.parametrize("method", [GradientDescent(0.01, 100), GradientFlow(max_steps=40)])
def test_a_run_that_is_cut_short_is_out_of_steps(method):
    ends = trajectory(_problem(), _starts(), method)
    assert ends.outcome == (Outcome.out_of_steps,) * LANES
    assert set(ends.steps) == {method.max_steps}
    assert np.all(ends.gradient_norm > 1e-12)
    assert "raise `max_steps`" in Outcome.out_of_steps.value


def test_a_step_beyond_the_stability_limit_never_settles_with_or_without_newton():
    # Newton once took runs to a minimum that descent with this step jumps out of: the largest
    # eigenvalue (2.065, so that the limit is 0.968) had been underestimated by a tenth.
    near = np.eye(K) + 1e-8 * np.asarray(_starts().inner)
    for newton in (True, False):
        method = GradientDescent(1.0, max_steps=1000)
        ends = trajectory(_problem(), Network(near), method, newton=newton)
        assert ends.outcome == (Outcome.out_of_steps,) * LANES
        assert np.all(ends.gradient_norm > 1e-3)
    assert "2/λ_max" in Outcome.out_of_steps.value


@pytest.mark.parametrize("head", [1.0, 3.0])
def test_a_neuron_that_is_of_no_use_vanishes(head):
    # On a line, a neuron that points away from the teacher shrinks to zero. The gradient does so
    # with it, and the end was once taken for a settled minimum; it is not even critical. Newton,
    # too, once stepped over zero from there, and ended where descent does not.
    loss = SquaredLoss(Network(np.eye(1)), Gaussian(1))
    start = Network(np.full((1, 1, 1), -1.0), np.full((1, 1), head))
    ends = trajectory(loss, start, GradientDescent(0.1))
    assert ends.outcome == (Outcome.neuron_vanished,)
    assert abs(float(ends.student.inner[0, 0, 0])) < 1e-10
    assert Outcome.neuron_vanished.value == (
        "A neuron shrank to zero, where the loss has no gradient. Start from another point."
    )


def test_the_flow_does_not_step_past_a_neuron_that_vanishes():
    # On a line neurons below zero see no teacher: w(t) = -exp(-t/2), |w| < 1e-10 from 46 on. The
    # flow's steps, which grow as a neuron shrinks, once led past zero, and all starts to the
    # teacher; descent, which has short steps, was right about the same starts.
    loss = SquaredLoss(orthonormal(1), Gaussian(1))
    starts = Network(np.array([-1.0, -0.3, 0.5, -2.0]).reshape(4, 1, 1))
    ends = trajectory(loss, starts)
    vanished, settled = Outcome.neuron_vanished, Outcome.settled
    assert ends.outcome == (vanished, vanished, settled, vanished)
    np.testing.assert_allclose(ends.loss, [0.25, 0.25, 0, 0.25], rtol=0, atol=1e-15)
    assert np.all(ends.student.inner[np.array([0, 1, 3])] <= 0)
    expected = 2 * np.log(np.array([1.0, 0.3, 2.0]) / -np.ravel(ends.student.inner)[[0, 1, 3]])
    np.testing.assert_allclose(ends.time[[0, 1, 3]], expected, rtol=0.05)


@pytest.mark.slow  # compiles shapes of its own
def test_neurons_that_reach_zero_in_finite_time_vanish_as_for_another_integrator():
    loss = SquaredLoss(orthonormal(1), Gaussian(1))
    starts = np.random.default_rng(0).normal(size=(12, 3, 1))
    ends = trajectory(loss, Network(starts))

    def slope(w):
        # The gradient on a line, by hand: each side of it has its own linear network.
        up, down = w > 0, w < 0
        return np.where(up, w[up].sum() - 1, 0) / 2 + np.where(down, w[down].sum(), 0) / 2

    for start, outcome in zip(starts[:, :, 0], ends.outcome, strict=True):
        w, reached = start.copy(), False
        while not reached and np.linalg.norm(slope(w)) > 1e-3:
            after = w - 1e-3 * slope(w)
            reached = bool(np.any(after * w <= 0))
            w = after
        if reached:
            assert outcome is Outcome.neuron_vanished


@pytest.mark.slow  # compiles shapes of its own
@pytest.mark.parametrize("second", [[0.0, 0.0], [2.0, 0.0]])
def test_parallel_and_vanishing_neurons_of_a_teacher_leave_neurons_to_spare(second):
    # The teacher is a single neuron, so that the zeros of two come in a continuum, which no run
    # reached within its steps; all were counted as unsettled.
    loss = SquaredLoss(Network([[1.0, 0.0], second]), Gaussian(2))
    assert has_continuum(loss, 2)
    assert not has_continuum(loss, 1)
    ends = trajectory(loss, Network([[[1.0, 0.5], [0.3, -0.8]]]), GradientDescent(0.3))
    assert ends.outcome == (Outcome.reached_zero,)


def test_neurons_to_spare_are_counted_by_directions():
    def spare(inner, neurons, activation=relu):
        teacher = Network(inner, activation=activation)
        return has_continuum(SquaredLoss(teacher, Gaussian(2)), neurons)

    assert spare([[1, 0], [0, 1]], 3)
    assert not spare([[1, 0], [0, 1]], 2)
    assert not spare([[1, 0], [-1, 0]], 2)
    assert not spare([[1, 0], [1, 1e-9]], 2)
    assert spare([[0.1, 0.3], [0.7, 2.1]], 2)  # parallel up to rounding
    assert not spare([[1, 0], [2, 0]], 2, Erf())  # not homogeneous


@pytest.mark.usefixtures("unchecked_types")
def test_arguments_in_another_order_and_methods_without_parentheses_are_refused():
    loss: Any = _problem()
    starts: Any = _starts()
    flow: Any = GradientFlow
    word: Any = "gd"
    matrix: Any = np.eye(K)
    with pytest.raises(TypeError, match=r"The first argument is a Network, but must be the loss"):
        trajectory(starts, loss)
    with pytest.raises(TypeError, match=r"`method` is the class GradientFlow, but must be a"):
        trajectory(loss, starts, flow)
    with pytest.raises(TypeError, match=r"`method` is a str, .* with its parentheses"):
        recorded(loss, starts[0], word, until=3)
    with pytest.raises(TypeError, match=r"The student is a ndarray, but must be a `Network`"):
        trajectory(loss, matrix)
    steps: Any
    for steps in (0, -5, 2.5, "a"):
        for method in (GradientDescent, StochasticDescent, GradientFlow):
            with pytest.raises(ValueError, match="`max_steps` must be a positive integer"):
                method(max_steps=steps)
    with pytest.raises(ValueError, match="`batch` must be a positive integer, but is 0"):
        StochasticDescent(batch=0)


@pytest.mark.slow  # compiles shapes of its own
def test_with_neurons_to_spare_runs_end_in_a_valley_of_zeros():
    loss = _problem(3)
    ends = trajectory(loss, _starts(k=4, d=3), GradientDescent(1.0))
    assert ends.outcome == (Outcome.reached_zero,) * LANES
    assert np.all(ends.loss <= ZERO * teacher_power(loss))
    assert "Its end counts as a global minimum" in Outcome.reached_zero.value


@pytest.mark.slow  # compiles shapes of its own
def test_with_heads_to_train_runs_end_in_a_valley_of_zeros():
    loss = _problem(3, AllWeights())
    ends = trajectory(loss, _starts(k=3))
    assert set(ends.outcome) <= {Outcome.reached_zero, Outcome.settled}
    assert np.all(ends.loss <= ZERO * teacher_power(loss))
    assert np.max(np.abs(ends.student.outer - 1)) > 1e-3


def _among_points(number, seed):
    """Two neurons of opposite heads, seen at a few points only."""
    points = np.random.default_rng(seed).normal(size=(number, 2))
    return SquaredLoss(Network(np.eye(2), np.array([1.0, -1.0])), Sample(points))


def test_a_run_among_few_points_may_chatter_at_a_kink():
    loss, starts = _among_points(6, seed=1), _starts(k=1, d=2)
    ends = trajectory(loss, starts, GradientDescent(0.5))
    assert Outcome.at_kink in ends.outcome
    assert set(ends.outcome) == {Outcome.at_kink, Outcome.settled}
    assert "chatters at a kink" in Outcome.at_kink.value
    stuck = [outcome is Outcome.at_kink for outcome in ends.outcome]
    assert np.all(ends.gradient_norm[stuck] > 1e-3)
    # What the advice says: with a smaller step the loss is lower.
    finer = trajectory(loss, starts, GradientDescent(0.1))
    assert np.all(finer.loss[stuck] < ends.loss[stuck])


def test_a_run_that_converges_slowly_among_points_does_not_chatter():
    # Its loss has long been constant to rounding, and its gradient halves every 600 steps.
    ends = trajectory(_among_points(6, seed=0), _starts(k=1, d=2), GradientDescent(0.05))
    assert ends.outcome == (Outcome.settled,) * LANES
    assert np.all(ends.steps > 6000)


def test_on_enough_points_a_teacher_is_found_exactly():
    points = np.random.default_rng(1).normal(size=(40, 2))
    loss = SquaredLoss(orthonormal(2), Sample(points))
    ends = trajectory(loss, _starts(k=2), GradientDescent(0.5))
    assert ends.outcome == (Outcome.settled,) * LANES
    assert np.all(ends.loss < 1e-20)


def test_every_outcome_but_the_good_one_gives_advice():
    assert Outcome.settled.value == ""
    for outcome in Outcome:
        if outcome is not Outcome.settled:
            assert outcome.value.endswith(".")
            assert "  " not in outcome.value


# Misuse


@pytest.mark.parametrize("value", [0.0, -0.1, np.nan, np.inf])
def test_steps_and_tolerances_are_positive_numbers(value):
    message = f"must be a positive number, but is {value!r}. Use e.g. 0.1."
    for method in (GradientDescent, StochasticDescent):
        with pytest.raises(ValueError, match=re.escape(f"`step` {message}")):
            method(value)
    with pytest.raises(ValueError, match=re.escape(f"`tolerance` {message}")):
        GradientFlow(value)
    with pytest.raises(ValueError, match=re.escape(f"`tolerance` {message}")):
        trajectory(_problem(), _starts(), tolerance=value)


def test_starts_must_fit_the_loss():
    with pytest.raises(ValueError, match="the student has 4 inputs, the teacher 6"):
        trajectory(_problem(), _starts(d=4))
    with pytest.raises(ValueError, match=re.escape("but have batch shape (2, 2). Flatten")):
        trajectory(_problem(), Network(np.ones((2, 2, K, K))))
    with pytest.raises(ValueError, match="The student has biases"):
        trajectory(_problem(), Network(np.eye(K), bias=np.ones(K)))
    with pytest.raises(ValueError, match=re.escape("a batch of shape (4,)")):
        recorded(_problem(), _starts(), until=4)


@pytest.mark.parametrize("lanes", [0, -1])
def test_there_is_at_least_one_lane(lanes):
    with pytest.raises(ValueError, match=f"`lanes` must be a positive integer, but is {lanes}"):
        trajectory(_problem(), _starts(), lanes=lanes)


def test_students_with_several_outputs_train_too():
    heads = np.random.default_rng(0).normal(size=(3, 2))
    loss = SquaredLoss(Network(np.eye(3), heads), Gaussian(3))
    near = np.eye(3) + 0.1 * np.random.default_rng(1).normal(size=(2, 3, 3))
    ends = trajectory(loss, Network(near, np.stack([heads] * 2)), GradientDescent(0.3))
    assert ends.outcome == (Outcome.settled,) * 2
    np.testing.assert_allclose(np.asarray(ends.student.inner), [np.eye(3)] * 2, atol=1e-10)
    assert np.max(ends.gradient_norm) <= 1e-12
