"""vLLM's ARC of host memory: one dictionary to look a block up in, and moves of whole contexts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from vllm.v1.kv_offload.cpu.policies.arc import ARCCachePolicy
from vllm.v1.kv_offload.cpu.policies.base import ChunkStatus


class FastArc(ARCCachePolicy):
    """Gives up what vLLM's ARC does, in the same order.

    chunks: those of T1 and of T2.
    """

    def __init__(self, cache_capacity: int) -> None:
        super().__init__(cache_capacity)
        self.chunks: dict[Any, Any] = {}

    def clear(self) -> None:
        super().clear()
        self.chunks.clear()

    def get(self, key: Any) -> ChunkStatus | None:
        return self.chunks.get(key)

    def absent(self, keys: list[Any]) -> list[Any]:
        chunks = self.chunks
        return [key for key in keys if key not in chunks]

    def insert_all(self, keys: list[Any], chunks: Iterable[Any], context: Any) -> None:
        """Enter blocks, head to tail."""
        made, t1 = dict(zip(keys, chunks, strict=True)), self.t1
        self.chunks.update(made)
        for key, chunk in made.items():
            t1[key] = chunk
        for ghost in (self.b1, self.b2):
            for key in [key for key in keys if key in ghost]:
                del ghost[key]

    def on_store_miss(self, keys: Iterable[Any], req_context: Any) -> None:
        """One of a ghost moves the aim; of others, which are most, nothing is learnt."""
        b1, b2 = self.b1, self.b2
        for key in [key for key in keys if key in b1 or key in b2][::-1]:
            self._adapt_to_ghost_hit(key)

    def remove(self, key: Any) -> None:
        super().remove(key)
        self.chunks.pop(key, None)

    def evict(self, n: int, protected: Any) -> list[tuple[Any, ChunkStatus]] | None:
        chosen = self._choose(n, protected)
        if chosen is None:
            return None
        for own, ghost, keys in ((self.t1, self.b1, chosen[0]), (self.t2, self.b2, chosen[1])):
            for key in keys:
                del own[key]
                ghost[key] = None
            for _ in range(len(ghost) - self.cache_capacity):
                ghost.popitem(last=False)
        return [(key, self.chunks.pop(key)) for key in chosen[2]]

    def _choose(self, n: int, protected: Any) -> tuple[list[Any], list[Any], list[Any]] | None:
        """The keys of T1 and of T2 that leave, and both in their order; None for too few.

        T1 gives while it is as large as it should be, and where T2 has nothing left to give.
        """
        first, second = _free(self.t1, protected), _free(self.t2, protected)
        spare = len(self.t1) - int(self.target_t1_size) + 1
        of_t1 = list(islice(first, max(0, min(n, spare))))
        of_t2 = list(islice(second, n - len(of_t1)))
        rest = list(islice(first, n - len(of_t1) - len(of_t2)))
        if len(of_t1) + len(of_t2) + len(rest) < n:
            return None
        return [*of_t1, *rest], of_t2, [*of_t1, *of_t2, *rest]

    def all_evictable(self, keys: set[Any]) -> None:
        """Their stores are done: nothing is written down of it."""

    def finished(
        self, keys: Sequence[Any], stored: set[Any], failed: set[Any], context: Any
    ) -> None:
        """A request has ended that used these, head to tail.

        stored: those that it only stored. failed: those that it neither stored nor found.
        """
        t1, t2 = self.t1, self.t2
        not_used = []
        for key in [key for key in keys if key in t1][::-1]:
            if key in stored:
                t1.move_to_end(key)
            elif key not in failed:
                t2[key] = t1.pop(key)
                continue
            not_used.append(key)
        num = len(keys) - len(not_used)
        if failed:
            keys = [key for key in keys if key not in failed]
        elif list(keys[num:]) == not_used[::-1]:
            keys = keys[:num]
        self._move_to_end_of_t2(keys)

    def _move_to_end_of_t2(self, keys: Sequence[Any]) -> None:
        """Those of these that are in T2, tail first."""
        t2 = self.t2
        try:
            deque(map(t2.move_to_end, reversed(keys)), maxlen=0)
        except KeyError:  # not all are there; moving some of them again gives the same order
            used = [key for key in reversed(keys) if key in t2]
            deque(map(t2.move_to_end, used), maxlen=0)


def _free(chunks: Mapping[Any, Any], protected: Any) -> Iterator[Any]:
    """Those that may leave, the first to do so first."""
    return (k for k, chunk in chunks.items() if chunk.ref_cnt == 0 and k not in protected)
