"""What a notebook shows of a result, and tables that leave it: HTML, pandas and xarray.

The lowest room: it knows columns of numbers and words, and not what they are about. Its HTML has
neither scripts nor colours of text or background, so that it reads on light pages and on dark
ones; all words are escaped. pandas and xarray are imported where one of their objects is made.
"""

import abc
import base64
import enum
import html
import importlib
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Columns = Mapping[str, Iterable[Any]]
"""Names and the entries of a table's columns, all of one length."""

# A page of a notebook, not an archive: what is cut is said.
_FIRST, _LAST = 30, 10
_COLUMNS = 12
_WORDS = 160
_PARTS = 8

# Sides of a picture, in entries; beyond, nobody sees one.
_PIXELS = 256

# Seen on white and on black; an entry's size is its opacity.
_POSITIVE, _NEGATIVE = (230, 97, 1), (66, 133, 244)

# What cells have in common stands in the table: a page of them stays below 20 kB.
_TABLE = "border-collapse:separate;border-spacing:1.2em .1em;text-align:right"
_HEAD = "border-bottom:1px solid rgba(128,128,128,.45);text-align:"
_LEFT = ' style="text-align:left"'


class AbstractShown(abc.ABC):
    """A result that prints as one line, and in a notebook as that line with more beneath.

    What is beneath is for subclasses to say: a table, sentences before it, a picture.
    """

    @abc.abstractmethod
    def __repr__(self) -> str: ...

    def _columns(self) -> Columns:
        return {}

    def _notes(self) -> Sequence[str]:
        return ()

    def _picture(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        return page(repr(self), self._columns(), notes=self._notes(), picture=self._picture())


class AbstractTable(AbstractShown):
    """A result whose table pandas can have."""

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`: the table that a notebook shows, with all its rows and columns.

        **Raises.** `ValueError` if pandas is not installed.
        """
        return frame(self._columns())


def page(
    title: str,
    columns: Columns | None = None,
    *,
    notes: Sequence[str] = (),
    picture: str = "",
) -> str:
    """A title, sentences, a picture made by `picture_of`, and a table: one block of HTML.

    **Convention.** Floats have six significant digits, None is a dash, members of an `Enum` are
    their values. Of more than 40 rows the first 30 and the last 10 are shown, of more than 12
    columns the first 12, and the number of the others is.
    """
    parts = [f"<div><strong>{_escaped(title)}</strong></div>"]
    parts += [f'<div style="max-width:60em">{_escaped(note)}</div>' for note in notes if note]
    parts.append(picture)
    if columns:
        parts.append(_table(columns))
    return f'<div style="overflow-x:auto">{"".join(parts)}</div>'


def _table(columns: Columns) -> str:
    shown = dict(list(columns.items())[:_COLUMNS])
    rows = list(zip(*shown.values(), strict=True))
    body = [_row(row) for row in rows]
    if len(rows) > _FIRST + _LAST:
        more = len(rows) - _FIRST - _LAST
        body[_FIRST:-_LAST] = [f"<tr><td{_LEFT}>… and {more} more</td></tr>"]
    sides = ["left" if _is_words(x) else "right" for x in (rows[0] if rows else shown)]
    head = "".join(
        f'<th style="{_HEAD}{side}">{_escaped(name)}</th>'
        for name, side in zip(shown, sides, strict=True)
    )
    made = f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead>'
    beside = len(columns) - len(shown)
    aside = f"<div>… and {beside} more columns</div>" if beside else ""
    return f"{made}<tbody>{''.join(body)}</tbody></table>{aside}"


def _row(row: Iterable[Any]) -> str:
    cells = (
        f"<td{_LEFT if _is_words(entry) else ''}>{_escaped(_cell(entry))}</td>" for entry in row
    )
    return f"<tr>{''.join(cells)}</tr>"


def _is_words(entry: Any) -> bool:
    return isinstance(entry, str | enum.Enum)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    return shortened(str(value))


def shortened(words: str, most: int = _WORDS) -> str:
    """The words on one line, cut after so many letters."""
    line = " ".join(words.split())
    return line if len(line) <= most else f"{line[:most]}…"


def listed(lead: str, parts: Sequence[str]) -> str:
    """A sentence that begins with `lead` and lists at most eight parts; nothing for none."""
    if not parts:
        return ""
    more = f" and {len(parts) - _PARTS} more" if len(parts) > _PARTS else ""
    return f"{lead} {', '.join(parts[:_PARTS])}{more}."


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
