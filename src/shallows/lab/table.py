"""Tables: named columns of numbers or words, and their form on disk (Parquet).

A column is a numpy array of float64, int64, bool or str with one entry per row, or with one
row of fixed width per row. Nothing is widened or rounded on the way: what goes in comes out,
bit for bit, NaN payloads and signed zeros included.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

# pyarrow is imported where a table is really written or read: it costs 0.3 s, which
# `shallows --help` and studies without tables should not pay.


def columns(table: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The columns as arrays that a store can keep, or an error that names the column.

    **Convention.** Strings come back as numpy's fixed-width ``U``, which has no trailing NULs.

    **Raises.** ``TypeError`` for a type of entry, ``ValueError`` for a shape we do not keep.
    """
    if not table:
        raise ValueError("A table has no columns. Pass `table=None` where there is no table.")
    arrays = {_word(name, "A column name"): _column(name, table[name]) for name in table}
    rows = {name: len(array) for name, array in arrays.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"Columns of one table differ in length: {rows}. Pad or split the table.")
    return arrays


def _column(name: str, entries: Any) -> np.ndarray:
    array = np.asarray(entries)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[1] == 0):
        raise ValueError(
            f"Column {name!r} has shape {array.shape}; a column is one- or two-dimensional, with "
            "rows that are not empty. Flatten it, or drop it."
        )
    flat = array.ravel().tolist()
    if array.dtype.kind in "UOT" and all(isinstance(entry, str) for entry in flat):
        words = [_word(entry, f"An entry of column {name!r}") for entry in flat]
        return np.array(words, dtype=str).reshape(array.shape)
    if array.dtype not in (np.dtype(float), np.dtype(np.int64), np.dtype(bool)):
        raise TypeError(
            f"Column {name!r} has dtype {array.dtype}; a table keeps float64, int64, bool and str. "
            "Convert it, e.g. `column.astype(np.float64)`, so that it is known who rounded."
        )
    return np.ascontiguousarray(array)


def _word(text: Any, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is not a string: {text!r}. Use `str`.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{what} is not valid Unicode: {text!r}. Remove its lone surrogates."
        ) from None
    return str.__str__(text)


def to_parquet(table: Mapping[str, np.ndarray]) -> bytes:
    """The Parquet file of columns accepted by `columns`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name, column in table.items():
        # Words as a list, because pyarrow takes a NUL in an array of them for the end.
        flat = column.ravel()
        array = pa.array(flat.tolist(), pa.string()) if flat.dtype.kind == "U" else pa.array(flat)
        if column.ndim == 2:
            array = pa.FixedSizeListArray.from_arrays(array, column.shape[1])
        arrays[name] = array
    sink = pa.BufferOutputStream()
    # Dictionary encoding compares floats by value, so it could merge 0.0 with -0.0.
    pq.write_table(pa.table(arrays), sink, compression="zstd", use_dictionary=False)
    return sink.getvalue().to_pybytes()


def from_parquet(data: bytes) -> dict[str, np.ndarray]:
    """The columns in a Parquet file written by `to_parquet`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    arrays = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.combine_chunks()
        shape: tuple[int, ...] = (len(array),)
        if pa.types.is_fixed_size_list(array.type):
            shape = (len(array), array.type.list_size)
            array = array.flatten()
        if pa.types.is_string(array.type):
            arrays[name] = np.array(array.to_pylist(), dtype=str).reshape(shape)
        else:
            arrays[name] = array.to_numpy(zero_copy_only=False).reshape(shape)
    return arrays
