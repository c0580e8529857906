"""A gateway that does not decide: it hands rounds to the one that does, until it is that itself.

One controller decides, because what it decides from (who runs which tool, how long rounds took) is
one object's memory: two of them would each know half. The leader is who holds the lock of the
state file; when it dies, the system gives the lock to the next one that asks, who reads from the
file who was let in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from marsbench import clock
from marsbench.gateway.answers import SOON, refusal
from marsbench.gateway.limits import Bodies
from marsbench.gateway.proxy import Proxy
from marsbench.gateway.store import Store
from marsbench.gateway.upstream import UpstreamError

AGAIN_S = 0.1
NO_LEADER = "The gateway that decides is gone, and none has taken its place; try again."


class Follower:
    """What a gateway does with requests while another one leads.

    leads: whether this one does. proxy_to: a proxy to a gateway's URL. wait_s: for a new leader.
    """

    def __init__(
        self,
        store: Store,
        leads: Callable[[], bool],
        proxy_to: Callable[[str], Proxy],
        bodies: Bodies,
        wait_s: float,
    ) -> None:
        self._store = store
        self._leads = leads
        self._make = proxy_to
        self._bodies = bodies
        self._wait_s = wait_s
        self._proxies: dict[str, Proxy] = {}

    async def round(
        self, request: web.Request, content: bytes, session_id: str | None
    ) -> web.StreamResponse | None:
        """The leader's answer; None when this gateway leads, so that it must answer itself.

        A leader that dies while it holds the request is no end of it: the next one is asked, unless
        the session was in, and the request may have gone to the server already; nobody can tell
        of one that the request does not name.
        """
        until = clock.monotonic() + self._wait_s
        while not self._leads():
            try:
                found = self._store.leader()
                if found is not None:
                    return await self._proxy(found[0]).relay(request, content)
            except UpstreamError as error:
                if not error.unreached and self._may_be_in(session_id):
                    return refusal(502, f"The gateway that decides gave no answer: {error}")
            if clock.monotonic() > until:
                return refusal(503, NO_LEADER, SOON)
            await asyncio.sleep(AGAIN_S)
        return None

    def _may_be_in(self, session_id: str | None) -> bool:
        return session_id is None or self._store.has(session_id)

    async def control(self, request: web.Request) -> web.StreamResponse:
        """What a client tells or asks, told or asked at the leader."""
        async with self._bodies.of(request) as content:
            found = self._store.leader()
            if found is None:
                return refusal(503, NO_LEADER, SOON)
            try:
                return await self._proxy(found[1]).relay(request, content)
            except UpstreamError:
                return refusal(503, NO_LEADER, SOON)

    def _proxy(self, url: str) -> Proxy:
        if url not in self._proxies:
            self._proxies[url] = self._make(url)
        return self._proxies[url]

    async def close(self) -> None:
        """Drop the connections to leaders."""
        for proxy in self._proxies.values():
            await proxy.close()
