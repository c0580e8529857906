"""From a recording to an advice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from marsbench.advise.day import always_at_work, busy_half
from marsbench.advise.gpus import Carried, carried, world_of
from marsbench.advise.options import AdviseOptions
from marsbench.advise.play import Plays, capped
from marsbench.advise.recorded import recorded
from marsbench.advise.traffic import Traffic, traffic_of, write_traffic
from marsbench.advise.verdict import FCFS, Verdict, verdict_of
from marsbench.core.backends import choose
from marsbench.core.metrics.goodput import check_alpha
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload
from marsbench.errors import UsageError
from marsbench.hardware.profile import Hardware
from marsbench.judge.compare import Comparison, compare
from marsbench.judge.sweep.play import hardware_of, settings_of
from marsbench.judge.sweep.run import RESULTS
from marsbench.judge.sweep.spec import BackendEntry

ASKED = "asked.json"
"""What makes a folder one of an advice."""


@dataclass(frozen=True, slots=True)
class World:
    """What plays the traffic, and the backends beside fcfs; checked before anything is read."""

    hardware: Hardware
    settings: EngineSettings
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that an advice says; `words`, `show` and `documents` tell it."""

    path: Path
    world: World
    traffic: Traffic
    seeds: int
    found: Comparison
    verdict: Verdict
    carried: tuple[Carried, ...]


def world_asked(options: AdviseOptions) -> World:
    """Raises UsageError for hardware or backends that there are none of, and for wrong numbers."""
    check_alpha(options.alpha)
    if not 0 < options.idle < float("inf"):
        raise UsageError(f"--idle must be above 0, not {options.idle:g}; for example --idle 1800.")
    names = tuple(dict.fromkeys(name.strip() for name in options.backends.split(",")))
    for name in names:
        choose(name, ())
    world = world_of(options, Path("recording.jsonl"), BackendEntry(name=FCFS))
    (hardware,), (engine,) = world.file.hardware, world.file.engines
    own = tuple(name for name in names if name != FCFS)
    return World(hardware_of(hardware, world.folder), settings_of(engine), own)


def advised(
    workload: Workload,
    world: World,
    options: AdviseOptions,
    planned: Callable[[Traffic], None],
) -> Advice:
    """Play what has to be played, and say what follows; taken up where it stopped.

    planned: is told what is going to be played, before the minutes that it takes.
    Raises UsageError for sessions that fit no memory, or a folder of something else;
    RunFailedError where a run cannot be played.
    """
    root = _folder(workload, options)
    found = recorded(workload, world.hardware, world.settings, options.idle)
    dates = found.arrivals_s
    busy = (
        busy_half(dates, found.mean_alone_s, options.recorded_users)
        if dates
        else always_at_work(found.mean_alone_s)
    )
    traffic = traffic_of(found, busy, options, world.hardware, world.settings)
    planned(traffic)
    seeds = list(range(1, options.seeds + 1))
    written = write_traffic(traffic, root / "traffic", seeds)
    fcfs = BackendEntry(name=FCFS)
    plays = Plays(root / "runs", world_of(options, written[0].file, fcfs), written, options.jobs)
    plays.play([FCFS, *world.backends])
    comparison = compare([plays.root], baseline=FCFS)
    verdict = verdict_of(comparison)
    names = dict.fromkeys((FCFS, verdict.choice))
    entries = [_entry(name) for name in names]
    able = carried(root / "capacity", options, traffic, entries)
    return Advice(root, world, traffic, len(seeds), comparison, verdict, tuple(able))


def _entry(label: str) -> BackendEntry:
    """The backend of a label of `play`."""
    name, _, cap = label.rpartition("-")
    return capped(int(cap)) if name == "fcfs-cap" else BackendEntry(name=label)


def _folder(workload: Workload, options: AdviseOptions) -> Path:
    """Where it lies: a fresh folder, or one of an advice. Raises UsageError."""
    asked = {**asdict(options), "recording": workload.hash}
    told = {name: value for name, value in asked.items() if name not in ("output", "jobs")}
    text = json.dumps(told, indent=2, default=str) + "\n"
    key = hashlib.sha256(text.encode()).hexdigest()[:8]
    root = RESULTS / f"advise_{key}" if options.output is None else Path(options.output)
    if root.exists() and not (root / ASKED).is_file() and (root.is_file() or any(root.iterdir())):
        raise UsageError(f"{root} exists and is not the folder of an advice; give another with -o.")
    try:
        root.mkdir(parents=True, exist_ok=True)
        (root / ASKED).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"Cannot write an advice at {root}: {(error.strerror or str(error)).lower()}; give a "
            "folder that you may write with -o."
        ) from error
    return root


def cautions_of(advice: Advice, backends: Sequence[str]) -> dict[str, str]:
    """By code, the first of each that the runs of these carry, and whether any does not count."""
    found: dict[str, str] = {}
    wrong = [source for source in advice.found.sources if not source.valid]
    if wrong:
        found["INVALID"] = (
            f"{len(wrong)} of {len(advice.found.sources)} runs do not count, the first "
            f"{wrong[0].path}: {wrong[0].reasons[0]}."
        )
    for source in advice.found.sources:
        if source.backend in backends:
            for one in source.cautions:
                found.setdefault(one["code"], one["text"])
    return found
