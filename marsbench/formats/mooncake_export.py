"""Our own agentic Mooncake files: written for others, and read back just as they were.

Lengths, dependencies, waits and block hashes are the format's own. What it cannot hold (kinds of
tools, CPU seconds, cuts, prefix groups, exact arrivals) is under the key "marsbench" of a row,
which other readers pass over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import Field

from marsbench.core.session import Prompt, Session
from marsbench.core.workload.files import Header, Workload, header_json
from marsbench.core.workload.records import CutJson, SessionJson, ToolJson, session_json
from marsbench.formats.links import LinkedSession, linked_sources
from marsbench.formats.mooncake_rows import BLOCK, EXTRA, MooncakeRow
from marsbench.formats.reading import ReadError, Record, SessionSource, record_of


class _Extra(Record):
    """What a row says beyond the format; `session` and `workload` on a first row alone."""

    cut: CutJson | None = None
    tools: list[ToolJson[str]] = Field(default_factory=list)
    session: dict[str, Any] | None = None
    workload: Header | None = None


def mooncake_lines(workload: Workload) -> Iterator[str]:
    """The workload as agentic Mooncake, a request a line."""
    numbers: _Numbers = {}
    header: dict[str, Any] | None = header_json(workload)
    for session in workload.sessions:
        for row in _rows(session, numbers, None, []):
            if header is not None:
                row[EXTRA]["workload"], header = header, None
            yield json.dumps(row, separators=(",", ":"), allow_nan=False)


def _rows(
    session: Session, numbers: _Numbers, after: str | None, forked: list[_Segment]
) -> Iterator[dict[str, Any]]:
    """The session's rows, each followed by those of the sub-agents that it starts.

    forked: who wrote the tokens of its parent's context that it begins with.
    """
    start: dict[str, Any] = {"timestamp": session.arrival_s * 1000}
    if after is not None:
        start = {"wait_for": [after], "delay": session.arrival_s * 1000}
    extras = _extras(session)
    for prompt, hash_ids in _hashed(session, numbers, forked):
        rnd = session.rounds[prompt.round]
        children = [call.child for call in rnd.tools if call.child]
        yield {
            "request_id": _request(session, prompt.round),
            "session_id": session.id,
            **start,
            "input_length": prompt.num_tokens,
            "output_length": prompt.output_tokens,
            "hash_ids": hash_ids,
            "prefix_reset": rnd.cut is not None and prompt.edges == (),
            "branches": [_request(child, 0) for child in children],
            EXTRA: extras[prompt.round],
        }
        whole = _segments(session, prompt, forked, answered=True)
        for child in children:
            taken = _leading(whole, child.fork_tokens)
            yield from _rows(child, numbers, _request(session, prompt.round), taken)
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


def _extras(session: Session) -> list[dict[str, Any]]:
    """What a row of each round says beyond the format."""
    record = session_json(session, lambda child: child.id)
    rounds = record.pop("rounds")
    extras = [{key: rnd[key] for key in ("cut", "tools") if rnd[key]} for rnd in rounds]
    del record["id"]
    extras[0]["session"] = record
    return extras


_Segment = tuple[object, int, int]
"""Who wrote the tokens from one place to another: a prefix group, or the session in an epoch."""

_Numbers = dict[tuple[Any, ...], int]
"""Of a block of 512 tokens: by the number of the one before, and the segments it is made of."""


def _hashed(
    session: Session, numbers: _Numbers, forked: Sequence[_Segment]
) -> Iterator[tuple[Prompt, list[int]]]:
    """The prompts, with numbers for their blocks; the last one may be short.

    Equal tokens with equal tokens before give the same number. A prompt begins with the blocks
    that it has in common with the one before, which have their numbers.
    """
    before: list[_Segment] = []
    ids: list[int] = []
    for prompt in session.prompts():
        segments = _segments(session, prompt, forked)
        del ids[_common(before, segments) // BLOCK :]
        start = len(ids) * BLOCK
        new = [segment for segment in segments if segment[2] > start]
        for begin in range(start, prompt.num_tokens, BLOCK):
            end = min(begin + BLOCK, prompt.num_tokens)
            parts = [(w, max(b, begin), min(e, end)) for w, b, e in new if b < end and begin < e]
            key = (ids[-1] if ids else -1, *parts)
            ids.append(numbers.setdefault(key, len(numbers)))
        before = segments
        yield prompt, [*ids]


def _common(before: Sequence[_Segment], after: Sequence[_Segment]) -> int:
    """How many leading tokens the same wrote."""
    common = 0
    for (one, _, end), (other, _, until) in zip(before, after, strict=False):
        if one != other:
            break
        common = min(end, until)
        if end != until:
            break
    return common


def _segments(
    session: Session, prompt: Prompt, forked: Sequence[_Segment], answered: bool = False
) -> list[_Segment]:
    """Who wrote which tokens of the prompt, and of its answer too where it is `answered`."""
    others: Sequence[_Segment] = forked
    if session.prefix_group is not None:
        others = [(("prefix", session.prefix_group), 0, session.prefix_tokens)]
    length = prompt.num_tokens + (prompt.output_tokens if answered else 0)
    segments: list[_Segment] = []
    for end, epoch in (*prompt.edges, (length, prompt.epoch)):
        # Whatever was there before the session wrote is of its first epoch, which comes first.
        segments += [] if epoch else _leading(others, end)
        begin = segments[-1][2] if segments else 0
        segments.append(((session.id, epoch), begin, end))
    return [segment for segment in segments if segment[1] < segment[2]]


def _leading(segments: Sequence[_Segment], length: int) -> list[_Segment]:
    """Those of the first tokens."""
    return [(who, begin, min(end, length)) for who, begin, end in segments if begin < length]


def is_ours(rows: Sequence[MooncakeRow]) -> bool:
    """Whether every row was written by marsbench."""
    return bool(rows) and all(row.marsbench is not None for row in rows)


def read_ours(rows: Sequence[MooncakeRow]) -> tuple[list[SessionSource], Header | None]:
    """The sessions of a file of ours, and what it says of the workload. Raises ReadError."""
    by_id: dict[str, list[tuple[MooncakeRow, _Extra]]] = {}
    for row in rows:
        extra = record_of(_Extra, row.marsbench)
        by_id.setdefault(str(row.session_id), []).append((row, extra))
    missing = EXTRA + ": sub-agent {} is not in the file, or is its own parent"
    sources = linked_sources([_linked(name, own) for name, own in by_id.items()], missing)
    return sources, next(iter(by_id.values()))[0][1].workload


def _linked(name: str, rows: Sequence[tuple[MooncakeRow, _Extra]]) -> LinkedSession:
    children = [tool.child for _, extra in rows for tool in extra.tools if tool.child is not None]

    def session(child: Callable[[str], Session]) -> Session:
        return _record(name, rows).value(child)

    return LinkedSession(name, rows[0][0].place, children, session)


def _record(name: str, rows: Sequence[tuple[MooncakeRow, _Extra]]) -> SessionJson[str]:
    rounds, context = [], 0
    for row, extra in rows:
        prompt, output = row.prompt, row.recorded_output
        appended = prompt - (context if extra.cut is None else extra.cut.to_tokens)
        lengths = {"append_tokens": appended, "output_tokens": output}
        rounds.append({**lengths, "cut": extra.cut, "tools": extra.tools})
        context = prompt + output
    session = rows[0][1].session
    if session is None:
        raise ReadError(f"{EXTRA}.session: is missing on the first row of session {name!r}")
    return record_of(SessionJson[str], {**session, "id": name, "rounds": rounds})
