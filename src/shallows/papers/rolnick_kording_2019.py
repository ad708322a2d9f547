"""Rolnick & Kording (2020), version 1 of 2019: reverse-engineering ReLU networks from queries."""

import itertools
import math
import time
from collections.abc import Sequence

import numpy as np
import scipy.optimize

from shallows import report
from shallows.certify import Verdict
from shallows.lab import Case, Record, Result
from shallows.model import Oracle
from shallows.papers import Claim, Judgement, Paper, Picture, Scale
from shallows.solve import DeepLines, Lines, extract, extract_deep

_SOURCE = "rolnickkording2020"

CLAIMS = (
    Claim(
        "identified",
        "Architecture, weights and biases of an unknown deep ReLU network can often be identified "
        "from its outputs.",
        f"{_SOURCE}, abstract (our reading)",
        False,
    ),
    Claim(
        "two-layers",
        "For two layers, weights and biases follow from queries up to permutation and scaling.",
        f"{_SOURCE} (our reading; the law of the networks is theirs: weights of variance 2/fan-in, "
        f"biases N(0, 1))",
        False,
    ),
    Claim(
        "bending",
        "Boundaries of the first layer are hyperplanes, those of later layers bend where they "
        "cross earlier ones.",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "linear-queries",
        "The number of queries is about linear in the number of parameters.",
        f"{_SOURCE} (our reading; measured as at most 3 a parameter, 150 a neuron and 3000: "
        f"constants that were chosen after a first run)",
        False,
    ),
    Claim(
        "published-counts",
        "784-32-1 and 784-128-1 are recovered with 2^19.2 and 2^21.5 queries to a worst error of "
        "2^−28.8 and 2^−26.4.",
        "carlini2020 (our reading of its table 1, which we have not seen)",
        False,
    ),
    Claim(
        "deep-counts",
        "10-10-10-1, 10-20-20-1 and 40-20-10-10-1 are recovered with 2^16.0, 2^17.1 and 2^17.8 "
        "queries.",
        "carlini2020 (our reading of its table 1, which we have not seen; measured as the median "
        "of the recovered ones)",
        False,
    ),
)

# log2 of queries and of the error, as the claim has them.
_PUBLISHED = {(784, 32): (19.2, -28.8), (784, 128): (21.5, -26.4)}
_PUBLISHED_DEEP = {(10, 10, 10): 16.0, (10, 20, 20): 17.1, (40, 20, 10, 10): 17.8}


def cases(scale: Scale) -> list[Case]:
    """Two-layer networks of several sizes, and networks with more layers."""
    sizes, seeds = {
        Scale.smoke: ([(5, 5), (10, 20), (40, 10)], 1),
        Scale.desk: ([(5, 5), (10, 20), (20, 64), (50, 16), (50, 64), (200, 32), (784, 32)], 3),
        Scale.paper: (
            [(d, h) for d in (10, 50, 200, 784) for h in (8, 16, 32, 64, 128)] + [(5, 5), (20, 64)],
            5,
        ),
    }[scale]
    made = [
        {"ask": "network", "inputs": d, "neurons": h, "seed": seed}
        for d, h in sizes
        for seed in range(1 if d == 784 else seeds)
    ]
    if scale is Scale.desk:
        made.append({"ask": "network", "inputs": 784, "neurons": 128, "seed": 0})
    deep = [[10, 10, 10], [10, 20, 20], [40, 20, 10, 10]]
    made += [
        {"ask": "deep", "widths": widths, "seed": seed}
        for widths in deep[: 2 if scale is Scale.smoke else 3]
        for seed in range(2 * seeds)
    ]
    return [Case(one) for one in made]


def measure(case: dict) -> Result:
    """One extraction, compared with what was behind the oracle."""
    rng = np.random.default_rng(case["seed"])
    widths = case.get("widths") or [case["inputs"], case["neurons"]]
    layers = []
    for before, after in itertools.pairwise(widths):
        layers.append(
            (rng.normal(size=(before, after)) * math.sqrt(2 / before), rng.normal(size=after))
        )
    heads = rng.normal(size=widths[-1]) * math.sqrt(2 / widths[-1])

    def function(x):
        for w, b in layers:
            x = np.maximum(x @ w + b, 0.0)
        return x @ heads

    began = time.process_time()
    made = extract(Oracle(function, widths[0]), Lines(seed=case["seed"]))
    seconds = time.process_time() - began
    parameters = sum(w.size + b.size for w, b in layers) + len(heads)
    values = {
        "outcome": made.outcome.name,
        "evidence": made.evidence,
        "queries": made.queries,
        "parameters": parameters,
        "seconds": seconds,
    }
    if case["ask"] == "network" and made.function is not None:
        x = rng.normal(size=(20_000 if widths[0] < 100 else 5_000, widths[0]))
        y = function(x)
        gap = np.abs(made.function(x)[:, 0] - y)
        rows, offsets = _rows(*layers[0], heads)
        found = made.function
        weights = np.hstack([found.normals, found.offsets[:, None], found.heads])
        truth = np.hstack([rows, offsets[:, None], (heads * _lengths(layers[0][0]))[:, None]])
        values |= {
            "error": float(np.max(gap)),
            "relative": float(np.max(gap) / np.max(np.abs(y))),
            "neurons": found.neurons,
            "has_orientation": made.has_orientation,
            "weights": _apart(weights, truth) if made.has_orientation else None,
        }
    if case["ask"] == "deep":
        values |= _measured_deep(case, function)
    return Result(values)


def _measured_deep(case, function) -> dict:
    """Layer by layer, from queries of its own."""
    widths = case["widths"]
    began = time.process_time()
    oracle = Oracle(function, widths[0])
    made = extract_deep(oracle, DeepLines(deepest=len(widths) - 1, seed=case["seed"]))
    values = {
        "deep_outcome": made.outcome.name,
        "deep_evidence": made.evidence,
        "deep_queries": made.queries,
        "deep_seconds": time.process_time() - began,
        "layers": [layer.outcome.name for layer in made.layers],
        "units": [layer.units for layer in made.layers],
    }
    if made.network is not None:
        x = np.random.default_rng(case["seed"]).normal(size=(20_000, widths[0]))
        h, y = x, function(x)
        *weights, heads = (np.array(w) for w in made.network.weights)
        *biases, constant = (np.array(b) for b in made.network.biases)
        for w, b in zip(weights, biases, strict=True):
            h = np.maximum(h @ w.T + b, 0.0)
        values["deep_relative"] = float(
            np.max(np.abs(h @ heads[0] + constant[0] - y)) / np.max(np.abs(y))
        )
    return values


def _lengths(w):
    return np.linalg.norm(w, axis=0)


def _rows(w, b, heads):
    """Rows of unit length, with their biases."""
    return (w / _lengths(w)).T, b / _lengths(w)


def _apart(found, truth) -> float:
    """The largest difference of normalised weights, neurons being matched."""
    if found.shape != truth.shape:
        return math.inf
    cost = np.max(np.abs(found[:, None] - truth[None]), axis=2)
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    return float(np.max(cost[rows, columns]))


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """Recovered means: as the oracle's weights say, not as the extraction says."""
    plain = [r for r in records if r.case.data["ask"] == "network"]
    deep = [r for r in records if r.case.data["ask"] == "deep"]
    good = [r for r in plain if r.values["outcome"] == "recovered"]
    known = [r for r in good if r.values["has_orientation"]]
    worst = max((r.values["relative"] for r in good), default=math.inf)
    apart = max((r.values["weights"] for r in known), default=math.inf)
    bent = sum(r.values["outcome"] == "not_two_layers" for r in deep)
    wrong = sum(r.values["outcome"] == "not_two_layers" for r in plain)
    slack = max(
        r.values["queries"] - 3 * r.values["parameters"] - 150 * r.case.data["neurons"]
        for r in plain
    )
    last = max(plain, key=lambda r: r.values["parameters"]).values
    return {
        "identified": _judge_deep(deep),
        "two-layers": Judgement.by_numbers(
            len(good) == len(plain) and worst < 1e-9 and apart < 1e-6,
            f"{len(good)} of {len(plain)} networks are recovered, with a relative error of at most "
            f"{worst:.1e} in the function; for {len(known)} the sides of all neurons are known, "
            f"and normalised weights are right to {apart:.1e}.",
            {"recovered": len(good), "networks": len(plain), "relative": worst, "weights": apart},
        ),
        "bending": Judgement.by_numbers(
            bent == len(deep) and not wrong,
            f"Kinks that bend were found in {bent} of {len(deep)} networks with two or three "
            f"hidden layers, and in {wrong} of {len(plain)} with one.",
            {"bent": bent, "wrong": wrong},
        ),
        "linear-queries": Judgement.by_numbers(
            slack <= 3000,
            f"The largest network, of {last['parameters']} parameters, takes {last['queries']} "
            f"queries, {last['queries'] / last['parameters']:.2f} a parameter.",
            {"queries": last["queries"], "parameters": last["parameters"], "above": slack},
        ),
        "published-counts": _judge_counts(good),
        "deep-counts": _judge_deep_counts(deep),
    }


def _found(deep) -> list[Record]:
    """Those that are recovered, and right where the extraction did not look."""
    return [r for r in deep if r.values.get("deep_relative", math.inf) < 1e-8]


def _judge_deep(deep) -> Judgement:
    found = _found(deep)
    wrong = sum(r.values.get("deep_relative", 0.0) >= 1e-8 for r in deep)
    whole = sum(r.values["units"] == r.case.data["widths"][1:] for r in found)
    return Judgement.by_numbers(
        2 * len(found) > len(deep) and not wrong,
        f"{len(found)} of {len(deep)} networks with two or three hidden layers are recovered, "
        f"{whole} of them with all units (others are never on, or never off), and {wrong} are "
        f"wrong; the rest is reported as known in part. Often is taken to mean more than half.",
        {"recovered": len(found), "whole": whole, "wrong": wrong, "deep": len(deep)},
    )


def _judge_deep_counts(deep) -> Judgement:
    parts, holds = [], True
    for widths, limit in _PUBLISHED_DEEP.items():
        mine = [r for r in _found(deep) if tuple(r.case.data["widths"]) == widths]
        if mine:
            queries = math.log2(float(np.median([r.values["deep_queries"] for r in mine])))
            holds &= queries <= limit
            parts.append(f"{'-'.join(map(str, widths))}-1 takes 2^{queries:.2f}, not 2^{limit}")
    if not parts:
        return Judgement(Verdict.UNDECIDED, "No such network is recovered here.", {"sizes": 0})
    # That another algorithm takes more queries says nothing against one that takes fewer.
    return Judgement(
        Verdict.SUPPORTED if holds else Verdict.UNDECIDED,
        f"{'; '.join(parts)}. Networks are random, not trained, and the algorithm is ours.",
        {"sizes": len(parts)},
    )


def _judge_counts(good) -> Judgement:
    of = {(r.case.data["inputs"], r.case.data["neurons"]): r for r in good}
    seen = {size: of[size] for size in _PUBLISHED if size in of}
    if not seen:
        return Judgement(
            Verdict.UNDECIDED, "No network of these sizes is measured at this scale.", {"sizes": []}
        )
    parts, holds = [], True
    for (d, h), record in seen.items():
        queries, error = (math.log2(record.values[key]) for key in ("queries", "error"))
        limit = _PUBLISHED[d, h]
        holds &= queries <= limit[0] and error <= limit[1]
        parts.append(f"{d}-{h}-1 takes 2^{queries:.2f} queries to 2^{error:.1f}")
    return Judgement.by_numbers(
        holds,
        f"{'; '.join(parts)}: no more than that, and no worse. Networks are random, not trained.",
        {"sizes": [list(size) for size in seen]},
    )


def _picture(records: Sequence[Record]):
    rows: dict[str, list[tuple[int, int]]] = {}
    for r in records:
        kind = "one hidden layer" if r.case.data["ask"] == "network" else "more"
        name = f"{kind}: {r.values['outcome'].replace('_', ' ')}"
        rows.setdefault(name, []).append((r.values["parameters"], r.values["queries"]))
    cost = [
        report.Series(name, *zip(*points, strict=True), mark=report.Mark.dots)
        for name, points in rows.items()
    ]
    span = sorted({x for points in rows.values() for x, _ in points})
    cost.append(report.Series("one a parameter", span, span, report.Mark.dashed))
    good = [r for r in records if r.values.get("relative") is not None]
    errors = report.Series(
        "", [r.values["parameters"] for r in good], [r.values["relative"] for r in good],
        report.Mark.dots,
    )  # fmt: skip
    panels = [
        report.Panel("(a) cost", "parameters", "queries", tuple(cost), is_x_log=True, is_y_log=True)
    ]
    if good:
        panels.append(
            report.Panel(
                "(b) recovered functions", "parameters", "largest relative error", (errors,),
                is_x_log=True, is_y_log=True,
            )
        )  # fmt: skip
    return report.panel_figure(panels)


PAPER = Paper(
    key="rolnick-kording-2019",
    title="Reverse-engineering deep ReLU networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=2,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("two-layers", "linear-queries", "bending"),
            "(a) Queries grow with the number of parameters and no faster, once the network is "
            "large; networks with more hidden layers are told apart. (b) What was recovered "
            "agrees with the network nearly to rounding.",
            _picture,
        ),
    ),
)
