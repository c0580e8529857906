"""When a place is free again though nobody says that its session is over."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from gateway.test_admission import CAP, Slow, status
from gateway.world import CHAT, World, play, world
from marsbench.core.backends import choose
from marsbench.core.events import Event, SessionEnded
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.gateway.ending import LEAST_OF_CHATS_S, LEAST_S, Rhythm
from marsbench.gateway.load import LoadRules
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.request import RoundRequest
from marsbench.gateway.session import OpenRound
from marsbench.gateway.sessions import OpenSessions
from waits import turns

TOOLS = [{"type": "function", "function": {"name": "bash"}}]
CALL = {"id": "call-1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
HELLO = {"role": "user", "content": "hello"}


def chat(message: dict[str, Any], reason: str) -> dict[str, Any]:
    return {"id": "x", "choices": [{"message": message, "finish_reason": reason}]}


WORK = chat({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls")
DONE = chat({"role": "assistant", "content": "done"}, "stop")
CUT_OFF = chat({"role": "assistant", "content": "and th"}, "length")


@dataclass
class Model:
    """Answers in turn, and errors where a number stands."""

    answers: list[dict[str, Any] | int]

    async def __call__(self, _request: web.Request) -> web.StreamResponse:
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response(answer)


async def ask(w: World, session: str | None, **body: Any) -> int:
    named = {} if session is None else {"session_id": session}
    sent = {**named, "messages": [HELLO], "tools": TOOLS, **body}
    return int(await status(w.client.post(w.url + CHAT, json=sent)))


@pytest.mark.parametrize(
    ("answer", "in_flight"), [(WORK, 1), (DONE, 0), (CUT_OFF, 1)], ids=["call", "done", "cut off"]
)
def test_a_final_answer_of_a_model_with_tools_ends_its_session(
    answer: dict[str, Any], in_flight: int
) -> None:
    async def story() -> None:
        async with world(Model([answer]), *CAP) as w:
            assert await ask(w, "a") == 200
            await w.until(0, in_flight, 0, in_flight)

    play(story())


def test_a_final_answer_is_read_however_the_path_is_written() -> None:
    async def story() -> None:
        async with world(Model([DONE]), *CAP) as w:
            sent = {"session_id": "a", "messages": [HELLO], "tools": TOOLS}
            assert await status(w.client.post(f"{w.url}{CHAT}/", json=sent)) == 200
            await w.until(0, 0, 0, 0)

    play(story())


def test_a_final_answer_is_read_off_a_stream() -> None:
    async def script(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta, reason in (({"content": "do"}, None), ({"content": "ne"}, None), ({}, "stop")):
            event = {"id": "x", "choices": [{"delta": delta, "finish_reason": reason}]}
            for part in (b"data: ", json.dumps(event).encode(), b"\n\n"):
                await response.write(part)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def story() -> None:
        async with world(script, *CAP) as w:
            assert await ask(w, "a", stream=True) == 200
            await w.until(0, 0, 0, 0)

    play(story())


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    event = {"id": "x", "choices": [{"delta": delta, "finish_reason": reason}]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


END, STOP = b"data: [DONE]\n\n", event("message_stop")
SAID = event("message_start", message={"id": "x", "type": "message"}) + event(
    "message_delta", delta={"stop_reason": "end_turn"}
)
BEGUN = event("response.created", response={"id": "x", "status": "in_progress"})


def over(status: str) -> bytes:
    return event(f"response.{status}", response={"id": "x", "status": status})


COMPLETIONS, RESPONSES, MESSAGES = "/v1/completions", "/v1/responses", "/v1/messages"
STREAMS = [
    (CHAT, [chunk({"content": "done"}), chunk({}, "stop"), END]),
    (CHAT, [chunk({"content": "done"}), chunk({}, "stop") + b"data: [DO", b"NE]\n\n"]),
    (COMPLETIONS, [b'data: {"choices":[{"text":"done"}]}\n\n', END]),
    (COMPLETIONS, [b'data: {"choices":[{"text":"done"}]}\n\ndata: [D', b"ONE]\n\n"]),
    (MESSAGES, [SAID, STOP]),
    (RESPONSES, [BEGUN, over("completed")]),
    (RESPONSES, [BEGUN, over("incomplete")]),
    (RESPONSES, [BEGUN, over("failed")]),
]
"""By path, the pieces of a stream; the last of them is or ends its final event."""


@dataclass
class HoldsOpen:
    """Sends pieces, and does not end the body before its client is gone."""

    pieces: list[bytes]
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in self.pieces:
            await response.write(piece)
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()
        return response


async def leave_at(w: World, path: str, text: bytes) -> None:
    """Ask as session a, and close the connection when all of that was read."""
    sent = {"session_id": "a", "messages": [HELLO], "input": "hello", "tools": TOOLS}
    async with w.client.post(w.url + path, json={**sent, "stream": True}) as answer:
        await answer.content.readexactly(len(text))
        answer.close()


def requests(w: World) -> dict[str, float]:
    """Those that have ended, by how."""
    page = w.gateway.telemetry.page().decode()
    found = re.findall(r'^marsbench_gateway_requests_total\{outcome="(.+)"\} (.+)$', page, re.M)
    return {outcome: float(number) for outcome, number in found}


@pytest.mark.parametrize(("path", "pieces"), STREAMS)
def test_a_client_may_leave_at_the_final_event(path: str, pieces: list[bytes]) -> None:
    async def story() -> None:
        server = HoldsOpen(pieces)
        async with world(server, *CAP) as w:
            await leave_at(w, path, b"".join(pieces))
            await server.left.wait()
            assert await turns(lambda: requests(w) == {"answered": 1.0}), requests(w)
            assert w.counts[2] == 0

    play(story())


@pytest.mark.parametrize(("path", "pieces"), STREAMS)
def test_a_client_that_leaves_before_the_final_event_has_left(
    path: str, pieces: list[bytes]
) -> None:
    async def story() -> None:
        server = HoldsOpen(pieces[:-1])
        async with world(server, *CAP) as w:
            await leave_at(w, path, b"".join(pieces[:-1]))
            await server.left.wait()
            assert await turns(lambda: requests(w) == {"left": 1.0}), requests(w)
            await w.until(0, 0, 0, 0)

    play(story())


@pytest.mark.parametrize(("path", "pieces"), [STREAMS[0], STREAMS[1], STREAMS[4], STREAMS[5]])
def test_what_was_said_is_read_of_a_client_that_left_at_the_final_event(
    path: str, pieces: list[bytes]
) -> None:
    """Its session is over with it, as that of one that stayed."""

    async def story() -> None:
        async with world(HoldsOpen(pieces), *CAP) as w:
            await leave_at(w, path, b"".join(pieces))
            await w.until(0, 0, 0, 0)
            told, _ = w.gateway.telemetry.since(0)
            (end,) = (one for one in told if isinstance(one, SessionEnded))
            assert (end.outcome, end.reason) == ("finished", None)

    play(story())


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_a_server_that_breaks_off_behind_the_final_event_has_answered(path: str) -> None:
    async def script(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk({}, "stop") + END)
        assert request.transport is not None
        request.transport.close()
        return response

    async def story() -> None:
        async with world(script, *CAP) as w:
            await leave_at(w, path, chunk({}, "stop") + END)
            assert await turns(lambda: requests(w) == {"answered": 1.0}), requests(w)

    play(story())


@pytest.mark.parametrize("tools", [TOOLS, None])
def test_a_client_that_tells_of_its_session_is_believed_more_than_its_answers(
    tools: list[Any] | None,
) -> None:
    async def story() -> None:
        async with world(Model([DONE, DONE]), *CAP) as w:
            told = {"tools": tools, "vllm_xargs": {"marsbench_last": 0}}
            assert await ask(w, "a", **told) == 200
            held = asyncio.create_task(ask(w, "b", tools=tools))
            await w.until(1, 1, 0, 1)
            assert await w.tell("session_end", session_id="a") == 204
            assert await held == 200

    play(story())


def test_a_chat_without_tools_keeps_its_place_until_somebody_waits() -> None:
    async def story() -> None:
        async with world(Model([DONE] * 5), *CAP) as w:
            assert await ask(w, "a", tools=None) == 200
            assert w.counts == (0, 1, 0, 1)
            assert await ask(w, "b", tools=None) == 200
            assert w.events("session_ended") == ["a"]
            assert await ask(w, "a", tools=None) == 200
            assert w.events("session_ended") == ["a", "b"]
            held = asyncio.create_task(ask(w, "b", tools=None))  # a came back: it goes on
            await w.until(1, 1, 0, 1)
            assert await w.tell("session_end", session_id="a") == 204
            assert await held == 200

    play(story())


@pytest.mark.parametrize("error", [400, 401, 429, 500, 503])
def test_a_first_round_that_is_refused_frees_its_place_and_a_later_one_does_not(error: int) -> None:
    async def story() -> None:
        async with world(Model([error, WORK, error]), *CAP) as w:
            assert await ask(w, "a") == error
            await w.until(0, 0, 0, 0)
            for expected in (200, error):
                assert await ask(w, "b") == expected
                assert w.counts[:3] == (0, 1, 0)

    play(story())


def test_an_aborted_turn_is_not_an_end() -> None:
    slow = Slow()
    slow.go_on.set()

    async def story() -> None:
        async with world(slow, *CAP) as w:
            assert await status(w.post("a")) == 200
            slow.go_on.clear()
            async with w.post("a") as answer:
                await answer.content.readany()
                answer.close()
            await slow.left.wait()
            await w.until(0, 1, 0, 0)
            held = asyncio.create_task(status(w.post("b")))
            await w.until(1, 1, 0, 0)
            slow.go_on.set()
            assert await status(w.post("a")) == 200
            assert not held.done()
            await w.tell("session_end", session_id="a")
            assert await held == 200

    play(story())


def test_a_hold_that_takes_too_long_is_429_and_leaves_the_queue() -> None:
    async def story() -> None:
        async with world(Model([WORK, WORK]), *CAP, hold_s=0.05) as w:
            assert await ask(w, "a") == 200
            body = {"session_id": "b", "messages": [HELLO], "tools": TOOLS}
            async with w.client.post(w.url + CHAT, json=body) as answer:
                assert answer.status == 429
                assert int(answer.headers["Retry-After"]) >= 1
                assert "--hold-timeout" in (await answer.json())["error"]["message"]
            assert w.counts == (0, 1, 0, 1)
            await w.tell("session_end", session_id="a")
            assert await ask(w, "b") == 200

    play(story())


# --- silence, in virtual time


@dataclass
class Clock:
    clock: VirtualClock = field(default_factory=VirtualClock)

    @property
    def now(self) -> float:
        return self.clock.now

    def later(self, seconds: float, action: Any) -> Any:
        on = [True]
        self.clock.at(self.clock.now + seconds, Due.TICK, lambda: action() if on[0] else None)
        return lambda: on.__setitem__(0, False)

    def run(self, until: float) -> None:
        while (action := self.clock.pop_due(until)) is not None:
            action()
        self.clock.at(until, Due.TICK, lambda: None)
        self.clock.pop_due(until)


class Go:
    def __init__(self) -> None:
        self.went = False

    def go(self) -> None:
        self.went = True

    def refuse(self, why: str) -> None:
        raise AssertionError(why)


@dataclass
class Door:
    """A gateway's sessions with one place, on a clock that is told to go on."""

    clock: Clock = field(default_factory=Clock)
    ends: list[tuple[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        admission = choose("fcfs-cap", ["cap=1"]).admission()
        self.sessions = OpenSessions(
            self.clock, admission, Pressure, self._note, 8, 600.0, LoadRules()
        )

    def _note(self, event: Event) -> None:
        if isinstance(event, SessionEnded):
            self.ends.append((event.session, event.reason))

    def ask(self, session: str) -> tuple[OpenRound, Go]:
        go = Go()
        return self.sessions.ask(session, RoundRequest(session, 10), go), go

    def round(self, session: str) -> None:
        round_, go = self.ask(session)
        assert go.went
        self.sessions.end(round_, "answered")


def test_a_session_is_waited_for_as_its_own_rhythm_says() -> None:
    quick, slow = Rhythm(), Rhythm()
    for rhythm, gap_s in ((quick, 1.0), (slow, 200.0)):
        assert rhythm.patience_s(600.0, has_tools=True) == 600.0
        for number in range(3):
            rhythm.pause(1000.0 * number)
            rhythm.resume(1000.0 * number + gap_s)
    assert quick.patience_s(600.0, has_tools=True) == LEAST_S
    assert slow.patience_s(600.0, has_tools=True) == 400.0
    assert slow.patience_s(300.0, has_tools=True) == 300.0
    assert quick.patience_s(600.0, has_tools=False) == LEAST_OF_CHATS_S


def test_an_idle_place_is_given_up_when_somebody_waits_and_not_before() -> None:
    door = Door()
    for number in range(4):
        door.clock.run(2.0 * number)
        door.round("a")
    door.clock.run(200.0)  # idle since 66 s, and nobody waits
    assert door.ends == []
    _, b = door.ask("b")
    assert b.went
    assert door.ends == [("a", "gave its place up")]


def test_who_waits_gets_the_place_when_its_session_has_become_idle() -> None:
    door = Door()
    for number in range(4):
        door.clock.run(2.0 * number)
        door.round("a")
    _, b = door.ask("b")
    door.clock.run(6.0 + LEAST_S - 1.0)
    assert not b.went
    door.clock.run(6.0 + LEAST_S + 1.0)
    assert b.went


def test_a_session_of_unknown_rhythm_is_abandoned_at_the_limit_alone() -> None:
    door = Door()
    door.round("a")
    _, b = door.ask("b")
    door.clock.run(599.0)
    assert not b.went
    door.clock.run(601.0)
    assert b.went
    assert door.ends == [("a", "abandoned")]


def test_a_call_that_was_posted_is_no_silence() -> None:
    door = Door()
    for number in range(4):
        door.clock.run(2.0 * number)
        door.round("a")
    assert door.sessions.start_tool("a", "bash")
    _, b = door.ask("b")
    door.clock.run(500.0)
    assert not b.went


def test_a_parent_is_not_silent_while_its_sub_agent_is_there() -> None:
    door = Door()
    for number in range(4):
        door.clock.run(2.0 * number)
        door.round("a")
    child, go = Go(), RoundRequest("a/0", 10, parent_id="a")
    asked = door.sessions.ask("a/0", go, child)
    assert child.went
    _, b = door.ask("b")
    door.clock.run(2000.0)
    assert not b.went
    door.sessions.end(asked, "answered", "last")
    door.clock.run(2000.0 + LEAST_S - 1.0)
    assert not b.went
    door.clock.run(2000.0 + LEAST_S + 1.0)
    assert b.went
