"""OpenHands' events, of whatever version, as the calls of a model.

Token usage is joined by the id of the model's response. A tool's time runs from the response to
the tool's answer: calls of one response that ran one after another thus end when they ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from marsbench.core.session import ToolCall
from marsbench.core.workload.generate import USER
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.fallback import Fallback
from marsbench.formats.reading import ReadError, Reading, Record


class ResponseUsage(Record):
    """What one response of a model took."""

    response_id: str
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEvent:
    """What a version says of an event.

    of: how a problem names it. text: what a model reads of it, where no usage tells its length.
    response: the id of the model's response that it is of; None where no model made it.
    tool, answered_at: the tool that it calls, and when that answered.
    condenses: it is a condenser's summary, with which the agent goes on.
    """

    of: str
    at: datetime
    source: str
    text: str
    response: str | None = None
    tool: str | None = None
    answered_at: datetime | None = None
    condenses: bool = False


def session_of_events(
    name: str,
    events: Sequence[AgentEvent],
    usages: Iterable[ResponseUsage],
    prefix: str,
    fallback: Fallback,
    timed: Iterable[str] = (),
) -> Reading:
    """The session of these events, with a note on responses that no event came of.

    timed: ids of responses that were recorded beside those with a usage. Raises ReadError.
    """
    by_response = {usage.response_id: usage for usage in usages}
    calls = _calls(events, by_response, fallback)
    recorded = {*by_response, *timed}
    lost = len(recorded - {event.response for event in events})
    is_left = "is left" if lost == 1 else "are left"
    note = f"{lost} of {len(recorded)} calls of a model led to no event, and {is_left} out"
    return Reading(session_of_calls(name, calls, fallback, prefix), (note,) if lost else ())


def _calls(
    events: Sequence[AgentEvent], usages: dict[str, ResponseUsage], fallback: Fallback
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
                tools=() if until is None else _pause(events, own, until, fallback),
                # A condenser has a prompt of its own; the agent goes on with what it left.
                kept=() if events[own[0]].condenses else None,
                anew=condensed,
            )
        )
        begin, condensed = own[0], events[own[0]].condenses
    return calls


def _pause(
    events: Sequence[AgentEvent], own: Sequence[int], until: int, fallback: Fallback
) -> tuple[ToolCall, ...]:
    """The tool calls of one response, or the user's pause before the next."""
    asked_at = events[own[0]].at
    called = [events[place] for place in own if events[place].tool is not None]
    if called:
        return tuple(_tool(event, asked_at, fallback) for event in called)
    said = [event.at for event in events[own[-1] : until] if event.source == "user"]
    return (_waited(USER, asked_at, said[-1]),) if said else ()


def _tool(event: AgentEvent, asked_at: datetime, fallback: Fallback) -> ToolCall:
    """From the response to the answer, or as long as stated where there is none."""
    name = event.tool or ""
    if event.answered_at is None:
        return ToolCall(name, "wait", floor_s=fallback.tool_time(event.of))
    return _waited(name, asked_at, event.answered_at)


def _waited(name: str, begin: datetime, end: datetime) -> ToolCall:
    """Raises ReadError when it ended before it began."""
    try:
        seconds = (end - begin).total_seconds()
    except TypeError as error:
        raise ReadError(f"{name}: only some time stamps have a time zone") from error
    if seconds < 0:
        raise ReadError(f"{name}: ended {-seconds:g} s before it was asked for")
    return ToolCall(name, "wait", floor_s=seconds)
