"""Owen's T and the normal distribution behind probabilities of wedges."""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
from scipy.special import ndtr, owens_t

from shallows.model import sectors

HEIGHTS = [-30.0, -8.5, -3.0, -0.7, -1e-9, 1e-100, 0.2, 1.0, 2.5, 6.0, 8.9, 1e50]
DEPTHS = [-1e200, -9.5, -4.0, -1.0, -0.3, 0.0, 1e-150, 1e-9, 0.5, 1.0, 3.0, 8.0, 40.0]


@jax.jit
def _sectors(h, depth):
    return sectors.sector(sectors.heights(h), depth)


def test_sectors_agree_with_owens_t():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(HEIGHTS, DEPTHS)).reshape(2, -1)
    drawn = rng.normal(size=(2, 4000)) * np.exp(rng.normal(size=(2, 4000)))
    h, depth = np.concatenate([grid, drawn], axis=1)
    found, part, bell = _sectors(jnp.asarray(h), jnp.asarray(depth))
    np.testing.assert_allclose(found, ndtr(h) / 2 - owens_t(h, depth / h), rtol=0, atol=1e-15)
    np.testing.assert_allclose(part + 0.5, ndtr(depth), rtol=0, atol=1e-15)
    near = np.minimum(np.abs(depth), 1e3)
    np.testing.assert_allclose(bell, np.exp(-(near**2) / 2), rtol=0, atol=1e-15)


def test_sectors_agree_with_quadrature_in_many_digits():
    pairs = [(0.8, 0.5), (0.8, -3.0), (-2.0, 1.9), (0.01, 0.7), (4.0, 4.0)]
    h, depth = (jnp.asarray(x) for x in zip(*pairs, strict=True))
    found, _, _ = _sectors(h, depth)
    with mp.workdps(30):
        for (s, t), ours in zip(pairs, found, strict=True):
            height, slope = mp.mpf(s), mp.mpf(t) / mp.mpf(s)

            def density(x, height=height):
                return mp.exp(-(height**2) * (1 + x * x) / 2) / (1 + x * x)

            owen = mp.quad(density, mp.linspace(0, slope, 9)) / (2 * mp.pi)
            assert abs(mp.mpf(float(ours)) - (mp.ncdf(height) / 2 - owen)) < 1e-15
