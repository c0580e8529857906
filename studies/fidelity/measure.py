"""One backend: served and recorded, played again step by step, and simulated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marsbench.core.backends import Choice, choose
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.knobs import Knobs
from marsbench.errors import RunFailedError
from marsbench.hardware.profile import Hardware
from marsbench.patience import await_end
from marsbench.runs.request import RunRequest
from marsbench.serve.emulated import emulated_hardware
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import VllmServer, serving
from marsbench.wall.live.options import LiveOptions
from marsbench_backends.admission import Admission

END_S = 10.0


@dataclass(frozen=True)
class Case:
    """What both are given.

    kernels: the Python of a vLLM for CPUs, whose real kernels then compute the steps; `server`
        says which that is, and `flags` go to it.
    realtime: client, gateway and server run in the real-time class.
    """

    workload: str = "workloads/sweeps/recipes/small-agents.toml"
    sessions: int = 30
    seed: int = 1
    emulate: str = "h200:qwen3-coder-30b"
    speed: float = 1.0
    settings: EngineSettings = field(default_factory=lambda: EngineSettings(kv_blocks=6_000))
    kernels: Path | None = None
    server: str | None = None
    flags: tuple[str, ...] = ()
    realtime: bool = False

    @property
    def hardware(self) -> Hardware:
        """What is emulated on one side and simulated on the other."""
        return emulated_hardware(self.emulate)

    def request(self, choice: Choice, folder: Path, **engine: Any) -> RunRequest:
        """A run of it."""
        return RunRequest(
            choice=choice,
            workload=self.workload,
            knobs=Knobs(sessions=self.sessions, seed=self.seed),
            hardware=self.hardware,
            settings=self.settings,
            output=folder,
            **engine,
        )


@dataclass(frozen=True)
class Compared:
    """A backend's two runs, and what the simulator's scheduler made of the server's record."""

    backend: str
    case: dict[str, Any]
    live: dict[str, Any]
    simulated: dict[str, Any]
    send_lag_s: dict[str, Any]
    decisions: dict[str, Any]


def compared(backend: str, case: Case, folder: Path) -> Compared:
    """Of that backend; measured once, and read from the folder after that."""
    kept = folder / f"{backend}.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = asdict(_measure(choose(backend), case, folder))
        kept.write_text(json.dumps(found, indent=1, default=str), encoding="utf-8")
    return Compared(**json.loads(kept.read_text(encoding="utf-8")))


def _measure(choice: Choice, case: Case, folder: Path) -> Compared:
    from marsbench.engines import run

    record = folder / f"{choice.name}.jsonl"
    live_folder, live = served(choice, case, folder / f"{choice.name}-live", record)
    _, simulated = run(case.request(choice, folder / f"{choice.name}-sim"))
    client = json.loads((live_folder / "client.json").read_text(encoding="utf-8"))
    return Compared(
        choice.name,
        asdict(case),
        dict(live),
        dict(simulated),
        client["send_lag_s"],
        _decisions(choice, case, record),
    )


def served(choice: Choice, case: Case, folder: Path, record: Path) -> tuple[Path, Any]:
    """Play the case's sessions against a real server that writes its decisions to `record`."""
    from marsbench.engines import run

    asked = ServeRequest(
        choice,
        emulate=case.emulate,
        speed=case.speed,
        settings=case.settings,
        record=record,
        kernels=case.kernels,
        flags=case.flags,
    )
    with ExitStack() as stack:
        server = stack.enter_context(serving(asked, show_progress=True))
        url = server.url
        if choice.backend.admission is not Admission:
            url = stack.enter_context(_gateway(choice, case, server))
        options = LiveOptions(url=url, speed=case.speed, kv_events=server.kv_events)
        return run(case.request(choice, folder, engine="live", own=options))


@contextmanager
def _gateway(choice: Choice, case: Case, server: VllmServer) -> Iterator[str]:
    """The backend's admission controller in front of the server, as a process of its own."""
    told = {"backend": choice.name, "upstream": server.url, "port": 0, "speed": case.speed}
    options = [part for name, value in told.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "marsbench", "gateway", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (ours)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RunFailedError("The gateway ended before it was ready; it says why above.")
        yield line.split()[0]
    finally:
        process.terminate()
        if not await_end(process, END_S):
            process.kill()
        process.communicate()


def _decisions(choice: Choice, case: Case, record: Path) -> dict[str, Any]:
    from marsbench.runs.job import resolve_workload
    from studies.fidelity.replay import World, read_record, replay

    sessions = resolve_workload(case.request(choice, record.parent / "none")).sessions
    facts = (choice.backend, choice.settings, case.settings, case.hardware)
    world = World(sessions, *facts, asynchronous=case.kernels is None)
    return asdict(replay(read_record(record), world))
