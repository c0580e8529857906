"""Reads anonymised Claude Code traces (callanjfox/kv-cache-tester), one session a file.

A trace has lengths, times and hashes of 64-token blocks, and no text. What is read how, and what
is assumed, is in docs/workloads.md, "Recorded sessions".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.core.workload.recipe import SUBAGENT
from marsbench.formats.clock import MISSING, OVERLAPPING, STEPPED_BACK
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.history import Lengths, grown_by_hashes, grown_by_lengths
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    Record,
    Repair,
    Stated,
    Tokens,
    record_of,
)
from marsbench.formats.table_rows import table_sources

CLIENT_GAP = "client_gap"
"""The name of a tool call that is all the time between two requests: tools, approvals, client."""


def import_weka(paths: Sequence[Path], track: TrackSources | None = None) -> ImportResult:
    """The sessions of these files, in their order; a bad file leaves the others as they are."""
    return gather((FORMAT.contents(path, Fallback()) for path in paths), track)


def read_weka(path: Path, _fallback: Fallback) -> Contents:
    """One session a file, or one a line, an element of an array, or a row of a Parquet table."""
    return Contents(table_sources(path, _reading))


def _recognised(head: Head) -> str | None:
    if head.columns >= {"requests", "block_size"}:
        return "it has requests and their block_size"
    return None


FORMAT = Format(
    name="weka",
    title="a Claude Code trace of kv-cache-tester",
    tried=(
        "kv-cache-tester 94f6046 (2026-03)",
        "SemiAnalysis cc-traces-weka, its columns (2026-06)",
    ),
    recognise=_recognised,
    read=read_weka,
)


_Seconds = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]

TICK_S = 1.0
"""`t` and `think_time` are whole seconds in most traces: two of them may differ by this."""

LATE_S = 2.0
"""A sub-agent that ends so long behind the next request is none that it waited for."""


class _Record(Record):
    model_config = ConfigDict(strict=True)


class _Request(_Record):
    type: Literal["n", "s"]
    t: _Seconds | None = None
    prompt: Annotated[Tokens, Field(alias="in", ge=1)]
    out: Tokens
    hash_ids: list[int] | None = None
    stop: str | None = None
    api_time: _Seconds | None = None
    think_time: _Seconds | None = None

    @property
    def output(self) -> int:
        """At least 1: an interrupted request may have 0, and a round generates something."""
        return max(1, self.out)

    @property
    def took_s(self) -> float:
        """0 where that was not recorded."""
        return max(0.0, self.api_time or 0.0)


class _Conversation(_Record):
    tool_tokens: Tokens = 0
    system_tokens: Tokens = 0
    requests: list[_Entry]


class _Subagent(_Conversation):
    type: Literal["subagent"]
    t: _Seconds
    duration_ms: Annotated[float, Field(ge=0, le=1e13, allow_inf_nan=False)] | None = None

    @property
    def took_s(self) -> float:
        """As recorded, or from its first request to the end of its last."""
        if self.duration_ms is not None:
            return self.duration_ms / 1000
        own = [one for one in self.requests if isinstance(one, _Request) and one.t is not None]
        times = [(one.t or 0.0, one.took_s) for one in own]
        return max((t + took for t, took in times), default=0.0) - min(times, default=(0.0,))[0]


_Entry = Annotated[_Request | _Subagent, Field(discriminator="type")]


class _Trace(_Conversation):
    id: str | int
    block_size: Annotated[int, Field(ge=1, le=2**20)]


_TAGS = ("n", "s", "subagent")


def _reading(record: Any, _place: str) -> Reading:
    trace = record_of(_Trace, record, _TAGS)
    requests = [entry for entry in trace.requests if isinstance(entry, _Request)]
    if not requests:
        raise ReadError("requests: holds no request of the session itself")
    repairs: list[Repair] = []
    starts = marks_starts(trace.requests)
    reader = _Reader(trace.block_size, starts, repairs)
    session, unawaited = reader.session(str(trace.id), trace, 0.0)
    notes = ("a sub-agent's t is when it began",) if starts else ()
    overlapping = _num_overlapping(trace.requests)
    if overlapping:
        said = f"{overlapping:,} requests were sent while the one before was being answered"
        repairs.append(Repair(OVERLAPPING, f"{trace.id}: {said}"))
    return Reading(session, notes, unawaited, _stated(trace, requests), tuple(repairs))


def _stated(trace: _Trace, requests: Sequence[_Request]) -> Stated:
    times = [entry.t for entry in trace.requests if entry.t is not None]
    ends = [r.t + r.took_s for r in requests if r.t is not None]
    is_timed = all(isinstance(e, _Request) and e.api_time is not None for e in trace.requests)
    return Stated(
        span_s=max([*times, *ends]) - min(times) if times else None,
        tick_s=TICK_S,
        num_calls=_num_requests(trace.requests),
        calls_s=sum(r.took_s for r in requests) if is_timed else None,
    )


def _num_requests(entries: Sequence[_Entry]) -> int:
    return sum(
        1 if isinstance(entry, _Request) else _num_requests(entry.requests) for entry in entries
    )


def _num_overlapping(entries: Sequence[_Entry]) -> int:
    """Requests that cannot have come after the one in front of them: other agents' of the session,
    which the recording has among its own."""
    inside = sum(_num_overlapping(one.requests) for one in entries if isinstance(one, _Subagent))
    return inside + sum(
        before.t is not None
        and following is not None
        and following.t is not None
        and before.t <= following.t < before.t + before.took_s - LATE_S
        for before, _, following in _gaps(entries)
    )


def marks_starts(entries: Sequence[_Entry]) -> bool:
    """Whether the `t` of a trace's sub-agents is when they began, and not when they ended.

    kv-cache-tester writes ends, other corpora of the same shape begins. The one that fits between
    the request before a sub-agent and the one behind it is taken; where both fit, ends.
    """
    ends_s = starts_s = 0.0
    for request, agents, following in _gaps(entries):
        for agent in agents:
            began, ended = request.t or 0.0, math.inf if following is None else following.t or 0.0
            ends_s += max(0.0, began - (agent.t - agent.took_s)) + max(0.0, agent.t - ended)
            starts_s += max(0.0, began - agent.t) + max(0.0, agent.t + agent.took_s - ended)
    return starts_s + TICK_S < ends_s


def _gaps(
    entries: Sequence[_Entry],
) -> Iterator[tuple[_Request, list[_Subagent], _Request | None]]:
    """Each request of the conversation itself with the sub-agents behind it and the next one."""
    request: _Request | None = None
    agents: list[_Subagent] = []
    for entry in entries:
        if isinstance(entry, _Subagent):
            agents.append(entry)
            continue
        if request is not None:
            yield request, agents, entry
        request, agents = entry, []
    if request is not None:
        yield request, agents, None


@dataclass(frozen=True, slots=True)
class _Reader:
    """How one trace is read. starts: a sub-agent's `t` is when it began."""

    block: int
    starts: bool
    repairs: list[Repair]

    def session(self, name: str, talk: _Conversation, arrival_s: float) -> tuple[Session, int]:
        """And how many sub-agents nothing in it waits for, at any depth."""
        requests = [entry for entry in talk.requests if isinstance(entry, _Request)]
        unawaited = _before_all(talk.requests)
        rounds: list[Round] = []
        before: Lengths | None = None
        for number, (request, agents, following) in enumerate(_gaps(talk.requests)):
            own = Lengths(request.prompt, request.output, request.hash_ids or ())
            cut, append = _grown(before, own, self.block)
            tools, lost = self._pause(f"{name}/r{number}", request, agents, following)
            rounds.append(Round(append, own.output, tools, cut))
            unawaited, before = unawaited + lost, own
        # One pair of lengths is taken for one text: the hashes are of one conversation only.
        shared = min(talk.tool_tokens + talk.system_tokens, requests[0].prompt)
        group = f"weka-t{talk.tool_tokens}-s{talk.system_tokens}" if shared else None
        return Session(name, tuple(rounds), arrival_s, "default", group, shared), unawaited

    def _pause(
        self, name: str, request: _Request, agents: Sequence[_Subagent], following: _Request | None
    ) -> tuple[tuple[ToolCall, ...], int]:
        """What runs until the next request: sub-agents, or else the gap as one waiting call."""
        if following is None:
            return (), len(agents)
        end_s = None if request.t is None else request.t + request.took_s
        next_s = following.t
        awaited = [one for one in agents if next_s is None or self._ended(one) <= next_s + LATE_S]
        lost = len(agents) - len(awaited)
        if not awaited:
            gap = self._gap_s(name, request, following)
            call = USER if request.stop == "end_turn" else CLIENT_GAP
            return ((ToolCall(call, "wait", floor_s=gap),) if gap > 0 else ()), lost
        # What the client did after the last sub-agent goes before them all: the calls of a round
        # run at the same time, and beside them it would hide in their shadow.
        last_s = max(self._ended(one) for one in awaited)
        rest = 0.0 if next_s is None else max(0.0, next_s - last_s)
        calls = []
        for i, agent in enumerate(awaited):
            late = 0.0 if end_s is None else max(0.0, self._began(agent) - end_s)
            call_, below = self._agent_call(f"{name}c{i}", agent, rest + late)
            calls.append(call_)
            lost += below
        return tuple(calls), lost

    def _agent_call(self, name: str, agent: _Subagent, delay_s: float) -> tuple[ToolCall, int]:
        if agent.duration_ms is None:
            self._mend(MISSING, f"{name}: has no duration_ms, but its requests")
        if not any(isinstance(entry, _Request) for entry in agent.requests):
            return ToolCall(SUBAGENT, "wait", floor_s=delay_s + agent.took_s), 0
        child, lost = self.session(name, agent, delay_s)
        return ToolCall(SUBAGENT, "agent", child=child), lost

    def _began(self, agent: _Subagent) -> float:
        return agent.t if self.starts else agent.t - agent.took_s

    def _ended(self, agent: _Subagent) -> float:
        return agent.t + agent.took_s if self.starts else agent.t

    def _gap_s(self, of: str, request: _Request, following: _Request) -> float:
        """The client's time between two requests: as recorded where their times allow it.

        Behind a request without `api_time`, `think_time` counts from the end of the last that
        has one, and so from before this request; no gap is longer than from one to the next.
        """
        recorded = following.think_time
        if request.t is None or following.t is None:
            self._mend(MISSING, f"{of}: has no t on one side of its gap")
            return max(0.0, recorded or 0.0)
        if following.t < request.t:
            back = request.t - following.t
            self._mend(STEPPED_BACK, f"{of}: the next request is {back:g} s before")
            return 0.0
        longest = max(0.0, following.t - request.t - request.took_s)
        if recorded is None or recorded <= longest + TICK_S:
            return max(0.0, longest if recorded is None else recorded)
        said = f"{of}: think_time is {recorded:g} s, and the next request came {longest:g} s later"
        self._mend("a think time that began before its request", said)
        return longest

    def _mend(self, kind: str, detail: str) -> None:
        self.repairs.append(Repair(kind, detail))


def _grown(before: Lengths | None, request: Lengths, block: int) -> tuple[Cut | None, int]:
    """How the context came to be this request's prompt: a cut, if any, and what was appended.

    The last tokens of a prompt (the turn marker) often differ in the next one; where they just
    reach into a block of their own, that block alone breaks. It is no cut.
    """
    if before is not None and not (before.hash_ids and request.hash_ids):
        return grown_by_lengths(before, request)
    whole = len(before.hash_ids) if before else 0
    return grown_by_hashes(before, request, block, needed=min(whole, max(whole - 1, 1)))


def _before_all(entries: Sequence[_Entry]) -> int:
    """Sub-agents before the first request."""
    kinds = [isinstance(entry, _Request) for entry in entries]
    return kinds.index(True) if True in kinds else len(kinds)
