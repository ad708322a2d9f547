"""Zheng et al. (2018): capacity control of ReLU networks by the basis-path norm."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats

from shallows import report
from shallows.certify import Verdict
from shallows.lab import Case, Record, Result
from shallows.model import Layers, basis_path_norm, basis_paths, he_layers
from shallows.model.paths import Skeleton, log_path_norm, path_count
from shallows.model.unit_data import digit_data, has_digits
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported
from shallows.solve import add_basis_path_penalty, gsgd

_SOURCE = "zheng2018"

CLAIMS = (
    Claim(
        "basis",
        "Every path is made, by products and quotients, of a small group of independent basis "
        "paths.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "invariant",
        "Path norm and basis-path norm do not depend on how hidden units are scaled.",
        f"{_SOURCE} (the abstract says so of the path norm; of the other it is our reading)",
        False,
    ),
    Claim(
        "explains",
        "The basis-path norm explains how ReLU networks generalise more accurately than earlier "
        "measures of capacity.",
        f"{_SOURCE}, abstract (their bound is unknown to us: our reading compares rank "
        f"correlations of norms with the gap, on another data set)",
        True,
    ),
    Claim(
        "regularised",
        "Training regularised by the basis-path norm does clearly better on test data than with "
        "earlier regularisers.",
        f"{_SOURCE}, abstract (which function of basis paths is unknown to us: our reading takes "
        f"half the sum of their squares, those of logarithms for negative ones)",
        True,
    ),
    Claim(
        "gsgd",
        "Descent on values of basis paths ends at a smaller test error than descent on weights.",
        "meng2019 (our reading: 97.64 % against 97.37 % correct in logs on MNIST, not paired)",
        False,
    ),
)

_SHAPES = [[2, 2, 2], [3, 3, 3, 3], [2, 4, 3, 1], [4, 2, 5, 2], [3, 4, 4, 4, 2]]
_TRUE, _MOST, _VALIDATION, _BATCH = 400, 800, 300, 64
# Of runs that compare methods; those that are compared with norms are longer.
_COMPARED_STEPS = 3000
_NONE = {"decay": 0.0, "path": 0.0, "basis": 0.0}
_STRENGTHS = {
    "decay": [1e-3, 3e-3, 1e-2, 3e-2],
    "path": [1e-3, 1e-2, 3e-2, 1e-1],
    "basis": [3e-3, 1e-2, 3e-2, 1e-1],
}
# Weights N(0, 2/fan-in); or those on the skeleton 1, small ones being what is divided by.
_STARTS = ("he", "skeleton")
_STEPS = {"sgd": [0.03, 0.1, 0.3], "gsgd": [0.01, 0.03, 0.1, 0.3]}
_NORMS = ["basis path", "path, q = 1", "path, q = 2", "Frobenius", "spectral"]
_ERRORS = 2.0
# Largest training error of a run that fits its data.
_FITS = 0.01


_ELSEWHERE = "left to larger scales, and to where scikit-learn has its digits"


def cases(scale: Scale) -> list[Case]:
    """Paths of small networks; runs on digits of more shapes, labels and strengths."""
    made = [{"ask": "paths", "sizes": sizes} for sizes in _SHAPES]
    noise, hidden, seeds, steps = {
        Scale.smoke: ([0, 400], [[32]], 1, 300),
        Scale.desk: ([0, 50, 100, 200, 300, 400], [[32], [64, 64], [32, 32, 32]], 3, 6000),
        Scale.paper: ([0, 50, 100, 200, 300, 400], [[32], [128], [64, 64], [128, 128],
                      [32, 32, 32], [64, 64, 64]], 10, 20_000),
    }[scale]  # fmt: skip
    if has_digits():
        made += [
            _run(widths, wrong, seed, steps, start=start)
            for start in _STARTS
            for widths in hidden
            for wrong in noise
            for seed in range(seeds)
        ]
        if scale is not Scale.smoke:
            widths, many = [64, 64], (5 if scale is Scale.desk else 20)
            made += [
                _run(widths, 100, seed, _COMPARED_STEPS, **{"start": "skeleton", name: strength})
                for name, values in _STRENGTHS.items()
                for strength in values
                for seed in range(many)
            ]
            made += [
                _run(widths, 100, seed, _COMPARED_STEPS, start="skeleton") for seed in range(many)
            ]
            made += [
                _run(widths, 0, seed, _COMPARED_STEPS, method, step, start="skeleton")
                for method, choices in _STEPS.items()
                for step in choices
                for seed in range(many)
            ]
    unique = {str(sorted(one.items(), key=str)): one for one in made}
    return [Case(one) for one in unique.values()]


def _run(widths, wrong, seed, steps, method="sgd", step=0.1, start="he", **strengths):
    rest = {"method": method, "step": step, "start": start, **_NONE, **strengths}
    return {"ask": "run", "widths": widths, "wrong": wrong, "seed": seed, "steps": steps, **rest}


def measure(case: dict) -> Result:
    """What paths of one shape are made of, or one run of training."""
    return _paths(case) if case["ask"] == "paths" else _training(case)


def _paths(case: dict) -> Result:
    rng = np.random.default_rng(0)
    sizes = case["sizes"]
    layers = he_layers(sizes, rng)
    edges = {
        (l, i, j): n
        for n, (l, i, j) in enumerate(
            (l, i, j) for l, w in enumerate(layers.weights) for i, j in np.ndindex(w.shape)
        )
    }
    basis = list(Skeleton(layers.sizes).basis([False] * (len(sizes) - 1)))
    every = [
        [(l, units[l + 1], units[l]) for l in range(len(sizes) - 1)] for units in np.ndindex(*sizes)
    ]
    rows, whole = (
        np.array([[n in {edges[e] for e in path} for n in range(len(edges))] for path in paths])
        for paths in (basis, every)
    )
    powers = np.linalg.lstsq(rows.T.astype(float), whole.T.astype(float), rcond=None)[0]
    other = layers.rescale([np.exp(rng.normal(size=m)) for m in sizes[1:-1]])
    spread = [abs(log_path_norm(layers, q) - log_path_norm(other, q)) for q in (0.5, 1.0, 2.0)] + [
        abs(basis_path_norm(layers) / basis_path_norm(other) - 1)
    ]
    return Result(
        {
            "weights": len(edges),
            "hidden": sum(sizes[1:-1]),
            "paths": path_count(layers),
            "basis": len(basis),
            "rank": int(np.linalg.matrix_rank(rows.astype(float))),
            "rank_of_all": int(np.linalg.matrix_rank(whole.astype(float))),
            "from_whole_powers": float(np.max(np.abs(powers - np.round(powers)))),
            "left": float(np.max(np.abs(rows.T.astype(float) @ powers - whole.T))),
            "spread": max(spread),
            "largest_power": int(np.max(np.abs(np.round(powers)))),
            "negative": int(basis_paths(layers).is_negative.sum()),
        }
    )


def _training(case: dict) -> Result:
    data = digit_data(1797, outputs=10, seed=case["seed"])
    rng = np.random.default_rng(case["seed"])
    x, y = 8 * np.asarray(data.points), np.argmax(np.asarray(data.targets), axis=1)
    count = _TRUE + case["wrong"]
    given = y[:_MOST].copy()
    given[_TRUE:] = (given[_TRUE:] + rng.integers(1, 10, size=_MOST - _TRUE)) % 10
    start = he_layers([64, *case["widths"], 10], rng)
    if case["start"] == "skeleton":
        start = _with_ones(start)
    end = _trained(
        start,
        jnp.asarray(x[:_MOST]),
        jnp.asarray(given),
        count,
        jnp.asarray([case[name] for name in _NONE]),
        case["step"],
        jax.random.key(case["seed"]),
        case["steps"],
        case["method"],
        # What is not asked for is not compiled.
        tuple(name for name in _NONE if case[name]),
    )
    weights = [np.asarray(w) for w in end.weights]
    cut = _MOST + _VALIDATION
    scores = x
    for l, w in enumerate(weights):
        scores = (np.maximum(scores, 0) if l else scores) @ w.T
    right = np.argmax(scores, axis=1) == np.concatenate([given, y[_MOST:]])
    shifted = scores - scores.max(axis=1, keepdims=True)
    log = (
        np.log(np.sum(np.exp(shifted), axis=1))
        - shifted[np.arange(len(y)), np.concatenate([given, y[_MOST:]])]
    )
    is_finite = bool(np.all(np.isfinite(scores)))
    norms = [
        math.log(max(basis_path_norm(end), 1e-300)),
        log_path_norm(end, 1),
        log_path_norm(end, 2),
        sum(math.log(np.linalg.norm(w)) for w in weights),
        sum(math.log(np.linalg.norm(w, 2)) for w in weights),
    ] if is_finite else [math.nan] * len(_NORMS)  # fmt: skip
    return Result(
        {
            "is_finite": is_finite,
            "training_error": 1 - float(np.mean(right[:count])),
            "training_loss": float(np.mean(log[:count])),
            "validation_error": 1 - float(np.mean(right[_MOST:cut])),
            "test_error": 1 - float(np.mean(right[cut:])),
            "test_loss": float(np.mean(log[cut:])),
            "log_norms": dict(zip(_NORMS, norms, strict=True)),
        }
    )


def _with_ones(layers: Layers) -> Layers:
    """Weights on the skeleton are 1: small ones would be divided by, in steps on basis paths."""
    skeleton = Skeleton(layers.sizes)
    return Layers(
        [
            np.where(skeleton.fixed(l) | skeleton.negative(l), 1.0, np.asarray(w))
            for l, w in enumerate(layers.weights)
        ]
    )


@functools.partial(jax.jit, static_argnums=(7, 8, 9))
def _trained(layers, x, y, count, strengths, step, key, steps, name, regularisers):
    strength = dict(zip(_NONE, strengths, strict=True))
    method = gsgd(step) if name == "gsgd" else optax.sgd(step)
    if "decay" in regularisers:
        method = optax.chain(optax.add_decayed_weights(strength["decay"]), method)
    if "basis" in regularisers:
        method = optax.chain(add_basis_path_penalty(strength["basis"]), method)

    def loss(layers, chosen):
        scores = layers(x[chosen])
        value = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(scores, y[chosen]))
        if "path" not in regularisers:
            return value
        squares = functools.reduce(lambda s, w: w**2 @ s, layers.weights, jnp.ones(x.shape[1]))
        return value + 0.5 * strength["path"] * jnp.sum(squares)

    def move(carry, key):
        layers, state = carry
        chosen = jax.random.randint(key, (_BATCH,), 0, count)
        updates, state = method.update(jax.grad(loss)(layers, chosen), state, layers)
        return (optax.apply_updates(layers, updates), state), None

    (layers, _), _ = jax.lax.scan(move, (layers, method.init(layers)), jax.random.split(key, steps))
    return layers


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """Identities to rounding; correlations and errors within standard errors over seeds."""
    paths = [r for r in records if r.case.data["ask"] == "paths"]
    runs = [r for r in records if r.case.data["ask"] == "run" and r.values["is_finite"]]
    return {
        "basis": _basis(paths),
        "invariant": _invariant(paths),
        "explains": _explains([r for r in runs if _is_long(r)]),
        "regularised": _regularised([r for r in runs if _is_regularised(r)]),
        "gsgd": _gsgd([r for r in runs if r.case.data["wrong"] == 0 and not _is_long(r)]),
    }


def _is_plain(record):
    return all(record.case.data[name] == 0 for name in _NONE)


def _is_long(record):
    return record.case.data["steps"] != _COMPARED_STEPS


def _is_regularised(record):
    data = record.case.data
    return data["wrong"] == 100 and data["steps"] == _COMPARED_STEPS


def _basis(records):
    good = [
        v["basis"] == v["rank"] == v["rank_of_all"] == v["weights"] - v["hidden"]
        and v["from_whole_powers"] < 1e-9
        and v["left"] < 1e-9
        for v in (r.values for r in records)
    ]
    most = max((r.values for r in records), key=lambda v: v["paths"])
    return Judgement(
        supported(all(good)),
        f"For {sum(good)} of {len(good)} shapes the skeleton gives m − H independent paths, of "
        f"which all others are products with whole powers: {most['basis']} of {most['paths']}.",
        {
            "basis": [r.values["basis"] for r in records],
            "all": [r.values["paths"] for r in records],
        },
    )


def _invariant(records):
    worst = max(r.values["spread"] for r in records)
    return Judgement(
        supported(worst < 1e-11),
        f"Under random scalings both change by at most {worst:.1e}, relative.",
        {"worst": worst},
    )


def _explains(records):
    """Rank correlations with the gap of runs that fit, and which are larger beyond chance."""
    fitted = [r for r in records if r.values["training_error"] <= _FITS]
    rows: dict[str, dict] = {}
    behind, ahead = [], []
    for start in _STARTS:
        mine = [r for r in fitted if r.case.data["start"] == start]
        if len(mine) < 20:
            return Judgement(
                Verdict.UNDECIDED,
                f"Too few runs for a comparison: {_ELSEWHERE}.",
                {"runs": len(fitted)},
            )
        gap = np.array([r.values["test_error"] - r.values["training_error"] for r in mine])
        norms = np.array([[r.values["log_norms"][name] for name in _NORMS] for r in mine])
        rng = np.random.default_rng(0)
        found = _correlations(norms, gap)
        draws = np.array(
            [_correlations(norms[i], gap[i]) for i in rng.integers(0, len(gap), (200, len(gap)))]
        )
        errors = np.std(draws[:, :1] - draws[:, 1:], axis=0, ddof=1)
        lead = (found[0] - found[1:]) / errors
        ahead.append(np.all(lead > _ERRORS))
        behind.append(np.any(lead < -_ERRORS))
        shapes = np.array([str(r.case.data["widths"]) for r in mine])
        rows[start] = {
            "runs": len(mine),
            "correlations": dict(zip(_NORMS, found.tolist(), strict=True)),
            "ahead_in_errors": dict(zip(_NORMS[1:], lead.tolist(), strict=True)),
            "within_shapes": {
                shape: _correlations(norms[shapes == shape], gap[shapes == shape]).tolist()
                for shape in dict.fromkeys(shapes.tolist())
                if np.sum(shapes == shape) > 4
            },
        }
    verdict = Verdict.UNDECIDED
    if all(ahead):
        verdict = Verdict.SUPPORTED
    elif all(behind):  # whatever the start
        verdict = Verdict.CONTRADICTED
    words = "; ".join(
        f"start {start} ({row['runs']} runs) "
        + ", ".join(f"{name} {rho:.2f}" for name, rho in row["correlations"].items())
        for start, row in rows.items()
    )
    return Judgement(
        verdict,
        f"Rank correlations with the gap in error of runs that fit, with 0 to 400 wrong labels: "
        f"{words}.",
        rows,
    )


def _correlations(norms, gap):
    ranks = scipy.stats.rankdata(np.column_stack([gap, norms]), axis=0)
    return np.corrcoef(ranks, rowvar=False)[0, 1:]


def _regularised(records):
    """Test errors at the strength with the least validation error, paired by seed."""
    tests = {}
    for name in _NONE:
        mine = [r for r in records if all(r.case.data[o] == 0 for o in _NONE if o != name)]
        tests[name] = _chosen([r for r in mine if r.case.data[name] > 0], name)
    tests["none"] = _chosen([r for r in records if _is_plain(r)], "step")
    if any(one is None for one in tests.values()):
        return Judgement(Verdict.UNDECIDED, f"No such runs: {_ELSEWHERE}.", {"runs": 0})
    return _compared(
        tests,
        "basis",
        ("decay", "path"),
        "Test errors at the strength of least validation error, with 100 of 500 labels wrong",
    )


def _gsgd(records):
    tests = {
        name: _chosen([r for r in records if r.case.data["method"] == name], "step")
        for name in ("sgd", "gsgd")
    }
    if any(one is None for one in tests.values()):
        return Judgement(Verdict.UNDECIDED, f"No such runs: {_ELSEWHERE}.", {"runs": 0})
    return _compared(
        tests, "gsgd", ("sgd",), "Test errors after 3000 steps at the best step for validation"
    )


def _chosen(records, option):
    """By seed, the test errors at the value of the option with the least mean validation error."""
    by_value: dict[float, dict[int, Record]] = {}
    for r in records:
        by_value.setdefault(r.case.data[option], {})[r.case.data["seed"]] = r
    full = max((len(runs) for runs in by_value.values()), default=0)
    by_value = {v: runs for v, runs in by_value.items() if len(runs) == full}  # none diverged
    if full < 2:
        return None
    mean = {
        v: np.mean([r.values["validation_error"] for r in runs.values()])
        for v, runs in by_value.items()
    }
    best = min(mean, key=lambda v: mean[v])
    return best, {seed: r.values["test_error"] for seed, r in by_value[best].items()}


def _compared(tests, ours, others, words):
    errors, ahead = {name: float(np.mean([*e.values()])) for name, (_, e) in tests.items()}, {}
    for name in others:
        mine, theirs = tests[ours][1], tests[name][1]
        d = np.array([theirs[s] - mine[s] for s in sorted(set(mine) & set(theirs))])
        ahead[name] = float(np.mean(d) / max(np.std(d, ddof=1) / math.sqrt(len(d)), 1e-9))
    if all(a > _ERRORS for a in ahead.values()):
        verdict = Verdict.SUPPORTED
    elif any(a < -_ERRORS for a in ahead.values()):
        verdict = Verdict.CONTRADICTED
    else:
        verdict = Verdict.UNDECIDED
    listed = ", ".join(f"{name} {100 * e:.2f} %" for name, e in errors.items())
    leads = ", ".join(f"{a:+.1f} ({name})" for name, a in ahead.items())
    return Judgement(
        verdict,
        f"{words}: {listed}; paired, {ours} is ahead by {leads} standard errors.",
        {
            "test_errors": errors,
            "chosen": {name: value for name, (value, _) in tests.items()},
            "ahead_in_errors": ahead,
        },
    )


def _clouds(records: Sequence[Record]):
    runs = [r for r in records if r.case.data["ask"] == "run" and r.values["is_finite"]]
    chosen = [r for r in runs if _is_long(r) and r.case.data["start"] == "skeleton"]
    if len(chosen) < 2:
        return None
    gap = np.array([r.values["test_error"] - r.values["training_error"] for r in chosen])
    wrong = np.array([r.case.data["wrong"] / (400 + r.case.data["wrong"]) for r in chosen])
    norms = {n: np.array([r.values["log_norms"][n] for r in chosen]) for n in _NORMS[:4]}
    return report.gap_figure([report.GapCloud(n, x, gap, wrong) for n, x in norms.items()])


def _counts(records: Sequence[Record]):
    shapes = [r for r in records if r.case.data["ask"] == "paths"]
    places = range(len(shapes))
    names = {float(i): "-".join(map(str, r.case.data["sizes"])) for i, r in enumerate(shapes)}
    series = tuple(
        report.Series(words, places, [r.values[key] for r in shapes], report.Mark.bars)
        for key, words in (("paths", "all paths"), ("basis", "independent ones"))
    )
    return report.panel_figure(
        [report.Panel("Paths of small networks", "layers", "paths", series, ticks=names)]
    )


PAPER = Paper(
    key="zheng-2018-basis-path",
    title="Capacity Control of ReLU Neural Networks by Basis-path Norm",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("explains",),
            "The gap between test and training error against four norms of trained networks, a "
            "dot a run, started with weights 1 on the skeleton. A norm that explains the gap puts"
            " the dots on a rising curve, whatever the share of wrong labels.",
            _clouds,
        ),
        Picture(
            ("basis",),
            "Of all paths only those of a basis are independent: the skeleton gives as many as "
            "there are weights, less hidden neurons.",
            _counts,
        ),
    ),
)
