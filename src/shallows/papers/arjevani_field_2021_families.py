"""Arjevani & Field (2021): families of spurious minima, their spectra, losses and thresholds."""

import dataclasses
import math
from collections.abc import Sequence

import flint
import numpy as np

from shallows import report
from shallows.atlas.families import Member, member
from shallows.atlas.powers import decay_exponent
from shallows.atlas.spectra import spectral_differences
from shallows.certify.verdict import Verdict
from shallows.lab import Case, Record, Result
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported
from shallows.solve.critical import NewtonOutcome
from shallows.solve.symmetric import symmetric_point
from shallows.symmetry import ReducedLoss

_SOURCE = "arjevanifield2021"
_SPURIOUS = ("A", "I", "II")

CLAIMS = (
    Claim(
        "spectra-agree",
        "The Hessian spectra at spurious and at global minima agree up to O(k^(−1/2)).",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "constants",
        "Up to O(k^(−1/2)) the spectrum concentrates near small positive constants, except Θ(k) "
        "eigenvalues that grow linearly.",
        f"{_SOURCE}, abstract (the constants are ours: 1/4 and 1/4 ± 1/(2π))",
        True,
    ),
    Claim(
        "fractional-thresholds",
        "A family turns from saddles into minima at a dimension that is a fraction, and can be "
        "computed exactly.",
        f"{_SOURCE}, abstract (which families it computes is not known to us)",
        True,
    ),
    Claim(
        "two-flipped",
        "Points of isotropy Δ(S_2 × S_{k−2}) are spurious minima for k ≥ 9.",
        "arjevanifield2020, abstract of the first version",
        True,
    ),
    Claim(
        "loss-limits",
        "Along some families the loss decays like a/k, along others it tends to a positive "
        "constant.",
        "arjevanifield2020, abstract (a ≈ 0.3; the closed forms are ours)",
        True,
    ),
)

_C = 1 / (2 * math.pi)
_CONSTANTS = np.array([1 / 4 - _C, 1 / 4, 1 / 4 + _C])
_LIMITS = {"A": 1 / 2 - 1 / math.pi, "I": 1 / 2 - 1 / math.pi, "II": 0.0}
_RATE = 1 / 2 - 2 / math.pi**2


def cases(scale: Scale) -> list[Case]:
    """Spectra at many sizes, and one threshold for each family."""
    sizes = {
        Scale.smoke: [9, 100, 10_000],
        Scale.desk: [9, 12, 30, 100, 300, *(10**n for n in range(3, 8))],
        Scale.paper: [*range(9, 101), *(round(10 ** (n / 2)) for n in range(5, 19))],
    }[scale]
    made = [
        Case({"ask": "spectrum", "family": name, "neurons": k})
        for name in ("global", *_SPURIOUS, "flipped:2")
        for k in sizes
    ]
    digits = 3 if scale is Scale.smoke else 15
    return made + [
        Case({"ask": "threshold", "family": name, "digits": digits})
        for name in (*_SPURIOUS, "flipped:2")
    ]


def measure(case: dict) -> Result:
    """The spectrum at one size, or the real size at which a family's smallest eigenvalue is 0."""
    if case["ask"] == "threshold":
        return _threshold(case["family"], case["digits"])
    found = member(case["family"], case["neurons"])
    levels = [(float(e.eigenvalue), e.multiplicity) for e in found.spectrum()]
    return Result(
        {"loss": found.value, "levels": [list(level) for level in levels]},
        provenance={"precision": f"balls of {found.numbers.bits} bits"},
    )


# From here down in k each family is followed, a fraction at a time.
_TOP, _STEP, _BOTTOM = 10, 0.25, 3.5


def _threshold(name: str, digits: int) -> Result:
    """Bisection, because a sign that changes is all that is needed: no derivative, no fit."""
    at = member(name, _TOP)
    below = _resized(at, _TOP - _STEP)
    while below is not None and _least(below) > 0 and below.neurons > _BOTTOM:
        at, below = below, _resized(below, below.neurons - _STEP)
    if below is None or _least(below) > 0:
        return Result({"threshold": None, "component": None, "lost_at": float(at.neurons)})
    while at.neurons - below.neurons > 10.0**-digits:
        middle = _resized(at, (at.neurons + below.neurons) / 2)
        if middle is None or middle.neurons in (at.neurons, below.neurons):
            break
        if _least(middle) > 0:
            at = middle
        else:
            below = middle
    level = below.spectrum()[0]
    return Result(
        {
            "threshold": (below.neurons + at.neurons) / 2,
            "width": at.neurons - below.neurons,
            "component": level.representation.value,
            "just_below": float(level.eigenvalue),
        },
        provenance={"precision": f"balls of {at.numbers.bits} bits"},
    )


def _least(point: Member) -> float:
    return float(point.spectrum()[0].eigenvalue)


def _resized(point: Member, neurons: int | float) -> Member | None:
    """The family's point at a size close by; None where Newton's method loses it."""
    blocks, o = point.loss.blocks, point.numbers
    with o.precision():
        # The first block is the largest; others keep their sizes.
        sizes = [flint.arb(neurons) - sum(blocks.sizes[1:]), *blocks.sizes[1:]]
        loss = ReducedLoss(blocks.resized(tuple(sizes)))
    found = symmetric_point(loss, point.point, o, reach=0.3)
    if found.outcome is not NewtonOutcome.converged:
        return None
    return dataclasses.replace(
        point, neurons=neurons, loss=loss, point=found.point, gradient_norm=found.gradient_norm
    )


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`."""
    spectra = {
        (r.case.data["family"], r.case.data["neurons"]): r
        for r in records
        if r.case.data["ask"] == "spectrum"
    }
    thresholds = {r.case.data["family"]: r for r in records if r.case.data["ask"] == "threshold"}
    return {
        "spectra-agree": _agreement(spectra),
        "constants": _constants(spectra),
        "fractional-thresholds": _thresholds(thresholds, spectra),
        "two-flipped": _two_flipped(spectra, thresholds["flipped:2"]),
        "loss-limits": _losses(spectra),
    }


def _sizes(spectra, name: str) -> list[int]:
    return sorted(k for family, k in spectra if family == name)


def _levels(record: Record) -> list[tuple[float, int]]:
    return [(value, times) for value, times in record.values["levels"]]


def _agreement(spectra) -> Judgement:
    distance, times, exponent = {}, {}, {}
    for name in _SPURIOUS:
        sizes, found = _sizes(spectra, name), []
        for k in sizes:
            pair = (_levels(spectra[name, k]), _levels(spectra["global", k]))
            a, b = spectral_differences(*pair)
            found.append(float(np.max(np.abs(a - b))))
        distance[name] = {str(k): x for k, x in zip(sizes, found, strict=True)}
        times[name] = [x * math.sqrt(k) for k, x in zip(sizes, found, strict=True)]
        large = [k for k in sizes if k >= 100] if sizes[-1] > 100 else sizes
        exponent[name] = decay_exponent(large, found[-len(large) :])
    worst = max(max(values) for values in times.values())
    holds = worst < 2 and all(-0.7 < x < -0.4 for x in exponent.values())
    return Judgement(
        supported(holds),
        f"Of equal rank, eigenvalues at A, I, II and at the global minimum differ by at most "
        f"{worst:.3g} k^(−1/2), those that grow included; the differences fall like k to the "
        + ", ".join(f"{x:.3f} ({name})" for name, x in exponent.items())
        + ".",
        {"largest_difference": distance, "exponent": exponent},
    )


def _constants(spectra) -> Judgement:
    away, growing = {}, {}
    for (name, k), record in sorted(spectra.items()):
        # The smallest that grow are near k/(2π).
        bulk = np.array([v for v, _ in _levels(record) if v < 1 / 2])
        near = float(np.max(np.min(np.abs(bulk[:, None] - _CONSTANTS), axis=1)))
        away[f"{name}, k = {k}"] = near * math.sqrt(k)
        growing[f"{name}, k = {k}"] = sum(n for v, n in _levels(record) if v >= 1 / 2) / k
    holds = max(away.values()) < 2 and 0.5 < min(growing.values()) <= max(growing.values()) < 2
    return Judgement(
        supported(holds),
        f"Every eigenvalue below 1/2 is within {max(away.values()):.3g} k^(−1/2) of 1/4 or "
        f"1/4 ± 1/(2π); {min(growing.values()):.4g} to {max(growing.values()):.4g} times k are "
        f"above.",
        {"distance_times_root_of_k": away, "growing_per_neuron": growing},
    )


def _thresholds(thresholds, spectra) -> Judgement:
    numbers: dict[str, dict] = {}
    for name, record in thresholds.items():
        numbers[name] = {
            key: record.values.get(key) for key in ("threshold", "width", "component", "lost_at")
        }
    known = {name: v["threshold"] for name, v in numbers.items() if v["threshold"] is not None}
    # Above its threshold a family consists of minima, as far as was computed.
    strays = [
        f"{name}, k = {k}"
        for (name, k), record in sorted(spectra.items())
        if name in known and (min(_levels(record))[0] > 0) != (k > known[name])
    ]
    fractions = [name for name, x in known.items() if abs(x - round(x)) > 1e-3]
    if strays:
        verdict = Verdict.CONTRADICTED
    else:
        verdict = Verdict.SUPPORTED if fractions else Verdict.UNDECIDED
    found = ", ".join(
        f"{name} at k = {x:.10g} ({numbers[name]['component']})" for name, x in known.items()
    )
    missing = [name for name in numbers if name not in known]
    summary = f"The smallest eigenvalue vanishes for {found}; above, every computed size is one"
    summary += " of minima." if not strays else f" of minima, except {', '.join(strays)}."
    if missing:
        lost = ", ".join(f"{name} (to {numbers[name]['lost_at']:.4g})" for name in missing)
        summary += f" No crossing was met as far down as it was followed: {lost}."
    return Judgement(verdict, summary, numbers)


def _two_flipped(spectra, record: Record) -> Judgement:
    least = {
        k: min(_levels(spectra["flipped:2", k]))[0] for k in _sizes(spectra, "flipped:2") if k >= 9
    }
    saddles = [k for k, value in least.items() if value <= 0]
    found = record.values["threshold"]
    first = (
        ""
        if found is None
        else (
            f" The smallest eigenvalue vanishes at k = {found:.10g} already "
            f"({record.values['component']}), so that of whole sizes k = {math.ceil(found)} is the "
            f"first with a minimum."
        )
    )
    return Judgement(
        Verdict.CONTRADICTED if saddles else Verdict.SUPPORTED,
        f"`flipped:2` is a minimum at {len(least) - len(saddles)} of {len(least)} sizes from "
        f"{min(least)} to {max(least)}.{first}",
        {"smallest_eigenvalue": {str(k): x for k, x in least.items()}, **record.values},
    )


def _losses(spectra) -> Judgement:
    numbers: dict[str, dict[str, float]] = {}
    holds = True
    for name in _SPURIOUS:
        sizes = _sizes(spectra, name)
        losses = [spectra[name, k].values["loss"] for k in sizes]
        off = [x - _LIMITS[name] for x in losses]
        slope = decay_exponent(sizes[-2:], off[-2:])
        k, last = sizes[-1], losses[-1]
        numbers[name] = {"k": k, "loss": last, "exponent": slope}
        if _LIMITS[name]:
            numbers[name]["limit"] = _LIMITS[name]
            holds &= abs(slope + 1 / 2) < 0.1 and abs(off[-1]) < 1 / math.sqrt(k)
        else:
            numbers[name] |= {"k_times_loss": k * last, "a": _RATE}
            holds &= abs(slope + 1) < 0.1 and abs(k * last - _RATE) < 1 / math.sqrt(k)
    two = numbers["II"]
    return Judgement(
        supported(holds),
        f"At k = {two['k']}, k L = {two['k_times_loss']:.8f} for II (1/2 − 2/π² = {_RATE:.8f}); "
        f"L = {numbers['A']['loss']:.8f} for A and {numbers['I']['loss']:.8f} for I "
        f"(1/2 − 1/π = {_LIMITS['A']:.8f}, approached like k^(−1/2)).",
        numbers,
    )


def _picture(records: Sequence[Record]):
    spectra = {
        (r.case.data["family"], r.case.data["neurons"]): r
        for r in records
        if r.case.data["ask"] == "spectrum"
    }
    apart = [
        report.Series(name, list(map(int, row)), list(row.values()))
        for name, row in _agreement(spectra).numbers["largest_difference"].items()
    ]
    sizes = _sizes(spectra, "II")
    losses, least = [], []
    for name in (*_SPURIOUS, "flipped:2"):
        own = _sizes(spectra, name)
        losses.append(report.Series(name, own, [spectra[name, k].values["loss"] for k in own]))
        least.append(report.Series(name, own, [min(_levels(spectra[name, k]))[0] for k in own]))
    rate = [_RATE / k for k in sizes]
    root = [k**-0.5 for k in sizes]
    return report.panel_figure(
        [
            report.Panel(
                "(a) loss", "k", "loss",
                (*losses, report.Series("(1/2 − 2/π²)/k", sizes, rate, report.Mark.dashed)),
                is_x_log=True, is_y_log=True, levels={"1/2 − 1/π": _LIMITS["A"]},
            ),
            report.Panel(
                "(b) farthest eigenvalue from global's", "k", "difference",
                (*apart, report.Series("k^(−1/2)", sizes, root, report.Mark.dashed)),
                is_x_log=True, is_y_log=True,
            ),
            report.Panel(
                "(c) smallest eigenvalue", "k", "eigenvalue", tuple(least), is_x_log=True,
                levels={"1/4 − 1/(2π)": 1 / 4 - _C},
            ),
        ]
    )  # fmt: skip


PAPER = Paper(
    key="arjevani-field-2021-families",
    title="Analytic Study of Families of Spurious Minima in Two-Layer ReLU Neural Networks: "
    "A Tale of Symmetry II",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("loss-limits", "spectra-agree", "constants", "two-flipped"),
            "(a) The loss of family II falls along the dashed line, those of A and I tend to a "
            "constant. (b) Of equal rank, eigenvalues at spurious and at global minima differ by "
            "k^(−1/2). (c) The smallest eigenvalue is positive at every size, and tends to a "
            "constant.",
            _picture,
        ),
    ),
)
