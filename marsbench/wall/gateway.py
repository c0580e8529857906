"""Admissions in the stream, and what a live run and a gateway tell each other for it.

Both classes stand between whoever learns of events and the recorder that orders them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from marsbench.core.events import (
    Event,
    GpuFirstToken,
    GpuSubmit,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    ToolEnd,
    ToolStart,
)
from marsbench.wall.feed import Feed
from marsbench.wall.wire import Wire

Record = Callable[[Event], None]
POLL_S = 0.2
ANSWER_S = 10.0
# Events are kept back for so many wall seconds, in which an admission is read off the gateway.
PATIENCE_S = 2.0


class NoGateway:
    """Nobody stands before the server: whoever has arrived is in."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __call__(self, event: Event) -> None:
        """Pass on what happened, with what follows from it."""
        self._record(event)
        if isinstance(event, RoundReady) and event.round == 0:
            self._record(SessionAdmitted(event.at, event.session))


class Gateway(NoGateway):
    """A gateway that admits: its admissions are read off its own event stream.

    Its clock is not ours, but a wait is a difference of its own times: a request that it let
    through after w seconds went to the server w after it was sent from here. Until its admission
    is known, a session's first request is kept back from the stream. Sub-agents are let in with
    their parents. The gateway is told of tool calls, as a framework would tell it, and when the
    last of `to_arrive` sessions has come.
    """

    def __init__(self, record: Record, wire: Wire, root: str, to_arrive: int) -> None:
        super().__init__(record)
        self._to_arrive = to_arrive
        self._feed = Feed(wire.client, root, ANSWER_S)
        self._inside: set[str] = set()  # sub-agents, and who is known to have been let in
        self._submits: dict[str, GpuSubmit] = {}
        self._answered: set[str] = set()  # although nobody knows when they were let in
        self._there: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, SessionArrived):
            self._arrived(event)
        if isinstance(event, GpuSubmit) and self._waits(event):
            self._submits[event.session] = event
            return
        if isinstance(event, RoundReady) and event.session in self._inside:
            super().__call__(event)
            return
        self._record(event)
        if isinstance(event, GpuFirstToken) and event.session in self._submits:
            self._answered.add(event.session)
            loop = asyncio.get_running_loop()
            loop.call_later(PATIENCE_S / 2, self._give_up, event.session)
        elif isinstance(event, ToolStart | ToolEnd):
            self._tell(event)

    def _arrived(self, event: SessionArrived) -> None:
        if event.parent is not None:
            self._inside.add(event.session)
            return
        self._to_arrive -= 1
        if not self._to_arrive:
            self._feed.post("arrivals_over", {})

    def _waits(self, event: GpuSubmit) -> bool:
        return event.round == 0 and event.session not in self._inside

    async def follow(self) -> None:
        """Read admissions for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.look()

    async def look(self) -> None:
        """Read what the gateway has said since the last look; before a run, what it said before."""
        for event in await self._feed.news():
            self._read(event)

    def _read(self, event: Event) -> None:
        if isinstance(event, SessionArrived):
            self._there[event.session] = event.at
        elif isinstance(event, SessionAdmitted) and event.session in self._submits:
            waited = event.at - self._there.pop(event.session, event.at)
            submit = self._submits.pop(event.session)
            self._inside.add(event.session)
            self._record(SessionAdmitted(submit.at + waited, event.session))
            self._record(dataclasses.replace(submit, at=submit.at + waited))

    def _give_up(self, session: str) -> None:
        """The server has answered, and the gateway not said when it let the session in."""
        submit = self._submits.pop(session, None)
        if submit is not None:
            self._inside.add(session)
            self._record(submit)

    def _tell(self, event: ToolStart | ToolEnd) -> None:
        body: dict[str, object] = {"session_id": event.session, "name": event.name}
        body["call"] = str(event.call)
        if isinstance(event, ToolStart) and event.burns_cpu is not None:
            body["burns_cpu"] = event.burns_cpu
        self._feed.post(event.kind, body)

    async def close(self) -> None:
        """One last look; what is still under way is given up."""
        self._feed.give_up()
        await self._feed.settled()
        await self.look()
        for session in self._answered:
            self._give_up(session)
