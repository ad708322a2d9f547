r"""A census of a landscape: which critical points training finds, and how often."""

import dataclasses
import math
import tempfile
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from shallows.atlas.catalogue import Census, Curve
from shallows.atlas.questions import digest, law_words, method_words, promoted, teacher_words
from shallows.atlas.sorting import Pile, Sorter
from shallows.lab import AbstractPlace, Case, Here, Result, Store, Study, key, provenance, sweep
from shallows.landscape import SquaredLoss
from shallows.model import Network, ShiftedGaussian, relu
from shallows.model.network import positive_integer
from shallows.solve import (
    AbstractMethod,
    GradientDescent,
    GradientFlow,
    endpoints,
    recorded,
    teacher_power,
)
from shallows.solve.methods import check_loss_and_method, positive

# Changes whenever the numbers in a record may move.
VERSION = 2
# The flow's have, since its steps no longer lead a neuron past zero.
_FLOW_VERSION = 3

# More would not fit into memory as a list of blocks; at 1 ms a start they take three hours.
MOST_STARTS = 10**7


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
    on `on` (where the blocks are computed: `Here()`, `Processes(n)` or `Cluster(…)`).

    **Kind.** From Hessian eigenvalues in floating point, resolved to 1e-9 of the largest: a
    `minimum` has none below that. With trained heads the k directions of rescaling are left out;
    under a `Sample` law it is the Hessian within the cell of activations.

    **Raises.** `ValueError` for a number of starts or neurons that is not a positive integer, for
    several outputs with fixed heads and another width than the teacher's, for more than 10⁷
    starts, and for a teacher whose root mean square is below 1e-5; `TypeError` for what is no
    loss or no method; `StoreError` for a folder that is not a store. **Cost.** At d = k = 20 about
    15 ms a start.
    """
    check_loss_and_method(loss, method)
    how = usual_method(loss) if method is None else method
    number = positive_integer("starts", starts, most=MOST_STARTS)
    k = loss.teacher.neurons if neurons is None else positive_integer("neurons", neurons)
    scale = 1 / math.sqrt(loss.law.inputs) if init is None else positive("init", init)
    _check_size_of_teacher(loss)
    if loss.teacher.outputs is not None and not loss.trained.is_everything:
        _check_fixed_heads(loss, k)
    if not isinstance(seed, int | np.integer) or not -(2**63) <= seed < 2**63:
        raise ValueError(f"`seed` must be an integer of at most 64 bits, but is {seed!r}. Use 0.")
    question = {
        "neurons": k,
        "inputs": loss.law.inputs,
        "teacher": teacher_words(loss.teacher),
        "law": law_words(loss.law),
        "trained": type(loss.trained).__name__,
        **({} if loss.activation == relu else {"activation": loss.activation.name}),
        **({} if loss.dropout is None else {"dropout": loss.dropout.retain}),
        "optimiser": method_words(how),
        "init": float(scale),
        "seed": int(seed),
    }
    problem = {**question, "digest": digest(loss)}
    size = 100 if k * loss.law.inputs <= 2500 else 20
    sorter = Sorter(loss)
    done = reused = damaged = 0

    def tick(settled: int) -> None:
        if progress is not None:
            progress(Pulse(min(done + settled, number), number, len(sorter.piles)))

    def watch(event) -> None:
        nonlocal reused, damaged
        reused, damaged = event.reused, event.recomputed
        if progress is not None and event.damaged:
            progress(Pulse(done, number, len(sorter.piles), event.damaged))

    place = Here() if on is None else on
    measure = Block(loss, how, k, float(scale), int(seed), tick if place == Here() else None)
    version = _FLOW_VERSION if isinstance(how, GradientFlow) else VERSION
    study = Study("census", version, measure)
    seconds = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        kept = Store(scratch) if store is None else store
        cases = Blocks(study, problem, number, size, set(kept.keys(study)))
        for record in sweep(study, cases, kept, on=place, progress=watch):
            sorter.add(record.table)
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
        settled=sorter.settled,
        seconds=seconds,
        families=sorter.families(measure.curve) if curves else sorter.families(),
        unsettled=dict(sorter.unsettled),
        provenance=provenance(
            precision="float64",
            device=jax.devices()[0].platform,
            seed=int(seed),
            blocks_reused=reused,
            damaged_recomputed=damaged,
            **promoted(loss),
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

    None for the ReLU, where `GradientDescent` has a published one: for inputs without a mean, and
    without dropout. With biases the largest eigenvalue at k = 10 is 4.96, and 5/k is beyond the
    stability limit.
    """
    is_published = (
        loss.activation == relu
        and not isinstance(loss.law, ShiftedGaussian)
        and loss.dropout is None
    )
    if is_published or not loss.is_smooth:
        return None
    hessian = loss.cell_hessian_at(loss.teacher.inner, loss.teacher.outer)
    return float(f"{1 / np.linalg.eigvalsh(hessian)[-1]:.2g}")


class Blocks(Sequence[Case]):
    """Starts 0, …, number − 1 in blocks of `size`, on a grid that does not depend on their number.

    What is kept of a block is two numbers, so that ten million starts are a megabyte and not as
    many cases.

    An earlier census with fewer starts has left its last block unfinished. What is known of a
    block is taken, and the rest of it is one more case: few records, and no start twice. Looking
    for what is known costs 2 ms a block, and nothing in an empty store.
    """

    def __init__(
        self, study: Study, problem: dict[str, Any], number: int, size: int, known: Collection[str]
    ):
        self.problem = problem
        firsts = array("q")
        for corner in range(0, number, size):
            first, end = corner, min(corner + size, number)
            while first < end:
                firsts.append(first)
                most = end - first
                parts = (
                    n for n in range(most, 0, -1) if key(study, self._block(first, n)) in known
                )
                first += next(parts, most) if known else most
        self.corners = array("q", [*firsts, number])

    def __len__(self) -> int:
        return len(self.corners) - 1

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        i = range(len(self))[i]
        return self._block(self.corners[i], self.corners[i + 1] - self.corners[i])

    def _block(self, first: int, count: int) -> Case:
        return Case({**self.problem, "first": first, "count": count})


@dataclasses.dataclass(frozen=True)
class Block:
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
        normal, keys = draws(root, numbers, shape)
        inner, outputs = self.init * np.asarray(normal), self.loss.teacher.outputs
        if outputs is None:
            return inner, np.ones((count, self.neurons)), keys
        if not self.loss.trained.is_everything:
            return inner, np.tile(np.asarray(self.loss.teacher.outer), (count, 1, 1)), keys
        # A root of their own, so that inner weights do not depend on the number of outputs.
        heads, _ = draws(jax.random.fold_in(root, 1), numbers, (self.neurons, outputs))
        return inner, np.asarray(heads) / math.sqrt(outputs), keys

    def __call__(self, case: dict[str, Any]) -> Result:
        """The record of a case."""
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
                **promoted(self.loss),
            },
        )

    def curve(self, pile: Pile) -> Curve:
        """The training curve of the start that represents a pile."""
        inner, outer, keys = self.starts(pile.start, 1)
        student = Network(inner[0], outer[0], activation=self.loss.activation)
        rows = recorded(self.loss, student, self.method, key=keys[0], until=pile.steps)
        return Curve(*(tuple(float(x) for x in row) for row in rows))


@partial(jax.jit, static_argnames="shape")
def draws(root, numbers, shape):
    """For each start number, standard normal weights and a key of its own."""
    each = jax.vmap(lambda i: jax.random.split(jax.random.fold_in(root, i)))(numbers)
    return jax.vmap(lambda key: jax.random.normal(key, shape))(each[:, 0]), each[:, 1]


# Size of the teacher, the root of E f², below which end points are not told apart.
_SMALL = 1e-5


def _check_size_of_teacher(loss: SquaredLoss) -> None:
    """Runs end at a gradient norm of 1e-12, which must be small against the teacher."""
    size = math.sqrt(max(2 * teacher_power(loss), 0.0))
    if size < _SMALL:
        raise ValueError(
            f"A census follows runs to a gradient norm of 1e-12, which says nothing where the root "
            f"mean square of the teacher is {size:.3g}. Multiply the teacher, or the inputs, so "
            f"that it is near 1: for the ReLU the landscape remains, up to a factor."
        )


def _check_fixed_heads(loss: SquaredLoss, neurons: int) -> None:
    m, outputs = loss.teacher.outer.shape
    if neurons != m:
        raise ValueError(
            f"With {outputs} outputs and heads that are not trained, students have the teacher's "
            f"heads, and so its {m} neurons, but {neurons} were asked for. Use {m}, or train all "
            f"weights."
        )
