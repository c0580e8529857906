"""What a slowdown is explained with, held against the simulator that made it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.isolated import isolated
from marsbench.core.metrics.stream import Stream
from marsbench.core.session import Session
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.simulation import SimConfig, Simulation
from marsbench.judge.why.alone import Alone
from marsbench.judge.why.explain import ExplainedRun
from sim.worlds import HARDWARE, enough_blocks, workloads

pytestmark = pytest.mark.vllm

ROUNDING_S = 1e-6


def played(sessions: list[Session], engine: EngineSettings, tool_cores: int) -> ExplainedRun:
    seen: list[object] = []
    Simulation(SimConfig(HARDWARE, engine, None, tool_cores=tool_cores), seen.append).run(sessions)
    ideal_s = isolated(sessions, HARDWARE, engine).ideal_s
    alone = Alone(HARDWARE.step_time, engine.max_num_batched_tokens)
    return ExplainedRun("run", Stream(seen), ideal_s, alone)


@settings(max_examples=12)
@given(
    workload=workloads(),
    budget=st.sampled_from([40, 8192]),
    more_blocks=st.sampled_from([0, 10, 1000]),
)
def test_idle_tools_are_never_blamed(
    workload: list[Session], budget: int, more_blocks: int
) -> None:
    """What is left for tools is 0 on a host with a core for each, so the others are all of it."""
    workload = [replace(session, arrival_s=0.0) for session in workload if not session.children]
    engine = EngineSettings(
        max_num_batched_tokens=budget,
        max_num_seqs=8,
        kv_blocks=enough_blocks(workload, 16) + more_blocks if workload else 100,
    )
    for one in played(workload, engine, 1000).explained if workload else ():
        assert one.causes.total_s == pytest.approx(one.slowdown_s, abs=ROUNDING_S)
        assert one.causes.tools_s == pytest.approx(0.0, abs=ROUNDING_S)
        assert min(one.causes.queue_s or 0.0, one.causes.recompute_s or 0.0) >= 0.0


@settings(max_examples=6)
@given(workload=workloads())
def test_alone_nothing_is_to_blame(workload: list[Session]) -> None:
    session = workload[0]
    engine = EngineSettings(kv_blocks=1000 + enough_blocks(workload, 16))
    (one,) = played([session], engine, 1000).explained
    assert all(abs(value) < ROUNDING_S for value in one.causes.known.values()), one.causes
