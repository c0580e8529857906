"""Chats as agents send them, made of a workload's sessions, without a word of whose they are.

Every session becomes requests with all messages so far. Many sessions have the same system prompt
and the same first message, as benchmarks that repeat their tasks do; sub-agents share the system
prompt; a cut context goes on from a summary. Half of the sessions call tools by the API, the other
half write their calls into their text, and the marks of prompt caching move as they do in practice.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from marsbench.core.session import Session
from marsbench.gateway.messages import Said

TASKS = 7
"""Different first messages, however many sessions there are."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, whose it is (a new owner after each cut), and what will be answered."""

    owner: str
    messages: tuple[dict[str, Any], ...]
    said: Said


@dataclass
class Agent:
    """One session's requests, in order."""

    session: Session
    number: int
    messages: list[dict[str, Any]] = field(default_factory=list)

    def requests(self) -> Iterator[tuple[float, Request]]:
        """With the seconds from each to the next."""
        self._begin(f"task {self.number % TASKS}")
        owner = self.session.id
        for number, round_ in enumerate(self.session.rounds):
            if round_.cut is not None:
                self._begin(f"summary of {owner} until round {number}")
                owner = f"{self.session.id}, cut before round {number}"
            answer, said = self._answer(number)
            yield (
                0.01 * round_.output_tokens
                + max((call.alone_s for call in round_.tools), default=0),
                Request(owner, tuple(marked(self.messages)), said),
            )
            self.messages += [answer, self._result(number)]

    def _begin(self, text: str) -> None:
        group = self.session.prefix_group
        system = {"role": "system", "content": f"You are an agent of {group}."}
        self.messages = [system, {"role": "user", "content": text}]

    @property
    def calls_by_api(self) -> bool:
        return self.number % 2 == 0

    def _answer(self, number: int) -> tuple[dict[str, Any], Said]:
        key = f"{self.session.id}.{number}"
        if not self.calls_by_api:
            text = f"```bash\nls {key}\n```"
            # Clients give texts back without the blanks around them.
            return {"role": "assistant", "content": text}, Said.of(texts=[text])
        call = {"id": f"call-{key}", "type": "function", "function": {"name": "ls"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return message, Said.of([f"call-{key}"])

    def _result(self, number: int) -> dict[str, Any]:
        if not self.calls_by_api:
            return {"role": "user", "content": "nothing there"}
        return {
            "role": "tool",
            "tool_call_id": f"call-{self.session.id}.{number}",
            "content": "nothing there",
        }


def marked(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """With the last message's content as a block that is to be cached."""
    *before, last = messages
    block = {"type": "text", "text": last["content"], "cache_control": {"type": "ephemeral"}}
    return [*before, {**last, "content": [block]}]


def traffic(sessions: Sequence[Session]) -> Iterator[Request]:
    """The requests of all sessions and their sub-agents, in the order of their times."""
    numbers, order = count(), count()
    due: list[tuple[float, int, Iterator[tuple[float, Request]]]] = []

    def begin(session: Session, at: float) -> None:
        heapq.heappush(due, (at, next(order), Agent(session, next(numbers)).requests()))
        for round_ in session.rounds:
            for call in round_.tools:
                if call.child is not None:
                    begin(call.child, at + 1.0)

    for session in sessions:
        begin(session, session.arrival_s)
    while due:
        at, _, requests = heapq.heappop(due)
        if (following := next(requests, None)) is not None:
            seconds, request = following
            yield request
            heapq.heappush(due, (at + seconds, next(order), requests))
