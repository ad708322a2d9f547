"""Censuses to render: one with the published numbers of k = d = 10, and nasty ones.

The numbers of the reference census are those of facts/landscapes.md, 3.5, 4.3, 4.5, 6 and 7.1
(Safran & Shamir's 1000 starts at k = 10); weights are the leading terms of the series and
curves are made up, since nothing here is computed from them.
"""

import math
from typing import Any

import numpy as np

from shallows.atlas.catalogue import Census, Curve, Family, Kind, Level

NASTY = "unnamed:<script>alert('x')</script>&\"$\\alpha$ [bold]"


def two_block(k: int, d: int, flipped: int) -> np.ndarray:
    """About a point with the last `flipped` neurons flipped."""
    weights = np.zeros((k, d))
    for i in range(k):
        is_flipped = i >= k - flipped
        for j in range(d):
            is_column_flipped = j >= d - flipped
            if i == j:
                weights[i, j] = -1 + 4 / k if is_flipped else 1.0
            elif is_flipped:
                weights[i, j] = 1.9 / k if is_column_flipped else 4 / (math.pi * k)
            else:
                weights[i, j] = 2 / k if is_column_flipped else -1 / k**2
    return weights


def curve(final_loss: float, points: int = 120, steps: float = 4000.0) -> Curve:
    """Fast at first, then exponential, at the end rounding (which may be negative)."""
    time = np.linspace(0, steps, points)
    loss = final_loss + 2.5 * np.exp(-60 * time / steps) + 0.01 * np.exp(-30 * time / steps)
    gradient = 3 * np.exp(-30 * time / steps) + 1e-13
    if final_loss < 1e-20:
        loss = 2.5 * np.exp(-100 * time / steps)
        loss[-4:] = [3e-17, -1e-17, 0.0, final_loss]
    return Curve(tuple(time.tolist()), tuple(loss.tolist()), tuple(gradient.tolist()))


def global_levels(k: int) -> tuple[Level, ...]:
    """The exact spectrum at the global minimum, k = d."""
    c = 1 / (2 * math.pi)
    s = np.roots([1, -(k + 2) / 4, (k + 1) / 16 + 1 / (4 * math.pi) - 1 / (4 * math.pi**2)])
    t = np.linalg.eigvals([[0.5 + (k - 1) * c, (k - 1) / 4], [0.25, k / 4 + c]])
    levels = [(0.25 - c, k * (k - 1) // 2), (0.25 + c, k * (k - 3) // 2)]
    levels += [(float(z.real), k - 1) for z in s] + [(float(z.real), 1) for z in t]
    return tuple(Level(value, count) for value, count in sorted(levels))


def family(name: str, **changes: Any) -> Family:
    """A family that is plausible in every field, with some of them set."""
    k, d = changes.pop("k", 10), changes.pop("d", 10)
    flipped = changes.setdefault("flipped", 0)
    loss = changes.setdefault("loss", 0.01870219489) if flipped else changes.setdefault("loss", 0.0)
    fields: dict[str, Any] = {
        "isotropy": "Δ(S9×S1)",
        "isotropy_order": math.factorial(9),
        "count": 1,
        "smallest_eigenvalue": 0.0319640276,
        "kind": Kind.minimum,
        "gradient_norm": 8.25e-13,
        "weights": two_block(k, d, flipped),
        "outer": np.ones(k),
        "spectrum": (Level(0.0319640276, 8), Level(2.69954308, k * d - 8)),
        "curve": curve(loss),
        "first_start": 0,
        "spread": 3.1e-13,
    }
    return Family(name=name, **{**fields, **changes})


def census(families: list[Family], starts: int = 1000, **changes: Any) -> Census:
    """A census of gradient descent around some families."""
    settled = sum(found.count for found in families)
    k, d = families[0].weights.shape if families else (10, 10)
    fields: dict[str, Any] = {
        "question": {
            "neurons": k,
            "inputs": d,
            "teacher": "orthonormal",
            "law": "standard Gaussian",
            "optimiser": "gd",
            "step": 5 / k,
            "init": 1 / math.sqrt(d),
            "trained": "inner weights",
            "seed": 0,
            "starts": starts,
        },
        "settled": settled,
        "seconds": 812.3,
        "unsettled": {
            "Used all its steps. Allow more, or start from a larger step.": starts - settled
        }
        if settled < starts
        else {},
        "provenance": {
            "version": "0.1.0",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "precision": "float64",
            "device": "cpu: 2 cores",
            "damaged": 0,
        },
    }
    return Census(starts=starts, families=tuple(families), **{**fields, **changes})


def reference_census() -> Census:
    """k = d = 10 with the counts of Safran & Shamir, four starts unsettled."""
    two = [
        (0.0319640276, 8),
        (0.0628535926, 28),
        (0.0790933061, 1),
        (0.0851862571, 8),
        (0.216165562, 1),
        (0.239215084, 8),
        (0.363740595, 8),
        (0.380175145, 27),
        (1.45408782, 1),
        (2.65794575, 1),
        (2.69954308, 8),
        (3.09635618, 1),
    ]
    return census(
        [
            family(
                "global",
                isotropy="ΔS10",
                isotropy_order=math.factorial(10),
                count=651,
                loss=4.8146e-30,
                smallest_eigenvalue=0.25 - 1 / (2 * math.pi),
                weights=np.eye(10),
                spectrum=global_levels(10),
                gradient_norm=4.4e-15,
            ),
            family(
                "II",
                flipped=1,
                count=311,
                loss=0.018702194871,
                spectrum=tuple(Level(*level) for level in two),
                first_start=3,
            ),
            family(
                "flipped:2",
                isotropy="Δ(S8×S2)",
                isotropy_order=2 * math.factorial(8),
                flipped=2,
                count=34,
                loss=0.035326882,
                smallest_eigenvalue=0.015992,
                spectrum=(Level(0.015992, 7), Level(0.0631, 21), Level(0.38, 72)),
                first_start=17,
            ),
        ]
    )


def nothing_settled() -> Census:
    """Every start used all its steps."""
    return census([], starts=50)


def many_families() -> Census:
    """Forty families at k = d = 50, every kind, one with a hostile name and NaN."""
    kinds = list(Kind)
    random = np.random.default_rng(0)
    families = []
    for i in range(40):
        kind = kinds[i % 3]
        eigenvalue = {Kind.minimum: 0.06, Kind.saddle: -0.02, Kind.degenerate: 1e-15}[kind]
        families.append(
            family(
                f"flipped:{i}" if i < 20 else f"unnamed:S{i}x{'long' * i}",
                k=50,
                d=50,
                flipped=i,
                isotropy=f"Δ(S{50 - i}×S{i})",
                isotropy_order=math.factorial(50 - i) * math.factorial(i),
                count=60 - i,
                loss=0.0055 * i + 1e-3,
                smallest_eigenvalue=eigenvalue * (1 + 0.05 * i),
                kind=kind,
                weights=two_block(50, 50, i) + 1e-12 * random.standard_normal((50, 50)),
                spectrum=tuple(
                    Level(eigenvalue + 0.002 * j * (j + 1), 1 + j % 5 * 40) for j in range(45)
                ),
                curve=curve(0.0055 * i + 1e-3, points=2000),
                first_start=i,
            )
        )
    families[0] = family(NASTY, k=50, d=50, count=300, smallest_eigenvalue=math.nan)
    return census(families, starts=2500)


def rectangular() -> Census:
    """Nine neurons, eight inputs, a nearly flat direction and trained outer weights."""
    return census(
        [
            family(
                "unnamed:8+1",
                k=9,
                d=8,
                isotropy="Δ(S7×S1)×S1",
                kind=Kind.degenerate,
                smallest_eigenvalue=-2e-17,
                loss=1.3e-28,
                count=900,
                outer=np.linspace(0.5, 1.5, 9),
                spectrum=(Level(-2e-17, 8), Level(0.25, 64)),
            ),
            family("II", k=9, d=8, flipped=1, loss=0.0205607898, count=100),
        ]
    )


def single_neuron() -> Census:
    """One neuron, one family, one weight, one point of a curve."""
    return census(
        [
            family(
                "global",
                k=1,
                d=1,
                isotropy="ΔS1",
                isotropy_order=1,
                count=10,
                loss=0.0,
                smallest_eigenvalue=0.5,
                spectrum=(Level(0.5, 1),),
                curve=Curve((0.0,), (0.3,), (0.4,)),
            )
        ],
        starts=10,
    )


def range_of_sizes(sizes: range | list[int] = range(6, 31)) -> list[Census]:
    """Counts that move from the global minimum to more and more flipped neurons."""
    random = np.random.default_rng(1)
    censuses = []
    for k in sizes:
        mean = max(0.0, 0.21 * (k - 6))
        draws = np.clip(random.poisson(mean, 490), 0, k // 2)
        families = [
            family(
                "global" if p == 0 else f"flipped:{p}",
                k=k,
                d=k,
                flipped=p,
                loss=1e-29 if p == 0 else 0.29 * p / k,
                count=int((draws == p).sum()),
                gradient_norm=1e-13 * (1 + p),
                spectrum=(),
                curve=Curve((), (), ()),
            )
            for p in sorted(set(draws.tolist()))
        ]
        families.sort(key=lambda found: -found.count)
        censuses.append(census(families, starts=500))
    return censuses
