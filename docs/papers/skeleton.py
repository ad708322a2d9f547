"""Cho & Saul (2009): the arc-cosine kernel. Copy this file, and change every line of it."""

import math
from collections.abc import Sequence

import numpy as np

from shallows import report
from shallows.lab import Case, Record, Result
from shallows.papers import Claim, Judgement, Paper, Picture, Scale

# A key of the bibliography, src/shallows/report/references.bib.
_SOURCE = "chosaul2009"

CLAIMS = (
    Claim(
        "closed-form",
        "For Gaussian inputs the mean of σ(u·x) σ(v·x) has a closed form in the angle θ between "
        "unit vectors u and v: (sin θ + (π − θ) cos θ)/(2π).",
        # Where it stands. What follows no words that were read is called our reading here.
        f"{_SOURCE}, kernel of degree 1 (our reading: halved, σ(t) = max(t, 0))",
        # Whether the statement follows words of the source that were read.
        False,
    ),
)


def cases(scale: Scale) -> list[Case]:
    """Angles, with more samples at larger scales: seconds, a minute or two, as far as is worth."""
    samples = {Scale.smoke: 2_000, Scale.desk: 200_000, Scale.paper: 2_000_000}[scale]
    angles = np.linspace(0, math.pi, 5 if scale is Scale.smoke else 13)
    return [Case({"angle": float(a), "samples": samples, "seed": 0}) for a in angles]


def measure(case: dict) -> Result:
    """One case, computed by what the rooms offer; values are plain numbers, words and lists."""
    angle = case["angle"]
    x = np.random.default_rng(case["seed"]).normal(size=(case["samples"], 2))
    v = np.array([math.cos(angle), math.sin(angle)])
    products = np.maximum(x[:, 0], 0) * np.maximum(x @ v, 0)
    return Result(
        {
            "mean": float(products.mean()),
            "standard_error": float(products.std(ddof=1) / math.sqrt(len(products))),
        }
    )


def judge(records: Sequence[Record]) -> dict[str, Judgement]:
    """What all records say of each claim. Numbers support or contradict; they do not prove."""
    errors = [
        abs(r.values["mean"] - _closed_form(r.case.data["angle"]))
        / max(r.values["standard_error"], 1e-12)
        for r in records
    ]
    return {
        "closed-form": Judgement.by_numbers(
            max(errors) < 5,
            f"At {len(records)} angles it is within {max(errors):.1f} standard errors.",
            {"largest_error": max(errors)},
        )
    }


def _closed_form(angle: float) -> float:
    return (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)


def _picture(records: Sequence[Record]):
    """Made of the records alone; the report and this site show it."""
    angles = [r.case.data["angle"] for r in records]
    means = [r.values["mean"] for r in records]
    errors = [2 * r.values["standard_error"] for r in records]
    fine = np.linspace(0, math.pi, 100).tolist()
    return report.panel_figure(
        [
            report.Panel(
                "Two neurons",
                "angle θ",
                "mean product",
                (
                    report.Series("samples, ± 2 s.e.", angles, means, report.Mark.dots, errors),
                    report.Series(
                        "closed form", fine, [_closed_form(a) for a in fine], report.Mark.line
                    ),
                ),
            )
        ]
    )


PAPER = Paper(
    key="cho-saul-2009",
    title="Kernel Methods for Deep Learning",
    source=_SOURCE,
    claims=CLAIMS,
    # Raised whenever the numbers of `measure` may move: stored answers are then asked anew.
    version=1,
    cases=cases,
    measure=measure,
    judge=judge,
    pictures=(
        Picture(
            ("closed-form",),
            "The sampled means lie on the closed form at every angle; at θ = π the neurons are "
            "never on together.",
            _picture,
        ),
    ),
)
