r"""ReLU networks with several hidden layers recovered from queries alone, layer by layer.

Boundaries of the first layer are hyperplanes; those of a later one bend where they cross those of
layers before it, by as much as weights between them say. So every boundary that was seen on random
lines is a set of linear equations about the layer after those that are known (`rows`), and the
sides on which units are active follow from slopes or from the layer after (`sides`). The last
layer leaves a function that is linear in its units.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from shallows import notebook
from shallows.model import Layers
from shallows.model.oracle import Exhausted, Oracle
from shallows.solve.extraction.boundaries import SLACK, Boundaries
from shallows.solve.extraction.comparison import checked, difference
from shallows.solve.extraction.known import Known
from shallows.solve.extraction.outcomes import ExtractionOutcome, refusal
from shallows.solve.extraction.probes import Probe
from shallows.solve.extraction.rows import Row, RowSearch
from shallows.solve.extraction.sides import signs_by_skips, signs_by_slopes

# A regression on the last layer that leaves more than this is no fit.
_FIT = 1e-7
# Random points of the test: units that are on at few places must not be missed.
_POINTS = 6000


class LayerOutcome(enum.Enum):
    """How much of a hidden layer is known; the value is advice."""

    recovered = ""
    where_seen = (
        "Some weights never mattered where the function was asked, and are zero: the function is "
        "right there, but the network may have others. Allow more lines."
    )
    partly = (
        "The units that are counted are confirmed, but others may be missing, or weights or sides "
        "of these are open. Allow more lines, or state the widths."
    )
    not_recovered = (
        "No boundaries fit what is known of the layers before. Allow more lines; layers that are "
        "wider than the space they are seen in are beyond this method."
    )


@dataclasses.dataclass(frozen=True)
class DeepLines:
    """How to search for several layers."""

    most: int = 120
    """Lines, at most; a network with twenty units in each of two layers takes about 50."""
    deepest: int = 3
    """Hidden layers, at most."""
    widths: tuple[int, ...] | None = None
    """Units of the hidden layers, if known; the search does not end before all are found."""
    tolerance: float = 1e-9
    """Largest difference that counts as none, relative to the function's largest value nearby."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not (self.most >= 1 and self.deepest >= 1 and 0 < self.tolerance < 1 and self.seed >= 0):
            raise ValueError(
                f"A search needs a line, a layer, a tolerance between 0 and 1 and a seed that is "
                f"not negative, but has {self.most}, {self.deepest}, {self.tolerance} and "
                f"{self.seed}. Use e.g. `DeepLines(most=120, deepest=3)`."
            )
        if self.widths is not None and not (self.widths and min(self.widths) >= 1):
            raise ValueError(
                f"Hidden layers have a unit each at least, but {self.widths=}. "
                f"Use e.g. `DeepLines(widths=(20, 10))`, or None."
            )


@dataclasses.dataclass(frozen=True)
class LayerFound:
    """What is known of one hidden layer."""

    outcome: LayerOutcome
    units: int
    """Confirmed: their boundaries were found where their rows say."""
    stated: int | None
    """How many there are, if that was said."""
    complete: int
    """Of these, those with all weights determined."""
    has_sides: bool
    """Whether it is known on which side the units are active."""
    evidence: str


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DeepExtraction(notebook.AbstractShown):
    """What was recovered, layer by layer, and how well it was tested."""

    outcome: ExtractionOutcome
    layers: tuple[LayerFound, ...]
    network: Layers | None
    """The oracle's function, and only if it is `recovered`."""
    evidence: str
    error: float
    """Largest difference at the points of the test, relative to the largest value among points of
    that kind; NaN without a network."""
    points: int
    """At how many points it was tested."""
    queries: int
    """All, those of the test included."""
    lines: int

    @property
    def parameters(self) -> int:
        """Weights and biases of the network."""
        if self.network is None:
            return 0
        return sum(
            w.size + (0 if b is None else b.size)
            for w, b in zip(self.network.weights, self.network.biases, strict=True)
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Matrices `W1`, `W2`, … with a row for each unit, heads last, and biases `b1` etc."""
        if self.network is None:
            return {}
        pairs = enumerate(zip(self.network.weights, self.network.biases, strict=True), 1)
        made: dict[str, np.ndarray] = {}
        for l, (w, b) in pairs:
            made |= {f"W{l}": np.array(w)} | ({} if b is None else {f"b{l}": np.array(b)})
        return made

    def as_json(self) -> dict[str, Any]:
        """The document that `shallows extract --json` prints for networks of several layers."""
        return {
            "outcome": self.outcome.name,
            "advice": self.outcome.value,
            "evidence": self.evidence,
            "layers": [
                {**dataclasses.asdict(one), "outcome": one.outcome.name}
                | {"advice": one.outcome.value}
                for one in self.layers
            ],
            "neurons": sum(one.units for one in self.layers),
            "parameters": self.parameters,
            "queries": self.queries,
            "lines": self.lines,
            "error": self.error if np.isfinite(self.error) else None,
            "points": self.points,
            "has_orientation": bool(self.layers) and all(one.has_sides for one in self.layers),
        }

    def __repr__(self) -> str:
        units = "-".join(str(one.units) for one in self.layers)
        found = f"layers {units or 'none'}, {self.queries} queries"
        return f"DeepExtraction({self.outcome.name}: {found})"

    def _columns(self) -> notebook.Columns:
        names = ("units", "stated", "complete", "has_sides", "evidence")
        outcomes = [one.outcome.name for one in self.layers]
        return {"outcome": outcomes, **{n: [getattr(l, n) for l in self.layers] for n in names}}

    def _notes(self) -> list[str]:
        return [self.outcome.value, self.evidence]


def extract_deep(
    oracle: Oracle,
    how: DeepLines | None = None,
    *,
    progress: Callable[[float], object] | None = None,
) -> DeepExtraction:
    r"""The ReLU network with several hidden layers behind an oracle.

    Its depth and widths need not be known. Rows are known up to a permutation and positive
    factors, which leave the function as it is. What is not found in the region that was searched
    (a unit that never changes sides there, or whose changes never reach the output) is not in the
    network, either: functions agree there. `progress` is called with the share of the lines that
    are allowed.

    **Domain.** Rows of a layer are found from two of its sightings that differ in fewer units of
    the layer before than there are inputs active: two hidden layers of up to about 2d units, and
    three or more that become narrower. Kinks within about 10⁶ standard deviations of standard
    normal inputs.

    **Accuracy.** About 1e-12 of the function's size (tests hold 1e-9). What was reached is
    measured, in `error`, and nothing is `recovered` with more than `how.tolerance` of it.

    **Raises.** `ValueError` for answers that are no finite numbers. **Cost.** Some 40 queries for
    each kink on each line, and d + 12 for each that is not explained when it is seen.

    **Source.** Rolnick & Kording (2020) for bending, Carlini, Jagielski & Mironov (2020) for rows
    from partial ones, as we read them; sides by skips are ours.
    """
    how = DeepLines() if how is None else how
    search = _Search(oracle, how)
    try:
        return search.run(progress or (lambda _share: None))
    except Exhausted:
        text = f"{oracle.queries} queries were asked of {oracle.budget} that are allowed"
        return search.ended(ExtractionOutcome.out_of_queries, text)


class _Search:
    """Lines that were searched, and the layers that they make known."""

    def __init__(self, oracle: Oracle, how: DeepLines):
        self.oracle, self.how = oracle, how
        self.known = Known(oracle.inputs)
        self.found: list[LayerFound] = []
        self.lines = 0
        # Points through which lines are of most use.
        self.hints: list[np.ndarray] = []
        self.is_near = False
        # What the pass before found, with features of these widths, with or without sides.
        self.before: dict[tuple[tuple[int, ...], bool], list[Row]] = {}
        # Layers whose rows have their sides in it: widths of those before, and their own.
        self.sided: set[tuple[tuple[int, ...], int]] = set()

    def ended(self, outcome, evidence, network=None, error=np.nan, points=0) -> DeepExtraction:
        return DeepExtraction(
            outcome,
            tuple(self.found),
            network,
            evidence,
            float(error),
            points,
            self.oracle.queries,
            self.lines,
        )

    def run(self, report: Callable[[float], object]) -> DeepExtraction:
        probe = Probe(self.oracle, np.random.default_rng(self.how.seed))
        why = refusal(probe)
        if why is not None:
            return self.ended(*why)
        seen = Boundaries(probe)
        doubt = "no lines were searched"
        goal = min(8, self.how.most)
        while self.lines < self.how.most:
            while self.lines < goal:
                kinks = self._look(probe, seen)
                report(self.lines / self.how.most)
                if kinks.breaks or kinks.leap is not None:
                    text = "on a line it has a jump, or intervals, however short, without a line"
                    return self.ended(ExtractionOutcome.not_piecewise_linear, text)
            made = self._passed(probe, seen)
            if isinstance(made, DeepExtraction):
                report(1.0)
                return made
            doubt = made
            # Where almost all is right, few lines through the point where it is not will do.
            more = 4 if self.is_near else max(4, goal // 4)
            goal = min(self.how.most, goal + more)
        free = int(np.sum(~seen.explained(self._knots(seen))))
        text = f"{free} of {len(seen.sightings)} kinks are of no unit that is known; {doubt}"
        self.found += [
            LayerFound(LayerOutcome.not_recovered, 0, stated, 0, False, "no boundary fits")
            for stated in (self.how.widths or ())[len(self.found) :]
        ]
        return self.ended(ExtractionOutcome.partly_recovered, text)

    def _look(self, probe: Probe, seen: Boundaries):
        """One more line, every other one through a point where something is missing.

        Only kinks of units that are not known are measured.
        """
        # Nearer to the origin and farther from it, other units are active.
        start, way = probe.rng.normal(size=(2, probe.inputs))
        start *= 2.0 ** probe.rng.uniform(-1, 1.5)
        if self.hints and self.lines % 2:
            start = self.hints.pop()
        known = self.known

        def is_new(at):
            length = way * (np.sqrt(len(way)) / np.linalg.norm(way))
            knots = known.knots(start, length, 2.0**20)
            gap = np.min(np.abs(at[:, None] - knots), axis=1)
            return gap > SLACK * (1 + np.abs(at))

        self.lines += 1
        return seen.look(start, way, is_new)

    def _knots(self, seen: Boundaries):
        return [self.known.knots(line.start, line.way, 2.0**20) for line in seen.lines]

    def _passed(self, probe: Probe, seen: Boundaries) -> DeepExtraction | str:
        """All layers from what was seen: the network, or what is missing."""
        known, self.found = Known(probe.inputs), []
        self.hints, self.is_near = [], False
        self.known = known
        while known.depth < self.how.deepest:
            rows = self._rows(known, seen)
            if not known.has_sides and rows:
                signs = signs_by_skips(known, rows)
                if signs is None:
                    return f"the sides of layer {known.depth} are open"
                self.known = known = self._turned(known, signs)
                self._note(known, has_sides=True)
                rows = self._rows(known, seen)
            if not rows:
                return f"layer {known.depth + 1} is not found"
            widths, text = known.widths, ""
            known = known.with_layer(
                np.stack([r.row for r in rows]), has_sides=(widths, len(rows)) in self.sided
            )
            if not known.has_sides:
                signs, text = signs_by_slopes(probe, known, seen.cells)
                if signs is not None:
                    known = self._turned(known, signs)
            self.known = known
            self._add(rows, known, text)
            if np.mean(~seen.explained(self._knots(seen))) < 0.2:
                made = self._closed(probe, seen)
                if made is not None:
                    return made
        if self.is_near:
            return "the function is right at random points, but not at points looked for"
        return "what is left is not linear in the last layer"

    def _rows(self, known: Known, seen: Boundaries) -> list[Row]:
        """Rows of the next layer; those of the pass before are tried first."""
        key = (known.widths, known.has_sides)
        search, old = RowSearch(known, seen), self.before.get(key, [])
        rows = search.found(old)
        # A row that was lost and found again has lost its sign.
        if len(rows) < len(old) or any(
            float(r.row @ o.row) < 0.999 * float(np.linalg.norm(r.row) * np.linalg.norm(o.row))
            for r, o in zip(rows, old, strict=False)
        ):
            self.sided.discard((known.widths, len(old)))
            self.sided.discard((known.widths, len(rows)))
        self.before[key] = rows
        for row in rows:
            self.hints += list(search.places(row, seen.probe.rng))[:2]
        return rows

    def _turned(self, known: Known, signs: Float[np.ndarray, " k"]) -> Known:
        """With sides, which are kept for the passes to come if all rows are."""
        *before, width = known.widths
        rows = self.before[tuple(before), True]
        if all(r.is_complete for r in rows):
            self.before[tuple(before), True] = [
                dataclasses.replace(r, row=sign * r.row)
                for r, sign in zip(rows, signs, strict=True)
            ]
            self.sided.add((tuple(before), width))
        return known.turned(signs)

    def _stated(self, depth: int) -> int | None:
        widths = self.how.widths or ()
        return widths[depth - 1] if depth <= len(widths) else None

    def _add(self, rows: Sequence[Row], known: Known, text: str) -> None:
        complete = sum(r.is_complete for r in rows)
        shares = min(r.share for r in rows)
        evidence = (
            f"units were seen at {shares:.0%} to 100% of the places that their rows say, "
            f"{sum(len(r.seen) for r in rows)} kinks in all"
        )
        stated = self._stated(known.depth)
        self.found.append(
            LayerFound(
                LayerOutcome.partly,
                len(rows),
                stated,
                complete,
                known.has_sides,
                f"{evidence}; {text}" if text else evidence,
            )
        )
        self._note(known, has_sides=known.has_sides)

    def _note(self, known: Known, *, has_sides: bool, is_tested: bool = False) -> None:
        """Say of the last layer what is known now."""
        last = self.found[-1]
        outcome = LayerOutcome.partly
        if has_sides and (is_tested or last.stated == last.units):
            is_complete = last.complete == last.units
            outcome = LayerOutcome.recovered if is_complete else LayerOutcome.where_seen
        self.found[-1] = dataclasses.replace(last, outcome=outcome, has_sides=has_sides)

    def _closed(self, probe: Probe, seen: Boundaries) -> DeepExtraction | None:
        """The network, if the function is linear in what is known and nothing is missing."""
        known = self.known
        if self.how.widths is not None and known.depth != len(self.how.widths):
            return None
        m = known.count
        sizes = 2.0 ** probe.rng.uniform(-1, 3, (2 * m + 40, 1))
        x = sizes * probe.rng.normal(size=(2 * m + 40, probe.inputs))
        weight = 1 / (1 + np.linalg.norm(x, axis=1, keepdims=True))
        y = probe.values(x)
        heads = np.linalg.lstsq(known.features(x) * weight, y * weight, rcond=1e-13)[0]
        rest = np.max(np.abs(known.features(x) @ heads - y) * weight, axis=1)
        if np.max(rest) > _FIT * probe.magnitude:
            return None
        known, heads, is_sided = _sided(known, heads)
        if not is_sided and self.lines < self.how.most:
            # Most likely a unit is missing that was on wherever it was looked at.
            self.is_near = True
            return None

        def function(z: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n o"]:
            return known.features(z) @ heads

        error, points, where, worst = checked(probe, function, self._near_knots(probe))
        if error <= self.how.tolerance:
            x = probe.rng.choice([1.0, 3.0], (_POINTS, 1)) * probe.rng.normal(
                size=(_POINTS, probe.inputs)
            )
            more, each = difference(probe, function, x)
            points += _POINTS
            if more > error:
                error, where, worst = more, "at random points", x[np.argmax(each)]
        if error > self.how.tolerance:
            self.hints += [worst] * 2
            self.is_near = True
            return None
        self.known = known
        for l in range(len(self.found)):
            last = self.found[l]
            sides = is_sided if l + 1 == len(self.found) else last.has_sides
            is_whole = last.complete == last.units and last.stated in (None, last.units)
            outcome = LayerOutcome.recovered if is_whole and sides else LayerOutcome.where_seen
            self.found[l] = dataclasses.replace(last, outcome=outcome, has_sides=sides)
        return self.ended(
            ExtractionOutcome.recovered,
            f"largest difference {error:.1e} of the function's size, {where}",
            _network(known, heads * probe.scale),
            error,
            points,
        )

    def _near_knots(self, probe: Probe) -> Float[np.ndarray, "n d"]:
        """Points on and beside boundaries of all units, on a line that was not searched."""
        start, way = probe.rng.normal(size=(2, probe.inputs))
        at = self.known.knots(start, way, 64.0)[1:-1]
        at = probe.rng.permutation(at)[:100]
        beside = np.concatenate([at, at - 1e-6, at + 1e-6])
        return start + beside[:, None] * way


def _sided(known: Known, heads):
    """With the sides of the last layer, if heads tell them; its features lose the skip."""
    if known.has_sides:
        return known, heads, True
    signs = signs_by_skips(known, heads.T)
    if signs is None:
        return known, heads, False
    k = known.widths[-1]
    # σ(z) = σ(−z) + z: what is linear in z goes into the skip, which vanishes, and the constant.
    turned = np.where(signs < 0, 1.0, 0.0)[:, None] * heads[:k]
    constant = heads[-1:] + known.biases[-1][None] @ turned
    return known.turned(signs), np.vstack([heads[:k], constant]), True


def _network(known: Known, heads: Float[np.ndarray, "m o"]) -> Layers:
    """Known layers and heads about their features.

    A skip takes units more in the last layer: one for each of the layer before, which are never
    negative, and two for each input if there is none before.
    """
    weights, biases = [*known.weights], [*known.biases]
    outer = heads[:-1].T
    if not known.has_sides:
        k, below = known.widths[-1], known.widths[-2]
        eye = np.eye(below)
        extra = [eye] if known.depth > 1 else [eye, -eye]
        weights[-1] = np.vstack([weights[-1], *extra])
        biases[-1] = np.concatenate([biases[-1], np.zeros(below * len(extra))])
        skip = outer[:, k:]
        outer = np.hstack([outer[:, :k], skip] + ([-skip] if known.depth == 1 else []))
    return Layers([*weights, outer], [*biases, heads[-1]])
