"""What a run and a gateway tell each other: admissions one way, tools and ends the other.

Both classes stand between whoever learns of events and the recorder that orders them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

import httpx

from marsbench.core.events import (
    Event,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    ToolEnd,
    ToolStart,
    from_json,
)
from marsbench.wall.nonce import WireNames
from marsbench.wall.server import control_headers
from marsbench.wall.wire import NO_ANSWER

Record = Callable[[Event], None]
POLL_S = 0.2
ANSWER_S = 10.0


class NoGateway:
    """Nobody stands before the server: whoever has arrived is in.

    waits_s: how long the gateway held each session, as far as it has said so.
    """

    def __init__(self, record: Record) -> None:
        self.waits_s: dict[str, float] = {}
        self._record = record

    def __call__(self, event: Event) -> None:
        """Pass on what happened, with what follows from it."""
        self._record(event)
        if isinstance(event, RoundReady) and event.round == 0:
            self._record(SessionAdmitted(event.at, event.session))

    def post(self, what: str, body: Mapping[str, object]) -> None:
        """Tell the gateway; there is none."""

    async def learn_wait(self, session: str) -> None:
        """Ask how long the session was held, if nothing has been heard of that; nobody holds."""


class GatewayLink(NoGateway):
    """A gateway that admits: its admissions are read off its own event stream.

    Its clock is not ours, but a wait is a difference of its own times: a request that it let
    through after w seconds went to the server w after it was sent from here. It is told of tool
    calls, as a framework would tell it. A dead gateway shows elsewhere: in its rounds. It keeps the
    run's sessions while the run holds a connection to it, and ends them when that is gone.

    root: of the gateway, without /v1. names: of the run's sessions there.
    num_others: sessions of somebody else that came since `begin`.
    """

    def __init__(
        self, record: Record, http: httpx.AsyncClient, root: str, names: WireNames
    ) -> None:
        super().__init__(record)
        self._http = http
        self._root = f"{root}/marsbench"
        self._names = names
        self.num_others = 0
        self._next = 0
        self._looking = asyncio.Lock()
        self._posts: set[asyncio.Task[None]] = set()
        self._arrived_at: dict[str, float] = {}  # there, on its clock

    def __call__(self, event: Event) -> None:
        self._record(event)
        if isinstance(event, ToolStart | ToolEnd):
            self._tell(event)

    def _tell(self, event: ToolStart | ToolEnd) -> None:
        body: dict[str, object] = {"session_id": event.session, "name": event.name}
        body["call"] = str(event.call)
        if isinstance(event, ToolStart) and event.burns_cpu is not None:
            body["burns_cpu"] = event.burns_cpu
        self.post(event.kind, body)

    def post(self, what: str, body: Mapping[str, object]) -> None:
        """Tell it, without waiting; untold, it infers a call from the gap between rounds."""
        if "session_id" in body:
            body = {**body, "session_id": self._names.of(str(body["session_id"]))}
        task = asyncio.create_task(self._send(f"{self._root}/{what}", body))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _send(self, url: str, body: Mapping[str, object]) -> None:
        try:
            await self._http.post(url, json=body, timeout=ANSWER_S, headers=control_headers())
        except NO_ANSWER:
            return

    async def stay(self) -> None:
        """Hold the connection without which the run's sessions are gone, for ever.

        One that breaks is made anew; a gateway that knows of no such thing is asked once.
        """
        url = f"{self._root}/alive?nonce={self._names.nonce}"
        while True:
            with suppress(*NO_ANSWER):
                answer = await self._http.get(url, timeout=None, headers=control_headers())
                if 400 <= answer.status_code < 500:
                    return
            await asyncio.sleep(POLL_S)

    async def begin(self) -> None:
        """What it said before now does not count."""
        await self.look()
        self.num_others = 0

    async def follow(self) -> None:
        """Read admissions for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.look()

    async def look(self) -> None:
        """Read what the gateway has said since the last look."""
        async with self._looking:  # two at once would read the same again
            while await self._look():
                pass

    async def learn_wait(self, session: str) -> None:
        if session not in self.waits_s:
            await self.look()

    async def _look(self) -> bool:
        """One answer, which holds a part of a long history; whether there was anything in it."""
        url = f"{self._root}/events?since={self._next}"
        try:
            answer = await self._http.get(url, timeout=ANSWER_S, headers=control_headers())
        except NO_ANSWER:
            return False
        if answer.status_code != 200:
            return False
        before, self._next = self._next, int(answer.headers.get("X-Next", self._next))
        for line in answer.content.splitlines():
            self._read(from_json(line))
        return self._next > before

    def _read(self, event: Event) -> None:
        """Take up an admission of this run's; of other sessions only that they came."""
        if not isinstance(event, SessionArrived | SessionAdmitted):
            return
        session, has_come = self._names.own(event.session), isinstance(event, SessionArrived)
        if session is None:
            self.num_others += has_come
        elif has_come:
            self._arrived_at[session] = event.at
        else:
            wait_s = event.at - self._arrived_at.pop(session, event.at)
            self._admitted(session, wait_s)

    def _admitted(self, session: str, wait_s: float) -> None:
        """The gateway has let the session in, so long after its first request came."""
        self.waits_s[session] = wait_s

    async def close(self) -> None:
        """One last look; posts that are still under way are waited for."""
        await asyncio.gather(*self._posts, return_exceptions=True)
        await self.look()
