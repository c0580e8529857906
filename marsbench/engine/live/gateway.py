"""Admissions in the stream, and what a live run and a gateway tell each other for it.

Both classes stand between whoever learns of events and the recorder that orders them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from marsbench import events
from marsbench.engine.live.wire import NO_ANSWER, Wire
from marsbench.events import (
    Event,
    GpuFirstToken,
    GpuSubmit,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
    ToolEnd,
    ToolStart,
)

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
    their parents. The gateway is told of tool calls, as a framework would tell it.
    """

    def __init__(self, record: Record, wire: Wire, root: str) -> None:
        super().__init__(record)
        self._wire = wire
        self._root = root
        self._inside: set[str] = set()  # sub-agents, and who is known to have been let in
        self._submits: dict[str, GpuSubmit] = {}
        self._answered: set[str] = set()  # although nobody knows when they were let in
        self._there: dict[str, float] = {}
        self._next = 0
        self._posts: set[asyncio.Task[None]] = set()

    def __call__(self, event: Event) -> None:
        if isinstance(event, SessionArrived) and event.parent is not None:
            self._inside.add(event.session)
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

    def _waits(self, event: GpuSubmit) -> bool:
        return event.round == 0 and event.session not in self._inside

    async def follow(self) -> None:
        """Read admissions for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.look()

    async def look(self) -> None:
        """Read what the gateway has said since the last look; before a run, what it said before."""
        url = f"{self._root}/marsbench/events?since={self._next}"
        try:
            answer = await self._wire.client.get(url, timeout=ANSWER_S)
        except NO_ANSWER:
            return  # a dead gateway shows in the rounds that it no longer answers
        if answer.status_code != 200:
            return
        self._next = int(answer.headers.get("X-Next", self._next))
        for line in answer.text.splitlines():
            self._read(events.from_json(line))

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
        body = {"session_id": event.session, "name": event.name, "call": str(event.call)}
        task = asyncio.create_task(self._post(f"{self._root}/marsbench/{event.kind}", body))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _post(self, url: str, body: dict[str, str]) -> None:
        try:
            await self._wire.client.post(url, json=body, timeout=ANSWER_S)
        except NO_ANSWER:
            return  # the gateway then infers the call from the gap between rounds

    async def close(self) -> None:
        """One last look; what is still under way is given up."""
        for task in tuple(self._posts):
            task.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        await self.look()
        for session in self._answered:
            self._give_up(session)
