"""Neurons measured again in the widest cells of the arrangement that they make.

Where hyperplanes are known, so is how long a step may be, and a slope is wrong by rounding over the
step. What neurons leave of the function is affine and takes one cell.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from shallows.solve.extraction.line_search import Neuron, as_sum, neuron_between
from shallows.solve.extraction.probes import Cell, Probe
from shallows.solve.extraction.relu_sums import ReluSum


def _candidates(probe: Probe, count: int) -> Float[np.ndarray, "n d"]:
    """Points that may lie in wide cells."""
    sizes = 2.0 ** probe.rng.uniform(-2, 4, (count, 1))
    return sizes * probe.rng.normal(size=(count, probe.inputs))


def _steps(known: ReluSum, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
    """The longest steps along the axes that stay in the cells of these points, with a margin."""
    if not known.neurons:
        return 1 + np.linalg.norm(x, axis=1)
    steepest = np.max(np.abs(known.normals), axis=1)
    return 0.7 * np.min(np.abs(known.distances(x)) / steepest, axis=1)


def with_rest(probe: Probe, known: ReluSum) -> ReluSum | None:
    """The neurons and the affine function that is left, measured in one wide cell."""
    x = _candidates(probe, 400)
    if 0 < known.neurons <= probe.inputs:
        sizes = 2.0 ** probe.rng.uniform(-1, 4, (20, 1))
        signs = probe.rng.choice([-1.0, 1.0], (20, known.neurons))
        x = np.vstack([x, _at(known, sizes * signs)])
    steps = _steps(known, x)
    quality = steps / probe.noise(x)
    for i in np.argsort(-quality)[:4]:
        cell = probe.cell(x[i], float(steps[i]), worst=1e-3, is_known=True)
        if cell is None:
            continue
        here = cell.point[None]
        active = known.distances(here)[0] > 0
        slope = cell.slope - known.heads[active].T @ known.normals[active]
        constant = cell.value - known(here)[0] - slope @ cell.point
        return dataclasses.replace(known, slope=slope, constant=constant)
    return None


def refined(
    probe: Probe, neurons: list[Neuron], progress: Callable[[float], object]
) -> list[Neuron]:
    """Neurons measured again between two wide cells on either side of their hyperplanes."""
    if not neurons:
        return []
    known = as_sum(neurons, probe.inputs, probe.oracle.outputs)
    fits = 3 * known.neurons <= 2 * probe.inputs
    pairs = _fans(probe, known) if fits else _pairs(probe, known)
    made = list(neurons)
    cells: dict[bytes, Cell | None] = {}
    for i, (neuron, ends) in enumerate(zip(neurons, pairs, strict=True)):
        progress(i / len(neurons))
        steps = _steps(known, ends)
        expected = np.sum(probe.noise(ends) / steps) * np.sqrt(probe.inputs)
        if expected / np.linalg.norm(neuron.head) > 0.5 * neuron.error:
            continue
        for x, step in zip(ends, steps, strict=True):
            if x.tobytes() not in cells:
                cells[x.tobytes()] = probe.cell(x, float(step), worst=1e-3, is_known=True)
        left, right = (cells[x.tobytes()] for x in ends)
        if left is None or right is None:
            continue
        heights = ends @ neuron.normal + neuron.offset
        p = ends[0] - heights[0] / (heights[1] - heights[0]) * (ends[1] - ends[0])
        fresh = neuron_between(p, neuron.normal, left, right, neuron.room)
        if fresh.error < neuron.error and float(fresh.normal @ neuron.normal) > 1 - 1e-6:
            made[i] = fresh
    return made


def _fans(probe: Probe, known: ReluSum) -> Iterator[Float[np.ndarray, "2 d"]]:
    """Pairs that share a point at which every neuron is at a distance; one changes sides in each.

    Half as many cells as pairs that share none.
    """
    h = known.neurons
    signs = probe.rng.choice([-1.0, 1.0], (4, h))
    sizes = (1.0 + np.median(np.abs(known.offsets))) * 2.0 ** np.arange(4)
    starts = _at(known, sizes[:, None] * signs)
    best = int(np.argmax(_steps(known, starts) / probe.noise(starts)))
    wanted = sizes[best] * signs[best] * (1 - 2 * np.eye(h))
    ends = _at(known, wanted)
    for i in range(h):
        pair = np.stack([starts[best], ends[i]])
        yield pair if signs[best, i] < 0 else pair[::-1]


def _at(known: ReluSum, distances: Float[np.ndarray, "n h"]) -> Float[np.ndarray, "n d"]:
    """Points at these distances from all hyperplanes, if there are as many inputs as neurons."""
    return np.linalg.lstsq(known.normals, (distances - known.offsets).T, rcond=1e-10)[0].T


def _pairs(probe: Probe, known: ReluSum) -> Iterator[Float[np.ndarray, "2 d"]]:
    """Points on either side of each hyperplane, where it is far from all others."""
    points = _candidates(probe, 300)
    steepest = np.max(np.abs(known.normals), axis=1)
    for i, n in enumerate(known.normals):
        x = points - (points @ n + known.offsets[i])[:, None] * n
        distances = np.abs(known.distances(x))
        distances[:, i] = np.inf
        gap = np.minimum(np.min(distances, axis=1), 1 + np.linalg.norm(x, axis=1))
        # Half of the way to the next hyperplane; what is left of it limits the step.
        steps = np.minimum(
            np.min((distances - 0.5 * gap[:, None]) / steepest, axis=1), 0.5 * gap / steepest[i]
        )
        best = int(np.argmax(steps / probe.noise(x)))
        yield x[best] + np.array([[-0.5], [0.5]]) * gap[best] * n
