"""KV out of another replica's cache, through the seam by which swapped blocks come back.

vLLM asks a connector, at each admission, how many tokens beyond the GPU's own hit it can load,
allocates their blocks, sets the request aside until the load has ended, and then caches them under
their hashes (marsbench_backends/vllm/host.py). Here they may lie in the cache of another engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from vllm.v1.outputs import KVConnectorOutput

from marsbench_backends.vllm.host import HostConnector, Load
from marsbench_backends.vllm.host_memory import HostMemory


class Peers(Protocol):
    """The caches of others, and the links to them."""

    def found(self, source: int, request: Any) -> int:
        """Leading tokens of the request's prompt that are in that replica's cache."""
        ...

    def fetch(self, source: int, request: Any, first: int, end: int) -> None:
        """Begin to copy its blocks from number `first` up to `end`."""
        ...


class PeerConnector(HostConnector):
    """Fetches what a router asked for; the host memory of a policy, where it has any, stays.

    A request loads from one place: from the other replica where that has more than host memory.
    """

    def __init__(
        self,
        own: HostConnector | None,
        peers: Peers,
        block_size: int,
        swap_s: Callable[[int], float],
        clock: Callable[[], float],
    ) -> None:
        memory = HostMemory(0) if own is None else own.memory
        super().__init__(memory, block_size, swap_s, clock)
        if own is not None:
            self.out = own.out
        self._peers = peers
        self._asked: dict[str, int] = {}
        self._chosen: set[str] = set()

    def ask(self, request_id: str, source: int) -> None:
        """When the request is admitted, what this replica lacks is to come from that one."""
        self._asked[request_id] = source

    def is_settled(self, scheduler: Any) -> bool:
        """Whether nothing that another replica has, or that arrived, may change the next step."""
        return not self._asked and len(scheduler.kv_holding_waiting) <= len(self.loading)

    def get_num_new_matched_tokens(
        self, request: Any, num_computed_tokens: int
    ) -> tuple[int | None, bool]:
        own = super().get_num_new_matched_tokens(request, num_computed_tokens)
        source = self._asked.get(request.request_id)
        if source is None:
            return own
        more = self._peers.found(source, request) - num_computed_tokens
        self._chosen.discard(request.request_id)
        if more <= (own[0] or 0):
            return own
        self._chosen.add(request.request_id)
        return more, True

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        request_id = request.request_id
        source = self._asked.pop(request_id, None)
        if source is None or request_id not in self._chosen:
            super().update_state_after_alloc(request, blocks, num_external_tokens)
            return
        self._chosen.remove(request_id)
        size, end = self._block_size, len(blocks.blocks[0])
        on_gpu = end * size - num_external_tokens
        self.loads[request_id] = Load(on_gpu, num_external_tokens)
        self.loading[request_id] = math.inf  # told by `arrived`, whatever asks when
        self._peers.fetch(source, request, on_gpu // size, end)

    def arrived(self, scheduler: Any, request_id: str) -> None:
        """The blocks are here: vLLM caches them when it next looks at the request."""
        del self.loading[request_id]
        scheduler._update_from_kv_xfer_finished(KVConnectorOutput(finished_recving={request_id}))

    def failed(self, scheduler: Any, request_id: str) -> None:
        """They will not come: vLLM gives their blocks back and computes all that it lacks."""
        del self.loads[request_id]
        scheduler._handle_failed_recving({request_id})
        self.arrived(scheduler, request_id)
