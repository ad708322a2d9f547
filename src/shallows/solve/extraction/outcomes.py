"""How extractions end, and functions for which it makes no sense to begin."""

import enum

from shallows.solve.extraction.probes import Probe

# Rounding in float64 is 1e-16 to 1e-14 of the values; single precision is 1e-7.
_NOISY = 1e-10


class ExtractionOutcome(enum.Enum):
    """How an extraction ended; the value is advice."""

    recovered = ""
    noisy = (
        "The answers are not exact: nothing that rests on cancellation can be recovered from them. "
        "Ask for float64, without noise and without rounding of the output."
    )
    not_piecewise_linear = (
        "The function is not piecewise linear and continuous, so it is no ReLU network. Ask for "
        "the output before a last softmax or sigmoid, if there is one."
    )
    not_two_layers = (
        "The function is piecewise linear, but its kinks bend: it has more layers, or other units "
        "than ReLUs. Ask for several layers, with `extract_deep`."
    )
    unresolved = (
        "Some kinks are too near to one another, too slight or too far away to be measured in "
        "float64; what is returned is not the function. Allow more lines, or take duplicate "
        "neurons together."
    )
    partly_recovered = (
        "Some layers, or units, were not found; what is known of each layer says more. Allow more "
        "lines, or hidden layers."
    )
    out_of_queries = "The budget of queries is spent. Allow more."


def refusal(probe: Probe) -> tuple[ExtractionOutcome, str] | None:
    """Why it makes no sense to look for kinks, if it does not."""
    if probe.disagreement > _NOISY * probe.magnitude:
        return ExtractionOutcome.noisy, (
            f"the same points, asked twice, differ by up to "
            f"{probe.disagreement / probe.magnitude:.1e} of the largest value"
        )
    near = probe.sigma[1.0] / probe.magnitude
    if near > _NOISY:
        return ExtractionOutcome.noisy, (
            f"on short segments values scatter by {near:.1e} of the largest value, where float64 "
            f"makes 1e-16 to 1e-14"
        )
    share, second = probe.bends()
    if share > 0.5:
        return ExtractionOutcome.not_piecewise_linear, (
            f"at {share:.0%} of random points it is curved; second differences there are "
            f"{second:.1e} times rounding"
        )
    if probe.scatter > _NOISY:
        return ExtractionOutcome.not_piecewise_linear, (
            f"far away, on short segments, values scatter by {probe.scatter:.1e} of the largest"
        )
    return None
