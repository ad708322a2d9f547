"""Relabel one student so that it lies as near to another one as can be found."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shallows import notebook


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Alignment(notebook.AbstractShown):
    """A relabelled student, and how it was relabelled."""

    inner: Float[np.ndarray, "k d"]
    outer: Float[np.ndarray, " k"]
    neurons: Int[np.ndarray, " k"]
    """Neuron i of the relabelled student is `neurons[i]` of the one that was given."""
    inputs: Int[np.ndarray, " d"]
    """Likewise for inputs."""
    distance: float
    """To the other student, in the Frobenius norm of neurons and heads."""

    def __repr__(self) -> str:
        k, d = self.inner.shape
        return f"Alignment({k} neurons, {d} inputs, at distance {self.distance:.6g})"

    def _picture(self) -> str:
        return notebook.picture_of(self.inner)


def aligned(
    inner: Float[np.ndarray, "k d"],
    to: Float[np.ndarray, "k d"],
    outer: Float[np.ndarray, " k"] | None = None,
    to_outer: Float[np.ndarray, " k"] | None = None,
    *,
    move_inputs: bool = True,
    tries: int = 50,
    seed: int = 0,
) -> Alignment:
    r"""The student $P W Q^\top$, P and Q permutations, that is nearest to another one.

    Moving inputs is a symmetry of the loss if the teacher is the standard basis with equal
    heads and the law does not tell inputs apart; for any other teacher say `move_inputs=False`,
    which is one assignment problem and exact.

    **Accuracy.** Over both permutations it is a quadratic assignment problem: the result is the
    best of `tries` descents that improve neurons and inputs in turn, one from the given order,
    one by the neurons' sorted entries, and the others from random orders. It is never farther away
    than the student as given.

    **Raises.** `ValueError` for students of different shapes. **Cost.** `tries` times some
    assignments of k neurons and d inputs: 50 ms at k = d = 20.
    """
    w, other = np.asarray(inner, dtype=float), np.asarray(to, dtype=float)
    if w.shape != other.shape or w.ndim != 2:
        raise ValueError(
            f"Students of shapes {w.shape} and {other.shape} cannot be aligned. Add neurons or "
            f"inputs to the smaller one first."
        )
    k, d = w.shape
    a = np.ones(k) if outer is None else np.asarray(outer, dtype=float)
    b = np.ones(k) if to_outer is None else np.asarray(to_outer, dtype=float)
    heads = cdist(b[:, None], a[:, None], "sqeuclidean")

    def neurons_for(inputs: np.ndarray) -> np.ndarray:
        return linear_sum_assignment(cdist(other, w[:, inputs], "sqeuclidean") + heads)[1]

    def inputs_for(neurons: np.ndarray) -> np.ndarray:
        return linear_sum_assignment(cdist(other.T, w[neurons].T, "sqeuclidean"))[1]

    def distance(neurons: np.ndarray, inputs: np.ndarray) -> float:
        gap = np.linalg.norm(w[np.ix_(neurons, inputs)] - other)
        return float(np.hypot(gap, np.linalg.norm(a[neurons] - b)))

    def descended(neurons: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        inputs, last = np.arange(d), np.inf
        while True:
            if move_inputs:
                inputs = inputs_for(neurons)
            neurons = neurons_for(inputs)
            now = distance(neurons, inputs)
            if now >= last * (1 - 1e-12):
                return now, neurons, inputs
            last = now

    own = np.arange(k), np.arange(d)
    best = (distance(*own), *own)
    if move_inputs:
        draw = np.random.default_rng(seed)
        profile = cdist(np.sort(other, axis=1), np.sort(w, axis=1), "sqeuclidean") + heads
        starts = [own[0], linear_sum_assignment(profile)[1]]
        starts += [draw.permutation(k) for _ in range(tries - len(starts))]
    else:
        starts = [neurons_for(own[1])]
    for start in starts:
        best = min(best, descended(start), key=lambda found: found[0])
    _, neurons, inputs = best
    return Alignment(w[np.ix_(neurons, inputs)], a[neurons], neurons, inputs, best[0])
