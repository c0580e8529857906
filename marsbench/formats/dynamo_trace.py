"""Reads Dynamo's request traces: a line a request that ended, and the tools that a harness told.

A session is a trajectory; a request without one is a session of its own. Block hashes are left
alone: lengths tell what was appended, and the cached tokens what of a cut prompt was kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.opening import lines_of
from marsbench.formats.reading import (
    Contents,
    Duration,
    Record,
    Repair,
    Tokens,
    each_read,
    record_of,
)
from marsbench.formats.spans import Span, contents_of_spans
from marsbench.formats.timed import Usage

_Millis = Annotated[float, Field(ge=0, le=1e14, allow_inf_nan=False)]
"""Since 1970."""


class _Request(Record):
    request_id: str
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    request_received_ms: _Millis | None = None
    total_time_ms: Duration | None = None


class _Tool(Record):
    tool_call_id: str
    tool_class: str = "tool"
    started_at_unix_ms: _Millis | None = None
    ended_at_unix_ms: _Millis | None = None
    duration_ms: Duration | None = None


class _Context(Record):
    session_id: str | None = None
    trajectory_id: str | None = None


class _Event(Record):
    event_type: str
    event_time_unix_ms: _Millis | None = None
    agent_context: _Context | None = None
    request: _Request | None = None
    tool: _Tool | None = None


class _Line(Record):
    event: _Event


def read_dynamo(path: Path, fallback: Fallback) -> Contents:
    """The trajectories of a file."""
    return contents_of_spans(path, _spans, fallback)


def _spans(path: Path, repairs: list[Repair]) -> Iterator[Span]:
    for line in each_read(lines_of(path), partial(record_of, _Line), repairs):
        event = line.event
        context = event.agent_context or _Context()
        name = context.trajectory_id or context.session_id or ""
        if event.event_type == "request_end" and event.request is not None:
            yield _call(event.request, name)
        elif event.event_type in ("tool_end", "tool_error") and event.tool is not None:
            yield _tool(event.tool, event.event_time_unix_ms, name)


def _call(one: _Request, name: str) -> Span:
    began_at = None if one.request_received_ms is None else one.request_received_ms / 1000
    took_s = None if one.total_time_ms is None else one.total_time_ms / 1000
    usage = Usage(one.input_tokens, one.output_tokens, one.cached_tokens, one.reasoning_tokens)
    ended_at = None if began_at is None or took_s is None else began_at + took_s
    trace = name or one.request_id
    return Span(one.request_id, "", trace, name, "call", "call", began_at, ended_at, usage)


def _tool(one: _Tool, told_ms: float | None, name: str) -> Span:
    ended_ms = told_ms if one.ended_at_unix_ms is None else one.ended_at_unix_ms
    began_ms = one.started_at_unix_ms
    if began_ms is None and ended_ms is not None and one.duration_ms is not None:
        began_ms = ended_ms - one.duration_ms
    return Span(
        f"tool {one.tool_call_id}", "", name, name, "tool", one.tool_class,
        None if began_ms is None else began_ms / 1000,
        None if ended_ms is None else ended_ms / 1000, Usage(),
    )  # fmt: skip


def _recognised(head: Head) -> str | None:
    for one in head.objects:
        event = one.get("event")
        schema = event.get("schema") if isinstance(event, Mapping) else None
        if isinstance(schema, str) and schema.startswith("dynamo."):
            return f"the schema of its events is {schema[:40]}"
    return None


FORMAT = Format(
    name="dynamo-trace",
    title="a request trace of Dynamo",
    tried=("dynamo.agent.trace.v1 (2026-05)",),
    recognise=_recognised,
    read=read_dynamo,
    has_arrivals=True,
)
