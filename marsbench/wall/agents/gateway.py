"""What agents and a gateway tell each other: admissions one way, tools and ends the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from marsbench.core import events
from marsbench.wall.agents.timeline import Timeline
from marsbench.wall.feed import Feed

POLL_S = 0.2
ANSWER_S = 5.0
TOLD = ("tool_start", "tool_end")


class NoGateway:
    """Nobody stands before the server: whoever arrives is in."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def arrived(self, session: str, at: float) -> None:
        """A session has arrived."""
        self._timeline(events.SessionAdmitted(at, session))

    def told(self, message: Mapping[str, Any]) -> None:
        """An agent's message: a tool call that began or ended."""

    def ended(self, session: str) -> None:
        """A session is over, however it ended."""


class Gateway(NoGateway):
    """A gateway that admits: its admissions are read off its own event stream.

    Its clock is not ours, but a wait is a difference of its own times: a session that it let in
    after w seconds was admitted w after its first request was sent.
    """

    def __init__(self, timeline: Timeline, http: httpx.AsyncClient, root: str) -> None:
        super().__init__(timeline)
        self._feed = Feed(http, root, ANSWER_S)
        self._there: dict[str, float] = {}

    def arrived(self, session: str, at: float) -> None:
        """The gateway knows it by its first request, and lets it in then or later."""

    def told(self, message: Mapping[str, Any]) -> None:
        if message["kind"] in TOLD:
            facts = {"name": message["name"], "call": f"{message['round']}.{message['call']}"}
            self._feed.post(message["kind"], {"session_id": message["session"], **facts})

    def ended(self, session: str) -> None:
        self._feed.post("session_end", {"session_id": session})

    async def follow(self) -> None:
        """Reads admissions for ever."""
        while True:
            await self.look()
            await asyncio.sleep(POLL_S)

    async def look(self) -> None:
        """Reads what the gateway has said since the last look."""
        for event in await self._feed.news():
            self._read(event)

    def _read(self, event: events.Event) -> None:
        if isinstance(event, events.SessionArrived):
            self._there[event.session] = event.at
        elif isinstance(event, events.SessionAdmitted) and event.session in self._there:
            self._timeline.admitted(event.session, event.at - self._there.pop(event.session))

    async def close(self) -> None:
        """One last look; posts that are still under way are waited for."""
        await self._feed.settled()
        await self.look()
