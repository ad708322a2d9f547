"""Luther & Seung (2019): sample variance decay in randomly initialised ReLU networks."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from shallows import report
from shallows.certify import Verdict
from shallows.lab import Case, Record, Result
from shallows.model import Layers
from shallows.model.sample_statistics import (
    drawn_statistics,
    normalised_start,
    over_samples,
    over_units,
    variance_shares,
)
from shallows.model.unit_data import digit_data, has_digits
from shallows.papers import Claim, Judgement, Paper, Picture, Scale, supported

_SOURCE = "lutherseung2019"

CLAIMS = (
    Claim(
        "decay",
        "Even when the total variance is preserved, the sample variance decays in later layers, "
        "in the limit of infinite width and in simulations of finite width.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "law",
        "From white inputs, v²/s² is 1 − 1/π in layer 2, .1452 in layer 10, and 9π²/(2 l²) in the "
        "end.",
        f"{_SOURCE} (our reading: numbers derived by us from its recursion)",
        False,
    ),
    Claim(
        "finite-width",
        "Finite networks deviate from the limit by the order of depth over width.",
        f"{_SOURCE} (our reading; the abstract names simulations at finite width)",
        False,
    ),
    Claim(
        "batch",
        "Batch normalisation eliminates this decay.",
        f"{_SOURCE}, abstract",
        True,
    ),
    Claim(
        "layer",
        "Normalising each input over the neurons of a layer does not.",
        f"{_SOURCE} (our reading: its author's account says that it need not)",
        False,
    ),
    Claim(
        "self-averaging",
        "Of a single neuron the sample variance is the same in all wide networks, ⟨y²⟩ is not.",
        f"{_SOURCE} (our reading of its author's account)",
        False,
    ),
    Claim(
        "training",
        "Preserving the sample variance at initialisation, instead of only the total variance, can "
        "have an impact on the training dynamics of a deep network.",
        f"{_SOURCE}, abstract (on another data set and without convolutions)",
        True,
    ),
)

_NORMALISATIONS = {"none": None, "batch": over_samples, "layer": over_units}
_SAMPLES, _UNITS, _BATCH, _TRAINING = 200, 64, 64, 1200
_STARTS = ("he", "layer", "sample")
_ERRORS = 5.0


def cases(scale: Scale) -> list[Case]:
    """Random networks of several widths, with and without normalisation; training by depth."""
    widths, depth, networks = {
        Scale.smoke: ([50, 200], 15, 3),
        Scale.desk: ([64, 256, 1024], 50, 10),
        Scale.paper: ([64, 128, 256, 512, 1024, 2048], 50, 30),
    }[scale]
    made: list[dict] = [
        {"ask": "depth", "width": width, "depth": depth, "normalise": name, "seed": seed}
        for name in _NORMALISATIONS
        for width in (widths if name == "none" else widths[-1:])
        for seed in range(networks if name == "none" else 3)
    ]
    made += [{"ask": "neuron", "width": w, "depth": 5, "networks": 40} for w in widths[-2:]]
    if has_digits() and scale is not Scale.smoke:
        seeds = 3 if scale is Scale.desk else 10
        made += [
            {"ask": "train", "depth": depth, "start": start, "step": step, "seed": seed}
            | {"steps": 300 if scale is Scale.desk else 2000}
            for depth in (10, 30, 50)
            for start in _STARTS
            for step in (1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1)
            for seed in range(seeds)
        ]
    return [Case(one) for one in made]


def measure(case: dict) -> Result:
    """Statistics of one random network, of its last neurons, or one run of training."""
    return _MEASURES[case["ask"]](case)


def _depth(case: dict) -> Result:
    rng = np.random.default_rng([case["seed"], case["width"]])
    found = drawn_statistics(
        rng.normal(size=(_SAMPLES, case["width"])),
        [case["width"]] * case["depth"],
        rng,
        normalise=_NORMALISATIONS[case["normalise"]],
        of_sample=True,
    )
    return Result(
        {"total": found.total.tolist(), "share": found.share.tolist()},
        {
            "layer": np.arange(1, case["depth"] + 1),
            "squared_mean": found.squared_mean,
            "variance": found.variance,
        },
    )


def _neuron(case: dict) -> Result:
    """Of the first neuron of the last layer: sample variance and mean square, over networks."""
    rng, width = np.random.default_rng(case["width"]), case["width"]
    seen = []
    for _ in range(case["networks"]):
        signal = rng.normal(size=(_SAMPLES, width))
        for _ in range(case["depth"] - 1):
            signal = np.maximum(
                signal @ (rng.normal(size=(width, width)) * math.sqrt(2 / width)), 0
            )
        y = signal @ rng.normal(size=width) * math.sqrt(2 / width)
        seen.append((np.var(y, ddof=1), np.mean(y**2), np.mean(y)))
    table = np.array(seen)
    relative = np.std(table[:, :2], axis=0, ddof=1) / np.mean(table[:, :2], axis=0)
    return Result(
        {
            "of_variance": float(relative[0]),
            "of_mean_square": float(relative[1]),
            # Of a Gaussian of mean 0 it is 3 ± √(24/networks).
            "fourth_moment_of_means": float(
                np.mean(table[:, 2] ** 4) / np.mean(table[:, 2] ** 2) ** 2
            ),
        }
    )


def _train(case: dict) -> Result:
    rng = np.random.default_rng(case["seed"])
    data = digit_data(1797, outputs=10, seed=case["seed"])
    x, y = 8 * np.asarray(data.points), np.argmax(np.asarray(data.targets), axis=1)
    # Without the pixels' mean, which no network has made.
    x = x - np.mean(x[:_TRAINING], axis=0)
    depth = case["depth"]
    weights = [rng.normal(size=(_UNITS, _UNITS)) * math.sqrt(2 / _UNITS) for _ in range(depth)]
    heads = rng.normal(size=(10, _UNITS)) * math.sqrt(1 / _UNITS)
    zeros = [np.zeros(_UNITS)] * depth
    start = Layers([*weights, heads], [*zeros, np.zeros(10)])
    if case["start"] != "he":
        start = normalised_start(start, x[:_TRAINING], by_layer=case["start"] == "layer")
    stacked = (
        jnp.stack(start.weights[:-1]),
        jnp.stack([b for b in start.biases[:-1] if b is not None]),
        start.weights[-1],
        start.biases[-1],
    )
    losses, right = _descent(
        stacked, jnp.asarray(x), jnp.asarray(y), case["step"], jax.random.key(case["seed"]),
        case["steps"],
    )  # fmt: skip
    losses = np.asarray(losses)
    return Result(
        {"loss": float(np.mean(losses[-20:])), "test_error": 1 - float(right)},
        {"loss": np.mean(losses[: len(losses) // 10 * 10].reshape(-1, 10), axis=1)},
    )


@functools.partial(jax.jit, static_argnums=5)
def _descent(start, x, y, step, key, steps):
    """Losses at all steps, and the share of test digits that come out right."""
    method = optax.sgd(step)

    def scores(network, x):
        weights, biases, heads, shift = network

        def layer(signal, one):
            return jnp.maximum(signal @ one[0].T + one[1], 0.0), None

        signal, _ = jax.lax.scan(layer, x, (weights, biases))
        return signal @ heads.T + shift

    def loss(network, chosen):
        found = scores(network, x[chosen])
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(found, y[chosen]))

    def move(carry, key):
        network, state = carry
        value, slope = jax.value_and_grad(loss)(
            network, jax.random.randint(key, (_BATCH,), 0, _TRAINING)
        )
        updates, state = method.update(slope, state, network)
        return (optax.apply_updates(network, updates), state), value

    (network, _), losses = jax.lax.scan(
        move, (start, method.init(start)), jax.random.split(key, steps)
    )
    right = jnp.argmax(scores(network, x[_TRAINING:]), axis=1) == y[_TRAINING:]
    return losses, jnp.mean(right)


_MEASURES = {"depth": _depth, "neuron": _neuron, "train": _train}


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """Simulations against the recursion within standard errors; runs against one another."""
    asked = {ask: [r for r in records if r.case.data["ask"] == ask] for ask in _MEASURES}
    shares: dict[tuple[str, int], list[Record]] = {}
    for r in asked["depth"]:
        shares.setdefault((r.case.data["normalise"], r.case.data["width"]), []).append(r)
    return {
        "decay": _decay(shares),
        "law": _law(),
        "finite-width": _width(shares),
        "batch": _batch(shares),
        "layer": _layer(shares),
        "self-averaging": _self_averaging(asked["neuron"]),
        "training": _training(asked["train"]),
    }


def _mean(records, name="share"):
    """Mean over networks by layer, and its standard error."""
    values = np.array([r.values[name] for r in records])
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))


def _widest(shares, name):
    width = max(w for n, w in shares if n == name)
    return width, *_mean(shares[name, width])


def _decay(shares):
    width, share, error = _widest(shares, "none")
    depth = len(share)
    theory = variance_shares(depth)
    total, _ = _mean(shares["none", width], "total")
    # Of one network the squares of a layer deviate by √(exp(5 l/width) − 1), relative.
    layers, networks = np.arange(1, depth + 1), len(shares["none", width])
    deviation = 2 * np.sqrt(np.expm1(5 * layers / width) / networks)
    kept = float(np.max(np.abs(total - 2) / deviation))
    decays = share[-1] + _ERRORS * error[-1] < share[0] / 2
    near = np.all(np.abs(share - theory) <= _ERRORS * error + 2 * layers / width)
    return Judgement(
        supported(decays and near and kept < _ERRORS),
        f"At width {width} v²/s² falls from {share[0]:.3f} to {share[-1]:.4f} in layer {depth} (at "
        f"infinite width {theory[-1]:.4f}), while s² stays within {kept:.1f} standard errors.",
        {"width": width, "share": share.tolist(), "theory": theory.tolist(), "errors": kept},
    )


def _law():
    shares = variance_shares(2000)
    ends = {l: float(shares[l - 1] * 2 * l**2 / (9 * math.pi**2)) for l in (100, 500, 2000)}
    values = [float(shares[1]), float(shares[9])]
    good = (
        abs(values[0] - (1 - 1 / math.pi)) < 1e-14
        and abs(values[1] - 0.1452) < 5e-5
        and ends[100] < ends[500] < ends[2000]
        and 0.98 < ends[2000] < 1
    )
    return Judgement(
        supported(good),
        f"{values[0]:.4f} and {values[1]:.4f}; over 9π²/(2 l²) it is {ends[100]:.3f}, "
        f"{ends[500]:.3f} and {ends[2000]:.3f} at l = 100, 500 and 2000.",
        {"values": values, "over_the_law": {str(l): r for l, r in ends.items()}},
    )


def _width(shares):
    rows = {}
    for name, width in sorted(shares):
        if name == "none":
            share, error = _mean(shares[name, width])
            gap = share - variance_shares(len(share))
            layer = min(len(share), 10)
            rows[width] = (float(gap[layer - 1] * width / layer), float(error[layer - 1]))
    scaled = {str(w): gap for w, (gap, _) in rows.items()}
    # Beyond the standard errors, none may need more than twice depth/width.
    excess = max((abs(gap) * 10 / w - _ERRORS * error) * w / 10 for w, (gap, error) in rows.items())
    listed = ", ".join(f"{gap:+.2f} ({w})" for w, (gap, _) in rows.items())
    return Judgement(
        supported(excess < 2),
        f"In layer 10, v²/s² deviates from the limit by these multiples of depth/width: {listed}.",
        {"multiples": scaled},
    )


def _batch(shares):
    width, share, error = _widest(shares, "batch")
    low = share[1:]
    # The first layer is that of the inputs; after it a neuron sees half-normal inputs.
    still = np.all(np.abs(low - (1 - 1 / math.pi)) < 0.1)
    return Judgement(
        supported(still),
        f"At width {width} v²/s² stays between {low.min():.3f} and {low.max():.3f} in layers 2 to "
        f"{len(share)}; 1 − 1/π = {1 - 1 / math.pi:.3f}, where neurons are Gaussian over inputs.",
        {"width": width, "share": share.tolist(), "standard_errors": error.tolist()},
    )


def _layer(shares):
    width, share, error = _widest(shares, "layer")
    theory = variance_shares(len(share))
    near = np.all(
        np.abs(share - theory) <= _ERRORS * error + 2 * np.arange(1, len(share) + 1) / width
    )
    return Judgement(
        supported(near and share[-1] < share[0] / 2),
        f"At width {width} v²/s² falls to {share[-1]:.4f} in layer {len(share)}, without it to "
        f"{theory[-1]:.4f} at infinite width.",
        {"width": width, "share": share.tolist()},
    )


def _self_averaging(records):
    rows = {
        r.case.data["width"]: (r.values["of_variance"], r.values["of_mean_square"]) for r in records
    }
    (narrow, (v_narrow, _)), (wide, (v_wide, s_wide)) = sorted(rows.items())
    # A deviation from n networks has a relative error of 1/√(2 n).
    error = 1 / math.sqrt(2 * records[0].case.data["networks"])
    averages = v_wide < v_narrow * (1 + 3 * error) and v_wide * 2 < s_wide * (1 + 3 * error)
    return Judgement(
        Verdict.SUPPORTED if averages and v_wide < 0.3 else Verdict.UNDECIDED,
        f"Relative deviations over networks in layer {records[0].case.data['depth']}: of the "
        f"sample variance {v_narrow:.3f} (width {narrow}) and {v_wide:.3f} (width {wide}), of the "
        f"mean square {s_wide:.3f}.",
        {str(w): {"variance": v, "mean_square": s} for w, (v, s) in rows.items()},
    )


def _training(records):
    """At each depth, for each start, the step with the least mean loss; paired by seed."""
    if not records:
        why = "No run of training: left to larger scales, and to where scikit-learn has its digits."
        return Judgement(Verdict.UNDECIDED, why, {"n": 0})
    depths = sorted({r.case.data["depth"] for r in records})
    rows: dict[str, dict] = {}
    verdict = Verdict.UNDECIDED
    for depth in depths:
        best = {}
        for start in _STARTS:
            by_step: dict[float, dict[int, float]] = {}
            for r in records:
                data = r.case.data
                if (data["depth"], data["start"]) == (depth, start):
                    value = r.values["loss"]
                    value = value if math.isfinite(value) else 10.0  # diverged
                    by_step.setdefault(data["step"], {})[data["seed"]] = value
            step = min(by_step, key=lambda s: np.mean([*by_step[s].values()]))
            best[start] = (step, by_step[step])
        rows[str(depth)] = {s: float(np.mean([*v.values()])) for s, (_, v) in best.items()}
        seeds = sorted(best["sample"][1])
        ahead = np.array([best["layer"][1][s] - best["sample"][1][s] for s in seeds])
        error = np.std(ahead, ddof=1) / math.sqrt(len(ahead))
        rows[str(depth)]["ahead_in_errors"] = float(np.mean(ahead) / max(error, 1e-12))
        if abs(rows[str(depth)]["ahead_in_errors"]) > _ERRORS:
            verdict = Verdict.SUPPORTED
    listed = "; ".join(
        f"{depth} layers: {row['he']:.3f}, {row['layer']:.3f}, {row['sample']:.3f}"
        for depth, row in rows.items()
    )
    leads = ", ".join(f"{row['ahead_in_errors']:+.1f}" for row in rows.values())
    return Judgement(
        verdict,
        f"Losses on digits after {records[0].case.data['steps']} steps of the best length, by He's "
        f"start, normalised by layer, and by sample: {listed}. The last is "
        f"ahead of the second by {leads} standard errors.",
        rows,
    )


def _picture(records: Sequence[Record]):
    shares: dict[tuple[str, int], list[Record]] = {}
    for r in records:
        if r.case.data["ask"] == "depth":
            shares.setdefault((r.case.data["normalise"], r.case.data["width"]), []).append(r)
    chosen = {f"width {w}": ("none", w) for n, w in sorted(shares) if n == "none"}
    chosen |= {f"by {n}": (n, w) for n, w in sorted(shares) if n != "none"}
    curves = {
        words: report.DepthCurve(*_mean(shares[key])) for words, key in list(chosen.items())[-6:]
    }
    depth = max(len(curve.share) for curve in curves.values())
    return report.depth_figure(curves, variance_shares(depth))


PAPER = Paper(
    key="luther-seung-2019",
    title="Sample Variance Decay in Randomly Initialized ReLU Networks",
    source=_SOURCE,
    claims=CLAIMS,
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("decay", "finite-width", "batch", "layer"),
            "The share of a neuron's mean square that varies with the input falls with depth, as "
            "at infinite width (dashed) and faster or slower by chance in narrow networks. "
            "Normalising by batch keeps it, normalising by layer does not.",
            _picture,
        ),
    ),
)
