"""A workload as rows of a `datasets` table, and back: a row a session, sub-agents apart.

Arrow has no type that contains itself, so a sub-agent is a row of its own, named by the call
that starts it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from marsbench.core.session import Round, Session
from marsbench.core.workload.files import Workload
from marsbench.formats.ours import (
    CutRecord,
    ToolRecord,
    calls_of,
    cut_json,
    cut_of,
    header_json,
    tools_json,
)
from marsbench.formats.reading import (
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


class _Round(Record):
    append_tokens: int
    output_tokens: int
    cut: CutRecord | None = None
    tools: list[ToolRecord] | None = None


class _Row(Record):
    id: str
    arrival_s: float
    tenant: str
    prefix_group: str | None = None
    prefix_tokens: int
    rounds: list[_Round]
    workload: str | None = None


def rows_of(workload: Workload) -> list[dict[str, Any]]:
    """A row for every session and sub-agent; all have the same columns."""
    text = json.dumps(header_json(workload), allow_nan=False)
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
    return {
        "append_tokens": rnd.append_tokens,
        "output_tokens": rnd.output_tokens,
        "cut": cut_json(rnd),
        "tools": tools_json(rnd),
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
    return Reading(_session(row.id, by_id, frozenset()))


def _session(name: str, by_id: Mapping[str, _Row], above: frozenset[str]) -> Session:
    if name not in by_id or name in above:
        raise ReadError(f"sub-agent {name!r} has no row, or is its own parent")
    row = by_id[name]
    child = partial(_session, by_id=by_id, above=above | {name})
    rounds = tuple(
        Round(
            rnd.append_tokens,
            rnd.output_tokens,
            calls_of(rnd.tools or (), child),
            cut_of(rnd.cut),
        )
        for rnd in row.rounds
    )
    return Session(name, rounds, row.arrival_s, row.tenant, row.prefix_group, row.prefix_tokens)
