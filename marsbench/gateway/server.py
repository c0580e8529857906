"""The gateway as a process: its routes, its clock, and its orderly end."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from marsbench.clock import WallClock
from marsbench.core import events
from marsbench.core.backends import Choice
from marsbench.gateway import pressure
from marsbench.gateway.access import ControlAccess
from marsbench.gateway.alive import Alive
from marsbench.gateway.answers import in_json, refusal
from marsbench.gateway.attribution import Attribution
from marsbench.gateway.control import Control, UnreadableError
from marsbench.gateway.follower import AGAIN_S, Follower
from marsbench.gateway.limits import Bodies, Limits
from marsbench.gateway.load import LoadRules
from marsbench.gateway.paths import ANY, Routes
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.proxy import Proxy
from marsbench.gateway.sessions import OpenSessions
from marsbench.gateway.store import Keeper, Store
from marsbench.gateway.telemetry import Telemetry
from marsbench.gateway.upstream import Upstream, UpstreamError
from marsbench.http_server import listen, loop_factory, stop_signals, url_of
from marsbench.replicas.registry import RouterChoice
from marsbench.version import __version__
from marsbench_backends.answers.admission import watched
from marsbench_backends.answers.wrong import WarnOnce

if TYPE_CHECKING:  # one server needs none of it
    from marsbench.gateway.upstreams import Upstreams

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROUNDS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
PASSED_ON = ("/health", "/version", "/tokenize", "/detokenize")
MAX_HEADER_BYTES = 32 * 1024
GARBAGE = 100_000
"""Objects made and not freed before Python searches for garbage (700 by default)."""
MAX_POLL_S, LEAST_POLL_S = 1.0, 0.05
"""Seconds between two looks at the server's KV cache, at most."""


@dataclass(frozen=True)
class Config:
    """How a gateway is run.

    speed: the controller's seconds go by so many times as fast as the wall's.
    kv_blocks: the server's KV blocks, where its metrics do not say.
    session_timeout_s: of the controller's seconds. timeout_s, connect_s, grace_s: wall seconds.
    grace_s: how long streams may go on after a first Ctrl-C.
    rules: which tool calls are load on the tool host.
    token: what a client must send to use the control endpoints. control_port: where these are,
        if not among the others.
    state: the file that says who was let in, for a restart, and for other gateways beside.
    session_header: one more header that names sessions.
    hold_s: wall seconds after which a request that is held is refused; None: never.
    others: more servers, among which the router chooses, which is given then. router_record: a file
        for all that it was asked, told, and answered.
    """

    choice: Choice
    upstream: str
    host: str = "127.0.0.1"
    port: int = 8080
    speed: float = 1.0
    kv_blocks: int | None = None
    tool_cores: int = 8
    session_timeout_s: float = 600.0
    timeout_s: float = 3600.0
    connect_s: float = 10.0
    limits: Limits = field(default_factory=Limits)
    grace_s: float = 5.0
    token: str | None = None
    control_port: int | None = None
    state: Path | None = None
    rules: LoadRules = field(default_factory=LoadRules)
    session_header: str | None = None
    hold_s: float | None = None
    others: tuple[str, ...] = ()
    router: RouterChoice | None = None
    router_record: Path | None = None

    @property
    def upstreams(self) -> tuple[str, ...]:
        """All servers."""
        return (self.upstream, *self.others)


class Gateway:
    """One gateway: its state, and the application that serves it. Made in a running loop."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.control_url: str | None = None
        self.pressure = Pressure(config.kv_blocks)
        warn = WarnOnce(logging.getLogger("marsbench.gateway").warning)
        self._admission = watched(config.choice.admission(), config.choice.name, warn)
        self.telemetry = Telemetry(config.limits.history)
        self._clock = WallClock(config.speed)
        self.upstreams = self._several() if config.others else None
        self._upstream = self.upstreams or self._one(config.upstream)
        self.attribution = Attribution()
        self.store: Store | None = None
        self._keeper: Keeper | None = None
        self.leads = config.state is None
        self.seeking: asyncio.Task[None] | None = None
        self.url = ""
        listeners: list[Callable[[events.Event], None]] = [self.telemetry]
        if self.upstreams is not None:
            listeners.append(self.upstreams.told)
        if config.state is not None:
            self.store = Store(config.state, _decides(config))
            told = logging.getLogger("marsbench.gateway").warning
            self._keeper = Keeper(self.store, lambda session: self.sessions.place(session), told)
            listeners.append(self._keeper)
        self._bodies = Bodies(config.limits)
        self.sessions = OpenSessions(
            self._clock,
            self._admission,
            self.pressure_now,
            partial(_each, listeners) if len(listeners) > 1 else self.telemetry,
            config.tool_cores,
            config.session_timeout_s,
            config.rules,
        )
        self.telemetry.follow(self.sessions, self.pressure_now)
        self.telemetry.follow_rounds(self.attribution.counts)
        self._follower = None if self.store is None else self._following(self.store)

    def _one(self, url: str) -> Upstream:
        return Upstream(url, self.config.timeout_s, self.config.connect_s)

    def _several(self) -> Upstreams:
        from marsbench.gateway.member import Member
        from marsbench.gateway.routed import recorded
        from marsbench.gateway.upstreams import Upstreams

        config = self.config
        assert config.router is not None
        router = recorded(config.router.build(), config.router_record)
        members = [
            Member(number, self._one(url), config.kv_blocks, router.hears_kv_events)
            for number, url in enumerate(config.upstreams)
        ]
        every_s = self._look_s()
        if router.snapshot_age_s:
            every_s = min(every_s, max(LEAST_POLL_S, router.snapshot_age_s / config.speed))
        upstreams = Upstreams(members, router, self._clock, self.telemetry, every_s)
        self.telemetry.follow_upstreams(upstreams)
        return upstreams

    def pressure_now(self) -> Pressure:
        """Of the server, or of all that are up."""
        return self.pressure if self.upstreams is None else self.upstreams.pressure()

    def about(self) -> dict[str, Any]:
        """How it was started."""
        config = self.config
        before: dict[str, Any] = {"upstream": config.upstream}
        if config.router is not None:
            before = {"router": config.router.name, "router_parameters": config.router.params}
        return {
            "version": __version__,
            "backend": config.choice.name,
            "parameters": config.choice.params,
            **before,
            "speed": config.speed,
            "tool_cores": config.tool_cores,
            "gaps": "cpu" if config.rules.gaps_burn else "wait",
            "waiting_tools": sorted(config.rules.waiting_tools),
            "session_timeout_s": config.session_timeout_s,
            "session_header": config.session_header,
            "hold_timeout_s": config.hold_s,
        }

    def _proxy(self, upstream: Upstream | Upstreams) -> Proxy:
        config = self.config
        return Proxy(
            upstream,
            self.sessions,
            self.telemetry,
            self._bodies,
            self.attribution,
            config.limits.sessions,
            config.session_header,
            config.hold_s,
        )

    def _following(self, store: Store) -> Follower:
        def proxy_to(url: str) -> Proxy:
            return self._proxy(self._one(url))

        connect_s = self.config.connect_s
        return Follower(store, lambda: self.leads, proxy_to, self._bodies, connect_s)

    def seek(self) -> None:
        """Lead if nobody does; then whoever was let in before is in."""
        if self.leads or self.store is None or not self.store.take_lead():
            return
        self.sessions.restore(self.store.places())
        self.attribution.restore(self.store.chats())
        self.leads = True
        self.store.announce(self.url, self.control_url or self.url)

    def application(self) -> web.Application:
        """What clients talk to; the control endpoints too, where they have no port of their own."""
        routes = Routes()
        proxy = self._proxy(self._upstream)
        if self._follower is not None:
            proxy.elsewhere = self._follower.round
        if self._keeper is not None:
            proxy.keep = self._keeper.answered
        for path in ROUNDS:
            routes.add("POST", path, proxy.round)
        for path in PASSED_ON:
            routes.add(ANY, path, proxy.pass_on)
        routes.add_below("/v1", proxy.pass_on)
        control = self._control()
        routes.add("GET", "/metrics", control.metrics)
        if self.config.control_port is None:
            self._add_control(routes, control)
        app = _serving(routes)
        app.cleanup_ctx.append(self._life)
        app.on_shutdown.append(self._refuse_waiting)
        return app

    def control_application(self) -> web.Application:
        """The control endpoints, for a port of their own."""
        routes = Routes()
        self._add_control(routes, self._control())
        return _serving(routes)

    def _control(self) -> Control:
        return Control(
            self.sessions,
            self.telemetry,
            self._upstream,
            self._bodies,
            self.about(),
            self.attribution,
        )

    def _add_control(self, routes: Routes, control: Control) -> None:
        guard = ControlAccess(self.config.token, self.config.control_port is not None).guard
        for name in ("tool_start", "tool_end", "session_end", "arrivals_over"):
            routes.add("POST", f"/marsbench/{name}", guard(self._led(getattr(control, name))))
        for name in ("info", "events"):
            routes.add("GET", f"/marsbench/{name}", guard(self._led(getattr(control, name))))
        routes.add("GET", "/marsbench/alive", guard(self._led(Alive(self.sessions).stay)))

    def _led(self, handler: Handler) -> Handler:
        """The handler, of whoever leads."""
        follower = self._follower
        if follower is None:
            return handler

        async def led(request: web.Request) -> web.StreamResponse:
            return await (handler(request) if self.leads else follower.control(request))

        return led

    async def seek_lead(self) -> None:
        """Until it leads; where there is no file it does from the first."""
        while not self.leads:
            await asyncio.sleep(AGAIN_S)
            self.seek()

    async def _life(self, _app: web.Application) -> AsyncIterator[None]:
        if self.upstreams is not None:
            await self.upstreams.begin()
        watching = asyncio.create_task(self._watch())
        yield
        watching.cancel()
        if self.seeking is not None:
            self.seeking.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await self._upstream.close()
        if self._follower is not None:
            await self._follower.close()
        if self.store is not None:
            self.store.close()

    async def _refuse_waiting(self, _app: web.Application) -> None:
        self.sessions.close("the gateway is stopping")

    async def _watch(self) -> None:
        """Look at the server's KV cache once a control interval; several are looked at anyway."""
        while self.upstreams is None:
            self.pressure = await self._look()
            await asyncio.sleep(self._look_s())

    def _look_s(self) -> float:
        return min(self._admission.tick_s / self.config.speed, MAX_POLL_S)

    async def _look(self) -> Pressure:
        blocks = self.config.kv_blocks
        try:
            page = await self._upstream.get("/metrics")
            return pressure.read(page.decode(), blocks)
        except (UpstreamError, ValueError):
            return Pressure(blocks)


def _each(listeners: Sequence[Callable[[events.Event], None]], event: events.Event) -> None:
    for listener in listeners:
        listener(event)


def _decides(config: Config) -> str:
    """What the state file is about: another controller's places, or server's, are no use."""
    params = json.dumps(config.choice.params, sort_keys=True, default=str)
    return f"{config.choice.name} {params} before {' and '.join(config.upstreams)}"


def _serving(routes: Routes) -> web.Application:
    """The routes as an application. Bodies are bounded where they are read."""
    app = web.Application(client_max_size=0, middlewares=[_own_answers])
    app.router.add_route("*", "/{rest:.*}", routes.dispatch)
    return app


@web.middleware
async def _own_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bounds the headers, and gives every answer of the gateway's own the same form."""
    size = sum(len(name) + len(value) for name, value in request.raw_headers)
    if size > MAX_HEADER_BYTES:
        return refusal(431, f"{size} bytes of headers; at most {MAX_HEADER_BYTES} are taken.")
    try:
        return await handler(request)
    except UnreadableError as error:
        return refusal(400, f"The body is not as it should be: {error}.")
    except web.HTTPException as error:
        later = {n: v for n, v in error.headers.items() if n in ("Retry-After", "Allow")}
        return refusal(error.status, error.text or error.reason, later)


def _without_content(record: logging.LogRecord) -> bool:
    """What aiohttp could not parse may be a header with credentials: name the error alone."""
    if (
        record.exc_info
        and record.exc_info[0]
        and record.exc_info[0].__module__.startswith("aiohttp")
    ):
        record.msg = f"{record.msg}: {record.exc_info[0].__name__}"
        record.exc_info = record.exc_text = None
    return True


async def start(gateway: Gateway) -> tuple[web.AppRunner, str]:
    """Listen; the URL that clients use. Raises UsageError when a port cannot be had."""
    config = gateway.config
    app = gateway.application()
    if config.control_port is not None:
        app.cleanup_ctx.append(partial(_beside, gateway, config.control_port))
    runner = await _listening(app, config, config.port, "--port")
    gateway.url = url = url_of(*runner.addresses[0][:2])
    gateway.seek()
    gateway.seeking = asyncio.create_task(gateway.seek_lead())
    return runner, url


async def _beside(gateway: Gateway, port: int, _app: web.Application) -> AsyncIterator[None]:
    """The control endpoints on their port, for as long as the other one is listened on."""
    config = gateway.config
    runner = await _listening(gateway.control_application(), config, port, "--control-port")
    gateway.control_url = url_of(*runner.addresses[0][:2])
    yield
    await runner.cleanup()


async def _listening(app: web.Application, config: Config, port: int, option: str) -> web.AppRunner:
    logger = logging.getLogger("marsbench.gateway.http")
    logger.addFilter(_without_content)
    return await listen(
        app,
        config.host,
        port,
        f"Port {port} of {config.host} cannot be had ({{}}); choose another with {option}, "
        "or 0 for any free one.",
        backlog=4096,
        prepare=in_json,
        shutdown_timeout=config.grace_s,
        logger=logger,
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=2 * MAX_HEADER_BYTES,
    )


def run(config: Config, ready: Callable[[str], None]) -> None:
    """Serve until told to stop; on uvloop where that is installed.

    What is loaded by now is never searched for garbage, and the rest seldom: a search stops every
    stream for 2 to 6 ms, and nearly all that a request leaves behind is freed without one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(config, ready))


async def serve(config: Config, ready: Callable[[str], None]) -> None:
    """Run until SIGINT or SIGTERM; `ready` is told the URL. A second signal cuts what runs."""
    signals = stop_signals()
    runner, url = await start(Gateway(config))
    ready(url)
    await signals.get()
    ending = asyncio.create_task(runner.cleanup())
    again = asyncio.create_task(signals.get())
    await asyncio.wait((ending, again), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    # After a second signal this cancels the grace; the end of the loop cancels the streams.
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
