"""A workload as rows of a `datasets` table, and back: a row a session, sub-agents apart.

Arrow has no type that contains itself, so a sub-agent is a row of its own, named by the call
that starts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from marsbench.core.workload.files import Header, Workload, header_json
from marsbench.core.workload.records import SessionJson, session_json
from marsbench.formats.links import LinkedSession, linked_sources
from marsbench.formats.reading import SessionSource, json_of, record_of

MARK = "marsbench_session"
"""The column that tells our own table: 1 in every row."""


class _Row(SessionJson[str]):
    workload: str | None = None


def rows_of(workload: Workload) -> list[dict[str, Any]]:
    """A row for every session and sub-agent; all have the same columns."""
    header = json.dumps(header_json(workload), allow_nan=False)
    members = [member for top in workload.sessions for member in top.walk()]
    rows = [
        {MARK: 1, **session_json(member, lambda child: child.id), "workload": header}
        for member in members
    ]
    if any(member.fork_tokens for member in members):
        for row in rows:
            row.setdefault("fork_tokens", 0)
    return rows


def read_rows_of_ours(
    rows: Sequence[Mapping[str, Any]], where: str
) -> tuple[list[SessionSource], Header | None]:
    """The sessions of a table of ours, and what it says of the workload. Raises ReadError."""
    records = [record_of(_Row, without_nulls(row)) for row in rows]
    sessions = []
    for number, row in enumerate(records):
        tools = (tool for rnd in row.rounds for tool in rnd.tools)
        children = [tool.child for tool in tools if tool.child is not None]
        sessions.append(LinkedSession(row.id, f"{where}:{number}", children, row.value))
    sources = linked_sources(sessions, "sub-agent {} has no row, or is its own parent")
    header = records[0].workload if records else None
    return sources, None if header is None else record_of(Header, json_of(header))


def without_nulls(value: Any) -> Any:
    """Arrow gives every row all fields of all rows; those that it did not have are null."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
