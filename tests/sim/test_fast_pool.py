"""The faster block loops leave the same books as vLLM's own, whatever is done to them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marsbench.core.settings import EngineSettings

pytestmark = pytest.mark.vllm

BLOCKS, SIZE = 24, 16
HAS_COMPILER = shutil.which("cc") is not None
WAYS = (
    "python",
    pytest.param("compiled", marks=pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")),
)

# (what, which request, how much): adopt what is cached and take slots; grow; free; look up.
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["start", "grow", "free", "look", "touch"]),
        st.integers(0, 4),
        st.integers(1, 120),
    ),
    max_size=60,
)


class World:
    """A KV cache manager and five requests, two of which have the same tokens."""

    def __init__(self, way: str) -> None:
        from vllm.v1.core.sched.scheduler import Scheduler

        from marsbench.core.sim.vllm_core import make_scheduler
        from marsbench.shortcuts.fast_pool import FastPool

        scheduler = make_scheduler(Scheduler, EngineSettings(), BLOCKS, 4096)
        self.manager: Any = scheduler.kv_cache_manager
        self.pool = self.manager.block_pool
        self.watch = FastPool(self.manager, compiled=way == "compiled")
        if way != "vllm":
            self.watch.install(scheduler)
        self.requests = [self.request(i) for i in range(5)]
        self.running: set[int] = set()
        self.held: list[Any] = []

    def request(self, number: int) -> Any:
        from marsbench.core.sim.vllm_core import make_request
        from marsbench.shortcuts.keys import GROUP, WRITER_BYTES, BlockHashes

        content = min(number, 3)  # requests 3 and 4 are the same text
        writer = bytes([content]) * WRITER_BYTES
        keys = [writer + i.to_bytes(4, "big") + GROUP for i in range(40)]
        hashes = BlockHashes(keys, len(keys))
        return make_request(f"r{number}", "s", 300, 300, hashes, 0.0, {})

    def do(self, what: str, number: int, amount: int) -> Any:
        request = self.requests[number]
        return getattr(self, what)(number, request, amount)

    def start(self, number: int, request: Any, amount: int) -> Any:
        if number in self.running:
            return None
        hit, cached, _ = self.manager.get_computed_blocks(request)
        given_ = self.manager.allocate_slots(
            request, amount, num_new_computed_tokens=cached, new_computed_blocks=hit
        )
        if given_ is None:
            return None
        request.num_computed_tokens = cached + amount
        self.running.add(number)
        return cached, ids(given_.blocks[0])

    def grow(self, number: int, request: Any, amount: int) -> Any:
        if number not in self.running:
            return None
        amount = min(amount, request.num_tokens - request.num_computed_tokens)
        if amount == 0:
            return None
        given_ = self.manager.allocate_slots(request, amount, num_lookahead_tokens=0)
        if given_ is None:
            return "full"
        request.num_computed_tokens += amount
        return ids(given_.blocks[0])

    def free(self, number: int, request: Any, amount: int) -> None:
        if number in self.running:
            self.manager.free(request)
            request.num_computed_tokens = 0
            self.running.remove(number)

    def look(self, number: int, request: Any, amount: int) -> Any:
        hit, cached, _ = self.manager.get_computed_blocks(request, amount)
        return ids(hit.blocks[0]), cached

    def touch(self, number: int, request: Any, amount: int) -> None:
        """Hold what is cached of a request, or let go of the oldest hold."""
        if amount % 2 and self.held:
            self.pool.free_blocks(reversed(self.held.pop(0)))
        else:
            hit, _, _ = self.manager.get_computed_blocks(request)
            self.pool.touch(hit.blocks[0])
            self.held.append(hit.blocks[0])

    def books(self) -> Any:
        blocks = [
            (b.block_id, b.ref_cnt, b.block_hash, b.block_hash_num_tokens) for b in self.pool.blocks
        ]
        cache = {
            key: sorted(value) if isinstance(value, dict) else value.block_id
            for key, value in self.pool.cached_block_hash_to_block._cache.items()
        }
        free = ids(self.pool.free_block_queue.get_all_free_blocks())
        return blocks, cache, free, self.pool.get_num_free_blocks(), self.evictions()

    def evictions(self) -> list[tuple[int, int]]:
        """(place among the pops, writer) of each since the last take, whatever runs they form."""
        return [
            (first + i, writer)
            for first, count, writer in self.watch.evictions
            for i in range(count)
        ]


def ids(blocks: Any) -> list[int]:
    return [block.block_id for block in blocks]


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(operations=OPERATIONS)
def test_every_operation_leaves_the_books_that_vllm_would(
    way: str, operations: list[tuple[str, int, int]]
) -> None:
    slow, fast = World("vllm"), World(way)
    for operation in operations:
        assert fast.do(*operation) == slow.do(*operation)
        assert fast.books() == slow.books()


@pytest.mark.parametrize("way", WAYS)
def test_an_eviction_is_counted_at_its_place_among_the_pops(way: str) -> None:
    world = World(way)
    world.do("start", 0, 120)
    world.do("free", 0, 1)
    assert world.watch.take_evictions() == []
    world.do("start", 1, 120)
    world.do("start", 2, 120)
    world.do("start", 3, 120)
    (run,) = world.watch.take_evictions()
    # 24 blocks: 7 hold the first request's text and its eighth was never full, so that one is
    # reused first; 17 are empty, 24 are popped, and the cached seven go last.
    assert run == (18, 7, 0)
    assert world.watch.take_evictions() == []


@pytest.mark.skipif(not HAS_COMPILER, reason="no C compiler")
def test_where_a_compiler_is_the_loops_are_compiled() -> None:
    from marsbench.shortcuts.compiled import loops

    assert loops().__name__.endswith("_blocks")
    assert loops(compiled=False).__name__.endswith("block_loops")


def test_a_block_with_other_slots_is_refused() -> None:
    from dataclasses import dataclass

    from marsbench.shortcuts import block_loops
    from marsbench.shortcuts.compiled import loops

    @dataclass
    class Unslotted:
        ref_cnt: int = 0

    built = loops()
    if built is block_loops:
        pytest.skip("no C compiler")
    with pytest.raises(TypeError, match="ref_cnt"):
        built.bind(Unslotted)
    with pytest.raises(TypeError, match="not a block"):
        built.touch([Unslotted()])


def test_another_source_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from marsbench.shortcuts import block_loops, compiled

    source = tmp_path / "blocks.c"
    source.write_text("/* another */")
    monkeypatch.setattr(compiled, "SOURCE", source)
    assert compiled._bound.__wrapped__() is None
    monkeypatch.setenv(compiled.VARIABLE, "off")
    assert compiled.loops() is block_loops
