r"""Basins of named minima: where the gradient flow goes from a distance r of the point.

A minimum that training never finds may have a small basin, or one that its starts miss. The two are
told apart by starts *on spheres* around the point c: which share of $c + r u$, u a unit matrix,
comes back to c? Directions u are uniform on the sphere, or chosen to be hard: along eigenvectors of
the smallest Hessian eigenvalue, or on the tangency arcs on which the loss rises least.
"""

import abc
import dataclasses
import functools
import itertools
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.atlas.census import Blocks, draws
from shallows.atlas.families import Member, member
from shallows.atlas.questions import method_words
from shallows.atlas.shares import clopper_pearson
from shallows.atlas.sorting import SAME, Sorter
from shallows.lab import AbstractPlace, Here, Record, Result, Store, Study, provenance, sweep
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, orthonormal
from shallows.model.network import positive_integer
from shallows.solve import AbstractMethod, GradientFlow, Outcome, endpoints
from shallows.solve.methods import positive

# Changes whenever the numbers in a record may move.
VERSION = 2
_BLOCK = 50
_LARGEST = 100
"""Neurons up to which dense Hessians and thousands of runs are feasible."""


class AbstractDirections(abc.ABC):
    """Where on a sphere around a critical point starts lie."""

    name: ClassVar[str]

    @abc.abstractmethod
    def count(self, name: str, neurons: int) -> int:
        """The number of starts on each sphere around this family's point."""

    @abc.abstractmethod
    def draw(
        self, origin: Member, radius: float, seed: int, numbers: np.ndarray
    ) -> Float[np.ndarray, "n k k"]:
        """The starts of these numbers, at this distance; NaN where a start does not exist."""


@dataclasses.dataclass(frozen=True)
class Uniform(AbstractDirections):
    """c + r u, with u uniform on the unit sphere of all matrices: the same u for each radius."""

    starts: int = 200
    name = "uniform"

    def count(self, name, neurons):
        """See `AbstractDirections`."""
        return self.starts

    def draw(self, origin, radius, seed, numbers):
        """See `AbstractDirections`."""
        c = centre(origin)
        return c + radius * _unit(_normal(seed, numbers, c.shape))


@dataclasses.dataclass(frozen=True)
class Softest(AbstractDirections):
    """c + r u, with u uniform on the unit sphere of the smallest eigenvalue's eigenspace.

    The eigenspace is one isotypic component: the directions in which the loss, to second order,
    rises least.
    """

    starts: int = 200
    name = "softest"

    def count(self, name, neurons):
        """See `AbstractDirections`."""
        return self.starts

    def draw(self, origin, radius, seed, numbers):
        """See `AbstractDirections`."""
        c, basis = centre(origin), _softest(origin.name, int(origin.neurons))
        normal = _normal(seed, numbers, c.shape).reshape(len(numbers), -1)
        # Projected rather than combined, so that it does not matter which basis LAPACK returns.
        return c + radius * _unit(((normal @ basis) @ basis.T).reshape(-1, *c.shape))


@dataclasses.dataclass(frozen=True)
class AlongArcs(AbstractDirections):
    """Points at distance r on the minimising tangency arcs, one start for each arc and half.

    On an arc the flow begins straight towards c (or away), and among all points at this distance
    the loss is stationary. Where an arc has ended before r, there is no start.
    """

    name = "arcs"

    def count(self, name, neurons):
        """See `AbstractDirections`."""
        return len(_minimising(name, neurons))

    def draw(self, origin, radius, seed, numbers):
        """See `AbstractDirections`."""
        found = _minimising(origin.name, int(origin.neurons))
        return np.stack([_on_arc(found[i].arc, radius) for i in numbers])


@dataclasses.dataclass(frozen=True)
class Ring:
    """What became of the starts at one distance from the point."""

    radius: float
    starts: int
    returned: int
    """Starts that ended in c itself, not in a relabelling of it."""
    ends: dict[str, int]
    """How many ended in which family, c's own included, most frequent first."""
    unsettled: dict[str, int]
    """How the starts that did not settle ended: outcome → count."""
    rise: float
    """The mean of L − L(c) over the starts."""

    @property
    def share(self) -> float:
        """That of the starts that returned; NaN for none."""
        return self.returned / self.starts if self.starts else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Clopper–Pearson interval."""
        return clopper_pearson(self.returned, self.starts) if self.starts else (0.0, 1.0)

    def as_json(self) -> dict[str, Any]:
        """As in the document of `shallows basin --json`."""
        return {
            **dataclasses.asdict(self),
            "share": self.share if self.starts else None,
            "interval": list(self.interval),
        }


@dataclasses.dataclass(frozen=True, repr=False)
class Basin(notebook.AbstractTable):
    """The share of starts that come back to a point, against their distance from it."""

    name: str
    neurons: int
    norm: float
    """|c|, in the Frobenius norm."""
    loss: float
    kind: str
    directions: str
    rings: tuple[Ring, ...]
    """By increasing radius."""
    seconds: float
    provenance: dict[str, Any]

    @property
    def half_radius(self) -> float | None:
        """Where the share first falls through ½, linear between rings; None if it does not."""
        drawn = [ring for ring in self.rings if ring.starts]
        before, share = 0.0, 1.0
        for ring in drawn:
            if ring.share < 0.5:
                return before + (ring.radius - before) * (share - 0.5) / (share - ring.share)
            before, share = ring.radius, ring.share
        return None

    @property
    def half_bracket(self) -> tuple[float, float | None]:
        """Rings between which the share falls through ½, by their 95 % intervals.

        The last one up to which all intervals are above ½ (0 if there is none), and the first
        whose interval is below it (None likewise).
        """
        low, high = 0.0, None
        for ring in (ring for ring in self.rings if ring.starts):
            if ring.interval[0] <= 0.5:
                break
            low = ring.radius
        for ring in self.rings:
            if ring.starts and ring.interval[1] < 0.5:
                high = ring.radius
                break
        return low, high

    def as_json(self) -> dict[str, Any]:
        """As in the document of `shallows basin --json`."""
        return {
            "name": self.name,
            "neurons": self.neurons,
            "norm": self.norm,
            "loss": self.loss,
            "kind": self.kind,
            "directions": self.directions,
            "half_radius": self.half_radius,
            "half_bracket": list(self.half_bracket),
            "rings": [ring.as_json() for ring in self.rings],
            "seconds": self.seconds,
            "provenance": self.provenance,
        }

    def __repr__(self) -> str:
        half = self.half_radius
        return (
            f"Basin({self.name!r}, k = {self.neurons}, {self.directions}: {len(self.rings)} "
            f"distances{'' if half is None else f', half return from r = {half:.6g}'})"
        )

    def _columns(self) -> notebook.Columns:
        met = dict.fromkeys(name for ring in self.rings for name in ring.ends)
        return {
            "radius": [ring.radius for ring in self.rings],
            "starts": [ring.starts for ring in self.rings],
            "returned": [ring.returned for ring in self.rings],
            "share": [ring.share for ring in self.rings],
            "share_from": [ring.interval[0] for ring in self.rings],
            "share_to": [ring.interval[1] for ring in self.rings],
            "rise": [ring.rise for ring in self.rings],
            **{f"ends_{name}": [ring.ends.get(name, 0) for ring in self.rings] for name in met},
            "unsettled": [sum(ring.unsettled.values()) for ring in self.rings],
        }


def basin(
    name: str,
    neurons: int,
    radii: Sequence[float | int],
    directions: AbstractDirections | None = None,
    *,
    method: AbstractMethod | None = None,
    seed: int = 0,
    store: Store | None = None,
    on: AbstractPlace | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> Basin:
    """Start at distances `radii` from a family's point and see where training goes.

    Each start is followed by `method` (default: the gradient flow) as in a census. It has
    *returned* if it ends within 1e-6 |c| of c; other ends are families up to relabelling, named as
    in a census, with a suffix `#2` where two have one name. `directions` defaults to
    `Uniform(200)`.

    **Convention.** Start i has the same direction for each radius and, at one size, for each
    family, so that curves are compared start by start.

    **Resuming.** As for a census: records of 50 starts go to `store`, what is there is not computed
    again, and more starts or radii reuse all there is. `progress` is called with the number of
    starts done, and of all.

    **Accuracy.** A share is that of the starts, and comes with its interval; under `AlongArcs` it
    is a count of arcs. Points of arcs are interpolated between those traced, which is no source
    of error for the runs: they are points at that distance.

    **Raises.** `ValueError` where there is no such family, or none of this size, for more than 100
    neurons, for radii that are not positive, and no radius; for `global` and `AlongArcs`
    as `arcs`. **Cost.** At k = 10 about 25 ms a start, at k = 20 50 ms.
    """
    k = positive_integer("neurons", neurons, most=_LARGEST)
    if not len(radii):
        raise ValueError("There are no radii to start at. Pass some, e.g. `(0.5, 1, 2)`.")
    distances = sorted({float(positive("radii", float(r))) for r in radii})
    where = Uniform() if directions is None else directions
    how = GradientFlow() if method is None else method
    origin = member(name, k)
    each = positive_integer("starts", where.count(name, k))
    study = Study("basin", VERSION, _Measure(where, how))
    question = {
        "name": name,
        "neurons": k,
        "directions": where.name,
        "optimiser": method_words(how),
        "seed": int(seed),
    }
    total, done, seconds = each * len(distances), 0, 0.0
    sorter = _Sorter(origin)
    tallies = {radius: _Tally(radius) for radius in distances}

    with tempfile.TemporaryDirectory() as scratch:
        kept = Store(scratch) if store is None else store
        known = set(kept.keys(study))
        # One sweep of all, since whoever computes elsewhere starts, and compiles, once for each.
        rings = (
            Blocks(study, {**question, "radius": radius}, each, _BLOCK, known)
            for radius in distances
        )
        cases = list(itertools.chain.from_iterable(rings))
        for record in sweep(study, cases, kept, on=on or Here()):
            sorter.add(record, tallies[record.case.data["radius"]])
            seconds += float(record.values["seconds"])
            done += int(record.case.data["count"])
            if progress is not None:
                progress(done, total)
    names = sorter.names()
    return Basin(
        name=origin.name,
        neurons=k,
        norm=float(np.linalg.norm(centre(origin))),
        loss=origin.value,
        kind=origin.kind().value,
        directions=where.name,
        rings=tuple(tally.ring(names) for tally in tallies.values()),
        seconds=seconds,
        provenance=provenance(
            precision="float64",
            device=jax.devices()[0].platform,
            seed=int(seed),
            **({} if store is None else {"store": str(store.folder)}),
        ),
    )


@dataclasses.dataclass(frozen=True)
class _Measure:
    """Follow one block of starts at one radius."""

    directions: AbstractDirections
    method: AbstractMethod

    def __call__(self, case: dict[str, Any]) -> Result:
        began = time.perf_counter()
        k, first, count = case["neurons"], case["first"], case["count"]
        loss, origin = _problem(k), member(case["name"], k)
        numbers = np.arange(first, first + count)
        drawn = self.directions.draw(origin, case["radius"], case["seed"], numbers)
        exists = np.isfinite(drawn).all(axis=(1, 2))
        # What does not exist is c for the while, so that one compiled shape serves all blocks.
        inner = np.where(exists[:, None, None], drawn, centre(origin))
        outer, keys = np.ones((count, k)), jax.random.split(jax.random.key(case["seed"]), count)
        rise = np.asarray(loss.value_at(jnp.asarray(inner), jnp.asarray(outer))) - origin.value
        runs = endpoints(loss, inner, outer, self.method, keys=keys)
        ends = [e for e in sorted(runs, key=lambda end: end.start) if exists[e.start]]
        table = {
            "start": numbers[exists],
            "rise": rise[exists],
            "outcome": np.array([e.outcome.name for e in ends], dtype=str),
            "loss": np.array([e.loss for e in ends], dtype=float),
            "gradient_norm": np.array([e.gradient_norm for e in ends], dtype=float),
            "steps": np.array([e.steps for e in ends], dtype=int),
            "inner": np.array([e.inner for e in ends], dtype=float).reshape(len(ends), k * k),
        }
        return Result(
            {"seconds": time.perf_counter() - began, "starts": len(ends)},
            table if len(ends) else None,
            {"precision": "float64", "device": jax.devices()[0].platform, "seed": case["seed"]},
        )


@dataclasses.dataclass
class _Tally:
    """A ring in the making."""

    radius: float
    starts: int = 0
    returned: int = 0
    rise: float = 0.0
    ends: Counter = dataclasses.field(default_factory=Counter)
    unsettled: Counter = dataclasses.field(default_factory=Counter)

    def ring(self, names: dict[int, str]) -> Ring:
        """The finished ring, with the names of the families that it has met."""
        ends = Counter({names[first]: n for first, n in self.ends.items()})
        return Ring(
            radius=self.radius,
            starts=self.starts,
            returned=self.returned,
            ends=dict(ends.most_common()),
            unsettled=dict(self.unsettled),
            rise=self.rise / self.starts if self.starts else math.nan,
        )


class _Sorter:
    """Sorts ends into families with a census' catalogue, in which c is the first."""

    def __init__(self, origin: Member):
        self.centre = centre(origin)
        self.sorter = Sorter(_problem(int(origin.neurons)))
        self.met = 0
        ones = np.ones(len(self.centre))
        self.sorter.place(self.centre, ones, origin.value, -1, 0, origin.gradient_norm)
        self.norm = float(np.linalg.norm(self.centre))

    def add(self, record: Record, tally: _Tally) -> None:
        """Count the ends in a record."""
        table, k = record.table, len(self.centre)
        if table is None:  # no arc reaches this far
            return
        for row in range(len(table["start"])):
            tally.starts += 1
            tally.rise += float(table["rise"][row])
            outcome = str(table["outcome"][row])
            if outcome not in (Outcome.settled.name, Outcome.reached_zero.name):
                tally.unsettled[outcome] += 1
                continue
            inner = table["inner"][row].reshape(k, k)
            tally.returned += bool(np.linalg.norm(inner - self.centre) <= SAME * self.norm)
            self.met += 1
            found = self.sorter.place(
                inner,
                np.ones(k),
                float(table["loss"][row]),
                self.met,
                int(table["steps"][row]),
                float(table["gradient_norm"][row]),
            )
            tally.ends[found.start] += 1

    def names(self) -> dict[int, str]:
        """What families are called, by the number of the end that met them first."""
        return {family.first_start: family.name for family in self.sorter.families()}


def centre(origin: Member) -> Float[np.ndarray, "k k"]:
    """The matrix of a member, blocks one after the other."""
    return np.array(origin.blocks.embed(origin.weights), dtype=float)


@functools.lru_cache(maxsize=4)
def _problem(k: int) -> SquaredLoss:
    return SquaredLoss(orthonormal(k), Gaussian(k))


def _normal(seed: int, numbers: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(draws(jax.random.key(seed), numbers, shape)[0])


def _unit(u: np.ndarray) -> np.ndarray:
    return u / np.linalg.norm(u, axis=(1, 2), keepdims=True)


@functools.lru_cache(maxsize=4)
def _softest(name: str, k: int) -> np.ndarray:
    """An orthonormal basis of the smallest eigenvalue's eigenspace."""
    hessian = _problem(k).cell_hessian_at(jnp.asarray(centre(member(name, k))), jnp.ones(k))
    values, vectors = np.linalg.eigh(np.asarray(hessian))
    return vectors[:, values <= values[0] + 1e-8 * values[-1]]


@functools.lru_cache(maxsize=16)
def _minimising(name: str, k: int):
    # Arcs are an expensive question of their own, which other directions do not ask.
    from shallows.atlas.arcs import arcs

    return arcs(name, k, only_minimising=True, with_proofs=False)


def _on_arc(found, radius: float) -> np.ndarray:
    """The matrix at distance r from the arc's point; NaN where the arc does not come so far."""
    blocks = found.loss.blocks
    c, before = found.centre, found.centre
    reach = 0.0
    for point in _steps(found):
        if point.radius >= radius:
            part = (radius - reach) / (point.radius - reach)
            step = np.array(blocks.embed(before + part * (point.point - before)), dtype=float)
            away = step - np.array(blocks.embed(c), dtype=float)
            # On the sphere, from its chord.
            return step - away + radius * away / np.linalg.norm(away)
        before, reach = np.array([float(x) for x in point.point]), point.radius
    return np.full((len(blocks.embed(c)),) * 2, np.nan)


def _steps(found) -> Iterator[Any]:
    yield from found.points
    if found.last is not None:
        yield found.last
