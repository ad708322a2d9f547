"""Arjevani & Field (2019): points that training finds lose as little symmetry as they can."""

import math
from collections.abc import Callable, Sequence

import jax
import numpy as np

from shallows import report
from shallows.atlas.catalogue import Family
from shallows.atlas.census import census
from shallows.atlas.depth import deep_census
from shallows.certify.verdict import Verdict
from shallows.lab import Case, Record, Result
from shallows.landscape import SquaredLoss
from shallows.landscape.deep import DeepLoss
from shallows.model import (
    AbstractLaw,
    Gaussian,
    Mixture,
    Rotational,
    StudentT,
    orthonormal,
    relu,
)
from shallows.model.deep import closed_sample, iterated
from shallows.model.named import activation
from shallows.papers import Claim, Judgement, Paper, Picture, Scale
from shallows.solve import AbstractMethod, GradientDescent, GradientFlow, StochasticDescent
from shallows.symmetry import isotropy, layered_isotropy

_SOURCE = "arjevanifield2019"

CLAIMS = (
    Claim(
        "least-loss",
        "Spurious minima that stochastic gradient descent detects, for the orthonormal target and "
        "standard Gaussian inputs, show the least loss of symmetry with respect to the target.",
        f"{_SOURCE}, abstract (that none found has trivial isotropy is our measure)",
        True,
    ),
    Claim(
        "laws",
        "So they do for different classes of non-isotropic, non-product distributions.",
        f"{_SOURCE}, abstract (the distributions are our choice)",
        True,
    ),
    Claim(
        "activations",
        "So they do for smooth activation functions.",
        f"{_SOURCE}, abstract (the activations, and leaky relu beside them, are our choice)",
        True,
    ),
    Claim(
        "depth",
        "So they do for networks with a few layers.",
        f"{_SOURCE}, abstract (the networks, data and sizes are our choice)",
        True,
    ),
    Claim(
        "forced",
        "Where the law of the inputs breaks the target's symmetry, spurious minima have none.",
        f"{_SOURCE} (our reading: the converse that the hypothesis suggests)",
        False,
    ),
)


def _correlated(d: int) -> np.ndarray:
    """Unit variances and all correlations 0.2: not isotropic, no product, invariant under S_d."""
    return 0.8 * np.eye(d) + 0.2


_LAWS: dict[str, Callable[[int], AbstractLaw]] = {
    "standard": Gaussian,
    "sphere": Rotational,
    "correlated": lambda d: Gaussian(covariance=_correlated(d)),
    "anticorrelated": lambda d: Gaussian(covariance=np.eye(d) - 0.5 / d),
    "heavy-tailed": lambda d: StudentT(degrees=5, scale=np.eye(d) - 0.5 / d),
    "mixture": lambda d: Mixture(
        [Gaussian(d), Gaussian(covariance=np.eye(d) - 0.9 / d)], [1.0, 1.0]
    ),
    "unequal": lambda d: Gaussian(covariance=np.diag(np.linspace(0.8, 1.25, d))),
}


def cases(scale: Scale) -> list[Case]:
    """Censuses: the target's own problem, other laws, other activations, more layers."""
    k, starts, layers = {
        Scale.smoke: (8, 60, [("erf", 2, 3, 3)]),
        Scale.desk: (
            9,
            200,
            [
                ("erf", 2, 4, 20),
                ("tanh", 2, 3, 20),
                ("erf", 3, 3, 20),
                ("relu", 2, 3, 20),
            ],
        ),
        Scale.paper: (
            12,
            1000,
            [
                ("erf", 2, 4, 100),
                ("tanh", 2, 4, 100),
                ("erf", 3, 4, 100),
                ("relu", 2, 3, 100),
                ("relu", 2, 4, 100),
            ],
        ),
    }[scale]
    laws = {
        Scale.smoke: [],  # compiling a landscape takes seconds
        Scale.desk: ["correlated", "anticorrelated", "heavy-tailed", "mixture"],
        Scale.paper: ["sphere", "correlated", "anticorrelated", "heavy-tailed", "mixture"],
    }[scale]
    activations = {
        Scale.smoke: [],
        Scale.desk: ["leaky:0.1", "erf", "hermite:0,0,0,1", "hermite:0,0,1,1"],
        Scale.paper: ["leaky:0.1", "erf", "sin", "hermite:0,0,0,1", "hermite:0,0,1,1", "softplus"],
    }[scale]

    def shallow(what, law, sigma, optimiser="descent"):
        return Case(
            {
                "what": what,
                "law": law,
                "activation": sigma,
                "optimiser": optimiser,
                "neurons": k,
                "starts": starts,
            }
        )

    made = [shallow("least-loss", "standard", "relu")]
    if scale is not Scale.smoke:
        made.append(shallow("least-loss", "standard", "relu", "sgd"))
    made += [shallow("laws", law, "relu") for law in laws]
    made += [shallow("activations", "standard", sigma) for sigma in activations]
    if scale is not Scale.smoke:
        made.append(shallow("forced", "unequal", "relu"))
    return made + [
        Case(
            {
                "what": "depth",
                "activation": sigma,
                "layers": depth,
                "neurons": d,
                "points": 5 if scale is Scale.smoke else 10,
                "starts": n,
            }
        )
        for sigma, depth, d, n in layers
    ]


def measure(case: dict) -> Result:
    """The end points of a census with their isotropy, and the order of the target's."""
    return _deep(case) if case["what"] == "depth" else _shallow(case)


def _shallow(case: dict) -> Result:
    k, law = case["neurons"], _LAWS[case["law"]](case["neurons"])
    loss = SquaredLoss(orthonormal(k, activation=activation(case["activation"])), law)
    # The published step is stable for isotropic inputs only; the flow needs none.
    how: AbstractMethod = GradientFlow()
    if case["law"] in ("standard", "sphere") and loss.activation == relu:
        how = GradientDescent()
    if case["optimiser"] == "sgd":
        how = StochasticDescent()
    found = census(loss, case["starts"], how, curves=False)
    basis = np.asarray(law.whiten(loss.teacher.inner))
    target = isotropy(basis, basis).order
    points = [
        {
            "isotropy": family.isotropy,
            "order": family.isotropy_order,
            "is_diagonal": _is_diagonal(family),
            "count": family.count,
            "loss": family.loss,
            "is_global": family.name.startswith("global"),
            "kind": family.kind.value,
            "smallest_eigenvalue": family.smallest_eigenvalue,
        }
        for family in found.families
    ]
    return Result({"target_order": target, "settled": found.settled, "points": points})


def _is_diagonal(family: Family) -> bool:
    """Whether neurons and target neurons are permuted alike: products by their name."""
    name = family.isotropy
    if name.startswith("non-product"):
        group = layered_isotropy([family.weights], family.outer)
        return group.is_diagonal and group.order == family.isotropy_order
    alike = name.startswith("Δ") and not any(word in name for word in ("[", "+", "students", "in"))
    return name == "trivial" or alike


def _deep(case: dict) -> Result:
    d = case["neurons"]
    points = np.asarray(Gaussian(d).draw(jax.random.key(0), case["points"]))
    target = iterated(d, case["layers"], activation(case["activation"]))
    loss = DeepLoss(target, closed_sample(points))
    kinked = not loss.is_smooth
    how = GradientDescent(0.1, max_steps=50_000) if kinked else GradientFlow(max_steps=20_000)
    found = deep_census(loss, case["starts"], how)
    # Minima of ReLU networks come in continua, whose members share their function's symmetry.
    ends = [
        {
            "isotropy": f"function of order {family.symmetries}"
            if kinked
            else family.isotropy.name,
            "order": family.symmetries if kinked else family.isotropy.order,
            "is_diagonal": kinked or family.isotropy.is_diagonal,
            "each_layer": list(family.each_layer),
            "count": family.count,
            "loss": family.loss,
            "is_global": family.is_global,
            "kind": family.kind.value,
            "smallest_eigenvalue": family.smallest_eigenvalue,
        }
        for family in found.families
    ]
    return Result({"target_order": math.factorial(d), "settled": found.settled, "points": ends})


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`."""
    of: dict[str, list[Record]] = {claim.id: [] for claim in CLAIMS}
    for record in records:
        of[record.case.data["what"]].append(record)
    kept = {id: _kept(of[id]) for id in ("least-loss", "laws", "activations", "depth")}
    return {**kept, "forced": _forced(of["forced"])}


def _name(record: Record) -> str:
    case = record.case.data
    if case["what"] == "depth":
        return f"{case['activation']}, {case['layers']} layers, k = {case['neurons']}"
    how = ", sgd" if case["optimiser"] == "sgd" else ""
    return f"{case['law']}, {case['activation']}, k = {case['neurons']}{how}"


def _spurious(record: Record) -> list[dict]:
    return [p for p in record.values["points"] if not p["is_global"] and p["kind"] == "minimum"]


def _row(record: Record) -> dict:
    """Of one census: each spurious minimum's isotropy, its index, and runs that ended there."""
    spurious, whole = _spurious(record), record.values["target_order"]
    return {
        "settled": record.values["settled"],
        "starts": record.case.data["starts"],
        "runs_to_spurious_minima": sum(p["count"] for p in spurious),
        "runs_to_counterexamples": sum(p["count"] for p in spurious if not _keeps(p)),
        "minima": [
            {
                "isotropy": p["isotropy"],
                "index": whole // p["order"] if p["is_diagonal"] else None,
                "count": p["count"],
                "loss": p["loss"],
            }
            for p in spurious
        ],
    }


def _keeps(point: dict) -> bool:
    """Whether the isotropy is, up to conjugation, a subgroup of the target's with some symmetry."""
    return point["is_diagonal"] and point["order"] > 1


def _kept(records: Sequence[Record]) -> Judgement:
    rows = {_name(record): _row(record) for record in records}
    runs = sum(row["runs_to_spurious_minima"] for row in rows.values())
    against = sum(row["runs_to_counterexamples"] for row in rows.values())
    without = [
        f"{name} ({row['settled']} of {row['starts']} runs settled)"
        for name, row in rows.items()
        if not row["runs_to_spurious_minima"]
    ]
    numbers = {"censuses": rows, "without_spurious_minima": without}
    if not records:
        return Judgement(Verdict.UNDECIDED, "Nothing is asked about it at this scale.", numbers)
    bare = f" No spurious minimum was found for {'; '.join(without)}." if without else ""
    if not runs:
        return Judgement(Verdict.UNDECIDED, bare.strip(), numbers)
    names = sorted(
        {m["isotropy"] for row in rows.values() for m in row["minima"]}, key=lambda n: (len(n), n)
    )
    listed = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    where = "; ".join(
        f"{row['runs_to_counterexamples']} of {row['runs_to_spurious_minima']} at {name}"
        for name, row in rows.items()
        if row["runs_to_counterexamples"]
    )
    return Judgement(
        Verdict.CONTRADICTED if against else Verdict.SUPPORTED,
        f"Of {runs} runs that ended in spurious minima {runs - against} ended where a subgroup of "
        f"the target's group is left that is not trivial ({listed})."
        + (f" Counterexamples: {where}." if where else "")
        + bare,
        numbers,
    )


def _forced(records: Sequence[Record]) -> Judgement:
    rows = {_name(record): _row(record) for record in records}
    points = [p for record in records for p in _spurious(record)]
    orders = sorted({record.values["target_order"] for record in records})
    if not records:
        return Judgement(
            Verdict.UNDECIDED, "Nothing is asked about it at this scale.", {"censuses": {}}
        )
    if not points:
        return Judgement(Verdict.UNDECIDED, "No spurious minimum was found.", {"censuses": rows})
    symmetric = sum(p["count"] for p in points if p["order"] > 1)
    return Judgement(
        Verdict.CONTRADICTED if symmetric else Verdict.SUPPORTED,
        f"With unequal variances the target's group has order {', '.join(map(str, orders))}; of "
        f"{sum(p['count'] for p in points)} runs that ended in spurious minima {symmetric} ended "
        f"where there is a symmetry.",
        {"censuses": rows},
    )


def _picture(records: Sequence[Record]):
    """End points by how much symmetry is lost; groups that are no subgroup have no index."""
    rows: dict[str, list[tuple[float, float]]] = {"global minimum": []}
    for record in records:
        for point in record.values["points"]:
            if not point["is_diagonal"] or point["kind"] == "saddle":
                continue
            what = "another" if record.case.data["what"] != "least-loss" else "its own"
            name = "global minimum" if point["is_global"] else f"spurious, {what} problem"
            index = record.values["target_order"] / point["order"]
            rows.setdefault(name, []).append((index, point["loss"]))
    series = tuple(
        report.Series(name, *zip(*points, strict=True), mark=report.Mark.dots)
        for name, points in rows.items()
        if points
    )
    if not series:
        return None
    return report.panel_figure(
        [
            report.Panel(
                "End points of all runs", "index of the isotropy group in the target's", "loss",
                series, is_x_log=True,
            )
        ]
    )  # fmt: skip


PAPER = Paper(
    key="arjevani-field-2019-symmetry",
    title="On the Principle of Least Symmetry Breaking in Shallow ReLU Models",
    source=_SOURCE,
    claims=CLAIMS,
    version=3,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("least-loss", "laws", "activations"),
            "Each dot is a point where runs end. An index of 1 is the symmetry of the target, an "
            "index of k the largest group below it; spurious minima have indices far below k!, at"
            " which all symmetry would be lost.",
            _picture,
        ),
    ),
)
