"""Reads AIPerf's inputs of texts: a request a line (`messages`, `text_input`, `payload`), a
conversation a line (`turns`), or the `inputs.json` of a run, with the requests of its sessions.

A line's `messages` are all that the request sent; of a session whose lines say `message_mode:
delta`, and of `turns`, what is new in it. Prompts are counted by a tokenizer, the stated
`output_length` is taken for what was generated; where there is none, the answer that a later prompt
repeats, and else the most that the request allowed. What a later prompt has in common with the one
before is told by its messages. Lines with `input_length` are Mooncake's (`mooncake.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from marsbench.core.session import Session, ToolCall
from marsbench.core.workload.generate import USER
from marsbench.formats.aiperf_requests import Answered, Request, RequestsOfSession, Row
from marsbench.formats.calls import RecordedCall, session_of_calls
from marsbench.formats.clock import span_of
from marsbench.formats.fallback import Fallback
from marsbench.formats.format import Format, Head, head_of
from marsbench.formats.messages import objects_of
from marsbench.formats.opening import elements_under
from marsbench.formats.payloads import IN_FRONT
from marsbench.formats.reading import (
    Contents,
    ReadError,
    Reading,
    SessionSource,
    Stated,
    failed,
    json_of,
    record_of,
)
from marsbench.formats.table_rows import table_records

WAIT = "wait"


def read_aiperf(path: Path, fallback: Fallback) -> Contents:
    """The sessions of a file; a line without a `session_id` is one of its own."""
    head = head_of(path)
    if _is_inputs(head):
        return Contents(_sources(path, _sessions_of_inputs(path), fallback), has_arrivals=False)
    turns = objects_of(head.objects[0].get("turns")) if head.objects else []
    has_arrivals = "timestamp" in (turns[0] if turns else head.columns)
    return Contents(_sources(path, table_records(path), fallback), has_arrivals=has_arrivals)


def _is_inputs(head: Head) -> bool:
    return head.has_under("data", "payloads")


def _sessions_of_inputs(path: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    return ((place, partial(json_of, text)) for place, text in elements_under("data", path))


def _sources(
    path: Path, records: Iterable[tuple[str, Callable[[], Any]]], fallback: Fallback
) -> Iterator[SessionSource]:
    """Those of sessions that go over several lines come when all lines were read."""
    sessions: dict[str, RequestsOfSession] = {}
    stem = path.name.partition(".")[0]
    try:
        for number, (place, record) in enumerate(records):
            own = RequestsOfSession(f"{stem}-{number:05d}", place, fallback)
            yield from _line(own, record, sessions)
    except ReadError as error:
        yield failed(str(path), error)
    for one in sessions.values():
        yield SessionSource(one.where, partial(_reading, one))


def _line(
    own: RequestsOfSession, record: Callable[[], Any], sessions: dict[str, RequestsOfSession]
) -> Iterator[SessionSource]:
    """A line that is a session of its own; one of several joins theirs."""
    try:
        row = record_of(Row, record())
    except ReadError as error:
        yield failed(own.where, error)
        return
    name = None if row.session_id is None else str(row.session_id)
    own.name = name or own.name
    if name is not None and not row.is_session:
        sessions.setdefault(name, own).take(row, own.where)
        return
    own.take(row, own.where)
    yield SessionSource(own.where, partial(_reading, own))


def _reading(session: RequestsOfSession) -> Reading:
    if session.wrong is not None:
        place, error = session.wrong
        raise ReadError(str(error) if place == session.where else f"{place}: {error}")
    requests = session.requests
    if len({one.deltas for one in requests}) > 1:
        raise ReadError("message_mode: some of its lines say delta and others not")
    if not requests:
        raise ReadError("holds no request")
    made = session_of_calls(session.name, list(_calls(requests, session.fallback)), Fallback())
    at_ms = [one.at_ms for one in requests]
    known = [at for at in at_ms if at is not None]
    if known != sorted(known):
        raise ReadError("timestamp: its lines are not in the order of their time stamps, sort them")
    span_s = span_of(None if at is None else at / 1000 for at in at_ms)
    stated = Stated(span_s=None if None in at_ms else span_s, num_calls=len(requests))
    made = replace(made, arrival_s=(at_ms[0] or 0.0) / 1000)
    return Reading(
        _sharing(made, session.first), (*session.notes, *_notes(requests)), stated=stated
    )


def _notes(requests: Sequence[Request]) -> tuple[str, ...]:
    taken = [one for one, after in _pairs(requests) if _is_most(one, after)]
    said = f"{len(taken)} of {len(requests)} outputs are taken as long as their request allowed"
    return (said,) if taken else ()


def _sharing(session: Session, first: Sequence[Answered]) -> Session:
    """With what all sessions of its agent begin with: definitions of tools, and system prompts."""
    prefix = list(takewhile(lambda one: one.role in IN_FRONT, first))
    tokens = min(sum(one.tokens for one in prefix), session.rounds[0].append_tokens)
    if not tokens:
        return session
    name = hashlib.sha256(b"".join(one.digest for one in prefix)).hexdigest()[:12]
    return replace(session, prefix_group=f"prompt-{name}", prefix_tokens=tokens)


def _calls(requests: Sequence[Request], fallback: Fallback) -> Iterator[RecordedCall]:
    """With the lengths of whole prompts; of deltas the answers before are in them too."""
    history = 0
    for number, (one, after) in enumerate(_pairs(requests)):
        output = _output(one, after, number)
        prompt = history + one.prompt
        yield RecordedCall(
            prompt=prompt,
            output=output,
            tools=() if after is None else _pause(after, number, fallback),
            anew=one.kept is not None,
            cached=one.kept,
        )
        history = prompt + output if one.deltas else 0


def _pairs(requests: Sequence[Request]) -> Iterator[tuple[Request, Request | None]]:
    """Each with the one behind it."""
    return zip(requests, [*requests[1:], None], strict=True)


def _is_most(one: Request, after: Request | None) -> bool:
    """Whether nothing is known of an answer but the most that it might have been."""
    repeated = None if after is None else after.reply
    return one.output is None and repeated is None and one.most is not None


def _output(one: Request, after: Request | None, number: int) -> int:
    """As stated, or what the next prompt repeats of it, or the most. Raises ReadError."""
    repeated = None if after is None else after.reply
    known = next((n for n in (one.output, repeated, one.most) if n is not None), None)
    if known is None:
        raise ReadError(f"output_length: call {number} has none, and no later line has its answer")
    return max(1, known)


def _pause(after: Request, number: int, fallback: Fallback) -> tuple[ToolCall, ...]:
    """Until the next request: the user's where the last message is one's, else the tools'."""
    delay_ms = after.delay_ms
    if delay_ms is None:
        seconds = fallback.tool_time(f"call {number}, for the next has no delay,")
    else:
        seconds = delay_ms / 1000
    name = USER if after.by_user else WAIT
    return (ToolCall(name, "wait", floor_s=seconds),) if seconds else ()


def is_aiperf(columns: Set[str]) -> bool:
    """Whether a table or line with these is a request of AIPerf."""
    in_session = "session_id" in columns and columns & {"delay", "timestamp"}
    stated = columns & {"output_length", "message_mode"} or in_session
    return bool(columns & {"messages", "text_input", "payload"} and stated)


def _recognised(head: Head) -> str | None:
    if _is_inputs(head):
        return "its data are sessions with their payloads"
    if "turns" in head.keys:
        turns = objects_of(head.objects[0].get("turns"))
        return "its turns have texts" if turns and {"text", "texts"} & turns[0].keys() else None
    if is_aiperf(head.columns):
        return f"its lines are requests with {', '.join(sorted(head.columns & _FIELDS))}"
    return None


_FIELDS = {"messages", "text_input", "payload", "output_length", "delay", "timestamp"}

FORMAT = Format(
    name="aiperf",
    title="an input of AIPerf",
    tried=("0.13, as documented (2026-09)", "0.13.0, its inputs.json (2026-11-26)"),
    recognise=_recognised,
    read=read_aiperf,
    has_arrivals=True,
)
