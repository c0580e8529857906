"""Plays agents: they come when they are due, run in workers, and end or are ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import IO, Any

from marsbench.wall.agents.agents import Agents
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.plan import AgentPlan, AgentSession
from marsbench.wall.agents.timeline import Timeline, TimeShares
from marsbench.wall.arrivals import play_all
from marsbench.wall.gateway import GatewayLink, NoGateway
from marsbench.wall.stage import Stage

# An agent that is killed must have said so by then; else its process is taken for gone.
KILL_S = 10.0


class AgentPlayer:
    """One play of a plan, in seconds of the stage's clock.

    orders: what a session's process is told. raw: where every message goes as it comes.
    told: called for every session that has ended: why it failed, and where its seconds went.
    """

    def __init__(
        self, plan: AgentPlan, options: OpenHandsOptions,
        orders: Callable[[AgentSession], dict[str, Any]], agents: Agents, stage: Stage,
        gateway: NoGateway, raw: IO[str], told: Callable[[str, str | None, TimeShares], None],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._options = options
        self._orders = orders
        self._agents = agents
        self._clock = stage.clock
        self._names = stage.names
        self._gateway = gateway
        self._raw = raw
        self._told = told
        waits_s = gateway.waits_s if isinstance(gateway, GatewayLink) else None
        self._timeline = Timeline(gateway, stage.recorder.open_since, waits_s)
        self._workers = asyncio.Semaphore(options.workers)
        self._gone: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Returns when every session has ended. Raises RunFailedError without the launcher."""
        lanes, workers = self._plan.lanes, self._options.workers
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen())
                # No lane waits for a worker: its session would have arrived before it could begin.
                lanes = lanes and min(lanes, workers)
                await play_all(self._plan.sessions, lanes, self._clock, self._play)
                listening.cancel()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _play(self, session: AgentSession, at: float) -> float:
        """From its arrival until its process is gone."""
        self._timeline.arrived(session.id, at)
        async with self._workers:
            gone = self._gone[session.id] = asyncio.Event()
            self._agents.start(self._orders(session))
            try:
                await asyncio.wait_for(gone.wait(), self._options.time_limit_s)
            except TimeoutError:
                await self._kill(session.id, gone)
        return self._clock.now

    async def _kill(self, session: str, gone: asyncio.Event) -> None:
        limit = self._options.time_limit_s
        self._end(session, self._clock.now, f"killed at its time limit of {limit:g} s")
        self._agents.kill(self._names.of(session))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), KILL_S)

    async def _listen(self) -> None:
        async for message in self._agents.messages():
            message["session"] = self._names.own(message["session"])
            self._raw.write(json.dumps(message) + "\n")
            if message.get("round") == 0 and message["kind"] == "llm_end":
                # It was let in, and the gateway may be asked for the next time after this.
                await self._gateway.learn_wait(message["session"])
            self._take(message, self._clock.of(message["at"]))

    def _take(self, message: dict[str, Any], at: float) -> None:
        session = message["session"]
        if message["kind"] == "end":
            self._end(session, at, message["reason"])
        elif message["kind"] == "exit":
            self._end(session, at, f"its process ended with {message['code']}, saying nothing")
            self._gone[session].set()
        else:
            self._timeline.told(at, message)

    def _end(self, session: str, at: float, reason: str | None) -> None:
        shares = self._timeline.ended(session, at, reason)
        if shares is not None:
            self._gateway.post("session_end", {"session_id": session})
            self._told(session, reason, shares)
