"""What the measurements say about the claims."""

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from shallows.atlas.powers import Exponent, fitted_exponent
from shallows.certify.verdict import Verdict
from shallows.lab import Record
from shallows.papers import Judgement, supported
from shallows.papers.zou_gu_2019 import theory
from shallows.solve.overparameterised import WideEnding

Row = dict[str, Any]

# The variable that a sweep is along, by its letter and, for φ, by whether the width grows too.
FIELDS = {
    "m": "width",
    "φ": "separation",
    "φ along m ∝ φ⁻⁴": "separation",
    "n": "points",
    "k": "outputs",
    "L": "depth",
}

# Of exponents, for rounding.
_SLACK = 1e-6


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`; a claim that nothing measured bears on is undecided."""
    rows = rows_of(records)
    runs = [row for row in rows if row["ask"] == "run"]
    digits = [row for row in rows if row["ask"] == "digits"]
    return {
        "milder": _milder(),
        "gradient-bound": _gradient(runs),
        "iterations": _iterations(runs),
        "trajectory": _length(runs),
        "width": _widths([row for row in rows if row["ask"] == "width"]),
        "relation": _relation(runs + digits),
        "eigenvalue": _eigenvalue(runs + digits, [row for row in rows if row["ask"] == "limit"]),
        "spectral": _spectral(runs),
        "wider": _wider(runs),
        "digits": _digits(digits),
    }


def rows_of(records: Sequence[Record]) -> list[Row]:
    """What was asked and what was answered, of each."""
    return [{**record.values, **record.case.data} for record in records]


def converged(rows: Sequence[Row]) -> list[Row]:
    """Those of runs that have converged."""
    return [row for row in rows if row["ending"] == WideEnding.converged.name]


def table(
    along: Sequence[Row], field: str, value: Callable[[Row], float | None], series: str
) -> tuple[np.ndarray, np.ndarray]:
    """Places, and a line of values at them for each series that has a value at all of them."""
    places = sorted({row[field] for row in along})
    found = {(row[series], row[field]): value(row) for row in along}
    lines = [[found.get((name, x)) for x in places] for name in sorted({r[series] for r in along})]
    whole = [line for line in lines if all(line)]
    values = np.array(whole, dtype=float).reshape(len(whole), len(places))
    return np.array(places, dtype=float), values


def exponents(
    rows: Sequence[Row], value: Callable[[Row], float | None], series: str = "seed"
) -> dict[str, Exponent]:
    """For each variable that there is a sweep along, the fitted exponent of a value.

    Series where a value is missing are left out; where fewer than two are left, so is the variable.
    """
    found = {}
    for letter, field in FIELDS.items():
        x, y = table([row for row in rows if row["along"] == letter], field, value, series)
        if len(x) > 1 and len(y) > 1:
            found[letter] = fitted_exponent(x, y)
    return found


def _against(
    measured: dict[str, Exponent], bound: theory.Powers, is_upper: bool
) -> tuple[Verdict, dict]:
    """Whether powers respect a bound of their growth in every variable, and a table of both.

    Slower growth than that of an upper bound respects it. Faster growth, where the whole interval
    is beyond (for φ, which is small: growth as it falls), is left undecided: the bounds are
    stated for widths that no run comes near to.
    """
    table: dict[str, Any] = {}
    for letter, found in measured.items():
        power = float(bound.get(letter[0], 0))
        grows = (letter[0] != "φ") == is_upper
        beyond = found.low > power + _SLACK if grows else found.high < power - _SLACK
        table[letter] = {
            "measured": found.value,
            "half_width": found.half_width,
            "theory": power,
            "is_beyond": bool(beyond),
        }
    holds = bool(table) and not any(row["is_beyond"] for row in table.values())
    return (Verdict.SUPPORTED if holds else Verdict.UNDECIDED), table


def _beyond(table: dict[str, Any]) -> str:
    """What to say of the variables in which a bound is not respected."""
    names = [letter for letter, row in table.items() if row["is_beyond"]]
    if not names:
        return ""
    return (
        f" The bound's growth is not respected in {' and '.join(names)}, far below the widths that "
        f"it is stated for."
    )


def _least(row: Row) -> float:
    """The lower end of the enclosure of λ_min."""
    return float(row["ball"][0])


def _told(measured: dict[str, Exponent], bound: theory.Powers | None = None) -> str:
    words = []
    for letter, found in measured.items():
        end = "" if bound is None else f" (theory {_number(float(bound.get(letter[0], 0)))})"
        words.append(f"{letter} to the {_number(found.value)} ± {found.half_width:.2f}{end}")
    return ", ".join(words)


def _number(x: float) -> str:
    return f"{x:.2f}".rstrip("0").rstrip(".").replace("-", "−") if x else "0"


def _milder() -> Judgement:
    width, steps = theory.width_from_ingredients(), theory.iterations_from_ingredients()
    zero = Fraction(0)
    follows = width == theory.WIDTH and steps == theory.ITERATIONS
    milder = all(
        abs(mine.get(letter, zero)) <= abs(other.get(letter, zero))
        for row in theory.BEFORE.values()
        for mine, other in zip((width, steps), row, strict=True)
        for letter in ("n", "φ", "L")
    )
    table = {
        name: {letter: str(power) for letter, power in row.items()}
        for name, row in (("width", width), ("iterations", steps))
    }
    before = {
        name: [{letter: str(power) for letter, power in row.items()} for row in both]
        for name, both in theory.BEFORE.items()
    }
    return Judgement(
        supported(follows and milder),
        "As arithmetic of exponents: step and gradient bound give n² L²/φ steps; that the way is "
        "shorter than the radius inside which that bound holds gives the width k n⁸ L¹²/φ⁴, up to "
        "logarithms. In n, φ and L no exponent is above those of two works before it. The bounds "
        "themselves, of all these works, are second-hand.",
        {"exponents": table, "width_and_iterations_before": before},
    )


def _gradient(rows: list[Row]) -> Judgement:
    done = converged(rows)

    # Along some widths vary too; and in m the bound is of the ratio itself.
    def least(row: Row) -> float:
        return row["least_ratio"] / (1 if row["along"] == "m" else row["width"])

    measured = exponents(done, least)
    verdict, table = _against(measured, theory.RATIO, is_upper=False)
    constant = min(
        (r["least_ratio"] * r["outputs"] * r["points"] ** 2 / (r["width"] * r["separation"]))
        for r in done
    )
    share = [row["least_ratio"] / row["limit_ratio"] for row in done]
    return Judgement(
        verdict,
        f"The least ratio goes like {_told(measured, theory.RATIO)}. Of all "
        f"runs c is at least {constant:.3g}, and the ratio at least {min(share):.2f} of that with "
        f"the kernel of infinite width.{_beyond(table)}",
        {"exponents": table, "least_constant": constant, "least_share_of_limit": min(share)},
    )


def _iterations(rows: list[Row]) -> Judgement:
    measured = exponents(rows, lambda row: row["iterations"])
    verdict, table = _against(measured, theory.ITERATIONS, is_upper=True)
    lost = len(rows) - len(converged(rows))
    late = sum((row["iterations"] or math.inf) > row["allowed"] for row in rows)
    return Judgement(
        verdict if not lost else Verdict.UNDECIDED,
        f"{len(rows) - lost} of {len(rows)} runs get to a loss of 1e-4 of the first, {late} of "
        f"them after more steps than the halved rate of infinite width allows. Their number goes "
        f"like {_told(measured, theory.ITERATIONS)}.{_beyond(table)}",
        {"exponents": table, "not_converged": lost, "late": late},
    )


def _length(rows: list[Row]) -> Judgement:
    done = converged(rows)

    def length(row: Row) -> float:
        return row["length"] * (1 if row["along"] == "m" else math.sqrt(row["width"]))

    measured = exponents(done, length)
    moved = exponents(done, lambda row: row["displacement"])
    verdict, table = _against(measured, theory.LENGTH, is_upper=True)
    return Judgement(
        verdict,
        f"The length goes like {_told(measured, theory.LENGTH)}; the displacement |W − W₀| like m "
        f"to the {_number(moved['m'].value)} ± {moved['m'].half_width:.2f}.{_beyond(table)}",
        {"exponents": table},
    )


def _widths(rows: list[Row]) -> Judgement:
    if not rows:
        return Judgement(Verdict.UNDECIDED, "It is not measured at this scale.", {"cases": 0})
    tables: dict[str, Any] = {}
    words, verdict = [], Verdict.UNDECIDED
    for kept, name in ((0.0, "to converge"), (0.5, "to keep half of the ratio")):
        mine = [row for row in rows if row["kept"] == kept]
        measured = exponents(mine, lambda row: row["width"], "group")
        if not measured:
            continue
        holds, table = _against(measured, theory.WIDTH, is_upper=True)
        # The theorem is about convergence; what else is kept on the way is its proof's matter.
        verdict = holds if not kept else verdict
        found = [row["width"] for row in mine if row["width"]]
        tables[name] = {"exponents": table, "widths": _listed(mine)}
        words.append(f"{name} it is {min(found)} to {max(found)}: {_told(measured, theory.WIDTH)}")
    return Judgement(
        verdict,
        f"The smallest width: {'; '.join(words)}. Keeping half of |∇L|²/L of infinite width "
        f"throughout, as proofs do, asks for far more neurons than convergence in time.",
        tables,
    )


def _listed(rows: list[Row]) -> dict[str, dict[str, list]]:
    """Widths by variable and place."""
    found: dict[str, dict[str, list]] = {}
    for row in rows:
        place = str(row[FIELDS[row["along"]]])
        found.setdefault(row["along"], {}).setdefault(place, []).append(row["width"])
    return found


def _relation(rows: list[Row]) -> Judgement:
    error = max(row["relation_error"] for row in rows)
    good = sum(row["relation_holds"] for row in rows)
    return Judgement(
        supported(good == len(rows) and error < 1e-8),
        f"It holds at both ends of {good} of {len(rows)} runs; at the end |∇L|² is rᵀ K r/n² to "
        f"{error:.1e}, the one from descent, the other from the kernel.",
        {"largest_error": error},
    )


def _eigenvalue(rows: list[Row], limits: list[Row]) -> Judgement:
    every = rows + limits
    proved = [row for row in every if row["positive"] == Verdict.PROVED.name]
    ratio = [
        _least(row) * 100 * row["points"] ** 2 / row["separation"]
        for row in proved
        if row.get("depth", 1) == 1
    ]
    measured = exponents([row for row in rows if row["ask"] == "run"], _least)
    shown = {letter: power for letter, power in measured.items() if letter[0] in "φn"}
    smallest = min((row["separation"] for row in limits), default=None)
    scaled = [2 * math.pi * _least(r) / smallest for r in limits if r["separation"] == smallest]
    tends = f" At φ = {smallest:g} it is {np.mean(scaled):.4f} φ/(2π)." if smallest else ""
    return Judgement(
        supported(len(proved) == len(every) and min(ratio) >= 1),
        f"In ball arithmetic λ_min is positive at {len(proved)} of {len(every)} data sets, and for "
        f"one hidden layer at least {min(ratio):.3g} times the bound. In these runs it goes like "
        f"{_told(shown)}.{tends}",
        {"least_over_bound": min(ratio), "times_2_pi_over_separation": scaled},
    )


def _spectral(rows: list[Row]) -> Judgement:
    along = [row for row in rows if row["along"] == "m"]
    error = exponents(along, lambda row: row["prediction_error"])["m"]
    drift = exponents(along, lambda row: row["kernel_drift"])["m"]
    means = {
        str(m): float(np.mean([row["prediction_error"] for row in along if row["width"] == m]))
        for m in sorted({row["width"] for row in along})
    }
    told = ", ".join(f"{x:.3f} (m = {m})" for m, x in means.items())
    return Judgement(
        supported(error.high < 0) if not error.low < 0 < error.high else Verdict.UNDECIDED,
        f"At worst along a run it is off by {told} of the first residual: like m to the "
        f"{_number(error.value)} ± {error.half_width:.2f}, and the kernel moves like m to the "
        f"{_number(drift.value)} ± {drift.half_width:.2f}.",
        {"mean_error": means},
    )


def _wider(rows: list[Row]) -> Judgement:
    along = [row for row in rows if row["along"] == "m"]

    def power(name: str) -> Exponent:
        return exponents(along, lambda row: row[name])["m"]

    of = {name: power(name) for name in ("iterations", "flips", "largest_move")}
    told = ", ".join(
        f"{words} like m to the {_number(of[name].value)} ± {of[name].half_width:.2f}"
        for name, words in (
            ("iterations", "steps"),
            ("flips", "the share of changed activations"),
            ("largest_move", "the largest movement"),
        )
    )
    flips = [float(np.mean([r["flips"] for r in along if r["width"] == m])) for m in _ends(along)]
    return Judgement(
        supported(all(found.value < 0 for found in of.values())),
        f"From m = {_ends(along)[0]} to {_ends(along)[1]}: {told}. At the end {flips[0]:.1%} of "
        f"activations have changed with the smallest width and {flips[1]:.1%} with the largest.",
        {name: [found.value, found.half_width] for name, found in of.items()},
    )


def _ends(along: list[Row]) -> tuple[int, int]:
    widths = sorted(row["width"] for row in along)
    return widths[0], widths[-1]


def _digits(rows: list[Row]) -> Judgement:
    if not rows:
        return Judgement(
            Verdict.UNDECIDED,
            "It is not measured at this scale, or scikit-learn is not installed.",
            {"cases": 0},
        )
    late = [row for row in rows if (row["iterations"] or math.inf) > row["allowed"]]
    share = [row["least_ratio"] / row["limit_ratio"] for row in rows]
    constant = min(
        r["least_ratio"] * r["outputs"] * r["points"] ** 2 / (r["width"] * r["separation"])
        for r in rows
    )
    table = {
        f"n = {r['points']}, k = {r['outputs']}, seed {r['seed']}": {
            "separation": r["separation"],
            "eigenvalue": r["ball"],
            "iterations": r["iterations"],
            "allowed": r["allowed"],
            "least_share_of_limit": r["least_ratio"] / r["limit_ratio"],
            "flips": r["flips"],
        }
        for r in rows
    }
    separations = [row["separation"] for row in rows]
    points = [row["points"] for row in rows]
    return Judgement(
        supported(not late and min(share) > 0.5),
        f"{len(rows) - len(late)} of {len(rows)} runs with {min(points)} to {max(points)} digits, "
        f"φ from {min(separations):.3g} to {max(separations):.3g}, converge in the steps that the "
        f"halved rate of infinite width allows; |∇L|²/L is at least {min(share):.2f} of that of "
        f"infinite width, and c at least {constant:.3g}.",
        {"runs": table},
    )
