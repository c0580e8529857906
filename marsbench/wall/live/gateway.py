"""Admissions in the stream of a live run: a first request is kept back until its own is known."""

from __future__ import annotations

import asyncio
import dataclasses

import httpx

from marsbench.core.events import (
    Event,
    GpuFirstToken,
    GpuSubmit,
    RoundReady,
    SessionAdmitted,
    SessionArrived,
)
from marsbench.wall.gateway import GatewayLink, Record
from marsbench.wall.nonce import WireNames

# Events are kept back for so many wall seconds, in which an admission is read off the gateway.
PATIENCE_S = 2.0


class LiveGateway(GatewayLink):
    """Until its admission is known, a session's first request is kept back from the stream.

    Sub-agents are let in with their parents. The gateway is told when the last of `to_arrive`
    sessions has come.
    """

    def __init__(
        self,
        record: Record,
        http: httpx.AsyncClient,
        root: str,
        names: WireNames,
        to_arrive: int,
    ) -> None:
        super().__init__(record, http, root, names)
        self._to_arrive = to_arrive
        self._inside: set[str] = set()  # sub-agents, and who is known to have been let in
        self._submits: dict[str, GpuSubmit] = {}
        self._answered: set[str] = set()  # although nobody knows when they were let in

    def __call__(self, event: Event) -> None:
        if isinstance(event, SessionArrived):
            self._arrived(event)
        if isinstance(event, GpuSubmit) and self._waits(event):
            self._submits[event.session] = event
            return
        super().__call__(event)
        if isinstance(event, RoundReady) and event.round == 0 and event.session in self._inside:
            self._record(SessionAdmitted(event.at, event.session))
        elif isinstance(event, GpuFirstToken) and event.session in self._submits:
            self._answered.add(event.session)
            loop = asyncio.get_running_loop()
            loop.call_later(PATIENCE_S / 2, self._give_up, event.session)

    def _arrived(self, event: SessionArrived) -> None:
        if event.parent is not None:
            self._inside.add(event.session)
            return
        self._to_arrive -= 1
        if not self._to_arrive:
            self.post("arrivals_over", {})

    def _waits(self, event: GpuSubmit) -> bool:
        return event.round == 0 and event.session not in self._inside

    def _admitted(self, session: str, wait_s: float) -> None:
        submit = self._submits.pop(session, None)
        if submit is not None:
            self._inside.add(session)
            self._record(SessionAdmitted(submit.at + wait_s, session))
            self._record(dataclasses.replace(submit, at=submit.at + wait_s))

    def _give_up(self, session: str) -> None:
        """The server has answered, and the gateway not said when it let the session in."""
        submit = self._submits.pop(session, None)
        if submit is not None:
            self._inside.add(session)
            self._record(submit)

    async def close(self) -> None:
        """One last look; what is still under way is given up."""
        for post in self._posts:
            post.cancel()
        await super().close()
        for session in self._answered:
            self._give_up(session)
