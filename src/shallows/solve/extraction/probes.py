"""Asking an oracle: its rounding, its gradient in a cell, and whether a hyperplane is one of kinks.

Inside a cell a piecewise linear function is affine, so that differences are exact and steps as long
as the cell is wide: what is left is rounding over the step.
"""

import dataclasses
import enum

import numpy as np
from jaxtyping import Float

from shallows.model.oracle import Oracle
from shallows.solve.extraction.kinks import Rounding

# Rounding errors are taken to stay below this many standard deviations.
_BOUND = 6.0
_ONE = np.finfo(float).eps


class Crossing(enum.Enum):
    """What a function does on a short segment across a hyperplane."""

    present = "It has the kink that was expected."
    absent = "It is affine: there is no kink."
    other = "It has one kink on the hyperplane, but with another jump."
    unclear = "It has other kinks nearby, or the segment is too short to tell."


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """The affine function at a point."""

    point: Float[np.ndarray, " d"]
    value: Float[np.ndarray, " o"]
    slope: Float[np.ndarray, "o d"]
    error: float
    """Of each entry of `slope`."""


class Probe:
    """An oracle whose outputs are scaled to be of order one, with what is known of its rounding."""

    def __init__(self, oracle: Oracle, rng: np.random.Generator):
        self.oracle, self.rng = oracle, rng
        d = oracle.inputs
        self.points = rng.normal(size=(64, d))
        raw = oracle(self.points)
        spread = np.std(raw, axis=0)
        largest = np.max(np.abs(raw), axis=0)
        # An output that is constant, up to rounding, is measured by its size, or not at all.
        largest = np.where(largest > 0, largest, 1.0)
        self.scale = np.where(spread > 1e-12 * largest, spread, largest)
        mix = rng.normal(size=oracle.outputs)
        self.mix = mix / np.linalg.norm(mix)
        self.magnitude = float(np.max(np.abs(raw / self.scale))) or 1.0
        again = np.abs(oracle(self.points[:16]) - raw[:16]) / self.scale
        self.disagreement = float(np.max(again))
        both = {r: self._deviation(r) for r in (1.0, 2.0**10, 2.0**20)}
        self.sigma = {r: sigma for r, (sigma, _) in both.items()}
        self.scatter = max(sigma / max(size, self.magnitude) for sigma, size in both.values())
        near = max(self.sigma[1.0], _ONE / 4 * self.magnitude)
        rates = [near / np.sqrt(d)] + [s / (r * np.sqrt(d)) for r, s in self.sigma.items()]
        self.rounding = Rounding(_BOUND * near, _BOUND * max(rates))

    @property
    def inputs(self) -> int:
        """The number d of inputs."""
        return self.oracle.inputs

    def values(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n o"]:
        """All outputs, scaled."""
        return self.oracle(x) / self.scale

    def scalars(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """A fixed mixture of them, which has the kinks of all."""
        return self.values(x) @ self.mix

    def noise(self, x: Float[np.ndarray, "... d"]) -> Float[np.ndarray, "..."]:
        """The bound on rounding at these points."""
        return np.asarray(self.rounding(np.linalg.norm(x, axis=-1)))

    def _deviation(self, radius: float) -> tuple[float, float]:
        """The standard deviation of rounding errors at this radius, and the largest value there.

        From third differences over steps so short that there is nothing else to see.
        """
        base = radius * self.rng.normal(size=(8, 1, self.inputs))
        step = 1e-8 * radius * self.rng.normal(size=(8, 1, self.inputs))
        x = base + np.arange(9.0)[:, None] * step
        y = self.values(x.reshape(-1, self.inputs)).reshape(8, 9, -1)
        third = np.diff(y, n=3, axis=1) / np.sqrt(20.0)
        sigma = np.max(np.median(np.sqrt(np.mean(third**2, axis=1)), axis=0))
        return float(sigma), float(np.max(np.abs(y)))

    def bends(self) -> tuple[float, float]:
        """The share of random points near which the function is not affine.

        With the median second difference there, over the bound on rounding.
        """
        v = 2.0**-14 * self.rng.normal(size=self.points.shape)
        x = self.points
        y = self.scalars(np.concatenate([x - v, x, x + v])).reshape(3, -1)
        second = np.abs(y[0] + y[2] - 2 * y[1]) / (4 * self.noise(x))
        return float(np.mean(second > 3)), float(np.median(second))

    def cell(
        self, x: Float[np.ndarray, " d"], step: float, *, worst: float, is_known: bool = False
    ) -> Cell | None:
        """The affine function at x by differences with steps of `step` along the axes, or shorter.

        None if they would have to be so short that slopes were wrong by more than `worst`.
        With `is_known` the first step is believed to stay in the cell, and only checked afterwards.
        Slopes that do not predict the function in random directions are measured again.

        **Cost.** d + 4 queries, 8 more for each length of step that is tried, d + 4 for each that
        passes these and fails the check.
        """
        d = self.inputs
        noise = float(self.noise(x))
        # Random directions change distances from hyperplanes by 4 (1 where the step is known to be
        # right) times as much as an axis does on average, as much as the worst of them.
        spread = min(1.0, (1 if is_known else 4) / np.sqrt(d))
        for _ in range(14):
            if 2 * noise / step > worst:
                return None
            signs = step * spread * self.rng.choice([-1.0, 1.0], size=(4, d))
            if not is_known:
                y = self.values(np.concatenate([x[None], x + signs, x - signs]))
                second = y[1:5] + y[5:] - 2 * y[0]
                if np.max(np.abs(second)) > 6 * noise:
                    step /= 3
                    continue
            is_known = False
            signs = step * spread * self.rng.choice([-1.0, 1.0], size=(3, d))
            y = self.values(np.concatenate([x[None], x + step * np.eye(d), x + signs]))
            slope = ((y[1 : d + 1] - y[0]) / step).T
            rest = y[0] + signs @ slope.T - y[d + 1 :]
            if np.max(np.abs(rest)) <= (4 + 4 * spread * np.sqrt(d)) * noise:
                return Cell(x, y[0], slope, noise / step)
            step /= 3
        return None

    def crossing(
        self,
        p: Float[np.ndarray, " d"],
        normal: Float[np.ndarray, " d"],
        jump: float,
        reach: float,
        *,
        aside: float,
        tolerance: float = 1e-3,
    ) -> Crossing:
        """What the mixture does on the segment p ± reach · normal, where a `jump` is expected.

        The hyperplane may be `aside` of p by so much; a kink farther from p is another's. (Two
        kinks near p look like one between them, but hardly ever like one at p.)
        """
        t = np.array([-1.0, -0.62, -0.31, 0.0, 0.29, 0.64, 1.0])
        y = self.scalars(p + reach * t[:, None] * normal)
        noise = float(self.noise(p))
        if abs(jump) * reach < 100 * noise:
            return Crossing.unclear
        left, right = (y[2] - y[0]) / (t[2] - t[0]), (y[6] - y[4]) / (t[6] - t[4])
        if abs(y[0] + left * (t[1] - t[0]) - y[1]) > 6 * noise:
            return Crossing.unclear
        if abs(y[4] + right * (t[5] - t[4]) - y[5]) > 6 * noise:
            return Crossing.unclear
        if np.max(np.abs(y[0] + left * (t - t[0]) - y)) <= 12 * noise:
            return Crossing.absent
        meet = (y[4] - right * t[4] - y[0] + left * t[0]) / (left - right)
        near = aside / reach + 40 * noise / (abs(right - left))
        if not abs(meet) <= min(near, 0.25):
            return Crossing.unclear
        slack = tolerance * abs(jump) + 12 * noise / reach
        is_same = abs((right - left) / reach - jump) <= slack
        return Crossing.present if is_same else Crossing.other
