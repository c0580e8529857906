"""A sweep told in a few events: five backends, two loads, two seeds."""

from __future__ import annotations

import pytest

from marsbench.core.events import (
    Evicted,
    HostDropped,
    HostLoaded,
    HostStored,
    KvUsage,
    ToolEnd,
    ToolStart,
)
from marsbench.judge.sweep.folder import SweepFolder
from marsbench.report.material import Material
from marsbench.report.sections import document
from marsbench.runs import Provenance, RunConfig, RunFolder
from metrics.story import a_round, a_session, told

CODE = Provenance(versions={"marsbench": "0.1.0", "vllm": None}, commit="3f2a91c" * 5, dirty=False)
# How many times as long as alone a session takes under each backend at load 1.
SLOWED = {"fcfs": 6.0, "fcfs-cap": 1.5, "mars": 1.2, "oracle": 1.0, "mars-no-admission": 4.0}
SESSIONS = 6
ALONE_S = 20.0


def config(backend, load, seed):
    return RunConfig(
        backend="mars" if backend.startswith("mars") else backend,
        params={"admission": not backend.endswith("no-admission")} if "mars" in backend else {},
        workload="ilr-1",
        workload_hash=f"91c2-{load}-{seed}",
        workload_meta={"load": load, "arrivals": "poisson", "tools": "autonomous"},
        seed=seed,
        offered_sessions=SESSIONS,
        hardware={"id": "h200", "model": "qwen3-coder-30b", "gpu": "h200", "precision": "bf16"},
        settings={"block_size": 16, "kv_blocks": 100, "max_num_seqs": 8, "tool_cores": 8},
        alphas=(3.0, 1.5),
        block_size=16,
        total_blocks=100,
        code=CODE,
    )


def story(slowed, seed):
    """Sessions of two rounds with a tool between them, each `slowed` times as long as alone."""
    parts = []
    for number in range(SESSIONS):
        name, at = f"s{number}", 10.0 * number + seed
        length = ALONE_S * (1 + (slowed - 1) * (1 + number % 3) / 2)
        half, pause = at + length / 2 - 2, at + length / 2
        rounds = [
            *a_round(name, ready=at, first=at + length / 4, end=half),
            ToolStart(half, name, 0, 0, "bash"),
            ToolEnd(pause, name, 0, 0, "bash"),
            *a_round(name, 1, ready=pause, first=pause + 1, end=at + length),
            Evicted(at + length / 2, name, 5 + number),
        ]
        parts.append(a_session(name, at, at + length, rounds=rounds))
    end = max(event.at for part in parts for event in part)
    samples = [KvUsage(float(t), 50, 20, 30, 1, 0, 1) for t in range(1, int(end))]
    return told(*parts, samples)


def offloaded(number):
    """What vLLM's own offloading did in such a run."""
    return [
        HostStored(9.0, f"s{number}", 4, 4e9, 0.1),
        HostLoaded(12.0 + 10 * number + 20, f"s{number}", 1, 2, 2e9, 0.05, 0.25),
        HostDropped(9.5, f"s{number}", 3),
    ]


def write(folder, events, own):
    with RunFolder.create(folder, own) as run:
        for event in events:
            run.emit(event)
        run.save_ideal({f"s{number}": ALONE_S for number in range(SESSIONS)})
        run.finish()


def place(backend, load, seed):
    return {
        "workload": "ilr-1", "load": load, "rate": None, "hardware": "h200", "engine": "paper",
        "variation": "base", "backend": backend, "seed": seed,
    }  # fmt: skip


@pytest.fixture(scope="session")
def sweep(tmp_path_factory):
    """The folder of the sweep."""
    cells = {
        f"load{load}_{backend}_seed{seed}": (backend, load, seed)
        for load in (0.5, 1.0)
        for backend in SLOWED
        for seed in (1, 2)
    }
    path = tmp_path_factory.mktemp("results") / "small"
    folder = SweepFolder.create(path, "small", "", list(cells))
    for name, (backend, load, seed) in cells.items():
        slowed = 1 + (SLOWED[backend] - 1) * (load if load == 1.0 else 0.1)
        write(folder.draft(name), story(slowed, seed), config(backend, load, seed))
        folder.keep(name, place(backend, load, seed), "inputs")
    return path


@pytest.fixture(scope="session")
def material(sweep):
    return Material.read([sweep])


@pytest.fixture(scope="session")
def report(material):
    """The document, its figures drawn once for all tests."""
    return document(material, None, lambda step: None)
