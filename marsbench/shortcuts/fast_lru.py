"""vLLM's LRU of host memory without a rank for every block: what was used together stays together.

vLLM gives each block a rank, anew at a request's first use of it and when the request ends. Both
times a request's blocks get ranks that follow each other, its tail before its head. So here they
are one group, and groups are in the order of ranks. A group is made of runs, lists of blocks that
go from group to group as a whole: a context only grows, so what a round uses is what the one
before it used, and a few blocks more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from vllm.v1.kv_offload.cpu.policies.base import ChunkStatus
from vllm.v1.kv_offload.cpu.policies.lru import LRUCachePolicy

from marsbench.shortcuts.stretches import Kept, Stretch, keys_of


class Group:
    """The runs of one use, head to tail.

    rank: larger is later. is_open: its request may still add to it.
    """

    __slots__ = ("is_open", "owner", "rank", "runs")

    def __init__(self, owner: object, rank: int, is_open: bool) -> None:
        self.owner, self.rank, self.is_open = owner, rank, is_open
        self.runs: list[Stretch] = []


class FastLru(Kept, LRUCachePolicy):
    """Gives up what vLLM's LRU does, in the same order, where every key has its position.

    _lifetime: what is in it now belongs to one; a group of another is of what was cleared.
    """

    def __init__(self, cache_capacity: int) -> None:
        super().__init__(cache_capacity)
        self.clear()

    def clear(self) -> None:
        self.forget_all()
        self._lifetime = object()
        self._next_rank = 0
        self._groups: list[Group] = []
        self._most_groups = 64

    # --- ranks

    def _new_group(self, is_open: bool) -> Group:
        self._next_rank += 1
        group = Group(self._lifetime, self._next_rank, is_open)
        if len(self._groups) >= self._most_groups:
            self._groups = [group for group in self._groups if group.runs or group.is_open]
            self._most_groups = 64 + 2 * len(self._groups)
        self._groups.append(group)
        return group

    def _group_of_request(self, context: Any) -> Group:
        group: Group | None = context.get_state(Group)
        if group is None or group.owner is not self._lifetime:
            group = self._new_group(is_open=True)
            context.set_state(group)
        return group

    def insert_all(self, keys: list[Any], chunks: Iterable[Any], context: Any) -> None:
        """Enter blocks, head to tail, as their request's."""
        self.enter(keys, chunks)
        group, position = self._group_of_request(context), context.get_offload_key_position
        last = group.runs[-1] if group.runs else None
        if last is not None and position(last.keys[-1]) < position(keys[0]):
            last.keys += keys
            self.run_of.enter(last, keys)
        else:
            self._append(group, [*keys])
            self._sort(group, position)

    def _append(self, group: Group, keys: list[Any]) -> None:
        run = Stretch(group, keys)
        group.runs.append(run)
        self.run_of.enter(run, keys)

    def _sort(self, group: Group, position: Any) -> None:
        """Head to tail again, where what came last does not belong there."""
        runs = group.runs
        if len(runs) > 1 and position(runs[-2].keys[-1]) > position(runs[-1].keys[0]):
            keys = sorted((key for run in runs for key in run.keys), key=position)
            runs.clear()
            self._append(group, keys)

    def _move(self, keys: list[Any], group: Group, position: Any) -> None:
        """Take these to a group, head to tail, but for those that are in it or in a later one."""
        for run, _, own in self.run_of.parts(keys):
            if run.group.rank < group.rank:
                self._take(run, own, group)
                self._sort(group, position)

    def _take(self, run: Stretch, keys: list[Any], group: Group) -> None:
        """All or some of a run's blocks."""
        if len(keys) == len(run.keys):
            run.group.runs.remove(run)
            run.group = group
            group.runs.append(run)
            return
        _leave(run, keys)
        self._append(group, keys)

    def on_request_access(self, keys: Iterable[Any], req_context: Any) -> None:
        group = self._group_of_request(req_context)
        self._move(list(keys), group, req_context.get_offload_key_position)

    def touch(self, keys: Iterable[Any], req_context: Any) -> None:
        group = self._new_group(is_open=False)
        self._move(list(keys), group, req_context.get_offload_key_position)

    def finished(
        self, keys: Sequence[Any], stored: set[Any], failed: set[Any], context: Any
    ) -> None:
        """A request has ended that used these, head to tail: all of them were used just now."""
        self.touch(keys, context)
        own = context.get_state(Group)
        if own is not None:
            own.is_open = False

    # --- what leaves

    def remove(self, key: Any) -> None:
        _leave(self.forget(key), [key])

    def evict(self, n: int, protected: Any) -> list[tuple[Any, ChunkStatus]] | None:
        """The n keys of the lowest ranks; None, and nothing changed, where there are fewer."""
        chosen = self.choose(self._by_rank(), n, protected)
        keys = keys_of(chosen)
        if len(keys) < n:
            return None
        for run, some in chosen:
            _leave(run, some)
        return self.give_up(keys)

    def _by_rank(self) -> Iterator[Stretch]:
        """Those whose blocks leave first, first."""
        return (run for group in self._groups for run in reversed(group.runs))

    def order(self) -> list[Any]:
        """All keys, the first to leave first."""
        return [key for run in self._by_rank() for key in run.leaving()]


def _leave(run: Stretch, keys: list[Any]) -> None:
    run.drop(keys)
    if not run.keys:
        run.group.runs.remove(run)
