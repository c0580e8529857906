"""From what agents say to the information stream.

Some events are known late. How long a prompt was, the server says when it has answered; that a
round was ready, its model call shows. So what is open keeps the recorder from writing on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
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

Message = Mapping[str, Any]


@dataclass(slots=True)
class _Agent:
    """What of a session is still open, and where its seconds went."""

    session: str
    arrived_at: float
    began_at: float | None = None
    ready_at: float | None = None
    llm_started_at: float | None = None
    tool_started_at: float | None = None
    num_rounds: int = 0
    llm_s: float = 0.0
    tools_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TimeShares:
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
    """Takes messages of agents, in any order between agents, and makes events of them.

    record: takes events in any order. open_since: as of `EventRecorder`.
    waits_s: how long a gateway held each session's first request, as far as it has said so; None
        where there is no gateway, and everybody is in on arrival.
    """

    def __init__(
        self,
        record: Callable[[Event], None],
        open_since: MutableMapping[str, float],
        waits_s: Mapping[str, float] | None,
    ) -> None:
        self._record = record
        self._open_since = open_since
        self._waits_s = waits_s
        self._agents: dict[str, _Agent] = {}
        self._rules: dict[str, Callable[[_Agent, float, Message], None]] = {
            "begin": self._begun,
            "llm_start": self._llm_started,
            "llm_end": self._llm_ended,
            "tool_start": self._tool_started,
            "tool_end": self._tool_ended,
        }

    def arrived(self, session: str, at: float) -> None:
        """A session wants to begin; its first round is ready."""
        self._agents[session] = _Agent(session, at)
        if self._waits_s is not None:  # when it is let in is known after its first round
            self._open_since[session] = at
        self._record(SessionArrived(at, session))
        self._record(RoundReady(at, session, 0))

    def told(self, at: float, message: Message) -> None:
        """A message of a session that is under way; one of a session that has ended is ignored."""
        agent, rule = self._agents.get(message["session"]), self._rules.get(message["kind"])
        if agent is not None and rule is not None:
            rule(agent, at, message)

    def ended(self, session: str, at: float, reason: str | None) -> TimeShares | None:
        """The session is over, finished or failed for `reason`.

        Where its seconds went; None for one that had ended before, of which nothing changes.
        """
        agent = self._agents.pop(session, None)
        if agent is None:
            return None
        if agent.llm_started_at is not None:
            # The call never came back, so nobody counted its tokens and no event can say them.
            self._submitted_at(agent, agent.llm_started_at)
            agent.llm_s += at - agent.llm_started_at
        if agent.tool_started_at is not None:
            agent.tools_s += at - agent.tool_started_at
        outcome: Literal["finished", "failed"] = "failed" if reason else "finished"
        self._record(SessionEnded(at, session, outcome, reason))
        self._open_since.pop(session, None)
        began_at = at if agent.began_at is None else agent.began_at
        rest = at - began_at - agent.llm_s - agent.tools_s
        wait_s = began_at - agent.arrived_at
        return TimeShares(wait_s, agent.llm_s, agent.tools_s, rest, agent.num_rounds)

    def _begun(self, agent: _Agent, at: float, _: Message) -> None:
        agent.began_at = at

    def _llm_started(self, agent: _Agent, at: float, message: Message) -> None:
        number = message["round"]
        if number > 0:
            ready_at = at if agent.ready_at is None else agent.ready_at
            self._record(RoundReady(ready_at, agent.session, number))
        agent.num_rounds = number + 1
        agent.llm_started_at = at
        if number > 0 or self._waits_s is None:
            self._open_since[agent.session] = at

    def _llm_ended(self, agent: _Agent, at: float, message: Message) -> None:
        session, started_at = agent.session, agent.llm_started_at
        number, prompt, output = (message[k] for k in ("round", "prompt_tokens", "output_tokens"))
        if started_at is None:
            return
        submitted_at = min(self._submitted_at(agent, started_at), at)
        self._record(GpuSubmit(submitted_at, session, number, prompt, output))
        if message["cached_tokens"] is not None:
            self._record(PromptCached(at, session, number, message["cached_tokens"], None))
        self._record(GpuEnd(at, session, number, output))
        agent.llm_s += at - started_at
        agent.llm_started_at = None
        agent.ready_at = self._open_since[session] = at

    def _submitted_at(self, agent: _Agent, sent_at: float) -> float:
        """What a gateway held back went to the engine when the session was let in.

        The wait for admission is the gateway's, so it counts from the arrival: what its framework
        did before it asked is no wait, with a gateway or without.
        """
        wait_s = None if self._waits_s is None else self._waits_s.get(agent.session)
        if agent.num_rounds > 1 or wait_s is None:
            return sent_at
        self._record(SessionAdmitted(agent.arrived_at + wait_s, agent.session))
        return sent_at + wait_s

    def _tool_started(self, agent: _Agent, at: float, message: Message) -> None:
        self._record(
            ToolStart(at, agent.session, message["round"], message["call"], message["name"])
        )
        agent.tool_started_at = self._open_since[agent.session] = at

    def _tool_ended(self, agent: _Agent, at: float, message: Message) -> None:
        self._record(ToolEnd(at, agent.session, message["round"], message["call"], message["name"]))
        if agent.tool_started_at is not None:
            agent.tools_s += at - agent.tool_started_at
        agent.tool_started_at = None
        agent.ready_at = self._open_since[agent.session] = at
