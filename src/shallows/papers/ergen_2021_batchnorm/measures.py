"""What is measured: optima by several routes, runs beside them, and fits at other points."""

import functools
import math

import numpy as np
import optax

from shallows.lab import Result
from shallows.landscape.convex import (
    NormalisedAfter,
    NormalisedBefore,
    Patterns,
    Unnormalised,
    sampled_patterns,
)
from shallows.landscape.convex.closed_forms import disjoint_cost, two_neurons
from shallows.model.unit_data import digit_data
from shallows.solve.convex import InteriorPoint
from shallows.solve.first_order import AugmentedLagrangian
from shallows.solve.normalised_training import (
    alignment,
    normalised_starts,
    normalised_training,
)

LABELS = (1, 1, 1, -1, -1, -1, -1, -1)
"""At eight equispaced points of [−1, 1]: where training sticks."""
LEARNT = 0.25
"""Of a direction: what is left of the square of its target."""
_RUNS, _WIDTH = 4, 40
_SAMPLE = 100


def measure(case: dict) -> Result:
    """What a case asks is its `ask`."""
    return {
        "convex": _convex,
        "closed": _closed,
        "after": _after,
        "vector": _vector,
        "stick": _stick,
        "bias": _bias,
        "truncation": _truncation,
    }[case["ask"]](case)


def _drawn(case: dict) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(case["seed"])
    x = rng.normal(size=(case["points"], case["inputs"]))
    return x, np.sin(2 * x[:, 0]) + 0.5 * rng.normal(size=len(x))


def _adam(step: float, steps: int) -> optax.GradientTransformation:
    """Whose steps shrink by a thousand: else it hovers about a minimum."""
    return optax.adam(optax.exponential_decay(step, steps, 1e-3))


def _gaps(program, bound: float, step: float, steps: int, seed: int = 0) -> list[float]:
    """Of the ends of some runs, relative to the bound."""
    starts = normalised_starts(program, _WIDTH, _RUNS, seed=seed)
    runs = normalised_training(program, starts, _adam(step, steps), steps=steps, records=2)
    return [float(cost / bound - 1) for cost in runs.costs[-1]]


def _convex(case: dict) -> Result:
    x, y = _drawn(case)
    program = NormalisedBefore(x, y, case["beta"])
    found = InteriorPoint()(program)
    whitened = InteriorPoint()(Unnormalised(program.features, y, case["beta"]))
    # γ/√n is penalised by β √n, and the program is the same one.
    usual = NormalisedBefore(x, y, case["beta"] * math.sqrt(len(y)), usual=True)
    other = InteriorPoint()(usual)
    return Result(
        {
            "patterns": len(program.patterns),
            "optimum": found.value,
            "gap": found.gap / found.value,
            "mapped": program.cost(found.network) / found.value - 1,
            "whitened": whitened.value / found.value - 1,
            # Of the usual network, whose heads differ from those of the other by n^(1/4).
            "usual": usual.cost(other.network) / found.value - 1,
            "trained": _gaps(program, found.lower_bound, 3e-2, case["steps"]),
        }
    )


def _closed(case: dict) -> Result:
    x, y = _drawn(case)
    program = NormalisedBefore(x, y, case["beta"])
    known, found = two_neurons(program), InteriorPoint()(program)
    return Result(
        {
            "patterns": len(program.patterns),
            "optimum": known.value,
            "program": found.value / known.value - 1,
            "bound": program.dual_bound(known.dual).value / known.value - 1,
            "mapped": program.cost(program.network(known.point)) / known.value - 1,
            "trained": _gaps(program, known.value, 3e-2, case["steps"]),
        }
    )


def _after(case: dict) -> Result:
    x, y = _drawn(case)
    program = NormalisedAfter(x, y, case["beta"], bias=True)
    found = InteriorPoint()(program)
    return Result(
        {
            "patterns": len(program.patterns),
            "optimum": found.value,
            "gap": found.gap / found.value,
            "mapped": program.cost(found.network) / found.value - 1,
            "before": InteriorPoint()(NormalisedBefore(x, y, case["beta"])).value / found.value,
            "trained": _gaps(program, found.lower_bound, 2e-2, 2000),
        }
    )


def _vector(case: dict) -> Result:
    n, beta = case["points"], case["beta"]
    rng = np.random.default_rng(case["seed"])
    x = rng.normal(size=(n, case["inputs"]))
    labels = rng.permutation(np.arange(n) % case["classes"])
    targets = np.eye(case["classes"])[labels]
    outputs, penalty = np.zeros_like(targets), 0.0
    for c, y in enumerate(targets.T):
        # A neuron for each class, with one entry of its head not 0: of its own program.
        program = NormalisedBefore(x, y, beta, patterns=functools.partial(_with_pattern, y=y))
        network = program.network(two_neurons(program).point)
        outputs[:, c] = network(x)
        penalty += float(np.sum(network.scale**2 + network.shift**2 + network.outer**2)) / 2
    cost = float(np.sum((outputs - targets) ** 2)) / 2 + beta * penalty
    known = disjoint_cost(targets, beta)
    # The dual vectors gain at most β from any neuron, of which these are some.
    z = targets * np.minimum(1, beta / np.linalg.norm(targets, axis=0))
    features = NormalisedBefore(x, targets[:, 0], beta, patterns=_sampled).features
    g = rng.normal(size=(10_000, features.shape[1]))
    neurons = np.maximum((g / np.linalg.norm(g, axis=1, keepdims=True)) @ features.T, 0)
    gains = np.linalg.norm(neurons @ z, axis=1) / beta
    return Result({"optimum": known, "network": cost / known - 1, "gain": float(gains.max())})


def _with_pattern(features: np.ndarray, y: np.ndarray) -> Patterns:
    """The pattern of a 0–1 target, and of its negative."""
    return Patterns(np.array([y > 0, y <= 0]), False, min(features.shape))


def _sampled(features: np.ndarray) -> Patterns:
    return sampled_patterns(features, _SAMPLE)


def _stick(case: dict) -> Result:
    x, y = np.linspace(-1, 1, len(LABELS))[:, None], np.array(LABELS, dtype=float)
    program = NormalisedAfter(x, y, 0.02, bias=True)
    found = InteriorPoint()(program)
    runs = normalised_training(
        program,
        normalised_starts(program, case["width"], 3, seed=1),
        _adam(case["step"], case["steps"]),
        steps=case["steps"],
        is_inner_fixed=case["is_fixed"],
    )
    # What a missing neuron would gain, in units of what it would cost.
    prices = [program.support(f - y) / program.beta for f in runs.predictions[-1]]
    return Result(
        {
            "optimum": found.value,
            "lower_bound": found.lower_bound,
            "mapped": program.cost(found.network) / found.value - 1,
            "gaps": [float(c / found.lower_bound - 1) for c in runs.costs[-1]],
            "prices": prices,
            "constant": [float(c) for c in runs.constant()[-1]],
        },
        {
            "step": runs.steps,
            **{f"gap{r}": c / found.value - 1 for r, c in enumerate(runs.costs.T)},
        },
    )


def _bias(case: dict) -> Result:
    """A target of equal parts along all left singular vectors, of data of spread ones or not."""
    n, d = 40, 6
    rng = np.random.default_rng(case["seed"])
    u = rng.normal(size=(n, d))
    u = np.linalg.qr(u - u.mean(axis=0))[0]
    v = np.linalg.qr(rng.normal(size=(d, d)))[0]
    y = math.sqrt(n / d) * u @ rng.choice([-1.0, 1.0], size=d)
    # Without equal ones, whose directions an SVD does not tell apart.
    s = np.geomspace(1, 0.95 if case["is_whitened"] else 0.1, d)
    program = NormalisedBefore(math.sqrt(n) * u * s @ v.T, y, 0.05, patterns=_sampled)
    starts = normalised_starts(program, 60, _RUNS, seed=case["seed"])
    runs = normalised_training(program, starts, optax.sgd(1e-2), steps=case["steps"], records=60)
    found = alignment(runs)
    left = found.unlearnt.mean(axis=1)
    learnt = [float(t) for t in _first_below(left, LEARNT, runs.steps)]
    table = {f"unlearnt{i}": column for i, column in enumerate(left.T)}
    return Result(
        {
            "values": [float(one / found.values[0]) for one in found.values],
            # Those that are never learnt count as learnt after the end.
            "learnt": learnt,
            "left": [float(one) for one in left[-1]],
            "movement": [float(one) for one in found.movement[10].mean(axis=0)],
            "cost": float(runs.costs[-1].mean()),
        },
        {"step": runs.steps, **table},
    )


def _first_below(left: np.ndarray, level: float, steps: np.ndarray) -> np.ndarray:
    """The step, interpolated in logarithms, of which each column is below the level."""
    found = []
    for column in left.T:
        low = np.flatnonzero(column <= level)
        if not len(low):
            found.append(2.0 * steps[-1])
            continue
        i = int(low[0])
        if i < 2:
            found.append(float(max(steps[i], 1)))
            continue
        high, under = np.log(column[i - 1]), np.log(max(column[i], 1e-300))
        share = (high - math.log(level)) / (high - under)
        found.append(float(steps[i - 1] * (steps[i] / steps[i - 1]) ** share))
    return np.array(found)


def _truncation(case: dict) -> Result:
    x, y, beyond, targets, beta, ranks = _split(case)
    errors = []
    for rank in ranks:
        program = NormalisedBefore(x, y, beta, rank=rank, patterns=_sampled)
        found = AugmentedLagrangian(tolerance=1e-4)(program)
        errors.append(float(np.mean((found.network(beyond) - targets) ** 2)))
    # The program of all of them is the last one.
    runs = normalised_training(
        program,
        normalised_starts(program, 50, 3, seed=case["seed"]),
        optax.sgd(1e-2),
        steps=case["steps"],
        records=25,
    )
    along = runs.held_out(beyond, targets).mean(axis=1)
    return Result(
        {
            "ranks": ranks,
            "errors": errors,
            "variance": float(np.var(targets)),
            "stopped": float(along.min()),
            "stopped_at": int(runs.steps[np.argmin(along)]),
            "trained": float(along[-1]),
        },
        {"step": runs.steps, "error": along},
    )


def _split(case: dict):
    """Points to fit and points beyond, β, and the ranks to try, of which the last is all."""
    if case["data"] == "digits":
        data = digit_data(600, seed=case["seed"])
        x, y = data.points * 8, data.targets[:, 0]  # pixels of size one
        x = x[:, np.ptp(x[:150], axis=0) > 0]
        rank = int(np.linalg.matrix_rank(x[:150] - x[:150].mean(axis=0)))
        return x[:150], y[:150], x[150:], y[150:], 0.5, [2, 4, 8, 12, 16, 24, 32, rank]
    n, d, m = 60, 20, 1000
    rng = np.random.default_rng(case["seed"])
    s = np.geomspace(1, 0.05, d)
    z = rng.normal(size=(n + m, d))
    y = np.maximum(z[:, 0], 0) - np.maximum(z[:, 1] - z[:, 2], 0)
    noisy = y[:n] + 0.5 * rng.normal(size=n)
    return (z * s)[:n], noisy, (z * s)[n:], y[n:], 0.5, [1, 2, 3, 4, 6, 8, 12, 16, 20]
