"""What the measurements say about the claims."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from shallows.atlas.powers import Exponent, fitted_exponent
from shallows.certify.verdict import Verdict
from shallows.lab import Record
from shallows.papers import Judgement, supported

Row = dict[str, Any]

FIELDS = {"l": "codimension", "d": "inputs", "β": "scale", "λ": "decay", "m": "width"}
"""The variable that a sweep is along, by its letter."""

REFERENCE = {1.0: (0.485, 4.69), 0.1: (0.042, 30.6)}
"""Medians of gradient and universal distance for these β, computed before and elsewhere."""


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`; a claim that nothing measured bears on is undecided."""
    rows = rows_of(records)
    runs = [row for row in rows if row["ask"] == "run"]
    released = [row for row in rows if row["ask"] == "released"]
    return {
        "frozen": _frozen(runs),
        "gradient": _gradient(runs),
        "typical": _typical(runs),
        "distance": _distance(runs),
        "universal": _universal(runs),
        "initialisation": _initialisation(runs),
        "decay": _decay(runs),
        "which": _which(runs),
        "smallest": _smallest([row for row in rows if row["ask"] == "smallest"]),
        "medians": _reference(runs),
        "diagonal": _diagonal([row for row in released if row["data"] == "diagonal"]),
        "chessboard": _chessboard([row for row in released if row["data"] == "chessboard"]),
        "digits": _digits([row for row in rows if row["ask"] == "digits"]),
    }


def rows_of(records: Sequence[Record]) -> list[Row]:
    """What was asked and what was answered, of each."""
    return [{**record.values, **record.case.data} for record in records]


def sweep_of(rows: Sequence[Row], along: str, value: str) -> tuple[np.ndarray, np.ndarray]:
    """Places, and a line of values at them for each seed that reached the margin at all of them."""
    field = FIELDS[along]
    chosen = [row for row in rows if row["along"] == along and row["ending"] == "reached"]
    places = sorted({row[field] for row in rows if row["along"] == along})
    found = {(row["seed"], row[field]): row[value] for row in chosen}
    lines = [[found.get((seed, x)) for x in places] for seed in sorted({r["seed"] for r in chosen})]
    whole = [line for line in lines if None not in line]
    return np.array(places, float), np.array(whole, float).reshape(len(whole), len(places))


def _exponent(rows: Sequence[Row], along: str, value: str) -> Exponent | None:
    x, y = sweep_of(rows, along, value)
    enough = len(x) > 1 and len(y) > 1 and np.all(np.isfinite(y))
    return fitted_exponent(x, y) if enough else None


def _frozen(rows: list[Row]) -> Judgement:
    plain = [r for r in rows if not r["rotated"] and r["decay"] == 0]
    rest = [r for r in rows if r["rotated"] or r["decay"] > 0]
    exact = sum(r["drift"] == 0 for r in plain)
    worst = max((r["drift"] for r in rest), default=math.nan)
    turned = max((r["drift"] for r in rest if r["rotated"] and not r["decay"]), default=math.nan)
    return Judgement.by_numbers(
        plain and rest and exact == len(plain) and worst < 1e-11,
        f"In coordinates nothing moves in {exact} of {len(plain)} runs, to the last bit, batches "
        f"of 5 points among them. In rotated subspaces it is {turned:.1e} of the largest weight; "
        f"with decay (1 − ηλ)^T is right to {worst:.1e}.",
        {"exactly_zero": exact, "of": len(plain), "rotated": turned, "with_decay": worst},
    )


def _gradient(rows: list[Row]) -> Judgement:
    table = {}
    for l in sorted({r["codimension"] for r in rows}):
        group = [r for r in rows if r["codimension"] == l]
        points = sum(r["points"] for r in group)
        share = sum(r["above"] for r in group) / points
        table[str(l)] = {"share": share, "promised": 1 - math.exp(-l / 16), "points": points}
    least = min(r["least_ratio"] for r in rows)
    total = sum(row["points"] for row in table.values())
    above = round(sum(row["share"] * row["points"] for row in table.values()))
    return Judgement.by_numbers(
        all(row["share"] >= row["promised"] for row in table.values()),
        f"{above} of {total} points are above the bound (times β and what decay leaves); the least "
        f"ratio is {least:.3f}.",
        {"by_codimension": table, "least_ratio": least},
    )


def _typical(rows: list[Row]) -> Judgement:
    ratios = [r["typical_ratio"] for r in rows]
    found = float(np.median(ratios))
    return Judgement.by_numbers(
        abs(found - 1) < 0.05 and all(abs(x - 1) < 0.35 for x in ratios),
        f"Medians over the points of a run are between {min(ratios):.3f} and {max(ratios):.3f} "
        f"times √2 times the bound, in the middle {found:.3f}.",
        {"median_ratio": found, "least": min(ratios), "most": max(ratios)},
    )


def _distance(rows: list[Row]) -> Judgement:
    in_d, in_l = _exponent(rows, "d", "universal"), _exponent(rows, "l", "universal")
    if in_d is None or in_l is None:
        return _missing()
    x, y = sweep_of(rows, "d", "universal")
    told = ", ".join(f"{np.median(y[:, i]):.2f} (d = {d:g})" for i, d in enumerate(x))
    plain = [r for r in rows if r["scale"] == 1 and r["decay"] == 0]
    constants = [r["distance_constant"] for r in plain]
    linear = np.median([r["linear"] / r["own"] for r in plain])
    holds = in_d.low < 0.1 and in_l.high < 0 and all(map(math.isfinite, constants))
    # An interval that holds 0 does not tell whether it falls.
    unclear = not holds and in_l.low < 0 <= in_l.high
    return Judgement(
        Verdict.UNDECIDED if unclear else supported(holds),
        f"With l = d/2 and |x| = √d it is {told}: like d to the {_told(in_d)}; with d = 200, "
        f"like l to the {_told(in_l)}. At β = 1 it is at most {max(constants):.2f} times the order "
        f"for all points. |N|/|∇| is {linear:.2f} times the distance along the own gradient.",
        {
            "power_of_d": [in_d.value, in_d.half_width],
            "power_of_l": [in_l.value, in_l.half_width],
            "largest_constant": max(constants),
        },
    )


def _universal(rows: list[Row]) -> Judgement:
    points, flipped = sum(r["points"] for r in rows), sum(r["flipped"] for r in rows)
    return Judgement.by_numbers(
        flipped == points,
        f"Along it, with the sign of the output, {flipped} of {points} points change sign.",
        {"flipped": flipped, "points": points},
    )


def _initialisation(rows: list[Row]) -> Judgement:
    x, radii = sweep_of(rows, "β", "universal")
    _, gradients = sweep_of(rows, "β", "gradient")
    if len(radii) < 2:
        return _missing()
    power = fitted_exponent(x, gradients)
    middle, sizes = np.median(radii, axis=0), np.median(gradients, axis=0)
    told = ", ".join(
        f"{g:.3g} and {r:.3g} (β = {b:g})" for b, g, r in zip(x, sizes, middle, strict=True)
    )
    return Judgement.by_numbers(
        abs(power.value - 1) < 0.1 and bool(np.all(np.diff(middle) < 0)),
        f"Gradient and universal distance are {told}; the gradient goes like β to the "
        f"{_told(power)}.",
        {
            "power": [power.value, power.half_width],
            "distance": dict(zip(map(str, x), middle.tolist(), strict=True)),
        },
    )


def _decay(rows: list[Row]) -> Judgement:
    x, radii = sweep_of(rows, "λ", "universal")
    _, gradients = sweep_of(rows, "λ", "gradient")
    if not len(radii):
        return _missing()
    middle, sizes = np.median(radii, axis=0), np.median(gradients, axis=0)
    told = ", ".join(
        f"{g:.3g} and {r:.3g} (λ = {b:g})" for b, g, r in zip(x, sizes, middle, strict=True)
    )
    late = sum(r["along"] == "λ" and r["ending"] != "reached" for r in rows)
    more = f" {late} runs did not reach the margin." if late else ""
    return Judgement.by_numbers(
        bool(np.all(np.diff(middle) > 0) and np.all(np.diff(sizes) < 0)),
        f"At the same margin, gradient and universal distance are {told}.{more}",
        {"gradient": sizes.tolist(), "distance": middle.tolist(), "decay": x.tolist()},
    )


def _which(rows: list[Row]) -> Judgement:
    x, universal = sweep_of(rows, "β", "universal")
    _, own = sweep_of(rows, "β", "own")
    if not len(own):
        return _missing()
    ratio = np.median(own / universal, axis=0)
    told = ", ".join(f"{r:.2f} (β = {b:g})" for b, r in zip(x, ratio, strict=True))
    return Judgement.by_numbers(
        ratio[-1] < 1 < ratio[0],
        f"The distance along the own gradient is {told} times that along the universal direction.",
        {"own_over_universal": dict(zip(map(str, x), ratio.tolist(), strict=True))},
    )


def _smallest(rows: list[Row]) -> Judgement:
    flips = [flip for row in rows for flip in row["flips"]]
    if not flips:
        return _missing()
    closed = [f for f in flips if f["|z|₂ verdict"] == Verdict.PROVED.name]
    closed_max = [f for f in flips if f["|z|∞ verdict"] == Verdict.PROVED.name]
    agree = max((abs(f["programme"] / f["|z|∞"][1] - 1) for f in closed_max), default=math.nan)
    best = [min(f["own"], f["universal"]) / f["|z|₂"][0] for f in closed]
    summary = (
        f"Branch and bound closes the gap at {len(closed)} of {len(flips)} points in |z|₂ and at "
        f"{len(closed_max)} in |z|∞, where a mixed-integer programme agrees to {agree:.1e}. The "
        f"better of the two directions needs {np.median(best):.2f} times the least |z|₂ in the "
        f"middle, {max(best):.2f} times at most."
    )
    numbers = {"closed": len(closed), "of": len(flips), "ratios": best, "programme": agree}
    if len(closed) < len(flips) / 2:
        return Judgement(Verdict.UNDECIDED, summary, numbers)
    return Judgement.by_numbers(np.median(best) < 2, summary, numbers)


def _reference(rows: list[Row]) -> Judgement:
    tables: dict[str, Any] = {}
    for step in sorted({r["step"] for r in rows if r["along"] == "η"}):
        table = tables[f"{step:g}"] = {}
        for scale, expected in REFERENCE.items():
            group = [
                r for r in rows if r["along"] == "η" and (r["step"], r["scale"]) == (step, scale)
            ]
            if len(group) < 3:  # no scatter to compare with
                return _missing()
            for name, value in zip(("gradient", "universal"), expected, strict=True):
                found = [r[name] for r in group]
                # Of the medians of single runs; the draws of the reference were others.
                spread = float(np.std(found, ddof=1))
                here = float(np.median(found))
                table[f"{name}, β = {scale:g}"] = {
                    "here": here,
                    "scatter": spread,
                    "reference": value,
                    "agrees": abs(here - value) <= 3 * spread + 0.01 * value,
                }
    if not tables:
        return _missing()
    told = " ".join(
        f"η = {step}: "
        + ", ".join(f"{name}: {x['here']:.3g} ± {x['scatter']:.2g}" for name, x in table.items())
        + "."
        for step, table in tables.items()
    )
    good = [step for step, table in tables.items() if all(x["agrees"] for x in table.values())]
    return Judgement.by_numbers(
        good,
        f"Medians of runs, and their scatter: {told} All agree within the scatter for η = "
        f"{' and '.join(good) or 'none'}: with longer steps the margin is exceeded by more.",
        tables,
    )


def _diagonal(rows: list[Row]) -> Judgement:
    if not rows:
        return _missing()
    found = {name: _of_variant(rows, name) for name in _variants(rows)}
    told = "; ".join(
        f"{name}: {one['distance']:.3g}, {one['angle']:.0f}°" for name, one in found.items()
    )
    plain = found["vanilla"]
    others = [one for name, one in found.items() if name != "vanilla"]
    reached = sum(r["ending"] == "reached" for r in rows)
    for name, one in found.items():
        lower = [low for r in rows if r["variant"] == name for low, _ in r["nearest"]]
        one["nearest"] = float(np.median(lower))
    proved = [v == Verdict.PROVED.name for r in rows for v in r["nearest verdicts"]]
    nearest = ", ".join(f"{one['nearest']:.3g} ({name})" for name, one in found.items())
    return Judgement.by_numbers(
        all(one["distance"] > plain["distance"] for one in others),
        f"Median distance of points from the boundary across the line, and least angle of boundary "
        f"and line in the middle of runs, {told}. {reached} of {len(rows)} runs reach the margin. "
        f"In the whole plane the nearest boundary is at least {nearest} away in the middle: proved "
        f"bounds, sharp to 0.1 % at {sum(proved)} of {len(proved)} points.",
        found,
    )


def _chessboard(rows: list[Row]) -> Judgement:
    if not rows:
        return _missing()
    found = {name: _of_variant(rows, name) for name in _variants(rows)}
    told = "; ".join(f"{name}: {one['distance']:.3g}" for name, one in found.items())
    drift = max(r["drift"] for r in rows if "regularised" not in r["variant"])
    late = {r["variant"] for r in rows if r["ending"] != "reached"}
    more = f" Not all runs reach the margin: {', '.join(sorted(late))}." if late else ""
    return Judgement.by_numbers(
        found["regularised"]["distance"] > found["vanilla"]["distance"],
        f"Median distance of points from the boundary across the board, {told}. The board is at "
        f"height 1/2, so that what stays without penalties is w_3 − b/2 of each neuron, to "
        f"{drift:.1e}.{more}",
        found,
    )


def _variants(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["variant"] for row in rows))


def _of_variant(rows: list[Row], name: str) -> dict[str, Any]:
    """Medians over seeds of what runs of a variant have in the middle."""
    chosen = [row for row in rows if row["variant"] == name]
    angles = [min(row["crossings"]) for row in chosen if row["crossings"]]
    return {
        "distance": float(np.median([row["distance"] for row in chosen])),
        "angle": float(np.median(angles)) if angles else None,
        "share_across": float(np.median([row["share_across"] for row in chosen])),
        "reached": sum(row["ending"] == "reached" for row in chosen),
        "runs": len(chosen),
    }


def _digits(rows: list[Row]) -> Judgement:
    if not rows:
        return Judgement(
            Verdict.UNDECIDED,
            "It is not measured at this scale, or scikit-learn is not installed.",
            {"cases": 0},
        )
    table = {}
    for l, scale in sorted({(r["codimension"], r["scale"]) for r in rows}):
        group = [r for r in rows if (r["codimension"], r["scale"]) == (l, scale)]
        table[f"l = {l}, β = {scale:g}"] = {
            name: float(np.median([r[name] for r in group]))
            for name in ("gradient", "bound", "universal", "own", "nearest_other", "accuracy")
        }
    plain = [r for r in rows if r["scale"] == 1]
    share = float(np.median([2 * r["own"] / r["nearest_other"] for r in plain]))
    above = sum(r["above"] for r in rows)
    told = "; ".join(
        f"{name}: {row['own']:.3g} of {row['nearest_other']:.3g}" for name, row in table.items()
    )
    return Judgement.by_numbers(
        share < 0.5 and above == sum(r["points"] for r in rows),
        f"3 and 8, accuracy {min(r['accuracy'] for r in rows):.0%} or more. Distance along the own "
        f"gradient, and distance of the nearest picture of the other digit, {told}. {above} of "
        f"{sum(r['points'] for r in rows)} points are above the bound.",
        {"by_case": table, "own_over_half_nearest": share},
    )


def _missing() -> Judgement:
    return Judgement(Verdict.UNDECIDED, "It is not measured at this scale.", {"cases": 0})


def _told(power: Exponent) -> str:
    return f"{power.value:.2f} ± {power.half_width:.2f}".replace("-", "−")
