"""What a live run and a gateway tell each other: tool calls one way, admissions the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from marsbench import events
from marsbench.engine.live.client import NO_ANSWER
from marsbench.engine.live.wire import Wire

Record = Callable[[events.Event], None]
POLL_S = 0.2
ANSWER_S = 5.0


class NoGateway:
    """Nobody stands before the server: whoever arrives is in."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def arrived(self, session: str, at: float, parent: str | None) -> None:
        """A session has arrived."""
        self._record(events.SessionAdmitted(at, session))

    def tool(self, what: str, session: str, name: str, call: int) -> None:
        """A tool call began ("tool_start") or ended ("tool_end")."""


class Gateway(NoGateway):
    """A gateway that admits: its admissions are read off its own event stream.

    Its clock is not ours, but a wait is a difference of its own times: a session that the gateway
    let in after w seconds was admitted w after it arrived here. Sub-agents are let in with their
    parents and counted so.
    """

    def __init__(self, record: Record, wire: Wire, root: str) -> None:
        super().__init__(record)
        self._wire = wire
        self._root = root
        self._arrived: dict[str, float] = {}
        self._there: dict[str, float] = {}
        self._next = 0
        self._posts: set[asyncio.Task[None]] = set()

    def arrived(self, session: str, at: float, parent: str | None) -> None:
        if parent is None:
            self._arrived[session] = at
        else:
            super().arrived(session, at, parent)

    def tool(self, what: str, session: str, name: str, call: int) -> None:
        body = {"session_id": session, "name": name, "call": str(call)}
        task = asyncio.create_task(self._post(f"{self._root}/marsbench/{what}", body))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def follow(self) -> None:
        """Read admissions for ever; the first look only finds where the stream has come to."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Read what the gateway has said since the last look."""
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

    def _read(self, event: events.Event) -> None:
        if isinstance(event, events.SessionArrived):
            self._there[event.session] = event.at
        elif isinstance(event, events.SessionAdmitted) and event.session in self._arrived:
            waited = event.at - self._there.get(event.session, event.at)
            at = self._arrived.pop(event.session) + waited
            self._record(events.SessionAdmitted(at, event.session))

    async def _post(self, url: str, body: dict[str, str]) -> None:
        try:
            await self._wire.client.post(url, json=body, timeout=ANSWER_S)
        except (TimeoutError, *NO_ANSWER):
            return  # the gateway then infers the call from the gap between rounds

    async def close(self) -> None:
        """One last look; posts that are still under way are given up."""
        for task in tuple(self._posts):
            task.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        await self.look()
