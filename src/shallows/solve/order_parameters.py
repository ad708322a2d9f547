r"""Online learning in order parameters: overlaps of neurons, whatever the number of inputs.

A student with neurons $w_i$ and heads $v_i$ learns from a teacher with neurons $b_n$ and heads
$v^*_n$, one new input x ~ N(0, I_d) a step, by steps of $\eta/d$ down $\frac12 (f(x) - f^*(x) -
\sigma\xi)^2$ with Gaussian noise ξ. For d → ∞ at time t = steps/d the overlaps $Q = WW^\top$ and
$R = WB^\top$ follow ordinary differential equations. With the pre-activations z of all neurons, of
covariance C (`model.preactivations`), and heads $h = (v, -v^*)$

$$ \dot R_{in} = -\eta\,v_i \sum_a h_a I_3(i, n, a), \qquad
   \dot v_i = -\eta \sum_a h_a I_2(i, a), $$

$$ \dot Q_{ik} = -\eta \sum_a h_a \bigl(v_i I_3(i, k, a) + v_k I_3(k, i, a)\bigr)
   + \eta^2\,v_i v_k \Bigl(\sum_{ab} h_a h_b I_4(i, k, a, b) + \sigma^2 J_2(i, k)\Bigr), $$

the last term being the noise of the samples. Without it (η → 0, time ηt) it is the gradient flow
of the population loss, for any number of inputs.

**Source.** Saad & Solla (1995).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Float

from shallows import notebook
from shallows.landscape import AllWeights, InnerWeights
from shallows.model import AbstractActivation, Erf, Network, PiecewiseLinear
from shallows.model.activations import finite_number, relu
from shallows.model.network import Numbers, finite, positive_integer
from shallows.model.preactivations import has_noise, noise_of, overlaps_of, slopes_of
from shallows.solve.evolution import Evolution, Explicit, Implicit, evolution

# Overlaps whose least eigenvalue is above minus this share of the largest are ones of vectors to
# the accuracy of a long run; eigenvalues below the other share count as 0.
_SLACK: Final = 1e-6
_NONE: Final = 1e-10

Trained = InnerWeights | AllWeights


@dataclasses.dataclass(frozen=True, eq=False)
class OrderParameters:
    """The overlaps of a student's neurons with themselves and with a teacher's, and both heads.

    **Raises.** `ValueError` for arrays that do not fit or are not finite, and for overlaps that no
    vectors have: their matrix must be positive semidefinite, to 1e-6 of its norm.
    """

    student: Float[np.ndarray, "k k"]
    """Q, of the student's neurons with one another."""
    cross: Float[np.ndarray, "k m"]
    """R, of student's with teacher's."""
    teacher: Float[np.ndarray, "m m"]
    """T, of the teacher's with one another."""
    heads: Float[np.ndarray, " k"]
    teacher_heads: Float[np.ndarray, " m"]
    activation: AbstractActivation

    def __init__(
        self,
        student: Numbers,
        cross: Numbers,
        teacher: Numbers | None = None,
        heads: Numbers | None = None,
        teacher_heads: Numbers | None = None,
        activation: AbstractActivation = relu,
    ):
        r = np.asarray(finite("cross", cross))
        if r.ndim != 2 or 0 in r.shape:
            raise ValueError(
                f"`cross` must be a matrix with a row for each neuron of the student and a column "
                f"for each of the teacher, but has shape {r.shape}. Use e.g. `0.1 * np.eye(2)`."
            )
        k, m = r.shape
        parts = {
            "student": (student, (k, k)),
            "cross": (r, (k, m)),
            "teacher": (np.eye(m) if teacher is None else teacher, (m, m)),
            "heads": (np.ones(k) if heads is None else heads, (k,)),
            "teacher_heads": (np.ones(m) if teacher_heads is None else teacher_heads, (m,)),
        }
        for name, (value, shape) in parts.items():
            array = np.asarray(finite(name, value))
            if array.shape != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape}, as `cross` has shape {(k, m)}, but has "
                    f"{array.shape}. Give it a number for each."
                )
            object.__setattr__(self, name, array)
        object.__setattr__(self, "activation", activation)
        c = self.covariance
        if np.max(np.abs(c - c.T)) > _SLACK * np.max(np.abs(c)):
            raise ValueError(
                "Overlaps are symmetric, but `student` or `teacher` is not. Use A @ A.T."
            )
        least, largest = np.linalg.eigvalsh(c)[[0, -1]]
        if least < -_SLACK * largest:
            raise ValueError(
                f"No vectors have these overlaps: their matrix has the eigenvalue {least:.3g}. "
                f"Make `cross` smaller, or take them from networks: `OrderParameters.of`."
            )

    @classmethod
    def of(cls, student: Network, teacher: Network) -> "OrderParameters":
        """Those of two networks.

        **Raises.** `ValueError` for networks with different inputs or activations, with biases,
        several outputs, or in batches.
        """
        for role, one in (("student", student), ("teacher", teacher)):
            if one.bias is not None or one.outer.ndim != 1 or one.inner.ndim != 2:
                raise ValueError(
                    f"Order parameters are of single networks with one output and no biases, but "
                    f"the {role} is not one. Take one, with `outer` a number for each neuron."
                )
        if student.inputs != teacher.inputs or student.activation != teacher.activation:
            raise ValueError(
                f"Student and teacher differ: {student.inputs} inputs and "
                f"{student.activation.name}, {teacher.inputs} and {teacher.activation.name}. Give "
                f"both the same."
            )
        w, b = np.asarray(student.inner), np.asarray(teacher.inner)
        return cls(
            w @ w.T,
            w @ b.T,
            b @ b.T,
            np.asarray(student.outer),
            np.asarray(teacher.outer),
            student.activation,
        )

    @classmethod
    def unaligned(
        cls,
        neurons: int,
        teachers: int | None = None,
        *,
        length: float | int = 0.5,
        spread: float | int = 0.01,
        activation: AbstractActivation = relu,
        seed: int = 0,
    ) -> "OrderParameters":
        """Students of that length whose other overlaps are small: normal, of deviation `spread`.

        As random weights have them in many dimensions, with 1/√d as `spread` over `length`. The
        teachers are orthonormal; there are as many as students by default.

        **Raises.** `ValueError` for numbers that are not positive integers, a length that is not
        positive, a spread that is negative or so large that there are no such vectors.
        """
        k = positive_integer("neurons", neurons)
        m = k if teachers is None else positive_integer("teachers", teachers)
        if not (finite_number("length", length) > 0 and finite_number("spread", spread) >= 0):
            raise ValueError(
                f"`length` must be positive and `spread` at least 0, but they are {length} and "
                f"{spread}. Use e.g. 0.5 and 0.01."
            )
        rng = np.random.default_rng(seed)
        off = np.triu(spread * rng.normal(size=(k, k)), 1)
        q = length**2 * np.eye(k) + off + off.T
        return cls(q, spread * rng.normal(size=(k, m)), activation=activation)

    def networks(self, inputs: int | None = None) -> tuple[Network, Network]:
        """A student and a teacher with these overlaps, unique up to a rotation.

        They live in the first k + m of `inputs` dimensions, which is the default.

        **Accuracy.** 1e-15 of the overlaps. **Raises.** `ValueError` for too few inputs: as many
        as the rank of the overlaps are needed.
        """
        k = len(self.heads)
        values, vectors = np.linalg.eigh(self.covariance)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        d = len(values) if inputs is None else positive_integer("inputs", inputs)
        rank = int(np.sum(values > _NONE * values[0]))
        if d < rank:
            raise ValueError(
                f"These overlaps are of vectors that span {rank} dimensions, but `inputs` is {d}. "
                f"Use at least {rank}."
            )
        rows = np.zeros((len(values), d))
        n = min(d, len(values))
        rows[:, :n] = (vectors * np.sqrt(values))[:, :n]
        return (
            Network(rows[:k], self.heads, activation=self.activation),
            Network(rows[k:], self.teacher_heads, activation=self.activation),
        )

    @property
    def covariance(self) -> Float[np.ndarray, "n n"]:
        """C, of all pre-activations, the student's first."""
        return np.block([[self.student, self.cross], [self.cross.T, self.teacher]])

    @property
    def all_heads(self) -> Float[np.ndarray, " n"]:
        """The student's heads and minus those of the teacher."""
        return np.concatenate([self.heads, -self.teacher_heads])

    @property
    def loss(self) -> float:
        """½ E (f − f*)²."""
        return _loss(self, self.student, self.cross, self.heads)


def velocity(
    at: OrderParameters, *, rate: float | int = 0.0, noise: float | int = 0.0, heads: bool = False
) -> tuple[Float[np.ndarray, "k k"], Float[np.ndarray, "k m"], Float[np.ndarray, " k"]]:
    r"""$\dot Q$, $\dot R$ and $\dot v$, divided by η; the term η² is so multiplied by `rate`.

    With `heads` these are trained, else $\dot v = 0$. `noise` is σ.

    **Raises.** `ValueError` for a positive rate and an activation whose noise is not known.
    """
    return _velocity(_Problem(at, float(rate), float(noise), heads), at.student, at.cross, at.heads)


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    fixed: OrderParameters
    rate: float
    noise: float
    has_heads: bool


def _velocity(problem, q, r, v):
    k, fixed = len(v), problem.fixed
    c = np.block([[q, r], [r.T, fixed.teacher]])
    h = np.concatenate([v, -fixed.teacher_heads])
    own, other = slopes_of(fixed.activation, c)
    # −E[(f − f*) vᵢ σ'(zᵢ) z_b], a column for each neuron b.
    pull = -v[:, None] * ((own[:k] @ h)[:, None] * c[:k] + (other[:k] * h) @ c)
    on_q = pull[:, :k] + pull[:, :k].T
    if problem.rate > 0:
        fourth, second = noise_of(fixed.activation, c, h, k)
        on_q = on_q + problem.rate * np.outer(v, v) * (fourth + problem.noise**2 * second)
    on_v = np.zeros(k)
    if problem.has_heads:
        on_v = -(overlaps_of(fixed.activation, c)[:k] @ h)
    return on_q, pull[:, k:], on_v


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class OnlineLearning(notebook.AbstractTable):
    """A run of the equations: order parameters as functions of time."""

    start: OrderParameters
    path: Evolution
    """Its states are the upper triangle of Q, then R, and v."""

    def at(self, time: float | int) -> OrderParameters:
        """The order parameters at a time of the run."""
        one = self.start
        q, r, v = _unpacked(self.path.at(float(time)), *one.cross.shape)
        return OrderParameters(q, r, one.teacher, v, one.teacher_heads, one.activation)

    def overlaps(
        self, times: Numbers
    ) -> tuple[Float[np.ndarray, "t k k"], Float[np.ndarray, "t k m"], Float[np.ndarray, "t k"]]:
        """Q, R and the student's heads at times of the run."""
        states = self.path.at(np.asarray(times, dtype=float))
        q, r, v = zip(*(_unpacked(y, *self.start.cross.shape) for y in states), strict=True)
        return np.array(q), np.array(r), np.array(v)

    def losses(self, times: Numbers) -> Float[np.ndarray, " t"]:
        """½ E (f − f*)² at times of the run."""
        parts = zip(*self.overlaps(times), strict=True)
        return np.array([_loss(self.start, *part) for part in parts])

    def __repr__(self) -> str:
        return f"OnlineLearning({len(self.start.heads)} neurons, {self.path!r})"

    def _columns(self) -> notebook.Columns:
        return {"time": self.path.times, "loss": self.losses(self.path.times)}

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` over the times of its steps: loss, Q, R and the student's heads.

        **Raises.** `ValueError` if xarray is not installed.
        """
        times = self.path.times
        made = _arrays(("time",), self.losses(times), *self.overlaps(times))
        return notebook.dataset(made, {"time": times})


def _arrays(axes, losses, student, cross, heads):
    return {
        "loss": (axes, losses),
        "student": ((*axes, "neuron", "other"), student),
        "cross": ((*axes, "neuron", "teacher"), cross),
        "heads": ((*axes, "neuron"), heads),
    }


def online(
    start: OrderParameters,
    *,
    rate: float | int,
    until: float | int,
    noise: float | int = 0.0,
    trained: Trained | None = None,
    method: Explicit | Implicit | None = None,
) -> OnlineLearning:
    r"""Online learning at d → ∞ from `start`, by default of the neurons only.

    Time is samples/d; for `rate` 0 it is η samples/d, that of the gradient flow.

    **Accuracy.** That of `evolution`, by default a relative error of 1e-10 a step. At a finite d
    means over runs differ by O(1/d), single runs by O(d^(−1/2)).

    **Raises.** `ValueError` for a rate or noise that is negative, a time that is not positive,
    noise without a rate, and a positive rate for an activation without a closed noise term.
    """
    problem = _problem(start, rate, noise, trained)
    k, m = start.cross.shape
    speed = problem.rate or 1.0
    upper = np.triu_indices(k)

    def slope(_, y):
        q, r, v = _velocity(problem, *_unpacked(y, k, m))
        return speed * np.concatenate([q[upper], r.ravel(), v])

    first = np.concatenate([start.student[upper], start.cross.ravel(), start.heads])
    path = evolution(slope, first, until=_time(until), method=method)
    return OnlineLearning(start, path)


def _problem(start, rate, noise, trained):
    for name, value in (("rate", rate), ("noise", noise)):
        if finite_number(name, value) < 0:
            raise ValueError(f"`{name}` must be at least 0, but is {value}. Use e.g. 0.5.")
    if noise and not rate:
        raise ValueError(
            f"At rate 0 noise does not matter, but `noise` is {noise}. Use a positive rate."
        )
    if rate and not has_noise(start.activation):
        noise_of(start.activation, start.covariance, start.all_heads, 1)  # raises, with the reason
    return _Problem(start, float(rate), float(noise), isinstance(trained, AllWeights))


def _time(until):
    if not finite_number("until", until) > 0:
        raise ValueError(f"`until` must be positive, but is {until}. Use e.g. 10.")
    return float(until)


def _unpacked(y, k, m):
    size = k * (k + 1) // 2
    q = np.zeros((k, k))
    q[np.triu_indices(k)] = y[:size]
    return q + np.triu(q, 1).T, y[size : size + k * m].reshape(k, m), y[size + k * m :]


def _loss(fixed, q, r, v):
    c = np.block([[q, r], [r.T, fixed.teacher]])
    h = np.concatenate([v, -fixed.teacher_heads])
    return float(h @ overlaps_of(fixed.activation, c) @ h) / 2


def unspecialised(
    neurons: int, teachers: int | None = None, activation: AbstractActivation = relu
) -> OrderParameters:
    r"""Where unspecialised students wait: all k of them the same, along the sum of m teachers.

    For orthonormal teachers with heads 1 the direction is fixed by symmetry, and the length r by
    the loss on that line. It is a fixed point of the gradient flow. For erf(t/√2) and k = m it has
    $R = 1/\sqrt{k(2k - 1)}$, $Q = 1/(2k - 1)$ (Saad & Solla 1995), for the ReLU
    $\sqrt Q = \frac{m}{\pi k}(\sin\theta + (\pi - \theta)\cos\theta)$, cos θ = 1/√m.

    **Accuracy.** 1e-13. **Raises.** `ValueError` for numbers that are not positive integers, and
    for activations for which no such point has a length between 1e-6 and 1e3.
    """
    k = positive_integer("neurons", neurons)
    m = k if teachers is None else positive_integer("teachers", teachers)

    def point(length):
        q, r = np.full((k, k), length**2), np.full((k, m), length / np.sqrt(m))
        return OrderParameters(q, r, activation=activation)

    def slope(length):
        return float(velocity(point(length))[1][0, 0])

    grid = np.geomspace(1e-6, 1e3, 91)
    signs = [np.sign(slope(s)) for s in grid]
    for low, high, before, after in zip(grid, grid[1:], signs, signs[1:], strict=False):
        if before > 0 >= after:
            return point(float(scipy.optimize.brentq(slope, low, high, xtol=1e-15, rtol=1e-14)))
    raise ValueError(
        f"Students of activation {activation.name} that are all the same, along the sum of the "
        f"teachers, have no length between 1e-6 and 1e3 at which they rest. Use `relu` or `Erf()`."
    )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Simulation(notebook.AbstractShown):
    """Runs of online learning at a finite number of inputs."""

    inputs: int
    times: Float[np.ndarray, " t"]
    """Steps/d."""
    losses: Float[np.ndarray, "s t"]
    """The exact population loss, of each run."""
    student: Float[np.ndarray, "s t k k"]
    cross: Float[np.ndarray, "s t k m"]
    heads: Float[np.ndarray, "s t k"]

    def __repr__(self) -> str:
        return f"Simulation({len(self.losses)} runs, d = {self.inputs}, {len(self.times)} times)"

    def _columns(self) -> notebook.Columns:
        mean, deviation = self.losses.mean(axis=0), self.losses.std(axis=0)
        return {"time": self.times, "mean loss": mean, "deviation": deviation}

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` as that of `OnlineLearning`, over runs as well.

        **Raises.** `ValueError` if xarray is not installed.
        """
        made = _arrays(("run", "time"), self.losses, self.student, self.cross, self.heads)
        return notebook.dataset(made, {"time": self.times})


def simulate(
    start: OrderParameters,
    *,
    inputs: int,
    rate: float | int,
    times: Numbers,
    runs: int = 10,
    noise: float | int = 0.0,
    trained: Trained | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Simulation:
    r"""Descent on one new input a step, from vectors that have exactly the overlaps of `start`.

    `times` are rounded down to whole steps; `progress` is told the share of steps done.

    **Raises.** `ValueError` as `online`, for a rate of 0, times that do not increase from 0 on, and
    for fewer inputs than the overlaps need. **Cost.** About 10 ns for each run, step and input.
    """
    problem = _problem(start, rate, noise, trained)
    asked = np.asarray(finite("times", times), dtype=float)
    if asked.ndim != 1 or not len(asked) or asked[0] < 0 or np.any(np.diff(asked) <= 0):
        raise ValueError(
            f"`times` must increase from 0 on, but is {times!r:.200}. Use e.g. [0, 1]."
        )
    if not problem.rate:
        raise ValueError("A simulation takes steps, but `rate` is 0. Use a positive rate.")
    d, count = positive_integer("inputs", inputs), positive_integer("runs", runs)
    student, teacher = start.networks(d)
    b, theirs = np.asarray(teacher.inner), start.teacher_heads
    span = min(d, len(start.covariance))  # the teacher's other columns are zero
    w, v = np.tile(np.asarray(student.inner), (count, 1, 1)), np.tile(start.heads, (count, 1))
    rng, step = np.random.default_rng(seed), problem.rate / d
    marks = np.floor(asked * d * (1 + 1e-12)).astype(int)
    kept: list[tuple[np.ndarray, ...]] = []
    for s in range(marks[-1] + 1):
        while len(kept) < len(marks) and marks[len(kept)] == s:
            kept.append((w @ np.swapaxes(w, 1, 2), w @ b.T, v.copy()))
        if s == marks[-1]:
            break
        x = rng.standard_normal((count, d))
        z, y = (w @ x[:, :, None])[..., 0], x[:, :span] @ b[:, :span].T
        signal, slope = _values(start.activation, z)
        error = np.sum(v * signal, axis=1) - _values(start.activation, y)[0] @ theirs
        if problem.noise:
            error = error - problem.noise * rng.standard_normal(count)
        push = (-step * error)[:, None] * v * slope
        w += push[:, :, None] * x[:, None]
        if problem.has_heads:
            v = v - step * error[:, None] * signal
        if progress is not None and s % 256 == 0:
            progress(s / marks[-1])
    q, r, heads = (np.stack(z, axis=1) for z in zip(*kept, strict=True))
    losses = np.array(
        [[_loss(start, *z) for z in zip(*some, strict=True)]
         for some in zip(q, r, heads, strict=True)]
    )  # fmt: skip
    return Simulation(d, marks / d, losses, q, r, heads)


def _values(activation: AbstractActivation, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ(z) and σ'(z), where it can be done without a call into compiled code at each step."""
    if isinstance(activation, PiecewiseLinear):
        p, n = activation.positive, activation.negative
        return p * np.maximum(z, 0.0) + n * np.minimum(z, 0.0), n + (p - n) * np.heaviside(z, 0.5)
    if isinstance(activation, Erf):
        t = activation.scale * z
        return scipy.special.erf(t), 2 * activation.scale / np.sqrt(np.pi) * np.exp(-t * t)
    known = jnp.asarray(z)
    return np.asarray(activation(known)), np.asarray(activation.slope(known))
