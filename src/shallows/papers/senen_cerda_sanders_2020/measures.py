"""What is measured: flows of linear networks under dropout, and runs with masks."""

import math
from typing import Any

import numpy as np

from shallows.lab import Result
from shallows.landscape import (
    Dropconnect,
    Dropout,
    LinearLoss,
    balanced,
    gaussian_start,
    minimisers,
    rank_one_levels,
)
from shallows.solve.linear_flow import Arrival, linear_flow, masked_descent

MASKS = {"dropout": Dropout, "dropconnect": Dropconnect}


def measure(case: dict) -> Result:
    """One flow, or one sample of masks."""
    if case["ask"] == "identity":
        return _identity(case)
    if case["ask"] == "masks":
        return _masked(case)
    return _flow(case)


def _loss(case: dict) -> LinearLoss:
    o, d = case["shape"]
    rng = np.random.default_rng([o, d])
    u, v = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (o, d))
    s = np.array(case["singular"])
    loss = LinearLoss(
        u[:, : len(s)] * s @ v[:, : len(s)].T, case["units"], MASKS[case["masks"]](case["p"])
    )
    return loss.original if case.get("original") else loss


def _identity(case: dict) -> Result:
    """How many standard errors the sampled loss, and each entry of its gradient, is away."""
    n, worst = 20_000, []
    for units, shape in ((3, [2, 3]), (5, [4, 1])):
        loss = _loss({**case, "units": units, "shape": shape, "singular": [1.5]})
        for one in (loss, loss.original):
            rng = np.random.default_rng(units)
            a, b = gaussian_start(one, 1.0, rng)
            many = np.tile(a, (n, 1, 1)), np.tile(b, (n, 1, 1))
            values = np.asarray(one.filtered(*many, rng))
            worst.append(abs(values.mean() - one(a, b)) / (values.std() / math.sqrt(n)))
    return Result({"standard_errors": [float(x) for x in worst], "draws": n})


def _flow(case: dict) -> Result:
    loss = _loss(case)
    known = minimisers(loss)
    rng = np.random.default_rng(case["seed"])
    if case["start"] == "near":
        a, b = known.point()
        x, y = gaussian_start(loss, 0.05, rng)
        start = balanced(a + x, b + y)
    else:
        start = gaussian_start(loss, 0.5, rng)
        if "balanced" in case["start"]:
            start = balanced(*start)
    run = linear_flow(loss, *start)
    point = known.point()
    values: dict[str, Any] = {
        "arrival": run.arrival.name,
        "rank": known.rank,
        "margin": known.margin,
        "dimension": known.dimension,
        "groups": known.groups(*point),
        "drift": run.evolution.drift("conserved"),
        "time": float(run.evolution.times[-1]),
        "closed_rate": 2 * rank_one_levels(loss)[1][0] if len(case["singular"]) == 1 else None,
        "balanced_rate": known.spectrum(*point).rate,
        "imbalance": float(np.max(np.abs(loss.conserved(loss.join(*start))))),
    }
    if run.arrival is Arrival.arrived and run.limit is not None and run.spectrum is not None:
        a, b = run.limit
        products = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=1)
        singular = np.linalg.svd(loss.gain**2 * a @ b)[1]
        expected = np.pad(known.singular, (0, len(singular) - known.rank))
        kept = loss.conserved(loss.join(a, b))
        fitted = run.rate()
        values |= {
            "excess": float(run.gap(run.evolution.times[-1:])[0]),
            "products_differ": float(np.ptp(products) / products[0]),
            "values_differ": float(np.max(np.abs(singular - expected))),
            "zeros": run.spectrum.zeros,
            "rate": run.spectrum.rate,
            "fitted": fitted.value,
            "linear_rate": run.linear_rate().value,
            "fitted_error": fitted.standard_error,
            "end_imbalance": float(np.max(np.abs(kept))),
        }
    else:
        # The power of time with which the gap falls, over the last two octaves.
        times = run.evolution.times[-1] * np.array([0.25, 1.0])
        gaps = run.gap(times)
        values["power"] = float(np.log(gaps[0] / gaps[1]) / math.log(4)) if gaps[1] > 0 else None
    return Result(values)


def _masked(case: dict) -> Result:
    loss = _loss({**case, "shape": [3, 2], "singular": [2.0]})
    start = gaussian_start(loss, 0.4, np.random.default_rng(0))
    flow, step = linear_flow(loss, *start), case["step"]
    runs = masked_descent(
        loss, *start, step=step, steps=round(2 / step), runs=case["runs"], every=round(0.5 / step)
    )
    exact = flow.gap(runs.times) + flow.minimisers.value
    return Result(
        {
            "times": runs.times.tolist(),
            "flow": exact.tolist(),
            "mean": runs.mean.tolist(),
            "standard_error": runs.standard_error.tolist(),
            "spread": runs.losses.std(axis=0).tolist(),
        }
    )
