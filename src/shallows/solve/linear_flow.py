r"""How shallow linear networks train under dropout: the flow on the mean, and runs with masks.

The gradient flow of a `LinearLoss` keeps |a_i|² − |b_i|² of each unit, so that it ends at a
balanced minimiser only if it starts balanced. Near its limit the loss exceeds the least by a
multiple of exp(−2μt), μ the smallest Hessian eigenvalue across the set of minimisers at that limit.

**Source.** senencerdasanders2022, in our reading.
"""

import dataclasses
import enum
import math

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.equalised import Minimisers, NormalSpectrum, minimisers
from shallows.landscape.linear import LinearLoss
from shallows.solve.evolution import (
    Ending,
    Event,
    Evolution,
    Explicit,
    Implicit,
    descent,
    evolution,
)

# Relative to |Y|²: where the loss counts as least, and between which excesses its rate is fitted.
# Above, faster modes are not gone; below, rounding of the loss (1e-16) shows.
_LEAST = 1e-13
_TAIL = (1e-9, 1e-12)


class Arrival(enum.Enum):
    """How a flow ended; the value is advice."""

    arrived = ""
    out_of_time = (
        "The loss has not come within 1e-13 |Y|² of the least. Raise `until`; near the threshold, "
        "where the smallest eigenvalue vanishes, the way is infinitely long."
    )
    at_saddle = (
        "The gradient has vanished, but the loss is not the least: the start was symmetric, and "
        "the flow ended at a saddle. Start elsewhere."
    )
    out_of_steps = "The integrator used all its steps. Pass another `method`."


@dataclasses.dataclass(frozen=True)
class Rate:
    """A rate of exponential decay, fitted by least squares to the logarithm."""

    value: float
    standard_error: float
    """Of the fit alone: how straight the logarithm is."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LinearRun(notebook.AbstractShown):
    """A gradient flow from a start to a minimiser."""

    loss: LinearLoss
    minimisers: Minimisers
    evolution: Evolution
    """Of vectors; see `LinearLoss.split`. It watches `conserved`."""
    arrival: Arrival
    limit: tuple[Float[np.ndarray, "o f"], Float[np.ndarray, "f d"]] | None
    """The minimiser where it leads, if it arrived."""
    spectrum: NormalSpectrum | None
    """Of the Hessian at the limit."""

    def gap(self, times: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
        """J − min J at these times; rounding is about 1e-16 |Y|²."""
        values = self.loss(*self.loss.split(self.evolution.at(times)))
        return np.asarray(values) - self.minimisers.value

    def rate(self) -> Rate:
        """The rate at which the gap falls in the end, between 1e-9 and 1e-12 of |Y|².

        **Raises.** `ValueError` for a flow that has not arrived.
        """
        times = self._tail()
        return fitted_rate(times, self.gap(times))

    def linear_rate(self) -> Rate:
        r"""What `rate` would be if the flow were linear.

        The gap is then $\frac12 \sum_i \mu_i c_i^2 e^{-2\mu_i t}$ over all eigenvalues of the
        Hessian at the limit. Where several are close to the smallest, that one has not yet won when
        rounding shows.

        **Raises.** `ValueError` as `rate`.
        """
        times = self._tail()
        assert self.limit is not None  # as it arrived
        values, vectors = np.linalg.eigh(self.loss.hessian(*self.limit))
        across = slice(int(np.sum(values <= 1e-9 * values[-1])), None)
        away = self.evolution.at(times[:1])[0] - self.loss.join(*self.limit)
        parts = values[across] * (vectors[:, across].T @ away) ** 2 / 2
        falling = np.exp(-2 * np.outer(times - times[0], values[across]))
        return fitted_rate(times, falling @ parts)

    def distances(self, times: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
        """To the minimisers, at these times; NaN where Newton's method finds none nearby."""
        found = []
        for theta in self.evolution.at(times):
            try:
                found.append(self.minimisers.nearest(*self.loss.split(theta))[2])
            except ValueError:
                found.append(math.nan)
        return np.array(found)

    def _tail(self, number=60):
        """Times in which the gap falls from one end of `_TAIL` to the other."""
        if self.arrival is not Arrival.arrived:
            raise ValueError(f"This flow has no tail to fit. {self.arrival.value}")
        values = self.gap(self.evolution.times)
        power = float(np.sum(self.loss.target**2))
        first, last = (
            float(
                np.interp(
                    0.0, np.log(size * power / np.maximum(values, 1e-300)), self.evolution.times
                )
            )
            for size in _TAIL
        )
        return np.linspace(first, last, number)

    def __repr__(self) -> str:
        times = self.evolution.times
        return f"LinearRun({len(times)} times to {times[-1]:.6g}, {self.arrival.name})"

    def _notes(self) -> list[str]:
        return [self.arrival.value, f"Least loss {self.minimisers.value:.6g}."]


def linear_flow(
    loss: LinearLoss,
    outer: Float[np.ndarray, "o f"],
    inner: Float[np.ndarray, "f d"],
    *,
    until: float | int | None = None,
    method: Explicit | Implicit | None = None,
) -> LinearRun:
    r"""Follow $\dot\theta = -\nabla J(\theta)$ until the loss is the least, up to 1e-13 |Y|².

    Without `until` for at most 6000 times the slowest time scale of the balanced minimiser. Wide
    networks with little dropout are stiff, so that the default is `Implicit()`, with the Hessian.

    **Accuracy.** Steps with relative error 1e-8; what is conserved drifts by 1e-9 of |Y|.

    **Raises.** `ValueError` as `minimisers`.
    """
    known = minimisers(loss)
    start = loss.join(outer, inner)
    power = float(np.sum(loss.target**2))
    if until is None:
        slowest = known.spectrum(*known.point()).smallest
        until = 6000 / max(slowest, 1e-2 * loss.gain**2 * known.target[0])

    def excess(_, theta):
        return float(loss(*loss.split(theta))) - known.value - _LEAST * power

    def still(_, theta):
        return float(np.linalg.norm(loss.gradient_at(theta))) - 1e-9 * power**0.75

    how = Implicit() if method is None else method
    if isinstance(how, Implicit) and how.jacobian is None:
        how = dataclasses.replace(how, jacobian=lambda _, y: -loss.hessian(*loss.split(y)))
    arrived = Event("least", excess, direction=-1)
    # A saddle that is not left any more; near minimisers the loss arrives first.
    stopped = Event("still", lambda t, y: still(t, y) if excess(t, y) > power * 1e-9 else 1.0)
    run = evolution(
        lambda _, theta: -loss.gradient_at(theta),
        start,
        until=float(until),
        method=how,
        events=(arrived, stopped),
        monitors={"conserved": lambda _, theta: loss.conserved(theta)},
    )
    arrival = {Ending.reached_end: Arrival.out_of_time}.get(run.ending, Arrival.out_of_steps)
    if run.ending is Ending.event:
        seen = run.occurrences[-1].event.name
        arrival = Arrival.arrived if seen == "least" else Arrival.at_saddle
    if arrival is not Arrival.arrived:
        return LinearRun(loss, known, run, arrival, None, None)
    a, b, _ = known.nearest(*loss.split(run.states[-1]))
    return LinearRun(loss, known, run, arrival, (a, b), known.spectrum(a, b))


def fitted_rate(times: Float[np.ndarray, " t"], gaps: Float[np.ndarray, " t"]) -> Rate:
    """Minus the slope of log gap against time.

    **Raises.** `ValueError` for gaps that are not positive, or fewer than three.
    """
    if len(times) < 3 or np.any(gaps <= 0):
        raise ValueError(
            f"A rate is fitted to three or more positive numbers, but these are {len(gaps)} with "
            f"minimum {np.min(gaps, initial=math.inf):.3g}. Take times before rounding shows."
        )
    centred, logs = times - times.mean(), np.log(gaps)
    spread = float(centred @ centred)
    slope = float(centred @ logs) / spread
    left = logs - logs.mean() - slope * centred
    return Rate(-slope, math.sqrt(float(left @ left) / (len(times) - 2) / spread))


@dataclasses.dataclass(frozen=True, eq=False)
class MaskedRuns:
    """Runs of gradient descent with fresh masks in each step, all from one start."""

    times: Float[np.ndarray, " t"]
    """The numbers of steps, times the step."""
    losses: Float[np.ndarray, "r t"]
    """Of each run, on the mean over masks."""
    weights: Float[np.ndarray, "r t n"]

    @property
    def mean(self) -> Float[np.ndarray, " t"]:
        """The mean of the losses over runs."""
        return self.losses.mean(axis=0)

    @property
    def standard_error(self) -> Float[np.ndarray, " t"]:
        """Of that mean."""
        return self.losses.std(axis=0, ddof=1) / math.sqrt(len(self.losses))


def masked_descent(
    loss: LinearLoss,
    outer: Float[np.ndarray, "o f"],
    inner: Float[np.ndarray, "f d"],
    *,
    step: float,
    steps: int,
    runs: int,
    every: int = 1,
    seed: int = 0,
) -> MaskedRuns:
    """Dropout itself: descend along the gradients of the loss under random masks.

    Each step is one of the mean flow and noise of mean zero, so that for a small step runs follow
    the flow for times of order one, with a spread of order √step and a bias of order step.

    **Raises.** `ValueError` for runs that diverge, and for fewer than two, which have no error.
    """
    if runs < 2:
        raise ValueError(f"Error bars need two or more runs, but {runs=} was given. Use e.g. 20.")
    rng = np.random.default_rng(seed)
    n = loss.size

    def gradient(state):
        return loss.join(*loss.filtered_gradient(*loss.split(state.reshape(runs, n)), rng)).ravel()

    start = np.tile(loss.join(outer, inner), runs)
    run = descent(gradient, start, step=step, steps=steps, every=every)
    if run.ending is Ending.diverged:
        raise ValueError(
            f"With the step {step:g} runs diverge: the gradient under masks is up to 1/p² times "
            f"the mean one. Take a smaller step."
        )
    weights = run.states.reshape(-1, runs, n).swapaxes(0, 1)
    return MaskedRuns(run.times, np.asarray(loss(*loss.split(weights))), weights)
