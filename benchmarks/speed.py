"""How fast, as ratios to what a careful researcher would write, all taken in one run.

    python benchmarks/speed.py [gradient activations hessian descent flow atlas large tangent start
                                line]

Every contender is asked for one thread and, since not all obey, timed in CPU seconds (but for the
atlas, large and start), compilation apart. A contender is timed `best of n`, contenders in turn, so
that a slow minute of the machine hits all of them. PyTorch is a contender where it is installed.
"""

import os

# Before any numerical library is imported: one thread for everybody.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import importlib.util
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import shallows as sh

import jax
import jax.numpy as jnp
import numpy as np
import scipy.integrate

from shallows.model import WideLimit, with_constant
from shallows.model.named import activation
from shallows.solve import GradientDescent, GradientFlow, Outcome, trajectory

RESULTS: dict[str, dict[str, float]] = {}


def report(task, contender, seconds, unit, name, note=""):
    """Print one row, with its ratio to the first contender of the task."""
    rows = RESULTS.setdefault(task, {})
    rows[contender] = seconds
    ours = next(iter(rows.values()))
    print(
        f"{task:34s} {contender:26s} {seconds / unit:10.4g} {name:3s} {seconds / ours:8.2f}x {note}"
    )


def race(task, contenders: dict[str, Callable], per: int, unit: float, name: str, rounds: int = 7):
    """Time each contender, in turn, best of `rounds`; the first is ours."""
    best, compiled = {}, {}
    for who, run in contenders.items():
        began = time.perf_counter()
        run()
        compiled[who] = time.perf_counter() - began
        best[who] = float("inf")
    for _ in range(rounds):
        for who, run in contenders.items():
            began = time.process_time()
            run()
            best[who] = min(best[who], time.process_time() - began)
    for who in contenders:
        report(task, who, best[who] / per, unit, name, f"first call {compiled[who]:.2f} s")


# What a careful researcher writes: the textbook formula, clipped, and autodiff.


def textbook(xp, w, v):
    """½ Σ F(w,w) − Σ F(w,v) of one student; constant terms left out."""

    def total(x, y):
        nx, ny = xp.sqrt((x * x).sum(-1)), xp.sqrt((y * y).sum(-1))
        lengths = nx[..., :, None] * ny[..., None, :]
        cosine = xp.clip((x @ y.swapaxes(-1, -2)) / lengths, -1 + 1e-14, 1 - 1e-14)
        angle = xp.arccos(cosine)
        return (lengths * (xp.sin(angle) + (xp.pi - angle) * cosine)).sum() / (2 * xp.pi)

    return total(w, w) / 2 - total(w, v)


def textbook_gradient(w, v):
    """The published closed-form gradient of one student, in NumPy."""
    nw, nv = np.linalg.norm(w, axis=1), np.linalg.norm(v, axis=1)
    own = np.arccos(np.clip(w @ w.T / np.outer(nw, nw), -1, 1))
    np.fill_diagonal(own, 0.0)
    other = np.arccos(np.clip(w @ v.T / np.outer(nw, nv), -1, 1))
    radial = (np.sin(own) @ nw - np.sin(other) @ nv) / nw
    return (radial[:, None] * w + (np.pi - own) @ w - (np.pi - other) @ v) / (2 * np.pi)


def problem(k, starts, seed=0):
    """The orthonormal problem of size k, and random starts."""
    inner = np.random.default_rng(seed).normal(size=(starts, k, k)) / np.sqrt(k)
    return sh.SquaredLoss(sh.orthonormal(k), sh.Gaussian(k)), inner


def torch_or_none():
    """PyTorch in float64 on one thread, if it is there."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.arccos, torch.pi = torch.acos, np.pi
    return torch


TIMES = 20


def in_turn(gradient):
    """Twenty descents in one compiled loop, a start after the other: what training does."""

    def step(_, w):
        return w - 1e-5 * gradient(w)

    return jax.jit(lambda w: jax.lax.map(lambda x: jax.lax.fori_loop(0, TIMES, step, x), w))


def abreast(gradient):
    """The same with all starts in one batch."""

    def step(_, w):
        return w - 1e-5 * gradient(w)

    return jax.jit(lambda w: jax.lax.fori_loop(0, TIMES, step, w))


def bench_gradient():
    """One gradient per start, in a batch."""
    torch = torch_or_none()
    for k, starts in ((20, 128), (50, 20), (100, 5)):
        loss, inner = problem(k, starts)
        w, a, v = jnp.asarray(inner), jnp.ones((starts, k)), jnp.eye(k)

        slope = jax.grad(lambda w, v=v: textbook(jnp, w, v))
        ours = in_turn(lambda w, loss=loss, a=a: loss.gradient_at(w, a[0]))
        whole = abreast(lambda w, loss=loss, a=a: loss.gradient_at(w, a))
        batched, naive = abreast(jax.vmap(slope)), in_turn(slope)
        contenders = {
            "shallows": lambda f=ours, w=w: f(w).block_until_ready(),
            "shallows, batched": lambda f=whole, w=w: f(w).block_until_ready(),
            "JAX autodiff": lambda f=naive, w=w: f(w).block_until_ready(),
            "JAX autodiff, batched": lambda f=batched, w=w: f(w).block_until_ready(),
        }
        if torch is not None:
            x, y = torch.tensor(inner), torch.eye(k)

            def by_torch(x=x, y=y):
                for _ in range(TIMES):
                    z = x.detach().requires_grad_()
                    textbook(torch, z, y).backward()
                    x = x - 1e-5 * z.grad

            contenders["torch autodiff, batched"] = by_torch
        race(f"gradient, d = k = {k}", contenders, starts * TIMES, 1e-6, "µs")
        entry = RESULTS[f"gradient, d = k = {k}"]["shallows"] / (2 * k * k)
        print(f"{'':34s} = {entry * 1e9:.2f} ns for each of the 2k² overlaps, everything included")


def bench_activations():
    """The gradient for other activations, and with biases; the first is the ReLU's."""
    words = ("relu", "leaky:0.1", "erf", "sin", "tanh", "sigmoid", "softplus", "silu", "gelu")
    for k, starts in ((10, 256), (20, 128)):
        _, inner = problem(k, starts)
        w, a = jnp.asarray(inner), jnp.ones((starts, k))
        losses = {
            word: sh.SquaredLoss(sh.orthonormal(k, activation=activation(word)), sh.Gaussian(k))
            for word in words
        }
        for way, loop in (("in turn", in_turn), ("batched", abreast)):
            contenders = {}
            for word, loss in losses.items():
                heads = a[0] if loop is in_turn else a
                run = loop(lambda w, loss=loss, heads=heads: loss.gradient_at(w, heads))
                contenders[word] = lambda f=run, w=w: f(w).block_until_ready()
            biased = sh.SquaredLoss(
                sh.orthonormal(k).with_constant(), with_constant(sh.Gaussian(k))
            )
            rows = jnp.concatenate([w, w[..., :1] / 10], axis=-1)
            heads = a[0] if loop is in_turn else a
            run = loop(lambda w, loss=biased, heads=heads: loss.gradient_at(w, heads))
            contenders["relu, with biases"] = lambda f=run, w=rows: f(w).block_until_ready()
            race(f"activations {way}, d = k = {k}", contenders, starts * TIMES, 1e-6, "µs")


def bench_hessian():
    """A dense 400 × 400 Hessian."""
    torch = torch_or_none()
    loss, inner = problem(20, 1)
    w, a, v = jnp.asarray(inner[0]), jnp.ones(20), jnp.eye(20)
    naive = jax.jit(jax.hessian(lambda w: textbook(jnp, w, v)))
    contenders = {
        "shallows": lambda: loss.cell_hessian_at(w, a).block_until_ready(),
        "JAX hessian": lambda: naive(w).block_until_ready(),
    }
    if torch is not None:
        x, y = torch.tensor(inner[0]), torch.eye(20)
        by_torch = torch.func.hessian(lambda z: textbook(torch, z, y))
        contenders["torch.func.hessian"] = lambda: by_torch(x)
    race("Hessian 400 x 400", contenders, 1, 1e-3, "ms")


def bench_descent(k=20, starts=500, script_starts=6):
    """Descent with step 5/k to a gradient norm of 1e-12; the script runs a few starts."""
    loss, inner = problem(k, starts)
    trajectory(loss, sh.Network(inner[:100]), GradientDescent())  # compiles, Newton included
    began = time.process_time()
    ends = trajectory(loss, sh.Network(inner), GradientDescent())
    spent = time.process_time() - began
    slowest = f"steps: median {np.median(ends.steps):.0f}, most {ends.steps.max()}"
    settled = sum(outcome is Outcome.settled for outcome in ends.outcome)
    report(
        f"descent to 1e-12, k = {k}",
        "shallows",
        spent / starts,
        1e-3,
        "ms",
        f"{settled} of {starts} settled; {slowest}",
    )
    # The script's median start, not its slowest: the comparison leans its way.
    order = np.argsort(ends.steps)[(np.linspace(0.2, 0.8, script_starts) * starts).astype(int)]
    began = time.process_time()
    for i in order:
        w, v = inner[i], np.eye(k)
        for _ in range(200_000):
            g = textbook_gradient(w, v)
            if np.linalg.norm(g) <= 1e-12:
                break
            w = w - 5 / k * g
    spent = time.process_time() - began
    report(
        f"descent to 1e-12, k = {k}",
        "NumPy script, one by one",
        spent / script_starts,
        1e-3,
        "ms",
        f"{script_starts} starts between the 20th and 80th percentile",
    )


def bench_flow(k=20, starts=500, reference=4):
    """Gradient-flow trajectories, and whether they end where an accurate reference ends."""
    loss, inner = problem(k, starts)
    trajectory(loss, sh.Network(inner[:70]), GradientFlow())  # compiles, Newton included
    began = time.process_time()
    ends = trajectory(loss, sh.Network(inner), GradientFlow())
    spent = time.process_time() - began
    settled = sum(outcome is Outcome.settled for outcome in ends.outcome)
    task = f"flow to the end, k = {k}"
    report(task, "shallows", spent / starts, 1e-3, "ms", f"{settled} of {starts} settled")
    began = time.process_time()
    sharp = trajectory(loss, sh.Network(inner), GradientFlow(tolerance=1e-12))
    same = int(np.sum(np.abs(sharp.loss - ends.loss) < 1e-9))
    report(
        task,
        "shallows, tolerance 1e-12",
        (time.process_time() - began) / starts,
        1e-3,
        "ms",
        f"{same} of {starts} ends agree",
    )
    rows = np.argsort(ends.steps)[(np.linspace(0.2, 0.8, reference) * starts).astype(int)]
    v = np.eye(k)

    def field(_, x):
        return -textbook_gradient(x.reshape(k, k), v).ravel()

    def small(_, x):
        return np.linalg.norm(field(0, x)) - 1e-8

    small.terminal = True
    for method in ("BDF", "LSODA"):
        began = time.process_time()
        for i in rows[:2]:
            scipy.integrate.solve_ivp(
                field,
                (0, 2000),
                inner[i].ravel(),
                method=method,
                rtol=1e-8,
                atol=1e-10,
                events=small,
            )
        report(task, f"SciPy {method}", (time.process_time() - began) / 2, 1e-3, "ms", "2 starts")
    if importlib.util.find_spec("diffrax") is not None:
        import diffrax

        gradient = jax.grad(lambda w: textbook(jnp, w, jnp.eye(k)))
        term = diffrax.ODETerm(lambda t, w, args: -gradient(w))
        quiet = diffrax.Event(lambda t, w, args, **_: jnp.linalg.norm(gradient(w)) < 1e-7)
        solve = jax.jit(
            jax.vmap(
                lambda w: (
                    diffrax.diffeqsolve(
                        term,
                        diffrax.Dopri8(),
                        0.0,
                        2000.0,
                        0.01,
                        w,
                        event=quiet,
                        max_steps=None,
                        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
                    ).ys
                )
            )
        )
        batch = jnp.asarray(inner[rows])
        solve.lower(batch).compile()
        began = time.process_time()
        solve(batch).block_until_ready()
        report(
            task,
            "Diffrax Dopri8, vmapped",
            (time.process_time() - began) / len(rows),
            1e-3,
            "ms",
            f"{len(rows)} starts, to 1e-7",
        )


def bench_atlas(sizes=(75, 100), starts=4):
    """A few starts at sizes that a full census has not been run at."""
    for k in sizes:
        loss, inner = problem(k, starts)
        began = time.perf_counter()
        ends = trajectory(loss, sh.Network(inner), GradientDescent())
        report(
            f"atlas, k = {k}",
            "shallows",
            (time.perf_counter() - began) / starts,
            1,
            "s",
            f"steps: {sorted(ends.steps.tolist())}",
        )


def bench_large():
    """One gradient of one student, up to k = d = 2000: time as k²d, memory as k² + kd."""
    for k in (100, 200, 500, 1000, 2000):
        loss, inner = problem(k, 1)
        w, a = jnp.asarray(inner[0]), jnp.ones(k)

        def run(loss=loss, w=w, a=a):
            return loss.gradient_at(w, a).block_until_ready()

        run()
        best = min(_timed(run) for _ in range(3))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        report(
            f"gradient, d = k = {k}",
            "shallows",
            best,
            1e-3,
            "ms",
            f"{best / k**3 * 1e9:.2f} ns/(k²d); peak memory so far {peak:.0f} MiB",
        )


def bench_tangent(n=2000, d=20):
    """The tangent kernel of wide two-layer networks, both layers trained, at n points."""
    x = np.random.default_rng(0).normal(size=(n, d))

    def plain():
        length = np.sqrt((x * x).sum(1))
        dot, scale = x @ x.T, np.outer(length, length)
        cosine = np.clip(dot / scale, -1, 1)
        angle = np.arccos(cosine)
        step = (np.pi - angle) / (2 * np.pi)
        return dot * step + scale * (np.sin(angle) / (2 * np.pi) + step * cosine)

    limit = WideLimit()
    error = np.max(np.abs(plain() - limit.tangent(x)))
    contenders = {"shallows": lambda: limit.tangent(x), "NumPy": plain}
    race(f"tangent kernel, n = {n}, d = {d}", contenders, 1, 1e-3, "ms")
    print(f"{'':34s} the two differ by {error:.1e}, where points are parallel: on the diagonal")


def _timed(run):
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def bench_start():
    """Cold starts of the interpreter, the package and the command line."""
    for what, command in {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import shallows": [sys.executable, "-c", "import shallows"],
        "shallows --help": [sys.executable, "-m", "shallows", "--help"],
    }.items():
        best = min(
            _timed(lambda c=command: subprocess.run(c, check=True, capture_output=True))
            for _ in range(5)
        )
        report("cold start", what, best, 1, "s")


def bench_line(m=2000, scale=0.7, share=4.4e-4):
    """A wide network on ten points of a line, down to a loss of 2.2e-3: knots move to the samples.

    The script is gradient descent as one writes it in JAX: compiled, fifty steps a call, the step
    recomputed each time from the size of the network. What is compared is the time to one loss.
    """
    from shallows.solve import LineStart, Stop, line_fit

    x = np.linspace(-1, 1, 10)
    y = np.array([1.0, 1, 1, -1, -1, -1, 1, 1, 1, -1])
    start, task = LineStart(m, scale), f"line, m = {m}"
    began = time.process_time()
    fit = line_fit(x, y, start, relative_loss=share)
    spent = time.process_time() - began
    assert fit.run.stop is Stop.reached_value
    note = f"{fit.run.gradients} gradients, δ moved by {fit.drift:.3f}"
    report(task, "shallows", spent, 1, "s", note)

    def loss(z):
        hidden = jax.nn.relu(jnp.outer(z[0], x) - z[1][:, None])
        return 0.5 * jnp.sum((z[2] @ hidden / m - y) ** 2)

    @jax.jit
    def fifty(z):
        hidden = jax.nn.relu(jnp.outer(z[0], x) - z[1][:, None])
        step = 0.4 * m / (len(x) * (jnp.mean(hidden**2) + jnp.mean(z[2] ** 2)))
        z = jax.lax.fori_loop(0, 50, lambda _, w: w - step * jax.grad(loss)(w), z)
        return z, loss(z)

    z, steps, value = jnp.asarray(start.parameters()), 0, jnp.inf
    fifty(z)
    began = time.process_time()
    while value > share * 5.0 and steps < 200_000:
        z, value = fifty(z)
        steps += 50
    report(task, "JAX autodiff, descent", time.process_time() - began, 1, "s", f"{steps} steps")


if __name__ == "__main__":
    every = [
        "gradient",
        "activations",
        "hessian",
        "descent",
        "flow",
        "atlas",
        "large",
        "tangent",
        "start",
        "line",
    ]
    chosen = sys.argv[1:] or every
    if unknown := [name for name in chosen if name not in every]:
        sys.exit(f"There is no benchmark {unknown[0]!r}. There are: {', '.join(every)}.")
    for name in chosen:
        globals()[f"bench_{name}"]()
    print(json.dumps(RESULTS))
