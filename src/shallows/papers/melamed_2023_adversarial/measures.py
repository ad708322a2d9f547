"""What is measured: runs until a margin, and how far points are from a change of sign."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from shallows.certify.flip_bounds import AbstractNorm, Euclidean, Maximum, smallest_flip
from shallows.certify.verdict import Verdict
from shallows.lab import Result
from shallows.model import LinearSpline, Network
from shallows.model.subspace import (
    Subspace,
    SubspaceData,
    chessboard_data,
    coordinate_subspace,
    diagonal_data,
    digit_pair_data,
    random_labels,
    random_subspace,
)
from shallows.solve.flips import (
    FlipRadii,
    first_flip,
    flip_by_programme,
    flip_radii,
    input_gradient,
    ray_spline,
)
from shallows.solve.margin_training import (
    GaussianHeads,
    MarginDescent,
    MarginRun,
    SignHeads,
    Start,
    Trained,
    UniformHeads,
)

MARGIN = 1.0
"""Of every run in the set-up of the theorems."""
# η = this over d, far below where descent with |x|² = d becomes unstable, so that the margin is
# hardly exceeded.
_STEP = 4.0
# Beyond this a change of sign is none: weights that decay to rounding.
_FAR = 1e6
# Where the nearest flip in the whole plane is looked for.
_NEAR = 10.0

VARIANTS: dict[str, dict[str, tuple[Start, dict[str, Any]]]] = {
    "diagonal": {
        "vanilla": (GaussianHeads(100), {}),
        "small start": (GaussianHeads(100, 2.0), {}),
        "regularised": (GaussianHeads(100), {"first_layer": 0.05}),
        "weight decay": (GaussianHeads(100), {"decay": 0.004}),
    },
    "chessboard": {
        "vanilla": (UniformHeads(400, 1.0), {}),
        "regularised": (UniformHeads(400, 1.0), {"first_layer": 0.01}),
        "released": (UniformHeads(400, 3.0), {}),
        "released, regularised": (UniformHeads(400, 3.0), {"first_layer": 0.8}),
    },
}
"""Starts and penalties; sizes that are released, strengths of ours but for those called so."""
_RELEASED: dict[str, dict[str, Any]] = {
    "diagonal": {"step": 0.02, "margin": 0.3, "steps": 40_000},
    "chessboard": {"step": 0.05, "margin": 0.01, "steps": 100_000},
}
# Points along each side of pictures.
_GRID, _MAP = 81, 25


def measure(case: dict) -> Result:
    """One run and its flips; what a case asks is its `ask`."""
    match case["ask"]:
        case "released":
            return _released(case)
        case "smallest":
            return _smallest(case)
        case "digits":
            return _digits(case)
    return Result(_run(case, _data(case))[1])


def _subspace(case: dict) -> Subspace:
    d, l = case["inputs"], case["codimension"]
    return (
        random_subspace(d, l, seed=case["seed"]) if case["rotated"] else coordinate_subspace(d, l)
    )


def _data(case: dict) -> SubspaceData:
    return random_labels(_subspace(case), case["points"], seed=case["seed"])


def _run(case: dict, data: SubspaceData) -> tuple[MarginRun, dict[str, Any]]:
    start = SignHeads(case["width"], case["scale"]).draw(data.subspace.inputs, case["seed"])
    method = MarginDescent(
        step=case["step"] or _STEP / data.subspace.inputs,
        margin=MARGIN,
        decay=case["decay"],
        batch=case["batch"],
        steps=3000,
    )
    run = method.run(data, start, seed=case["seed"])
    network, subspace = run.end.network, data.subspace
    before, after = (subspace.coordinates_off(one.inner) for one in (start, run.end))
    kept = (1 - method.step * method.decay) ** run.steps
    radii = [flip_radii(network, x, subspace) for x in data.points]
    gradients = np.array([input_gradient(network, x) for x in data.points])
    off = np.linalg.norm(subspace.part_off(gradients), axis=1)
    on = np.linalg.norm(gradients - subspace.part_off(gradients), axis=1)
    enter = data.points @ run.end.inner.T
    active = np.count_nonzero(enter > 0, axis=1)
    outputs = run.end(data.points)
    suiting = np.count_nonzero((enter > 0) & (run.end.heads * outputs[:, None] > 0), axis=1)
    d, l, m = subspace.inputs, subspace.codimension, case["width"]
    bound = case["scale"] * kept * np.sqrt(active * l / (2 * m * d))
    # What the theorem says of the distance, but for its constant and β.
    distance = np.abs(outputs) * m / suiting * math.sqrt(d / l)
    universal = np.array([one.universal for one in radii])
    return run, {
        "ending": run.ending.name,
        "steps": run.steps,
        "margin": float(run.margins[-1]),
        "kept": kept,
        "drift": float(np.max(np.abs(after - kept * before)) / np.max(np.abs(before))),
        "gradient": float(np.median(off)),
        "on_gradient": float(np.median(on)),
        "bound": float(np.median(bound)),
        "above": int(np.count_nonzero(off >= bound)),
        "least_ratio": float(np.min(off / bound)),
        "typical_ratio": float(np.median(off / (math.sqrt(2) * bound))),
        **_medians(radii),
        "flipped": int(np.count_nonzero(np.isfinite(universal))),
        "distance_constant": float(np.max(universal / distance)),
    }


def _medians(radii: list[FlipRadii]) -> dict[str, float]:
    names = ("universal", "own", "on", "linear")
    return {name: float(np.median([getattr(one, name) for one in radii])) for name in names}


def _smallest(case: dict) -> Result:
    """Certified distances of a small network, in two norms, next to those along directions."""
    data = _data(case)
    run, values = _run(case, data)
    network, subspace = run.end.network, data.subspace
    found = []
    norms: tuple[AbstractNorm, ...] = (Euclidean(), Maximum())
    for x in data.points:
        radii = flip_radii(network, x, subspace)
        row: dict[str, Any] = {"universal": radii.universal, "own": radii.own}
        # Both norms are at most |z|₂, so that this one is inside.
        within = 1.01 * min(radii.universal, radii.own)
        for norm in norms:
            flip = smallest_flip(
                network, x, subspace.across, norm=norm, within=within, gap=1e-4,
                most=case["branches"],
            )  # fmt: skip
            row[norm.symbol] = [flip.lower, flip.upper]
            row[f"{norm.symbol} verdict"] = flip.verdict.name
            row[f"{norm.symbol} branches"] = flip.branches
        row["programme"] = None
        if row["|z|∞ verdict"] == Verdict.PROVED.name:
            box = 1.1 * row["|z|∞"][1]
            found_too = flip_by_programme(network, x, subspace.across, within=box, seconds=10.0)
            row["programme"] = found_too.radius
        found.append(row)
    return Result({**values, "flips": found})


def _digits(case: dict) -> Result:
    subspace = random_subspace(64 + case["codimension"], case["codimension"], seed=case["seed"])
    data = digit_pair_data(subspace, (3, 8), case["points"], seed=case["seed"])
    run, values = _run(case | {"rotated": True}, data)
    every = digit_pair_data(subspace, (3, 8), 357, seed=0)
    right = np.count_nonzero(every.labels * run.end(every.points) > 0) / len(every.labels)
    apart = np.linalg.norm(data.points[:, None] - data.points[None], axis=-1)
    apart[data.labels[:, None] == data.labels[None]] = np.inf
    # Whoever is as far from the boundary as data allow has half of this.
    return Result(
        {**values, "accuracy": right, "nearest_other": float(np.median(apart.min(axis=1)))}
    )


def _released(case: dict) -> Result:
    """The experiments of the released code: everything is trained, biases included."""
    kind = case["data"]
    data = diagonal_data() if kind == "diagonal" else chessboard_data()
    start, penalties = VARIANTS[kind][case["variant"]]
    method = MarginDescent(**_RELEASED[kind], **penalties, trained=Trained.everything)
    run = method.run(data, start.draw(data.subspace.inputs, case["seed"]))
    network, across = run.end.network, data.subspace.across[:, 0]
    distances = [_nearest(network, x, across) for x in data.points]
    gradients = np.array([input_gradient(network, x) for x in data.points])
    off = np.abs(gradients @ across) / np.linalg.norm(gradients, axis=1)
    before, after = (
        one.inner @ across
        - (data.subspace.offset @ across) * (one.bias if one.bias is not None else 0)
        for one in (run.start, run.end)
    )
    values = {
        "ending": run.ending.name,
        "steps": run.steps,
        "margin": float(run.margins[-1]),
        # Of w·z − h b for data at height h, which is w·z itself where they are at 0.
        "drift": float(np.max(np.abs(after - before)) / np.max(np.abs(before))),
        "distance": float(np.median(distances)),
        "distances": distances,
        "share_across": float(np.median(off)),
        "crossings": _crossings(network, data) if kind == "diagonal" else [],
    }
    if kind == "diagonal":
        flips = [smallest_flip(network, x, within=_NEAR, gap=1e-3, most=3000) for x in data.points]
        values["nearest"] = [[one.lower, one.upper] for one in flips]
        values["nearest verdicts"] = [one.verdict.name for one in flips]
    return Result(values, _pictures(network, data, kind) if case["seed"] == 0 else None)


def _nearest(network: Network, x: np.ndarray, direction: np.ndarray) -> float:
    """The distance to a change of sign, both ways along a line."""
    found = min(first_flip(network, x, direction), first_flip(network, x, -direction))
    return found if found < _FAR else math.inf


def _crossings(network: Network, data: SubspaceData) -> list[float]:
    """Between the first and the last point, angles of boundary and line in degrees."""
    along = data.subspace.along[:, 0]
    ends = data.points[[0, -1]] @ along
    place = float(ends.min())
    found: list[float] = []
    while True:
        step = first_flip(network, place * along, along)
        if place + step >= ends.max():
            return found
        place += step
        normal = input_gradient(network, place * along)
        found.append(
            math.degrees(math.asin(min(1.0, abs(normal @ along) / np.linalg.norm(normal))))
        )
        place += 1e-9


def _pictures(network: Network, data: SubspaceData, kind: str) -> dict[str, np.ndarray]:
    """Outputs in a plane, of which one direction is across; for the chessboard, and distances."""
    if kind == "diagonal":
        u, v = _grid(-1.3, 1.3, _GRID)
        return {"u": u, "v": v, "output": _outputs(network, np.column_stack([u, v]))}
    u, height = _grid(-0.1, 1.1, _GRID)
    middle = np.column_stack([u, np.full_like(u, 0.5), height])
    found = {"u": u, "v": height, "output": _outputs(network, middle)}
    x, y = _grid(0.0, 1.0, _MAP)
    across = data.subspace.across[:, 0]
    nearest = np.full(len(u), np.nan)
    for i, (p, q) in enumerate(zip(x, y, strict=True)):
        spline = ray_spline(network, np.array([p, q, data.subspace.offset[2]]), across)
        nearest[i] = _nearest_root(spline)
    return {**found, "distance": nearest}


def _outputs(network: Network, x: np.ndarray) -> np.ndarray:
    return np.asarray(network(jnp.asarray(x)))


def _nearest_root(spline: LinearSpline) -> float:
    """The |t| of the zero of a spline that is nearest to 0."""
    places = np.concatenate([[-_FAR], spline.knots[np.abs(spline.knots) < _FAR], [_FAR]])
    values = spline(places)
    left = np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))
    if not len(left):
        return math.inf
    a, b = values[left], values[left + 1]
    return float(np.min(np.abs(places[left] + (places[left + 1] - places[left]) * a / (a - b))))


def _grid(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    side = np.linspace(low, high, count)
    u, v = np.meshgrid(side, side, indexing="ij")
    return u.ravel(), v.ravel()
