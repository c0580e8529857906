"""Whose a request is: every header and field by which agents and clients name a session."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict

from gateway.world import CHAT, play, world
from marsbench.gateway.attribution import ENOUGH
from marsbench.gateway.request import read

UUID = "3b5b8d7c-adcf-4edd-960a-a3d80ea73d0b"
RESPONSES, MESSAGES = "/v1/responses", "/v1/messages"
CLAUDE = {"X-Claude-Code-Session-Id": "c"}
CODEX = {"session-id": "root", "thread-id": "t"}


def named(headers: dict[str, str], **body: Any) -> tuple[str | None, str | None]:
    asked = read(CIMultiDict(headers), json.dumps(body).encode(), "X-Mine")
    return asked.session_id, asked.parent_id


@pytest.mark.parametrize(
    ("headers", "session", "parent"),
    [
        ({"X-Session-ID": "s"}, "s", None),
        ({"X-Session-ID": "s", "X-Parent-Session-ID": "p"}, "s", "p"),
        ({"x-session-affinity": "s", "X-Correlation-ID": "other"}, "s", None),
        ({"X-Correlation-ID": "s", "X-Request-ID": "r"}, "s", None),
        (CLAUDE, "c", None),
        ({**CLAUDE, "X-Claude-Code-Agent-Id": "1"}, "c/1", "c"),
        (
            {**CLAUDE, "X-Claude-Code-Agent-Id": "2", "X-Claude-Code-Parent-Agent-Id": "1"},
            "c/2",
            "c/1",
        ),
        (CODEX, "t", None),
        ({**CODEX, "x-codex-parent-thread-id": "root"}, "t", "root"),
        ({"session_id": "old codex", "conversation_id": "old codex"}, "old codex", None),
        ({"x-litellm-session-id": "l"}, "l", None),
        ({"X-Mine": "m", "X-Session-ID": "s"}, "m", None),
        ({"X-Request-ID": "r", "X-Client-Request-Id": "r"}, None, None),
    ],
)
def test_a_header_names_a_session(
    headers: dict[str, str], session: str | None, parent: str | None
) -> None:
    assert named(headers) == (session, parent)


@pytest.mark.parametrize(
    ("body", "session"),
    [
        ({"metadata": {"user_id": f"user_0a1b_account__session_{UUID}"}}, UUID),
        ({"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": UUID})}}, UUID),
        ({"metadata": {"user_id": "somebody"}}, None),
        ({"metadata": {"user_id": "{broken"}}, None),
        ({"metadata": 7}, None),
        ({"conversation": "conv_1"}, "conv_1"),
        ({"conversation": {"id": "conv_1"}}, "conv_1"),
        ({"conversation": 7}, None),
        ({"prompt_cache_key": "k"}, "k"),
        ({"prompt_cache_key": "k", "previous_response_id": "r"}, None),
    ],
)
def test_a_body_names_a_session(body: dict[str, Any], session: str | None) -> None:
    assert named({}, **body)[0] == session


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", RESPONSES, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_every_api_is_admitted(path: str, stream: bool) -> None:
    async def story() -> None:
        async with world(backend="fcfs") as w:
            async with w.post("s", path, stream=stream) as answer:
                assert answer.status == 200
            assert w.events("session_admitted") == ["s"]
            async with w.client.get(w.url + path) as answer:  # and no other method is a round
                assert answer.status == 200
            assert w.events("round_ready") == ["s"]

    play(story())


class Responses:
    """A server that gives its responses ids, in one object or as a stream."""

    def __init__(self) -> None:
        self.number = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.number += 1
        response = {"id": f"resp_{self.number}", "status": "completed", "output": []}
        if self.number % 2:
            return web.json_response(response)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        event = json.dumps({"type": "response.completed", "response": response})
        await stream.write(f"event: response.completed\ndata: {event}\n\n".encode())
        return stream


def test_a_response_goes_on_from_the_one_that_it_names() -> None:
    async def story() -> None:
        async with world(Responses()) as w:
            for previous in (None, "resp_1", "resp_2"):
                body = {"input": "go on", "tools": [], "previous_response_id": previous}
                async with w.client.post(w.url + RESPONSES, json=body) as answer:
                    assert answer.status == 200
                    await answer.read()
            assert len(set(w.events("round_ready"))) == 1
            assert len(w.events("round_ready")) == 3
            unknown = {"input": "go on", "previous_response_id": "resp_before_a_restart"}
            await w.client.post(w.url + RESPONSES, json=unknown)
            assert w.events("session_arrived")[1:] == ["resp_before_a_restart"]

    play(story())


@pytest.mark.parametrize(
    ("path", "field", "answer", "part"),
    [
        (
            CHAT,
            "messages",
            {"id": "1", "choices": [{"message": {"role": "assistant", "content": "hi"}}]},
            {"role": "assistant", "content": "hi"},
        ),
        (
            MESSAGES,
            "messages",
            {"id": "1", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"},
            {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
        ),
        (
            RESPONSES,
            "input",
            {"id": "1", "status": "completed", "output": []},
            {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        ),
    ],
)
def test_a_chat_that_names_nothing_is_a_session(
    path: str, field: str, answer: dict[str, Any], part: dict[str, Any]
) -> None:
    async def script(_request: web.Request) -> web.StreamResponse:
        return web.json_response(answer)

    async def story() -> None:
        async with world(script) as w:
            chat: list[dict[str, Any]] = [{"role": "user", "content": "hello"}]
            for _ in range(3):
                await w.client.post(w.url + path, json={"model": "m", field: chat})
                chat += [part, {"role": "user", "content": "more"}]
            await w.client.post(w.url + path, json={"model": "m", field: chat[:1]})
            first, *rest, other = w.events("round_ready")
            assert rest == [first, first]
            assert other != first
            assert (await w.info())["rounds"] == {"named": 0, "inferred": 4, "passed on": 0}

    play(story())


def test_rounds_that_are_nobodys_are_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with world() as w:
            for number in range(2 * ENOUGH):
                await w.post(None if number % 2 else "s", "/v1/completions")
            info = await w.info()
            assert info["rounds"] == {"named": ENOUGH, "inferred": 0, "passed on": ENOUGH}
            assert info["passed_on_share"] == 0.5
            page = w.gateway.telemetry.page().decode()
            assert f'marsbench_gateway_rounds_total{{session="passed on"}} {ENOUGH}.0' in page

    play(story())
    told = [record.getMessage() for record in caplog.records if "uncontrolled" in record.message]
    assert [text.split(" rounds")[0] for text in told] == ["10 of 20", "20 of 40"]
    assert "--session-header" in told[0]
