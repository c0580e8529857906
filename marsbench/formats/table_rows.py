"""Rows of a table as records: those of a Parquet file, or the JSON records of a text.

A Parquet file is read a few rows at a time. What a row has no value for is left out of it, as it
is in JSON: Arrow gives every row all fields of all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from marsbench.formats.dataset_rows import without_nulls
from marsbench.formats.opening import records_of
from marsbench.formats.reading import ReadError, Reading, SessionSource, failed, json_of

_AT_ONCE = 8
"""Rows that are in memory: one may be a session of thousands of requests."""

_MAGIC = b"PAR1"


def is_parquet(path: Path) -> bool:
    """Whether a file says so itself."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def columns_of(path: Path) -> frozenset[str]:
    """The columns of a Parquet file; none of what is no such file, or cannot be read."""
    if not is_parquet(path):
        return frozenset()
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    try:
        return frozenset(pq.read_schema(path).names)
    except (OSError, ValueError):  # Arrow's own errors are of these
        return frozenset()


def table_sources(path: Path, read: Callable[[Any, str], Reading]) -> Iterator[SessionSource]:
    """A source for every row or record of a file; `read` gets it and its place."""

    def reading(place: str, record: Callable[[], Any]) -> Reading:
        return read(record(), place)

    try:
        for place, record in table_records(path):
            yield SessionSource(place, partial(reading, place, record))
    except ReadError as error:
        yield failed(str(path), error)


def table_records(path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The rows or records of a file, each with its place and what gives it. Raises ReadError.

    What gives a record that is no JSON raises ReadError when it is asked.
    """
    if is_parquet(path):
        return ((place, partial(dict, row)) for place, row in _rows(path))
    return ((place, partial(json_of, text)) for place, text in records_of(path))


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=_AT_ONCE, use_threads=False):
                for row in batch.to_pylist():
                    yield f"{path}:{number}", without_nulls(row)
                    number += 1
    except (OSError, ValueError) as error:
        why = (str(error).splitlines() or ["?"])[0][:200]
        raise ReadError(f"is no Parquet table that can be read ({why})") from error
