"""What the answers say about each claim."""

import itertools
from collections.abc import Callable, Sequence

from shallows.certify.verdict import Verdict
from shallows.lab import Record
from shallows.papers import Claim, Judgement, supported


def judge(claims: Sequence[Claim], records: Sequence[Record]) -> dict[str, Judgement]:
    """See `Paper.judge`; a claim that no case bears on is undecided."""
    of: dict[str, list[dict]] = {}
    for record in records:
        of.setdefault(record.case.data["ask"], []).append({**record.case.data, **record.values})
    found = {}
    for claim in claims:
        asks, reader = _READERS[claim.id]
        rows = [row for ask in asks for row in of.get(ask, [])]
        if not rows:
            found[claim.id] = Judgement(
                Verdict.UNDECIDED, "It is not measured at this scale.", {"cases": 0}
            )
            continue
        holds, summary, numbers = reader(rows)
        verdict = supported(holds)
        found[claim.id] = Judgement(verdict, summary, {"cases": len(rows), **numbers})
    return found


_Read = tuple[bool, str, dict]


def _read_formula(rows) -> _Read:
    worst = max(row["relative_difference"] for row in rows)
    words = f"Minus the gradient agrees with it to {worst:.1e} of the largest entry, K = 1 and 5."
    return worst < 1e-13, words, {"relative_difference": worst}


def _read_sampling(rows) -> _Read:
    worst = max(abs(row["errors"]) for row in rows)
    most = max(row["samples"] for row in rows)
    of = {str(row["angle"]): row["rms"] for row in rows if row["samples"] == most}
    grows = all(a < b for a, b in itertools.pairwise(of.values()))
    words = (
        f"Sampled errors are within {worst:.1f} standard errors of a closed form in θ, d and N, "
        f"which has N^(-1/2) and, near π, (π − θ)^(-1/2)."
    )
    return worst < 4.5 and grows, words, {"rms_at_largest_sample": of}


def _read_cube(rows) -> _Read:
    of = {str(row["inputs"]): [row["bias"], row["standard_error"]] for row in rows}
    small, large = (f(rows, key=lambda r: r["inputs"]) for f in (min, max))
    holds = large["bias"] < small["bias"] / 2
    words = (
        f"In generic directions it is off by {100 * small['bias']:.2g} % for d = 2 and by "
        f"{100 * large['bias']:.2g} % (standard error {100 * large['standard_error']:.2g} %) for "
        f"d = {large['inputs']}, after the scale 1/12."
    )
    return holds, words, {"bias_and_standard_error": of}


def _read_lyapunov(rows) -> _Read:
    inside, anywhere = (min(r[f"least_{x}"] for r in rows) for x in ("in_ball", "anywhere"))
    words = (
        f"There V falls at {inside:.4g} |w − w*|² at least. On the grid it falls at every other w "
        f"too, |w| up to 5: the restriction is not needed for V to fall."
    )
    return inside > 0, words, {"least_in_ball": inside, "least_anywhere": anywhere}


def _read_one_neuron(rows) -> _Read:
    holds = all(row["interval"][0] >= row["bound"] for row in rows)
    exact = all(row["in_ball_exact"] >= row["bound"] for row in rows)
    falls = all(row["decreasing_in_ball"] == row["in_ball"] for row in rows)
    starts, converged = sum(row["starts"] for row in rows), sum(row["converged"] for row in rows)
    of = {
        f"ε = {row['epsilon']:g}, d = {row['inputs']}": [*row["interval"], row["bound"]]
        for row in rows
    }
    words = (
        f"{converged} of {starts} starts converge, in all {len(rows)} balls. The bound is that on "
        f"the share with |w − w*| < |w*|, which is exactly "
        f"{min(row['in_ball_exact'] - row['bound'] for row in rows):.3g} or more above it."
    )
    return holds and exact and falls, words, {"interval_and_bound": of}


def _read_reduction(rows) -> _Read:
    worst = max(max(row["equation"], row.get("full_gradient", 0.0)) for row in rows)
    words = f"For {_sizes(rows)} field and reduced gradient differ by {worst:.1e}, relatively."
    return worst < 1e-12, words, {"relative_difference": worst}


def _read_saddle(rows) -> _Read:
    place = max(row["difference"] / row["location"] for row in rows)
    rates = max(
        abs(a / b - 1) for row in rows for a, b in zip(row["rates"], row["expected"], strict=True)
    )
    holds = place < 1e-11 and rates < 1e-11 and all(row["arrived"] for row in rows)
    words = (
        f"For {_sizes(rows)} it is where Newton's method ends, to {place:.1e}, and where the "
        f"diagonal leads; rates −K/2 and K/(2πx√(K−1)), the rate of escape, to {rates:.1e}."
    )
    return holds, words, {str(row["neurons"]): [row["location"], *row["rates"]] for row in rows}


def _read_region(rows) -> _Read:
    starts, arrived = sum(row["starts"] for row in rows), sum(row["arrived"] for row in rows)
    last = max(rows, key=lambda row: row["neurons"])
    ends = {str(row["neurons"]): [*row["mirrored_end"], row["mirrored_loss"]] for row in rows}
    words = (
        f"{arrived} of {starts} starts arrive, for {_sizes(rows)}. Beyond x = y it is different: "
        f"(0.1, 0.5) leads to a loss of {last['mirrored_loss']:.6f} at K = {last['neurons']}."
    )
    return starts == arrived, words, {"end_and_loss_from_beyond": ends}


def _read_breaking(rows) -> _Read:
    off = {str(row["neurons"]): row["slopes"][-1] * row["rate"] - 1 for row in rows}
    worst = max(abs(x) for x in off.values())
    words = (
        f"From (0.1 + δ, 0.1) a tenth of δ takes log(10)/rate longer, to {worst:.1e} at "
        f"δ = 1e-7, for {_sizes(rows)}."
    )
    return worst < 1e-4, words, {"relative_difference": off}


def _read_journey(rows) -> _Read:
    rows = sorted(rows, key=lambda row: row["neurons"])
    turns = all(row["x_grows"] and row["y_first"] > 0 and row["turns_of_y"] == 1 for row in rows)
    faster = all(a["time"] > b["time"] for a, b in itertools.pairwise(rows))
    times = {str(row["neurons"]): [row["time"], row["highest"]] for row in rows}
    words = (
        f"x grows throughout and y turns once; within 1e-3 of (1, 0) after "
        f"{', '.join(format(row['time'], '.6g') for row in rows)} for {_sizes(rows)}."
    )
    holds = turns and faster and all(row["arrived"] for row in rows)
    return holds, words, {"time_and_highest_y": times}


def _read_noise(rows) -> _Read:
    of = {
        str(r["neurons"]): dict(zip(map(str, r["levels"]), r["global"], strict=True)) for r in rows
    }
    same = {
        str(r["neurons"]): dict(zip(map(str, r["levels"]), r["same_order"], strict=True))
        for r in rows
    }
    holds = all(count == row["runs"] for row in rows for count in row["global"])
    worst = max(rows, key=lambda row: row["neurons"])
    words = (
        f"For K = {worst['neurons']}, of {worst['runs']} runs at noise "
        f"{', '.join(f'{level:g}' for level in worst['levels'])}, "
        f"{', '.join(map(str, worst['global']))} reach w* in some order, and "
        f"{', '.join(map(str, worst['same_order']))} in that of the start."
    )
    return holds, words, {"reach_a_global_minimum": of, "in_that_order": same}


def _read_positive(rows) -> _Read:
    rows = [row for row in rows if min(row["heads"]) > 0]
    holds = all(row["ending"] == "arrived" for row in rows)
    words = f"Heads 1/2 and 3/2 of ten neurons in {len(rows)} proportions: all runs arrive."
    words = words if holds else f"Not all of {len(rows)} runs arrive."
    return holds, words, {str(row["first"]): row["ending"] for row in rows}


def _read_mixed(rows) -> _Read:
    rows = [row for row in rows if min(row["heads"]) < 0]
    arrived = [row["first"] for row in rows if row["ending"] == "arrived"]
    words = (
        f"Heads +1 and −1 of ten neurons: with {', '.join(map(str, arrived)) or 'no number of'} "
        f"times +1 the run arrives all the same; in the {len(rows) - len(arrived)} other "
        f"proportions a neuron shrinks to zero."
    )
    return not arrived, words, {str(row["first"]): row["ending"] for row in rows}


def _out_of_plane(rows):
    return [(row, point) for row in rows for point in row["points"]]


def _read_manifolds(rows) -> _Read:
    found = [(r, p) for r, p in _out_of_plane(rows) if r["inputs"] >= r["neurons"] + 2]
    holds = all(p["zero_modes"] == p["orbit"] >= 1 and p["along"] < 1e-9 for _, p in found)
    of = {f"K = {r['neurons']}, d = {r['inputs']}": [p["orbit"], p["zero_modes"]] for r, p in found}
    words = (
        f"At {len(found)} such points the Hessian has as many zero modes as the orbit under "
        f"rotations across the teacher has dimensions, 1 to {max(p['orbit'] for _, p in found)}."
    )
    return bool(found) and holds, words, {"orbit_and_zero_modes": of}


def _read_small(rows) -> _Read:
    found = [p for r, p in _out_of_plane(rows) if r["inputs"] == r["neurons"] + 1]
    holds = all(p["zero_modes"] == p["orbit"] == 0 for p in found)
    words = (
        f"With d = 3, K = 2 there is one of loss {found[0]['loss']:.7f}, with "
        f"{found[0]['zero_modes']} zero modes and {found[0]['negative']} negative."
    )
    return bool(found) and holds, words, {"points": len(found)}


def _read_cone(rows) -> _Read:
    points, wrong = (sum(row[name] for row in rows) for name in ("points", "violations"))
    words = f"{wrong} violations at {points} grid points, 3π/8 and 7π/8 among the angles."
    return wrong == 0, words, {"points": points, "violations": wrong}


def _read_planar(rows) -> _Read:
    counts = {name: sum(row[name] for row in rows) for name in ("0", "1", "2", "edge")}
    words = (
        f"Critical points whose cone holds 0, 1, 2 of the teachers: {counts['0']}, {counts['1']}, "
        f"{counts['2']}. {counts['edge']} have a teacher on its edge, as w* itself."
    )
    return counts["0"] == counts["2"] == 0 < counts["1"], words, counts


def _read_numbers(rows) -> _Read:
    (row,) = rows
    pairs = [
        (row["saddle"], 0.534155, 5e-7),
        (row["rates"][0], -1, 1e-12),
        (row["rates"][1], 0.595913, 5e-7),
        *zip(row["hessian"], (-0.595913, 0, 0.404087, 1), (5e-7,) * 4, strict=True),
        (row["loss"], 0.0885119, 5e-8),
        (row["time"], 20.2323, 5e-5),
        (row["highest"], 0.397669, 5e-7),
    ]
    off = sum(abs(mine - theirs) > error for mine, theirs, error in pairs)
    words = (
        f"{len(pairs) - off} of {len(pairs)} agree to all digits: time {row['time']:.9g}, largest "
        f"y {row['highest']:.7f}. With 4e5 samples, d = 10, the formula is off by "
        f"{100 * row['sampling_error']:.2f} % at θ = π/2."
    )
    return off == 0, words, {name: row[name] for name in ("saddle", "hessian", "time", "highest")}


def _sizes(rows) -> str:
    return f"K = {', '.join(map(str, sorted(row['neurons'] for row in rows)))}"


_READERS: dict[str, tuple[tuple[str, ...], Callable[[list], _Read]]] = {
    "formula": (("formula",), _read_formula),
    "sampling": (("sampling",), _read_sampling),
    "cube": (("cube",), _read_cube),
    "lyapunov": (("lyapunov",), _read_lyapunov),
    "one-neuron": (("one-neuron",), _read_one_neuron),
    "reduction": (("reduction",), _read_reduction),
    "saddle": (("saddle",), _read_saddle),
    "region": (("region",), _read_region),
    "breaking": (("breaking",), _read_breaking),
    "journey": (("journey",), _read_journey),
    "noise": (("noise",), _read_noise),
    "heads-positive": (("heads",), _read_positive),
    "heads-mixed": (("heads",), _read_mixed),
    "manifolds": (("simplex", "search"), _read_manifolds),
    "manifolds-small-d": (("simplex", "search"), _read_small),
    "cone": (("cone",), _read_cone),
    "planar": (("planar",), _read_planar),
    "numbers": (("numbers",), _read_numbers),
}
