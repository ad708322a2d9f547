r"""Critical points with neurons outside the span of an orthonormal teacher.

Such a student has components across, in the d − m inputs that the teacher does not see, and
rotations of those carry it into others of the same loss: critical points come in manifolds of the
dimension of the orbit, which is 0 where there is one input across only.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import scipy.optimize
from jaxtyping import Float

from shallows.solve import symmetric_point
from shallows.solve.symmetric_flow import symmetric_trajectory
from shallows.symmetry import Blocks, ReducedLoss, orthonormal_teacher
from shallows.symmetry.reduced import full_loss
from shallows.symmetry.rotations import complement, orbit_dimension, rotation_tangents

# Eigenvalues of size 1e-15 at critical points, against 1e-3 for those that are not zero.
_ZERO = 1e-8


@dataclasses.dataclass(frozen=True)
class OutOfPlane:
    """A critical point, and what the Hessian says about the manifold that it lies on."""

    weights: Float[np.ndarray, "k d"]
    loss: float
    gradient_norm: float
    across: float
    """Frobenius norm of the student's part outside the teacher's span."""
    zero_modes: int
    """Hessian eigenvalues below 1e-8 in size."""
    negative: int
    orbit: int
    """Dimension of the orbit under rotations that fix the teacher."""
    along: float
    """The largest second derivative along the orbit; zero to rounding."""


def out_of_plane(weights: Float[np.ndarray, "k d"], teachers: int | None = None) -> OutOfPlane:
    """What a critical point's Hessian says; the teacher is the first m inputs (default m = k)."""
    k, d = weights.shape
    m = k if teachers is None else teachers
    loss, teacher, point = full_loss(k, d, m), np.eye(m, d), weights.ravel()
    hessian = loss.hessian(point)
    tangents = rotation_tangents(weights, teacher).reshape(-1, k * d)
    values = np.linalg.eigvalsh(hessian)
    return OutOfPlane(
        weights=weights,
        loss=float(loss.value(point)),
        gradient_norm=float(np.linalg.norm(loss.gradient(point))),
        across=float(np.linalg.norm(weights @ complement(teacher).T)),
        zero_modes=int(np.sum(np.abs(values) < _ZERO)),
        negative=int(np.sum(values < -_ZERO)),
        orbit=orbit_dimension(weights, teacher),
        along=float(np.max(np.abs(tangents @ hessian), initial=0.0)),
    )


def simplex_point(neurons: int, inputs: int) -> OutOfPlane:
    r"""The critical point $w_i = x \sum_j v_j + q\,s_i$ with a regular simplex s across, k = m.

    It is the end of the flow among such students, which have three numbers in 2k inputs.

    **Raises.** `ValueError` for fewer than 2k − 1 inputs, in which there is no simplex across.
    """
    if neurons < 2 or inputs < 2 * neurons - 1:
        raise ValueError(
            f"A simplex of {neurons} vertices across {neurons} teachers needs 2 neurons and "
            f"2k - 1 = {2 * neurons - 1} inputs at least, but there are {inputs}. Take more inputs."
        )
    blocks = Blocks((neurons, neurons), rows=(1,), columns=(0, 1))
    loss = ReducedLoss(blocks, orthonormal_teacher(blocks, (0,)))
    start = [0.3, 0.4, -0.4 / (neurons - 1)]
    end = symmetric_trajectory(loss, start, tolerance=1e-8).points[-1]
    w = blocks.embed(symmetric_point(loss, end).point)
    # Coordinates of the k − 1 dimensions that the simplex spans, then as many zeros as it takes.
    across = w[:, neurons:] @ np.linalg.svd(w[:, neurons:])[2].T[:, : neurons - 1]
    made = np.zeros((neurons, inputs))
    made[:, : 2 * neurons - 1] = np.hstack([w[:, :neurons], across])
    return out_of_plane(made)


def out_of_plane_search(
    neurons: int, inputs: int, starts: int, seed: int = 0
) -> Iterator[OutOfPlane]:
    """Critical points of any index, by least squares on the gradient from random starts, k = m.

    Those in the plane of the teacher, and those with a zero neuron, are left out.
    """
    rng = np.random.default_rng(seed)
    loss = full_loss(neurons, inputs)
    for _ in range(starts):
        run = scipy.optimize.least_squares(
            loss.gradient,
            0.6 * rng.normal(size=neurons * inputs),
            jac=loss.hessian,
            max_nfev=200,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        w = run.x.reshape(neurons, inputs)
        settled = np.max(np.abs(run.fun)) < 1e-11 and np.min(np.linalg.norm(w, axis=1)) > 1e-3
        if settled and np.linalg.norm(w[:, neurons:]) > 1e-4:
            yield out_of_plane(w)
