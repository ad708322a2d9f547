"""Arjevani (2023): minima that training does not find, told apart by the arcs that leave them."""

import math
from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.atlas.arcs import arcs
from shallows.atlas.families import member
from shallows.atlas.powers import decay_exponent
from shallows.atlas.spectra import spectral_differences
from shallows.lab import Case, Record, Result
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported

_SOURCE = "arjevani2023"
_VISIBLE, _HIDDEN = ("II",), ("I", "A")

CLAIMS = (
    Claim(
        "two-types",
        "There are two infinite families with one minimum for each d: in the first the loss tends "
        "to zero, in the second it stays bounded away from zero.",
        f"{_SOURCE}, abstract (that these are II and I here, and that A is like I, is our reading)",
        True,
    ),
    Claim(
        "spectra-agree",
        "The Hessian spectra of both types agree modulo O(d^(−1/2)).",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "spectra-differ",
        "They differ at that order: the eigenvalue of the exterior square, of multiplicity about "
        "d²/2, is smaller by (1/π) d^(−1/2) at hidden minima.",
        f"{_SOURCE} (the abstract names terms of this order; which ones is our reading, and the "
        f"constant is ours)",
        False,
    ),
    Claim(
        "components",
        "Arcs that minimise the loss leave hidden minima in the exterior square, and those of the "
        "first type in a standard representation.",
        f"{_SOURCE} (the abstract says that arcs differ characteristically in structure and "
        f"symmetry, on account of these terms; the components are our reading)",
        False,
    ),
    Claim(
        "adjacent",
        "Numerically constructed arcs show how both types lie relative to adjacent critical "
        "points: those along the smallest eigenvalue reach one at a bounded distance.",
        f"{_SOURCE}, abstract (the first half; the second is our reading)",
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """Families and sizes."""
    sizes = {
        Scale.smoke: [10, 100, 10_000],
        Scale.desk: [10, 20, 50, 100, 300, 1000, 10_000, 100_000, 1_000_000],
        Scale.paper: [*range(8, 41, 2), *(round(10 ** (n / 2)) for n in range(4, 17))],
    }[scale]
    return [Case({"family": name, "neurons": k}) for name in (*_VISIBLE, *_HIDDEN) for k in sizes]


def measure(case: dict) -> Result:
    """The spectrum, and the minimising arcs that cut the smallest parts from a block."""
    name, k = case["family"], case["neurons"]
    found = member(name, k)
    least = found.spectrum()[0]
    # Proofs of ends are the business of `shallows arcs`.
    ways = arcs(name, k, cuts=(1,), only_minimising=True, with_proofs=False)
    return Result(
        {
            "loss": found.value,
            "kind": found.kind().value,
            "component": least.representation.value,
            "smallest_eigenvalue": float(least.eigenvalue),
            "levels": [level.as_json() for level in found.spectrum()],
            "arcs": [one.as_json() for one in ways],
        },
        provenance={"precision": f"balls of {found.numbers.bits} bits; floats on arcs, k ≤ 100"},
    )


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`."""
    return {
        "two-types": _two_types(records),
        "spectra-agree": _agree(records),
        "spectra-differ": _differ(records),
        "components": _components(records),
        "adjacent": _adjacent(records),
    }


def _of(records: Sequence[Record], name: str) -> dict[int, dict]:
    found = {r.case.data["neurons"]: r.values for r in records if r.case.data["family"] == name}
    return dict(sorted(found.items()))


def _two_types(records) -> Judgement:
    losses = {
        name: {k: v["loss"] for k, v in _of(records, name).items()}
        for name in (*_VISIBLE, *_HIDDEN)
    }
    minima = all(r.values["kind"] == "minimum" for r in records)
    scaled = [k * x for k, x in losses["II"].items()]
    least = min(x for name in _HIDDEN for x in losses[name].values())
    limit = 1 / 2 - 1 / math.pi
    last = max(losses["I"])
    falls = list(losses["II"].values()) == sorted(losses["II"].values(), reverse=True)
    grows = all(list(losses[n].values()) == sorted(losses[n].values()) for n in _HIDDEN)
    return Judgement(
        supported(minima and falls and grows and max(scaled) < 1 and least > 0.05),
        f"All points are minima. The loss of II falls, and k L is at most {max(scaled):.4g}; those "
        f"of I and A grow from {least:.4g}, to {losses['I'][last]:.5g} for I at k = {last} (1/2 − "
        f"1/π = {limit:.5g}).",
        {"losses": {name: {str(k): x for k, x in of.items()} for name, of in losses.items()}},
    )


def _levels(values: dict) -> list[tuple[float, int]]:
    return [(v["eigenvalue"], v["multiplicity"]) for v in values["levels"]]


def _agree(records) -> Judgement:
    visible, worst, exponents = _of(records, "II"), {}, {}
    for name in _HIDDEN:
        hidden, sizes, largest = _of(records, name), [], []
        for k in sorted(hidden.keys() & visible.keys()):
            mine, theirs = spectral_differences(_levels(hidden[k]), _levels(visible[k]))
            sizes.append(k)
            largest.append(float(np.max(np.abs(mine - theirs))))
        worst[name] = max(math.sqrt(k) * x for k, x in zip(sizes, largest, strict=True))
        # Small sizes are before the asymptotics.
        late = [i for i, k in enumerate(sizes) if k >= 100]
        exponents[name] = decay_exponent([sizes[i] for i in late], [largest[i] for i in late])
    holds = max(worst.values()) < 1 and all(e < -0.4 for e in exponents.values())
    told = ", ".join(f"{e:.3f} ({name})" for name, e in exponents.items())
    return Judgement(
        supported(holds),
        f"Of equal rank, eigenvalues differ from those of II by at most {max(worst.values()):.4g} "
        f"k^(−1/2); from k = 100 on the largest difference falls like k to the {told}.",
        {"largest_times_root": worst, "exponents": exponents},
    )


def _differ(records) -> Judgement:
    visible, scaled = _of(records, "II"), {}
    for name in _HIDDEN:
        hidden = _of(records, name)
        for k in sorted(hidden.keys() & visible.keys()):
            x, y = (
                next(v["eigenvalue"] for v in of[k]["levels"] if v["representation"] == "exterior")
                for of in (visible, hidden)
            )
            scaled[f"{name}, k = {k}"] = math.sqrt(k) * (x - y)
    largest = max(r.case.data["neurons"] for r in records)
    last = [x for key, x in scaled.items() if key.endswith(f" {largest}")]
    # The next term is of order 1/k, so that the scaled difference is off by k^(−1/2).
    holds = all(abs(x - 1 / math.pi) < 2 / math.sqrt(largest) for x in last)
    return Judgement(
        supported(holds and min(scaled.values()) > 0),
        f"At k = {largest} √k times the difference is {min(last):.6g} (1/π = {1 / math.pi:.6g}).",
        {"difference_times_root": scaled},
    )


def _components(records) -> Judgement:
    expected = {name: "standard" for name in _VISIBLE} | {name: "exterior" for name in _HIDDEN}
    found = {
        f"{r.case.data['family']}, k = {r.case.data['neurons']}": r.values["component"]
        for r in records
    }
    wrong = [key for key, x in found.items() if x != expected[key.split(",")[0]]]
    told = f", but not at {'; '.join(wrong)}" if wrong else ""
    return Judgement(
        supported(not wrong),
        f"At {len(found) - len(wrong)} of {len(found)} points the smallest eigenvalue lies in the "
        f"standard representation for II and in the exterior square for I and A{told}.",
        {"components": found},
    )


def _adjacent(records) -> Judgement:
    distance, barrier, lost = {}, {}, []
    for r in records:
        for one in r.values["arcs"]:
            case = r.case.data
            key = f"{case['family']}, k = {case['neurons']}, {one['direction']}"
            if one["end"] is None:
                lost.append(f"{key}: {one['outcome']}")
                continue
            distance[key], barrier[key] = one["end"]["distance"], one["barrier"]
    largest = max(r.case.data["neurons"] for r in records)
    last = [key for key in distance if f" {largest}," in key]
    near = [distance[key] for key in last] or [math.nan]
    high = [barrier[key] for key in last] or [math.nan]
    return Judgement(
        supported(not lost and max(distance.values(), default=math.inf) < 2),
        f"{len(distance)} of {len(distance) + len(lost)} arcs reach a critical point, at distances "
        f"between {min(distance.values(), default=math.nan):.4g} and "
        f"{max(distance.values(), default=math.nan):.4g}. At k = {largest} both types have it at "
        f"{min(near):.5g} to {max(near):.5g}, behind barriers of {min(high):.5g} to "
        f"{max(high):.5g}.",
        {"distance": distance, "barrier": barrier, "without_an_end": lost},
    )


def _picture(records: Sequence[Record]):
    found = {name: _of(records, name) for name in (*_VISIBLE, *_HIDDEN)}
    losses = [
        report.Series(name, list(of), [v["loss"] for v in of.values()])
        for name, of in found.items()
    ]
    gaps: dict[str, tuple[list, list]] = {}
    for key, x in _differ(records).numbers["difference_times_root"].items():
        name, k = key.split(", k = ")
        gaps.setdefault(name, ([], []))[0].append(int(k))
        gaps[name][1].append(x)
    highest = [
        report.Series(name, list(of), [_highest(v) for v in of.values()])
        for name, of in found.items()
    ]
    return report.panel_figure(
        [
            report.Panel(
                "(a) loss", "k", "loss", tuple(losses), is_x_log=True,
                levels={"1/2 − 1/π": 1 / 2 - 1 / math.pi},
            ),
            report.Panel(
                "(b) exterior square: II less hidden", "k", "√k × difference of eigenvalues",
                tuple(report.Series(n, x, y) for n, (x, y) in gaps.items()), is_x_log=True,
                levels={"1/π": 1 / math.pi},
            ),
            report.Panel(
                "(c) barrier along arcs", "k", "barrier", tuple(highest), is_x_log=True,
                is_y_log=True,
            ),
        ]
    )  # fmt: skip


def _highest(values: dict) -> float:
    return max((one["barrier"] for one in values["arcs"] if one["end"]), default=math.nan)


PAPER = Paper(
    key="arjevani-2023-hidden",
    title="Hidden Minima in Two-Layer ReLU Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("two-types", "spectra-differ", "adjacent"),
            "(a) The loss of family II falls to zero, those of the hidden families I and A grow "
            "to a limit. (b) Times √k, the eigenvalue by which their spectra differ tends to 1/π."
            " (c) The highest barrier along the tangency arcs that leave each point.",
            _picture,
        ),
    ),
)
