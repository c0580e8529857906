"""The faster LRU gives up what vLLM's own does, and keeps equal books."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytestmark = pytest.mark.vllm


class Twin:
    """The same operations on both."""

    def __init__(self, capacity: int) -> None:
        from vllm.v1.kv_offload.cpu.manager import CPUOffloadingManager

        from marsbench.shortcuts.fast_offload import FastLru

        self.managers = [CPUOffloadingManager(capacity, "lru") for _ in range(2)]
        self.managers[1]._policy = FastLru(capacity)

    def both(self, name: str, *args: Any, contexts: list[Any]) -> Any:
        found = [
            getattr(manager, name)(*args, context)
            for manager, context in zip(self.managers, contexts, strict=True)
        ]
        return found[0], found[1]


def contexts_of(number: int, keys: list[bytes]) -> list[Any]:
    from vllm.v1.kv_offload.base import ReqContext

    made = [ReqContext(f"r{number}") for _ in range(2)]
    for context in made:
        for place, key in enumerate(keys, 1):
            context.set_offload_key_position(key, 16 * place)
    return made


def test_it_evicts_what_vllms_own_evicts() -> None:
    rng = random.Random(1)
    for _ in range(40):
        twin, open_stores, open_loads = Twin(rng.randint(4, 60)), [], []
        for number in range(60):
            first = rng.randrange(8) * 100
            keys = [(first + n).to_bytes(4, "big") for n in range(rng.randint(1, 30))]
            contexts = contexts_of(number, keys)
            twin.both("on_new_request", contexts=contexts)
            for at in range(0, len(keys), 7):
                stored = twin.both("prepare_store", keys[: at + 7], contexts=contexts)
                assert (stored[0] is None) == (stored[1] is None)
                if stored[0] is not None:
                    assert stored[0].keys_to_store == stored[1].keys_to_store
                    assert stored[0].evicted_keys == stored[1].evicted_keys
                    open_stores.append((stored[0].keys_to_store, contexts))
            while open_stores and rng.random() < 0.7:
                done, theirs = open_stores.pop(rng.randrange(len(open_stores)))
                twin.both("complete_store", done, contexts=theirs)
            ready = [k for k in keys if _ready(twin, k)]
            if ready and rng.random() < 0.5:
                twin.both("prepare_load", ready, contexts=contexts)
                open_loads.append((ready, contexts))
            twin.both("on_request_finished", contexts=contexts)
            while open_loads and rng.random() < 0.6:
                done, theirs = open_loads.pop(0)
                twin.both("complete_load", done, contexts=theirs)
            ours, vllms = twin.managers[1]._policy, twin.managers[0]._policy
            assert ours._ranks == vllms._ranks
            assert ours._evictable == vllms._evictable


def _ready(twin: Twin, key: bytes) -> bool:
    chunks = [manager._policy.get(key) for manager in twin.managers]
    assert (chunks[0] is None) == (chunks[1] is None)
    return chunks[0] is not None and bool(chunks[0].is_ready)
