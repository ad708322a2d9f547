r"""Ways to move: gradient flow, gradient descent, and stochastic gradient descent.

A method is a pair of pure functions on a batch of states (lanes): `begin` and `advance`.
Lanes are moved one after the other, so that one that waits costs nothing, and a start ends in
the same numbers whatever it is batched with.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from shallows.landscape import SquaredLoss
from shallows.model import Sample
from shallows.model.network import positive_integer
from shallows.solve.curvature import generic
from shallows.solve.integrators import Place, step, stiffness


class State(eqx.Module):
    """Where each lane is, and what its next step needs."""

    theta: Float[Array, "*b k p"]
    heads: Float[Array, "*b k"] | Float[Array, "*b k o"]
    """Outer weights where they are not trained."""
    slope: Float[Array, "*b k p"]
    """The gradient at θ."""
    time: Float[Array, "*b"]
    """Flow time; for descents, the number of steps."""
    steps: Int[Array, "*b"]
    pace: Float[Array, "*b"]
    """The next step's size."""
    stiffness: Float[Array, "*b"]
    """For the flow, a bound on the Hessian's eigenvalues, as of the last chunk; else 0."""


class AbstractMethod(eqx.Module):
    """A way to move downhill."""

    max_steps: eqx.AbstractVar[int]
    name: eqx.AbstractClassVar[str]
    """A word for the command line and for records."""

    @abc.abstractmethod
    def first_step(self, neurons: int) -> float | None:
        """The step size for that many neurons; None where it adapts."""

    @abc.abstractmethod
    def begin(
        self,
        loss: SquaredLoss,
        theta: Float[Array, "b k p"],
        heads: Float[Array, "b k"] | Float[Array, "b k o"],
        keys: Key[Array, " b"],
    ) -> State:
        """The states of a batch of starts."""

    @abc.abstractmethod
    def advance(self, loss: SquaredLoss, state: State, steps: int | Int[np.ndarray, " b"]) -> State:
        """The states `steps` steps later, or as many later as each lane is to take."""

    @abc.abstractmethod
    def stiffest(self, pace: float) -> float:
        """The largest Hessian eigenvalue with which this method, once in a bowl, stays there."""


def _slope(loss, theta, heads):
    return loss.gradient_at(*loss.trained.split(theta, heads))


@jax.jit
def _rest(loss, theta, heads, pace):
    lanes = theta.shape[0]
    return State(
        theta=theta,
        heads=heads,
        slope=_slope(loss, theta, heads),
        time=jnp.zeros(lanes),
        steps=jnp.zeros(lanes, dtype=int),
        pace=jnp.broadcast_to(jnp.asarray(pace, dtype=float), (lanes,)),
        stiffness=jnp.zeros(lanes),
    )


class GradientDescent(AbstractMethod):
    r"""$\theta \leftarrow \theta - h\,\nabla L(\theta)$ with a fixed step h on the exact gradient.

    Without `step`, h = 5/k as in Safran, Yehudai & Shamir (2020), who start at k = 6; below that
    h = 5/6, since 5/k is beyond the stability limit 2/λ_max. Safran & Shamir (2018) used 0.1.
    """

    step: float | None = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    name = "gd"

    def __init__(self, step: float | None = None, max_steps: int = 200_000):
        self.step = None if step is None else positive("step", step)
        self.max_steps = positive_integer("max_steps", max_steps)

    def first_step(self, neurons):
        """See `AbstractMethod`."""
        return 5 / max(neurons, 6) if self.step is None else self.step

    def begin(self, loss, theta, heads, keys):
        """See `AbstractMethod`."""
        return _rest(loss, theta, heads, self.first_step(theta.shape[-2]))

    def advance(self, loss, state, steps):
        """See `AbstractMethod`."""
        return _descend(loss, state, steps)

    def stiffest(self, pace):
        """See `AbstractMethod`: a step above 2/λ jumps out of the bowl."""
        return 2 / pace


@jax.jit
def _descend(loss, state, steps):
    def lane(one):
        state, steps = one

        def step(_, carry):
            theta, slope = carry
            theta = theta - state.pace * slope
            return theta, _slope(loss, theta, state.heads)

        theta, slope = jax.lax.fori_loop(0, steps, step, (state.theta, state.slope))
        return State(
            theta=theta,
            heads=state.heads,
            slope=slope,
            time=state.time + steps,
            steps=state.steps + steps,
            pace=state.pace,
            stiffness=state.stiffness,
        )

    return jax.lax.map(lane, (state, jnp.broadcast_to(steps, state.steps.shape)))


class StochasticDescent(AbstractMethod):
    r"""SGD on fresh minibatches from the law, then exact descent to the point it leads to.

    For `opening` steps θ moves against the gradient of the mean loss over `batch` fresh inputs,
    with step h (default 1/k); after that `GradientDescent` takes over, since a stochastic
    gradient of fixed batch size never settles. SGD chooses the basin, descent the point.

    **Source.** The protocol of Arjevani & Field (2020); their batch size and step are not
    published, the defaults are ours.
    """

    step: float | None = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    opening: int = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    name = "sgd"

    def __init__(
        self,
        step: float | None = None,
        batch: int = 64,
        opening: int = 5000,
        max_steps: int = 200_000,
    ):
        self.step = None if step is None else positive("step", step)
        self.batch = positive_integer("batch", batch)
        self.opening = positive_integer("opening", opening)
        self.max_steps = positive_integer("max_steps", max_steps)

    def first_step(self, neurons):
        """See `AbstractMethod`."""
        return 1 / neurons if self.step is None else self.step

    def begin(self, loss, theta, heads, keys):
        """See `AbstractMethod`."""
        k = theta.shape[-2]
        minibatch = SquaredLoss(
            loss.teacher,
            Sample(jnp.ones((self.batch, loss.law.inputs))),
            loss.trained,
            dropout=loss.dropout,  # on the mean over masks, as everywhere
        )
        step = self.first_step(k)
        theta = _wander(loss, minibatch, theta, heads, keys, step, self.opening)
        state = GradientDescent().begin(loss, theta, heads, keys)
        spent = jnp.full(len(theta), self.opening)
        return eqx.tree_at(lambda s: (s.time, s.steps), state, (spent.astype(float), spent))

    def advance(self, loss, state, steps):
        """See `AbstractMethod`."""
        return _descend(loss, state, steps)

    def stiffest(self, pace):
        """See `AbstractMethod`."""
        return 2 / pace


@jax.jit
def _wander(loss, minibatch, theta, heads, keys, step, number):
    shape = minibatch.law.points.shape

    def lane(theta, heads, key):
        def move(i, theta):
            points = loss.law.draw(jax.random.fold_in(key, i), shape[1]).reshape(shape)
            fresh = eqx.tree_at(lambda m: m.law.points, minibatch, points)
            return theta - step * _slope(fresh, theta, heads)

        return jax.lax.fori_loop(0, number, move, theta)

    return jax.vmap(lane)(theta, heads, keys)


class GradientFlow(AbstractMethod):
    r"""$\dot\theta = -\nabla L(\theta)$, by explicit Runge–Kutta methods with error control.

    Each lane has its own step size, kept where the local error estimate is `tolerance` (absolute
    and relative, root mean square), but for what is so stiff that it is forgotten within a step. A
    step takes as many gradients as it needs to be stable, from 5 to 60, and is of order 4.

    **Accuracy.** Global error about 10 to 100 times the tolerance away from separatrices.

    **Source.** See `integrators`: Abdulle (2002).
    """

    tolerance: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    name = "flow"

    def first_step(self, neurons):
        """See `AbstractMethod`."""
        return

    def __init__(self, tolerance: float = 1e-8, max_steps: int = 100_000):
        self.tolerance = positive("tolerance", tolerance)
        self.max_steps = positive_integer("max_steps", max_steps)

    def begin(self, loss, theta, heads, keys):
        """See `AbstractMethod`."""
        return _rest(loss, theta, heads, 0.1 / theta.shape[-2])

    def advance(self, loss, state, steps):
        """See `AbstractMethod`."""
        return _flow(loss, state, steps, self.tolerance)

    def stiffest(self, pace):
        """See `AbstractMethod`: the exact flow never leaves a bowl."""
        return math.inf


@jax.jit
def _flow(loss, state, steps, tolerance):
    shape = state.theta.shape[1:]
    start = jnp.asarray(generic(math.prod(shape))).reshape(shape)

    def lane(one):
        state, steps = one

        def slope(theta):
            return _slope(loss, theta, state.heads)

        # Once a chunk: it hardly changes but in the first moments, whose steps are short.
        found = stiffness(slope, state.theta, start, jnp.where(steps > 0, 10, 0))
        stiffest = jnp.where(steps > 0, found, state.stiffness)
        at = Place(state.theta, state.slope, state.time, state.pace, stiffest)

        def move(_, at):
            return _not_beyond_zero(loss, at, step(slope, at, tolerance))

        at = jax.lax.fori_loop(0, steps, move, at)
        return State(
            theta=at.theta,
            heads=state.heads,
            slope=at.slope,
            time=at.time,
            steps=state.steps + steps,
            pace=at.pace,
            stiffness=at.stiffness,
        )

    return jax.lax.map(lane, (state, jnp.broadcast_to(steps, state.steps.shape)))


# How near to zero a neuron may pass in a step: what is still large against its error.
_NEAR = 1e-3


def _not_beyond_zero(loss, at: Place, there: Place) -> Place:
    """A step; or half its size and none, if it leads a neuron, by half its length or more, to zero.

    The flow ends where a neuron vanishes, and the nearer one is the faster it turns. The error
    control, which is absolute there and forgets what is stiff, sees neither: steps would go past
    zero and on into another landscape.
    """
    if loss.activation.is_smooth:
        return there
    d = loss.law.inputs
    before, after = at.theta[:, :d], there.theta[:, :d]
    move = after - before
    square, along = jnp.sum(move**2, axis=1), -jnp.sum(before * move, axis=1)
    nearest = before + jnp.clip(along / jnp.maximum(square, 1e-300), 0, 1)[:, None] * move
    leaps = (square > jnp.sum(before**2, axis=1) / 4) & (jnp.sum(nearest**2, axis=1) < _NEAR**2)
    taken = there.time - at.time
    stay = at._replace(pace=jnp.where(taken > 0, taken, there.pace) / 2)
    return jax.tree.map(lambda new, old: jnp.where(jnp.any(leaps), old, new), there, stay)


def check_loss_and_method(loss: object, method: object) -> None:
    """Refuse what is no loss, or no way to move: arguments in another order, a class, a word.

    **Raises.** `TypeError`.
    """
    if not isinstance(loss, SquaredLoss):
        raise TypeError(
            f"The first argument is a {type(loss).__name__}, but must be the loss, e.g. "
            f"`SquaredLoss(orthonormal(10), Gaussian(10))`."
        )
    if method is not None and not isinstance(method, AbstractMethod):
        what = (
            f"the class {method.__name__}"
            if isinstance(method, type)
            else f"a {type(method).__name__}"
        )
        raise TypeError(
            f"`method` is {what}, but must be a method, such as `GradientFlow()` or "
            f"`GradientDescent(0.1)`: with its parentheses."
        )


def positive(name: str, value: float) -> float:
    """`value` as a positive finite float, or an error that calls it `name`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"`{name}` must be a positive number, but is {value!r}. Use e.g. 0.1.")
    return number
