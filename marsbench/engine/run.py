"""The main job: resolve what was asked, play it in virtual time, keep and summarise it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marsbench import events
from marsbench.engine.backends import Choice
from marsbench.engine.cap_search import Score, best_cap
from marsbench.engine.isolated import Isolated, cache_folder, isolated
from marsbench.engine.progress import progress_bar, waiting_for
from marsbench.engine.settings import EngineSettings
from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware
from marsbench.metrics.summary import summarise
from marsbench.runs import Caution, CautionNote, RunConfig, RunFolder, RunSummary, RunWriter
from marsbench.session import Session
from marsbench.workload.files import Workload, read_workload
from marsbench.workload.make import Knobs, make_workload
from marsbench.workload.recipe import load_recipe, recipe_names
from marsbench_backends.admission import FixedCap

if TYPE_CHECKING:
    from marsbench.engine.sim.simulation import SimConfig

RESULTS = Path("results")


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a user asked for; everything else follows from it."""

    choice: Choice
    workload: str = "ilr-1"
    knobs: Knobs = field(default_factory=Knobs)
    hardware: Hardware
    settings: EngineSettings = field(default_factory=EngineSettings)
    alphas: tuple[float, ...] = (3.0,)
    tool_cores: int = 8
    tool_workers: int | None = None
    check: bool = False
    output: Path | None = None
    show_progress: bool = True


@dataclass(frozen=True)
class Job:
    """A request with its workload and the time each session takes alone."""

    request: RunRequest
    workload: Workload
    alone: Isolated

    def sim_config(self, choice: Choice) -> SimConfig:
        """How the simulator is to play it under this backend."""
        from marsbench.engine.sim.simulation import SimConfig

        request = self.request
        return SimConfig(
            request.hardware,
            request.settings,
            backend=choice.name,
            backend_settings=choice.settings,
            admission=choice.admission(),
            tool_cores=request.tool_cores,
            tool_workers=request.tool_workers,
            lanes=self.workload.lanes,
            check=request.check,
        )


def run(request: RunRequest) -> tuple[Path, RunSummary]:
    """Play the request; returns the run's folder and its summary.

    Raises UsageError before anything is written when the request cannot be, RunFailedError when
    the run cannot go on (its folder is kept).
    """
    _check_values(request)
    _check_place(request.output)
    return run_job(prepare(request))


def run_job(job: Job) -> tuple[Path, RunSummary]:
    """Play what was prepared; returns the run's folder and its summary."""
    choice, searched = _with_cap(job)
    writer = _folder(job, choice, searched)
    with writer:
        writer.save_ideal(job.alone.ideal_s)
        _play(job, choice, writer.emit)
        return writer.path, writer.finish()


def _check_values(request: RunRequest) -> None:
    for alpha in request.alphas:
        if not 1 <= alpha < math.inf:
            raise UsageError(
                f"--alpha must be 1 or more, and finite, not {alpha:g}: no session ends sooner "
                "than it does alone; for example --alpha 3."
            )
    for option, number in (
        ("--tool-cores", request.tool_cores),
        ("--tool-workers", request.tool_workers),
    ):
        if number is not None and number < 1:
            raise UsageError(f"{option} must be at least 1, not {number}; for example {option} 8.")


def _check_place(output: Path | None) -> None:
    """Raises UsageError when no folder can be made there; before the work, not after."""
    place = (output or RESULTS).absolute()
    try:
        taken = output is not None and place.exists()
        above = next(folder for folder in (place, *place.parents) if folder.exists())
        may = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
    except OSError:  # a name too long, or too many links
        taken, may = False, False
    if taken:
        raise UsageError(
            f"{output} exists already, and a run never overwrites one; "
            "give another folder with -o, or move that one away."
        )
    if not may:
        raise UsageError(
            f"No run folder can be made at {output or RESULTS}; "
            "give a new folder below one that you may write, for example -o results/mine."
        )


def prepare(request: RunRequest) -> Job:
    """The workload of the request, checked against the hardware, and its times alone."""
    return prepare_with(request, _workload(request))


def prepare_with(request: RunRequest, workload: Workload) -> Job:
    """The same of a workload that is there already, whatever the request's own is."""
    check_fits(workload, request.hardware, request.settings)
    return Job(request, workload, _alone(request, workload))


def _workload(request: RunRequest) -> Workload:
    """A file is played as it is; a recipe is made into sessions."""
    name, knobs = request.workload, request.knobs
    path = Path(name)
    if name in recipe_names() or path.suffix == ".toml":
        recipe = load_recipe(name)

        def gpu_s(bodies: Sequence[Session]) -> float:
            return _gpu_s(request, Workload(name, tuple(bodies)))

        return make_workload(recipe, knobs, gpu_s)
    if not path.exists() and not path.suffix:
        load_recipe(name)  # says which recipe was meant
    workload = read_workload(path)
    turned = [n for n, v in asdict(knobs).items() if v is not None]
    if turned:
        raise UsageError(
            f"--{turned[0]} makes a workload from a recipe, but {name} is a file of sessions that "
            "is played as it is; leave it out, or set it with `marsbench workload make`."
        )
    return workload


def _gpu_s(request: RunRequest, bodies: Workload) -> float:
    check_fits(bodies, request.hardware, request.settings)
    return _alone(request, bodies).mean_gpu_s


def check_fits(workload: Workload, hardware: Hardware, settings: EngineSettings) -> None:
    """Raises UsageError when the longest context fits the model or the KV cache not even alone."""
    session = max(
        (s for root in workload.sessions for s in root.walk()), key=lambda s: s.peak_tokens
    )
    peak, blocks = session.peak_tokens, settings.kv_blocks
    if peak > hardware.max_model_len:
        raise UsageError(
            f"Session {session.id} grows to {peak:,} tokens, {peak - hardware.max_model_len:,} "
            f"more than {hardware.model} can take ({hardware.max_model_len:,}); leave it out of "
            "the workload (for traces: `marsbench workload import … --max-tokens N`)."
        )
    if blocks is None:
        blocks = hardware.kv_blocks(settings.block_size, settings.memory_fraction)
    room = blocks * settings.block_size
    if peak > room:
        needed = -(-peak // settings.block_size)
        larger = "a larger --gpu, a smaller --precision"
        cure = larger if settings.kv_blocks is None else f"--kv-blocks {needed} or more"
        raise UsageError(
            f"The longest context ({peak:,} tokens, session {session.id}) exceeds the KV cache of "
            f"{hardware.id} ({room:,} tokens) by {peak - room:,}; use {cure}, "
            "or a lighter workload."
        )


def _alone(request: RunRequest, workload: Workload) -> Isolated:
    sessions = workload.sessions
    with waiting_for("starting vLLM's scheduler", request.show_progress):
        import marsbench.engine.sim.simulation  # noqa: F401  (ten seconds, the first time)
    with progress_bar("each session alone", len(sessions), request.show_progress) as done:
        return isolated(sessions, request.hardware, request.settings, done, cache_folder())


def _play(job: Job, choice: Choice, emit: Callable[[events.Event], None], trial: str = "") -> None:
    from marsbench.engine.sim.simulation import Simulation

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

        Simulation(job.sim_config(choice), watched).run(job.workload.sessions)


def _with_cap(job: Job) -> tuple[Choice, dict[str, float] | None]:
    """The choice, with the best cap where it takes one and none was given."""
    choice = job.request.choice
    if choice.backend.admission is not FixedCap or choice.params["cap"] is not None:
        return choice, None

    def score(cap: int) -> Score:
        seen: list[events.Event] = []
        _play(job, choice.having(cap=cap), seen.append, trial=f", trying cap={cap}")
        alphas = job.request.alphas[:1]
        figures = summarise(seen, ideal_s=job.alone.ideal_s, alphas=alphas)
        share = next(iter(figures["goodput"].values()))["share"]
        latency = figures["latency"]["mean"]
        return (share or 0.0, -(latency or float("inf")))

    cap, scores = best_cap(score, len(job.workload.sessions))
    return choice.having(cap=cap), {str(n): scores[n][0] for n in sorted(scores)}


def _folder(job: Job, choice: Choice, searched: Mapping[str, float] | None) -> RunWriter:
    config = _config(job, choice, searched)
    output = job.request.output
    if output is None:
        return RunFolder.create_in(RESULTS, config)
    return RunFolder.create(output, config)


def _config(job: Job, choice: Choice, searched: Mapping[str, float] | None) -> RunConfig:
    request, workload = job.request, job.workload
    hardware, settings = request.hardware, request.settings
    sim = job.sim_config(choice)
    peak = max(s.peak_tokens for root in workload.sessions for s in root.walk())
    engine: dict[str, Any] = {
        **asdict(settings),
        "kv_blocks": sim.num_blocks,
        "tool_cores": request.tool_cores,
        "tool_workers": request.tool_workers,
        "lanes": workload.lanes,
    }
    if searched is not None:
        engine["cap_search"] = {"goodput_by_cap": dict(searched), "alpha": request.alphas[0]}
    seed = workload.meta.get("seed")
    return RunConfig(
        backend=choice.name,
        params=choice.params,
        workload=workload.name,
        workload_hash=workload.hash,
        workload_meta=dict(workload.meta),
        seed=seed if isinstance(seed, int) else None,
        offered_sessions=len(workload.sessions),
        hardware={
            "id": hardware.id,
            "model": hardware.model,
            "gpu": hardware.gpu,
            "precision": hardware.precision,
            "tensor_parallel": hardware.tensor_parallel,
            "hash": hardware.hash,
            "kv_tokens": sim.num_blocks * settings.block_size,
            "step_times": hardware.source,
            "mean_gpu_s": job.alone.mean_gpu_s,
        },
        settings=engine,
        alphas=request.alphas,
        block_size=settings.block_size,
        total_blocks=sim.num_blocks,
        cautions=(
            Caution.STEP_TIME_MODELLED.note(model=hardware.id),
            *(CautionNote(code="HARDWARE", text=text) for text in hardware.cautions_for(peak)),
        ),
    )
