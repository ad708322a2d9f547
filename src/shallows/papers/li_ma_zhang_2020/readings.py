"""What the answers say about each claim."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats

from shallows.atlas.powers import exponent
from shallows.certify.verdict import Verdict
from shallows.lab import Record
from shallows.papers import Claim, Judgement

_Read = tuple[bool | None, str, dict]
"""Whether it holds (None: undecided), why, and what that rests on."""


def judge(claims: Sequence[Claim], records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`; a claim that no case bears on is undecided."""
    rows = [{**_DEFAULTS, **record.case.data, **record.values} for record in records]
    rows = [row for row in rows if row.get("outcome") != "diverged"]
    found = {}
    for claim in claims:
        bearing = [row for row in rows if _BEARS[claim.id](row)]
        if not bearing:
            found[claim.id] = Judgement(
                Verdict.UNDECIDED, "It is not measured at this scale.", {"cases": 0}
            )
            continue
        holds, summary, numbers = _READERS[claim.id](bearing)
        verdict = {
            None: Verdict.UNDECIDED,
            True: Verdict.SUPPORTED,
            False: Verdict.CONTRADICTED,
        }[holds]
        found[claim.id] = Judgement(verdict, summary, {"cases": len(bearing), **numbers})
    return found


_DEFAULTS = {"samples": None, "bounds": None, "pairs": False, "kappa": 1.0}


def _is_population(row) -> bool:
    """Absolute-value students on the population, of one stage without truncation."""
    return (
        row["ask"] == "training"
        and row["activation"] == "abs"
        and row["samples"] is None
        and row["bounds"] is None
    )


def _is_sampled(row) -> bool:
    return row["ask"] == "training" and row["samples"] is not None


def _is_figure_two(row) -> bool:
    return (_is_population(row) or _is_sampled(row)) and row["neurons"] == 2 * row["inputs"]


def _is_sized(row) -> bool:
    equal = row["ask"] == "training" and row["kappa"] == 1.0
    return equal and _is_population(row) and row["neurons"] == 4 * row["inputs"]


def _name(row) -> str:
    """A run in words, no two alike."""
    more = "" if row["samples"] is None else f", N = {row['samples']}"
    more += "" if row["kappa"] == 1.0 else f", κ = {row['kappa']:g}"
    more += "" if row["seed"] == 0 else f", seed {row['seed']}"
    return f"d = {row['inputs']}, m = {row['neurons']}{more}"


def _read_coefficients(rows) -> _Read:
    worst = max(row["coefficient_difference"] for row in rows)
    c = {k: f"{v:.5f}" for k, v in rows[0]["c"].items()}
    words = (
        f"By quadrature to {worst:.1e}, k up to 20: c_0 = 2/π, c_2 = 1/π, c_4 = {c['4']}, c_6 = "
        f"{c['6']}; the sum up to k = 2000 is {rows[0]['c_sum_to_2000']:.6f}."
    )
    return worst < 1e-14, words, {"c": rows[0]["c"], "difference": worst}


def _read_loss(rows) -> _Read:
    of = {row["activation"]: row for row in rows}
    mine = max(abs(row["errors"]) for row in rows)
    checked = mine < 5 and max(row["orders_difference"] for row in rows) < 1e-4
    printed = of["relu"]["printed_errors"]
    words = (
        f"As printed it is the loss of the absolute-value student ({abs(of['abs']['errors']):.1f} "
        f"standard errors from sampling); for the ReLU it is {abs(printed):.0f} off. That of the "
        f"ReLU student is its value at W/√2 plus |mean |w| w|²/4 "
        f"({abs(of['relu']['errors']):.1f} standard errors)."
    )
    numbers = {name: [row["errors"], row["printed_errors"]] for name, row in of.items()}
    return (abs(printed) < 5) if checked else None, words, {"errors_and_as_printed": numbers}


def _read_gradient(rows) -> _Read:
    (row,) = (row for row in rows if row["gradient_readings"])
    read = row["gradient_readings"]
    words = (
        f"So read it is off by {100 * read['on_complement']:.2g} % of the largest entry. With "
        f"b' projected on the neuron and subtracted it is right, to {read['on_neuron']:.1e} with "
        f"400 orders; all orders at once are right to {row['gradient_difference']:.1e} by finite "
        f"differences."
    )
    checked = row["gradient_difference"] < 1e-6
    return (read["on_complement"] < 1e-3) if checked else None, words, {"readings": read}


def _read_symmetry(rows) -> _Read:
    paired = max(row["order_1"][1] for row in rows if row["pairs"])
    other = [row["order_1"] for row in rows if not row["pairs"]]
    words = (
        f"For ReLU students in pairs w, −w order 1 stays below {paired:.1e} all the time. From a "
        f"start without symmetry it falls from {max(x for _, x in other):.1e} to "
        f"{max(x for x, _ in other):.1e}."
    )
    return paired < 1e-20, words, {"largest_in_pairs": paired, "others_end_and_largest": other}


def _read_orders(rows) -> _Read:
    late = {_name(row): [row["low_fell"], row["fourth_fell"]] for row in rows}
    ratios = [y / x if x and y else math.inf if x else 0.0 for x, y in late.values()]
    finite = [r for r in ratios if 0 < r < math.inf]
    words = (
        f"In {len(rows)} runs orders 0 and 2 are down to a tenth of the floor "
        f"{min(finite, default=math.nan):.2g} to {max(finite, default=math.nan):.2g} times as "
        f"early as order 4 is down to half of its plateau."
    )
    return min(ratios) > 1.5, words, {"times": late}


def _read_height(rows) -> _Read:
    seen = [row for row in rows if row["plateau"]]
    excess = {_name(row): row["plateau"]["height_over_floor"] - 1 for row in seen}
    holds = all(abs(excess[_name(r)]) <= 0.2 + r["inputs"] / r["neurons"] for r in seen)
    widest = max(seen, key=lambda row: (row["neurons"] / row["inputs"], row["inputs"]))
    words = (
        f"Where the loss falls most slowly it is {1 + min(excess.values()):.3f} to "
        f"{1 + max(excess.values()):.3f} times that, for {_name(widest)} "
        f"{1 + excess[_name(widest)]:.3f} times."
    )
    return holds, words, {"relative_excess": excess}


def _read_length(rows) -> _Read:
    seen = [row for row in rows if row["plateau"] and row["plateau"]["length"]]
    if len({row["inputs"] for row in seen}) < 3:
        return None, "There are fewer than three sizes whose plateau ends.", {}
    d = np.array([row["inputs"] for row in seen], dtype=float)
    length = np.array([row["plateau"]["length"] for row in seen])
    plain, logged = exponent(d, length), exponent(d, length * np.log(d))
    started = exponent(d / np.array([row["best_start"] for row in seen]), length)
    holds = plain.low <= 2 <= logged.high
    words = (
        f"From d = {int(d.min())} to {int(d.max())}, m = 4d, its length η t grows like d to the "
        f"{plain.value:.2f} ± {plain.half_width:.2f}, and times log d to the {logged.value:.2f} ± "
        f"{logged.half_width:.2f} (95 %); in d over the squared coordinate that leads at the start "
        f"its exponent is {started.value:.2f} ± {started.half_width:.2f}."
    )
    means = {str(int(x)): float(np.mean(length[d == x])) for x in sorted(set(d))}
    return (
        True if holds else None,
        words,
        {
            "mean_length": means,
            "exponent": [plain.value, plain.half_width],
            "exponent_times_log": [logged.value, logged.half_width],
            "exponent_in_d_over_start": [started.value, started.half_width],
        },
    )


def _read_lottery(rows) -> _Read:
    seen = [row["lottery"] for row in rows if row["lottery"]]
    if not seen:
        return None, "No plateau has ended.", {}
    chance = [one["chance"] for one in seen]
    # All runs as one test: Stouffer's sum of normal scores.
    score = sum(scipy.stats.norm.isf(max(one["p_value"], 1e-300)) for one in seen)
    p = float(scipy.stats.norm.sf(score / math.sqrt(len(seen))))
    won, neurons = (sum(one[name] for one in seen) for name in ("winners", "neurons"))
    kept = sum(one["kept_coordinate"] for one in seen)
    words = (
        f"When the plateau ends {won} of {neurons} neurons in {len(seen)} runs are along a teacher "
        f"(3/4 of |w|² or more). A winner started with a larger leading coordinate than a "
        f"loser with chance {np.mean(chance):.2f} (p = {p:.1e}), and {kept} winners grew along the "
        f"coordinate that led."
    )
    return p < 1e-3 and kept > won / 2, words, {"chance": chance, "p_value": p}


def _read_kernel(rows) -> _Read:
    nets: dict[tuple[int, int], dict[str, float]] = {}
    kernels: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}
    for row in rows:
        key = (row["inputs"], row["samples"])
        if row["ask"] == "kernel":
            found = (row["loss"] / row["floor"], 5 * row["standard_error"] / row["floor"])
            kernels.setdefault(key, {})[row["kernel"]] = found
        else:
            nets.setdefault(key, {})[f"m = {row['neurons']}"] = row["loss"] / row["floor"]
    both = sorted(nets.keys() & kernels.keys())
    if not both:
        return None, "No kernel was given as many samples as a network.", {}
    below = {
        key: min(nets[key].values()) < min(1.0, *(x - e for x, e in kernels[key].values()))
        for key in both
    }
    table = {
        f"d = {d}, N = {n}": {
            **nets.get((d, n), {}),
            **{k: x for k, (x, _) in kernels.get((d, n), {}).items()},
        }
        for d, n in sorted(nets.keys() | kernels.keys())
    }
    most = {d: max(n for e, n in both if e == d) for d, _ in both}
    told = "; ".join(
        f"d = {d}, N = {n}: {min(nets[d, n].values()):.3g} against "
        f"{kernels[d, n]['ntk'][0]:.3g} (tangent) and {kernels[d, n]['arc-cosine'][0]:.3g} "
        f"(arc-cosine)"
        for d, n in most.items()
    )
    words = (
        f"In units of the degree-2 floor, the kernels with their best ridge: {told}. The network "
        f"is below both and the floor at {sum(below.values())} of {len(below)} sizes of sample."
    )
    return all(below[d, n] for d, n in most.items()), words, {"loss_over_floor": table}


def _read_stuck(rows) -> _Read:
    exact = [row for row in rows if row["samples"] is None]
    sampled = [row for row in rows if row["samples"] is not None]

    def left(row):
        return bool(row["plateau"] and row["plateau"]["exit"] is not None)

    of = {
        _name(row): {
            "left_at": row["plateau"]["exit"] if row["plateau"] else None,
            "steps_run": round(row["time_run"] / 0.2),
            "loss_over_floor": row["loss"] / row["floor"],
        }
        for row in rows
    }
    still = [_name(row) for row in sampled if not left(row)]
    words = (
        f"With m = 2d {sum(map(left, exact))} of {len(exact)} population runs left the plateau, "
        f"and {len(sampled) - len(still)} of {len(sampled)} on samples"
        f"{', but not ' + '; '.join(still) if still else ''}: fewer samples make it longer. Step "
        f"and scale of the figure are unknown, and a run that has not left may leave later."
    )
    published = [r for r in sampled if (r["inputs"], r["samples"]) == (30, 10_000)]
    contradicted = bool(published) and all(map(left, published))
    if contradicted:
        latest = max(row["plateau"]["exit"] for row in published)
        words += f" With η < {latest / 1e5:.2g} 10⁵ steps end before the plateau does."
    return False if contradicted else None, words, {"runs": of}


def _read_first(rows) -> _Read:
    truncated = [row for row in rows if row["bounds"]]
    of = {
        _name(row): {
            "loss_times_d_to_1.01": row["loss"] * row["inputs"] ** 1.01,
            "outcome": row["outcome"],
            "beyond_the_bound": row["frozen"],
        }
        for row in truncated
    }
    least = min(row["loss"] / row["floor"] for row in truncated)
    words = (
        f"It is about all large d and is not decided by runs. Two stages of truncated descent, "
        f"|w|² up to {truncated[0]['bounds'][0]:g}, then {truncated[0]['bounds'][1]:g}, on the "
        f"population ended at {least:.2g} times the degree-2 floor, with "
        f"{max(row['frozen'] for row in truncated):.0%} of the neurons beyond the last bound."
    )
    return None, words, {"runs": of}


def _read_second(rows) -> _Read:
    of = {
        f"{row['kernel']}, d = {row['inputs']}, N = {row['samples']}": row["loss"] * row["inputs"]
        for row in rows
    }
    words = (
        f"It is about all kernels and all large d, and is not decided by two kernels. For these d "
        f"L is {min(of.values()):.3g} to {max(of.values()):.3g}, where degree 2 leaves "
        f"{1 - 3 / math.pi:.3g}."
    )
    return None, words, {"d_times_loss": of}


_BEARS: dict[str, Callable[[dict], bool]] = {
    "coefficients": lambda row: row["ask"] == "formula",
    "population-loss": lambda row: row["ask"] == "formula",
    "gradient-constants": lambda row: row["ask"] == "formula",
    "symmetry": lambda row: row["ask"] == "training" and row["activation"] == "relu",
    "orders": lambda row: _is_population(row) and row["inputs"] >= 10,
    "height": lambda row: _is_population(row) and row["inputs"] >= 10,
    "length": _is_sized,
    "lottery": _is_population,
    "beyond-kernel": lambda row: row["ask"] == "kernel" or _is_sampled(row),
    "stuck": _is_figure_two,
    "theorem-1": lambda row: row["ask"] == "training" and bool(row["bounds"]),
    "theorem-2": lambda row: row["ask"] == "kernel",
}
_READERS: dict[str, Callable[[list], _Read]] = {
    "coefficients": _read_coefficients,
    "population-loss": _read_loss,
    "gradient-constants": _read_gradient,
    "symmetry": _read_symmetry,
    "orders": _read_orders,
    "height": _read_height,
    "length": _read_length,
    "lottery": _read_lottery,
    "beyond-kernel": _read_kernel,
    "stuck": _read_stuck,
    "theorem-1": _read_first,
    "theorem-2": _read_second,
}
