"""A census of networks with several hidden layers: what training finds, and its symmetry."""

import dataclasses
import hashlib
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from shallows.atlas.catalogue import AbstractFamily, Findings, Kind
from shallows.lab import Case, Here, Result, Store, Study, provenance, sweep
from shallows.landscape.deep import DeepLoss
from shallows.model.network import positive_integer
from shallows.solve import GradientDescent, GradientFlow, Outcome
from shallows.solve.flow import NO_CHECKPOINT, chatters
from shallows.solve.methods import positive
from shallows.symmetry.gauge import by_relabelling, without_scales, without_signs
from shallows.symmetry.layered import LayeredIsotropy, layered_isotropy, layered_order

VERSION = 2

_BLOCK = 20
_STRIDE = 100
# Gradient norm below which Newton's method is tried; after a failure, again at an eighth.
_HURDLE = 1e-3
_TOLERANCE = 1e-12
# Share of the teacher's power below which a loss is zero.
_ZERO = 1e-12
# Frobenius distance, relative to the weights, below which two end points are one.
_SAME = 1e-6


@dataclasses.dataclass(frozen=True, repr=False)
class DeepFamily(AbstractFamily):
    """A critical point of a deep loss up to relabelling, and how often training found it."""

    isotropy: LayeredIsotropy
    each_layer: tuple[str, ...]
    """The isotropy group of each layer by itself, of the relabellings of its two sides."""
    index: int | None
    """Of the isotropy in the target's ΔS_k; None where it is not conjugate to a subgroup."""
    symmetries: int | None
    """How many relabellings of the inputs leave its function on the data as it is, for data that
    are closed under them."""
    count: int
    loss: float
    is_global: bool
    smallest_eigenvalue: float
    kind: Kind
    gradient_norm: float
    layers: tuple[np.ndarray, ...]
    """The weights, relabelled, without the signs that cannot matter."""
    first_start: int

    @property
    def label(self) -> str:
        """Its isotropy group."""
        return self.isotropy.name

    def as_json(self) -> dict[str, Any]:
        """The entry of the document."""
        return {
            "isotropy": self.isotropy.name,
            "isotropy_order": self.isotropy.order,
            "is_diagonal": self.isotropy.is_diagonal,
            "ambiguous": self.isotropy.ambiguous,
            "index": self.index,
            "symmetries": self.symmetries,
            "each_layer": list(self.each_layer),
            "count": self.count,
            "loss": self.loss,
            "is_global": self.is_global,
            "smallest_eigenvalue": self.smallest_eigenvalue,
            "kind": self.kind.value,
            "gradient_norm": self.gradient_norm,
            "first_start": self.first_start,
            "layers": [w.tolist() for w in self.layers],
        }


@dataclasses.dataclass(frozen=True, repr=False)
class DeepCensus(Findings):
    """What training finds in a deep loss."""

    families: tuple[DeepFamily, ...]


def deep_census(
    loss: DeepLoss,
    starts: int,
    method: GradientFlow | GradientDescent | None = None,
    *,
    init: float = 1.0,
    seed: int = 0,
    store: Store | None = None,
    progress: Callable[[int], None] | None = None,
) -> DeepCensus:
    r"""Train from `starts` random students; end points up to relabelling, with their isotropy.

    Start i has independent normal entries of standard deviation `init`/√(units of the layer
    before), drawn from (seed, i) alone. Each is followed by `method` (default: the flow) until
    its gradient norm is 1e-12, or until Newton's method finishes it: its limit is taken if the
    Hessian is positive definite at every step and the gradient points away from the limit all
    along the segment that leads to it. That is evidence, not proof, that the flow would end there.

    **Symmetry.** With a sample closed under relabelling inputs and an `iterated` teacher the
    loss has the symmetry S_d × S_{k₁} × … exactly; for odd or even activations, signs of units
    are chosen so that they do not hide it, for homogeneous ones (relu, leaky) their scales.

    **Kinks.** On data the loss of a ReLU network is smooth cell by cell. A run that settles within
    a cell is a critical point like any other; one that is drawn to the border of cells, where the
    gradient jumps, chatters there and is counted as `at_kink`. Newton's method is not used.
    Eigenvalues are those of the cell's Hessian, but for the zeros of rescaling units and of units
    that no point activates. Descend with a fixed step: the flow's steps shrink at every kink.

    **Cost.** Seconds a start, for 500 points and 32 weights.
    """
    how = GradientFlow() if method is None else method
    number = positive_integer("starts", starts)
    scale = positive("init", init)
    fields = ", ".join(f"{f.name}={getattr(how, f.name)!r}" for f in dataclasses.fields(how))
    question = {
        "depth": loss.teacher.depth,
        "inputs": loss.law.inputs,
        "widths": list(loss.trained.widths[1:]),
        "activation": loss.activation.name,
        "points": loss.law.size,
        "optimiser": how.name,
        "method": f"{type(how).__name__}({fields})",
        "init": scale,
        "seed": int(seed),
    }
    problem = {**question, "digest": _digest(loss)}
    cases = [
        Case({**problem, "first": first, "count": min(_BLOCK, number - first)})
        for first in range(0, number, _BLOCK)
    ]
    measure = _Block(loss, how, scale, int(seed))
    found, seconds, done = _Found(loss), 0.0, 0
    with tempfile.TemporaryDirectory() as scratch:
        kept = Store(scratch) if store is None else store
        for record in sweep(Study("deep-census", VERSION, measure), cases, kept, on=Here()):
            found.add(record.table)
            seconds += float(record.values["seconds"])
            done += int(record.case.data["count"])
            if progress is not None:
                progress(done)
    return DeepCensus(
        question=question,
        starts=number,
        settled=sum(member["count"] for member in found.members),
        seconds=seconds,
        families=found.families(),
        unsettled=dict(found.unsettled),
        provenance=provenance(
            precision="float64", device=jax.devices()[0].platform, seed=int(seed)
        ),
    )


@dataclasses.dataclass(frozen=True)
class _Block:
    """Train one block of starts: what a deep census measures."""

    loss: DeepLoss
    method: GradientFlow | GradientDescent
    init: float
    seed: int

    def __call__(self, case: dict[str, Any]) -> Result:
        began = time.perf_counter()
        root = jax.random.key(self.seed)
        rows = [
            _draw(jax.random.fold_in(root, i), self.loss.trained, self.init)
            for i in range(case["first"], case["first"] + case["count"])
        ]
        theta, outcome, steps = _trained(self.loss, self.method, np.stack(rows))
        heads = jnp.zeros((len(theta), 1))
        slope = np.asarray(self.loss.gradient_at(jnp.asarray(theta), heads))
        table = {
            "start": case["first"] + np.arange(len(theta)),
            "outcome": np.array([o.name for o in outcome]),
            "loss": np.asarray(self.loss.value_at(jnp.asarray(theta), heads)),
            "gradient_norm": np.linalg.norm(slope[:, 0], axis=1),
            "steps": steps,
            "theta": theta[:, 0],
        }
        return Result({"seconds": time.perf_counter() - began}, table, {"precision": "float64"})


def _draw(key, trained, scale) -> np.ndarray:
    keys = jax.random.split(key, len(trained.shapes))
    layers = [
        scale / math.sqrt(shape[1]) * jax.random.normal(k, shape)
        for k, shape in zip(keys, trained.shapes, strict=True)
    ]
    return np.asarray(trained.join(layers))


def _trained(loss, how, theta) -> tuple[np.ndarray, list[Outcome], np.ndarray]:
    """Where starts end: the method's own loop, with a look at every lane between strides."""
    lanes = len(theta)
    state = how.begin(loss, jnp.asarray(theta), jnp.zeros((lanes, 1)), None)
    hurdle = np.full(lanes, _HURDLE)
    outcome: list[Outcome | None] = [None] * lanes
    checkpoint = [NO_CHECKPOINT] * lanes
    ends, spent = np.array(theta), np.zeros(lanes, dtype=np.int64)
    while None in outcome:
        going = np.array([o is None for o in outcome])
        state = how.advance(loss, state, np.where(going, _STRIDE, 0))
        now, slope, steps = (np.asarray(x) for x in (state.theta, state.slope, state.steps))
        size = np.linalg.norm(slope[:, 0], axis=1)
        for lane in np.flatnonzero(going):
            ends[lane], spent[lane] = np.nan_to_num(now[lane]), steps[lane]
            if not np.isfinite(size[lane]) or size[lane] > 1e12:
                outcome[lane] = Outcome.diverged
            elif size[lane] <= _TOLERANCE:
                outcome[lane] = Outcome.settled
            elif not loss.is_smooth:
                one = jax.tree.map(lambda leaf, lane=lane: np.asarray(leaf)[lane], state)
                checkpoint[lane], idle = chatters(loss, one, size[lane], checkpoint[lane])
                outcome[lane] = Outcome.at_kink if idle else None
            elif size[lane] <= hurdle[lane]:
                hurdle[lane] = size[lane] / 8
                end = _polished(loss, now[lane])
                if end is not None:
                    ends[lane], outcome[lane] = end, Outcome.settled
            if outcome[lane] is None and steps[lane] >= how.max_steps:
                outcome[lane] = Outcome.out_of_steps
    return ends, [o for o in outcome if o is not None], spent


def _polished(loss, start) -> np.ndarray | None:
    """The minimum that Newton's method finds, if a bowl without other points leads to it."""
    theta = start
    for _ in range(20):
        slope, (values, vectors) = _slope(loss, theta), np.linalg.eigh(_hessian(loss, theta))
        if not values[0] > 1e-10 * values[-1]:  # left the bowl, or it has a flat bottom
            return None
        if np.linalg.norm(slope) <= 1e-13 * max(1.0, float(np.linalg.norm(theta))):
            break
        theta = theta - (vectors @ ((vectors.T @ slope) / values))[None]
    else:
        return None
    way = start - theta
    inward = (np.vdot(_slope(loss, theta + s * way), way) for s in np.linspace(0.05, 1, 20))
    return theta if all(pull > 0 for pull in inward) else None


def _slope(loss, theta) -> np.ndarray:
    return np.asarray(loss.gradient_at(jnp.asarray(theta), jnp.zeros(1)))[0]


def _hessian(loss, theta) -> np.ndarray:
    return np.asarray(loss.hessian_at(jnp.asarray(theta)))


class _Found:
    """Families in the making; the first start that finds one represents it."""

    def __init__(self, loss: DeepLoss):
        self.loss = loss
        self.points, self.mass = _data(loss)
        targets, mass = np.asarray(loss.targets), np.asarray(loss.law.mass)
        self.power = float(np.sum(mass * np.sum(targets.reshape(*mass.shape, -1) ** 2, -1))) / 2
        self.members: list[dict[str, Any]] = []
        self.unsettled: Counter[str] = Counter()

    def add(self, table) -> None:
        """Sort the end points of a block into the families."""
        for row in range(len(table["start"])):
            if str(table["outcome"][row]) != Outcome.settled.name:
                self.unsettled[str(table["outcome"][row])] += 1
                continue
            theta = jnp.asarray(table["theta"][row][None])
            layers = [np.asarray(w) for w in self.loss.trained.layers(theta)]
            if self.loss.activation.is_homogeneous:
                layers, _ = without_scales(layers, self.loss.activation, self.points)
            layers = without_signs(layers, self.loss.activation.parity)
            order = layered_order(layers, np.asarray(self.loss.heads))
            layers = [w[order[l + 1]][:, order[l]] for l, w in enumerate(layers)]
            outputs = np.asarray(self.loss.student(theta)(jnp.asarray(self.points)))
            function = by_relabelling(outputs, self.points, self.mass)
            # Units of a ReLU network that are active together can be mixed: functions are counted.
            scaled = self.loss.activation.is_homogeneous
            flat = function.ravel() if scaled else np.concatenate([w.ravel() for w in layers])
            size = float(table["gradient_norm"][row])
            for member in self.members:
                if np.linalg.norm(member["flat"] - flat) <= _SAME * np.linalg.norm(flat):
                    member["count"] += 1
                    member["gradient_norm"] = max(member["gradient_norm"], size)
                    break
            else:
                self.members.append(
                    {
                        "flat": flat,
                        "layers": tuple(layers),
                        "symmetries": _symmetries(function),
                        "theta": theta,
                        "loss": float(table["loss"][row]),
                        "gradient_norm": size,
                        "first_start": int(table["start"][row]),
                        "count": 1,
                    }
                )

    def families(self) -> tuple[DeepFamily, ...]:
        """The finished catalogue, most frequent first."""
        ranked = sorted(self.members, key=lambda m: (-m["count"], m["loss"]))
        return tuple(self._family(member) for member in ranked)

    def _family(self, member) -> DeepFamily:
        heads = np.asarray(self.loss.heads)
        group = layered_isotropy(member["layers"], heads)
        values = np.linalg.eigvalsh(_on_what_matters(self.loss, member))
        resolution = 1e-9 * np.abs(values).max()
        kind = Kind.saddle if values[0] < -resolution else Kind.minimum
        if abs(values[0]) <= resolution:
            kind = Kind.degenerate
        whole = math.factorial(self.loss.law.inputs)
        return DeepFamily(
            isotropy=group,
            each_layer=tuple(layered_isotropy([w], np.ones(len(w))).name for w in member["layers"]),
            index=whole // group.order if group.is_diagonal else None,
            symmetries=member["symmetries"],
            count=member["count"],
            loss=max(member["loss"], 0.0),
            is_global=member["loss"] <= _ZERO * self.power,
            smallest_eigenvalue=float(values[0]),
            kind=kind,
            gradient_norm=member["gradient_norm"],
            layers=member["layers"],
            first_start=member["first_start"],
        )


def _data(loss) -> tuple[np.ndarray, np.ndarray]:
    """The points of a data set in rows, and their masses."""
    law = loss.law
    points = np.asarray(law.points).reshape(-1, law.inputs)[: law.size]
    return points, np.asarray(law.mass).ravel()[: law.size]


def _symmetries(rows) -> int | None:
    """How many rows are equal, in a set with as many copies of each: the order of a stabiliser."""
    if len(rows) == 1:
        return None
    away = np.linalg.norm(rows - rows[0], axis=1)
    return int(np.sum(away <= _SAME * np.linalg.norm(rows)))


def _on_what_matters(loss, member) -> np.ndarray:
    """The Hessian, where units can be rescaled on the complement of what that changes."""
    if not loss.activation.is_homogeneous:
        return _hessian(loss, member["theta"])
    points, _ = _data(loss)
    layers, idle = without_scales(list(member["layers"]), loss.activation, points)
    hessian = _hessian(loss, np.asarray(loss.trained.join([jnp.asarray(w) for w in layers])))
    rest = scipy.linalg.null_space(idle.T) if idle.shape[1] else np.eye(len(hessian))
    return rest.T @ hessian @ rest


def _digest(loss: DeepLoss) -> str:
    sha = hashlib.sha256(repr((loss.activation, loss.trained.widths)).encode())
    for leaf in jax.tree.leaves((loss.teacher, loss.law, loss.heads)):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return sha.hexdigest()[:16]
