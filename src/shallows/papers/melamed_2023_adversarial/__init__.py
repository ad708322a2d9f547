"""Melamed, Yehudai & Vardi (2023): adversarial directions off the subspace of the data.

Of the paper we know the abstract and the released code; statements of theorems are second-hand.
"""

from collections.abc import Sequence
from typing import Any

from shallows import report
from shallows.lab import Case, Record
from shallows.model.unit_data import has_digits
from shallows.papers import Claim, Paper, Picture, Scale
from shallows.papers.melamed_2023_adversarial.measures import VARIANTS, measure
from shallows.papers.melamed_2023_adversarial.readings import judge

_SOURCE = "melamed2023"

CLAIMS = (
    Claim(
        "frozen",
        "Training on a linear subspace leaves what weights have orthogonal to it as it was; with "
        "weight decay it is (1 − ηλ)^T times that after T steps.",
        f"{_SOURCE} (our reading: gradients are combinations of data points)",
        False,
    ),
    Claim(
        "gradient",
        "Trained networks have large gradients orthogonal to the subspace: at least √(kl/(2md)) "
        "for k active neurons, with probability 1 − e^(−l/16).",
        f"{_SOURCE}, abstract (the bound is our reading)",
        True,
    ),
    Claim(
        "typical",
        "Their typical length is √2 times that bound.",
        f"{_SOURCE} (our reading: a sum of k independent Gaussian vectors)",
        False,
    ),
    Claim(
        "distance",
        "Small perturbations orthogonal to the subspace change the sign: of length "
        "O(|N| (m/k_y) √(d/l)), of order one where l is of order d, though |x| = √d.",
        f"{_SOURCE}, abstract (the order is our reading)",
        True,
    ),
    Claim(
        "universal",
        "One direction, Σ u_i Π⊥w_i, changes the sign of all points.",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "initialisation",
        "A smaller initialisation makes networks more robust: gradients orthogonal to the subspace "
        "are linear in its scale β.",
        f"{_SOURCE}, abstract (that they are O(β) is our reading)",
        True,
    ),
    Claim(
        "decay",
        "L2 regularisation makes networks more robust: the gradient falls, the distance grows.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "which",
        "Which direction is better, the universal one or the point's own gradient, depends on β: "
        "the own one for β = 1, the universal one for small β.",
        f"{_SOURCE} (a hypothesis of ours)",
        False,
    ),
    Claim(
        "smallest",
        "The smallest change of sign off the subspace is not much smaller than along the "
        "direction of the gradient.",
        f"{_SOURCE} (a hypothesis of ours, for small networks; bounds are proved)",
        False,
    ),
    Claim(
        "medians",
        "For d = 200, l = 100 medians of gradient and universal distance are .485 and 4.69 "
        "(β = 1, bound .346), .042 and 30.6 (β = .1).",
        f"{_SOURCE} (our reading: an earlier computation of ours)",
        False,
    ),
    Claim(
        "diagonal",
        "On a diagonal of the plane the boundary of a trained network comes close to all points; "
        "from a small start, or regularised, it crosses the line between them.",
        f"{_SOURCE}, figure 2 of the released code (strengths are our reading)",
        False,
    ),
    Claim(
        "chessboard",
        "On a chessboard in space regularisation has a smaller effect of that kind.",
        f"{_SOURCE}, figure 3 of the released code (strengths are our reading)",
        False,
    ),
    Claim(
        "digits",
        "Handwritten digits, embedded in a larger space, are as vulnerable: the distance off the "
        "subspace is well below half of that to the nearest picture of the other digit.",
        f"{_SOURCE} (a hypothesis of ours)",
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """Runs along l, d, β, λ and m, batches, rotations; released experiments; certified flips."""
    large = scale is not Scale.smoke
    seeds = {Scale.smoke: 2, Scale.desk: 5, Scale.paper: 20}[scale]
    runs: list[tuple[str, dict]] = [("l", {"codimension": l}) for l in (50, 100, 150)]
    runs += [("l", {"codimension": l}) for l in ((20, 180) if large else ())]
    runs += [
        ("d", {"inputs": d, "codimension": d // 2})
        for d in ((50, 100, 200, 400, 800) if large else (50, 100, 200))
    ]
    runs += [("β", {"scale": x}) for x in ((1.0, 0.3, 0.1, 0.03, 0.01) if large else (1.0, 0.1))]
    runs += [("λ", {"decay": x}) for x in ((0.0, 0.1, 0.2, 0.5) if large else (0.0, 0.5))]
    runs += [("m", {"width": m}) for m in ((250, 1000, 4000) if large else ())]
    runs += [("rotated", {"rotated": True}), ("batch", {"batch": 5})]
    runs += [("rotated", {"rotated": True, "decay": 0.3})]
    runs += [("η", {"step": x, "scale": b}) for x in (0.02, 0.2) for b in (1.0, 0.1)]
    made = [_case("run", along, seed, **rest) for along, rest in runs for seed in range(seeds)]
    small = {"inputs": 8, "codimension": 3, "width": 24, "points": 4}
    wider = {"inputs": 12, "codimension": 4, "width": 32, "points": 3}
    shapes = [small, wider] if large else [small]
    made += [
        _case("smallest", "β", seed, **shape, scale=x, branches=300)
        for shape in shapes
        for x in ((1.0, 0.3) if large else (1.0,))
        for seed in range({Scale.smoke: 1, Scale.desk: 2, Scale.paper: 8}[scale])
    ]
    kinds = ("diagonal", "chessboard") if large else ("diagonal",)
    made += [
        {"ask": "released", "data": kind, "variant": variant, "seed": seed}
        for kind in kinds
        for variant in VARIANTS[kind]
        if not variant.startswith("released") or scale is Scale.paper
        for seed in range({Scale.smoke: 1, Scale.desk: 3, Scale.paper: 10}[scale])
    ]
    if large and has_digits():
        made += [
            _case("digits", "β", seed, inputs=64 + l, codimension=l, points=40, scale=x)
            for l in (16, 64)
            for x in (1.0, 0.1)
            for seed in range(3 if scale is Scale.desk else seeds)
        ]
    return [Case(one) for one in made]


def _case(ask: str, along: str, seed: int, **rest: Any) -> dict[str, Any]:
    plain = {"inputs": 200, "codimension": 100, "width": 1000, "points": 20, "scale": 1.0}
    switches = {"step": None, "decay": 0.0, "rotated": False, "batch": None}
    return {"ask": ask, "along": along, "seed": seed, **plain, **switches, **rest}


def _picture(records: Sequence[Record]):
    # Matplotlib is for those who draw.
    from shallows.papers.melamed_2023_adversarial.drawing import panels

    found = panels(records)
    return report.subspace_figure(found) if found else None


def _chessboard(records: Sequence[Record]):
    from shallows.papers.melamed_2023_adversarial.drawing import chessboard_panels

    found = chessboard_panels(records)
    return report.subspace_figure(found) if found else None


PAPER = Paper(
    key="melamed-2023-adversarial",
    title="Adversarial Examples Exist in Two-Layer ReLU Networks for Low Dimensional Linear "
    "Subspaces",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("gradient", "typical", "universal", "distance", "initialisation", "diagonal"),
            "Above, where networks trained on points of a line change their sign: near the line, "
            "unless the start is small or weights decay. Below, the gradient off the subspace "
            "against its bound (dashed), and how far a perturbation that flips the sign has to go.",
            _picture,
        ),
        Picture(
            ("chessboard",),
            "Networks that have learnt the colours of a chessboard in a plane: a slice across the "
            "plane, and how far from the board the nearest change of sign is (light is near).",
            _chessboard,
        ),
    ),
)
