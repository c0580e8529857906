"""Times alone without a scheduler are those under vLLM's own, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from marsbench.core import isolated
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from marsbench.core.sim.solo import fits
from marsbench.core.workload.make import Knobs, make_workload
from marsbench.core.workload.recipe import load_recipe, recipe_names
from marsbench.hardware.profile import load_hardware
from sim.worlds import enough_blocks, workloads

pytestmark = pytest.mark.vllm


def both(sessions: list[Session], knobs: EngineSettings) -> list[isolated.Isolated]:
    return [
        isolated._played(sessions, load_hardware(), knobs, None, by_solo=solo)
        for solo in (True, False)
    ]


@settings(max_examples=60)
@given(
    workload=workloads(),
    block_size=st.sampled_from([4, 16]),
    budget=st.sampled_from([16, 40, 8192]),
    room=st.integers(1, 4),
)
def test_random_sessions_take_the_same_time(
    workload: list[Session], block_size: int, budget: int, room: int
) -> None:
    blocks = room * enough_blocks(workload, block_size)
    assume(all(fits(session, blocks, block_size) for session in workload))
    solo, simulated = both(
        workload,
        EngineSettings(
            block_size=block_size, max_num_batched_tokens=budget, max_num_seqs=8, kv_blocks=blocks
        ),
    )
    assert solo == simulated


LINEAR = [name for name in recipe_names() if load_recipe(name).fan_out is None]
"""The others are left to the simulator."""


@pytest.mark.parametrize("name", LINEAR)
def test_the_sessions_of_a_recipe_take_the_same_time(name: str) -> None:
    sessions = list(make_workload(load_recipe(name), Knobs(sessions=4, rate=1.0, seed=5)).sessions)
    solo, simulated = both(sessions, EngineSettings(block_size=64))
    assert solo == simulated


def test_two_sub_agents_at_once_are_left_to_the_simulator() -> None:
    child = Session("c", (Round(64, 4),))
    call = ToolCall("agent", "agent", child=child)
    one = Session("s", (Round(64, 4, (call,)), Round(8, 4)))
    both_at_once = replace(one, rounds=(Round(64, 4, (call, call)), Round(8, 4)))
    assert fits(one, 100, 16)
    assert not fits(both_at_once, 100, 16)


def test_what_the_cache_cannot_hold_all_of_is_left_to_the_simulator() -> None:
    session = Session("s", (Round(160, 16), Round(16, 16)))  # 208 tokens and a block to spare
    assert fits(session, 14, 16)
    assert not fits(session, 13, 16)


def test_the_rounds_of_a_session_alone_last_as_long_as_it_does() -> None:
    sessions = list(make_workload(load_recipe("chat"), Knobs(sessions=3, rate=1.0)).sessions)
    hardware, knobs = load_hardware(), EngineSettings(block_size=64)
    whole = isolated.isolated(sessions, hardware, knobs)
    found = isolated.rounds_alone(sessions, hardware, knobs)
    for session in sessions:
        rounds = found[session.id]
        times = [at for rnd in rounds for at in (rnd.ready_at, rnd.ended_at)]
        assert len(rounds) == len(session.rounds)
        assert times == sorted(times)
        assert (times[0], times[-1]) == (0.0, pytest.approx(whole.ideal_s[session.id]))
        pauses = [b.ready_at - a.ended_at for a, b in pairwise(rounds)]
        asked = [max(call.alone_s for call in rnd.tools) for rnd in session.rounds[:-1]]
        assert pauses == pytest.approx(asked)
