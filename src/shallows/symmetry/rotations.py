r"""Rotations that leave the teacher in place, and the manifolds along which they move a student.

Under a law that is rotation invariant the loss is the same at $W$ and at $WU$ for every orthogonal
$U$ that fixes all teacher neurons: those of the complement of their span, $O(d - m)$. A student
whose neurons all lie in the span stays where it is. Any other one moves along an orbit, and a
critical point brings a whole manifold of critical points with it, along which the Hessian
vanishes.
"""

import numpy as np
from jaxtyping import Float


def rotation_tangents(
    student: Float[np.ndarray, "k d"], teacher: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n k d"]:
    """An orthonormal basis of the tangent space of the student's orbit; one k × d matrix each.

    They are the matrices W A for antisymmetric A on the complement of the teacher's span. At a
    critical point of a loss with that symmetry each lies in the null space of the Hessian.

    **Accuracy.** What is parallel to rounding counts as such: singular values below 1e-10 of the
    largest weight are zero. **Raises.** `ValueError` if student and teacher have other inputs.
    """
    if student.shape[1] != teacher.shape[1]:
        raise ValueError(
            f"Student and teacher live in different spaces: {student.shape[1]} inputs and "
            f"{teacher.shape[1]}. Embed the smaller one first."
        )
    k, d = student.shape
    free = complement(teacher)
    across = student @ free.T
    n = len(free)
    i, j = np.triu_indices(n, 1)
    turned = np.zeros((len(i), k, n))
    turned[np.arange(len(i)), :, j] = across[:, i].T
    turned[np.arange(len(i)), :, i] = -across[:, j].T
    tangents = (turned @ free).reshape(len(i), k * d)
    _, sizes, basis = np.linalg.svd(tangents, full_matrices=False)
    floor = 1e-10 * float(np.max(np.abs(student), initial=0.0))
    return basis[sizes > floor].reshape(-1, k, d)


def orbit_dimension(student: Float[np.ndarray, "k d"], teacher: Float[np.ndarray, "m d"]) -> int:
    r"""The dimension of the student's orbit under rotations that fix the teacher.

    With r the rank of the student's part outside the span of the teacher, and n the dimension of
    the complement, it is that of the r-frames in n dimensions: $rn - r(r + 1)/2$.

    **Accuracy.** The rank is numerical, at 1e-10 of the largest weight.
    """
    free = complement(teacher)
    floor = 1e-10 * float(np.max(np.abs(student), initial=0.0))
    rank = int(np.linalg.matrix_rank(student @ free.T, tol=floor)) if len(free) else 0
    return rank * len(free) - rank * (rank + 1) // 2


def complement(vectors: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n d"]:
    """An orthonormal basis of the orthogonal complement of the span, in rows."""
    _, sizes, basis = np.linalg.svd(vectors, full_matrices=True)
    rank = int(np.sum(sizes > 1e-10 * max(float(np.max(sizes, initial=0.0)), 1e-300)))
    return basis[rank:]
