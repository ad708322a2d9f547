"""The smallest eigenvalue of a kernel matrix in balls."""

import mpmath as mp
import numpy as np
import pytest
from flint import ctx

from shallows.certify import Verdict
from shallows.certify.gram import least_eigenvalue, tangent_balls
from shallows.model import WideLimit


def _points(n=12, d=3):
    return np.random.default_rng(0).normal(size=(n, d))


@pytest.mark.parametrize("limit", [WideLimit(rates=(1, 0)), WideLimit(3, 2.0, 0.5, 0.2)], ids=str)
def test_the_enclosure_contains_the_eigenvalue_in_50_digits(limit):
    x = _points()
    found = least_eigenvalue(limit, x)
    assert found.verdict is Verdict.PROVED
    assert "is positive definite" in found.statement
    with mp.workdps(50):
        low, high = map(mp.mpf, found.enclosure)
        before, ctx.prec = ctx.prec, 200
        matrix = mp.matrix([[mp.mpf(t.mid().str(50, radius=False)) for t in row]
                            for row in tangent_balls(limit, x).tolist()])  # fmt: skip
        ctx.prec = before
        exact = mp.eigsy(matrix, eigvals_only=True)[0]
        assert low <= exact <= high
        assert high - low < 1e-13
    # The matrix in balls is the one in floats, which has tests of its own.
    floats = np.array(matrix.tolist(), dtype=float)
    np.testing.assert_allclose(floats, limit.tangent(x), atol=1e-14 * np.max(floats))


def test_a_nearly_singular_matrix_is_proved_positive_or_not_at_all():
    x = _points()
    x[5] = x[3] * (1 + 1e-12) + 1e-9
    found = least_eigenvalue(WideLimit(), x)
    low, high = map(float, found.enclosure)
    assert (found.verdict is Verdict.PROVED) == (low > 0)
    assert 0 < high < 1e-8
    x[5] = x[3]
    x[5, 0] = np.nextafter(x[3, 0], 9)
    found = least_eigenvalue(WideLimit(), x)
    assert found.verdict in (Verdict.PROVED, Verdict.UNDECIDED)


def test_dependent_points_refute():
    x = _points()
    x[7] = 2 * x[2]
    found = least_eigenvalue(WideLimit(), x)
    assert found.verdict is Verdict.REFUTED
    assert found.enclosure == ("0", "0")
    assert found.reason == "Points 2 and 7 are positive multiples of one another."
    assert least_eigenvalue(WideLimit(bias=0.1), x).verdict is Verdict.PROVED
    x[7] = 0
    assert least_eigenvalue(WideLimit(), x).reason.startswith("Point 7 is 0")
    x[7] = x[2]
    assert least_eigenvalue(WideLimit(bias=0.1), x).reason == "Points 2 and 7 are equal."


def test_misuse_of_precision():
    before = ctx.prec
    with pytest.raises(ValueError, match="`bits` must be at least 53, but is 20"):
        least_eigenvalue(WideLimit(), _points(), bits=20)
    with pytest.raises(ValueError, match="`points` must be finite"):
        least_eigenvalue(WideLimit(), [[np.inf]])
    assert ctx.prec == before
