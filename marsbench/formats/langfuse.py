"""Reads Langfuse's observations: an export's rows, a page of its API, or a trace with its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field

from marsbench.formats.clock import seconds_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.messages import objects_of
from marsbench.formats.opening import records_of
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Record,
    Repair,
    Tokens,
    each_read,
    record_of,
)
from marsbench.formats.spans import Span, contents_of_spans
from marsbench.formats.timed import Usage


def _either(camel: str, snake: str) -> Any:
    """The API writes the one, exports to a store the other."""
    return Field(None, validation_alias=AliasChoices(camel, snake))


class _Counts(Record):
    prompt: Tokens | None
    output: Tokens | None
    cached: Tokens | None
    reasoning: Tokens | None


class _Observation(Record):
    id: str
    type: str
    name: str | None = None
    trace: str | None = _either("traceId", "trace_id")
    parent: str | None = _either("parentObservationId", "parent_observation_id")
    session: str | None = _either("sessionId", "session_id")
    began: datetime | None = _either("startTime", "start_time")
    ended: datetime | None = _either("endTime", "end_time")
    details: dict[str, Any] | None = _either("usageDetails", "usage_details")
    counted: dict[str, Any] | None = Field(None, validation_alias="usage")

    @property
    def kind(self) -> Literal["call", "tool", "other"]:
        known: dict[str, Literal["call", "tool"]] = {"GENERATION": "call", "TOOL": "tool"}
        return known.get(self.type.upper(), "other")

    @property
    def usage(self) -> Usage:
        """Raises ReadError for counts that are none."""
        legacy = self.counted or {}
        if str(legacy.get("unit") or "TOKENS").upper() != "TOKENS" and not self.details:
            return Usage()
        counts = record_of(_Counts, _counted(self.details or legacy))
        return Usage(counts.prompt, counts.output, counts.cached, counts.reasoning)


def _counted(details: Mapping[str, Any]) -> dict[str, Any]:
    """The sums of a usage's kinds.

    A key with "input" in it is a part of the input, and its parts do not overlap; where the total
    says that they do, `input` and `output` alone are whole.
    """
    named = {"promptTokens": "input", "completionTokens": "output", "totalTokens": "total"}
    known = {named.get(k, k): v for k, v in details.items() if isinstance(v, int | float)}
    whole = [known.get("input"), known.get("output"), known.get("total")]
    overlap = None not in whole and whole[0] + whole[1] == whole[2]  # type: ignore[operator]

    def total(part: str, *marks: str) -> Any:
        own = [v for k, v in known.items() if part in k and (not marks or _has(k, marks))]
        return sum(own) if own else None

    return {
        "prompt": known["input"] if overlap else total("input"),
        "output": known["output"] if overlap else total("output"),
        "cached": total("input", "cached", "cache_read"),
        "reasoning": total("output", "reasoning"),
    }


def _has(key: str, marks: tuple[str, ...]) -> bool:
    return any(mark in key for mark in marks)


def read_langfuse(path: Path, fallback: Fallback) -> Contents:
    """The sessions of a file: by what an observation or its trace names, else by its trace."""
    return contents_of_spans(path, _spans, fallback)


def _spans(path: Path, repairs: list[Repair]) -> Iterator[Span]:
    for record in each_read(records_of(path), _observations, repairs):
        for one in record:
            try:
                yield _span(record_of(_Observation, one))
            except ReadError as error:
                repairs.append(Repair("an observation that cannot be read", str(error)))


def _observations(record: Any) -> Iterator[Mapping[str, Any]]:
    """Of a page, or of a trace (whose session is theirs), or one itself."""
    if not isinstance(record, Mapping):
        return
    inside = objects_of(record.get("data")) or objects_of(record.get("observations"))
    if not inside and "data" not in record and "observations" not in record:
        yield record
    session = record.get("sessionId") or record.get("session_id")
    for one in inside:
        yield {"sessionId": session, **one} if session else one


def _span(one: _Observation) -> Span:
    kind = one.kind
    return Span(
        one.id, one.parent or "", one.trace or one.id, one.session or "", kind,
        one.name or "tool", None if one.began is None else seconds_of(one.began),
        None if one.ended is None else seconds_of(one.ended),
        one.usage if kind == "call" else Usage(),
    )  # fmt: skip


def _recognised(head: Head) -> str | None:
    for one in _written(head):
        keys = one.keys()
        if "type" in keys and keys & {"traceId", "trace_id"} and keys & {"startTime", "start_time"}:
            return _WHY
    # Of a long page or trace the values are not in the head.
    inside = (head.has_under(key, "type", *names) for key in _PAGES for names in _TRACED)
    return _WHY if any(inside) else None


_WHY = "its observations have a type, a trace and a start"
_PAGES = ("data", "observations")
_TRACED = (("traceId", "startTime"), ("trace_id", "start_time"))


def _written(head: Head) -> Iterator[Mapping[str, Any]]:
    for one in head.objects:
        yield from _observations(one)


FORMAT = Format(
    name="langfuse",
    title="observations of Langfuse",
    tried=("3 (2025-12)",),
    recognise=_recognised,
    read=read_langfuse,
    has_arrivals=True,
)
