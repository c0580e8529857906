"""Records as Parquet tables: a fixed schema, and the same bytes for the same records."""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from array import array
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from marsbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_ARROW = {str: "string", float: "float64", int: "int64"}
_TYPECODES = {"double": "d", "int64": "q"}


def write_table(path: Path, kind: type, records: Any) -> None:
    """Writes one row a record of the dataclass or named tuple `kind`.

    records: a sequence of them, or an object that has each of its fields as an array.
    The schema comes from its annotations, never from the values: a column in which nothing was
    measured has the same type as a full one.
    """
    # Its own pool keeps 60 MB of what it has had once; what Parquet has comes of the first named.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    schema = pa.schema([(name, pa.type_for_alias(of)) for name, of in _columns(kind)])
    arrays = [_array(f.type, _column(records, f.name)) for f in schema]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path, compression="zstd")


def _column(records: Any, name: str) -> Sequence[Any]:
    """A field of every record; where the records are kept as columns, that column."""
    column: Sequence[Any] | None = getattr(records, name, None)
    return [getattr(r, name) for r in records] if column is None else column


def _array(kind: Any, values: Sequence[Any]) -> Any:
    """An Arrow array, of its buffers: `pa.array` would import pandas (50 MB, half a second)."""
    import numpy as np
    import pyarrow as pa

    if isinstance(values, array):
        known = ~np.isnan(np.asarray(values))
    else:
        known = np.array([value is not None for value in values], dtype=bool)
    valid = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    if isinstance(values, array):
        return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(values)])
    if pa.types.is_string(kind):
        texts = [(value or "").encode() for value in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        buffers = [valid, pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
    else:
        numbers = [0 if value is None else value for value in values]
        buffers = [valid, pa.py_buffer(np.array(numbers, dtype=kind.to_pandas_dtype()))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def columns(kind: type) -> dict[str, str]:
    """Column names and their Arrow types, in order."""
    return dict(_columns(kind))


@cache
def _columns(kind: type) -> tuple[tuple[str, str], ...]:
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else hints
    return tuple((name, _arrow(hints[name])) for name in names)


def _arrow(hint: Any) -> str:
    """The Arrow type of `str`, `float`, `int`, a Literal of texts, or one of them or None."""
    plain = [part for part in typing.get_args(hint) or (hint,) if part is not NoneType]
    return _ARROW.get(plain[0], "string")


def read_columns(path: Path, kind: type) -> dict[str, list[Any]]:
    """The columns of a table that `write_table` wrote, without pandas; None where one is missing.

    Raises UsageError when it is not there, or not Parquet.
    """
    table = _read(path)
    there = {name: table.column(name).to_pylist() for name in table.column_names}
    return {name: there.get(name, [None] * table.num_rows) for name in columns(kind)}


def read_arrays(path: Path, kind: type) -> dict[str, array[Any]]:
    """The same of a table of numbers alone: an array a column, NaN where nothing was measured.

    Raises UsageError when it is not there, not Parquet, or lacks a column.
    """
    table = _read(path)
    try:
        return {name: _numbers(table.column(name)) for name in columns(kind)}
    except KeyError as error:
        raise _no_table(path, error) from error


def _numbers(column: Any) -> array[Any]:
    """Of its buffer: `to_numpy` would import pandas."""
    chunk = column.combine_chunks()
    if chunk.null_count:
        chunk = chunk.fill_null(math.nan)
    found = array(_TYPECODES[str(chunk.type)])
    begin = chunk.offset * found.itemsize
    found.frombytes(memoryview(chunk.buffers()[1])[begin : begin + len(chunk) * found.itemsize])
    return found


def _read(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path).read(use_threads=False)  # read_table imports pandas
    except (OSError, pa.ArrowInvalid) as error:
        raise _no_table(path, error) from error


def read_table(path: Path) -> pd.DataFrame:
    """A table of a run. Raises UsageError when it is not there, or not Parquet."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _no_table(path, error) from error


def _no_table(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path} is not a table of a run ({type(error).__name__}); "
        "only a run that went to its end has tables."
    )
