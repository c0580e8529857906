"""A workload as rows of a `datasets` table, and back: a row a session, sub-agents apart.

Arrow has no type that contains itself, so a sub-agent is a row of its own, named by the call
that starts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field

from marsbench.session import Cut, Round, Session, ToolCall, ToolKind
from marsbench.workload.files import Workload
from marsbench.workload.formats.reading import (
    Header,
    ReadError,
    Reading,
    Record,
    Source,
    json_of,
    record_of,
)

MARK = "marsbench_session"
"""The column that tells our own table: 1 in every row."""


class _Cut(Record):
    to_tokens: int
    kept_tokens: int


class _Tool(Record):
    name: str
    kind: ToolKind
    cpu_s: float
    floor_s: float
    child: str | None = None


class _Round(Record):
    append_tokens: int
    output_tokens: int
    cut: _Cut | None = None
    tools: list[_Tool] | None = None


class _Row(Record):
    id: str
    arrival_s: float
    tenant: str
    prefix_group: str | None = None
    prefix_tokens: int
    rounds: list[_Round]
    workload: str | None = Field(None)


def rows_of(workload: Workload) -> list[dict[str, Any]]:
    """A row for every session and sub-agent; all have the same columns."""
    header = {"name": workload.name, "lanes": workload.lanes, "meta": dict(workload.meta)}
    text = json.dumps(header, allow_nan=False)
    return [_row(member, text) for top in workload.sessions for member in top.walk()]


def _row(session: Session, header: str) -> dict[str, Any]:
    return {
        MARK: 1,
        "id": session.id,
        "arrival_s": float(session.arrival_s),
        "tenant": session.tenant,
        "prefix_group": session.prefix_group,
        "prefix_tokens": session.prefix_tokens,
        "rounds": [_round(rnd) for rnd in session.rounds],
        "workload": header,
    }


def _round(rnd: Round) -> dict[str, Any]:
    cut = rnd.cut
    return {
        "append_tokens": rnd.append_tokens,
        "output_tokens": rnd.output_tokens,
        "cut": cut and {"to_tokens": cut.to_tokens, "kept_tokens": cut.kept_tokens},
        "tools": [_tool(call) for call in rnd.tools],
    }


def _tool(call: ToolCall) -> dict[str, Any]:
    return {
        "name": call.name,
        "kind": call.kind,
        "cpu_s": float(call.cpu_s),
        "floor_s": float(call.floor_s),
        "child": call.child.id if call.child else None,
    }


def read_rows_of_ours(
    rows: Sequence[Mapping[str, Any]], where: str
) -> tuple[list[Source], Header | None]:
    """The sessions of a table of ours, and what it says of the workload. Raises ReadError."""
    found = [record_of(_Row, row) for row in rows]
    by_id = {row.id: row for row in found}
    children = {t.child for row in found for r in row.rounds for t in r.tools or () if t.child}
    sources = [
        Source(f"{where}:{number}", partial(_read, row, by_id))
        for number, row in enumerate(found)
        if row.id not in children
    ]
    first = found[0].workload if found else None
    return sources, None if first is None else record_of(Header, json_of(first))


def _read(row: _Row, by_id: Mapping[str, _Row]) -> Reading:
    return Reading(_session(row, by_id, frozenset()))


def _session(row: _Row, by_id: Mapping[str, _Row], above: frozenset[str]) -> Session:
    rounds = tuple(
        Round(
            rnd.append_tokens,
            rnd.output_tokens,
            tuple(_calls(rnd.tools or (), by_id, above | {row.id})),
            None if rnd.cut is None else Cut(rnd.cut.to_tokens, rnd.cut.kept_tokens),
        )
        for rnd in row.rounds
    )
    return Session(row.id, rounds, row.arrival_s, row.tenant, row.prefix_group, row.prefix_tokens)


def _calls(
    tools: Sequence[_Tool], by_id: Mapping[str, _Row], above: frozenset[str]
) -> Iterator[ToolCall]:
    for tool in tools:
        child = None
        if tool.child is not None:
            if tool.child not in by_id or tool.child in above:
                raise ReadError(f"sub-agent {tool.child!r} has no row, or is its own parent")
            child = _session(by_id[tool.child], by_id, above)
        yield ToolCall(tool.name, tool.kind, tool.cpu_s, tool.floor_s, child)
