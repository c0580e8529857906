"""The faster half of lazy offloading does what vLLM's own does, and keeps equal books."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from marsbench.core.settings import EngineSettings
from marsbench.offload.host_kv import GIB, HostKv

pytestmark = pytest.mark.vllm
BLOCKS, HOST_BLOCKS, SIZE, TEXTS, LONGEST = 40, 24, 16, 6, 12
STEP = SimpleNamespace(preempted_req_ids=None)


class World:
    """vLLM's half over two pools, or ours; contexts that are written, left and used again."""

    def __init__(self, way: str) -> None:
        from vllm.v1.core.sched.scheduler import Scheduler

        from marsbench.core.sim.vllm_core import make_scheduler
        from marsbench.shortcuts.fast_lazy import FastLazy
        from marsbench.shortcuts.fast_pool import FastBlocks, FastPool

        host_kv = HostKv((HOST_BLOCKS + 0.5) * SIZE * 128 / GIB, store="lazy")
        knobs = EngineSettings(2 * SIZE, 2, host_kv=host_kv)  # four blocks of a walk a step
        scheduler: Any = make_scheduler(Scheduler, knobs, BLOCKS, 4096)
        self.pool = scheduler.kv_cache_manager.block_pool
        self.half = scheduler.connector.scheduler_manager
        self.host = self.half.cpu_block_pool
        self.kept = FastBlocks(self.host, way == "compiled")
        if way != "vllm":
            FastPool(scheduler.kv_cache_manager, way == "compiled").install(scheduler)
            assert FastLazy.takes(self.half, self.kept)
        self.used: dict[str, list[Any]] = {}
        self.stores: list[int] = []
        self.loads: list[str] = []
        self.num = 0

    def keys(self, text: int) -> list[bytes]:
        from marsbench.shortcuts.keys import GROUP

        writer = text.to_bytes(4, "big")
        return [writer + place.to_bytes(4, "big") + GROUP for place in range(LONGEST)]

    def hold(self, blocks: list[Any]) -> str:
        self.num += 1
        self.used[f"r{self.num}"] = blocks
        return f"r{self.num}"

    def write(self, text: int, amount: int) -> None:
        """Its first blocks, those of which nobody has them anew."""
        keys = self.keys(text)[:amount]
        found = [self.pool.cached_block_hash_to_block.get_one_block(key) for key in keys]
        there = next((n for n, block in enumerate(found) if block is None), len(found))
        self.pool.touch(found[:there])
        if self.pool.get_num_free_blocks() < amount - there:
            self.pool.free_blocks(reversed(found[:there]))
            return
        new = self.pool.get_new_blocks(amount - there)
        for place, block in enumerate(new, there):
            self.pool._insert_block_hash(keys[place], block, num_tokens=SIZE * (place + 1))
        self.hold([*found[:there], *new])

    def leave(self, text: int, amount: int) -> None:
        if self.used:
            self.pool.free_blocks(reversed(self.used.pop([*self.used][amount % len(self.used)])))

    def step(self, text: int, amount: int) -> Any:
        meta = self.half.build_connector_meta(STEP)
        self.stores += [meta.store_event] if meta.store_event >= 0 else []
        self.loads = [*self.half._reqs_to_load]
        return meta

    def stored(self, text: int, amount: int) -> None:
        if self.stores:
            self.half._process_store_event(self.stores.pop(amount % len(self.stores)))

    def look(self, text: int, amount: int) -> Any:
        """In host memory for what the GPU has not; an even amount loads it, or less of it."""
        from marsbench.core.sim.vllm_core import make_request
        from marsbench.shortcuts.keys import BlockHashes

        first, hashes = amount % 3, BlockHashes(self.keys(text), LONGEST)
        name = f"r{self.num + 1}"
        request = make_request(name, "s", SIZE * LONGEST - amount % 2, 1, hashes, 0.0, {})
        found = self.half.get_num_new_matched_tokens(request, SIZE * first)
        blocks = first + found[0] // SIZE
        if amount % 2 or self.pool.get_num_free_blocks() < blocks:
            self.half.request_finished(request, [])
            return found
        name = self.hold(self.pool.get_new_blocks(blocks))
        given = SimpleNamespace(get_block_ids=lambda: ([b.block_id for b in self.used[name]],))
        self.half.update_state_after_alloc(request, given, max(0, found[0] - SIZE * (amount % 4)))
        return found

    def loaded(self, text: int, amount: int) -> None:
        if self.loads:
            self.half._cleanup_load_request(self.loads.pop(amount % len(self.loads)))

    def pop(self, blocks: int) -> None:
        self.hold(self.pool.get_new_blocks(blocks))

    def books(self) -> dict[str, Any]:
        half, cursor = self.half, self.half._cursor
        dropped = Counter[int]()
        for _, blocks, writer in self.kept.evictions:
            dropped[writer] += blocks
        return {
            "gpu": pool_books(self.pool),
            "host": pool_books(self.host),
            "cursor": cursor and (cursor.block_id, cursor.ref_cnt),
            "stores": half._store_event_to_blocks,
            "loads": {name: load.transfer_meta for name, load in half._reqs_to_load.items()},
            "dropped": list(dropped.items()),
        }


def pool_books(pool: Any) -> Any:
    cache = {
        key: sorted(entry) if isinstance(entry, dict) else entry.block_id
        for key, entry in pool.cached_block_hash_to_block._cache.items()
    }
    blocks = [(b.ref_cnt, b.block_hash, b.block_hash_num_tokens) for b in pool.blocks]
    free = [block.block_id for block in pool.free_block_queue.get_all_free_blocks()]
    assert len(free) == pool.get_num_free_blocks()
    return cache, blocks, free


OPERATIONS = ("write", "leave", "leave", "step", "stored", "look", "look", "loaded", "walk")


@pytest.mark.parametrize("way", ["python", "compiled"])
def test_every_operation_does_what_vllms_own_does(way: str) -> None:
    happened: Counter[str] = Counter()
    for seed in range(8):
        dice, ours, vllms = random.Random(seed), World(way), World("vllm")
        for _ in range(250):
            what, text, amount = (
                dice.choice(OPERATIONS),
                dice.randrange(TEXTS),
                dice.randrange(1, 12),
            )
            if what == "walk":
                walk_together(ours, vllms, dice, happened)
                continue
            answers = [getattr(world, what)(text, amount) for world in (ours, vllms)]
            assert answers[0] == answers[1], what
            assert ours.books() == vllms.books(), what
            happened["stored"] += what == "step" and answers[0].store_event >= 0
            happened["loaded"] += what == "step" and answers[0].load_event >= 0
            happened["hit"] += what == "look" and answers[0][0] > 0
        happened["dropped"] += bool(ours.kept.evictions)
    assert min(happened[name] for name in NEEDED) >= 5, happened


NEEDED = ("stored", "loaded", "hit", "dropped", "steps in one", "stopped by a store")


def walk_together(ours: World, vllms: World, dice: Any, happened: Counter[str]) -> None:
    """Steps alike: ours as one, vLLM's one after the other, and the one that ours stops before."""
    cursor, most, blocks = ours.half._cursor, dice.randrange(1, 9), dice.randrange(3)
    if cursor is None or cursor.ref_cnt:
        return
    is_first = ours.pool.free_block_queue.fake_free_list_head.next_free_block is cursor
    steps = ours.half.walk_on(ours.half.safe_steps(most, max(1, SIZE * blocks), 1))
    ours.pop(steps * blocks)
    held: list[Any] = []
    for _ in range(steps):
        held += vllms.pool.get_new_blocks(blocks)
        assert vllms.half._prepare_lazy_store_specs() == ([], [], [], None)
    vllms.hold(held)
    assert ours.books() == vllms.books()
    happened["steps in one"] += steps > 1
    if steps < most and not blocks and not is_first:  # of which one block might be popped
        answers = [world.step(0, 0) for world in (ours, vllms)]
        assert answers[0] == answers[1]
        assert answers[0].store_event >= 0
        happened["stopped by a store"] += 1


def test_of_another_vllm_the_walk_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from marsbench.shortcuts import as_read
    from tests.sim.test_offload import crowd, offloading, played
    from tests.sim.worlds import lines

    quick, simulation = played(crowd(3), 30, offloading(300, "lazy"))
    monkeypatch.setattr(as_read, "LAZY_SOURCE", "another")
    plain, other = played(crowd(3), 30, offloading(300, "lazy"))
    names = [type(s.scheduler.host._half).__name__ for s in (simulation, other)]
    assert names == ["FastLazy", "SimpleCPUOffloadScheduler"]
    assert lines(quick) == lines(plain)
    assert simulation.counters.schedule_calls < other.counters.schedule_calls
