"""Sessions on the wall clock: they arrive, generate, run tools, and end, each in a task of its own.

Arrivals are open loop (or N lanes), rounds closed loop, as in the simulator: a round is ready when
the last tool call before it has ended, and a sub-agent is a session that a tool call waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field

from marsbench.core import events
from marsbench.core.rounds import ComputedTokens, Futures
from marsbench.core.session import Prompt, RunTools, Session, ToolCall, play
from marsbench.wall.arrivals import play_all
from marsbench.wall.live.client import Ask, RoundFailedError, Rounds
from marsbench.wall.live.job import LiveJob
from marsbench.wall.live.prompts import PromptContext
from marsbench.wall.live.tools import ToolRunner
from marsbench.wall.stage import Stage


@dataclass(slots=True)
class _Member:
    """A session under way, or a sub-agent of one, with its prompts and what they had computed."""

    session: Session
    context: PromptContext
    parent: str | None = None
    computed: ComputedTokens = field(default_factory=ComputedTokens)


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
            own = _Member(session, self._job.context(session, self._wire))
            return (await self._session(own, at))[0]

        await play_all(sessions, lanes, self._clock, one)

    async def _session(self, own: _Member, at: float) -> tuple[float, str | None]:
        """When it ended, and why it failed, if it did."""
        session = own.session
        self._record(events.SessionArrived(at, session.id, session.tenant, own.parent))
        self._record(events.RoundReady(at, session.id, 0))
        try:
            at = await self._steps(own, at)
        except RoundFailedError as error:
            at = max(at, error.at)
            self._record(events.SessionEnded(at, session.id, "failed", error.reason))
            return at, error.reason
        self._record(events.SessionEnded(at, session.id, "finished"))
        return at, None

    async def _steps(self, own: _Member, at: float) -> float:
        session, futures = own.session, Futures(own.session)
        for step in play(session):
            if isinstance(step, RunTools):
                at = await self._run_tools(own, step, at)
                continue
            prompt = step.prompt
            if prompt.round:
                self._record(events.RoundReady(at, session.id, prompt.round))
            reusable = self._reusable(own.computed, prompt)
            ask = Ask(session.id, step, own.context, at, own.parent, reusable)
            ask.tenant = session.tenant
            if self._job.is_clairvoyant:
                ask.future = list(astuple(futures.of(prompt.round)))
            at = await self._rounds.ask(ask)
        return at

    def _reusable(self, computed: ComputedTokens, prompt: Prompt) -> int | None:
        """Tokens in whole blocks that were computed before; None where blocks are not known.

        The prompt counts as computed from now on.
        """
        size, template = self._job.server.block_size, self._job.template
        computed.begin(prompt)
        found = None if size is None else computed.reusable(prompt.num_tokens, size)
        computed.end(prompt, None if template is None else template.tail)
        return found

    # --- tools

    async def _run_tools(self, own: _Member, step: RunTools, at: float) -> float:
        """When the last call has ended. All of them are waited for, even if a sub-agent fails."""
        calls = [
            self._run_tool(own, step.round, number, call, at)
            for number, call in enumerate(step.calls)
        ]
        ends = await asyncio.gather(*calls)
        last = max(end for end, _ in ends)
        for _, reason in ends:
            if reason is not None:
                raise RoundFailedError(reason, last)
        return last

    async def _run_tool(
        self, own: _Member, number: int, index: int, call: ToolCall, at: float
    ) -> tuple[float, str | None]:
        name = own.session.id
        child = None if call.child is None else call.child.id
        burns_cpu = self._tools.burns_cpu(call)
        self._record(events.ToolStart(at, name, number, index, call.name, child, burns_cpu))
        reason = None
        if call.child is None:
            end = await self._tools.run(call, at)
        else:
            end, reason = await self._run_agent(own, call, call.child, at)
        self._record(events.ToolEnd(end, name, number, index, call.name))
        return end, reason

    async def _run_agent(
        self, own: _Member, call: ToolCall, child: Session, at: float
    ) -> tuple[float, str | None]:
        begin = await self._clock.until(at + child.arrival_s)
        end, failed = await self._session(self._below(own, child), begin)
        end = max(end, await self._clock.until(at + call.floor_s))
        return end, None if failed is None else f"sub-agent {child.id}: {failed}"

    def _below(self, own: _Member, child: Session) -> _Member:
        """A sub-agent; a branch begins with its parent's context."""
        if child.fork_tokens:
            context = own.context.fork(child)
        else:
            context = self._job.context(child, self._wire)
        return _Member(child, context, own.session.id, own.computed.forked(child))
