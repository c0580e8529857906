"""Bounds of a run that was played: its world made again from what its folder says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from marsbench.bounds.bound import Bounds, bounds
from marsbench.bounds.hardware import hardware_of
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload, read_workload
from marsbench.core.workload.knobs import Knobs
from marsbench.core.workload.make import make_workload
from marsbench.core.workload.recipe import load_recipe
from marsbench.errors import UsageError
from marsbench.runs import RunConfig, RunFolder

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Bounded:
    """A run beside its bounds.

    mean_latency_s: None where a session did not end, so that the mean is of the others alone.
    good: by alpha. num_resumes: rounds that were preempted; the bounds are of schedules with as
    many of each session.
    """

    run: str
    backend: str
    bounds: Bounds
    mean_latency_s: float | None
    good: Mapping[float, int]
    num_resumes: int


def held(path: Path, workload: str | None = None, hardware: Path | None = None) -> Bounded:
    """The run's figures beside the bounds of its workload on its hardware.

    workload: the file or recipe that was played, where the run's name for it is neither.
    hardware: the profile, where the run had one of its own.
    Raises UsageError for a run whose world cannot be made again, and for one on a wall clock.
    """
    folder = RunFolder.open(path)
    config, ideal_s = folder.config, folder.ideal_s()
    if config.engine != "sim" or ideal_s is None:
        raise UsageError(
            f"{path} was played by the engine {config.engine!r}; bounds are of step times that are "
            "modelled, so give a run of --engine sim."
        )
    resumes = _resumes(folder.table("sessions"))
    found = bounds(
        _workload(path, config, workload),
        hardware_of(path, config, hardware),
        _settings(config),
        config.settings["tool_cores"],
        ideal_s,
        sorted(config.alphas),
        resumes,
    )
    figures = folder.summary()
    good = {float(alpha): one["good"] or 0 for alpha, one in figures["goodput"].items()}
    whole = found.num_sessions == figures["sessions"]["finished"]
    mean_s = figures["latency"]["mean"] if whole else None
    return Bounded(path.name, config.backend, found, mean_s, good, sum(resumes.values()))


def _resumes(sessions: pd.DataFrame) -> dict[str, int]:
    """By task: how often a round of it or of its sub-agents was preempted."""
    above = dict(zip(sessions.session, sessions.parent, strict=True))
    counted: Counter[str] = Counter()
    for name, times in zip(sessions.session, sessions.preemptions, strict=True):
        root = name
        while isinstance(above.get(root), str):  # of a task pandas has None, or no number
            root = above[root]
        counted[root] += int(times)
    return dict(counted)


def _workload(path: Path, config: RunConfig, given: str | None) -> Workload:
    """The sessions that were played, known by their hash."""
    name = given or config.workload
    if given is not None and Path(given).is_file() and Path(given).suffix != ".toml":
        found = read_workload(Path(given))
    else:
        found = make_workload(load_recipe(name), _knobs(config), _no_load)
    if found.hash != config.workload_hash:
        raise UsageError(
            f"{path} was not played with {name} as it is here; give the workload's file with "
            "--workload FILE."
        )
    return found


def _knobs(config: RunConfig) -> Knobs:
    meta = config.workload_meta
    return Knobs(
        sessions=config.offered_sessions,
        rate=meta.get("rate"),
        arrivals=meta.get("arrivals"),
        seed=config.seed,
        tools=meta.get("tools"),
        prefixes=meta.get("prefixes"),
        tenants=meta.get("tenants"),
    )


def _no_load(_: object) -> float:
    raise AssertionError("a run keeps the rate that its load came to")


def _settings(config: RunConfig) -> EngineSettings:
    if "replicas" in config.settings:
        raise UsageError(
            f"Bounds are of one engine, and this run had {config.settings['replicas']}; "
            "give the folder of a run without --replicas."
        )
    # A schedule copies KV at no cost here, so host memory bounds nothing.
    names = [f.name for f in fields(EngineSettings) if f.name != "host_kv"]
    return EngineSettings(**{name: config.settings[name] for name in names})
