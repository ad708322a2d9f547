"""Tian (2017): the population gradient of two-layer ReLU networks, convergence, critical points.

An entry in three files, for its many claims: what is claimed and asked (here), how each question
is measured, and how its answers are read.
"""

from typing import Any

from shallows.lab import Case
from shallows.papers import Claim, Paper, Picture, Scale
from shallows.papers.tian_2017.drawing import picture
from shallows.papers.tian_2017.measures import measure
from shallows.papers.tian_2017.readings import judge

_SOURCE = "tian2017"
_FIGURE = "(our reading: set-up and starts are ours)"

CLAIMS = (
    Claim(
        "formula",
        "For x ~ N(0, I) the expected gradient has a closed form, a sum of (1/2π)((π − θ) w + "
        "|w| sin θ e) over pairs; it is singular only where a neuron is zero.",
        f"{_SOURCE}, Lemma 3.1",
        True,
    ),
    Claim(
        "sampling",
        "On samples the relative error falls like N^(−1/2) and grows as θ → π.",
        f"{_SOURCE}, Figure 3 {_FIGURE}",
        False,
    ),
    Claim(
        "cube",
        "For inputs uniform on [−1/2, 1/2]^d the formula holds up to scale, for large d.",
        f"{_SOURCE}, Figure 3 {_FIGURE}",
        False,
    ),
    Claim(
        "lyapunov",
        "One neuron: where |w − w*| < |w*|, V = |w − w*|²/2 strictly decreases.",
        f"{_SOURCE}, Lemma 3.2",
        True,
    ),
    Claim(
        "one-neuron",
        "One neuron, started uniformly in the ball of radius at most ε √(2π/(d + 1)) |w*|, "
        "converges to w* with probability at least (1 − ε)/2.",
        f"{_SOURCE}, Theorem 3.3",
        True,
    ),
    Claim(
        "reduction",
        "For an orthonormal teacher and w_j = x w*_j + y Σ_{i≠j} w*_i the flow closes on (x, y), "
        "with the field of Eq. 16.",
        f"{_SOURCE}, Eq. 16",
        True,
    ),
    Claim(
        "saddle",
        "On x = y ∈ (0, 1] the flow tends to the saddle x = y = (√(K−1) − arccos(1/√K) + π)/(πK).",
        f"{_SOURCE}, Theorem 4.1 (1)",
        True,
    ),
    Claim(
        "region",
        "From 0 < x ≤ 1, 0 ≤ y ≤ 1, x > y the flow always tends to (1, 0), so to w*.",
        f"{_SOURCE}, Theorem 4.1 (2)",
        True,
    ),
    Claim(
        "breaking",
        "An infinitesimal asymmetry x > y selects w*: the time it takes grows like log(1/δ) over "
        "the saddle's rate of escape.",
        f"{_SOURCE}, Corollary 4.2 (our reading: the logarithm is ours)",
        False,
    ),
    Claim(
        "journey",
        "From (1e-3, 0) x and y both grow at first, then y shrinks; larger K converges faster.",
        f"{_SOURCE}, Figure 4 {_FIGURE}",
        False,
    ),
    Claim(
        "noise",
        "Conjecture 4.3, as a hypothesis on runs: from 1e-3 w* with Gaussian noise of any size "
        "added to every weight the flow still reaches w*, up to the order of neurons.",
        f"{_SOURCE}, Conjecture 4.3 (our reading; the conjecture is open)",
        False,
    ),
    Claim(
        "heads-positive",
        "With fixed heads a_j > 0, shared with the teacher, the flow from 1e-3 w* reaches w*.",
        f"{_SOURCE}, Figure 5 {_FIGURE}",
        False,
    ),
    Claim(
        "heads-mixed",
        "With heads of both signs it does not.",
        f"{_SOURCE}, Figure 5 {_FIGURE}",
        False,
    ),
    Claim(
        "manifolds",
        "Critical points out of the span of the teacher are not isolated and form manifolds.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "manifolds-small-d",
        "That needs d ≥ K + 2: with d = K + 1 such points exist and are isolated.",
        f"{_SOURCE} (our reading, a hypothesis)",
        False,
    ),
    Claim(
        "cone",
        "Two neurons in a plane: L_12(w*) > 0 exactly where w* is inside the cone of w_1, w_2.",
        f"{_SOURCE}, section 5 (our reading of the released code)",
        False,
    ),
    Claim(
        "planar",
        "With both w*_1 and w*_2 inside Cone(w_1, w_2), or both outside, (w_1, w_2) is not a "
        "critical point.",
        f"{_SOURCE}, section 5 (our reading)",
        False,
    ),
    Claim(
        "numbers",
        "For K = 2: saddle 0.534155 with rates −1 and 0.595913, Hessian −0.595913, 0, 0.404087, 1, "
        "loss 0.0885119; from (1e-3, 0) time 20.2323 to within 1e-3 of (1, 0), y at most 0.397669.",
        f"{_SOURCE} (our reading: computed earlier by other means, the saddle apart not published)",
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """More sizes, starts and samples at larger scales."""
    n = list(Scale).index(scale)
    ks = [[2, 5, 10], [2, 3, 5, 10, 30, 100], [2, 3, 4, 5, 7, 10, 30, 100, 1000]][n]
    starts, runs = [300, 3000, 20_000][n], [8, 50, 300][n]
    balls = [(0.5, 2), (0.5, 10), (0.1, 10), (1.0, 50)]
    balls += [(e, d) for e in (0.1, 0.5, 1.0) for d in (2, 10, 100)][: [0, 9, 9][n]]
    levels = [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0]
    # The noise is left out at `smoke`: the flow of all weights compiles for longer than that.
    noisy = [[], [6, 10], [6, 10, 15, 20]][n]
    shapes = [(2, 3), (2, 4), (2, 5), (3, 6)]
    shapes += [(3, 5), (3, 7), (5, 9), (5, 10)][: 4 * (n > 0)]
    made: list[dict[str, Any]] = [
        {"ask": "formula", "neurons": k, "inputs": d} for k, d in [(1, 3), (5, 7)]
    ]
    made += [
        {"ask": "sampling", "angle": angle, "inputs": d, "samples": samples, "repeats": 100}
        for angle in ((0.5, 1.5, 2.5, 3.0) if n == 0 else (0.3, 1.0, 1.5, 2.0, 2.5, 3.0, 3.1))
        for samples in [[300, 3000], [300, 3000, 30_000], [300, 3000, 30_000]][n]
        for d in (10,)
    ]
    made += [
        {"ask": "cube", "inputs": d, "samples": [50_000, 10**6, 10**7][n]} for d in (2, 10, 100)
    ]
    made += [{"ask": "lyapunov", "grid": [60, 300, 1000][n]}]
    made += [
        {"ask": "one-neuron", "epsilon": e, "inputs": d, "starts": starts}
        for e, d in dict.fromkeys(balls)
    ]
    for ask in ("reduction", "saddle", "journey"):
        made += [{"ask": ask, "neurons": k} for k in ks]
    made += [{"ask": "breaking", "neurons": k} for k in ks[: 1 + 2 * n]]
    made += [
        {"ask": "region", "neurons": k, "grid": [2, 8, 16][n]}
        for k in ([2, 10] if n == 0 else ks[:4])
    ]
    made += [{"ask": "noise", "neurons": k, "runs": runs, "levels": levels} for k in noisy]
    for high, low in ((0.5, 1.5), (1, -1)):
        first = [5] if n == 0 else range(1, 10)
        made += [{"ask": "heads", "first": p, "heads": [high, low]} for p in first]
    made += [{"ask": "simplex", "neurons": k, "inputs": d} for k, d in shapes]
    made += [{"ask": "search", "neurons": 2, "inputs": d, "starts": 6 + 10 * n} for d in (3, 4)]
    made += [{"ask": "search", "neurons": 3, "inputs": 5, "starts": 40} for _ in range(n > 0)]
    made += [{"ask": "cone", "angles": [60, 300, 1000][n]}]
    made += [{"ask": "planar", "teachers": [3, 60, 300][n]}]
    return [Case(case) for case in [*made, {"ask": "numbers"}]]


PAPER = Paper(
    key="tian-2017",
    title="An Analytical Formula of Population Gradient for Two-Layered ReLU Network and its "
    "Applications in Convergence and Critical Point Analysis",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=lambda records: judge(CLAIMS, records),
    pictures=(
        Picture(
            ("sampling", "saddle", "journey"),
            "(a) The error of sampled gradients falls with N and grows towards θ = π, as the "
            "closed form (dashed) says. (b) The saddle of the symmetric flow nears zero as K "
            "grows, and its rate of escape grows. (c) Larger K converges faster.",
            picture,
        ),
    ),
)
