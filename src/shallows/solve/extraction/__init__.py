r"""Two-layer ReLU networks recovered from queries alone.

Neurons are found on lines (`line_search`), measured again in the widest cells of the arrangement
that they make, and what they leave of the function is affine. That the result is the function is
tested where it was not measured: at random points, near and far, on every hyperplane, and at points
that are moved so as to make the difference as large as possible.
"""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from shallows.model.oracle import Exhausted, Oracle
from shallows.solve.extraction.line_search import LineSearch, Neuron
from shallows.solve.extraction.orientation import flipped
from shallows.solve.extraction.probes import Probe
from shallows.solve.extraction.refinement import refined, with_rest
from shallows.solve.extraction.relu_sums import ReluSum

# Rounding in float64 is 1e-16 to 1e-14 of the values; single precision is 1e-7.
_NOISY = 1e-10
# An affine part below this share of what the neurons make is rounding.
_NOTHING = 1e-9


class ExtractionOutcome(enum.Enum):
    """How an extraction ended; the value is advice."""

    recovered = ""
    noisy = (
        "The answers are not exact: nothing that rests on cancellation can be recovered from them. "
        "Ask for float64, without noise and without rounding of the output."
    )
    not_piecewise_linear = (
        "The function is not piecewise linear and continuous, so it is no ReLU network. Ask for "
        "the output before a last softmax or sigmoid, if there is one."
    )
    not_two_layers = (
        "The function is piecewise linear, but its kinks bend: it has more layers, or other units "
        "than ReLUs. Only two-layer networks are recovered."
    )
    unresolved = (
        "Some kinks are too near to one another, too slight or too far away to be measured in "
        "float64; what is returned is not the function. Allow more lines, or take duplicate "
        "neurons together."
    )
    out_of_queries = "The budget of queries is spent. Allow more."


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


@dataclasses.dataclass(frozen=True, eq=False)
class Extraction:
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
    refusal = _refusal(probe)
    if refusal is not None:
        return _ended(oracle, *refusal)
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
        if _difference(probe, function, _near_points(probe))[0] > 1e-4:
            doubt = "neurons are missing"
            continue
        search.neurons = refined(probe, search.neurons, lambda s: report(0.4 + 0.5 * s))
        function = with_rest(probe, search.known())
        if function is not None and _difference(probe, function, _near_points(probe))[0] <= (
            how.tolerance
        ):
            break
        doubt = "a slight neuron is missing, or two are taken for one"
    if function is None:
        return _ended(oracle, ExtractionOutcome.unresolved, doubt, None, number)
    final, has_orientation = _oriented(function, search.neurons)
    error, points, where = _tested(probe, final)
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


def _refusal(probe: Probe):
    """Why it makes no sense to look for kinks, if it does not."""
    if probe.disagreement > _NOISY * probe.magnitude:
        return ExtractionOutcome.noisy, (
            f"the same points, asked twice, differ by up to "
            f"{probe.disagreement / probe.magnitude:.1e} of the largest value"
        )
    near = probe.sigma[1.0] / probe.magnitude
    if near > _NOISY:
        return ExtractionOutcome.noisy, (
            f"on short segments values scatter by {near:.1e} of the largest value, where float64 "
            f"makes 1e-16 to 1e-14"
        )
    share, second = probe.bends()
    if share > 0.5:
        return ExtractionOutcome.not_piecewise_linear, (
            f"at {share:.0%} of random points it is curved; second differences there are "
            f"{second:.1e} times rounding"
        )
    if probe.scatter > _NOISY:
        return ExtractionOutcome.not_piecewise_linear, (
            f"far away, on short segments, values scatter by {probe.scatter:.1e} of the largest"
        )
    return None


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


def _near_points(probe: Probe) -> Float[np.ndarray, "n d"]:
    return probe.rng.normal(size=(60, probe.inputs)) * np.repeat([1.0, 8.0, 64.0], 20)[:, None]


def _difference(probe: Probe, function: ReluSum, x: Float[np.ndarray, "n d"]):
    """The largest difference relative to the largest value of that kind, and each."""
    y = probe.values(x)
    size = max(float(np.max(np.abs(y))), probe.magnitude)
    each = np.max(np.abs(y - function(x)), axis=1) / size
    # Points of several sizes: each is compared with its own.
    norms = 1 + np.linalg.norm(x, axis=1)
    each = each * np.max(norms) / norms
    return float(np.max(each)), each


def _tested(probe: Probe, function: ReluSum) -> tuple[float, int, str]:
    """The largest relative difference at points that were not used, and where."""
    d, rng = probe.inputs, probe.rng
    kinds = {
        "at random points": rng.normal(size=(400, d)),
        "at random points far away": 1e4 * rng.normal(size=(200, d)),
        "near the origin": 1e-2 * rng.normal(size=(50, d)),
    }
    if function.neurons:
        of = np.arange(max(300, function.neurons)) % function.neurons
        x = rng.normal(size=(len(of), d))
        depth = function.distances(x)[np.arange(len(of)), of]
        offset = rng.choice([-1e-6, 0.0, 1e-6], len(of))
        kinds["on hyperplanes"] = x + (offset - depth)[:, None] * function.normals[of]
    worst, points, where = 0.0, 0, "at random points"
    starts = []
    for kind, x in kinds.items():
        error, each = _difference(probe, function, x)
        points += len(x)
        starts.append(x[np.argmax(each)])
        if error > worst:
            worst, where = error, kind
    error, more = _climbed(probe, function, np.array(starts))
    if error > worst:
        worst, where = error, "at points moved to make it large"
    return worst, points + more, where


def _climbed(probe: Probe, function: ReluSum, x: Float[np.ndarray, "n d"]) -> tuple[float, int]:
    """The largest difference that random steps uphill lead to."""
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
    return float(np.max(best)), points


def _not_there(probe: Probe, neurons: list[Neuron]) -> int:
    """How many neurons show no kink on their hyperplanes, at none of several points."""
    search = LineSearch(probe, lambda _share: None)
    search.neurons = neurons
    return sum(
        search.found_far(neuron, 3)[0] == 0 and search.found_far(neuron, 12)[0] == 0
        for neuron in neurons
    )
