"""Several servers behind one gateway: a router of `marsbench/replicas` says where a round goes.

A router is asked at every round, as in a simulation, and shown what can be known from outside: its
own books, each server's metrics as they were when they were read last, and what its KV events told.
A server that does not answer is taken out and asked for its health until it is back; its rounds of
which no byte has been passed on go elsewhere, where the router resends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import httpx

from marsbench.clock import WallClock
from marsbench.core import events
from marsbench.errors import UsageError
from marsbench.gateway.member import Member
from marsbench.gateway.pages import merged
from marsbench.gateway.placing import RoundsPlaced, Sent
from marsbench.gateway.pressure import Pressure
from marsbench.gateway.request import RoundToSend
from marsbench.gateway.upstream import UpstreamError, drop, first_of
from marsbench.replicas.router import Router
from marsbench.serve.metrics_page import together

log = logging.getLogger("marsbench.gateway")


class Upstreams:
    """The servers, as one.

    emit: is told where rounds go, which are lost, and who comes and goes.
    every_s: wall seconds between two looks at each server.
    """

    def __init__(
        self,
        members: Sequence[Member],
        router: Router,
        clock: WallClock,
        emit: Callable[[events.Event], None],
        every_s: float,
    ) -> None:
        self.members = members
        self.num_resent = 0
        self._placing = RoundsPlaced(members, router, self, clock, emit)
        self._clock = clock
        self._emit = emit
        self._every_s = every_s
        self._watching: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """Of all of them, for sentences."""
        return " or ".join(member.url for member in self.members)

    @property
    def up(self) -> list[Member]:
        return [member for member in self.members if member.is_up]

    def num_under_way(self, member: Member) -> int:
        """Rounds that it has."""
        return self._placing.books.of(member.index).under_way

    @property
    def num_moves(self) -> int:
        """Rounds that went elsewhere than the round before."""
        return self._placing.num_moves

    # --- their health

    async def begin(self) -> None:
        """Look at all of them once, and from now on. Raises UsageError where the router is to hear
        of KV events, and a server publishes none."""
        await asyncio.gather(*(self._look(member) for member in self.members))
        deaf = next((one for one in self.up if one.endpoint is None), None)
        if self._placing.router.hears_kv_events and deaf is not None:
            await self.close()
            raise UsageError(
                f"The router is to hear of KV events, and {deaf.url} names no one source of them "
                "(/kv_event_sources); start it with vLLM's --kv-events-config, or choose another "
                "--router, for example session-affinity."
            )
        self._watching = [asyncio.create_task(self._watch(member)) for member in self.members]

    async def _watch(self, member: Member) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await member.wake.wait()
            member.wake.clear()
            await self._look(member)

    async def _look(self, member: Member) -> None:
        before = member.why
        why = await member.look()
        if member.why is not before:
            return  # it was taken out meanwhile, and is looked at once more
        if why is not None:
            self._take_out(member, why)
            return
        self._placing.books.of(member.index).placed_since = 0
        if not member.is_up:
            member.why = None
            if self._watching:
                log.warning("%s takes rounds again", member.url)
                self._emit(events.ReplicaChanged(self._clock.now, member.index, "joins"))

    def _take_out(self, member: Member, why: str) -> None:
        was_up, member.why = member.is_up, why
        if was_up:
            log.warning("%s is taken out: %s", member.url, why)
            member.deafen()
            self._placing.router.gone(member.index)
            self._emit(events.ReplicaChanged(self._clock.now, member.index, "leaves"))
            member.wake.set()  # it may be back already

    # --- what they are asked

    async def open(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        content: bytes,
        round_: RoundToSend | None = None,
    ) -> httpx.Response:
        """The answer of the server that the router names, its first bytes read; what is no round
        goes to the first that is up. Raises UpstreamError."""
        if round_ is None:
            return await self._first_up().upstream.open(method, path, headers, content)
        to_place = await self._placing.asked(round_, content)
        failed = UpstreamError("none of them is there", timed_out=False)
        for number in range(len(self.members)):
            if not self.up:
                break
            sent = self._placing.place(to_place)
            self.num_resent += number > 0
            try:
                return await self._open(sent, method, path, headers, content)
            except UpstreamError as error:
                failed = UpstreamError(f"{sent.member.url}: {error}", error.timed_out)
                if sent.member.is_up or not self._placing.router.resends:
                    break
        raise failed

    async def get(self, path: str) -> bytes:
        return await self._first_up().upstream.get(path)

    async def ask(self, path: str, content: bytes) -> bytes:
        return await self._first_up().upstream.ask(path, content)

    def _first_up(self) -> Member:
        return next(iter(self.up), self.members[0])

    async def close(self) -> None:
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        for member in self.members:
            await member.close()

    def pressure(self) -> Pressure:
        """Of those that are up; what prompts found, of all."""
        found = together([member.told for member in self.up])
        asked, hit = zip(*(member.prefix_tokens for member in self.members), strict=True)
        return Pressure(
            found.num_blocks,
            found.free_blocks,
            found.block_size or Pressure().block_size,
            None if None in asked else sum(asked),
            None if None in hit else sum(hit),
        )

    async def metrics(self) -> bytes:
        """Their pages as one, each line with the label of its server."""
        up = self.up
        pages = await asyncio.gather(
            *(one.upstream.get("/metrics") for one in up), return_exceptions=True
        )
        told = zip(up, pages, strict=True)
        return merged({one.url: page for one, page in told if isinstance(page, bytes)})

    def now(self) -> dict[str, Any]:
        """How they are, as JSON."""
        found = [
            {
                "url": member.url,
                "is_up": member.is_up,
                "why": member.why,
                "rounds": member.num_rounds,
                "rounds_in_flight": self.num_under_way(member),
            }
            for member in self.members
        ]
        return {"upstreams": found, "moves": self.num_moves, "resent": self.num_resent}

    def told(self, event: events.Event) -> None:
        """Of the gateway's own events, those that end sessions."""
        if isinstance(event, events.SessionEnded):
            self._placing.forget(event.session)

    async def _open(
        self,
        sent: Sent,
        method: str,
        path: str,
        headers: Iterable[tuple[bytes, bytes]],
        content: bytes,
    ) -> httpx.Response:
        """Its answer, whose first bytes are there: until then it may go elsewhere."""
        answer: httpx.Response | None = None
        try:
            answer = await sent.member.upstream.open(method, path, headers, content)
            first, rest = await first_of(answer)
            if answer.status_code >= 500 and (why := await sent.member.illness()) is not None:
                raise UpstreamError(f"it answered {answer.status_code}, and {why}", False)
        except BaseException as error:
            if answer is not None:
                await drop(answer)
            self.over(sent, error)
            raise
        if answer.is_success:
            self._placing.first_token(sent)
        answer.stream = _Watched(self, sent, answer.stream, first, rest)
        return answer

    def over(self, sent: Sent, why: BaseException | None = None) -> None:
        """Its answer has ended, or never came. why: what ended it, where that was no end."""
        if sent.is_over:
            return
        is_lost = isinstance(why, UpstreamError) and (why.unreached or not why.timed_out)
        if is_lost:
            self._take_out(sent.member, str(why))
        self._placing.over(sent, is_lost)


class _Watched(httpx.AsyncByteStream):
    """An answer's body, of which the first piece was read; its end is told."""

    def __init__(
        self,
        upstreams: Upstreams,
        sent: Sent,
        body: Any,
        first: bytes,
        rest: AsyncGenerator[bytes],
    ) -> None:
        self._upstreams = upstreams
        self._sent = sent
        self._body = body
        self._first = first
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        try:
            async for chunk in self._rest:
                yield chunk
        except UpstreamError as error:
            self._upstreams.over(self._sent, error)
            raise

    async def aclose(self) -> None:
        self._upstreams.over(self._sent)
        await self._rest.aclose()
        await self._body.aclose()
