"""One play of a plan: its workspaces, what each agent is told, and what came of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marsbench.core.events import Event
from marsbench.core.session import Round, Session
from marsbench.core.workload.draws import stream
from marsbench.runs.request import RunRequest
from marsbench.tasks.check import check_task
from marsbench.tasks.digest import digest
from marsbench.tasks.task import Task, first_message
from marsbench.tasks.workspace import make_workspace
from marsbench.wall.agents.agents import Agents
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.plan import AgentPlan, AgentSession
from marsbench.wall.agents.player import AgentPlayer
from marsbench.wall.agents.results import TaskResult
from marsbench.wall.agents.timeline import TimeShares
from marsbench.wall.company import Company, look_around
from marsbench.wall.gateway import GatewayLink, NoGateway
from marsbench.wall.nonce import WireNames, in_uuid
from marsbench.wall.server import KEY, Server
from marsbench.wall.stage import Stage

# What a message from another process takes to arrive, and more.
PATIENCE_S = 1.0
MAX_INPUT_TOKENS, MAX_OUTPUT_TOKENS = 1_000_000, 4096


@dataclass(frozen=True)
class AgentsJob:
    """A request that can be played: what answers, the tasks, and where agents live.

    names: of the sessions on the wire, where each is its conversation's id.
    """

    request: RunRequest
    options: OpenHandsOptions
    server: Server
    tasks: tuple[Task, ...]
    plan: AgentPlan
    python: Path
    place: Path
    names: WireNames = field(default_factory=lambda: WireNames(in_uuid))


class AgentPlay:
    """One play of a plan: what is made for it in `folder`, and what comes of it.

    emit: takes its events, in order.
    """

    def __init__(
        self, job: AgentsJob, plan: AgentPlan, folder: Path, emit: Callable[[Event], None]
    ) -> None:
        self.plan = plan
        self.ended: dict[str, tuple[str | None, TimeShares]] = {}
        self.company = Company(job.options.share)
        self._job = job
        self._folder = folder
        self._emit = emit

    def workspace(self, session: AgentSession) -> Path:
        """Where the session's repository is."""
        return self._folder / f"{session.number:03d}-{session.task.id}"

    def make_workspaces(self) -> None:
        """All before the first agent: it costs nothing that is measured. Raises UsageError."""
        for session in self.plan.sessions:
            make_workspace(session.task, self.workspace(session))

    def orders(self, session: AgentSession) -> dict[str, Any]:
        """What the agent's process is told."""
        options, workspace = self._job.options, self.workspace(session)
        rng = stream(self.plan.seed, f"digest {self.plan.hash}", session.number)
        text = digest(workspace, options.context_tokens, rng)
        return {
            "session": self._job.names.of(session.id),
            "task": session.task.id,
            "prompt": first_message(session.task, str(workspace), text),
            "workspace": str(workspace),
            "persistence": str(self._folder / "conversations"),
            "model": self._job.server.model,
            "url": f"{options.root}/v1",
            "api_key": os.environ.get(KEY, "EMPTY"),
            "time_limit_s": options.time_limit_s,
            "max_rounds": options.max_rounds,
            "max_input_tokens": MAX_INPUT_TOKENS,
            "max_output_tokens": MAX_OUTPUT_TOKENS,
        }

    async def play(self, agents: Agents, raw: Path, told: Callable[[int], None]) -> None:
        """All agents to their ends. Raises RunFailedError without the launcher.

        raw: where every message is appended as it comes, so that a killed run has lost nothing.
        told: how many sessions have ended.
        """
        job = self._job

        def ended(session: str, reason: str | None, shares: TimeShares) -> None:
            self.ended[session] = (reason, shares)
            told(len(self.ended))

        with raw.open("w", encoding="utf-8", buffering=1) as file:
            async with Stage(job.server, self._emit, job.names, patience_s=PATIENCE_S) as stage:
                show = job.request.show_progress
                await look_around(stage.wire.client, job.server, self.company, show)
                gateway = await self._gateway(stage)
                player = AgentPlayer(
                    self.plan, job.options, self.orders, agents, stage, gateway, file, ended
                )
                await stage.watch(lambda: len(self.ended) == len(self.plan.sessions), lambda: None)
                # Nothing of these sessions is shared that could be told apart by its position.
                owners = {s.id: Session(s.id, (Round(1, 1),)) for s in self.plan.sessions}
                await stage.listen(job.options.kv_events, owners)
                stage.begin()
                await player.run()

    async def _gateway(self, stage: Stage) -> NoGateway:
        if stage.server.gateway is None:
            return NoGateway(stage.recorder)
        link = GatewayLink(stage.recorder, stage.wire.client, stage.server.root, stage.names)
        await stage.follow(link, self.company)
        return link

    def results(self, told: Callable[[int], None]) -> Iterator[TaskResult]:
        """Checks every task, now that nobody is measured any more."""
        for number, session in enumerate(self.plan.sessions, 1):
            reason, shares = self.ended[session.id]
            check = check_task(session.task, self.workspace(session))
            yield TaskResult(session, reason, shares, check)
            told(number)

    def seconds(self) -> dict[str, float]:
        """Arrival to end of each task that was finished."""
        found = {}
        for session in self.plan.sessions:
            reason, shares = self.ended[session.id]
            if reason is None:
                found[session.task.id] = shares.total_s
        return found
