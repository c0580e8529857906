"""Host memory behind vLLM's own offloading interface, in the scheduler's process and without a GPU.

vLLM 0.33.0 asks a KV connector, at each admission, how many tokens beyond the GPU's own hit it can
load, allocates their blocks, sets the request aside until the load has ended, and then computes
the rest (vllm/distributed/kv_transfer/kv_connector/v1/base.py). Only the scheduler's half is
implemented: there is no worker, a load ends when the modelled link says so.

Not vLLM's OffloadingConnector, which offloads every block as it is computed, where InferCept
chooses sessions. Where an engine has that (`--host-kv`), a policy's swaps go through it instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorMetadata,
)
from vllm.v1.core.kv_cache_utils import get_block_hash
from vllm.v1.outputs import KVConnectorOutput

from marsbench_backends.vllm.host_memory import HostMemory, Lane


@dataclass(frozen=True, slots=True)
class Load:
    """Tokens of a prompt that were found on the GPU, and those behind them that are loaded."""

    gpu_tokens: int
    host_tokens: int


class HostConnector(KVConnectorBase_V1):
    """Loads blocks from host memory; `swap_s` gives the seconds of a copy of so many tokens."""

    def __init__(
        self,
        memory: HostMemory,
        block_size: int,
        swap_s: Callable[[int], float],
        clock: Callable[[], float],
    ) -> None:
        # The base class's __init__ wants a transfer configuration, which only workers read.
        self.memory = memory
        self.out, self._in = Lane(), Lane()
        self._block_size = block_size
        self._swap_s = swap_s
        self._clock = clock
        self.loading: dict[str, float] = {}
        self.loads: dict[str, Load] = {}  # of requests that have not started since

    @property
    def next_arrival(self) -> float:
        """When the next load ends; inf when none is under way."""
        return min(self.loading.values(), default=float("inf"))

    def take_arrived(self, now: float) -> KVConnectorOutput | None:
        """The requests whose load has ended, in the form in which a worker reports them."""
        arrived = {i for i, at in self.loading.items() if at <= now}
        for request_id in arrived:
            del self.loading[request_id]
        return KVConnectorOutput(finished_recving=arrived) if arrived else None

    def take_loaded(self, request_id: str, num_found: int) -> int:
        """Of the tokens that a request finds computed as it starts, how many had been loaded."""
        load = self.loads.pop(request_id, None)
        # Of a prompt that is found whole vLLM computes the last token again.
        return 0 if load is None else max(0, num_found - load.gpu_tokens)

    # --- what the adapter asks (tier.py)

    @property
    def free_blocks(self) -> int:
        return self.memory.free_blocks

    @property
    def link_free_at(self) -> float:
        return self.out.free_at

    def matches(self, keys: Sequence[bytes]) -> int:
        return self.memory.matches(map(get_block_hash, keys))

    def swap_out(self, session_id: str, blocks: Sequence[Any]) -> float:
        """Begin a copy to host memory; returns when it has arrived."""
        return self.out.send(self._clock(), self._swap_s(len(blocks) * self._block_size))

    def leave(self, session_id: str, keys: Sequence[bytes]) -> Counter[str]:
        """The copy has arrived; how many blocks of which session found no room."""
        return self.memory.store(session_id, [get_block_hash(key) for key in keys])

    def forget(self, session_id: str) -> None:
        self.memory.forget(session_id)

    # --- what vLLM's scheduler asks

    def get_num_new_matched_tokens(
        self, request: Any, num_computed_tokens: int
    ) -> tuple[int | None, bool]:
        if not len(self.memory):
            return 0, False
        found = self.memory.matches(self._hashes(request, num_computed_tokens))
        return found * self._block_size, found > 0

    def update_state_after_alloc(self, request: Any, blocks: Any, num_external_tokens: int) -> None:
        if num_external_tokens:
            # Now the request holds the blocks of its own hit and of the load, and no others.
            num_blocks = len(blocks.blocks[0])
            loaded = slice(-(num_external_tokens // self._block_size), None)
            self.memory.take(request.block_hashes[:num_blocks][loaded])
            on_gpu = num_blocks * self._block_size - num_external_tokens
            self.loads[request.request_id] = Load(on_gpu, num_external_tokens)
            seconds = self._swap_s(num_external_tokens)
            self.loading[request.request_id] = self._in.send(self._clock(), seconds)

    def _hashes(self, request: Any, num_computed_tokens: int) -> Sequence[bytes]:
        return request.block_hashes[num_computed_tokens // self._block_size :]

    def get_loaded_kv_cache_group_ids(self, request: Any) -> tuple[int, ...]:
        return (0,)  # the one group that there is

    def build_connector_meta(self, scheduler_output: Any) -> KVConnectorMetadata:
        return KVConnectorMetadata()

    def _only_for_workers(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("host memory is modelled: there is no worker to copy blocks")

    start_load_kv = wait_for_layer_load = save_kv_layer = wait_for_save = _only_for_workers
