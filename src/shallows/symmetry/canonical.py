"""One representative per class of relabelled students, and what alignment says about a student."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shallows import notebook
from shallows.model import Network
from shallows.symmetry.configuration import (
    ColouredGraph,
    check_tolerance,
    coloured_graph,
    configuration,
    entry_classes,
)
from shallows.symmetry.isotropy import Isotropy, isotropy_of_graph


@dataclass(frozen=True, eq=False, repr=False)
class Canonical(notebook.AbstractShown):
    """The representative of a student among all its relabellings, and how to get there.

    Two students that are relabellings of one another, up to noise well below the tolerance, have
    representatives that agree entrywise up to that noise, unless `isotropy.ambiguous`.

    **Convention.** Neuron i of the representative is `neurons[i]` of the student, and likewise
    for `inputs`. Neuron i sits at teacher neuron i, the one it is paired with: by the bijections
    between orbits first, then by large absolute overlaps. The largest orbits come first; among
    orbits of one size, those with the largest overlap with their partners. Student or teacher
    neurons without a partner come last. So type II shows its special neuron last.
    """

    neurons: Int[np.ndarray, " k"]
    inputs: Int[np.ndarray, " m"]
    inner: Float[np.ndarray, "k d"]
    """The relabelled student. For a teacher other than the standard basis its rows are
    reordered but live in the old input space, so they are canonical only up to an orthogonal
    map; compare `overlaps` and `gram`."""
    outer: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"]
    teacher: Float[np.ndarray, "m d"]
    """The relabelled teacher; the standard basis stays the standard basis."""
    teacher_outer: Float[np.ndarray, " m"] | Float[np.ndarray, "m o"]
    overlaps: Float[np.ndarray, "k m"]
    """The relabelled W Vᵀ; equal to `inner` for the standard basis."""
    gram: Float[np.ndarray, "k k"]
    """The relabelled W Wᵀ."""
    isotropy: Isotropy

    def __repr__(self) -> str:
        k, d = self.inner.shape
        return f"Canonical({k} neurons, {d} inputs, {self.isotropy!r})"

    def _picture(self) -> str:
        return notebook.picture_of(self.inner)


def canonical(
    inner: Network | Float[np.ndarray, "k d"],
    teacher_inner: Network | Float[np.ndarray, "m d"] | None = None,
    outer: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"] | None = None,
    teacher_outer: Float[np.ndarray, " m"] | Float[np.ndarray, "m o"] | None = None,
    *,
    tolerance: float = 1e-6,
) -> Canonical:
    """Choose the canonical representative of a student, and find its isotropy group.

    The order of the neurons is a function of the canonical labelling of the graph of entry
    classes, never of the entries themselves: noise cannot change it without changing a class.

    **Raises.** As `isotropy`.
    """
    check_tolerance(tolerance)
    checked = configuration(inner, teacher_inner, outer, teacher_outer)
    graph = coloured_graph(checked, tolerance)
    order = graph.canonical_order
    sizes = entry_classes(np.abs(checked.overlaps), tolerance)
    neurons, inputs = _aligned(graph, order[order < graph.k], order[order >= graph.k], sizes)
    inputs = inputs - graph.k
    if checked.teacher is None:
        rows, teacher = checked.inner[np.ix_(neurons, inputs)], np.eye(len(inputs))
    else:
        rows, teacher = checked.inner[neurons], checked.teacher[inputs]
    return Canonical(
        neurons=neurons,
        inputs=inputs,
        inner=rows,
        outer=checked.outer[neurons],
        teacher=teacher,
        teacher_outer=checked.teacher_outer[inputs],
        overlaps=rows @ teacher.T,
        gram=rows @ rows.T,
        isotropy=isotropy_of_graph(graph, checked, tolerance),
    )


def _aligned(
    graph: ColouredGraph,
    neurons: Int[np.ndarray, " k"],
    inputs: Int[np.ndarray, " m"],
    sizes: Int[np.ndarray, "k m"],
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " m"]]:
    """Reorder vertices that are in canonical order; `sizes` are the classes of |W Vᵀ|.

    Only integers that two relabelled students share are looked at, in canonical order, so that
    ties are resolved alike in both.
    """
    k, m = len(neurons), len(inputs)
    sizes = sizes[np.ix_(neurons, inputs - k)]
    fits = graph.pairing[np.ix_(neurons, inputs)].astype(np.int64)
    # Any bijection between orbits outweighs all sizes together.
    row, column = linear_sum_assignment(
        fits * (int(sizes.max()) + 1) * min(k, m) + sizes, maximize=True
    )
    partner = np.full(k, -1)
    partner[row] = column

    # Orbits are numbered by their first member in canonical order.
    crowd = np.bincount(graph.orbits)
    _, first, orbit = np.unique(graph.orbits[neurons], return_index=True, return_inverse=True)
    best = np.full(len(first), -1)
    np.maximum.at(best, orbit[row], graph.classes[neurons[row], inputs[column]])
    by_rank = np.lexsort(
        (np.arange(k), first[orbit], -best[orbit], -crowd[graph.orbits[neurons]], partner < 0)
    )
    paired = partner[by_rank][: len(row)]

    alone = np.setdiff1d(np.arange(m), paired)
    _, first, orbit = np.unique(graph.orbits[inputs], return_index=True, return_inverse=True)
    alone = alone[np.lexsort((alone, first[orbit[alone]], -crowd[graph.orbits[inputs[alone]]]))]
    return neurons[by_rank], inputs[np.concatenate([paired, alone])]


def distance_up_to_relabelling(
    first: Network | Float[np.ndarray, "k d"],
    second: Network | Float[np.ndarray, "k d"],
    teacher_inner: Network | Float[np.ndarray, "m d"] | None = None,
    first_outer: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"] | None = None,
    second_outer: Float[np.ndarray, " k"] | Float[np.ndarray, "k o"] | None = None,
    teacher_outer: Float[np.ndarray, " m"] | Float[np.ndarray, "m o"] | None = None,
    *,
    tolerance: float = 1e-6,
) -> float:
    r"""How far two students of one teacher are apart after a good relabelling.

    For the standard basis $\sqrt{\|P_\pi W P_\rho^T - W'\|_F^2 + \|P_\pi a - a'\|^2}$, where ρ
    keeps the teacher's outer weights. For another teacher, the distance between the student rows
    and teacher rows together after the best orthogonal map, where the teacher may be relabelled
    by its own symmetries.

    **Accuracy.** An upper bound on the minimum over all relabellings, found from both canonical
    forms and improved by alternating assignments. It is exact, zero up to noise, where the two
    are relabellings of one another and not `ambiguous` at the tolerance.

    **Raises.** `ValueError` if the students differ in shape, or as `isotropy`.
    """
    one, two = (
        canonical(w, teacher_inner, a, teacher_outer, tolerance=tolerance)
        for w, a in ((first, first_outer), (second, second_outer))
    )
    if one.inner.shape != two.inner.shape:
        raise ValueError(
            f"Students of different shapes cannot be relabelled into one another: first.shape="
            f"{one.inner.shape} but second.shape={two.inner.shape}. Add zero neurons to the "
            f"smaller one first."
        )
    if teacher_inner is None:
        return _distance_at_basis(one, two, tolerance)
    return _distance_at_teacher(one, two, tolerance)


def matched_distance(first: Float[np.ndarray, "k d"], second: Float[np.ndarray, "k d"]) -> float:
    """How far two students of the standard basis are apart after one good relabelling.

    Neurons are matched by their sorted entries, then inputs by what the neurons have there; heads
    are not looked at.

    **Accuracy.** An upper bound on the minimum over all relabellings. Zero up to noise for
    relabellings of one another if no two neurons have the same entries in another order, or all
    that do can be exchanged at will, as where the isotropy is a product of symmetric groups.

    **Cost.** At k = 6 a twentieth of `distance_up_to_relabelling`.
    """
    neurons = _assigned(cdist(np.sort(first, axis=1), np.sort(second, axis=1), "sqeuclidean"))[1]
    return _assigned(cdist(first.T, second[neurons].T, "sqeuclidean"))[0]


def _distance_at_basis(one: Canonical, two: Canonical, tolerance: float) -> float:
    """Alternate between the best relabellings of inputs and of neurons, from two starts."""
    heads = _apart(one.outer, two.outer)
    jumps = np.sqrt(_apart(one.teacher_outer, two.teacher_outer))
    barred = jumps > tolerance * np.abs(one.teacher_outer).max()

    def step(neurons: np.ndarray) -> tuple[float, np.ndarray]:
        # Row i of one is set against row neurons[i] of two; columns likewise.
        columns = cdist(one.inner.T, two.inner[neurons].T, "sqeuclidean")
        inputs = linear_sum_assignment(np.where(barred, np.inf, columns))[1]
        rows = cdist(one.inner, two.inner[:, inputs], "sqeuclidean") + heads
        return _assigned(rows)

    # Sorted rows ignore the order of the inputs: a start for students of different structure.
    profiles = cdist(np.sort(one.inner, axis=1), np.sort(two.inner, axis=1), "sqeuclidean")
    starts = np.arange(len(heads)), _assigned(profiles + heads)[1]
    return min(_descended(neurons, step) for neurons in starts)


def _distance_at_teacher(one: Canonical, two: Canonical, tolerance: float) -> float:
    """Alternate between the best orthogonal map and the best relabelling of student neurons."""
    heads = _apart(one.outer, two.outer)

    def distance(teacher: np.ndarray) -> float:
        """The bound when the teacher of one, in this order, is set against that of two."""

        def step(neurons: np.ndarray) -> tuple[float, np.ndarray]:
            # Orthogonal Procrustes for student and teacher together.
            left, _, right = np.linalg.svd(
                one.inner.T @ two.inner[neurons] + teacher.T @ two.teacher
            )
            rows = cdist(one.inner @ left @ right, two.inner, "sqeuclidean") + heads
            bound, neurons = _assigned(rows)
            return float(
                np.hypot(bound, np.linalg.norm(teacher @ left @ right - two.teacher))
            ), neurons

        overlaps = cdist(one.inner @ teacher.T, two.overlaps, "sqeuclidean")
        starts = np.arange(len(heads)), _assigned(overlaps + heads)[1]
        return min(_descended(neurons, step) for neurons in starts)

    # Every teacher neuron against itself; or as the canonical forms have it, if that is a symmetry.
    own = distance(one.teacher[np.argsort(one.inputs)[two.inputs]])
    strain = np.abs(one.teacher @ one.teacher.T - two.teacher @ two.teacher.T).max()
    jump = np.abs(one.teacher_outer - two.teacher_outer).max()
    is_symmetry = (
        strain <= 10 * tolerance * np.abs(two.teacher).max() ** 2 * two.teacher.shape[1]
        and jump <= 10 * tolerance * np.abs(two.teacher_outer).max()
    )
    return min(own, distance(one.teacher)) if is_symmetry else own


def _apart(mine: np.ndarray, theirs: np.ndarray) -> Float[np.ndarray, "k k"]:
    """Squared distances of outer weights, numbers or rows."""
    return cdist(mine.reshape(len(mine), -1), theirs.reshape(len(theirs), -1), "sqeuclidean")


def _assigned(cost: Float[np.ndarray, "k k"]) -> tuple[float, Int[np.ndarray, " k"]]:
    """Find the cheapest assignment; return the root of its cost, and the column of each row."""
    row, column = linear_sum_assignment(cost)
    return float(np.sqrt(cost[row, column].sum())), column


def _descended(
    neurons: Int[np.ndarray, " k"],
    step: Callable[[np.ndarray], tuple[float, np.ndarray]],
) -> float:
    """Repeat a step for as long as it brings the students nearer."""
    last = np.inf
    while True:
        distance, neurons = step(neurons)
        if distance >= last * (1 - 1e-9):
            return last
        last = distance


def flipped_neurons(
    inner: Network | Float[np.ndarray, "k d"],
    teacher_inner: Network | Float[np.ndarray, "m d"] | None = None,
) -> int:
    """How many student neurons point away from the teacher neuron they are matched with.

    Students are matched with teachers one to one, such that the sum of |cos ∠(w_i, v_j)| is as
    large as possible; a pair counts if its overlap is negative. If k > m, k − m students have no
    partner and are not counted; a zero row has cosine 0 with everything and is not counted.

    **Source.** The families A, I and II have k, k − 1 and 1 (facts of Arjevani and Field,
    2107.10370, computed anew).
    """
    return int(is_flipped(inner, teacher_inner).sum())


def is_flipped(
    inner: Network | Float[np.ndarray, "k d"],
    teacher_inner: Network | Float[np.ndarray, "m d"] | None = None,
) -> Bool[np.ndarray, " k"]:
    """Which student neurons those are; see `flipped_neurons`."""
    checked = configuration(inner, teacher_inner, None, None)
    overlaps = checked.overlaps
    lengths = np.linalg.norm(checked.inner, axis=1)[:, None]
    if checked.teacher is not None:
        lengths = lengths * np.linalg.norm(checked.teacher, axis=1)[None, :]
    cosines = np.divide(overlaps, lengths, out=np.zeros_like(overlaps), where=lengths > 0)
    row, column = linear_sum_assignment(np.abs(cosines), maximize=True)
    flags = np.zeros(len(overlaps), dtype=bool)
    flags[row] = cosines[row, column] < 0
    return flags
