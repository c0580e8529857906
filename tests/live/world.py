"""A scripted OpenAI-compatible server in a thread of its own, and live runs against it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import web

from marsbench.core.backends import choose
from marsbench.core.events import Event
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.workload.files import Workload, write_workload
from marsbench.engines import run
from marsbench.hardware.profile import load_hardware
from marsbench.runs import RunFolder, RunSummary
from marsbench.runs.request import RunRequest
from marsbench.wall.live.options import LiveOptions
from waits import until

COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
# What the server's chat template writes around a message, a token a character.
HEAD, TAIL = "<user>", "</user><answer>"
CHAT: dict[str, Any] = {"endpoint": "chat", "prompts": "text"}
# A test shares its machine with others, so a late client is no failure but where it is the point.
QUICK: dict[str, Any] = {"isolated": "none", "max_send_lag": 3600.0, "max_failed": 1.0}
METRICS = """\
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:num_requests_running{engine="0"} 3.0
vllm:num_requests_waiting{engine="0"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
# TYPE vllm:num_preemptions counter
vllm:num_preemptions_total{engine="0"} 7.0
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="401"} 1.0
"""


@dataclass
class Call:
    """A request for completions, and the ways in which a script may answer it."""

    request: web.Request
    body: dict[str, Any]
    number: int

    @property
    def session(self) -> str:
        return self.name.partition("#")[0]

    @property
    def name(self) -> str:
        """The session's name on the wire."""
        return self.request.headers["X-Session-ID"]

    @property
    def is_chat(self) -> bool:
        return self.request.path == CHATS

    @property
    def prompt(self) -> str | list[int]:
        """What the model sees: the template's part of a chat too."""
        return templated(self.body["messages"]) if self.is_chat else self.body["prompt"]

    async def begin(self) -> web.StreamResponse:
        """A chat's first event holds no token, only whose turn it is."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(self.request)
        if self.is_chat:
            delta = {"role": "assistant", "content": ""}
            await send(response, {"choices": [{"delta": delta, "finish_reason": None}]})
        return response

    async def token(self, response: web.StreamResponse, number: int = 0) -> None:
        letter = "abcdefgh"[number % 8]
        written = {"delta": {"content": letter}} if self.is_chat else {"text": letter}
        choice = {"index": 0, **written, "finish_reason": None}
        if self.body.get("return_token_ids"):
            choice["token_ids"] = [100 + number]
        await send(response, {"choices": [choice]})

    async def end(self, response: web.StreamResponse, tokens: int) -> web.StreamResponse:
        prompt = len(self.prompt)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": tokens,
            "prompt_tokens_details": {"cached_tokens": prompt // 2},
        }
        await send(response, {"choices": [], "usage": usage})
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def answer(self, every_s: float = 0.0) -> web.StreamResponse:
        """As a healthy server does."""
        response = await self.begin()
        for number in range(self.body["max_tokens"]):
            await asyncio.sleep(every_s)
            await self.token(response, number)
        return await self.end(response, self.body["max_tokens"])

    def reset(self) -> None:
        """Drop the connection so that the client gets a reset."""
        transport = self.request.transport
        assert transport is not None
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


Script = Callable[[Call], Awaitable[web.StreamResponse]]


async def send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")


def templated(messages: list[dict[str, str]]) -> str:
    (message,) = messages
    return HEAD + message["content"] + TAIL


async def tokenize(request: web.Request) -> web.Response:
    """As vLLM's, where a character is a token."""
    asked = await request.json()
    text = templated(asked["messages"]) if "messages" in asked else asked["prompt"]
    return web.json_response({"count": len(text), "tokens": list(text.encode())})


TOKENIZES: dict[str, Any] = {"routes": {"/tokenize": tokenize}}


async def healthy(call: Call) -> web.StreamResponse:
    return await call.answer()


@dataclass
class Server:
    """What the server saw; `die` stops it as a killed process would."""

    script: Script
    owned_by: str = "vllm"
    routes: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )
    models_status: int = 200
    metrics: str | None = METRICS
    url: str = ""
    looks: int = 0
    calls: list[Call] = field(default_factory=list)
    posts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._models)
        for path in (COMPLETIONS, CHATS):
            app.router.add_post(path, self._completions)
        app.router.add_post("/marsbench/{verb}", self._post)
        if self.metrics is not None:
            app.router.add_get("/metrics", self._metrics)
        for path, handler in self.routes.items():
            app.router.add_route("*", path, handler)
        return app

    async def _models(self, _request: web.Request) -> web.Response:
        model = {"id": "tiny", "owned_by": self.owned_by, "max_model_len": 4096}
        return web.json_response({"data": [model]}, status=self.models_status)

    async def _metrics(self, _request: web.Request) -> web.Response:
        """Nobody is there at first, as a run expects it: it looks twice before it begins."""
        page = self.metrics or ""
        self.looks += 1
        for name in ("running", "waiting") if self.looks <= 2 else ():
            page = re.sub(rf"(num_requests_{name}{{[^}}]*}}) .*", r"\1 0.0", page)
        return web.Response(text=page)

    async def _post(self, request: web.Request) -> web.Response:
        self.posts.append((request.match_info["verb"], await request.json()))
        return web.Response(status=204)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        call = Call(request, await request.json(), len(self.calls))
        self.calls.append(call)
        return await self.script(call)

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        runner = web.AppRunner(self.app(), shutdown_timeout=0.05, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._site, self._loop = site, asyncio.get_running_loop()
        ready.set()
        await stop.wait()
        await runner.cleanup()

    async def die(self, call: Call) -> web.StreamResponse:
        """Close the door, then drop everybody who is inside."""
        await self._site.stop()
        for other in self.calls:
            if other.request.transport is not None:
                other.reset()
        return web.Response()


@contextmanager
def serving(script: Script = healthy, **about: Any) -> Iterator[Server]:
    """The server, for as long as the block lasts."""
    server, ready = Server(script, **about), threading.Event()
    stop: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None

    async def main() -> None:
        nonlocal stop, loop
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        await server.serve(ready, stop)

    thread = threading.Thread(target=_quietly, args=(main(),), daemon=True)
    thread.start()
    until(ready.is_set)
    try:
        yield server
    finally:
        assert loop is not None
        assert stop is not None
        loop.call_soon_threadsafe(stop.set)
        until(lambda: not thread.is_alive())


def _quietly(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def a_session(
    name: str, at: float = 0.0, rounds: int = 2, tool_s: float = 0.01, output: int = 4
) -> Session:
    """Rounds of 32 new tokens, each with a tool call that waits."""
    tools = (ToolCall("shell", floor_s=tool_s),)
    return Session(name, tuple(Round(32, output, tools) for _ in range(rounds)), arrival_s=at)


def sessions(number: int, every_s: float = 0.02) -> list[Session]:
    return [a_session(f"s{n}", n * every_s) for n in range(number)]


def a_request(
    folder: Path,
    url: str,
    played: Sequence[Session] = (),
    lanes: int | None = None,
    backend: str = "fcfs",
    **options: Any,
) -> RunRequest:
    """A live run of these sessions into `folder`/run, without times alone unless asked for."""
    file = folder / "w.jsonl"
    write_workload(Workload("w", tuple(played or sessions(3)), lanes=lanes), file)
    live = LiveOptions(url=url, **{**QUICK, **options})
    return RunRequest(
        choice=choose(backend),
        engine="live",
        workload=str(file),
        hardware=load_hardware(),
        output=folder / "run",
        show_progress=False,
        own=live,
    )


@dataclass
class Done:
    path: Path
    summary: RunSummary

    @property
    def events(self) -> list[Event]:
        return list(RunFolder.open(self.path).events())

    @property
    def ends(self) -> dict[str, str | None]:
        """Why each session failed; None for one that finished."""
        return {e.session: e.reason for e in self.events if e.kind == "session_ended"}  # type: ignore[attr-defined]

    @property
    def client(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "client.json").read_text())
        return found


def play(folder: Path, url: str, played: Sequence[Session] = (), **given: Any) -> Done:
    return Done(*run(a_request(folder, url, played, **given)))


def named(session: Session, name: str) -> Session:
    return replace(session, id=name)
