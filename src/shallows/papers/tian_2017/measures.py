"""How each question about the paper is measured; what a case asks is its `ask`."""

import dataclasses
import functools
import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.stats

from shallows.atlas.out_of_plane import OutOfPlane, out_of_plane_search, simplex_point
from shallows.lab import Result
from shallows.landscape import SquaredLoss
from shallows.landscape.planar import directions, is_inside_cone, planar_residual
from shallows.model import Gaussian, Network, orthonormal
from shallows.model.pulls import expected_pull, pull_error, sampled_pull
from shallows.solve import GradientFlow, symmetric_point, trajectory
from shallows.solve.one_neuron import decay, distances, radius_of, share_in_ball, starts_in_ball
from shallows.solve.symmetric_flow import Ending, jacobian, symmetric_trajectory, velocity
from shallows.symmetry import Blocks, ReducedLoss, Teacher, orthonormal_teacher
from shallows.symmetry.reduced import full_loss


def measure(case: dict) -> Result:
    """One question; see the functions below."""
    ask, rest = case["ask"], {k: v for k, v in case.items() if k != "ask"}
    return Result(_MEASURES[ask](**rest))


def expected_update(w: np.ndarray, v: np.ndarray) -> np.ndarray:
    """E[Δw]/N of Lemma 3.1 for student neurons w (… × k × d) and teachers v: minus the gradient."""
    unit = w / np.linalg.norm(w, axis=-1, keepdims=True)
    pull = functools.partial(expected_pull, unit[..., :, None, :])
    theirs, ours = pull(v[..., None, :, :]), pull(w[..., None, :, :])
    return theirs.sum(axis=-2) - ours.sum(axis=-2)


def field(x, y, K: int):
    """Eq. 16: (2π/N) E[(Δx, Δy)]."""
    α = 1 / np.sqrt(x**2 + (K - 1) * y**2)
    θ, φ_star = np.arccos(α * x), np.arccos(α * y)
    φ = np.arccos(α**2 * (2 * x * y + (K - 2) * y**2))
    common = (np.pi - φ) * (x - 1 + (K - 1) * y)
    along = (K - 1) * (α * np.sin(φ_star) - np.sin(φ)) + α * np.sin(θ)
    return np.stack(
        [
            -(common + θ + φ * (x - 1)) + along * x,
            -(common + φ_star - φ + φ * y) + along * y,
        ],
        axis=-1,
    )


def saddle(K: int) -> float:
    """The x = y of Theorem 4.1."""
    return (math.sqrt(K - 1) - math.acos(1 / math.sqrt(K)) + math.pi) / (math.pi * K)


def escape_rate(K: int) -> float:
    r"""The saddle's rate of escape, $K/(2\pi x \sqrt{K - 1})$; ours.

    Where all neurons agree, what differs between them sees only the teachers' half of the Hessian,
    $-\\sum_j h_1(w, v_j)$, K equal terms.
    """
    return K / (2 * math.pi * saddle(K) * math.sqrt(K - 1))


def _formula(neurons, inputs):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(20, neurons, inputs))
    if neurons == 1:
        # (w* − w)/2 + (α sin θ w − θ w*)/2π, for w* the first unit vector.
        star, one = np.eye(1, inputs), w[:, 0]
        size = np.linalg.norm(one, axis=1, keepdims=True)
        θ = np.arccos(one[:, :1] / size)
        found = (star - one) / 2 + (np.sin(θ) / size * one - θ * star) / (2 * np.pi)
        ours = velocity(full_loss(1, inputs), one)
        found = np.stack([found, expected_update(w, star)[:, 0]])
    else:
        v = rng.normal(size=(neurons, inputs))
        loss = SquaredLoss(Network(v), Gaussian(inputs))
        ours = -np.asarray(loss.gradient_at(jnp.array(w), jnp.ones(w.shape[:2])))
        found = expected_update(w, v)
    return {"relative_difference": np.max(np.abs(found - ours)) / np.max(np.abs(ours))}


def _sampling(angle, inputs, samples, repeats):
    rng = np.random.default_rng(0)
    e, w = np.eye(inputs)[0], np.eye(inputs)[:2].T @ [np.cos(angle), np.sin(angle)]
    mean = expected_pull(e, w)
    x = (rng.normal(size=(samples, inputs)) for _ in range(repeats))
    squares = np.array([np.sum((sampled_pull(e, w, one) - mean) ** 2) for one in x]) / (mean @ mean)
    expected = float(pull_error(angle, inputs, samples)) ** 2
    errors = (squares.mean() - expected) / (squares.std(ddof=1) / math.sqrt(repeats))
    return {"rms": math.sqrt(squares.mean()), "exact": math.sqrt(expected), "errors": errors}


def _cube(inputs, samples):
    """The sampled pull in the plane of e and w, of generic directions, over a twelfth."""
    rng = np.random.default_rng(0)
    plane, _ = np.linalg.qr(rng.normal(size=(inputs, 2)))
    e, w = plane[:, 0], plane @ [0.5, math.sqrt(0.75)]
    parts = []
    for _ in range(20):
        x = rng.uniform(-0.5, 0.5, size=(samples // 20, inputs))
        seen = x @ w
        parts.append(12 * np.where((x @ e > 0) & (seen > 0), seen, 0.0) @ (x @ plane) / len(x))
    mean, exact = np.mean(parts, axis=0), plane.T @ expected_pull(e, w)
    error = np.linalg.norm(np.std(parts, axis=0, ddof=1)) / math.sqrt(len(parts))
    size = np.linalg.norm(exact)
    return {"bias": np.linalg.norm(mean - exact) / size, "standard_error": error / size}


def _lyapunov(grid):
    """The least rate at which V falls, |w*| = 1; also for all w up to length 5."""
    r, θ = np.meshgrid(np.linspace(5e-3, 5, grid), np.linspace(0, np.pi, grid))
    w = np.stack([r * np.cos(θ), r * np.sin(θ)], axis=-1)
    distance = np.linalg.norm(w - [1.0, 0.0], axis=-1)
    w, distance = w[distance > 1e-6], distance[distance > 1e-6]
    rate = decay(w)
    return {"least_in_ball": rate[distance < 1].min(), "least_anywhere": rate.min()}


def _one_neuron(epsilon, inputs, starts):
    radius = radius_of(epsilon, inputs)
    _, distance = distances(starts_in_ball(inputs, radius, starts))
    near = distance[0] < 1
    falls = np.all((np.diff(distance, axis=0) < 0) | (distance[1:] < 1e-4), axis=0)
    converged = int(np.sum(distance[-1] < 1e-4))
    low, high = scipy.stats.binomtest(converged, starts).proportion_ci(0.99, method="exact")
    return {
        "converged": converged,
        "interval": [float(low), float(high)],
        "bound": (1 - epsilon) / 2,
        "in_ball": int(near.sum()),
        "in_ball_exact": share_in_ball(radius, inputs),
        "decreasing": int(falls.sum()),
        "decreasing_in_ball": int(falls[near].sum()),
    }


def _reduction(neurons):
    rng = np.random.default_rng(0)
    loss, K = ReducedLoss(Blocks((neurons,))), neurons
    points = rng.uniform(-1.5, 1.5, size=(200, 2))
    ours = velocity(loss, points)
    scale = np.max(np.abs(ours))
    worst = {
        "equation": np.max(np.abs(field(points[:, 0], points[:, 1], K) / (2 * np.pi) - ours))
        / scale
    }
    if K <= 10:
        full = expected_update(np.array([loss.blocks.embed(p) for p in points[:20]]), np.eye(K))
        back = np.array([loss.blocks.embed(v) for v in ours[:20]])
        worst["full_gradient"] = np.max(np.abs(full - back)) / scale
    return worst


def _saddle(neurons):
    loss, x = ReducedLoss(Blocks((neurons,))), saddle(neurons)
    rates = np.sort(np.linalg.eigvals(jacobian(loss, np.array([x, x]))).real)
    found = symmetric_point(loss, [1.02 * x, 0.99 * x]).point
    ends = [
        symmetric_trajectory(loss, [start, start], near=[x, x], within=1e-6, tolerance=1e-9)
        for start in (1e-3, 1.0)
    ]
    return {
        "location": x,
        "difference": float(np.max(np.abs(found - x))),
        "residual": float(np.max(np.abs(velocity(loss, np.array([x, x]))))),
        "rates": rates.tolist(),
        "expected": [-neurons / 2, escape_rate(neurons)],
        "arrived": all(end.ending is Ending.arrived for end in ends),
        "loss": float(loss.value(np.array([x, x]))),
    }


def _journey(neurons):
    loss = ReducedLoss(Blocks((neurons,)))
    run = symmetric_trajectory(loss, [1e-3, 0.0], near=[1.0, 0.0])
    signs = np.sign(velocity(loss, run.points))
    return {
        "arrived": run.ending is Ending.arrived,
        "time": run.times[-1],
        "highest": run.highest(1),
        "x_grows": bool(np.all(signs[:, 0] > 0)),
        "turns_of_y": int(np.sum(np.diff(signs[:, 1]) != 0)),
        "y_first": float(signs[0, 1]),
    }


def _breaking(neurons):
    loss, steps = ReducedLoss(Blocks((neurons,))), [10.0**-m for m in range(5, 8)]
    times = [symmetric_trajectory(loss, [0.1 + δ, 0.1], near=[1.0, 0.0]).times[-1] for δ in steps]
    slopes = np.diff(times) / math.log(10)
    return {"times": times, "slopes": slopes.tolist(), "rate": escape_rate(neurons)}


def _region(neurons, grid):
    """Starts in Ω, and one in its mirror image."""
    loss, places = ReducedLoss(Blocks((neurons,))), (np.arange(grid) + 0.5) / grid
    starts = [[x, y] for x in places for y in (0.0, *places[places < x])]
    run = functools.partial(symmetric_trajectory, loss, near=[1.0, 0.0], tolerance=1e-8)
    other = run([0.1, 0.5]).points[-1]
    return {
        "starts": len(starts),
        "arrived": sum(run(start).ending is Ending.arrived for start in starts),
        "mirrored_end": other.tolist(),
        "mirrored_loss": float(loss.value(other)),
    }


def _noise(neurons, runs, levels):
    rng = np.random.default_rng(0)
    identity = np.eye(neurons)
    starts = [1e-3 * identity + s * rng.normal(size=(runs, neurons, neurons)) for s in levels]
    loss = SquaredLoss(orthonormal(neurons), Gaussian(neurons))
    done = trajectory(
        loss, Network(np.concatenate(starts)), GradientFlow(), newton=False, tolerance=1e-6
    )
    inner = np.asarray(done.student.inner).reshape(len(levels), runs, neurons, neurons)
    same = np.linalg.norm(inner - identity, axis=(-2, -1)) < 1e-3
    return {
        "settled": sum(outcome.name == "settled" for outcome in done.outcome),
        "same_order": same.sum(axis=1).tolist(),
        "global": np.sum(done.loss.reshape(len(levels), runs) < 1e-6, axis=1).tolist(),
    }


def _heads(first, heads):
    """Ten neurons, `first` of them with the first head; start and flow keep that symmetry."""
    blocks = Blocks((first, 10 - first))
    orthogonal = orthonormal_teacher(blocks)
    loss = ReducedLoss(blocks, Teacher(orthogonal.rows, orthogonal.point, tuple(heads)), heads)
    star = np.array([float(bool(orbit.is_diagonal)) for orbit in blocks.orbits])
    run = symmetric_trajectory(loss, 1e-3 * star, near=star, tolerance=1e-7)
    return {"ending": run.ending.name, "loss": float(loss.value(run.points[-1]))}


def _points(found):
    return [{f.name: getattr(p, f.name) for f in _KEPT} for p in found]


def _simplex(neurons, inputs):
    return {"points": _points([simplex_point(neurons, inputs)])}


def _search(neurons, inputs, starts):
    return {"points": _points(out_of_plane_search(neurons, inputs, starts))}


_KEPT = [f for f in dataclasses.fields(OutOfPlane) if f.name != "weights"]


def _cone(angles):
    """Signs of L on a grid of students' angles and teachers, 0.02 away from the cone's edges."""
    points = wrong = 0
    chosen = [3 * np.pi / 8, 7 * np.pi / 8, *np.linspace(0.05, np.pi - 0.05, angles)]
    for angle in chosen:
        first, second = directions(np.array([0.0, angle]))
        φ = np.linspace(0, 2 * np.pi, 361)
        away = [np.abs(np.angle(np.exp(1j * (φ - edge)))) >= 0.02 for edge in (0.0, angle)]
        w = directions(φ[away[0] & away[1]])
        inside = is_inside_cone(first, second, w)
        signs = planar_residual(first, second, w) > 0
        points, wrong = points + len(w), wrong + int(np.sum(signs != inside[:, None]))
    return {"points": points, "violations": wrong, "angles": len(chosen)}


def _planar(teachers):
    """Critical points in the plane of random teacher pairs, and how many teachers each encloses."""
    rng = np.random.default_rng(0)
    enclosed = {"0": 0, "1": 0, "2": 0, "edge": 0}
    for _ in range(teachers):
        v = rng.normal(size=(2, 2))
        for _ in range(10):
            run = scipy.optimize.least_squares(
                lambda p, v=v: expected_update(p.reshape(2, 2), v).ravel(),
                rng.normal(size=4),
                xtol=1e-15,
                ftol=1e-15,
                gtol=1e-15,
            )
            w = run.x.reshape(2, 2)
            unit = w / np.linalg.norm(w, axis=1, keepdims=True)
            if np.max(np.abs(run.fun)) > 1e-11 or abs(np.linalg.det(unit)) < 1e-6:
                continue
            # In coordinates of the two students; zero on the edges of their cone.
            inside = np.linalg.solve(w.T, v.T).T
            is_edge = np.min(np.abs(inside)) < 1e-6
            name = "edge" if is_edge else str(int(np.sum(np.all(inside > 0, axis=1))))
            enclosed[name] += 1
    return enclosed


def _numbers():
    loss, point = ReducedLoss(Blocks((2,))), np.full(2, saddle(2))
    run = symmetric_trajectory(loss, [1e-3, 0.0], near=[1.0, 0.0])
    hessian = full_loss(2, 2).hessian(np.full(4, point[0]))
    return {
        "saddle": point[0],
        "rates": np.sort(np.linalg.eigvals(jacobian(loss, point)).real).tolist(),
        "hessian": np.linalg.eigvalsh(hessian).tolist(),
        "loss": float(loss.value(point)),
        "time": run.times[-1],
        "highest": run.highest(1),
        "sampling_error": float(pull_error(np.pi / 2, 10, 400_000)),
    }


_MEASURES: dict[str, Callable[..., dict]] = {
    "formula": _formula,
    "sampling": _sampling,
    "cube": _cube,
    "lyapunov": _lyapunov,
    "one-neuron": _one_neuron,
    "reduction": _reduction,
    "saddle": _saddle,
    "journey": _journey,
    "breaking": _breaking,
    "region": _region,
    "noise": _noise,
    "heads": _heads,
    "simplex": _simplex,
    "search": _search,
    "cone": _cone,
    "planar": _planar,
    "numbers": _numbers,
}
