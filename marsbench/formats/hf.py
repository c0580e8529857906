"""Reads trajectories through `datasets`: a local file or folder, Parquet, or a name on the hub.

Which agent wrote a row is told by its columns; a table with others is refused, not guessed at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError
from marsbench.formats.aiperf import is_aiperf
from marsbench.formats.dataset_rows import MARK, read_rows_of_ours, rows_of, without_nulls
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head, head_of
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.miniswe import miniswe_session
from marsbench.formats.openhands_v0 import v0_session
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    SessionSource,
    json_of,
    sources_of,
)
from marsbench.formats.trajectory_rows import TableRow, r2e_session, session_of_messages

_SUFFIXES = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv"}


def import_hf(
    name: str,
    fallback: Fallback,
    split: str,
    most: int | None = None,
    track: TrackSources | None = None,
) -> ImportResult:
    """The sessions of a table; the first `most` rows alone, if given. Raises UsageError."""
    return gather((contents_of_table(name, fallback, split, most),), track)


def contents_of_table(
    name: str, fallback: Fallback, split: str = "train", most: int | None = None
) -> Contents:
    """What is in a table; of its first `most` rows alone, if given.

    Raises UsageError when it cannot be loaded, or its columns are not known.
    """
    table = _load(name, split)
    rows = table if most is None else table.select(range(min(most, len(table))))
    columns = set(rows.column_names)
    if columns >= {MARK}:
        try:
            sources, header = read_rows_of_ours(list(rows), name)
        except ReadError as error:
            raise UsageError(f"{name} is no workload that marsbench exported: {error}.") from error
        return Contents(sources, header=header)
    return Contents(row_sources(name, rows, columns, fallback))


def row_sources(
    name: str, rows: Iterable[TableRow], columns: set[str], fallback: Fallback
) -> Iterator[SessionSource]:
    """A source for every row. Raises UsageError for columns that are not known."""
    read = _reader(name, columns)
    return (
        SessionSource(f"{name}:{number}", partial(read, row, f"row-{number}", fallback))
        for number, row in enumerate(rows)
    )


def read_hf(path: Path, fallback: Fallback) -> Contents:
    """The rows of a local table; JSON lines of others one at a time, for they may be large."""
    if path.suffix not in (".json", ".jsonl") or MARK in head_of(path).keys:
        return contents_of_table(str(path), fallback)
    return Contents(sources_of(records_of(path), partial(_row, fallback=fallback), str(path)))


def _row(record: Any, place: str, fallback: Fallback) -> Reading:
    """The session of one row, by the columns that it has itself."""
    if not isinstance(record, Mapping):
        raise ReadError("is no row of a table, which is an object")
    try:
        read = _reader("a row", {key for key, value in record.items() if value is not None})
    except UsageError as error:
        raise ReadError(str(error).rstrip(".")) from error
    return read(record, f"row-{place.rpartition(':')[2]}", fallback)


def _recognised(head: Head) -> str | None:
    if (head.path / "state.json").is_file():
        return "it is a folder that `datasets` saved (state.json)"
    if head.path.suffix == ".parquet":
        return "it is a Parquet table"
    for column in ("messages", "trajectory", "trajectory_steps"):
        if head.has(column) and head.path.suffix in (".jsonl", ".json"):
            return f"its rows have {column}"
    return None


def write_hf(workload: Workload, folder: Path) -> None:
    """Write the workload as a `datasets` folder. Raises UsageError where it cannot be written."""
    from datasets import Dataset  # type: ignore[import-untyped]

    if folder.exists():
        raise UsageError(f"{folder} exists already; give a folder that does not, with -o.")
    try:
        with _silent():
            Dataset.from_list(rows_of(workload)).save_to_disk(folder)
    except OSError as error:
        raise UsageError(
            f"Cannot write a datasets folder to {folder} ({error.strerror}); give a place that "
            f"is yours with -o."
        ) from error


def _load(name: str, split: str) -> Any:
    """The table. What `datasets` raises on the way is of many kinds, and all mean the same."""
    import datasets

    path = Path(name)
    try:
        with _silent():
            if (path / "state.json").is_file():
                return datasets.load_from_disk(name)
            if path.suffix in _SUFFIXES and path.is_file():
                kind = _SUFFIXES[path.suffix]
                return datasets.load_dataset(kind, data_files=name, split="train")
            return datasets.load_dataset(name, split=split)
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"Cannot load the data set {name!r} ({why}); give a .parquet, .json, .jsonl or .csv "
            f"file, a datasets folder, or a name and --split that this machine can fetch."
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without the libraries' progress bars and retry messages: there is a bar, and one error."""
    from datasets.utils import (  # type: ignore[import-untyped]
        disable_progress_bars,
        enable_progress_bars,
    )

    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
        hub.setLevel(level)


Reader = Callable[[TableRow, str, Fallback], Reading]


def _reader(name: str, columns: set[str]) -> Reader:
    """What reads rows with these columns. Raises UsageError."""
    if is_aiperf(columns):
        raise UsageError(
            f"{name} has AIPerf's columns: each row is a request and no trajectory; type "
            "`marsbench workload import aiperf FILES`."
        )
    for needed, reader in _SCHEMAS:
        if needed <= columns:
            return reader
    known = "; ".join(", ".join(sorted(needed)) for needed, _ in _SCHEMAS)
    raise UsageError(
        f"{name} has the columns {', '.join(sorted(columns))}, which no known agent writes; known "
        f"are tables with {known}, and those of `marsbench workload export --to hf`."
    )


def _openhands(row: TableRow, _name: str, fallback: Fallback) -> Reading:
    fields = {key: _unpacked(row[key]) for key in ("history", "metrics") if row.get(key)}
    return v0_session({**row, **fields}, fallback)


def _miniswe(row: TableRow, name: str, fallback: Fallback) -> Reading:
    return miniswe_session({**row, "messages": without_nulls(row.get("messages"))}, name, fallback)


def _unpacked(value: Any) -> Any:
    """Nested columns are often kept as JSON text."""
    return without_nulls(json_of(value) if isinstance(value, str) else value)


_SCHEMAS: tuple[tuple[set[str], Reader], ...] = (
    ({"instance_id", "history"}, _openhands),
    ({"messages", "trajectory_format"}, _miniswe),
    ({"trajectory_steps"}, r2e_session),
    ({"messages"}, session_of_messages),
    ({"trajectory"}, session_of_messages),
)

FORMAT = Format(
    name="hf",
    title="a table of trajectories",
    tried=("datasets 5.2 (2026-10)",),
    recognise=_recognised,
    read=read_hf,
    takes_folders=True,
)
