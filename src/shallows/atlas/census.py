r"""A census of a landscape: which critical points training finds, and how often."""

import dataclasses
import hashlib
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg

from shallows.atlas.catalogue import Census, Curve, Family, Kind, Level
from shallows.atlas.naming import ZERO_LOSS, family_name
from shallows.lab import AbstractPlace, Case, Here, Result, Store, Study, key, provenance, sweep
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, Mixture, Network, Sample, ShiftedGaussian, relu
from shallows.model.network import positive_integer
from shallows.solve import (
    ZERO,
    AbstractMethod,
    GradientDescent,
    GradientFlow,
    Outcome,
    endpoints,
    has_continuum,
    recorded,
    teacher_power,
)
from shallows.solve.methods import positive
from shallows.symmetry import (
    Canonical,
    canonical,
    distance_up_to_relabelling,
    flipped_neurons,
)

# Changes whenever the numbers in a record may move.
VERSION = 2

# Frobenius distance, relative to the norm of the weights, below which two end points are one
# critical point. Safran, Yehudai & Shamir (2020) used 1e-6, too.
SAME = 1e-6

# More would not fit into memory as a list of blocks; at 1 ms a start they take three hours.
MOST_STARTS = 10**7

# Parameters above which the full spectrum of a Hessian is not computed, only its ends.
_FULL_SPECTRUM = 3000


@dataclasses.dataclass(frozen=True)
class Pulse:
    """How far a census has come."""

    starts: int
    total: int
    families: int
    damaged: str | None = None
    """The path of a damaged record that is being recomputed."""


def census(
    loss: SquaredLoss,
    starts: int,
    method: AbstractMethod | None = None,
    *,
    neurons: int | None = None,
    init: float | None = None,
    seed: int = 0,
    store: Store | None = None,
    on: AbstractPlace | None = None,
    progress: Callable[[Pulse], None] | None = None,
    curves: bool = True,
) -> Census:
    r"""Train from `starts` random students and return the catalogue of where they end.

    Start i is an inner matrix of independent normal entries of standard deviation `init` (default
    1/√d), drawn from (seed, i) alone, with heads 1; `neurons` defaults to the teacher's. For
    several outputs heads start as rows of independent normal entries of standard deviation 1/√o
    where they are trained, and are the teacher's, neuron by neuron, where not. Each is followed
    by `method` (default: `usual_method(loss)`) to a gradient norm of 1e-12 or less. End points
    that are relabellings of one another are one family.

    **Resuming.** Records go to `store` in blocks; what is there is not computed again, so the same
    call continues an interrupted census, and one with more starts reuses all those of one with
    fewer. The catalogue depends on the question alone, not on how often it was interrupted, nor
    on `on` (where the blocks are computed: `Here()` or `Processes(n)`).

    **Kind.** From Hessian eigenvalues in floating point, resolved to 1e-9 of the largest: a
    `minimum` has none below that. With trained heads the k directions of rescaling are left out;
    under a `Sample` law it is the Hessian within the cell of activations.

    **Raises.** `ValueError` for a number of starts or neurons that is not a positive integer, for
    several outputs with fixed heads and another width than the teacher's, and for more than 10⁷
    starts; `StoreError` for a folder that is not a store. **Cost.** At d = k = 20 about 15 ms a
    start.
    """
    how = usual_method(loss) if method is None else method
    number = positive_integer("starts", starts, most=MOST_STARTS)
    k = loss.teacher.neurons if neurons is None else positive_integer("neurons", neurons)
    scale = 1 / math.sqrt(loss.law.inputs) if init is None else positive("init", init)
    if loss.teacher.outputs is not None and not loss.trained.is_everything:
        _check_fixed_heads(loss, k)
    if not -(2**63) <= seed < 2**63:
        raise ValueError(f"`seed` must be an integer of at most 64 bits, but is {seed}. Use 0.")
    question = {
        "neurons": k,
        "inputs": loss.law.inputs,
        "teacher": _teacher_words(loss.teacher),
        "law": _law_words(loss.law),
        "trained": type(loss.trained).__name__,
        **({} if loss.activation == relu else {"activation": loss.activation.name}),
        "optimiser": _method_words(how),
        "init": float(scale),
        "seed": int(seed),
    }
    problem = {**question, "digest": digest(loss)}
    size = 100 if k * loss.law.inputs <= 2500 else 20
    catalogue = _Catalogue(loss)
    done = reused = damaged = 0

    def tick(settled: int) -> None:
        if progress is not None:
            progress(Pulse(min(done + settled, number), number, len(catalogue.members)))

    def watch(event) -> None:
        nonlocal reused, damaged
        reused, damaged = event.reused, event.recomputed
        if progress is not None and event.damaged:
            progress(Pulse(done, number, len(catalogue.members), event.damaged))

    place = Here() if on is None else on
    measure = _Block(loss, how, k, float(scale), int(seed), tick if place == Here() else None)
    study = Study("census", VERSION, measure)
    seconds = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        kept = Store(scratch) if store is None else store
        cases = _blocks(study, problem, number, size, set(kept.keys(study)))
        for record in sweep(study, cases, kept, on=place, progress=watch):
            catalogue.add(record.table)
            seconds += float(record.values["seconds"])
            done += int(record.case.data["count"])
            tick(0)
    return Census(
        question={
            **question,
            "optimiser": how.name,
            "method": question["optimiser"],
            "step": how.first_step(k),
            "teacher_neurons": loss.teacher.neurons,
            "starts": number,
        },
        starts=number,
        settled=catalogue.settled,
        seconds=seconds,
        families=catalogue.families(measure if curves else None),
        unsettled=dict(catalogue.unsettled),
        provenance=provenance(
            precision="float64",
            device=jax.devices()[0].platform,
            seed=int(seed),
            blocks_reused=reused,
            damaged_recomputed=damaged,
            **_promoted(loss),
            **({} if store is None else {"store": str(store.folder)}),
        ),
    )


def usual_method(loss: SquaredLoss) -> AbstractMethod:
    """How a census trains if it is not told: by the gradient flow, and by descent under a data set.

    Where the gradient jumps the flow slides along the kink in ever smaller steps until it has no
    more of them; descent crosses it, and settles or is seen to chatter.
    """
    return GradientFlow() if loss.is_smooth else GradientDescent()


def usual_step(loss: SquaredLoss) -> float | None:
    """The step of descent if it is not told: 1/λ_max of the Hessian at the teacher.

    None for the ReLU, where `GradientDescent` has a published one: for inputs without a mean. With
    biases the largest eigenvalue at k = 10 is 4.96, and 5/k is beyond the stability limit.
    """
    is_published = loss.activation == relu and not isinstance(loss.law, ShiftedGaussian)
    if is_published or not loss.is_smooth:
        return None
    hessian = loss.cell_hessian_at(loss.teacher.inner, loss.teacher.outer)
    return float(f"{1 / np.linalg.eigvalsh(hessian)[-1]:.2g}")


def _blocks(
    study: Study, problem: dict[str, Any], number: int, size: int, known: Collection[str]
) -> list[Case]:
    """Starts 0, …, number − 1 in blocks of `size`, on a grid that does not depend on their number.

    An earlier census with fewer starts has left its last block unfinished. What is known of a
    block is taken, and the rest of it is one more case: few records, and no start twice. Looking
    for what is known costs 2 ms a block, and nothing in an empty store.
    """

    def block(first: int, count: int) -> Case:
        return Case({**problem, "first": first, "count": count})

    cases = []
    for corner in range(0, number, size):
        first, end = corner, min(corner + size, number)
        while first < end:
            most = end - first
            parts = (n for n in range(most, 0, -1) if key(study, block(first, n)) in known)
            count = next(parts, most) if known else most
            cases.append(block(first, count))
            first += count
    return cases


@dataclasses.dataclass(frozen=True)
class _Block:
    """Train one block of starts: what a census measures."""

    loss: SquaredLoss
    method: AbstractMethod
    neurons: int
    init: float
    seed: int
    tick: Callable[[int], None] | None = None

    def starts(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        """Inner weights, heads and keys of starts first, …, first + count − 1."""
        shape = (self.neurons, self.loss.law.inputs)
        root, numbers = jax.random.key(self.seed), np.arange(first, first + count)
        normal, keys = _draws(root, numbers, shape)
        inner, outputs = self.init * np.asarray(normal), self.loss.teacher.outputs
        if outputs is None:
            return inner, np.ones((count, self.neurons)), keys
        if not self.loss.trained.is_everything:
            return inner, np.tile(np.asarray(self.loss.teacher.outer), (count, 1, 1)), keys
        # A root of their own, so that inner weights do not depend on the number of outputs.
        heads, _ = _draws(jax.random.fold_in(root, 1), numbers, (self.neurons, outputs))
        return inner, np.asarray(heads) / math.sqrt(outputs), keys

    def __call__(self, case: dict[str, Any]) -> Result:
        began = time.perf_counter()
        inner, outer, keys = self.starts(case["first"], case["count"])
        ends = []
        for end in endpoints(self.loss, inner, outer, self.method, keys=keys):
            ends.append(end)
            if self.tick is not None:
                self.tick(len(ends))
        ends.sort(key=lambda end: end.start)
        count = len(ends)
        table = {
            "start": np.array([case["first"] + e.start for e in ends]),
            "outcome": np.array([e.outcome.name for e in ends]),
            "loss": np.array([e.loss for e in ends]),
            "gradient_norm": np.array([e.gradient_norm for e in ends]),
            "steps": np.array([e.steps for e in ends]),
            "time": np.array([e.time for e in ends]),
            "polished": np.array([e.polished for e in ends]),
            "inner": np.array([e.inner for e in ends]).reshape(count, -1),
            "outer": np.array([e.outer for e in ends]).reshape(count, -1),  # rows end to end
        }
        outcomes = Counter(e.outcome.name for e in ends)
        return Result(
            {"seconds": time.perf_counter() - began, "outcomes": dict(outcomes)},
            table,
            {
                "precision": "float64",
                "device": jax.devices()[0].platform,
                "seed": self.seed,
                **_promoted(self.loss),
            },
        )


@partial(jax.jit, static_argnames="shape")
def _draws(root, numbers, shape):
    """For each start number, standard normal weights and a key of its own."""
    each = jax.vmap(lambda i: jax.random.split(jax.random.fold_in(root, i)))(numbers)
    return jax.vmap(lambda key: jax.random.normal(key, shape))(each[:, 0]), each[:, 1]


@dataclasses.dataclass
class _Member:
    """A family in the making."""

    point: Canonical
    inner: np.ndarray
    outer: np.ndarray
    loss: float
    start: int
    steps: int
    is_global: bool
    count: int = 1
    gradient_norm: float = 0.0
    spread: float = 0.0


class _Catalogue:
    """Families, filled block by block; the first start that finds a family represents it."""

    def __init__(self, loss: SquaredLoss):
        self.loss = loss
        teacher = loss.teacher
        # The geometry in which relabellings act is the law's; only there is the standard
        # basis as a teacher the standard basis.
        self.whiten = lambda w: np.asarray(loss.law.whiten(jnp.asarray(w)))
        self.parity = loss.activation.parity
        basis = np.asarray(teacher.inner)
        self.is_standard = (
            not isinstance(loss.law, Sample)
            and getattr(loss.law, "root", None) is None
            and np.array_equal(basis, np.eye(*basis.shape))
            and basis.shape[0] == basis.shape[1]
        )
        self.basis = None if self.is_standard else self.whiten(basis)
        heads = np.asarray(teacher.outer)
        self.teacher_heads = None if np.all(heads == 1) else heads
        # The problem whose families are known, so that names can be checked by the loss.
        self.has_families = (
            self.is_standard
            and isinstance(loss.law, Gaussian)
            and self.teacher_heads is None
            and teacher.outputs is None
            and not loss.trained.is_everything
            and loss.activation == relu
        )
        self.size = teacher_power(loss)
        self.members: list[_Member] = []
        self.unsettled: Counter[str] = Counter()
        self.settled = 0

    def add(self, table) -> None:
        """Sort the end points of a block into the families."""
        k = table["inner"].shape[1] // self.loss.law.inputs
        shape = (k,) if self.loss.teacher.outputs is None else (k, -1)
        for row in range(len(table["start"])):
            outcome = str(table["outcome"][row])
            if outcome not in (Outcome.settled.name, Outcome.reached_zero.name):
                self.unsettled[outcome] += 1
                continue
            self.settled += 1
            self.place(
                table["inner"][row].reshape(k, -1),
                table["outer"][row].reshape(shape),
                float(table["loss"][row]),
                int(table["start"][row]),
                int(table["steps"][row]),
                float(table["gradient_norm"][row]),
            )

    def place(self, inner, outer, loss, start, steps, size) -> _Member:
        """The family of an end point, which counts one more from now on."""
        rows, outer_up_to_sign = self._rows(inner, outer)
        has_heads = self.teacher_heads is not None or not np.all(outer_up_to_sign == 1)
        heads = outer_up_to_sign if has_heads else None
        theirs = None if heads is None else np.asarray(self.loss.teacher.outer)
        point = canonical(rows, self.basis, heads, theirs)
        # Zero loss with neurons or heads to spare is a continuum, and one family.
        has_valley = has_continuum(self.loss, inner.shape[0])
        is_global = loss <= (ZERO if has_valley else ZERO_LOSS) * self.size
        is_continuum = is_global and has_valley
        scale = float(np.linalg.norm(inner))
        for member in self.members:
            if is_continuum and member.is_global:
                distance = member.spread
            elif abs(member.loss - loss) > 1e-8 * self.size:
                continue
            else:
                distance = self._distance(member, point, rows, heads, theirs)
                if distance > SAME * scale:
                    continue
            member.count += 1
            member.gradient_norm = max(member.gradient_norm, size)
            member.spread = max(member.spread, distance)
            return member
        made = _Member(point, inner, outer, loss, start, steps, is_global, gradient_norm=size)
        self.members.append(made)
        return made

    def _distance(self, member, point, rows, heads, theirs) -> float:
        if self.is_standard and heads is None:
            quick = float(np.linalg.norm(member.point.inner - point.inner))
            if quick <= SAME:
                return quick
        known, outer = self._rows(member.inner, member.outer)
        return distance_up_to_relabelling(
            known, rows, self.basis, None if heads is None else outer, heads, theirs
        )

    def _rows(self, inner, outer) -> tuple[np.ndarray, np.ndarray]:
        """Neurons in the law's geometry, and heads, without the signs that cannot matter.

        For an even σ those of neurons and, as seen by a standard basis, those of inputs: what is
        left are absolute values. For an odd σ with trained heads, those of heads.
        """
        rows = inner if self.is_standard else self.whiten(inner)
        if self.parity > 0 and self.is_standard:
            return np.abs(rows), outer
        if self.parity > 0:
            largest = np.argmax(
                np.abs(rows) > (1 - 1e-6) * np.abs(rows).max(axis=1)[:, None], axis=1
            )
            return rows * np.sign(rows[np.arange(len(rows)), largest])[:, None], outer
        if self.parity < 0 and self.loss.trained.is_everything:
            signs = np.where(_leading(outer) < 0, -1.0, 1.0)
            return rows * signs[:, None], (outer.T * signs).T
        return rows, outer

    def families(self, block: _Block | None) -> tuple[Family, ...]:
        """The finished catalogue, most frequent first."""
        seen: Counter[str] = Counter()
        made = []
        for member in sorted(self.members, key=lambda m: (-m.count, m.loss)):
            family = self._family(member, block)
            seen[family.name] += 1
            if seen[family.name] > 1:
                family = dataclasses.replace(family, name=f"{family.name}#{seen[family.name]}")
            made.append(family)
        return tuple(made)

    def _family(self, member: _Member, block: _Block | None) -> Family:
        point, loss = member.point, self.loss
        flipped = flipped_neurons(self._rows(member.inner, member.outer)[0], self.basis)
        spectrum, kind = _spectrum(loss, member.inner, member.outer)
        if member.is_global and (len(member.outer) > loss.teacher.neurons or kind is Kind.saddle):
            kind = Kind.degenerate  # whatever the sign of an eigenvalue near zero
        inner = member.inner[point.neurons]
        if self.is_standard:
            inner = inner[:, point.inputs]
        return Family(
            name=family_name(
                point.isotropy,
                flipped,
                len(member.outer),
                loss.teacher.neurons,
                is_global=member.is_global,
                loss=member.loss if self.has_families else None,
            ),
            isotropy=point.isotropy.name,
            isotropy_order=point.isotropy.order,
            flipped=flipped,
            count=member.count,
            loss=max(member.loss, 0.0),  # rounding may leave a zero at -1e-15
            smallest_eigenvalue=spectrum[0].eigenvalue,
            kind=kind,
            gradient_norm=member.gradient_norm,
            weights=inner,
            outer=member.outer[point.neurons],
            spectrum=spectrum,
            curve=Curve((), (), ()) if block is None else _curve(block, member),
            first_start=member.start,
            spread=member.spread,
        )


def _curve(block: _Block, member: _Member) -> Curve:
    inner, outer, keys = block.starts(member.start, 1)
    rows = recorded(
        block.loss,
        Network(inner[0], outer[0], activation=block.loss.activation),
        block.method,
        key=keys[0],
        until=member.steps,
    )
    return Curve(*(tuple(float(x) for x in row) for row in rows))


def _spectrum(loss: SquaredLoss, inner, outer) -> tuple[tuple[Level, ...], Kind]:
    """Hessian eigenvalues in increasing order, grouped, and what they make of the point."""
    w, a = jnp.asarray(inner), jnp.asarray(outer)
    if loss.trained.join(w, a).size <= _FULL_SPECTRUM:
        hessian = np.asarray(loss.cell_hessian_at(w, a))
        if loss.trained.is_everything and loss.activation.is_homogeneous:
            slice_ = _slice(inner, outer)
            hessian = slice_.T @ hessian @ slice_
        values = np.linalg.eigvalsh(hessian)
    else:
        values = _ends(loss, w, a)
    largest = float(np.max(np.abs(values)))
    resolution = 1e-9 * largest
    if values[0] < -resolution:
        kind = Kind.saddle
    else:
        kind = Kind.minimum if values[0] > resolution else Kind.degenerate
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > 1e-8 * largest)
    groups = np.split(values, starts[1:])
    return tuple(Level(float(np.mean(g)), len(g)) for g in groups), kind


def _leading(outer) -> np.ndarray:
    """Outer weights, or of rows the entry of largest absolute value."""
    rows = outer.reshape(len(outer), -1)
    return rows[np.arange(len(rows)), np.argmax(np.abs(rows), axis=1)]


def _check_fixed_heads(loss: SquaredLoss, neurons: int) -> None:
    m, outputs = loss.teacher.outer.shape
    if neurons != m:
        raise ValueError(
            f"With {outputs} outputs and heads that are not trained, students have the teacher's "
            f"heads, and so its {m} neurons, but {neurons} were asked for. Use {m}, or train all "
            f"weights."
        )


def _slice(inner, outer) -> np.ndarray:
    """An orthonormal basis of the directions that do not rescale a neuron (a/s, s w)."""
    k, d = inner.shape
    heads = outer.reshape(k, -1)
    tangents = np.zeros((k, k, d + heads.shape[1]))
    tangents[np.arange(k), np.arange(k), :d] = inner
    tangents[np.arange(k), np.arange(k), d:] = -heads
    return scipy.linalg.null_space(tangents.reshape(k, -1))


def _ends(loss: SquaredLoss, w, a) -> np.ndarray:
    """The six smallest and the six largest eigenvalues, by Lanczos; no dense Hessian."""
    shape = loss.trained.join(w, a).shape
    size = math.prod(shape)

    def product(x):
        return np.asarray(loss.product_at(w, a, x.reshape(shape))).ravel()

    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=product, dtype=float)
    first = np.cos(np.arange(size))  # a fixed start: the same answer every time
    both = scipy.sparse.linalg.eigsh(
        operator, k=12, which="BE", v0=first, return_eigenvectors=False
    )
    return np.sort(both)


def _promoted(loss: SquaredLoss) -> dict[str, str]:
    """What was promoted to float64, for the record."""
    given = {"teacher": loss.teacher.given_as, "data": getattr(loss.law, "given_as", "float64")}
    low = [f"{what} given as {kind}" for what, kind in given.items() if kind != "float64"]
    if not low:
        return {}
    reason = "everything is computed in float64; the rounding of the input stays"
    return {"promoted": f"{', '.join(low)}: {reason}"}


def _teacher_words(teacher: Network) -> str:
    m, d = teacher.inner.shape
    standard = np.array_equal(teacher.inner, np.eye(m, d)) and np.all(
        np.asarray(teacher.outer) == 1
    )
    return f"orthonormal, {m} neurons" if standard else f"given, {m} neurons"


def _law_words(law) -> str:
    if isinstance(law, Sample):
        return f"sample of {law.size} points"
    if isinstance(law, ShiftedGaussian):
        constant = ", one input constant" if law.has_constant else ""
        return f"Gaussian with a mean{constant}"
    standard = type(law).__name__ == "Gaussian" and law.root is None
    return "standard Gaussian" if standard else type(law).__name__


def _method_words(method: AbstractMethod) -> str:
    fields = ", ".join(f"{f.name}={getattr(method, f.name)!r}" for f in dataclasses.fields(method))
    return f"{type(method).__name__}({fields})"


def digest(loss: SquaredLoss) -> str:
    """Identifies the numbers behind the words: teacher, law and what is trained."""
    words = [type(loss.law).__name__, type(loss.trained).__name__]
    if loss.activation != relu:
        words.append(repr(loss.activation))
    if isinstance(loss.law, Mixture):
        words.append(repr(loss.law))
    sha = hashlib.sha256(" ".join(words).encode())
    # The constant tells a sphere from a ball; it is no array.
    constant = getattr(loss.law, "constant", 1.0)
    for leaf in (*jax.tree.leaves((loss.teacher, loss.law)), np.float64(constant)):
        array = np.ascontiguousarray(leaf)
        sha.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    return sha.hexdigest()[:16]
