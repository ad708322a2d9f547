"""What the measurements say about the claims."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from shallows.certify.verdict import Verdict
from shallows.lab import Record
from shallows.papers import Judgement

Row = dict[str, Any]

# Between two optima of one value, to what interior points can tell; of networks mapped back; of
# training that has succeeded, and of training that is far above.
_SAME, _MAPPED, _TRAINED, _FAR = 1e-6, 1e-8, 1e-5, 0.1


def judge(records: Sequence[Record]) -> Mapping[str, Judgement]:
    """For each claim's id."""
    of: dict[str, list[Row]] = {}
    for record in records:
        of.setdefault(record.case.data["ask"], []).append({**record.case.data, **record.values})
    ours = [row for row in of["truncation"] if row["data"] == "ours"]
    digits = [row for row in of["truncation"] if row["data"] == "digits"]
    return {
        "convex": _convex(of["convex"]),
        "whitened": _within(of["convex"], "whitened", _SAME, "Optima differ by {} at most."),
        "closed-form": _closed(of["closed"]),
        "vector": _vector(of["vector"]),
        "after": _after(of["after"]),
        "scale": _within(
            of["convex"], "usual", _SAME, "Networks of the usual convention with β √n, mapped "
            "back, cost the optimum of the other to {}.",
        ),
        "bias": _bias(of["bias"]),
        "truncation": _truncation(ours),
        "digits": _truncation(digits)
        if digits
        else Judgement(Verdict.UNDECIDED, "No digits at this scale, or without scikit-learn.", {}),
        "sticking": _sticking(of["stick"]),
    }  # fmt: skip


def _worst(rows: list[Row], field: str) -> float:
    return max(abs(row[field]) for row in rows)


def _within(rows: list[Row], field: str, most: float, words: str) -> Judgement:
    worst = _worst(rows, field)
    return Judgement.by_numbers(worst <= most, words.format(f"{worst:.1e}"), {"largest": worst})


def _convex(rows: list[Row]) -> Judgement:
    best = [min(row["trained"]) for row in rows]
    every = [gap for row in rows for gap in row["trained"]]
    mapped, gap = _worst(rows, "mapped"), max(row["gap"] for row in rows)
    numbers = {
        "best": best,
        "least": min(every),
        "ends_at_it": sum(one <= _TRAINED for one in every),
        "runs": len(every),
        "mapped": mapped,
        "gap": gap,
    }
    holds = max(best) <= _TRAINED and min(every) >= -_SAME and mapped <= _MAPPED and gap <= _SAME
    return Judgement.by_numbers(
        holds,
        f"On {len(rows)} problems the best run of Adam ends within {max(best):.1e} of the optimum "
        f"of the program, no run below; {numbers['ends_at_it']} of {len(every)} runs get there. "
        f"Networks mapped back cost the optimum to {mapped:.1e}; its duality gap is at most "
        f"{gap:.1e}.",
        numbers,
    )


def _closed(rows: list[Row]) -> Judgement:
    best = max(min(row["trained"]) for row in rows)
    worst = {field: _worst(rows, field) for field in ("program", "bound", "mapped")}
    holds = best <= _TRAINED and worst["program"] <= _SAME
    holds = holds and max(worst["bound"], worst["mapped"]) <= _MAPPED
    return Judgement.by_numbers(
        holds,
        f"At n ≤ d the formula with two neurons agrees with the program over all patterns to "
        f"{worst['program']:.1e}, with its network to {worst['mapped']:.1e} and with its dual "
        f"bound to {worst['bound']:.1e}; the best of training is {best:.1e} above.",
        {**worst, "trained": best},
    )


def _vector(rows: list[Row]) -> Judgement:
    network, gain = _worst(rows, "network"), max(row["gain"] for row in rows)
    return Judgement.by_numbers(
        network <= _MAPPED and gain <= 1 + _MAPPED,
        f"Networks with one neuron a class cost the formula's value to {network:.1e}; of 10 000 "
        f"random neurons none gains more than {gain:.2f} β from the dual vectors.",
        {"network": network, "gain": gain},
    )


def _after(rows: list[Row]) -> Judgement:
    mapped, gap = _worst(rows, "mapped"), max(row["gap"] for row in rows)
    least = min(min(row["trained"]) for row in rows)
    ratios = [row["before"] for row in rows]
    return Judgement.by_numbers(
        mapped <= _MAPPED and gap <= _SAME and least >= -_SAME,
        f"Networks mapped back cost the optimum to {mapped:.1e}, and no training is below it (the "
        f"best is {least:.1e} above). Optima normalised before the ReLU are {min(ratios):.2f} to "
        f"{max(ratios):.2f} times as large.",
        {"mapped": mapped, "gap": gap, "least": least, "ratios": ratios},
    )


def _bias(rows: list[Row]) -> Judgement:
    """By rank correlations of the times at which directions are learnt with singular values."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for row in rows:
        found[row["is_whitened"]].append(float(spearmanr(row["values"], row["learnt"])[0]))
    raw, white = (float(np.mean(found[one])) for one in (False, True))
    times = np.mean([row["learnt"] for row in rows if not row["is_whitened"]], axis=0)
    even = np.mean([row["learnt"] for row in rows if row["is_whitened"]], axis=0)
    return Judgement.by_numbers(
        raw <= -0.8 and max(found[False]) < min(found[True]),
        f"Six directions of equal targets, of singular values from 1 to 0.1, are learnt after "
        f"{', '.join(f'{t:.0f}' for t in times)} steps (rank correlation {raw:.2f}); where the "
        f"values are equal to 5 %, with the same program, after {even.min():.0f} to "
        f"{even.max():.0f} ({white:.2f}). In the end all are learnt: what is left is at most "
        f"{max(max(row['left']) for row in rows):.1e}.",
        {"correlations": found[False], "whitened": found[True], "steps": list(map(float, times))},
    )


def _truncation(rows: list[Row]) -> Judgement:
    """Whether the best truncation is ahead of the whole program and not behind early stopping."""
    best = np.array([min(row["errors"]) for row in rows])
    every = np.array([row["errors"][-1] for row in rows])
    stopped = np.array([row["stopped"] for row in rows])
    trained = np.array([row["trained"] for row in rows])
    ranks = [row["ranks"][int(np.argmin(row["errors"]))] for row in rows]
    variance = np.mean([row["variance"] for row in rows])
    is_ahead = bool(np.mean(best < every) > 0.8)
    # Beyond one and a half times the error: not as well.
    is_level = bool(np.mean(best) <= 1.5 * np.mean(stopped))
    return Judgement.by_numbers(
        is_ahead and is_level,
        f"Mean squared errors on other points, of a variance of {variance:.3g}: "
        f"{best.mean():.3g} at the best rank ({', '.join(map(str, ranks))}), "
        f"{every.mean():.3g} with all directions; {stopped.mean():.3g} for descent stopped at its "
        f"best, {trained.mean():.3g} at its end.",
        {
            "best": best.tolist(),
            "all": every.tolist(),
            "stopped": stopped.tolist(),
            "trained": trained.tolist(),
            "ranks": ranks,
        },
    )


def _sticking(rows: list[Row]) -> Judgement:
    trained = [gap for row in rows if not row["is_fixed"] for gap in row["gaps"]]
    fixed = [gap for row in rows if row["is_fixed"] for gap in row["gaps"]]
    price = [p for row in rows if not row["is_fixed"] for p in row["prices"]]
    return Judgement.by_numbers(
        min(trained) >= _FAR and max(fixed) <= _FAR,
        f"On eight points all {len(trained)} runs that train all layers end {min(trained):.0%} to "
        f"{max(trained):.0%} above the optimum {rows[0]['optimum']:.6f} (certified from below, "
        f"and reached by a network to {_worst(rows, 'mapped'):.1e}); with a random first layer "
        f"{min(fixed):.1%} to {max(fixed):.1%}. At their ends a neuron that is missing would gain "
        f"{min(price):.1f} to {max(price):.1f} times its cost.",
        {"trained": trained, "fixed": fixed, "prices": price},
    )
