"""Li, Ma & Zhang (2020): two-layer networks that learn beyond their tangent kernel.

An entry in three files, as its measurements are long: what is claimed and asked (here), how each
question is measured, and how its answers are read. Times are sums of steps η of W ← W − η m ∇L.
"""

from typing import Any

from shallows.lab import Case
from shallows.papers import Claim, Paper, Picture, Scale
from shallows.papers.li_ma_zhang_2020.drawing import picture
from shallows.papers.li_ma_zhang_2020.measures import measure
from shallows.papers.li_ma_zhang_2020.readings import judge

_SOURCE = "limazhang2020"
_RUNS = "(steps, scale of the start and seeds are ours)"

CLAIMS = (
    Claim(
        "coefficients",
        "The orders of |z| carry c_k = 2 [(k − 3)!!]²/(π k!) for even k.",
        f"{_SOURCE}, Eq. 4",
        True,
    ),
    Claim(
        "population-loss",
        "For the ReLU student of Eq. 2, E (f − f*)² is the sum of Eq. 4, c_0 (mean |w|² − Σ a)² + "
        "c_1 |mean |w| w|² + c_2 |mean w wᵀ − Σ a e eᵀ|² and terms of higher orders.",
        f"{_SOURCE}, Eqs. 2 and 4 (our reading of the scale of Eq. 4)",
        False,
    ),
    Claim(
        "gradient-constants",
        "The gradient has for each order 2j a term b = 4j c, and a term b' = (4j − 4) c projected "
        "on the complement of the neuron.",
        f"{_SOURCE}, Eqs. 7 and 8 (how the two terms add up is our reading)",
        False,
    ),
    Claim(
        "symmetry",
        "Gradient descent keeps a start that is symmetric under sign flips so, and the term of "
        "order 1 vanishes.",
        f"{_SOURCE}, section 3 (that pairs w, −w are enough for it is ours)",
        True,
    ),
    Claim(
        "orders",
        "Orders 0 and 2 fall first; a long plateau follows; then orders 4 and above fall.",
        f"{_SOURCE}, Figure 1 {_RUNS}",
        True,
    ),
    Claim(
        "height",
        "The plateau is at (1 − 3/π) Σ a², what the best function of degree 2 leaves, up to an "
        "excess of order d/m.",
        f"{_SOURCE} (our reading: the constant is ours)",
        False,
    ),
    Claim(
        "length",
        "The plateau lasts Θ(d²/(η polylog d)) steps.",
        f"{_SOURCE}, section 3, phase 1.2 {_RUNS}",
        True,
    ),
    Claim(
        "lottery",
        "The few neurons that start with a large coordinate win: they grow along it, by the tensor "
        "power method, and end the plateau.",
        f"{_SOURCE}, section 3, phase 1.2 {_RUNS}",
        True,
    ),
    Claim(
        "beyond-kernel",
        "Trained on as many samples, once these are enough, the network ends below the degree-2 "
        "floor and below kernel ridge regression with its tangent kernel.",
        f"{_SOURCE}, abstract, as a hypothesis on runs {_RUNS}",
        False,
    ),
    Claim(
        "stuck",
        "With m = 2d and 10⁴ samples, d = 30, orders 2, 4 and 6 get stuck even after 10⁵ epochs.",
        f"{_SOURCE}, Figure 2 {_RUNS}",
        True,
    ),
    Claim(
        "theorem-1",
        "With poly(d) samples and neurons, truncated gradient descent ends at L = O(1/d^(1+Q)) "
        "with probability 1 − 1/poly(d), for a constant 0 < Q < 1/100.",
        f"{_SOURCE}, Theorem 1",
        True,
    ),
    Claim(
        "theorem-2",
        "For any kernel with poly(d) samples there is such a teacher with loss Ω(1/d).",
        f"{_SOURCE}, Theorem 2",
        True,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """More sizes, seeds and samples at larger scales; d = 30 with 10⁴ samples at `paper` only."""
    n = list(Scale).index(scale)
    d = [10, 30, 30][n]
    made: list[dict[str, Any]] = [
        {
            "ask": "formula",
            "activation": name,
            "neurons": 7,
            "inputs": 4,
            "samples": [100_000, 10**6, 10**7][n],
        }
        for name in ("abs", "relu")
    ]
    # The runs of Figure 1 (m = 100) and of Figure 2 (m = 2d), and narrower and wider ones.
    for m in [[2 * d], [d, 3 * d // 2, 2 * d, 100], [d, 3 * d // 2, 2 * d, 100, 8 * d]][n]:
        made += [_run("abs", m, d, seed, 4 * d * d) for seed in range([1, 2, 5][n])]
    made += [_run("abs", m, 15, 0, 900) for m in (60, 120, 240)[: 3 * (n > 0)]]
    # Starts that are symmetric, and starts that are not; and other heads.
    for pairs in (True, False):
        made.append(_run("relu", 4 * d, d, 0, [3, 4, 4][n] * d * d, pairs=pairs))
    made.append(_run("abs", 4 * d, d, 0, 2 * d * d, kappa=1.5))
    made.append(_run("abs", 4 * d, d, 0, 4 * d * d, bounds=[1.5, 8.0]))
    # The length of the plateau.
    sizes = [[7, 10, 14], [8, 11, 16, 22, 32, 44], [8, 11, 16, 22, 32, 44, 64]][n]
    for inputs in sizes:
        made += [
            _run("abs", 4 * inputs, inputs, seed, 2 * inputs**2) for seed in range([2, 3, 8][n])
        ]
    # Samples: as many as kernel ridge regression gets.
    inputs = [10, 15, 15][n]
    for samples in [[1000], [500, 1000, 2000, 5000], [500, 1000, 2000, 5000, 10_000]][n]:
        for m in (2 * inputs, 4 * inputs):
            made.append(_run("abs", m, inputs, 0, [2.2, 3.0, 3.0][n] * inputs**2, samples=samples))
        made += _kernels(inputs, samples, [1000, 4000, 4000][n])
    if n:
        made += [one for samples in (1000, 4000) for one in _kernels(30, samples, 4000)]
    if n == 2:
        made += [_run("abs", m, 30, 0, 4000, samples=10_000) for m in (60, 100)]
        made += _kernels(30, 10_000, 4000)
    return [Case(case) for case in made]


def _run(activation: str, neurons: int, inputs: int, seed: int, time: float, **more: Any) -> dict:
    return {
        "ask": "training",
        "activation": activation,
        "neurons": neurons,
        "inputs": inputs,
        "seed": seed,
        "time": float(time),
        **more,
    }


def _kernels(inputs: int, samples: int, tests: int) -> list[dict]:
    return [
        {
            "ask": "kernel",
            "kernel": name,
            "inputs": inputs,
            "samples": samples,
            "tests": tests,
            "seed": 0,
        }
        for name in ("ntk", "arc-cosine")
    ]


PAPER = Paper(
    key="li-ma-zhang-2020",
    title="Learning Over-Parametrized Two-Layer ReLU Neural Networks beyond NTK",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=lambda records: judge(CLAIMS, records),
    pictures=(
        Picture(
            ("orders", "height", "length", "beyond-kernel"),
            "Orders 0 and 2 of the loss fall at once; it stays at the level of the best function "
            "of degree 2 until orders 4 and above fall, and then goes below what kernels reach. "
            "The plateau lasts about d² long.",
            picture,
        ),
    ),
)
