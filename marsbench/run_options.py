"""The options of a run, each declared by the room that it is for, and the request they come to."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from marsbench.core.workload.knobs import Knobs
from marsbench.engine_options import EngineOptions, HardwareOptions, SimulationOptions
from marsbench.errors import UsageError
from marsbench.option import (
    WORKLOAD,
    Assignments,
    BackendName,
    Option,
    Output,
    WorkloadName,
    assignments,
    option_in,
    options_of,
    part,
)
from marsbench.presets import preset_named
from marsbench.replicas.options import ReplicaOptions, divided, fleet_of
from marsbench.runs.request import OwnOptions, RunRequest
from marsbench.text.options import words_of
from marsbench.wall.agents.options import (
    EXAMPLE_URL,
    TIME_LIMIT_S,
    AgentOptions,
    OpenHandsOptions,
)
from marsbench.wall.live.options import LiveOptions

if TYPE_CHECKING:
    from marsbench.core.backends import Choice

OF_AGENTS_TOO = (
    *("url", "served_model", "timeout", "isolated", "kv_events"),
    *("share", "wait", "max_failed"),
)
"""The options of live runs that `--engine openhands` takes as well."""

NOT_OF_THE_RUN = ("output",)
"""Where its folder lies."""

MISSING_BACKEND = (
    "Missing option '--backend': give one, as in --backend mars (`marsbench backends` lists them), "
    "or vLLM's own scheduler with --scheduler-cls vllm."
)
OF_SIMULATIONS = ("vllm", "scheduler_cls")

ADDRESSES = {"url": "URL", "kv_events": "ENDPOINT"}
"""Where somebody's server listened is nothing that a run folder tells: put one's own there."""


@dataclass(frozen=True, kw_only=True)
class RunOptions(
    Knobs,
    HardwareOptions,
    EngineOptions,
    ReplicaOptions,
    SimulationOptions,
    LiveOptions,
    AgentOptions,
):
    """All that a run can be asked for; `marsbench run --help` says what each is.

    alpha: one or several. set: parameters by name, or as they are typed.
    """

    backend: Annotated[str | None, option_in(BackendName)] = field(default=None, kw_only=False)
    alpha: Annotated[
        float | Sequence[float], Option("A", "Goodput's α; repeatable (3)", typed=list[float])
    ] = 3.0
    set: Assignments = ()
    engine: Annotated[
        Literal["sim", "live", "openhands"], Option("NAME", "sim, live or openhands (sim)")
    ] = "sim"
    output: Output = None
    workload: WorkloadName = "ilr-1"
    preset: Annotated[
        str | None, Option("NAME", "steady-200, steady-400: a long run, warm", WORKLOAD)
    ] = None

    def __post_init__(self) -> None:
        """Nothing: a part is checked when the request is made of it, if its engine needs it."""


def several(alpha: float | Sequence[float]) -> tuple[float, ...]:
    """One or several as several."""
    return (alpha,) if isinstance(alpha, int | float) else tuple(alpha)


def request_of(options: RunOptions, explicit: Collection[str]) -> RunRequest:
    """The options as a request. Raises UsageError for what cannot be.

    explicit: names of those that were given, as against left at their defaults.
    """
    from marsbench.hardware.profile import load_hardware

    options = _with_preset(options, explicit)
    hardware = load_hardware(
        options.model,
        options.gpu,
        options.precision,
        kv_dtype=options.kv_dtype,
        tp=options.tp,
        profile=None if options.hardware is None else Path(options.hardware),
    )
    step = _scale("step", options.step_time_scale)
    attention = _scale("attention", options.attention_time_scale)
    of_router, of_backend = divided(assignments(options.set))
    settings = options.settings
    return RunRequest(
        choice=_choice(options, of_backend),
        fleet=fleet_of(options, of_router, options.engine, _not_of_fleets(options)),
        engine=options.engine,
        scheduler=options.scheduler_cls,
        vllm=options.vllm,
        own=_own(options, explicit),
        workload=str(options.workload),
        knobs=part(options, Knobs),
        hardware=hardware.with_scale(step=step, attention=attention),
        settings=settings,
        alphas=several(options.alpha) or (3.0,),
        tool_cores=options.tool_cores,
        tool_workers=options.tool_workers,
        check=options.check,
        output=None if options.output is None else Path(options.output),
        asked=tuple(_words(options, explicit)),
    )


def _not_of_fleets(options: RunOptions) -> list[str]:
    """What was given that only a single engine plays yet."""
    given = {
        "--host-kv": options.settings.host_kv,
        "--scheduler-cls": options.scheduler_cls,
        "--vllm": options.vllm,
    }
    return [name for name, value in given.items() if value is not None]


def _choice(options: RunOptions, of_backend: Sequence[str]) -> Choice:
    """The backend, or what stands for vLLM's own scheduler or a class in its place.

    Raises UsageError for both or neither.
    """
    from marsbench.core.backends import choose
    from marsbench.runs.scheduler import scheduler_choice

    if options.scheduler_cls is None:
        if options.backend is None:
            raise UsageError(MISSING_BACKEND)
        return choose(options.backend, of_backend)
    if options.backend is not None:
        raise UsageError(
            f"--scheduler-cls {options.scheduler_cls} is played as it is, without a backend; "
            "leave out --backend, or --scheduler-cls."
        )
    return scheduler_choice(options.scheduler_cls, of_backend)


def _with_preset(options: RunOptions, explicit: Collection[str]) -> RunOptions:
    """Those of its preset where they were not given. Raises UsageError for one there is none of."""
    if options.preset is None:
        return options
    values = asdict(preset_named(options.preset))
    return replace(options, **{name: v for name, v in values.items() if name not in explicit})


def _scale(of: str, scale: float) -> float:
    """Of a step's time, or of attention's. Raises UsageError unless it is above 0."""
    if not 0 < scale < float("inf"):
        raise UsageError(f"--{of}-time-scale must be above 0, not {scale:g}; for example 1.2.")
    return scale


def _own(options: RunOptions, explicit: Collection[str]) -> OwnOptions | None:
    """What the engine alone is told. Raises UsageError for an option that is not for it."""
    live, agents = options_of(LiveOptions), options_of(AgentOptions)
    if options.engine != "sim":
        _refuse(OF_SIMULATIONS, explicit, f"is for --engine sim, not --engine {options.engine}.")
    if options.engine == "live":
        own = _live(options, explicit)
        _refuse(agents, explicit, "is not for --engine live.")
        return own
    if options.engine == "openhands":
        only_live = [name for name in live if name not in OF_AGENTS_TOO]
        _refuse(only_live, explicit, "is not for --engine openhands.")
        return _openhands(options, explicit)
    _refuse(live, explicit, f"is for --engine live, not --engine {options.engine}.")
    _refuse(agents, explicit, f"is not for --engine {options.engine}.")
    return None


def _refuse(names: Iterable[str], explicit: Collection[str], why: str) -> None:
    for name in names:
        if name in explicit:
            raise UsageError(f"--{name.replace('_', '-')} {why}")


def _live(options: RunOptions, explicit: Collection[str]) -> LiveOptions:
    """A chat is text unless ids are asked for, which it cannot be."""
    as_text = options.endpoint == "chat" and "prompts" not in explicit
    return part(replace(options, prompts="text") if as_text else options, LiveOptions)


def _openhands(options: RunOptions, explicit: Collection[str]) -> OpenHandsOptions:
    if options.url is None:
        raise UsageError(f"--engine openhands needs the --url of a server; {EXAMPLE_URL}.")
    alone = options.isolated if "isolated" in explicit else "none"
    if alone == "profile" or alone.startswith("measure:"):
        raise UsageError(
            f"--isolated {alone} simulates or samples sessions that are known, and real agents "
            "make their own: give a file, as --isolated alone.json, or none."
        )
    return OpenHandsOptions(
        url=options.url,
        tasks=options.tasks,
        served_model=options.served_model,
        workers=options.workers,
        context_tokens=options.context_tokens,
        time_limit_s=options.timeout if "timeout" in explicit else TIME_LIMIT_S,
        alone=None if alone == "none" else Path(alone),
        kv_events=options.kv_events,
        share=options.share,
        wait=options.wait,
        max_failed=options.max_failed,
    )


def _words(options: RunOptions, explicit: Collection[str]) -> Iterator[str]:
    """The explicit ones as they are typed ("--rate", "0.2", …), so that they can be typed again."""
    for name, option in options_of(RunOptions).items():
        if name in explicit and name not in NOT_OF_THE_RUN:
            word = option.names[-1] if option.names else f"--{name.replace('_', '-')}"
            value = ADDRESSES.get(name) or getattr(options, name)
            typed = assignments(value) if isinstance(value, Mapping) else value
            yield from map(_from_here, words_of(word, typed))


def _from_here(text: str) -> str:
    """An absolute path as one from here, for it names a machine; all else as it is."""
    return os.path.relpath(text) if Path(text).is_absolute() else text
