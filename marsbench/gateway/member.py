"""One server of several: whether it is there, how full it is, what is in its cache."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
import zmq

from marsbench.gateway.cached import CachedBlocks
from marsbench.gateway.pressure import replace_blocks
from marsbench.gateway.upstream import Upstream, UpstreamError
from marsbench.serve.kv_events import KvSubscription
from marsbench.serve.metrics_page import ServerMetrics, read_server_metrics

log = logging.getLogger("marsbench.gateway")
LATE = 3
"""Health checks in a row that may be late before a busy server counts as dead."""
HERE = ("*", "0.0.0.0", "127.0.0.1", "::", "::1", "localhost")  # noqa: S104 (compared, not bound)


class Member:
    """A server among others.

    kv_blocks: what it has, where its metrics do not say. hears: whether its KV events are wanted.
    why: it takes no rounds; None where it does. told: its latest metrics.
    num_rounds: sent there so far. wake: set to have it looked at now.
    """

    def __init__(
        self, index: int, upstream: Upstream, kv_blocks: int | None, hears: bool = False
    ) -> None:
        self.index = index
        self.upstream = upstream
        self.why: str | None = "it was not looked at yet"
        self.told = ServerMetrics()
        self.cached = CachedBlocks()
        self.num_rounds = 0
        self.wake = asyncio.Event()
        self._kv_blocks = kv_blocks
        self._hears = hears
        self._num_late = 0
        self._past = (0, 0)
        self.endpoint: str | None = None
        self._subscription: KvSubscription | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return self.upstream.url

    @property
    def is_up(self) -> bool:
        """Whether it takes rounds."""
        return self.why is None

    @property
    def prefix_tokens(self) -> tuple[int | None, int | None]:
        """Asked of its prefix cache and found there, over its restarts; None: it does not say."""
        told = (self.told.queried_tokens, self.told.hit_tokens)
        asked, hit = (
            None if now is None else before + now
            for before, now in zip(self._past, told, strict=True)
        )
        return asked, hit

    async def illness(self) -> str | None:
        """Why it takes no rounds now; None where it does. A server without /health is healthy."""
        try:
            status = await self.upstream.status("/health")
        except UpstreamError as error:
            self._num_late += 1
            is_late = error.timed_out and not error.unreached and self._num_late < LATE
            return None if is_late and self.is_up else str(error)
        self._num_late = 0
        return f"/health answered {status}" if status >= 500 else None

    async def look(self) -> str | None:
        """Its health, and where it is well its metrics and the source of its KV events."""
        why = await self.illness()
        if why is None:
            self._read(await self._metrics())
            if self._hears:
                await self._listen()
        return why

    async def _metrics(self) -> ServerMetrics:
        try:
            page = (await self.upstream.get("/metrics")).decode()
            return replace_blocks(read_server_metrics(page), self._kv_blocks)
        except (UpstreamError, ValueError):
            return replace_blocks(ServerMetrics(), self._kv_blocks)

    def _read(self, told: ServerMetrics) -> None:
        before = (self.told.queried_tokens or 0, self.told.hit_tokens or 0)
        if (told.queried_tokens or 0) < before[0]:  # it began anew, or does not say any more
            self._past = (self._past[0] + before[0], self._past[1] + before[1])
        self.told = told

    # --- KV events

    async def _listen(self) -> None:
        """To the endpoint that it names, which is another one after a restart."""
        endpoint = await self._named()
        if endpoint == self.endpoint:
            return
        self.deafen()
        if endpoint is None:
            return
        try:
            self._subscription = KvSubscription(endpoint, self.cached.hear, self.cached.miss)
        except zmq.ZMQError as error:
            log.warning("KV events of %s cannot be heard at %s: %s", self.url, endpoint, error)
            return
        self.endpoint = endpoint
        self._following = asyncio.create_task(self._subscription.follow())

    async def _named(self) -> str | None:
        """Where its one engine publishes; of several, nobody could choose among them."""
        try:
            found: dict[str, Any] = msgspec.json.decode(
                await self.upstream.get("/kv_event_sources"), type=dict[str, Any]
            )
            (source,) = found.values()
            return _seen_from_here(source["endpoint"], self.url)
        except (UpstreamError, msgspec.DecodeError, ValueError, TypeError, KeyError):
            return None

    def deafen(self) -> None:
        """Nothing is heard of its cache, and nothing known."""
        self.cached.clear()
        self.endpoint = None
        if self._following is not None:
            self._following.cancel()
            self._following = None
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    async def close(self) -> None:
        following = self._following
        self.deafen()
        if following is not None:
            with suppress(asyncio.CancelledError):
                await following
        await self.upstream.close()


def _seen_from_here(endpoint: str, url: str) -> str:
    """A server that publishes on its own machine does so on the one that it is asked on."""
    host = urlsplit(endpoint).hostname or "*"
    if host not in HERE:
        return endpoint
    there = urlsplit(url).hostname or "127.0.0.1"
    there = f"[{there}]" if ":" in there else there
    return f"tcp://{there}:{endpoint.rpartition(':')[2]}"
