"""Convex programs of two-layer networks: our methods, an interior-point method, and scnn's.

    python benchmarks/convex.py [--peer PYTHON] [50 100 200]

Gaussian points, targets from a teacher of five neurons with noise, and the same activation
patterns for everybody; float64, one thread each, CPU seconds, imports apart, contenders in one
run. The optimum is that of our tightest run, whose own lower bound is printed next to it. A
contender's error is that of the cost of the *network* it ends with, so that weights slightly
outside their cones are not counted in its favour.

`--peer` is an interpreter that has scnn (`pip install pyscnn`: the distribution called scnn is
something else; it asks for torch and torchvision, with CUDA some 6 GB, of which it uses the CPU's
part of torch). Its loss is 1/2n, its data are not rescaled (`unitize_data=False`), and its
tolerances go down from the default.
"""

import os

# Before any numerical library is imported: one thread for everybody.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# Points, inputs, patterns drawn, and β as a share of that from which on the network is zero.
SIZES = {50: (5, 200, 0.1), 100: (10, 500, 0.03), 200: (20, 500, 0.03)}
TOLERANCES = (1e-6, 1e-8, 1e-10)
PATIENCE = 60.0


def data(points: int):
    """Features, targets and gates with different patterns."""
    inputs, patterns, _ = SIZES[points]
    rng = np.random.default_rng(0)
    x, gates = rng.normal(size=(points, inputs)), rng.normal(size=(patterns, inputs))
    _, first = np.unique(x @ gates.T >= 0, axis=1, return_index=True)
    teacher = rng.normal(size=(5, inputs)) / np.sqrt(inputs)
    heads = np.array([1.0, -1.0, 1.0, -1.0, 1.0])
    y = np.maximum(x @ teacher.T, 0) @ heads + 0.1 * rng.normal(size=points)
    return x, y, gates[first]  # in the order to which scnn sorts them


def network_cost(x, y, beta, point) -> float:
    """½ |f − y|² + β Σ |z| of neurons z with either sign."""
    f = np.maximum(x @ point[0].T, 0).sum(axis=1) - np.maximum(x @ point[1].T, 0).sum(axis=1)
    return 0.5 * float(np.sum((f - y) ** 2)) + beta * float(np.linalg.norm(point, axis=2).sum())


def row(points, who, seconds, error, note=""):
    """Print one line."""
    print(f"{points:4d}  {who:34s} {seconds:9.3f} s   error {error:9.1e}   {note}", flush=True)


def race(points: int, peer: str | None) -> None:
    """All contenders at one size."""
    from shallows.landscape.convex import Patterns, Unnormalised
    from shallows.solve import InteriorPoint
    from shallows.solve.first_order import (
        AcceleratedProximal,
        AugmentedLagrangian,
        grouped,
        largest_penalty,
    )

    x, y, gates = data(points)
    patterns = Patterns((x @ gates.T >= 0).T.copy(), False, x.shape[1])
    most = largest_penalty(grouped(Unnormalised(x, y, 1.0, patterns=patterns))[0])
    program = Unnormalised(x, y, SIZES[points][2] * most, patterns=patterns)
    beta = program.beta
    best = AugmentedLagrangian(tolerance=1e-10)(program)
    print(
        f"n = {points}, {x.shape[1]} inputs, {len(patterns)} patterns, β = {beta:.4g}: "
        f"{best.lower_bound:.12g} ≤ optimum ≤ {best.value:.12g}"
    )

    def error(point):
        return network_cost(x, y, beta, point) / best.value - 1

    def timed(who, method, rounds=3):
        seconds = np.inf
        for _ in range(rounds):
            began = time.process_time()
            found = method(program)
            seconds = min(seconds, time.process_time() - began)
        row(points, who, seconds, error(found.point), f"gap {found.gap / found.value:.1e}")

    for tolerance in (1e-4, 1e-6, 1e-8):
        timed(f"AugmentedLagrangian({tolerance:g})", AugmentedLagrangian(tolerance))
    for tolerance in (1e-4, 1e-6):
        timed(f"AcceleratedProximal({tolerance:g})", AcceleratedProximal(tolerance), 1)
    if points <= 100:
        timed("InteriorPoint, all blocks at once", InteriorPoint(), 1)
    if peer is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "problem.npz"
        np.savez(file, x=x, y=y, gates=gates, beta=beta, optimum=best.value)
        command = [peer, __file__, "--serve", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if line.startswith(b"{"):
                    at = json.loads(line)
                    row(points, at["who"], at["seconds"], at["error"], at["note"])


def serve(file: str) -> None:
    """The peer's part, in its own interpreter: its AL method at smaller and smaller tolerances."""
    import torch
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL

    torch.set_num_threads(1)
    problem = np.load(file)
    x, y, gates, beta = (problem[k] for k in ("x", "y", "gates", "beta"))
    masks = (x @ gates.T >= 0).T
    for kind, tolerance in (("float32", 1e-6), *(("float64", t) for t in TOLERANCES)):
        model = ConvexReLU(gates.T.copy())
        solver = AL(model, tol=tolerance, constraint_tol=tolerance)
        began = time.process_time()
        found, _ = optimize_model(
            model,
            solver,
            Metrics(metric_freq=1000),
            x,
            y,
            regularizer=NeuronGL1(float(beta) / len(y)),
            return_convex=True,
            unitize_data=False,
            dtype=kind,
        )
        seconds = time.process_time() - began
        shape = (len(gates), x.shape[1])
        point = np.array([np.reshape(p, shape) for p in found.get_parameters()], dtype=float)
        gains = point @ x.T
        outside = max(0.0, -float(np.min(np.where(masks, gains, -gains))))
        error = network_cost(x, y, float(beta), point) / float(problem["optimum"]) - 1
        default = ", the default" if (kind, tolerance) == ("float32", 1e-6) else ""
        print(
            json.dumps(
                {
                    "who": f"scnn AL, {kind}, {tolerance:g}{default}",
                    "seconds": seconds,
                    "error": error,
                    "note": f"outside cones by {outside:.1e}",
                }
            ),
            flush=True,
        )
        if abs(error) < 1e-6 or seconds > PATIENCE:
            break


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("points", nargs="*", type=int, default=list(SIZES))
    parser.add_argument("--peer", help="an interpreter with scnn")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    if strange := set(asked.points) - set(SIZES):
        sys.exit(f"There are no problems of {sorted(strange)} points. Use {sorted(SIZES)}.")
    for points in asked.points:
        race(points, asked.peer)


if __name__ == "__main__":
    main()
