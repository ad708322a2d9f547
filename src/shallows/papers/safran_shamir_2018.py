"""Safran & Shamir (2018): spurious local minima are common in two-layer ReLU networks."""

import json
import math
from collections.abc import Sequence

from shallows import report
from shallows.atlas.census import census
from shallows.atlas.extra import continuations
from shallows.atlas.families import member
from shallows.atlas.theorems import certified
from shallows.certify import Certificate, Verdict, certify, verify
from shallows.lab import Case, Record, Result
from shallows.landscape import SquaredLoss
from shallows.model import Gaussian, orthonormal
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported
from shallows.solve import GradientDescent

_SOURCE = "safranshamir2018"

CLAIMS = (
    Claim(
        "spurious",
        "For an orthonormal teacher and standard Gaussian inputs there are spurious local minima "
        "for every 6 ≤ k ≤ 20 (k students, k teachers, k inputs).",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "points",
        "The classes of end points that were released for k = 10, 15 and 20 are critical points "
        "of named families, to every printed digit, and minima.",
        f"{_SOURCE}, released data (our reading: losses recomputed from the points, names ours)",
        False,
    ),
    Claim(
        "one-more",
        "With 8 teachers and 9 students, one of 1000 runs ended in a local minimum with loss "
        "0.02056.",
        f"{_SOURCE}, released data (our reading: the loss recomputed from the point)",
        False,
    ),
    Claim(
        "frequencies",
        "Of 1000 runs from random starts, 0.3 %, 34.6 %, 80.3 % and 94.9 % ended at a loss of at "
        "least 1e-3, for k = 6, 10, 15 and 20.",
        f"{_SOURCE}, released counts (our reading; step 0.1 there, 5/k here)",
        False,
    ),
)

# facts: losses recomputed from the released points, and the family each belongs to.
_RELEASED = {
    10: {"II": 0.01870219, "flipped:2": 0.03532688},
    15: {
        "II": 0.01406388,
        "flipped:2": 0.02710748,
        "flipped:3": 0.03944019,
        "flipped:4": 0.05112104,
        "unflipped:9": 0.05403352,
        "unflipped:8": 0.06044970,
        "unflipped:7": 0.06590900,
        "unflipped:6": 0.07067220,
        "unflipped:5": 0.07491776,
    },
    20: {
        "II": 0.01127558,
        "flipped:2": 0.02192297,
        "flipped:3": 0.03215162,
        "flipped:4": 0.04202156,
        "flipped:5": 0.05155595,
        "intermediate:6": 0.05975342,
        "flipped:6": 0.06075866,
        "unflipped:12": 0.06532198,
        "flipped:7": 0.06961898,
        "unflipped:11": 0.06991862,
        "unflipped:10": 0.07397539,
        "unflipped:9": 0.07762000,
        "unflipped:8": 0.08094478,
    },
}
_BAD = {6: 0.003, 10: 0.346, 15: 0.803, 20: 0.949}
_RUNS = 1000
# Two-sided, of a comparison of two shares: one in 16,000 by chance.
_STANDARD_ERRORS = 4


def cases(scale: Scale) -> list[Case]:
    """Certificates at all sizes; censuses of more starts and sizes at larger scales."""
    starts = {
        Scale.smoke: {6: 100, 10: 100},
        Scale.desk: {6: 500, 10: 500, 15: 300},
        Scale.paper: dict.fromkeys(_BAD, _RUNS),
    }[scale]
    made = [Case({"what": "spurious", "neurons": k}) for k in range(6, 21)]
    made += [
        Case({"what": "points", "neurons": k, "name": name})
        for k in ([10] if scale is Scale.smoke else _RELEASED)
        for name in _RELEASED[k]
    ]
    made.append(Case({"what": "one-more", "neurons": 8}))
    return made + [
        Case({"what": "frequencies", "neurons": k, "starts": n}) for k, n in starts.items()
    ]


def measure(case: dict) -> Result:
    """A certificate, or the share of runs that do not find the global minimum."""
    k = case["neurons"]
    if case["what"] == "frequencies":
        loss = SquaredLoss(orthonormal(k), Gaussian(k))
        found = census(loss, case["starts"], GradientDescent(), curves=False)
        bad = sum(family.count for family in found.families if family.loss >= 1e-3)
        return Result({"bad": bad, "settled": found.settled})
    if case["what"] == "one-more":
        wider = [c for c in continuations(member("II", k), 1) if c.added == 1 and c.row is None]
        best = min((c for c in wider if not c.is_gone), key=lambda c: c.value)
        return Result({"certificate": _written(certify(best.loss, best.point, bits=256))})
    return Result({"certificate": _written(certified(case.get("name", "II"), k))})


def _written(certificate: Certificate) -> str:
    return json.dumps(certificate.as_json(), ensure_ascii=False)


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """Certificates are checked again; shares are compared with standard errors."""
    of: dict[str, list[Record]] = {claim.id: [] for claim in CLAIMS}
    for record in records:
        of[record.case.data["what"]].append(record)
    return {
        "spurious": _spurious(of["spurious"]),
        "points": _points(of["points"]),
        "one-more": _one_more(of["one-more"]),
        "frequencies": _frequencies(of["frequencies"]),
    }


def _checked(record: Record) -> Certificate | None:
    """The certificate of a spurious minimum, if its proof checks."""
    certificate = Certificate.from_json(json.loads(record.values["certificate"]))
    is_minimum = certificate.index == 0 and float(certificate.loss[0]) > 0
    proved = is_minimum and verify(certificate).verdict is Verdict.PROVED
    return certificate if proved else None


def _spurious(records: Sequence[Record]) -> Judgement:
    losses = {r.case.data["neurons"]: _checked(r) for r in records}
    missing = [k for k in range(6, 21) if losses.get(k) is None]
    found = {str(k): list(c.loss) for k, c in losses.items() if c is not None}
    if missing:
        return Judgement(Verdict.UNDECIDED, f"No proof for k = {missing}.", {"loss": found})
    return Judgement(
        Verdict.PROVED,
        "Type II is a strict local minimum with positive loss at every size: existence, spectrum "
        "and loss in ball arithmetic, each proof checked again by a second code.",
        {"loss": found},
        proof="a certificate for each size, verified",
    )


def _points(records: Sequence[Record]) -> Judgement:
    rows = {}
    for record in records:
        k, name = record.case.data["neurons"], record.case.data["name"]
        certificate = _checked(record)
        value = math.nan if certificate is None else float(certificate.loss[0])
        rows[f"{name}, k = {k}"] = abs(value - _RELEASED[k][name]) <= 6e-9
    agree = sum(rows.values())
    return Judgement(
        supported(agree == len(rows)),
        f"{agree} of {len(rows)} classes are certified minima of a family with that loss, to eight "
        f"decimals.",
        {"agrees": rows},
    )


def _one_more(records: Sequence[Record]) -> Judgement:
    certificate = _checked(records[0])
    if certificate is None or not 0.020555 <= float(certificate.loss[0]) <= 0.020565:
        return Judgement(Verdict.UNDECIDED, "No such minimum was certified.", {})
    return Judgement(
        Verdict.PROVED,
        f"There is such a minimum: type II with its flipped neuron split in two unequal parts. Its "
        f"loss lies in [{certificate.loss[0]}, {certificate.loss[1]}]. How often it is found is "
        f"another question: 2 of 58,400 of our starts.",
        {"smallest_eigenvalue": list(certificate.smallest_eigenvalue)},
        proof="a certificate, verified",
    )


def _frequencies(records: Sequence[Record]) -> Judgement:
    rows, worst = {}, 0.0
    for record in records:
        k, n, bad = record.case.data["neurons"], record.values["settled"], record.values["bad"]
        pooled = (bad + _BAD[k] * _RUNS) / (n + _RUNS)
        error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / _RUNS))
        distance = abs(bad / n - _BAD[k]) / error if error else 0.0
        worst = max(worst, distance)
        rows[str(k)] = {"published": _BAD[k], "here": bad / n, "starts": n, "errors": distance}
    return Judgement(
        supported(worst <= _STANDARD_ERRORS),
        f"Shares differ by at most {worst:.1f} standard errors, for k = {', '.join(rows)}.",
        {"shares": rows},
    )


def _picture(records: Sequence[Record]):
    """Losses as certificates state them; whether they check is for `judge`."""
    of: dict[str, list[Record]] = {}
    for record in records:
        of.setdefault(record.case.data["what"], []).append(record)
    series = []
    for what, words in (("spurious", "type II"), ("points", "other families")):
        mine = [r for r in of.get(what, []) if r.case.data.get("name", "") != "II"]
        sizes = [r.case.data["neurons"] for r in mine]
        losses = [float(json.loads(r.values["certificate"])["loss"][0]) for r in mine]
        series.append(report.Series(words, sizes, losses, report.Mark.dots))
    shares = _frequencies(of["frequencies"]).numbers["shares"]
    sizes = [int(k) for k in shares]
    here = [v["here"] for v in shares.values()]
    bars = [2 * math.sqrt(v["here"] * (1 - v["here"]) / v["starts"]) for v in shares.values()]
    return report.panel_figure(
        [
            report.Panel("(a) spurious minima, proved", "k", "loss", tuple(series)),
            report.Panel(
                "(b) runs that end there", "k", "share of runs",
                (
                    report.Series("published", list(_BAD), list(_BAD.values()), report.Mark.dashed),
                    report.Series("here, ± 2 s.e.", sizes, here, report.Mark.dots, bars),
                ),
            ),
        ]
    )  # fmt: skip


PAPER = Paper(
    key="safran-shamir-2018",
    title="Spurious Local Minima are Common in Two-Layer ReLU Neural Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("spurious", "points", "frequencies"),
            "(a) At each size from 6 to 20 there is a minimum with a positive loss, and at some "
            "sizes several. (b) The larger the network, the more runs end in one.",
            _picture,
        ),
    ),
)
