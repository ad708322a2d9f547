r"""Two ReLU neurons and two teachers in one plane: where no critical point can be.

Let $e_1, e_2$ be the directions of the students, and for a unit vector $w$ at angles $\theta_i$
from them

$$ M_{ij}(w) = (\pi - \theta_i)\,(w \cdot e_j) + \sin\theta_i\,(e_i \cdot e_j), $$

which is $2\pi$ times the component along $e_j$ of the teacher $w$'s pull on student i. The
components along the students' own directions ($i = j$) vanish for one choice of their lengths;
put into the other two, $\sum_k |w^\star_k|\, L(w^\star_k) = 0$ remains, with a vector
$L(w) = (L_{12}, L_{21})$ that depends on directions only. Where all teachers give one component the
same sign there is no critical point in the plane.

**Source.** Tian (2017), 1703.00560, section 5 in our reading of the released code.
"""

import numpy as np
from jaxtyping import Float


def directions(angles: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 2"]:
    """Unit vectors of the plane at these angles from the first axis."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def planar_residual(
    first: Float[np.ndarray, " 2"],
    second: Float[np.ndarray, " 2"],
    teacher: Float[np.ndarray, "*n 2"],
) -> Float[np.ndarray, "*n 2"]:
    r"""The pair $(L_{12}, L_{21})$ for students of directions e₁, e₂ and teachers of unit length.

    **Convention.** As in the module's text: $2\pi$ times a component of $-\nabla L$, for one
    teacher of length 1 and students of the lengths that make the other components vanish.

    **Accuracy.** About 1e-15 over the squared sine of the students' angle.

    **Raises.** `ValueError` for parallel students, whose lengths are not determined.
    """
    e = np.stack([first, second])
    if abs(e[0, 0] * e[1, 1] - e[0, 1] * e[1, 0]) < 1e-12:
        raise ValueError(
            f"The two students are parallel, {first.tolist()} and {second.tolist()}, so that their "
            f"lengths are not determined. Take two different directions."
        )
    own, other = _pulls(e, e)
    mine, theirs = _pulls(e, np.asarray(teacher, dtype=float))
    lengths = np.linalg.solve(own.T, mine[..., None])[..., 0]
    return theirs - lengths @ other


def _pulls(e, w):
    """The diagonal and the off-diagonal of M(w), for each w of a batch."""
    cosine = np.clip(w @ e.T, -1, 1)
    # atan2: arccos loses half the digits where a teacher is parallel to a student.
    sine = np.abs(w[..., None, 0] * e[:, 1] - w[..., None, 1] * e[:, 0])
    supplement = np.arctan2(sine, -cosine)
    between = e[0] @ e[1]
    return supplement * cosine + sine, supplement * cosine[..., ::-1] + sine * between


def is_inside_cone(
    first: Float[np.ndarray, " 2"],
    second: Float[np.ndarray, " 2"],
    teacher: Float[np.ndarray, "*n 2"],
) -> np.ndarray:
    """Whether a vector of the plane is a positive combination of two others, not parallel."""
    combination = np.linalg.solve(
        np.stack([first, second], axis=-1), np.asarray(teacher)[..., None]
    )
    return np.all(combination[..., 0] > 0, axis=-1)
