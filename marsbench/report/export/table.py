"""A run's rounds or sessions as CSV: the columns of docs/metrics.md, empty where not measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from marsbench.core.metrics.rounds import RoundRecord
from marsbench.core.metrics.sessions import SessionRecord
from marsbench.report.export.results import Results
from marsbench.text.tables import Table, as_csv

TableName = Literal["rounds", "sessions"]


def csv_text(results: Results, table: TableName) -> str:
    """One line a round or session, in the order of the run."""
    kind = RoundRecord if table == "rounds" else SessionRecord
    records: Sequence[object] = results.rounds if table == "rounds" else results.sessions
    names = [field.name for field in dataclasses.fields(kind)]
    rows = [[getattr(record, name) for name in names] for record in records]
    return as_csv(Table(names, rows))
