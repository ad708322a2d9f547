r"""Gradient flow on a line, exactly from event to event, in (a, b, c) and in (r, θ).

Which points a neuron sees is constant while no knot is at a sample, and then the velocity is a
polynomial. A knot that arrives at a sample goes on to the other side, or, where both sides push it
back, *slides*: it stays there (Filippov's solution), seeing the point in part, until one side gives
way. For tens of neurons; `relaxation` is for thousands.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

from shallows import notebook
from shallows.landscape.line import LineLoss, Parameters, inner_square, invariants, polar
from shallows.solve.evolution import Ending, Event, Evolution, Explicit, evolution

# Inner weights of this share of the largest count as none: θ is lost there.
_VANISHED = 1e-4


class Passage(enum.Enum):
    """What a knot does at a sample."""

    crosses = "goes on to the other side"
    rests = "starts to slide"
    leaves = "leaves it again"


@dataclasses.dataclass(frozen=True)
class Encounter:
    """A knot and a sample."""

    time: float
    neuron: int
    sample: int
    passage: Passage


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class KnotFlow(notebook.AbstractTable):
    """A flow, with its encounters of knots and samples."""

    path: Evolution
    encounters: tuple[Encounter, ...]
    resting: tuple[tuple[int, int], ...]
    """Neurons and samples that are together at the end."""

    @property
    def vanished(self) -> int | None:
        """The neuron whose inner weights vanished, which ends the run: there is no gradient."""
        last = self.path.occurrences[-1:]
        is_end = self.path.ending is Ending.event and bool(last)
        return last[0].which if is_end else None

    def __repr__(self) -> str:
        return (
            f"KnotFlow({len(self.path.times)} times to {self.path.times[-1]:.6g}, "
            f"{len(self.encounters)} encounters, {self.path.ending.name})"
        )

    def _columns(self) -> notebook.Columns:
        return {
            "time": [one.time for one in self.encounters],
            "neuron": [one.neuron for one in self.encounters],
            "sample": [one.sample for one in self.encounters],
            "passage": [one.passage for one in self.encounters],
        }


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TwinFlow(notebook.AbstractTable):
    """Gradient flow in (a, b, c) and in (r, θ), side by side."""

    full: KnotFlow
    reduced: KnotFlow
    times: Float[np.ndarray, " q"]
    """Those at which the two are compared."""
    distance: Float[np.ndarray, " q"]
    """The largest difference in an r or a θ."""
    drift: float
    """The largest |δᵢ(t) − δᵢ(0)| of the flow in (a, b, c)."""

    def __repr__(self) -> str:
        return f"TwinFlow({len(self.times)} times, at most {np.max(self.distance):.3g} apart)"

    def _columns(self) -> notebook.Columns:
        return {"time": self.times, "distance": self.distance}


@dataclasses.dataclass
class _Sight:
    """Which points each neuron sees, and which knots slide."""

    loss: LineLoss
    seen: Bool[np.ndarray, "m n"]
    resting: dict[int, int]

    def residuals(self, a, b, c):
        hidden = np.where(self.seen, np.outer(a, self.loss.x) - b[:, None], 0.0)
        return c @ hidden / self.loss.scale - self.loss.y

    def shares(self, rho):
        """How much of each point each neuron sees: between 0 and 1 where it slides."""
        shares = self.seen.astype(float)
        for i, j in self.resting.items():
            shares[i, j] = self.share(i, j, rho)
        return shares

    def share(self, i, j, rho):
        """That with which the knot of neuron i stays at sample j."""
        x = self.loss.x
        others = np.where(self.seen[i], rho * (1 + x * x[j]), 0.0)
        others[j] = 0.0
        push = rho[j] * (1 + x[j] ** 2)
        return -np.sum(others) / push if push else np.copysign(np.inf, -np.sum(others))

    def pulls(self, a, b, c):
        rho = self.residuals(a, b, c)
        shares = self.shares(rho)
        return shares @ rho, shares @ (rho * self.loss.x)


def full_flow(
    loss: LineLoss, z: Parameters, *, until: float, method: Explicit | None = None
) -> KnotFlow:
    """Gradient flow in (a, b, c), rows end to end in the states of its path.

    **Accuracy.** About that of the method (by default, of tolerance 1e-11): 1e-9 over the times of
    the tests. **Cost.** m n signs are watched, and every encounter begins a run.

    **Raises.** `ValueError` as `evolution`. A run that ends early says so by its path's ending.
    """

    def velocity(sight, y):
        a, b, c = y.reshape(3, -1)
        s0, s1 = sight.pulls(a, b, c)
        return np.concatenate([-c * s1, c * s0, b * s0 - a * s1]) / loss.scale

    def length(y, before):
        a, b, _c = y.reshape(3, -1)
        # Along its ray a sliding neuron may pass through zero within a step, and is then negative.
        turned = a * before.reshape(3, -1)[0] + b * before.reshape(3, -1)[1] < 0
        return np.where(turned, -1, 1) * np.hypot(a, b)

    def rows(y):
        return y.reshape(3, -1)

    watch = {"delta": lambda _, y: invariants(rows(y))}
    return _flow(loss, z.ravel(), velocity, rows, length, until, method, watch)


def reduced_flow(
    loss: LineLoss, z: Parameters, *, until: float, method: Explicit | None = None
) -> KnotFlow:
    r"""The same in (r, θ), where δ is a constant and not a result; see `full_flow`.

    $\dot r = -q\,\partial_r L$ and $\dot\theta = -\frac{2}{q - \delta}\,\partial_\theta L$ with
    $q = \sqrt{\delta^2 + 4r^2}$: a gradient flow in a diagonal metric.

    **Source.** facts: splines_and_convex, section 1.
    """
    delta = invariants(z)

    def unit(y):
        r, theta = y.reshape(2, -1)
        return np.stack([np.cos(theta), -np.sin(theta), r])

    def velocity(sight, y):
        r, theta = y.reshape(2, -1)
        cos, sin = np.cos(theta), np.sin(theta)
        s0, s1 = sight.pulls(cos, -sin, r)
        along = (cos * s1 + sin * s0) * np.hypot(delta, 2 * r)
        across = (cos * s0 - sin * s1) * r / inner_square(r, delta)
        return np.concatenate([-along, -across]) / loss.scale

    def length(y, before):
        r, first = y.reshape(2, -1)[0], before.reshape(2, -1)[0]
        # For δ > 0 it is r that passes through zero with the inner weights; else they never do.
        return np.where((delta > 0) & (r * first < 0), -1, 1) * np.sqrt(inner_square(r, delta))

    return _flow(loss, polar(z).ravel(), velocity, unit, length, until, method, {})


def twin_flow(loss: LineLoss, z: Parameters, *, until: float, points: int = 101) -> TwinFlow:
    """Both flows, compared at evenly spaced times up to the earlier end.

    **Raises.** `ValueError` for neurons without inner weights (they have no θ) and, as
    `evolution`, for starts that are not finite and times that are not positive.
    """
    z = np.asarray(z, dtype=float)
    lengths = np.hypot(z[0], z[1])
    if np.any(lengths == 0):
        raise ValueError(
            f"Neuron {int(np.argmin(lengths))} has inner weights zero, and so no angle θ. Start it "
            f"elsewhere."
        )
    full, reduced = full_flow(loss, z, until=until), reduced_flow(loss, z, until=until)
    m = z.shape[1]
    times = np.linspace(0.0, min(full.path.times[-1], reduced.path.times[-1]), points)
    ours = np.stack([polar(y.reshape(3, m)).ravel() for y in full.path.at(times)])
    gap = ours - reduced.path.at(times)
    gap[:, m:] = np.arctan2(np.sin(gap[:, m:]), np.cos(gap[:, m:]))  # angles, modulo 2π
    return TwinFlow(full, reduced, times, np.max(np.abs(gap), axis=1), full.path.drift("delta"))


def _flow(loss, start, velocity, weights: Callable, length, until, method, watch) -> KnotFlow:
    """Runs from encounter to encounter; `weights` makes rows a, b, c of a state, up to a factor.

    `length` is that of the inner weights, neuron by neuron, with a sign against an earlier state.
    """
    how = Explicit(tolerance=1e-11) if method is None else method
    state, time = np.array(start, dtype=float), 0.0
    floor = _VANISHED * np.max(length(state, state))
    a, b, _ = weights(state)
    sight = _Sight(loss, np.outer(a, loss.x) - b[:, None] > 0, {})
    runs, starts, encounters = [], [], []
    ending = Ending.reached_end
    steps = 0
    while until - time > 1e-14 * until:
        vanish, arrive, leave = _events(sight, weights, length, state, floor)
        run = evolution(
            _velocity_at(velocity, sight),
            state,
            until=until - time,
            method=how,
            events=(arrive, vanish, leave) if sight.resting else (arrive, vanish),
            monitors=watch,
        )
        runs.append(run)
        starts.append(time)
        steps += len(run.times)
        time, state, ending = time + run.times[-1], run.states[-1], run.ending
        if ending is not Ending.event:
            break
        if steps > how.max_steps:
            ending = Ending.out_of_steps
            break
        occurrence = run.occurrences[-1]
        if occurrence.event is vanish:
            break
        is_arrival = occurrence.event is arrive
        sight, made = (_arrived if is_arrival else _left)(sight, occurrence.which, *weights(state))
        encounters.append(dataclasses.replace(made, time=time))
        ending = Ending.reached_end
    return KnotFlow(_joined(runs, starts, ending), tuple(encounters), tuple(sight.resting.items()))


def _events(sight, weights, length, start, floor):
    """That inner weights vanish, that a knot arrives at a sample, and that one leaves."""
    return (
        Event("a neuron vanishes", lambda _, y: _lengths(length, sight, y, start) - floor,
              direction=-1),
        Event("arrival", lambda _, y: _clearances(sight, *weights(y)), direction=-1),
        Event("departure", lambda _, y: _holds(sight, *weights(y)), direction=-1),
    )  # fmt: skip


def _velocity_at(velocity, sight):
    return lambda _, y: velocity(sight, y)


def _lengths(length, sight, y, before):
    signed = length(y, before)
    slides = np.isin(np.arange(len(signed)), list(sight.resting))
    return np.where(slides, signed, np.abs(signed))


def _clearances(sight, a, b, c):
    """For each neuron and sample, how far the knot is on the side where it is held to be."""
    heights = np.outer(a, sight.loss.x) - b[:, None]
    clear = np.where(sight.seen, heights, -heights)
    for i, j in sight.resting.items():
        clear[i, j] = 1.0
    return clear.ravel()


def _holds(sight, a, b, c):
    """For each sliding knot its share, and what is left to one: where one vanishes it leaves."""
    rho = sight.residuals(a, b, c)
    shares = [sight.share(i, j, rho) for i, j in sight.resting.items()]
    return np.array([value for share in shares for value in (share, 1 - share)])


def _arrived(sight, which, a, b, c):
    i, j = divmod(which, len(sight.loss.x))
    seen, resting = sight.seen.copy(), dict(sight.resting)
    rho = sight.residuals(a, b, c)
    # Both sides push back where c ρ > 0 and the share with which the knot would stay is inside.
    if i not in resting and c[i] * rho[j] > 0 and 0 < sight.share(i, j, rho) < 1:
        resting[i] = j
        seen[i, j] = False  # of height zero, it adds nothing to f
        passage = Passage.rests
    else:
        seen[i, j] = not seen[i, j]
        passage = Passage.crosses
    return _Sight(sight.loss, seen, resting), Encounter(0.0, i, j, passage)


def _left(sight, which, a, b, c):
    i, j = list(sight.resting.items())[which // 2]
    seen, resting = sight.seen.copy(), dict(sight.resting)
    del resting[i]
    seen[i, j] = which % 2 == 1  # it left where nothing was left to one
    return _Sight(sight.loss, seen, resting), Encounter(0.0, i, j, Passage.leaves)


def _joined(runs: Sequence[Evolution], starts: Sequence[float], ending: Ending) -> Evolution:
    """Runs end to end as one."""

    def later(piece, start):
        return lambda t: piece(np.asarray(t) - start)

    def whole(values):
        return np.concatenate([values(runs[0])[:1], *(values(run)[1:] for run in runs)])

    return Evolution(
        np.concatenate([[0.0], *(s + r.times[1:] for s, r in zip(starts, runs, strict=True))]),
        whole(lambda run: run.states),
        ending,
        tuple(o for run in runs for o in run.occurrences),
        {n: whole(lambda run, n=n: run.monitored[n]) for n in runs[0].monitored},
        tuple(later(p, s) for s, r in zip(starts, runs, strict=True) for p in r.pieces),
    )
