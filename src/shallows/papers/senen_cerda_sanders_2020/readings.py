"""What the measurements say about the claims."""

from collections.abc import Sequence

import numpy as np

from shallows.lab import Record
from shallows.landscape import Dropout, LinearLoss, rank_one_levels
from shallows.papers import Judgement, supported
from shallows.solve.linear_flow import Arrival

SETTINGS = ((0.3, 3), (0.5, 6), (0.8, 12))
"""Probabilities and widths, near a minimiser."""

_WITHIN = 0.03
# How far singular values are from the threshold, where the statements about rates hold.
_CLEAR = 1e-6


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`."""
    flows = [r for r in records if r.case.data["ask"] == "flow"]
    arrived = [r for r in flows if r.values["arrival"] == Arrival.arrived.name]
    near = [r for r in flows if r.case.data["start"] == "near"]
    return {
        "objective": _objective([r for r in records if r.case.data["ask"] == "identity"]),
        "minimisers": _minimisers(flows, arrived),
        "dimension": _dimension(arrived),
        "local": _local(near),
        "rate": _rate([r for r in near if "fitted" in r.values]),
        "rank-one": _rank_one(near),
        "far": _far([r for r in arrived if r.case.data["start"].startswith("far")]),
        "conserved": _conserved(flows, arrived),
        "time": _time(near),
        "threshold": _threshold([r for r in flows if "sweep" in r.case.data["start"]]),
        "masks": _with_masks([r for r in records if r.case.data["ask"] == "masks"]),
    }


def _name(record: Record) -> str:
    case = record.case.data
    words = [case["masks"], f"p = {case['p']}", f"f = {case['units']}"]
    words += [f"s = {tuple(case['singular'])}"] if "singular" in case else []
    return ", ".join([*words, *(["original weights"] if case.get("original") else [])])


def _off(record: Record, prediction: str = "rate") -> float:
    return abs(record.values["fitted"] / record.values[prediction] - 1)


def _objective(records) -> Judgement:
    errors = {r.case.data["masks"]: r.values["standard_errors"] for r in records}
    worst = max(max(each) for each in errors.values())
    draws = records[0].values["draws"]
    return Judgement(
        supported(worst < 5),
        f"The closed forms agree with means over {draws} masks to {worst:.2f} standard errors, in "
        f"original and in rescaled weights.",
        {"standard_errors": errors},
    )


def _minimisers(flows, arrived) -> Judgement:
    values = max(r.values["values_differ"] for r in arrived)
    products = max(r.values["products_differ"] for r in arrived)
    rest = {_name(r): r.values["arrival"] for r in flows if r not in arrived}
    lost = [r for r in flows if r not in arrived and r.values["margin"] > _CLEAR]
    return Judgement(
        supported(values < 1e-6 and products < 1e-6 and not lost),
        f"{len(arrived)} of {len(arrived) + len(lost)} flows arrive at the least loss, not "
        f"counting {len(rest) - len(lost)} at the threshold; singular values there are those of "
        f"the formula to {values:.1e} and the units' products are equal to {products:.1e}.",
        {"not_arrived": rest},
    )


def _dimension(arrived) -> Judgement:
    # Near the threshold a small eigenvalue is no zero, but cannot be told from one.
    clear = [r for r in arrived if r.values["margin"] > _CLEAR and r.values["groups"] == 1]
    wrong = [_name(r) for r in clear if r.values["zeros"] != r.values["dimension"]]
    found = sorted({r.values["dimension"] for r in clear})
    return Judgement(
        supported(not wrong),
        f"At {len(clear) - len(wrong)} of {len(clear)} limits of flows the zero eigenvalues are as "
        f"many as the formula says, {found[0]} to {found[-1]}. Where units fall into mutually "
        f"orthogonal groups, as with f = ρ equal values, there is one more for each.",
        {"exceptions": wrong},
    )


def _local(near) -> Judgement:
    clear = [r for r in near if r.values["margin"] > _CLEAR]
    lost = [_name(r) for r in clear if r.values["arrival"] != Arrival.arrived.name]
    return Judgement(
        supported(not lost),
        f"{len(clear) - len(lost)} of {len(clear)} flows from a distance of 0.05 a weight arrive, "
        f"not counting {len(near) - len(clear)} at the threshold.",
        {"not_arrived": lost},
    )


def _rate(near) -> Judgement:
    of_one = [r for r in near if len(r.case.data["singular"]) == 1]
    off = {_name(r): _off(r) for r in of_one}
    mixed = {_name(r): _off(r, "linear_rate") for r in near}
    others = [_off(r) for r in near if r not in of_one] or [0.0]
    shown = ", ".join(
        f"{r.values['fitted']:.5f} against {r.values['rate']:.5f} (p = {p}, f = {f})"
        for p, f in SETTINGS
        for r in of_one
        if (r.case.data["p"], r.case.data["units"]) == (p, f)
        and r.case.data["masks"] == "dropout"
        and not r.case.data["original"]
        and r.case.data["seed"] == 0
    )
    return Judgement(
        supported(max(off.values()) < _WITHIN and max(mixed.values()) < _WITHIN),
        f"For {len(off)} flows to a target of rank one the fitted rate differs from that of the "
        f"Hessian by at most {100 * max(off.values()):.2g} %. With dropout and y = 2: {shown}. Of "
        f"higher rank, where eigenvalues are close to the smallest, it differs by up to "
        f"{100 * max(others):.2g} %, but all {len(near)} from what all eigenvalues predict for the "
        f"same times by at most {100 * max(mixed.values()):.2g} %.",
        {"relative_difference": off, "from_all_eigenvalues": mixed},
    )


def _rank_one(near) -> Judgement:
    rows = {}
    for r in near:
        closed = r.values["closed_rate"]
        if closed is not None and "rate" in r.values:
            rows[_name(r)] = abs(r.values["rate"] / closed - 1)
    f, y = 4, 2.0
    late = [rank_one_levels(_plain(p, f, y))[1][0] / (1 - p) for p in (0.9, 0.99, 0.999)]
    wide = [n * rank_one_levels(_plain(0.5, n, y))[1][0] for n in (10, 100, 1000)]
    holds = max(rows.values()) < 1e-4
    limits = abs(late[-1] / (2 * y / f) - 1) < 0.01 and abs(wide[-1] / (2 * y) - 1) < 0.01
    return Judgement(
        supported(holds and limits),
        f"The Hessian at {len(rows)} limits has it to {max(rows.values()):.1e}. Divided by 1 − p "
        f"it tends to 2y/f ({late[-1]:.4f} for {2 * y / f:g}), times f to 2λy ({wide[-1]:.4f} for "
        f"{2 * y:g} at p = 1/2).",
        {"relative_difference": rows},
    )


def _plain(p: float, units: int, y: float) -> LinearLoss:
    return LinearLoss(np.diag([y, 0.0]), units, Dropout(p))


def _far(records) -> Judgement:
    clear = [r for r in records if r.values["margin"] > _CLEAR]
    off, mixed = [_off(r) for r in clear], [_off(r, "linear_rate") for r in clear]
    good = sum(x < _WITHIN for x in off)
    free = [r for r in clear if r.case.data["start"] == "far"]
    ratio = [r.values["rate"] / r.values["balanced_rate"] for r in free]
    return Judgement(
        supported(float(np.median(off)) < _WITHIN and max(mixed) < 5 * _WITHIN),
        f"The fitted rate is within 3 % of that at the flow's own limit for {good} of {len(off)} "
        f"flows from weights of standard deviation 1/2, at worst off by {100 * max(off):.2g} %, "
        f"and from what all eigenvalues predict by {100 * max(mixed):.2g} %. Without balance the "
        f"rates are {min(ratio):.2g} to {max(ratio):.2g} times the balanced one.",
        {"median_difference": float(np.median(off)), "largest_difference": max(off)},
    )


def _conserved(flows, arrived) -> Judgement:
    drift = max(r.values["drift"] for r in flows)
    free = [r.values["end_imbalance"] for r in arrived if r.case.data["start"] == "far"]
    even = [r.values["end_imbalance"] for r in arrived if r.case.data["start"] != "far"]
    return Judgement(
        supported(drift < 1e-6 and min(free) > 1e-2 and max(even) < 1e-6),
        f"They drift by at most {drift:.1e}. From balanced starts the largest at the end is "
        f"{max(even):.1e}, from others at least {min(free):.2g}.",
        {"drift": drift},
    )


def _time(near) -> Judgement:
    rows = {}
    for r in near:
        case = r.case.data
        if not case.get("original") or "fitted" not in r.values:
            continue
        twin = next(
            q for q in near if q.case.data == {**case, "original": False} and "fitted" in q.values
        )
        gain = case["p"] if case["masks"] == "dropout" else case["p"] ** 2
        rows[_name(r)] = abs(r.values["fitted"] / twin.values["fitted"] / gain - 1)
    grid = np.linspace(0.01, 0.99, 99)
    both = [
        [2 * rank_one_levels(one)[1][0] for one in (_plain(p, 4, 2.0), _plain(p, 4, 2.0).original)]
        for p in grid.tolist()
    ]
    rescaled, original = np.array(both).T
    monotone = bool(np.all(np.diff(rescaled) < 0))
    top = int(np.argmax(original))
    ends = max(original[0], original[-1]) < 0.1 * original[top]
    return Judgement(
        supported(max(rows.values()) < _WITHIN and monotone and ends),
        f"Fitted rates of the same flow differ by that factor to {100 * max(rows.values()):.2g} %. "
        f"For y = 2, f = 4 the rate in original weights is largest at p = {grid[top]:.2f} "
        f"({original[top]:.4f}), and {original[0]:.4f} and {original[-1]:.4f} at 0.01 and 0.99.",
        {"relative_difference": rows},
    )


def _threshold(records) -> Judgement:
    found = {r.case.data["p"]: r.values for r in records}
    at = {p: v for p, v in found.items() if v["margin"] < 1e-12}
    rates = {p: 0.0 if p in at else v["rate"] for p, v in sorted(found.items())}
    order = list(rates.values())
    turns = int(np.sum(np.diff(np.sign(np.diff(order))) != 0))
    powers = [v["power"] for v in at.values()]
    slow = bool(at) and all(
        v["arrival"] == Arrival.out_of_time.name and v["power"] is not None and v["power"] < 4
        for v in at.values()
    )
    told = ", ".join(f"{rate:.4g} (p = {p})" for p, rate in rates.items())
    return Judgement(
        supported(turns > 0 and slow),
        f"For s = (1, 0.2), f = 4 the rates are {told}. At p = 1/2, where 0.2 is the threshold, "
        f"the gap falls like t to the power {', '.join(f'−{x:.3g}' for x in powers)}.",
        {"rates": {str(p): rate for p, rate in rates.items()}},
    )


def _with_masks(records) -> Judgement:
    rows = {}
    for r in records:
        v = {k: np.array(x)[1:] for k, x in r.values.items()}
        away = v["mean"] - v["flow"]
        rows[_name(r) + f", step {r.case.data['step']:g}"] = {
            "deviation": float(np.max(np.abs(away))),
            "standard_error": float(np.max(v["standard_error"])),
            "in_errors": float(np.max(np.abs(away) / v["standard_error"])),
            "spread": float(np.max(v["spread"])),
            "step": r.case.data["step"],
        }
    kinds = {r.case.data["masks"] for r in records}
    holds, told = True, []
    for kind in sorted(kinds):
        mine = sorted(
            (row for name, row in rows.items() if name.startswith(kind + ",")),
            key=lambda row: row["step"],
        )
        small, large = mine[0], mine[-1]
        # A deviation proportional to the step, up to five standard errors of the smaller one.
        expected = large["deviation"] * small["step"] / large["step"]
        holds &= small["deviation"] <= 2 * expected + 5 * small["standard_error"]
        told.append(
            f"{kind}: {large['deviation']:.3g} ± {large['standard_error']:.2g} for the step "
            f"{large['step']:g} and {small['deviation']:.3g} ± {small['standard_error']:.2g} for "
            f"{small['step']:g}"
        )
    return Judgement(
        supported(bool(holds)),
        f"The mean loss of runs deviates from the flow's, at most over times to 2, by "
        f"{'; '.join(told)}.",
        {"runs": rows},
    )
