"""What every engine needs of a request: its workload, times alone, and a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from marsbench.core.backends import Choice
from marsbench.core.isolated import Isolated, cache_folder, isolated, rounds_alone
from marsbench.core.session import Session, is_warm
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload, read_workload
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.paging import paged
from marsbench.core.workload.recipe import load_recipe, recipe_names
from marsbench.core.workload.resample import cold, rearranged
from marsbench.core.workload.warm import RoundAlone, warm_started
from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware, load_hardware
from marsbench.runs import RunConfig, RunFolder, RunWriter
from marsbench.runs.request import RESULTS, RunRequest
from marsbench.text.progress import progress_bar, waiting_for


def resolve_workload(request: RunRequest) -> Workload:
    """A recipe is made into sessions; a file is played as it is, or scaled by the knobs.

    Paging changes what sessions do, and not when they arrive: a load is that of the sessions as
    they were. With a warm start, some are in flight when the others begin to arrive.
    Raises UsageError when the workload is not there, or not what it should be.
    """
    workload, times = _arriving(request), request.knobs.warm_start
    if request.knobs.context_paging is not None:
        workload = paged(workload, request.knobs.context_paging)
    if times is None:
        return workload
    return warm_up(workload, times, *_load_on(request), request.show_progress)


def warm_up(
    workload: Workload,
    times: float,
    hardware: Hardware,
    settings: EngineSettings,
    show_progress: bool,
) -> Workload:
    """The workload with sessions in flight at its start, their times alone being of this hardware.

    Raises UsageError where they do not fit, or come at no rate.
    """
    check_fits(workload, hardware, settings)
    alone = times_alone(workload, hardware, settings, show_progress)

    def rounds(sessions: Sequence[Session]) -> Mapping[str, Sequence[RoundAlone]]:
        return rounds_alone(sessions, hardware, settings)

    return warm_started(workload, times, alone.ideal_s, rounds)


def _arriving(request: RunRequest) -> Workload:
    """The sessions that arrive."""
    name, knobs = request.workload, request.knobs
    path = Path(name)

    def gpu_s(bodies: Sequence[Session]) -> float:
        return _gpu_s(request, Workload(name, tuple(bodies)))

    if name in recipe_names() or path.suffix == ".toml":
        recipe = load_recipe(name)

        return make_workload(recipe, knobs, gpu_s)
    if not path.exists() and not path.suffix:
        load_recipe(name)  # says which recipe was meant
    return rearranged(read_workload(path), knobs, gpu_s)


def _gpu_s(request: RunRequest, bodies: Workload) -> float:
    """Mean GPU seconds alone, on the reference unless the load is to be of this hardware."""
    on, cure = _load_on(request), ""
    if request.knobs.load_on != "this":
        cure = (
            f" (A load is of {on[0].id}, whatever plays it, unless --load-on this is given; "
            "--rate needs neither.)"
        )
    try:
        check_fits(bodies, *on)
    except UsageError as error:
        raise UsageError(f"{error}{cure}") from error
    return times_alone(bodies, *on, request.show_progress).mean_gpu_s


def _load_on(request: RunRequest) -> tuple[Hardware, EngineSettings]:
    """Whose seconds decide the traffic, so that another run meets the same."""
    if request.knobs.load_on == "this":
        return request.hardware, request.settings
    return load_hardware(), EngineSettings()


def check_fits(workload: Workload, hardware: Hardware, settings: EngineSettings) -> None:
    """Raises UsageError when the longest context fits the model or the KV cache not even alone."""
    session = max(
        (s for root in workload.sessions for s in root.walk()), key=lambda s: s.peak_tokens
    )
    peak = session.peak_tokens
    if peak > hardware.max_model_len:
        raise UsageError(
            f"Session {session.id} grows to {peak:,} tokens, {peak - hardware.max_model_len:,} "
            f"more than {hardware.model} can take ({hardware.max_model_len:,}); leave it out of "
            "the workload (for traces: `marsbench workload import … --max-tokens N`)."
        )
    room = settings.num_blocks(hardware) * settings.block_size
    if peak > room:
        needed = -(-peak // settings.block_size)
        larger = "a larger --gpu, a smaller --precision"
        cure = larger if settings.kv_blocks is None else f"--kv-blocks {needed} or more"
        raise UsageError(
            f"The longest context ({peak:,} tokens, session {session.id}) exceeds the KV cache of "
            f"{hardware.id} ({room:,} tokens) by {peak - room:,}; use {cure}, "
            "or a lighter workload."
        )


def times_alone(
    workload: Workload, hardware: Hardware, settings: EngineSettings, show_progress: bool
) -> Isolated:
    """Of the sessions whose start is seen; nothing is measured against the others' time."""
    sessions = cold(workload).sessions
    with waiting_for("starting vLLM's scheduler", show_progress):
        import marsbench.core.sim.simulation  # noqa: F401  (ten seconds, the first time)
    with progress_bar("each session alone", len(sessions), show_progress) as done:
        return isolated(sessions, hardware, settings, done, cache_folder())


def run_folder(request: RunRequest, config: RunConfig) -> RunWriter:
    """A fresh folder where the request wants it. Raises UsageError when none can be made."""
    if request.output is None:
        return RunFolder.create_in(RESULTS, config)
    return RunFolder.create(request.output, config)


def run_config(
    request: RunRequest,
    choice: Choice,
    workload: Workload,
    *,
    kv_tokens: int | None,
    mean_gpu_s: float | None,
    settings: dict[str, Any],
    **engine: Any,
) -> RunConfig:
    """What every run folder says of its inputs; `engine` are the fields that engines differ in.

    kv_tokens: tokens that the KV cache holds. mean_gpu_s: of a session alone.
    settings: the engine's own options.
    """
    hardware = request.hardware
    seed = workload.meta.get("seed")
    return RunConfig(
        backend=choice.name,
        params=choice.params,
        engine=request.engine,
        workload=workload.name,
        workload_hash=workload.hash,
        workload_meta=dict(workload.meta),
        seed=seed if isinstance(seed, int) else None,
        offered_sessions=sum(not is_warm(s.id) for s in workload.sessions),
        hardware={
            **hardware.identity,
            "tensor_parallel": hardware.tensor_parallel,
            "hash": hardware.hash,
            "kv_tokens": kv_tokens,
            "step_times": hardware.source,
            "mean_gpu_s": mean_gpu_s,
        },
        settings=settings,
        alphas=request.alphas,
        asked=request.asked,
        **engine,
    )


def peak_tokens(workload: Workload) -> int:
    """The longest context of any session, sub-agents included."""
    return max(s.peak_tokens for root in workload.sessions for s in root.walk())
