r"""The loss along paths between students.

Along a smooth path the loss is analytic but for isolated places, its *kinks*:

* where a neuron vanishes. With $w = s p$ near $s = 0$ the overlaps K(w, x) are
  $|s| K(\pm p, x)$, and the slope of the loss jumps, by $c_w \sum_x c_x (K(p, x) + K(-p, x))$;
* where two neurons, of student or teacher, become parallel or antiparallel. The angle between them
  is $\kappa |s|$ near $s = 0$, and $\sin\theta - \theta\cos\theta \approx \theta^3/3$ in their
  overlap makes the third derivative jump, by $2 c_u c_v |u||v| \kappa^3 / \pi$.

Here c are heads, those of the teacher with a minus, as in the loss ½ cᵀKc.
"""

import abc
import dataclasses
import enum
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from shallows import notebook
from shallows.landscape.loss import SquaredLoss
from shallows.model import Network, PiecewiseLinear
from shallows.model.laws import AbstractEllipsoidal

BATCH = 256
_MEET = 1e-9
"""Distance of unit vectors below which neurons are parallel; lengths below which one vanishes."""
_NEAR = 0.1
"""The same, beyond which a guess is not worth improving."""


@dataclasses.dataclass(frozen=True, eq=False)
class AbstractPath(abc.ABC):
    """Students W(t) from `first` at t = 0 to `last` at t = 1, neuron i to neuron i.

    Heads are interpolated linearly.
    """

    first: Network
    last: Network

    def __post_init__(self):
        one, two = self.first, self.last
        if one.inner.ndim != 2 or one.inner.shape != two.inner.shape:
            raise ValueError(
                f"A path joins two students of one shape, but these have {one.inner.shape} and "
                f"{two.inner.shape}. Add neurons or inputs to the smaller one first."
            )

    @abc.abstractmethod
    def inner(self, t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k d"]:
        """The neurons at these times."""

    @abc.abstractmethod
    def velocity(self, t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k d"]:
        """Their derivatives in t."""

    def outer(self, t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        """The heads at these times."""
        one, two = np.asarray(self.first.outer), np.asarray(self.last.outer)
        return one + t[:, None] * (two - one)

    @abc.abstractmethod
    def closest(self, i: int, j: int | np.ndarray, low: float, high: float) -> np.ndarray:
        """Times among which are all at which neurons i and j (or a fixed vector) are parallel."""

    @property
    def length(self) -> float:
        """∫ |W'(t)| dt over [0, 1], in the Frobenius norm of neurons; to 1e-6."""
        t, weight = np.polynomial.legendre.leggauss(40)
        speed = np.linalg.norm(self.velocity((t + 1) / 2), axis=(1, 2))
        return float(weight @ speed / 2)


@dataclasses.dataclass(frozen=True, eq=False)
class Straight(AbstractPath):
    """W(t) = (1 − t) W₀ + t W₁, for every real t."""

    def inner(self, t):
        """See `AbstractPath`."""
        one, two = np.asarray(self.first.inner), np.asarray(self.last.inner)
        return one + t[:, None, None] * (two - one)

    def velocity(self, t):
        """See `AbstractPath`."""
        step = np.asarray(self.last.inner) - np.asarray(self.first.inner)
        return np.broadcast_to(step, (len(t), *step.shape))

    def closest(self, i, j, low, high):
        """See `AbstractPath`: extrema of |u ∧ v|², a polynomial of degree four in t."""
        one, two = np.asarray(self.first.inner), np.asarray(self.last.inner)
        a, p = one[i], two[i] - one[i]
        b, q = (one[j], two[j] - one[j]) if isinstance(j, int) else (j, np.zeros_like(j))
        square = np.polynomial.Polynomial
        uu = square([a @ a, 2 * a @ p, p @ p])
        vv = square([b @ b, 2 * b @ q, q @ q])
        uv = square([a @ b, a @ q + p @ b, p @ q])
        # Roots that rounding has moved off the real line are candidates all the same.
        roots = (uu * vv - uv * uv).deriv().trim(1e-300).roots()
        return np.real(roots)


@dataclasses.dataclass(frozen=True, eq=False)
class GreatCircles(AbstractPath):
    """Neurons turn on great circles at constant speed while their lengths change linearly.

    For each neuron the path is a geodesic of the sphere of directions. Beyond [0, 1] they turn on,
    as long as lengths are positive.

    **Raises.** `ValueError` for a neuron that is zero at an end, or the opposite of what it was,
    which no great circle joins alone.
    """

    def __post_init__(self):
        super().__post_init__()
        for i, (u, v) in enumerate(zip(*self._units, strict=True)):
            if not np.all(np.isfinite((u, v))) or np.linalg.norm(u + v) < 1e-8:
                raise ValueError(
                    f"Neuron {i} is zero at an end or turns by half a circle, which leaves open "
                    f"by which way. Use `Straight`, or move it a little."
                )

    @property
    def _units(self) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            one, two = (
                w / np.linalg.norm(w, axis=1, keepdims=True)
                for w in (np.asarray(self.first.inner), np.asarray(self.last.inner))
            )
        return one, two

    @functools.cached_property
    def _frame(self) -> tuple[np.ndarray, ...]:
        """Unit vectors at 0, unit vectors to which they turn, angles, lengths at 0 and their rate.

        Angles by Kahan's formula, which keeps its digits near 0.
        """
        u, v = self._units
        angle = 2 * np.arctan2(np.linalg.norm(u - v, axis=1), np.linalg.norm(u + v, axis=1))
        across = v - np.sum(u * v, axis=1, keepdims=True) * u
        across -= np.sum(u * across, axis=1, keepdims=True) * u
        size = np.linalg.norm(across, axis=1, keepdims=True)
        across = np.divide(across, size, out=np.zeros_like(across), where=size > 0)
        lengths = [np.linalg.norm(np.asarray(n.inner), axis=1) for n in (self.first, self.last)]
        return u, across, angle, lengths[0], lengths[1] - lengths[0]

    def inner(self, t):
        """See `AbstractPath`."""
        u, across, angle, length, rate = self._frame
        turned = (t[:, None] * angle)[..., None]
        size = (length + t[:, None] * rate)[..., None]
        return size * (np.cos(turned) * u + np.sin(turned) * across)

    def velocity(self, t):
        """See `AbstractPath`."""
        u, across, angle, length, rate = self._frame
        turned = (t[:, None] * angle)[..., None]
        size = (length + t[:, None] * rate)[..., None]
        along = np.cos(turned) * u + np.sin(turned) * across
        turn = np.cos(turned) * across - np.sin(turned) * u
        return rate[:, None] * along + size * angle[:, None] * turn

    def closest(self, i, j, low, high):
        """See `AbstractPath`: extrema of the cosine, a sum of four sines, on a fine grid."""
        t, w = _grid(self, low, high)
        u, v = w[:, i], w[:, j] if isinstance(j, int) else np.broadcast_to(j, w[:, i].shape)
        cosine = np.sum(u * v, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            size = np.abs(cosine) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        inside = (size[1:-1] > size[:-2]) & (size[1:-1] >= size[2:])
        return t[np.concatenate([[True], inside, [True]]) & (size > 1 - _NEAR**2)]


@functools.lru_cache(maxsize=2)
def _grid(path: AbstractPath, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and neurons; the same for every pair."""
    t = np.linspace(low, high, 1025)
    return t, path.inner(t)


class Meeting(enum.Enum):
    """What happens at a kink."""

    vanishes = "the neuron is zero"
    parallel = "two neurons are parallel"
    antiparallel = "two neurons are antiparallel"


@dataclasses.dataclass(frozen=True)
class Event:
    """One neuron, or two, that make a kink."""

    meeting: Meeting
    student: int
    other: int | None = None
    """The second neuron."""
    is_teacher: bool = False
    """Whether that is one of the teacher's."""


@dataclasses.dataclass(frozen=True)
class Kink:
    """A place on a path where the loss is not analytic."""

    at: float
    order: int
    """The lowest derivative in t that jumps: 1 where a neuron vanishes, 3 where two meet."""
    jump: float
    """That derivative after less that before; what all events at this place add up to."""
    events: tuple[Event, ...]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Slice(notebook.AbstractTable):
    """The loss along a path."""

    path: AbstractPath
    t: Float[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    kinks: tuple[Kink, ...]
    highest: tuple[float, float]
    """Where on [0, 1] the loss is largest, and that loss."""

    @property
    def ends(self) -> tuple[float, float]:
        """The loss at t = 0 and 1."""
        first, last = self.loss[np.searchsorted(self.t, (0.0, 1.0))]
        return float(first), float(last)

    @property
    def barrier(self) -> float:
        """The largest loss on [0, 1] less that at the higher end; 0 if there is none."""
        return max(self.highest[1] - max(self.ends), 0.0)

    def __repr__(self) -> str:
        first, last = self.ends
        return (
            f"Slice({type(self.path).__name__}, {len(self.t)} points: loss {first:.6g} to "
            f"{last:.6g}, barrier {self.barrier:.6g}, {len(self.kinks)} kinks)"
        )

    def _columns(self) -> notebook.Columns:
        return {"t": self.t, "loss": self.loss}

    def _notes(self) -> Sequence[str]:
        places = [f"{kink.at:.6g} (order {kink.order})" for kink in self.kinks]
        return [notebook.listed("Kinks at t =", places)]

    def to_xarray(self) -> Any:
        """An `xarray.Dataset` over t, neuron and input, of the students; and over kinks.

        **Raises.** `ValueError` if xarray is not installed.
        """
        arrays = {
            "loss": (("t",), self.loss),
            "inner": (("t", "neuron", "input"), self.path.inner(self.t)),
            "outer": (("t", "neuron"), self.path.outer(self.t)),
            "order": (("kink",), np.array([kink.order for kink in self.kinks], dtype=int)),
            "jump": (("kink",), np.array([kink.jump for kink in self.kinks], dtype=float)),
        }
        at = {"t": self.t, "kink": np.array([kink.at for kink in self.kinks], dtype=float)}
        return notebook.dataset(arrays, at, {"barrier": self.barrier})


def slice_along(
    loss: SquaredLoss,
    path: AbstractPath,
    *,
    points: int = 201,
    low: float | int = 0.0,
    high: float | int = 1.0,
) -> Slice:
    """The loss at evenly spaced times in [low, high], at both ends of the path, and at kinks.

    **Accuracy.** That of the loss; kinks to 1e-12 in t where neurons meet at a finite angle per
    time. The largest loss is that of the grid, improved by a search between its neighbours.

    **Raises.** `ValueError` unless low ≤ 0, high ≥ 1, points ≥ 2, and for students that do not fit
    the loss. **Cost.** points times that of the loss, and about 0.1 ms for each pair of neurons.
    """
    loss._check(path.first)
    if not (low <= 0 and high >= 1 and points >= 2):
        raise ValueError(
            f"A slice covers its path and has two points at least, but {low=}, {high=} and "
            f"{points=}. Use low <= 0, high >= 1, e.g. `low=-0.5, high=1.5`."
        )
    found = kinks(loss, path, low, high)
    t = np.unique(np.concatenate([np.linspace(low, high, points), [0, 1], [k.at for k in found]]))
    values = values_of(loss, path.inner(t), path.outer(t))
    inside = np.flatnonzero((t >= 0) & (t <= 1))
    best = inside[np.argmax(values[inside])]
    top = (float(t[best]), float(values[best]))
    bracket = t[max(best - 1, inside[0])], t[min(best + 1, inside[-1])]

    def minus(s: float) -> float:
        return -float(values_of(loss, path.inner(np.array([s])), path.outer(np.array([s])))[0])

    tried = scipy.optimize.minimize_scalar(minus, bounds=bracket, method="bounded")
    if -tried.fun > top[1]:
        top = (float(tried.x), -float(tried.fun))
    return Slice(path, t, values, found, top)


def kinks(
    loss: SquaredLoss, path: AbstractPath, low: float | int = 0.0, high: float | int = 1.0
) -> tuple[Kink, ...]:
    """The places in [low, high] where the loss along a path is not analytic, by increasing t.

    Pairs that are parallel all along make none. None at all for smooth activations.

    **Raises.** `ValueError` for laws without a closed form, under which the loss has a kink of its
    own for each point.
    """
    if loss.activation.is_smooth:
        return ()
    law, activation = loss.law, loss.activation
    if not isinstance(law, AbstractEllipsoidal) or not isinstance(activation, PiecewiseLinear):
        raise ValueError(
            f"Kinks are located for laws in closed form, but this is a {type(law).__name__}, "
            f"whose loss has kinks of its own. Use `Gaussian` or another elliptical law."
        )
    found = sorted(_events(loss, path, float(low), float(high)), key=lambda e: (e[0], e[1]))
    made: list[Kink] = []
    for at, order, jump, event in found:
        if made and at - made[-1].at <= 1e-10 and order == made[-1].order:
            last = made[-1]
            made[-1] = Kink(last.at, order, last.jump + jump, (*last.events, event))
        else:
            made.append(Kink(at, order, jump, (event,)))
    return tuple(made)


def _events(
    loss: SquaredLoss, path: AbstractPath, low: float, high: float
) -> Iterator[tuple[float, int, float, Event]]:
    teachers = np.asarray(loss.teacher.inner)
    k = path.first.inner.shape[0]
    scale = max(float(np.max(np.abs(np.asarray(n.inner)))) for n in (path.first, path.last))
    for i in range(k):
        for at in _vanishing(path, i, scale):
            if low <= at <= high:
                yield at, 1, _slope_jump(loss, path, i, at), Event(Meeting.vanishes, i)
    pairs: list[tuple[int, int, bool]] = [
        *((i, j, False) for i, j in itertools.combinations(range(k), 2)),
        *((i, j, True) for i in range(k) for j in range(len(teachers))),
    ]
    for i, j, is_teacher in pairs:
        other = teachers[j] if is_teacher else j
        if isinstance(other, np.ndarray) and not other.any():
            continue
        seen: list[float] = []
        for guess in path.closest(i, other, low, high):
            met = _meeting(loss, path, i, other, float(guess), scale)
            if met is None or not low - 1e-12 <= met[0] <= high + 1e-12:
                continue
            at = float(np.clip(met[0], low, high))
            if any(abs(at - s) <= 1e-9 for s in seen):
                continue
            seen.append(at)
            sign, size = met[1], met[2]
            heads = path.outer(np.array([at]))[0]
            theirs = -float(loss.teacher.outer[j]) if is_teacher else float(heads[j])
            kind = Meeting.parallel if sign > 0 else Meeting.antiparallel
            yield at, 3, float(heads[i]) * theirs * size, Event(kind, i, j, is_teacher)


def _vanishing(path: AbstractPath, i: int, scale: float) -> list[float]:
    """Times at which a neuron passes through zero; only straight lines do."""
    if not isinstance(path, Straight):
        return []
    a = np.asarray(path.first.inner)[i]
    p = np.asarray(path.last.inner)[i] - a
    if not p.any():
        return []
    at = -float(a @ p) / float(p @ p)
    return [at] if np.linalg.norm(a + at * p) <= _MEET * scale else []


def _slope_jump(loss: SquaredLoss, path: AbstractPath, i: int, at: float) -> float:
    t = np.array([at])
    w, heads = path.inner(t)[0], path.outer(t)[0]
    p = path.velocity(t)[0, i]
    w[np.linalg.norm(w, axis=1) <= _MEET * np.max(np.abs(p))] = 0.0
    everyone = jnp.asarray(np.concatenate([w, np.asarray(loss.teacher.inner)]))
    c = np.concatenate([heads, -np.asarray(loss.teacher.outer)])
    both = loss.law.gram(jnp.asarray(np.stack([p, -p])), everyone, loss.activation)
    return float(heads[i] * (c @ np.sum(np.asarray(both), axis=0)))


def _meeting(
    loss: SquaredLoss, path: AbstractPath, i: int, other: int | np.ndarray, t: float, scale: float
) -> tuple[float, int, float] | None:
    """When two neurons are parallel near a time, with which sign, and 2 |u||v| κ³ / π there.

    Gauss–Newton on the difference of unit vectors, which converges quadratically if they meet.
    """
    root = np.asarray(loss.law.whiten(jnp.eye(loss.law.inputs)))

    def unit(w: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        w, v = w @ root, v @ root
        size = float(np.linalg.norm(w))
        if size <= _MEET * scale:
            return w, v, 0.0
        return w / size, (v - (v @ w) * w / size**2) / size, size

    sign = 0
    for _ in range(50):
        now = np.array([t])
        w, v = path.inner(now)[0], path.velocity(now)[0]
        rows = [(w[i], v[i])]
        rows.append((w[other], v[other]) if isinstance(other, int) else (other, 0 * other))
        (x, dx, size), (y, dy, length) = (unit(a, b) for a, b in rows)
        if size == 0 or length == 0:
            return None
        sign = (1 if x @ y > 0 else -1) if sign == 0 else sign
        gap, rate = x - sign * y, dx - sign * dy
        speed = float(np.linalg.norm(rate))
        apart = float(np.linalg.norm(gap))
        if apart > _NEAR:
            return None
        if speed * max(1.0, abs(t)) <= _MEET:  # parallel all along, or never
            return None
        step = -float(gap @ rate) / speed**2
        if abs(step) <= 1e-14 * max(1.0, abs(t)):
            break
        t += step
        if not abs(t) < 1e6:
            return None
    if apart > _MEET:
        return None
    law, activation = loss.law, loss.activation
    assert isinstance(law, AbstractEllipsoidal)  # as `kinks` has seen
    assert isinstance(activation, PiecewiseLinear)
    share = activation.share * law.constant
    return t, sign, share * 2 * size * length * speed**3 / math.pi


def values_of(loss: SquaredLoss, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The loss of many students; batches are filled up, so that one compiled shape serves all."""
    made = []
    for i in range(0, len(inner), BATCH):
        index = np.minimum(np.arange(i, i + BATCH), len(inner) - 1)
        made.append(np.asarray(loss.value_at(jnp.asarray(inner[index]), jnp.asarray(outer[index]))))
    return np.concatenate(made)[: len(inner)]
