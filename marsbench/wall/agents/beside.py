"""What goes on beside the agents: the gateway's news, the server's metrics and KV events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx

from marsbench.core import events
from marsbench.core.session import Round, Session
from marsbench.serve.metrics_page import ServerMetrics
from marsbench.wall.agents.gateway import Gateway, NoGateway
from marsbench.wall.agents.timeline import Timeline
from marsbench.wall.clock import WallClock
from marsbench.wall.kv_events import KvEvents
from marsbench.wall.server import Server, metrics_told
from marsbench.wall.watch import kv_usage

SAMPLE_S = 1.0
ANSWER_S = 5.0
JOIN_S = 0.3  # a ZMQ subscriber hears nothing before its connection stands

Record = Callable[[events.Event], None]


@asynccontextmanager
async def beside(
    server: Server, clock: WallClock, record: Timeline, kv_events: str | None, ids: Sequence[str]
) -> AsyncIterator[NoGateway]:
    """Writes down what the server says of itself while the block runs; the gateway, or none."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        gateway = NoGateway(record)
        if server.gateway is not None:
            gateway = news = Gateway(record, http, server.root)
            await news.look()
            stack.push_async_callback(news.close)
            _going_on(stack, news.follow())
        if server.scrape is not None:
            _going_on(stack, _sample(http, f"{server.root}/metrics", clock, record))
        if kv_events is not None:
            # Nothing of these sessions is shared that could be told apart by its position.
            owners = {name: Session(name, (Round(1, 1),)) for name in ids}
            listener = KvEvents(kv_events, clock, record, owners)
            stack.callback(listener.close)
            _going_on(stack, listener.follow())
            await asyncio.sleep(JOIN_S)
        yield gateway


def _going_on(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(stop)


async def _sample(http: httpx.AsyncClient, url: str, clock: WallClock, record: Record) -> None:
    """The server's own figures, once a second."""
    while True:
        with suppress(httpx.HTTPError):
            answer = await http.get(url, timeout=ANSWER_S)
            found = metrics_told(answer)
            if found is not None:
                _write(found, clock.now, record)
        await asyncio.sleep(SAMPLE_S)


def _write(found: ServerMetrics, at: float, record: Record) -> None:
    if found.preemptions is not None:
        record(events.PreemptionCount(at, found.preemptions))
    record(kv_usage(found, at, None))
