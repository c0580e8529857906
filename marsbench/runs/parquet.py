"""Records as Parquet tables: a fixed schema, and the same bytes for the same records."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from marsbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_ARROW = {str: "string", float: "float64", int: "int64"}


def write_table(path: Path, kind: type, records: Sequence[Any]) -> None:
    """Writes one row a record of the dataclass or named tuple `kind`.

    The schema comes from its annotations, never from the values: a column in which nothing was
    measured has the same type as a full one.
    """
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    schema = pa.schema([(name, pa.type_for_alias(of)) for name, of in _columns(kind)])
    values = [pa.array([getattr(r, f.name) for r in records], type=f.type) for f in schema]
    pq.write_table(pa.Table.from_arrays(values, schema=schema), path, compression="zstd")


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


def read_table(path: Path) -> pd.DataFrame:
    """A table of a run. Raises UsageError when it is not there, or not Parquet."""
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(
            f"{path} is not a table of a run ({type(error).__name__}); "
            "only a run that went to its end has tables."
        ) from error
