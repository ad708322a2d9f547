"""Powers: exponents of laws y ∝ x^p that measurements follow, with intervals."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.stats
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Exponent:
    """A power law y ∝ x^value fitted to several series."""

    value: float
    half_width: float
    """Of a 95 % interval."""

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.value - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.value + self.half_width


def exponent(x: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> Exponent:
    """The least-squares slope of log y against log x.

    The interval is Student's, from how far the points are off the line.

    **Raises.** `ValueError` for fewer than three points, and for numbers that are not positive.
    """
    if len(x) < 3 or not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError(
            f"A power law through points, with an interval, needs three positive ones, but there "
            f"are {len(x)}, the least of them {min(np.min(x), np.min(y))}. Measure more."
        )
    fit = scipy.stats.linregress(np.log(x), np.log(y))
    return Exponent(float(fit.slope), float(fit.stderr * scipy.stats.t.ppf(0.975, len(x) - 2)))


def fitted_exponent(x: Float[np.ndarray, " s"], y: Float[np.ndarray, "r s"]) -> Exponent:
    """The mean over series (rows of `y`) of their least-squares slopes in logarithms.

    The interval is Student's, over the slopes: series, one for each seed, are independent, while
    the points of one series share its data. It says nothing about how straight the lines are.

    **Raises.** `ValueError` for fewer than two series or two different x, and for numbers that
    are not positive.
    """
    if y.shape[0] < 2 or len(np.unique(x)) < 2 or not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError(
            f"A power law with an interval needs two series of positive numbers at two different "
            f"places, but has {y.shape[0]} at {len(np.unique(x))}. Use more seeds or sizes."
        )
    centred = np.log(x) - np.mean(np.log(x))
    slopes = np.log(y) @ centred / (centred @ centred)
    error = float(np.std(slopes, ddof=1) / math.sqrt(len(slopes)))
    student = float(scipy.stats.t.ppf(0.975, len(slopes) - 1))
    return Exponent(float(np.mean(slopes)), student * error)


def decay_exponent(sizes: Sequence[int | float], values: Sequence[float]) -> float:
    """The slope of log |value| against log size, by least squares; NaN for fewer than two."""
    if len(sizes) < 2:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(np.abs(values)), 1)[0])
