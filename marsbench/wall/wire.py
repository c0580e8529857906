"""Time stamps taken where bytes arrive: aiohttp's connections, under httpx's interface.

A task that waits for every chunk is woken for each, and reads its clock when its turn comes. Here
the connection itself notes when bytes came and how many, and the task sleeps to the stream's end.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx
import numpy as np
from aiohttp.client_proto import ResponseHandler
from httpx_aiohttp import AiohttpTransport
from numpy.typing import NDArray

from marsbench.clock import monotonic

# uvicorn drops a connection after 5 idle seconds, and one reused at that moment fails its request.
KEEP_ALIVE_S = 2.0
# An answer is held whole until it has ended, so the connection must never pause for a reader.
HELD_BYTES = 1 << 28
# What httpx raises, what aiohttp raises where httpx has no name for it, and what sockets do.
NO_ANSWER = (httpx.HTTPError, aiohttp.ClientError, OSError)
# So much of what came before is looked at again: an event may be cut anywhere on its way.
OVERLAP = 64


class Exchange:
    """One request on the wire. Times are readings of `marsbench.clock.monotonic`.

    sent_at: when a connection took it. last_at: when something last happened.
    holds_token: whether bytes hold the first token, or its beginning.
    times, sizes: when bytes of the answer's body came, and how many had come by then.
    """

    __slots__ = (
        "_end", "answered", "body", "holds_token", "last_at", "on_first", "on_sent", "sent_at",
        "sizes", "times",
    )  # fmt: skip

    def __init__(
        self,
        on_sent: Callable[[float], None],
        on_first: Callable[[float], None],
        holds_token: Callable[[bytes], bool],
    ) -> None:
        self.on_sent = on_sent
        self.on_first = on_first
        self.holds_token = holds_token
        self._end = b""
        self.sent_at: float | None = None
        self.last_at = monotonic()
        self.answered = False
        self.body: aiohttp.StreamReader | None = None
        self.times: list[float] = []
        self.sizes: list[int] = []

    def sent(self) -> None:
        """A connection takes the request now."""
        self.sent_at = self.last_at = monotonic()
        self.on_sent(self.sent_at)

    def received(self, at: float, data: bytes, body: aiohttp.StreamReader | None) -> None:
        """Bytes came in; `body` is the answer as far as it is here, headers apart."""
        self.last_at = at
        if body is None:
            return
        self.times.append(at)
        self.sizes.append(body.total_bytes)
        if self.answered:
            return
        self.body = body
        seen = self._end + data
        if self.holds_token(seen):
            self.answered = True
            self.on_first(at)
        self._end = seen[-OVERLAP:]

    def at(self, offsets: Sequence[int]) -> NDArray[np.float64]:
        """When the body's bytes at these offsets came."""
        return np.array(self.times)[np.searchsorted(self.sizes, offsets, side="right")]


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class StampedConnection(ResponseHandler):
    """aiohttp's connection, which tells the exchange that uses it what happens when."""

    exchange: Exchange | None = None

    def set_response_params(self, **params: Any) -> None:
        """Called when a request has been given this connection, just before it is written."""
        self.exchange = _exchange.get()
        if self.exchange is not None:
            self.exchange.sent()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        at = monotonic()
        ResponseHandler.data_received(self, data)
        exchange = self.exchange
        if exchange is not None and data:
            exchange.received(at, data, self._payload)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Asked for after every chunk that is read, which costs as much as the chunk itself."""
        if self._reading_paused:
            super().resume_reading(resume_parser)


class Wire:
    """httpx over stamped connections. An async context."""

    def __init__(self, connect_s: float = 10.0) -> None:
        timeout = httpx.Timeout(None, connect=connect_s)
        self.client = httpx.AsyncClient(
            transport=AiohttpTransport(client=_session), timeout=timeout, trust_env=False
        )

    async def __aenter__(self) -> Wire:
        return self

    async def warm(self, url: str) -> None:
        """One request whose answer does not matter: the first one loads half of two libraries."""
        with suppress(*NO_ANSWER):
            await self.client.get(url)

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def post(
        self, url: httpx.URL, headers: dict[str, str], content: bytes, exchange: Exchange
    ) -> tuple[int, bytes]:
        """The answer's status and whole body; `exchange` is told when its bytes came.

        Raises one of NO_ANSWER.
        """
        token = _exchange.set(exchange)
        try:
            request = httpx.Request("POST", url, headers=headers, content=content)
            response = await self.client.send(request, stream=True)
        finally:
            _exchange.reset(token)
        try:
            body = exchange.body
            if body is None:  # an answer without one
                return response.status_code, await response.aread()
            await body.wait_eof()
            return response.status_code, body.read_nowait()
        finally:
            await response.aclose()


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
    loop = asyncio.get_running_loop()
    # tests/live/test_wire.py holds aiohttp to this seam: a connector makes connections by it.
    connector._factory = functools.partial(StampedConnection, loop=loop)  # type: ignore[assignment]
    return aiohttp.ClientSession(connector=connector, read_bufsize=HELD_BYTES)
