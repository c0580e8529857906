"""A request's way through the gateway: read, held until its session is in, passed on, relayed.

What the server answers goes back byte for byte and as it comes. The gateway answers itself only
where there is nothing to relay, and says so: 400, 408, 413 and 431 for what it cannot read, 502
and 504 for a server that gives no answer, 429 for a hold that took too long, 503 while it stops.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import msgspec
from aiohttp import web
from multidict import CIMultiDict

from marsbench import clock
from marsbench.gateway.answers import LATER, SOON, refusal
from marsbench.gateway.attribution import Attribution, Whose
from marsbench.gateway.ending import Outcome, Word
from marsbench.gateway.length import ModelLength
from marsbench.gateway.limits import Bodies, TooLongError, check_names
from marsbench.gateway.paths import PATH, TARGET, without_host
from marsbench.gateway.reading import APIS, AnswerReader, EndReader, ReadAnswer, WhatWasSaid
from marsbench.gateway.request import RoundRequest, RoundToSend, read
from marsbench.gateway.session import OpenRound
from marsbench.gateway.sessions import OpenSessions
from marsbench.gateway.store import KeptChat
from marsbench.gateway.telemetry import Telemetry
from marsbench.gateway.upstream import SERVER, Upstream, UpstreamError, chunks, drop, end_to_end

if TYPE_CHECKING:
    from marsbench.gateway.upstreams import Upstreams

log = logging.getLogger("marsbench.gateway")

Elsewhere = Callable[[web.Request, bytes, str | None], Awaitable[web.StreamResponse | None]]


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


@dataclass(slots=True)
class Passed:
    """What has become of a request, kept as it passes: it holds however its handler ends.

    said: where the answer is whole and can be read.
    """

    outcome: Outcome = "left"
    said: WhatWasSaid | None = None


class NotAdmittedError(Exception):
    """A request that was held and is not going to be let in."""


class HeldTooLongError(Exception):
    """A request that was held for as long as holds may take."""


class Proxy:
    """The handlers of the routes that lead to the server.

    most_sessions: known at once. session_header: one more that names sessions.
    hold_s: seconds after which a hold ends; None: never.
    elsewhere: answers rounds while another gateway decides; None from it: this one does.
    keep: is told by what a session is known that names none, so that a restart knows it too.
    """

    def __init__(
        self,
        upstream: Upstream | Upstreams,
        sessions: OpenSessions,
        telemetry: Telemetry,
        bodies: Bodies,
        attribution: Attribution,
        most_sessions: int,
        session_header: str | None = None,
        hold_s: float | None = None,
    ) -> None:
        self._bodies = bodies
        self._most_sessions = most_sessions
        self.elsewhere: Elsewhere | None = None
        self.keep: Callable[[KeptChat], None] | None = None
        self._upstream = upstream
        self._sessions = sessions
        self._telemetry = telemetry
        self._attribution = attribution
        self._length = ModelLength(upstream)
        self._session_header = session_header
        self._hold_s = hold_s
        self._last_failure: str | None = None

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Any request that is no round of a session."""
        async with self._bodies.of(request) as content:
            return await self._uncontrolled(request, content)

    async def round(self, request: web.Request) -> web.StreamResponse:
        """A completion: one round of the session that it names."""
        async with self._bodies.of(request) as content:
            return await self._round(request, content)

    async def _round(self, request: web.Request, content: bytes) -> web.StreamResponse:
        try:
            asked = read(request.headers, content, self._session_header)
            check_names(
                session=asked.session_id,
                parent=asked.parent_id,
                tenant=asked.tenant,
                previous_response_id=asked.previous_response_id,
            )
        except (msgspec.DecodeError, UnicodeDecodeError, TooLongError) as error:
            return refusal(400, f"The body is no request that can be read: {error}.")
        if self.elsewhere is not None:
            answer = await self.elsewhere(request, content, asked.session_id)
            if answer is not None:
                return answer
        whose = self._attribution.of(asked)
        nobodys = RoundToSend(None, 0, asked, request[PATH])
        if whose.session_id is None:
            return await self._uncontrolled(request, content, nobodys)
        is_new = not self._sessions.knows(whose.session_id)
        if is_new and await self._length.is_exceeded(asked, request[PATH], content):
            # The server can only refuse it.
            return await self._uncontrolled(request, content, nobodys)
        if self._is_full(whose.session_id):
            return refusal(
                503, f"{self._most_sessions} sessions are known here, as many as may be.", LATER
            )
        return await self._controlled(request, content, asked, whose)

    async def _controlled(
        self, request: web.Request, content: bytes, asked: RoundRequest, whose: Whose
    ) -> web.StreamResponse:
        assert whose.session_id is not None
        held = HeldRequest()
        round_ = self._sessions.ask(whose.session_id, asked, held)
        passed = Passed()
        try:
            await self._let_in(held)
            to_send = RoundToSend(whose.session_id, round_.number, asked, request[PATH])
            return await self.relay(request, content, to_send, passed)
        except (NotAdmittedError, HeldTooLongError) as why:
            passed.outcome = "refused"
            return _not_let_in(why)
        except UpstreamError as error:
            passed.outcome = "failed"
            return self._failure(error)
        finally:
            # Reached by a cancellation too: a client that went away is no longer waited for.
            self._ended(round_, asked, whose, passed)

    def _ended(self, round_: OpenRound, asked: RoundRequest, whose: Whose, passed: Passed) -> None:
        said = passed.said
        if said is not None:
            self._attribution.answered(whose, said)
        self._sessions.end(round_, passed.outcome, _word(asked, said))
        self._telemetry.requests.labels(passed.outcome).inc()
        if said is not None and self.keep is not None:
            self._keep(whose, said, self.keep)

    def _keep(self, whose: Whose, said: WhatWasSaid, keep: Callable[[KeptChat], None]) -> None:
        """After the round's end, so that nothing is written of a session that it ended."""
        assert whose.session_id is not None
        if whose.chat is not None or whose.goes_on:
            key = None if whose.chat is None else whose.chat.key
            keep(KeptChat(whose.session_id, key, said.said, said.response_id))

    async def close(self) -> None:
        """Drop its connections to the server."""
        await self._upstream.close()

    def _is_full(self, session_id: str) -> bool:
        known = self._sessions
        return len(known) >= self._most_sessions and not known.knows(session_id)

    async def _let_in(self, held: HeldRequest) -> None:
        """Wait for the admission. Raises NotAdmittedError, or HeldTooLongError."""
        try:
            async with asyncio.timeout(self._hold_s):
                await held.passed()
        except TimeoutError as error:
            raise HeldTooLongError(
                f"it was held for {self._hold_s:g} s (--hold-timeout)"
            ) from error

    async def _uncontrolled(
        self, request: web.Request, content: bytes, round_: RoundToSend | None = None
    ) -> web.StreamResponse:
        self._telemetry.requests.labels("passed on").inc()
        try:
            return await self.relay(request, content, round_)
        except UpstreamError as error:
            return self._failure(error)

    async def relay(
        self,
        request: web.Request,
        content: bytes,
        round_: RoundToSend | None = None,
        passed: Passed | None = None,
    ) -> web.StreamResponse:
        """The server's answer, sent on; `passed` is told what becomes of it.

        Raises UpstreamError while nothing of it was sent.
        """
        begun_at = clock.monotonic()
        answer = await self._upstream.open(
            request.method, request[TARGET], request.raw_headers, content, round_
        )
        self._last_failure = None
        read_answer = None if passed is None else APIS.get(request[PATH])
        try:
            response = await self._send(request, answer, read_answer, passed or Passed())
        finally:
            await drop(answer)
        seconds = clock.monotonic() - begun_at
        # Neither headers nor queries are ever logged: both may carry credentials.
        log.debug("%s %s %d %.3f s", request.method, request[PATH], answer.status_code, seconds)
        return response

    async def _send(
        self,
        request: web.Request,
        answer: httpx.Response,
        read_answer: ReadAnswer | None,
        passed: Passed,
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            status=answer.status_code,
            reason=answer.reason_phrase,
            headers=relayed(answer, answer.extensions[SERVER]),
        )
        reader = _reader(read_answer, answer)
        try:
            await response.prepare(request)
            async for chunk in chunks(answer):
                await response.write(chunk)
                reader.feed(chunk)
            passed.outcome = "answered" if answer.is_success else "refused"
        except UpstreamError as error:
            log.warning("%s broke off: %s", request[PATH], error)
            _break_off(request)
            passed.outcome = "failed"
        except ConnectionError:
            passed.outcome = "left"
        finally:
            if reader.is_whole:  # many a client leaves before the server has ended the body
                passed.outcome = "answered"
            if passed.outcome == "answered":
                passed.said = reader.result()
        return response

    def _failure(self, error: UpstreamError) -> web.Response:
        if str(error) != self._last_failure:  # whoever waits for the server asks again and again
            log.warning("no answer from %s: %s", self._upstream.url, error)
        self._last_failure = str(error)
        status = 504 if error.timed_out else 502
        return refusal(status, f"The server at {self._upstream.url} gave no answer: {error}")


def relayed(answer: httpx.Response, upstream: str) -> CIMultiDict[str]:
    """The answer's headers as they came, for this connection; a redirect names no other host."""
    pairs = [
        (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
        for name, value in end_to_end(answer.headers.raw)
    ]
    return CIMultiDict([(name, without_host(name, value, upstream)) for name, value in pairs])


def _reader(read_answer: ReadAnswer | None, answer: httpx.Response) -> AnswerReader | EndReader:
    """What reads the answer as it passes. Of an error there is nothing to learn."""
    headers = answer.headers
    kind = headers.get("content-type", "") if answer.is_success else ""
    encoding = headers.get("content-encoding", "")
    if read_answer is None or not answer.is_success:
        return EndReader(kind, encoding)
    return AnswerReader(read_answer, kind, encoding)


def _word(asked: RoundRequest, said: WhatWasSaid | None) -> Word:
    """What an answer says of what follows; nothing where the client does, or it was not read."""
    if said is None or asked.tells:
        return "open"
    if not asked.offers_tools:
        return "alone"
    return "last" if said.is_final else "open"


def _not_let_in(why: NotAdmittedError | HeldTooLongError) -> web.Response:
    is_late = isinstance(why, HeldTooLongError)
    said = f"The request was held and is not let in: {why}."
    return refusal(429, said, SOON) if is_late else refusal(503, said)


def _break_off(request: web.Request) -> None:
    """Close without a proper end: what came is delivered, and nobody takes it for the whole."""
    if request.transport is not None:
        request.transport.close()
