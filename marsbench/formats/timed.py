"""Recorded calls with times and usage as a session: what the logs of agents and of tracers share.

A pause runs from the end of a reply to what set the next call off. The tools in it each run from
the reply's end to their own answer; what of the pause no tool took is a call of the user's or of
the client's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.core.workload.recipe import SUBAGENT
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.clock import OVERLAPPING, STEPPED_BACK, ToolClock, span_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.reading import ReadError, Reading, Repair, Stated
from marsbench.formats.weka import CLIENT_GAP, LATE_S

TICK_S = 1e-3
"""Most logs stamp milliseconds."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as recorded; None where nobody counted them.

    prompt: all of it, cached or not. cached: those of the prompt that were read from a cache.
    output: all that was generated. reasoning: those of the output that are.
    """

    prompt: int | None = None
    output: int | None = None
    cached: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A sub-agent: its session, what it waited for in vain, and its own begin and end."""

    reading: Reading
    began_at: float | None
    ended_at: float | None


@dataclass(slots=True, kw_only=True)
class Use:
    """A tool that a reply asked for. took_s: where its time and not its answer was recorded."""

    name: str
    asked_at: float | None = None
    answered_at: float | None = None
    took_s: float | None = None
    agent: Agent | None = None


@dataclass(slots=True, kw_only=True)
class TimedCall:
    """One call of a model.

    sent_at: when its request was sent, or what set it off came. ended_at: the reply's end.
    set_off_by: whose the time before it is that no tool took. anew: the context was cut before it.
    """

    of: str
    sent_at: float | None = None
    ended_at: float | None = None
    usage: Usage = Usage()
    appended: Sequence[str] = ()
    generated: str = ""
    uses: Sequence[Use] = ()
    set_off_by: str = CLIENT_GAP
    anew: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """All calls of one session, in their order.

    prefix: the text that every session of this agent begins with. times: all that its clock says,
    in order. num_calls: those that the recording counts; None where that is what `calls` are.
    repairs: what was mended before. shares: tokens read from a cache by the first call are what
    sessions of this agent, named so, have in common.
    """

    name: str
    calls: Sequence[TimedCall]
    times: Iterable[float | None] | None = None
    prefix: str = ""
    num_calls: int | None = None
    repairs: Sequence[Repair] = ()
    notes: tuple[str, ...] = ()
    shares: str | None = None
    unawaited: int = 0


def reading_of(talk: Talk, fallback: Fallback) -> Reading:
    """The session of these calls, beside what its recording says. Raises ReadError."""
    if not talk.calls:
        raise ReadError("holds no call of a model")
    talk = _counted(talk, fallback)
    pauses = _Pauses(talk.name, ToolClock(fallback, _has_times(talk.calls), list(talk.repairs)))
    following = [*talk.calls[1:], None]
    calls = [
        _recorded(call, pauses.tools(call, after))
        for call, after in zip(talk.calls, following, strict=True)
    ]
    session = session_of_calls(talk.name, calls, fallback, talk.prefix)
    first = talk.calls[0]
    began_at = first.ended_at if first.sent_at is None else first.sent_at
    return Reading(
        replace(_sharing(session, talk), arrival_s=max(0.0, began_at or 0.0)),
        talk.notes,
        talk.unawaited + pauses.unawaited,
        _stated(talk, pauses),
        tuple(pauses.clock.repairs),
    )


def _counted(talk: Talk, fallback: Fallback) -> Talk:
    """Without the calls of which nobody counted the tokens, where the others' were counted: they
    were broken off, and the time that they took is in the pause between the others."""
    whole = [one for one in talk.calls if None not in (one.usage.prompt, one.usage.output)]
    if fallback.tokens is not None or not whole or len(whole) == len(talk.calls):
        return talk
    lost = [one.of for one in talk.calls if one not in whole]
    said = f"{', '.join(lost[:3])}{' ...' if len(lost) > 3 else ''}: no tokens were counted"
    repairs = [*talk.repairs, Repair("a call without usage, left out", said)]
    stated = len(talk.calls) if talk.num_calls is None else talk.num_calls
    return replace(talk, calls=whole, num_calls=stated, repairs=repairs)


def _sharing(session: Session, talk: Talk) -> Session:
    """With the prefix that the first call found in a cache, which others had put there."""
    cached = talk.calls[0].usage.cached
    if talk.shares is None or session.prefix_group is not None or not cached:
        return session
    shared = min(cached, session.rounds[0].append_tokens)
    return replace(session, prefix_group=f"{talk.shares}-{cached}", prefix_tokens=shared)


def _has_times(calls: Sequence[TimedCall]) -> bool:
    return any(
        use.took_s is not None or (call.ended_at is not None and use.answered_at is not None)
        for call in calls
        for use in call.uses
    ) or any(before.ended_at is not None and call.sent_at is not None
             for before, call in pairwise(calls))  # fmt: skip


def _recorded(call: TimedCall, tools: tuple[ToolCall, ...]) -> RecordedCall:
    return RecordedCall(
        prompt=call.usage.prompt,
        output=call.usage.output,
        cached=call.usage.cached,
        appended=call.appended,
        generated=call.generated,
        tools=tools,
        anew=call.anew,
    )


def _stated(talk: Talk, pauses: _Pauses) -> Stated:
    """With what the recordings of its sub-agents state."""
    inside = pauses.inside
    below = sum(one.stated.num_calls or 0 for one in inside) + pauses.num_lost
    took = [_took_s(call) for call in talk.calls]
    times = talk.times
    if times is None:
        times = (at for call in talk.calls for at in (call.sent_at, call.ended_at))
    return Stated(
        span_s=span_of(times),
        tick_s=TICK_S,
        num_calls=(len(talk.calls) if talk.num_calls is None else talk.num_calls) + below,
        calls_s=None if inside or None in took else math.fsum(one or 0.0 for one in took),
        cached_tokens=_sum([c.usage.cached for c in talk.calls], inside, "cached_tokens"),
        reasoning_tokens=_sum([c.usage.reasoning for c in talk.calls], inside, "reasoning_tokens"),
    )


def _took_s(call: TimedCall) -> float | None:
    if call.ended_at is None or call.sent_at is None:
        return None
    return max(0.0, call.ended_at - call.sent_at)


def _sum(own: Sequence[int | None], inside: Sequence[Reading], name: str) -> int | None:
    """Of its own calls and its sub-agents'; None where nobody counted any."""
    known = [one for one in (*own, *(getattr(r.stated, name) for r in inside)) if one is not None]
    return sum(known) if known else None


class _Pauses:
    """The pauses of one session.

    inside: the sub-agents that were waited for. num_lost: calls of those that were not.
    """

    def __init__(self, name: str, clock: ToolClock) -> None:
        self.name, self.clock = name, clock
        self.inside: list[Reading] = []
        self.unawaited = self.num_lost = 0

    def tools(self, call: TimedCall, after: TimedCall | None) -> tuple[ToolCall, ...]:
        """What runs between the two; nothing after the last."""
        if after is None:
            for use in call.uses:
                self._lose(use.agent)
            return ()
        pause_s = self._pause_s(call, after)
        took_s = [self._seconds(call, use, after) for use in call.uses]
        delays = _delays_s(call)
        made = [
            self._tool(use, own, delay)
            for use, own, delay in zip(call.uses, took_s, delays, strict=True)
        ]
        if pause_s is not None and pause_s > max(took_s, default=0.0) + TICK_S:
            made.append(ToolCall(after.set_off_by, "wait", floor_s=pause_s))
        return tuple(made)

    def _pause_s(self, call: TimedCall, after: TimedCall) -> float | None:
        if call.ended_at is None or after.sent_at is None:
            return None
        pause_s = after.sent_at - call.ended_at
        if pause_s < -TICK_S:
            of = f"{after.of} was sent {-pause_s:g} s before the reply of {call.of} had ended"
            began = call.sent_at is None or after.sent_at >= call.sent_at
            self.clock.repairs.append(Repair(OVERLAPPING if began else STEPPED_BACK, of))
        return max(0.0, pause_s)

    def _tool(self, use: Use, seconds: float, delay_s: float | None) -> ToolCall:
        """delay_s: when a sub-agent began, where others ran beside it."""
        agent = use.agent
        if agent is None or _is_late(use, agent):
            self._lose(agent)
            return ToolCall(use.name, "wait", floor_s=seconds)
        self.inside.append(agent.reading)
        self.unawaited += agent.reading.unawaited
        self.clock.repairs.extend(agent.reading.repairs)
        if delay_s is None:
            delay_s = max(0.0, seconds - _lasted_s(agent, seconds))
        return ToolCall(SUBAGENT, "agent", child=replace(agent.reading.session, arrival_s=delay_s))

    def _lose(self, agent: Agent | None) -> None:
        """A sub-agent that nothing in the session waits for."""
        if agent is not None:
            self.unawaited += 1 + agent.reading.unawaited
            self.num_lost += agent.reading.stated.num_calls or 0

    def _seconds(self, call: TimedCall, use: Use, after: TimedCall) -> float:
        """From the reply's end to the tool's; 0 of one that ended while the reply was written."""
        ended_at, answered_at = call.ended_at, use.answered_at
        if use.agent is not None and answered_at is None:
            return 0.0  # its own session tells how long it took
        if answered_at is None and use.took_s is not None:
            begun_at = use.asked_at if use.asked_at is not None else ended_at
            if begun_at is None or ended_at is None:
                return use.took_s
            answered_at = begun_at + use.took_s
        if answered_at is None and after.set_off_by == USER and self.clock.fallback.tool_s is None:
            return 0.0  # the user broke it off, and what was waited for is the user
        if ended_at is None or answered_at is None or answered_at >= ended_at:
            return self.clock.waited(ended_at, answered_at, call.of)
        if use.asked_at is not None and answered_at >= use.asked_at:
            return 0.0
        return self.clock.waited(use.asked_at or ended_at, answered_at, call.of)


def _delays_s(call: TimedCall) -> list[float | None]:
    """Of each tool, the seconds before its sub-agent began, where several ran at once.

    Each began at its own time, and one that ended early waited for the others, which is no delay.
    What the client did after the last goes before them all: beside them it would hide.
    """
    branches = [
        (use, use.agent)
        for use in call.uses
        if use.agent is not None and not _is_late(use, use.agent)
    ]
    ends = [one.ended_at for _, one in branches if one.ended_at is not None]
    answers = [use.answered_at for use, _ in branches if use.answered_at is not None]
    if len(branches) < 2 or not ends or not answers or call.ended_at is None:
        return [None] * len(call.uses)
    rest_s = max(0.0, max(answers) - max(ends))
    return [_delay_s(use.agent, call.ended_at, rest_s) for use in call.uses]


def _delay_s(agent: Agent | None, ended_at: float, rest_s: float) -> float | None:
    if agent is None or agent.began_at is None:
        return None
    return max(0.0, agent.began_at - ended_at) + rest_s


def _is_late(use: Use, agent: Agent) -> bool:
    """Whether it went on long after its answer: it was started, and not waited for."""
    if use.answered_at is None or agent.ended_at is None:
        return False
    return agent.ended_at > use.answered_at + LATE_S


def _lasted_s(agent: Agent, otherwise: float) -> float:
    """What of a sub-agent's tool call is its own; what is not runs before it."""
    if agent.began_at is None or agent.ended_at is None:
        return otherwise
    return max(0.0, agent.ended_at - agent.began_at)
