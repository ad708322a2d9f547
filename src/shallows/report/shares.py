"""Counts as shares, with the interval that says how much a count is worth."""

import dataclasses
import math
import statistics


def wilson_interval(
    count: int, total: int, *, confidence: float | int = 0.95
) -> tuple[float, float]:
    r"""The Wilson score interval of a binomial share.

    With $\hat p$ = count/total, $n$ = total and $z$ the normal quantile of the confidence,

    $$ \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}. $$

    **Convention.** Two-sided, no continuity correction.

    **Domain.** 0 ≤ count ≤ total, total ≥ 1. At count 0 or total one end is exactly 0 or 1.

    **Raises.** `ValueError` outside the domain.

    **Source.** Wilson (1927); the same as SciPy's
    `binomtest(count, total).proportion_ci(method="wilson")`.
    """
    if total < 1 or not 0 <= count <= total:
        raise ValueError(
            f"A share needs 0 <= count <= total and total >= 1: {count=} and {total=}. "
            "Count the starts again, or leave out a census without starts."
        )
    if not 0 < confidence < 1:
        raise ValueError(
            f"A confidence lies strictly between 0 and 1: {confidence=}. Pass e.g. 0.95."
        )
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    p = count / total
    centre = p + z**2 / (2 * total)
    radius = z * math.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    # The ends are exact in theory and off by an ulp in floating point.
    low = 0.0 if count == 0 else (centre - radius) / scale
    high = 1.0 if count == total else (centre + radius) / scale
    return low, high


@dataclasses.dataclass(frozen=True)
class Share:
    """So many of so many, with its 95 % Wilson interval."""

    count: int
    total: int

    @property
    def fraction(self) -> float:
        """The share itself, between 0 and 1."""
        return self.count / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval around it."""
        return wilson_interval(self.count, self.total)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{percent(self.fraction)} % [{percent(low)}, {percent(high)}]"


def percent(fraction: float | int) -> str:
    """A fraction in percent with one decimal, without the sign, e.g. `65.1`."""
    return f"{100 * fraction:.1f}"
