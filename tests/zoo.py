"""Shared examples with known answers: laws, networks, the three families of spurious points."""

import functools
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
import pytest

from shallows.landscape import AllWeights, InnerWeights
from shallows.model import (
    AbstractActivation,
    AbstractLaw,
    Analytic,
    Erf,
    Gaussian,
    Mixture,
    Network,
    NoisySign,
    Polynomial,
    Product,
    Rotational,
    Sample,
    ShiftedGaussian,
    Sine,
    StudentT,
    absolute,
    leaky,
    relu,
)

SLANTED = np.array([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]])
FLAT = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])  # of rank two

TRAINED = {"inner": InnerWeights(), "all": AllWeights()}


@functools.cache
def laws() -> dict[str, AbstractLaw]:
    """At least one law of every kind, on three inputs; `test_law_contract` sees to it."""
    rng = np.random.default_rng(7)
    points, weights = rng.normal(size=(50, 3)), rng.uniform(size=50)
    return {
        "gaussian": Gaussian(3),
        "slanted gaussian": Gaussian(covariance=SLANTED),
        "flat gaussian": Gaussian(covariance=FLAT),
        "sphere": Rotational(3),
        "ball": Rotational(3, 2.5, filled=True),
        "sample": Sample(points, block=16),  # 50 = 3 · 16 + 2: the last block is padded
        "weighted sample": Sample(points, weights),
        "student": StudentT(degrees=9.0, scale=SLANTED),
        "mixture": Mixture(
            [Gaussian(covariance=SLANTED), Gaussian(3), Rotational(3, 0.5)], [1.0, 2.0, 1.0]
        ),
        "shifted": ShiftedGaussian([0.3, -0.5, 1.0], SLANTED),
        "product": Product(NoisySign(0.7), 3, tolerance=1e-12),
    }


@functools.cache
def activations() -> dict[str, AbstractActivation]:
    """At least one activation of every kind; `test_activations_quadrature` checks each."""
    return {
        "relu": relu,
        "leaky": leaky(0.2),
        "abs": absolute,
        "erf": Erf(),
        "sin": Sine(),
        "cos": Sine.cosine(2.0),
        "polynomial": Polynomial([0.3, 1, -0.5, 0.2]),
        "hermite": Polynomial.hermite([0, 0, 0, 1]),
        "tanh": Analytic(jnp.tanh, "tanh"),
    }


def patient(names: Iterable[str]) -> list:
    """Names as parameters of a test, slow for laws that take five times as long to compile."""
    slow = pytest.mark.slow
    return [
        pytest.param(name, marks=slow) if name in ("shifted", "product") else name for name in names
    ]


def smooth_laws() -> list[str]:
    """The names of the laws under which the loss has a Hessian."""
    return [name for name, law in laws().items() if law.is_smooth]


def student(seed: int = 0, neurons: int = 3, inputs: int = 3) -> Network:
    """A generic network with heads of both signs."""
    rng = np.random.default_rng(seed)
    return Network(rng.normal(size=(neurons, inputs)), rng.normal(size=neurons))


def teacher(seed: int = 100, neurons: int = 2, inputs: int = 3) -> Network:
    """Another one, of another width."""
    return student(seed, neurons, inputs)


def rotation(inputs: int, seed: int = 0) -> np.ndarray:
    """A rotation, or a reflection."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(inputs, inputs)))[0]


# facts: landscapes.md §3.6, ξ1 … ξ5 of a student in Fix ΔS_{k−1}, computed with 50 digits and
# printed with 9; §3.5, its loss (printed with 8 decimals) and smallest Hessian eigenvalue (6).
FAMILIES = {
    ("A", 6): (-0.663397368, 0.330709783, 0.330709783, 0.330709783, -0.663397368),
    ("I", 6): (-0.587730202, 0.391153865, -0.0137988947, 0.0167703136, 1.06839564),
    ("II", 6): (0.986703819, -0.0504134032, 0.308010991, 0.224515808, -0.601511924),
    ("A", 20): (-0.900746014, 0.0993506531, 0.0993506531, 0.0993506531, -0.900746014),
    ("I", 20): (-0.89461393, 0.103664182, -0.0027878314, 0.0160649539, 1.04517292),
    ("II", 20): (1.00300375, -0.00365514068, 0.0931874083, 0.0637147102, -0.810020576),
}
LOSSES = {
    ("A", 6): 0.05566858,
    ("I", 6): 0.04739578,
    ("II", 6): 0.025080581,
    ("A", 20): 0.10150546,
    ("I", 20): 0.09928651,
    ("II", 20): 0.011275582,
}
LEAST_EIGENVALUES = {
    ("A", 6): 0.001504,
    ("I", 6): -0.005825,
    ("II", 6): 0.004700,
    ("A", 20): 0.034466,
    ("I", 20): 0.033669,
    ("II", 20): 0.055093,
}


def spurious(family: str, k: int) -> Network:
    """A point of type A, I or II for the teacher `orthonormal(k)`."""
    diagonal, off, column, row, corner = FAMILIES[family, k]
    w = np.full((k, k), off)
    np.fill_diagonal(w, diagonal)
    w[:-1, -1], w[-1, :-1], w[-1, -1] = column, row, corner
    return Network(w)
