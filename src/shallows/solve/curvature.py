"""The Hessian at a point, as Newton's method asks for it: dense, or by its products alone."""

import abc
import functools
import math
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Float

from shallows.landscape import SquaredLoss

# Parameters up to which factorisations (n³/3) are cheaper than some hundred products.
DENSE = 450

# Attempts at a cheap bound from above; each costs a product with a vector.
_ROUNDS = 4


class AbstractCurvature(abc.ABC):
    """The Hessian at a point."""

    @abc.abstractmethod
    def is_above(self, bound: float) -> bool:
        """Whether every eigenvalue exceeds `bound`."""

    @abc.abstractmethod
    def solver(self) -> Callable[[Float[np.ndarray, "k p"]], Float[np.ndarray, "k p"]] | None:
        """A function that applies the inverse, or None where there is none."""

    @abc.abstractmethod
    def is_below(self, bound: float) -> bool:
        """Whether every eigenvalue is below `bound`."""

    @abc.abstractmethod
    def times(self, x: Float[np.ndarray, "k p"]) -> Float[np.ndarray, "k p"]:
        """The product with x."""


def curvature_at(loss: SquaredLoss, theta: np.ndarray, heads: np.ndarray) -> AbstractCurvature:
    """The Hessian at θ, dense up to 450 parameters."""
    kind = Dense if theta.size <= DENSE else Products
    return kind(loss, theta, heads)


class Dense(AbstractCurvature):
    """A matrix. Exact statements cost a Cholesky factorisation."""

    def __init__(self, loss: SquaredLoss, theta: np.ndarray, heads: np.ndarray):
        self.matrix = np.asarray(_hessian_at(loss, theta, heads))

    def is_above(self, bound):
        """See `AbstractCurvature`: true if and only if the shifted matrix has a Cholesky factor."""
        if bound == 0:
            return self._factor is not None
        shifted = self.matrix.copy()
        shifted.flat[:: len(shifted) + 1] -= bound
        return _cholesky(shifted, overwrite=True) is not None

    @functools.cached_property
    def _factor(self):
        return _cholesky(self.matrix)

    def is_below(self, bound):
        """See `AbstractCurvature`: true if and only if bound · 1 − H has a Cholesky factor."""
        if bound == math.inf:
            return True
        # Collatz & Wielandt: the ratios |H| x / x bound |H|'s spectral radius, for any x > 0. They
        # often do, and are cheaper.
        size = np.abs(self.matrix)
        row = size.sum(axis=0)
        for _ in range(_ROUNDS):
            image = size @ row
            if np.max(image / row) < bound:
                return True
            row = image / image.max()
        shifted = -self.matrix
        shifted.flat[:: len(shifted) + 1] += bound
        return _cholesky(shifted, overwrite=True) is not None

    def times(self, x):
        """See `AbstractCurvature`."""
        return (self.matrix @ x.ravel()).reshape(x.shape)

    def solver(self):
        """See `AbstractCurvature`: Cholesky where it is positive, LU at saddles."""
        if self._factor is not None:
            factor = self._factor
            pivots = np.diag(factor) ** 2
            if not pivots.min() > 1e-13 * pivots.max():
                return None
            return lambda g: _back(factor, g)
        with warnings.catch_warnings():  # a zero pivot is an answer here, not a surprise
            warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
            general = scipy.linalg.lu_factor(self.matrix, check_finite=False)
        pivots = np.abs(np.diag(general[0]))
        if not pivots.min() > 1e-13 * pivots.max():
            return None
        return lambda g: scipy.linalg.lu_solve(general, g.ravel(), check_finite=False).reshape(
            g.shape
        )


class Products(AbstractCurvature):
    """Products with vectors: for sizes at which a matrix is too dear.

    Extreme eigenvalues are those of 160 Lanczos steps from a fixed generic vector. The smallest
    is approached from above, so `is_above` asks for a margin of a tenth.
    """

    def __init__(self, loss: SquaredLoss, theta: np.ndarray, heads: np.ndarray):
        self.at = (loss, jnp.asarray(theta), jnp.asarray(heads))
        diagonal, off = (np.asarray(x) for x in _lanczos_of_products(*self.at))
        self.smallest, self.top = _ritz_ends(diagonal, off)

    def is_above(self, bound):
        """See `AbstractCurvature`."""
        return 0.9 * self.smallest > bound

    def is_below(self, bound):
        """See `AbstractCurvature`."""
        return self.top < bound

    def times(self, x):
        """See `AbstractCurvature`."""
        return np.asarray(_product(*self.at, jnp.asarray(x)))

    def solver(self):
        """See `AbstractCurvature`: conjugate gradients to 1e-4, for positive Hessians only."""
        if self.smallest <= 1e-13 * self.top:
            return None
        return lambda g: np.asarray(_conjugate(*self.at, jnp.asarray(g)))


def _cholesky(matrix, *, overwrite=False):
    """The lower factor, with rubbish above its diagonal; None unless positive definite."""
    # The transpose is the same matrix, in the order that LAPACK takes without a copy.
    factor, failure = scipy.linalg.lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=overwrite)
    return None if failure else factor


def _back(factor, g):
    # Half the time of LAPACK's own routine for the two.
    half, _ = scipy.linalg.lapack.dtrtrs(factor, g.ravel(), lower=1)
    return scipy.linalg.lapack.dtrtrs(factor, half, lower=1, trans=1)[0].reshape(g.shape)


def generic(size: int) -> Float[np.ndarray, " n"]:
    """A fixed unit vector without symmetry: one in an invariant subspace sees nothing else."""
    x = np.cos(np.arange(size, dtype=float) ** 1.5)
    return x / np.linalg.norm(x)


def _ritz_ends(diagonal, off) -> tuple[float, float]:
    """The smallest and the largest eigenvalue of what a Lanczos recurrence has seen."""
    # An invariant subspace ends the recurrence; what follows it is noise.
    end = np.flatnonzero(off < 1e-10 * max(abs(diagonal[0]), off[0]))
    size = len(diagonal) if not len(end) else int(end[0]) + 1
    ritz = scipy.linalg.eigvalsh_tridiagonal(diagonal[:size], off[: size - 1])
    return float(ritz[0]), float(ritz[-1])


def _slope_at(loss, theta, heads):
    return loss.gradient_at(*loss.trained.split(theta, heads))


@jax.jit
def _hessian_at(loss, theta, heads):
    return loss.cell_hessian_at(*loss.trained.split(theta, heads))


@jax.jit
def _product(loss, theta, heads, x):
    return jax.jvp(lambda t: _slope_at(loss, t, heads), (theta,), (x,))[1]


@jax.jit
def _lanczos_of_products(loss, theta, heads):
    _, product = jax.linearize(lambda t: _slope_at(loss, t, heads), theta)
    return _lanczos(product, theta.shape, 160)


def _lanczos(product, shape, length):
    """The two diagonals of the recurrence, from a fixed generic vector."""
    # Without reorthogonalisation: copies of extreme values do no harm here.
    first = jnp.asarray(generic(math.prod(shape))).reshape(shape)

    def step(carry, _):
        before, now, coupling = carry
        image = product(now) - coupling * before
        diagonal = jnp.vdot(now, image)
        image = image - diagonal * now
        off = jnp.linalg.norm(image)
        return (now, image / jnp.maximum(off, 1e-300), off), (diagonal, off)

    carry = (jnp.zeros(shape), first, jnp.zeros(()))
    return jax.lax.scan(step, carry, None, length=length)[1]


@jax.jit
def _conjugate(loss, theta, heads, g):
    _, product = jax.linearize(lambda t: _slope_at(loss, t, heads), theta)
    return jax.scipy.sparse.linalg.cg(product, g, tol=1e-4, maxiter=2000)[0]
