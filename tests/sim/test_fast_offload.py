"""The faster manager of host memory does what vLLM's own does, and keeps equal books."""

from __future__ import annotations

import random
from collections import OrderedDict
from functools import cache
from typing import Any

import pytest

pytestmark = pytest.mark.vllm
TOKENS = 16  # of a block


class Twin:
    """The same operations on vLLM's manager and on the faster one."""

    def __init__(self, capacity: int, eviction: str, threshold: int) -> None:
        from vllm.v1.kv_offload.cpu.manager import CPUOffloadingManager

        from marsbench.shortcuts.fast_manager import FastManager

        most = 50  # offers that are remembered: few, so that some are forgotten
        self.managers = [
            CPUOffloadingManager(
                capacity, eviction, store_threshold=threshold, max_tracker_size=most
            )
            for _ in range(2)
        ]
        assert FastManager.takes(self.managers[1])
        self.threshold = threshold

    def both(self, name: str, *args: Any, contexts: list[Any]) -> Any:
        found = [
            getattr(manager, name)(*args, context)
            for manager, context in zip(self.managers, contexts, strict=True)
        ]
        return found[0], found[1]

    def store(self, keys: list[Any], contexts: list[Any]) -> list[Any] | None:
        """What both store, where both have room."""
        vllms, ours = self.both("prepare_store", keys, contexts=contexts)
        assert (vllms is None) == (ours is None)
        if vllms is None:
            return None
        assert ours.keys_to_store == vllms.keys_to_store
        assert ours.evicted_keys == vllms.evicted_keys
        assert ours.store_spec.block_ids == vllms.store_spec.block_ids.tolist()
        return list(vllms.keys_to_store)

    def books(self, number: int) -> dict[str, Any]:
        manager = self.managers[number]
        policy = manager._policy
        counts = OrderedDict(manager.counts or {})
        for known in getattr(manager, "_moved", ()):  # which ours does when it has to
            for key in known:
                counts.move_to_end(key)
        books = {
            "free": list(manager._free_list),
            "allocated": manager._num_allocated_chunks,
            "evictable": manager._num_evictable_cache_chunks,
            "written": manager._num_write_pending_chunks,
            "offers": [(key, min(count, self.threshold)) for key, count in counts.items()],
        }
        if hasattr(policy, "t1"):
            own = (policy.t1, policy.t2, policy.b1, policy.b2)
            lists = policy.lists() if number else [list(keys) for keys in own]
            return {**books, "lists": lists, "aim": policy.target_t1_size}
        ranks = policy._ranks
        order = policy.order() if number else sorted(ranks, key=ranks.__getitem__)
        may_leave = set(policy.chunks) - policy.busy if number else policy._evictable
        return {**books, "order": order, "may leave": may_leave}

    def chunks(self, number: int, keys: list[Any]) -> list[tuple[int, int] | None]:
        found = [self.managers[number]._policy.get(key) for key in keys]
        return [chunk and (chunk.chunk_id, chunk.ref_cnt) for chunk in found]


@cache
def context_of(owner: int) -> list[bytes]:
    """All blocks of an owner, as the simulator names them; the first five are everybody's."""
    from marsbench.core.session import Round, Session
    from marsbench.core.sim.hashes import BlockWriters, SessionHashes

    writers = BlockWriters()
    for number in range(9):
        writers.number(f"s{number}")
    rounds = (Round(append_tokens=42 * TOKENS, output_tokens=1),)
    session = Session(f"s{owner}", rounds, prefix_group="tools", prefix_tokens=5 * TOKENS)
    return SessionHashes(session, writers, TOKENS).upto(42 * TOKENS).keys


def keys_of(owner: int, first: int, end: int) -> list[bytes]:
    return context_of(owner)[first:end]


def contexts_of(number: int, keys: list[bytes]) -> list[Any]:
    """For vLLM's manager, which is told each key's position, and for ours, which reads it."""
    from vllm.v1.kv_offload.base import ReqContext

    from marsbench.shortcuts.fast_offload import Positions

    told, reads = ReqContext(f"r{number}"), ReqContext(f"r{number}")
    for place, key in enumerate(keys, 1):
        told.set_offload_key_position(key, TOKENS * place)
    reads._offload_key_positions = Positions(TOKENS)
    return [told, reads]


class Requests:
    """Rounds of contexts that grow, several at once: offered, copied, loaded, ended at random."""

    def __init__(self, rng: random.Random, twin: Twin) -> None:
        self.rng, self.twin = rng, twin
        self.sizes = [0] * 9
        self.live: list[tuple[list[bytes], list[Any]]] = []
        self.stores: list[tuple[set[Any], list[Any]]] = []
        self.loads: list[tuple[list[Any], list[Any]]] = []
        self.outcomes: set[str] = set()

    def begin(self, number: int) -> None:
        owner = self.rng.randrange(1, 9)
        self.sizes[owner] = self.sizes[owner] % 30 + self.rng.randint(1, 12)
        keys = keys_of(owner, 0, self.sizes[owner])
        self.live.append((keys, contexts_of(number, keys)))
        self.twin.both("on_new_request", contexts=self.live[-1][1])

    def offer(self) -> None:
        keys, contexts = self.rng.choice(self.live)
        first = self.rng.choice([0, 0, self.rng.randrange(len(keys))])
        part = keys[first : first + self.rng.randint(1, len(keys))]
        stored = self.twin.store(part, contexts)
        self.outcomes.add("no room" if stored is None else "stored" if stored else "nothing")
        if stored:
            self.stores.append((set(stored), contexts))

    def load(self) -> None:
        keys, contexts = self.rng.choice(self.live)
        found = self.twin.managers[1].prefix(keys)
        ready = [chunk for chunk in self.twin.chunks(0, keys[: found[0]]) if chunk[1] >= 0]
        assert found == (len(keys[: found[0]]), len(ready) == found[0])
        assert found[0] == len(keys) or self.twin.managers[0]._policy.get(keys[found[0]]) is None
        if found[0] and found[1]:
            self.twin.both("prepare_load", keys[: found[0]], contexts=contexts)
            self.loads.append((keys[: found[0]], contexts))
            self.outcomes.add("loaded")

    def copied(self) -> None:
        name, jobs = self.rng.choice(
            [("complete_store", self.stores), ("complete_load", self.loads)]
        )
        if jobs:
            done, contexts = jobs.pop(self.rng.randrange(len(jobs)))
            self.twin.both(name, done, contexts=contexts)

    def end(self) -> None:
        _, contexts = self.live.pop(self.rng.randrange(len(self.live)))
        self.twin.both("on_request_finished", contexts=contexts)


@pytest.mark.parametrize("eviction", ["lru", "arc"])
@pytest.mark.parametrize("threshold", [0, 2, 3])
def test_it_does_what_vllms_own_does(eviction: str, threshold: int) -> None:
    rng, outcomes = random.Random(threshold), set[str]()
    for _ in range(12):
        twin = Twin(rng.randint(8, 90), eviction, threshold)
        requests = Requests(rng, twin)
        for number in range(60):
            requests.begin(number)
            for _ in range(rng.randint(1, 6)):
                rng.choice([requests.offer, requests.offer, requests.load, requests.copied])()
                assert twin.books(1) == twin.books(0)
            everything = [key for owner in range(9) for key in keys_of(owner, 0, 42)]
            assert twin.chunks(1, everything) == twin.chunks(0, everything)
            while len(requests.live) > rng.randint(0, 5):
                requests.end()
                assert twin.books(1) == twin.books(0)
        outcomes |= requests.outcomes
    assert outcomes == {"no room", "stored", "nothing", "loaded"}


def test_a_cache_that_was_emptied_begins_anew() -> None:
    for eviction in ("lru", "arc"):
        twin, keys = Twin(20, eviction, 0), keys_of(1, 0, 12)
        contexts = contexts_of(0, keys)
        twin.store(keys, contexts)
        for manager in twin.managers:
            manager.reset_cache()
        assert twin.store(keys, contexts) == keys
        twin.both("complete_store", set(keys), contexts=contexts)
        twin.both("on_request_finished", contexts=contexts)
        assert twin.books(1) == twin.books(0)
        other = keys_of(2, 0, 18)
        assert twin.store(other, contexts_of(1, other)) == other[5:]


def test_an_eviction_of_somebody_elses_is_left_to_vllm() -> None:
    from vllm.v1.kv_offload.cpu.manager import CPUOffloadingManager

    from marsbench.shortcuts.fast_manager import FastManager

    manager = CPUOffloadingManager(8, "Counting", "tests.sim.test_offload")
    assert not FastManager.takes(manager)
    assert type(manager) is CPUOffloadingManager


def test_of_another_vllm_the_loops_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from marsbench.shortcuts import as_read
    from tests.sim.test_offload import crowd, offloading, played
    from tests.sim.worlds import lines

    assert as_read.is_as_read()
    quick, simulation = played(crowd(3), 30, offloading(30))
    monkeypatch.setattr(as_read, "SOURCE", "another")
    plain, other = played(crowd(3), 30, offloading(30))
    names = [type(s.scheduler.host._half).__name__ for s in (simulation, other)]
    assert names == ["FastHalf", "OffloadingConnectorScheduler"]
    assert lines(quick) == lines(plain)
