"""Every block that leaves the GPU's cache is in one book: evicted, or swapped to host memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from marsbench.core.events import Evicted, GpuStart, HostEvicted, SwappedIn, SwappedOut
from marsbench.core.metrics.check import check_stream
from marsbench.core.session import Round, Session, ToolCall
from marsbench.core.settings import EngineSettings
from tests.sim.worlds import HARDWARE, enough_blocks, lines, workloads

pytestmark = pytest.mark.vllm
MOVES = (Evicted, SwappedOut, SwappedIn, HostEvicted)


def crowd() -> list[Session]:
    """Six whose contexts are swapped, and do not all fit into host memory.

    Whether drawn worlds have such a moment depends on which modules are imported: hypothesis also
    draws the constants that it finds in them.
    """
    tool = ToolCall("fetch", floor_s=0.5)
    rounds = (Round(300, 20, (tool,)), Round(40, 10, (tool,)), Round(40, 10))
    return [Session(f"s{n}", rounds, arrival_s=0.05 * n) for n in range(6)]


def played(workload: list[Any], extra: int, **config: Any) -> tuple[list[Any], Any]:
    """The events of a world under a policy that does everything, and its block pool."""
    from marsbench.core.sim.simulation import SimConfig, Simulation

    knobs = EngineSettings(256, 8, kv_blocks=enough_blocks(workload, 16) + extra)
    seen: list[Any] = []
    asked = SimConfig(HARDWARE, knobs, "tests.sim.worlds:Restless", check=True, **config)
    simulation = Simulation(asked, seen.append)
    simulation.run(workload)
    return seen, simulation.scheduler.kv_cache_manager.block_pool


def blocks(seen: list[Any], kind: type[Any]) -> int:
    return sum(event.blocks for event in seen if isinstance(event, kind))


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Blocks that vLLM's own pool has taken into its cache."""
    from vllm.v1.core.block_pool import BlockPool

    count, insert = Counter[str](), BlockPool._insert_block_hash

    def counted(pool: Any, key: Any, block: Any, num_tokens: Any) -> None:
        was_empty = block.block_hash is None
        insert(pool, key, block, num_tokens)
        count["blocks"] += was_empty and block.block_hash is not None

    monkeypatch.setattr(BlockPool, "_insert_block_hash", counted)
    return count


def starts_with_what_came_back(seen: list[Any]) -> bool:
    """Of a prompt that is found whole the last token is computed again."""
    back: Counter[tuple[str, int]] = Counter()
    for event in seen:
        if isinstance(event, SwappedIn):
            back[event.session, event.round] += 16 * event.blocks
        elif isinstance(event, GpuStart):
            came = back.pop((event.session, event.round), 0)
            assert came - event.loaded_tokens in ((0, 1) if came else (0,))
            assert event.cached_tokens >= 0
    return not back


def test_what_leaves_the_cache_is_evicted_or_swapped_on_vllms_own_loops_as_on_fast_ones(
    entered: Counter[str],
) -> None:
    moved: Counter[type[Any]] = Counter()

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(workload=workloads(), extra=st.integers(0, 20))
    @example(workload=crowd(), extra=20)
    def balances(workload: list[Any], extra: int) -> None:
        entered.clear()
        slow, pool = played(workload, extra, merge=False, fast=False)
        left = entered["blocks"] - sum(b.block_hash is not None for b in pool.blocks)
        assert left == blocks(slow, Evicted) + blocks(slow, SwappedOut)
        assert starts_with_what_came_back(slow)
        assert check_stream(slow) == []
        assert lines(played(workload, extra)[0]) == lines(slow)
        moved.update({kind: blocks(slow, kind) for kind in MOVES})

    balances()
    assert min(moved[kind] for kind in MOVES) > 10, moved
