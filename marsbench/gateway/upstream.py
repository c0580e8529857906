"""The server behind the gateway: httpx's interface over aiohttp's connections.

The transport is used without a client: a client would follow redirects, keep cookies, decode
bodies and add headers, and a proxy must do none of that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from marsbench.errors import UsageError

Headers = Sequence[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
OURS = frozenset(b"host content-length expect".split())
"""Set anew for the request to the server."""

JSON: Headers = ((b"content-type", b"application/json"),)
ADDED_BY_AIOHTTP = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
# vLLM's server drops an idle connection after five seconds: reuse none that it may be dropping.
KEEPALIVE_S = 3.0
PAGE_S = 5.0
SLICE = 1 << 16
AT_ONCE = 1 << 20
SERVER = "marsbench server"
"""Of an answer's extensions: the URL of the server whose it is."""


class UpstreamError(Exception):
    """The server gave no whole answer; `timed_out` where it only was too slow.

    unreached: nobody listened, so nobody can have taken the request.
    """

    def __init__(self, reason: str, timed_out: bool, unreached: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out
        self.unreached = unreached


class Slices(httpx.AsyncByteStream):
    """A large body, written piece by piece so that other streams go on meanwhile."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), SLICE):
            yield self._content[start : start + SLICE]


class Upstream:
    """Sends requests to the server and hands its answers on as they come.

    timeout_s: seconds of silence after which an answer counts as stalled.
    """

    def __init__(self, url: str, timeout_s: float, connect_s: float) -> None:
        self.url = url
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=ADDED_BY_AIOHTTP,
        )
        self._transport = AiohttpTransport(client=session)
        self._timeout = {"connect": connect_s, "read": timeout_s, "pool": None}

    async def open(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        content: bytes,
        _round: object = None,
    ) -> httpx.Response:
        """The answer, its head read and its body not. Raises UpstreamError.

        _round: which round of whose it is, for those who choose among servers.
        """
        kept, extensions = end_to_end(headers, OURS), {"timeout": self._timeout}
        url = self.url + path
        if len(content) > AT_ONCE:
            kept.append((b"content-length", str(len(content)).encode()))
            body = Slices(content)
            request = httpx.Request(method, url, headers=kept, stream=body, extensions=extensions)
        else:
            request = httpx.Request(
                method, url, headers=kept, content=content, extensions=extensions
            )
        try:
            answer = await self._transport.handle_async_request(request)
        except _FAILURES as error:
            raise _upstream_error(error) from error
        answer.extensions[SERVER] = self.url
        return answer

    async def get(self, path: str) -> bytes:
        """A small page of the server's own. Raises UpstreamError, also when it is not there."""
        return _found(path, *await self._in_time("GET", path, (), b""))

    async def status(self, path: str) -> int:
        """How it answers for such a page. Raises UpstreamError where it does not answer."""
        return (await self._in_time("GET", path, (), b""))[0]

    async def ask(self, path: str, content: bytes) -> bytes:
        """The server's answer to a small question in JSON, in the same way."""
        return _found(path, *await self._in_time("POST", path, JSON, content))

    async def _in_time(
        self, method: str, path: str, headers: Headers, content: bytes
    ) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(PAGE_S):
                return await self._page(method, path, headers, content)
        except TimeoutError as error:
            raise UpstreamError(f"{path} took more than {PAGE_S:g} s", timed_out=True) from error

    async def _page(
        self, method: str, path: str, headers: Headers, content: bytes
    ) -> tuple[int, bytes]:
        response = await self.open(method, path, headers, content)
        try:
            page = b"".join([chunk async for chunk in chunks(response)])
        finally:
            await drop(response)
        return response.status_code, page

    def now(self) -> dict[str, Any]:
        """Nothing is known of it beside its metrics."""
        return {}

    async def metrics(self) -> bytes:
        """Its metrics page, in the same way."""
        return await self.get("/metrics")

    async def close(self) -> None:
        await self._transport.aclose()


def _found(path: str, status: int, page: bytes) -> bytes:
    if status != httpx.codes.OK:
        raise UpstreamError(f"{path} answered {status}", timed_out=False)
    return page


async def chunks(response: httpx.Response) -> AsyncGenerator[bytes]:
    """The body as it arrives, as it is encoded. Raises UpstreamError when it breaks off."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        # Not `aiter_raw`: its two generators more cost a tenth of the gateway's time.
        async for chunk in response.stream:
            yield chunk
    except _FAILURES as error:
        raise _upstream_error(error) from error


async def first_of(response: httpx.Response) -> tuple[bytes, AsyncGenerator[bytes]]:
    """The first piece of the body, b"" where there is none, and the rest. Raises UpstreamError."""
    rest = chunks(response)
    return await anext(rest, b""), rest


async def drop(response: httpx.Response) -> None:
    """Give the connection back, or close it where the body was not read to its end."""
    with contextlib.suppress(*_FAILURES):
        await response.aclose()


def end_to_end(
    headers: Iterable[tuple[bytes, bytes]], without: frozenset[bytes] = frozenset()
) -> list[tuple[bytes, bytes]]:
    """The headers that are meant for the other end, not for this connection."""
    pairs = [(name.lower(), value) for name, value in headers]
    named = b",".join(value for name, value in pairs if name == b"connection").lower().split(b",")
    dropped = HOP_BY_HOP.union((name.strip() for name in named), without)
    return [(name, value) for name, value in pairs if name not in dropped]


def checked_url(text: str) -> str:
    """The server's URL as requests are joined to it. Raises UsageError."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise UsageError(f"--upstream '{text}' is no URL: {error}.") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError(
            f"--upstream must be the URL of a server, not '{text}'; for example "
            "http://127.0.0.1:8000."
        )
    if url.userinfo:
        raise UsageError("--upstream takes no credentials; each client sends its own.")
    return str(url).rstrip("/").removesuffix("/v1")


_FAILURES = (httpx.HTTPError, aiohttp.ClientError, TimeoutError, OSError)


def _upstream_error(error: Exception) -> UpstreamError:
    """httpx's names for aiohttp's errors are rough: the cause says what happened."""
    cause = error.__cause__ or error
    timed_out = isinstance(error, httpx.TimeoutException) and isinstance(cause, TimeoutError)
    unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return UpstreamError(f"{type(cause).__name__}: {cause}".rstrip(": "), timed_out, unreached)
