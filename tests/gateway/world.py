"""A gateway before a scripted server, both in this process on free loopback ports."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from marsbench.core.backends import choose
from marsbench.gateway.server import Config, Gateway, start
from marsbench.http_server import loop_factory
from waits import bounded, turns

Script = Callable[[web.Request], Awaitable[web.StreamResponse]]
CHAT = "/v1/chat/completions"
UNLIMITED = aiohttp.ClientTimeout(None)


@dataclass
class World:
    """The gateway's URL, a client, and what the scripted server saw, or a real one's process."""

    url: str
    client: aiohttp.ClientSession
    gateway: Gateway
    seen: list[tuple[web.BaseRequest, bytes]] = field(default_factory=list)
    upstream: subprocess.Popen[bytes] | None = None

    def post(self, session: str | None = "s", path: str = CHAT, **body: Any) -> Any:
        """A round; `async with` it as aiohttp's own."""
        named = {} if session is None else {"session_id": session}
        return self.client.post(self.url + path, json={**named, "prompt": [1, 2, 3], **body})

    async def tell(self, verb: str, **body: Any) -> int:
        async with self.client.post(f"{self.url}/marsbench/{verb}", json=body) as answer:
            return answer.status

    async def info(self) -> dict[str, Any]:
        async with self.client.get(f"{self.url}/marsbench/info") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Sessions waiting and in flight, rounds, tool calls."""
        s = self.gateway.sessions
        return s.num_waiting, s.num_in_flight, s.num_rounds, s.num_tools

    async def until(self, *counts: int) -> None:
        """Wait until these are the counts."""
        assert await turns(lambda: self.counts == counts, self.upstream), self.counts

    def events(self, *kinds: str) -> list[str]:
        found, _ = self.gateway.telemetry.since(0)
        return [json.loads(e.to_json())["session"] for e in found if e.kind in kinds]


async def hello(_request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"choices": [{"text": "hello"}]})


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[str]:
    """A server whose every answer is the script's."""
    answering = web.Server(script, handler_cancellation=True, access_log=None)  # type: ignore[arg-type]
    runner = web.ServerRunner(answering, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def world(
    script: Script = hello, backend: str = "fcfs", *assignments: str, **options: Any
) -> AsyncIterator[World]:
    """A client, a gateway, and behind it a server that does as the script says.

    The script is not asked for /metrics: that page is empty unless `page` is given; nor for
    /tokenize, which is not there unless `tokenize` is given, a handler of its own.
    """
    seen: list[tuple[web.BaseRequest, bytes]] = []
    page, tokenize = options.pop("page", ""), options.pop("tokenize", None)

    async def scripted(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/metrics":
            return web.Response(text=page)
        if request.path == "/tokenize":
            return web.Response(status=404) if tokenize is None else await tokenize(request)
        seen.append((request, await request.content.read()))
        return await script(request)  # type: ignore[arg-type]

    async with server(scripted) as upstream:
        options = {"upstream": upstream, "port": 0, "grace_s": 0.1, **options}
        gateway = Gateway(Config(choose(backend, assignments), **options))
        runner, url = await start(gateway)
        try:
            async with aiohttp.ClientSession(timeout=UNLIMITED) as client:
                yield World(url, client, gateway, seen)
        finally:
            await runner.cleanup()


def play(story: Awaitable[None], upstream: subprocess.Popen[bytes] | None = None) -> None:
    """Run a test's story on the loop that the gateway runs on; it never hangs."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(bounded(story, upstream))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
