"""Colours, symbols and labels that the interactive and the printed figures share."""

from collections.abc import Sequence

from shallows.atlas.catalogue import Family

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY, LIGHT = "#E69F00", "#56B4E9", "#6b6b6b", "#c9c9c9"

# Okabe & Ito (2008) without yellow and black: told apart by every kind of colour vision.
_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
# A second channel, so that nothing hangs on colour alone and more than six groups fit.
_SYMBOLS = (("circle", "o"), ("square", "s"), ("diamond", "D"), ("triangle-up", "^"))

DIVERGING = (
    (0.0, "#2166ac"),
    (0.25, "#92c5de"),
    (0.5, "#f7f7f7"),
    (0.75, "#f4a582"),
    (1.0, "#b2182b"),
)
"""Blue – white – red: distinguishable without red–green vision, white at zero."""

# Cividis, dark to light, sampled: ordered by lightness for every kind of colour vision.
_RAMP = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")

FLOOR = 1e-16
"""Below this a loss of order one is rounding; logarithmic axes stop here."""

OTHERS = "other groups"


def isotropies(families: Sequence[Family], most: int = 10) -> dict[str, tuple[str, str, str]]:
    """Isotropy → (colour, plotly symbol, matplotlib marker), most frequent isotropy first.

    **Convention.** Beyond `most` groups the rest share one grey entry, `OTHERS`.
    """
    counts: dict[str, int] = {}
    for family in families:
        counts[family.isotropy] = counts.get(family.isotropy, 0) + family.count
    ordered = sorted(counts, key=lambda isotropy: -counts[isotropy])
    styles = {}
    for i, isotropy in enumerate(ordered):
        symbol = _SYMBOLS[(i // len(_COLOURS) + i) % len(_SYMBOLS)]
        styles[isotropy] = (
            (_COLOURS[i % len(_COLOURS)], *symbol) if i < most else (LIGHT, "cross", "P")
        )
    return styles


def group_of(isotropy: str, styles: dict[str, tuple[str, str, str]]) -> str:
    """The legend entry of an isotropy: itself, or `OTHERS` where it has no own colour."""
    return OTHERS if styles[isotropy][0] == LIGHT else isotropy


def ramp(position: float) -> str:
    """A colour of the sequential scale, dark at 0 and light at 1."""
    place = min(max(position, 0.0), 1.0) * (len(_RAMP) - 1)
    i = min(int(place), len(_RAMP) - 2)
    mixed = (
        round((1 - place + i) * int(_RAMP[i][c : c + 2], 16))
        + round((place - i) * int(_RAMP[i + 1][c : c + 2], 16))
        for c in (1, 3, 5)
    )
    return "#" + "".join(f"{min(channel, 255):02x}" for channel in mixed)


def labelled(families: Sequence[Family], most: int = 10) -> set[int]:
    """Which points of the loss–eigenvalue plane carry their name.

    The most frequent first; a name that would run into one already placed is left to the
    table and to hovering.
    """
    spans = [
        (min(values), (max(values) - min(values)) or 1.0)
        for values in (
            [family.loss for family in families],
            [*(family.smallest_eigenvalue for family in families), 0.0],
        )
    ]
    chosen: dict[int, tuple[float, float]] = {}
    for i, family in enumerate(families):
        x, y = (
            (value - low) / span
            for value, (low, span) in zip(
                (family.loss, family.smallest_eigenvalue), spans, strict=True
            )
        )
        if len(chosen) < most and all(
            abs(x - u) > 0.16 or abs(y - v) > 0.08 for u, v in chosen.values()
        ):
            chosen[i] = (x, y)
    return set(chosen)


def shortened(name: str, most: int = 22) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"
