"""What a count of random starts says about a probability, without an approximation."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from scipy.special import betaincinv

from shallows.atlas.catalogue import Census


def clopper_pearson(
    count: int, total: int, *, confidence: float | int = 0.95
) -> tuple[float, float]:
    r"""The exact interval of a binomial share: all p that neither tail refutes.

    Its ends solve $P_p(X \ge \text{count}) = P_p(X \le \text{count}) = (1 - \text{confidence})/2$
    for X binomial with total trials.

    **Convention.** Two-sided: each tail has half of what is left of the confidence. A one-sided
    bound of confidence c is an end of the two-sided interval of confidence 2c − 1.

    **Domain.** 0 ≤ count ≤ total, total ≥ 1. At count 0 or total one end is exactly 0 or 1.

    **Accuracy.** Covers the true share at least as often as it says, for each total and share;
    ends to 1e-12.

    **Raises.** `ValueError` outside the domain.

    **Source.** Clopper & Pearson (1934).
    """
    if total < 1 or not 0 <= count <= total:
        raise ValueError(
            f"A share needs 0 <= count <= total and total >= 1: {count=} and {total=}. "
            f"Count the starts again."
        )
    if not 0 < confidence < 1:
        raise ValueError(
            f"A confidence lies strictly between 0 and 1: {confidence=}. Pass e.g. 0.95."
        )
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return low, high


@dataclasses.dataclass(frozen=True)
class Bound:
    """How large a family's share of all starts can be, after so many were followed."""

    name: str
    count: int
    """Starts that ended there."""
    unsettled: int
    """Starts of which nobody knows; the bound counts them as hits."""
    starts: int
    confidence: float | int = 0.95

    @property
    def share_below(self) -> float:
        """The one-sided Clopper–Pearson bound: a larger share would have shown more hits."""
        most = self.count + self.unsettled
        return clopper_pearson(most, self.starts, confidence=2 * self.confidence - 1)[1]

    def __str__(self) -> str:
        share = 100 * self.share_below
        unit = 10.0 ** (math.floor(math.log10(share)) - 1)
        rounded = math.ceil(share / unit) * unit  # a bound is rounded up
        lost = f" ({self.unsettled} unsettled, counted as hits)" if self.unsettled else ""
        return (
            f"{self.name}: {self.count} of {self.starts}{lost}, share below "
            f"{rounded:#.2g} % with {100 * self.confidence:g} % confidence"
        )

    def as_json(self) -> dict[str, Any]:
        """As in the document of `shallows census --json`."""
        return {**dataclasses.asdict(self), "share_below": self.share_below}


def bounds(
    census: Census, names: Sequence[str], *, confidence: float | int = 0.95
) -> tuple[Bound, ...]:
    """An upper bound on the share of each named family, hit or not.

    It holds for the census' method and distribution of starts, and for no other.

    **Raises.** `ValueError` for a confidence of ½ or less, which makes no one-sided bound.
    """
    if not 0.5 < confidence < 1:
        raise ValueError(
            f"An upper bound needs a confidence between 1/2 and 1, not {confidence}. Use e.g. 0.95."
        )
    counts = {family.name: family.count for family in census.families}
    lost = census.starts - census.settled
    return tuple(Bound(n, counts.get(n, 0), lost, census.starts, confidence) for n in names)


def missed(census: Census, *, confidence: float | int = 0.95) -> tuple[Bound, ...]:
    """Bounds for those of `A`, `I` and `II` that exist at the census' size and no start found.

    Empty unless the census is of as many students as orthonormal teachers and inputs, standard
    Gaussian, with fixed heads, the ReLU and no dropout: the problem whose families are known.
    """
    asked, k = census.question, census.question.get("neurons")
    known = {
        "inputs": k,
        "teacher": f"orthonormal, {k} neurons",
        "law": "standard Gaussian",
        "trained": "InnerWeights",
    }
    if {"activation", "dropout"} & set(asked) or any(
        asked.get(key) != value for key, value in known.items()
    ):
        return ()
    # Families are computed by balls and branches, which reading a census does not need.
    from shallows.atlas.families import member

    found = {family.name for family in census.families}
    names = []
    for name in sorted({"A", "I", "II"} - found):
        with contextlib.suppress(ValueError):  # there is none of this size
            member(name, int(asked["neurons"]))
            names.append(name)
    return bounds(census, names, confidence=confidence)
