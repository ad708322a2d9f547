"""What a notebook shows of a result, and tables that leave it: HTML, pandas and xarray.

The lowest room: it knows columns of numbers and words, and not what they are about. Its HTML has
neither scripts nor colours of text or background, so that it reads on light pages and on dark
ones; all words are escaped. pandas and xarray are imported where one of their objects is made.
"""

import base64
import enum
import html
import importlib
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# A page of a notebook, not an archive: what is cut is said.
_ROWS = 40
_WORDS = 160

# Sides of a picture, in entries; beyond, nobody sees one.
_PIXELS = 256

# Seen on white and on black; an entry's size is its opacity.
_POSITIVE, _NEGATIVE = (230, 97, 1), (66, 133, 244)

_LINE = "border:0;border-bottom:1px solid rgba(128,128,128,.45);padding:.15em .7em"


def page(
    title: str,
    columns: Mapping[str, Iterable[Any]] | None = None,
    *,
    notes: Sequence[str] = (),
    picture: str = "",
) -> str:
    """A title, sentences, a picture made by `picture_of`, and a table: one block of HTML.

    **Convention.** Floats have six significant digits, None is a dash, members of an `Enum` are
    their values. At most 40 rows are shown, and the number of the others is.
    """
    parts = [f"<div><strong>{_escaped(title)}</strong></div>"]
    parts += [f'<div style="max-width:60em">{_escaped(note)}</div>' for note in notes if note]
    parts.append(picture)
    if columns:
        parts.append(_table(columns))
    return f'<div style="overflow-x:auto">{"".join(parts)}</div>'


def _table(columns: Mapping[str, Iterable[Any]]) -> str:
    rows = list(zip(*columns.values(), strict=True))
    head = "".join(f'<th style="{_LINE};text-align:right">{_escaped(c)}</th>' for c in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_LINE};text-align:{"left" if isinstance(x, str) else "right"}">'
            f"{_escaped(_cell(x))}</td>"
            for x in row
        )
        + "</tr>"
        for row in rows[:_ROWS]
    )
    more = f"<div>… and {len(rows) - _ROWS} more</div>" if len(rows) > _ROWS else ""
    made = f'<table style="border-collapse:collapse"><thead><tr>{head}</tr></thead>'
    return f"{made}<tbody>{body}</tbody></table>{more}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    text = str(value)
    return text if len(text) <= _WORDS else f"{text[:_WORDS]}…"


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


def picture_of(matrix: np.ndarray) -> str:
    """A matrix as an image inside the HTML: orange above zero, blue below, stronger for larger.

    Nothing for matrices of more than 256 rows or columns, or with entries that are not finite.
    """
    x = np.asarray(matrix, dtype=float)
    if x.ndim != 2 or 0 in x.shape or max(x.shape) > _PIXELS or not np.isfinite(x).all():
        return ""
    largest = float(np.abs(x).max())
    opacity = np.round(255 * np.abs(x) / largest) if largest > 0 else np.zeros_like(x)
    pixels = np.where((x > 0)[..., None], _POSITIVE, _NEGATIVE)
    image = np.concatenate([pixels, opacity[..., None]], axis=-1).astype(np.uint8)
    data = base64.b64encode(_png(image)).decode()
    rows, columns = x.shape
    side = max(2, min(14, 280 // max(x.shape)))
    said = f"{rows} × {columns} entries, the largest of size {largest:.3g}"
    return (
        f'<img src="data:image/png;base64,{data}" alt="{said}" title="{said}" '
        f'width="{side * columns}" height="{side * rows}" style="image-rendering:pixelated;'
        f'border:1px solid rgba(128,128,128,.45);margin:.4em 0">'
    )


def _png(image: np.ndarray) -> bytes:
    """A PNG file of 8-bit RGBA (rows, columns, 4), without filters."""
    rows, columns, _ = image.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), image.reshape(rows, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    parts = [(b"IHDR", size), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in parts)


def frame(columns: Mapping[str, Any], attrs: Mapping[str, Any] | None = None) -> Any:
    """The columns as a `pandas.DataFrame`; members of an `Enum` become their names.

    **Raises.** `ValueError` if pandas is not installed.
    """
    pandas = _library("pandas")
    made = pandas.DataFrame({name: list(map(_plain, column)) for name, column in columns.items()})
    made.attrs.update({} if attrs is None else attrs)
    return made


def dataset(
    variables: Mapping[str, tuple[tuple[str, ...], Any]],
    coordinates: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Arrays with named axes as an `xarray.Dataset`.

    **Raises.** `ValueError` if xarray is not installed.
    """
    xarray = _library("xarray")
    made = {name: (axes, np.asarray(values)) for name, (axes, values) in variables.items()}
    return xarray.Dataset(made, dict(coordinates or {}), dict(attrs or {}))


def _plain(value: Any) -> Any:
    return value.name if isinstance(value, enum.Enum) else value


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"This table is made with {name}, which is not installed ({error}). Install the extra: "
            f"`pip install 'shallows[tables]'`."
        ) from None
