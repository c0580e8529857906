"""Spans of a tracer as sessions: calls of a model, tools beside them, sub-agents below a tool."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from marsbench.formats.fallback import Fallback
from marsbench.formats.reading import Contents, ReadError, Reading, Repair, SessionSource
from marsbench.formats.timed import TICK_S, Agent, Talk, TimedCall, Usage, Use, reading_of

_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace. kind: a call of a model, a tool, or what only holds others.

    session: the conversation that it names; one that names none is of that which another span of
    its trace names, or else its trace is the session.
    """

    id: str
    parent: str
    trace: str
    session: str
    kind: Literal["call", "tool", "other"]
    name: str
    began_at: float | None
    ended_at: float | None
    usage: Usage


ReadSpans = Callable[[Path, list[Repair]], Iterator[Span]]
"""The spans of a file; what cannot be read of it joins the repairs."""


def contents_of_spans(path: Path, spans_of: ReadSpans, fallback: Fallback) -> Contents:
    """Raises ReadError for a file without a call of a model."""
    repairs: list[Repair] = []
    spans = list(spans_of(path, repairs))
    if not any(span.kind == "call" for span in spans):
        raise ReadError("holds no call of a model")
    return Contents(sources_of_spans(str(path), spans, repairs, fallback))


def sources_of_spans(
    where: str, spans: Sequence[Span], repairs: Sequence[Repair], fallback: Fallback
) -> Iterator[SessionSource]:
    """A source for every session that has a call, in the order in which they are met.

    repairs: what could not be read of the file; it is said with its first session.
    """
    sessions: dict[str, list[Span]] = defaultdict(list)
    by_trace = {span.trace: span.session for span in reversed(spans) if span.session}
    for span in spans:
        sessions[span.session or by_trace.get(span.trace) or span.trace].append(span)
    said = list(repairs)
    for name, own in sessions.items():
        if any(span.kind == "call" for span in own):
            read = partial(_read, name, own, said, fallback)
            yield SessionSource(f"{where}: session {name}", read)
            said = []


def _read(
    name: str, spans: Sequence[Span], repairs: Sequence[Repair], fallback: Fallback
) -> Reading:
    groups: dict[str, list[Span]] = defaultdict(list)
    by_id = {span.id: span for span in spans}
    for span in by_id.values():
        if span.kind != "other":
            groups[_tool_above(span, by_id)].append(span)
    return _Reader(name, groups, fallback).reading(name, "", repairs)


def _tool_above(span: Span, by_id: Mapping[str, Span]) -> str:
    """The innermost tool that a span runs in; nothing for one of the session itself."""
    above = by_id.get(span.parent)
    for _ in range(_DEEPEST):
        if above is None or above.kind == "tool":
            break
        above = by_id.get(above.parent)
    return above.id if above is not None and above is not span and above.kind == "tool" else ""


@dataclass(frozen=True, slots=True)
class _Reader:
    """groups: the spans that run in each tool."""

    session: str
    groups: Mapping[str, Sequence[Span]]
    fallback: Fallback

    def reading(self, name: str, group: str, repairs: Sequence[Repair] = ()) -> Reading:
        spans = sorted(self.groups[group], key=lambda span: (span.began_at or 0.0, span.id))
        times = sorted(at for s in spans for at in (s.began_at, s.ended_at) if at is not None)
        talk = Talk(name=name, calls=self._calls(spans), times=times, repairs=repairs)
        return reading_of(talk, self.fallback)

    def _calls(self, spans: Sequence[Span]) -> list[TimedCall]:
        """Each with the tools that began when it had ended, and before the next did."""
        calls: list[TimedCall] = []
        for span in spans:
            if span.kind == "call":
                calls.append(TimedCall(
                    of=f"call {len(calls)}", sent_at=span.began_at, ended_at=span.ended_at,
                    usage=span.usage,
                ))  # fmt: skip
            elif calls:
                asked = _asked_by(calls, span)
                asked.uses = (*asked.uses, self._use(span))
        return calls

    def _use(self, span: Span) -> Use:
        agent = None
        if any(one.kind == "call" for one in self.groups.get(span.id, ())):
            reading = self.reading(f"{self.session}/{span.id}", span.id)
            agent = Agent(reading, span.began_at, span.ended_at)
        return Use(
            name=span.name, asked_at=span.began_at, answered_at=span.ended_at, agent=agent
        )  # fmt: skip


def _asked_by(calls: Sequence[TimedCall], tool: Span) -> TimedCall:
    """The last call that had ended when the tool began; the last, where none had."""
    began_at = tool.began_at
    if began_at is None:
        return calls[-1]
    ended = (c for c in reversed(calls) if c.ended_at is not None)
    return next((c for c in ended if (c.ended_at or 0.0) <= began_at + TICK_S), calls[-1])
