"""Tables cost no memory that stays."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq

from marsbench.core.metrics.cache import EvictionCell, EvictionSeries
from marsbench.core.metrics.stream import Sample, UsageColumns
from marsbench.runs.parquet import read_arrays, read_columns, write_table

FRESH = """
import sys
from array import array
from pathlib import Path
from marsbench.core.metrics.cache import EvictionCell, EvictionSeries
from marsbench.runs.parquet import read_arrays, write_table

assert "pyarrow" not in sys.modules
series = EvictionSeries(0.0, array("q", range(10_000)), array("q", range(10_000)))
write_table(Path(sys.argv[1]), EvictionCell, series)
assert read_arrays(Path(sys.argv[1]), EvictionCell)["blocks"] == series.blocks
assert "pandas" not in sys.modules
import pyarrow as pa
for name in pa.supported_memory_backends():
    if name != "system":
        print(name, getattr(pa, f"{name}_memory_pool")().max_memory())
"""


def test_what_a_table_took_to_write_goes_back_to_the_machine(tmp_path):
    """In a process that has had no Arrow yet, as one that played a run; Arrow's own keep it."""
    command = [sys.executable, "-c", FRESH, str(tmp_path / "t.parquet")]
    own = {key: text for key, text in os.environ.items() if not key.startswith("ARROW")}
    printed = subprocess.check_output(command, text=True, env=own)
    assert {line.split()[1] for line in printed.splitlines()} <= {"0"}


def test_columns_and_rows_are_the_same_table(tmp_path):
    series = EvictionSeries(2.5, array("q", [3, 0, 4]), array("q", [1, 0, 2]))
    write_table(tmp_path / "columns.parquet", EvictionCell, series)
    write_table(tmp_path / "rows.parquet", EvictionCell, [*series])
    one, other = (tmp_path / f"{name}.parquet" for name in ("columns", "rows"))
    assert one.read_bytes() == other.read_bytes()
    assert pq.read_table(one).to_pydict() == {
        "at_s": [2.5, 3.5, 4.5],
        "blocks": [3, 0, 4],
        "live_blocks": [1, 0, 2],
    }


def test_a_table_of_numbers_comes_back_as_arrays(tmp_path: Path) -> None:
    none = float("nan")
    columns = ([1.0, 2.5], [3.0, none], [none, none])
    usage = UsageColumns(*(array("d", column) for column in columns))
    write_table(tmp_path / "usage.parquet", Sample, usage)
    assert read_columns(tmp_path / "usage.parquet", Sample) == {
        "at": [1.0, 2.5],
        "used_blocks": [3.0, None],
        "held_blocks": [None, None],
    }
    found = read_arrays(tmp_path / "usage.parquet", Sample)
    assert {name: repr(column) for name, column in found.items()} == {
        f.name: repr(getattr(usage, f.name)) for f in fields(UsageColumns)
    }
    blocks = array("q", [5, 0, 2**40])
    write_table(tmp_path / "cells.parquet", EvictionCell, EvictionSeries(7.0, blocks, blocks))
    cells = read_arrays(tmp_path / "cells.parquet", EvictionCell)
    assert cells == {"at_s": array("d", [7.0, 8.0, 9.0]), "blocks": blocks, "live_blocks": blocks}
    assert read_arrays(_empty(tmp_path), Sample)["at"] == array("d")


def _empty(folder: Path) -> Path:
    write_table(folder / "empty.parquet", Sample, UsageColumns())
    return folder / "empty.parquet"
