"""What is measured: runs of descent, searches for widths, and digits."""

import numpy as np

from shallows.certify.gram import least_eigenvalue
from shallows.lab import Result
from shallows.model.unit_data import UnitData, digit_data, pair_data
from shallows.solve.overparameterised import (
    HeNetwork,
    WideEnding,
    WideRun,
    output_kernel,
    smallest_width,
    wide_descent,
)

CONSTANT = 0.5
"""μ, the last coordinate of every point."""
UNTIL = 1e-4
"""ε: the loss in units of that at the start, at which a run has converged."""
# No two points but the first two are closer.
_APART = 0.8
# Steps, in units of those that theory allows.
_PATIENCE = 5


def measure(case: dict) -> Result:
    """One run or one search; what a case asks is its `ask`."""
    if case["ask"] == "width":
        return _width(case)
    if case["ask"] == "limit":
        found = least_eigenvalue(HeNetwork(1).limit, _data(case, case["seed"]).points)
        return Result({"ball": list(found.enclosure), "positive": found.verdict.name})
    if case["ask"] == "digits":
        data = digit_data(case["points"], outputs=case["outputs"], seed=case["seed"])
        return _run(data, HeNetwork(case["width"]), case["seed"])
    return _run(_data(case, case["seed"]), HeNetwork(case["width"], case["depth"]), case["seed"])


def _data(case: dict, seed: int) -> UnitData:
    return pair_data(
        case["points"],
        case["inputs"],
        case["separation"],
        outputs=case["outputs"],
        constant=CONSTANT,
        apart=_APART,
        seed=seed,
    )


def _run(data: UnitData, law: HeNetwork, seed: int) -> Result:
    n, k = len(data.points), data.outputs
    allowed = law.allowed_steps(data, UNTIL)
    step = law.step(k)
    run = wide_descent(
        data, law.draw(data, seed), step=step, steps=_PATIENCE * allowed, until=UNTIL
    )
    ball = least_eigenvalue(law.limit, data.points)
    kernels = [output_kernel(network, data.points) for network in (run.start, run.end)]
    values = [np.linalg.eigvalsh(kernel) for kernel in kernels]
    ratios = [run.ratios[0], run.ratios[-1]]
    vector = (run.end(data.points) - data.targets).T.ravel()
    square = float(vector @ kernels[1] @ vector) / n**2
    predicted = run.prediction()
    away = np.abs(np.sqrt(predicted) - np.sqrt(run.losses[run.records])) / np.sqrt(run.losses[0])
    # What of λ_min of infinite width, in the units of K.
    limit = law.width / k * float(np.linalg.eigvalsh(law.limit.tangent(data.points))[0])
    return Result(
        {
            "ending": run.ending.name,
            "iterations": run.iterations if run.ending is WideEnding.converged else None,
            "allowed": allowed,
            "separation": data.separation,
            "ball": list(ball.enclosure),
            "positive": ball.verdict.name,
            "rate": law.rate(data),
            "least_ratio": float(run.ratios.min()),
            "limit_ratio": 2 * limit / n,
            "start_ratio": 2 * float(values[0][0]) / n,
            "relation_error": abs(square / run.squares[-1] - 1),
            "relation_holds": bool(
                all(
                    2 * v[0] / n <= ratio * (1 + 1e-9) and ratio <= 2 * v[-1] / n * (1 + 1e-9)
                    for v, ratio in zip(values, ratios, strict=True)
                )
            ),
            "length": float(run.lengths[-1]),
            "displacement": float(run.displacements[-1]),
            "largest_move": float(run.largest_moves[-1]),
            "flips": float(run.flips[-1]),
            "kernel_drift": float(
                np.linalg.norm(kernels[1] - kernels[0]) / np.linalg.norm(kernels[0])
            ),
            "prediction_error": float(np.max(away)),
        },
        _table(run, predicted),
    )


def _table(run: WideRun, predicted: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "step": run.records,
        "loss": run.losses[run.records],
        "predicted": predicted,
        "ratio": run.ratios[run.records],
        "displacement": run.displacements,
        "flips": run.flips,
    }


def _width(case: dict) -> Result:
    first = case["group"] * case["starts"]
    sets = [_data(case, seed) for seed in range(first, first + case["starts"])]
    found = smallest_width(
        sets, depth=case["depth"], until=UNTIL, kept=case["kept"], most=case["most"]
    )
    return Result(
        {
            "width": found.width,
            "tried": [list(one) for one in found.tried],
            "allowed": list(found.steps),
        }
    )
