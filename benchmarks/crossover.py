"""All Hessian eigenvalues of type II: from the blocks, and from the dense matrix.

    python benchmarks/crossover.py [--figure docs/figures/crossover.png]

Both get the point; each is timed best of five, in one run and on one thread.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import argparse
import json
import time
from functools import partial

import shallows as sh

import jax.numpy as jnp
import matplotlib
import numpy as np

from shallows.atlas.families import member

matplotlib.use("Agg")
import matplotlib.pyplot as plt

DENSE = (10, 14, 20, 28, 40, 60)
BLOCKS = (*DENSE, 100, 1000, 10**4, 10**6, 10**9)


def best(run, rounds=5):
    """The shortest of a few runs, the first of which compiles and is not counted."""
    run()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)


def _eigenvalues(hessian):
    return np.linalg.eigvalsh(np.asarray(hessian()))


def measured():
    """Seconds by size, from the blocks and from the dense matrix."""
    blocks, dense = {}, {}
    for k in BLOCKS:
        point = member("II", k)
        blocks[k] = best(point.spectrum)
        if k not in DENSE:
            continue
        loss = sh.SquaredLoss(sh.orthonormal(k), sh.Gaussian(k))
        w = jnp.asarray(point.loss.blocks.embed([float(x) for x in point.point]))
        hessian = partial(loss.cell_hessian_at, w, jnp.ones(k))
        run = partial(_eigenvalues, hessian)
        dense[k] = best(run, 1 if k > 30 else 5)
        print(f"k = {k}: {1e3 * blocks[k]:.1f} ms from blocks, {1e3 * dense[k]:.1f} ms dense")
    return blocks, dense


def drawn(blocks, dense, path):
    """Time against size, on logarithmic axes."""
    figure, axes = plt.subplots(figsize=(6, 3.6), constrained_layout=True)
    axes.loglog(list(dense), [1e3 * t for t in dense.values()], "s-", color="#d55e00")
    axes.loglog(list(blocks), [1e3 * t for t in blocks.values()], "o-", color="#0072b2")
    axes.text(90, 1e3 * dense[60], "dense $k^2 \\times k^2$ matrix", va="center", color="#d55e00")
    axes.text(2e5, 1.5e3 * blocks[10**6], "from the blocks", color="#0072b2")
    axes.set_xlabel("neurons k = d")
    axes.set_ylabel("all $k^2$ eigenvalues, ms")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure")
    chosen = parser.parse_args()
    blocks, dense = measured()
    print(json.dumps({"blocks": blocks, "dense": dense}))
    if chosen.figure:
        drawn(blocks, dense, chosen.figure)
