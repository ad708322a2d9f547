"""Puthawala et al. (2022): globally injective ReLU networks."""

import math
from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.atlas.shares import clopper_pearson
from shallows.certify import Verdict, is_convolution_injective, is_injective
from shallows.lab import Case, Record, Result
from shallows.model import (
    cells,
    doubled,
    gaussian_thresholds,
    inverse_lipschitz,
    planar_probability,
)
from shallows.model.expansivity import FULL_RSB
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported

_SOURCE = "puthawala2022"

CLAIMS = (
    Claim(
        "two",
        "An expansivity of two is necessary and sufficient for the injectivity of a layer, by "
        "construction of weights.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "gaussian",
        "Layers with iid Gaussian weights need a larger expansivity, between 3.4 and 10.5.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "stability",
        "The inverse of an injective layer of m rows has a worst-case Lipschitz constant of at "
        "most √(2m)/σ, with σ the least singular value of the active rows over all inputs.",
        f"{_SOURCE}, abstract for the constant's existence (our reading for its form)",
        False,
    ),
    Claim(
        "convolution",
        "If kernels at all places in a patch have active ones that span the patch at every x, the "
        "convolutional layer is injective.",
        f"{_SOURCE}, on convolutional layers (our reading)",
        False,
    ),
    Claim(
        "bias-signs",
        "A layer with biases is injective exactly if the layer of its rows with b ≥ 0, without "
        "biases, is.",
        f"{_SOURCE}, on biases (our reading, as a hypothesis: it may ask for the sufficient half)",
        False,
    ),
    Claim(
        "end-to-end",
        "A random projection of an injective layer to 2n + 1 dimensions keeps it injective.",
        f"{_SOURCE}, abstract for doubling end to end (our reading: 2n + 1)",
        False,
    ),
)

_EXPANSIVITIES = (2.0, 3.0, 3.4, 4.0, 5.0, 6.0, 6.7, 8.0, 9.0, 10.5)


def cases(scale: Scale) -> list[Case]:
    """More inputs, draws and expansivities at larger scales."""
    widest, draws, some = {
        Scale.smoke: (3, 20, (2.0, 3.0, 5.0, 10.5)),
        Scale.desk: (4, 200, _EXPANSIVITIES),
        Scale.paper: (6, 400, _EXPANSIVITIES),
    }[scale]
    sizes = range(2, widest + 1)
    made = [Case({"ask": "two", "inputs": n}) for n in sizes]
    made += [
        Case({"ask": "gaussian", "inputs": n, "expansivity": c, "draws": draws})
        for n in sizes
        for c in some
    ]
    made += [Case({"ask": "stability", "inputs": n}) for n in range(2, min(widest, 3) + 1)]
    made += [Case({"ask": "convolution", "kernels": k, "draws": draws // 4}) for k in (5, 7, 9)]
    made.append(Case({"ask": "bias-signs", "draws": draws}))
    return made + [Case({"ask": "end-to-end", "inputs": n, "draws": draws // 10}) for n in (1, 2)]


def measure(case: dict) -> Result:
    """Exact verdicts on random layers, or how far images of inputs are apart."""
    rng = np.random.default_rng([6464, *(round(10 * v) for v in case.values() if v != case["ask"])])
    return Result(
        {
            "two": _doublings,
            "gaussian": _draws,
            "stability": _ratios,
            "convolution": _convolutions,
            "bias-signs": _bias_signs,
            "end-to-end": _projections,
        }[case["ask"]](case, rng)
    )


def _doublings(case: dict, rng: np.random.Generator) -> dict:
    n = case["inputs"]
    # Powers of two: any other scale would be rounded, and rounded rows are not opposite.
    w = doubled(rng.normal(size=(n, n)), 2.0 ** rng.integers(-2, 3, n))
    fewer = [is_injective(np.delete(w, i, axis=0)).verdict.value for i in range(2 * n)]
    others = [is_injective(rng.normal(size=(2 * n, n))).verdict.value for _ in range(10)]
    return {"doubled": is_injective(w).verdict.value, "one_less": fewer, "gaussian": others}


def _draws(case: dict, rng: np.random.Generator) -> dict:
    n, m = case["inputs"], round(case["inputs"] * case["expansivity"])
    found = [is_injective(rng.normal(size=(m, n))).verdict for _ in range(case["draws"])]
    undecided = found.count(Verdict.UNDECIDED)
    return {"rows": m, "injective": found.count(Verdict.PROVED), "undecided": undecided}


def _ratios(case: dict, rng: np.random.Generator) -> dict:
    n, m = case["inputs"], 8 * case["inputs"]
    w = rng.normal(size=(m, n))
    bounds = inverse_lipschitz(w)
    x = rng.normal(size=(20_000, n))
    near = x + 10.0 ** rng.uniform(-6, 0, (len(x), 1)) * rng.normal(size=x.shape)
    # In the worst cell, too, along the worst direction.
    active = w[w @ bounds.point >= 0]
    worst = np.linalg.eigh(active.T @ active)[1][:, 0]
    x = np.concatenate([x, [bounds.point]])
    near = np.concatenate([near, [bounds.point + 1e-6 * worst]])
    change = np.maximum(x @ w.T, 0) - np.maximum(near @ w.T, 0)
    ratios = np.linalg.norm(change, axis=1) / np.linalg.norm(x - near, axis=1)
    return {
        "least_ratio": float(ratios.min()),
        "lower": bounds.lower,
        "upper": bounds.upper,
        "published_lower": bounds.upper / math.sqrt(2 * m),
    }


def _convolutions(case: dict, rng: np.random.Generator) -> dict:
    local, agree = 0, 0
    for _ in range(case["draws"]):
        kernels = rng.normal(size=(case["kernels"], 2))
        if is_convolution_injective(kernels, [2]).verdict is not Verdict.PROVED:
            continue
        local += 1
        rows = [np.pad(k, (i, 2 - i)) for k in kernels for i in range(3)]
        agree += is_injective(rows).verdict is Verdict.PROVED
    return {"local": local, "agree": agree}


def _bias_signs(case: dict, rng: np.random.Generator) -> dict:
    wrongly_accepted = wrongly_rejected = 0
    for _ in range(case["draws"]):
        w, b = rng.integers(-1, 2, (7, 2)), rng.integers(-1, 2, 7)
        kept = np.where(b[:, None] >= 0, w, 0)
        whole, part = is_injective(w, b).verdict, is_injective(kept).verdict
        wrongly_accepted += part is Verdict.PROVED and whole is not Verdict.PROVED
        wrongly_rejected += part is not Verdict.PROVED and whole is Verdict.PROVED
    return {"wrongly_accepted": wrongly_accepted, "wrongly_rejected": wrongly_rejected}


def _projections(case: dict, rng: np.random.Generator) -> dict:
    """Crossings of images of two cells, for generic projections of injective layers."""
    n = case["inputs"]
    crossings = {2 * n: 0, 2 * n + 1: 0}
    for _ in range(case["draws"]):
        w, b = rng.normal(size=(6 * n, n)), rng.normal(size=6 * n)
        while is_injective(w, b).verdict is not Verdict.PROVED:
            w, b = rng.normal(size=(6 * n, n)), rng.normal(size=6 * n)
        active = (cells(w, b).signs >= 0).astype(float)
        for outputs in crossings:
            a = rng.normal(size=(outputs, 6 * n))
            maps = np.einsum("om,cm,mi->coi", a, active, w)
            offsets = np.einsum("om,cm,m->co", a, active, b)
            crossings[outputs] += _crossings(maps, offsets, active, w, b)
    return {"outputs_2n": crossings[2 * n], "outputs_2n_and_1": crossings[2 * n + 1]}


def _crossings(
    maps: np.ndarray, offsets: np.ndarray, active: np.ndarray, w: np.ndarray, b: np.ndarray
) -> int:
    """Pairs of cells with x in the one, y in the other and one image, in floats."""
    n = w.shape[1]
    i, j = np.triu_indices(len(maps), 1)
    both = np.concatenate([maps[i], -maps[j]], axis=2)
    shift = offsets[j] - offsets[i]
    pairs = np.einsum("pkl,pl->pk", np.linalg.pinv(both), shift)
    missed = np.linalg.norm(np.einsum("plk,pk->pl", both, pairs) - shift, axis=1)
    solved = missed <= 1e-9 * (1 + np.linalg.norm(shift, axis=1))
    inside = solved
    for cell, points in ((i, pairs[:, :n]), (j, pairs[:, n:])):
        # A common wall is no crossing: there x = y.
        values = (2 * active[cell] - 1) * (points @ w.T + b)
        inside = inside & np.all(values > 1e-9, axis=1)
    return int(np.count_nonzero(inside))


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """Exact verdicts are counted; shares come with intervals."""
    of: dict[str, list[Record]] = {claim.id: [] for claim in CLAIMS}
    for record in records:
        of[record.case.data["ask"]].append(record)
    return {
        "two": _two(of["two"]),
        "gaussian": _gaussian(of["gaussian"]),
        "stability": _stability(of["stability"]),
        "convolution": _convolution(of["convolution"]),
        "bias-signs": _signs(of["bias-signs"]),
        "end-to-end": _end_to_end(of["end-to-end"]),
    }


def _two(records: Sequence[Record]) -> Judgement:
    built = [r.values["doubled"] for r in records].count("PROVED")
    others = [v for r in records for v in (*r.values["one_less"], *r.values["gaussian"])]
    sizes = [r.case.data["inputs"] for r in records]
    return Judgement(
        supported(built == len(records) and set(others) == {"REFUTED"}),
        f"{built} of {len(records)} layers [B; −DB] are injective, n = {sizes[0]} to {sizes[-1]}; "
        f"{others.count('REFUTED')} of {len(others)} with a row less, or with 2n Gaussian rows, "
        f"are not: in exact arithmetic.",
        {"inputs": sizes, "others": len(others)},
    )


def _gaussian(records: Sequence[Record]) -> Judgement:
    rows: dict[str, dict] = {}
    planar = True
    for record in records:
        case, total = record.case.data, record.case.data["draws"]
        count = record.values["injective"]
        interval = clopper_pearson(count, total)
        entry = {"share": count / total, "interval": list(interval)}
        entry["undecided"] = record.values["undecided"]
        rows.setdefault(str(case["inputs"]), {})[str(case["expansivity"])] = entry
        if case["inputs"] == 2:
            low, high = clopper_pearson(count, total, confidence=0.9999)
            planar &= low <= planar_probability(record.values["rows"]) <= high
    widest = max(rows, key=int)
    few, many = rows[widest]["3.0"], rows[widest]["10.5"]
    found = gaussian_thresholds()
    is_so = planar and few["interval"][1] < 0.5 < many["interval"][0]
    return Judgement(
        supported(is_so and round(found.mean_direction, 1) == 3.4 and found.rays < 10.5),
        f"With n = {widest} inputs {100 * few['share']:.0f} % of draws are injective at m/n = 3 "
        f"and {100 * many['share']:.0f} % at 10.5. As n → ∞ the threshold lies between "
        f"{found.mean_direction:.4f} and {found.gordon:.4f}; a union over rays gives "
        f"{found.rays:.2f}.",
        {
            "shares": rows,
            "mean_direction": found.mean_direction,
            "gordon": found.gordon,
            "cells": found.cells,
            "rays": found.rays,
            "full_rsb_published": list(FULL_RSB),
        },
    )


def _stability(records: Sequence[Record]) -> Judgement:
    rows = {str(r.case.data["inputs"]): dict(r.values) for r in records}
    holds = all(v["least_ratio"] >= v["published_lower"] for v in rows.values())
    sharper = all(v["lower"] <= v["least_ratio"] <= v["upper"] * (1 + 1e-6) for v in rows.values())
    least = min(v["least_ratio"] / v["upper"] for v in rows.values())
    return Judgement(
        supported(holds and sharper),
        f"It holds, and is far from sharp: with σ as there, images are at least σ/2 times as far "
        f"apart as inputs, whatever m is. In {20_001 * len(rows)} pairs the least was {least:.3f} "
        f"σ.",
        {"by_inputs": rows},
    )


def _convolution(records: Sequence[Record]) -> Judgement:
    local = sum(r.values["local"] for r in records)
    agree = sum(r.values["agree"] for r in records)
    if not local:
        return Judgement(Verdict.UNDECIDED, "No draw met the condition.", {"local": 0})
    return Judgement(
        supported(agree == local),
        f"{agree} of {local} random sets of kernels of length 2 that meet it give an injective "
        f"layer on signals of length 4.",
        {"local": local, "agree": agree},
    )


def _signs(records: Sequence[Record]) -> Judgement:
    accepted = sum(r.values["wrongly_accepted"] for r in records)
    rejected = sum(r.values["wrongly_rejected"] for r in records)
    total = sum(r.case.data["draws"] for r in records)
    return Judgement(
        supported(accepted == rejected == 0),
        f"It is sufficient, but not necessary: of {total} small layers {rejected} are injective "
        f"though it says no, {accepted} are not though it says yes.",
        {"wrongly_accepted": accepted, "wrongly_rejected": rejected, "layers": total},
    )


def _end_to_end(records: Sequence[Record]) -> Judgement:
    fewer = sum(r.values["outputs_2n"] for r in records)
    enough = sum(r.values["outputs_2n_and_1"] for r in records)
    layers = sum(r.case.data["draws"] for r in records)
    return Judgement(
        supported(enough == 0),
        f"In {layers} layers with one and two inputs no two cells have a common image in 2n + 1 "
        f"dimensions; in 2n dimensions there are {fewer} such pairs.",
        {"crossings_in_2n": fewer, "crossings_in_2n_and_1": enough, "layers": layers},
    )


def _picture(records: Sequence[Record]):
    drawn: dict[int, list[Record]] = {}
    for r in records:
        if r.case.data["ask"] == "gaussian":
            drawn.setdefault(r.case.data["inputs"], []).append(r)
    series = []
    for n, mine in sorted(drawn.items())[-6:]:
        shares = [r.values["injective"] / r.case.data["draws"] for r in mine]
        series.append(report.Series(f"n = {n}", [r.case.data["expansivity"] for r in mine], shares))
    plane = drawn.get(2, [])
    exact = [float(planar_probability(r.values["rows"])) for r in plane]
    at = [r.case.data["expansivity"] for r in plane]
    if plane:
        series.append(report.Series("n = 2, exactly", at, exact, report.Mark.dashed))
    return report.panel_figure(
        [report.Panel("Gaussian layers", "m/n", "share that is injective", tuple(series))]
    )


PAPER = Paper(
    key="puthawala-2020-injective",
    title="Globally Injective ReLU Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("gaussian",),
            "The share of random layers that are injective, each decided in exact arithmetic, "
            "rises with the number of rows. For two inputs the probability is known (dashed); "
            "with more inputs it rises at a larger m/n.",
            _picture,
        ),
    ),
)
