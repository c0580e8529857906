"""What a clairvoyant policy is told of a session: the rest of it."""

from __future__ import annotations

from marsbench.core.session import Session, ToolCall
from marsbench_backends.signals import Future


class Futures:
    """A session's futures, one a round: computed when the first is asked for, and kept here."""

    __slots__ = ("_rests", "_session")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rests: list[Future] | None = None

    def of(self, number: int) -> Future:
        """The rest of the session from round `number` on, that round included."""
        if self._rests is None:
            self._rests = _rests(self._session)
        return self._rests[number]


def _rests(session: Session) -> list[Future]:
    """Of every round, in order: one pass from the last to the first."""
    prompt = output = 0
    tools_s, peak = 0.0, session.peak_tokens
    rests: list[Future] = []
    for rnd in reversed(session.rounds):
        prompt += rnd.append_tokens
        output += rnd.output_tokens
        next_tool_s = _tools_s(rnd.tools)
        tools_s += next_tool_s
        rests.append(Future(len(rests) + 1, prompt, output, tools_s, next_tool_s, peak))
    rests.reverse()
    return rests


def _tools_s(tools: tuple[ToolCall, ...]) -> float:
    return max((max(t.cpu_s, t.floor_s) for t in tools), default=0.0)
