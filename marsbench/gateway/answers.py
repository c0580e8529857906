"""Answers of the gateway's own, all in the form of OpenAI's errors, the HTTP parser's too."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

SOON, LATER = {"Retry-After": "1"}, {"Retry-After": "10"}
"""Told with a 429 or 503: of what passes at any moment, and of what takes sessions to end."""


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error: its status and one sentence."""
    error = {"message": why, "type": "marsbench_gateway", "code": status}
    return web.json_response({"error": error}, status=status, headers=headers)


class JsonConnection(web.RequestHandler):
    """aiohttp's connection; what it says itself of what is no HTTP has our form."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Logs as aiohttp does, and closes the connection."""
        said = super().handle_error(request, status, exc, message)
        why = said.text if isinstance(said, web.Response) and said.text else "no such HTTP"
        answer = refusal(status, " ".join(why.split()))
        answer.force_close()
        return answer


class JsonConnections(web.Server):
    """aiohttp's server of connections, for `JsonConnection`."""

    def __call__(self) -> web.RequestHandler:
        connection = super().__call__()
        connection.__class__ = JsonConnection
        return connection


def in_json(runner: web.AppRunner) -> None:
    """From now on the runner's connections say everything as JSON."""
    assert runner.server is not None
    runner.server.__class__ = JsonConnections
