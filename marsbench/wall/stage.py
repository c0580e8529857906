"""Where sessions are played on the wall clock: a clock, a recorder, and what goes on beside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any

from marsbench.clock import WallClock
from marsbench.core.events import Event
from marsbench.core.session import Session
from marsbench.wall.company import Company
from marsbench.wall.gateway import GatewayLink
from marsbench.wall.kv_events import KvEvents
from marsbench.wall.nonce import WireNames
from marsbench.wall.recorder import TICK_S, EventRecorder
from marsbench.wall.server import Server
from marsbench.wall.watch import MetricsWatch
from marsbench.wall.wire import Wire

JOIN_S = 0.3  # a ZMQ subscriber hears nothing before its connection stands


class Stage:
    """One play on a server. An async context.

    What is put on its stack ends when the block does, the last first, whatever happened; then the
    rest of the events is written. patience_s: as of `EventRecorder`.
    names: of the sessions on the wire.
    """

    def __init__(
        self,
        server: Server,
        emit: Callable[[Event], None],
        names: WireNames,
        speed: float = 1.0,
        patience_s: float = 0.0,
    ) -> None:
        self.server = server
        self.names = names
        self.clock = WallClock(speed)
        self.recorder = EventRecorder(emit, self.clock, patience_s)
        self.wire = Wire()
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Stage:
        self.stack.callback(self.recorder.close)
        await self.stack.enter_async_context(self.wire)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stack.__aexit__(kind, error, trace)

    def begin(self) -> None:
        """Zero is now, and events are written as time goes by."""
        self.clock.start()
        self.beside(repeat(TICK_S, self.recorder.tick))

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Let it go on until the sessions have ended."""
        task = asyncio.create_task(work)

        async def stop() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.stack.push_async_callback(stop)

    async def follow(self, gateway: GatewayLink, company: Company | None) -> None:
        """Read its admissions, and have it keep our sessions for as long as we are there.

        company: is told, at the end, of the sessions of others that came meanwhile.
        """

        def tell() -> None:
            if company is not None:
                company.later = gateway.num_others

        await gateway.begin()
        self.stack.callback(tell)
        self.beside(gateway.stay())
        self.stack.push_async_callback(gateway.close)
        self.beside(gateway.follow())

    async def watch(
        self, is_idle: Callable[[], bool], tools_in_flight: Callable[[], int | None]
    ) -> None:
        """Sample the server's metrics, if it has any, from now to the end."""
        if self.server.scrape is None:
            return
        watch = MetricsWatch(
            self.wire.client, self.server.root, self.clock, self.recorder, is_idle, tools_in_flight
        )
        await watch.sample()
        self.stack.push_async_callback(watch.sample)
        self.beside(watch.follow())

    async def listen(self, endpoint: str | None, sessions: Mapping[str, Session]) -> None:
        """Hear the server's KV events, if there is an endpoint. sessions: by id."""
        if endpoint is None:
            return
        named = {self.names.of(name): session for name, session in sessions.items()}
        listener = KvEvents(endpoint, self.clock, self.recorder, named)
        self.stack.callback(listener.close)
        self.beside(listener.follow())
        await asyncio.sleep(JOIN_S)


async def repeat(seconds: float, action: Callable[[], None]) -> None:
    """Do it every so many wall seconds, for ever."""
    while True:
        await asyncio.sleep(seconds)
        action()
