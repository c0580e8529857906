"""The gateway's own routes: what clients tell it, and what it tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from marsbench.gateway.answers import refusal
from marsbench.gateway.attribution import Attribution
from marsbench.gateway.limits import Bodies, check_names
from marsbench.gateway.sessions import OpenSessions
from marsbench.gateway.telemetry import Telemetry
from marsbench.gateway.upstream import Upstream, UpstreamError

if TYPE_CHECKING:
    from marsbench.gateway.upstreams import Upstreams

PROMETHEUS = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}


class Post(msgspec.Struct, forbid_unknown_fields=True):
    """What a client posts of a session; `call` tells two calls of one name apart.

    burns_cpu: whether the call is work for the tool host's cores.
    queued_s: seconds that it waited for a worker.
    """

    session_id: str
    name: str = "tool"
    call: str | None = None
    burns_cpu: bool | None = None
    queued_s: float | None = None


_decoder = msgspec.json.Decoder(Post)


class Control:
    """Handlers. `about` says how the gateway was started."""

    def __init__(
        self,
        sessions: OpenSessions,
        telemetry: Telemetry,
        upstream: Upstream | Upstreams,
        bodies: Bodies,
        about: dict[str, Any],
        attribution: Attribution,
    ) -> None:
        self._bodies = bodies
        self._sessions = sessions
        self._telemetry = telemetry
        self._upstream = upstream
        self._about = about
        self._attribution = attribution

    async def tool_start(self, request: web.Request) -> web.Response:
        post = await self._post(request)
        known = self._sessions.start_tool(post.session_id, post.name, post.call, post.burns_cpu)
        return _done(known, f"session '{post.session_id}' is not known here")

    async def tool_end(self, request: web.Request) -> web.Response:
        post = await self._post(request)
        known = self._sessions.end_tool(post.session_id, post.name, post.call, post.queued_s)
        return _done(known, f"session '{post.session_id}' runs no such call of '{post.name}'")

    async def session_end(self, request: web.Request) -> web.Response:
        post = await self._post(request)
        known = self._sessions.end_session(post.session_id)
        return _done(known, f"session '{post.session_id}' is not known here")

    async def _post(self, request: web.Request) -> Post:
        async with self._bodies.of(request) as content:
            try:
                post = _decoder.decode(content)
                check_names(session_id=post.session_id, name=post.name, call=post.call)
            except (msgspec.DecodeError, ValueError) as error:
                raise UnreadableError(str(error)) from error
            return post

    async def arrivals_over(self, request: web.Request) -> web.Response:
        async with self._bodies.of(request):
            self._sessions.end_arrivals()
        return web.Response(status=204)

    async def info(self, _request: web.Request) -> web.Response:
        """How it was started, and how many there are now."""
        s = self._sessions
        now = {
            "sessions_waiting": s.num_waiting,
            "sessions_in_flight": s.num_in_flight,
            "rounds_in_flight": s.num_rounds,
            "tools_in_flight": s.num_tools,
            "cpu_calls": s.num_cpu_calls,
            "rounds": self._attribution.counts,
            "passed_on_share": self._attribution.passed_on_share,
        }
        return web.json_response({**self._about, **now, **self._upstream.now()})

    async def events(self, request: web.Request) -> web.Response:
        """Lines of the information stream, from number `since` on; `X-Next` goes on there."""
        text = request.query.get("since", "0")
        if not text.isdecimal():
            return refusal(400, f"since must be the number of an event, not '{text}'.")
        found, following = self._telemetry.since(int(text))
        lines = "".join(event.to_json() + "\n" for event in found)
        return web.Response(
            text=lines, content_type="application/jsonl", headers={"X-Next": str(following)}
        )

    async def metrics(self, _request: web.Request) -> web.Response:
        """The server's own page, or those of all, if there is one; then the gateway's figures."""
        try:
            page = await self._upstream.metrics()
        except UpstreamError as error:
            page = f"# the server tells no metrics: {error}\n".encode()
        if page and not page.endswith(b"\n"):
            page += b"\n"
        return web.Response(body=page + self._telemetry.page(), headers=PROMETHEUS)


class UnreadableError(Exception):
    """A post that is not as it should be."""


def _done(known: bool, why: str) -> web.Response:
    return web.Response(status=204) if known else refusal(404, f"Nothing was done: {why}.")
