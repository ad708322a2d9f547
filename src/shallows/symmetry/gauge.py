"""Gauges: choices among the weights that one function has, for networks with several layers.

Signs of units with an odd or even activation, scales of units with a homogeneous one, and units
that no data point activates change nothing; without a choice they hide that two students are one.
"""

import math

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Float

from shallows.model import AbstractActivation
from shallows.model.deep import closed_sample


def without_signs(layers: list[np.ndarray], parity: int) -> list[np.ndarray]:
    """The layers of the same function with the signs of units chosen alike after any relabelling.

    For an odd activation a unit's incoming and outgoing weights may change sign together, except
    in the last layer, whose heads stay; for an even one the incoming ones alone. Chosen is the
    sign that makes the first sum of odd powers (of outgoing, incoming weights) positive that is
    not zero; where all are zero the sign stays.
    """
    made = [np.array(w) for w in layers]
    if parity > 0:
        return [_signs(w)[:, None] * w for w in made]
    if parity < 0:
        for l in range(len(made) - 2, -1, -1):  # from above, where signs are already chosen
            sign = _signs(made[l + 1].T)
            made[l] = sign[:, None] * made[l]
            made[l + 1] = made[l + 1] * sign
    return made


def _signs(rows: np.ndarray) -> np.ndarray:
    size = np.abs(rows).max() or 1.0
    signs = np.zeros(len(rows))
    for power in (1, 3, 5, 7):
        sums = np.sum((rows / size) ** power, axis=1)
        signs = np.where((signs == 0) & (np.abs(sums) > 1e-7), np.sign(sums), signs)
    return np.where(signs == 0, 1.0, signs)


def without_scales(
    layers: list[np.ndarray], activation: AbstractActivation, points: Float[np.ndarray, "n d"]
) -> tuple[list[np.ndarray], Float[np.ndarray, "p n"]]:
    """The layers of the same function with balanced units, and the directions that do not matter.

    For a positively homogeneous activation, incoming weights of a unit can be multiplied and
    outgoing ones divided by a number, except in the last layer, whose heads stay: balanced ones
    are as long as each other. A unit that no point of the data activates is set to zero on both
    sides. Directions are orthonormal columns, at the balanced layers.
    """
    made = [np.array(w) for w in layers]
    x, live = points, []
    for w in made:
        x = np.asarray(activation(jnp.asarray(x @ w.T)))
        live.append(np.any(x != 0, axis=0))
    for l, alive in enumerate(live):
        made[l][~alive] = 0
        if l + 1 < len(made):
            made[l + 1][:, ~alive] = 0
    for _ in range(100):  # until all layers agree
        moved = 0.0
        for l in range(len(made) - 1):
            into, out = np.linalg.norm(made[l], axis=1), np.linalg.norm(made[l + 1], axis=0)
            free = (into > 0) & (out > 0)
            scale = np.where(free, np.sqrt(np.where(free, out, 1) / np.where(free, into, 1)), 1.0)
            made[l] = scale[:, None] * made[l]
            made[l + 1] = made[l + 1] / scale
            moved = max(moved, float(np.max(np.abs(scale - 1))))
        if moved < 1e-14:
            break
    idle = []
    for l, w in enumerate(made):
        for unit, alive in enumerate(live[l]):
            change = [np.zeros_like(v) for v in made]
            if alive and l + 1 < len(made):
                change[l][unit], change[l + 1][:, unit] = w[unit], -made[l + 1][:, unit]
                idle.append(np.concatenate([v.ravel() for v in change]))
            elif not alive:
                change[l][unit] = 1
                if l + 1 < len(made):
                    change[l + 1][:, unit] = 1
                each = np.concatenate([v.ravel() for v in change])
                idle.extend(np.eye(len(each))[each > 0])
    size = sum(w.size for w in made)
    basis = scipy.linalg.orth(np.array(idle).T) if idle else np.zeros((size, 0))
    return made, basis


def by_relabelling(
    outputs: Float[np.ndarray, "n ..."],
    points: Float[np.ndarray, "n d"],
    mass: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "r m"]:
    """Outputs on a data set, up to relabelling of inputs: a row for each relabelling, sorted.

    One row where the points, with their masses, are not closed under relabelling as those of
    `closed_sample` are.
    """
    n, rest = divmod(len(points), math.factorial(points.shape[1]))
    closed = not rest and _is_closed(points, mass, n)
    rows = outputs.reshape(len(points) // n if closed else 1, -1)
    return rows[np.argsort(rows[:, 0])]


def _is_closed(points, mass, n) -> bool:
    whole = closed_sample(points[:n], mass[:n])
    same = np.asarray(whole.points).reshape(-1, points.shape[1])[: whole.size]
    return np.array_equal(points, same) and np.allclose(mass, np.tile(mass[:n], len(mass) // n))
