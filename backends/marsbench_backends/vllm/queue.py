"""vLLM's waiting queue, in the order of a policy's keys."""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from vllm.v1.core.sched.request_queue import RequestQueue
from vllm.v1.request import Request

from marsbench_backends.answers.policy import Answers
from marsbench_backends.policy import Key, Policy
from marsbench_backends.vllm.views import VllmReq


class PolicyQueue(RequestQueue):
    """vLLM's waiting queue in the order of a key, asked again (`renew`) when it may have changed.

    A request keeps its place in vLLM's own order (`position`): arrivals at the back, preempted
    ones at the front, ones that a step passed over where they were.
    stale: keys may have changed since they were asked.
    """

    def __init__(
        self,
        reqs: Mapping[str, VllmReq],
        answers: Answers,
        looked_at: Callable[[VllmReq, VllmReq], None],
    ) -> None:
        """looked_at: told whom a look at the front finds, and whom vLLM's own order has there."""
        self._reqs = reqs
        self._answers = answers
        self._looked_at = looked_at
        self._sorted: list[tuple[Key, int, Request]] = []
        self._places: dict[int, Request] = {}
        self._own_order: list[int] = []  # a heap of places, of which some may be empty by now
        self._ordered: set[int] = set()
        self._front = self._back = 0
        self.stale = False
        self._version = answers.policy.version
        self._resort_at = math.inf
        self._ages = answers.overrides("changes_at")

    def joined(self) -> None:
        """A round waits since now: when time alone changes a key is to be asked again."""
        self.stale = self.stale or self._ages

    def renew(self, now: float) -> None:
        """Before a step: in order, where that may be another one than the last step had."""
        if self.is_stale(now):
            self.resort()
            self.stale, self._version = False, self._answers.policy.version
            self._resort_at = self._answers.changes_at()

    def is_stale(self, now: float) -> bool:
        changed = self.stale or self._answers.policy.version != self._version
        return changed or now >= self._resort_at

    def _insert(self, request: Request, position: int) -> None:
        req = self._reqs[request.request_id]
        req.position = position
        self._take_place(position, request)
        entry = (self._answers.waiting_key(req), position, request)
        try:
            insort(self._sorted, entry, key=_entry_order)
        except TypeError:
            self._sorted.append(entry)
            self._resort_looking()

    def _take_place(self, position: int, request: Request) -> None:
        self._places[position] = request
        if position not in self._ordered:
            self._ordered.add(position)
            heapq.heappush(self._own_order, position)

    def add_request(self, request: Request) -> None:
        self._back += 1
        self._insert(request, self._back)

    def pop_request(self) -> Request:
        _, position, request = self._sorted.pop(0)
        del self._places[position]
        return request

    def peek_request(self) -> Request:
        front = self._sorted[0][2]
        if len(self._sorted) > 1:
            own = self._own_front()
            self._looked_at(self._reqs[front.request_id], self._reqs[own.request_id])
        return front

    def _own_front(self) -> Request:
        order, places = self._own_order, self._places
        while order[0] not in places:
            self._ordered.discard(heapq.heappop(order))
        return places[order[0]]

    def prepend_request(self, request: Request) -> None:
        self._front -= 1
        self._insert(request, self._front)

    def prepend_requests(self, requests: Iterable[Request]) -> None:
        for request in requests:
            self._insert(request, self._reqs[request.request_id].position)

    def remove_request(self, request: Request) -> None:
        self.remove_requests((request,))

    def remove_requests(self, requests: Iterable[Request]) -> None:
        gone = set(requests)
        self._sorted = [e for e in self._sorted if e[2] not in gone]
        self._places = {position: request for _, position, request in self._sorted}

    def resort(self) -> None:
        """Ask every key again."""
        if not self._answers.looks_at("waiting_key"):
            key, reqs = self._answers.quick_waiting_key, self._reqs
            with suppress(Exception):  # asked again below, where it is said what is wrong
                self._put([(key(reqs[r.request_id]), p, r) for _, p, r in self._sorted])
                return
        self._resort_looking()

    def _resort_looking(self) -> None:
        reqs = [self._reqs[request.request_id] for _, _, request in self._sorted]
        keys = self._answers.keys(Policy.waiting_key, reqs)
        self._put([(k, p, r) for k, (_, p, r) in zip(keys, self._sorted, strict=True)])

    def _put(self, entries: list[tuple[Key, int, Request]]) -> None:
        entries.sort(key=_entry_order)
        self._sorted = entries

    def __bool__(self) -> bool:
        return bool(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def __iter__(self) -> Iterator[Request]:
        return (entry[2] for entry in self._sorted)


def _entry_order(entry: tuple[Key, int, Request]) -> tuple[Key, int]:
    return entry[:2]
