"""From what agents say to the information stream: events in the order of their times.

Some events are known late. How long a prompt was, the server says when it has answered; that a
round was ready, its model call shows. So the stream is written up to the earliest instant at which
something that is still open could have to be put in.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from marsbench.core.events import (
    Event,
    GpuEnd,
    GpuSubmit,
    PromptCached,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    SessionEnded,
    ToolEnd,
    ToolStart,
)

# What a message from another process takes to arrive, and more.
SLACK_S = 1.0


@dataclass(slots=True)
class _Agent:
    """What of a session is still open, and where its seconds went."""

    arrived_at: float
    began_at: float | None = None
    admission_s: float = 0.0
    ready_at: float | None = None
    llm_started_at: float | None = None
    tool_started_at: float | None = None
    num_rounds: int = 0
    llm_s: float = 0.0
    tools_s: float = 0.0
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """Where a session's seconds went; they add up to its completion time.

    wait_s: before its process began. framework_s: neither the model nor a tool was at work.
    """

    wait_s: float
    llm_s: float
    tools_s: float
    framework_s: float
    num_rounds: int

    @property
    def total_s(self) -> float:
        """From arrival to end."""
        return self.wait_s + self.llm_s + self.tools_s + self.framework_s


class Timeline:
    """Takes messages of agents, in any order between agents, and emits events by time."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._heap: list[tuple[float, int, Event]] = []
        self._sequence = 0
        self._written = 0.0
        self._agents: dict[str, _Agent] = {}
        # Since when something in a session is open: nothing later may be written.
        self._open: dict[str, float] = {}
        self._rules: dict[str, Callable[[str, _Agent, float, Mapping[str, Any]], None]] = {
            "begin": self._begun,
            "llm_start": self._llm_started,
            "llm_end": self._llm_ended,
            "tool_start": self._tool_started,
            "tool_end": self._tool_ended,
        }

    def __call__(self, event: Event) -> None:
        """An event that no agent told."""
        self._sequence += 1
        heapq.heappush(self._heap, (event.at, self._sequence, event))

    def arrived(self, session: str, at: float) -> None:
        """A session wants to begin; its first round is ready."""
        self._agents[session] = _Agent(at)
        self(SessionArrived(at, session))
        self(RoundReady(at, session, 0))

    def admitted(self, session: str, waited_s: float) -> None:
        """A gateway let the session in so long after its first request was sent."""
        agent = self._agents.get(session)
        if agent is None or agent.llm_started_at is None or agent.num_rounds != 1:
            return  # it has gone on since: when it was let in nobody can say any more
        agent.admission_s = waited_s
        self(SessionAdmitted(agent.llm_started_at + waited_s, session))

    def told(self, at: float, message: Mapping[str, Any]) -> None:
        """A message of a session that is under way; one of a session that has ended is ignored."""
        session = message["session"]
        agent = self._agents[session]
        rule = self._rules.get(message["kind"])
        if rule is not None and agent.ended_at is None:
            rule(session, agent, at, message)

    def ended(self, session: str, at: float, reason: str | None) -> None:
        """The session is over: finished, or failed for `reason`."""
        agent = self._agents[session]
        if agent.ended_at is not None:
            return
        if agent.llm_started_at is not None:
            # The call never came back, so nobody counted its tokens and no event can say them.
            agent.llm_s += at - agent.llm_started_at
        if agent.tool_started_at is not None:
            agent.tools_s += at - agent.tool_started_at
        outcome: Literal["finished", "failed"] = "failed" if reason else "finished"
        self(SessionEnded(at, session, outcome, reason))
        agent.ended_at = at
        self._open.pop(session, None)

    def shares(self, session: str) -> Shares | None:
        """Where the seconds of a session went; None while it is under way."""
        agent = self._agents[session]
        if agent.ended_at is None:
            return None
        began_at = agent.ended_at if agent.began_at is None else agent.began_at
        rest = agent.ended_at - began_at - agent.llm_s - agent.tools_s
        wait_s = began_at - agent.arrived_at
        return Shares(wait_s, agent.llm_s, agent.tools_s, rest, agent.num_rounds)

    def write(self, now: float) -> None:
        """Emits what is certain: everything before `now`, less slack and what is open."""
        self._write(min((now - SLACK_S, *self._open.values())))

    def close(self) -> None:
        """Emits the rest."""
        self._write(float("inf"))

    def _begun(self, session: str, agent: _Agent, at: float, _: Mapping[str, Any]) -> None:
        agent.began_at = at

    def _llm_started(
        self, session: str, agent: _Agent, at: float, message: Mapping[str, Any]
    ) -> None:
        number = message["round"]
        if number > 0:
            ready_at = at if agent.ready_at is None else agent.ready_at
            self(RoundReady(ready_at, session, number))
        agent.num_rounds = number + 1
        agent.llm_started_at = self._open[session] = at

    def _llm_ended(
        self, session: str, agent: _Agent, at: float, message: Mapping[str, Any]
    ) -> None:
        number, prompt, output = (message[k] for k in ("round", "prompt_tokens", "output_tokens"))
        if agent.llm_started_at is None:
            return
        # What a gateway held back went to the engine when it was let in.
        submitted_at = agent.llm_started_at + (agent.admission_s if number == 0 else 0.0)
        self(GpuSubmit(min(submitted_at, at), session, number, prompt, output))
        if message["cached_tokens"] is not None:
            self(PromptCached(at, session, number, message["cached_tokens"], None))
        self(GpuEnd(at, session, number, output))
        agent.llm_s += at - agent.llm_started_at
        agent.llm_started_at = None
        agent.ready_at = self._open[session] = at

    def _tool_started(
        self, session: str, agent: _Agent, at: float, message: Mapping[str, Any]
    ) -> None:
        self(ToolStart(at, session, message["round"], message["call"], message["name"]))
        agent.tool_started_at = at
        self._open[session] = at

    def _tool_ended(
        self, session: str, agent: _Agent, at: float, message: Mapping[str, Any]
    ) -> None:
        self(ToolEnd(at, session, message["round"], message["call"], message["name"]))
        if agent.tool_started_at is not None:
            agent.tools_s += at - agent.tool_started_at
        agent.tool_started_at = None
        agent.ready_at = self._open[session] = at

    def _write(self, upto: float) -> None:
        while self._heap and self._heap[0][0] <= upto:
            at, _, event = heapq.heappop(self._heap)
            self._written = max(self._written, at)
            if event.at != self._written:
                event = dataclasses.replace(event, at=self._written)
            self._emit(event)
