r"""One ReLU neuron learning another: the whole flow in the plane of the two.

The flow never leaves the span of w and w*, so that for any number d of inputs two numbers move:
with |w*| = 1, w = p w* + q e for a unit vector e across. How d enters is through the starts.
"""

import math

import numpy as np
import scipy.integrate
import scipy.special
from jaxtyping import Float

from shallows.solve.symmetric_flow import velocity
from shallows.symmetry.reduced import full_loss


def starts_in_ball(
    inputs: int, radius: float, number: int, seed: int = 0
) -> Float[np.ndarray, "n 2"]:
    """Starts (p, q), uniform in the ball of that radius around 0 in d dimensions."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(number, inputs))
    size = radius * rng.uniform(size=(number, 1)) ** (1 / inputs)
    w *= size / np.linalg.norm(w, axis=1, keepdims=True)
    return np.stack([w[:, 0], np.linalg.norm(w[:, 1:], axis=1)], axis=-1)


def distances(
    starts: Float[np.ndarray, "n 2"], time: float = 60.0
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, "t n"]]:
    """Times, and |w − w*| of each start at them, along the exact flow.

    The Hessian at w* is I/2: after a time t the distance is of order exp(−t/2).

    **Accuracy.** Runge–Kutta of orders 5 and 4 with relative error 1e-7: distances to about 1e-5.
    """
    loss = full_loss(1, 2)
    run = scipy.integrate.solve_ivp(
        lambda _, p: velocity(loss, p.reshape(-1, 2)).ravel(),
        (0.0, time),
        starts.ravel(),
        rtol=1e-7,
    )
    points = run.y.T.reshape(len(run.t), -1, 2)
    return run.t, np.linalg.norm(points - [1.0, 0.0], axis=-1)


def decay(w: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, " n"]:
    r"""$-\dot V/|w - w^\star|^2$ for V = |w − w*|²/2 along the flow: the rate at which V falls."""
    away = w - np.array([1.0, 0.0])
    slope = velocity(full_loss(1, 2), w)
    return -np.sum(slope * away, axis=-1) / np.sum(away**2, axis=-1)


def share_in_ball(radius: float, inputs: int) -> float:
    r"""The share of the ball of that radius around 0 in which |w − w*| < |w*| = 1.

    At |w| = r it is a cap, cos > r/2, of measure $\frac12 I_{1 - r^2/4}((d - 1)/2, 1/2)$ with the
    regularised incomplete beta function; r has the density $d\,r^{d-1}/\text{radius}^d$.

    **Domain.** d ≥ 2. **Accuracy.** Quadrature, 1e-8.
    """

    def shell(t):
        r = radius * t ** (1 / inputs)
        return scipy.special.betainc((inputs - 1) / 2, 0.5, max(0.0, 1 - r * r / 4)) / 2

    return float(scipy.integrate.quad(shell, 0, 1, limit=200)[0])


def radius_of(epsilon: float, inputs: int) -> float:
    r"""$\varepsilon \sqrt{2\pi/(d + 1)}$, the largest ball of Tian (2017), Theorem 3.3."""
    return epsilon * math.sqrt(2 * math.pi / (inputs + 1))
