"""What tests share: float64, Hypothesis without chance or clock, and a browser.

Rank and dtype promotion stay at JAX's defaults: the formulas of `overlaps` and `laws` add a row to
a matrix and multiply by masks throughout, where broadcasting is what is meant.
"""

import shutil

import hypothesis as hp
import jaxtyping
import pytest

import shallows  # noqa: F401  # switches JAX to float64, before anything imports it

hp.settings.register_profile(
    "shallows",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[hp.HealthCheck.too_slow],
)
hp.settings.load_profile("shallows")

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def unchecked_types():
    """What users have: no beartype, which would refuse wrong types before the library does."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, for the pages that are written."""
    from playwright.sync_api import sync_playwright

    binary = next(filter(None, map(shutil.which, BINARIES)), None)
    if binary is None:
        pytest.skip(f"no browser: none of {', '.join(BINARIES)} is installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=binary, args=FLAGS)
        yield launched
        launched.close()
