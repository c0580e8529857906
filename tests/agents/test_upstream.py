"""A replay lets the server behind it do the work: exact lengths, the same session, its cache."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from marsbench.model.chat import Answer, ChatRequest, FunctionCall, RefusedError
from marsbench.model.server import http_client
from marsbench.model.upstream import BackingServer
from marsbench.tasks.tokens import token_ids

GENERATED = [200, 201, 202]
SYSTEM, USER = {"role": "system", "content": "s" * 40}, {"role": "user", "content": "hello you"}
CALL = (FunctionCall("terminal", {"command": "ls"}),)


class Server:
    """A server of completions that remembers what it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def complete(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        usage = {
            "prompt_tokens": len(self.bodies[-1]["prompt"]),
            "completion_tokens": len(GENERATED),
            "prompt_tokens_details": {"cached_tokens": 16},
        }
        body = {"choices": [{"text": "x", "token_ids": GENERATED}], "usage": usage}
        return web.json_response(body, status=self.status)


def chat(*messages: dict[str, Any]) -> ChatRequest:
    return ChatRequest("s-1", "t", messages, {"tools": [{"name": "terminal"}]})


def worked(server: Server, *asked: tuple[ChatRequest, Answer]) -> list[Answer]:
    async def story() -> list[Answer]:
        app = web.Application()
        app.router.add_post("/v1/completions", server.complete)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        try:
            async with http_client() as http:
                upstream = BackingServer(http, f"http://127.0.0.1:{port}/v1", "m")
                return [await upstream.work(*one) for one in asked]
        finally:
            await runner.cleanup()

    return asyncio.run(story())


FIRST = chat(SYSTEM, USER)
SECOND = chat(SYSTEM, USER, {"role": "assistant", "content": "words"},
              {"role": "tool", "content": "files"})  # fmt: skip
ROUND, LAST = Answer("words", CALL, 3), Answer("bye", (FunctionCall("finish", {}),), 3)


def test_the_server_is_asked_for_exactly_the_recorded_length_in_the_same_session() -> None:
    server = Server()
    (done,) = worked(server, (FIRST, ROUND))
    body = server.bodies[0]
    assert (body["max_tokens"], body["min_tokens"], body["ignore_eos"]) == (3, 3, True)
    assert body["session_id"] == body["vllm_xargs"]["session_id"] == "s-1"
    assert server.headers[0]["X-Session-ID"] == "s-1"
    assert body["vllm_xargs"]["marsbench_tools"] == "terminal"
    assert (done.content, done.prompt_tokens, done.cached_tokens) == (
        "words",
        len(body["prompt"]),
        16,
    )


def test_the_next_prompt_goes_on_with_what_the_server_itself_generated() -> None:
    server = Server()
    worked(server, (FIRST, ROUND), (SECOND, LAST))
    first, second = (body["prompt"] for body in server.bodies)
    assert second[: len(first)] == first
    assert second[len(first) :] == [*GENERATED, *token_ids("<tool>files")]
    assert server.bodies[1]["vllm_xargs"]["marsbench_last"] == 1


def test_a_condensed_chat_begins_anew() -> None:
    server = Server()
    worked(server, (SECOND, ROUND), (chat(SYSTEM, USER), ROUND), (FIRST, ROUND))
    assert server.bodies[1]["prompt"] == server.bodies[2]["prompt"]


def test_a_server_that_fails_is_quoted() -> None:
    with pytest.raises(RefusedError, match="answered 503"):
        worked(Server(503), (FIRST, ROUND))
