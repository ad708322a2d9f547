"""Zou & Gu (2019): width, rate and length of the way of over-parameterised ReLU networks.

Of the paper we know the abstract; the theorem's exponents are second-hand, and so are those of
the works before it (`theory`). Constants are neither known nor within reach: exponents are.
"""

from typing import Any

from shallows.lab import Case
from shallows.model.unit_data import has_digits
from shallows.papers import Claim, Paper, Picture, Scale
from shallows.papers.zou_gu_2019.drawing import picture
from shallows.papers.zou_gu_2019.measures import measure
from shallows.papers.zou_gu_2019.readings import judge

_SOURCE = "zougu2019"

CLAIMS = (
    Claim(
        "milder",
        "A tighter lower bound of the gradient, for faster convergence, and a sharper bound of the "
        "length of the trajectory make a milder width sufficient than in previous work.",
        f"{_SOURCE}, abstract (that the bounds we know second-hand lead there is arithmetic)",
        True,
    ),
    Claim(
        "gradient-bound",
        "Along training |∇L|² ≥ c (m φ/(k n²)) L.",
        f"{_SOURCE} (our reading: exponents only, and the least along each run)",
        False,
    ),
    Claim(
        "iterations",
        "Gradient descent with η = O(k/(L² m)) gets to ε in O(n² L² log(1/ε)/φ) steps.",
        f"{_SOURCE} (our reading: exponents only; an upper bound)",
        False,
    ),
    Claim(
        "trajectory",
        "The way Σ η |∇L| has length O(√k n/√(m φ)).",
        f"{_SOURCE} (our reading: exponents only; an upper bound)",
        False,
    ),
    Claim(
        "width",
        "A width of order k n⁸ L¹² log³ m/φ⁴ suffices.",
        f"{_SOURCE} (our reading: exponents only; an upper bound of the smallest width)",
        False,
    ),
    Claim(
        "relation",
        "(2/n) λ_min(K) L ≤ |∇L|² ≤ (2/n) λ_max(K) L for the tangent kernel K of the same weights.",
        f"{_SOURCE} (our reading: an identity, |∇L|² = rᵀ K r/n²)",
        False,
    ),
    Claim(
        "eigenvalue",
        "For infinite width λ_min ≥ φ/(100 n²).",
        "oymaksoltanolkotabi2020 (our reading)",
        False,
    ),
    Claim(
        "spectral",
        "|y − u_t| is √Σ (1 − η λ_i)^(2t) (v_i·y)², the λ and v being those of the kernel at the "
        "start, up to an error that falls with the width.",
        "arora2019 (our reading)",
        False,
    ),
    Claim(
        "wider",
        "Wider networks converge faster, with fewer changes of activation patterns and less "
        "movement of each neuron.",
        "du2019 (our reading of its experiments)",
        False,
    ),
    Claim(
        "digits",
        "On handwritten digits it is the same: convergence at the rate of infinite width, halved, "
        "and a gradient above that bound.",
        f"{_SOURCE} (a hypothesis of ours)",
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """Runs along width, separation, points, outputs and depth, and searches for widths.

    Along outputs, and along φ in one of two sweeps, the width grows as the theorem has it.
    """
    large = scale is not Scale.smoke
    seeds = {Scale.smoke: 3, Scale.desk: 6, Scale.paper: 20}[scale]
    phi, base = (0.4, 256) if large else (0.8, 64)
    widths = [base * 4**j for j in range(4 if large else 2)]
    wide = 4096 if large else 256
    runs: list[tuple[str, dict]] = [("m", {"width": m, "separation": phi}) for m in widths]
    runs += [
        ("φ", {"width": 2 * base, "separation": x})
        for x in ([0.2, 0.1, 0.05] if large else [0.2, 0.1])
    ]
    runs += [
        ("φ along m ∝ φ⁻⁴", {"width": base * 4**j, "separation": round(0.8 * 2 ** (-j / 2), 4)})
        for j in range(4 if large else 0)
    ]
    runs += [
        ("n", {"width": wide, "separation": phi, "points": n, "inputs": 20})
        for n in ([4, 8, 16, 32] if large else [4, 8])
    ]
    runs += [
        ("k", {"width": k * wide // 2, "separation": phi, "outputs": k})
        for k in ([1, 2, 4, 8] if large else [1, 2])
    ]
    runs += [
        ("L", {"width": 128 if large else 64, "separation": 0.8, "depth": depth})
        for depth in ([1, 2, 3] if large else [1, 2])
    ]
    made = [_run(along, seed, **rest) for along, rest in runs for seed in range(seeds)]
    made += [
        {"ask": "limit", "along": "φ", "points": 6, "inputs": 10, "outputs": 1}
        | {"separation": x, "seed": seed}
        for x in (1e-1, 1e-2, 1e-3, 1e-4)
        for seed in range(3)
    ]
    # One search is of `starts` data sets; groups of them are independent.
    starts, groups = {Scale.smoke: (3, 2), Scale.desk: (9, 4), Scale.paper: (25, 10)}[scale]
    searches: list[tuple[str, dict]] = [
        ("φ", {"separation": x, "kept": 0.5, "most": 32768})
        for x in ([0.6, 0.5, 0.4, 0.3] if large else [0.8, 0.5])
    ]
    searches += [
        ("n", {"separation": 0.5, "kept": 0.5, "points": n, "inputs": 20})
        for n in ([4, 8, 16] if large else [])
    ]
    searches += [
        ("k", {"separation": 0.5, "kept": 0.5, "outputs": k}) for k in ([1, 2, 4] if large else [])
    ]
    searches += [
        ("L", {"separation": 0.8, "kept": 0.5, "depth": depth, "most": 256})
        for depth in ([1, 2, 3] if large else [])
    ]
    searches += [("φ", {"separation": x}) for x in ([0.8, 0.4, 0.2] if large else [])]
    searches += [
        ("n", {"separation": 0.4, "points": n, "inputs": 20})
        for n in ([4, 8, 16, 32] if large else [4, 8])
    ]
    made += [
        _search(along, group, starts, **rest) for along, rest in searches for group in range(groups)
    ]
    if large and has_digits():
        made += [
            {"ask": "digits", "points": n, "outputs": k, "width": 2048, "seed": seed}
            for n, k in ((10, 1), (20, 1), (20, 10), (40, 1), (80, 1))[: 3 if seeds < 20 else 5]
            for seed in range(3)
        ]
    return [Case(one) for one in made]


def _run(along: str, seed: int, **rest: Any) -> dict[str, Any]:
    plain = {"points": 6, "inputs": 10, "outputs": 1, "depth": 1}
    return {"ask": "run", "along": along, "seed": seed, **plain, **rest}


def _search(along: str, group: int, starts: int, **rest: Any) -> dict[str, Any]:
    plain = {"points": 6, "inputs": 10, "outputs": 1, "depth": 1, "kept": 0.0, "most": 8192}
    return {"ask": "width", "along": along, "group": group, "starts": starts, **plain, **rest}


PAPER = Paper(
    key="zou-gu-2019",
    title="An Improved Analysis of Training Over-parameterized Deep Neural Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("gradient-bound", "trajectory", "iterations", "width", "wider"),
            "How ratio, length, steps and smallest widths go with width, points and separation: "
            "dots are runs, lines are fitted powers, and dashed lines have the powers of the "
            "bounds.",
            picture,
        ),
    ),
)
