"""Sessions on the wall clock: they arrive, generate, run tools, and end, each in a task of its own.

Arrivals are open loop (or N lanes), rounds closed loop, as in the simulator: a round is ready when
the last tool call before it has ended, and a sub-agent is a session that a tool call waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import astuple

from marsbench.core import events
from marsbench.core.rounds import Futures
from marsbench.core.session import Generate, RunTools, Session, ToolCall, play
from marsbench.wall.arrivals import play_all
from marsbench.wall.live.client import Ask, RoundFailedError, Rounds
from marsbench.wall.live.job import LiveJob
from marsbench.wall.live.prompts import PromptContext
from marsbench.wall.live.tools import ToolRunner
from marsbench.wall.stage import Stage


class Player:
    """Plays sessions. Nothing it does waits for the server but the session concerned."""

    def __init__(
        self,
        job: LiveJob,
        stage: Stage,
        rounds: Rounds,
        tools: ToolRunner,
        record: Callable[[events.Event], None],
    ) -> None:
        self._job = job
        self._wire = stage.wire
        self._clock = stage.clock
        self._rounds = rounds
        self._tools = tools
        self._record = record

    async def play(self, sessions: Sequence[Session], lanes: int | None) -> None:
        """All sessions to their ends. Raises ServerDiedError when there is no server left."""

        async def one(session: Session, at: float) -> float:
            return (await self._session(session, at))[0]

        await play_all(sessions, lanes, self._clock, one)

    async def _session(
        self, session: Session, at: float, parent: str | None = None
    ) -> tuple[float, str | None]:
        """When it ended, and why it failed, if it did."""
        self._record(events.SessionArrived(at, session.id, session.tenant, parent))
        self._record(events.RoundReady(at, session.id, 0))
        try:
            at = await self._steps(session, at, parent)
        except RoundFailedError as error:
            at = max(at, error.at)
            self._record(events.SessionEnded(at, session.id, "failed", error.reason))
            return at, error.reason
        self._record(events.SessionEnded(at, session.id, "finished"))
        return at, None

    async def _steps(self, session: Session, at: float, parent: str | None) -> float:
        job = self._job
        context = job.context(session, self._wire)
        tail = None if job.template is None else job.template.tail
        reusable = Reusable(job.server.block_size, tail)
        futures = Futures(session)
        for step in play(session):
            if isinstance(step, RunTools):
                at = await self._run_tools(session, step, at)
                continue
            if step.prompt.round:
                self._record(events.RoundReady(at, session.id, step.prompt.round))
            ask = self._ask(session, step, context, at, parent)
            ask.reusable_tokens = reusable.before(step)
            if job.is_clairvoyant:
                ask.future = list(astuple(futures.of(step.prompt.round)))
            at = await self._rounds.ask(ask)
        return at

    def _ask(
        self,
        session: Session,
        step: Generate,
        context: PromptContext,
        at: float,
        parent: str | None,
    ) -> Ask:  # fmt: skip
        calls = () if step.is_last else session.rounds[step.prompt.round].tools
        tools = tuple(call.name for call in calls)
        return Ask(session.id, step.prompt, context, at, step.is_last, tools, parent)

    # --- tools

    async def _run_tools(self, session: Session, step: RunTools, at: float) -> float:
        """When the last call has ended. All of them are waited for, even if a sub-agent fails."""
        calls = [
            self._run_tool(session, step.round, number, call, at)
            for number, call in enumerate(step.calls)
        ]
        ends = await asyncio.gather(*calls)
        last = max(end for end, _ in ends)
        for _, reason in ends:
            if reason is not None:
                raise RoundFailedError(reason, last)
        return last

    async def _run_tool(
        self, session: Session, number: int, index: int, call: ToolCall, at: float
    ) -> tuple[float, str | None]:
        child = None if call.child is None else call.child.id
        burns_cpu = self._tools.burns_cpu(call)
        self._record(events.ToolStart(at, session.id, number, index, call.name, child, burns_cpu))
        reason = None
        if call.child is None:
            end = await self._tools.run(call, at)
        else:
            end, reason = await self._run_agent(session, call, call.child, at)
        self._record(events.ToolEnd(end, session.id, number, index, call.name))
        return end, reason

    async def _run_agent(
        self, session: Session, call: ToolCall, child: Session, at: float
    ) -> tuple[float, str | None]:
        begin = await self._clock.until(at + child.arrival_s)
        end, failed = await self._session(child, begin, session.id)
        end = max(end, await self._clock.until(at + call.floor_s))
        return end, None if failed is None else f"sub-agent {child.id}: {failed}"


class Reusable:
    """Tokens of a session's next prompt, in whole blocks, that it has had computed before.

    tail: tokens at a prompt's end behind which nothing is part of the next one; None without one.
    """

    def __init__(self, block_size: int | None, tail: int | None = None) -> None:
        self._block_size = block_size
        self._tail = tail
        self._computed = 0
        self._epoch = 0

    def before(self, step: Generate) -> int | None:
        """Of this round's prompt, which counts as computed from now on; None without blocks."""
        prompt, size = step.prompt, self._block_size
        if prompt.epoch != self._epoch:
            self._computed = min(self._computed, prompt.edges[-1][0] if prompt.edges else 0)
            self._epoch = prompt.epoch
        found = max(0, min(self._computed, prompt.num_tokens - 1))
        # The last output token is sampled but never computed.
        kept = prompt.output_tokens - 1 if self._tail is None else -self._tail
        self._computed = prompt.num_tokens + kept
        return None if size is None else found // size * size
