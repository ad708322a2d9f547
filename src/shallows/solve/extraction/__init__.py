r"""Two-layer ReLU networks recovered from queries alone.

Neurons are found on lines (`line_search`), measured again in the widest cells of the arrangement
that they make, and what they leave of the function is affine. That the result is the function is
tested where it was not measured: at random points, near and far, on every hyperplane, and at points
that are moved so as to make the difference as large as possible.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.model.oracle import Exhausted, Oracle
from shallows.solve.extraction.comparison import checked, difference, near_points
from shallows.solve.extraction.line_search import LineSearch, Neuron
from shallows.solve.extraction.orientation import flipped
from shallows.solve.extraction.outcomes import ExtractionOutcome, refusal
from shallows.solve.extraction.probes import Probe
from shallows.solve.extraction.refinement import refined, with_rest
from shallows.solve.extraction.relu_sums import ReluSum

# An affine part below this share of what the neurons make is rounding.
_NOTHING = 1e-9


@dataclasses.dataclass(frozen=True)
class Lines:
    """How to search."""

    most: int = 8
    """Lines, at most; two or three are enough for a network whose kinks are apart."""
    tolerance: float = 1e-9
    """Largest difference that counts as none, relative to the function's largest value nearby."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.most >= 1 and 0 < self.tolerance < 1 and self.seed >= 0):
            raise ValueError(
                f"A search needs a line, a tolerance between 0 and 1 and a seed that is not "
                f"negative, but has {self.most}, {self.tolerance} and {self.seed}. "
                f"Use e.g. `Lines(most=8, tolerance=1e-9)`."
            )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Extraction(notebook.AbstractShown):
    """What was recovered, and how well it was tested."""

    outcome: ExtractionOutcome
    function: ReluSum | None
    """None unless something was found; the oracle's function only if it is `recovered`."""
    evidence: str
    """What the outcome rests on."""
    error: float
    """Largest difference at the points of the test, relative to the largest value among points of
    that kind; NaN without a function."""
    points: int
    """At how many points it was tested."""
    has_orientation: bool
    """Whether it is known on which side each neuron is active, so that there is no more affine
    part than the network has. Otherwise functions agree, and parameters up to turned neurons."""
    queries: int
    """All, those of the test included."""
    lines: int

    @property
    def parameters(self) -> int:
        """Numbers in the recovered network: rows, biases, heads and constants."""
        if self.function is None:
            return 0
        h, d = self.function.normals.shape
        o = len(self.function.constant)
        return h * (d + 1 + o) + o

    def arrays(self) -> dict[str, np.ndarray]:
        """Of the function: see `ReluSum.arrays`."""
        return {} if self.function is None else self.function.arrays()

    def as_json(self) -> dict[str, Any]:
        """The document that `shallows extract --json` prints."""
        f = self.function
        return {
            "outcome": self.outcome.name,
            "advice": self.outcome.value,
            "evidence": self.evidence,
            "neurons": 0 if f is None else f.neurons,
            "parameters": self.parameters,
            "queries": self.queries,
            "lines": self.lines,
            "error": self.error if np.isfinite(self.error) else None,
            "points": self.points,
            "has_orientation": self.has_orientation,
            "has_affine_part": f is not None and bool(np.any(f.slope)),
        }

    def __repr__(self) -> str:
        found = "" if self.function is None else f": {self.function.neurons} neurons"
        return f"Extraction({self.outcome.name}{found}, {self.queries} queries)"

    def _notes(self) -> list[str]:
        tested = f"Tested at {self.points} points: at most {self.error:.3g} off."
        return [self.outcome.value, self.evidence, tested if self.points else ""]


def extract(
    oracle: Oracle,
    how: Lines | None = None,
    *,
    progress: Callable[[float], object] | None = None,
) -> Extraction:
    r"""The two-layer ReLU network behind an oracle.

    It comes as $f(x) = \sum_i h_i\,\sigma(n_i\cdot x + \beta_i) + S x + c$ with unit rows.
    Weights are known up to a permutation and positive factors, neurons with one hyperplane are one,
    and S is there only if it cannot be explained by the side on which neurons are active.
    `progress` is called with the share of what is done.

    **Domain.** Kinks within about 10⁶ standard deviations of standard normal inputs. Inputs of
    another size should be scaled to that.

    **Accuracy.** Functions to about 1e-12 of their size where kinks are apart (tests hold 1e-9).
    What was reached is measured, in `error`, and nothing is `recovered` with more than
    `how.tolerance` of it.

    **Raises.** `ValueError` for answers that are no finite numbers. **Cost.** For d above 100 about
    2.5 (h + 1)(d + 1) queries; for small d some 60 a neuron, and 2000.

    **Source.** The two-layer case of Rolnick & Kording (2020), as we read it, with exact steps.
    """
    how = Lines() if how is None else how
    report = progress or (lambda _share: None)
    try:
        return _extract(oracle, how, report)
    except Exhausted:
        text = f"{oracle.queries} queries were asked of {oracle.budget} that are allowed"
        return _ended(oracle, ExtractionOutcome.out_of_queries, text)


def _ended(oracle, outcome, evidence, function=None, lines=0, error=np.nan, points=0):
    return Extraction(
        outcome, function, evidence, float(error), points, False, oracle.queries, lines
    )


def _extract(oracle: Oracle, how: Lines, report) -> Extraction:
    rng = np.random.default_rng(how.seed)
    probe = Probe(oracle, rng)
    why = refusal(probe)
    if why is not None:
        return _ended(oracle, *why)
    search = LineSearch(probe, lambda share: report(0.4 * share))
    function: ReluSum | None = None
    doubt = ""
    for number in range(1, how.most + 1):
        found = search.look()
        if found.leap is not None or found.breaks:
            text = (
                f"on a line it jumps by {found.leap[1]:.3g} (in units of its standard deviation)"
                if found.leap is not None
                else f"on a line {len(found.unresolved)} intervals, however short, are not straight"
            )
            return _ended(oracle, ExtractionOutcome.not_piecewise_linear, text, lines=number)
        if len(search.bent) >= 2:
            return _ended(oracle, ExtractionOutcome.not_two_layers, search.bent[0], lines=number)
        function = with_rest(probe, search.known())
        if function is None:
            doubt = "no cell is wide enough to measure what is beside the neurons"
            continue
        if difference(probe, function, near_points(probe))[0] > 1e-4:
            doubt = "neurons are missing"
            continue
        search.neurons = refined(probe, search.neurons, lambda s: report(0.4 + 0.5 * s))
        function = with_rest(probe, search.known())
        if function is not None and difference(probe, function, near_points(probe))[0] <= (
            how.tolerance
        ):
            break
        doubt = "a slight neuron is missing, or two are taken for one"
    if function is None:
        return _ended(oracle, ExtractionOutcome.unresolved, doubt, None, number)
    final, has_orientation = _oriented(function, search.neurons)
    error, points, where, _ = checked(probe, final, _on_hyperplanes(probe, final))
    absent = _not_there(probe, search.neurons)
    outcome = ExtractionOutcome.recovered
    evidence = f"largest difference {error:.1e} of the function's size, {where}"
    if error > how.tolerance or absent:
        outcome = ExtractionOutcome.unresolved
        notes = [evidence, *search.unmeasured[:3]]
        if absent:
            notes.append(f"{absent} neurons were not found again on their hyperplanes")
        if doubt:
            notes.append(doubt)
        evidence = "; ".join(notes)
    report(1.0)
    return Extraction(
        outcome,
        final.rescaled(probe.scale),
        evidence,
        error,
        points,
        has_orientation,
        oracle.queries,
        number,
    )


def _oriented(function: ReluSum, neurons: list[Neuron]) -> tuple[ReluSum, bool]:
    """Neurons active on the side that leaves no slope, if there is one; what is rounding is 0."""
    vectors = (function.heads[:, :, None] * function.normals[:, None, :]).reshape(
        function.neurons, function.slope.size
    )
    size = max(float(np.max(np.abs(vectors), initial=0.0)), 1e-300)
    worst = max((n.error for n in neurons), default=1e-12)
    which = flipped(vectors, -function.slope.ravel(), error=max(worst, 1e-12))
    if which is not None:
        function = function.turned(which)
        function = dataclasses.replace(function, slope=np.zeros_like(function.slope))
    elif np.max(np.abs(function.slope), initial=0.0) <= _NOTHING * size:
        function = dataclasses.replace(function, slope=np.zeros_like(function.slope))
    total = float(np.sum(np.abs(function.heads) * (1 + np.abs(function.offsets[:, None]))))
    if np.max(np.abs(function.constant)) <= _NOTHING * max(total, 1e-300):
        function = dataclasses.replace(function, constant=np.zeros_like(function.constant))
    return function, which is not None


def _on_hyperplanes(probe: Probe, function: ReluSum) -> Float[np.ndarray, "n d"]:
    """Points on every hyperplane, and next to it."""
    if not function.neurons:
        return np.zeros((0, probe.inputs))
    of = np.arange(max(300, function.neurons)) % function.neurons
    x = probe.rng.normal(size=(len(of), probe.inputs))
    depth = function.distances(x)[np.arange(len(of)), of]
    offset = probe.rng.choice([-1e-6, 0.0, 1e-6], len(of))
    return x + (offset - depth)[:, None] * function.normals[of]


def _not_there(probe: Probe, neurons: list[Neuron]) -> int:
    """How many neurons show no kink on their hyperplanes, at none of several points."""
    search = LineSearch(probe, lambda _share: None)
    search.neurons = neurons
    return sum(
        search.found_far(neuron, 3)[0] == 0 and search.found_far(neuron, 12)[0] == 0
        for neuron in neurons
    )
