"""The simulated run: a job, played in virtual time, kept and summarised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marsbench.core import events
from marsbench.core.backends import Choice
from marsbench.core.isolated import Isolated
from marsbench.core.metrics.summary import Scale, measure
from marsbench.core.workload.files import Workload
from marsbench.offload.host_kv import CAUTION_GIB, HostKv
from marsbench.runs import Caution, CautionNote, RunConfig, RunSummary
from marsbench.runs.cap_search import Score, best_cap
from marsbench.runs.failures import SETTING as MAX_FAILED_SETTING
from marsbench.runs.job import (
    check_fits,
    peak_tokens,
    resolve_workload,
    run_config,
    run_folder,
    times_alone,
)
from marsbench.runs.request import RunRequest
from marsbench.runs.scheduler import check_capable, is_unproven, tree_cautions
from marsbench.runs.summary import CAP_SEARCH, SCHEDULER_CLS, Decisions
from marsbench.text.progress import progress_bar
from marsbench.trees.imported import imported
from marsbench_backends.admission import FixedCap

if TYPE_CHECKING:
    from marsbench.core.sim.simulation import SimConfig, Simulation
    from marsbench.replicas.fleet import Fleet


PLAIN: Mapping[str, Any] = {"fast": False, "merge": False}
"""Every step by itself, every loop vLLM's own."""


@dataclass(frozen=True)
class Job:
    """A request with its workload and the time each session takes alone."""

    request: RunRequest
    workload: Workload
    alone: Isolated

    def sim_config(self, choice: Choice) -> SimConfig:
        """How the simulator is to play it under this backend."""
        from marsbench.core.sim.simulation import SimConfig

        request = self.request
        own = {} if request.scheduler is None else _own_scheduler(request)
        config = SimConfig(
            request.hardware,
            request.settings,
            choice.backend,
            choice.settings,
            tool_cores=request.tool_cores,
            tool_workers=request.tool_workers,
            lanes=self.workload.lanes,
            check=request.check,
        )
        if request.settings.host_kv is not None and not _is_pinned():
            own |= dict(PLAIN)  # `marsbench vllm check` plays no offloading
        return replace(config, **own) if own else config


def _own_scheduler(request: RunRequest) -> dict[str, Any]:
    """What nobody has proven anything of is played plainly."""
    plain = PLAIN if is_unproven(request) else {}
    own = {"scheduler": request.scheduler, "backend_settings": request.choice.params}
    return {"backend": None, **own, **plain}


def _is_pinned() -> bool:
    tree = imported()
    return tree is None or tree.is_pinned


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be, RunFailedError when
    the run cannot go on (its folder is kept).
    """
    return run_job(prepare(request))


def run_job(job: Job) -> tuple[Path, RunSummary]:
    """Play what was prepared; returns the run's folder and its summary."""
    choice, searched = _with_cap(job)
    writer = run_folder(job.request, _config(job, choice, searched))
    with writer:
        writer.save_ideal(job.alone.ideal_s)
        # Only a user's own code may read a clock that we do not set, and has to repeat itself.
        seen = Fingerprint(writer.emit) if is_unproven(job.request) else None
        decisions, modes = _play(job, choice, seen or writer.emit)
        writer.save_decisions(decisions)
        writer.save_modes(modes)
        reasons = [] if seen is None else _unrepeated(job, choice, seen)
        return writer.path, writer.finish(reasons=reasons)


class Fingerprint:
    """Passes events on, and remembers what they were."""

    def __init__(self, emit: Callable[[events.Event], None]) -> None:
        self._emit = emit
        self.lines: list[int] = []

    def __call__(self, event: events.Event) -> None:
        self.lines.append(hash(repr(event)))
        self._emit(event)


def _unrepeated(job: Job, choice: Choice, first: Fingerprint) -> list[str]:
    """Why the run does not count: a user's own code decides otherwise when it is played again."""
    again: list[events.Event] = []
    seen = Fingerprint(again.append)
    _play(job, choice, seen, trial=", again")
    if seen.lines == first.lines:
        return []
    pairs = enumerate(zip(first.lines, seen.lines, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(seen.lines), len(first.lines)))
    when = f"{again[at].at:.3f} s" if at < len(again) else "its end"
    own = " with ".join([str(job.request.scheduler), *map(str, choice.params.values())])
    return [
        f"{own} decided otherwise when the run was played again, first at "
        f"{when}: it reads a clock or dice that a simulation cannot set"
    ]


def prepare(request: RunRequest) -> Job:
    """The workload of the request, checked against the hardware, and its times alone."""
    check_capable(request)  # from its sources, before that vLLM is imported
    return prepare_with(request, resolve_workload(request))


def prepare_with(request: RunRequest, workload: Workload) -> Job:
    """The same of a workload that is there already, whatever the request's own is."""
    check_fits(workload, request.hardware, request.settings)
    if request.scheduler is not None:
        from marsbench.core.sim.own_class import scheduler_class
        from marsbench.core.sim.plugins import plugin_config

        scheduler_class(request.scheduler)  # says what is wrong with it before anything is played
        plugin_config(request.choice.params)
    alone = times_alone(workload, request.hardware, request.settings, request.show_progress)
    if request.settings.host_kv is not None:
        from marsbench.offload.worker import check_offload

        block_bytes = request.settings.block_size * request.hardware.kv_bytes_per_token
        check_offload(request.settings.host_kv, block_bytes)
    return Job(request, workload, alone)


def _play(
    job: Job, choice: Choice, emit: Callable[[events.Event], None], trial: str = ""
) -> tuple[Decisions | None, dict[str, float]]:
    """What was decided, and the controller's modes in seconds. The engine itself,
    and its memory, is gone when the run is summarised.
    """
    own = {session.id for session in job.workload.sessions}
    label = f"{choice.name} on {job.workload.name}{trial}"
    with progress_bar(label, len(own), job.request.show_progress) as done:
        ended = 0

        def watched(event: events.Event) -> None:
            nonlocal ended
            emit(event)
            if isinstance(event, events.SessionEnded) and event.session in own:
                ended += 1
                done(ended)

        simulation = _simulation(job, choice, watched)
        simulation.run(job.workload.sessions)
        return simulation.decisions, simulation.modes


def _simulation(
    job: Job, choice: Choice, emit: Callable[[events.Event], None]
) -> Simulation | Fleet:
    """One engine, or several behind a router."""
    from marsbench.core.sim.simulation import Simulation

    config, fleet = job.sim_config(choice), job.request.fleet
    if fleet is None:
        return Simulation(config, emit)
    from marsbench.replicas.fleet import Fleet

    seed = job.workload.meta.get("seed")
    return Fleet(config, fleet, emit, seed if isinstance(seed, int) else 0)


def _with_cap(job: Job) -> tuple[Choice, dict[str, float] | None]:
    """The choice, with the best cap where it takes one and none was given."""
    choice = job.request.choice
    if choice.backend.admission is not FixedCap or choice.params["cap"] is not None:
        return choice, None

    def score(cap: int) -> Score:
        seen: list[events.Event] = []
        _play(job, choice.having(cap=cap), seen.append, trial=f", trying cap={cap}")
        scale = Scale(ideal_s=job.alone.ideal_s, alphas=job.request.alphas[:1])
        figures = measure(seen, scale).summary
        share = next(iter(figures["goodput"].values()))["share"]
        latency = figures["latency"]["mean"]
        return (share or 0.0, -(latency or float("inf")))

    cap, scores = best_cap(score, len(job.workload.sessions))
    return choice.having(cap=cap), {str(n): scores[n][0] for n in sorted(scores)}


def _config(job: Job, choice: Choice, searched: Mapping[str, float] | None) -> RunConfig:
    request, workload = job.request, job.workload
    hardware, settings = request.hardware, request.settings
    each, fleet = job.sim_config(choice).num_blocks, request.fleet
    blocks = each * (1 if fleet is None else fleet.num)
    engine: dict[str, Any] = {
        **settings.facts(),
        "kv_blocks": each,
        "kv_blocks_of": "hardware" if settings.kv_blocks is None else "option",
        "tool_cores": request.tool_cores,
        "tool_workers": request.tool_workers,
        "lanes": workload.lanes,
    }
    if request.scheduler is not None:
        engine[SCHEDULER_CLS] = request.scheduler
    if fleet is not None:
        engine |= fleet.facts()
        if fleet.changes:  # what fails of them is what was asked for, and says nothing of the run
            engine[MAX_FAILED_SETTING] = 1.0
    if searched is not None:
        engine[CAP_SEARCH] = {"goodput_by_cap": dict(searched), "alpha": request.alphas[0]}
    peak = peak_tokens(workload)
    return run_config(
        request,
        choice,
        workload,
        kv_tokens=blocks * settings.block_size,
        mean_gpu_s=job.alone.mean_gpu_s,
        settings=engine,
        block_size=settings.block_size,
        total_blocks=blocks,
        cautions=(
            Caution.STEP_TIME_MODELLED.note(model=hardware.id),
            *_host_cautions(settings.host_kv),
            *tree_cautions(),
            *(CautionNote(code="HARDWARE", text=text) for text in hardware.cautions_for(peak)),
        ),
    )


def _host_cautions(host_kv: HostKv | None) -> tuple[CautionNote, ...]:
    if host_kv is None or host_kv.size_gib <= CAUTION_GIB:
        return ()
    return (Caution.LARGE_HOST.note(gib=host_kv.size_gib, most=CAUTION_GIB),)
