r"""Gradient flows that are stiff and kinked, by stabilised explicit steps.

A descent with a fixed step is stable for η < 2/λ, λ the largest curvature. A Runge–Kutta–Chebyshev
step of s gradients is stable up to 0.65 s²/λ: at s = 20 thirteen times as far for each gradient.
It asks for no Hessian and solves no system.

`integrators` does the same at order 4, compiled, for losses with a Hessian. Here the velocity has
jumps, which leave nothing of a higher order, and NumPy's sums over knots, nothing to compile.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from shallows import notebook

_DAMPING = 2 / 13


class Stop(enum.Enum):
    """How a relaxation ended; the value is advice."""

    reached_value = ""
    reached_time = "The time was over before the value was reached. Give it more."
    out_of_steps = "All steps were used. Allow more, or a larger error a step."
    stalled = (
        "The value falls no more though it has not been reached: the gradient is about zero, a "
        "spurious stationary point. Start from elsewhere, or with more neurons."
    )
    diverged = "The state grew without bound. Ask for a smaller error a step."


@dataclasses.dataclass(frozen=True)
class Chebyshev:
    """The Runge–Kutta–Chebyshev method of order 2, with local error `tolerance` times (1 + |y|).

    **Source.** Sommeijer, Shampine & Verwer (1998).
    """

    tolerance: float = 1e-3
    max_steps: int = 10_000
    max_stages: int = 60


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Relaxation(notebook.AbstractTable):
    """A run downhill, at its steps."""

    times: Float[np.ndarray, " s"]
    values: Float[np.ndarray, " s"]
    kept: tuple[np.ndarray, ...]
    """States at those times that were asked for, and the last."""
    kept_times: Float[np.ndarray, " q"]
    gradients: int
    """How many were evaluated."""
    stop: Stop

    @property
    def end(self) -> np.ndarray:
        """The last state."""
        return self.kept[-1]

    def __repr__(self) -> str:
        return (
            f"Relaxation({len(self.times)} times to {self.times[-1]:.6g}, value "
            f"{self.values[-1]:.6g}, {self.stop.name})"
        )

    def _columns(self) -> notebook.Columns:
        return {"time": self.times, "value": self.values}

    def _notes(self) -> Sequence[str]:
        return [self.stop.value]


def relaxation(
    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    curvature: Callable[[np.ndarray], float],
    start: np.ndarray,
    *,
    value: float,
    until: float = np.inf,
    method: Chebyshev | None = None,
    snapshots: int = 0,
    progress: Callable[[float, float], object] | None = None,
) -> Relaxation:
    r"""Follow $\dot y = -\nabla L(y)$ down to a value of L, or to a time.

    **Convention.** `curvature` bounds the moduli of Hessian eigenvalues where there is a Hessian,
    and is asked once a step. With `snapshots` about that many states are kept, whenever time or L
    has changed by a factor since. `progress(time, value)` is called after each step.

    It has *stalled* where the value fell by less than 1e-9 of itself in the last hundred steps.

    **Accuracy.** Order 2 in the tolerance^(1/3) where L is smooth. Where knots slide along a sample
    the velocity jumps, and steps end up as long as `tolerance` allows the jump to carry.

    **Raises.** `ValueError` for a start that is not finite.
    """
    how = Chebyshev() if method is None else method
    state = np.array(start, dtype=float)
    if not np.all(np.isfinite(state)):
        raise ValueError("A run starts from finite numbers, but some are not. Repair the start.")
    level, slope = value_and_gradient(state)
    radius = curvature(state)
    time, length, gradients = 0.0, min(0.25 / radius, until), 1
    times, values, kept, kept_times = [time], [level], [state], [time]
    level_kept = level
    stop = Stop.out_of_steps
    stages = 2
    for _ in range(how.max_steps):
        if level <= value:
            stop = Stop.reached_value
            break
        if time >= until:
            stop = Stop.reached_time
            break
        longest = 0.653 * (how.max_stages**2 - 1) / radius
        length = min(length, longest, until - time)
        stages = max(2, int(np.ceil(np.sqrt(1 + length * radius / 0.653))))
        moved = _step(value_and_gradient, state, slope, length, stages)
        ahead, steep = value_and_gradient(moved)
        gradients += stages
        error = 0.8 * (state - moved) - 0.4 * length * (slope + steep)
        size = how.tolerance * (1 + np.maximum(np.abs(state), np.abs(moved)))
        wrong = float(np.sqrt(np.mean((error / size) ** 2)))
        if not np.isfinite(wrong):
            length /= 10
            if time + length == time:
                stop = Stop.diverged
                break
            continue
        if wrong <= 1:
            time, state, level, slope = time + length, moved, ahead, steep
            radius = curvature(state)
            times.append(time)
            values.append(level)
            # Eight decades of time and four of the loss share the snapshots.
            later = snapshots and time >= kept_times[-1] * 10 ** (8 / snapshots)
            if later or (snapshots and level <= level_kept * 10 ** (-4 / snapshots)):
                kept.append(state)
                kept_times.append(time)
                level_kept = level
            if progress is not None:
                progress(time, level)
            if _has_stalled(values):
                stop = Stop.stalled
                break
        length *= min(5.0, max(0.1, 0.8 / max(wrong, 1e-9) ** (1 / 3)))
    if kept_times[-1] < time:
        kept.append(state)
        kept_times.append(time)
    return Relaxation(
        np.array(times), np.array(values), tuple(kept), np.array(kept_times), gradients, stop
    )


def _has_stalled(values) -> bool:
    return len(values) > 100 and values[-101] - values[-1] < 1e-9 * abs(values[-101])


def _step(value_and_gradient, state, slope, h, stages):
    """One step of s stages; the recurrence is that of Chebyshev polynomials."""
    mu, nu, mu_t, gamma_t, first = _coefficients(stages)
    before, now = state, state - first * h * slope
    for j in range(2, stages + 1):
        steep = value_and_gradient(now)[1]
        after = (1 - mu[j] - nu[j]) * state
        after += mu[j] * now
        after += nu[j] * before
        after -= (mu_t[j] * h) * steep
        after -= (gamma_t[j] * h) * slope
        before, now = now, after
    return now


_KNOWN: dict[int, tuple] = {}


def _coefficients(s: int):
    if s in _KNOWN:
        return _KNOWN[s]
    w0 = 1 + _DAMPING / s**2
    t, d, dd = (np.zeros(s + 1) for _ in range(3))  # T_j, T_j′ and T_j″ at w0
    t[:2], d[1] = (1, w0), 1
    for j in range(2, s + 1):
        t[j] = 2 * w0 * t[j - 1] - t[j - 2]
        d[j] = 2 * t[j - 1] + 2 * w0 * d[j - 1] - d[j - 2]
        dd[j] = 4 * d[j - 1] + 2 * w0 * dd[j - 1] - dd[j - 2]
    w1 = d[s] / dd[s]
    b = np.zeros(s + 1)
    b[2:] = dd[2:] / d[2:] ** 2
    b[:2] = b[2]
    a = 1 - b * t
    mu, nu, mu_t, gamma_t = (np.zeros(s + 1) for _ in range(4))
    mu[2:] = 2 * b[2:] * w0 / b[1:-1]
    nu[2:] = -b[2:] / b[:-2]
    mu_t[2:] = 2 * b[2:] * w1 / b[1:-1]
    gamma_t[2:] = -a[1:-1] * mu_t[2:]
    _KNOWN[s] = mu, nu, mu_t, gamma_t, b[1] * w1
    return _KNOWN[s]
