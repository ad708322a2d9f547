r"""What one neuron feels of another, in the mean and on a sample.

On inputs X (one in each row) a neuron of direction e feels of a neuron w the *pull*

$$ F(e, w) = X^\top D(e)\, D(w)\, X w, \qquad D(u) = \operatorname{diag}(1\{Xu > 0\}), $$

and the gradient of the squared loss is a sum of pulls. Under $\mathcal{N}(0, I_d)$ its mean over N
inputs is $N\,\partial K/\partial u$ of `overlaps`, and how far a sample is from it has a closed
form as well.
"""

import numpy as np
from jaxtyping import Float


def expected_pull(e: Float[np.ndarray, "*#b d"], w: Float[np.ndarray, "*#b d"]) -> np.ndarray:
    r"""$\mathbb{E} F(e, w)/N = \frac{1}{2\pi}\bigl((\pi - \theta)\,w + |w| \sin\theta\; e\bigr)$.

    **Convention.** e has length 1; θ ∈ [0, π] is the angle of e and w; N(0, I) inputs.

    **Accuracy.** A few ulp of |w|. **Source.** Tian (2017), Lemma 3.1.
    """
    norm = np.linalg.norm(w, axis=-1, keepdims=True)
    angle = _angle(e, w / norm)[..., None]
    return ((np.pi - angle) * w + norm * np.sin(angle) * e) / (2 * np.pi)


def pull_error(angle: float, inputs: int, samples: int) -> float:
    r"""The root-mean-square error of a sampled pull, relative to the size of its mean.

    With δ = π − θ, in polar coordinates of the plane of e and w,

    $$ \frac1N\left(\frac{2\pi (d + 2)(\delta + \sin\theta\cos\theta)}
       {\delta^2 + 2 \delta \sin\theta\cos\theta + \sin^2\theta} - 1\right), $$

    squared. It grows like $\sqrt{4\pi(d + 2)/(3 N \delta)}$ as θ → π, where few inputs see both.

    **Accuracy.** A relative 1e-15/δ⁴ near π: use it for δ > 1e-2.

    **Source.** Derived here; drawn against θ and N in Tian (2017), Figure 3.
    """
    delta = np.pi - angle
    both = np.sin(angle) * np.cos(angle)
    spread = 2 * np.pi * (inputs + 2) * (delta + both)
    mean = delta**2 + 2 * delta * both + np.sin(angle) ** 2
    return float(np.sqrt((spread / mean - 1) / samples))


def sampled_pull(
    e: Float[np.ndarray, " d"], w: Float[np.ndarray, " d"], x: Float[np.ndarray, "n d"]
) -> Float[np.ndarray, " d"]:
    """F(e, w)/N on the inputs in the rows of x."""
    seen = x @ w
    return np.where((x @ e > 0) & (seen > 0), seen, 0.0) @ x / len(x)


def _angle(u, v):
    # Kahan's formula: `arccos` loses half its digits near parallel.
    return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))
