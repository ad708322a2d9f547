r"""Optima that are known in closed form.

Let h(t) = βt − β²/2 for t ≥ β and t²/2 below, y₊ = max(y, 0) and y₋ = max(−y, 0).

Where U′ of `NormalisedBefore` is a square orthonormal matrix (n ≤ d, rank of Pc X = n − 1) every
vector of length one is the preactivation of a neuron, and the dual asks for
$|v_+|, |v_-| \le \beta$. For the squared loss the optimum is h(|y₊|) + h(|y₋|), and two neurons
have it,

$$ f(X) = (1 - \beta/|y_+|)_+\, y_+ - (1 - \beta/|y_-|)_+\, y_-. $$
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from shallows.landscape.convex.losses import Squared
from shallows.landscape.convex.normalised import NormalisedBefore
from shallows.landscape.convex.programs import AbstractConvexProgram


@dataclasses.dataclass(frozen=True, eq=False)
class ClosedForm:
    """An optimum with its dual vector."""

    point: Float[np.ndarray, "2 P r"]
    value: float
    dual: Float[np.ndarray, " n"]


def huber_cost(length: float, beta: float) -> float:
    """The function h."""
    return beta * length - beta**2 / 2 if length >= beta else length**2 / 2


def is_spanning(program: AbstractConvexProgram) -> bool:
    """Whether `two_neurons` applies."""
    return (
        isinstance(program, NormalisedBefore)
        and isinstance(program.loss, Squared)
        and program.patches == 1
        and program.features.shape[1] == len(program.y)
    )


def two_neurons(program: NormalisedBefore) -> ClosedForm:
    """The optimum where normalised neurons reach every direction.

    All patterns occur there, but a program needs only those of y₊ and y₋.

    **Accuracy.** 1e-15 relative, times the condition number of U′ᵀU′, which is 1.

    **Raises.** `ValueError` where it does not apply.

    **Source.** Ergen et al. (2021), derived anew.
    """
    if not is_spanning(program):
        raise ValueError(
            f"The closed form needs the squared loss and n ≤ d points of rank n − 1 when centred, "
            f"but here n = {len(program.y)} and U′ has {program.width} columns. Use "
            f"`optimum(program)`, which chooses."
        )
    beta, point, value = program.beta, np.zeros(program.shape), 0.0
    dual = np.zeros_like(program.y)
    for sign, part in enumerate((np.maximum(program.y, 0), np.maximum(-program.y, 0))):
        length = float(np.linalg.norm(part))
        value += huber_cost(length, beta)
        if length == 0:
            continue
        dual -= (1 - 2 * sign) * min(1.0, beta / length) * part
        if length > beta:
            s = (1 - beta / length) * (program.features.T @ part)
            # Zeros of y₊ may be on either side.
            point[sign, _pattern(program, part)] = s
    return ClosedForm(point, value, dual)


def _pattern(program: NormalisedBefore, part: np.ndarray) -> int:
    """A pattern that is off nowhere where `part` is positive, and on only where it is not negative.

    Rounding moves U′U′ᵀ part off the walls it lies on, so that gates there are put to 0.
    """
    for mask in (part > 0, part >= 0):
        known = program.patterns.index.get(mask.tobytes())
        if known is not None:
            return known
    return program.pattern_of(program.features.T @ part)


def disjoint_cost(targets: Float[np.ndarray, "n c"], beta: float) -> float:
    r"""The optimum for several outputs whose targets overlap nowhere: $\sum_c h(|y_c|)$.

    Of each row of the targets at most one entry is not 0, as for one-hot labels, and U′ is square.
    The penalty is $\tfrac\beta2 \sum (\gamma^2 + \alpha^2 + |v|^2)$ with vectors v, and a column
    counts for its positive and its negative part. For nonnegative g of length one
    $|Z^\top g|^2 \le \sum_c |z_c|^2 |g_c|^2$ where supports are disjoint, so that
    $z_c = \min(1, \beta/|y_c|)\,y_c$ is feasible for the dual, and has this value.

    **Raises.** `ValueError` where a row has two entries that are not 0.
    """
    crowded = np.flatnonzero(np.count_nonzero(targets, axis=1) > 1)
    if len(crowded):
        raise ValueError(
            f"Targets must be nonzero for one output of each point at most, but point "
            f"{int(crowded[0])} has {np.count_nonzero(targets[crowded[0]])}. Use "
            f"`vector_bounds`."
        )
    parts = np.concatenate([np.maximum(targets, 0), np.maximum(-targets, 0)], axis=1)
    return sum(huber_cost(float(t), beta) for t in np.linalg.norm(parts, axis=0))
