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

# Viridis, dark to light, sampled: ordered by lightness for every kind of colour vision.
_RAMP = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")

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


def ramp(position: float | int) -> str:
    """A colour of the sequential scale, dark at 0 and light at 1."""
    place = min(max(position, 0.0), 1.0) * (len(_RAMP) - 1)
    i = min(int(place), len(_RAMP) - 2)
    mixed = (
        round((1 - place + i) * int(_RAMP[i][c : c + 2], 16))
        + round((place - i) * int(_RAMP[i + 1][c : c + 2], 16))
        for c in (1, 3, 5)
    )
    return "#" + "".join(f"{min(channel, 255):02x}" for channel in mixed)


def labelled(
    families: Sequence[Family], styles: dict[str, tuple[str, str, str]], most: int = 10
) -> dict[int, str]:
    """Which points of the loss–eigenvalue plane carry their name, and on which side.

    The most frequent first; a name that would run into one already placed, or cover another
    point, is left to the table and to hovering. Near an edge of the plane a name points inwards.
    """
    spans = [
        (min(values), (max(values) - min(values)) or 1.0)
        for values in (
            [family.loss for family in families],
            [*(family.smallest_eigenvalue for family in families), 0.0],
        )
    ]
    (left, width), (low, height) = spans
    places = [
        ((family.loss - left) / width, (family.smallest_eigenvalue - low) / height)
        for family in families
    ]
    chosen: dict[int, tuple[float, float, float]] = {}
    sides: dict[int, str] = {}
    for i, (family, (x, y)) in enumerate(zip(families, places, strict=True)):
        # Half the width of the name on the narrowest figure, as a share of the span.
        half = 0.0125 * len(shortened(family.name, 14))
        sides[i] = "right" if x < half else "left" if x > 1 - half else "center"
        x += {"right": half, "left": -half, "center": 0.0}[sides[i]]
        # A name stands above its point.
        covers = any(abs(x - u) < half + 0.02 and 0.02 < v - y < 0.14 for u, v in places)
        if (
            len(chosen) < most
            and not covers
            and group_of(family.isotropy, styles) != OTHERS
            and all(abs(x - u) > half + w or abs(y - v) > 0.09 for u, v, w in chosen.values())
        ):
            chosen[i] = (x, y, half)
    return {i: sides[i] for i in chosen}


def percent_ticks(reach: float | int) -> list[float | int]:
    """Ticks of an axis of percentages that may extend beyond 100, which no share does."""
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if s >= reach / 7 or s == 20)
    return [i * step for i in range(int(min(reach, 100) / step + 1e-9) + 1)]


def shortened(name: str, most: int = 22) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= most else name[: most - 1] + "…"
