"""The chat interface over HTTP, for whatever model stands behind it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from marsbench.http_server import CONTROL_HEADER, listen, stop_signals, url_of
from marsbench.model.chat import Completion, RefusedError, read_request
from marsbench.model.models import Model

MAX_BODY = 256 << 20
MODEL_NAME = "replay"
# What the harness asks of a server or a gateway is answered by the one behind.
KEPT, TOLD = ("Content-Type", "X-Next"), (CONTROL_HEADER,)
PASSED_ON = ("/v1/models", "/version", "/metrics", "/marsbench/{rest:.*}")


class ChatServer:
    """Routes of the chat interface, and the gateway's notices passed on to the server behind."""

    def __init__(
        self, model: Model, name: str = MODEL_NAME, behind: str | None = None,
        http: aiohttp.ClientSession | None = None,
    ) -> None:  # fmt: skip
        self._model = model
        self._name = name
        self._behind = behind
        self._http = http

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/health", self._health)
        if self._behind is None:
            app.router.add_get("/v1/models", self._models)
        else:
            for path in PASSED_ON:
                app.router.add_route("*", path, self._pass_on)
        return app

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
            asked = read_request(request.headers, body)
            answer = await self._model.answer(asked)
        except json.JSONDecodeError as error:
            return _error(RefusedError(400, "bad_request", f"the body is not JSON: {error}"))
        except RefusedError as error:
            return _error(error)
        prompt = answer.prompt_tokens
        tokens = asked.num_prompt_tokens if prompt is None else prompt
        completion = Completion(answer, self._name, tokens)
        if not body.get("stream"):
            return web.json_response(completion.whole())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in completion.stream():
            await response.write(chunk)
        return response

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": self._name, "object": "model"}]}
        )

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _pass_on(self, request: web.Request) -> web.Response:
        """A gateway behind learns from the harness when tools run and sessions end."""
        assert self._http is not None
        url = f"{self._behind}{request.path_qs}"
        told = {n: request.headers[n] for n in TOLD if n in request.headers}
        try:
            async with self._http.request(
                request.method, url, data=await request.read(), headers=told
            ) as response:
                kept = {n: response.headers[n] for n in KEPT if n in response.headers}
                body = await response.read()
                return web.Response(status=response.status, body=body, headers=kept)
        except aiohttp.ClientError as error:
            return _error(RefusedError(502, "upstream_gone", str(error)))


def _error(error: RefusedError) -> web.Response:
    body = {"error": {"message": str(error), "type": "marsbench_replay", "code": error.code}}
    return web.json_response(body, status=error.status)


@asynccontextmanager
async def serving(server: ChatServer, host: str, port: int) -> AsyncIterator[str]:
    """The server's URL while the block runs. Raises UsageError when it cannot listen there."""
    refusal = f"Cannot listen on {host}:{port}: {{}}; --port 0 takes any free one."
    runner = await listen(server.application(), host, port, refusal, shutdown_timeout=1)
    try:
        yield url_of(host, runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def http_client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client without limits of its own: how long a round may take, its session says."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield http


async def serve_until_stopped(
    server: ChatServer, host: str, port: int, say: Callable[[str], None]
) -> None:
    """Serves until Ctrl-C or SIGTERM; says its URL when it listens."""
    stopped = stop_signals()
    async with serving(server, host, port) as url:
        say(url)
        await stopped.get()
