"""What every test shares: float64, and Hypothesis without chance or clock.

Rank and dtype promotion stay at JAX's defaults: the formulas of `overlaps` and `laws` add a row to
a matrix and multiply by masks throughout, where broadcasting is what is meant.
"""

import hypothesis as hp

import shallows  # noqa: F401  # switches JAX to float64, before anything imports it

hp.settings.register_profile(
    "shallows",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[hp.HealthCheck.too_slow],
)
hp.settings.load_profile("shallows")
