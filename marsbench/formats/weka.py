"""Reads anonymised Claude Code traces (callanjfox/kv-cache-tester), one session a file.

A trace has lengths, times and hashes of 64-token blocks, and no text. What is read how, and what
is assumed, is in docs/workloads.md, "Recorded sessions".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from marsbench.core.session import Cut, Round, Session, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.core.workload.recipe import SUBAGENT
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head
from marsbench.formats.gathering import ImportResult, TrackSources, gather
from marsbench.formats.history import Lengths, grown_by_hashes
from marsbench.formats.opening import records_of
from marsbench.formats.reading import Contents, ReadError, Reading, Record, record_of, sources_of

CLIENT_GAP = "client_gap"
"""The name of a tool call that is all the time between two requests: tools, approvals, client."""


def import_weka(paths: Sequence[Path], track: TrackSources | None = None) -> ImportResult:
    """The sessions of these files, in their order; a bad file leaves the others as they are."""
    return gather((FORMAT.contents(path, Fallback()) for path in paths), track)


def read_weka(path: Path, _fallback: Fallback) -> Contents:
    """One session a file, or one a line, or one an element of an array."""
    return Contents(sources_of(records_of(path), _reading, str(path)))


def _recognised(head: Head) -> str | None:
    if head.has("requests", "block_size"):
        return "it has requests and their block_size"
    return None


FORMAT = Format(
    name="weka",
    title="a Claude Code trace of kv-cache-tester",
    tried=("kv-cache-tester 94f6046 (2026-03)",),
    recognise=_recognised,
    read=read_weka,
)


_Tokens = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(allow_inf_nan=False)]


class _Record(Record):
    model_config = ConfigDict(strict=True)


class _Request(_Record):
    type: Literal["n", "s"]
    t: _Seconds
    prompt: Annotated[int, Field(alias="in", ge=1)]
    out: _Tokens
    hash_ids: list[int]
    stop: str | None = None
    api_time: _Seconds | None = None
    think_time: _Seconds | None = None

    @property
    def output(self) -> int:
        """At least 1: an interrupted request may have 0, and a round generates something."""
        return max(1, self.out)

    @property
    def end(self) -> float:
        """When its last token came; when that was not recorded, when it began."""
        return self.t + (self.api_time or 0.0)


class _Conversation(_Record):
    tool_tokens: _Tokens = 0
    system_tokens: _Tokens = 0
    requests: list[_Entry]


class _Subagent(_Conversation):
    type: Literal["subagent"]
    t: _Seconds
    duration_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0

    @property
    def start(self) -> float:
        """`t` is when it ended: t - duration is right behind its parent's request."""
        return self.t - self.duration_ms / 1000


_Entry = Annotated[_Request | _Subagent, Field(discriminator="type")]


class _Trace(_Conversation):
    id: str
    block_size: Annotated[int, Field(ge=1)]


_TAGS = ("n", "s", "subagent")


def _reading(record: Any, _name: str) -> Reading:
    trace = record_of(_Trace, record, _TAGS)
    if not any(isinstance(entry, _Request) for entry in trace.requests):
        raise ReadError("requests: holds no request of the session itself")
    session = _session(trace.id, trace, trace.block_size, 0.0)
    return Reading(session, unawaited=_unawaited(trace.requests))


def _session(name: str, talk: _Conversation, block: int, arrival_s: float) -> Session:
    requests = [entry for entry in talk.requests if isinstance(entry, _Request)]
    pauses = _pauses(name, talk.requests, block)
    lengths = [Lengths(one.prompt, one.output, one.hash_ids) for one in requests]
    growth = [_grown(*pair, block) for pair in zip((None, *lengths[:-1]), lengths, strict=True)]
    rounds = [
        Round(append, request.output, tools, cut)
        for request, tools, (cut, append) in zip(requests, pauses, growth, strict=True)
    ]
    # One pair of lengths is taken for one text: the hashes are of one conversation only.
    shared = min(talk.tool_tokens + talk.system_tokens, requests[0].prompt)
    group = f"weka-t{talk.tool_tokens}-s{talk.system_tokens}" if shared else None
    return Session(name, tuple(rounds), arrival_s, prefix_group=group, prefix_tokens=shared)


def _grown(before: Lengths | None, request: Lengths, block: int) -> tuple[Cut | None, int]:
    """How the context came to be this request's prompt: a cut, if any, and what was appended.

    The last tokens of a prompt (the turn marker) often differ in the next one; where they just
    reach into a block of their own, that block alone breaks. It is no cut.
    """
    whole = len(before.hash_ids) if before else 0
    return grown_by_hashes(before, request, block, needed=min(whole, max(whole - 1, 1)))


def _pauses(name: str, entries: Sequence[_Entry], block: int) -> Iterator[tuple[ToolCall, ...]]:
    """What runs after each request of the conversation itself."""
    number, request = 0, None
    agents: list[_Subagent] = []
    for entry in entries:
        if isinstance(entry, _Subagent):
            agents.append(entry)
            continue
        if request is not None:
            yield _pause(f"{name}/r{number}", request, agents, entry, block)
            number += 1
        request, agents = entry, []
    yield ()


def _pause(
    name: str, request: _Request, agents: Sequence[_Subagent], following: _Request, block: int
) -> tuple[ToolCall, ...]:
    """The sub-agents between two requests, or else the gap between them as one waiting call."""
    if not agents:
        gap = _gap_s(request, following)
        call = USER if request.stop == "end_turn" else CLIENT_GAP
        return (ToolCall(call, "wait", floor_s=gap),) if gap > 0 else ()
    # What the client did after the last sub-agent goes before them all: the calls of a round run
    # at the same time, and beside them it would hide in their shadow.
    rest = max(0.0, following.t - max(agent.t for agent in agents))
    return tuple(
        _agent_call(f"{name}c{i}", agent, rest + max(0.0, agent.start - request.end), block)
        for i, agent in enumerate(agents)
    )


def _agent_call(name: str, agent: _Subagent, delay_s: float, block: int) -> ToolCall:
    if any(isinstance(entry, _Request) for entry in agent.requests):
        return ToolCall(SUBAGENT, "agent", child=_session(name, agent, block, delay_s))
    return ToolCall(SUBAGENT, "wait", floor_s=delay_s + agent.duration_ms / 1000)


def _gap_s(request: _Request, following: _Request) -> float:
    """The client's time between two requests, as recorded, or from their times."""
    recorded = following.think_time
    return max(0.0, following.t - request.end if recorded is None else recorded)


def _unawaited(entries: Sequence[_Entry]) -> int:
    """Sub-agents before the first and after the last request, at any depth."""
    own = [i for i, entry in enumerate(entries) if isinstance(entry, _Request)]
    agents = [(i, entry) for i, entry in enumerate(entries) if isinstance(entry, _Subagent)]
    outside = [i for i, _ in agents if not own or not own[0] < i < own[-1]]
    inside = [agent for i, agent in agents if i not in outside]
    return len(outside) + sum(_unawaited(agent.requests) for agent in inside)
