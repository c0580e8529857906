"""When every token came: a row a round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class TokenTimes:
    """Rounds and the times of their tokens, to be written as one Parquet table."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, int, NDArray[np.float64], NDArray[np.int32] | None]] = []

    def add(
        self, session: str, number: int, at: NDArray[np.float64], counts: Sequence[int] | None
    ) -> None:
        """The times (the run's seconds) of a round's events, and tokens in each if known."""
        tokens = None if counts is None else np.array(counts, np.int32)
        self._rows.append((session, number, at, tokens))

    def write(self, path: Path) -> None:
        """Columns session, round, at (list of seconds), tokens (list, as long; null if unknown)."""
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        kinds = {
            "session": pa.string(),
            "round": pa.int64(),
            "at": pa.list_(pa.float64()),
            "tokens": pa.list_(pa.int32()),
        }
        columns = {
            name: pa.array([row[place] for row in self._rows], kind)
            for place, (name, kind) in enumerate(kinds.items())
        }
        pq.write_table(pa.table(columns), path, compression="zstd")
