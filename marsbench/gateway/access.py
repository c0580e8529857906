"""Who may use the control endpoints: a client's sessions can be ended there by anybody else."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address

from aiohttp import web

from marsbench.gateway.answers import refusal
from marsbench.http_server import CONTROL_HEADER, CONTROL_TOKEN

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ControlAccess:
    """A token where one was given; else their own port; else this machine alone."""

    token: str | None = None
    own_port: bool = False

    def guard(self, handler: Handler) -> Handler:
        """The handler, for those who may."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            return self._refused(request) or await handler(request)

        return guarded

    def _refused(self, request: web.Request) -> web.Response | None:
        if self.token is not None:
            given = request.headers.get(CONTROL_HEADER, "")
            if hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
                return None
            return refusal(401, f"Send the gateway's token as {CONTROL_HEADER}.")
        if self.own_port or _is_here(request.remote):
            return None
        return refusal(
            403,
            "Without a token these endpoints are for the gateway's own machine: start it with "
            f"{CONTROL_TOKEN} in its environment, or with --control-port.",
        )


def _is_here(remote: str | None) -> bool:
    """Whether the client is on this machine; one without an address is at a Unix socket."""
    try:
        address = remote and ip_address(remote.partition("%")[0])
    except ValueError:
        return False
    if not address:
        return True
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
