"""Our own agentic Mooncake files: written for others, and read back just as they were.

Lengths, dependencies, waits and block hashes are the format's own. What it cannot hold (kinds of
tools, CPU seconds, cuts, prefix groups, exact arrivals) is under the key "marsbench" of a row,
which other readers pass over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field

from marsbench.core.session import Prompt, Round, Session
from marsbench.core.workload.files import Workload
from marsbench.formats.mooncake_rows import BLOCK, EXTRA, Placed
from marsbench.formats.ours import (
    CutRecord,
    ToolRecord,
    calls_of,
    cut_json,
    cut_of,
    header_json,
    tools_json,
)
from marsbench.formats.reading import Header, ReadError, Reading, Record, Source, record_of


class _Session(Record):
    arrival_s: float
    tenant: str
    prefix_group: str | None
    prefix_tokens: int


class _Extra(Record):
    """What a row says beyond the format; `session` and `workload` on a first row alone."""

    cut: CutRecord | None = None
    tools: list[ToolRecord] = Field(default_factory=list)
    session: _Session | None = None
    workload: Header | None = None


def mooncake_lines(workload: Workload) -> Iterator[str]:
    """The workload as agentic Mooncake, a request a line."""
    blocks = _Blocks()
    header: dict[str, Any] | None = header_json(workload)
    for session in workload.sessions:
        for row in _rows(session, blocks, None):
            if header is not None:
                row[EXTRA]["workload"], header = header, None
            yield json.dumps(row, separators=(",", ":"), allow_nan=False)


def _rows(session: Session, blocks: _Blocks, after: str | None) -> Iterator[dict[str, Any]]:
    """The session's rows, each followed by those of the sub-agents that it starts."""
    start: dict[str, Any] = {"timestamp": session.arrival_s * 1000}
    if after is not None:
        start = {"wait_for": [after], "delay": session.arrival_s * 1000}
    for prompt in session.prompts():
        rnd = session.rounds[prompt.round]
        yield {
            "request_id": _request(session, prompt.round),
            "session_id": session.id,
            **start,
            "input_length": prompt.num_tokens,
            "output_length": prompt.output_tokens,
            "hash_ids": blocks.ids(session, prompt),
            "prefix_reset": rnd.cut is not None and prompt.edges == (),
            "branches": [_request(call.child, 0) for call in rnd.tools if call.child],
            EXTRA: _extra(session, prompt.round),
        }
        for child in (call.child for call in rnd.tools if call.child):
            yield from _rows(child, blocks, _request(session, prompt.round))
        start = _waits(session, prompt.round)


def _request(session: Session, number: int) -> str:
    return f"{session.id}#{number}"


def _waits(session: Session, number: int) -> dict[str, Any]:
    """What the next row waits for: this one, its sub-agents, and its tools.

    The format adds the tools' time behind the last dependency, so tools beside a sub-agent, which
    run at the same time, are left to `tool_events`.
    """
    calls = session.rounds[number].tools
    children = [call.child for call in calls if call.child]
    tools = [(i, call) for i, call in enumerate(calls) if call.child is None]
    wait_s = 0.0 if children else max((call.alone_s for _, call in tools), default=0.0)
    last = [_request(child, len(child.rounds) - 1) for child in children]
    return {
        "wait_for": [_request(session, number), *last],
        "delay": 0.0,
        "tool_wait_ms": wait_s * 1000,
        "tool_events": [
            {
                "tool_call_id": f"{_request(session, number)}.{i}",
                "tool_class": call.name,
                "status": "succeeded",
                "duration_ms": call.alone_s * 1000,
            }
            for i, call in tools
        ],
    }


def _extra(session: Session, number: int) -> dict[str, Any]:
    rnd = session.rounds[number]
    extra: dict[str, Any] = {}
    if rnd.cut is not None:
        extra["cut"] = cut_json(rnd)
    if rnd.tools:
        extra["tools"] = tools_json(rnd)
    if number == 0:
        extra["session"] = {
            "arrival_s": session.arrival_s,
            "tenant": session.tenant,
            "prefix_group": session.prefix_group,
            "prefix_tokens": session.prefix_tokens,
        }
    return extra


class _Blocks:
    """Numbers for blocks of 512 tokens: equal tokens and equal tokens before give the same one."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[Any, ...], int] = {}

    def ids(self, session: Session, prompt: Prompt) -> list[int]:
        """The blocks of a prompt; the last one may be short."""
        before, found = -1, []
        segments = _segments(session, prompt)
        for begin in range(0, prompt.num_tokens, BLOCK):
            end = min(begin + BLOCK, prompt.num_tokens)
            parts = tuple((w, max(b, begin), min(e, end)) for w, b, e in segments if b < end)
            key = (before, *(part for part in parts if part[1] < part[2]))
            before = self._numbers.setdefault(key, len(self._numbers))
            found.append(before)
        return found


def _segments(session: Session, prompt: Prompt) -> list[tuple[object, int, int]]:
    """Who wrote which tokens of the prompt: a prefix group, or the session in one epoch."""
    found: list[tuple[object, int, int]] = []
    begin = 0
    for end, epoch in (*prompt.edges, (prompt.num_tokens, prompt.epoch)):
        shared = session.prefix_tokens if epoch == 0 and session.prefix_group is not None else 0
        middle = min(max(begin, shared), end)
        found.append((("prefix", session.prefix_group), begin, middle))
        found.append(((session.id, epoch), middle, end))
        begin = end
    return found


def is_ours(rows: Sequence[Placed]) -> bool:
    """Whether every row was written by marsbench."""
    return bool(rows) and all(placed.row.marsbench is not None for placed in rows)


def read_ours(rows: Sequence[Placed]) -> tuple[list[Source], Header | None]:
    """The sessions of a file of ours, and what it says of the workload."""
    sessions: dict[str, list[Placed]] = {}
    for placed in rows:
        sessions.setdefault(str(placed.row.session_id), []).append(placed)
    extras = {
        name: [record_of(_Extra, p.row.marsbench) for p in own] for name, own in sessions.items()
    }
    children = {t.child for own in extras.values() for e in own for t in e.tools if t.child}
    sources = [
        Source(own[0].place, partial(_read, name, sessions, extras))
        for name, own in sessions.items()
        if name not in children
    ]
    first = next(iter(extras.values()))[0]
    return sources, first.workload


def _read(
    name: str, sessions: Mapping[str, Sequence[Placed]], extras: Mapping[str, Sequence[_Extra]]
) -> Reading:
    return Reading(_session(name, sessions, extras, frozenset()))


def _session(
    name: str,
    sessions: Mapping[str, Sequence[Placed]],
    extras: Mapping[str, Sequence[_Extra]],
    above: frozenset[str],
) -> Session:
    if name not in sessions or name in above:
        raise ReadError(f"{EXTRA}: sub-agent {name!r} is not in the file, or is its own parent")
    child = partial(_session, sessions=sessions, extras=extras, above=above | {name})
    rounds, context = [], 0
    for placed, extra in zip(sessions[name], extras[name], strict=True):
        cut, row = cut_of(extra.cut), placed.row
        context = context if cut is None else cut.to_tokens
        tools = calls_of(extra.tools, child)
        rounds.append(Round(row.prompt - context, row.recorded_output, tools, cut))
        context = row.prompt + row.recorded_output
    own = extras[name][0].session
    if own is None:
        raise ReadError(f"{EXTRA}.session: is missing on the first row of session {name!r}")
    return Session(
        name, tuple(rounds), own.arrival_s, own.tenant, own.prefix_group, own.prefix_tokens
    )
