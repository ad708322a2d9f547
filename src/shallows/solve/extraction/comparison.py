"""Functions that were recovered, compared with the oracle where it was not asked before."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from shallows.solve.extraction.probes import Probe

Function = Callable[[Float[np.ndarray, "n d"]], Float[np.ndarray, "n o"]]


def near_points(probe: Probe) -> Float[np.ndarray, "n d"]:
    """Points of several sizes."""
    return probe.rng.normal(size=(60, probe.inputs)) * np.repeat([1.0, 8.0, 64.0], 20)[:, None]


def difference(probe: Probe, function: Function, x: Float[np.ndarray, "n d"]):
    """The largest difference relative to the largest value of that kind, and each."""
    y = probe.values(x)
    size = max(float(np.max(np.abs(y))), probe.magnitude)
    each = np.max(np.abs(y - function(x)), axis=1) / size
    # Points of several sizes: each is compared with its own.
    norms = 1 + np.linalg.norm(x, axis=1)
    each = each * np.max(norms) / norms
    return float(np.max(each)), each


def checked(
    probe: Probe, function: Function, on_boundaries: Float[np.ndarray, "n d"]
) -> tuple[float, int, str, Float[np.ndarray, " d"]]:
    """The largest relative difference at points that were not used, their number, and where."""
    d, rng = probe.inputs, probe.rng
    kinds = {
        "at random points": rng.normal(size=(400, d)),
        "at random points far away": 1e4 * rng.normal(size=(200, d)),
        "near the origin": 1e-2 * rng.normal(size=(50, d)),
    }
    if len(on_boundaries):
        kinds["on hyperplanes"] = on_boundaries
    worst, points, where = 0.0, 0, "at random points"
    starts = []
    for kind, x in kinds.items():
        error, each = difference(probe, function, x)
        points += len(x)
        starts.append(x[np.argmax(each)])
        if error > worst:
            worst, where = error, kind
    error, more, x = _climbed(probe, function, np.array(starts))
    if error > worst:
        worst, where = error, "at points moved to make it large"
    return worst, points + more, where, x


def _climbed(
    probe: Probe, function: Function, x: Float[np.ndarray, "n d"]
) -> tuple[float, int, Float[np.ndarray, " d"]]:
    """The largest difference that random steps uphill lead to, and the point."""
    size = probe.magnitude
    rows = np.sqrt(probe.inputs)

    def height(z):
        gap = np.max(np.abs(probe.values(z) - function(z)), axis=1)
        return gap / size / (1 + np.linalg.norm(z, axis=1) / rows)

    best, points = height(x), len(x)
    for step in np.repeat([1.0, 0.3, 0.1, 1e-2, 1e-3], 8):
        sizes = 1 + np.linalg.norm(x, axis=1, keepdims=True) / rows
        tried = x + step * sizes * probe.rng.normal(size=x.shape)
        found = height(tried)
        better = found > best
        x, best = np.where(better[:, None], tried, x), np.maximum(best, found)
        points += len(x)
    return float(np.max(best)), points, x[np.argmax(best)]
