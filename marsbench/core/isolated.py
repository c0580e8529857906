"""Each session alone: the time that goodput and slowdown are measured against.

Alone means: an engine with nothing in its cache, the session's own prefix reused between its
rounds, its tools uncontended, the same token counts. The sessions are played one after another on
one engine with nothing shared between them, which is the same and spares a start each. Most need no
scheduler for that (`sim/solo.py`); the others are simulated.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from marsbench import outputs
from marsbench.core import events
from marsbench.core.code import simulation_hash
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.solo import Solo, fits
from marsbench.core.workload.files import Workload
from marsbench.core.workload.warm import RoundAlone
from marsbench.hardware.profile import Hardware
from marsbench.outputs import save_text
from marsbench_backends.admission import Admission
from marsbench_backends.policies.fcfs import FCFS

UNCONTENDED_CORES = 1_000_000


@dataclass(frozen=True, slots=True)
class Isolated:
    """Seconds from arrival to end of each session alone; mean seconds it keeps the GPU busy."""

    ideal_s: dict[str, float]
    mean_gpu_s: float


def isolated(
    sessions: Sequence[Session],
    hardware: Hardware,
    settings: EngineSettings,
    progress: Callable[[int], None] | None = None,
    cache: Path | None = None,
) -> Isolated:
    """Every session's time alone; kept in a file of `cache` and read from there the next time.

    progress is told how many sessions are done.
    """
    file = None if cache is None else cache / f"{_key(sessions, hardware, settings)}.json"
    found = None if file is None else _read(file)
    if found is None:
        found = _played(sessions, hardware, settings, progress)
        if file is not None:
            _write(file, found)
    return found


def cache_folder() -> Path:
    """Where isolated times are kept between runs; nothing else is, and it may be deleted."""
    return outputs.cache_folder("isolated")


def _played(
    sessions: Sequence[Session],
    hardware: Hardware,
    settings: EngineSettings,
    progress: Callable[[int], None] | None,
    by_solo: bool = True,
) -> Isolated:
    """Played one after another: by `Solo` where its times are the simulator's bit for bit."""
    arrived: dict[str, float] = {}
    ideal: dict[str, float] = {}
    own = {session.id for session in sessions}

    def emit(event: events.Event) -> None:
        if isinstance(event, events.SessionArrived):
            arrived[event.session] = event.at
        elif isinstance(event, events.SessionEnded) and event.session in own:
            ideal[event.session] = event.at - arrived[event.session]
            if progress is not None:
                progress(len(ideal))

    busy_s = _play(sessions, hardware, settings, emit, by_solo)
    return Isolated(ideal, busy_s / len(sessions))


def rounds_alone(
    sessions: Sequence[Session], hardware: Hardware, settings: EngineSettings
) -> dict[str, list[RoundAlone]]:
    """When each round of each session alone is ready and has its answer."""
    ready: dict[str, list[float]] = {session.id: [] for session in sessions}
    found: dict[str, list[RoundAlone]] = {session.id: [] for session in sessions}

    def emit(event: events.Event) -> None:
        if isinstance(event, events.RoundReady) and event.session in ready:
            ready[event.session].append(event.at)
        elif isinstance(event, events.GpuEnd) and event.session in ready:
            begun, own = ready[event.session][0], ready[event.session][-1]
            found[event.session].append(RoundAlone(own - begun, event.at - begun))

    if sessions:
        _play(sessions, hardware, settings, emit)
    return found


def _play(
    sessions: Sequence[Session],
    hardware: Hardware,
    settings: EngineSettings,
    emit: Callable[[events.Event], None],
    by_solo: bool = True,
) -> float:
    """Seconds that the engine was busy with them, one after another."""
    unshared = [_unshared(session) for session in sessions]
    num_blocks = settings.num_blocks(hardware)
    if by_solo and all(fits(session, num_blocks, settings.block_size) for session in unshared):
        solo = Solo(hardware.step_time, settings, num_blocks, UNCONTENDED_CORES, emit)
        solo.run(unshared)
        return solo.busy_s
    return _simulated(unshared, hardware, settings, emit)


def _simulated(
    sessions: Sequence[Session],
    hardware: Hardware,
    settings: EngineSettings,
    emit: Callable[[events.Event], None],
) -> float:
    """Seconds that vLLM's own scheduler kept the engine busy."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    config = SimConfig(
        hardware,
        settings.without_host_kv,
        backend=None,
        tool_cores=UNCONTENDED_CORES,
        lanes=1,
        sample_s=float("inf"),
    )
    simulation = Simulation(config, emit)
    simulation.run(sessions)
    return simulation.counters.busy_s


def _unshared(session: Session) -> Session:
    """The session in a prefix group of its own, so that it finds nobody else's prefix.

    Its sub-agents keep their group among themselves: they are part of the session.
    """
    own = session.with_children(lambda child: _own_group(_unshared(child), session.id))
    return _own_group(own, session.id)


def _own_group(session: Session, root: str) -> Session:
    if session.prefix_group is None:
        return session
    return replace(session, prefix_group=f"{root}/{session.prefix_group}")


def _key(sessions: Sequence[Session], hardware: Hardware, settings: EngineSettings) -> str:
    """Of all that decides the times; changed code or another vLLM never finds an old answer."""
    bodies = tuple(replace(session, arrival_s=0.0) for session in sessions)
    facts = [
        Workload("", bodies).hash,
        hardware.hash,
        settings.without_host_kv.facts(),
        simulation_hash(FCFS, Admission),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _read(file: Path) -> Isolated | None:
    try:
        return Isolated(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # not there, or cut short: it is made again


def _write(file: Path, found: Isolated) -> None:
    # A cache that cannot be written costs time, and nothing else.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        save_text(file, json.dumps(asdict(found)))
