"""Contexts on their way from one replica's cache to another's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from marsbench.core import events
from marsbench.core.sim.clock import Due, VirtualClock
from marsbench.core.sim.sessions import Emit
from marsbench.replicas.replica import Replica
from marsbench.replicas.router import MovingRouter
from marsbench_backends.vllm.host_memory import Lane


@dataclass(frozen=True, slots=True, eq=False)
class _Copy:
    """Blocks of a round's prompt, which its source keeps until they have arrived."""

    request_id: str
    source: Replica
    target: Replica
    blocks: Sequence[Any]
    bytes: float
    seconds: float
    asked_at: float


class Moves:
    """All copies between replicas.

    Each replica has a lane out and a lane in, and each carries one copy at a time, first come
    first: a copy takes one lane of both its ends. It begins when the step that its source has
    under way is over, since vLLM knows blocks before they are computed. What copies take of a GPU's
    memory bandwidth is not modelled.
    replicas: the fleet's own list, in which one that left is replaced.
    """

    def __init__(
        self,
        router: MovingRouter,
        bytes_per_token: float,
        replicas: Sequence[Replica],
        clock: VirtualClock,
        emit: Emit,
    ) -> None:
        self._latency_s = router.link_latency_s
        self._bytes_per_token = bytes_per_token
        self._bytes_per_s = router.link_gb_s * 1e9
        self._replicas = replicas
        self._clock = clock
        self._emit = emit
        self._out: dict[int, Lane] = defaultdict(Lane)
        self._in: dict[int, Lane] = defaultdict(Lane)
        self._under_way: dict[str, _Copy] = {}

    def seconds(self, source: int, target: int, tokens: int) -> float:
        """Until so many tokens' KV would be there, were it asked for now."""
        now = self._clock.now
        begins_at = max(now, self._out[source].free_at, self._in[target].free_at)
        return (
            begins_at - now + tokens * self._bytes_per_token / self._bytes_per_s + self._latency_s
        )

    def connect(self, target: Replica) -> None:
        """Rounds of this replica may find in others what it lacks."""
        target.connect(_To(self, target))

    def found(self, source: int, request: Any) -> int:
        """Leading tokens of the request's prompt that are in that replica's cache."""
        replica, now = self._replicas[source], self._clock.now
        return replica.present_tokens(request.block_hashes, request.num_tokens, now)

    def begin(self, target: Replica, source: int, request: Any, first: int, end: int) -> None:
        """Copy the prompt's blocks from number `first` up to `end`."""
        now, lender = self._clock.now, self._replicas[source]
        lender.loop.reach(now)
        blocks = lender.cached_blocks(request.block_hashes, request.num_tokens)[first:end]
        lender.lend(request.request_id, blocks)
        size = len(blocks) * lender.scheduler.block_size * self._bytes_per_token
        lanes = (self._out[source], self._in[target.index])
        free_at = max(now + lender.loop.left_of_step(now), *(lane.free_at for lane in lanes))
        seconds = size / self._bytes_per_s
        ends_at = max(lane.send(free_at, seconds) for lane in lanes)
        copy = _Copy(request.request_id, lender, target, blocks, size, seconds, now)
        self._under_way[copy.request_id] = copy
        self._clock.at(ends_at + self._latency_s, Due.HOST, partial(self._arrive, copy))

    def _arrive(self, copy: _Copy) -> None:
        if self._under_way.get(copy.request_id) is not copy:
            return  # one of its ends left
        del self._under_way[copy.request_id]
        now, target = self._clock.now, copy.target
        copy.source.take_back(copy.request_id, now)
        target.loop.reach(now)
        target.peers.arrived(target.scheduler, copy.request_id)
        target.engine.steps.forget_head()
        session, _, number = copy.request_id.rpartition("#")
        where = (target.index, copy.source.index, len(copy.blocks), copy.bytes)
        seconds = (copy.seconds, now - copy.asked_at)
        self._emit(events.KvMoved(now, session, int(number), *where, *seconds))

    def gone(self, replica: Replica) -> None:
        """It left: what was to come to it is wanted no more, and what was to come from it is lost.

        The lanes of the other ends stay taken until the copies would have been over.
        """
        now = self._clock.now
        for copy in list(self._under_way.values()):
            if replica is copy.target:
                copy.source.take_back(copy.request_id, now)
            elif replica is copy.source:
                copy.target.loop.reach(now)
                copy.target.peers.failed(copy.target.scheduler, copy.request_id)
                copy.target.engine.steps.forget_head()
            else:
                continue
            del self._under_way[copy.request_id]
        for lanes in (self._out, self._in):
            lanes.pop(replica.index, None)


@dataclass(frozen=True, slots=True)
class _To:
    """Moves to one replica, as its connector asks for them."""

    moves: Moves
    target: Replica

    def found(self, source: int, request: Any) -> int:
        return self.moves.found(source, request)

    def fetch(self, source: int, request: Any, first: int, end: int) -> None:
        self.moves.begin(self.target, source, request, first, end)
