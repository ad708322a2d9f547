"""Williams et al. (2019): gradient dynamics of shallow univariate ReLU networks."""

import math
from collections.abc import Sequence

import numpy as np
import scipy.optimize

from shallows.certify import Verdict
from shallows.lab import Case, Record, Result
from shallows.landscape import LineLoss, attractors, invariants
from shallows.model import EvenKnots, clustering, linear_interpolant, linear_spline, natural_cubic
from shallows.papers import Claim, Judgement, Paper, Scale
from shallows.papers.williams_2019_univariate.drawing import PICTURES
from shallows.solve import (
    Chebyshev,
    KernelFlow,
    LineStart,
    Stop,
    least_norm_heads,
    line_fit,
    relaxation,
    twin_flow,
)
from shallows.solve.evolution import Ending

_SOURCE = "williams2019"

CLAIMS = (
    Claim(
        "reduced",
        "The gradient dynamics are determined by the gradient flow in a non-redundant "
        "parametrisation.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "delta",
        "δ = c² − a² − b² of each neuron is conserved by gradient flow; a step η of descent "
        "changes it by η² (g_c² − g_a² − g_b²).",
        f"{_SOURCE} (our reading: formula and sign derived by us)",
        False,
    ),
    Claim(
        "kernel",
        "In the kernel regime interpolants are smooth, of minimal curvature: cubic splines for "
        "uniform initialisation.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "random-features",
        "Random layers of width m tend to the kernel limit like m^(−1/2).",
        f"{_SOURCE} (our reading)",
        False,
    ),
    Claim(
        "adaptive",
        "In the adaptive regime interpolants are linear splines, with knots that cluster at the "
        "samples.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "regimes",
        "Which regime it is depends on the relative size of the initial weights of the two layers, "
        "and on how the initial coefficients scale with width.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "attractors",
        "Samples attract and repel knots of a class (the signs of a and c), by the sign of the "
        "velocity on their two sides; an attractor has c ρ > 0.",
        f"{_SOURCE} (our reading: rule derived by us)",
        False,
    ),
    Claim(
        "reference",
        "60,000 steps of descent at m = 2000, κ = 0.7 end at a loss of 2.2e-3 with a clustering of "
        "1.000, a median knot move of .369 and rms distances .021 (linear) and .114 (cubic).",
        f"{_SOURCE} (our reading: numbers computed by us before)",
        False,
    ),
    Claim(
        "least-norm",
        "The least norm of f is max(∫ |f″|, |f′(−∞) + f′(+∞)|), and the linear interpolant attains "
        "the least of all interpolants.",
        "savarese2019, abstract and theorem",
        True,
    ),
    Claim(
        "early-alignment",
        "From small starts three points, x = (−.75, −.5, .125) and y = (1.1, .1, .8), lead to a "
        "spurious stationary point.",
        "boursierflammarion2025, experiments",
        True,
    ),
)

_X = np.linspace(-1, 1, 10)
_Y = np.array([1.0, 1, 1, -1, -1, -1, 1, 1, 1, -1])
_GRID = np.linspace(-1, 1, 801)
_GAPS = {1.0: 0.0471, 16.0: 0.0005}
# Numbers of the facts, and how far another draw of the start may be from them.
_REFERENCE = {
    "loss": (2.2e-3, 6e-4),
    "share": (1.0, 0.01),
    "moved": (0.369, 0.02),
    "linear": (0.021, 0.004),
    "cubic": (0.114, 0.006),
}


def cases(scale: Scale) -> list[Case]:
    """Flows, kernels, layers and fits: of more seeds, widths and scales at larger scales."""
    seeds = {Scale.smoke: 2, Scale.desk: 12, Scale.paper: 40}[scale]
    widths = [100, 400, 1600] + ([6400] if scale is not Scale.smoke else [])
    made = [Case({"ask": "twin", "seed": seed}) for seed in range(seeds)]
    made += [Case({"ask": "kernel", "reach": reach}) for reach in (1.0, 2.0, 4.0, 8.0, 16.0)]
    made += [Case({"ask": "features", "width": m, "seeds": 8}) for m in widths]
    made += [Case({"ask": "attractors", "seed": 0, "draws": 100}), Case({"ask": "norm"})]
    made += [Case({"ask": "alignment", "seed": seed}) for seed in range(2 if seeds == 2 else 6)]
    width, loss = (200 if scale is Scale.smoke else 2000), 4e-4
    ends = [(0.7, 1.0), (100.0, 1.0)]
    exponents = [0.5, 0.75, 1.0] if scale is Scale.desk else [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    scales = [0.7, 1.5, 3.0, 7.0, 20.0, 100.0]
    grid = [] if scale is Scale.smoke else [(k, e) for e in exponents for k in scales]
    for kappa, exponent in dict.fromkeys(ends + grid):
        data = {"scale": kappa, "exponent": exponent, "width": width, "relative_loss": loss}
        made.append(Case({"ask": "fit", **data}))
    if scale is not Scale.smoke:
        made += [Case({"ask": "reference", "scale": k, "steps": 60_000}) for k in (0.7, 100.0)]
    return made


def measure(case: dict) -> Result:
    """One flow, kernel, set of layers or fit."""
    return Result(_MEASURES[case["ask"]](case))


def _twin(case: dict) -> dict:
    rng = np.random.default_rng(case["seed"])
    x, y, z = np.sort(rng.normal(size=5)), rng.normal(size=5), rng.normal(size=(3, 6))
    loss = LineLoss(x, y, 6.0)
    both = twin_flow(loss, z, until=3.0)
    step, (by_a, by_b, by_c) = 0.1, loss.gradient_at(z)
    change = invariants(z - step * loss.gradient_at(z)) - invariants(z)
    exact = step**2 * (by_c**2 - by_a**2 - by_b**2)
    return {
        "distance": float(np.max(both.distance)),
        "drift": both.drift,
        "time": float(both.times[-1]),
        "is_whole": both.full.path.ending is Ending.reached_end,
        "vanished": both.full.vanished,
        "encounters": len(both.full.encounters),
        "resting": len(both.full.resting),
        "step_error": float(np.max(np.abs(change - exact))),
    }


def _kernel(case: dict) -> dict:
    flow = KernelFlow(EvenKnots(case["reach"]).outer, _X, _Y)
    gap = np.max(np.abs(flow.at(_GRID) - natural_cubic(_X, _Y)(_GRID)))
    return {"gap": float(gap), "condition": flow.condition}


def _features(case: dict) -> dict:
    law = EvenKnots(2.0)
    limit = KernelFlow(law.outer, _X, _Y).at(_GRID)
    errors = []
    for seed in range(case["seeds"]):
        layer = law.draw(case["width"], np.random.default_rng(seed))
        fit = linear_spline(least_norm_heads(layer, _X, _Y))
        errors.append(float(np.max(np.abs(fit(_GRID) - limit))))
    mean, spread = float(np.mean(errors)), float(np.std(errors, ddof=1))
    return {"error": mean, "standard_error": spread / math.sqrt(len(errors))}


def _attractors(case: dict) -> dict:
    rng = np.random.default_rng(case["seed"])
    loss, wrong, found, against = LineLoss(_X, _Y, 1.0), 0, 0, 0
    for _ in range(case["draws"]):
        rho = rng.normal(size=len(_X))
        for rises in (True, False):
            for outer in (1, -1):
                signs = attractors(loss, rho, rises, outer)
                slopes = _velocities(rho, rises, outer)
                seen = np.where(slopes[0] * slopes[1] < 0, np.sign(slopes[0]), 0.0)
                wrong += int(np.sum(signs != seen))
                found += int(np.sum(signs == 1))
                against += int(np.sum((signs == 1) & (outer * rho <= 0)))
    return {"wrong": wrong, "attractors": found, "against": against}


def _velocities(rho, rises, outer):
    """Those of knots next to the samples, by u = b/a, ȧ = −c Σ ρ x and ḃ = c Σ ρ."""
    a, made = (1.0 if rises else -1.0), []
    for knots in (_X - 1e-9, _X + 1e-9):
        seen = a * (_X[None, :] - knots[:, None]) > 0
        by_a, by_b = -outer * (seen @ (rho * _X)), outer * (seen @ rho)
        made.append((by_b - knots * by_a) / a)
    return made


def _norm(_case: dict) -> dict:
    """Data set S: the least norm by linear programming, and the linear interpolant's."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 12))
    y = np.sin(4 * x) + 0.1 * rng.normal(size=12)
    kinks = np.maximum(x[:, None] - x, 0)
    affine = np.stack([x, np.ones(12)], axis=1)
    total = np.concatenate([np.ones(12), -np.ones(12), [2.0, 0.0]])  # f′(−∞) + f′(+∞)
    # Variables: jumps up, jumps down, slope, intercept and the norm, a bound on two moduli.
    variation = np.concatenate([np.ones(24), [0.0, 0.0]])
    bounds_on = np.vstack([variation, total, -total])
    found = scipy.optimize.linprog(
        np.append(np.zeros(26), 1.0),
        A_ub=np.hstack([bounds_on, -np.ones((3, 1))]),
        b_ub=np.zeros(3),
        A_eq=np.hstack([kinks, -kinks, affine, np.zeros((12, 1))]),
        b_eq=y,
        bounds=[(0, None)] * 24 + [(None, None)] * 3,
    )
    spline = linear_interpolant(x, y)
    return {
        "programme": float(found.fun),
        "norm": spline.norm,
        "ends": abs(spline.slope + float(spline.slopes[-1])),
    }


def _alignment(case: dict) -> dict:
    """Balanced neurons of size 1e-4/√m, without a factor before the sum."""
    x, y, m = np.array([-0.75, -0.5, 0.125]), np.array([1.1, 0.1, 0.8]), 1000
    rng = np.random.default_rng(case["seed"])
    inner = rng.normal(size=(2, m)) * 1e-4 / math.sqrt(m)
    outer = np.hypot(*inner) * rng.choice([-1.0, 1.0], m)
    loss = LineLoss(x, y, 1.0)
    run = relaxation(
        loss.value_and_gradient,
        loss.curvature,
        np.vstack([inner, outer]),
        value=1e-6,
        until=1e4,
        method=Chebyshev(tolerance=1e-3),
    )
    line = np.polyfit(x, y, 1)
    return {
        "stop": run.stop.name,
        "loss": float(run.values[-1]),
        "gradient_norm": float(np.linalg.norm(loss.gradient_at(run.end))),
        "of_a_line": 0.5 * float(np.sum((np.polyval(line, x) - y) ** 2)),
    }


def _fit(case: dict) -> dict:
    start = LineStart(case["width"], case["scale"], case["exponent"])
    fit = line_fit(_X, _Y, start, relative_loss=case["relative_loss"])
    return {
        "stop": fit.run.stop.name,
        "advice": fit.advice,
        "gradients": fit.run.gradients,
        "drift": fit.drift,
        **_looks(fit.loss, fit.end),
        "moved": fit.moved,
    }


def _looks(loss, z) -> dict:
    network = loss.network(z)
    spline = linear_spline(network)
    share, even = clustering(network, _X, window=(-1.0, 1.0))
    others = {"cubic": natural_cubic(_X, _Y), "linear": linear_interpolant(_X, _Y)}
    return {
        "loss": loss.value_at(z),
        "share": share,
        "even": even,
        **{n: float(np.sqrt(np.mean((spline(_GRID) - f(_GRID)) ** 2))) for n, f in others.items()},
    }


def _reference(case: dict) -> dict:
    """Descent with the step of the facts, recomputed every 50 steps."""
    start = LineStart(2000, case["scale"])
    loss, z = LineLoss(_X, _Y, start.normaliser), start.parameters()
    first, eta = z, 0.0
    for number in range(case["steps"]):
        if number % 50 == 0:
            hidden = np.maximum(np.outer(_X, z[0]) - z[1], 0.0)
            size = np.mean(hidden**2) + np.mean(z[2] ** 2)
            eta = 0.4 * start.normaliser / (len(_X) * float(size))
        z = z - eta * loss.gradient_at(z)
    return {
        **_looks(loss, z),
        "moved": float(np.median(np.abs(z[1] / z[0] - first[1] / first[0]))),
        "drift": float(np.max(np.abs(invariants(z) - invariants(first)))),
    }


_MEASURES = {
    "twin": _twin,
    "kernel": _kernel,
    "features": _features,
    "attractors": _attractors,
    "norm": _norm,
    "alignment": _alignment,
    "fit": _fit,
    "reference": _reference,
}


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """Identities to rounding, limits by their trend, fits by what they are nearer to."""
    of: dict[str, list[Record]] = {name: [] for name in _MEASURES}
    for record in records:
        of[record.case.data["ask"]].append(record)
    return {
        "reduced": _judge_reduced(of["twin"]),
        "delta": _judge_delta(of["twin"]),
        "kernel": _judge_kernel(of["kernel"], of["fit"]),
        "random-features": _judge_features(of["features"]),
        "adaptive": _judge_adaptive(of["fit"]),
        "regimes": _judge_regimes(of["fit"]),
        "attractors": _judge_attractors(of["attractors"]),
        "reference": _judge_reference(of["reference"]),
        "least-norm": _judge_norm(of["norm"]),
        "early-alignment": _judge_alignment(of["alignment"]),
    }


def _judge_reduced(records) -> Judgement:
    worst = max(r.values["distance"] for r in records)
    met = sum(r.values["encounters"] for r in records)
    ended = sum(not r.values["is_whole"] for r in records)
    return Judgement.by_numbers(
        worst < 1e-8,
        f"In {len(records)} flows of 6 neurons to time 3, past {met} encounters of knots and "
        f"samples, (r, θ) in the two parametrisations differ by at most {worst:.1e}. {ended} ended "
        f"before, where inner weights vanish.",
        {"distance": worst, "encounters": met, "vanished": ended},
    )


def _judge_delta(records) -> Judgement:
    drift = max(r.values["drift"] for r in records)
    step = max(r.values["step_error"] for r in records)
    return Judgement.by_numbers(
        drift < 1e-10 and step < 1e-14,
        f"δ moves by at most {drift:.1e} along the flow in (a, b, c), which does not know of it; "
        f"the change by a step is the formula's to {step:.1e}.",
        {"drift": drift, "step_error": step},
    )


def _judge_kernel(kernels, fits) -> Judgement:
    gaps = {r.case.data["reach"]: r.values["gap"] for r in kernels}
    known = all(abs(gaps[reach] - gap) < 6e-5 for reach, gap in _GAPS.items())
    ordered = [gaps[reach] for reach in sorted(gaps)]
    falls = ordered == sorted(ordered, reverse=True)
    trained = _of_scale(fits, 100.0)
    summary = (
        f"The limit differs from the natural cubic spline by {gaps[1.0]:.4f} for knots in [−1, 1] "
        f"and {gaps[16.0]:.4f} for knots in [−16, 16]."
    )
    numbers = {"gaps": {f"{reach:g}": gap for reach, gap in gaps.items()}}
    if trained:
        summary += (
            f" Trained with κ = 100 to a loss of {trained['loss']:.1e} the distance (rms) is "
            f"{trained['cubic']:.3f}, and {trained['linear']:.3f} to the linear interpolant."
        )
        numbers["trained"] = {key: trained[key] for key in ("loss", "cubic", "linear", "moved")}
    return Judgement.by_numbers(falls and known, summary, numbers)


def _of_scale(fits, scale) -> dict:
    wanted = {"scale": scale, "exponent": 1.0}
    return next((dict(r.values) for r in fits if wanted.items() <= r.case.data.items()), {})


def _judge_features(records) -> Judgement:
    widths = np.array([r.case.data["width"] for r in records], dtype=float)
    errors = np.array([r.values["error"] for r in records])
    weights = errors / np.array([r.values["standard_error"] for r in records])
    logarithms = np.log(widths), np.log(errors)
    (slope, _), covariance = np.polyfit(*logarithms, 1, w=weights, cov="unscaled")
    error = math.sqrt(covariance[0, 0])
    return Judgement.by_numbers(
        abs(slope + 0.5) < 4 * error,
        f"From m = {widths.min():.0f} to {widths.max():.0f} the largest error falls like m to the "
        f"{slope:.3f} ± {error:.3f}.",
        {"exponent": float(slope), "standard_error": error, "errors": errors.tolist()},
    )


def _judge_adaptive(records) -> Judgement:
    found = _of_scale(records, 0.7)
    numbers = {key: found[key] for key in ("loss", "share", "even", "cubic", "linear", "moved")}
    return Judgement.by_numbers(
        found["share"] > 0.8 and found["linear"] < found["cubic"] / 2,
        f"With κ = 0.7, at a loss of {found['loss']:.1e}, {100 * found['share']:.0f} % of the "
        f"curvature is within .02 of a sample ({100 * found['even']:.0f} % for even knots); the "
        f"distance (rms) is {found['linear']:.3f} to the linear interpolant, {found['cubic']:.3f} "
        f"to the cubic spline.",
        numbers,
    )


def _judge_regimes(records) -> Judgement:
    ended = [r for r in records if r.values["stop"] == Stop.reached_value.name]
    moved = {(r.case.data["scale"], r.case.data["exponent"]): r.values["moved"] for r in ended}
    rows = [
        {**{key: r.case.data[key] for key in ("scale", "exponent", "width")}, **r.values}
        for r in records
    ]
    scales, exponents = (sorted({key[i] for key in moved}) for i in (0, 1))
    if len(exponents) < 2 or len(moved) < len(records):
        why = "The map over κ and the exponent is left to larger scales, or has runs without end."
        return Judgement(Verdict.UNDECIDED, why, {"fits": len(moved)})
    holds = all(moved[scales[0], e] > moved[scales[-1], e] for e in exponents) and all(
        moved[k, exponents[0]] < moved[k, exponents[-1]] for k in scales
    )
    said = ", ".join(
        f"{moved[k, e]:.2g} (κ = {k:g}, α = m^{e:g})"
        for k in (scales[0], scales[-1])
        for e in (exponents[-1], exponents[0])
    )
    return Judgement.by_numbers(
        holds,
        f"In {len(moved)} fits the median knot moves less at the largest κ than at the smallest, "
        f"and at the smallest exponent than at the largest: {said}.",
        {"map": rows},
    )


def _judge_attractors(records) -> Judgement:
    found = {key: sum(r.values[key] for r in records) for key in records[0].values}
    return Judgement.by_numbers(
        found["wrong"] == 0 and found["against"] == 0 < found["attractors"],
        f"For random residuals {found['attractors']} samples attract a class; {found['wrong']} are "
        f"named wrongly, {found['against']} have c ρ ≤ 0.",
        found,
    )


def _judge_reference(records) -> Judgement:
    found = next((r.values for r in records if r.case.data["scale"] == 0.7), None)
    if found is None:
        why = "Descent is left to larger scales."
        return Judgement(Verdict.UNDECIDED, why, {"descents": 0})
    near = [abs(found[key] - value) <= error for key, (value, error) in _REFERENCE.items()]
    numbers = {f"{r.case.data['scale']:g}": dict(r.values) for r in records}
    return Judgement.by_numbers(
        all(near),
        f"Loss {found['loss']:.2e}, clustering {found['share']:.3f}, median knot move "
        f"{found['moved']:.3f}, rms {found['linear']:.3f} and {found['cubic']:.3f}: {sum(near)} of "
        f"{len(near)} agree, for another draw of the start.",
        {"descent": numbers},
    )


def _judge_norm(records) -> Judgement:
    found = dict(records[0].values)
    return Judgement.by_numbers(
        abs(found["programme"] - found["norm"]) < 1e-7 and abs(found["norm"] - 87.673392) < 1e-6,
        f"On data set S a linear program and the linear interpolant agree: {found['norm']:.6f}. "
        f"The other of the two terms is {found['ends']:.3f}.",
        found,
    )


def _judge_alignment(records) -> Judgement:
    gaps = [abs(r.values["loss"] - r.values["of_a_line"]) for r in records]
    slopes = [r.values["gradient_norm"] for r in records]
    stuck = sum(gap < 1e-6 > slope for gap, slope in zip(gaps, slopes, strict=True))
    loss = records[0].values["of_a_line"]
    return Judgement.by_numbers(
        2 * stuck > len(records),
        f"{stuck} of {len(records)} runs end where f is the least-squares line, at a loss of "
        f"{loss:.6f}, with a gradient below 1e-6.",
        {"stuck": stuck, "runs": len(records), "loss": loss},
    )


PAPER = Paper(
    key="williams-2019-univariate",
    title="Gradient Dynamics of Shallow Univariate ReLU Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=PICTURES,
)
