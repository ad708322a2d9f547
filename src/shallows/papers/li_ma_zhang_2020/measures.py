"""How each question about the paper is measured; what a case asks is its `ask`."""

import math
from collections.abc import Callable

import numpy as np
import scipy.integrate
import scipy.special
import scipy.stats

from shallows.lab import Result
from shallows.landscape.norm_weighted import (
    AbstractNormWeighted,
    NormWeighted,
    SampledNormWeighted,
    degree_two_floor,
    order_coefficient,
)
from shallows.model import absolute, relu
from shallows.model.tangent import WideLimit
from shallows.solve.evolution import Ending
from shallows.solve.kernel_regression import KernelRegression
from shallows.solve.truncated import Stage, plateau, truncated_descent, winning_shares

STEP = 0.2
"""η of W ← W − η m ∇L. At 0.4 the absolute-value student of d = 30 diverges."""
ORDERS = (0, 1, 2, 4, 6)
_STUDENTS = {"abs": absolute, "relu": relu}


def measure(case: dict) -> Result:
    """One question; see the functions below."""
    ask, rest = case["ask"], {k: v for k, v in case.items() if k != "ask"}
    return _MEASURES[ask](**rest)


def hermite_mass(k: int) -> float:
    """What |z| has of the k-th Hermite polynomial, by quadrature: (E |z| He_k(z))² / k!."""
    value, _ = scipy.integrate.quad(
        lambda z: z * scipy.special.eval_hermitenorm(k, z) * math.exp(-z * z / 2), 0, 12, limit=200
    )
    return 2 / math.pi * value**2 / math.factorial(k)


def series_gradient(
    loss: NormWeighted, w: np.ndarray, orders: int, is_projected_on_neuron: bool
) -> np.ndarray:
    """The gradient m ∂L/∂w of the absolute-value student by order, with the constants of Eqs. 7, 8.

    Let t = Σ_j q_j (v_j·u)^(2j−1) v_j be the contraction of the tensor of order 2j along u = w/|w|.
    Its part of the gradient is |w| times b t + b′ P t with b = 4j c and b′ = (4j − 4) c where P
    projects on the complement of u; or b t − b′ P t where P projects on u.
    """
    norm = np.linalg.norm(w, axis=1, keepdims=True)
    u, heads = w / norm, loss.heads
    mass, r = np.concatenate([norm[:, 0] ** 2 / len(w), -heads]), np.hstack([u @ u.T, u])
    directions = np.vstack([u, np.eye(heads.size)])
    total = 4 * order_coefficient(0) * mass.sum() * w
    for k in range(2, orders + 1, 2):
        c = order_coefficient(k)
        t = (r ** (k - 1) * mass) @ directions
        along = np.sum(t * u, axis=1, keepdims=True) * u
        b, more = 2 * k * c, (2 * k - 4) * c
        part = b * t - more * along if is_projected_on_neuron else b * t + more * (t - along)
        total = total + norm * part
    return total


def _formula(activation, neurons, inputs, samples):
    rng = np.random.default_rng(0)
    loss = NormWeighted(rng.uniform(0.1, 0.5, inputs), _STUDENTS[activation])
    w = rng.normal(size=(neurons, inputs))
    value, gradient, h = float(loss(w)), loss.gradient(w), 1e-5
    steps = h * np.eye(w.size).reshape(-1, *w.shape)
    slopes = (loss(w + steps) - loss(w - steps)).reshape(w.shape) / (2 * h)
    parts = []
    for _ in range(20):
        x = rng.normal(size=(samples // 20, inputs))
        parts.append(float(SampledNormWeighted(loss, x)(w)))
    error = np.std(parts, ddof=1) / math.sqrt(len(parts))
    # Eq. 4 as printed is that of unscaled neurons, with order 1 where σ is not even.
    printed = NormWeighted(loss.heads)
    first = 0.0 if activation == "abs" else order_one_as_printed(w)
    size = np.max(np.abs(gradient))
    readings = {
        name: float(np.max(np.abs(series_gradient(loss, w, 400, flag) - gradient)) / size)
        for name, flag in (("on_complement", False), ("on_neuron", True))
    }
    coefficients = [abs(order_coefficient(k) - hermite_mass(k)) for k in range(0, 21, 2)]
    orders = [0, 1, *range(2, 2001, 2)]
    tail = abs(float(np.sum(loss.orders(w, orders))) - value) / value
    return Result(
        {
            "errors": (np.mean(parts) - value) / error,
            "printed_errors": (np.mean(parts) - float(printed(w)) - first) / error,
            "loss": value,
            "gradient_difference": float(np.max(np.abs(slopes * neurons - gradient)) / size),
            "orders_difference": tail,
            "coefficient_difference": max(coefficients),
            "c": {str(k): order_coefficient(k) for k in (0, 2, 4, 6)},
            "c_sum_to_2000": sum(order_coefficient(k) for k in range(0, 2001, 2)),
            "gradient_readings": readings if activation == "abs" else {},
        }
    )


def order_one_as_printed(w: np.ndarray) -> float:
    """‖mean |w| w‖² times the least c₁ that Eq. 4 can have: that of the ReLU's odd part, ¼."""
    return 0.25 * float(np.sum(np.mean(np.linalg.norm(w, axis=1)[:, None] * w, axis=0) ** 2))


def start_of(neurons: int, inputs: int, seed: int, pairs: bool = False) -> np.ndarray:
    """wᵢ ~ N(0, I/d); in `pairs`, every w with −w."""
    rng = np.random.default_rng([seed, neurons, inputs])
    if pairs:
        half = rng.normal(size=(neurons // 2, inputs)) / math.sqrt(inputs)
        return np.concatenate([half, -half])
    return rng.normal(size=(neurons, inputs)) / math.sqrt(inputs)


def teacher_heads(inputs: int, kappa: float) -> np.ndarray:
    """Heads that add up to 1, geometrically from the least to κ² times it; equal for κ = 1."""
    heads = np.geomspace(1 / kappa, kappa, inputs)
    return heads / heads.sum()


def _training(
    activation, neurons, inputs, seed, time, samples=None, bounds=None, pairs=False, kappa=1.0
):
    heads = teacher_heads(inputs, kappa)
    exact, floor = NormWeighted(heads, _STUDENTS[activation]), degree_two_floor(heads)
    start = start_of(neurons, inputs, seed, pairs)
    loss: AbstractNormWeighted = exact
    records, until = 150, 0.01 * floor
    if samples is not None:
        points = np.random.default_rng([seed, samples, 1]).normal(size=(samples, inputs))
        loss, records, until = SampledNormWeighted(exact, points), 60, 0.0
    limits = [math.inf] if bounds is None else bounds
    steps = round(time / STEP / len(limits))
    stages = [Stage(STEP, steps, bound) for bound in limits]
    run = truncated_descent(loss, start, stages, records=records, until=until)
    if run.ending is Ending.diverged:
        return Result({**_NOTHING, "floor": floor, "outcome": run.ending.name})
    values = exact(run.students)
    orders = exact.orders(run.students, ORDERS)
    table = {"time": run.times, "loss": values, "frozen": run.frozen}
    table |= {f"order_{k}": orders[:, i] for i, k in enumerate(ORDERS)}
    table["remainder"] = values - orders.sum(axis=1)
    if samples is not None:
        table["sampled_loss"] = np.array([float(loss(w)) for w in run.students])
    found = {
        "floor": floor,
        "outcome": run.ending.name,
        "time_run": float(run.times[-1]),
        "loss": float(values[-1]),
        "sampled_loss": float(table["sampled_loss"][-1]) if samples is not None else None,
        "frozen": float(run.frozen[-1]),
        "largest_norm": float(np.max(np.linalg.norm(run.students[-1], axis=1))),
        "order_1": [float(orders[0, 1]), float(np.max(np.abs(orders[:, 1])))],
        "best_start": best_start(start),
        **_stay(run, values, orders, floor),
        **_lottery(run, values, floor),
    }
    return Result(found, table)


# What is not known of a run that diverged.
_NOTHING = dict.fromkeys(
    (
        "time_run",
        "loss",
        "sampled_loss",
        "frozen",
        "largest_norm",
        "order_1",
        "best_start",
        "plateau",
        "low_fell",
        "fourth_fell",
        "lottery",
    )
)


def _stay(run, values, orders, floor) -> dict:
    """The plateau, and when orders fall: 0 and 2 to a tenth of the floor, 4 to half of its own."""
    if not np.min(values) <= 2 * floor:
        return {"plateau": None, "low_fell": None, "fourth_fell": None}
    found = plateau(run.times, values, floor)
    low = orders[:, 0] + orders[:, 2]
    fourth = order_coefficient(4) / order_tail() * floor
    fell = [
        next((float(t) for t, x in zip(run.times, series, strict=True) if x <= level), None)
        for series, level in ((low, floor / 10), (orders[:, 3], fourth / 2))
    ]
    end = found.exit if math.isfinite(found.exit) else None
    return {
        "plateau": {
            "entry": found.entry,
            "exit": end,
            "length": None if end is None else found.length,
            "height_over_floor": found.height / floor,
        },
        "low_fell": fell[0],
        "fourth_fell": fell[1],
    }


def best_start(w: np.ndarray) -> float:
    """The squared coordinate of the neuron that leads for a teacher, the median over teachers."""
    shares = w**2 / np.sum(w**2, axis=1, keepdims=True)
    return float(np.median(shares.max(axis=0)))


def order_tail() -> float:
    """Σ c_k over k ≥ 4, which is 1 − 3/π."""
    return 1 - 3 / math.pi


def _lottery(run, values, floor) -> dict:
    """Who has won when the plateau ends, and what they had at the start.

    A winner has ¾ or more of its squared length along one teacher.
    """
    late = np.flatnonzero(values <= floor / 2)
    if not len(late):
        return {"lottery": None}
    first, last = run.students[0], run.students[late[0]]
    before, after = winning_shares(first), winning_shares(last)
    won = after >= 0.75
    if not 0 < won.sum() < len(won):
        return {"lottery": None}
    same = np.argmax(first**2, axis=1) == np.argmax(last**2, axis=1)
    # The chance that a winner had more than a loser: Mann & Whitney's U, over all pairs.
    test = scipy.stats.mannwhitneyu(before[won], before[~won], alternative="greater")
    chance = float(test.statistic) / (won.sum() * (~won).sum())
    held = np.linalg.norm(last, axis=1) ** 2
    return {
        "lottery": {
            "winners": int(won.sum()),
            "neurons": len(won),
            "chance": chance,
            "p_value": float(test.pvalue),
            "kept_coordinate": int(np.sum(won & same)),
            "share_of_mass": float(held[won].sum() / held.sum()),
            "least_initial_of_winners": float(before[won].min()),
            "median_initial": [float(np.median(before[won])), float(np.median(before[~won]))],
            "teachers_won": len(set(np.argmax(last[won] ** 2, axis=1).tolist())),
        }
    }


def kernel_matrix(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The tangent kernel of wide two-layer ReLU networks, or that of their heads alone."""
    limit = WideLimit()
    return np.asarray(limit.tangent(x, y) if name == "ntk" else limit.covariance(x, y))


def _kernel(kernel, inputs, samples, tests, seed, kappa=1.0):
    """Ridge regression with the ridge that is best on the test points, in favour of the kernel."""
    rng = np.random.default_rng([seed, samples, 1])
    x, z = rng.normal(size=(samples, inputs)), rng.normal(size=(tests, inputs))
    heads = teacher_heads(inputs, kappa)
    y, target = np.abs(x) @ heads, np.abs(z) @ heads
    gram, across = kernel_matrix(kernel, x, x), kernel_matrix(kernel, z, x)
    mean = float(np.trace(gram)) / samples
    ridges, found = [1e-6, 1e-4, 1e-2, 0.1, 1.0], []
    for ridge in ridges:
        squares = (KernelRegression(gram, y, ridge * mean)(across) - target) ** 2
        found.append((float(squares.mean()), float(squares.std(ddof=1) / math.sqrt(tests))))
    best = min(range(len(ridges)), key=lambda i: found[i][0])
    return Result(
        {
            "floor": degree_two_floor(heads),
            "loss": found[best][0],
            "standard_error": found[best][1],
            "ridge": ridges[best],
            "losses": {str(r): one[0] for r, one in zip(ridges, found, strict=True)},
        }
    )


_MEASURES: dict[str, Callable[..., Result]] = {
    "formula": _formula,
    "training": _training,
    "kernel": _kernel,
}
