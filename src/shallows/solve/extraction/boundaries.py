"""Boundaries of linear regions seen on lines: where they are, and their normals."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from shallows.solve.extraction.kinks import LineKinks
from shallows.solve.extraction.line_search import neuron_between, search_line
from shallows.solve.extraction.probes import Cell, Probe

# Gradients on both sides of a kink may be wrong by this share of its jump.
_COARSE = 1e-6
# Positions on a line that agree so well, relative to how far away they are, are the same.
SLACK = 1e-7


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """A line that was searched."""

    start: Float[np.ndarray, " d"]
    way: Float[np.ndarray, " d"]
    kinks: LineKinks
    slopes: Float[np.ndarray, " i"]
    """Of the function before, between and after the kinks."""

    def is_flat(self, t: Float[np.ndarray, " c"]) -> Bool[np.ndarray, " c"]:
        """Where the function does not change: with all units of a layer off nothing is seen."""
        slope = np.abs(self.slopes)[np.searchsorted(self.kinks.at, t)]
        return slope <= 1e-8 * np.max(np.abs(self.slopes))


@dataclasses.dataclass(frozen=True, eq=False)
class Sighting:
    """One kink on a line."""

    line: int
    t: float
    point: Float[np.ndarray, " d"]
    depth: float
    """Bound on the error of the point, along the line."""
    normal: Float[np.ndarray, " d"] | None
    """Of the boundary, up to its sign; None if it is not measured."""
    angle: float
    """Its error, in radians."""


class Boundaries:
    """Lines that were searched, and all kinks that were seen on them."""

    def __init__(self, probe: Probe):
        self.probe = probe
        self.lines: list[Line] = []
        self.sightings: list[Sighting] = []
        self.cells: list[Cell] = []

    def look(
        self,
        start: Float[np.ndarray, " d"],
        way: Float[np.ndarray, " d"],
        is_new: Callable[[Float[np.ndarray, " k"]], Bool[np.ndarray, " k"]],
    ) -> LineKinks:
        """Search one more line, and measure the normals of those kinks that are new."""
        probe, d = self.probe, self.probe.inputs
        way = way * (np.sqrt(d) / np.linalg.norm(way))
        found = search_line(probe, start, way)
        number = len(self.lines)
        first = float(np.min(found.at, initial=0.0))
        ends = first - (1 + abs(first)) * np.array([2.0, 1.0])
        before = float(np.diff(probe.scalars(start + ends[:, None] * way))[0] / np.diff(ends)[0])
        slopes = before + np.concatenate([[0.0], np.cumsum(found.jump)])
        self.lines.append(Line(start, way, found, slopes))
        edges = np.unique(np.concatenate([found.at, found.unresolved.ravel()]))
        cells: dict[float, Cell | None] = {}
        for t, jump, error, wanted in zip(
            found.at, found.jump, found.error, is_new(found.at), strict=True
        ):
            p = start + t * way
            depth = float(error) * float(np.linalg.norm(way))
            normal, angle = None, np.inf
            sides: list[Cell | None] = []
            i = int(np.searchsorted(edges, t))
            far = 0.5 * (1 + abs(t))
            before = t - edges[i - 1] if i else 2 * far
            after = edges[i + 1] - t if i + 1 < len(edges) else 2 * far
            for middle, half in ((t - before / 2, before / 2), (t + after / 2, after / 2)):
                if wanted and middle not in cells:
                    worst = _COARSE * abs(jump) / np.sqrt(d)
                    step = half * max(0.5, np.sqrt(d) / 4)
                    cells[middle] = probe.cell(start + middle * way, step, worst=worst)
                sides.append(cells.get(middle))
            left, right = sides
            if left is not None and right is not None:
                made = neuron_between(p, way, left, right, min(before, after) / 2)
                rate = float(made.normal @ way)
                if abs(float(probe.mix @ made.head) * rate - jump) <= 1e-4 * abs(jump):
                    normal, angle = made.normal, made.error
            self.sightings.append(Sighting(number, float(t), p, depth, normal, angle))
        self.cells += [cell for cell in cells.values() if cell is not None]
        return found

    def unseen(self, at: Float[np.ndarray, " k"], line: int) -> Bool[np.ndarray, " k"]:
        """Which of these parameters on a line are those of no kink that was seen there."""
        seen = self.lines[line].kinks
        if not len(seen.at):
            return np.ones(len(at), dtype=bool)
        gap = np.min(np.abs(at[:, None] - seen.at), axis=1)
        return gap > SLACK * (1 + np.abs(at))

    def explained(self, crossings: list[Float[np.ndarray, " _"]]) -> Bool[np.ndarray, " s"]:
        """Which sightings are at one of the crossings, given for each line."""
        made = []
        for one in self.sightings:
            at = crossings[one.line]
            gap = np.min(np.abs(at - one.t), initial=np.inf)
            made.append(gap <= SLACK * (1 + abs(one.t)))
        return np.array(made, dtype=bool)
