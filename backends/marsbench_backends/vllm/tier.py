"""Host memory as the adapter asks it: a policy's own (host.py), or that of vLLM's connector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from vllm.v1.outputs import KVConnectorOutput

from marsbench_backends.vllm.host import Load


class HostTier(Protocol):
    """Blocks are known by their keys: vLLM's hash of a block with its KV cache group."""

    loads: dict[str, Load]

    @property
    def loading(self) -> Mapping[str, float]:
        """The requests whose load is under way, and when it ends."""
        ...

    @property
    def next_arrival(self) -> float:
        """When the next load ends; inf when none is under way."""
        ...

    @property
    def free_blocks(self) -> int:
        """Blocks that host memory has room for."""
        ...

    @property
    def link_free_at(self) -> float:
        """When the next copy to host memory could begin."""
        ...

    def take_arrived(self, now: float) -> KVConnectorOutput | None:
        """The requests whose load has ended, where no worker reports them."""
        ...

    def matches(self, keys: Sequence[bytes]) -> int:
        """How many of these blocks, from the first on and without a gap, are here."""
        ...

    def swap_out(self, session_id: str, blocks: Sequence[Any]) -> float:
        """Begin to copy a paused session's blocks; returns when all of them are here."""
        ...

    def leave(self, session_id: str, keys: Sequence[bytes]) -> Counter[str]:
        """They leave the GPU: how many of which session are nowhere any more."""
        ...

    def forget(self, session_id: str) -> None:
        """The session has ended."""
        ...
