"""Plays a plan: agents come when they are due, run in workers, and end or are ended."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from marsbench.wall.agents.agents import Agents
from marsbench.wall.agents.gateway import NoGateway
from marsbench.wall.agents.plan import AgentPlan, AgentSession
from marsbench.wall.agents.timeline import Timeline
from marsbench.wall.clock import WallClock

WRITE_S = 0.25
# An agent that is killed must have said so by then; else its process is taken for gone.
KILL_S = 10.0

MakeJob = Callable[[AgentSession], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rules:
    """workers: agents at once. time_limit_s: seconds that one may take."""

    workers: int
    time_limit_s: float


class Play:
    """One play of a plan, in seconds of the clock, which begins with it.

    gateway: learns of tools as they start and end. told: called for every session that has ended.
    raw: where every message is appended as it comes, so that a killed run has lost nothing.
    """

    def __init__(
        self, plan: AgentPlan, agents: Agents, make_job: MakeJob, rules: Rules,
        clock: WallClock, timeline: Timeline, gateway: NoGateway, raw: IO[str],
        told: Callable[[str, str | None], None],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._agents = agents
        self._make_job = make_job
        self._rules = rules
        self._clock = clock
        self._timeline = timeline
        self._gateway = gateway
        self._raw = raw
        self._told = told
        self._waiting: deque[AgentSession] = deque()
        self._busy: dict[str, asyncio.TimerHandle] = {}
        self._left = {session.id for session in plan.sessions}
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Returns when every session has ended. Raises RunFailedError without the launcher."""
        self._clock.start()
        try:
            async with asyncio.TaskGroup() as group:
                others = [group.create_task(step()) for step in (self._listen, self._write)]
                await self._arrive()
                await self._done.wait()
                for task in others:
                    task.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            for timer in self._busy.values():
                timer.cancel()
            self._timeline.close()

    async def _arrive(self) -> None:
        """On a schedule, whatever the agents do; or one for every lane that is free."""
        if self._plan.lanes is not None:
            for session in self._plan.sessions:
                self._waiting.append(session)
            self._fill()
            return
        for session in self._plan.sessions:
            self._come(session, await self._clock.until(session.arrival_s))
            self._waiting.append(session)
            self._fill()

    def _fill(self) -> None:
        lanes = self._plan.lanes
        room = self._rules.workers if lanes is None else min(lanes, self._rules.workers)
        while self._waiting and len(self._busy) < room:
            session = self._waiting.popleft()
            if lanes is not None:
                self._come(session, self._clock.now)
            self._agents.start(self._make_job(session))
            self._set_limit(session.id, self._rules.time_limit_s, self._overdue)

    def _come(self, session: AgentSession, at: float) -> None:
        self._timeline.arrived(session.id, at)
        self._gateway.arrived(session.id, at)

    def _set_limit(self, session: str, seconds: float, action: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self._busy[session] = loop.call_later(seconds, action, session)

    def _overdue(self, session: str) -> None:
        limit = self._rules.time_limit_s
        self._end(session, self._clock.now, f"killed at its time limit of {limit:g} s")
        self._agents.kill(session)
        self._set_limit(session, KILL_S, self._free)

    async def _listen(self) -> None:
        async for message in self._agents.messages():
            self._raw.write(json.dumps(message) + "\n")
            self._take(message, self._clock.of(message["at"]))

    def _take(self, message: dict[str, Any], at: float) -> None:
        session = message["session"]
        if message["kind"] == "end":
            self._end(session, at, message["reason"])
        elif message["kind"] == "exit":
            self._end(session, at, f"its process ended with {message['code']}, saying nothing")
            self._free(session)
        else:
            self._timeline.told(at, message)
            self._gateway.told(message)

    def _end(self, session: str, at: float, reason: str | None) -> None:
        if session in self._left:
            self._left.remove(session)
            self._timeline.ended(session, at, reason)
            self._gateway.ended(session)
            self._told(session, reason)

    def _free(self, session: str) -> None:
        timer = self._busy.pop(session, None)
        if timer is not None:
            timer.cancel()
        self._fill()
        if not self._left and not self._busy:
            self._done.set()

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            self._timeline.write(self._clock.now)
            self._raw.flush()
