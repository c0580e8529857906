"""Which request goes where: targets are normalised first, and what is not listed is 404.

What is matched is what the server is asked for: were it the raw target, `/v1/../x` would be a
request under /v1 here and one for /x there, and `/v1/completions/` a round that nobody holds.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import httpx
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATH, TARGET = web.RequestKey("path", str), web.RequestKey("target", str)
"""The normalised path of a request, and its target: the same with its query."""
REDIRECTS = ("location", "content-location")
ANY = "*"

_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"  # RFC 3986, 2.3
)
_DEPTH = 3
"""Times that a server, and what stands before it, may decode a path."""


class Routes:
    """Handlers by method and path, and prefixes whose every path has one handler."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, Handler]] = {}
        self._prefixes: dict[str, Handler] = {}

    def add(self, method: str, path: str, handler: Handler) -> None:
        """The path itself; ANY method takes those that have no handler of their own."""
        self._exact.setdefault(path, {})[method] = handler

    def add_below(self, prefix: str, handler: Handler) -> None:
        """Every path below it, by any method, that has no handler of its own."""
        self._prefixes[prefix + "/"] = handler

    async def dispatch(self, request: web.Request) -> web.StreamResponse:
        """To the handler of the normalised target. Raises HTTPNotFound or HTTPMethodNotAllowed."""
        found = normalised(request.raw_path)
        if found is None:
            raise web.HTTPNotFound(text="No such path here.")
        path, query = found
        request[PATH], request[TARGET] = path, path + query
        return await self._handler(request.method, path)(request)

    def _handler(self, method: str, path: str) -> Handler:
        exact = self._exact.get(path, {})
        handler = exact.get(method) or exact.get(ANY)
        handler = handler or next(
            (one for prefix, one in self._prefixes.items() if path.startswith(prefix)), None
        )
        if handler is not None:
            return handler
        if exact:
            raise web.HTTPMethodNotAllowed(method, sorted(exact))
        raise web.HTTPNotFound(text=f"No such path here: {path}")


def normalised(target: str) -> tuple[str, str] | None:
    """Path and query ("" or "?…") of a request's target; None where it is no path.

    Escapes of plain characters are undone, dot segments resolved, empty ones and a slash at the
    end dropped. A path that hides dot segments deeper is none: who decodes it again would leave.
    """
    path, mark, query = _origin_form(target).partition("#")[0].partition("?")
    if not path.startswith("/"):
        return None
    plain = _ESCAPE.sub(_unescaped, path)
    if _hides_something(plain):
        return None
    segments: list[str] = []
    for segment in plain.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments), mark + query


def _origin_form(target: str) -> str:
    """Of an absolute-form target the path: a proxy's client names the host as well."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in ("http", "https"):
        return target
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return path if path.startswith("/") else f"/{path}"


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()


def _hides_something(path: str) -> bool:
    """Whether a segment turns out to be several, with dots among them, once it is decoded."""
    for segment in path.split("/"):
        inside = segment
        for _ in range(_DEPTH):
            inside = unquote(inside)
        parts = re.split(r"[/\\]", inside)
        if len(parts) > 1 and not {".", ".."}.isdisjoint(parts):
            return True
        if segment not in (".", "..") and inside in (".", ".."):
            return True
        if any(ord(character) < ord(" ") for character in inside):
            return True
    return False


def without_host(name: str, value: str, upstream: str) -> str:
    """A header of the server's answer; a redirect to itself becomes one to the same place here."""
    if name.lower() not in REDIRECTS:
        return value
    try:
        to, server = httpx.URL(value), httpx.URL(upstream)
    except httpx.InvalidURL:
        return value
    if not to.host or to.host != server.host:
        return value
    raw = to.raw_path.decode("ascii")
    prefix = server.path.rstrip("/")
    return (raw.removeprefix(prefix) if prefix else raw) or "/"
