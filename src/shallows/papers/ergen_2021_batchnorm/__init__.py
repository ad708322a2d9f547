"""Ergen et al. (2021): batch normalisation in ReLU networks, as convex programs.

Of the paper we know the abstract; theorems are our derivations, and data are ours. Its deep and
convolutional networks, and its experiments on CIFAR, are left out.
"""

from typing import Any

from shallows.lab import Case
from shallows.model.unit_data import has_digits
from shallows.papers import Claim, Paper, Scale
from shallows.papers.ergen_2021_batchnorm.drawing import PICTURES
from shallows.papers.ergen_2021_batchnorm.measures import measure
from shallows.papers.ergen_2021_batchnorm.readings import judge

_SOURCE = "ergen2021"

CLAIMS = (
    Claim(
        "convex",
        "Networks with weight decay and batch normalisation have an exact convex representation.",
        f"{_SOURCE}, abstract (here: normalised before the ReLU, two layers)",
        True,
    ),
    Claim(
        "whitened",
        "Normalised before the ReLU it is the program without normalisation, of the whitened data "
        "U′ with U′ᵀU′ = I.",
        f"{_SOURCE} (our reading, derived by us)",
        False,
    ),
    Claim(
        "closed-form",
        "With as many features as points, layer weights are known in closed form.",
        f"{_SOURCE}, abstract (the formula is our derivation)",
        True,
    ),
    Claim(
        "vector",
        "So they are for one-hot targets: a neuron for each class.",
        f"{_SOURCE} (our reading, derived by us)",
        False,
    ),
    Claim(
        "after",
        "Normalised after the ReLU the program is another one, exact too.",
        f"{_SOURCE} (our reading, derived by us)",
        False,
    ),
    Claim(
        "scale",
        "Penalising what is divided by standard deviations is the program with β/√n.",
        f"{_SOURCE} (our reading, derived by us)",
        False,
    ),
    Claim(
        "bias",
        "Gradient descent on normalised networks favours the large singular directions of the "
        "data, which the convex program does not.",
        f"{_SOURCE} (our reading of its algorithmic bias: which are learnt first)",
        False,
    ),
    Claim(
        "truncation",
        "Programs that keep the largest singular values only have that bias: on other data they "
        "do as well as descent, stopped early, and better than the program with all.",
        f"{_SOURCE} (our reading of how a convex objective encodes the bias)",
        False,
    ),
    Claim(
        "real-data",
        "So they do on handwritten digits.",
        f"{_SOURCE} (a hypothesis of ours)",
        False,
    ),
    Claim(
        "sticking",
        "Normalised after the ReLU, training can end far above the optimum, where a random first "
        "layer that stays comes close.",
        f"{_SOURCE} (a hypothesis of ours, on data of ours)",
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """Small problems with optima, runs beside them, and fits at other points."""
    large = scale is not Scale.smoke
    seeds = {Scale.smoke: 1, Scale.desk: 3, Scale.paper: 12}[scale]
    steps = 12_000 if large else 6_000
    made: list[dict[str, Any]] = [
        {"ask": "convex", "points": n, "inputs": d, "beta": 0.1, "seed": seed, "steps": steps}
        for n, d in ((8, 1), (10, 2), (8, 3))[: 3 if large else 1]
        for seed in range(seeds)
    ]
    made += [
        {"ask": "closed", "points": 6, "inputs": 8, "beta": beta, "seed": seed, "steps": steps}
        for beta in ((0.1, 0.5) if large else (0.1,))
        for seed in range(seeds)
    ]
    made += [
        {"ask": "after", "points": 8, "inputs": 1 + seed % 2, "beta": 0.05, "seed": seed}
        for seed in range(seeds)
    ]
    made += [
        {"ask": "vector", "points": 9, "inputs": 12, "classes": 3, "beta": 0.3, "seed": seed}
        for seed in range(seeds)
    ]
    # Widths with all layers trained; a width of 400 with the first layer fixed, beside.
    made += [
        {"ask": "stick", "width": width, "step": step, "is_fixed": fixed} | {"steps": steps}
        for width, step, fixed in (
            (40, 2e-2, False),
            (400, 2e-2, True),
            (10, 2e-2, False),
            (160, 2e-2, False),
            (40, 5e-3, False),
            (400, 5e-3, True),
        )[: 6 if large else 2]
    ]
    made += [
        {"ask": "bias", "is_whitened": white, "seed": seed, "steps": 4_000 if large else 2_000}
        for white in (False, True)
        for seed in range(seeds)
    ]
    for data in ("ours", "digits") if large and has_digits() else ("ours",):
        made += [
            {"ask": "truncation", "data": data, "seed": s, "steps": 4_000 if large else 1_000}
            for s in range(seeds)
        ]
    return [Case(one) for one in made]


PAPER = Paper(
    key="ergen-2021-batchnorm",
    title="Demystifying Batch Normalization in ReLU Networks: Equivalent Convex Optimization "
    "Models and Implicit Regularization",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=PICTURES,
)
