"""Senen-Cerda & Sanders (2022): how fast dropout converges on shallow linear networks."""

from shallows.lab import Case
from shallows.papers import Claim, Paper, Picture, Scale
from shallows.papers.senen_cerda_sanders_2020.drawing import picture
from shallows.papers.senen_cerda_sanders_2020.measures import MASKS, measure
from shallows.papers.senen_cerda_sanders_2020.readings import SETTINGS, judge

_SOURCE = "senencerdasanders2022"

CLAIMS = (
    Claim(
        "objective",
        "Dropout and dropconnect on shallow linear networks are matrix factorisation with a "
        "particular regulariser.",
        f"{_SOURCE}, abstract (the regulariser of dropout is that of cavazza2018, Theorem 1; that "
        f"of dropconnect is our reading)",
        True,
    ),
    Claim(
        "minimisers",
        "Minimisers have the target's singular vectors and soft-thresholded singular values, and "
        "equal products of norms for all units; flows from random starts end there.",
        f"{_SOURCE} (cavazza2018, Theorem 3, for the values; for a fixed width it is our reading)",
        False,
    ),
    Claim(
        "dimension",
        "They form a set of dimension f ρ − ρ(ρ+1)/2 + 1, as many as the Hessian has zero "
        "eigenvalues there.",
        f"{_SOURCE} (that the set and the Hessian are analysed is in the abstract; the dimension "
        f"is our reading)",
        False,
    ),
    Claim(
        "local",
        "From near a minimiser the gradient flow converges to one.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "rate",
        "Started sufficiently close to a minimiser, simulations match a rate that depends on the "
        "data, the dropout probability and the width.",
        f"{_SOURCE}, abstract (their bound is unknown to us: our reading puts twice the smallest "
        f"non-zero Hessian eigenvalue in its place, within 3 %)",
        True,
    ),
    Claim(
        "rank-one",
        "For a target of rank one and balanced weights that eigenvalue is 2λy/(f + λ): it vanishes "
        "as p → 1 and like 1/f in the width.",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "far",
        "Started far away, simulations are in qualitative agreement with the rate.",
        f"{_SOURCE}, abstract (our reading: the loss falls in the end at the rate of the Hessian "
        f"at the flow's own limit, which depends on the start)",
        True,
    ),
    Claim(
        "conserved",
        "The flow conserves |a_i|² − |b_i|² of each unit, and ends at a balanced minimiser only if "
        "it starts balanced.",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "time",
        "In the original weights the flow is slower by p (dropout) or p² (dropconnect), so that "
        "its rate vanishes at both ends of p, where that in rescaled weights is monotone.",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "threshold",
        "For more singular values the rate is not monotone in p, and where one meets the threshold "
        "the loss falls no longer exponentially.",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "masks",
        "Descent with random masks follows the gradient flow of the mean, with a deviation of the "
        "mean loss of the order of the step.",
        f"{_SOURCE} (our reading)",
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """Flows from near and far over probabilities, widths and sizes; runs with masks."""
    probabilities, widths, seeds = {
        Scale.smoke: ([0.5], [4], 1),
        Scale.desk: ([0.3, 0.6, 0.9], [3, 8], 2),
        Scale.paper: ([0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9], [2, 3, 4, 8, 16], 5),
    }[scale]
    kinds = ["dropout"] if scale is Scale.smoke else list(MASKS)
    made = [{"ask": "identity", "masks": kind, "p": 0.6} for kind in MASKS]
    made += [
        {"ask": "flow", "masks": kind, "p": p, "units": f, "shape": [3, 2], "singular": [2.0]}
        | {"start": "near", "seed": 0, "original": original}
        for kind in MASKS
        for p, f in SETTINGS
        for original in (False, True)
        if scale is not Scale.smoke
        or (kind == "dropout" and not original)
        or (f, original) == (3 if kind == "dropconnect" else 6, kind == "dropout")
    ]
    made += [
        {"ask": "flow", "masks": kind, "p": p, "units": f, "shape": shape, "singular": singular}
        | {"start": start, "seed": seed, "original": False}
        for kind in kinds
        for p in probabilities
        for f in widths
        for shape, singular in (([3, 2], [2.0]), ([3, 3], [2.0, 1.0]), ([2, 5], [3.0, 1.0]))[
            : 2 if scale is Scale.smoke else 3
        ]
        for start in ("near", "far", "far and balanced")
        for seed in range(1, 1 + (1 if start == "near" else seeds))
    ]
    sweep = [0.3, 0.5, 0.7] if scale is Scale.smoke else [round(0.1 * i, 1) for i in range(1, 10)]
    made += [
        {"ask": "flow", "masks": "dropout", "p": p, "units": 4, "shape": [2, 2]}
        | {"singular": [1.0, 0.2], "start": "balanced sweep", "seed": 0, "original": False}
        for p in sweep
    ]
    made += [
        {"ask": "masks", "masks": kind, "p": 0.7, "units": 4, "step": step, "runs": runs}
        for kind in kinds
        for runs in [{Scale.smoke: 60, Scale.desk: 400, Scale.paper: 2000}[scale]]
        for step in ((0.02, 0.005) if scale is Scale.smoke else (0.01, 0.005, 0.0025, 0.00125))
    ]
    return [Case(one) for one in made]


PAPER = Paper(
    key="senen-cerda-sanders-2020",
    title="Asymptotic convergence rate of Dropout on shallow linear neural networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("rate", "far", "masks"),
            "(a) Each dot is a flow: the rate at which its loss falls in the end is the one that "
            "the Hessian there predicts, from near starts and from far ones. (b) The mean loss of"
            " runs with random masks deviates from the flow's by less for a smaller step.",
            picture,
        ),
    ),
)
