"""vLLM's ARC of host memory: contexts move between its two lists in runs, not block by block."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from vllm.v1.kv_offload.cpu.policies.arc import ARCCachePolicy
from vllm.v1.kv_offload.cpu.policies.base import ChunkStatus

from marsbench.shortcuts.stretches import Kept, Part, Stretch, keys_of


class ArcRun(Stretch):
    """Of T1 or of T2, which is its group.

    tail_first: in which order its blocks leave; those of a request that has not ended, head first.
    """

    __slots__ = ("tail_first",)

    def __init__(self, group: ArcList, keys: list[Any], tail_first: bool) -> None:
        super().__init__(group, keys)
        self.tail_first = tail_first

    def leaving(self) -> Iterator[Any]:
        return super().leaving() if self.tail_first else iter(self.keys)


class ArcList(OrderedDict[ArcRun, None]):
    """T1 or T2: runs, the first to leave first."""

    def keys_in_order(self) -> Iterator[Any]:
        for run in self:
            yield from run.leaving()

    def num_keys(self) -> int:
        return sum(len(run.keys) for run in self)

    def drop(self, run: ArcRun, keys: list[Any]) -> None:
        """Take some of its blocks out."""
        run.drop(keys)
        if not run.keys:
            del self[run]


class FastArc(Kept, ARCCachePolicy):
    """Gives up what vLLM's ARC does, in the same order. chunks: those of T1 and of T2."""

    target_t1_size: float

    def __init__(self, cache_capacity: int) -> None:
        super().__init__(cache_capacity)
        self.t1, self.t2 = ArcList(), ArcList()

    def clear(self) -> None:
        super().clear()
        self.forget_all()

    def get(self, key: Any) -> ChunkStatus | None:
        return self.chunks.get(key)

    def lists(self) -> list[list[Any]]:
        """T1, T2, B1 and B2, the first to leave first."""
        own = (self.t1.keys_in_order(), self.t2.keys_in_order())
        return [list(keys) for keys in (*own, self.b1, self.b2)]

    def insert_all(self, keys: list[Any], chunks: Iterable[Any], context: Any) -> None:
        """Enter blocks, head to tail."""
        self.enter(keys, chunks)
        run = ArcRun(self.t1, [*keys], tail_first=False)
        self.t1[run] = None
        self.run_of.enter(run, keys)
        for ghost in (self.b1, self.b2):
            for key in list(filter(ghost.__contains__, keys)):
                del ghost[key]

    def on_store_miss(self, keys: Iterable[Any], req_context: Any) -> None:
        """One of a ghost moves the aim; of others, which are most, nothing is learnt."""
        b1, b2, most = self.b1, self.b2, self.cache_capacity
        for key in [key for key in keys if key in b1 or key in b2][::-1]:
            if key in b1:
                b1.move_to_end(key)
                aim = self.target_t1_size + max(1, len(b2) / len(b1))
                self.target_t1_size = aim if aim < most else most
            else:
                b2.move_to_end(key)
                aim = self.target_t1_size - max(1, len(b1) / len(b2))
                self.target_t1_size = aim if aim > 0 else 0

    def remove(self, key: Any) -> None:
        run = self.forget(key)
        run.group.drop(run, [key])

    # --- what leaves

    def evict(self, n: int, protected: Any) -> list[tuple[Any, ChunkStatus]] | None:
        chosen = self._choose(n, protected)
        if chosen is None:
            return None
        of_t1, of_t2, num_first = chosen
        first, second = keys_of(of_t1), keys_of(of_t2)
        for ghost, parts, keys in ((self.b1, of_t1, first), (self.b2, of_t2, second)):
            for run, some in parts:
                run.group.drop(run, some)
            ghost.update(dict.fromkeys(keys))
            for _ in range(len(ghost) - self.cache_capacity):
                ghost.popitem(last=False)
        return self.give_up([*first[:num_first], *second, *first[num_first:]])

    def _choose(self, n: int, protected: Any) -> tuple[list[Part], list[Part], int] | None:
        """What leaves of T1 and of T2, and how many of T1 do so before T2's; None for too few.

        T1 gives while it is as large as it should be, and where T2 has nothing left to give.
        """
        spare = self.t1.num_keys() - int(self.target_t1_size) + 1
        of_t1 = self.choose(self.t1, max(0, min(n, spare)), protected)
        num_first = _num(of_t1)
        of_t2 = self.choose(self.t2, n - num_first, protected)
        left = n - _num(of_t2)
        if left > num_first:
            of_t1 = self.choose(self.t1, left, protected)
        return (of_t1, of_t2, num_first) if _num(of_t1) == left else None

    # --- the end of a request

    def finished(
        self, keys: Sequence[Any], stored: set[Any], failed: set[Any], context: Any
    ) -> None:
        """A request has ended that used these, head to tail.

        stored: those that it only stored. failed: those that it neither stored nor found.
        """
        for is_stored, some in reversed(_by_use(list(keys), stored, failed)):
            self._move(some, is_stored)

    def _move(self, keys: list[Any], is_stored: bool) -> None:
        """To the end of T2, tail first; what was only stored stays in its list."""
        moved: list[ArcRun] = []
        follows = -1
        for run, place, some in self.run_of.parts(keys):
            own = self._taken(run, some, run.group if is_stored else self.t2)
            if place == follows and moved[-1].group is own.group:
                moved[-1] = self._joined(moved[-1], own)
            else:
                moved.append(own)
            follows = place + len(some)
        for own in reversed(moved):
            own.group[own] = None

    def _taken(self, run: ArcRun, keys: list[Any], to: ArcList) -> ArcRun:
        """All or some of its blocks, as a run that nobody has yet."""
        if len(keys) < len(run.keys):
            run.drop(keys)
            part = ArcRun(to, keys, tail_first=True)
            self.run_of.enter(part, keys)
            return part
        del run.group[run]
        run.group, run.keys, run.tail_first = to, keys, True
        return run

    def _joined(self, head: ArcRun, tail: ArcRun) -> ArcRun:
        """One run of both: the larger one takes the other's blocks."""
        if len(head.keys) < len(tail.keys):
            self.run_of.enter(tail, head.keys)
            tail.keys[:0] = head.keys
            return tail
        self.run_of.enter(head, tail.keys)
        head.keys += tail.keys
        return head


def _num(parts: list[Part]) -> int:
    return sum(len(keys) for _, keys in parts)


def _by_use(keys: list[Any], stored: set[Any], failed: set[Any]) -> list[tuple[bool, list[Any]]]:
    """Whether they were only stored, and which they are, head to tail; without the failed ones.

    What a request stores is mostly the tail of its context.
    """
    num = len(keys) - len(stored)
    if not failed and stored.issuperset(keys[num:]):
        return [(False, keys[:num]), (True, keys[num:])]
    left = (key for key in keys if key not in failed)
    return [(is_stored, [*some]) for is_stored, some in groupby(left, stored.__contains__)]
