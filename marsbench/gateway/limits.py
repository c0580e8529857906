"""What a gateway keeps for its clients is bounded in total, whatever a single request may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from marsbench.gateway.answers import SOON

BODY_S = 60.0
"""Seconds in which a request's body must have come."""
LONGEST_ID = 256
"""Bytes of a session's id, and of any other name."""
MiB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds, in bytes and numbers. body: of one request. bodies: of all that are held at once.

    sessions: known at once, waiting or in flight. history: of the latest events.
    """

    body: int = 32 * MiB
    bodies: int = 1024 * MiB
    sessions: int = 100_000
    history: int = 64 * MiB


class TooLongError(ValueError):
    """A name that is longer than names may be."""


def check_names(**names: str | None) -> None:
    """Raises TooLongError for one that is too long."""
    for what, name in names.items():
        size = 0 if name is None else len(name.encode("utf-8", "surrogatepass"))
        if size > LONGEST_ID:
            raise TooLongError(f"{what} has {size} bytes; at most {LONGEST_ID} are taken")


class Bodies:
    """The bodies of requests that are under way, those that wait for admission among them."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.held = 0

    @asynccontextmanager
    async def of(self, request: web.Request) -> AsyncIterator[bytes]:
        """The whole body, which counts until the block ends.

        One that does not come ends in 408, one that is too large in 413, and one for which there
        is no room beside the others in 503.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.content.iter_any():
                    self._take(len(body) + len(chunk), len(chunk))
                    body += chunk
        except TimeoutError as error:
            self.held -= len(body)
            raise web.HTTPRequestTimeout from error
        except BaseException:
            self.held -= len(body)
            raise
        size, content = len(body), bytes(body)
        del body
        try:
            yield content
        finally:
            self.held -= size

    def _take(self, size: int, more: int) -> None:
        if size > self._limits.body:
            raise web.HTTPRequestEntityTooLarge(self._limits.body, size)
        if self.held + more > self._limits.bodies:
            raise web.HTTPServiceUnavailable(
                text=f"The requests that are held here have {self._limits.bodies // MiB} MiB "
                "together; try again.",
                headers=SOON,
            )
        self.held += more
