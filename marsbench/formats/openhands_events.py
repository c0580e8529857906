"""OpenHands' events, of whatever version, as the calls of a model.

Token usage is joined by the id of the model's response. A tool's time runs from the response to
the tool's answer: calls of one response that ran one after another thus end when they ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from marsbench.core.session import ToolCall
from marsbench.core.workload.generate import USER
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.clock import ToolClock, seconds_of, span_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.reading import Duration, ReadError, Reading, Record, Stated, Tokens


class ResponseUsage(Record):
    """What one response of a model took."""

    response_id: str
    prompt_tokens: Tokens
    completion_tokens: Tokens


class ResponseLatency(Record):
    """How long one response took."""

    response_id: str
    latency: Duration | None = None


class Metrics(Record):
    """What OpenHands counted, in all versions."""

    token_usages: list[ResponseUsage] = Field(default_factory=list)
    response_latencies: list[ResponseLatency] = Field(default_factory=list)

    def joined(self, other: Metrics) -> Metrics:
        """Of both."""
        return Metrics(
            token_usages=self.token_usages + other.token_usages,
            response_latencies=self.response_latencies + other.response_latencies,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent:
    """What a version says of an event.

    of: how a problem names it. at: None where nobody stamped it.
    text: what a model reads of it, where no usage tells its length.
    response: the id of the model's response that it is of; None where no model made it.
    tool, answered_at: the tool that it calls, and when that answered.
    condenses: it is a condenser's summary, with which the agent goes on.
    """

    of: str
    at: datetime | None
    source: str
    text: str
    response: str | None = None
    tool: str | None = None
    answered_at: datetime | None = None
    condenses: bool = False


def session_of_events(
    name: str, events: Sequence[AgentEvent], metrics: Metrics, prefix: str, fallback: Fallback
) -> Reading:
    """The session of these events, with a note on responses that no event came of.

    Raises ReadError.
    """
    _require_one_zone(events)
    by_response = {usage.response_id: usage for usage in metrics.token_usages}
    took = {one.response_id: one.latency for one in metrics.response_latencies}
    recorded = {*by_response, *took}
    clock = ToolClock(fallback, any(event.at and event.answered_at for event in events))
    calls = _calls(events, by_response, clock)
    lost = len(recorded - {event.response for event in events})
    is_left = "is left" if lost == 1 else "are left"
    note = f"{lost} of {len(recorded)} calls of a model led to no event, and {is_left} out"
    stated = Stated(
        span_s=span_of(_at_s(event.at) for event in events),
        num_calls=len(recorded) or None,
        calls_s=_sum(took.get(response) for response in recorded),
    )
    session = session_of_calls(name, calls, fallback, prefix)
    return Reading(session, (note,) if lost else (), 0, stated, tuple(clock.repairs))


def _require_one_zone(events: Sequence[AgentEvent]) -> None:
    zoned = {event.at.tzinfo is not None for event in events if event.at is not None}
    if len(zoned) > 1:
        raise ReadError("only some time stamps have a time zone")


def _at_s(time: datetime | None) -> float | None:
    return None if time is None else seconds_of(time)


def _sum(seconds: Iterable[float | None]) -> float | None:
    """None where one of them is not known, or there are none."""
    found = list(seconds)
    known = [one for one in found if one is not None]
    return sum(known) if known and len(known) == len(found) else None


def _calls(
    events: Sequence[AgentEvent], usages: Mapping[str, ResponseUsage], clock: ToolClock
) -> list[RecordedCall]:
    places: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        if event.response is not None:
            places.setdefault(event.response, []).append(place)
    starts = [own[0] for own in places.values()]
    calls: list[RecordedCall] = []
    begin, condensed = 0, False
    for (response, own), until in zip(places.items(), (*starts[1:], None), strict=False):
        usage = usages.get(response)
        joined = events[begin : own[0]]
        calls.append(
            RecordedCall(
                prompt=usage.prompt_tokens if usage else None,
                output=usage.completion_tokens if usage else None,
                appended=[event.text for event in joined if event.response is None],
                generated="\n".join(events[place].text for place in own),
                tools=() if until is None else _pause(events, own, until, clock),
                # A condenser has a prompt of its own; the agent goes on with what it left.
                kept=() if events[own[0]].condenses else None,
                anew=condensed,
            )
        )
        begin, condensed = own[0], events[own[0]].condenses
    return calls


def _pause(
    events: Sequence[AgentEvent], own: Sequence[int], until: int, clock: ToolClock
) -> tuple[ToolCall, ...]:
    """The tool calls of one response and the user's pause, each from the response to its end.

    What was not answered before the user spoke, such as the call that finishes, has no time of
    its own.
    """
    asked = events[own[0]]
    said = [event for event in events[own[-1] : until] if event.source == "user"]
    called = [events[place] for place in own if events[place].tool is not None]
    calls = [
        ToolCall(event.tool or "", "wait", floor_s=_waited(asked, event, clock))
        for event in called
        if event.answered_at is not None or not said
    ]
    if said:
        seconds = clock.passed(asked.at, said[-1].at, said[-1].of)
        calls.append(ToolCall(USER, "wait", floor_s=seconds))
    return tuple(calls)


def _waited(asked: AgentEvent, event: AgentEvent, clock: ToolClock) -> float:
    """From the response to the answer, or as long as stated where there is none."""
    if event.answered_at is None:
        return clock.unknown(event.of)
    return clock.passed(asked.at, event.answered_at, event.of)
