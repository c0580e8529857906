"""A run of real agents: their workspaces, their play, the checks of what they did."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marsbench.core.events import (
    Event,
    Evicted,
    GpuFirstToken,
    GpuStart,
    Held,
    HostEvicted,
    Preempted,
    SwappedIn,
    SwappedOut,
    Unheld,
)
from marsbench.core.job import run_folder
from marsbench.core.request import RunRequest
from marsbench.core.runs import CautionNote, RunConfig, RunSummary, RunWriter
from marsbench.core.workload.make import Knobs
from marsbench.core.workload.streams import stream
from marsbench.tasks.check import check_task
from marsbench.tasks.digest import digest
from marsbench.tasks.files import load_tasks
from marsbench.tasks.task import Task, first_message
from marsbench.tasks.workspace import make_workspace
from marsbench.text.progress import progress_bar, waiting_for
from marsbench.wall.agents.agents import Agents, agents_of
from marsbench.wall.agents.alone import read_alone, write_alone
from marsbench.wall.agents.beside import beside
from marsbench.wall.agents.environment import agents_python
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.plan import AgentPlan, AgentSession, make_plan
from marsbench.wall.agents.play import Play, Rules
from marsbench.wall.agents.results import TaskResult, write_results
from marsbench.wall.agents.timeline import Timeline
from marsbench.wall.clock import WallClock
from marsbench.wall.server import KEY, Server, check_backend, probe

RAW, LOG = "agents.jsonl", "agents.log"
# An agent that does not stream sees no first token, and no client sees what a server does inside.
HIDDEN = (
    GpuStart,
    GpuFirstToken,
    Preempted,
    Held,
    Unheld,
    SwappedOut,
    SwappedIn,
    HostEvicted,
)
MAX_INPUT_TOKENS, MAX_OUTPUT_TOKENS = 1_000_000, 4096


@dataclass(frozen=True)
class AgentsJob:
    """A request that can be played: what answers, the tasks, and where agents live."""

    request: RunRequest
    options: OpenHandsOptions
    server: Server
    tasks: tuple[Task, ...]
    plan: AgentPlan
    python: Path
    place: Path

    def play_name(self) -> str:
        """What a progress bar says."""
        return f"{self.request.choice.name} on {self.plan.name}, real agents"


@dataclass
class Stage:
    """One play of a plan: what was made for it and what came of it."""

    job: AgentsJob
    plan: AgentPlan
    folder: Path
    timeline: Timeline
    reasons: dict[str, str | None] = field(default_factory=dict)

    def workspace(self, session: AgentSession) -> Path:
        """Where the session's repository is."""
        return self.folder / f"{session.number:03d}-{session.task.id}"

    def make_workspaces(self) -> None:
        """All before the first agent: it costs nothing that is measured. Raises UsageError."""
        for session in self.plan.sessions:
            make_workspace(session.task, self.workspace(session))

    def job_of(self, session: AgentSession) -> dict[str, Any]:
        """What the agent's process is told."""
        options, workspace = self.job.options, self.workspace(session)
        rng = stream(self.plan.seed, f"digest {self.plan.hash}", session.number)
        text = digest(workspace, options.context_tokens, rng)
        return {
            "session": session.id,
            "task": session.task.id,
            "prompt": first_message(session.task, str(workspace), text),
            "workspace": str(workspace),
            "persistence": str(self.folder / "conversations"),
            "model": self.job.server.model,
            "url": f"{options.root}/v1",
            "api_key": os.environ.get(KEY, "EMPTY"),
            "time_limit_s": options.time_limit_s,
            "max_rounds": options.max_rounds,
            "max_input_tokens": MAX_INPUT_TOKENS,
            "max_output_tokens": MAX_OUTPUT_TOKENS,
        }

    async def play(self, agents: Agents, raw: Path, told: Callable[[int], None]) -> None:
        """All agents to their ends."""
        options, clock = self.job.options, WallClock()
        ids = [session.id for session in self.plan.sessions]

        def ended(session: str, reason: str | None) -> None:
            self.reasons[session] = reason
            told(len(self.reasons))

        rules = Rules(options.workers, options.time_limit_s)
        record, kv = self.timeline, options.kv_events
        with raw.open("w", encoding="utf-8") as file:
            async with beside(self.job.server, clock, record, kv, ids) as gateway:
                play = Play(
                    self.plan, agents, self.job_of, rules, clock, record, gateway, file, ended
                )
                await play.run()

    def results(self, told: Callable[[int], None]) -> Iterator[TaskResult]:
        """Checks every task, now that nobody is measured any more."""
        for number, session in enumerate(self.plan.sessions, 1):
            check = check_task(session.task, self.workspace(session))
            reason = self.reasons.get(session.id)
            yield TaskResult(session, reason, self.timeline.shares(session.id), check)
            told(number)


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be.
    """
    options = request.own
    assert isinstance(options, OpenHandsOptions), "real agents are asked for with their options"
    python = agents_python()
    server = probe(options.root, options.served_model)
    check_backend(request.choice, server, speed=1.0)
    tasks = load_tasks(options.tasks)
    plan = make_plan(tasks, options.tasks, request.knobs, options.context_tokens)
    with _place(options.keep) as place:
        job = AgentsJob(request, options, server, tasks, plan, python, place)
        return asyncio.run(_run(job))


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """Where workspaces are: thrown away at the end, or kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    context = nullcontext(str(keep)) if keep else tempfile.TemporaryDirectory(prefix="marsbench-")
    with context as folder:
        yield Path(folder).resolve()


async def _run(job: AgentsJob) -> tuple[Path, RunSummary]:
    show = job.request.show_progress
    log = job.place / LOG
    with waiting_for("importing OpenHands", show):
        started = agents_of(job.python, log, job.place / "home")
        agents = await started.__aenter__()
    try:
        ideal = await _alone(job, agents)
        with run_folder(job.request, _config(job, agents.version, ideal is not None)) as writer:
            if ideal is not None:
                writer.save_ideal({s.id: ideal[s.task.id] for s in job.plan.sessions
                                   if s.task.id in ideal})  # fmt: skip
            try:
                results = await _play(job, agents, writer)
            finally:
                shutil.copy(log, writer.path / LOG)
            return writer.path, writer.finish(cautions=_cautions(job, results))
    finally:
        await started.__aexit__(None, None, None)


async def _play(job: AgentsJob, agents: Agents, writer: RunWriter) -> list[TaskResult]:
    show, count = job.request.show_progress, len(job.plan.sessions)
    stage = Stage(job, job.plan, job.place / "workspaces", Timeline(writer.emit))
    stage.make_workspaces()
    with progress_bar(job.play_name(), count, show) as told:
        await stage.play(agents, writer.path / RAW, told)
    with progress_bar("checking what was done", count, show) as told:
        results = list(stage.results(told))
    write_results(writer.path, results)
    return results


async def _alone(job: AgentsJob, agents: Agents) -> dict[str, float] | None:
    """Seconds of every task alone, from the file or measured now; None where nobody asked."""
    path = job.options.alone
    if path is None:
        return None
    conditions = {"tasks": job.plan.meta["tasks"], "context_tokens": job.options.context_tokens,
                  "model": job.server.model, "openhands": agents.version}  # fmt: skip
    known = read_alone(path, conditions)
    if known is not None:
        return known
    # Other ids and other digests, so that nothing of theirs is in the cache of the run.
    knobs = Knobs(sessions=len(job.tasks), arrivals="closed:1", seed=job.plan.seed)
    plan = make_plan(job.tasks, job.plan.name, knobs, job.options.context_tokens, "alone")
    seen: list[Event] = []
    stage = Stage(job, plan, job.place / "alone", Timeline(seen.append))
    stage.make_workspaces()
    with progress_bar("each task alone", len(plan.sessions), job.request.show_progress) as told:
        await stage.play(agents, job.place / "alone.jsonl", told)
    seconds = _completions(stage)
    write_alone(path, conditions, seconds)
    return seconds


def _completions(stage: Stage) -> dict[str, float]:
    """Arrival to end of each task that was finished."""
    found = {}
    for session in stage.plan.sessions:
        shares = stage.timeline.shares(session.id)
        if shares is not None and stage.reasons.get(session.id) is None:
            found[session.task.id] = shares.total_s
    return found


def _config(job: AgentsJob, version: str, has_alone: bool) -> RunConfig:
    request, scrape = job.request, job.server.scrape
    hardware = request.hardware
    options = asdict(job.options)
    for where in ("url", "alone", "keep"):  # places say nothing of what was measured
        del options[where]
    hidden = [kind.kind for kind in HIDDEN]
    if job.options.kv_events is None:
        hidden.append(Evicted.kind)
    options["kv_events"] = job.options.kv_events is not None
    alone = "each task first, one agent at a time on this server" if has_alone else "none"
    return RunConfig(
        backend=request.choice.name,
        params=request.choice.params,
        engine=request.engine,
        workload=job.plan.name,
        workload_hash=job.plan.hash,
        workload_meta=job.plan.meta,
        seed=job.plan.seed,
        offered_sessions=len(job.plan.sessions),
        hardware={**hardware.identity, "kv_tokens": _kv_tokens(job.server)},
        settings={
            **options,
            "openhands_sdk": version,
            "isolated": alone,
            "lanes": job.plan.lanes,
            "server": job.server.facts,
        },
        alphas=request.alphas,
        asked=request.asked,
        block_size=None if scrape is None else scrape.block_size,
        total_blocks=None if scrape is None else scrape.num_blocks,
        unmeasured=tuple(hidden),
    )


def _kv_tokens(server: Server) -> int | None:
    scrape = server.scrape
    if scrape is None or scrape.num_blocks is None or scrape.block_size is None:
        return None
    return scrape.num_blocks * scrape.block_size


def _cautions(job: AgentsJob, results: list[TaskResult]) -> list[CautionNote]:
    """What to know of these agents before believing the figures."""
    notes: list[CautionNote] = []
    missed = sum(not (r.check and r.check.passed) for r in results)
    if missed:
        notes.append({"code": "CHECK_FAILED", "text": (
            f"{missed} of {len(results)} tasks did not pass their own check; read latency only "
            "of what was done, and find out why in tasks.json.")})  # fmt: skip
    waits = [r.shares.wait_s for r in results if r.shares is not None]
    late = sum(wait > 1.0 for wait in waits)
    if late:
        notes.append({"code": "CLIENT_LAGGED", "text": (
            f"{late} of {len(waits)} agents began over a second after they had arrived, the last "
            f"{max(waits):.1f} s: their harness was measured, not the server; raise --workers "
            f"above {job.options.workers}, or use a machine with more cores.")})  # fmt: skip
    return notes
