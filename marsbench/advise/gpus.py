"""What one GPU carries, under a backend: a search for its capacity, in sessions a second."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marsbench.advise.options import AdviseOptions
from marsbench.advise.traffic import Traffic
from marsbench.core.workload.files import Workload, write_workload
from marsbench.errors import RunFailedError
from marsbench.judge.sweep.answer import Capacity, capacity_in
from marsbench.judge.sweep.capacity import capacity
from marsbench.judge.sweep.options import CapacityOptions
from marsbench.judge.sweep.run import default_jobs
from marsbench.judge.sweep.search import Search, search_of
from marsbench.judge.sweep.spec import BackendEntry
from marsbench.judge.sweep.workers import play_all
from marsbench.text.progress import VARIABLE, waiting_for

SHARE, TOLERANCE, MOST_SEEDS = 0.9, 0.1, 3
"""A rate within a tenth: what nobody recorded moves it by more."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What one GPU, or group of GPUs, carries under a backend.

    rate: sessions a second, above: the lowest rate tried that was too much; None where none was.
    users: that begin so many, in the busy half of a day. gpus: that all users need, or groups of
        them that share the model.
    """

    backend: str
    rate: float | None
    above: float | None
    users: float | None
    gpus: int | None


@dataclass(frozen=True, slots=True)
class _Asked:
    search: Search
    folder: Path


def world_of(options: AdviseOptions, workload: Path, backend: BackendEntry) -> Search:
    """Hardware, engine and traffic of a search. Raises UsageError for what cannot be."""
    found = search_of(
        CapacityOptions(
            backend=backend.name,
            set=backend.set,
            workload=str(workload),
            alpha=options.alpha,
            share=SHARE,
            seeds=min(options.seeds, MOST_SEEDS),
            tolerance=TOLERANCE,
            sessions=options.sessions,
            arrivals="poisson",
            gpu=options.gpu,
            model=options.model,
            tp=options.tp,
            precision=options.precision,
            kv_dtype=options.kv_dtype,
            hardware=options.hardware,
            engine_profile=options.engine_profile,
            tool_cores=options.tool_cores,
        )
    )
    (traffic,) = found.file.workloads
    warm = traffic.model_copy(update={"warm_start": 1.0})
    file = found.file.model_copy(update={"backends": (backend,), "workloads": (warm,)})
    return replace(found, file=file)


def carried(
    root: Path, options: AdviseOptions, traffic: Traffic, backends: Sequence[BackendEntry]
) -> list[Carried]:
    """Of each backend. Raises RunFailedError where a run cannot be played."""
    sessions = root / f"{Workload('', traffic.recorded.sessions).hash[:12]}.jsonl"
    root.mkdir(parents=True, exist_ok=True)
    if not sessions.is_file():
        write_workload(Workload("recording", traffic.recorded.sessions), sessions)
    asked = [_asked(root, world_of(options, sessions, one)) for one in backends]
    _search(asked, options.jobs)
    return [_carried(capacity_in(one.folder), traffic) for one in asked]


def _asked(root: Path, search: Search) -> _Asked:
    """A folder of its own for whatever is asked, so that nothing is played twice."""
    key = hashlib.sha256(search.text().encode()).hexdigest()[:8]
    return _Asked(search, root / f"{search.file.backends[0].key}_{key}")


def _search(asked: Sequence[_Asked], jobs: int | None) -> None:
    if jobs == 1:
        for one in asked:
            capacity(one.search, one.folder)
        return
    with waiting_for("what one GPU carries"):
        for outcome in play_all([[one] for one in asked], _searched, jobs or default_jobs()):
            if outcome.error is not None:
                raise RunFailedError(f"{outcome.task.folder}: {outcome.error}")


def _searched(asked: _Asked) -> None:
    os.environ[VARIABLE] = "off"  # two bars in one terminal are none
    capacity(asked.search, asked.folder)


def _carried(found: Capacity, traffic: Traffic) -> Carried:
    per_user_s = traffic.busy.per_user_s
    users = None if found.rate is None else found.rate / per_user_s
    gpus = None if users is None else math.ceil(traffic.users / users)
    return Carried(found.backend, found.rate, found.above, users, gpus)
