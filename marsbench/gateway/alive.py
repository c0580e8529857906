"""Runs that hold a connection: their sessions are gone when it is.

A client that is killed between two rounds has no request under way that would break off, and its
sessions would keep their places until they had been silent for long enough.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

from aiohttp import web

from marsbench.gateway.answers import refusal
from marsbench.gateway.limits import LONGEST_ID
from marsbench.gateway.sessions import OpenSessions

SHORTEST = 8
"""Characters of a nonce: what ends in a shorter one may be somebody else's."""
BEAT_S = 15.0
"""Seconds between two bytes, which find out that a network is gone."""


class Alive:
    """The connections, by nonce. A run that connects again before its first is gone stays."""

    def __init__(self, sessions: OpenSessions) -> None:
        self._sessions = sessions
        self._held: Counter[str] = Counter()

    async def stay(self, request: web.Request) -> web.StreamResponse:
        """An answer that never ends; when it breaks, sessions whose ids end with `nonce` do."""
        nonce = request.query.get("nonce", "")
        if not SHORTEST <= len(nonce.encode()) <= LONGEST_ID:
            return refusal(400, f"nonce must have {SHORTEST} to {LONGEST_ID} bytes.")
        self._held[nonce] += 1
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            with suppress(ConnectionError):
                await response.prepare(request)
                while True:
                    await response.write(b"\n")
                    await asyncio.sleep(BEAT_S)
        finally:
            self._held[nonce] -= 1
            if not self._held[nonce]:
                del self._held[nonce]
                self._sessions.end_named(nonce)
        return response
