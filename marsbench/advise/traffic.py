"""So many users for one GPU, at their load and at twice that: a file a load and seed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from marsbench.advise.day import Busy
from marsbench.advise.options import AdviseOptions
from marsbench.advise.recorded import Recorded
from marsbench.core.code import simulation_hash
from marsbench.core.isolated import cache_folder, isolated, rounds_alone
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.draws import stream
from marsbench.core.workload.files import Workload, write_workload
from marsbench.core.workload.resample import resampled
from marsbench.core.workload.warm import RoundAlone, warm_started
from marsbench.hardware.profile import Hardware
from marsbench.judge.sweep.bisect import rounded
from marsbench.text.progress import progress_bar
from marsbench_backends.admission import Admission
from marsbench_backends.policies.fcfs import FCFS

TODAY, TWICE = "today", "twice"
LOADS = {TODAY: 1, TWICE: 2}


@dataclass(frozen=True, slots=True)
class UserLoad:
    """What one GPU is given. users: of all GPUs. rate: sessions a second. gpu_load: rate x mean
    GPU seconds of a session alone, on this hardware."""

    name: str
    users: int
    rate: float
    gpu_load: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """The users of an advice, dealt evenly to so many GPUs, of which one is played."""

    recorded: Recorded
    busy: Busy
    hardware: Hardware
    settings: EngineSettings
    users: int
    gpus: int
    sessions: int
    by_day: bool

    @property
    def loads(self) -> list[UserLoad]:
        """Today's and twice that."""
        return [self._load(name, self.users * times) for name, times in LOADS.items()]

    def _load(self, name: str, users: int) -> UserLoad:
        rate = rounded(users * self.busy.per_user_s / self.gpus)
        return UserLoad(name, users, rate, rate * self.recorded.mean_gpu_s)

    def file(self, load: UserLoad, seed: int) -> str:
        """The name of a file; whatever is in it, its name says."""
        facts = [
            Workload("", self.recorded.sessions).hash,
            list(self.busy.knots_s),
            [load.rate, seed, self.sessions, self.by_day],
            [self.hardware.hash, self.settings.facts(), simulation_hash(FCFS, Admission)],
        ]
        key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
        return f"{load.name}_seed{seed}_{key}.jsonl"

    def workload(self, load: UserLoad, seed: int) -> Workload:
        """Sessions drawn by the seed, those in flight at the start among them.

        As many as a steady state has where nobody slows another down.
        """
        bodies = resampled(self.recorded.sessions, self.sessions, seed)
        times = self.busy.times(len(bodies), load.rate, stream(seed, "advise"), self.by_day)
        arriving = (replace(body, arrival_s=at) for body, at in zip(bodies, times, strict=True))
        meta = {"arrivals": "recorded" if self.by_day else "poisson"}
        about = {**meta, "seed": seed, "rate": load.rate}
        cold = Workload("recording", tuple(arriving), None, about)
        alone = isolated(bodies, self.hardware, self.settings, cache=cache_folder())

        def rounds(sessions: Sequence[Session]) -> Mapping[str, Sequence[RoundAlone]]:
            return rounds_alone(sessions, self.hardware, self.settings)

        return warm_started(cold, 1.0, alone.ideal_s, rounds)


def traffic_of(
    found: Recorded,
    busy: Busy,
    options: AdviseOptions,
    hardware: Hardware,
    settings: EngineSettings,
) -> Traffic:
    """The users, on as many GPUs as they ask for, or as their GPU seconds alone need."""
    users = options.users or options.recorded_users
    needed = math.ceil(users * busy.per_user_s * found.mean_gpu_s)
    return Traffic(
        recorded=found,
        busy=busy,
        hardware=hardware,
        settings=settings,
        users=users,
        gpus=options.gpus or max(1, needed),
        sessions=options.sessions,
        by_day=options.arrivals == "recorded" and busy.num_days is not None,
    )


@dataclass(frozen=True, slots=True)
class Written:
    """A file of sessions, where it lies below the folder of the advice."""

    load: UserLoad
    seed: int
    file: Path


def write_traffic(traffic: Traffic, folder: Path, seeds: Sequence[int]) -> list[Written]:
    """A file for each load and seed; those that are there stay. Raises UsageError."""
    wanted = [
        Written(load, seed, folder / traffic.file(load, seed))
        for seed in seeds
        for load in traffic.loads
    ]
    left = [one for one in wanted if not one.file.is_file()]
    folder.mkdir(parents=True, exist_ok=True)
    with progress_bar("making the traffic", len(left)) as done:
        for number, one in enumerate(left, 1):
            write_workload(traffic.workload(one.load, one.seed), one.file)
            done(number)
    return wanted


def facts_of(traffic: Traffic) -> Iterator[tuple[str, object]]:
    """What JSON says of it."""
    busy, found = traffic.busy, traffic.recorded
    yield "users", traffic.users
    yield "gpus", traffic.gpus
    yield "tp", traffic.hardware.tensor_parallel
    yield "sessions_per_user_per_s", busy.per_user_s
    yield "busy_s", busy.length_s
    yield "days", busy.num_days
    yield "arrivals", "recorded" if traffic.by_day else "poisson"
    yield "recorded_sessions", found.num_recorded
    yield "cut_sessions", found.num_cut
    yield "too_long_sessions", found.num_too_long
    yield "sessions", len(found.sessions)
    yield "mean_alone_s", found.mean_alone_s
    yield "mean_gpu_s", found.mean_gpu_s
    yield "pause_share", found.pause_share
    yield "user_share_of_pauses", found.user_share
    yield (
        "loads",
        [dict(zip(UserLoad.__slots__, astuple(one), strict=True)) for one in traffic.loads],
    )
