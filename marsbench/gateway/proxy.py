"""A request's way through the gateway: read, held until its session is in, passed on, relayed.

What the server answers goes back byte for byte and as it comes. The gateway answers itself only
where there is nothing to relay, and says so: 400, 408, 413 and 431 for what it cannot read, 502
and 504 for a server that gives no answer, 429 for a hold that took too long, 503 while it stops.
"""

from __future__ import annotations

import asyncio
import logging

import httpx
import msgspec
from aiohttp import web
from multidict import CIMultiDict

from marsbench import clock
from marsbench.gateway.attribution import Attribution, Whose
from marsbench.gateway.ending import Outcome, Word
from marsbench.gateway.length import ModelLength
from marsbench.gateway.reading import APIS, AnswerReader, WhatWasSaid
from marsbench.gateway.request import RoundRequest, read
from marsbench.gateway.sessions import OpenSessions
from marsbench.gateway.telemetry import Telemetry
from marsbench.gateway.upstream import Upstream, UpstreamError, chunks, drop, end_to_end

log = logging.getLogger("marsbench.gateway")

BODY_S = 60.0
"""Seconds in which a request's body must have come."""
RETRY_AFTER_S = 1
"""Told with a 429: who asks again soon is out of the queue for no longer than that."""


class HeldRequest:
    """A request that waits for its session's admission."""

    def __init__(self) -> None:
        self._passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def go(self) -> None:
        if not self._passed.done():
            self._passed.set_result(None)

    def refuse(self, why: str) -> None:
        if not self._passed.done():
            self._passed.set_exception(NotAdmittedError(why))

    async def passed(self) -> None:
        """Returns when the request may go on. Raises NotAdmittedError when it never will."""
        await self._passed


class NotAdmittedError(Exception):
    """A request that was held and is not going to be let in."""


class HeldTooLongError(Exception):
    """A request that was held for as long as holds may take."""


class Proxy:
    """The handlers of the routes that lead to the server.

    session_header: one more that names sessions.
    hold_s: seconds after which a hold ends; None: never.
    """

    def __init__(
        self,
        upstream: Upstream,
        sessions: OpenSessions,
        telemetry: Telemetry,
        attribution: Attribution,
        session_header: str | None = None,
        hold_s: float | None = None,
    ) -> None:
        self._upstream = upstream
        self._sessions = sessions
        self._telemetry = telemetry
        self._attribution = attribution
        self._length = ModelLength(upstream)
        self._session_header = session_header
        self._hold_s = hold_s

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Any request that is no round of a session."""
        return await self._uncontrolled(request, await read_body(request))

    async def round(self, request: web.Request) -> web.StreamResponse:
        """A completion: one round of the session that it names."""
        content = await read_body(request)
        try:
            asked = read(request.headers, content, self._session_header)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return refusal(400, f"The body is no request that can be read: {error}.")
        whose = self._attribution.of(asked)
        if whose.session_id is None:
            return await self._uncontrolled(request, content)
        is_new = not self._sessions.knows(whose.session_id)
        if is_new and await self._length.is_exceeded(asked, request.path, content):
            return await self._uncontrolled(request, content)  # the server can only refuse it
        return await self._controlled(request, content, asked, whose)

    async def _controlled(
        self, request: web.Request, content: bytes, asked: RoundRequest, whose: Whose
    ) -> web.StreamResponse:
        assert whose.session_id is not None
        held = HeldRequest()
        round_ = self._sessions.ask(whose.session_id, asked, held)
        outcome: Outcome = "left"
        said: WhatWasSaid | None = None
        try:
            await self._let_in(held)
            response, outcome, reader = await self._relay(request, content)
            if reader is not None and (said := reader.result()) is not None:
                self._attribution.answered(whose, said)
            return response
        except (NotAdmittedError, HeldTooLongError) as why:
            outcome = "refused"
            return _not_let_in(why)
        except UpstreamError as error:
            outcome = "failed"
            return self._failure(error)
        finally:
            # Reached by a cancellation too: a client that went away is no longer waited for.
            self._sessions.end(round_, outcome, _word(asked, said))
            self._telemetry.requests.labels(outcome).inc()

    async def _let_in(self, held: HeldRequest) -> None:
        """Wait for the admission. Raises NotAdmittedError, or HeldTooLongError."""
        try:
            async with asyncio.timeout(self._hold_s):
                await held.passed()
        except TimeoutError as error:
            raise HeldTooLongError(
                f"it was held for {self._hold_s:g} s (--hold-timeout)"
            ) from error

    async def _uncontrolled(self, request: web.Request, content: bytes) -> web.StreamResponse:
        self._telemetry.requests.labels("passed on").inc()
        try:
            response, _, _ = await self._relay(request, content)
        except UpstreamError as error:
            return self._failure(error)
        return response

    async def _relay(
        self, request: web.Request, content: bytes
    ) -> tuple[web.StreamResponse, Outcome, AnswerReader | None]:
        """The server's answer, sent on. Raises UpstreamError while nothing of it was sent."""
        begun_at = clock.monotonic()
        answer = await self._upstream.open(
            request.method, request.raw_path, request.raw_headers, content
        )
        reader = _reader(request.path, answer)
        try:
            response, outcome = await self._send(request, answer, reader)
        finally:
            await drop(answer)
        seconds = clock.monotonic() - begun_at
        # Neither headers nor queries are ever logged: both may carry credentials.
        log.debug("%s %s %d %.3f s", request.method, request.path, answer.status_code, seconds)
        return response, outcome, reader if outcome == "answered" else None

    async def _send(
        self, request: web.Request, answer: httpx.Response, reader: AnswerReader | None
    ) -> tuple[web.StreamResponse, Outcome]:
        response = web.StreamResponse(
            status=answer.status_code, reason=answer.reason_phrase, headers=relayed(answer)
        )
        outcome: Outcome = "answered" if answer.is_success else "refused"
        try:
            await response.prepare(request)
            async for chunk in chunks(answer):
                await response.write(chunk)
                if reader is not None:
                    reader.feed(chunk)
        except UpstreamError as error:
            log.warning("%s broke off: %s", request.path, error)
            _break_off(request)
            outcome = "failed"
        except ConnectionError:
            outcome = "left"
        return response, outcome

    def _failure(self, error: UpstreamError) -> web.Response:
        log.warning("no answer from %s: %s", self._upstream.url, error)
        status = 504 if error.timed_out else 502
        return refusal(status, f"The server at {self._upstream.url} gave no answer: {error}")


def relayed(answer: httpx.Response) -> CIMultiDict[str]:
    """The answer's headers as they came, for this connection."""
    pairs = end_to_end(answer.headers.raw)
    return CIMultiDict(
        [(n.decode("latin-1"), v.decode("utf-8", "surrogateescape")) for n, v in pairs]
    )


def _reader(path: str, answer: httpx.Response) -> AnswerReader | None:
    """What reads the answer as it passes; None where there is nothing to learn."""
    read_answer = APIS.get(path)
    if read_answer is None or not answer.is_success:
        return None
    headers = answer.headers
    return AnswerReader(
        read_answer, headers.get("content-type", ""), headers.get("content-encoding", "")
    )


def _word(asked: RoundRequest, said: WhatWasSaid | None) -> Word:
    """What an answer says of what follows; nothing where the client does, or it was not read."""
    if said is None or asked.tells:
        return "open"
    if not asked.offers_tools:
        return "alone"
    return "last" if said.is_final else "open"


def _not_let_in(why: NotAdmittedError | HeldTooLongError) -> web.Response:
    is_late = isinstance(why, HeldTooLongError)
    answer = refusal(429 if is_late else 503, f"The request was held and is not let in: {why}.")
    if is_late:
        answer.headers["Retry-After"] = str(RETRY_AFTER_S)
    return answer


def refusal(status: int, why: str) -> web.Response:
    """An answer of the gateway's own, in the form of OpenAI's errors."""
    error = {"message": why, "type": "marsbench_gateway", "code": status}
    return web.json_response({"error": error}, status=status)


async def read_body(request: web.Request) -> bytes:
    """The whole body; one that does not come ends in 408, one that is too large in 413."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error


def _break_off(request: web.Request) -> None:
    """Close without a proper end: what came is delivered, and nobody takes it for the whole."""
    if request.transport is not None:
        request.transport.close()
