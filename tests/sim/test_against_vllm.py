"""Two oracles hold the adapter and the simulator to vLLM's own scheduler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.settings import EngineSettings
from tests.sim.worlds import HARDWARE, enough_blocks, lines, workloads

pytestmark = pytest.mark.vllm


def engine(extra: int, workload: list[Any], **knobs: Any) -> EngineSettings:
    size = knobs.get("block_size", 16)
    return EngineSettings(**{"kv_blocks": enough_blocks(workload, size) + extra, **knobs})


KNOBS = st.fixed_dictionaries(
    {
        "max_num_batched_tokens": st.sampled_from([64, 100, 256, 8192]),
        "max_num_seqs": st.sampled_from([1, 3, 64]),
        "reserve_full_prompt": st.booleans(),
        "block_size": st.sampled_from([16, 64]),
    }
)


def played(workload: list[Any], settings_: EngineSettings, **config: Any) -> list[str]:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    events: list[Any] = []
    Simulation(SimConfig(HARDWARE, settings_, **config), events.append).run(workload)
    return lines(events)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(workload=workloads(), knobs=KNOBS, extra=st.integers(0, 40))
def test_macro_steps_give_the_events_of_single_steps(
    workload: list[Any], knobs: dict[str, Any], extra: int
) -> None:
    settings_ = engine(extra, workload, **knobs)
    single = played(workload, settings_, backend=None, merge=False, fast=False, sample_s=0.05)
    merged = played(workload, settings_, backend=None, merge=True, fast=False, sample_s=0.05)
    assert merged == single


@settings(max_examples=30, deadline=None, derandomize=True)
@given(workload=workloads(), knobs=KNOBS, extra=st.integers(0, 40))
def test_the_adapter_under_fcfs_gives_the_events_of_stock_vllm(
    workload: list[Any], knobs: dict[str, Any], extra: int
) -> None:
    settings_ = engine(extra, workload, **knobs)
    stock = played(workload, settings_, backend=None, merge=False, fast=False, sample_s=0.05)
    ours = played(workload, settings_, backend="fcfs", check=True, sample_s=0.05)
    assert ours == stock


@settings(max_examples=25, deadline=None, derandomize=True)
@given(workload=workloads(), extra=st.integers(0, 60))
def test_macro_steps_of_several_prefills_give_the_events_of_single_steps(
    workload: list[Any], extra: int
) -> None:
    """Chunks are small, so that sessions of one group compute their prefix side by side."""
    settings_ = engine(extra, workload, reserve_full_prompt=False)
    config = {"backend": "tests.sim.worlds:Sliced", "sample_s": 0.05}
    assert played(workload, settings_, **config) == played(
        workload, settings_, merge=False, fast=False, **config
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(workload=workloads(), knobs=KNOBS, extra=st.integers(0, 40))
def test_macro_steps_count_decisions_as_single_steps_do(
    workload: list[Any], knobs: dict[str, Any], extra: int
) -> None:
    from marsbench.core.sim.simulation import SimConfig, Simulation

    parameters = {"level_tokens": (100, 300), "review_s": 0.1, "hold_share_max": 0.9}
    counts = []
    for merge in (True, False):
        config = SimConfig(HARDWARE, engine(extra, workload, **knobs), "mars", parameters)
        simulation = Simulation(replace(config, merge=merge), lambda _: None)
        simulation.run(workload)
        counts.append(simulation.decisions)
    assert counts[0] == counts[1]


def decisions(cls: type, prompts: list[tuple[int, int, int]], blocks: int, budget: int) -> Any:
    """Step by step: tokens given, requests preempted, free blocks."""
    from marsbench.core.sim.vllm_core import make_request, make_scheduler
    from marsbench.core.session import Round, Session
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes
    from marsbench.shortcuts.fast_steps import sampled

    knobs = EngineSettings(budget, max_num_seqs=16, reserve_full_prompt=False)
    scheduler: Any = make_scheduler(cls, knobs, blocks, 262_144)
    writers, steps = BlockWriters(), []
    pending = sorted(enumerate(prompts), key=lambda p: p[1][2])
    for step in range(10_000):
        while pending and pending[0][1][2] <= step:
            number, (tokens, output, _) = pending.pop(0)
            session = Session(f"s{number}", (Round(tokens, output),))
            hashes = SessionHashes(session, writers, 16).upto(tokens + output)
            scheduler.add_request(
                make_request(session.id, session.id, tokens, output, hashes, float(step), {})
            )
        if not scheduler.has_unfinished_requests() and not pending:
            return steps
        output_ = scheduler.schedule()
        scheduler.update_from_output(output_, sampled(scheduler, output_))
        free = scheduler.kv_cache_manager.block_pool.get_num_free_blocks()
        preempted = sorted(output_.preempted_req_ids or ())
        steps.append((dict(output_.num_scheduled_tokens), preempted, free))
    raise AssertionError("the requests did not finish")


PROMPTS = st.lists(
    st.tuples(st.integers(1, 200), st.integers(1, 60), st.integers(0, 30)), min_size=1, max_size=9
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(prompts=PROMPTS, spare=st.integers(0, 12), budget=st.sampled_from([16, 50, 256]))
def test_fcfs_decides_as_stock_vllm_step_for_step(
    prompts: list[tuple[int, int, int]], spare: int, budget: int
) -> None:
    from vllm.v1.core.sched.scheduler import Scheduler

    from marsbench_backends.scheduler import SimScheduler

    blocks = max(tokens + output for tokens, output, _ in prompts) // 16 + 1 + spare
    stock = decisions(Scheduler, prompts, blocks, budget)
    assert decisions(SimScheduler, prompts, blocks, budget) == stock


def test_the_oracle_sees_preemptions() -> None:
    """Without them the comparison above would say little."""
    from vllm.v1.core.sched.scheduler import Scheduler

    prompts = [(150, 60, 0), (150, 60, 0), (150, 60, 1)]
    steps = decisions(Scheduler, prompts, 26, 256)
    assert sum(len(preempted) for _, preempted, _ in steps) >= 1


def test_a_macro_step_really_merges() -> None:
    from marsbench.core.session import Round, Session
    from marsbench.core.sim.simulation import SimConfig, Simulation

    events: list[Any] = []
    simulation = Simulation(SimConfig(HARDWARE), events.append)
    simulation.run([Session("a", (Round(100_000, 500),))])
    assert simulation.counters.steps == 512  # 13 chunks of 8,192, the last one makes a token
    assert simulation.counters.schedule_calls < 20


def test_a_session_is_not_kept_out_by_its_own_hold() -> None:
    """It holds 21 blocks of a context that was then cut, and needs 31 of 46."""
    from marsbench.core.session import Cut, Round, Session
    from marsbench.core.sim.simulation import SimConfig, Simulation

    cut = Cut(to_tokens=84, kept_tokens=30)
    session = Session("a", (Round(318, 28), Round(400, 32, cut=cut)))
    events: list[Any] = []
    config = SimConfig(HARDWARE, EngineSettings(kv_blocks=46), "tests.sim.worlds:Stubborn")
    Simulation(config, events.append).run([session])
    assert [e.reason for e in events if e.kind == "unheld"] == ["revoked"]
    assert events[-1].kind == "session_ended"


def test_a_step_that_only_preempts_is_not_the_end() -> None:
    """The one running request loses its blocks to holds; vLLM admits the others a step later."""
    from marsbench.core.session import Round, Session, ToolCall
    from marsbench.core.sim.simulation import SimConfig, Simulation

    pause = (ToolCall("t", floor_s=0.4),)
    holder = Session("a", (Round(160, 2, pause), Round(200, 5)))
    runner = Session("b", (Round(100, 300),), arrival_s=0.01)
    events: list[Any] = []
    backend = "tests.sim.worlds:Stubborn"
    config = SimConfig(HARDWARE, EngineSettings(kv_blocks=26), backend=backend, check=True)
    Simulation(config, events.append).run([holder, runner])
    kinds = [(e.kind, e.session) for e in events if e.kind in ("preempted", "session_ended")]
    assert ("preempted", "b") in kinds
    assert {s for k, s in kinds if k == "session_ended"} == {"a", "b"}
