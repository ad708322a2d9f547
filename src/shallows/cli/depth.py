"""The census of networks with several hidden layers."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shallows.cli.door import bar, complain, print_json, say, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from shallows.atlas.depth import DeepCensus
    from shallows.model import AbstractLaw
    from shallows.solve import GradientDescent, GradientFlow

_LARGEST = 7  # 7! = 5040 relabellings of each point


def refuse_beside_depth(depth: int, **given: bool) -> None:
    """Refuse options that mean nothing with several hidden layers: those that were given."""
    wrong = [f"--{name}" for name, is_given in given.items() if is_given]
    if wrong:
        raise ValueError(
            f"With `--depth {depth}` the target is the identity in each layer, inputs are drawn "
            f"from a named law, and hidden layers are trained, but {', '.join(wrong)} was given. "
            f"Leave it out."
        )


def census_at_depth(
    depth: int,
    neurons: str | None,
    law: "Callable[[int], AbstractLaw]",
    activation: str,
    points: int,
    starts: int,
    seed: int,
    how: "GradientFlow | GradientDescent",
    init: float | None,
    out: Path,
    as_json: bool,
) -> None:
    """Train networks of that many hidden layers and print what was found."""
    import jax
    import numpy as np

    from shallows.atlas.depth import deep_census
    from shallows.lab import Store
    from shallows.landscape.deep import DeepLoss
    from shallows.model.deep import closed_sample, iterated
    from shallows.model.named import activation as called
    from shallows.model.network import positive_integer
    from shallows.solve import Outcome

    try:
        k = positive_integer("k", int("4" if neurons is None else neurons), most=_LARGEST)
    except ValueError as error:
        raise ValueError(
            f"With `--depth {depth}` `-k` is one size, at most {_LARGEST}, as the data are closed "
            f"under its k! relabellings, but `-k {neurons}` was given. ({error})"
        ) from None
    positive_integer("points", points)
    base = np.asarray(law(k).draw(jax.random.key(seed), points))
    loss = DeepLoss(iterated(k, depth, called(activation)), closed_sample(base))
    scale = 1.0 if init is None else init * math.sqrt(k)
    with bar(f"depth {depth}, k = {k}", starts) as move:
        found = deep_census(
            loss, starts, how, init=scale, seed=seed, store=Store(out), progress=move
        )
    if as_json:
        print_json(found.as_json())
    else:
        show(_table(found))
        for outcome, count in found.unsettled.items():
            say(f"ended as {outcome}: {count}. {Outcome[outcome].value}")
    if not found.settled:
        complain("No start settled; the outcomes above say why and what to do.", 1)


def _table(found: "DeepCensus") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    asked = found.question
    table = Table(
        title=f"Critical points found ({asked['depth']} hidden layers of {asked['inputs']} units, "
        f"{asked['activation']}, {asked['points']} points)",
        caption=f"{found.settled} of {found.starts} starts settled.",
        box=box.SIMPLE,
    )
    for heading in ("isotropy", "layer by layer"):
        table.add_column(heading, overflow="fold")
    for heading in ("index", "symmetries\nof f", "count", "loss", "smallest\neigenvalue"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    for family in found.families:
        row: list[Any] = [
            family.isotropy.name + (" (ambiguous)" if family.isotropy.ambiguous else ""),
            ", ".join(family.each_layer),
            "–" if family.index is None else str(family.index),
            "–" if family.symmetries is None else str(family.symmetries),
            str(family.count),
            f"{family.loss:.6g}",
            f"{family.smallest_eigenvalue:.4g}",
            "global" if family.is_global else family.kind.value,
        ]
        table.add_row(*(Text(cell) for cell in row))
    return table
