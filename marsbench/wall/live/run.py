"""A live run: its sessions' times alone, its play, and what the client knows of itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from marsbench.core.events import Event, SessionArrived, SessionEnded
from marsbench.core.isolated import UNCONTENDED_CORES
from marsbench.core.session import Session
from marsbench.errors import RunFailedError
from marsbench.garbage import without_old_garbage
from marsbench.http_server import loop_factory
from marsbench.runs import RunSummary, RunWriter
from marsbench.runs.job import run_folder
from marsbench.runs.request import RunRequest
from marsbench.text.progress import progress_bar
from marsbench.wall.company import Company, look_around
from marsbench.wall.gateway import NoGateway
from marsbench.wall.live import gateway
from marsbench.wall.live.client import ClientRecord, Rounds, ServerDiedError
from marsbench.wall.live.ideals import Ideals, apart, sample, with_rest
from marsbench.wall.live.job import LiveJob, prepare
from marsbench.wall.live.sessions import Player
from marsbench.wall.live.tools import ToolRunner
from marsbench.wall.live.verdict import Findings
from marsbench.wall.stage import Stage

TOKENS, CLIENT = "tokens.parquet", "client.json"


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be.
    """
    job = prepare(request)
    writer = run_folder(request, job.config())
    with writer:
        return writer.path, LiveRun(job, writer).play()


class LiveRun:
    """One live run, from the first session alone to the summary."""

    def __init__(self, job: LiveJob, writer: RunWriter) -> None:
        self._job = job
        self._writer = writer
        self._client = ClientRecord()
        self._company = Company(job.options.share)
        self._how: dict[str, Any] | None = None

    def play(self) -> RunSummary:
        """Play it. A server that dies ends it early; what was measured is kept and not valid.

        A first Ctrl-C cancels it, a second ends it at once.
        """
        died: str | None = None
        try:
            with asyncio.Runner(loop_factory=loop_factory()) as runner:
                runner.run(self._play())
        except ServerDiedError as error:
            died = str(error)
        finally:
            found = self._keep()
        company = self._company
        return self._writer.finish(
            reasons=[*found.reasons(died), *company.reasons()],
            cautions=[*found.cautions(), *company.cautions()],
        )

    async def _play(self) -> None:
        job = self._job
        ideals = await self._alone()
        self._how = ideals.how
        if ideals.seconds:
            self._writer.save_ideal(ideals.seconds)
        left = {session.id for session in job.workload.sessions}
        number = len(left)
        label = f"{job.request.choice.name} on {job.workload.name}, live"
        with progress_bar(label, number, job.request.show_progress) as done:

            def emit(event: Event) -> None:
                self._writer.emit(event)
                if isinstance(event, SessionEnded) and event.session in left:
                    left.remove(event.session)
                    done(number - len(left))

            await play(
                job, job.workload.sessions, job.workload.lanes, emit, self._client, self._company
            )

    async def _alone(self) -> Ideals:
        job = self._job
        simulated = None if job.simulated is None else job.simulated.ideal_s
        if job.options.sample_size is None:
            return Ideals(simulated or {}, {"how": "none" if simulated is None else "simulated"})
        chosen = sample(job.workload.sessions, job.options.sample_size)
        with progress_bar("sessions alone", len(chosen), job.request.show_progress) as done:
            found = {}
            for session in chosen:
                found[session.id] = await seconds_alone(job, session)
                done(len(found))
        return with_rest(found, simulated)

    def _keep(self) -> Findings:
        """What the client knows of itself, beside what happened; written however the run ended."""
        job = self._job
        found = Findings(self._client, job.options, self._how, job.template, job.names.nonce)
        if self._how is not None:
            self._client.token_times.write(self._writer.path / TOKENS)
            text = json.dumps(found.record(), indent=2) + "\n"
            (self._writer.path / CLIENT).write_text(text, encoding="utf-8")
        return found


async def seconds_alone(job: LiveJob, session: Session) -> float:
    """How long a session takes on the idle server. Raises RunFailedError when it fails there."""
    seen: list[Event] = []
    alone = apart(replace(session, arrival_s=0.0))
    await play(job, [alone], None, seen.append, ClientRecord(), None)
    arrived = next(e.at for e in seen if isinstance(e, SessionArrived))
    for event in seen:
        if isinstance(event, SessionEnded) and event.session == alone.id:
            if event.outcome == "finished":
                return event.at - arrived
            raise RunFailedError(f"Session {session.id} failed alone: {event.reason}.")
    raise RunFailedError(f"Session {session.id} did not end alone.")


async def play(
    job: LiveJob,
    sessions: Sequence[Session],
    lanes: int | None,
    emit: Callable[[Event], None],
    client: ClientRecord,
    company: Company | None,
) -> None:
    """All sessions to their ends on the server. Raises ServerDiedError.

    company: who else is there; None where an idle server is measured, so that nobody watches it,
        and tools have cores for all.
    """
    options, request, is_alone = job.options, job.request, company is None
    cores = UNCONTENDED_CORES if is_alone else request.tool_cores
    patience_s = 0.0 if job.server.gateway is None else gateway.PATIENCE_S
    async with Stage(job.server, emit, job.names, options.speed, patience_s) as stage:
        if company is not None:
            await look_around(stage.wire.client, job.server, company, request.show_progress)
        record = await _gateway(stage, len(sessions), company)
        rounds = Rounds(stage, record, job.endpoint, options.timeout, client)
        await stage.stack.enter_async_context(rounds)
        tools = ToolRunner(stage.clock, options.tools_as, cores, request.tool_workers)
        await stage.stack.enter_async_context(tools)
        if not is_alone:
            await stage.watch(
                lambda: not (tools.in_flight or client.in_flight), lambda: tools.in_flight
            )
            ids = {s.id: s for root in job.workload.sessions for s in root.walk()}
            await stage.listen(options.kv_events, ids)
        stage.stack.enter_context(without_old_garbage())
        stage.begin()
        await Player(job, stage, rounds, tools, record).play(sessions, lanes)


async def _gateway(stage: Stage, to_arrive: int, company: Company | None) -> NoGateway:
    if stage.server.gateway is None:
        return NoGateway(stage.recorder)
    client, root = stage.wire.client, stage.server.root
    link = gateway.LiveGateway(stage.recorder, client, root, stage.names, to_arrive)
    await stage.follow(link, company)
    return link
