"""A live run: probe what answers, play sessions on it, and write down how it went."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from marsbench.core import events
from marsbench.core.isolated import UNCONTENDED_CORES, Isolated
from marsbench.core.job import resolve_workload, run_config, run_folder, times_alone
from marsbench.core.request import RunRequest
from marsbench.core.runs import RunConfig, RunSummary, RunWriter
from marsbench.core.session import Session
from marsbench.core.workload.files import Workload
from marsbench.errors import RunFailedError, UsageError
from marsbench.text.progress import progress_bar
from marsbench.wall.clock import WallClock
from marsbench.wall.gateway import PATIENCE_S, Gateway, NoGateway
from marsbench.wall.kv_events import KvEvents
from marsbench.wall.live.alone import Ideals, apart, sample, with_rest
from marsbench.wall.live.chat import CHAT, ChatContext, Template
from marsbench.wall.live.client import Rounds, ServerDiedError, Tally
from marsbench.wall.live.endpoint import COMPLETIONS
from marsbench.wall.live.options import LiveOptions
from marsbench.wall.live.prompts import Context, TokenContext
from marsbench.wall.live.sessions import Player
from marsbench.wall.live.template import measure
from marsbench.wall.live.text import (
    TextContext,
    Tokenizer,
    Units,
    file_tokenizer,
    server_count,
    server_units,
)
from marsbench.wall.live.tools import Tools
from marsbench.wall.live.verdict import Findings, cautions
from marsbench.wall.recorder import TICK_S, Recorder
from marsbench.wall.server import Server, check_backend, probe
from marsbench.wall.watch import MetricsWatch, repeat
from marsbench.wall.wire import Wire

TOKENS, CLIENT = "tokens.parquet", "client.json"
JOIN_S = 0.3  # a ZMQ subscriber hears nothing before its connection stands
# What no server shows a client from outside.
HIDDEN = (
    events.GpuStart,
    events.Preempted,
    events.Held,
    events.Unheld,
    events.SwappedOut,
    events.SwappedIn,
    events.HostEvicted,
)


# A fresh context of a session, which may ask the server over the run's own connections.
Contexts = Callable[[Session, Wire], Context]


@dataclass(frozen=True)
class LiveJob:
    """A request that can be played: the server that answers, and what is to be asked of it.

    template: of the server, for a chat; None where none is played.
    """

    request: RunRequest
    options: LiveOptions
    server: Server
    workload: Workload
    simulated: Isolated | None
    context: Contexts
    template: Template | None


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be.
    """
    job = prepare(request)
    writer = run_folder(request, _config(job))
    with writer:
        return writer.path, Run(job, writer).play()


def prepare(request: RunRequest) -> LiveJob:
    """Ask the server what it is, then make the workload; no round is asked for yet."""
    options = request.own
    assert isinstance(options, LiveOptions), "a live run is asked for with its options"
    server = probe(options.root, options.served_model)
    check_backend(request.choice, server, options.speed)
    workload = resolve_workload(request)
    _check_fits(workload, server)
    simulated = None
    if _simulates(options, workload):
        hardware, settings = request.hardware, request.settings
        simulated = times_alone(workload, hardware, settings, request.show_progress)
    context, template = _contexts(options, server)
    return LiveJob(request, options, server, workload, simulated, context, template)


def _simulates(options: LiveOptions, workload: Workload) -> bool:
    if options.sample_size is not None:
        return options.sample_size < len(workload.sessions)
    return options.isolated == "profile"


def _check_fits(workload: Workload, server: Server) -> None:
    longest = max((s for r in workload.sessions for s in r.walk()), key=lambda s: s.peak_tokens)
    if server.max_model_len is not None and longest.peak_tokens > server.max_model_len:
        raise UsageError(
            f"Session {longest.id} grows to {longest.peak_tokens:,} tokens, more than the server "
            f"takes ({server.max_model_len:,}); serve with a larger --max-model-len, or give a "
            "lighter workload."
        )


def _contexts(options: LiveOptions, server: Server) -> tuple[Contexts, Template | None]:
    """How prompts are written, and what the server's template adds to them, if it is a chat."""
    if options.prompts == "ids":
        return lambda session, _: TokenContext(session), None
    tokenizer, units = _tokenizer(options, server)
    if options.endpoint == "completions":
        return lambda session, wire: TextContext(session, tokenizer(wire)), None
    template = measure(server, units.texts)
    return lambda session, wire: ChatContext(session, tokenizer(wire), template), template


def _tokenizer(options: LiveOptions, server: Server) -> tuple[Callable[[Wire], Tokenizer], Units]:
    """Who counts tokens in a run, and its units."""
    _, _, file = options.prompts.partition(":")
    if file:
        tokenizer = file_tokenizer(Path(file))
        return lambda _: tokenizer, tokenizer.units
    units = server_units(server)
    return lambda wire: Tokenizer(server_count(server, wire.client), units), units


def _config(job: LiveJob) -> RunConfig:
    request, server = job.request, job.server
    scrape = server.scrape
    blocks = None if scrape is None else scrape.num_blocks
    size = None if scrape is None else scrape.block_size
    options = asdict(job.options)
    del options["url"]  # where a server was says nothing of what was measured
    options["kv_events"] = options["kv_events"] is not None
    settings = {
        **options,
        "tool_cores": request.tool_cores,
        "tool_workers": request.tool_workers,
        "lanes": job.workload.lanes,
        "server": server.facts,
    }
    hidden = [kind.kind for kind in HIDDEN]
    if job.options.kv_events is None:
        hidden.append(events.Evicted.kind)
    return run_config(
        request,
        request.choice,
        job.workload,
        kv_tokens=None if blocks is None or size is None else blocks * size,
        mean_gpu_s=None if job.simulated is None else job.simulated.mean_gpu_s,
        settings=settings,
        block_size=size,
        total_blocks=blocks,
        unmeasured=tuple(hidden),
        cautions=tuple(cautions(job.options, server)),
    )


class Run:
    """One live run, from the first session alone to the summary."""

    def __init__(self, job: LiveJob, writer: RunWriter) -> None:
        self._job = job
        self._writer = writer
        self._stage: Stage | None = None
        self._how: dict[str, Any] | None = None

    def play(self) -> RunSummary:
        """Play it. A server that dies ends it early; what was measured is kept and not valid."""
        died: str | None = None
        try:
            in_loop(self._play())
        except ServerDiedError as error:
            died = str(error)
        finally:
            found = self._keep()
        return self._writer.finish(reasons=found.reasons(died), cautions=found.cautions())

    async def _play(self) -> None:
        ideals = await self._alone()
        self._how = ideals.how
        if ideals.seconds:
            self._writer.save_ideal(ideals.seconds)
        job = self._job
        own = {session.id for session in job.workload.sessions}
        label = f"{job.request.choice.name} on {job.workload.name}, live"
        with progress_bar(label, len(own), job.request.show_progress) as done:
            ended = 0

            def watched(event: events.Event) -> None:
                nonlocal ended
                self._writer.emit(event)
                if isinstance(event, events.SessionEnded) and event.session in own:
                    ended += 1
                    done(ended)

            self._stage = Stage(job, watched)
            await self._stage.play(job.workload.sessions, job.workload.lanes)

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
        rounds = None if self._stage is None else self._stage.rounds
        if rounds is None:
            return Findings(Tally(), self._job.options, self._how, self._job.template)
        rounds.token_times.write(self._writer.path / TOKENS)
        found = Findings(rounds.tally, self._job.options, self._how, self._job.template)
        text = json.dumps(found.record(), indent=2) + "\n"
        (self._writer.path / CLIENT).write_text(text, encoding="utf-8")
        return found


async def seconds_alone(job: LiveJob, session: Session) -> float:
    """How long a session takes on the idle server. Raises RunFailedError when it fails there."""
    seen: list[events.Event] = []
    alone = apart(replace(session, arrival_s=0.0))
    await Stage(job, seen.append, is_alone=True).play([alone], None)
    arrived = next(e.at for e in seen if isinstance(e, events.SessionArrived))
    for event in seen:
        if isinstance(event, events.SessionEnded) and event.session == alone.id:
            if event.outcome == "finished":
                return event.at - arrived
            raise RunFailedError(f"Session {session.id} failed alone: {event.reason}.")
    raise RunFailedError(f"Session {session.id} did not end alone.")


class Stage:
    """Sessions played once on the server, and all that goes on beside them.

    is_alone: an idle server is measured, so nobody watches it, and tools have cores for all.
    """

    def __init__(
        self, job: LiveJob, emit: Callable[[events.Event], None], is_alone: bool = False
    ) -> None:
        self._job = job
        self._is_alone = is_alone
        self._clock = WallClock(job.options.speed)
        patience_s = 0.0 if job.server.gateway is None else PATIENCE_S
        self._record = Recorder(emit, self._clock, patience_s)
        self.rounds: Rounds | None = None

    async def play(self, sessions: Sequence[Session], lanes: int | None) -> None:
        """All sessions to their ends. Raises ServerDiedError."""
        job, clock = self._job, self._clock
        cores = UNCONTENDED_CORES if self._is_alone else job.request.tool_cores
        async with AsyncExitStack() as stack:
            stack.callback(self._record.close)
            wire = await stack.enter_async_context(Wire())
            record = await self._gateway(stack, wire, len(sessions))
            endpoint = COMPLETIONS if job.template is None else CHAT
            rounds = Rounds(wire, job.server, clock, record, job.options.timeout_s, endpoint)
            self.rounds = await stack.enter_async_context(rounds)
            tools = await stack.enter_async_context(
                Tools(clock, job.options.tools_as, cores, job.request.tool_workers)
            )
            if not self._is_alone:
                await self._watch(stack, wire, rounds.tally, tools)
            player = self._player(wire, rounds, tools, record)
            stack.enter_context(without_old_garbage())
            clock.start()
            self._beside(stack, repeat(TICK_S, self._record.tick))
            await player.play(sessions, lanes)

    def _player(self, wire: Wire, rounds: Rounds, tools: Tools, record: NoGateway) -> Player:
        job, scrape = self._job, self._job.server.scrape
        policy: Any = job.request.choice.backend.policy
        return Player(
            self._clock,
            rounds,
            tools,
            record,
            lambda session: job.context(session, wire),
            None if scrape is None else scrape.block_size,
            policy.clairvoyant,
            None if job.template is None else job.template.tail,
        )

    async def _gateway(self, stack: AsyncExitStack, wire: Wire, to_arrive: int) -> NoGateway:
        server = self._job.server
        if server.gateway is None:
            return NoGateway(self._record)
        gateway = Gateway(self._record, wire, server.root, to_arrive)
        await gateway.look()
        stack.push_async_callback(gateway.close)
        self._beside(stack, gateway.follow())
        return gateway

    async def _watch(self, stack: AsyncExitStack, wire: Wire, tally: Tally, tools: Tools) -> None:
        job = self._job
        if job.server.scrape is not None:
            url = f"{job.server.root}/metrics"
            metrics = MetricsWatch(url, wire, self._clock, tally, tools, self._record)
            await metrics.sample()
            stack.push_async_callback(metrics.sample)
            self._beside(stack, metrics.follow())
        if job.options.kv_events is not None:
            sessions = {s.id: s for root in job.workload.sessions for s in root.walk()}
            kv = KvEvents(job.options.kv_events, self._clock, self._record, sessions)
            stack.callback(kv.close)
            self._beside(stack, kv.follow())
            await asyncio.sleep(JOIN_S)

    def _beside(self, stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
        """Let it go on until the sessions have ended."""
        task = asyncio.create_task(work)

        async def stop() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        stack.push_async_callback(stop)


@contextmanager
def without_old_garbage() -> Iterator[None]:
    """What is there by now is not searched for garbage: that takes a tenth of a second a time.

    Nor is it before: what garbage is among it can wait for the run's end.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def in_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run it on uvloop where that is installed, else on asyncio's own loop.

    A first Ctrl-C cancels it, a second ends it at once.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(work)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
