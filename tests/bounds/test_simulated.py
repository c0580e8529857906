"""What a backend reaches in the simulator never passes the bounds, preemptions and all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import fsum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marsbench.bounds import bounds
from marsbench.bounds.of_run import held
from marsbench.core.backends import choose
from marsbench.core.isolated import isolated
from marsbench.core.metrics.sessions import SessionRecord, roots
from marsbench.core.metrics.summary import Scale, measure
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.core.workload.files import Workload
from marsbench_backends.registry import BACKENDS
from sim.worlds import HARDWARE, enough_blocks, workloads

pytestmark = pytest.mark.vllm

ALPHAS = (1.0, 1.5, 3.0)
CORES = 2


def played(
    sessions: list[Session], engine: EngineSettings, backend: str
) -> tuple[list[SessionRecord], dict[str, float]]:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    seen: list[object] = []
    choice = choose(backend, ["cap=3"] if backend == "fcfs-cap" else [])
    config = SimConfig(HARDWARE, engine, choice.backend, choice.settings, tool_cores=CORES)
    Simulation(config, seen.append).run(sessions)
    ideal_s = dict(isolated(sessions, HARDWARE, engine).ideal_s)
    measured = measure(seen, Scale(ideal_s=ideal_s, alphas=ALPHAS))
    return list(measured.sessions), ideal_s


def resumes(records: list[SessionRecord]) -> dict[str, int]:
    """A sub-agent's id lies below its task's (sim.worlds)."""
    counted: Counter[str] = Counter()
    for record in records:
        counted[record.session.split("/")[0]] += record.preemptions
    return dict(counted)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sessions=workloads(),
    backend=st.sampled_from(sorted(BACKENDS)),
    more_blocks=st.sampled_from([0, 10, 200]),
    apart=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_no_backend_passes_them(
    sessions: list[Session], backend: str, more_blocks: int, apart: float
) -> None:
    sessions = [replace(s, arrival_s=s.arrival_s * apart) for s in sessions]
    engine = EngineSettings(
        max_num_batched_tokens=64,
        max_num_seqs=8,
        kv_blocks=enough_blocks(sessions, 16) + more_blocks,
        reserve_full_prompt=False,
    )
    records, ideal_s = played(sessions, engine, backend)
    world = Workload("w", tuple(sessions))
    found = bounds(world, HARDWARE, engine, CORES, ideal_s, ALPHAS, resumes(records))
    own = roots(records)
    assert fsum(r.completion_s or 0 for r in own) / len(own) >= found.mean_latency_s * (1 - 1e-9)
    for alpha in ALPHAS:
        good = sum(r.slowdown is not None and r.slowdown <= alpha for r in own)
        assert good <= found.good[alpha]


def test_a_run_folder_is_held_against_its_own_world(tmp_path: Path) -> None:
    import marsbench

    run = marsbench.run(
        "fcfs",
        workload="ilr-1",
        sessions=4,
        load=8.0,
        kv_blocks=13_000,
        reserve_full_prompt="off",
        alpha=[1.5, 3.0],
        output=tmp_path / "run",
    )
    found = held(run.path)
    assert found.bounds.num_sessions == 4
    assert found.mean_latency_s is not None
    assert found.bounds.mean_latency_s <= found.mean_latency_s
    assert found.num_resumes == run.summary["preemptions"] > 0
    assert found.good.keys() == found.bounds.good.keys() == {1.5, 3.0}
