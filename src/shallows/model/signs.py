"""Inputs that are signs with Gaussian noise."""

import itertools

import jax.numpy as jnp
import numpy as np

from shallows.model.activations import finite_number
from shallows.model.mixture import Mixture
from shallows.model.network import positive_integer
from shallows.model.shifted import ShiftedGaussian

# Corners of a cube that a mean over them may have: 2^10.
_MOST = 10


def noisy_signs(inputs: int, noise: float | int) -> Mixture:
    r"""Independent inputs $\pm\sqrt{1 - s^2} + s z$: fair signs with Gaussian noise s = `noise`.

    Every input has mean 0 and variance 1: noise s = 1 is the standard Gaussian, and s → 0 are
    Rademacher signs. Given the signs x is Gaussian with a mean, so this is a mixture of 2^d such
    laws, exact as they are, and no permutation or reflection of the inputs changes it.

    **Domain.** 0 < s ≤ 1, and at most 10 inputs. **Cost.** 2^d times that of a `ShiftedGaussian`.
    """
    d = positive_integer("inputs", inputs)
    s = finite_number("noise", noise)
    if d > _MOST:
        raise ValueError(
            f"Noisy signs of {d} inputs are a mixture of 2^{d} Gaussians. Use at most {_MOST} "
            f"inputs, or a `Sample` of draws."
        )
    if not 0 < s <= 1:
        raise ValueError(
            f"`noise` must lie above 0 and be at most 1, the standard deviation of an input, but "
            f"is {s:g}. Use e.g. 0.5; for signs without noise there is `Sample`."
        )
    corners = np.array(list(itertools.product((-1.0, 1.0), repeat=d)))
    shift, spread = np.sqrt(1 - s * s), s * s * np.eye(d)
    return Mixture([ShiftedGaussian(jnp.asarray(shift * c), spread) for c in corners])
