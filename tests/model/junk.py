"""Nonsense for public constructors. Run as a script, without the type checks that pytest adds."""

import hypothesis as hp
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

from shallows.landscape import AllWeights, SquaredLoss
from shallows.model import (
    Analytic,
    Erf,
    Gaussian,
    Mixture,
    Network,
    PiecewiseLinear,
    Polynomial,
    Rotational,
    Sample,
    Sine,
    StudentT,
    orthonormal,
)

# Integers stay small: `orthonormal(10**9)` is no nonsense, and allocates; 10¹⁷ ends the process,
# inside XLA.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 30),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
)
nested = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=9)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
# Moderate, so that sums and squares stay finite.
arrays = st.one_of(
    hnp.arrays(np.float64, shapes, elements=st.floats(-1e100, 1e100)),
    hnp.arrays(np.float64, shapes),
    hnp.arrays(np.float32, shapes),
    hnp.arrays(np.int64, shapes, elements=st.integers(-3, 30)),
    hnp.arrays(np.bool_, shapes),
    hnp.arrays(np.complex128, shapes),
    hnp.arrays("U2", shapes),
    hnp.arrays("M8[D]", shapes),
    hnp.arrays(object, shapes, elements=st.none()),
)
things = st.one_of(nested, arrays, st.dictionaries(st.text(max_size=1), scalars, max_size=2))
matrices = hnp.arrays(np.float64, (2, 2), elements=st.floats(-1e100, 1e100))

CONSTRUCTORS = {
    "Network": lambda x, y, z: Network(x, y, z),
    "heads and biases": lambda x, y, z: Network(np.ones((2, 3)), x, y),
    "orthonormal": lambda x, y, z: orthonormal(x, y),
    "Gaussian": lambda x, y, z: Gaussian(x),
    "covariance": lambda x, y, z: Gaussian(covariance=x),
    "either": lambda x, y, z: Gaussian(x, covariance=y),
    "Rotational": lambda x, y, z: Rotational(x, y),
    "radius": lambda x, y, z: Rotational(3, x, filled=True),
    "Sample": lambda x, y, z: Sample(x, y),
    "weights": lambda x, y, z: Sample(np.ones((2, 3)), x),
    "block": lambda x, y, z: Sample(np.ones((2, 3)), block=x),
    "StudentT": lambda x, y, z: StudentT(x, degrees=y),
    "scale": lambda x, y, z: StudentT(degrees=x, scale=y),
    "Mixture": lambda x, y, z: Mixture(x, y),
    "mixture weights": lambda x, y, z: Mixture([Gaussian(2), Gaussian(2)], x),
    "PiecewiseLinear": lambda x, y, z: PiecewiseLinear(x, y),
    "Erf": lambda x, y, z: Erf(x),
    "Sine": lambda x, y, z: Sine(x, y),
    "Polynomial": lambda x, y, z: Polynomial(x),
    "hermite": lambda x, y, z: Polynomial.hermite(x),
    "Analytic": lambda x, y, z: Analytic(np.tanh, "tanh", longest=x, tolerance=1.0),
    "relabel": lambda x, y, z: orthonormal(2).relabel(x, y),
    "rescale": lambda x, y, z: orthonormal(2).rescale(x),
    "embed": lambda x, y, z: orthonormal(2).embed(x),
}
# Only where arguments are checked: their kinds are left to the annotations.
CHECKED = {
    "SquaredLoss": lambda x, y, z: SquaredLoss(x, y, z),
    "teacher": lambda x, y, z: SquaredLoss(x, Gaussian(2), AllWeights()),
    "law": lambda x, y, z: SquaredLoss(orthonormal(2), x),
    "trained": lambda x, y, z: SquaredLoss(orthonormal(2), Gaussian(2), x),
}


def works_or_explains(construct, x, y, z):
    """Whatever the arguments, a finite object or an error with something to say."""
    try:
        construct(x, y, z)
    except (TypeError, ValueError) as error:
        if len(str(error)) < 10:
            raise AssertionError(f"nothing said: {error!r}") from error


@hp.given(st.sampled_from(sorted(CONSTRUCTORS)), things, things, things)
@hp.settings(derandomize=True, deadline=None, max_examples=600)
def _everything(name, x, y, z):
    works_or_explains(CONSTRUCTORS[name], x, y, z)


@hp.given(matrices)
@hp.settings(derandomize=True, deadline=None, max_examples=100)
def _symmetric(matrix):
    works_or_explains(CONSTRUCTORS["covariance"], matrix + matrix.T, None, None)


if __name__ == "__main__":
    _everything()
    _symmetric()
