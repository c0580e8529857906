"""What a clairvoyant policy is told of a session: the rest of it."""

from __future__ import annotations

from functools import lru_cache

from marsbench.session import Session, ToolCall
from marsbench_backends.signals import Future


@lru_cache(maxsize=4096)
def _tail(session: Session, number: int) -> tuple[int, int, float]:
    """Prompt tokens, output tokens and tool seconds from round `number` on."""
    if number == len(session.rounds):
        return 0, 0, 0.0
    rnd = session.rounds[number]
    prompt, output, tools = _tail(session, number + 1)
    return prompt + rnd.append_tokens, output + rnd.output_tokens, tools + _tools_s(rnd.tools)


@lru_cache(maxsize=4096)
def _peak(session: Session) -> int:
    return session.peak_tokens


def _tools_s(tools: tuple[ToolCall, ...]) -> float:
    return max((max(t.cpu_s, t.floor_s) for t in tools), default=0.0)


def future_of(session: Session, number: int) -> Future:
    """The rest of the session from round `number` on, that round included."""
    prompt, output, tools = _tail(session, number)
    rounds = len(session.rounds) - number
    next_tool_s = _tools_s(session.rounds[number].tools)
    return Future(rounds, prompt, output, tools, next_tool_s, _peak(session))
