"""A run of real agents: each task alone where asked for, the play, the checks of what was done."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from pathlib import Path

from marsbench.core.events import Event, GpuFirstToken, GpuStart
from marsbench.core.workload.knobs import Knobs
from marsbench.runs import CautionNote, RunConfig, RunSummary, RunWriter
from marsbench.runs.job import run_folder
from marsbench.runs.request import RunRequest
from marsbench.tasks.files import load_tasks
from marsbench.text.progress import progress_bar, waiting_for
from marsbench.wall.agents.agents import Agents, agents_of
from marsbench.wall.agents.environment import agents_python
from marsbench.wall.agents.ideals import read_alone, write_alone
from marsbench.wall.agents.options import OpenHandsOptions
from marsbench.wall.agents.plan import make_plan
from marsbench.wall.agents.play import AgentPlay, AgentsJob
from marsbench.wall.agents.results import TaskResult, write_results
from marsbench.wall.company import Company
from marsbench.wall.config import option_facts, server_fields
from marsbench.wall.server import await_server, check_backend

RAW, LOG = "agents.jsonl", "agents.log"


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be.
    """
    options = request.own
    assert isinstance(options, OpenHandsOptions), "real agents are asked for with their options"
    python = agents_python()
    server = await_server(options, request.show_progress)
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
    log = job.place / LOG
    async with AsyncExitStack() as stack:
        with waiting_for("importing OpenHands", job.request.show_progress):
            environment = agents_of(job.python, log, job.place / "home")
            agents = await stack.enter_async_context(environment)
        ideal = await _alone(job, agents)
        with run_folder(job.request, _config(job, agents.version, ideal is not None)) as writer:
            if ideal is not None:
                writer.save_ideal({s.id: ideal[s.task.id] for s in job.plan.sessions
                                   if s.task.id in ideal})  # fmt: skip
            try:
                results, company = await _play(job, agents, writer)
            finally:
                shutil.copy(log, writer.path / LOG)
            cautions = [*_cautions(job, results), *company.cautions()]
            return writer.path, writer.finish(reasons=company.reasons(), cautions=cautions)


async def _play(
    job: AgentsJob, agents: Agents, writer: RunWriter
) -> tuple[list[TaskResult], Company]:
    show, count = job.request.show_progress, len(job.plan.sessions)
    play = AgentPlay(job, job.plan, job.place / "workspaces", writer.emit)
    play.make_workspaces()
    label = f"{job.request.choice.name} on {job.plan.name}, real agents"
    with progress_bar(label, count, show) as told:
        await play.play(agents, writer.path / RAW, told)
    with progress_bar("checking what was done", count, show) as told:
        results = list(play.results(told))
    write_results(writer.path, results)
    return results, play.company


async def _alone(job: AgentsJob, agents: Agents) -> dict[str, float] | None:
    """Seconds of every task alone, from the file or measured now; None where nobody asked."""
    path = job.options.alone
    if path is None:
        return None
    conditions = {"tasks": job.plan.meta["tasks"], "context_tokens": job.options.context_tokens,
                  "model": job.server.model, "openhands": agents.version}  # fmt: skip
    kept = read_alone(path, conditions)
    if kept is not None:
        return kept
    # Other ids and other digests, so that nothing of theirs is in the cache of the run.
    knobs = Knobs(sessions=len(job.tasks), arrivals="closed:1", seed=job.plan.seed)
    plan = make_plan(job.tasks, job.plan.name, knobs, job.options.context_tokens, "alone")
    seen: list[Event] = []
    play = AgentPlay(job, plan, job.place / "alone", seen.append)
    play.make_workspaces()
    with progress_bar("each task alone", len(plan.sessions), job.request.show_progress) as told:
        await play.play(agents, job.place / "alone.jsonl", told)
    seconds = play.seconds()
    write_alone(path, conditions, seconds)
    return seconds


def _config(job: AgentsJob, version: str, has_alone: bool) -> RunConfig:
    request, plan = job.request, job.plan
    alone = "each task first, one agent at a time on this server" if has_alone else "none"
    return RunConfig(
        backend=request.choice.name,
        params=request.choice.params,
        engine=request.engine,
        workload=plan.name,
        workload_hash=plan.hash,
        workload_meta=plan.meta,
        seed=plan.seed,
        offered_sessions=len(plan.sessions),
        hardware={**request.hardware.identity, "kv_tokens": job.server.kv_tokens},
        settings={
            **option_facts(job.options, "url", "alone", "keep"),
            "openhands_sdk": version,
            "isolated": alone,
            "lanes": plan.lanes,
            "server": job.server.facts,
        },
        alphas=request.alphas,
        asked=request.asked,
        # An agent that does not stream sees no first token.
        **server_fields(job.server, job.options.kv_events, GpuStart, GpuFirstToken),
    )


def _cautions(job: AgentsJob, results: list[TaskResult]) -> list[CautionNote]:
    """What to know of these agents before believing the figures."""
    notes: list[CautionNote] = []
    missed = sum(not r.check.passed for r in results)
    if missed:
        notes.append({"code": "CHECK_FAILED", "text": (
            f"{missed} of {len(results)} tasks did not pass their own check; read latency only "
            "of what was done, and find out why in tasks.json.")})  # fmt: skip
    waits = [r.shares.wait_s for r in results]
    late = sum(wait > 1.0 for wait in waits)
    if late:
        notes.append({"code": "CLIENT_LAGGED", "text": (
            f"{late} of {len(waits)} agents began over a second after they had arrived, the last "
            f"{max(waits):.1f} s: their harness was measured, not the server; raise --workers "
            f"above {job.options.workers}, or use a machine with more cores.")})  # fmt: skip
    return notes
