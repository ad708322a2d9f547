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
        "real-data": _truncation(digits)
        if digits
        else Judgement(
            Verdict.UNDECIDED, "No digits at this scale, or without scikit-learn.", {"cases": 0}
        ),
        "sticking": _sticking(of["stick"]),
    }  # fmt: skip


def _worst(rows: list[Row], field: str) -> float:
    return max(abs(row[field]) for row in rows)


def _within(rows: list[Row], field: str, most: float, words: str) -> Judgement:
    worst = _worst(rows, field)
    return Judgement.by_numbers(worst <= most, words.format(f"{worst:.1e}"), {"largest": worst})


def _convex(rows: list[Row]) -> Judgement:
    """Exact: some network has the optimum of the program, and no run of training less."""
    best = [min(row["trained"]) for row in rows]
    every = [gap for row in rows for gap in row["trained"]]
    mapped, gap = _worst(rows, "mapped"), max(row["gap"] for row in rows)
    return Judgement.by_numbers(
        mapped <= _MAPPED and gap <= _SAME and min(every) >= -_SAME,
        f"Networks mapped back cost the optimum of the program to {mapped:.1e}, its duality gap is "
        f"at most {gap:.1e}, and none of {len(every)} runs of Adam is below. Of {len(rows)} "
        f"problems the best runs end within {np.median(best):.1e} of it (median), and within "
        f"{max(best):.1e}.",
        {"best": best, "least": min(every), "mapped": mapped, "gap": gap},
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
    """By how much later the last direction is learnt, and whether in the order of the values."""
    found: dict[bool, list[Row]] = {False: [], True: []}
    for row in rows:
        found[row["is_whitened"]].append(row)
    order = [float(spearmanr(row["values"], row["learnt"])[0]) for row in found[False]]
    raw, white = (
        [max(row["learnt"]) / min(row["learnt"]) for row in found[one]] for one in (False, True)
    )
    times = np.mean([row["learnt"] for row in found[False]], axis=0)
    return Judgement.by_numbers(
        np.mean(order) <= -0.8 and min(raw) >= 2 * max(white),
        f"Six directions of equal targets, of singular values from 1 to 0.1, are learnt after "
        f"{', '.join(f'{t:.0f}' for t in times)} steps (rank correlation {np.mean(order):.2f}), "
        f"the last {min(raw):.1f} to {max(raw):.1f} times later than the first; where values are "
        f"equal to 5 %, with the same program, {min(white):.1f} to {max(white):.1f} times. In the "
        f"end all are learnt: at most {max(max(row['left']) for row in rows):.0e} is left.",
        {"correlations": order, "ratios": raw, "whitened": white, "steps": times.tolist()},
    )


def _truncation(rows: list[Row]) -> Judgement:
    """Whether the best truncation is ahead of all directions, and level with early stopping.

    In means, beyond two standard errors. Ahead of neither contradicts; what is in between may be
    due to patterns that were not drawn.
    """
    best = np.array([min(row["errors"]) for row in rows])
    every = np.array([row["errors"][-1] for row in rows])
    stopped = np.array([row["stopped"] for row in rows])
    trained = np.array([row["trained"] for row in rows])
    ranks = [row["ranks"][int(np.argmin(row["errors"]))] for row in rows]
    variance = np.mean([row["variance"] for row in rows])
    verdict = Verdict.UNDECIDED
    if np.mean(every - best) <= 0:
        verdict = Verdict.CONTRADICTED
    elif _lead(every - best) > 0 and _lead(best - stopped) <= 0:
        verdict = Verdict.SUPPORTED
    return Judgement(
        verdict,
        f"Mean squared errors on other points, of a variance of {variance:.3g}: "
        f"{best.mean():.3g} at the rank that is best there ({', '.join(map(str, ranks))}), "
        f"{every.mean():.3g} with all directions, over 100 patterns each; {stopped.mean():.3g} "
        f"for descent stopped where it is best, {trained.mean():.3g} at its end.",
        {
            "best": best.tolist(),
            "all": every.tolist(),
            "stopped": stopped.tolist(),
            "trained": trained.tolist(),
            "ranks": ranks,
        },
    )


def _lead(differences: np.ndarray) -> float:
    """The mean, less two standard errors where there are several."""
    if len(differences) < 2:
        return float(differences.mean())
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(differences.mean() - 2 * error)


def _sticking(rows: list[Row]) -> Judgement:
    """Whether there is a width at which all runs stick."""
    by_width: dict[int, list[float]] = {}
    for row in rows:
        if not row["is_fixed"]:
            by_width.setdefault(row["width"], []).extend(row["gaps"])
    fixed = [gap for row in rows if row["is_fixed"] for gap in row["gaps"]]
    stuck = [width for width, gaps in by_width.items() if min(gaps) >= _FAR]
    prices = [
        price for row in rows if not row["is_fixed"] and row["width"] in stuck
        for price in row["prices"]
    ]  # fmt: skip
    told = "; ".join(
        f"{width} neurons: {_share(min(gaps))} to {_share(max(gaps))} above ({len(gaps)} runs)"
        for width, gaps in sorted(by_width.items())
    )
    missing = (
        f" Where runs stick, a neuron that is missing would gain {min(prices):.1f} to "
        f"{max(prices):.1f} times its cost."
        if prices
        else ""
    )
    return Judgement.by_numbers(
        stuck and max(fixed) <= _FAR,
        f"On eight points with the optimum {rows[0]['optimum']:.6f} (certified from below, and "
        f"that of a network to {_worst(rows, 'mapped'):.1e}) runs that train all layers end at "
        f"{told}; with a random first layer of 400 neurons at {_share(min(fixed))} to "
        f"{_share(max(fixed))}.{missing}",
        {"trained": {str(k): v for k, v in by_width.items()}, "fixed": fixed, "prices": prices},
    )


def _share(gap: float) -> str:
    return f"{100 * gap:.2g} %" if gap < 1 else f"{100 * gap:.0f} %"
