r"""Neurons of a two-layer network found on lines.

Every neuron has a kink on a generic line, where the gradient jumps by head × row; the kink and the
jump are the neuron, up to the side on which it is active. A neuron is believed once its hyperplane
has been found elsewhere: next to the line, and far from it. Two kinks taken for one fail the first
test; a neuron of a later layer, whose kinks bend where they cross others, fails the second.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from shallows.solve.extraction.kinks import LineKinks, kinks_on_line
from shallows.solve.extraction.probes import Cell, Crossing, Probe
from shallows.solve.extraction.relu_sums import ReluSum

# Lines are searched as far as this, in units of the inputs' standard deviation.
_FARTHEST = 20
# Gradients on both sides of a new kink may be wrong by this share of its jump.
_COARSE = 1e-5
# So many kinks that bend are no accident.
_BENT = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Neuron:
    """A hyperplane of kinks, and how the slope jumps across it."""

    normal: Float[np.ndarray, " d"]
    offset: float
    head: Float[np.ndarray, " o"]
    error: float
    """Of the normal, in radians."""
    point: Float[np.ndarray, " d"]
    """Where it was seen."""
    room: float
    """Distance from there within which it was alone, along the line."""


def as_sum(neurons: Sequence[Neuron], inputs: int, outputs: int) -> ReluSum:
    """The neurons' sum, without an affine part."""
    return ReluSum(
        np.array([n.normal for n in neurons]).reshape(-1, inputs),
        np.array([n.offset for n in neurons]),
        np.array([n.head for n in neurons]).reshape(-1, outputs),
        np.zeros((outputs, inputs)),
        np.zeros(outputs),
    )


def neuron_between(
    p: Float[np.ndarray, " d"],
    way: Float[np.ndarray, " d"],
    left: Cell,
    right: Cell,
    room: float,
) -> Neuron:
    """The neuron that makes the difference of two affine functions, active towards `way`.

    Its hyperplane is where they meet; p is a point near it, at which rounding shall be least.
    """
    jump = right.slope - left.slope
    if len(jump) == 1:
        normal = jump[0] / np.linalg.norm(jump[0])
    else:
        normal = np.linalg.svd(jump, full_matrices=False)[2][0]
    normal = normal * np.sign(normal @ way)
    head = jump @ normal
    size = float(np.linalg.norm(head))
    rise = right.value + right.slope @ (p - right.point)
    rise = rise - left.value - left.slope @ (p - left.point)
    depth = float(rise @ head) / size**2
    error = (left.error + right.error) * np.sqrt(len(p)) / size
    return Neuron(normal, depth - float(normal @ p), head, error, p, room)


def search_line(
    probe: Probe, start: Float[np.ndarray, " d"], way: Float[np.ndarray, " d"]
) -> LineKinks:
    """All kinks at start + t · way with |t| < 2^20."""
    powers = 2.0 ** np.arange(-2, _FARTHEST + 1)
    base, size = float(np.linalg.norm(start)), float(np.linalg.norm(way))
    return kinks_on_line(
        lambda t: probe.scalars(start + t[:, None] * way),
        lambda t: np.asarray(probe.rounding(base + np.abs(t) * size)),
        np.concatenate([-powers[::-1], powers]) * (1 + 0.01 * probe.rng.uniform(size=46)),
        seed=int(probe.rng.integers(2**31)),
    )


class LineSearch:
    """Neurons that are known, and what was seen of others."""

    def __init__(self, probe: Probe, progress: Callable[[float], object]):
        self.probe, self.progress = probe, progress
        self.neurons: list[Neuron] = []
        self.bent: list[str] = []
        self.unmeasured: list[str] = []
        self.lines: list[LineKinks] = []

    def known(self) -> ReluSum:
        """The neurons, without an affine part."""
        return as_sum(self.neurons, self.probe.inputs, self.probe.oracle.outputs)

    def look(self) -> LineKinks:
        """Search one more line, and add the neurons that are found on it and verified."""
        probe, d = self.probe, self.probe.inputs
        start, way = probe.rng.normal(size=(2, d))
        way *= np.sqrt(d) / np.linalg.norm(way)
        found = search_line(probe, start, way)
        self.lines.append(found)
        self.unmeasured = []
        if found.breaks or found.leap is not None:
            return found
        seen, missed = self._matched(start, way, found)
        # Neurons that were believed and are not on this line are tried once more.
        for i in sorted(missed, reverse=True):
            if self.found_far(self.neurons[i], 6)[0] == 0:
                del self.neurons[i]
        edges = np.unique(np.concatenate([found.at, found.unresolved.ravel()]))
        cells: dict[float, Cell | None] = {}
        order = np.argsort(np.abs(found.at))  # from the middle: there rounding is least
        for done, k in enumerate(order):
            self.progress(done / len(order))
            if not seen[k]:
                self._measure(start, way, found, k, edges, cells)
            if len(self.bent) >= _BENT:
                break
        return found

    def _matched(self, start, way, found):
        """Which kinks are those of known neurons, and which neurons are not there."""
        seen = np.zeros(len(found.at), dtype=bool)
        known, missed = self.known(), []
        for i, neuron in enumerate(self.neurons):
            rate = float(known.normals[i] @ way)
            t = -float(known.normals[i] @ start + neuron.offset) / rate
            jump = float(self.probe.mix @ neuron.head) * abs(rate)
            norm = np.linalg.norm(start + t * way)
            slack = 1e-9 * (1 + abs(t)) + 4 * neuron.error * norm / abs(rate)
            near = (np.abs(found.at - t) <= slack + 4 * found.error) & ~seen
            fits = near & (np.abs(found.jump - jump) <= 1e-3 * abs(jump))
            if np.any(fits):
                seen[np.flatnonzero(fits)[np.argmin(np.abs(found.at[fits] - t))]] = True
            elif abs(t) < 2.0**_FARTHEST:
                missed.append(i)
        return seen, missed

    def _measure(self, start, way, found, k, edges, cells) -> None:
        probe, d = self.probe, self.probe.inputs
        t, jump = float(found.at[k]), float(found.jump[k])
        i = int(np.searchsorted(edges, t))
        far = 0.5 * (1 + abs(t))
        before = t - edges[i - 1] if i else 2 * far
        after = edges[i + 1] - t if i + 1 < len(edges) else 2 * far
        room = min(before, after) / 2
        sides = []
        for middle, half in ((t - before / 2, before / 2), (t + after / 2, after / 2)):
            if middle not in cells:
                worst = _COARSE * abs(jump) / np.sqrt(d)
                step = half * max(0.5, np.sqrt(d) / 4)
                cells[middle] = probe.cell(start + middle * way, step, worst=worst)
            sides.append(cells[middle])
        left, right = sides
        if left is None or right is None:
            gap = min(before, after)
            self.unmeasured.append(f"a kink at t = {t:.6g} on a line, {gap:.1e} from another")
            return
        made = neuron_between(start + t * way, way, left, right, room)
        # The kink is known better than where two affine functions of long cells meet.
        made = dataclasses.replace(made, offset=-float(made.normal @ made.point))
        rate = float(made.normal @ way)
        if abs(float(probe.mix @ made.head) * rate - jump) > 1e-4 * abs(jump):
            self.unmeasured.append(f"a kink at t = {t:.6g} that others cross nearby")
            return
        if not self._near(made):
            self.unmeasured.append(f"kinks at t = {t:.6g} too near to one another to be told apart")
            return
        present, against, _ = self.found_far(made, 3)
        if against:
            more, still, there = self.found_far(made, 6)
            if still >= 2:
                self.bent.append(
                    f"a kink with |x| = {np.linalg.norm(made.point):.4g} goes on straight nearby, "
                    f"but at |x| = {np.linalg.norm(there):.4g} on its hyperplane "
                    f"it has ended or its jump has changed"
                )
                return
            present += more
        if present:
            self._add(made)
        else:
            self.unmeasured.append(f"a kink at t = {t:.6g} whose hyperplane was not found again")

    def _add(self, made: Neuron) -> None:
        """Add a neuron; if it is one that is known already, keep what is known better."""
        for i, other in enumerate(self.neurons):
            error = 10 * (made.error + other.error)
            if abs(abs(float(made.normal @ other.normal)) - 1) <= max(error**2, 1e-14) and abs(
                float(other.normal @ made.point) + other.offset
            ) <= error * (1 + np.linalg.norm(made.point - other.point)):
                self.neurons[i] = min(made, other, key=lambda neuron: neuron.error)
                return
        self.neurons.append(made)

    def _near(self, neuron: Neuron) -> bool:
        """Whether its kink goes on straight in random directions, to the accuracy it is known."""
        probe, d = self.probe, self.probe.inputs
        jump, noise = float(probe.mix @ neuron.head), float(probe.noise(neuron.point))
        away = 0.1 * neuron.room * np.sqrt(d)
        good = 0
        for _ in range(6):
            side = probe.rng.normal(size=d)
            side -= (side @ neuron.normal) * neuron.normal
            side *= 0.0 if d == 1 else away / np.linalg.norm(side)
            fine = max(1e3 * noise / abs(jump), 30 * neuron.error * away)
            p = neuron.point + side
            seen = probe.crossing(
                p, neuron.normal, jump, fine, aside=10 * neuron.error * away, tolerance=0.02
            )
            good += seen is Crossing.present
            if good == 2:
                return True
            away /= 2.0
        return False

    def found_far(self, neuron: Neuron, times: int) -> tuple[int, int, Float[np.ndarray, " d"]]:
        """How often its kink is found at random points of its hyperplane.

        Next, how often there is none, or one with another jump; and where, the last time.
        """
        probe, d = self.probe, self.probe.inputs
        known, jump = self.known(), float(probe.mix @ neuron.head)
        present, against, where = 0, 0, neuron.point
        for _ in range(times):
            p = probe.rng.normal(size=d)
            p -= (neuron.normal @ p + neuron.offset) * neuron.normal
            away = float(np.linalg.norm(p - neuron.point))
            margin = np.abs(known.distances(p[None]))[0]
            margin = margin[np.abs(known.normals @ neuron.normal) < 1 - 1e-9]
            reach = 0.3 * min(float(np.min(margin, initial=1.0)), 1.0)
            for _ in range(5):
                if reach < 30 * neuron.error * away:
                    break
                seen = probe.crossing(p, neuron.normal, jump, reach, aside=10 * neuron.error * away)
                if seen in (Crossing.absent, Crossing.other):
                    seen = self._looked_at(p, neuron, jump, reach, 10 * neuron.error * away)
                if seen is Crossing.present:
                    present += 1
                if seen in (Crossing.absent, Crossing.other):
                    against, where = against + 1, p
                if seen is not Crossing.unclear:
                    break
                reach /= 6
        return present, against, where

    def _looked_at(self, p, neuron: Neuron, jump: float, reach: float, aside: float) -> Crossing:
        """The same as `Probe.crossing`, with all kinks of the segment.

        Two that nearly coincide look like one with another jump.
        """
        noise = float(self.probe.noise(p))
        found = kinks_on_line(
            lambda t: self.probe.scalars(p + t[:, None] * neuron.normal),
            lambda t: np.full(len(t), noise),
            reach * np.array([-1.0, -0.57, -0.21, 0.19, 0.61, 1.0]),
        )
        if len(found.unresolved):
            return Crossing.unclear
        here = np.abs(found.at) <= aside + 4 * found.error
        if np.any(here & (np.abs(found.jump - jump) <= 1e-3 * abs(jump))):
            return Crossing.present
        if not len(found.at):
            return Crossing.absent
        return Crossing.other if len(found.at) == 1 and here[0] else Crossing.unclear
