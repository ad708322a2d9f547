"""Arjevani & Field (2020): the Hessian spectrum at global and spurious minima is skewed."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.atlas.families import member
from shallows.atlas.spectra import spectral_differences
from shallows.certify.verdict import Verdict
from shallows.lab import Case, Record, Result
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported
from shallows.symmetry import Balls, Blocks, ReducedLoss, orthonormal_teacher, spectrum

_SOURCE = "arjevanifield2020hessian"

CLAIMS = (
    Claim(
        "bulk",
        "For d ≥ k, of the dk Hessian eigenvalues at global and spurious minima, dk − O(d) "
        "concentrate near zero: they stay bounded as k grows.",
        f"{_SOURCE}, abstract (`concentrate near zero`; that they stay bounded is our measure)",
        True,
    ),
    Claim(
        "linear",
        "Ω(d) of the eigenvalues grow linearly with k.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "multiplicities",
        "Eigenvalues come with the multiplicities of the isotypic decomposition: 2t + 3s + x + y "
        "for isotropy ΔS_k and 5t + 5s + x + y for ΔS_{k−1}, so that there are at most 7 and 12 "
        "different ones, whatever k is.",
        f"{_SOURCE} (our reading; the abstract names representation theory as the method)",
        False,
    ),
    Claim(
        "global-closed-form",
        "At W = V the spectrum is known in closed form: 1/4 ± 1/(2π), and the roots of two "
        "quadratic polynomials with coefficients in k; for d > k also 1/4 and (k+1)/4.",
        f"{_SOURCE} (our reading; the formulas are ours)",
        False,
    ),
)

# What tells the two kinds apart: 1/4 + 1/(2π) = 0.41 bounds the limits of one, the other grows.
_BETWEEN = 0.5


def cases(scale: Scale) -> list[Case]:
    """Families and sizes; for the global minimum also with more inputs than neurons."""
    sizes = {
        Scale.smoke: [10, 30, 100],
        Scale.desk: [10, 20, 30, 60, 100, 300, 1000, 10_000, 100_000, 1_000_000],
        Scale.paper: [*range(8, 101), *(10**n for n in range(3, 10))],
    }[scale]
    made = [
        Case({"family": name, "neurons": k, "inputs": k})
        for name in ("global", "A", "I", "II")
        for k in sizes
    ]
    return made + [Case({"family": "global", "neurons": k, "inputs": 2 * k}) for k in sizes]


def measure(case: dict) -> Result:
    """The whole spectrum at one point."""
    name, k, d = case["family"], case["neurons"], case["inputs"]
    if name == "global":
        # Exact: no Newton, and parallel neurons are so exactly.
        blocks = Blocks((k,)) if d == k else Blocks((k, d - k), rows=(0,))
        numbers = Balls(128 + math.ceil(8 * math.log2(k)))
        loss = ReducedLoss(blocks, orthonormal_teacher(blocks, (0,)))
        point = [int(bool(orbit.is_diagonal)) for orbit in blocks.orbits]
    else:
        found = member(name, k)
        loss, point, numbers = found.loss, list(found.point), found.numbers
    with numbers.precision():
        levels = spectrum(loss, point, numbers)
        value = float(loss.value(point, numbers))
    return Result(
        {
            "loss": value,
            "levels": [level.as_json() for level in levels],
        },
        provenance={"precision": f"balls of {numbers.bits} bits"},
    )


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`."""
    return {
        "bulk": _bulk(records),
        "linear": _linear(records),
        "multiplicities": _multiplicities(records),
        "global-closed-form": _closed_form(records),
    }


def _split(record: Record):
    """Eigenvalues with multiplicities, bounded and growing."""
    levels = [(v["eigenvalue"], v["multiplicity"]) for v in record.values["levels"]]
    return [v for v in levels if v[0] < _BETWEEN], [v for v in levels if v[0] >= _BETWEEN]


def _name(record: Record) -> str:
    case = record.case.data
    wide = "" if case["inputs"] == case["neurons"] else ", d = 2k"
    return f"{case['family']}{wide}, k = {case['neurons']}"


def _bulk(records) -> Judgement:
    largest, outside = {}, {}
    for record in records:
        bounded, growing = _split(record)
        d = record.case.data["inputs"]
        largest[_name(record)] = max((abs(v) for v, _ in bounded), default=0.0)
        outside[_name(record)] = sum(n for _, n in growing) / d
    holds = max(outside.values()) <= 2
    return Judgement(
        supported(holds),
        f"At {len(records)} points all but at most {max(outside.values()):.4g} d eigenvalues lie "
        f"below {max(largest.values()):.4g}. They tend to 1/4 and 1/4 ± 1/(2π), not to zero.",
        {"outside_per_input": outside, "largest_of_the_bulk": largest},
    )


def _linear(records) -> Judgement:
    rates, counts = {}, {}
    for record in records:
        _, growing = _split(record)
        k, d = record.case.data["neurons"], record.case.data["inputs"]
        rates[_name(record)] = [growing[0][0] / k, growing[-1][0] / k]
        counts[_name(record)] = sum(n for _, n in growing) / d
    slowest = min(low for low, _ in rates.values())
    holds = slowest > 0.1 and max(high for _, high in rates.values()) < 0.6
    holds = holds and min(counts.values()) >= 1
    limit = max(records, key=lambda r: r.case.data["neurons"])
    return Judgement(
        supported(holds),
        f"At least {min(counts.values()):.4g} d eigenvalues exceed {slowest:.4g} k; at "
        f"{_name(limit)} they lie between {rates[_name(limit)][0]:.6g} k (1/(2π) = 0.159155) and "
        f"{rates[_name(limit)][1]:.6g} k.",
        {"count_per_input": counts, "between_these_multiples_of_k": rates},
    )


def _multiplicities(records) -> Judgement:
    copies = {"A": (2, 3, 1, 1), "I": (5, 5, 1, 1), "II": (5, 5, 1, 1)}
    wrong, most = [], 0
    chosen = [r for r in records if r.case.data["family"] in copies]
    for record in chosen:
        k, levels = record.case.data["neurons"], record.values["levels"]
        n = k if record.case.data["family"] == "A" else k - 1
        names = ("trivial", "standard", "exterior", "two-row")
        dimension = (1, n - 1, (n - 1) * (n - 2) // 2, n * (n - 3) // 2)
        found = Counter((v["representation"], v["multiplicity"]) for v in levels)
        expected = dict(
            zip(
                zip(names, dimension, strict=True),
                copies[record.case.data["family"]],
                strict=True,
            )
        )
        total = sum(v["multiplicity"] for v in levels)
        most = max(most, len(levels))
        if dict(found) != expected or total != k * k:
            wrong.append(_name(record))
    return Judgement(
        Verdict.CONTRADICTED if wrong else Verdict.SUPPORTED,
        f"At {len(chosen) - len(wrong)} of {len(chosen)} points the multiplicities are those and "
        f"add up to k²; there are at most {most} eigenvalues.",
        {"points": len(chosen), "exceptions": wrong, "most_eigenvalues": most},
    )


def _closed_form(records) -> Judgement:
    worst = {}
    for record in records:
        if record.case.data["family"] != "global":
            continue
        levels = record.values["levels"]
        found = [(v["eigenvalue"], v["multiplicity"]) for v in levels]
        expected = _formula(record.case.data["neurons"], record.case.data["inputs"])
        mine, theirs = spectral_differences(found, expected)
        worst[_name(record)] = float(np.max(np.abs(mine - theirs) / np.abs(theirs)))
    largest = max(worst.values())
    return Judgement(
        supported(largest < 1e-12),
        f"At {len(worst)} sizes all eigenvalues agree with the formulas to a relative "
        f"{largest:.1e}, with multiplicities.",
        {"relative_difference": worst},
    )


def _formula(k: int, d: int) -> list[tuple[float, int]]:
    """The closed forms at W = V, with multiplicities."""
    c = 1 / (2 * math.pi)

    def roots(sum_, product):
        high = (sum_ + math.sqrt(sum_**2 - 4 * product)) / 2
        return product / high, high  # without the cancellation in the small one

    low, high = roots((k + 2) / 4, (k + 1) / 16 + c / 2 - c**2)
    a, b = 1 / 2 + (k - 1) * c, k / 4 + c
    first, second = roots(a + b, a * b - (k - 1) / 16)
    made = [(1 / 4 - c, k * (k - 1) // 2), (1 / 4 + c, k * (k - 3) // 2)]
    made += [(low, k - 1), (high, k - 1), (first, 1), (second, 1)]
    if d > k:
        made += [(1 / 4, (k - 1) * (d - k)), ((k + 1) / 4, d - k)]
    return made


def _picture(records: Sequence[Record]):
    panels = []
    for letter, name in zip("abc", ("global", "A", "II"), strict=True):
        chosen = [
            r
            for r in records
            if r.case.data["family"] == name and r.case.data["inputs"] == r.case.data["neurons"]
        ]
        dots = [
            (r.case.data["neurons"], v["eigenvalue"]) for r in chosen for v in r.values["levels"]
        ]
        sizes = sorted({k for k, _ in dots})
        bounds = [
            report.Series(f"k/{text}", sizes, [k / c for k in sizes], report.Mark.dashed)
            for text, c in (("4", 4), ("(2π)", 2 * math.pi))
        ]
        x, y = zip(*dots, strict=True)
        panels.append(
            report.Panel(
                f"({letter}) {name}", "k", "eigenvalues",
                (report.Series("each, once", x, y, report.Mark.dots), *bounds),
                is_x_log=True, is_y_log=True, levels={"1/4": 1 / 4},
            )
        )  # fmt: skip
    return report.panel_figure(panels)


PAPER = Paper(
    key="arjevani-field-2020-hessian",
    title="Analytic Characterization of the Hessian in Shallow ReLU Models: A Tale of Symmetry",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("bulk", "linear", "multiplicities"),
            "Hessian eigenvalues, without multiplicities, at the global minimum and at two "
            "spurious points, d = k. Whatever k is there are few different ones; most stay near "
            "1/4, the others grow along the dashed lines.",
            _picture,
        ),
    ),
)
