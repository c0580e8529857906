"""vLLM's manager of host memory without its loops over what has not changed.

vLLM's looks at every block of a context, in Python, whenever a round begins, and again when it
ends. What it decides is the same here, by sets and lists of whole contexts. Numbers that only its
statistics read are not kept.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable
from itertools import filterfalse
from typing import Any

from vllm.v1.kv_offload.base import LoadStoreSpec, OffloadingEvent, PrepareStoreOutput
from vllm.v1.kv_offload.cpu.manager import CPUOffloadingManager
from vllm.v1.kv_offload.cpu.policies.arc import ARCCachePolicy
from vllm.v1.kv_offload.cpu.policies.lru import LRUCachePolicy

from marsbench.shortcuts.fast_arc import FastArc
from marsbench.shortcuts.fast_lru import FastLru
from marsbench.shortcuts.keys import WRITER_BYTES, writers
from marsbench.shortcuts.stretches import begins_with

MOST_MOVES = 256
"""Offers after which the remembered ones are put in order, though none is forgotten."""


class BlockNumbers(LoadStoreSpec):
    """What a copy reads or fills, by its number: a list, since nobody here copies anything."""

    def __init__(self, block_ids: list[int]) -> None:
        self.block_ids = block_ids


class HostSlot:
    """vLLM's ChunkStatus, as a plain object: a slot of host memory and who reads it."""

    __slots__ = ("chunk_id", "ref_cnt")

    def __init__(self, chunk_id: int) -> None:
        self.chunk_id = chunk_id
        self.ref_cnt = -1

    @property
    def is_ready(self) -> bool:
        return self.ref_cnt >= 0


class Access:
    """What one request has used so far, in the order of its first use.

    in_order: whether that is head to tail, up to the position `last`.
    stored: blocks that it only stored. failed: those for which there was no room. Any other was
        there already when it was used.
    """

    __slots__ = ("failed", "finished", "generation", "in_order", "keys", "last", "missed", "stored")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.keys: list[Any] = []
        self.stored: set[Any] = set()
        self.failed: set[Any] = set()
        self.missed: set[Any] = set()
        self.in_order, self.last, self.finished = True, 0, False

    def see(self, keys: list[Any], context: Any) -> list[Any]:
        """Those of these keys, head to tail, that it has not used before."""
        if not keys:
            return keys
        position, last = context.get_offload_key_position, self.last
        if position(keys[0]) <= last:
            seen = set(self.keys)
            keys = [key for key in keys if key not in seen]
            self.in_order = self.in_order and not (keys and position(keys[0]) <= last)
        if keys:
            self.keys += keys
            self.last = max(last, position(keys[-1]))
        return keys

    def found(self, keys: list[Any]) -> None:
        """They were there after all."""
        if self.failed:
            self.failed.difference_update(keys)

    def succeeded(self, to_store: list[Any], fresh: Collection[Any]) -> None:
        """They are to be stored; fresh: those of them that it never found there."""
        self.stored.update(fresh)
        if self.failed:
            done = self.failed.intersection(to_store)
            self.failed -= done
            self.stored |= done

    def head_to_tail(self, context: Any) -> list[Any]:
        if self.in_order:
            return self.keys
        return sorted(self.keys, key=context.get_offload_key_position)


class Offer:
    """Blocks of one context that were offered, head to tail.

    num_known: so many of the first ones are remembered. num_often: that often enough. moved: as
    they are to be put in order, unless they are offered again before.
    """

    __slots__ = ("keys", "moved", "num_known", "num_often")

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys
        self.num_known = self.num_often = 0
        self.moved: list[list[Any]] = []

    def see(self, seldom: set[Any]) -> None:
        """Now that they have been counted."""
        place, keys = self.num_often, self.keys
        while place < len(keys) and keys[place] not in seldom:
            place += 1
        self.num_often = place


class FastManager(CPUOffloadingManager):
    """With FastLru or FastArc; every key has its position, and offers go from head to tail.

    _unready: blocks whose store is under way. _counts_uses: whether the policy asks what a
    request used that was there. _seldom: remembered offers below the threshold. _moved: of those
    remembered, the ones that were offered again since they were in order. _offers: of who wrote
    the last block, the longest, until a block of it is forgotten. _holders: in which of them there
    are blocks of a writer. _slots: by their numbers.
    """

    _policy: Any
    _unready: set[Any]
    _seldom: set[Any]
    _moved: list[list[Any]]
    _offers: dict[bytes, Offer]
    _holders: defaultdict[bytes, set[bytes]]
    _counts_uses: bool
    _slots: list[HostSlot]

    @classmethod
    def takes(cls, manager: Any) -> bool:
        """Take an empty manager of vLLM's over; False for one that this does not know."""
        kinds: dict[Any, Any] = {LRUCachePolicy: FastLru, ARCCachePolicy: FastArc}
        kind = kinds.get(type(manager._policy))
        if type(manager) is not CPUOffloadingManager or kind is None:
            return False
        manager._policy = kind(manager._policy.cache_capacity)
        manager._counts_uses = kind is FastArc
        manager._unready, manager._seldom, manager._moved = set(), set(), []
        manager._offers, manager._holders, manager._slots = {}, defaultdict(set), []
        manager.__class__ = cls
        return True

    def _access(self, context: Any) -> Access:
        found: Access | None = context.get_state(Access)
        if found is None or found.generation != self._cache_generation:
            found = Access(self._cache_generation)
            context.set_state(found)
        return found

    def on_new_request(self, req_context: Any) -> Any:
        self._access(req_context)
        return super().on_new_request(req_context)

    def prefix(self, keys: list[Any]) -> tuple[int, bool]:
        """How many of these are here without a gap, and whether all of those are ready."""
        found = self._policy.run_of.num_leading(keys)
        return found, not self._unready or self._unready.isdisjoint(keys[:found])

    # --- stores

    def prepare_store(self, keys: Collection[Any], req_context: Any) -> PrepareStoreOutput | None:
        keys, policy, access = list(keys), self._policy, self._access(req_context)
        if self.counts is not None:
            self._record_accesses(keys)
        unready = self._unready
        absent = policy.run_of.absent(keys)
        present = _without(keys, absent)
        if unready and not unready.isdisjoint(present):
            present = [key for key in present if key not in unready]
        to_store = self._often_enough(absent)
        self._miss(to_store, access, req_context)
        used = _in_order(keys, present, absent, to_store)
        new = access.see(used, req_context)
        if new:
            policy.on_request_access(new, req_context)
        fresh: Collection[Any] = ()
        if self._counts_uses:
            access.found(present)
            fresh = to_store if len(new) == len(used) else set(to_store).intersection(new)
        if not to_store:
            return PrepareStoreOutput([], BlockNumbers([]), [])
        evicted = self._make_room(to_store, keys)
        if evicted is None:
            access.failed.update(fresh)
            return None
        made = self._allocate_chunks(to_store)
        policy.insert_all(to_store, made, req_context)
        unready.update(to_store)
        self._num_write_pending_chunks += len(to_store)
        if self._counts_uses:
            access.succeeded(to_store, fresh)
        return PrepareStoreOutput(to_store, self._get_load_store_spec(to_store, made), evicted)

    def _get_load_store_spec(self, keys: Any, chunks: Any) -> Any:
        return BlockNumbers([chunk.chunk_id for chunk in chunks])

    def _often_enough(self, absent: list[Any]) -> list[Any]:
        """Those that have been offered so often that they are stored."""
        if self.counts is None:
            return absent
        often = filterfalse(self._seldom.__contains__, absent)
        return list(filter(self.counts.__contains__, often))

    def _miss(self, to_store: list[Any], access: Access, context: Any) -> None:
        """An LRU has nothing to learn of blocks that are not there."""
        if self._counts_uses:
            new = list(filterfalse(access.missed.__contains__, to_store))
            self._policy.on_store_miss(new, context)
            access.missed.update(new)

    def _make_room(self, to_store: list[Any], keys: list[Any]) -> list[Any] | None:
        """The keys that leave; None where not enough may."""
        lacking = len(to_store) - self._get_num_free_chunks()
        if lacking <= 0:
            return []
        if lacking > self._num_evictable_cache_chunks:
            return None
        found = self._policy.evict(lacking, keys)
        if found is None:
            return None
        self._num_evictable_cache_chunks -= len(found)
        self._free_list += [chunk.chunk_id for _, chunk in found]
        evicted = [key for key, _ in found]
        if self.events is not None:
            self.events.append(OffloadingEvent(evicted, self.medium, removed=True))
        return evicted

    def _allocate_chunks(self, keys: list[Any]) -> list[Any]:
        first = self._num_allocated_chunks
        num_fresh = min(len(keys), self._num_chunks - first)
        self._num_allocated_chunks += num_fresh
        ids = [*range(first, first + num_fresh)]
        if len(keys) > num_fresh:
            begin = len(self._free_list) - (len(keys) - num_fresh)
            ids += reversed(self._free_list[begin:])
            del self._free_list[begin:]
        self._slots += map(HostSlot, ids[:num_fresh])
        made = list(map(self._slots.__getitem__, ids))
        for slot in made:
            slot.ref_cnt = -1
        return made

    def complete_store(self, keys: Collection[Any], req_context: Any, success: bool = True) -> None:
        if not success or self.events is not None:
            self._unready.difference_update(keys)
            super().complete_store(keys, req_context, success)
            return
        done, chunks = self._unready.intersection(keys), self._policy.chunks
        for key in done:
            chunks[key].ref_cnt = 0
        self._unready -= done
        self._num_write_pending_chunks -= len(done)
        self._num_evictable_cache_chunks += len(done)
        self._policy.all_evictable(done)

    def _record_accesses(self, keys: Any) -> None:
        """An offer; a count stops at the threshold, above which nobody asks."""
        counts, least = self.counts, self.store_threshold
        assert counts is not None
        if not keys:
            return
        offer = self._offer(keys)
        new = list(filterfalse(counts.__contains__, keys[offer.num_known :]))
        known = _without(keys, new)
        offer.moved = [known, new]
        self._moved += offer.moved
        for key in self._seldom.intersection(known[offer.num_often :]):
            counts[key] += 1
            if counts[key] >= least:
                self._seldom.remove(key)
        room, num_others = self.max_tracker_size - len(counts), len(counts) - len(known)
        if room <= len(new) or len(self._moved) > MOST_MOVES:
            self._moved.pop()  # these come last in any case
            self._put_in_order()
        kept = new[: room + num_others]  # there is no place for more
        if len(kept) < len(new):
            self._offers.pop(keys[-1][:WRITER_BYTES], None)
        self._forget(len(kept) - room)
        counts.update(dict.fromkeys(kept, 1))
        self._seldom.update(kept)
        offer.see(self._seldom)

    def _forget(self, num_offers: int) -> None:
        """The oldest ones."""
        counts = self.counts
        assert counts is not None
        gone = [counts.popitem(last=False)[0] for _ in range(num_offers)]
        self._seldom.difference_update(gone)
        for writer in {key[:WRITER_BYTES] for key in gone}:
            for holder in self._holders.pop(writer, ()):
                self._offers.pop(holder, None)

    def _offer(self, keys: list[Any]) -> Offer:
        """What is known of these beforehand: what the round before offered is where they begin."""
        writer = keys[-1][:WRITER_BYTES]
        last, found = self._offers.get(writer), Offer(keys)
        if last is not None and begins_with(keys, last.keys):
            found.num_known, found.num_often = len(last.keys), last.num_often
            for moved in last.moved:
                moved.clear()
        if last is None or len(last.keys) <= len(keys):
            self._offers[writer] = found
            for own in writers(keys):
                self._holders[own].add(writer)
        return found

    def _put_in_order(self) -> None:
        """The offers that are remembered, the latest last: asked only where one is forgotten."""
        counts = self.counts
        assert counts is not None
        for known in self._moved:
            deque(map(counts.move_to_end, known), maxlen=0)
        self._moved.clear()

    # --- uses

    def _record_request_cache_access(
        self,
        keys: Iterable[Any],
        req_context: Any,
        inserted_keys: Iterable[Any] = (),
        reused_keys: Iterable[Any] = (),
    ) -> None:
        access, keys = self._access(req_context), list(keys)
        new = access.see(keys, req_context)
        if new:
            self._policy.on_request_access(new, req_context)
        access.found(keys)

    def on_request_finished(self, req_context: Any) -> None:
        access: Access | None = req_context.get_state(Access)
        if access is None or access.generation != self._cache_generation or access.finished:
            return
        access.finished = True
        keys = access.head_to_tail(req_context)
        self._policy.finished(keys, access.stored, access.failed, req_context)

    def reset_cache(self) -> None:
        super().reset_cache()
        for books in (self._unready, self._offers, self._holders, self._slots):
            books.clear()


def _without(keys: list[Any], some: list[Any]) -> list[Any]:
    """Those of these keys that are not among some of them, which mostly are the last ones."""
    num = len(keys) - len(some)
    if keys[num:] == some:
        return keys[:num]
    others = set(some)
    return [key for key in keys if key not in others]


def _in_order(
    keys: list[Any], present: list[Any], absent: list[Any], to_store: list[Any]
) -> list[Any]:
    """Of these keys the ones that are there and the ones to be stored; others are left out."""
    if len(present) + len(to_store) == len(keys):
        return keys
    if keys[len(present) :] == absent:
        return present + to_store
    recorded = {*present, *to_store}
    return [key for key in keys if key in recorded]
